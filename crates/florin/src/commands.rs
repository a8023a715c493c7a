//! What each command does.

pub(crate) mod bench;
pub(crate) mod close_day;
pub(crate) mod dead_letters;
pub(crate) mod deliveries;
pub(crate) mod demo;
pub(crate) mod documents;
pub(crate) mod ingest;
pub(crate) mod interest;
pub(crate) mod jobs;
pub(crate) mod products;
pub(crate) mod rates;
pub(crate) mod serve;
pub(crate) mod shards;
pub(crate) mod standing_orders;
pub(crate) mod statements;
pub(crate) mod token;
pub(crate) mod verify;
