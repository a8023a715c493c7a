//! A real bank's year over four databases and three nodes, of which one is killed every few moments.

use crate::support::cluster::Cluster;
use crate::support::http::Request;
use crate::support::wait::wait_for;
use crate::support::year::{EVENTS, TRANSACTIONS, compare, counts, expected, fixture};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const SHARDS: usize = 4;
const NODES: usize = 3;
const CLIENTS: usize = 4;
/// Events in a request.
const PART: usize = 100;
/// Between two kills.
const KILL_EVERY: Duration = Duration::from_millis(1500);
/// So many nodes are killed at least, or the year was over too soon to prove anything.
const KILLS_MIN: usize = 3;

/// What all clients were told of their events together.
type Told = [u64; 3];

fn send(cluster: &Cluster, client: usize, events: &[&String]) -> Told {
    let mut insisting = cluster.client(client);
    let mut told = [0; 3];
    for part in events.chunks(PART) {
        let lines: Vec<&str> = part.iter().map(|event| event.as_str()).collect();
        let body = lines.join("\n").into_bytes();
        let request = Request::post("/api/v1/events").body("application/x-ndjson", body);
        let answer = counts(&insisting.insist(&request).expect(200).json());
        told = [0, 1, 2].map(|place| told[place] + answer[place]);
        insisting.go_on();
    }
    told
}

/// Events of accounts, apart from those that must come before: each client's accounts are its own, in their order.
fn shares(events: &[String]) -> (Vec<&String>, Vec<Vec<&String>>) {
    let (mut before, mut shares) = (Vec::new(), vec![Vec::new(); CLIENTS]);
    let mut owners: BTreeMap<String, usize> = BTreeMap::new();
    for text in events {
        let event: Value = serde_json::from_str(text).expect("JSON");
        let account = event["data"]["account_id"].as_str();
        match account.filter(|_| event["type"] != "florin.account.opened") {
            None => before.push(text),
            Some(account) => {
                let next = owners.len() % CLIENTS;
                shares[*owners.entry(account.to_owned()).or_insert(next)].push(text);
            }
        }
    }
    (before, shares)
}

/// Sends the whole year, in parts, by several clients; what they were told together.
fn send_year(cluster: &Cluster, events: &[String], over: &AtomicUsize) -> Told {
    let (before, shares) = shares(events);
    let mut told = vec![send(cluster, 0, &before)];
    let send_share = |client: usize| {
        let told = send(cluster, client, &shares[client]);
        over.fetch_add(1, Ordering::SeqCst);
        told
    };
    std::thread::scope(|scope| {
        let send_share = &send_share;
        let clients: Vec<_> = (0..CLIENTS).map(|client| scope.spawn(move || send_share(client))).collect();
        told.extend(clients.into_iter().map(|client| client.join().expect("no client fails")));
    });
    [0, 1, 2].map(|place| told.iter().map(|told| told[place]).sum())
}

#[test]
fn a_real_year_over_four_databases_has_every_balance_exact_though_nodes_are_killed() {
    let cluster = Cluster::start(SHARDS, NODES);
    let events = fixture();
    let (over, mut kills) = (AtomicUsize::new(0), 0);
    let told = std::thread::scope(|scope| {
        let year = scope.spawn(|| {
            let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| send_year(&cluster, &events, &over)));
            over.store(CLIENTS, Ordering::SeqCst);
            told
        });
        while over.load(Ordering::SeqCst) < CLIENTS {
            wait_for(KILL_EVERY);
            cluster.kill_node(kills % NODES);
            cluster.start_node(kills % NODES);
            kills += 1;
        }
        year.join().expect("it does not panic").expect("no client fails")
    });
    assert!(KILLS_MIN <= kills, "{kills} kills");
    // What was asked for twice since nobody answered counts as replayed the second time.
    assert_eq!((told[0] + told[1], told[2]), (EVENTS, 0));
    let compared = cluster.look(0, |bank| compare(bank, &expected(&events, &[])));
    assert_eq!(compared, TRANSACTIONS);
    assert_eq!(send_year(&cluster, &events, &AtomicUsize::new(0)), [0, EVENTS, 0]);
    cluster.look(1, |bank| compare(bank, &expected(&events, &[])));
    cluster.run(&["verify"]).expect_code(0);
}
