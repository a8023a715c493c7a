//! `florin.commands`: CloudEvents taken in through the bank's one door, as a member of a consumer group.
//!
//! Promises: every record is answered by the bank, durably, before its offset is committed; what comes again, after a
//! crash, a rebalance or from its sender, has no second effect, by its source and id. A record that cannot be understood
//! or is rejected is a dead letter, and the next one goes on. A fault makes no dead letter: its partition is paused, and
//! the same records are submitted again, later and later. Records of a partition take effect in their order.
//!
//! One thread polls, so that the group knows this member is alive; while the bank works on records of a partition, the
//! next ones of it gather. An offset that the topic no longer has means that records were lost: that partition stops and
//! says so, the others go on.

mod lane;
mod member;

use super::Context;
use super::client::{REQUEST_TIMEOUT, member_settings};
use super::retry::{Backoff, Stop};
use super::topics::{Topic, ensure};
use bank::Caller;
use bank::error::BankError;
use bank::ingest::EventResult;
use bank::ports::Env;
use lane::{Lane, Waiting};
use ledger::event::Channel;
use member::{Member, Seat};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// Partitions of a new topic: enough for as many nodes.
const PARTITIONS: u16 = 16;
/// How long to wait for a record when nothing is under way, and when something is.
const IDLE_POLL: Duration = Duration::from_millis(50);
const BUSY_POLL: Duration = Duration::from_millis(2);
/// Records that are taken from the library at a time.
const POLLED_MAX: usize = 4096;
/// How long a stop waits for the bank's answers to what is under way, and how often it looks.
const FINISH_US_MAX: u64 = 10_000_000;
const FINISH_LOOK_US: u64 = 5_000;

/// Takes events in until it is told to stop.
pub(super) struct Commands {
    pub(super) context: Arc<Context>,
    pub(super) stop: Arc<Stop>,
}

/// What became of a batch of a partition.
struct Answered {
    partition: i32,
    /// Which of this node's turns with the partition it belongs to.
    turn: u64,
    result: Result<Vec<EventResult>, BankError>,
}

/// A membership of the group, from joining to leaving.
struct Membership<'a> {
    context: &'a Context,
    consumer: BaseConsumer<Member>,
    lanes: BTreeMap<i32, Lane>,
    answers: (Sender<Answered>, Receiver<Answered>),
}

impl Commands {
    /// See the module.
    pub(super) fn run(&self) {
        let mut backoff = Backoff::default();
        while !self.stop.is_requested() {
            if let Err(error) = self.keep(&mut backoff) {
                tracing::warn!("Kafka is not there for commands, trying again: {error}");
                self.stop.wait_us(backoff.next_us(self.context.env.as_ref()));
            }
        }
    }

    fn keep(&self, backoff: &mut Backoff) -> KafkaResult<()> {
        let context = self.context.as_ref();
        let topic = Topic {
            name: &context.config.commands_topic,
            partitions: PARTITIONS,
            grows: false,
            record_bytes_max: None,
        };
        ensure(&context.config, &context.handle, topic)?;
        let mut membership = Membership::join(context, Arc::clone(&self.context))?;
        backoff.reset();
        while !self.stop.is_requested() {
            membership.step()?;
        }
        membership.leave()
    }
}

impl<'a> Membership<'a> {
    fn join(context: &'a Context, shared: Arc<Context>) -> KafkaResult<Membership<'a>> {
        let config = &context.config;
        let consumer: BaseConsumer<Member> = member_settings(config, &format!("{}-commands", config.group))
            .set("auto.offset.reset", "error")
            .set("statistics.interval.ms", "1000")
            .create_with_context(Member::new(shared))?;
        consumer.subscribe(&[&config.commands_topic])?;
        Ok(Membership { context, consumer, lanes: BTreeMap::new(), answers: channel() })
    }

    /// Takes what has come, submits what can be, and commits what was answered.
    fn step(&mut self) -> KafkaResult<()> {
        let is_busy = self.lanes.values().any(Lane::is_busy);
        let mut patience = if is_busy { BUSY_POLL } else { IDLE_POLL };
        for _ in 0..POLLED_MAX {
            match self.consumer.poll(patience) {
                None => break,
                Some(Ok(message)) => {
                    let (partition, waiting) = (message.partition(), waiting(&message));
                    if let Some(lane) = self.lanes.get_mut(&partition) {
                        lane.push(waiting);
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
        self.take_answers()?;
        self.submit();
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
        self.context.figures.keep_partitions(self.lanes.keys().copied());
        Ok(())
    }

    fn take_answers(&mut self) -> KafkaResult<()> {
        while let Ok(Answered { partition, turn, result }) = self.answers.1.try_recv() {
            let Some(lane) = self.lanes.get_mut(&partition).filter(|lane| lane.turn() == turn) else { continue };
            match result {
                Ok(results) => {
                    self.context.figures.count_commands(&results);
                    let next_offset = lane.finish();
                    self.commit(partition, next_offset, CommitMode::Async)?;
                }
                Err(fault) => {
                    let wait_us = lane.put_off(self.context.env.as_ref());
                    let wait_ms = wait_us / 1000;
                    tracing::warn!(
                        partition,
                        wait_ms,
                        "the bank could not take events, the partition is paused: {fault}"
                    );
                }
            }
        }
        Ok(())
    }

    /// Hands the bank one batch of each partition that has none under way.
    fn submit(&mut self) {
        let now_us = self.context.env.now().microseconds();
        for (partition, lane) in &mut self.lanes {
            let Some(batch) = lane.begin(now_us) else { continue };
            let (partition, turn) = (*partition, lane.turn());
            let (bank, sender) = (Arc::clone(&self.context.bank), self.answers.0.clone());
            self.context.handle.spawn(async move {
                let result = bank.ingest(&Caller::local(Channel::Kafka), &batch).await;
                // Nobody listens any more when the membership has ended: the records come again, to whoever is next.
                _ = sender.send(Answered { partition, turn, result });
            });
        }
    }

    /// Has the library wait with partitions that have enough gathered, and go on with others.
    fn hold_back(&mut self) -> KafkaResult<()> {
        for (partition, lane) in &mut self.lanes {
            let (was, is) = lane.hold_back();
            if was != is {
                let mut list = TopicPartitionList::new();
                list.add_partition(&self.context.config.commands_topic, *partition);
                if is { self.consumer.pause(&list)? } else { self.consumer.resume(&list)? }
            }
            self.context.figures.of_partition(*partition, |figures| {
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
                tracing::debug!("the group of commands: {error}");
                Ok(())
            }
        }
    }

    /// Records between the offset that is next and the first that the topic has are lost, or the topic is another one.
    /// That is for people to look at, so nothing is skipped.
    fn stop_what_is_out_of_range(&mut self) -> KafkaResult<()> {
        self.take_seats()?;
        let topic = &self.context.config.commands_topic;
        let mut committed = TopicPartitionList::new();
        for partition in self.lanes.keys() {
            committed.add_partition(topic, *partition);
        }
        let committed = self.consumer.committed_offsets(committed, REQUEST_TIMEOUT)?;
        for (partition, lane) in &mut self.lanes {
            let Some(Offset::Offset(next)) = committed.find_partition(topic, *partition).map(|told| told.offset())
            else {
                continue;
            };
            let next = lane.next_offset().unwrap_or(next);
            let (first, end) = self.consumer.fetch_watermarks(topic, *partition, REQUEST_TIMEOUT)?;
            if !(first..=end).contains(&next) && !lane.is_stopped() {
                tracing::error!(
                    partition,
                    next,
                    first,
                    end,
                    "the topic no longer has the next record: the partition stops; see docs/kafka.md, \"When something stops\""
                );
                lane.stop();
            }
        }
        Ok(())
    }

    fn commit(&self, partition: i32, next_offset: i64, mode: CommitMode) -> KafkaResult<()> {
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(&self.context.config.commands_topic, partition, Offset::Offset(next_offset))?;
        match self.consumer.commit(&offsets, mode) {
            // A commit that does not arrive is made up for by the next one, or the records come again.
            Err(KafkaError::ConsumerCommit(code)) => {
                tracing::debug!(partition, "an offset was not committed: {code}");
                Ok(())
            }
            result => result,
        }
    }

    /// Waits for what the bank is working on, commits it, and leaves the group.
    fn leave(mut self) -> KafkaResult<()> {
        let pause = Stop::default();
        let until_us = self.context.env.now().microseconds() + FINISH_US_MAX;
        while self.lanes.values().any(Lane::is_busy) && self.context.env.now().microseconds() < until_us {
            self.take_answers()?;
            pause.wait_us(FINISH_LOOK_US);
        }
        for (partition, lane) in &self.lanes {
            if let Some(next_offset) = lane.next_offset() {
                self.commit(*partition, next_offset, CommitMode::Sync)?;
            }
        }
        self.consumer.unsubscribe();
        Ok(())
    }
}

fn waiting(message: &BorrowedMessage<'_>) -> Waiting {
    Waiting { offset: message.offset(), bytes: message.payload().unwrap_or_default().to_vec() }
}
