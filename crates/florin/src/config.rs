//! The configuration: a TOML file, the environment on top of it, the command line on top of both. The environment is
//! read here and nowhere else.

mod business;
mod cache;
mod currencies;
mod kafka;
mod notifications;
mod objects;
mod statements;

pub(crate) use business::Business;
pub(crate) use cache::Cache;
pub(crate) use currencies::Currencies;
pub(crate) use kafka::Kafka;
pub(crate) use notifications::{Fcm, Notifications, Smtp, SmtpTls, Twilio, WebPush, Webhooks, is_loopback};
pub(crate) use objects::Objects;
#[cfg(all(test, feature = "s3"))]
pub(crate) use objects::Secret;
pub(crate) use statements::Statements;

use crate::failure::Failure;
use bank::relay::RelaySettings;
use ledger::ids::SLOTS;
use serde::Deserialize;
use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

const PREFIX: &str = "FLORIN_";
const SEPARATOR: &str = "__";

/// Everything that can be configured. Unknown keys are refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// The data folder.
    pub(crate) data: Data,
    /// Where shards are kept.
    pub(crate) storage: Storage,
    /// The bank's own time.
    pub(crate) business: Business,
    /// `florin serve`.
    pub(crate) serve: Serve,
    /// Transfers between shards.
    pub(crate) sagas: Sagas,
    /// The commands that work through a running server.
    pub(crate) client: Client,
    /// What is logged, and how.
    pub(crate) log: Log,
    /// The cluster that events come from and go to.
    pub(crate) kafka: Kafka,
    /// What nodes share for reads.
    pub(crate) cache: Cache,
    /// The bucket for files, if they are not in a folder.
    pub(crate) objects: Objects,
    /// Statements and their files.
    pub(crate) statements: Statements,
    /// What customers and other systems are told.
    pub(crate) notifications: Notifications,
    /// The mail server.
    pub(crate) smtp: Smtp,
    /// SMS and WhatsApp.
    pub(crate) twilio: Twilio,
    /// Push messages to applications.
    pub(crate) fcm: Fcm,
    /// Push messages to browsers.
    pub(crate) web_push: WebPush,
    /// Signed requests to other systems.
    pub(crate) webhooks: Webhooks,
    /// Rates, quotes and exchanges.
    pub(crate) currencies: Currencies,
    /// Faults of the disk, for tests.
    #[cfg(feature = "faults")]
    pub(crate) faults: Faults,
}

/// Section `faults`, of programs built to be tested.
#[cfg(feature = "faults")]
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Faults {
    /// Which operations of the disk fail, and how.
    #[serde(deserialize_with = "fault_plan")]
    pub(crate) plan: Option<store_embedded::disk::fault::FaultPlan>,
}

#[cfg(feature = "faults")]
fn fault_plan<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<store_embedded::disk::fault::FaultPlan>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

/// Section `data`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Data {
    /// The data folder.
    pub(crate) folder: PathBuf,
    /// The file of the key that wraps the customers' keys; `master.key` in the data folder without it.
    pub(crate) master_key_file: Option<PathBuf>,
}

impl Default for Data {
    fn default() -> Data {
        Data { folder: "florin-data".into(), master_key_file: None }
    }
}

/// Section `storage`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Storage {
    /// What keeps the shards.
    pub(crate) engine: EngineKind,
    /// The URL of each shard's database, in the shards' order, for a role that may read and add.
    pub(crate) shards: Urls,
    /// The URLs of the same databases for their owner, who makes and migrates the tables at the start.
    pub(crate) owners: Urls,
    /// Certificates in PEM that the servers' ones are checked with; without it connections are not encrypted.
    pub(crate) ca_file: Option<PathBuf>,
    /// Connections for reads, of each shard.
    pub(crate) read_connections: usize,
}

impl Default for Storage {
    fn default() -> Storage {
        let (shards, owners) = (Urls::default(), Urls::default());
        Storage { engine: EngineKind::Embedded, shards, owners, ca_file: None, read_connections: 8 }
    }
}

/// What keeps the shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EngineKind {
    /// Plain files in the data folder.
    #[default]
    Embedded,
    /// A PostgreSQL database for each shard.
    Postgres,
}

/// URLs of databases: a list, or one text with spaces between them. They hold passwords, so they are never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Urls(pub(crate) Vec<String>);

impl std::fmt::Debug for Urls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} URLs", self.0.len())
    }
}

impl<'de> Deserialize<'de> for Urls {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Urls, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Urls(text.split_whitespace().map(str::to_owned).collect())),
            Value::Array(list) => {
                let text = |value: Value| match value {
                    Value::String(text) => Ok(text),
                    _ => Err(serde::de::Error::custom("each URL of a database is a text")),
                };
                list.into_iter().map(text).collect::<Result<_, _>>().map(Urls)
            }
            _ => Err(serde::de::Error::custom("URLs of databases are a list of texts")),
        }
    }
}

/// Section `serve`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Serve {
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// Shards of a new data folder.
    #[serde(deserialize_with = "shard_count")]
    pub(crate) shards: Option<NonZeroU16>,
    /// How often holds are looked through for those whose time is over, in milliseconds.
    pub(crate) hold_expiry_interval_ms: u64,
    /// Most requests a second of one principal; no limit without it.
    pub(crate) rate_limit: Option<NonZeroU32>,
    /// Most connections open at a time; streams of events have one each, over HTTP/1.
    pub(crate) connections_max: NonZeroU32,
}

/// Section `sagas`: transfers between shards.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Sagas {
    /// How long a node keeps the work of carrying a shard's messages without renewing its claim, in milliseconds.
    pub(crate) lease_ms: u64,
    /// The longest first wait after a failed delivery, in milliseconds; it doubles with each failure.
    pub(crate) retry_first_ms: u64,
    /// The longest wait between two tries of a delivery, in milliseconds.
    pub(crate) retry_most_ms: u64,
    /// How often both ends of every pair of shards are compared, in milliseconds.
    pub(crate) sweep_interval_ms: u64,
    /// A transfer that is pending for so many seconds alarms.
    pub(crate) alert_after_s: u64,
}

impl Default for Sagas {
    fn default() -> Sagas {
        let relay = RelaySettings::default();
        Sagas {
            lease_ms: relay.lease_us / 1000,
            retry_first_ms: relay.retry_first_us / 1000,
            retry_most_ms: relay.retry_most_us / 1000,
            sweep_interval_ms: 1000,
            alert_after_s: 30,
        }
    }
}

fn shard_count<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<NonZeroU16>, D::Error> {
    let count = u16::deserialize(deserializer).ok().and_then(NonZeroU16::new);
    let refused = || serde::de::Error::custom(format!("a data folder has 1 to {SLOTS} shards"));
    count.filter(|count| count.get() <= SLOTS).map(Some).ok_or_else(refused)
}

impl Default for Serve {
    fn default() -> Serve {
        Serve {
            listen: SocketAddr::from(([127, 0, 0, 1], 7878)),
            shards: None,
            hold_expiry_interval_ms: 1000,
            rate_limit: None,
            connections_max: const { NonZeroU32::new(16_384).expect("not zero") },
        }
    }
}

/// Section `client`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Client {
    /// The server to work through.
    pub(crate) url: Option<String>,
    /// A file with the API token for it.
    pub(crate) token_file: Option<PathBuf>,
}

/// Section `log`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    /// What is logged: a level such as `info`, or directives such as `info,web=debug`.
    pub(crate) filter: Option<String>,
    /// How a line of the log looks.
    pub(crate) format: LogFormat,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// Reads the file, if one is named, and the environment.
///
/// # Errors
/// Wrong usage, naming the key and where it stands.
pub(crate) fn load(file: Option<&Path>) -> Result<Config, Failure> {
    let table = match file {
        Some(file) => read(file)?,
        None => Table::new(),
    };
    let variables =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    with_environment(table, variables)
}

fn read(file: &Path) -> Result<Table, Failure> {
    let place = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::usage(
            format!("cannot read the configuration {place}: {error}"),
            "name an existing file after --config",
        )
    })?;
    let table: Table = text.parse().map_err(|error| {
        Failure::usage(format!("the configuration {place} is not TOML: {error}"), "correct the line it names")
    })?;
    parse(&table).map_err(|error| {
        Failure::usage(format!("the configuration {place} is wrong: {error}"), "correct or remove the key")
    })?;
    Ok(table)
}

fn parse(table: &Table) -> Result<Config, String> {
    Config::deserialize(table.clone()).map_err(|error| error.to_string().trim_end().to_owned())
}

fn with_environment(mut table: Table, variables: impl Iterator<Item = (String, String)>) -> Result<Config, Failure> {
    for (name, text) in variables {
        let Some((section, key)) = name.strip_prefix(PREFIX).and_then(|path| path.split_once(SEPARATOR)) else {
            continue;
        };
        let (section, key) = (section.to_lowercase(), key.to_lowercase());
        // The type is the key's business: what does not fit as text may fit as a number or a truth value.
        let mut candidates = vec![Value::String(text.clone())];
        candidates.extend(text.parse::<i64>().ok().map(Value::Integer));
        candidates.extend(text.parse::<bool>().ok().map(Value::Boolean));
        let mut refusal = String::new();
        let accepted = candidates.into_iter().find_map(|value| {
            let mut changed = table.clone();
            let Value::Table(entries) = changed.entry(section.clone()).or_insert_with(|| Value::Table(Table::new()))
            else {
                return None;
            };
            entries.insert(key.clone(), value);
            parse(&changed).map_err(|error| refusal = error).ok().map(|_| changed)
        });
        table = accepted.ok_or_else(|| {
            Failure::usage(format!("the environment variable {name} is wrong: {refusal}"), "correct it or unset it")
        })?;
    }
    parse(&table).map_err(|error| Failure::usage(error, "correct the configuration"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>().into_iter()
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let file: Table = "[serve]\nlisten = '127.0.0.1:1'\nshards = 2\n".parse().expect("TOML");
        let variables = [
            ("FLORIN_SERVE__LISTEN", "127.0.0.1:2"),
            ("FLORIN_LOG__FORMAT", "json"),
            ("OTHER__KEY", "x"),
            ("FLORIN_BIN", "x"),
        ];
        let config = with_environment(file, environment(&variables)).expect("a valid configuration");
        assert_eq!(config.serve.listen.port(), 2);
        assert_eq!(config.serve.shards.map(NonZeroU16::get), Some(2));
        assert_eq!(config.log.format, LogFormat::Json);
    }

    #[test]
    fn databases_are_a_list_or_words_and_never_shown() {
        let file: Table =
            "[storage]\nengine = 'postgres'\nshards = ['postgres://a:sesame@h/0']\n".parse().expect("TOML");
        let variables = [("FLORIN_STORAGE__OWNERS", "postgres://b:sesame@h/0 postgres://b:sesame@h/1")];
        let config = with_environment(file, environment(&variables)).expect("a valid configuration");
        assert_eq!(config.storage.engine, EngineKind::Postgres);
        assert_eq!((config.storage.shards.0.len(), config.storage.owners.0.len()), (1, 2));
        assert!(!format!("{config:?}").contains("sesame"));
    }

    #[test]
    fn numbers_and_texts_come_from_the_same_kind_of_variable() {
        let variables = [
            ("FLORIN_SERVE__HOLD_EXPIRY_INTERVAL_MS", "250"),
            ("FLORIN_SERVE__RATE_LIMIT", "20"),
            ("FLORIN_DATA__FOLDER", "7"),
        ];
        let config = with_environment(Table::new(), environment(&variables)).expect("a valid configuration");
        assert_eq!(config.serve.rate_limit.map(NonZeroU32::get), Some(20));
        assert_eq!((config.serve.hold_expiry_interval_ms, config.data.folder), (250, PathBuf::from("7")));
    }

    #[test]
    fn a_bank_has_at_most_as_many_shards_as_slots() {
        let with = |count: &str| with_environment(Table::new(), environment(&[("FLORIN_SERVE__SHARDS", count)]));
        assert_eq!(with("1024").expect("a valid configuration").serve.shards.map(NonZeroU16::get), Some(1024));
        for count in ["0", "1025", "65536", "-1", "two"] {
            let failure = with(count).expect_err("a refusal");
            let words = ["FLORIN_SERVE__SHARDS", "1 to 1024 shards"];
            assert!(words.iter().all(|word| failure.what.contains(word)), "{failure}");
        }
        let file: Table = "[serve]\nshards = 1025\n".parse().expect("TOML");
        assert!(parse(&file).expect_err("a refusal").contains("1 to 1024 shards"));
    }

    #[test]
    fn unknown_keys_and_values_of_the_wrong_kind_are_refused_by_name() {
        for (name, value) in [
            ("FLORIN_SERVE__LISTN", "x"),
            ("FLORIN_NOWHERE__KEY", "x"),
            ("FLORIN_SERVE__LISTEN", "here"),
            ("FLORIN_SERVE__RATE_LIMIT", "0"),
        ] {
            let failure = with_environment(Table::new(), environment(&[(name, value)])).expect_err("a refusal");
            assert!(failure.what.contains(name), "{failure}");
        }
    }
}
