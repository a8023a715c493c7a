//! Several nodes of one bank: restarted one by one, asked the same at the same moment, with clocks that differ.

use crate::support::book::Book;
use crate::support::cluster::Cluster;
use crate::support::program::{finish, florin};
use crate::support::wait::{rounds, wait_for};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use test_servers::Postgres;

const SHARDS: usize = 2;
const NODES: usize = 3;
const ROUNDS: usize = 1;
/// Longer than a client needs between choosing a node and reaching it.
const DRAINED: Duration = Duration::from_millis(200);
/// Requests that all nodes get at the same moment, in a round.
const AT_ONCE: u64 = 40;

#[test]
fn a_rolling_restart_under_load_fails_no_request() {
    let cluster = Cluster::start(SHARDS, NODES);
    let book = Book::open(&cluster).survive(&cluster, rounds(ROUNDS), |_| {
        for place in 0..NODES {
            // As a balancer does: nobody is sent there any more, and then it is asked to end.
            let old = cluster.take_out(place);
            wait_for(DRAINED);
            assert_eq!(old.terminate(), Some(0));
            cluster.start_node(place);
        }
    });
    assert_eq!(book.failures, 0, "requests that nodes did not answer for good at once");
}

/// Nobody tells the clients. What they may not send again must not happen to them.
#[test]
fn nodes_that_end_while_clients_ask_them_leave_only_what_may_be_sent_again() {
    let cluster = Cluster::start(SHARDS, NODES);
    Book::open(&cluster).survive(&cluster, rounds(ROUNDS), |_| {
        for place in 0..NODES {
            cluster.signal(place, "TERM");
            cluster.await_end(place);
            cluster.start_node(place);
        }
    });
}

#[test]
fn a_key_on_all_nodes_in_the_same_millisecond_has_one_effect() {
    let cluster = Cluster::start(SHARDS, NODES);
    let mut book = Book::open(&cluster);
    for _ in 0..rounds(ROUNDS) {
        book.ask_all_at_once(&cluster, AT_ONCE);
        book.expect_whole(&cluster);
    }
}

/// One node's clock is two hours ahead, one's four seconds behind, and the third one's jumps under load.
#[test]
fn nodes_whose_clocks_differ_and_jump_give_times_and_ids_that_only_grow() {
    let folder = TempDir::new().expect("a temporary folder");
    let clocks: Vec<PathBuf> = ["+7200", "-4", "+0"].iter().map(|skew| clock(folder.path(), skew)).collect();
    let jumping = clocks[2].clone();
    let servers = (0..SHARDS).map(|_| Postgres::start("")).collect();
    let cluster = Cluster::over(servers, NODES, 1, move |place, command| {
        command.env("LD_PRELOAD", faketime()).env("FAKETIME_TIMESTAMP_FILE", &clocks[place]);
        command.env("FAKETIME_NO_CACHE", "1").env("DONT_FAKE_MONOTONIC", "1");
    });
    Book::open(&cluster).survive(&cluster, rounds(ROUNDS), |_| {
        for skew in ["+864000", "-864000", "+7", "+0"] {
            std::fs::write(&jumping, skew).expect("a file to write");
            wait_for(DRAINED);
        }
        cluster.kill_node(0);
        cluster.start_node(0);
    });
    for shard in 0..SHARDS {
        let back = format!(
            "select count(*) from (select id, booked_at, lag(id) over here as before, lag(booked_at) over here as \
             earlier from florin.transfers where (id >> 12) & 1023 = {shard} window here as (order by sequence)) as t \
             where id <= before or booked_at < earlier"
        );
        assert_eq!(cluster.psql(shard, &back), "0", "shard {shard}: a time or an id went back");
        let chunks = "select count(*) from (select first_time, lag(first_time) over (order by first_sequence) as \
             earlier from florin.chunks) as t where first_time < earlier";
        assert_eq!(cluster.psql(shard, chunks), "0", "shard {shard}: the time of an entry went back");
        // The node whose clock is wrong went by the database's.
        let ahead = "select count(*) from florin.transfers where booked_at / 1e6 > extract(epoch from now()) + 60";
        assert_eq!(cluster.psql(shard, ahead), "0", "shard {shard}: a wrong clock took its time with it");
    }
}

/// A file that says how far a clock is off.
fn clock(folder: &Path, skew: &str) -> PathBuf {
    let path = folder.join(format!("clock{skew}"));
    std::fs::write(&path, skew).expect("a file to write");
    path
}

/// The library that tells a program another time.
fn faketime() -> PathBuf {
    let name = "faketime/libfaketimeMT.so.1";
    let folders = std::fs::read_dir("/usr/lib").expect("a folder of libraries").flatten();
    let mut found = folders.map(|folder| folder.path().join(name)).filter(|path| path.exists());
    found.next().expect("this test needs libfaketime: run xtask/install-test-tools.sh")
}

#[test]
fn a_node_without_the_banks_master_key_is_refused() {
    let url = Postgres::shared().create_database();
    let folder = TempDir::new().expect("a temporary folder");
    let verify = |key: &str| {
        let mut command = florin();
        command.args(["verify", "--quiet", "--data"]).arg(folder.path().join("data"));
        command.env("FLORIN_STORAGE__ENGINE", "postgres").env("FLORIN_STORAGE__SHARDS", &url);
        command.env("FLORIN_STORAGE__OWNERS", &url).env("FLORIN_DATA__MASTER_KEY_FILE", folder.path().join(key));
        finish(&mut command)
    };
    verify("master.key").expect_code(0);
    let run = verify("another.key").expect_code(2);
    assert!(run.stderr.contains("master key"), "{}", run.stderr);
}
