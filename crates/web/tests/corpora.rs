//! Every seed of the fuzz targets for what this crate reads: see `fuzz/README.md`.

#![expect(clippy::duplicate_mod, reason = "each surface brings the service it asks along, as its fuzz target needs it")]

#[path = "../../../fuzz/surfaces/corpus.rs"]
mod corpus;
#[path = "../../../fuzz/surfaces/cursor.rs"]
mod cursor;
#[path = "../../../fuzz/surfaces/request_body.rs"]
mod request_body;

#[test]
fn every_seed_of_request_body_is_read_or_refused() {
    corpus::run("request_body", request_body::exercise);
}

#[test]
fn every_seed_of_cursor_is_read_or_refused() {
    corpus::run("cursor", cursor::exercise);
}
