//! The machine's clock, randomness and waiting.

use bank::ports::{Boxed, Env};
use ledger::time::Timestamp;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How far the wall clock may leave monotonic time before it is held.
const JUMP_MAX_US: u64 = 5_000_000;

/// The machine this runs on. Its clock never goes back, and a wall clock that jumps is held: time then goes on at the
/// pace of the monotonic clock until the wall clock is within 5 s of it again. A wall clock that was wrong from the start
/// is seen by comparing it with a database's, [`Machine::agree`].
#[derive(Debug)]
pub(crate) struct Machine {
    clock: Mutex<Clock>,
    /// How far a measurement set it ahead.
    ahead_us: AtomicU64,
}

#[derive(Debug)]
struct Clock {
    /// Microseconds since 1970 and the monotonic time when the wall clock was believed last.
    believed_us: u64,
    believed_at: Instant,
    last_us: u64,
    is_held: bool,
}

impl Machine {
    #[expect(clippy::disallowed_methods, reason = "this is where the bank's time comes from")]
    pub(crate) fn new() -> Machine {
        let now_us = wall_us();
        let clock = Clock { believed_us: now_us, believed_at: Instant::now(), last_us: now_us, is_held: false };
        Machine { clock: Mutex::new(clock), ahead_us: AtomicU64::new(0) }
    }

    /// Sets the clock ahead: for measurements, which cannot wait for days to pass.
    pub(crate) fn skip(&self, microseconds: u64) {
        self.ahead_us.fetch_add(microseconds, Ordering::Relaxed);
    }

    /// Goes on from another clock's time where this machine's is more than 5 s off. One node with a wrong clock would
    /// else take a shard's time with it, for good: the shard's time never goes back.
    #[expect(clippy::disallowed_methods, reason = "this is where the bank's time comes from")]
    pub(crate) fn agree(&self, time: Timestamp) {
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        clock.agree(time.microseconds(), wall_us(), Instant::now());
    }
}

impl Env for Machine {
    #[expect(clippy::disallowed_methods, reason = "this is where the bank's time comes from")]
    fn now(&self) -> Timestamp {
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        let now_us = clock.observe(wall_us(), Instant::now()) + self.ahead_us.load(Ordering::Relaxed);
        Timestamp::from_microseconds(now_us).unwrap_or(Timestamp::MAX)
    }

    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("a machine without randomness cannot run a bank");
    }

    #[expect(clippy::disallowed_methods, reason = "this is where the bank waits")]
    fn sleep(&self, microseconds: u64) -> Boxed<'_, ()> {
        Box::pin(tokio::time::sleep(Duration::from_micros(microseconds)))
    }
}

impl Clock {
    fn agree(&mut self, other_us: u64, wall_us: u64, at: Instant) {
        if other_us.abs_diff(wall_us) <= JUMP_MAX_US {
            return;
        }
        let off_us = other_us.abs_diff(wall_us);
        tracing::error!(
            off_us,
            "the wall clock is not the database's, which is used instead: check the machine's time"
        );
        (self.believed_us, self.believed_at) = (other_us, at);
        (self.last_us, self.is_held) = (other_us, true);
    }

    fn observe(&mut self, wall_us: u64, at: Instant) -> u64 {
        let elapsed_us = u64::try_from(at.saturating_duration_since(self.believed_at).as_micros()).unwrap_or(u64::MAX);
        let expected_us = self.believed_us.saturating_add(elapsed_us);
        let jumped = JUMP_MAX_US < wall_us.abs_diff(expected_us);
        if jumped != self.is_held {
            self.is_held = jumped;
            let off_us = wall_us.abs_diff(expected_us);
            if jumped {
                tracing::error!(
                    off_us,
                    "the wall clock jumped; it is held until it is right again: check the machine's time"
                );
            } else {
                tracing::warn!("the wall clock is right again");
            }
        }
        if !jumped {
            self.believed_us = wall_us;
            self.believed_at = at;
        }
        self.last_us = self.last_us.max(if jumped { expected_us } else { wall_us });
        self.last_us
    }
}

#[expect(clippy::disallowed_methods, reason = "this is where the bank's time comes from")]
fn wall_us() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START_US: u64 = 1_800_000_000_000_000;

    #[expect(clippy::disallowed_methods, reason = "any instant will do to count from")]
    fn clock() -> (Clock, Instant) {
        let start = Instant::now();
        (Clock { believed_us: START_US, believed_at: start, last_us: START_US, is_held: false }, start)
    }

    #[test]
    fn time_never_goes_back() {
        let (mut clock, start) = clock();
        assert_eq!(clock.observe(START_US + 100, start + Duration::from_micros(100)), START_US + 100);
        assert_eq!(clock.observe(START_US - 1_000_000, start + Duration::from_micros(200)), START_US + 100);
    }

    #[test]
    fn a_clock_that_jumps_is_held_at_monotonic_pace_until_it_is_right_again() {
        let (mut clock, start) = clock();
        let ten_days_us = 864_000_000_000;
        assert_eq!(clock.observe(START_US + ten_days_us, start + Duration::from_micros(500)), START_US + 500);
        assert_eq!(clock.observe(START_US + ten_days_us + 500, start + Duration::from_micros(1000)), START_US + 1000);
        assert!(clock.is_held);
        assert_eq!(clock.observe(START_US + 2000, start + Duration::from_micros(1500)), START_US + 2000);
        assert!(!clock.is_held);
    }

    #[test]
    fn a_clock_that_is_wrong_from_the_start_is_corrected_and_held_until_it_is_right() {
        for wrong in [START_US + 7_200_000_000, START_US - 7_200_000_000] {
            let (mut clock, start) = clock();
            clock.agree(START_US, wrong, start);
            assert_eq!(clock.observe(wrong + 500, start + Duration::from_micros(500)), START_US + 500);
            assert_eq!(clock.observe(START_US + 1000, start + Duration::from_micros(900)), START_US + 1000);
            assert!(!clock.is_held);
        }
        let (mut clock, start) = clock();
        clock.agree(START_US + 4_000_000, START_US, start);
        assert_eq!(clock.observe(START_US + 100, start + Duration::from_micros(100)), START_US + 100);
    }

    #[test]
    fn small_corrections_of_the_clock_are_followed() {
        let (mut clock, start) = clock();
        assert_eq!(clock.observe(START_US + 2_000_000, start + Duration::from_micros(100)), START_US + 2_000_000);
    }
}
