//! This node as a member of the group: which partitions it has, and where it begins with each. A partition of which an
//! offset was ever committed begins there and nowhere else; one of which none was, at its earliest record.

use crate::adapters::kafka::Context;
use crate::adapters::kafka::client::{Logged, REQUEST_TIMEOUT};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the group has given this node.
#[derive(Clone, Debug, Default)]
pub(super) struct Seat {
    /// The partitions, each with the number of this node's turn with it.
    pub(super) partitions: BTreeMap<i32, u64>,
    /// Whether this node could not take what it was given, and has to join anew.
    pub(super) is_refused: bool,
}

/// See the module.
pub(super) struct Member {
    context: Arc<Context>,
    topic: String,
    seat: Mutex<(Seat, u64)>,
}

impl Member {
    pub(super) fn new(context: Arc<Context>, topic: &str) -> Member {
        Member { context, topic: topic.to_owned(), seat: Mutex::default() }
    }

    /// What this node has now.
    pub(super) fn seat(&self) -> Seat {
        self.lock().0.clone()
    }

    fn lock(&self) -> MutexGuard<'_, (Seat, u64)> {
        self.seat.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, consumer: &BaseConsumer<Member>, given: &TopicPartitionList) -> KafkaResult<()> {
        let mut begun = TopicPartitionList::new();
        if 0 < given.count() {
            for told in consumer.committed_offsets(given.clone(), REQUEST_TIMEOUT)?.elements() {
                told.error()?;
                let begin = match told.offset() {
                    Offset::Offset(next) => Offset::Offset(next),
                    _ => Offset::Beginning,
                };
                begun.add_partition_offset(told.topic(), told.partition(), begin)?;
            }
        }
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(&begun)?,
            _ => consumer.assign(&begun)?,
        }
        let (seat, turns) = &mut *self.lock();
        for told in begun.elements() {
            *turns += 1;
            seat.partitions.insert(told.partition(), *turns);
        }
        Ok(())
    }

    fn give_back(&self, consumer: &BaseConsumer<Member>, lost: &TopicPartitionList) -> KafkaResult<()> {
        let (seat, _) = &mut *self.lock();
        for told in lost.elements() {
            seat.partitions.remove(&told.partition());
        }
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(lost),
            _ => consumer.unassign(),
        }
    }
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        Logged.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        Logged.error(error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        let Some(topic) = statistics.topics.get(&self.topic) else { return };
        for partition in topic.partitions.values() {
            if let Ok(lag) = u64::try_from(partition.consumer_lag) {
                self.context.figures.of_known_partition(&self.topic, partition.partition, |figures| figures.lag = lag);
            }
        }
    }
}

impl ConsumerContext for Member {
    fn rebalance(&self, consumer: &BaseConsumer<Member>, what: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let result = match what {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.take(consumer, partitions),
            _ => self.give_back(consumer, partitions),
        };
        if let Err(error) = result {
            tracing::warn!("partitions of {} could not be taken, joining again: {error}", self.topic);
            self.lock().0.is_refused = true;
        }
    }
}
