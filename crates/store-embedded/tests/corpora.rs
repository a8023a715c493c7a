//! Every seed of the fuzz targets for what this crate reads: see `fuzz/README.md`.

#[path = "../../../fuzz/surfaces/checkpoint.rs"]
mod checkpoint;
#[path = "../../../fuzz/surfaces/corpus.rs"]
mod corpus;

#[test]
fn every_seed_of_checkpoint_is_read_or_refused() {
    corpus::run("checkpoint", checkpoint::exercise);
}
