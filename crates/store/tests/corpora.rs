//! Every seed of the fuzz targets for what this crate reads: see `fuzz/README.md`.

#[path = "../../../fuzz/surfaces/corpus.rs"]
mod corpus;
#[path = "../../../fuzz/surfaces/journal_block.rs"]
mod journal_block;

#[test]
fn every_seed_of_journal_block_is_read_or_refused() {
    corpus::run("journal_block", journal_block::exercise);
}
