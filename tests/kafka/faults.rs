//! What breaks while several nodes over PostgreSQL move money between shards through Kafka. Each fault happens again and
//! again to one bank; after each, everything that was acknowledged must be there, and the journal be published.

use crate::support::book::Book;
use crate::support::cluster::Cluster;
use crate::support::wait::{is_long, rounds, wait_for};
use crate::world::{Reader, Uses, configuration, expect_published, journal, records_of};
use std::time::Duration;
use tempfile::TempDir;
use test_servers::{Kafka, Postgres, Proxy};

const SHARDS: u16 = 2;
const NODES: usize = 3;
/// How often each fault happens in the short form.
const ROUNDS: usize = 1;
/// How long a node is parted from Kafka.
const PARTITION: Duration = Duration::from_secs(3);

/// How long Kafka is away: a minute in the long form.
fn away() -> Duration {
    Duration::from_secs(if is_long() { 60 } else { 3 })
}

/// A bank, and the broker between its shards, to which each node has a way of its own.
struct World {
    kafka: Kafka,
    ways: [Proxy; NODES],
    cluster: Cluster,
    events: String,
}

impl World {
    fn start() -> World {
        let (kafka, ways) = Kafka::start_with_ways::<NODES>();
        let (events, shards) = (kafka.new_topic("events", SHARDS), kafka.new_topic("shards", SHARDS));
        let uses = Uses { events: Some(events.clone()), shards: Some(shards), ..Uses::default() };
        let folder = TempDir::new().expect("a temporary folder");
        for (place, way) in ways.iter().enumerate() {
            let text = configuration(&way.address().to_string(), &events, &uses);
            std::fs::write(folder.path().join(place.to_string()), text).expect("a file to write");
        }
        let servers = (0..SHARDS).map(|_| Postgres::start("")).collect();
        let cluster = Cluster::over(servers, NODES, 1, move |place, command| {
            command.arg("--config").arg(folder.path().join(place.to_string()));
        });
        World { kafka, ways, cluster, events }
    }

    fn survive(&self, strike: impl Fn(usize)) {
        Book::open(&self.cluster).survive(&self.cluster, rounds(ROUNDS), strike);
        let journals = self.cluster.look(0, |bank| (0..SHARDS).map(|shard| journal(bank, shard)).collect::<Vec<_>>());
        let reader = Reader::new(&self.kafka, &self.events, SHARDS.into());
        let mut published = Vec::new();
        reader.read_journals(&journals, &mut published);
        for (shard, journal) in (0..).zip(&journals) {
            expect_published(records_of(&published, shard).take(journal.len()), journal);
        }
    }
}

#[test]
fn a_broker_that_is_killed_loses_and_doubles_nothing() {
    let world = World::start();
    world.survive(|_| {
        world.kafka.kill();
        world.kafka.restart();
    });
}

#[test]
fn a_broker_that_is_away_for_long_leaves_no_transfer_unfinished() {
    let world = World::start();
    world.survive(|_| {
        world.kafka.kill();
        wait_for(away());
        world.kafka.restart();
    });
}

#[test]
fn a_node_that_is_parted_from_the_broker_leaves_no_transfer_unfinished() {
    let world = World::start();
    world.survive(|round| {
        let way = &world.ways[round % NODES];
        if round % 2 == 0 {
            way.stall();
        } else {
            way.refuse();
            way.cut();
        }
        wait_for(PARTITION);
        way.heal();
    });
}

#[test]
fn a_node_that_is_killed_between_parcels_leaves_no_transfer_unfinished() {
    let world = World::start();
    world.survive(|round| {
        world.cluster.kill_node(round % NODES);
        world.cluster.start_node(round % NODES);
    });
}

#[test]
fn a_relay_whose_node_is_killed_is_replaced_by_another() {
    let world = World::start();
    world.survive(|round| _ = world.cluster.kill_relay(round % NODES));
}
