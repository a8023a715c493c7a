//! Several currencies over HTTP, against the real program: rates, quotes, exchanges, and what becomes of every minor unit.

#[path = "../support/mod.rs"]
mod support;

mod exchanges;
mod fees;
mod quotes;
mod rates;
mod shards;
mod statements;
mod world;
