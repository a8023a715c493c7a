//! Cases that cost other ledgers money, each as a claim about this one, tested over HTTP against the real program. The
//! comment above a test names the case; tests without one are neighbours of the case before.

#[path = "../support/mod.rs"]
mod support;

mod amounts;
mod answers;
mod batches;
mod between_shards;
mod expectations;
mod history;
mod holds;
mod interest;
mod keys;
mod legs;
mod races;
mod reversals;
mod shards;
mod stored_data;
