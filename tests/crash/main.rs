//! The bank is killed at random instants under load, again and again on the same data. What was acknowledged is there,
//! nothing is there by half, all sums are zero, and `florin verify` finds nothing wrong.

mod close_day;
#[path = "../support/mod.rs"]
mod support;

use std::process::Stdio;
use support::bank::{Server, serve};
use support::ordeal::Ordeal;
use tempfile::TempDir;

const KILLS: usize = 50;
const VERIFY_EVERY: usize = 10;

#[test]
fn a_killed_bank_has_every_acknowledged_transfer_and_nothing_by_half() {
    let folder = TempDir::new().expect("a temporary folder");
    let mut ordeal = Ordeal::begin(&folder.path().join("data"));
    for kill in 1..=KILLS {
        ordeal.kill_under_load();
        if kill % VERIFY_EVERY == 0 {
            ordeal.expect_verified();
        }
    }
    ordeal.expect_whole();
    assert!(KILLS <= ordeal.acknowledged(), "only {} transfers were acknowledged", ordeal.acknowledged());
}

#[test]
fn a_bank_killed_while_it_starts_for_the_first_time_starts_the_next_time() {
    for attempt in 0..10 {
        let folder = TempDir::new().expect("a temporary folder");
        let data = folder.path().join("data");
        let mut child = serve(&data).stdout(Stdio::null()).spawn().expect("the program can be started");
        // Look at the folder so often that the kill falls into different steps of making it.
        for _ in 0..attempt * 300 {
            _ = data.join("format").exists();
        }
        _ = child.kill();
        _ = child.wait();
        let server = Server::start(&mut serve(&data));
        assert!(data.join("admin.token").exists());
        assert_eq!(server.terminate(), Some(0));
    }
}
