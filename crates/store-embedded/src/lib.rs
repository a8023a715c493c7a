//! The embedded engine: a data folder of plain files, each format small, versioned and checksummed. Nothing stands
//! between the bank and its disk but the modules here.
//!
//! The lower modules know bytes and plain integers only: [`disk`] is the one seam to the file system, [`folder`] the
//! data folder's layout, [`segment`] the journal, [`run`] and [`merge`] the sorted index files with their [`filter`],
//! [`checkpoint`] the container of a state snapshot, [`sort`] the order in which rows enter a run.
//! The formats are described byte by byte in `docs/format.md`.

pub mod checkpoint;
pub mod disk;
pub mod engine;
pub mod error;
pub mod filter;
pub mod folder;
pub mod health;
pub mod index;
pub mod indexer;
pub mod journal;
pub mod merge;
pub mod payload;
pub mod published;
pub mod publisher;
pub mod recovery;
pub mod run;
pub mod segment;
pub mod sequencer;
pub mod shard;
pub mod snapshot;
pub mod sort;
pub mod tail;
pub mod verify;
pub mod writer;

mod aside;
mod bytes;
mod pool;
mod query;
mod resolver;
