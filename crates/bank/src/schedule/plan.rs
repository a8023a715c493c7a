//! When a job is done.

use crate::calendar::Calendar;
use ledger::time::{Day, Timestamp};
use std::fmt;
use std::str::FromStr;

/// Minutes of a day.
const DAY_MINUTES: u16 = 24 * 60;

/// See the module. Written as `every 60s`, `daily at 00:05`, `monthly on 1 at 03:00` or `off`; by the bank's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Never.
    Off,
    /// Every so many milliseconds.
    Every(u64),
    /// Every day at so many minutes past midnight.
    Daily(u16),
    /// On this day of every month, at so many minutes past midnight.
    Monthly(u8, u16),
}

impl Plan {
    /// Whether each run is for a date of its own.
    pub fn is_by_date(self) -> bool {
        matches!(self, Plan::Daily(_) | Plan::Monthly(..))
    }

    /// The latest date whose time has come; for one without dates, today.
    pub fn latest(self, calendar: &Calendar, now: Timestamp) -> Option<Day> {
        let today = calendar.day(now);
        match self {
            Plan::Off => None,
            Plan::Every(_) => Some(today),
            Plan::Daily(minutes) if calendar.at(today, minutes) <= now => Some(today),
            Plan::Daily(_) => Some(Day::new(today.number() - 1)),
            Plan::Monthly(date, minutes) => {
                let (year, month, _) = today.date();
                let this = Day::from_date(year, month, u32::from(date))?;
                if calendar.at(this, minutes) <= now {
                    return Some(this);
                }
                let (year, month) = if month == 1 { (year - 1, 12) } else { (year, month - 1) };
                Day::from_date(year, month, u32::from(date))
            }
        }
    }

    /// The next time after this one; `None` where the clock has no say.
    pub fn next_time(self, calendar: &Calendar, now: Timestamp) -> Option<Timestamp> {
        let latest = self.latest(calendar, now)?;
        match self {
            Plan::Off | Plan::Every(_) => None,
            Plan::Daily(minutes) => Some(calendar.at(Day::new(latest.number() + 1), minutes)),
            Plan::Monthly(date, minutes) => {
                let (year, month, _) = latest.date();
                let (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
                Some(calendar.at(Day::from_date(year, month, u32::from(date))?, minutes))
            }
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |minutes: &u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        match self {
            Plan::Off => f.write_str("off"),
            Plan::Every(milliseconds) if milliseconds % 1000 == 0 => write!(f, "every {}s", milliseconds / 1000),
            Plan::Every(milliseconds) => write!(f, "every {milliseconds}ms"),
            Plan::Daily(minutes) => write!(f, "daily at {}", time(minutes)),
            Plan::Monthly(date, minutes) => write!(f, "monthly on {date} at {}", time(minutes)),
        }
    }
}

/// A text that is no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write `every 60s`, `daily at 00:05`, `monthly on 1 at 03:00` with a day up to 28, or `off`")]
pub struct NoPlan;

impl FromStr for Plan {
    type Err = NoPlan;

    fn from_str(text: &str) -> Result<Plan, NoPlan> {
        let words: Vec<&str> = text.split(' ').collect();
        match words[..] {
            ["off"] => Ok(Plan::Off),
            ["every", period] => every(period).ok_or(NoPlan),
            ["daily", "at", time] => minutes(time).map(Plan::Daily).ok_or(NoPlan),
            ["monthly", "on", date, "at", time] => {
                let date = date.parse().ok().filter(|date| (1..=28).contains(date));
                date.zip(minutes(time)).map(|(date, minutes)| Plan::Monthly(date, minutes)).ok_or(NoPlan)
            }
            _ => Err(NoPlan),
        }
    }
}

fn every(text: &str) -> Option<Plan> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1),
        None => (text.strip_suffix('s')?, 1000),
    };
    let milliseconds = number.parse::<u64>().ok()?.checked_mul(unit)?;
    (10 <= milliseconds).then_some(Plan::Every(milliseconds))
}

fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':').filter(|_| text.len() == 5)?;
    let minutes =
        hours.parse::<u16>().ok()?.checked_mul(60)? + minutes.parse::<u16>().ok().filter(|part| *part < 60)?;
    (minutes < DAY_MINUTES).then_some(minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Plan {
        text.parse().expect("a plan")
    }

    #[test]
    fn plans_are_written_as_they_are_read() {
        for text in ["off", "every 60s", "every 250ms", "daily at 00:05", "monthly on 28 at 23:59"] {
            assert_eq!(plan(text).to_string(), text);
        }
        for text in ["", "hourly", "every 5", "every 0s", "daily at 24:00", "daily at 0:05", "monthly on 29 at 00:00"] {
            assert_eq!(text.parse::<Plan>(), Err(NoPlan), "{text}");
        }
    }

    #[test]
    fn a_date_has_come_when_the_banks_clock_shows_its_time() {
        let prague: Calendar = "Europe/Prague".parse().expect("a zone");
        let latest = |text: &str, now: &str| {
            let now = now.parse().expect("a time");
            plan(text).latest(&prague, now).map(|day| day.to_string()).unwrap_or_default()
        };
        assert_eq!(latest("daily at 00:05", "2026-11-21T23:04:59Z"), "2026-11-21");
        assert_eq!(latest("daily at 00:05", "2026-11-21T23:05:00Z"), "2026-11-22");
        assert_eq!(latest("monthly on 1 at 03:00", "2027-01-01T01:59:59Z"), "2026-12-01");
        assert_eq!(latest("monthly on 1 at 03:00", "2027-01-01T02:00:00Z"), "2027-01-01");
        assert_eq!(latest("off", "2027-01-01T02:00:00Z"), "");
    }

    #[test]
    fn every_date_comes_once_over_nights_in_which_the_clock_changes() {
        let prague: Calendar = "Europe/Prague".parse().expect("a zone");
        for text in ["daily at 02:30", "daily at 00:00"] {
            let (mut now, mut days) = ("2026-03-20T12:00:00Z".parse().expect("a time"), Vec::new());
            for _ in 0..250 {
                let next = plan(text).next_time(&prague, now).expect("a time");
                assert!(now < next, "{text} {now}");
                days.push(plan(text).latest(&prague, next).expect("a date").number());
                now = next;
            }
            assert!(days.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{text}: {days:?}");
        }
    }
}
