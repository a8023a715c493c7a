//! The engine: opens the databases of a bank's shards, starts a committer for each, and is their [`Store`]s.

use crate::committer::{CommitIds, Committer, State};
use crate::connect::{Place, Purpose};
use crate::decide::BeforeApply;
use crate::error::PostgresError;
use crate::health::Health;
use crate::load::{Cache, Identity};
use crate::migrate::{Asked, dealt_to, identify, migrate};
use crate::read::Reads;
use crate::records::RecordTable;
use crate::sealing_keys::SealingKeys;
use crate::session::confirm;
use crate::shard::Shard;
use crate::verify::Verifier;
use crate::watch;
use ledger::ids::{SLOTS, ShardId};
use ledger::time::Timestamp;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::Store;
use store::model::Clock;
use store::recent::Recent;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::JoinHandle;

/// How to reach a bank's databases, and how to use them.
pub struct Options {
    /// The URL of each shard's database, in the shards' order, for a role that may read and add.
    pub shards: Vec<String>,
    /// The URLs of the same databases for the role that owns the tables. With them the schema is made or migrated;
    /// without them it must be there.
    pub owners: Vec<String>,
    /// Whether the last of these databases may be a shard that the bank does not have yet. It gets its tables, and no
    /// slots: those are moved to it.
    pub add_shard: bool,
    /// Certificates in PEM that the servers' ones are checked with; without it connections are not encrypted.
    pub ca_file: Option<PathBuf>,
    /// Connections for reads, for each shard.
    pub read_connections: usize,
    /// Rows that a committer keeps at most; beyond that it begins anew.
    pub cache_rows_max: usize,
    /// The time.
    pub clock: Clock,
    /// 64 random bytes: the secret of a new bank, and that of this process's commit ids.
    pub randomness: [u8; 64],
    /// Called before each command; tests make it panic.
    pub before_apply: Option<BeforeApply>,
}

impl Options {
    /// What serves well; the rest is the caller's.
    pub fn new(shards: Vec<String>, clock: Clock, randomness: [u8; 64]) -> Options {
        Options {
            shards,
            owners: Vec::new(),
            add_shard: false,
            ca_file: None,
            read_connections: 8,
            cache_rows_max: 2_000_000,
            clock,
            randomness,
            before_apply: None,
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}

/// Open databases with running committers. Dropping it shuts down, as [`Engine::shut_down`] does.
pub struct Engine {
    shards: Vec<Arc<Shard>>,
    committers: Vec<JoinHandle<()>>,
    watchers: Vec<JoinHandle<()>>,
    runtime: Option<Runtime>,
    is_new: bool,
    time: Timestamp,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}

/// Longest that a shutdown waits for what was submitted.
const SHUTDOWN_MAX: Duration = Duration::from_secs(20);

impl Engine {
    /// Opens the databases, makes or migrates their tables where owners are named, and starts to serve. To be called
    /// outside of any asynchronous runtime.
    ///
    /// # Errors
    /// A database that cannot be reached, is another shard than configured, or is of a newer version.
    pub fn open(options: &Options) -> Result<Engine, PostgresError> {
        let count = options.shards.len();
        let shards = u16::try_from(count).ok().filter(|count| (1..=SLOTS).contains(count));
        let shards = shards.ok_or_else(|| PostgresError::Url {
            shard: 0,
            reason: format!("{count} databases are configured and a bank has 1 to {SLOTS} shards"),
        })?;
        let threads = Builder::new_multi_thread().worker_threads(2).thread_name("florin-postgres").enable_all().build();
        let runtime = threads.map_err(PostgresError::Threads)?;
        let mut engine = Engine {
            shards: Vec::new(),
            committers: Vec::new(),
            watchers: Vec::new(),
            runtime: None,
            is_new: false,
            time: Timestamp::ZERO,
        };
        let opened = runtime.block_on(engine.open_shards(options, shards, runtime.handle()));
        engine.runtime = Some(runtime);
        opened.map(|()| engine)
    }

    async fn open_shards(
        &mut self,
        options: &Options,
        shards: u16,
        handle: &tokio::runtime::Handle,
    ) -> Result<(), PostgresError> {
        let (mut secret, mut commit_secret) = ([0; 32], [0; 32]);
        secret.copy_from_slice(&options.randomness[..32]);
        commit_secret.copy_from_slice(&options.randomness[32..]);
        // How many shards the bank was made with, as its first one knows.
        let mut dealt = shards;
        for (number, url) in (0..shards).zip(&options.shards) {
            let Some(id) = ShardId::new(number) else { break };
            let place = Place::new(number, url, options.ca_file.as_ref())?;
            if let Some(owner) = options.owners.get(usize::from(number)) {
                migrate(&Place::new(number, owner, options.ca_file.as_ref())?).await?;
            }
            let may_be_new = number < dealt || (options.add_shard && number + 1 == shards);
            let known = identify(&place, &Asked { shard: id, dealt, secret, may_be_new }).await?;
            if number == 0 {
                dealt = dealt_to(&known.slots);
            }
            if shards < dealt {
                let reason =
                    format!("it is of a bank of {dealt} shards or more, and {shards} are configured; list all");
                return Err(place.unfit(reason));
            }
            if number != 0 && known.secret != secret {
                return Err(place.unfit("it belongs to another bank than shard 0: their secrets differ"));
            }
            secret = known.secret;
            self.is_new |= known.is_new;
            let identity = Identity { shard: id, slots: known.slots, seed: seed_of(&secret, id) };
            let commit_ids = CommitIds { secret: commit_secret, count: u64::from(number) << 48 };
            self.start(options, place, identity, known.secret, commit_ids, handle).await?;
        }
        Ok(())
    }

    async fn start(
        &mut self,
        options: &Options,
        place: Place,
        identity: Identity,
        secret: [u8; 32],
        commit_ids: CommitIds,
        handle: &tokio::runtime::Handle,
    ) -> Result<(), PostgresError> {
        let health = Arc::new(Health::default());
        let reads = Arc::new(Reads::new(&place, options.read_connections.max(1))?);
        let connected = place.connect(Purpose::Read).await?;
        health.saw(confirm(&place, &connected).await?);
        if identity.shard.number() == 0 {
            self.time = watch::time(&connected.client).await.map_err(|error| place.failed(&error))?;
        }
        let recent = Arc::new(Recent::default());
        let (jobs, receiver) = unbounded_channel();
        let committer = Committer {
            place: place.clone(),
            jobs: receiver,
            health: health.clone(),
            clock: options.clock.clone(),
            reads: reads.clone(),
            recent: recent.clone(),
            before_apply: options.before_apply.clone(),
            runtime: handle.clone(),
            cache: Cache::new(identity.clone()),
            cache_rows_max: options.cache_rows_max,
            commit_ids,
            state: State::default(),
        };
        // With its connection on a thread of its own, a batch goes from hand to hand only to the server and back.
        self.committers.push(handle.spawn_blocking(move || match Builder::new_current_thread().enable_all().build() {
            Ok(alone) => alone.block_on(committer.run()),
            Err(error) => tracing::error!("a shard does not serve, its thread cannot be set up: {error}"),
        }));
        self.watchers.push(handle.spawn(watch::watch_head(place.clone(), health.clone())));
        self.watchers.push(handle.spawn(watch::watch_open(place.clone(), reads.clone(), health.clone())));
        self.watchers.push(handle.spawn(watch::watch_figures(reads.clone(), health.clone())));
        self.shards.push(Arc::new(Shard {
            id: identity.shard,
            slots: identity.slots.clone(),
            secret,
            jobs: Mutex::new(Some(jobs)),
            health,
            reads,
            recent,
            runtime: handle.clone(),
            verifier: Verifier { place, identity },
        }));
        Ok(())
    }

    /// One store per shard, in their order.
    pub fn stores(&self) -> Vec<Arc<dyn Store>> {
        self.shards.iter().map(|shard| shard.clone() as Arc<dyn Store>).collect()
    }

    /// The keys of sealed personal data, which the first shard has.
    ///
    /// # Panics
    /// Never: a bank has at least one shard.
    pub fn sealing_keys(&self) -> SealingKeys {
        let first = self.shards.first().expect("a bank has at least one shard");
        SealingKeys { reads: first.reads.clone(), runtime: first.runtime.clone() }
    }

    /// The small records beside the journal, which the first shard has.
    ///
    /// # Panics
    /// Never: a bank has at least one shard.
    pub fn records(&self) -> RecordTable {
        let first = self.shards.first().expect("a bank has at least one shard");
        RecordTable { reads: first.reads.clone(), runtime: first.runtime.clone() }
    }

    /// Whether this call made the bank.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// What the clock of the first shard's database said while this was opened.
    pub fn database_time(&self) -> Timestamp {
        self.time
    }

    /// Finishes what was submitted and closes all connections.
    pub fn shut_down(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        self.shards.iter().for_each(|shard| shard.stop());
        self.watchers.drain(..).for_each(|watcher| watcher.abort());
        let committers = std::mem::take(&mut self.committers);
        // Waits on a thread of its own, since whoever drops this may be on a runtime's.
        let waiting = std::thread::spawn(move || {
            runtime.block_on(async {
                let all = async {
                    for committer in committers {
                        let _panicked = committer.await;
                    }
                };
                let _late = tokio::time::timeout(SHUTDOWN_MAX, all).await;
            });
            runtime.shutdown_timeout(Duration::from_secs(1));
        });
        let _panicked = waiting.join();
        self.shards.iter().for_each(|shard| shard.reads.close());
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The seed of a shard's tables: clients must not be able to make their rows collide.
fn seed_of(secret: &[u8; 32], shard: ShardId) -> u64 {
    let hash = blake3::keyed_hash(secret, &shard.number().to_le_bytes());
    let mut seed = [0; 8];
    seed.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_le_bytes(seed)
}
