//! The disk, the process and the power fail under a running bank, at every point in turn. It may stop, it may say that
//! it cannot; it may never lose what it acknowledged. Takes long; `make test-faults` runs it.

#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::process::Stdio;
use support::bank::{Server, serve};
use support::ordeal::Ordeal;
use tempfile::TempDir;
use test_servers::Disk;

const KILLS: usize = 2000;
const POWER_CUTS: usize = 25;
/// A fault that did not strike after so many answers will not be waited for.
const ANSWERS_MAX: u64 = 60;
/// History grows with every round, and each round reads all of it: so often a new bank begins.
const ROUNDS_PER_BANK: usize = 60;

#[test]
fn two_thousand_kills_lose_nothing() {
    let folder = TempDir::new().expect("a temporary folder");
    let mut ordeal = Ordeal::begin(&folder.path().join("data"));
    for kill in 1..=KILLS {
        ordeal.kill_under_load();
        if kill % ROUNDS_PER_BANK == 0 {
            ordeal.expect_whole();
            ordeal.begin_anew();
            eprintln!("{kill} kills");
        }
    }
    ordeal.expect_whole();
}

/// Plans in turn, with a new bank now and then.
fn survive_all(plans: impl Iterator<Item = String>) {
    let folder = TempDir::new().expect("a temporary folder");
    let data = folder.path().join("data");
    let mut ordeal = Ordeal::begin(&data);
    for (round, plan) in plans.enumerate() {
        if round % ROUNDS_PER_BANK == 0 {
            ordeal.begin_anew();
        }
        eprintln!("{plan}");
        survive(&data, &mut ordeal, &plan);
    }
}

/// Runs a bank whose disk fails as planned, until it no longer says yes; then checks it with a disk that works.
fn survive(data: &Path, ordeal: &mut Ordeal, plan: &str) {
    let mut command = serve(data);
    command.arg("--no-auth").env("FLORIN_FAULTS__PLAN", plan).stderr(Stdio::null());
    // A fault while it opens the folder keeps it from starting, which is an answer too.
    if let Ok(server) = Server::try_start(&mut command) {
        ordeal.load_until_it_fails(&server, &|server, answers| {
            if answers == ANSWERS_MAX {
                server.signal("KILL");
            }
        });
        server.kill();
    }
    ordeal.expect_whole();
}

#[test]
fn a_crash_at_every_operation_on_the_disk_loses_nothing() {
    let ways = ["abort", "abort-after", "torn"];
    survive_all((1..=120).flat_map(|number| ways.map(|how| format!("op:{number}:{how}"))));
}

#[test]
fn a_disk_that_fails_or_is_full_loses_nothing() {
    let ways = ["sync:N:eio", "sync:N+:eio", "write:N:eio", "write:N:short", "write:N+:enospc", "read:N:eio"];
    survive_all((1..=40).flat_map(|number| ways.map(|way| way.replace('N', &number.to_string()))));
}

#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let disk = Disk::new(600);
    let data = disk.path().join("data");
    let mut ordeal = Ordeal::begin(&data);
    for round in 1..=POWER_CUTS {
        let server = Server::start(serve(&data).arg("--no-auth"));
        let until = 1 + (round as u64 * 37) % 150;
        ordeal.load_until_it_fails(&server, &|_, answers| {
            if answers == until {
                disk.cut_power();
            }
        });
        server.kill();
        disk.restore_power();
        ordeal.expect_whole();
    }
}
