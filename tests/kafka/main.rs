//! The bank with a real Kafka broker: the journal is published complete and in order, events are ingested once, whoever
//! is killed or stopped meanwhile.

#[path = "../support/mod.rs"]
mod support;

mod commands;
mod events;
mod faults;
mod nodes;
mod outages;
mod shards;
mod world;
