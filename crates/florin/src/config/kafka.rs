//! Section `kafka` of the configuration: which cluster, which topics, what of it is switched on.

use crate::failure::Failure;
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Value;

/// Settings of the client that Florin's promises rest on. They are not to be configured.
const FIXED_PROPERTIES: [&str; 14] = [
    "acks",
    "auto.offset.reset",
    "bootstrap.servers",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "group.protocol",
    "isolation.level",
    "max.in.flight.requests.per.connection",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "transactional.id",
];

/// Section `kafka`. Nothing of it is on unless it says so.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Kafka {
    /// Where the cluster is found: `host:port`, several separated by commas.
    pub(crate) brokers: Option<String>,
    /// What the names of consumer groups and of transactions begin with. Banks that share a cluster differ in it.
    pub(crate) group: String,
    /// Whether the journal is published.
    pub(crate) events: bool,
    /// Where the journal is published.
    pub(crate) events_topic: String,
    /// Whether events are ingested.
    pub(crate) commands: bool,
    /// Where they come from.
    pub(crate) commands_topic: String,
    /// Whether shards tell each other through the cluster, rather than inside this process.
    pub(crate) shards: bool,
    /// Where.
    pub(crate) shards_topic: String,
    /// Further settings of the client, by librdkafka's names: encryption, passwords, timeouts.
    #[serde(deserialize_with = "properties")]
    pub(crate) properties: BTreeMap<String, String>,
}

impl Default for Kafka {
    fn default() -> Kafka {
        Kafka {
            brokers: None,
            group: "florin".into(),
            events: false,
            events_topic: "florin.events".into(),
            commands: false,
            commands_topic: "florin.commands".into(),
            shards: false,
            shards_topic: "florin.shards".into(),
            properties: BTreeMap::new(),
        }
    }
}

impl Kafka {
    /// Whether anything is to be done with Kafka.
    pub(crate) fn is_on(&self) -> bool {
        self.events || self.commands || self.shards
    }

    /// Refuses what cannot work, before anything is opened.
    ///
    /// # Errors
    /// Wrong usage.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.is_on() && cfg!(not(feature = "kafka")) {
            return Err(Failure::usage(
                "the section [kafka] is switched on, but this program was built without Kafka",
                "build it with `cargo build --release -p florin --features kafka`, or set kafka.events, kafka.commands and kafka.shards to false",
            ));
        }
        if self.is_on() && self.brokers.as_ref().is_none_or(|brokers| brokers.trim().is_empty()) {
            return Err(Failure::usage(
                "the section [kafka] is switched on, but kafka.brokers says nothing",
                "name the cluster, such as brokers = \"127.0.0.1:9092\"",
            ));
        }
        if self.is_on() && self.group.is_empty() {
            return Err(Failure::usage("kafka.group is empty", "leave it out, or give this bank a name of its own"));
        }
        Ok(())
    }
}

fn properties<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let told = BTreeMap::<String, Value>::deserialize(deserializer)?;
    told.into_iter().map(|(name, value)| property(name, value).map_err(serde::de::Error::custom)).collect()
}

fn property(name: String, value: Value) -> Result<(String, String), String> {
    if FIXED_PROPERTIES.contains(&name.as_str()) {
        return Err(format!("kafka.properties: `{name}` is set by Florin, whose promises rest on it"));
    }
    match value {
        Value::String(text) => Ok((name, text)),
        Value::Integer(number) => Ok((name, number.to_string())),
        Value::Boolean(is_true) => Ok((name, is_true.to_string())),
        _ => Err(format!("kafka.properties: `{name}` is neither a text nor a number nor a truth value")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Kafka, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_is_on_by_itself() {
        let kafka = read("brokers = '127.0.0.1:9092'").expect("a valid section");
        assert!(!kafka.is_on() && kafka.check().is_ok());
        assert_eq!((kafka.group.as_str(), kafka.events_topic.as_str()), ("florin", "florin.events"));
    }

    #[test]
    fn what_is_switched_on_needs_brokers_and_a_program_that_can() {
        let failure = read("events = true").expect("a valid section").check().expect_err("a refusal");
        let word = if cfg!(feature = "kafka") { "kafka.brokers" } else { "--features kafka" };
        assert!(failure.to_string().contains(word), "{failure}");
        let both = read("commands = true\nbrokers = '127.0.0.1:9092'").expect("a valid section");
        assert_eq!(both.check().is_ok(), cfg!(feature = "kafka"));
    }

    #[test]
    fn properties_are_passed_on_except_those_that_promises_rest_on() {
        let kafka = read("properties = { 'session.timeout.ms' = 1000, 'security.protocol' = 'ssl' }").expect("valid");
        assert_eq!(kafka.properties["session.timeout.ms"], "1000");
        for name in FIXED_PROPERTIES {
            assert!(read(&format!("properties = {{ '{name}' = 'x' }}")).expect_err("a refusal").contains(name));
        }
        assert!(read("properties = { 'a' = [1] }").expect_err("a refusal").contains("`a`"));
    }
}
