//! When a standing order is due.

use ledger::time::Day;
use std::fmt;
use std::str::FromStr;

/// See the module. Written as `once 2026-12-24`, `weekly from 2026-12-04` or `monthly on 31 from 2026-12-31`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rhythm {
    /// On one day.
    Once(Day),
    /// Every seventh day from this one on.
    Weekly(Day),
    /// On this day of every month, the last day of a month that has fewer, from a day on.
    Monthly(u8, Day),
}

impl Rhythm {
    /// The first day on which it is due that is this one or later; `None` when there is none.
    pub fn due_from(self, day: Day) -> Option<Day> {
        match self {
            Rhythm::Once(due) => (day <= due).then_some(due),
            Rhythm::Weekly(first) if day <= first => Some(first),
            Rhythm::Weekly(first) => {
                let since = (day.number() - first.number()).rem_euclid(7);
                Some(Day::new(day.number() + (7 - since) % 7))
            }
            Rhythm::Monthly(date, first) => {
                let from = day.max(first);
                let (year, month, _) = from.date();
                let this = in_month(year, month, date)?;
                if from <= this {
                    return Some(this);
                }
                let (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
                in_month(year, month, date)
            }
        }
    }

    /// Whether it is one that can be.
    pub fn is_valid(self) -> bool {
        !matches!(self, Rhythm::Monthly(date, _) if !(1..=31).contains(&date))
    }
}

/// This day of a month, or its last.
fn in_month(year: i32, month: u32, date: u8) -> Option<Day> {
    (28..=u32::from(date)).rev().chain([u32::from(date)]).find_map(|date| Day::from_date(year, month, date))
}

impl fmt::Display for Rhythm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rhythm::Once(day) => write!(f, "once {day}"),
            Rhythm::Weekly(first) => write!(f, "weekly from {first}"),
            Rhythm::Monthly(date, first) => write!(f, "monthly on {date} from {first}"),
        }
    }
}

/// A text that is no rhythm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write `once 2026-12-24`, `weekly from 2026-12-04` or `monthly on 31 from 2026-12-01`")]
pub struct NoRhythm;

impl FromStr for Rhythm {
    type Err = NoRhythm;

    fn from_str(text: &str) -> Result<Rhythm, NoRhythm> {
        let words: Vec<&str> = text.split(' ').collect();
        let day = |text: &str| text.parse::<Day>().map_err(|_| NoRhythm);
        let rhythm = match words[..] {
            ["once", on] => Rhythm::Once(day(on)?),
            ["weekly", "from", first] => Rhythm::Weekly(day(first)?),
            ["monthly", "on", date, "from", first] => Rhythm::Monthly(date.parse().map_err(|_| NoRhythm)?, day(first)?),
            _ => return Err(NoRhythm),
        };
        if rhythm.is_valid() { Ok(rhythm) } else { Err(NoRhythm) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().expect("a day")
    }

    fn days(rhythm: &str, from: &str, count: usize) -> Vec<String> {
        let rhythm: Rhythm = rhythm.parse().expect("a rhythm");
        let mut next = rhythm.due_from(day(from));
        let mut days = Vec::new();
        while let Some(due) = next.filter(|_| days.len() < count) {
            days.push(due.to_string());
            next = rhythm.due_from(Day::new(due.number() + 1));
        }
        days
    }

    #[test]
    fn the_31st_is_the_last_day_of_shorter_months() {
        let expected = ["2027-12-31", "2028-01-31", "2028-02-29", "2028-03-31", "2028-04-30"];
        assert_eq!(days("monthly on 31 from 2027-12-31", "2020-01-01", 5), expected);
        assert_eq!(days("monthly on 30 from 2027-02-01", "2027-02-01", 2), ["2027-02-28", "2027-03-30"]);
        assert_eq!(days("monthly on 1 from 2027-01-02", "2027-01-01", 2), ["2027-02-01", "2027-03-01"]);
    }

    #[test]
    fn a_week_has_seven_days_and_once_is_once() {
        assert_eq!(days("weekly from 2026-12-25", "2026-12-26", 2), ["2027-01-01", "2027-01-08"]);
        assert_eq!(days("weekly from 2026-12-25", "2027-01-01", 1), ["2027-01-01"]);
        assert_eq!(days("once 2026-12-24", "2026-12-24", 3), ["2026-12-24"]);
        assert!(days("once 2026-12-24", "2026-12-25", 3).is_empty());
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["once 2026-12-24", "weekly from 2026-12-25", "monthly on 31 from 2026-12-31"] {
            assert_eq!(text.parse::<Rhythm>().map(|rhythm| rhythm.to_string()), Ok(text.to_owned()));
        }
        for text in
            ["", "once", "daily", "monthly on 0 from 2026-01-01", "monthly on 32 from 2026-01-01", "weekly 2026-01-01"]
        {
            assert_eq!(text.parse::<Rhythm>(), Err(NoRhythm), "{text}");
        }
    }
}
