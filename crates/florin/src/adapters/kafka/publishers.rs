//! Which shards this node publishes. The nodes are one consumer group over the partitions of `florin.events`, and a
//! partition is a shard: who is given the partition publishes the shard, and when a node dies the others get its shards.
//! Correctness does not hang on it: two that both think it is theirs are told apart by the fence, see `events`.

use super::Context;
use super::client::{Logged, RECORD_BYTES_MAX, member_settings};
use super::events::Publisher;
use super::retry::{Backoff, Stop};
use super::topics::{Topic, ensure};
use bank::ports::Env;
use ledger::ids::ShardId;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the assignment is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long a stop waits for what is in the journal to be published, and how often it looks.
const DRAIN_US_MAX: u64 = 3_000_000;
const DRAIN_LOOK_US: u64 = 20_000;

/// The publishers of this node, kept in step with the assignment until it is told to stop.
pub(super) struct Publishers {
    pub(super) context: Arc<Context>,
    pub(super) stop: Arc<Stop>,
}

/// Publishers at work. Dropping them stops them.
#[derive(Default)]
struct AtWork(BTreeMap<u16, (Arc<Stop>, JoinHandle<()>)>);

impl Publishers {
    /// See the module.
    pub(super) fn run(&self) {
        let mut backoff = Backoff::default();
        while !self.stop.is_requested() {
            if let Err(error) = self.keep(&mut backoff) {
                tracing::warn!("Kafka is not there for events, trying again: {error}");
                self.stop.wait_us(backoff.next_us(self.context.env.as_ref()));
            }
        }
    }

    fn keep(&self, backoff: &mut Backoff) -> KafkaResult<()> {
        let Context { config, bank, handle, .. } = self.context.as_ref();
        let shards = u16::try_from(bank.shards().len()).unwrap_or(u16::MAX);
        let topic = Topic {
            name: &config.events_topic,
            partitions: shards,
            grows: true,
            record_bytes_max: Some(RECORD_BYTES_MAX),
        };
        ensure(config, handle, topic)?;
        let member: BaseConsumer<Logged> = member_settings(config, &format!("{}-publishers", config.group))
            .set("auto.offset.reset", "latest")
            .create_with_context(Logged)?;
        member.subscribe(&[&config.events_topic])?;
        backoff.reset();
        let mut at_work = AtWork::default();
        while !self.stop.is_requested() {
            match member.poll(LOOK_EVERY) {
                Some(Err(error)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) => return Err(error),
                // What else goes wrong is mended by the library. Of the records of the partition nothing is needed.
                Some(Err(error)) => tracing::debug!("the group of publishers: {error}"),
                Some(Ok(_)) | None => {}
            }
            let mine = assigned(&member, shards)?;
            at_work.keep_only(&mine);
            for shard in mine {
                at_work.begin(&self.context, shard);
            }
        }
        self.drain();
        drop(at_work);
        // Leaves the group, so that others need not wait for the session to time out.
        member.unsubscribe();
        Ok(())
    }

    /// What was acknowledged before the stop is published before it, if that goes quickly.
    fn drain(&self) {
        let never = Stop::default();
        let until_us = self.context.env.now().microseconds() + DRAIN_US_MAX;
        while 0 < self.context.figures.publisher_lag(&self.context.bank)
            && self.context.env.now().microseconds() < until_us
        {
            never.wait_us(DRAIN_LOOK_US);
        }
    }
}

/// The shards that are this node's now. Their partitions are paused: what is in them is not to be read.
fn assigned(member: &BaseConsumer<Logged>, shards: u16) -> Result<BTreeSet<u16>, KafkaError> {
    let assignment = member.assignment()?;
    if assignment.count() == 0 {
        return Ok(BTreeSet::new());
    }
    member.pause(&assignment)?;
    let partitions = assignment.elements();
    let shard = |partition: i32| u16::try_from(partition).ok().filter(|shard| *shard < shards);
    Ok(partitions.iter().filter_map(|element| shard(element.partition())).collect())
}

impl AtWork {
    fn begin(&mut self, context: &Arc<Context>, shard: u16) {
        if self.0.contains_key(&shard) {
            return;
        }
        let stop = Arc::new(Stop::default());
        let Some(id) = ShardId::new(shard) else { return };
        let publisher = Publisher { context: Arc::clone(context), shard: id, stop: Arc::clone(&stop) };
        let spawned = std::thread::Builder::new().name(format!("events-{shard}")).spawn(move || publisher.run());
        match spawned {
            Ok(thread) => _ = self.0.insert(shard, (stop, thread)),
            Err(error) => tracing::error!(shard, "no thread for publishing events, trying again: {error}"),
        }
    }

    fn keep_only(&mut self, mine: &BTreeSet<u16>) {
        let lost: Vec<u16> = self.0.keys().copied().filter(|shard| !mine.contains(shard)).collect();
        for (_, thread) in lost.iter().filter_map(|shard| self.0.remove(shard)).map(ask_to_stop) {
            join(thread);
        }
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        // All are asked before the first is waited for.
        let asked: Vec<_> = std::mem::take(&mut self.0).into_values().map(ask_to_stop).collect();
        asked.into_iter().for_each(|(_, thread)| join(thread));
    }
}

fn ask_to_stop(worker: (Arc<Stop>, JoinHandle<()>)) -> (Arc<Stop>, JoinHandle<()>) {
    worker.0.request();
    worker
}

fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        tracing::error!("a publisher of events ended by a defect");
    }
}
