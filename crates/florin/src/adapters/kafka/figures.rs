//! What `/metrics` says of Kafka: who is behind by how much, and what stands still.

use bank::Bank;
use bank::ingest::{EventCounts, EventResult};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the threads of this module count.
#[derive(Debug, Default)]
pub(super) struct Figures {
    publishers: Mutex<BTreeMap<u16, Publisher>>,
    partitions: Mutex<BTreeMap<(String, i32), Partition>>,
    commands: Mutex<EventCounts>,
}

/// A partition that this node takes records of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Partition {
    /// Records behind the offset committed last.
    pub(super) lag: u64,
    /// Whether a fault is being waited out.
    pub(super) is_paused: bool,
    /// Whether it stopped for good, since its next record is gone.
    pub(super) is_stopped: bool,
}

/// The publisher of a shard on this node.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Publisher {
    /// Whether this node publishes the shard now.
    pub(super) is_publishing: bool,
    /// The sequence published last.
    pub(super) position: u64,
    /// Events published.
    pub(super) published: u64,
    /// How often it failed and began again.
    pub(super) failures: u64,
    /// How often another node took its place.
    pub(super) fenced: u64,
}

type PartitionFigure = (&'static str, &'static str, fn(&Partition) -> u64);

const OF_PARTITIONS: [PartitionFigure; 3] = [
    ("florin_kafka_consumer_lag_records", "Records whose offset is not committed.", |partition| partition.lag),
    ("florin_kafka_partition_paused", "Whether a fault is being waited out.", |partition| {
        u64::from(partition.is_paused)
    }),
    ("florin_kafka_partition_stopped", "Whether the next record is gone and a person is needed.", |partition| {
        u64::from(partition.is_stopped)
    }),
];

type PublisherFigure = (&'static str, &'static str, &'static str, fn(&Publisher, u64) -> u64);

const OF_PUBLISHERS: [PublisherFigure; 5] = [
    ("florin_kafka_publisher_up", "gauge", "Whether this node publishes the shard.", |publisher, _| {
        u64::from(publisher.is_publishing)
    }),
    (
        "florin_kafka_publisher_lag_entries",
        "gauge",
        "Entries of the shard not yet published, where this node publishes it.",
        |publisher, head| if publisher.is_publishing { head.saturating_sub(publisher.position) } else { 0 },
    ),
    ("florin_kafka_published_total", "counter", "Events published by this node.", |publisher, _| publisher.published),
    (
        "florin_kafka_publisher_failures_total",
        "counter",
        "Times a publisher failed and began again.",
        |publisher, _| publisher.failures,
    ),
    ("florin_kafka_publisher_fenced_total", "counter", "Times another node took over the shard.", |publisher, _| {
        publisher.fenced
    }),
];

impl Figures {
    /// Changes what is said of a shard's publisher.
    pub(super) fn of_publisher(&self, shard: u16, change: impl FnOnce(&mut Publisher)) {
        change(lock(&self.publishers).entry(shard).or_default());
    }

    /// Entries that this node has to publish and has not.
    pub(super) fn publisher_lag(&self, bank: &Bank) -> u64 {
        let publishers = lock(&self.publishers);
        let lag = |(shard, publisher): (&u16, &Publisher)| {
            if publisher.is_publishing { head(bank, *shard).saturating_sub(publisher.position) } else { 0 }
        };
        publishers.iter().map(lag).sum()
    }

    /// Changes what is said of a partition.
    pub(super) fn of_partition(&self, topic: &str, partition: i32, change: impl FnOnce(&mut Partition)) {
        change(lock(&self.partitions).entry((topic.to_owned(), partition)).or_default());
    }

    /// The same, if this node has the partition.
    pub(super) fn of_known_partition(&self, topic: &str, partition: i32, change: impl FnOnce(&mut Partition)) {
        lock(&self.partitions).get_mut(&(topic.to_owned(), partition)).map(change);
    }

    /// Forgets the partitions of a topic that this node no longer has.
    pub(super) fn keep_partitions(&self, topic: &str, mine: impl Iterator<Item = i32>) {
        let mine: BTreeSet<i32> = mine.collect();
        lock(&self.partitions).retain(|(other, partition), _| other != topic || mine.contains(partition));
    }

    /// Counts what became of commands.
    pub(super) fn count_commands(&self, results: &[EventResult]) {
        let mut counts = lock(&self.commands);
        results.iter().for_each(|result| counts.add(result));
    }

    /// Writes everything in the text format of Prometheus.
    pub(super) fn write(&self, bank: &Bank, out: &mut String) {
        let publishers = lock(&self.publishers).clone();
        for (name, kind, help, value) in OF_PUBLISHERS {
            header(out, name, kind, help);
            for (shard, publisher) in &publishers {
                line(out, name, &format!("shard=\"{shard}\""), value(publisher, head(bank, *shard)));
            }
        }
        for (name, help, value) in OF_PARTITIONS {
            header(out, name, "gauge", help);
            for ((topic, partition), figures) in lock(&self.partitions).iter() {
                line(out, name, &format!("topic=\"{topic}\",partition=\"{partition}\""), value(figures));
            }
        }
        let EventCounts { accepted, replayed, dead_lettered } = *lock(&self.commands);
        header(out, "florin_kafka_commands_total", "counter", "What became of commands on this node.");
        for (outcome, count) in [("accepted", accepted), ("replayed", replayed), ("dead_lettered", dead_lettered)] {
            line(out, "florin_kafka_commands_total", &format!("outcome=\"{outcome}\""), count);
        }
    }
}

fn head(bank: &Bank, shard: u16) -> u64 {
    bank.shards().get(usize::from(shard)).map_or(0, |store| store.head())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn header(out: &mut String, name: &str, kind: &str, help: &str) {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("writing to a string cannot fail");
}

fn line(out: &mut String, name: &str, labels: &str, value: u64) {
    writeln!(out, "{name}{{{labels}}} {value}").expect("writing to a string cannot fail");
}
