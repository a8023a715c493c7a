//! Several nodes of one bank: restarted one by one, and asked the same at the same moment.

use crate::support::book::Book;
use crate::support::cluster::Cluster;
use crate::support::program::{finish, florin};
use crate::support::wait::{rounds, wait_for};
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
