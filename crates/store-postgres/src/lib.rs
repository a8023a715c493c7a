//! The storage engine over PostgreSQL: one database per shard, any number of nodes, plain tables.
//!
//! It promises what [`store`] promises. Nodes keep no state that counts: every commit locks the head of its shard's
//! journal, so that any node may commit to any shard. Decisions are made in process by the rule book, on rows loaded
//! for a batch; the database stores and never decides.
//!
//! | module | does |
//! |---|---|
//! | `engine` | opens the databases, starts the tasks |
//! | `shard` | is the store |
//! | `committer` | gathers, commits, and learns what became of a commit that was not answered |
//! | `load`, `decide`, `commit` | the three steps of a batch |
//! | `journal`, `row`, `value` | entries, rows and values as the database has them |
//! | `records`, `sealing_keys` | tables that all nodes share and that are not of the journal |
//! | `query`, `read` | lists and history |
//! | `verify` | recomputes everything from the journal |
//! | `migrate`, `connect`, `session` | schema, connections, prepared statements |

mod between;
mod commit;
mod committer;
mod connect;
mod decide;
pub mod engine;
mod error;
mod facts;
mod health;
mod history;
mod journal;
mod load;
mod migrate;
mod open;
mod query;
mod read;
pub mod records;
mod row;
pub mod sealing_keys;
mod session;
mod shard;
mod value;
mod verify;
mod watch;

pub use decide::BeforeApply;
pub use error::PostgresError;
