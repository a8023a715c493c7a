//! The engine: opens a data folder, starts the stages of each shard, and is their [`Store`].
//!
//! | stage | thread | does |
//! |---|---|---|
//! | `resolver` | the caller's, or the pool | looks up older keys and transfers to be reversed |
//! | [`crate::sequencer`] | one | order, decisions, one block |
//! | [`crate::writer`] | one | encode, hash, write, sync |
//! | [`crate::publisher`] | one | makes the block visible, then answers |
//! | [`crate::indexer`] | two | runs from tails, merged runs |
//! | [`crate::snapshot`] | one | checkpoints |

use crate::disk::Disk;
use crate::disk::fault::FaultPlan;
use crate::error::StorageError;
use crate::folder::{Folder, NewFolder, ShardFolder, replace_secret_file};
use crate::health::{Health, Resolved};
use crate::indexer::{Indexing, run_indexer, run_merger};
use crate::pool::Pool;
use crate::published::Published;
use crate::publisher::Publisher;
use crate::recovery::{Recovered, recover};
use crate::segment::list_segments;
use crate::segment::room::SegmentRoom;
use crate::sequencer::{BeforeApply, Clock, Sequencer};
use crate::shard::{Intake, Shard};
use crate::snapshot::copy_of;
use crate::writer::{Writer, chain};
use ledger::ids::{SLOTS, ShardId};
use ledger::key_table::KeyTable;
use ledger::working_set::{SlotSet, WorkingSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use store::Store;

/// How to open a data folder.
pub struct Options {
    /// Shards of a new bank; an existing one must have as many.
    pub shards: u16,
    /// Bytes of a journal segment.
    pub segment_bytes: u64,
    /// Entries after which a tail becomes runs.
    pub run_entries: u64,
    /// Entries between two checkpoints.
    pub checkpoint_entries: u64,
    /// Bytes on the disk that indexes and checkpoints leave to the journal.
    pub reserve_bytes: u64,
    /// Faults for tests.
    pub faults: Option<FaultPlan>,
    /// The time.
    pub clock: Clock,
    /// 48 random bytes: the data id and the secret of a new bank.
    pub randomness: [u8; 48],
    /// Called before each command; tests make it panic.
    pub before_apply: Option<BeforeApply>,
}

impl Options {
    /// What serves well; the clock and the randomness are the caller's.
    pub fn new(clock: Clock, randomness: [u8; 48]) -> Options {
        Options {
            shards: 1,
            segment_bytes: 64 << 20,
            run_entries: 500_000,
            checkpoint_entries: 2_000_000,
            reserve_bytes: 256 << 20,
            faults: None,
            clock,
            randomness,
            before_apply: None,
        }
    }
}

/// Most bytes that the requests of one block may take, unless a single command needs more.
const BLOCK_BYTES_MAX: u64 = 8 << 20;

impl Options {
    /// Blocks in the making and in flight must fit into a segment together.
    fn block_bytes_max(&self) -> u64 {
        BLOCK_BYTES_MAX.min(self.segment_bytes / 4)
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("shards", &self.shards).finish_non_exhaustive()
    }
}

/// An open data folder with a running engine. Dropping it shuts down, as [`Engine::shut_down`] does.
#[derive(Debug)]
pub struct Engine {
    shards: Vec<Arc<Shard>>,
    running: Vec<Running>,
    notes: Vec<String>,
    is_new: bool,
    _folder: Folder,
}

/// The threads of a shard.
#[derive(Debug)]
struct Running {
    shard: Arc<Shard>,
    pipeline: Vec<JoinHandle<()>>,
    checkpointer: Arc<Mutex<()>>,
}

impl Engine {
    /// Opens a data folder, or makes it when it is missing or empty, and starts to serve.
    ///
    /// # Errors
    /// A number of shards beyond 1 to [`SLOTS`]; a folder that another process has open, that was written by a newer
    /// version or with other shards, or that is damaged in a way that must not be passed over.
    pub fn open(root: &Path, options: &Options) -> Result<Engine, StorageError> {
        if !(1..=SLOTS).contains(&options.shards) {
            return Err(StorageError::ShardCountImpossible { asked: options.shards, most: SLOTS });
        }
        let disk = options.faults.clone().map_or_else(Disk::real, Disk::with_faults);
        let mut data_id = [0; 16];
        data_id.copy_from_slice(&options.randomness[..16]);
        let created_at_us = (options.clock)().microseconds();
        let new = NewFolder { shard_count: options.shards, dealt: options.shards, data_id, created_at_us };
        let folder = Folder::open_or_create(&disk, root, new)?;
        let secret = secret(&disk, &folder, &options.randomness)?;
        let mut engine = Engine {
            shards: Vec::new(),
            running: Vec::new(),
            notes: Vec::new(),
            is_new: folder.is_new(),
            _folder: folder,
        };
        for number in 0..options.shards {
            let Some(shard) = ShardId::new(number) else { break };
            let dealt = engine._folder.dealt();
            let slots = SlotSet::of(|slot| slot % dealt == number);
            let shard_folder = engine._folder.shard(number);
            let (running, notes) = start(&disk, options, (shard, slots), shard_folder, secret)?;
            engine.notes.extend(notes.into_iter().map(|note| format!("shard {shard}: {note}")));
            engine.shards.push(running.shard.clone());
            engine.running.push(running);
        }
        Ok(engine)
    }

    /// Adds a shard without slots to the bank in this folder, which nobody has open; its number.
    ///
    /// # Errors
    /// A folder that is in use, is no data folder, or has [`SLOTS`] shards.
    pub fn add_shard(root: &Path) -> Result<u16, StorageError> {
        Folder::add_shard(&Disk::real(), root)
    }

    /// One store per shard, in their order.
    pub fn stores(&self) -> Vec<Arc<dyn Store>> {
        self.shards.iter().map(|shard| shard.clone() as Arc<dyn Store>).collect()
    }

    /// What an operator should know of the opening: torn tails that were cut, damaged files that were replaced.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Whether this call made the folder.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Finishes what was submitted, writes a checkpoint of each shard and ends the threads.
    ///
    /// # Errors
    /// The first checkpoint that could not be written; nothing is lost by that.
    pub fn shut_down(mut self) -> Result<(), StorageError> {
        self.stop()
    }

    fn stop(&mut self) -> Result<(), StorageError> {
        let mut result = Ok(());
        for running in self.running.drain(..) {
            running.shard.stop();
            for thread in running.pipeline {
                let _panicked = thread.join();
            }
            if running.shard.health().poisoned().is_none() {
                let _one_at_a_time = running.checkpointer.lock().unwrap_or_else(PoisonError::into_inner);
                result = result.and(running.shard.checkpoint());
            }
        }
        result
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _nothing_is_lost = self.stop();
    }
}

/// The secret of the bank, made once with the data. Without the one its keys were made with, every retry would be a
/// second payment: so it is made only while there is no entry yet.
fn secret(disk: &Disk, folder: &Folder, randomness: &[u8; 48]) -> Result<[u8; 32], StorageError> {
    let path: PathBuf = folder.root().join("secret");
    if !disk.exists(&path)? {
        for shard in 0..folder.shard_count() {
            if !list_segments(disk, &folder.shard(shard).journal)?.is_empty() {
                return Err(StorageError::corrupt(
                    &path,
                    0,
                    "the bank's secret is missing, and without it retries would pay twice",
                ));
            }
        }
        replace_secret_file(disk, &path, &randomness[16..])?;
    }
    let bytes = disk.read(&path)?;
    bytes.try_into().map_err(|_| StorageError::corrupt(&path, 0, "the secret is not 32 bytes long"))
}

fn seed_of(secret: &[u8; 32], shard: ShardId) -> u64 {
    let hash: [u8; 32] = *blake3::keyed_hash(secret, &shard.number().to_le_bytes()).as_bytes();
    crate::bytes::get_u64(&hash, 0)
}

fn start(
    disk: &Disk,
    options: &Options,
    (shard, slots): (ShardId, SlotSet),
    folder: ShardFolder,
    secret: [u8; 32],
) -> Result<(Running, Vec<String>), StorageError> {
    let seed = seed_of(&secret, shard);
    let mut set = WorkingSet::new(shard, slots, seed);
    set.keys = KeyTable::forgetful(seed);
    let Recovered { published, keys, segments, notes } = recover(disk, &folder, options.segment_bytes, set)?;
    let published = Arc::new(published);
    let (mut resident, entries_in_tail) = {
        let state = published.state();
        (copy_of(&state.set, seed), state.tails.len())
    };
    keys.into_iter().for_each(|(key, sequence)| resident.keys.insert(key, sequence));
    let health = Arc::new(Health::default());
    health.published(resident.sequence);
    let resolved = Arc::new(Resolved::default());
    let pool = Arc::new(Pool::start(2, &format!("florin-read-{shard}")).map_err(|error| no_thread(&folder, error))?);
    let (jobs, job_receiver) = channel();
    let parts = Parts { disk, options, folder: &folder, published: &published, health: &health };
    let room = segments.room();
    let (work_sender, works) = sync_channel(0);
    let sequencer = Sequencer {
        set: resident,
        jobs: job_receiver,
        writer: work_sender,
        room: room.clone(),
        published: published.clone(),
        health: health.clone(),
        resolved: resolved.clone(),
        clock: options.clock.clone(),
        seed,
        block_bytes_max: options.block_bytes_max(),
        run_entries: options.run_entries,
        before_apply: options.before_apply.clone(),
        entries_in_tail,
        retired: 0,
    };
    let (durable_sender, durable) = channel();
    let (prepare, preparations) = sync_channel(1);
    let half_full = options.segment_bytes / 2;
    let writer = Writer {
        segments,
        room: room.clone(),
        works,
        publisher: durable_sender,
        health: health.clone(),
        prepare,
        half_full,
    };
    let bytes_max = options.block_bytes_max();
    let intake = Arc::new(Intake::new(jobs, published.clone(), health.clone(), resolved, bytes_max));
    let shard = Arc::new(Shard::new(shard, secret, intake, pool.clone(), disk.clone(), folder.clone()));
    let checkpointer = Arc::new(Mutex::new(()));
    let mut pipeline = parts.spawn_followers(durable, &shard, &checkpointer, pool)?;
    pipeline.push(spawn(&folder, &health, "prepare", {
        let health = health.clone();
        move || prepare_segments(&room, &preparations, &health)
    })?);
    pipeline.push(spawn(&folder, &health, "write", move || writer.run())?);
    pipeline.push(spawn(&folder, &health, "sequence", move || sequencer.run())?);
    Ok((Running { shard, pipeline, checkpointer }, notes))
}

/// Fills the next segment with zeros before it is needed. Without room it tries again at the next nudge; whoever needs
/// the room meanwhile hears that there is none.
fn prepare_segments(room: &SegmentRoom, nudges: &Receiver<()>, health: &Health) {
    while nudges.recv().is_ok() {
        match room.prepare_next() {
            Ok(()) | Err(StorageError::NoSpace { .. }) => {}
            Err(error) => health.poison(format!("a segment cannot be prepared: {}", chain(&error))),
        }
    }
}

/// What the followers of durable blocks share.
struct Parts<'a> {
    disk: &'a Disk,
    options: &'a Options,
    folder: &'a ShardFolder,
    published: &'a Arc<Published>,
    health: &'a Arc<Health>,
}

impl Parts<'_> {
    fn spawn_followers(
        &self,
        durable: Receiver<crate::writer::Durable>,
        shard: &Arc<Shard>,
        checkpointing: &Arc<Mutex<()>>,
        pool: Arc<Pool>,
    ) -> Result<Vec<JoinHandle<()>>, StorageError> {
        let indexing = Indexing {
            disk: self.disk.clone(),
            folder: self.folder.runs.clone(),
            published: self.published.clone(),
            health: self.health.clone(),
            reserve_bytes: self.options.reserve_bytes,
        };
        let (tails, tail_receiver) = channel();
        let (nudge, nudges) = sync_channel(1);
        let (due, dues) = sync_channel(1);
        let publisher = Publisher {
            durable,
            published: self.published.clone(),
            indexer: tails,
            checkpointer: due,
            checkpoint_entries: self.options.checkpoint_entries,
            pool,
            health: self.health.clone(),
            entries_since_checkpoint: 0,
        };
        let merging = indexing.clone();
        let (shard, checkpointing) = (Arc::downgrade(shard), checkpointing.clone());
        let reserve_bytes = self.options.reserve_bytes;
        Ok(vec![
            spawn(self.folder, self.health, "merge", move || run_merger(&merging, &nudges))?,
            spawn(self.folder, self.health, "index", move || run_indexer(&indexing, &tail_receiver, &nudge))?,
            spawn(self.folder, self.health, "checkpoint", move || {
                while dues.recv().is_ok() {
                    let Some(shard) = shard.upgrade() else { return };
                    let _one_at_a_time = checkpointing.lock().unwrap_or_else(PoisonError::into_inner);
                    shard.checkpoint_in_background(reserve_bytes);
                }
            })?,
            spawn(self.folder, self.health, "publish", move || publisher.run())?,
        ])
    }
}

/// Runs a stage. One that panics has left work undone, so the shard stops serving and says so.
fn spawn(
    folder: &ShardFolder,
    health: &Arc<Health>,
    stage: &str,
    run: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, StorageError> {
    let name = format!("florin-{stage}-{}", folder.shard);
    let (health, reason) = (health.clone(), format!("the thread {name} failed; report it and start again"));
    let run = move || {
        if catch_unwind(AssertUnwindSafe(run)).is_err() {
            health.poison(reason);
        }
    };
    Builder::new().name(name).spawn(run).map_err(|error| no_thread(folder, error))
}

fn no_thread(folder: &ShardFolder, error: std::io::Error) -> StorageError {
    StorageError::io(&folder.journal, "start a thread for", error)
}
