//! Splits an amount by percentages, so that the parts always sum to the whole.

use ledger::amount::Amount;
use std::fmt;
use std::str::FromStr;

/// Decimals of a percentage.
const PERCENT_SCALE: u8 = 12;
/// The whole, as a percentage.
const WHOLE: u64 = 100_000_000_000_000;

/// A percentage above zero, at most 100, as an exact decimal of at most 12 decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u64);

/// A text that is no percentage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidPercent;

impl fmt::Display for InvalidPercent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a percentage is a plain decimal above 0 and at most 100, with at most {PERCENT_SCALE} decimals")
    }
}

impl std::error::Error for InvalidPercent {}

impl FromStr for Percent {
    type Err = InvalidPercent;

    fn from_str(text: &str) -> Result<Percent, InvalidPercent> {
        let read = Amount::parse(text, PERCENT_SCALE).map_err(|_| InvalidPercent)?.minor_units();
        if read <= WHOLE { Ok(Percent(read)) } else { Err(InvalidPercent) }
    }
}

impl Percent {
    /// So much of an amount: whole minor units, and what is left of one, of `WHOLE` parts.
    fn of(self, amount: Amount) -> (u64, u64) {
        let product = u128::from(amount.minor_units()) * u128::from(self.0);
        let whole = u128::from(WHOLE);
        let fits = |number: u128| u64::try_from(number).unwrap_or(u64::MAX); // at most the amount, or the whole
        (fits(product / whole), fits(product % whole))
    }

    /// So much of an amount, in minor units, half of one to the even.
    pub fn half_even_of(self, amount: Amount) -> u64 {
        let (units, left) = self.of(amount);
        let is_up = match (left * 2).cmp(&WHOLE) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => !units.is_multiple_of(2),
            std::cmp::Ordering::Greater => true,
        };
        units + u64::from(is_up)
    }
}

/// How much of the whole somebody gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Portion {
    /// So much of it.
    Percent(Percent),
    /// What the others leave.
    Remainder,
}

/// Why an amount cannot be split so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitError {
    /// The percentages do not come to 100, and nobody gets the remainder; or they come to more.
    NotWhole,
    /// More than one gets the remainder.
    RemainderTwice,
    /// This part would be nothing.
    Nothing(usize),
}

impl fmt::Display for SplitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SplitError::NotWhole => {
                f.write_str("the percentages must come to exactly 100, or to less where one part is the remainder")
            }
            SplitError::RemainderTwice => f.write_str("only one part can be the remainder"),
            SplitError::Nothing(index) => {
                write!(f, "the amount is too small to be split so: part {} would be nothing", index + 1)
            }
        }
    }
}

impl std::error::Error for SplitError {}

/// The parts of an amount, which sum to it. With a remainder every percentage is rounded down and the remainder gets what is
/// left. Without one each is rounded down, and what is left goes, a minor unit each, to those that lost most by it; of
/// equals to the first.
///
/// # Errors
/// As [`SplitError`] says.
pub fn split(amount: Amount, portions: &[Portion]) -> Result<Vec<Amount>, SplitError> {
    let remainders = portions.iter().filter(|portion| **portion == Portion::Remainder).count();
    if 1 < remainders {
        return Err(SplitError::RemainderTwice);
    }
    let shares: Vec<(u64, u64)> = portions
        .iter()
        .map(|portion| match portion {
            Portion::Percent(percent) => percent.of(amount),
            Portion::Remainder => (0, 0),
        })
        .collect();
    let percents: u128 = portions
        .iter()
        .map(|portion| match portion {
            Portion::Percent(percent) => u128::from(percent.0),
            Portion::Remainder => 0,
        })
        .sum();
    let is_whole = if remainders == 1 { percents < u128::from(WHOLE) } else { percents == u128::from(WHOLE) };
    if !is_whole {
        return Err(SplitError::NotWhole);
    }
    let mut parts: Vec<u64> = shares.iter().map(|(units, _)| *units).collect();
    let left = amount.minor_units() - parts.iter().sum::<u64>(); // each was rounded down
    if let Some(place) = portions.iter().position(|portion| *portion == Portion::Remainder) {
        parts[place] = left;
    } else {
        let mut places: Vec<usize> = (0..parts.len()).collect();
        places.sort_by_key(|place| std::cmp::Reverse(shares[*place].1)); // stable: of equals the first
        let count = usize::try_from(left).unwrap_or(usize::MAX);
        places.into_iter().take(count).for_each(|place| parts[place] += 1);
    }
    let part = |(index, units): (usize, &u64)| {
        Amount::new(*units).filter(|part| !part.is_zero()).ok_or(SplitError::Nothing(index))
    };
    parts.iter().enumerate().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn amount(minor_units: u64) -> Amount {
        Amount::new(minor_units).expect("an amount")
    }

    fn percent(text: &str) -> Portion {
        Portion::Percent(text.parse().expect("a percentage"))
    }

    fn parts(minor_units: u64, portions: &[Portion]) -> Result<Vec<u64>, SplitError> {
        split(amount(minor_units), portions).map(|parts| parts.into_iter().map(Amount::minor_units).collect())
    }

    #[test]
    fn what_rounding_leaves_goes_to_the_remainder_or_to_those_that_lost_most() {
        let thirds = [percent("33.33"), percent("33.33"), Portion::Remainder];
        assert_eq!(parts(100, &thirds), Ok(vec![33, 33, 34]));
        assert_eq!(parts(10_000, &[percent("33.33"), percent("33.33"), percent("33.34")]), Ok(vec![3333, 3333, 3334]));
        assert_eq!(parts(101, &[percent("50"), percent("50")]), Ok(vec![51, 50]));
        assert_eq!(parts(10, &[percent("12.5"), percent("70"), percent("17.5")]), Ok(vec![1, 7, 2]));
        assert_eq!(
            parts(999_999_999_999_999_999, &[percent("0.000000000001"), Portion::Remainder]),
            Ok(vec![9999, 999_999_999_999_990_000])
        );
    }

    #[test]
    fn parts_that_are_not_the_whole_or_nothing_are_refused() {
        assert_eq!(parts(100, &[percent("50"), percent("49.99")]), Err(SplitError::NotWhole));
        assert_eq!(parts(100, &[percent("60"), percent("50")]), Err(SplitError::NotWhole));
        assert_eq!(parts(100, &[percent("100"), Portion::Remainder]), Err(SplitError::NotWhole));
        assert_eq!(parts(100, &[]), Err(SplitError::NotWhole));
        assert_eq!(parts(100, &[Portion::Remainder, Portion::Remainder]), Err(SplitError::RemainderTwice));
        assert_eq!(parts(2, &[percent("40"), percent("30"), percent("30")]), Err(SplitError::Nothing(2)));
        for text in ["0", "-1", "100.0000000000001", "101", "1e1", "33,3", ""] {
            assert_eq!(text.parse::<Percent>(), Err(InvalidPercent), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4000) })]

        #[test]
        fn the_parts_always_sum_to_the_whole_and_none_is_off_by_a_minor_unit(
            minor_units in 1u64..=999_999_999_999_999_999,
            cuts in prop::collection::btree_set(1..WHOLE, 0..20),
            with_remainder in any::<bool>(),
        ) {
            // Cuts of the whole into percentages that come to it.
            let ends: Vec<u64> = cuts.iter().copied().chain([WHOLE]).collect();
            let starts = [0].into_iter().chain(ends.iter().copied());
            let percents: Vec<u64> = starts.zip(&ends).map(|(start, end)| end - start).collect();
            let mut portions: Vec<Portion> = percents.iter().map(|percent| Portion::Percent(Percent(*percent))).collect();
            if with_remainder && let Some(last) = portions.last_mut() {
                *last = Portion::Remainder;
            }
            let Ok(parts) = parts(minor_units, &portions) else { return Ok(()) };
            prop_assert_eq!(parts.iter().map(|part| u128::from(*part)).sum::<u128>(), u128::from(minor_units));
            for (part, percent) in parts.iter().zip(&percents).take(if with_remainder { parts.len() - 1 } else { parts.len() }) {
                let exact = u128::from(minor_units) * u128::from(*percent);
                let got = u128::from(*part) * u128::from(WHOLE);
                prop_assert!(got.abs_diff(exact) < u128::from(WHOLE));
            }
        }
    }
}
