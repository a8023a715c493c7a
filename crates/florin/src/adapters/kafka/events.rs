//! `florin.events`: a shard's journal for others, each entry as one CloudEvent.
//!
//! Promises: every entry at least once; in the order of the journal, and so of the versions of every account; to readers
//! of committed records exactly once, unless the cluster forgets the position. The partition is the shard.
//!
//! 1. A producer begins under the name of its shard, which fences off whoever had it before and ends what that left open.
//! 2. The position is read from the cluster: it was committed there in one transaction with the events before it, so it
//!    is never ahead of its effect and never behind.
//! 3. Entries after it are sent, and they and the new position are committed together, a transaction for many.
//!
//! Whatever fails: the producer is given up, and all begins again at 1.

use super::client::{Logged, RECORD_BYTES_MAX, REQUEST_TIMEOUT, is_fenced, persist, settings};
use super::retry::{Backoff, Stop};
use super::{Context, partition_of};
use bank::journal::JournalEvent;
use bank::ports::Env;
use ledger::ids::{Sequence, ShardId};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;
use store::Fault;

/// Entries of one page of the journal, and pages of one transaction.
const PAGE_ENTRIES: usize = 1000;
const PAGES_MAX: usize = 8;
/// How long to wait at most when there is nothing to publish.
const IDLE_US: u64 = 100_000;
/// A cluster forgets positions that are not committed for days: a quiet shard commits its own again so often.
const REFRESH_US: u64 = 3_600_000_000;
/// How long a transaction waits for its position to be taken.
const POSITION_PATIENCE: Duration = Duration::from_secs(15);
/// How long a publisher that was fenced off keeps still.
const FENCED_US: u64 = 1_000_000;
const CONTENT_TYPE: &str = "application/cloudevents+json; charset=UTF-8";

/// Why a producer was given up.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error("an event cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("Kafka did not take the position within {} s", POSITION_PATIENCE.as_secs())]
    NoAnswer,
    #[error("no thread could be started: {0}")]
    NoThread(#[from] std::io::Error),
    #[error("published up to {position}, which the journal does not have: it is not the one that was published before")]
    Ahead { position: Sequence },
}

/// Publishes one shard until it is told to stop.
pub(super) struct Publisher {
    pub(super) context: Arc<Context>,
    pub(super) shard: ShardId,
    pub(super) stop: Arc<Stop>,
}

/// A producer that has its shard's name, and where the shard's position is kept.
struct Session {
    producer: Arc<BaseProducer<Logged>>,
    /// Never a member of its group: it only reads and names the position.
    positions: BaseConsumer<Logged>,
    position: Sequence,
    committed_us: u64,
}

impl Publisher {
    /// See the module.
    pub(super) fn run(&self) {
        let mut backoff = Backoff::default();
        while !self.stop.is_requested() {
            let ended = self.session(&mut backoff);
            self.figures(|figures| figures.is_publishing = false);
            let Err(ended) = ended else { return };
            let shard = self.shard;
            match &ended {
                Ended::Kafka(error) if is_fenced(error) => {
                    self.figures(|figures| figures.fenced += 1);
                    tracing::warn!(%shard, "another node publishes this shard's events now");
                    // Time to hear from the group that it is no longer this node's turn.
                    self.stop.wait_us(FENCED_US);
                }
                Ended::Ahead { .. } => {
                    tracing::error!(%shard, "events are not published: {ended}; see docs/kafka.md, \"When something stops\"");
                }
                _ => tracing::warn!(%shard, "events could not be published, trying again: {ended}"),
            }
            self.figures(|figures| figures.failures += 1);
            self.stop.wait_us(backoff.next_us(self.context.env.as_ref()));
        }
    }

    fn session(&self, backoff: &mut Backoff) -> Result<(), Ended> {
        let mut session = self.begin()?;
        self.expect_published(session.position)?;
        let (shard, position) = (self.shard, session.position);
        tracing::info!(%shard, position, "publishing events");
        self.figures(|figures| (figures.is_publishing, figures.position) = (true, position));
        while !self.stop.is_requested() {
            let page = self.journal(session.position)?;
            if !page.is_empty() {
                self.publish(&mut session, page)?;
                backoff.reset();
            } else if REFRESH_US < self.now_us().saturating_sub(session.committed_us) && 0 < session.position {
                session.producer.begin_transaction()?;
                self.commit(&mut session)?;
            } else {
                self.wait_for_more(session.position);
            }
        }
        Ok(())
    }

    /// Steps 1 and 2.
    fn begin(&self) -> Result<Session, Ended> {
        let config = &self.context.config;
        let mut of_producer = settings(config);
        of_producer
            .set("transactional.id", format!("{}-shard-{}", config.group, self.shard))
            .set("message.max.bytes", RECORD_BYTES_MAX);
        if !config.properties.contains_key("transaction.timeout.ms") {
            of_producer.set("transaction.timeout.ms", "30000");
        }
        let producer: BaseProducer<Logged> = of_producer.create_with_context(Logged)?;
        persist(|| self.goes_on(), || producer.init_transactions(REQUEST_TIMEOUT))?;
        let positions: BaseConsumer<Logged> = settings(config)
            .set("group.id", format!("{}-events", config.group))
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .create_with_context(Logged)?;
        let mut asked = TopicPartitionList::new();
        asked.add_partition(&config.events_topic, partition_of(self.shard));
        let committed = positions.committed_offsets(asked, REQUEST_TIMEOUT)?;
        let told = committed.find_partition(&config.events_topic, partition_of(self.shard));
        let told = told.ok_or(KafkaError::OffsetFetch(RDKafkaErrorCode::UnknownPartition))?;
        // A position that cannot be told is not the beginning.
        told.error()?;
        let position = match told.offset() {
            Offset::Offset(position) => Sequence::try_from(position).unwrap_or(0),
            _ => 0,
        };
        Ok(Session { producer: Arc::new(producer), positions, position, committed_us: self.now_us() })
    }

    /// Step 3: this page, and as many of the next ones as fit into one transaction.
    fn publish(&self, session: &mut Session, mut page: Vec<JournalEvent>) -> Result<(), Ended> {
        session.producer.begin_transaction()?;
        for pages in 1.. {
            for event in &page {
                self.send(&session.producer, event)?;
                session.position = event.sequence;
            }
            self.figures(|figures| figures.published += page.len() as u64);
            if pages == PAGES_MAX || self.stop.is_requested() {
                break;
            }
            page = self.journal(session.position)?;
            if page.is_empty() {
                break;
            }
        }
        self.commit(session)
    }

    fn send(&self, producer: &BaseProducer<Logged>, event: &JournalEvent) -> Result<(), Ended> {
        let (payload, key) = (serde_json::to_vec(event)?, self.shard.to_string());
        let headers = OwnedHeaders::new().insert(Header { key: "content-type", value: Some(CONTENT_TYPE) });
        let mut record = BaseRecord::to(&self.context.config.events_topic)
            .partition(partition_of(self.shard))
            .key(&key)
            .payload(&payload)
            .headers(headers);
        loop {
            match producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), same)) if self.goes_on() => {
                    producer.poll(REQUEST_TIMEOUT);
                    record = same;
                }
                // What is fatal was so before: the client knows why.
                Err((error, _)) => {
                    let first = producer.client().fatal_error().map(|(code, _)| KafkaError::MessageProduction(code));
                    return Err(first.unwrap_or(error).into());
                }
            }
        }
    }

    /// Commits what was sent together with the position after it.
    fn commit(&self, session: &mut Session) -> Result<(), Ended> {
        let mut position = TopicPartitionList::new();
        let offset = i64::try_from(session.position).unwrap_or(i64::MAX);
        position.add_partition_offset(
            &self.context.config.events_topic,
            partition_of(self.shard),
            Offset::Offset(offset),
        )?;
        let group = session.positions.group_metadata().ok_or(KafkaError::Canceled)?;
        let (producer, stop) = (Arc::clone(&session.producer), Arc::clone(&self.stop));
        let send = move || {
            let call = || producer.send_offsets_to_transaction(&position, &group, REQUEST_TIMEOUT);
            persist(|| !stop.is_requested(), call)
        };
        answer_within(POSITION_PATIENCE, send)?.ok_or(Ended::NoAnswer)??;
        persist(|| self.goes_on(), || session.producer.commit_transaction(REQUEST_TIMEOUT))?;
        session.committed_us = self.now_us();
        self.figures(|figures| figures.position = session.position);
        Ok(())
    }

    /// A position that the journal does not reach belongs to another journal: going on would leave a hole.
    fn expect_published(&self, position: Sequence) -> Result<(), Ended> {
        match position.checked_sub(1) {
            Some(before) if self.entries(before, 1)?.is_empty() => Err(Ended::Ahead { position }),
            _ => Ok(()),
        }
    }

    /// Waits for the next entry, but never long: a stop is to be heard.
    fn wait_for_more(&self, position: Sequence) {
        let context = &self.context;
        let store = context.bank.store(self.shard);
        let is_there = context.handle.block_on(async {
            tokio::select! {
                head = store.head_after(position) => head.is_ok(),
                () = context.env.sleep(IDLE_US) => true,
            }
        });
        if !is_there {
            self.stop.wait_us(IDLE_US);
        }
    }

    fn journal(&self, after: Sequence) -> Result<Vec<JournalEvent>, Ended> {
        self.entries(after, PAGE_ENTRIES)
    }

    fn entries(&self, after: Sequence, limit: usize) -> Result<Vec<JournalEvent>, Ended> {
        let context = &self.context;
        Ok(context.handle.block_on(context.bank.journal(self.shard, after, limit))?.unwrap_or_default())
    }

    fn goes_on(&self) -> bool {
        !self.stop.is_requested()
    }

    fn now_us(&self) -> u64 {
        self.context.env.now().microseconds()
    }

    fn figures(&self, change: impl FnOnce(&mut super::figures::Publisher)) {
        self.context.figures.of_publisher(self.shard.number(), change);
    }
}

/// What a call answers, or nothing if it does not return in time: then it is left behind, with all it holds, until it
/// does. librdkafka may never return from sending offsets while a coordinator comes and goes, whatever time it is given
/// (its issue 5456): a publisher that waited for it published nothing until its node was started again.
fn answer_within<T: Send + 'static>(
    patience: Duration,
    call: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<Option<T>> {
    let (sender, receiver) = channel();
    // Nobody listens any more when the answer comes too late.
    std::thread::Builder::new().name("events-position".into()).spawn(move || _ = sender.send(call()))?;
    Ok(receiver.recv_timeout(patience).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_does_not_return_is_left_behind() {
        let stop = Arc::new(Stop::default());
        let waiting = Arc::clone(&stop);
        let call = move || waiting.wait_us(60_000_000);
        assert_eq!(answer_within(Duration::from_millis(10), call).expect("a thread"), None);
        stop.request();
        assert_eq!(answer_within(Duration::from_secs(60), || 7).expect("a thread"), Some(7));
    }
}
