//! Calendar months: what statements are about.

use ledger::time::{Day, Timestamp};
use std::fmt;
use std::str::FromStr;

/// A calendar month of the years 1970 to 9999, written as `2026-11`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: i32,
    month: u32,
}

impl Month {
    /// The month that a day lies in; `None` outside the years 1970 to 9999.
    pub fn of(day: Day) -> Option<Month> {
        let (year, month, _) = day.date();
        (1970..=9999).contains(&year).then_some(Month { year, month })
    }

    /// Its first day.
    pub fn first_day(self) -> Day {
        Day::from_date(self.year, self.month, 1).unwrap_or(Day::new(0))
    }

    /// The day after its last.
    pub fn day_after(self) -> Day {
        match self.next() {
            Some(next) => next.first_day(),
            None => Day::new(self.first_day().number() + 31),
        }
    }

    /// Its first instant in UTC.
    pub fn start(self) -> Timestamp {
        self.first_day().start().unwrap_or(Timestamp::ZERO)
    }

    /// The instant in UTC at which it is over.
    pub fn end(self) -> Timestamp {
        self.day_after().start().unwrap_or(Timestamp::MAX)
    }

    /// How many months later another one is; 0 for one that is not later.
    pub fn months_until(self, later: Month) -> usize {
        let number = |month: Month| i64::from(month.year) * 12 + i64::from(month.month);
        usize::try_from(number(later) - number(self)).unwrap_or(0)
    }

    /// The month so many months later; `None` after the last one there is.
    pub fn later_by(self, months: usize) -> Option<Month> {
        (0..months).try_fold(self, |month, _| month.next())
    }

    /// The month after it; `None` after the last one there is.
    pub fn next(self) -> Option<Month> {
        match self {
            Month { year: 9999, month: 12 } => None,
            Month { year, month: 12 } => Some(Month { year: year + 1, month: 1 }),
            Month { year, month } => Some(Month { year, month: month + 1 }),
        }
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

/// A text that is no month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a month is written such as 2026-11, from 1970-01 on")]
pub struct NoMonth;

impl FromStr for Month {
    type Err = NoMonth;

    fn from_str(text: &str) -> Result<Month, NoMonth> {
        let is_plain = text.len() == 7 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        let (year, month) = text.split_once('-').filter(|(year, _)| is_plain && year.len() == 4).ok_or(NoMonth)?;
        let (year, month) = (year.parse().map_err(|_| NoMonth)?, month.parse().map_err(|_| NoMonth)?);
        Day::from_date(year, month, 1).and_then(Month::of).ok_or(NoMonth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn month(text: &str) -> Month {
        text.parse().expect("a month")
    }

    #[test]
    fn months_tile_the_calendar() {
        let mut month = month("1970-01");
        while let Some(next) = month.next() {
            assert_eq!((month.day_after(), month.end()), (next.first_day(), next.start()), "{month}");
            assert_eq!(month.to_string().parse(), Ok(month));
            assert_eq!(Month::of(Day::new(month.day_after().number() - 1)), Some(month));
            month = next;
        }
        assert_eq!(month.to_string(), "9999-12");
    }

    #[test]
    fn months_are_counted_over_the_turn_of_a_year() {
        assert_eq!(month("2026-11").later_by(14), Some(month("2028-01")));
        assert_eq!(month("2026-11").months_until(month("2028-01")), 14);
        assert_eq!(month("2026-11").months_until(month("2026-10")), 0);
        assert_eq!(month("9999-11").later_by(2), None);
    }

    #[test]
    fn what_is_no_month_is_refused() {
        for text in ["", "2026", "2026-1", "2026-13", "2026-00", "26-11", "1969-12", "2026-11-01", "+026-11", "2026-+1"]
        {
            assert_eq!(text.parse::<Month>(), Err(NoMonth), "{text}");
        }
    }
}
