//! What the stages of a shard tell each other: that a block is durable, that something failed for good, that there is
//! no room for indexes, and which counters have grown.

use ledger::ids::Sequence;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use store::Fault;
use store::report::Histogram;

/// Shared by all stages of a shard.
#[derive(Debug, Default)]
pub struct Health {
    poisoned: OnceLock<String>,
    /// Requests submitted and not yet sequenced.
    pub queued: AtomicU64,
    /// Whether writing indexes waits for room on the disk.
    pub index_waits_for_room: AtomicBool,
    /// Tails on their way to becoming runs.
    pub frozen_tails: AtomicUsize,
    /// Blocks made durable.
    pub commits: AtomicU64,
    /// Entries made durable.
    pub entries: AtomicU64,
    /// Commands that made the rule book fail.
    pub poison_commands: AtomicU64,
    /// Keys newer than the runs.
    pub keys_in_memory: AtomicU64,
    histograms: Mutex<Histograms>,
    durable: Mutex<Sequence>,
    durable_changed: Condvar,
    /// Tasks that wait for entries.
    waiting: Mutex<Vec<Waker>>,
}

#[derive(Debug, Default)]
struct Histograms {
    batch_size: Counts<14>,
    sync_us: Counts<16>,
}

/// Observations by powers of two: bucket `i` counts those of at most 2^i times its unit.
#[derive(Debug)]
struct Counts<const N: usize> {
    buckets: [u64; N],
    count: u64,
    sum: u64,
}

impl<const N: usize> Default for Counts<N> {
    fn default() -> Counts<N> {
        Counts { buckets: [0; N], count: 0, sum: 0 }
    }
}

impl<const N: usize> Counts<N> {
    fn observe(&mut self, value: u64, unit: u64) {
        self.count += 1;
        self.sum += value;
        for (power, bucket) in self.buckets.iter_mut().enumerate() {
            *bucket += u64::from(value <= unit << power);
        }
    }

    fn report(&self, unit: u64) -> Histogram {
        let buckets = self.buckets.iter().enumerate().map(|(power, count)| (unit << power, *count)).collect();
        Histogram { buckets, count: self.count, sum: self.sum }
    }
}

/// Unit of the buckets of sync times, in microseconds.
const SYNC_UNIT_US: u64 = 16;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Health {
    /// The shard stops serving, for good. The first reason stays.
    pub fn poison(&self, reason: String) {
        self.poisoned.get_or_init(|| reason);
        let _durable = lock(&self.durable);
        self.durable_changed.notify_all();
        lock(&self.waiting).drain(..).for_each(Waker::wake);
    }

    /// Why the shard does not serve, if it does not.
    pub fn poisoned(&self) -> Option<&str> {
        self.poisoned.get().map(String::as_str)
    }

    /// The fault that a poisoned or stopped shard answers.
    pub fn unavailable(&self) -> Fault {
        let reason = self.poisoned().unwrap_or("it is stopping").to_string();
        Fault::Unavailable { reason }
    }

    /// A block up to this entry is durable and published.
    pub fn published(&self, sequence: Sequence) {
        *lock(&self.durable) = sequence;
        self.durable_changed.notify_all();
        lock(&self.waiting).drain(..).for_each(Waker::wake);
    }

    /// Has this task woken when the next block is published.
    pub fn wake_when_published(&self, waker: &Waker) {
        let mut waiting = lock(&self.waiting);
        if !waiting.iter().any(|known| known.will_wake(waker)) {
            waiting.push(waker.clone());
        }
    }

    /// Waits until this entry is published; false if the shard was poisoned meanwhile.
    pub fn wait_for(&self, sequence: Sequence) -> bool {
        let mut durable = lock(&self.durable);
        while *durable < sequence && self.poisoned().is_none() {
            durable = self.durable_changed.wait(durable).unwrap_or_else(PoisonError::into_inner);
        }
        self.poisoned().is_none()
    }

    /// Counts a block.
    pub fn observe_block(&self, entries: u64, sync_us: u64) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.entries.fetch_add(entries, Ordering::Relaxed);
        let mut histograms = lock(&self.histograms);
        histograms.batch_size.observe(entries, 1);
        histograms.sync_us.observe(sync_us, SYNC_UNIT_US);
    }

    /// Entries per block, and sync times in microseconds.
    pub fn histograms(&self) -> (Histogram, Histogram) {
        let histograms = lock(&self.histograms);
        (histograms.batch_size.report(1), histograms.sync_us.report(SYNC_UNIT_US))
    }
}

/// Which generation of runs each waiting submission was resolved with. A key may leave memory only when the run that
/// holds it was visible to every submission still waiting.
#[derive(Debug, Default)]
pub struct Resolved {
    waiting: Mutex<BTreeMap<u64, usize>>,
}

impl Resolved {
    /// Takes note of a submission; `generation` is read while no other takes note.
    pub fn enter<T>(&self, generation: impl FnOnce() -> (u64, T)) -> (u64, T) {
        let mut waiting = lock(&self.waiting);
        let (generation, rest) = generation();
        *waiting.entry(generation).or_insert(0) += 1;
        (generation, rest)
    }

    /// A submission was sequenced, or will never be.
    pub fn leave(&self, generation: u64) {
        let mut waiting = lock(&self.waiting);
        if let Some(count) = waiting.get_mut(&generation) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&generation);
            }
        }
    }

    /// The oldest generation that a waiting submission was resolved with.
    pub fn oldest(&self) -> Option<u64> {
        lock(&self.waiting).keys().next().copied()
    }
}
