//! How many requests a second one principal may make, where that is limited: as many at once as a second allows, and
//! then evenly. Time is the bank's.

use ledger::time::Timestamp;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

/// So much may be asked in advance.
const WINDOW_US: u64 = 1_000_000;
/// Beyond so many principals those that asked nothing of late are forgotten.
const PRINCIPALS_MAX: usize = 1024;

/// See the module.
#[derive(Debug)]
pub(crate) struct Rates {
    interval_us: u64,
    /// Up to when each principal has used up its requests.
    used_until_us: Mutex<BTreeMap<Box<str>, u64>>,
}

impl Rates {
    /// So many requests a second for each principal, at most a million.
    pub(crate) fn new(per_second: NonZeroU32) -> Rates {
        let interval_us = (WINDOW_US / u64::from(per_second.get())).max(1);
        Rates { interval_us, used_until_us: Mutex::default() }
    }

    /// Whether this principal may make a request now. One that may not is not counted.
    pub(crate) fn admit(&self, principal: &str, now: Timestamp) -> bool {
        let now_us = now.microseconds();
        let mut used_until_us = self.used_until_us.lock().unwrap_or_else(PoisonError::into_inner);
        if PRINCIPALS_MAX <= used_until_us.len() {
            used_until_us.retain(|_, until_us| now_us < *until_us);
        }
        let known = used_until_us.get(principal).copied().unwrap_or(0).max(now_us);
        // More than a window ahead is nobody: the clock was put back.
        let from_us = if WINDOW_US < known - now_us { now_us } else { known };
        let until_us = from_us + self.interval_us;
        let may = until_us - now_us <= WINDOW_US;
        if may {
            used_until_us.insert(principal.into(), until_us);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(us: u64) -> Timestamp {
        Timestamp::from_microseconds(1_800_000_000_000_000 + us).expect("a time")
    }

    fn admitted(rates: &Rates, principal: &str, us: u64) -> usize {
        (0..100).filter(|_| rates.admit(principal, at(us))).count()
    }

    #[test]
    fn a_second_of_requests_may_come_at_once_and_then_evenly() {
        let rates = Rates::new(NonZeroU32::new(10).expect("not zero"));
        assert_eq!(admitted(&rates, "a", 0), 10);
        assert_eq!(admitted(&rates, "a", 99_999), 0);
        assert_eq!(admitted(&rates, "a", 100_000), 1);
        assert_eq!(admitted(&rates, "a", 5_000_000), 10, "rest does not add up");
        assert_eq!(admitted(&rates, "b", 5_000_000), 10, "each principal has its own");
    }

    #[test]
    fn a_clock_that_is_put_back_locks_nobody_out() {
        let rates = Rates::new(NonZeroU32::new(1).expect("not zero"));
        assert_eq!(admitted(&rates, "a", 100_000_000), 1);
        assert_eq!(admitted(&rates, "a", 0), 1);
    }

    #[test]
    fn principals_that_ask_nothing_any_more_are_forgotten() {
        let rates = Rates::new(NonZeroU32::new(1).expect("not zero"));
        for number in 0..2 * PRINCIPALS_MAX as u64 {
            assert!(rates.admit(&number.to_string(), at(number * 2 * WINDOW_US)));
        }
        assert!(rates.used_until_us.lock().expect("unpoisoned").len() <= PRINCIPALS_MAX);
    }
}
