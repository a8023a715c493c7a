//! Amounts of interest, exactly.
//!
//! A rate has at most six decimals of a per cent, and a day is a whole number of parts of a year ([`YEAR_PARTS`]). So the
//! interest of a whole amount for a day is a whole number of [`MINOR_UNIT`]ths of a minor unit, whatever the product: sums
//! stay exact, and nothing is ever rounded but what is posted, which is rounded down to what is left as carry.

use super::day_count::YEAR_PARTS;
use std::fmt;

/// How many parts make one minor unit of a currency.
pub const MINOR_UNIT: i128 = RATE_ONE as i128 * YEAR_PARTS;

/// The rate of 100 % a year.
const RATE_ONE: u64 = 100_000_000;
/// The highest rate, 1000 % a year.
const RATE_MAX: u64 = 10 * RATE_ONE;
/// Decimals of a rate in per cent.
const PERCENT_DECIMALS: usize = 6;

/// A yearly rate with at most six decimals of a per cent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u64);

impl Rate {
    /// Reads a rate in per cent a year, such as `2.5`; `None` if it is no plain decimal, has more than six decimals, or is
    /// above 1000.
    pub fn from_percent(text: &str) -> Option<Rate> {
        let (whole, decimals) = match text.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (text, ""),
        };
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let fits = (1..=4).contains(&whole.len()) && decimals.len() <= PERCENT_DECIMALS;
        if !fits || !is_plain(whole) || !is_plain(decimals) || (1 < whole.len() && whole.starts_with('0')) {
            return None;
        }
        let rate: u64 = format!("{whole}{decimals:0<PERCENT_DECIMALS$}").parse().ok()?;
        (rate <= RATE_MAX).then_some(Rate(rate))
    }

    /// The interest of so many minor units for a day that is this part of a year; `None` if it is too much to count.
    pub fn interest(self, minor_units: i128, year_parts: i128) -> Option<Parts> {
        let yearly = minor_units.checked_mul(i128::from(self.0))?;
        yearly.checked_mul(year_parts).map(Parts)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one_percent = RATE_ONE / 100;
        let (whole, rest) = (self.0 / one_percent, self.0 % one_percent);
        let decimals = format!("{rest:0PERCENT_DECIMALS$}");
        match decimals.trim_end_matches('0') {
            "" => write!(f, "{whole}"),
            decimals => write!(f, "{whole}.{decimals}"),
        }
    }
}

/// An amount of interest in parts of a minor unit; see the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Parts(pub i128);

impl Parts {
    /// Nothing.
    pub const ZERO: Parts = Parts(0);

    /// So many whole minor units; `None` if it is too much to count.
    pub fn of_minor_units(minor_units: i128) -> Option<Parts> {
        minor_units.checked_mul(MINOR_UNIT).map(Parts)
    }

    /// The sum; `None` if it is too much to count.
    pub fn checked_add(self, other: Parts) -> Option<Parts> {
        self.0.checked_add(other.0).map(Parts)
    }

    /// The difference; `None` if it is too much to count.
    pub fn checked_sub(self, other: Parts) -> Option<Parts> {
        self.0.checked_sub(other.0).map(Parts)
    }

    /// The whole minor units in it, rounded down (also below zero), and the rest, which is never negative.
    pub const fn split(self) -> (i128, Parts) {
        (self.0.div_euclid(MINOR_UNIT), Parts(self.0.rem_euclid(MINOR_UNIT)))
    }

    /// As a fraction in lowest terms, in units of a currency with so many decimals: `137/36500`, or `2` for a whole number.
    pub fn fraction(self, scale: u8) -> String {
        let one = MINOR_UNIT * 10i128.pow(u32::from(scale));
        let divisor = common_divisor(self.0.unsigned_abs(), one.unsigned_abs());
        let Ok(divisor) = i128::try_from(divisor) else { return "0".into() };
        match one / divisor {
            1 => (self.0 / divisor).to_string(),
            denominator => format!("{}/{denominator}", self.0 / divisor),
        }
    }

    /// As a decimal in units of a currency with so many decimals, with six more, rounded half away from zero: for people;
    /// nothing is worked out with it.
    pub fn decimal(self, scale: u8) -> String {
        const MORE: u32 = 6;
        let places = usize::from(scale) + MORE as usize;
        let absolute = self.0.unsigned_abs();
        let unit = MINOR_UNIT.unsigned_abs();
        let (whole, rest) = (absolute / unit, absolute % unit);
        let more = (rest * 10u128.pow(MORE) + unit / 2) / unit;
        let digits = whole * 10u128.pow(MORE) + more;
        let digits = format!("{digits:0>width$}", width = places + 1);
        let (whole, decimals) = digits.split_at(digits.len() - places);
        let is_zero = digits.bytes().all(|byte| byte == b'0');
        format!("{}{whole}.{decimals}", if self.0 < 0 && !is_zero { "-" } else { "" })
    }
}

fn common_divisor(mut left: u128, mut right: u128) -> u128 {
    while right != 0 {
        (left, right) = (right, left % right);
    }
    left.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interest::day_count::DayCount;
    use ledger::time::Day;

    #[test]
    fn rates_are_read_digit_by_digit() {
        for (text, shown) in
            [("0", "0"), ("2.5", "2.5"), ("2.500000", "2.5"), ("0.000001", "0.000001"), ("1000", "1000")]
        {
            assert_eq!(Rate::from_percent(text).map(|rate| rate.to_string()).as_deref(), Some(shown));
        }
        for text in ["", ".", "2.", ".5", "-1", "+1", "1e2", "1000.000001", "0.0000001", "01", "2,5", "٣"] {
            assert_eq!(Rate::from_percent(text), None, "{text}");
        }
    }

    #[test]
    fn the_interest_of_a_day_is_exact() {
        let rate = Rate::from_percent("2.5").expect("a rate");
        let day: Day = "2026-11-21".parse().expect("a day");
        let parts = rate.interest(100_000, DayCount::Actual365Fixed.weight(day)).expect("it can be counted");
        assert_eq!(parts.fraction(2), "5/73", "1000.00 · 2.5 % / 365");
        assert_eq!(parts.decimal(2), "0.06849315");
        assert_eq!(parts.split().0, 6);
    }

    #[test]
    fn what_is_below_zero_is_rounded_down_too_and_leaves_a_rest() {
        let parts = Parts(-MINOR_UNIT / 4);
        assert_eq!(parts.split(), (-1, Parts(MINOR_UNIT / 4 * 3)));
        assert_eq!((parts.fraction(2).as_str(), parts.decimal(2).as_str()), ("-1/400", "-0.00250000"));
        assert_eq!(Parts(MINOR_UNIT * 300).fraction(2), "3");
        assert_eq!(Parts(MINOR_UNIT * 5).decimal(0), "5.000000");
    }

    #[test]
    fn what_cannot_be_counted_is_refused() {
        assert_eq!(Rate::from_percent("1000").expect("a rate").interest(i128::MAX, 4453), None);
        let largest = Rate::from_percent("1000").expect("a rate").interest(i128::from(i64::MAX), 3 * 4453);
        assert!(largest.is_some_and(|parts| parts.0.checked_mul(500_000).is_some()), "half a million days of the most");
    }
}
