//! Day counts: which part of a year a day is.

use ledger::time::Day;

/// Equal parts that a year of each day count can be cut into: a multiple of 365, 366 and 360.
pub const YEAR_PARTS: i128 = 1_603_080;

/// Which part of a year each of its days is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayCount {
    /// ACT/365 Fixed: every day is 1/365.
    Actual365Fixed,
    /// ACT/ACT ISDA: a day is 1/366 in a leap year, 1/365 in another.
    ActualActualIsda,
    /// ACT/360: every day is 1/360.
    Actual360,
    /// 30E/360 (Eurobond basis): every month has 30 days of 1/360. A 31st counts as the 30th, so that the 30th of a month
    /// with 31 days weighs nothing, and the last day of February weighs what is missing of 30.
    Thirty360European,
}

impl DayCount {
    /// Every day count.
    pub const ALL: [DayCount; 4] =
        [DayCount::Actual365Fixed, DayCount::ActualActualIsda, DayCount::Actual360, DayCount::Thirty360European];

    /// The word for it on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            DayCount::Actual365Fixed => "ACT/365F",
            DayCount::ActualActualIsda => "ACT/ACT",
            DayCount::Actual360 => "ACT/360",
            DayCount::Thirty360European => "30E/360",
        }
    }

    /// How many [`YEAR_PARTS`] a day has: from its first instant to the next day's.
    pub fn weight(self, day: Day) -> i128 {
        match self {
            DayCount::Actual365Fixed => YEAR_PARTS / 365,
            DayCount::ActualActualIsda if is_leap(day) => YEAR_PARTS / 366,
            DayCount::ActualActualIsda => YEAR_PARTS / 365,
            DayCount::Actual360 => YEAR_PARTS / 360,
            DayCount::Thirty360European => {
                let next = Day::new(day.number() + 1);
                i128::from(days_30e(next) - days_30e(day)) * (YEAR_PARTS / 360)
            }
        }
    }
}

fn is_leap(day: Day) -> bool {
    let (year, _, _) = day.date();
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days since the year 0 where every month has 30 of them.
fn days_30e(day: Day) -> i64 {
    let (year, month, date) = day.date();
    i64::from(year) * 360 + i64::from(month) * 30 + i64::from(date.min(30))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().expect("a day")
    }

    fn sum(count: DayCount, from: &str, until: &str) -> i128 {
        (day(from).number()..day(until).number()).map(|number| count.weight(Day::new(number))).sum()
    }

    #[test]
    fn whole_years_are_what_the_definitions_say() {
        let parts = |numerator: i128, denominator: i128| numerator * YEAR_PARTS / denominator;
        for (count, common, leap) in [
            (DayCount::Actual365Fixed, parts(1, 1), parts(366, 365)),
            (DayCount::ActualActualIsda, parts(1, 1), parts(1, 1)),
            (DayCount::Actual360, parts(365, 360), parts(366, 360)),
            (DayCount::Thirty360European, parts(1, 1), parts(1, 1)),
        ] {
            assert_eq!(sum(count, "2023-01-01", "2024-01-01"), common, "{}", count.name());
            assert_eq!(sum(count, "2024-01-01", "2025-01-01"), leap, "{}", count.name());
        }
    }

    #[test]
    fn every_month_has_thirty_days_in_30e_360() {
        for year in [2023, 2024] {
            for month in 1..=12 {
                let first = Day::from_date(year, month, 1).expect("a day");
                let next = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
                let next = Day::from_date(next.0, next.1, 1).expect("a day");
                let weight: i128 = (first.number()..next.number())
                    .map(|number| DayCount::Thirty360European.weight(Day::new(number)))
                    .sum();
                assert_eq!(weight, YEAR_PARTS / 12, "{first}");
            }
        }
        let days = |text: &str| DayCount::Thirty360European.weight(day(text)) * 360 / YEAR_PARTS;
        assert_eq!(["2024-01-29", "2024-01-30", "2024-01-31", "2024-02-28", "2024-02-29"].map(days), [1, 0, 1, 1, 2]);
        assert_eq!(days("2023-02-28"), 3);
    }
}
