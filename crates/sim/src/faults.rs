//! What goes wrong in a world, and how often. Each seed switches some kinds of faults on and others off, so that rare
//! combinations come up and every kind is also seen alone.

use crate::random::Dice;
use crate::scheduler::lock;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// How often each thing goes wrong, in 10,000 chances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// A node crashes where one of its tasks waits.
    pub crash: u64,
    /// A shard refuses a submission before it does anything.
    pub refused: u64,
    /// A shard takes a submission, and its answer is lost.
    pub answer_lost: u64,
    /// A read of a shard fails.
    pub read_failed: u64,
    /// A message to or from a shard takes up to a second.
    pub slow: u64,
    /// Each second: a shard is not available for a while.
    pub outage: u64,
    /// A client's request is lost.
    pub request_lost: u64,
    /// A client's request arrives twice.
    pub request_doubled: u64,
    /// A node's answer to a client is lost.
    pub reply_lost: u64,
    /// Each second: the clock of a node jumps.
    pub clock_jump: u64,
    /// The keyring fails.
    pub keyring_failed: u64,
    /// A relay that has no lease thinks that it has.
    pub lease_doubled: u64,
    /// A relay that has a lease thinks that it has none.
    pub lease_lost: u64,
    /// The bus refuses a parcel.
    pub parcel_refused: u64,
    /// The bus loses a parcel.
    pub parcel_lost: u64,
    /// The bus brings a parcel twice.
    pub parcel_doubled: u64,
    /// The bus brings a parcel up to some seconds late.
    pub parcel_late: u64,
}

impl Rates {
    /// The rates of a world: each kind of fault is off, rare or frequent.
    pub fn drawn(dice: &Dice) -> Rates {
        let rate = |rare: u64, frequent: u64| match dice.below(4) {
            0 | 1 => 0,
            2 => rare,
            _ => frequent,
        };
        Rates {
            crash: rate(50, 400),
            refused: rate(100, 1000),
            answer_lost: rate(100, 1500),
            read_failed: rate(50, 500),
            slow: rate(50, 1000),
            outage: rate(300, 3000),
            request_lost: rate(100, 1000),
            request_doubled: rate(200, 2000),
            reply_lost: rate(100, 1500),
            clock_jump: rate(500, 5000),
            keyring_failed: rate(50, 500),
            lease_doubled: rate(100, 3000),
            lease_lost: rate(100, 3000),
            parcel_refused: rate(100, 1000),
            parcel_lost: rate(100, 3000),
            parcel_doubled: rate(100, 3000),
            parcel_late: rate(100, 3000),
        }
    }
}

/// The faults of now.
#[derive(Default)]
pub struct Faults {
    rates: Mutex<Rates>,
    outages: Mutex<BTreeMap<u16, u64>>,
    is_over: Mutex<bool>,
}

impl Faults {
    /// How often things go wrong now.
    pub fn rates(&self) -> Rates {
        *lock(&self.rates)
    }

    /// From now on things go wrong so often.
    pub fn set_rates(&self, rates: Rates) {
        *lock(&self.rates) = rates;
    }

    /// Makes a shard unavailable until then.
    pub fn begin_outage(&self, shard: u16, until_us: u64) {
        lock(&self.outages).insert(shard, until_us);
    }

    /// Whether a shard is unavailable now.
    pub fn is_out(&self, shard: u16, now_us: u64) -> bool {
        lock(&self.outages).get(&shard).is_some_and(|until_us| now_us < *until_us)
    }

    /// Nothing goes wrong any more.
    pub fn heal(&self) {
        *lock(&self.is_over) = true;
        self.set_rates(Rates::default());
        lock(&self.outages).clear();
    }

    /// Whether nothing goes wrong any more.
    pub fn is_over(&self) -> bool {
        *lock(&self.is_over)
    }
}
