//! Every seed of the fuzz targets for what this crate reads: see `fuzz/README.md`.

#[path = "../../../fuzz/surfaces/amount.rs"]
mod amount;
#[path = "../../../fuzz/surfaces/corpus.rs"]
mod corpus;
#[path = "../../../fuzz/surfaces/id.rs"]
mod id;
#[path = "../../../fuzz/surfaces/timestamp.rs"]
mod timestamp;

#[test]
fn every_seed_of_amount_is_read_or_refused() {
    corpus::run("amount", amount::exercise);
}

#[test]
fn every_seed_of_timestamp_is_read_or_refused() {
    corpus::run("timestamp", timestamp::exercise);
}

#[test]
fn every_seed_of_id_is_read_or_refused() {
    corpus::run("id", id::exercise);
}
