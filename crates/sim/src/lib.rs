//! The whole bank in a world of its own: several nodes over shared shards, clients that never give up, and a great deal
//! that goes wrong, all in one thread, in virtual time and drawn from one seed.
//!
//! An auditor that knows only what was asked and answered, and what the bank shows to whoever reads, says whether money
//! was lost, doubled or made up. The same seed gives the same world, so what it finds can be looked at again:
//! `cargo xtask sim --seed N`. Bugs planted on purpose show that it finds some: see [`plants`].

pub mod ask;
pub mod auditor;
pub mod books;
pub mod bus;
pub mod client;
pub mod connection;
pub mod faults;
pub mod ground;
pub mod heard;
pub mod network;
pub mod node;
pub mod operator;
pub mod plants;
pub mod ports;
pub mod random;
pub mod reply;
pub mod scheduler;
pub mod shard;
pub mod trace;
pub mod workload;
pub mod world;
