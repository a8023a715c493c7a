//! When a provider may be asked: at most so often a second, not while it said to wait, and not while it is down. Time is an
//! argument.

use ledger::time::Timestamp;
use std::num::NonZeroU32;

/// So many failures in a row open the breaker.
const FAILURES_MAX: u32 = 5;
/// How long it stays open the first time, and at most; the time doubles with each trial that fails.
const OPEN_FIRST_US: u64 = 2_000_000;
const OPEN_MOST_US: u64 = 300_000_000;
const SECOND_US: u64 = 1_000_000;

/// How long a provider is left alone that asks for it and does not say for how long: the first time, and at most; the time
/// doubles with each time it asks again after that.
const PAUSE_FIRST_US: u64 = 1_000_000;
const PAUSE_MOST_US: u64 = 60_000_000;
/// Whom a provider asked to be left alone about counts for so long.
const ASKED_US: u64 = 60_000_000;

/// What a provider did so long ago is forgotten: longer than it is ever left alone.
const FORGET_US: u64 = 600_000_000;

/// The gate before one provider.
#[derive(Clone, Debug)]
pub struct Gate {
    rate: Option<NonZeroU32>,
    /// When the next may go, if the rate were all; it lags behind now by at most a second.
    next_us: u64,
    failures: u32,
    /// When it failed last.
    failed_us: u64,
    failing: Whose,
    open: Option<Open>,
    /// With whose messages the provider asked to be left alone, and until when that counts.
    asked: Whose,
    asked_until_us: u64,
    /// Until when the provider asked to be left alone.
    paused_until_us: u64,
    /// For how long it is left alone when it asks the next time and does not say.
    pause_us: u64,
}

/// Whose messages were answered so in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Nobodys,
    Ones(u64),
    Several,
}

impl Whose {
    /// With one of this customer's; `None` where customers have no part in it.
    fn and(self, customer: Option<u64>) -> Whose {
        match (self, customer) {
            (Whose::Nobodys, Some(customer)) => Whose::Ones(customer),
            (Whose::Ones(one), Some(customer)) if one == customer => Whose::Ones(one),
            _ => Whose::Several,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Open {
    until_us: u64,
    for_us: u64,
    is_tried: bool,
}

/// How a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// All goes through.
    Closed,
    /// Nothing goes through.
    Open,
    /// One goes through, to see.
    HalfOpen,
}

impl Gate {
    /// A closed gate for at most so many messages a second.
    pub fn new(rate: Option<NonZeroU32>) -> Gate {
        let (failing, asked) = (Whose::Nobodys, Whose::Nobodys);
        let (next_us, failed_us, paused_until_us, asked_until_us) = (0, 0, 0, 0);
        let (failures, open, pause_us) = (0, None, PAUSE_FIRST_US);
        Gate { rate, next_us, failures, failed_us, failing, open, asked, asked_until_us, paused_until_us, pause_us }
    }

    /// From when on to ask again; `None` where one would be let through now.
    pub fn closed_until(&self, now: Timestamp) -> Option<Timestamp> {
        let now_us = now.microseconds();
        // A trial's end is told; should it never be, another is made after the same time once more.
        let open_until_us = self.open.map_or(0, |open| open.until_us + if open.is_tried { open.for_us } else { 0 });
        let rate_until_us = self.rate.map_or(0, |_| self.next_us);
        let until_us = match () {
            () if now_us < self.paused_until_us => self.paused_until_us,
            () if now_us < open_until_us => open_until_us,
            () if now_us < rate_until_us => rate_until_us,
            () => return None,
        };
        Some(Timestamp::from_microseconds(until_us).unwrap_or(Timestamp::MAX))
    }

    /// Lets one through now, which is sent at once, or says from when on to ask again.
    ///
    /// # Errors
    /// The time to ask again.
    pub fn admit(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        if let Some(until) = self.closed_until(now) {
            return Err(until);
        }
        let now_us = now.microseconds();
        if let Some(rate) = self.rate {
            let step_us = (SECOND_US / u64::from(rate.get())).max(1);
            self.next_us = self.next_us.max(now_us.saturating_sub(SECOND_US)) + step_us;
        }
        if let Some(open) = &mut self.open {
            open.is_tried = true;
            open.until_us = now_us + open.for_us;
        }
        Ok(())
    }

    /// The provider took a message, or refused that message alone.
    pub fn answered(&mut self) {
        (self.failures, self.failing) = (0, Whose::Nobodys);
        self.asked = Whose::Nobodys;
        self.open = None;
        self.pause_us = PAUSE_FIRST_US;
    }

    /// The provider itself failed, with a message of this customer; `None` where customers have no part in where it goes. One
    /// customer's messages alone never open the breaker: what fails may be what that customer chose.
    pub fn failed(&mut self, now: Timestamp, customer: Option<u64>) {
        self.failures = self.failures.saturating_add(1);
        self.failed_us = now.microseconds();
        self.failing = self.failing.and(customer);
        let for_us = match self.open {
            Some(open) if open.is_tried => (open.for_us * 2).min(OPEN_MOST_US),
            Some(_) => return,
            None if self.failures < FAILURES_MAX || self.failing != Whose::Several => return,
            None => OPEN_FIRST_US,
        };
        self.open = Some(Open { until_us: now.microseconds() + for_us, for_us, is_tried: false });
    }

    /// The provider asked to be left alone, for so many microseconds if it said so, when it was given a message of this customer;
    /// `None` where customers have no part in it. What it says about one customer's messages alone delays those: nothing else
    /// waits for them.
    pub fn slow_down(&mut self, now: Timestamp, for_us: Option<u64>, customer: Option<u64>) {
        (self.failures, self.failing) = (0, Whose::Nobodys);
        self.open = None;
        let now_us = now.microseconds();
        let before = if now_us < self.asked_until_us { self.asked } else { Whose::Nobodys };
        self.asked = before.and(customer);
        if self.asked == Whose::Several {
            self.pause(now_us, for_us);
        }
        self.asked_until_us = self.paused_until_us.max(now_us).saturating_add(ASKED_US);
    }

    fn pause(&mut self, now_us: u64, for_us: Option<u64>) {
        let is_asked_already = now_us < self.paused_until_us;
        let for_us = match for_us {
            Some(for_us) => for_us,
            // Those that were under way when it asked first ask for nothing new.
            None if is_asked_already => return,
            None => {
                let for_us = self.pause_us;
                self.pause_us = (for_us * 2).min(PAUSE_MOST_US);
                for_us
            }
        };
        self.paused_until_us = self.paused_until_us.max(now_us.saturating_add(for_us));
    }

    /// Whether a new gate would do the same, or this one knows only what is long past, so that it need not be kept: else each host that
    /// failed once, which nobody may ask again, would be kept for ever.
    pub fn is_as_new(&self, now: Timestamp) -> bool {
        let now_us = now.microseconds();
        let rests = self.paused_until_us <= now_us && self.next_us.saturating_add(SECOND_US) <= now_us;
        let nobody_asked = self.asked == Whose::Nobodys || self.asked_until_us <= now_us;
        let last_heard_us = self.failed_us.max(self.paused_until_us).max(self.asked_until_us);
        let is_open = self.open.is_some_and(|open| now_us < open.until_us + open.for_us);
        let is_long_past = last_heard_us.saturating_add(FORGET_US) <= now_us && !is_open;
        let is_well = self.failures == 0 && self.open.is_none() && self.pause_us == PAUSE_FIRST_US;
        rests && nobody_asked && (is_well || is_long_past)
    }

    /// How the breaker stands.
    pub fn state(&self, now: Timestamp) -> BreakerState {
        match self.open {
            None => BreakerState::Closed,
            Some(open) if open.is_tried || open.until_us <= now.microseconds() => BreakerState::HalfOpen,
            Some(_) => BreakerState::Open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(us: u64) -> Timestamp {
        Timestamp::from_microseconds(1_800_000_000_000_000 + us).expect("a time")
    }

    #[test]
    fn a_rate_is_kept_and_what_was_not_used_lasts_for_a_second() {
        let mut gate = Gate::new(NonZeroU32::new(10));
        let admitted = |gate: &mut Gate, us| (0..100).filter(|_| gate.admit(at(us)).is_ok()).count();
        assert_eq!(admitted(&mut gate, 0), 11);
        assert_eq!(gate.admit(at(0)), Err(at(100_000)));
        assert_eq!(admitted(&mut gate, 500_000), 5);
        assert_eq!(admitted(&mut gate, 60_000_000), 11);
    }

    #[test]
    fn a_provider_that_fails_is_left_alone_and_tried_again_with_one_message() {
        let mut gate = Gate::new(None);
        for _ in 0..FAILURES_MAX {
            assert_eq!(gate.admit(at(0)), Ok(()));
            gate.failed(at(0), None);
        }
        assert_eq!(gate.state(at(0)), BreakerState::Open);
        assert_eq!(gate.admit(at(0)), Err(at(OPEN_FIRST_US)));
        assert_eq!(gate.admit(at(OPEN_FIRST_US)), Ok(()), "one to see");
        assert_eq!(gate.state(at(OPEN_FIRST_US)), BreakerState::HalfOpen);
        assert!(gate.admit(at(OPEN_FIRST_US)).is_err(), "and no other");
        gate.failed(at(OPEN_FIRST_US), None);
        assert_eq!(gate.admit(at(OPEN_FIRST_US)), Err(at(OPEN_FIRST_US * 3)), "twice as long");
        assert_eq!(gate.admit(at(OPEN_FIRST_US * 3)), Ok(()));
        gate.answered();
        assert_eq!(gate.state(at(OPEN_FIRST_US * 3)), BreakerState::Closed);
        assert!((0..100).all(|_| gate.admit(at(OPEN_FIRST_US * 3)).is_ok()));
    }

    #[test]
    fn failures_with_answers_between_open_nothing() {
        let mut gate = Gate::new(None);
        for _ in 0..100 {
            gate.failed(at(0), None);
            gate.failed(at(0), None);
            gate.answered();
        }
        assert_eq!(gate.state(at(0)), BreakerState::Closed);
    }

    #[test]
    fn a_trial_of_which_nothing_is_heard_is_made_again() {
        let mut gate = Gate::new(None);
        (0..FAILURES_MAX).for_each(|_| gate.failed(at(0), None));
        assert_eq!(gate.admit(at(OPEN_FIRST_US)), Ok(()));
        let mut now = OPEN_FIRST_US;
        while gate.admit(at(now)).is_err() {
            now += SECOND_US;
            assert!(now < 60 * SECOND_US, "some time");
        }
    }

    #[test]
    fn who_asks_to_be_left_alone_is_left_alone() {
        let mut gate = Gate::new(None);
        gate.slow_down(at(0), Some(7 * SECOND_US), None);
        gate.slow_down(at(0), Some(SECOND_US), None);
        assert_eq!(gate.admit(at(1)), Err(at(7 * SECOND_US)));
        assert_eq!(gate.admit(at(7 * SECOND_US)), Ok(()));
    }

    #[test]
    fn who_asks_to_be_left_alone_and_does_not_say_for_how_long_is_left_alone_for_longer_and_longer() {
        let mut gate = Gate::new(None);
        let mut now = 0;
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            (0..10).for_each(|_| gate.slow_down(at(now), None, None));
            assert_eq!(gate.admit(at(now)), Err(at(now + seconds * SECOND_US)));
            now += seconds * SECOND_US;
            assert_eq!(gate.admit(at(now)), Ok(()));
        }
        gate.answered();
        gate.slow_down(at(now), None, None);
        assert_eq!(gate.admit(at(now)), Err(at(now + SECOND_US)), "it was well in between");
    }

    #[test]
    fn one_customers_messages_alone_open_nothing() {
        let mut gate = Gate::new(None);
        (0..100).for_each(|_| gate.failed(at(0), Some(7)));
        assert_eq!(gate.state(at(0)), BreakerState::Closed);
        gate.failed(at(0), Some(8));
        assert_eq!(gate.state(at(0)), BreakerState::Open);
    }

    #[test]
    fn what_is_asked_about_one_customers_messages_holds_up_nobody_elses() {
        let mut gate = Gate::new(None);
        (0..100).for_each(|_| gate.slow_down(at(0), Some(SECOND_US), Some(7)));
        assert_eq!(gate.admit(at(0)), Ok(()));
        gate.slow_down(at(0), Some(SECOND_US), Some(8));
        assert_eq!(gate.admit(at(0)), Err(at(SECOND_US)), "it is more than one customer's affair");
        gate.slow_down(at(SECOND_US), Some(SECOND_US), Some(8));
        assert_eq!(gate.admit(at(SECOND_US)), Err(at(2 * SECOND_US)), "and stays that");
        gate.answered();
        gate.slow_down(at(2 * SECOND_US), Some(SECOND_US), Some(8));
        assert_eq!(gate.admit(at(2 * SECOND_US)), Ok(()), "it was well in between");
        gate.slow_down(at(2 * SECOND_US + ASKED_US), Some(SECOND_US), Some(7));
        assert_eq!(gate.admit(at(2 * SECOND_US + ASKED_US)), Ok(()), "that is long ago");
        assert!(!gate.is_as_new(at(2 * SECOND_US + ASKED_US)));
        assert!(gate.is_as_new(at(2 * SECOND_US + 2 * ASKED_US)));
    }

    #[test]
    fn a_gate_of_which_nothing_was_heard_for_long_is_forgotten_and_one_that_is_open_is_not() {
        let mut gate = Gate::new(None);
        gate.failed(at(0), Some(7));
        assert!(!gate.is_as_new(at(FORGET_US - 1)));
        assert!(gate.is_as_new(at(FORGET_US)));
        let mut now = 0;
        (0..FAILURES_MAX).for_each(|_| gate.failed(at(now), None));
        while let Err(until) = gate.admit(at(now)) {
            now = until.microseconds() - at(0).microseconds();
        }
        for _ in 0..10 {
            gate.failed(at(now), None);
            while let Err(until) = gate.admit(at(now)) {
                now = until.microseconds() - at(0).microseconds();
            }
        }
        assert!(!gate.is_as_new(at(now + OPEN_MOST_US)), "what the trial says may still be told");
        assert!(gate.is_as_new(at(now + 2 * FORGET_US)));
    }

    #[test]
    fn to_look_whether_it_is_open_is_no_trial() {
        let mut gate = Gate::new(None);
        (0..FAILURES_MAX).for_each(|_| gate.failed(at(0), None));
        assert!((0..100).all(|_| gate.closed_until(at(OPEN_FIRST_US)).is_none()));
        assert_eq!(gate.admit(at(OPEN_FIRST_US)), Ok(()));
        assert!(!gate.is_as_new(at(OPEN_FIRST_US)));
        gate.answered();
        assert!(gate.is_as_new(at(OPEN_FIRST_US)));
    }
}
