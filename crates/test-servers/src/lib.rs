//! The real servers that tests start for themselves: in temporary folders, on free ports, as direct children that end
//! with the test. A server that is not installed is a failed test which says how to install it.

mod disk;
mod http;
mod kafka;
mod kept;
mod log;
mod mail;
mod postgres;
mod process;
mod proxy;
mod redis;
mod s3;
mod waiting;

pub use disk::Disk;
pub use http::{HttpServer, Received, Said};
pub use kafka::Kafka;
pub use log::Log;
pub use mail::{Mail, MailAnswer, MailServer};
pub use postgres::{Environment, Postgres};
pub use process::{Process, free_ports};
pub use proxy::{Lost, Proxy};
pub use redis::Redis;
pub use s3::S3;
pub use waiting::comes_true;
