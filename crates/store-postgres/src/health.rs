//! What a shard tells of itself: counters, what waits, and why it does not serve when it does not.

use ledger::ids::Sequence;
use ledger::time::Timestamp;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::report::{Histogram, Stats};
use tokio::sync::watch;

/// Shared by the committer and whoever asks.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Requests submitted and not yet taken into a batch.
    pub(crate) queued: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) entries: AtomicU64,
    pub(crate) transfers: AtomicU64,
    pub(crate) poison_commands: AtomicU64,
    /// The last entry that this node knows of.
    head: watch::Sender<Sequence>,
    trouble: Mutex<Option<String>>,
    histograms: Mutex<(Counts<14>, Counts<20>)>,
    gauges: Mutex<Stats>,
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

/// Unit of the buckets of commit times, in microseconds.
const COMMIT_UNIT_US: u64 = 16;

/// Longest wait for what another node has committed to be known here.
const HEARD_WITHIN: Duration = Duration::from_secs(1);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Health {
    /// The last entry that this node knows of.
    pub(crate) fn head(&self) -> Sequence {
        *self.head.borrow()
    }

    /// Waits until there is an entry after this one, and returns the head.
    pub(crate) async fn head_after(&self, sequence: Sequence) -> Sequence {
        let mut head = self.head.subscribe();
        // The sender is here, so that it is there for as long as this waits.
        head.wait_for(|head| sequence < *head).await.map_or(sequence, |head| *head)
    }

    /// Whether the journal goes so far, as far as this node hears within [`HEARD_WITHIN`].
    pub(crate) async fn reaches(&self, sequence: Sequence) -> bool {
        if sequence <= self.head() {
            return true;
        }
        let heard = tokio::time::timeout(HEARD_WITHIN, self.head_after(sequence.saturating_sub(1))).await;
        heard.is_ok_and(|head| sequence <= head)
    }

    /// Notes that the journal goes at least so far, and that this is not forgotten.
    pub(crate) fn saw(&self, sequence: Sequence) {
        self.head.send_if_modified(|head| {
            let is_newer = *head < sequence;
            *head = sequence.max(*head);
            is_newer
        });
    }

    /// Counts a committed block.
    pub(crate) fn observe_block(&self, entries: u64, transfers: u64, commit_us: u64) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.entries.fetch_add(entries, Ordering::Relaxed);
        self.transfers.fetch_add(transfers, Ordering::Relaxed);
        let mut histograms = lock(&self.histograms);
        histograms.0.observe(entries, 1);
        histograms.1.observe(commit_us, COMMIT_UNIT_US);
    }

    /// Notes why the database cannot be used now, or that it can.
    pub(crate) fn set_trouble(&self, trouble: Option<String>) {
        *lock(&self.trouble) = trouble;
    }

    /// Notes figures that are read from the database now and then.
    pub(crate) fn set_gauges(&self, figures: Stats) {
        let mut gauges = lock(&self.gauges);
        gauges.accounts = figures.accounts;
        gauges.sums = figures.sums;
        gauges.dead_letters_waiting = figures.dead_letters_waiting;
    }

    /// Notes how many dead letters wait, where that is known.
    pub(crate) fn note_waiting_letters(&self, count: Option<u64>) {
        if let Some(count) = count {
            lock(&self.gauges).dead_letters_waiting = count;
        }
    }

    /// Notes what is open between shards.
    pub(crate) fn note_open(&self, sagas: u64, oldest: Option<Timestamp>, parts: u64) {
        let mut gauges = lock(&self.gauges);
        (gauges.sagas_open, gauges.oldest_saga, gauges.parts_open) = (sagas, oldest, parts);
    }

    pub(crate) fn stats(&self) -> Stats {
        let (batch_size, sync_us) = {
            let histograms = lock(&self.histograms);
            (histograms.0.report(1), histograms.1.report(COMMIT_UNIT_US))
        };
        Stats {
            commits: self.commits.load(Ordering::Relaxed),
            entries: self.entries.load(Ordering::Relaxed),
            transfers: self.transfers.load(Ordering::Relaxed),
            batch_size,
            sync_us,
            queue_depth: self.queued.load(Ordering::Relaxed),
            poison_commands: self.poison_commands.load(Ordering::Relaxed),
            poisoned: lock(&self.trouble).clone(),
            ..lock(&self.gauges).clone()
        }
    }
}
