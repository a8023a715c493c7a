//! Deposit products: what interest an account bears.
//!
//! A product's currency, day count and posting never change. Its rates do, by versions that are only added, each from a day
//! that is not closed yet: what was accrued stays as it was.

use super::day_count::DayCount;
use super::parts::{Parts, Rate};
use ledger::account::AccountKind;
use ledger::amount::Amount;
use ledger::currency::Currency;
use ledger::time::Day;

/// Most tiers of a version.
pub const TIERS_MAX: usize = 20;
/// Longest name of a product in bytes.
pub const PRODUCT_ID_BYTES_MAX: usize = 64;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Its name: small letters, digits and `-`.
    pub id: Box<str>,
    /// The currency of accounts that can have it.
    pub currency: Currency,
    /// Which part of a year a day is.
    pub day_count: DayCount,
    /// When what accrued is posted.
    pub posting: PostingPlan,
    /// What the rate of a tier is for.
    pub tiering: Tiering,
    /// The kind of accounts that have it without being assigned to it.
    pub default_for: Option<AccountKind>,
    /// Its versions, the earliest first; each holds until the next one begins.
    pub versions: Vec<Version>,
}

/// What a product pays from a day on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The first day.
    pub from: Day,
    /// A balance below it bears nothing.
    pub minimum_balance: Amount,
    /// Its tiers, the lowest first, which begins at zero.
    pub tiers: Vec<Tier>,
}

/// A rate from a balance on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tier {
    /// The balance at which it begins.
    pub above: Amount,
    /// The rate.
    pub rate: Rate,
}

/// What the rate of a tier is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tiering {
    /// The part of the balance that lies in the tier.
    Slices,
    /// The whole balance, when it lies in the tier.
    Whole,
}

impl Tiering {
    /// Every one with the word for it on the wire.
    pub const ALL: [(&'static str, Tiering); 2] = [("slices", Tiering::Slices), ("whole", Tiering::Whole)];

    /// The word for it on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Tiering::Slices => "slices",
            Tiering::Whole => "whole",
        }
    }
}

/// When what accrued is posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostingPlan {
    /// After each day.
    Daily,
    /// After each calendar month.
    Monthly,
    /// After each calendar quarter.
    Quarterly,
}

impl PostingPlan {
    /// Every plan with the word for it on the wire.
    pub const ALL: [(&'static str, PostingPlan); 3] =
        [("daily", PostingPlan::Daily), ("monthly", PostingPlan::Monthly), ("quarterly", PostingPlan::Quarterly)];

    /// The word for it on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            PostingPlan::Daily => "daily",
            PostingPlan::Monthly => "monthly",
            PostingPlan::Quarterly => "quarterly",
        }
    }

    /// The period that a day lies in.
    pub fn period(self, day: Day) -> Period {
        let (year, month, _) = day.date();
        let (first, months) = match self {
            PostingPlan::Daily => return Period { first: day, last: day },
            PostingPlan::Monthly => (month, 1),
            PostingPlan::Quarterly => ((month - 1) / 3 * 3 + 1, 3),
        };
        let next = if first + months <= 12 { (year, first + months) } else { (year + 1, 1) };
        let start = |(year, month)| Day::from_date(year, month, 1);
        let last = start(next).map_or(day, |next| Day::new(next.number() - 1));
        Period { first: start((year, first)).unwrap_or(day), last }
    }
}

/// Days from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period {
    /// The first.
    pub first: Day,
    /// The last.
    pub last: Day,
}

/// Part of a balance and the rate it bears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// How much, in minor units.
    pub amount: i128,
    /// The rate a year.
    pub rate: Rate,
}

impl Product {
    /// What it pays on a day; `None` before its first version.
    pub fn version(&self, day: Day) -> Option<&Version> {
        self.versions.iter().rev().find(|version| version.from <= day)
    }

    /// What the balance at the end of a day bears, part by part; nothing where nothing is borne.
    pub fn slices(&self, day: Day, balance: i128) -> Vec<Slice> {
        let mut slices = Vec::new();
        self.each_slice(day, balance, |slice| slices.push(slice));
        slices
    }

    /// What accrues on a day with this balance at its end; `None` if it is too much to count.
    pub fn accrual(&self, day: Day, balance: i128) -> Option<Parts> {
        let (mut sum, weight) = (Some(Parts::ZERO), self.day_count.weight(day));
        self.each_slice(day, balance, |slice| {
            let part = slice.rate.interest(slice.amount, weight);
            sum = sum.zip(part).and_then(|(sum, part)| sum.checked_add(part));
        });
        sum
    }

    fn each_slice(&self, day: Day, balance: i128, mut take: impl FnMut(Slice)) {
        let Some(version) = self.version(day) else { return };
        if balance <= 0 || balance < version.minimum_balance.signed() {
            return;
        }
        let mut tiers = version.tiers.iter().filter(|tier| tier.above.signed() < balance).peekable();
        match self.tiering {
            Tiering::Whole => {
                if let Some(tier) = tiers.last() {
                    take(Slice { amount: balance, rate: tier.rate });
                }
            }
            Tiering::Slices => {
                while let Some(tier) = tiers.next() {
                    let until = tiers.peek().map_or(balance, |next| next.above.signed());
                    take(Slice { amount: until - tier.above.signed(), rate: tier.rate });
                }
            }
        }
    }

    /// Whether it can be a product, and what to do about it if not.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn check(&self) -> Result<(), String> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=PRODUCT_ID_BYTES_MAX).contains(&self.id.len()) || !self.id.bytes().all(is_plain) {
            return Err(format!(
                "a product's name has 1 to {PRODUCT_ID_BYTES_MAX} small letters, digits and -, not {:?}",
                self.id
            ));
        }
        if matches!(self.default_for, Some(AccountKind::System(_))) {
            return Err("the bank's own accounts bear no interest".into());
        }
        if self.versions.is_empty() {
            return Err("a product has at least one version".into());
        }
        if !self.versions.windows(2).all(|pair| pair[0].from < pair[1].from) {
            return Err("each version begins on a later day than the one before".into());
        }
        self.versions.iter().try_for_each(Version::check)
    }
}

impl Version {
    /// Whether it can be a version, and what to do about it if not.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn check(&self) -> Result<(), String> {
        if !(1..=TIERS_MAX).contains(&self.tiers.len()) {
            return Err(format!("a version has 1 to {TIERS_MAX} tiers"));
        }
        if self.tiers.first().is_some_and(|tier| !tier.above.is_zero()) {
            return Err("the first tier begins above 0".into());
        }
        if !self.tiers.windows(2).all(|pair| pair[0].above < pair[1].above) {
            return Err("each tier begins at a higher balance than the one before".into());
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn day(text: &str) -> Day {
        text.parse().expect("a day")
    }

    fn tier(above: u64, percent: &str) -> Tier {
        let above = Amount::new(above).expect("an amount");
        Tier { above, rate: Rate::from_percent(percent).expect("a rate") }
    }

    fn product(tiering: Tiering, minimum: u64, tiers: Vec<Tier>) -> Product {
        let minimum_balance = Amount::new(minimum).expect("an amount");
        Product {
            id: "savings".into(),
            currency: "EUR".parse().expect("a currency"),
            day_count: DayCount::Actual365Fixed,
            posting: PostingPlan::Monthly,
            tiering,
            default_for: None,
            versions: vec![Version { from: day("2026-01-01"), minimum_balance, tiers }],
        }
    }

    fn amounts(product: &Product, balance: i128) -> Vec<(i128, String)> {
        let slices = product.slices(day("2026-01-01"), balance);
        slices.iter().map(|slice| (slice.amount, slice.rate.to_string())).collect()
    }

    #[test]
    fn a_tier_is_for_what_lies_above_its_beginning_or_for_all() {
        let tiers = || vec![tier(0, "1"), tier(10_000, "2"), tier(50_000, "3")];
        let slices = product(Tiering::Slices, 0, tiers());
        let whole = product(Tiering::Whole, 0, tiers());
        let expected = |rows: &[(i128, &str)]| rows.iter().map(|(n, r)| (*n, (*r).to_owned())).collect::<Vec<_>>();
        assert_eq!(amounts(&slices, 10_000), expected(&[(10_000, "1")]), "a tier begins above, not at");
        assert_eq!(amounts(&slices, 60_000), expected(&[(10_000, "1"), (40_000, "2"), (10_000, "3")]));
        assert_eq!(amounts(&whole, 60_000), expected(&[(60_000, "3")]));
        assert_eq!(amounts(&slices, 0), []);
        assert_eq!(amounts(&slices, -5), []);
    }

    #[test]
    fn a_balance_below_the_minimum_bears_nothing() {
        let product = product(Tiering::Slices, 10_000, vec![tier(0, "1")]);
        assert_eq!(amounts(&product, 9_999), []);
        assert_eq!(amounts(&product, 10_000), [(10_000, "1".to_owned())]);
    }

    #[test]
    fn nothing_accrues_before_the_first_version() {
        let product = product(Tiering::Slices, 0, vec![tier(0, "1")]);
        assert_eq!(product.accrual(day("2025-12-31"), 10_000), Some(Parts::ZERO));
        assert!(product.accrual(day("2026-01-01"), 10_000) > Some(Parts::ZERO));
    }

    #[test]
    fn periods_tile_the_calendar() {
        for (_, plan) in PostingPlan::ALL {
            let mut next = day("2023-01-01");
            while next < day("2025-01-01") {
                let period = plan.period(next);
                assert_eq!(period.first, next);
                for number in period.first.number()..=period.last.number() {
                    assert_eq!(plan.period(Day::new(number)), period);
                }
                next = Day::new(period.last.number() + 1);
            }
            assert_eq!(next, day("2025-01-01"));
        }
    }

    #[test]
    fn what_cannot_be_a_product_is_refused() {
        let good = product(Tiering::Slices, 0, vec![tier(0, "1"), tier(5, "2")]);
        assert_eq!(good.check(), Ok(()));
        for tiers in [vec![], vec![tier(1, "1")], vec![tier(0, "1"), tier(0, "2")]] {
            assert!(product(Tiering::Slices, 0, tiers).check().is_err());
        }
        for id in ["", "Savings", "a b", "a/b"] {
            assert!(Product { id: id.into(), ..good.clone() }.check().is_err());
        }
    }
}
