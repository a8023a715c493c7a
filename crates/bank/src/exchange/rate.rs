//! Exchange rates: exact decimals, and what amounts come to by them. No rounding happens here that is not named.

use ledger::amount::Amount;
use ledger::currency::Currency;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Most significant digits of a rate that is set, and of one that is derived from others.
const DIGITS_MAX: u32 = 15;
/// Most decimals of a rate.
const SCALE_MAX: u8 = 24;
/// So many basis points are the whole.
pub const BASIS_POINTS: u16 = 10_000;

/// A rate: so many units of one currency for one unit of another, as an exact decimal above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate {
    // Ends with no zero where there are decimals, so that a rate is written in one way only.
    mantissa: u64,
    scale: u8,
}

/// A text that is no rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidRate;

impl fmt::Display for InvalidRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a rate is a plain decimal above zero such as 1.0842, with at most {DIGITS_MAX} digits that count")
    }
}

impl std::error::Error for InvalidRate {}

impl Rate {
    /// The rate `mantissa` / 10^`scale`.
    fn new(mut mantissa: u64, mut scale: u8) -> Option<Rate> {
        while 0 < scale && mantissa.is_multiple_of(10) && mantissa != 0 {
            (mantissa, scale) = (mantissa / 10, scale - 1);
        }
        (mantissa != 0 && scale <= SCALE_MAX + 4).then_some(Rate { mantissa, scale })
    }

    /// How many of the one currency there are for one of the other, the other way round: rounded half to even at the
    /// fifteenth digit that counts. `None` if that has too many decimals.
    pub fn inverse(self) -> Option<Rate> {
        let digits = self.mantissa.ilog10();
        rounded(
            10u128.pow(DIGITS_MAX + digits),
            u128::from(self.mantissa),
            i32::try_from(DIGITS_MAX + digits).ok()? - i32::from(self.scale),
        )
    }

    /// The rate from the first to the third currency, by the second: rounded as [`Rate::inverse`] says.
    pub fn times(self, other: Rate) -> Option<Rate> {
        let product = u128::from(self.mantissa) * u128::from(other.mantissa);
        rounded(product, 1, i32::from(self.scale) + i32::from(other.scale))
    }

    /// The rate in the middle of two: rounded as [`Rate::inverse`] says.
    pub fn middle(self, other: Rate) -> Option<Rate> {
        let scale = self.scale.max(other.scale);
        let at_scale =
            |rate: Rate| u128::from(rate.mantissa).checked_mul(10u128.checked_pow(u32::from(scale - rate.scale))?);
        rounded(at_scale(self)?.checked_add(at_scale(other)?)?, 2, i32::from(scale))
    }

    /// Whether it is the smaller one.
    pub fn is_below(self, other: Rate) -> bool {
        let scale = self.scale.max(other.scale);
        // Beyond the room of a number the one with more digits before the point is the larger.
        let at_scale = |rate: Rate| {
            let unit = 10u128.pow(u32::from(scale - rate.scale));
            u128::from(rate.mantissa).saturating_mul(unit)
        };
        at_scale(self) < at_scale(other)
    }

    /// The rate less so many basis points, exactly.
    pub fn less(self, basis_points: u16) -> Option<Rate> {
        let left = BASIS_POINTS.checked_sub(basis_points)?;
        Rate::new(self.mantissa.checked_mul(u64::from(left))?, self.scale + 4)
    }

    /// What an amount of one currency comes to in another: whole minor units, and the rest below one, exactly. `None` if
    /// it is more than an amount can be.
    pub fn convert(self, amount: Amount, from: Currency, to: Currency) -> Option<(u64, Rest)> {
        let product = u128::from(amount.minor_units()) * u128::from(self.mantissa);
        let scale = u32::from(self.scale) + u32::from(from.scale());
        let (product, scale) = match scale.checked_sub(u32::from(to.scale())) {
            Some(shift) => (product, shift),
            None => (product.checked_mul(10u128.pow(u32::from(to.scale()) - scale))?, 0),
        };
        let unit = 10u128.checked_pow(scale)?;
        let whole = u64::try_from(product / unit).ok().filter(|whole| Amount::new(*whole).is_some())?;
        Some((whole, Rest { digits: product % unit, scale: scale + u32::from(to.scale()) }))
    }

    /// The least amount of one currency that comes to at least so much of another. `None` if it is more than an amount
    /// can be.
    pub fn cost(self, amount: Amount, from: Currency, to: Currency) -> Option<Amount> {
        let divisor = u128::from(self.mantissa);
        let shift = u32::from(self.scale) + u32::from(from.scale());
        let (mut divisor, digits) = (divisor, shift.saturating_sub(u32::from(to.scale())));
        divisor = divisor.checked_mul(10u128.pow(u32::from(to.scale()).saturating_sub(shift)))?;
        let amount = u128::from(amount.minor_units());
        // Digit by digit, because amount times the power of ten may have more digits than there is room for.
        let (mut cost, mut rest) = (amount / divisor, amount % divisor);
        for _ in 0..digits {
            let next = rest.checked_mul(10)?;
            cost = cost.checked_mul(10)?.checked_add(next / divisor)?;
            if Amount::MAX.signed().unsigned_abs() < cost {
                return None;
            }
            rest = next % divisor;
        }
        let cost = cost + u128::from(rest != 0);
        u64::try_from(cost).ok().and_then(Amount::new)
    }
}

/// `numerator` / (`denominator` × 10^`scale`), half to even at the fifteenth digit that counts.
fn rounded(mut numerator: u128, denominator: u128, mut scale: i32) -> Option<Rate> {
    // Enough digits to round by, where there is room for them.
    while numerator / denominator < 10u128.pow(DIGITS_MAX) {
        (numerator, scale) = (numerator.checked_mul(10)?, scale + 1);
    }
    let mut unit = denominator;
    while 10u128.pow(DIGITS_MAX) <= numerator / unit {
        (unit, scale) = (unit.checked_mul(10)?, scale - 1);
    }
    let (quotient, rest) = (numerator / unit, numerator % unit);
    let is_up = match (rest * 2).cmp(&unit) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => !quotient.is_multiple_of(2),
        std::cmp::Ordering::Greater => true,
    };
    let mut mantissa = u64::try_from(quotient).ok()? + u64::from(is_up);
    while scale < 0 {
        (mantissa, scale) = (mantissa.checked_mul(10)?, scale + 1);
    }
    while i32::from(SCALE_MAX) < scale && mantissa.is_multiple_of(10) {
        (mantissa, scale) = (mantissa / 10, scale - 1);
    }
    Rate::new(mantissa, u8::try_from(scale).ok().filter(|scale| *scale <= SCALE_MAX)?)
}

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Rate, InvalidRate> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let is_plain = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let has_leading_zero = 1 < whole.len() && whole.starts_with('0');
        if 64 < text.len() || !is_plain(whole) || !is_plain(decimals) || has_leading_zero {
            return Err(InvalidRate);
        }
        let decimals = decimals.trim_end_matches('0');
        let digits = format!("{whole}{decimals}");
        let digits = digits.trim_start_matches('0');
        let scale = u8::try_from(decimals.len()).ok().filter(|scale| *scale <= SCALE_MAX).ok_or(InvalidRate)?;
        if digits.is_empty() || usize::try_from(DIGITS_MAX).unwrap_or(0) < digits.len() {
            return Err(InvalidRate);
        }
        digits.parse().ok().and_then(|mantissa| Rate::new(mantissa, scale)).ok_or(InvalidRate)
    }
}

impl TryFrom<String> for Rate {
    type Error = InvalidRate;

    fn try_from(text: String) -> Result<Rate, InvalidRate> {
        // What was computed may have more digits than what is set.
        let (whole, decimals) = text.split_once('.').unwrap_or((&text, ""));
        let mantissa = format!("{whole}{decimals}").parse().map_err(|_| InvalidRate)?;
        let scale = u8::try_from(decimals.len()).map_err(|_| InvalidRate)?;
        Rate::new(mantissa, scale).filter(|rate| rate.to_string() == text).ok_or(InvalidRate)
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> String {
        rate.to_string()
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, u128::from(self.mantissa), u32::from(self.scale))
    }
}

/// What is left below a minor unit of a currency: an exact decimal of the currency's whole unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    digits: u128,
    scale: u32,
}

impl Rest {
    /// Whether nothing is left.
    pub fn is_zero(self) -> bool {
        self.digits == 0
    }

    /// So many minor units more.
    pub(crate) fn plus(self, minor_units: u64, currency: Currency) -> Option<Rest> {
        let minor_unit = 10u128.checked_pow(self.scale.checked_sub(u32::from(currency.scale()))?)?;
        let digits = u128::from(minor_units).checked_mul(minor_unit)?.checked_add(self.digits)?;
        Some(Rest { digits, ..self })
    }
}

impl fmt::Display for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut digits, mut scale) = (self.digits, self.scale);
        while 0 < scale && digits.is_multiple_of(10) {
            (digits, scale) = (digits / 10, scale - 1);
        }
        write_decimal(f, digits, scale)
    }
}

fn write_decimal(f: &mut fmt::Formatter<'_>, digits: u128, scale: u32) -> fmt::Result {
    match scale {
        0 => write!(f, "{digits}"),
        scale => {
            let width = usize::try_from(scale).unwrap_or(usize::MAX);
            let text = format!("{digits:0>width$}", width = width + 1);
            let (whole, decimals) = text.split_at(text.len() - width);
            write!(f, "{whole}.{decimals}")
        }
    }
}

#[cfg(test)]
mod tests;
