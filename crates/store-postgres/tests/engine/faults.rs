//! What was acknowledged is there, whatever happens to the database and the way to it.

use crate::bank::{ACCOUNTS, BALANCE, Node, clock, key_of, options, sequence, transfer};
use ledger::command::{ChangeSlots, Command};
use ledger::ids::ShardId;
use ledger::slots::SlotChange;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use store::conformance::{ask, block_on};
use store::query::EntryQuery;
use store::{Answer, Fault, Request};
use test_servers::{Lost, Postgres, Proxy, comes_true};

/// A proxy before a server, and the URL of a database through it.
fn behind_proxy(server: &Postgres) -> (Proxy, String) {
    let proxy = Proxy::start(SocketAddr::from(([127, 0, 0, 1], server.port())));
    let url = server.create_database().replace(&server.port().to_string(), &proxy.address().port().to_string());
    (proxy, url)
}

fn total(node: &Node) -> i128 {
    let now = ledger::time::Timestamp::MAX;
    let balance = |number| block_on(node.store.account(ask::account(number), now)).expect("no fault");
    (1..=ACCOUNTS).filter_map(balance).map(|account| account.balance).sum()
}

/// Every transfer that was answered is found under its key, in the entry that was named.
fn expect_found(node: &Node, answered: &[(u64, u64)]) {
    for (number, entry) in answered {
        let again = node.insist(&[transfer(*number)]).remove(0);
        assert!(matches!(again, Answer::Replayed(_)), "transfer {number} is lost: {again:?}");
        assert_eq!(sequence(&again), *entry, "transfer {number}");
    }
    assert_eq!(total(node), i128::from(ACCOUNTS * BALANCE));
    node.expect_clean();
}

#[test]
fn a_commit_whose_answer_is_lost_is_found_and_answered() {
    let (proxy, url) = behind_proxy(Postgres::shared());
    let node = Node::open(&url, &clock(), 1);
    node.open_accounts();
    let head = node.store.head();
    for number in 0..5 {
        proxy.lose_next_commit(Lost::Answer);
        let answer = node.submit(vec![transfer(number)]).expect("the commit is looked up").remove(0);
        // Committed once, and known to be so: it was not decided anew.
        assert!(matches!(answer, Answer::Recorded(_)), "{answer:?}");
        assert_eq!(sequence(&answer), head + number + 1);
        proxy.wait_for_commits_lost(usize::try_from(number + 1).expect("few"));
        proxy.heal();
    }
    expect_found(&node, &(0..5).map(|number| (number, head + number + 1)).collect::<Vec<_>>());
    assert_eq!(node.store.head(), head + 5);
}

#[test]
fn a_commit_that_never_arrived_is_made_again() {
    let (proxy, url) = behind_proxy(Postgres::shared());
    let node = Node::open(&url, &clock(), 1);
    node.open_accounts();
    let head = node.store.head();
    for number in 0..5 {
        proxy.lose_next_commit(Lost::Request);
        let answer = node.submit(vec![transfer(number)]).expect("it is made again").remove(0);
        assert_eq!(sequence(&answer), head + number + 1);
        proxy.heal();
    }
    expect_found(&node, &(0..5).map(|number| (number, head + number + 1)).collect::<Vec<_>>());
}

/// It arrives when it was found not to have been made, and before it is made again. Without a key nothing but the commit
/// itself tells them apart.
#[test]
fn a_commit_that_arrives_after_it_was_given_up_has_no_effect() {
    let (proxy, url) = behind_proxy(Postgres::shared());
    let node = Node::open(&url, &clock(), 1);
    node.open_accounts();
    let unkeyed = |number| Request { key: None, ..transfer(number) };
    for _ in 0..2 {
        node.insist(&[unkeyed(1)]);
    }
    let head = node.store.head();
    proxy.lose_next_commit(Lost::Client);
    let answer = node.submit(vec![unkeyed(1)]).expect("it is made again").remove(0);
    assert_eq!((sequence(&answer), proxy.commits_lost()), (head + 1, 1));
    assert_eq!(sequence(&node.insist(&[unkeyed(2)])[0]), head + 2);
    node.expect_clean();
}

#[test]
fn a_batch_takes_one_round_trip_where_its_rows_are_known_and_two_where_not() {
    let (proxy, url) = behind_proxy(Postgres::shared());
    let node = Node::open(&url, &clock(), 1);
    node.open_accounts();
    let mut next = 0;
    let mut round_trips = |count: u64| {
        for _ in 0..100 {
            let before = proxy.round_trips_of_commits();
            let requests: Vec<Request> = (next..next + count).map(transfer).collect();
            next += count;
            let answers = node.submit(requests).expect("no fault");
            assert!(answers.iter().all(|answer| matches!(answer, Answer::Recorded(_))));
            let after = proxy.round_trips_of_commits();
            // On a busy machine a connection is given up now and then, and the next has its settings to make.
            if before.0 == after.0 {
                return after.1 - before.1;
            }
        }
        panic!("each batch had a connection of its own");
    };
    round_trips(1);
    assert_eq!([1, 10, 30].map(&mut round_trips), [1, 1, 1]);
    Node::open(&url, &clock(), 2).insist(&[transfer(1000)]);
    round_trips(1);
    // What does not fit one write may be answered in parts, which looks like a round trip more.
    assert_eq!([1, 2, 3].map(round_trips), [2, 2, 2], "another node commits too");
}

/// A key that this node does not remember, among others in a batch that is committed without looking keys up first.
#[test]
fn a_key_that_another_node_used_has_no_second_effect_where_keys_are_not_looked_up() {
    let url = Postgres::shared().create_database();
    let clock = clock();
    let first = Node::open(&url, &clock, 1);
    first.open_accounts();
    let old = sequence(&first.insist(&[transfer(1)])[0]);
    let second = Node::open(&url, &clock, 2);
    for number in 10..50 {
        second.insist(&[transfer(number)]);
    }
    let head = second.store.head();
    let answers = second.insist(&[transfer(50), transfer(1), transfer(51)]);
    assert!(matches!(answers[1], Answer::Replayed(_)), "{:?}", answers[1]);
    assert_eq!([0, 1, 2].map(|place: usize| sequence(&answers[place])), [head + 1, old, head + 2]);
    assert_eq!(total(&second), i128::from(ACCOUNTS * BALANCE));
    second.expect_clean();
}

/// What is refused only for now is written nowhere, so nothing that is written tells that its key was used.
#[test]
fn a_request_that_was_answered_is_not_refused_for_now_when_it_comes_again_to_another_node() {
    let url = Postgres::shared().create_database();
    let clock = clock();
    let first = Node::open(&url, &clock, 1);
    first.open_accounts();
    let change = |number, change: SlotChange| {
        let command = Command::ChangeSlots(Box::new(ChangeSlots { change, slots: [5].into() }));
        Request { key: Some(key_of(number)), command }
    };
    let [here, there] = [1, 2].map(|number| ShardId::new(number).expect("a shard"));
    let old = sequence(&first.insist(&[change(1, SlotChange::Fenced(there))])[0]);
    first.insist(&[change(2, SlotChange::Fenced(here)), change(3, SlotChange::Released(here))]);
    let second = Node::open(&url, &clock, 2);
    for number in 10..50 {
        second.insist(&[transfer(number)]);
    }
    assert!(matches!(second.insist(&[change(4, SlotChange::Fenced(there))])[0], Answer::Unrecorded(_)));
    for number in 50..150 {
        second.insist(&[transfer(number)]);
    }
    let answers = second.insist(&[transfer(150), change(1, SlotChange::Fenced(there))]);
    assert!(matches!(answers[1], Answer::Replayed(_)), "{:?}", answers[1]);
    assert_eq!(sequence(&answers[1]), old);
}

#[test]
fn connections_that_are_cut_under_load_lose_and_double_nothing() {
    let (proxy, url) = behind_proxy(Postgres::shared());
    let node = Node::open(&url, &clock(), 1);
    node.open_accounts();
    let answered = load(&node, || {
        for _ in 0..10 {
            let commits = node.store.stats().commits;
            wait_for(|| commits + 3 < node.store.stats().commits);
            proxy.cut();
        }
    });
    expect_found(&node, &answered);
}

#[test]
fn a_server_that_is_killed_under_load_loses_nothing_and_is_served_again() {
    let server = Postgres::start("");
    let node = Node::open(&server.create_database(), &clock(), 1);
    node.open_accounts();
    let answered = load(&node, || {
        for round in 0..4 {
            let commits = node.store.stats().commits;
            wait_for(|| commits + 5 < node.store.stats().commits);
            if round % 2 == 0 {
                server.kill()
            } else {
                server.stop()
            }
            server.run();
        }
    });
    assert!(20 < answered.len());
    expect_found(&node, &answered);
}

#[test]
fn a_node_that_cannot_reach_its_database_says_so_and_serves_again() {
    let (proxy, url) = behind_proxy(Postgres::shared());
    let node = Node::open(&url, &clock(), 1);
    node.open_accounts();
    proxy.refuse();
    proxy.cut();
    let fault = node.submit(vec![transfer(1)]).expect_err("nobody is there");
    assert!(fault.retryable(), "{fault}");
    assert!(node.store.stats().poisoned.is_some());
    proxy.heal();
    let answer = node.insist(&[transfer(1)]).remove(0);
    expect_found(&node, &[(1, sequence(&answer))]);
    assert_eq!(node.store.stats().poisoned, None);
}

#[test]
fn an_old_primary_is_not_used_again() {
    let server = Postgres::shared();
    let url = server.create_database();
    let database = url.rsplit('/').next().expect("a name").to_string();
    let node = Node::open(&url, &clock(), 1);
    node.open_accounts();
    server.psql(&database, "update florin.head set epoch = 7");
    node.insist(&[transfer(1)]);
    // As a primary would say that was cut off before the other was promoted, to whoever connects to it from now on.
    server.psql(&database, "update florin.head set epoch = 6");
    let end = format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{database}'");
    server.psql("postgres", &end);
    let fault = node.submit(vec![transfer(2)]).expect_err("it is refused");
    assert!(fault.to_string().contains("old primary"), "{fault}");
    let read = || block_on(node.store.account(ask::account(1), clock()()));
    let fault = read().expect_err("nothing is read there either");
    assert!(fault.to_string().contains("old primary"), "{fault}");
    server.psql(&database, "update florin.head set epoch = 8");
    node.insist(&[transfer(2)]);
    assert!(read().expect("it is read again").is_some());
}

#[test]
fn after_a_failover_to_the_standby_nothing_acknowledged_is_missing() {
    let primary = Postgres::start("");
    let database = primary.create_database();
    let standby = primary.standby("standby");
    primary.set("synchronous_standby_names", "standby");
    wait_for(|| primary.psql("postgres", "select count(*) from pg_stat_replication where sync_state = 'sync'") == "1");
    // The same database on both hosts: the one that takes writes is used.
    let name = database.rsplit('/').next().expect("a name");
    let url = format!("postgres://postgres@127.0.0.1:{},127.0.0.1:{}/{name}", primary.port(), standby.port());
    let node = Node::open(&url, &clock(), 1);
    node.open_accounts();
    let answered = load(&node, || {
        let commits = node.store.stats().commits;
        wait_for(|| commits + 10 < node.store.stats().commits);
        primary.kill();
        standby.promote();
        wait_for(|| commits + 20 < node.store.stats().commits);
    });
    expect_found(&node, &answered);
    assert_eq!(standby.psql(name, "select epoch from florin.head"), "2");
}

#[test]
fn a_standby_that_commits_do_not_wait_for_is_refused() {
    let primary = Postgres::start("");
    let url = primary.create_database();
    let _standby = primary.standby("standby");
    wait_for(|| primary.psql("postgres", "select count(*) from pg_stat_replication") == "1");
    let refused = store_postgres::engine::Engine::open(&options(&url, &clock(), 1)).expect_err("it loses answers");
    assert!(refused.to_string().contains("synchronous_standby_names"), "{refused}");
}

#[test]
fn a_commit_that_the_standby_did_not_confirm_is_not_answered() {
    let primary = Postgres::start("");
    let url = primary.create_database();
    let node = Node::open(&url, &clock(), 1);
    node.open_accounts();
    primary.set("synchronous_standby_names", "nobody");
    let waiting = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'";
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| node.submit(vec![transfer(1)]));
        // An operator's cancel has the server answer, with a warning, though nobody has confirmed it.
        while !asked.is_finished() {
            if primary.psql("postgres", waiting) != "0" {
                let cancel = "select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'";
                primary.psql("postgres", cancel);
            }
        }
        let fault = asked.join().expect("no panic").expect_err("nobody knows whether a failover loses it");
        assert!(fault.to_string().contains("standby"), "{fault}");
    });
    primary.set("synchronous_standby_names", "");
    let answer = node.insist(&[transfer(1)]).remove(0);
    assert!(matches!(answer, Answer::Replayed(_)), "{answer:?}");
    node.expect_clean();
}

/// A server that crashed shows what it wrote, though its standby may not have it and a failover would forget it.
#[test]
fn what_a_crashed_server_shows_is_told_to_nobody_before_the_standby_has_it() {
    let primary = Postgres::start("");
    let url = primary.create_database();
    let node = Node::open(&url, &clock(), 1);
    node.open_accounts();
    let head = node.store.head();
    let database = url.rsplit('/').next().expect("a name");
    let shown = || primary.psql(database, "select sequence from florin.head") == (head + 1).to_string();
    primary.set("synchronous_standby_names", "nobody");
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| node.insist(&[transfer(1)]).remove(0));
        let waiting = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'";
        wait_for(|| primary.psql("postgres", waiting) != "0");
        primary.kill();
        primary.run();
        wait_for(shown);
        wait_for(|| primary.psql("postgres", waiting) != "0");
        let all = EntryQuery { after: 0, limit: 1000 };
        let told = block_on(node.store.entries(all)).expect("the journal is there");
        assert_eq!(told.last().map(|entry| entry.header.sequence), Some(head));
        assert_eq!(node.store.head(), head);
        let positions = block_on(node.store.positions());
        assert!(matches!(positions, Err(Fault::Unavailable { .. })), "{positions:?}");
        assert!(!asked.is_finished());
        primary.set("synchronous_standby_names", "");
        assert_eq!(sequence(&asked.join().expect("no panic")), head + 1);
        let told = block_on(node.store.entries(all)).expect("the journal is there");
        assert_eq!(told.last().map(|entry| entry.header.sequence), Some(head + 1));
        block_on(node.store.positions()).expect("they are confirmed");
    });
    node.expect_clean();
}

/// Four clients that insist on their transfers while something happens; what they were answered.
fn load(node: &Node, happens: impl FnOnce()) -> Vec<(u64, u64)> {
    let (answered, next, is_over) = (Mutex::new(Vec::new()), AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    let answer = node.insist(&[transfer(number)]).remove(0);
                    answered.lock().expect("no panic").push((number, sequence(&answer)));
                }
            });
        }
        let over = SetAtEnd(&is_over);
        happens();
        drop(over);
    });
    answered.into_inner().expect("no panic")
}

/// Ends the clients also when a test fails.
struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn wait_for(is_so: impl Fn() -> bool) {
    assert!(comes_true(Duration::from_secs(60), is_so), "what was waited for does not happen");
}
