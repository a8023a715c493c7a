//! Every seed of the fuzz targets for what this crate reads: see `fuzz/README.md`.

#[path = "../../../fuzz/surfaces/corpus.rs"]
mod corpus;
#[path = "../../../fuzz/surfaces/journal_block.rs"]
mod journal_block;
#[path = "../../../fuzz/surfaces/parcel.rs"]
mod parcel;

#[test]
fn every_seed_of_journal_block_is_read_or_refused() {
    corpus::run("journal_block", journal_block::exercise);
}

#[test]
fn every_seed_of_parcel_is_read_or_refused() {
    corpus::run("parcel", parcel::exercise);
}
