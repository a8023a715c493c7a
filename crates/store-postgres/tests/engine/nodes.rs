//! Several nodes on the same database.

use crate::bank::{ACCOUNTS, BALANCE, Node, clock, key_of, sequence, transfer};
use std::collections::BTreeMap;
use std::sync::{Barrier, Mutex};
use store::conformance::bench::{held, transferred};
use store::conformance::{ask, block_on};
use store::query::EntryQuery;
use store::{Answer, Request};
use test_servers::Postgres;

const NODES: u8 = 3;

#[test]
fn a_key_on_several_nodes_at_once_has_one_effect() {
    let (url, clock) = (Postgres::shared().create_database(), clock());
    let nodes: Vec<Node> = (1..=NODES).map(|node| Node::open(&url, &clock, node)).collect();
    nodes[0].open_accounts();
    let barrier = Barrier::new(nodes.len());
    let answered: Mutex<BTreeMap<u64, Vec<u64>>> = Mutex::default();
    std::thread::scope(|scope| {
        for node in &nodes {
            scope.spawn(|| {
                for number in 0..60 {
                    barrier.wait();
                    let answer = node.insist(&[transfer(number)]).remove(0);
                    answered.lock().expect("no panic").entry(number).or_default().push(sequence(&answer));
                }
            });
        }
    });
    for (number, sequences) in answered.into_inner().expect("no panic") {
        assert!(sequences.windows(2).all(|pair| pair[0] == pair[1]), "transfer {number}: {sequences:?}");
    }
    let entries = block_on(nodes[1].store.entries(EntryQuery { after: 0, limit: 1000 })).expect("no fault");
    assert_eq!(entries.len() as u64, 1 + 2 * ACCOUNTS + 60);
    assert!((1..).zip(&entries).all(|(sequence, entry)| entry.header.sequence == sequence));
    nodes[2].expect_clean();
}

/// Each node commits on top of what the others did, with rows it remembers and rows it must not remember.
#[test]
fn nodes_that_take_turns_see_each_others_rows() {
    let (url, clock) = (Postgres::shared().create_database(), clock());
    let nodes: Vec<Node> = (1..=NODES).map(|node| Node::open(&url, &clock, node)).collect();
    nodes[0].open_accounts();
    let mut holds = Vec::new();
    for number in 0..30u64 {
        let node = &nodes[usize::try_from(number % u64::from(NODES)).expect("few")];
        let place = Request { key: Some(key_of(1000 + number)), command: ask::hold(1, None, 10, None) };
        let answers = node.insist(&[transfer(number), place]);
        holds.push(held(&answers[1]).id);
        let next = &nodes[usize::try_from((number + 1) % u64::from(NODES)).expect("few")];
        if number % 3 == 2 {
            let hold = holds.remove(0);
            let capture = Request { key: Some(key_of(2000 + number)), command: ask::capture(hold, Some(4), true) };
            let answer = next.insist(&[capture]).remove(0);
            assert!(matches!(answer, Answer::Recorded(_)), "{answer:?}");
        }
        let seen = block_on(next.store.account(ask::account(1), ledger::time::Timestamp::MAX)).expect("no fault");
        let here = block_on(node.store.account(ask::account(1), ledger::time::Timestamp::MAX)).expect("no fault");
        assert_eq!(seen, here);
    }
    let all = block_on(nodes[0].store.system_accounts()).expect("no fault");
    assert_eq!(all.iter().map(|account| account.balance).sum::<i128>(), -i128::from(ACCOUNTS * BALANCE) + 40);
    nodes[1].expect_clean();
}

/// The capture names nobody: whoever gets the money stands in the hold, which another node placed.
#[test]
fn a_hold_is_captured_to_its_target_on_a_node_that_knows_neither() {
    let (url, clock) = (Postgres::shared().create_database(), clock());
    let first = Node::open(&url, &clock, 1);
    first.open_accounts();
    let request = |number, command| Request { key: Some(key_of(number)), command };
    let place = |number| request(number, ask::hold(1, Some(2), 10, None));
    let holds: Vec<_> = first.insist(&[place(1000), place(1001)]).iter().map(|answer| held(answer).id).collect();
    let second = Node::open(&url, &clock, 2);
    let capture = |number, hold| second.insist(&[request(number, ask::capture(hold, None, true))]).remove(0);
    assert_eq!(transferred(&capture(1002, holds[0])).postings[1].account, ask::account(2));
    // This one knows the holds from the row of their account, and nothing of the target.
    let third = Node::open(&url, &clock, 3);
    third.insist(&[request(1003, ask::transfer(1, 3, 1))]);
    let last = third.insist(&[request(1004, ask::capture(holds[1], None, true))]).remove(0);
    assert_eq!(transferred(&last).postings[1].account, ask::account(2));
    third.expect_clean();
}

#[test]
fn whoever_follows_the_journal_hears_of_entries_of_another_node() {
    let (url, clock) = (Postgres::shared().create_database(), clock());
    let nodes: Vec<Node> = (1..=2).map(|node| Node::open(&url, &clock, node)).collect();
    let head = nodes[1].store.head();
    std::thread::scope(|scope| {
        let heard = scope.spawn(|| block_on(nodes[1].store.head_after(head)).expect("no fault"));
        nodes[0].open_accounts();
        assert!(head < heard.join().expect("no panic"));
    });
}

#[test]
fn one_relay_at_a_time_has_the_lease() {
    let (url, clock) = (Postgres::shared().create_database(), clock());
    let nodes: Vec<Node> = (1..=2).map(|node| Node::open(&url, &clock, node)).collect();
    let lease = |node: usize, microseconds| {
        block_on(nodes[node].store.lease(u128::try_from(node).expect("few"), microseconds)).expect("no fault")
    };
    assert!(lease(0, 60_000_000));
    assert!(!lease(1, 60_000_000));
    assert!(lease(0, 0), "its holder may give it up");
    assert!(lease(1, 60_000_000));
    assert!(!lease(0, 60_000_000));
}
