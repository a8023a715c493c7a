//! The engines behind a bank: the one place that names them. Which one it is the configuration says.

use crate::adapters::env::Machine;
use crate::adapters::keyring::KeyringFile;
use crate::adapters::keyring::table::KeyringTable;
use crate::adapters::keys::Keys;
use crate::adapters::records::KeptRecords;
use crate::adapters::records::file::RecordFile;
use crate::config::{Config, EngineKind};
use crate::failure::{ExitStatus, Failure};
use bank::ports::Env;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::Store;
use store::model::Clock;
use store_embedded::error::StorageError;
use store_embedded::{engine as embedded, engine::Engine as Embedded};
use store_postgres::{PostgresError, engine as postgres, engine::Engine as Postgres};
use tokio::runtime::Handle;

/// An open engine.
#[derive(Debug)]
pub(crate) enum Engine {
    /// Plain files.
    Embedded(Box<Embedded>),
    /// PostgreSQL.
    Postgres(Box<Postgres>),
}

impl Engine {
    /// Opens what the configuration names, or makes it where there is none.
    ///
    /// # Errors
    /// As the engine says; wrong usage for a number of shards that does not fit.
    pub(crate) fn open(config: &Config, shards: Option<NonZeroU16>, env: &Arc<Machine>) -> Result<Engine, Failure> {
        match config.storage.engine {
            EngineKind::Embedded => Ok(Engine::Embedded(Box::new(open_embedded(config, shards, env)?))),
            EngineKind::Postgres => {
                let options = postgres_options(config, shards, env)?;
                let engine = Postgres::open(&options)?;
                env.agree(engine.database_time());
                Ok(Engine::Postgres(Box::new(engine)))
            }
        }
    }

    /// Adds a shard without slots to the bank: a folder, or the last database of the list. Its number.
    ///
    /// # Errors
    /// As the engine says; wrong usage where the list of databases has none that is new.
    pub(crate) fn add_shard(config: &Config, env: &Arc<Machine>) -> Result<u16, Failure> {
        match config.storage.engine {
            EngineKind::Embedded => Ok(Embedded::add_shard(&config.data.folder)?),
            EngineKind::Postgres => {
                let mut options = postgres_options(config, None, env)?;
                options.add_shard = true;
                let engine = Postgres::open(&options)?;
                let (is_new, count) = (engine.is_new(), options.shards.len());
                engine.shut_down();
                if is_new {
                    return Ok(u16::try_from(count - 1).unwrap_or(u16::MAX));
                }
                let what = format!("all {count} databases of storage.shards are shards of the bank already");
                Err(Failure::usage(what, "put the URL of the new shard's database at the end of storage.shards"))
            }
        }
    }

    /// One store per shard, in their order.
    pub(crate) fn stores(&self) -> Vec<Arc<dyn Store>> {
        match self {
            Engine::Embedded(engine) => engine.stores(),
            Engine::Postgres(engine) => engine.stores(),
        }
    }

    /// What an operator should know of the opening.
    pub(crate) fn notes(&self) -> &[String] {
        match self {
            Engine::Embedded(engine) => engine.notes(),
            Engine::Postgres(_) => &[],
        }
    }

    /// The keys of sealed data that belong to it.
    ///
    /// # Errors
    /// A keyring or master key that is missing or does not fit.
    pub(crate) fn open_keys(&self, config: &Config, runtime: &Handle) -> Result<Keys, Failure> {
        let folder = &config.data.folder;
        let master: PathBuf = config.data.master_key_file.clone().unwrap_or_else(|| folder.join("master.key"));
        match self {
            Engine::Embedded(engine) => {
                let is_new = engine.stores().iter().all(|shard| shard.head() == 0);
                open_keyring_file(folder, &master, is_new).map(Keys::File)
            }
            Engine::Postgres(engine) => {
                make_folder(folder)?;
                runtime
                    .block_on(KeyringTable::open(engine.sealing_keys(), &master))
                    .map(|table| Keys::Table(Box::new(table)))
            }
        }
    }

    /// The small records beside its journal.
    ///
    /// # Errors
    /// A file that cannot be opened.
    pub(crate) fn open_records(&self, config: &Config) -> Result<KeptRecords, Failure> {
        match self {
            Engine::Embedded(_) => RecordFile::open(&config.data.folder).map(KeptRecords::File),
            Engine::Postgres(engine) => Ok(KeptRecords::Table(engine.records())),
        }
    }

    /// Finishes what was begun and closes.
    ///
    /// # Errors
    /// A fault of the engine.
    pub(crate) fn shut_down(self) -> Result<(), Failure> {
        match self {
            Engine::Embedded(engine) => Ok(engine.shut_down()?),
            Engine::Postgres(engine) => {
                engine.shut_down();
                Ok(())
            }
        }
    }
}

/// Whether there is a bank where the configuration says, as far as that can be told without opening it.
pub(crate) fn may_have_bank(config: &Config) -> bool {
    config.storage.engine == EngineKind::Postgres || config.data.folder.join("format").exists()
}

/// A node over PostgreSQL keeps its master key and the first token here.
fn make_folder(folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|error| {
        Failure::fault(format!("cannot make the folder {}: {error}", folder.display()), "check its permissions")
    })
}

fn open_keyring_file(folder: &Path, master: &Path, is_new: bool) -> Result<KeyringFile, Failure> {
    let path = folder.join("keyring");
    if !is_new && !path.exists() {
        let what = format!("the bank has data, but its keyring {} is missing", path.display());
        return Err(Failure::fault(what, "put the keyring and its master key back from the backup"));
    }
    KeyringFile::open(&path, master)
}

/// Without a number of shards an existing folder keeps its own, a new one gets one.
fn open_embedded(config: &Config, shards: Option<NonZeroU16>, env: &Arc<Machine>) -> Result<Embedded, StorageError> {
    let mut randomness = [0; 48];
    env.fill(&mut randomness);
    let mut options = embedded::Options::new(clock(env), randomness);
    options.shards = shards.map_or(1, NonZeroU16::get);
    #[cfg(feature = "faults")]
    {
        options.faults = config.faults.plan.clone();
    }
    match Embedded::open(&config.data.folder, &options) {
        Err(StorageError::ShardCountDiffers { folder: known, .. }) if shards.is_none() => {
            options.shards = known;
            Embedded::open(&config.data.folder, &options)
        }
        opened => opened,
    }
}

fn clock(env: &Arc<Machine>) -> Clock {
    let machine = Arc::clone(env);
    Arc::new(move || machine.now())
}

fn postgres_options(
    config: &Config,
    shards: Option<NonZeroU16>,
    env: &Arc<Machine>,
) -> Result<postgres::Options, Failure> {
    let storage = &config.storage;
    let (urls, owners) = (&storage.shards.0, &storage.owners.0);
    if urls.is_empty() {
        let what = "the engine is postgres, but storage.shards names no database";
        return Err(Failure::usage(what, "list the URL of each shard's database"));
    }
    if !owners.is_empty() && owners.len() != urls.len() {
        let what = format!("storage.owners has {} URLs and storage.shards {}", owners.len(), urls.len());
        return Err(Failure::usage(what, "list the same databases in the same order, or leave storage.owners out"));
    }
    if let Some(shards) = shards.filter(|shards| usize::from(shards.get()) != urls.len()) {
        let what = format!("{shards} shards are asked for and storage.shards lists {}", urls.len());
        return Err(Failure::usage(what, "leave --shards and serve.shards out: the list says how many there are"));
    }
    let mut randomness = [0; 64];
    env.fill(&mut randomness);
    let mut options = postgres::Options::new(urls.clone(), clock(env), randomness);
    options.owners.clone_from(owners);
    options.ca_file.clone_from(&storage.ca_file);
    options.read_connections = storage.read_connections;
    Ok(options)
}

impl From<PostgresError> for Failure {
    fn from(error: PostgresError) -> Failure {
        let status = match error {
            PostgresError::Url { .. } | PostgresError::Unfit { .. } => ExitStatus::Usage,
            PostgresError::Database { .. } | PostgresError::Threads(_) => ExitStatus::Fault,
        };
        Failure { status, ..Failure::caused_by(&error) }
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Failure {
        let failure = Failure::caused_by(&error);
        let status = match error {
            StorageError::ShardCountDiffers { .. }
            | StorageError::ShardCountImpossible { .. }
            | StorageError::NotDataFolder { .. } => ExitStatus::Usage,
            _ => ExitStatus::Fault,
        };
        let is_damage = matches!(error, StorageError::Corrupt { .. });
        Failure { status, is_damage, ..failure }
    }
}
