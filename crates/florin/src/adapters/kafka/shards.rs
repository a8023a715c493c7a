//! `florin.shards`: what one shard has to tell another, when the nodes talk through Kafka. The partition is the receiving
//! shard.
//!
//! Nothing here is trusted with money: the receiver owns the position, so a parcel may be lost, come twice or late, and
//! what is missing is pulled from the sender's journal. A send that ends well is in the topic; a parcel that a shard
//! could not take because of a fault is handed to it again.

use super::client::{Logged, RECORD_BYTES_MAX, settings};
use super::membership::{Batch, Purpose};
use super::topics::Topic;
use super::{Context, partition_of};
use crate::config;
use bank::error::BankError;
use bank::ports::{Boxed, Bus};
use ledger::ids::ShardId;
use ledger::saga::Envelope;
use rdkafka::error::KafkaResult;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use store::Fault;
use store::codec::decode_parcel;
use tokio::task::JoinSet;

/// How long a record may wait for the cluster before its sender hears of it and tries again.
const SEND_TIMEOUT_MS: &str = "5000";

/// The way to other shards.
pub(super) struct Sender {
    producer: FutureProducer<Logged>,
    topic: String,
}

impl Sender {
    /// A way over this cluster.
    ///
    /// # Errors
    /// A setting that the library refuses.
    pub(super) fn new(config: &config::Kafka) -> KafkaResult<Sender> {
        let producer = settings(config)
            .set("acks", "all")
            .set("linger.ms", "0")
            .set("message.max.bytes", RECORD_BYTES_MAX)
            .set("message.timeout.ms", SEND_TIMEOUT_MS)
            .create_with_context(Logged)?;
        Ok(Sender { producer, topic: config.shards_topic.clone() })
    }
}

impl Bus for Sender {
    fn send(&self, from: ShardId, to: ShardId, parcel: Vec<u8>) -> Boxed<'_, Result<(), Fault>> {
        Box::pin(async move {
            let key = from.to_string();
            let record = FutureRecord::to(&self.topic).partition(partition_of(to)).key(&key).payload(&parcel);
            let sent = self.producer.send(record, Timeout::After(Duration::ZERO)).await;
            sent.map(drop).map_err(|(error, _)| Fault::Unavailable { reason: format!("Kafka took no parcel: {error}") })
        })
    }
}

/// Takes parcels for the shards whose partitions this node has.
pub(super) struct Receiver {
    pub(super) context: Arc<Context>,
}

impl Purpose for Receiver {
    fn name(&self) -> &'static str {
        "shards"
    }

    fn topic(&self) -> Topic<'_> {
        let partitions = u16::try_from(self.context.bank.shards().len()).unwrap_or(u16::MAX);
        let name = &self.context.config.shards_topic;
        Topic { name, partitions, grows: true, record_bytes_max: Some(RECORD_BYTES_MAX) }
    }

    fn every_record_counts(&self) -> bool {
        false
    }

    /// What several parcels of one sender say is submitted together, that of different senders side by side.
    fn take(self: Arc<Self>, batch: Batch) -> Boxed<'static, Result<(), BankError>> {
        Box::pin(async move {
            let mut taking = JoinSet::new();
            for envelopes in by_pair(&batch).into_values() {
                let receiver = Arc::clone(&self);
                taking.spawn(async move {
                    match receiver.context.bank.take_envelopes(envelopes).await {
                        Err(Fault::Corrupt { detail }) => tracing::error!("a parcel could not be taken: {detail}"),
                        result => result?,
                    }
                    Ok::<(), Fault>(())
                });
            }
            while let Some(taken) = taking.join_next().await {
                taken.map_err(|error| Fault::Unavailable { reason: format!("a parcel was not taken: {error}") })??;
            }
            Ok(())
        })
    }
}

/// What the parcels say, for each pair of shards in the order of its parcels.
fn by_pair(batch: &Batch) -> BTreeMap<(ShardId, ShardId), Vec<Envelope>> {
    let mut said: BTreeMap<(ShardId, ShardId), Vec<Envelope>> = BTreeMap::new();
    for parcel in batch.iter() {
        match decode_parcel(&parcel.bytes) {
            Ok(envelopes) => {
                let Some(first) = envelopes.first() else { continue };
                said.entry((first.from, first.to)).or_default().extend(envelopes);
            }
            Err(error) => tracing::error!("what came for a shard is no parcel; it is pulled from the journal: {error}"),
        }
    }
    said
}
