//! Instants and booking days. The rule book has no clock: times come in through the entry's header.

use std::fmt;
use std::str::FromStr;

const MICROSECONDS_PER_SECOND: u64 = 1_000_000;
const SECONDS_PER_DAY: u64 = 86_400;
/// 9999-12-31T23:59:59.999999Z, the last instant RFC 3339 can write.
const LAST: u64 = 253_402_300_799_999_999;

/// An instant: microseconds since 1970-01-01T00:00:00Z, up to the end of the year 9999.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

/// A calendar day of the bank: days since 1970-01-01.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i32);

/// A text that is no instant or day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidTime;

impl fmt::Display for InvalidTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("write a time as RFC 3339 with an offset, such as 2026-11-21T10:00:00Z, between 1970 and 9999")
    }
}

impl std::error::Error for InvalidTime {}

impl Timestamp {
    /// The first instant there is: 1970-01-01T00:00:00Z.
    pub const ZERO: Timestamp = Timestamp(0);
    /// The last instant there is.
    pub const MAX: Timestamp = Timestamp(LAST);

    /// The instant so many microseconds after 1970; `None` after the year 9999.
    pub const fn from_microseconds(microseconds: u64) -> Option<Timestamp> {
        if microseconds <= LAST { Some(Timestamp(microseconds)) } else { None }
    }

    /// Microseconds since 1970.
    pub const fn microseconds(self) -> u64 {
        self.0
    }

    /// The instant so many microseconds later, at most [`Timestamp::MAX`].
    pub const fn saturating_add(self, microseconds: u64) -> Timestamp {
        match self.0.checked_add(microseconds) {
            Some(sum) if sum <= LAST => Timestamp(sum),
            _ => Timestamp::MAX,
        }
    }

    /// The day of this instant in UTC.
    pub const fn day(self) -> Day {
        Day((self.0 / (MICROSECONDS_PER_SECOND * SECONDS_PER_DAY)) as i32)
    }
}

impl Day {
    /// The day so many days after 1970-01-01.
    pub const fn new(days: i32) -> Day {
        Day(days)
    }

    /// Days since 1970-01-01.
    pub const fn number(self) -> i32 {
        self.0
    }

    /// The day of a date of the Gregorian calendar; `None` if there is no such date.
    pub fn from_date(year: i32, month: u32, day: u32) -> Option<Day> {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days_in_month = match month {
            2 => 28 + u32::from(leap),
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        if !(1..=days_in_month).contains(&day) || !(0..=9999).contains(&year) {
            return None;
        }
        // Days from civil: years start in March, so that the leap day is the last one (H. Hinnant's algorithm).
        let (month, day) = (i32::try_from(month).ok()?, i32::try_from(day).ok()?);
        let shifted_year = if month <= 2 { year - 1 } else { year };
        let era = shifted_year.div_euclid(400);
        let year_of_era = shifted_year.rem_euclid(400);
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        Some(Day(era * 146_097 + day_of_era - 719_468))
    }

    /// Year, month (1 to 12) and day of the month.
    pub fn date(self) -> (i32, u32, u32) {
        let days = i64::from(self.0) + 719_468; // any day that a file may hold has a date
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        // A day is 32 bits, so years are within 6 million.
        let part = |part: i64| u32::try_from(part).unwrap_or_default();
        (i32::try_from(year).unwrap_or_default(), part(month), part(day))
    }

    /// The first instant of this day in UTC; `None` before 1970 and after 9999.
    pub fn start(self) -> Option<Timestamp> {
        let days = u64::try_from(self.0).ok()?;
        Timestamp::from_microseconds(days * SECONDS_PER_DAY * MICROSECONDS_PER_SECOND)
    }

    /// Whether both days lie in the same calendar month.
    pub fn is_same_month(self, other: Day) -> bool {
        let ((year, month, _), (other_year, other_month, _)) = (self.date(), other.date());
        (year, month) == (other_year, other_month)
    }
}

/// The decimal number at this place of a text, if all of it is ASCII digits.
fn digits(text: &[u8], range: std::ops::Range<usize>) -> Option<u32> {
    text.get(range)?.iter().try_fold(0u32, |sum, byte| match byte {
        b'0'..=b'9' => Some(sum * 10 + u32::from(byte - b'0')),
        _ => None,
    })
}

/// A date `2026-11-21` at the start of a text.
fn date(text: &[u8]) -> Option<Day> {
    if text.get(4) != Some(&b'-') || text.get(7) != Some(&b'-') {
        return None;
    }
    Day::from_date(i32::try_from(digits(text, 0..4)?).ok()?, digits(text, 5..7)?, digits(text, 8..10)?)
}

/// What follows the seconds: an optional fraction (beyond microseconds cut off) and the offset, in seconds east of UTC.
fn fraction_and_offset(rest: &[u8]) -> Option<(u64, i64)> {
    let (fraction, offset) = match rest.strip_prefix(b".") {
        Some(after_point) => {
            let count = after_point.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if count == 0 || 18 < count {
                return None;
            }
            let kept = digits(after_point, 0..count.min(6))?;
            (u64::from(kept) * 10u64.pow(6 - u32::try_from(count.min(6)).ok()?), after_point.get(count..)?)
        }
        None => (0, rest),
    };
    let sign = match offset {
        b"Z" | b"z" => return Some((fraction, 0)),
        [b'+', _, _, b':', _, _] => 1,
        [b'-', _, _, b':', _, _] => -1,
        _ => return None,
    };
    let (hours, minutes) = (digits(offset, 1..3)?, digits(offset, 4..6)?);
    if 23 < hours || 59 < minutes {
        return None;
    }
    Some((fraction, sign * i64::from(hours * 3600 + minutes * 60)))
}

fn instant(text: &[u8]) -> Option<Timestamp> {
    let day = date(text)?;
    let separators_fit =
        matches!(text.get(10), Some(b'T' | b't' | b' ')) && text.get(13) == Some(&b':') && text.get(16) == Some(&b':');
    let (hour, minute, second) = (digits(text, 11..13)?, digits(text, 14..16)?, digits(text, 17..19)?);
    if !separators_fit || 23 < hour || 59 < minute || 59 < second {
        return None;
    }
    let (fraction, offset) = fraction_and_offset(text.get(19..)?)?;
    let seconds = i64::from(day.number()) * 86_400 + i64::from(hour * 3600 + minute * 60 + second) - offset;
    Timestamp::from_microseconds(u64::try_from(seconds).ok()? * MICROSECONDS_PER_SECOND + fraction)
}

impl FromStr for Timestamp {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Timestamp, InvalidTime> {
        instant(text.as_bytes()).ok_or(InvalidTime)
    }
}

impl FromStr for Day {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Day, InvalidTime> {
        if text.len() == 10 { date(text.as_bytes()).ok_or(InvalidTime) } else { Err(InvalidTime) }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / MICROSECONDS_PER_SECOND;
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        write!(f, "{}T{hour:02}:{minute:02}:{second:02}", self.day())?;
        match self.0 % MICROSECONDS_PER_SECOND {
            0 => f.write_str("Z"),
            fraction => write!(f, ".{fraction:06}Z"),
        }
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_turned_into_utc() {
        let check =
            |text: &str, utc: &str| assert_eq!(text.parse::<Timestamp>().map(|t| t.to_string()), Ok(utc.to_string()));
        check("1993-01-01T00:00:00Z", "1993-01-01T00:00:00Z");
        check("2026-03-29T02:30:00+02:00", "2026-03-29T00:30:00Z");
        check("2026-12-31T23:59:59.123456789-01:00", "2027-01-01T00:59:59.123456Z");
        check("2024-02-29t12:00:00.5z", "2024-02-29T12:00:00.500000Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026-11-21",
            "2026-11-21T10:00:00",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:60Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00+24:00",
            "1969-12-31T23:59:59Z",
            "+026-01-01T00:00:00Z",
            "2026-01-01T00:00:00Z ",
            "1970-01-01T00:00:00+00:01",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(InvalidTime), "{text}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_survives_text() {
        for number in -719_468..146_097 {
            let day = Day::new(number);
            let (year, month, date) = day.date();
            assert_eq!(Day::from_date(year, month, date), (0 <= year).then_some(day));
        }
    }
}
