//! What a store tells of itself: the result of a verification, and counters.

use ledger::currency::Currency;
use ledger::time::Timestamp;

/// Hears how far a long walk is.
pub trait Progress: Send + Sync {
    /// `done` of `total` units of this step.
    fn report(&self, step: &str, done: u64, total: u64);
}

/// Nobody listens.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Progress for Silent {
    fn report(&self, _step: &str, _done: u64, _total: u64) {}
}

/// One check of a verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What is claimed, such as `hash chain`.
    pub name: &'static str,
    /// How many things were looked at.
    pub count: u64,
    /// The first thing that is wrong, and how.
    pub failure: Option<String>,
}

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// The checks in the order in which they were made.
    pub checks: Vec<Check>,
}

impl VerifyReport {
    /// Whether all is well.
    pub fn is_clean(&self) -> bool {
        self.checks.iter().all(|check| check.failure.is_none())
    }
}

/// A histogram with fixed bounds, whose counts only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Upper bound of each bucket, and how many observations were at most that.
    pub buckets: Vec<(u64, u64)>,
    /// Count of observations.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
}

/// Counters since the store was opened, and gauges of now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Blocks made durable.
    pub commits: u64,
    /// Entries made durable.
    pub entries: u64,
    /// Transfers made durable.
    pub transfers: u64,
    /// Entries per block.
    pub batch_size: Histogram,
    /// Time of a block's sync in microseconds.
    pub sync_us: Histogram,
    /// Requests waiting.
    pub queue_depth: u64,
    /// Entries whose index rows wait to be written to the disk, beyond what a store keeps in memory by design. Queries
    /// find them all the same.
    pub index_lag: u64,
    /// Dead letters waiting for a person.
    pub dead_letters_waiting: u64,
    /// Sum over all accounts of each currency; anything but zero is an alarm.
    pub sums: Vec<(Currency, i128)>,
    /// Accounts.
    pub accounts: u64,
    /// Keys in memory.
    pub keys_in_memory: u64,
    /// Open sagas whose home this shard is. This and the next two are counted now and then where others commit too: they
    /// may be a second old.
    pub sagas_open: u64,
    /// When the oldest of them began.
    pub oldest_saga: Option<Timestamp>,
    /// Parts of other shards' sagas that are prepared and wait for their decision.
    pub parts_open: u64,
    /// Commands that made the rule book fail.
    pub poison_commands: u64,
    /// Why the shard does not serve, if it does not.
    pub poisoned: Option<String>,
}
