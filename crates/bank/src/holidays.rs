//! Days on which the bank does no business, and what becomes of what falls on them.

use crate::calendar::Calendar;
use ledger::time::Day;
use std::collections::BTreeSet;

/// Most days that are looked at for the next business day: no bank is closed for longer.
const CLOSED_DAYS_MAX: i32 = 366;

/// The days without business: Saturdays, Sundays and those that are named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holidays {
    days: BTreeSet<Day>,
}

/// When something is done whose day is no business day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HolidayRule {
    /// On its day all the same.
    #[default]
    SameDay,
    /// On the last business day before it.
    Before,
    /// On the first business day after it.
    After,
}

impl HolidayRule {
    /// Every rule with the word for it on the wire.
    pub const ALL: [(&'static str, HolidayRule); 3] =
        [("same_day", HolidayRule::SameDay), ("before", HolidayRule::Before), ("after", HolidayRule::After)];

    /// The word for it on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            HolidayRule::SameDay => "same_day",
            HolidayRule::Before => "before",
            HolidayRule::After => "after",
        }
    }
}

impl Holidays {
    /// These days and all weekends.
    pub fn new(days: impl IntoIterator<Item = Day>) -> Holidays {
        Holidays { days: days.into_iter().collect() }
    }

    /// Whether the bank does business on a day.
    pub fn is_business_day(&self, day: Day) -> bool {
        // 1970-01-01 was a Thursday.
        let weekday = (day.number() + 3).rem_euclid(7);
        weekday < 5 && !self.days.contains(&day)
    }

    /// The day on which something is done that falls on this one.
    pub fn moved(&self, day: Day, rule: HolidayRule) -> Day {
        let step = match rule {
            HolidayRule::SameDay => return day,
            HolidayRule::Before => -1,
            HolidayRule::After => 1,
        };
        let days = (0..CLOSED_DAYS_MAX).map(|count| Day::new(day.number().saturating_add(count * step)));
        days.into_iter().find(|day| self.is_business_day(*day)).unwrap_or(day)
    }
}

/// The bank's calendar with its holidays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BusinessCalendar {
    /// Its days.
    pub calendar: Calendar,
    /// Those without business.
    pub holidays: Holidays,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().expect("a day")
    }

    #[test]
    fn what_falls_on_a_holiday_is_done_before_or_after_it() {
        let holidays = Holidays::new([day("2026-12-24"), day("2026-12-25"), day("2026-12-28")]);
        let moved = |text: &str, rule| holidays.moved(day(text), rule).to_string();
        assert_eq!(moved("2026-12-25", HolidayRule::Before), "2026-12-23");
        assert_eq!(moved("2026-12-25", HolidayRule::After), "2026-12-29", "a weekend and a holiday follow");
        assert_eq!(moved("2026-12-25", HolidayRule::SameDay), "2026-12-25");
        for rule in HolidayRule::ALL {
            assert_eq!(moved("2026-12-23", rule.1), "2026-12-23", "a Wednesday");
        }
    }

    #[test]
    fn weekends_are_saturdays_and_sundays() {
        let week = ["2026-11-16", "2026-11-17", "2026-11-18", "2026-11-19", "2026-11-20", "2026-11-21", "2026-11-22"];
        let is_business_day = week.map(|text| Holidays::default().is_business_day(day(text)));
        assert_eq!(is_business_day, [true, true, true, true, true, false, false]);
    }
}
