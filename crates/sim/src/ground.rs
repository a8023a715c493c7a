//! What everything in a world stands on: its time, its chance, its trace and its faults.

use crate::faults::Faults;
use crate::random::Dice;
use crate::scheduler::Scheduler;
use crate::trace::Trace;
use ledger::time::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// When every world begins: early in 2027.
pub const START_US: u64 = 1_800_000_000_000_000;

/// See the module. Clones stand on the same ground.
#[derive(Clone)]
pub struct Ground {
    /// Time and tasks.
    pub scheduler: Scheduler,
    /// Chance.
    pub dice: Dice,
    /// What happened.
    pub trace: Trace,
    /// What goes wrong.
    pub faults: Arc<Faults>,
}

impl Ground {
    /// The ground of a seed, on which nothing goes wrong yet.
    pub fn new(seed: u64, keeps_trace: bool) -> Ground {
        let dice = Dice::new(seed);
        let scheduler = Scheduler::new(dice.clone(), START_US);
        Ground { scheduler, dice, trace: Trace::new(keeps_trace), faults: Arc::default() }
    }

    /// Adds a line to the trace.
    pub fn note(&self, line: &str) {
        self.trace.note(self.scheduler.now_us() - START_US, line);
    }

    /// Waits between so many microseconds.
    pub async fn pause(&self, first_us: u64, last_us: u64) {
        self.scheduler.sleep(self.dice.between(first_us, last_us)).await;
    }
}

/// The clock of one machine: off by some, and by more when it jumps.
#[derive(Clone)]
pub struct Clock {
    scheduler: Scheduler,
    offset_us: Arc<AtomicI64>,
}

impl Clock {
    /// A clock that shows the true time.
    pub fn new(scheduler: Scheduler) -> Clock {
        Clock { scheduler, offset_us: Arc::default() }
    }

    /// How far it is off from now on.
    pub fn set_offset(&self, microseconds: i64) {
        self.offset_us.store(microseconds, Ordering::SeqCst);
    }

    /// What it shows.
    pub fn now(&self) -> Timestamp {
        let shown = self.scheduler.now_us().saturating_add_signed(self.offset_us.load(Ordering::SeqCst));
        Timestamp::from_microseconds(shown).unwrap_or(Timestamp::MAX)
    }
}
