//! The bank's calendar: which day an instant lies in, where the bank is.
//!
//! A day is a calendar day of the bank's time zone, from its first instant up to and without the next one's. Days tile
//! time exactly: one with a change of the clock has 23 or 25 hours and is one day all the same. The rules of zones come
//! with the program, so that every node has the same ones.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp as Instant, ToSpan};
use ledger::time::{Day, Timestamp};
use std::fmt;
use std::str::FromStr;

/// See the module.
#[derive(Clone, PartialEq, Eq)]
pub struct Calendar {
    zone: TimeZone,
    name: Box<str>,
}

impl fmt::Debug for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Calendar({})", self.name)
    }
}

impl Default for Calendar {
    fn default() -> Calendar {
        Calendar { zone: TimeZone::UTC, name: "UTC".into() }
    }
}

/// A text that names no time zone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no time zone; write its name such as Europe/Prague, or UTC")]
pub struct UnknownZone(Box<str>);

impl FromStr for Calendar {
    type Err = UnknownZone;

    fn from_str(name: &str) -> Result<Calendar, UnknownZone> {
        match TimeZone::get(name) {
            Ok(zone) => Ok(Calendar { zone, name: name.into() }),
            Err(_) => Err(UnknownZone(name.into())),
        }
    }
}

impl Calendar {
    /// The name of its time zone.
    pub fn zone(&self) -> &str {
        &self.name
    }

    /// The day that an instant lies in.
    pub fn day(&self, at: Timestamp) -> Day {
        let date = self.zone.to_datetime(instant(at)).date();
        day(date)
    }

    /// The first instant of a day; at the ends of time, the first or last instant there is.
    pub fn start(&self, day: Day) -> Timestamp {
        self.at(day, 0)
    }

    /// The first instant after a day: that of the next one.
    pub fn end(&self, day: Day) -> Timestamp {
        self.start(Day::new(day.number().saturating_add(1)))
    }

    /// The instant at which a clock on the wall shows so many minutes past midnight. Where the clock jumps over that time,
    /// as much later as it jumps; where it shows it twice, the first time.
    pub fn at(&self, day: Day, minutes: u16) -> Timestamp {
        let (year, month, date) = day.date();
        let part = |part: u32| i8::try_from(part).unwrap_or(1);
        let Ok(date) = Date::new(i16::try_from(year).unwrap_or(i16::MAX), part(month), part(date)) else {
            return if day < Day::new(0) { Timestamp::ZERO } else { Timestamp::MAX };
        };
        let time = date.to_datetime(jiff::civil::Time::midnight());
        let Ok(time) = time.checked_add(i64::from(minutes).minutes()) else { return Timestamp::MAX };
        match self.zone.to_timestamp(time) {
            Ok(instant) => u64::try_from(instant.as_microsecond())
                .map_or(Timestamp::ZERO, |at| Timestamp::from_microseconds(at).unwrap_or(Timestamp::MAX)),
            Err(_) => Timestamp::MAX,
        }
    }
}

fn instant(at: Timestamp) -> Instant {
    let microseconds = i64::try_from(at.microseconds()).unwrap_or(i64::MAX);
    Instant::from_microsecond(microseconds).unwrap_or(Instant::MAX)
}

fn day(date: Date) -> Day {
    let part = |part: i8| u32::try_from(part).unwrap_or(1);
    Day::from_date(i32::from(date.year()), part(date.month()), part(date.day())).unwrap_or(Day::new(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().expect("a day")
    }

    #[test]
    fn days_tile_time_in_every_zone_over_clock_changes_and_year_ends() {
        for zone in ["UTC", "Europe/Prague", "America/New_York", "Pacific/Apia", "Australia/Lord_Howe", "Africa/Cairo"]
        {
            let calendar: Calendar = zone.parse().expect("a zone");
            for number in day("2010-12-01").number()..day("2027-03-01").number() {
                let (today, next) = (Day::new(number), Day::new(number + 1));
                let (start, end) = (calendar.start(today), calendar.end(today));
                assert_eq!(end, calendar.start(next), "{zone} {today}");
                assert!(start <= end, "{zone} {today}");
                if start < end {
                    let last = Timestamp::from_microseconds(end.microseconds() - 1).expect("a time");
                    assert_eq!((calendar.day(start), calendar.day(last)), (today, today), "{zone} {today}");
                }
            }
        }
    }

    #[test]
    fn a_day_on_which_the_clock_changes_has_another_length() {
        let prague: Calendar = "Europe/Prague".parse().expect("a zone");
        let hours = |text: &str| {
            let (start, end) = (prague.start(day(text)), prague.end(day(text)));
            (end.microseconds() - start.microseconds()) / 3_600_000_000
        };
        assert_eq!(["2026-03-28", "2026-03-29", "2026-10-25", "2026-12-31"].map(hours), [24, 23, 25, 24]);
        assert_eq!(prague.start(day("2027-01-01")).to_string(), "2026-12-31T23:00:00Z");
        assert_eq!(prague.at(day("2026-03-29"), 150).to_string(), "2026-03-29T01:30:00Z", "02:30 is jumped over");
        assert_eq!(prague.at(day("2026-10-25"), 150).to_string(), "2026-10-25T00:30:00Z", "02:30 comes twice");
    }

    #[test]
    fn a_zone_that_is_none_is_refused() {
        assert!("Europe/Atlantis".parse::<Calendar>().is_err());
    }
}
