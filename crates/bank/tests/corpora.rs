//! Every seed of the fuzz targets for what this crate reads: see `fuzz/README.md`.

#[path = "../../../fuzz/surfaces/corpus.rs"]
mod corpus;
#[path = "../../../fuzz/surfaces/event.rs"]
mod event;

#[test]
fn every_seed_of_event_is_read_or_refused() {
    corpus::run("event", event::exercise);
}
