//! Makes the topics that are missing. A topic that exists is taken as it is, except that partitions are added to one that
//! has fewer than it needs: partitions by shard never move anything that is there.

use super::client::{Logged, REQUEST_TIMEOUT, settings};
use crate::config;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use tokio::runtime::Handle;

/// A topic as Florin needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Topic<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// Partitions of a new one.
    pub(super) partitions: u16,
    /// Whether an existing one with fewer gets more.
    pub(super) grows: bool,
    /// Bytes of its largest record, where it must take more than the cluster says.
    pub(super) record_bytes_max: Option<&'a str>,
}

/// Makes the topic, or adds to its partitions, where that is needed.
///
/// # Errors
/// The cluster is not there, or does not let us.
pub(super) fn ensure(config: &config::Kafka, handle: &Handle, topic: Topic<'_>) -> KafkaResult<()> {
    let admin: AdminClient<Logged> = settings(config).create_with_context(Logged)?;
    let options = AdminOptions::new().operation_timeout(Some(REQUEST_TIMEOUT));
    let wanted = usize::from(topic.partitions);
    match partitions(&admin, topic.name)? {
        0 => {
            // As many replicas as the cluster makes by itself.
            let mut new = NewTopic::new(topic.name, i32::from(topic.partitions), TopicReplication::Fixed(-1));
            if let Some(bytes) = topic.record_bytes_max {
                new = new.set("max.message.bytes", bytes);
            }
            let made = handle.block_on(admin.create_topics([&new], &options))?;
            // Another node may have been faster.
            first_error(made, RDKafkaErrorCode::TopicAlreadyExists)?;
            tracing::info!(topic = topic.name, partitions = wanted, "made a topic of Kafka");
        }
        known if known < wanted && topic.grows => {
            let more = NewPartitions::new(topic.name, wanted);
            let added = handle.block_on(admin.create_partitions([&more], &options))?;
            first_error(added, RDKafkaErrorCode::InvalidPartitions)?;
            tracing::info!(topic = topic.name, partitions = wanted, "added partitions to a topic of Kafka");
        }
        _ => {}
    }
    Ok(())
}

/// How many partitions a topic has; 0 if there is none.
fn partitions(admin: &AdminClient<Logged>, topic: &str) -> KafkaResult<usize> {
    let metadata = admin.inner().fetch_metadata(Some(topic), REQUEST_TIMEOUT)?;
    Ok(metadata.topics().iter().filter(|known| known.name() == topic).map(|known| known.partitions().len()).sum())
}

fn first_error(results: Vec<Result<String, (String, RDKafkaErrorCode)>>, but: RDKafkaErrorCode) -> KafkaResult<()> {
    match results.into_iter().find_map(Result::err) {
        Some((_, code)) if code != but => Err(KafkaError::AdminOp(code)),
        _ => Ok(()),
    }
}
