//! Histories that nodes share through a real Redis: answers are right whatever becomes of it.

#[path = "../support/mod.rs"]
mod support;

use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use support::bank::Bank;
use support::cluster::Cluster;
use support::wait::{PATIENCE, now, wait_for};
use test_servers::{Postgres, Redis};

/// Two nodes over one shard, which share this server.
fn two_nodes(redis: &Arc<Redis>) -> Cluster {
    let url = format!("redis://{}", redis.address());
    Cluster::over(vec![Postgres::start("")], 2, 1, move |_, command| {
        command.env("FLORIN_CACHE__REDIS", &url);
    })
}

fn start() -> (Arc<Redis>, Cluster) {
    let redis = Arc::new(Redis::start());
    let cluster = two_nodes(&redis);
    (redis, cluster)
}

/// A key that no node was given before: banks that are looked at for a moment count theirs from 1.
fn fresh_key() -> String {
    static KEYS: AtomicU64 = AtomicU64::new(0);
    format!("fresh-{}", KEYS.fetch_add(1, Ordering::Relaxed))
}

fn new_account(bank: &Bank) -> String {
    let user = bank.post_with_key("/api/v1/users", &fresh_key(), &json!({"name": "Customer"})).expect(201).json();
    let fields = json!({"user_id": user["user_id"], "currency": "EUR", "type": "checking"});
    let account = bank.post_with_key("/api/v1/accounts", &fresh_key(), &fields).expect(201).json();
    account["account_id"].as_str().expect("an id").to_owned()
}

/// Pays one euro in.
fn deposit(bank: &Bank, account: &str, effective_at: Option<&str>) {
    let deposit =
        json!({"type": "deposit", "to": account, "amount": "1", "currency": "EUR", "effective_at": effective_at});
    bank.post_with_key("/api/v1/transfers", &fresh_key(), &deposit).expect(201);
}

/// An account with so many deposits of one euro, the last one first.
fn account_with(cluster: &Cluster, deposits: usize) -> String {
    cluster.look(0, |bank| {
        let account = new_account(bank);
        (0..deposits).for_each(|_| deposit(bank, &account, None));
        account
    })
}

fn latest(bank: &Bank, account: &str) -> Vec<Value> {
    let page = bank.get(&format!("/api/v1/accounts/{account}/postings?limit=20")).expect(200).json();
    page["items"].as_array().expect("items").clone()
}

/// A node answers what there is: the versions from this one down, each balance by its number of deposits of one euro.
#[track_caller]
fn expect_latest(cluster: &Cluster, node: usize, account: &str, version: usize) {
    let items = cluster.look(node, |bank| latest(bank, account));
    let seen: Vec<(u64, String)> = items
        .iter()
        .map(|item| {
            (item["version"].as_u64().expect("a version"), item["balance_after"].as_str().expect("money").into())
        })
        .collect();
    let expected: Vec<(u64, String)> =
        (1..=version as u64).rev().take(20).map(|version| (version, format!("{version}.00"))).collect();
    assert_eq!(seen, expected);
}

/// A counter of histories of a node.
fn counted(cluster: &Cluster, node: usize, line: &str) -> u64 {
    let text = cluster.look(node, |bank| bank.get("/metrics").expect(200).text());
    let value = text.lines().find_map(|known| known.strip_prefix(line)).unwrap_or_else(|| panic!("{line} in {text}"));
    value.trim().parse().expect("a number")
}

const SHARED: &str = "florin_history_reads_total{from=\"shared\"}";
const FORGED: &str = "florin_history_refused_total{why=\"forged\"}";
const AWAY: &str = "florin_history_refused_total{why=\"away\"}";

#[test]
fn a_node_finds_in_redis_what_another_read_and_what_was_booked_since() {
    let (redis, cluster) = start();
    let account = account_with(&cluster, 25);
    expect_latest(&cluster, 0, &account, 25);
    expect_latest(&cluster, 1, &account, 25);
    assert_eq!(counted(&cluster, 1, SHARED), 1);
    let key = format!("florin/history/{account}");
    let (mut version, start) = (25, now());
    loop {
        let before = redis.say(&[b"GET", key.as_bytes()]);
        cluster.look(0, |bank| deposit(bank, &account, None));
        version += 1;
        // One of the nodes follows the journal, and tells Redis though nobody reads.
        let asked = now();
        while redis.say(&[b"GET", key.as_bytes()]) == before && asked.elapsed() < Duration::from_secs(2) {
            wait_for(Duration::from_millis(10));
        }
        if redis.say(&[b"GET", key.as_bytes()]) != before {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "nobody follows the journal");
        expect_latest(&cluster, 0, &account, version);
    }
    let shared = counted(&cluster, 1, SHARED);
    expect_latest(&cluster, 1, &account, version);
    assert_eq!(counted(&cluster, 1, SHARED), shared + 1);
}

#[test]
fn answers_are_right_while_redis_is_killed_emptied_or_hangs() {
    let (redis, cluster) = start();
    let account = account_with(&cluster, 25);
    let mut version = 25;
    let mut pay_and_look = |what: &str| {
        for node in [0, 1] {
            cluster.look(node, |bank| deposit(bank, &account, None));
            version += 1;
            let asked = now();
            expect_latest(&cluster, 0, &account, version);
            expect_latest(&cluster, 1, &account, version);
            assert!(asked.elapsed() < Duration::from_secs(10), "{what}: reads are slow");
        }
    };
    pay_and_look("as it should be");
    redis.say(&[b"FLUSHALL"]);
    pay_and_look("emptied");
    redis.kill();
    pay_and_look("killed");
    redis.restart();
    pay_and_look("back");
    redis.pause();
    pay_and_look("hanging");
    redis.resume();
    pay_and_look("going on");
    assert!(0 < counted(&cluster, 0, AWAY) + counted(&cluster, 1, AWAY));
    // After a moment it is used again.
    let start = now();
    let used = |cluster: &Cluster| counted(cluster, 0, SHARED) + counted(cluster, 1, SHARED);
    let before = used(&cluster);
    while used(&cluster) == before {
        assert!(start.elapsed() < PATIENCE, "it is never used again");
        wait_for(Duration::from_millis(100));
        let fresh = account_with(&cluster, 2);
        expect_latest(&cluster, 0, &fresh, 2);
        expect_latest(&cluster, 1, &fresh, 2);
    }
}

#[test]
fn nothing_that_redis_makes_up_is_believed() {
    let (redis, cluster) = start();
    let (account, other) = (account_with(&cluster, 25), account_with(&cluster, 30));
    let key = |account: &str| format!("florin/history/{account}").into_bytes();
    expect_latest(&cluster, 0, &account, 25);
    expect_latest(&cluster, 0, &other, 30);
    let old = redis.say(&[b"GET", &key(&account)]).remove(0);
    let foreign = redis.say(&[b"GET", &key(&other)]).remove(0);
    let mut altered = old.clone();
    let last = altered.len() - 1;
    altered[last] ^= 1;
    let newer = |version: u64| [&old[..32], &version.to_le_bytes(), &old[40..]].concat();
    let lies = [old.clone(), foreign, altered, old[..last].to_vec(), b"nothing".to_vec(), Vec::new(), newer(32)];
    for (lie, version) in lies.into_iter().zip(26..) {
        // What both nodes remember is too old now, so that they ask.
        cluster.look(0, |bank| deposit(bank, &account, None));
        for node in [0, 1] {
            redis.say(&[b"SET", &key(&account), &lie]);
            expect_latest(&cluster, node, &account, version);
        }
    }
    redis.say(&[b"FLUSHALL"]);
    redis.say(&[b"SET", &key(&other), b"nonsense"]);
    expect_latest(&cluster, 1, &other, 30);
    assert!(0 < counted(&cluster, 1, FORGED));
}

#[test]
fn a_month_is_shared_too() {
    let (_redis, cluster) = start();
    let account = cluster.look(0, |bank| {
        let account = new_account(bank);
        for day in ["2025-10-05", "2025-10-20", "2025-11-02"] {
            deposit(bank, &account, Some(&format!("{day}T12:00:00Z")));
        }
        account
    });
    let path = format!("/api/v1/transactions/{account}/month/2025-10");
    let month = |node| cluster.look(node, |bank| bank.get(&path).expect(200).json());
    assert_eq!(month(0)["trx"].as_array().map(Vec::len), Some(2));
    assert_eq!(month(1), month(0));
    assert_eq!(counted(&cluster, 1, SHARED), 1);
    cluster.look(1, |bank| deposit(bank, &account, Some("2025-10-21T12:00:00Z")));
    for node in [0, 1] {
        let items = month(node)["trx"].as_array().expect("items").clone();
        assert_eq!((items.len(), &items[0]["current_balance"]), (3, &json!(4)));
    }
}
