//! Amounts of money: whole, unsigned minor units. Direction is the side of a posting, never a sign.
//!
//! The text of an amount is decided here alone, digit by digit, so that no float and no big-number parser ever
//! stands between a client's digits and the books.

use std::fmt;

/// An amount in minor units, 0 to 10¹⁸−1 (at most 18 digits). Zero occurs only where nothing is reserved or allowed
/// (an overdraft limit, what is captured of a hold); what moves is at least one unit.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(u64);

/// Why a text is not an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AmountError {
    /// Something other than ASCII digits with at most one point between them.
    NotDigits,
    /// More decimals than the currency has.
    TooManyDecimals,
    /// More than 18 digits, counted in minor units.
    TooLarge,
    /// Zero, where money would have to move.
    Zero,
}

impl fmt::Display for AmountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AmountError::NotDigits => {
                "write an amount as plain digits such as 10.50, without sign, exponent or separators"
            }
            AmountError::TooManyDecimals => "the amount has more decimals than its currency",
            AmountError::TooLarge => "the amount has more than 18 digits",
            AmountError::Zero => "the amount must be greater than zero",
        })
    }
}

impl std::error::Error for AmountError {}

impl Amount {
    /// Nothing.
    pub const ZERO: Amount = Amount(0);
    /// The largest amount: 18 nines.
    pub const MAX: Amount = Amount(999_999_999_999_999_999);

    /// An amount of so many minor units; `None` beyond 18 digits.
    pub const fn new(minor_units: u64) -> Option<Amount> {
        if minor_units <= Amount::MAX.0 { Some(Amount(minor_units)) } else { None }
    }

    /// The minor units.
    pub const fn minor_units(self) -> u64 {
        self.0
    }

    /// Whether this is nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum; `None` beyond 18 digits.
    pub const fn checked_add(self, other: Amount) -> Option<Amount> {
        Amount::new(self.0 + other.0) // two 18-digit numbers cannot overflow 64 bits
    }

    /// The difference; `None` below zero.
    pub const fn checked_sub(self, other: Amount) -> Option<Amount> {
        match self.0.checked_sub(other.0) {
            Some(minor_units) => Some(Amount(minor_units)),
            None => None,
        }
    }

    /// The amount as a signed number, for balances.
    pub const fn signed(self) -> i128 {
        self.0 as i128
    }

    /// Reads an amount that is to move: `10.50`, `10.5` or `10` for a currency of two decimals.
    ///
    /// # Errors
    /// As [`AmountError`] says. The work is bounded by the length of a valid amount, whatever the text.
    pub fn parse(text: &str, scale: u8) -> Result<Amount, AmountError> {
        match Amount::parse_or_zero(text, scale)? {
            Amount::ZERO => Err(AmountError::Zero),
            amount => Ok(amount),
        }
    }

    /// Reads an amount that may be zero, such as an overdraft limit.
    ///
    /// # Errors
    /// As [`AmountError`] says, except that zero is fine.
    pub fn parse_or_zero(text: &str, scale: u8) -> Result<Amount, AmountError> {
        let (whole, decimals) = match text.split_once('.') {
            Some((_, "")) => return Err(AmountError::NotDigits),
            Some(parts) => parts,
            None => (text, ""),
        };
        if whole.is_empty() || !whole.bytes().chain(decimals.bytes()).all(|byte| byte.is_ascii_digit()) {
            return Err(AmountError::NotDigits);
        }
        if decimals.len() > usize::from(scale) {
            return Err(AmountError::TooManyDecimals);
        }
        if whole.len() > 1 && whole.starts_with('0') {
            return Err(AmountError::NotDigits);
        }
        if whole.len() + usize::from(scale) > 18 && whole != "0" {
            return Err(AmountError::TooLarge);
        }
        let padding = usize::from(scale) - decimals.len();
        let digits = whole.bytes().chain(decimals.bytes()).chain(std::iter::repeat_n(b'0', padding));
        let minor_units = digits.fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        Amount::new(minor_units).ok_or(AmountError::TooLarge)
    }

    /// The amount written with the currency's decimals.
    pub const fn decimal(self, scale: u8) -> Decimal {
        Decimal { minor_units: self.signed(), scale }
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A number of minor units as people read it: `-60.00`. Always all decimals of the currency, never a separator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// Signed minor units.
    pub minor_units: i128,
    /// Decimals, 0 to 4.
    pub scale: u8,
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.minor_units < 0 { "-" } else { "" };
        let unit = 10u128.pow(u32::from(self.scale));
        let (whole, decimals) = (self.minor_units.unsigned_abs() / unit, self.minor_units.unsigned_abs() % unit);
        match self.scale {
            0 => write!(f, "{sign}{whole}"),
            scale => write!(f, "{sign}{whole}.{decimals:0width$}", width = usize::from(scale)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, scale: u8, expected: Result<u64, AmountError>) {
        assert_eq!(Amount::parse(text, scale).map(Amount::minor_units), expected, "{text} with {scale} decimals");
    }

    #[test]
    fn amounts_are_read_digit_by_digit() {
        check("10.50", 2, Ok(1050));
        check("10.5", 2, Ok(1050));
        check("10", 2, Ok(1000));
        check("0.01", 2, Ok(1));
        check("7", 0, Ok(7));
        check("90071992547409.93", 2, Ok(9_007_199_254_740_993)); // 2^53 + 1
        check("9999999999999999.99", 2, Ok(Amount::MAX.minor_units()));
    }

    #[test]
    fn whatever_is_not_plain_digits_is_refused() {
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e3",
            "0E0700000000",
            "1,5",
            "1 ",
            " 1",
            "1_0",
            "٣",
            "0x1",
            "NaN",
            "01",
            "1.2.3",
        ] {
            check(text, 2, Err(AmountError::NotDigits));
        }
        check("0", 2, Err(AmountError::Zero));
        check("0.00", 2, Err(AmountError::Zero));
        check("1.001", 2, Err(AmountError::TooManyDecimals));
        check("1.0", 0, Err(AmountError::TooManyDecimals));
        check("10000000000000000.00", 2, Err(AmountError::TooLarge));
        check(&"9".repeat(1_000_000), 2, Err(AmountError::TooLarge));
    }

    #[test]
    fn text_has_all_decimals_of_the_currency() {
        let written = |minor_units, scale| Decimal { minor_units, scale }.to_string();
        assert_eq!(
            [written(-6000, 2), written(5, 3), written(-7, 0), written(0, 2)],
            ["-60.00", "0.005", "-7", "0.00"]
        );
    }

    #[test]
    fn arithmetic_stops_at_the_bounds() {
        assert_eq!(Amount::MAX.checked_add(Amount(1)), None);
        assert_eq!(Amount(1).checked_sub(Amount(2)), None);
        assert_eq!(Amount::new(1_000_000_000_000_000_000), None);
    }
}
