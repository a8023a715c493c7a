//! Rates against arithmetic that knows no bounds.

use super::*;
use proptest::prelude::*;

fn rate(text: &str) -> Rate {
    text.parse().unwrap_or_else(|_| panic!("{text} is a rate"))
}

fn currency(code: &str) -> Currency {
    code.parse().expect("a currency")
}

fn amount(minor_units: u64) -> Amount {
    Amount::new(minor_units).expect("an amount")
}

#[test]
fn rates_are_plain_decimals_above_zero() {
    for (text, written) in
        [("1.0842", "1.0842"), ("160.00", "160"), ("0.000001", "0.000001"), ("100", "100"), ("0.50", "0.5")]
    {
        assert_eq!(rate(text).to_string(), written);
    }
    let none =
        ["", "0", "0.0", "-1", "+1", "1e3", ".5", "1.", "01", "1,5", " 1", "٣", "NaN", "1.2.3", "1234567890123456"];
    for text in none.into_iter().chain(["0.0000000000000000000000001"]) {
        assert_eq!(text.parse::<Rate>(), Err(InvalidRate), "{text}");
    }
    assert_eq!("9".repeat(1_000_000).parse::<Rate>(), Err(InvalidRate));
}

#[test]
fn a_spread_is_taken_off_exactly() {
    assert_eq!(rate("163.777").less(50).map(|rate| rate.to_string()), Some("162.958115".to_owned()));
    assert_eq!(rate("1").less(0), Some(rate("1")));
    assert_eq!(rate("1").less(10_000), None);
    assert_eq!(rate("999999999999999").less(1).map(|rate| rate.to_string()), Some("999899999999999.0001".to_owned()));
}

#[test]
fn what_is_derived_is_rounded_half_to_even_at_the_fifteenth_digit() {
    assert_eq!(rate("3").inverse().map(|rate| rate.to_string()), Some("0.333333333333333".to_owned()));
    assert_eq!(rate("1.5").inverse().map(|rate| rate.to_string()), Some("0.666666666666667".to_owned()));
    assert_eq!(rate("8").inverse(), Some(rate("0.125")));
    assert_eq!(rate("1").middle(rate("2")), Some(rate("1.5")));
    // Half of the last digit: to the even one, both ways.
    assert_eq!(
        rate("1.00000000000001").middle(rate("1.00000000000002")).map(|rate| rate.to_string()),
        Some("1.00000000000002".to_owned())
    );
    assert_eq!(
        rate("1.00000000000002").middle(rate("1.00000000000003")).map(|rate| rate.to_string()),
        Some("1.00000000000002".to_owned())
    );
    assert_eq!(rate("1.25").times(rate("0.8")), Some(rate("1")));
}

#[test]
fn amounts_are_converted_between_currencies_of_0_2_3_and_4_decimals() {
    let check = |text: &str, minor_units, from: &str, to: &str, whole, rest: &str| {
        let (got, left) = rate(text).convert(amount(minor_units), currency(from), currency(to)).expect("it fits");
        assert_eq!((got, left.to_string().as_str()), (whole, rest), "{minor_units} {from} at {text}");
    };
    check("163.777", 10_001, "EUR", "JPY", 16_379, "0.33777");
    check("0.334567", 1000, "EUR", "KWD", 3345, "0.00067");
    check("0.0061", 1, "JPY", "EUR", 0, "0.0061");
    check("0.0061", 10_000, "JPY", "EUR", 6100, "0");
    check("39.5", 12_345, "CLF", "KWD", 48_762, "0.00075");
    check("0.02538", 48_762, "KWD", "CLF", 12_375, "0.00007956");
    check("1", 999_999_999_999_999_999, "EUR", "USD", 999_999_999_999_999_999, "0");
    assert_eq!(rate("1.1").convert(Amount::MAX, currency("EUR"), currency("USD")), None);
    assert_eq!(rate("1").convert(Amount::MAX, currency("JPY"), currency("CLF")), None);
}

/// A decimal as a fraction: numerator, and how many zeros its denominator has.
fn fraction(text: &str) -> (num::Big, usize) {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    (num::Big::of(&format!("{whole}{decimals}")), decimals.len())
}

/// Whole numbers as long as they need to be, digit by digit: slow, and plainly right.
mod num {
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(super) struct Big(Vec<u8>); // the last digit first, no zeros at the end

    impl Big {
        pub(super) fn of(text: &str) -> Big {
            Big(text.bytes().rev().map(|byte| byte - b'0').collect()).trimmed()
        }

        fn trimmed(mut self) -> Big {
            while self.0.last() == Some(&0) {
                self.0.pop();
            }
            self
        }

        pub(super) fn shifted(&self, zeros: usize) -> Big {
            Big(std::iter::repeat_n(0, zeros).chain(self.0.iter().copied()).collect()).trimmed()
        }

        pub(super) fn times(&self, other: &Big) -> Big {
            let mut digits = vec![0u32; self.0.len() + other.0.len() + 1];
            for (place, digit) in self.0.iter().enumerate() {
                for (other_place, other_digit) in other.0.iter().enumerate() {
                    digits[place + other_place] += u32::from(*digit) * u32::from(*other_digit);
                }
            }
            let mut carry = 0;
            let digits = digits.into_iter().map(|digit| {
                let sum = digit + carry;
                carry = sum / 10;
                u8::try_from(sum % 10).expect("a digit")
            });
            Big(digits.collect()).trimmed()
        }

        pub(super) fn plus(&self, other: &Big) -> Big {
            let (mut digits, mut carry) = (Vec::new(), 0);
            for place in 0..=self.0.len().max(other.0.len()) {
                let digit = |big: &Big| big.0.get(place).copied().unwrap_or(0);
                let sum = digit(self) + digit(other) + carry;
                digits.push(sum % 10);
                carry = sum / 10;
            }
            Big(digits).trimmed()
        }

        pub(super) fn is_below(&self, other: &Big) -> bool {
            let key = |big: &Big| (big.0.len(), big.0.iter().rev().copied().collect::<Vec<u8>>());
            key(self) < key(other)
        }
    }
}

fn rates() -> impl Strategy<Value = Rate> {
    (1u64..1_000_000_000_000_000, 0u8..=20).prop_filter_map("a rate", |(mantissa, scale)| Rate::new(mantissa, scale))
}

fn currencies() -> impl Strategy<Value = Currency> {
    prop::sample::select(Currency::all().collect::<Vec<_>>())
}

fn amounts() -> impl Strategy<Value = Amount> {
    (1u64..=999_999_999_999_999_999, 0u32..18).prop_map(|(number, digits)| amount((number / 10u64.pow(digits)).max(1)))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4000) })]

    #[test]
    fn what_is_converted_and_what_is_left_are_together_exactly_the_product(
        rate in rates(), spread in 0u16..10_000, amount in amounts(), from in currencies(), to in currencies(),
    ) {
        let Some(rate) = rate.less(spread) else { return Ok(()) };
        let Some((whole, rest)) = rate.convert(amount, from, to) else { return Ok(()) };
        let (factor, scale) = fraction(&rate.to_string());
        let product = num::Big::of(&amount.minor_units().to_string()).times(&factor);
        let (rest_digits, rest_scale) = fraction(&rest.to_string());
        // product / 10^(scale + from) = whole / 10^to + rest / 10^rest_scale
        let (left, right) = (scale + usize::from(from.scale()), usize::from(to.scale()));
        let most = left.max(right).max(rest_scale);
        let sum = num::Big::of(&whole.to_string()).shifted(most - right).plus(&rest_digits.shifted(most - rest_scale));
        prop_assert_eq!(product.shifted(most - left), sum);
        // Less than one minor unit is left.
        prop_assert!(rest_digits.shifted(most - rest_scale).is_below(&num::Big::of("1").shifted(most - right)));
    }

    #[test]
    fn a_cost_is_the_least_amount_that_is_enough(
        rate in rates(), amount in amounts(), from in currencies(), to in currencies(),
    ) {
        let Some(cost) = rate.cost(amount, from, to) else { return Ok(()) };
        if let Some((whole, _)) = rate.convert(cost, from, to) {
            prop_assert!(amount.minor_units() <= whole);
        }
        if let Some(less) = cost.checked_sub(Amount::new(1).expect("an amount")) {
            let (whole, _) = rate.convert(less, from, to).expect("less is less");
            prop_assert!(whole < amount.minor_units());
        }
    }

    #[test]
    fn a_rate_is_written_in_one_way_and_read_back(rate in rates(), spread in 0u16..10_000) {
        let text = rate.to_string();
        prop_assert_eq!(text.parse::<Rate>(), Ok(rate));
        if let Some(less) = rate.less(spread) {
            prop_assert_eq!(Rate::try_from(less.to_string()), Ok(less));
            prop_assert!(spread == 0 || less.is_below(rate));
        }
    }

    #[test]
    fn the_middle_lies_between_and_turned_round_rates_keep_their_order(one in rates(), other in rates()) {
        let (low, high) = if other.is_below(one) { (other, one) } else { (one, other) };
        if let Some(middle) = low.middle(high) {
            prop_assert!(!middle.is_below(low) && !high.is_below(middle));
        }
        if let (Some(turned_low), Some(turned_high)) = (low.inverse(), high.inverse()) {
            prop_assert!(!turned_low.is_below(turned_high));
        }
    }
}
