//! `florin.events`: complete, in order, once; whoever is killed or stopped meanwhile.

use crate::support::bank::{Bank, Server};
use crate::support::wait::wait_until;
use crate::world::{OpenPosition, Place, Reader, Record, Uses, expect_published, figure, journal, load, rounds};
use std::process::Command;
use std::time::Duration;
use test_servers::Kafka;

/// Transfers that every client makes at most before the kill is due.
const TRANSFERS: usize = 400;
/// Long enough for what must not come.
const SHORT: Duration = Duration::from_millis(500);
const UP: &str = "florin_kafka_publisher_up{shard=\"0\"}";
const LAG: &str = "florin_kafka_publisher_lag_entries{shard=\"0\"}";
const FAILURES: &str = "florin_kafka_publisher_failures_total{shard=\"0\"}";
const PUBLISHED: &str = "florin_kafka_published_total{shard=\"0\"}";

fn publishing(kafka: &Kafka, name: &str, partitions: u16) -> (Place, String) {
    let topic = kafka.new_topic(name, partitions);
    let uses = Uses { events: Some(topic.clone()), ..Uses::default() };
    (Place::new(kafka, &topic, &uses), topic)
}

/// Each account's versions in a list of events: 1, 2, 3, …
#[track_caller]
fn expect_versions_without_gaps(published: &[Record], account: &str) {
    let postings = published.iter().filter_map(|record| record.event["data"]["postings"].as_array()).flatten();
    let versions: Vec<u64> = postings
        .filter(|posting| posting["account_id"] == account)
        .map(|posting| posting["version"].as_u64().expect("a version"))
        .collect();
    let count = versions.len() as u64;
    assert!(0 < count && versions.into_iter().eq(1..=count));
}

#[test]
fn the_journal_is_published_complete_in_order_and_once() {
    let kafka = Kafka::shared();
    let (place, topic) = publishing(&kafka, "events", 1);
    let bank = place.start();
    let (one, other) = (bank.new_account("100.00"), bank.new_account("100.00"));
    assert_eq!(load(bank.address(), "client", [&one, &other], 50), 50);
    let journal = journal(&bank, 0);
    let reader = Reader::new(&kafka, &topic, 1);
    let published = reader.read(journal.len());
    expect_published(&published, &journal);
    expect_versions_without_gaps(&published, &one);
    assert!(reader.is_at_end(SHORT));
    assert_eq!(figure(&bank, UP), Some(1));
    wait_until("the publisher knows that it has published all", || figure(&bank, LAG) == Some(0));
    assert_eq!(figure(&bank, PUBLISHED), Some(journal.len() as u64));
}

#[test]
fn every_shard_has_its_partition_and_a_topic_that_is_missing_is_made() {
    let kafka = Kafka::shared();
    let topic = format!("made-by-florin-{}", std::process::id());
    let place = Place::new(&kafka, &topic, &Uses { events: Some(topic.clone()), ..Uses::default() });
    let bank = Bank::attach(Server::start(place.serve().args(["--shards", "2"])), &place.data());
    let accounts: Vec<String> = (0..32).map(|_| bank.new_account("1.00")).collect();
    let heads: Vec<u64> =
        (0..2).map(|shard| figure(&bank, &format!("florin_entries_total{{shard=\"{shard}\"}}")).unwrap_or(0)).collect();
    assert!(heads.iter().all(|head| 0 < *head), "{heads:?} of {accounts:?}");
    let reader = Reader::new(&kafka, &topic, 2);
    let published = reader.read(usize::try_from(heads.iter().sum::<u64>()).expect("few"));
    for (shard, head) in heads.iter().enumerate() {
        let of_shard = published.iter().filter(|record| record.partition == i32::try_from(shard).expect("few"));
        let sequences: Vec<String> = of_shard
            .map(|record| {
                assert_eq!(record.event["shard"], shard);
                record.event["sequence"].as_str().expect("a sequence").to_owned()
            })
            .collect();
        assert!(sequences.into_iter().eq((1..=*head).map(|sequence| sequence.to_string())));
    }
}

#[test]
fn a_stopped_bank_has_published_all_it_acknowledged() {
    let kafka = Kafka::shared();
    let (place, topic) = publishing(&kafka, "stopped", 1);
    let bank = place.start();
    let (one, other) = (bank.new_account("100.00"), bank.new_account("100.00"));
    wait_until("the bank publishes", || Some(0) < figure(&bank, PUBLISHED));
    assert_eq!(load(bank.address(), "client", [&one, &other], TRANSFERS), TRANSFERS);
    let journal = journal(&bank, 0);
    assert_eq!(bank.stop().0, Some(0));
    expect_published(&Reader::new(&kafka, &topic, 1).read(journal.len()), &journal);
}

#[test]
fn a_node_killed_while_it_publishes_leaves_no_gap_and_nothing_twice() {
    let kafka = Kafka::shared();
    let (place, topic) = publishing(&kafka, "node-killed", 1);
    let reader = Reader::new(&kafka, &topic, 1);
    let mut published = Vec::new();
    let mut bank = place.start();
    let (one, other) = (bank.new_account("100.00"), bank.new_account("100.00"));
    for kill in 0..rounds() {
        std::thread::scope(|scope| {
            let (address, accounts) = (bank.address(), [&*one, &*other]);
            scope.spawn(move || load(address, &format!("client-{kill}"), accounts, 20 * TRANSFERS));
            published.extend(reader.read(100 + 37 * (kill % 5)));
            bank.server().signal("KILL");
        });
        drop(bank);
        bank = place.start();
    }
    let journal = journal(&bank, 0);
    published.extend(reader.read(journal.len() - published.len()));
    expect_published(&published, &journal);
    assert!(reader.is_at_end(SHORT));
}

#[test]
fn a_broker_killed_while_it_is_published_to_leaves_no_gap_and_nothing_twice() {
    let kafka = Kafka::start();
    let (place, topic) = publishing(&kafka, "broker-killed", 1);
    let bank = place.start();
    let (one, other) = (bank.new_account("100.00"), bank.new_account("100.00"));
    for kill in 0..rounds() {
        wait_until("the bank publishes", || figure(&bank, LAG) == Some(0));
        std::thread::scope(|scope| {
            let (address, accounts) = (bank.address(), [&*one, &*other]);
            let loading = scope.spawn(move || load(address, &format!("client-{kill}"), accounts, TRANSFERS));
            Reader::new(&kafka, &topic, 1).read(50);
            kafka.kill();
            assert_eq!(loading.join().expect("the client"), TRANSFERS, "the bank serves without Kafka");
            kafka.restart();
        });
    }
    let journal = journal(&bank, 0);
    let reader = Reader::new(&kafka, &topic, 1);
    expect_published(&reader.read(journal.len()), &journal);
    assert!(reader.is_at_end(SHORT));
}

/// Who asks for a position while a transaction with it is open is told none. That must not be taken for the beginning.
#[test]
fn a_position_that_is_about_to_be_committed_is_waited_for() {
    let kafka = Kafka::shared();
    let (place, topic) = publishing(&kafka, "unstable", 1);
    let bank = place.start();
    let account = bank.new_account("100.00");
    let reader = Reader::new(&kafka, &topic, 1);
    let mut published = reader.read(journal(&bank, 0).len());
    assert_eq!(bank.stop().0, Some(0));
    let open = OpenPosition::begin(&kafka, &format!("{topic}-events"), &topic, published.len());
    let bank = place.start();
    assert_eq!(bank.deposit(&account, "1.00").status, 201);
    wait_until("the bank was told no position", || Some(0) < figure(&bank, FAILURES) || figure(&bank, UP) == Some(1));
    assert_eq!(figure(&bank, UP), Some(0));
    drop(open);
    let journal = journal(&bank, 0);
    published.extend(reader.read(journal.len() - published.len()));
    expect_published(&published, &journal);
    assert!(reader.is_at_end(SHORT));
}

/// A node stops in the middle of a transaction, another takes its place on a copy of the data, and then the first one
/// wakes up: what it had begun must not come after what the other published.
#[test]
fn a_paused_node_is_fenced_off_by_the_one_that_took_its_place() {
    let kafka = Kafka::shared();
    let (place, topic) = publishing(&kafka, "fenced", 1);
    let uses = Uses { events: Some(topic.clone()), ..Uses::default() };
    let second_place = Place::new(&kafka, &topic, &uses);
    let old = place.start();
    let (one, other) = (old.new_account("100.00"), old.new_account("100.00"));
    let reader = Reader::new(&kafka, &topic, 1);
    let mut published = reader.read(1);
    std::thread::scope(|scope| {
        let (address, accounts) = (old.address(), [&*one, &*other]);
        // The client goes on when the node wakes up, so that there is always something to publish.
        scope.spawn(move || load(address, "client", accounts, 20 * TRANSFERS));
        published.extend(reader.read(200));
        old.server().signal("STOP");
        let copied = Command::new("cp").arg("-r").arg(place.data()).arg(second_place.data()).status();
        assert!(copied.expect("cp can be started").success());
        let new = second_place.start();
        wait_until("the new node publishes", || figure(&new, UP) == Some(1));
        let journal = journal(&new, 0);
        published.extend(reader.read(journal.len() - published.len()));
        expect_published(&published, &journal);
        old.server().signal("CONT");
        wait_until("the old node hears that it was replaced", || figure(&old, UP) == Some(0));
        assert!(reader.is_at_end(2 * SHORT), "the old node published after it was replaced");
        old.server().signal("KILL");
        assert_eq!(new.deposit(&one, "1.00").status, 201);
        assert_eq!(reader.read(1)[0].event["data"]["type"], "deposit");
    });
}
