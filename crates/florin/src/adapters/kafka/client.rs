//! What all clients of the cluster have in common: where it is, what Florin's promises need of the settings, and where
//! the library's log goes.

use crate::config;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;
use std::time::Duration;

/// How long one request may take. Whoever waits longer asks again, so that a stop is heard in between.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest record: an atomic batch of the longest kind, as one event.
pub(super) const RECORD_BYTES_MAX: &str = "100000000";

/// The settings of a client.
pub(super) fn settings(config: &config::Kafka) -> ClientConfig {
    let mut settings = ClientConfig::new();
    settings.set_log_level(RDKafkaLogLevel::Info).set("client.id", "florin").set("socket.keepalive.enable", "true");
    for (name, value) in &config.properties {
        settings.set(name, value);
    }
    settings.set("bootstrap.servers", config.brokers.as_deref().unwrap_or_default());
    settings
}

/// The settings of a member of a consumer group. A member that dies is missed after the session timeout.
pub(super) fn member_settings(config: &config::Kafka, group: &str) -> ClientConfig {
    let mut defaults = settings(config);
    // Offsets whose commit got lost on the way are committed again after the socket's timeout.
    for (name, value) in
        [("session.timeout.ms", "10000"), ("heartbeat.interval.ms", "1000"), ("socket.timeout.ms", "10000")]
    {
        if !config.properties.contains_key(name) {
            defaults.set(name, value);
        }
    }
    defaults
        .set("group.id", group)
        .set("enable.auto.offset.store", "false")
        .set("isolation.level", "read_committed")
        .set("partition.assignment.strategy", "cooperative-sticky");
    defaults
}

/// Passes the library's log on.
#[derive(Clone, Debug)]
pub(super) struct Logged;

impl ClientContext for Logged {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::warn!(facility, "{message}");
            }
            _ => tracing::debug!(facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!("Kafka: {error}: {reason}");
    }
}

impl ProducerContext for Logged {
    type DeliveryOpaque = ();

    fn delivery(&self, _result: &DeliveryResult<'_>, (): ()) {}
}

impl ConsumerContext for Logged {}

/// Whether another producer has taken this one's place.
pub(super) fn is_fenced(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::Fenced | RDKafkaErrorCode::ProducerFenced | RDKafkaErrorCode::InvalidProducerEpoch)
    )
}

/// Calls again what the library says may be called again, until it succeeds or is not to go on.
pub(super) fn persist(
    mut goes_on: impl FnMut() -> bool,
    mut call: impl FnMut() -> Result<(), KafkaError>,
) -> Result<(), KafkaError> {
    loop {
        match call() {
            Err(KafkaError::Transaction(error)) if error.is_retriable() && goes_on() => {
                tracing::debug!("Kafka, calling again: {error}");
            }
            result => return result,
        }
    }
}
