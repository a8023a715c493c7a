//! How threads of this module wait: until they are told to stop, and between attempts longer and longer, each time by
//! chance, so that those that failed together do not come back together.

use bank::ports::Env;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Longest first wait, and longest wait of all.
const FIRST_US: u64 = 50_000;
const LONGEST_US: u64 = 10_000_000;

/// Exponential backoff with full jitter.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Counts a failure, and says how many microseconds to wait before the next attempt.
    pub(super) fn next_us(&mut self, env: &dyn Env) -> u64 {
        let bound_us = FIRST_US.saturating_mul(1 << self.failures.min(32)).min(LONGEST_US);
        self.failures = self.failures.saturating_add(1);
        let mut random = [0; 8];
        env.fill(&mut random);
        u64::from_le_bytes(random) % (bound_us + 1)
    }

    /// An attempt succeeded.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Tells a thread to stop, even while it waits.
#[derive(Debug, Default)]
pub(super) struct Stop {
    is_requested: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// Asks it to stop.
    pub(super) fn request(&self) {
        *self.is_requested.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Whether it was asked to stop.
    pub(super) fn is_requested(&self) -> bool {
        *self.is_requested.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits so many microseconds, or until it is asked to stop.
    pub(super) fn wait_us(&self, microseconds: u64) {
        let is_requested = self.is_requested.lock().unwrap_or_else(PoisonError::into_inner);
        let waited =
            self.changed
                .wait_timeout_while(is_requested, Duration::from_micros(microseconds), |is_requested| !*is_requested);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::env::Machine;

    #[test]
    fn waits_grow_and_stay_bounded() {
        let (env, mut backoff) = (Machine::new(), Backoff::default());
        for failures in 0..100 {
            let bound_us = FIRST_US.saturating_mul(1 << failures.min(32)).min(LONGEST_US);
            assert!(backoff.next_us(&env) <= bound_us);
        }
        let longest = (0..100).map(|_| backoff.next_us(&env)).max();
        assert!(longest.is_some_and(|longest| LONGEST_US / 2 < longest), "a hundred draws are not all small");
        backoff.reset();
        assert!(backoff.next_us(&env) <= FIRST_US);
    }

    #[test]
    fn who_waits_is_woken_to_stop() {
        let stop = Stop::default();
        std::thread::scope(|scope| {
            scope.spawn(|| stop.request());
            stop.wait_us(60_000_000);
        });
        assert!(stop.is_requested());
    }
}
