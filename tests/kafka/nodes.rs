//! Several nodes over the same PostgreSQL shards, with Kafka between them: whoever has a shard or a partition, and whoever
//! is killed or stopped meanwhile, each event takes effect once, and the journal is published complete and in order.

use crate::commands::World;
use crate::shards::{expect_all_ended, transfers};
use crate::support::bank::{Bank, Server};
use crate::support::wait::wait_until;
use crate::world::{Reader, Record, Uses, expect_published, figure, journal, records_of, rounds};
use std::process::Command;
use test_servers::{Kafka, Postgres};

const DEPOSITS: usize = 60;
const PARTITIONS: usize = 4;

/// Nodes over the same databases. They have a folder in common, for the key that opens the keyring.
struct Nodes {
    world: World,
    urls: Vec<String>,
    topic: String,
}

impl Nodes {
    fn new(kafka: &Kafka, name: &str, shards: u16) -> Nodes {
        let topic = kafka.new_topic(&format!("{name}-events"), shards);
        let between = kafka.new_topic(&format!("{name}-shards"), shards);
        let uses = Uses { events: Some(topic.clone()), shards: Some(between), ..Uses::default() };
        let urls = (0..shards).map(|_| Postgres::shared().create_database()).collect();
        Nodes { world: World::with(kafka, name, uses), urls, topic }
    }

    fn start(&self) -> Bank {
        let mut command: Command = self.world.place.serve();
        command.env("FLORIN_STORAGE__ENGINE", "postgres").env("FLORIN_STORAGE__SHARDS", self.urls.join(" "));
        command.env("FLORIN_STORAGE__OWNERS", self.urls.join(" "));
        Bank::attach(Server::start(&mut command), &self.world.place.data())
    }

    /// The journal of each shard was published, each entry once and in order.
    #[track_caller]
    fn expect_all_published(&self, bank: &Bank, reader: &Reader, published: &mut Vec<Record>) {
        let journals: Vec<_> = (0..).zip(&self.urls).map(|(shard, _)| journal(bank, shard)).collect();
        reader.read_journals(&journals, published);
        for (shard, journal) in (0..).zip(&journals) {
            expect_published(records_of(published, shard).take(journal.len()), journal);
        }
    }
}

fn partitions_of_commands(bank: &Bank, nodes: &Nodes) -> usize {
    (0..4)
        .filter(|number| figure(bank, &nodes.world.of_partition("florin_kafka_partition_paused", *number)).is_some())
        .count()
}

#[test]
fn two_nodes_share_partitions_and_shards_and_a_killed_one_is_replaced() {
    let kafka = Kafka::shared();
    let mut nodes = Nodes::new(&kafka, "nodes", 1);
    let mut first = nodes.start();
    nodes.world.open_accounts(&first);
    let reader = Reader::new(&kafka, &nodes.topic, 1);
    for _ in 0..rounds() {
        nodes.world.send_deposits(DEPOSITS);
        let second = nodes.start();
        wait_until("the nodes share the partitions", || {
            partitions_of_commands(&first, &nodes) == PARTITIONS / 2
                && partitions_of_commands(&second, &nodes) == PARTITIONS / 2
        });
        nodes.world.send_deposits(DEPOSITS);
        first.server().signal("KILL");
        drop(first);
        wait_until("the other node has all partitions", || partitions_of_commands(&second, &nodes) == PARTITIONS);
        first = second;
    }
    nodes.world.expect_all_once(&kafka, &first);
    nodes.expect_all_published(&first, &reader, &mut Vec::new());
}

#[test]
fn a_node_that_stops_and_wakes_up_publishes_nothing_after_the_one_that_took_over() {
    let kafka = Kafka::shared();
    let mut nodes = Nodes::new(&kafka, "woken", 1);
    let old = nodes.start();
    nodes.world.open_accounts(&old);
    let reader = Reader::new(&kafka, &nodes.topic, 1);
    let mut published = reader.read(1);
    for _ in 0..rounds() {
        nodes.world.send_deposits(DEPOSITS);
        old.server().signal("STOP");
        let new = nodes.start();
        nodes.world.send_deposits(DEPOSITS);
        nodes.world.wait_for_all(&kafka);
        nodes.expect_all_published(&new, &reader, &mut published);
        old.server().signal("CONT");
        nodes.world.send_deposits(DEPOSITS);
        nodes.world.wait_for_all(&kafka);
        nodes.expect_all_published(&new, &reader, &mut published);
        assert_eq!(new.stop().0, Some(0));
    }
    nodes.world.expect_all_once(&kafka, &old);
}

#[test]
fn transfers_between_shards_end_though_one_of_two_nodes_is_killed() {
    let kafka = Kafka::shared();
    let nodes = Nodes::new(&kafka, "between", 2);
    let mut first = nodes.start();
    let accounts: Vec<String> = (0..24).map(|_| first.new_account_with_overdraft("1000.00")).collect();
    for round in 0..rounds() {
        let second = nodes.start();
        std::thread::scope(|scope| {
            let (accounts, one, other) = (&accounts, first.address(), second.address());
            scope.spawn(move || transfers(one, accounts, &format!("one-{round}")));
            let client = scope.spawn(move || transfers(other, accounts, &format!("other-{round}")));
            wait_until("transfers are under way", || !second.all("/api/v1/transfers").is_empty());
            first.server().signal("KILL");
            assert!(0 < client.join().expect("no client fails"));
        });
        drop(first);
        expect_all_ended(&second);
        first = second;
    }
    let reader = Reader::new(&kafka, &nodes.topic, 2);
    nodes.expect_all_published(&first, &reader, &mut Vec::new());
}
