//! Limits on what may leave a customer's account, and the counters they are held against.
//!
//! What counts is the net debit of an account by one transfer, and what a new hold reserves. It counts on its booking
//! day; what comes back (a reversal, a hold released) is given back to the day it came from, as long as that day or
//! month is still the current one.

use crate::amount::Amount;
use crate::time::Day;

/// An account's limits; `None` means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The most one transfer or hold may take.
    pub per_transfer: Option<Amount>,
    /// The most that may leave on one booking day.
    pub daily_debit: Option<Amount>,
    /// The most that may leave in one calendar month of booking days.
    pub monthly_debit: Option<Amount>,
}

/// Which limit a debit would exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    /// Of one transfer.
    PerTransfer,
    /// Of a day.
    DailyDebit,
    /// Of a month.
    MonthlyDebit,
    /// Of active holds on one account, which is Florin's own bound.
    ActiveHolds,
}

/// Debits of the current booking day and month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DebitCounter {
    day: Day,
    of_day: u128,
    of_month: u128,
}

impl DebitCounter {
    /// The counter as a codec stores it: day, debits of the day, debits of the month.
    pub const fn parts(self) -> (Day, u128, u128) {
        (self.day, self.of_day, self.of_month)
    }

    /// The counter a codec read back.
    pub const fn from_parts(day: Day, of_day: u128, of_month: u128) -> DebitCounter {
        DebitCounter { day, of_day, of_month }
    }

    /// The counter on this day: a new day starts from zero, and so does a new month.
    #[must_use]
    pub fn on(self, day: Day) -> DebitCounter {
        if day == self.day {
            return self;
        }
        let of_month = if day.is_same_month(self.day) { self.of_month } else { 0 };
        DebitCounter { day, of_day: 0, of_month }
    }

    /// The counter with a debit more.
    #[must_use]
    pub fn debited(self, day: Day, amount: u128) -> DebitCounter {
        let counter = self.on(day);
        DebitCounter { day, of_day: counter.of_day + amount, of_month: counter.of_month + amount }
    }

    /// The counter with a debit of an earlier day given back.
    #[must_use]
    pub fn given_back(self, debited_on: Day, amount: u128) -> DebitCounter {
        let of_day = if debited_on == self.day { self.of_day.saturating_sub(amount) } else { self.of_day };
        let of_month =
            if debited_on.is_same_month(self.day) { self.of_month.saturating_sub(amount) } else { self.of_month };
        DebitCounter { day: self.day, of_day, of_month }
    }

    /// The counter with a debit of an earlier day that was given back and counts again.
    #[must_use]
    pub fn taken_again(self, debited_on: Day, amount: u128) -> DebitCounter {
        let of_day = if debited_on == self.day { self.of_day + amount } else { self.of_day };
        let of_month = if debited_on.is_same_month(self.day) { self.of_month + amount } else { self.of_month };
        DebitCounter { day: self.day, of_day, of_month }
    }
}

impl Limits {
    /// The first limit that a debit on this day would exceed.
    pub fn exceeded_by(&self, counter: DebitCounter, day: Day, amount: u128) -> Option<LimitKind> {
        let counter = counter.on(day);
        let exceeds = |limit: Option<Amount>, used: u128| {
            limit.is_some_and(|limit| u128::from(limit.minor_units()) < used + amount)
        };
        if exceeds(self.per_transfer, 0) {
            return Some(LimitKind::PerTransfer);
        }
        if exceeds(self.daily_debit, counter.of_day) {
            return Some(LimitKind::DailyDebit);
        }
        exceeds(self.monthly_debit, counter.of_month).then_some(LimitKind::MonthlyDebit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debit_given_back_returns_to_the_day_it_came_from() {
        let day = |day| Day::from_date(2026, 11, day).expect("a day");
        let counter = DebitCounter::default().debited(day(20), 70).debited(day(21), 30);
        assert_eq!(counter.parts(), (day(21), 30, 100));
        assert_eq!(counter.given_back(day(20), 70).parts(), (day(21), 30, 30));
        assert_eq!(counter.given_back(day(21), 30).parts(), (day(21), 0, 70));
        assert_eq!(counter.on(Day::from_date(2026, 12, 1).expect("a day")).parts().2, 0);
    }
}
