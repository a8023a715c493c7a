//! Records taken in as a member of a consumer group, partition by partition, for one purpose.
//!
//! Promises: the records of a partition are handed on in their order, and an offset is committed only after what was
//! handed on is done. A fault pauses the partition; the same records are handed on again, later and later.
//!
//! One thread polls, so that the group knows this member is alive; while records of a partition are worked on, the next
//! ones of it gather. Where every record counts, an offset that the topic no longer has means that records were lost:
//! that partition stops and says so, the others go on.

mod lane;
mod member;

use super::Context;
use super::client::{REQUEST_TIMEOUT, member_settings};
use super::retry::{Backoff, Stop};
use super::topics::{Topic, ensure};
use bank::error::BankError;
use bank::ports::{Boxed, Env};
use lane::Lane;
use member::{Member, Seat};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use store::Fault;
use tokio::task::JoinError;

pub(super) use lane::{Batch, Record};

/// How long to wait for a record when nothing is under way, and when something is.
const IDLE_POLL: Duration = Duration::from_millis(50);
const BUSY_POLL: Duration = Duration::from_millis(1);
/// Records that are taken from the library at a time.
const POLLED_MAX: usize = 4096;
/// How long a stop waits for what is under way, and how often it looks.
const FINISH_US_MAX: u64 = 10_000_000;
const FINISH_LOOK_US: u64 = 5_000;

/// What records are taken in for.
pub(super) trait Purpose: Send + Sync + 'static {
    /// The word for it in names and logs.
    fn name(&self) -> &'static str;

    /// The topic.
    fn topic(&self) -> Topic<'_>;

    /// Whether every record counts: then nothing ever resets a position. Otherwise what is missed comes by another way, and
    /// an offset that is gone is passed over.
    fn every_record_counts(&self) -> bool;

    /// Does what the records ask for, in order. What was done before must not be done twice.
    fn take(self: Arc<Self>, batch: Batch) -> Boxed<'static, Result<(), BankError>>;
}

/// Takes records in until it is told to stop.
pub(super) struct Intake<P> {
    pub(super) context: Arc<Context>,
    pub(super) purpose: Arc<P>,
    pub(super) stop: Arc<Stop>,
}

/// What became of a batch of a partition.
struct Done {
    partition: i32,
    /// Which of this node's turns with the partition it belongs to.
    turn: u64,
    result: Result<(), BankError>,
}

/// A membership of the group, from joining to leaving.
struct Membership<'a, P> {
    context: &'a Context,
    purpose: &'a Arc<P>,
    consumer: BaseConsumer<Member>,
    lanes: BTreeMap<i32, Lane>,
    done: (Sender<Done>, Receiver<Done>),
}

impl<P: Purpose> Intake<P> {
    /// See the module.
    pub(super) fn run(&self) {
        let mut backoff = Backoff::default();
        while !self.stop.is_requested() {
            if let Err(error) = self.keep(&mut backoff) {
                tracing::warn!("Kafka is not there for {}, trying again: {error}", self.purpose.name());
                self.stop.wait_us(backoff.next_us(self.context.env.as_ref()));
            }
        }
    }

    fn keep(&self, backoff: &mut Backoff) -> KafkaResult<()> {
        ensure(&self.context.config, &self.context.handle, self.purpose.topic())?;
        let mut membership = Membership::join(&self.context, &self.purpose)?;
        backoff.reset();
        while !self.stop.is_requested() {
            membership.step()?;
        }
        membership.leave()
    }
}

impl<'a, P: Purpose> Membership<'a, P> {
    fn join(context: &'a Arc<Context>, purpose: &'a Arc<P>) -> KafkaResult<Membership<'a, P>> {
        let (topic, counts) = (purpose.topic().name, purpose.every_record_counts());
        let mut settings = member_settings(&context.config, &format!("{}-{}", context.config.group, purpose.name()));
        settings
            .set("auto.offset.reset", if counts { "error" } else { "latest" })
            // The library commits what is noted as done, again and again until the group has it. A single commit may
            // fail while partitions change hands, and the next record may be long in coming.
            .set("enable.auto.commit", "true")
            .set("auto.commit.interval.ms", "200")
            .set("statistics.interval.ms", "1000");
        let consumer: BaseConsumer<Member> = settings.create_with_context(Member::new(Arc::clone(context), topic))?;
        consumer.subscribe(&[topic])?;
        Ok(Membership { context, purpose, consumer, lanes: BTreeMap::new(), done: channel() })
    }

    fn topic(&self) -> &'a str {
        self.purpose.topic().name
    }

    /// Takes what has come, hands on what can be, and commits what was done.
    fn step(&mut self) -> KafkaResult<()> {
        let is_busy = self.lanes.values().any(Lane::is_busy);
        let mut patience = if is_busy { BUSY_POLL } else { IDLE_POLL };
        for _ in 0..POLLED_MAX {
            match self.consumer.poll(patience) {
                None => break,
                Some(Ok(message)) => {
                    let (partition, record) = (message.partition(), record(&message));
                    // The first record may come in the same breath as the partition.
                    if !self.lanes.contains_key(&partition) {
                        self.take_seats()?;
                    }
                    if let Some(lane) = self.lanes.get_mut(&partition) {
                        lane.push(record);
                    }
                }
                Some(Err(error)) => {
                    self.notice(&error)?;
                    break;
                }
            }
            patience = Duration::ZERO;
        }
        self.take_seats()?;
        self.note_done()?;
        self.hand_on();
        self.hold_back()
    }

    /// Begins with partitions that are this node's now, and forgets those that are not.
    fn take_seats(&mut self) -> KafkaResult<()> {
        let Seat { partitions, is_refused } = self.consumer.context().seat();
        if is_refused {
            return Err(KafkaError::Rebalance(RDKafkaErrorCode::AssignmentLost));
        }
        self.lanes.retain(|partition, lane| partitions.get(partition) == Some(&lane.turn()));
        for (partition, turn) in partitions {
            self.lanes.entry(partition).or_insert_with(|| Lane::new(turn));
        }
        self.context.figures.keep_partitions(self.topic(), self.lanes.keys().copied());
        Ok(())
    }

    fn note_done(&mut self) -> KafkaResult<()> {
        while let Ok(Done { partition, turn, result }) = self.done.1.try_recv() {
            let Some(lane) = self.lanes.get_mut(&partition).filter(|lane| lane.turn() == turn) else { continue };
            match result {
                Ok(()) => {
                    if let Some(next_offset) = lane.finish() {
                        self.note_offset(partition, next_offset)?;
                    }
                }
                Err(fault) => {
                    let wait_ms = lane.put_off(self.context.env.as_ref()) / 1000;
                    let topic = self.topic();
                    tracing::warn!(
                        topic,
                        partition,
                        wait_ms,
                        "records were not taken, the partition is paused: {fault}"
                    );
                }
            }
        }
        Ok(())
    }

    /// Hands on one batch of each partition that has none under way.
    fn hand_on(&mut self) {
        let now_us = self.context.env.now().microseconds();
        for (partition, lane) in &mut self.lanes {
            let Some(batch) = lane.begin(now_us) else { continue };
            let (partition, turn) = (*partition, lane.turn());
            let (purpose, sender) = (Arc::clone(self.purpose), self.done.0.clone());
            // A task of its own: one that panics must not leave its partition busy for ever.
            let taking = self.context.handle.spawn(purpose.take(batch));
            self.context.handle.spawn(async move {
                let result = taking.await.unwrap_or_else(|error| Err(not_taken(&error).into()));
                // Nobody listens any more when the membership has ended: the records come again, to whoever is next.
                _ = sender.send(Done { partition, turn, result });
            });
        }
    }

    /// Has the library wait with partitions that have enough gathered, and go on with others.
    fn hold_back(&mut self) -> KafkaResult<()> {
        let topic = self.topic();
        for (partition, lane) in &mut self.lanes {
            let (was, is) = lane.hold_back();
            if was != is {
                let mut list = TopicPartitionList::new();
                list.add_partition(topic, *partition);
                if is { self.consumer.pause(&list)? } else { self.consumer.resume(&list)? }
            }
            self.context.figures.of_partition(topic, *partition, |figures| {
                (figures.is_paused, figures.is_stopped) = (lane.is_put_off(), lane.is_stopped());
            });
        }
        Ok(())
    }

    /// An error that the library reports. It mends most by itself.
    fn notice(&mut self, error: &KafkaError) -> KafkaResult<()> {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AutoOffsetReset) => self.stop_what_is_out_of_range(),
            Some(RDKafkaErrorCode::Fatal) => Err(error.clone()),
            _ => {
                tracing::debug!("the group of {}: {error}", self.purpose.name());
                Ok(())
            }
        }
    }

    /// Records between the offset that is next and the first that the topic has are lost, or the topic is another one.
    /// That is for people to look at, so nothing is skipped.
    fn stop_what_is_out_of_range(&mut self) -> KafkaResult<()> {
        self.take_seats()?;
        let topic = self.topic();
        let mut committed = TopicPartitionList::new();
        for partition in self.lanes.keys() {
            committed.add_partition(topic, *partition);
        }
        let committed = self.consumer.committed_offsets(committed, REQUEST_TIMEOUT)?;
        let mut has_found = false;
        for (partition, lane) in &mut self.lanes {
            let told = committed.find_partition(topic, *partition).map(|told| told.offset());
            let next = match (lane.next_offset(), told) {
                (Some(next), _) | (None, Some(Offset::Offset(next))) => next,
                _ => continue,
            };
            let (first, end) = self.consumer.fetch_watermarks(topic, *partition, REQUEST_TIMEOUT)?;
            if (first..=end).contains(&next) {
                continue;
            }
            has_found = true;
            if !lane.is_stopped() {
                let advice = "see docs/kafka.md, \"When something stops\"";
                tracing::error!(
                    topic,
                    partition,
                    next,
                    first,
                    end,
                    "the topic no longer has the next record; {advice}"
                );
                lane.stop();
            }
        }
        // Nobody would read a partition that failed for another reason: joining again makes it anew.
        if has_found { Ok(()) } else { Err(KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset)) }
    }

    /// Notes what is done, to be committed soon. The library takes the offset of the record, not of the next.
    fn note_offset(&self, partition: i32, next_offset: i64) -> KafkaResult<()> {
        self.consumer.store_offset(self.topic(), partition, next_offset - 1).or_else(unimportant)
    }

    fn commit_now(&self, partition: i32, next_offset: i64) -> KafkaResult<()> {
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(self.topic(), partition, Offset::Offset(next_offset))?;
        self.consumer.commit(&offsets, CommitMode::Sync).or_else(unimportant)
    }

    /// Waits for what is under way, commits it, and leaves the group.
    fn leave(mut self) -> KafkaResult<()> {
        let pause = Stop::default();
        let until_us = self.context.env.now().microseconds() + FINISH_US_MAX;
        while self.lanes.values().any(Lane::is_busy) && self.context.env.now().microseconds() < until_us {
            self.note_done()?;
            pause.wait_us(FINISH_LOOK_US);
        }
        for (partition, lane) in &self.lanes {
            if let Some(next_offset) = lane.next_offset() {
                self.commit_now(*partition, next_offset)?;
            }
        }
        self.consumer.unsubscribe();
        Ok(())
    }
}

fn not_taken(error: &JoinError) -> Fault {
    Fault::Unavailable { reason: format!("taking records in ended without an outcome: {error}") }
}

/// A commit that does not arrive is made up for by the next one, or the records come again.
fn unimportant(error: KafkaError) -> KafkaResult<()> {
    match error {
        KafkaError::ConsumerCommit(_) | KafkaError::StoreOffset(_) => {
            tracing::debug!("an offset was not committed: {error}");
            Ok(())
        }
        error => Err(error),
    }
}

fn record(message: &BorrowedMessage<'_>) -> Record {
    Record {
        partition: message.partition(),
        offset: message.offset(),
        sent_ms: message.timestamp().to_millis().unwrap_or(0),
        bytes: message.payload().unwrap_or_default().to_vec(),
    }
}
