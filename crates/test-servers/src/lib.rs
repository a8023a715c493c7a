//! The real servers that tests start for themselves: in temporary folders, on free ports, as direct children that end
//! with the test. A server that is not installed is a failed test which says how to install it.

mod disk;
mod kafka;
mod postgres;
mod process;
mod proxy;
mod s3;

pub use disk::Disk;
pub use kafka::Kafka;
pub use postgres::Postgres;
pub use process::{Process, free_ports};
pub use proxy::{Lost, Proxy};
pub use s3::S3;
