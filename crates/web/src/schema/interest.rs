//! Products, interest and the business date.

use super::{Amount, Currency, Id, Money};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A rate from a balance on.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tier {
    /// The balance above which it begins; the first tier begins at 0.
    #[schema(value_type = Amount)]
    pub(crate) above: String,
    /// Per cent a year, with at most six decimals.
    #[schema(pattern = "^(0|[1-9][0-9]{0,3})([.][0-9]{1,6})?$", example = "2.5")]
    pub(crate) rate_percent: String,
}

/// What a product pays from a day on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewVersion {
    /// The first day; the business date or later.
    #[schema(format = Date)]
    from: String,
    /// A balance below it bears nothing.
    minimum_balance: Option<Amount>,
    #[schema(min_items = 1, max_items = 20)]
    tiers: Vec<Tier>,
}

/// A product to set up.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewProduct {
    /// Its name.
    #[schema(pattern = "^[a-z0-9-]{1,64}$", example = "savings-2027")]
    product_id: String,
    currency: Currency,
    /// Which part of a year a day is.
    day_count: DayCount,
    /// When what accrued is posted.
    posting: PostingPlan,
    /// Whether the rate of a tier is for the part of the balance that lies in it (`slices`, unless said otherwise), or for
    /// the whole balance.
    tiering: Option<Tiering>,
    /// Accounts of this kind and currency have it unless they are assigned another.
    default_for: Option<super::AccountType>,
    /// The first day; the business date or later.
    #[schema(format = Date)]
    from: String,
    minimum_balance: Option<Amount>,
    #[schema(min_items = 1, max_items = 20)]
    tiers: Vec<Tier>,
}

/// Which part of a year a day is.
#[derive(Deserialize, ToSchema)]
pub(crate) enum DayCount {
    /// 1/365.
    #[serde(rename = "ACT/365F")]
    Actual365Fixed,
    /// 1/366 in leap years, 1/365 in others (ISDA).
    #[serde(rename = "ACT/ACT")]
    ActualActual,
    /// 1/360.
    #[serde(rename = "ACT/360")]
    Actual360,
    /// Every month has 30 days of 1/360 (Eurobond basis).
    #[serde(rename = "30E/360")]
    Thirty360,
}

/// When what accrued is posted.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PostingPlan {
    Daily,
    Monthly,
    Quarterly,
}

/// What the rate of a tier is for.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Tiering {
    Slices,
    Whole,
}

/// The product an account is to have.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProductOfAccount {
    /// The product; `null` for none.
    #[schema(required)]
    product_id: Option<String>,
    /// From this day on; the business date or later, which it is without it.
    #[schema(format = Date)]
    from: Option<String>,
}

/// A product to try on an account's past: one there is, or one that is only an idea.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Simulation {
    /// The first day.
    #[schema(format = Date)]
    from: String,
    /// The last day.
    #[schema(format = Date)]
    until: String,
    /// A product there is.
    product_id: Option<String>,
    /// One that is only an idea; its version begins at `from`.
    product: Option<Idea>,
}

/// A product that is only an idea.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Idea {
    day_count: DayCount,
    posting: PostingPlan,
    tiering: Option<Tiering>,
    minimum_balance: Option<Amount>,
    #[schema(min_items = 1, max_items = 20)]
    tiers: Vec<Tier>,
}

/// Up to which day to close days.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DayToClose {
    /// The last one; without it, the last that is over.
    #[schema(format = Date)]
    date: Option<String>,
    /// Whether what is kept of accounts beside the journal is made again from it with the next day that is closed.
    rebuild: Option<bool>,
}

/// What a product pays from a day on.
#[derive(Serialize, ToSchema)]
pub(crate) struct Version {
    #[schema(format = Date)]
    pub(crate) from: String,
    #[schema(value_type = Money)]
    pub(crate) minimum_balance: String,
    pub(crate) tiers: Vec<Tier>,
}

/// A deposit product.
#[derive(Serialize, ToSchema)]
pub(crate) struct Product {
    pub(crate) product_id: String,
    #[schema(value_type = Currency)]
    pub(crate) currency: String,
    pub(crate) day_count: String,
    pub(crate) posting: String,
    pub(crate) tiering: String,
    #[schema(required)]
    pub(crate) default_for: Option<String>,
    /// The earliest first; each holds until the next one begins.
    pub(crate) versions: Vec<Version>,
}

/// All products, by name.
#[derive(Serialize, ToSchema)]
pub(crate) struct Products {
    pub(crate) items: Vec<Product>,
}

/// From which day an account has which product.
#[derive(Serialize, ToSchema)]
pub(crate) struct Assigned {
    #[schema(format = Date)]
    pub(crate) from: String,
    #[schema(required)]
    pub(crate) product_id: Option<String>,
}

/// The product of an account.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccountProduct {
    #[schema(value_type = Id)]
    pub(crate) account_id: String,
    /// What it has on the business date.
    #[schema(required)]
    pub(crate) product_id: Option<String>,
    /// What it was assigned, the earliest first; before that it has what its kind of accounts has.
    pub(crate) assigned: Vec<Assigned>,
}

/// Part of a balance and the rate it bears.
#[derive(Serialize, ToSchema)]
pub(crate) struct Slice {
    #[schema(value_type = Money)]
    pub(crate) amount: String,
    /// Per cent a year.
    pub(crate) rate_percent: String,
}

/// The interest of an account for a day.
#[derive(Serialize, ToSchema)]
pub(crate) struct InterestDay {
    #[schema(format = Date)]
    pub(crate) day: String,
    pub(crate) product_id: String,
    /// The balance at the end of the day by value date.
    #[schema(value_type = Money)]
    pub(crate) base: String,
    /// What of it bears which rate.
    pub(crate) rates: Vec<Slice>,
    /// What accrued, with six decimals more than money has.
    #[schema(value_type = Money)]
    pub(crate) accrual: String,
    /// The same exactly, as a fraction such as `5/73`.
    pub(crate) accrual_exact: String,
    /// What was posted at the end of the day, corrections of its period among it.
    #[schema(value_type = Money)]
    pub(crate) posted: String,
    /// What accrued up to here and was not posted.
    #[schema(value_type = Money)]
    pub(crate) carry: String,
    /// The same exactly.
    pub(crate) carry_exact: String,
    /// Whether the day is closed.
    pub(crate) closed: bool,
}

/// The interest of an account, day by day.
#[derive(Serialize, ToSchema)]
pub(crate) struct InterestExplained {
    #[schema(value_type = Id)]
    pub(crate) account_id: String,
    #[schema(value_type = Currency)]
    pub(crate) currency: String,
    pub(crate) days: Vec<InterestDay>,
}

/// A posting that would have been.
#[derive(Serialize, ToSchema)]
pub(crate) struct SimulatedPosting {
    #[schema(format = Date)]
    pub(crate) from: String,
    #[schema(format = Date)]
    pub(crate) until: String,
    #[schema(value_type = Money)]
    pub(crate) amount: String,
}

/// What an account would have borne.
#[derive(Serialize, ToSchema)]
pub(crate) struct InterestSimulated {
    #[schema(value_type = Id)]
    pub(crate) account_id: String,
    #[schema(value_type = Currency)]
    pub(crate) currency: String,
    pub(crate) postings: Vec<SimulatedPosting>,
    /// The sum of the postings.
    #[schema(value_type = Money)]
    pub(crate) total: String,
    pub(crate) days: Vec<InterestDay>,
}

/// The bank's business date.
#[derive(Serialize, ToSchema)]
pub(crate) struct BusinessDate {
    /// The first day that is not closed.
    #[schema(format = Date)]
    pub(crate) business_date: String,
    /// The day that it is at the bank.
    #[schema(format = Date)]
    pub(crate) today: String,
    /// The bank's time zone.
    pub(crate) time_zone: String,
    /// The day closed last.
    #[schema(required, format = Date)]
    pub(crate) closed: Option<String>,
}

/// What was posted in a currency.
#[derive(Serialize, ToSchema)]
pub(crate) struct Posted {
    #[schema(value_type = Currency)]
    pub(crate) currency: String,
    #[schema(value_type = Money)]
    pub(crate) amount: String,
}

/// What the close of a day did.
#[derive(Serialize, ToSchema)]
pub(crate) struct ClosedDay {
    #[schema(format = Date)]
    pub(crate) day: String,
    /// Accounts with a product.
    pub(crate) accounts: u64,
    /// Postings of interest.
    pub(crate) posted: u64,
    /// Postings that correct earlier ones.
    pub(crate) corrections: u64,
    /// Postings that were refused.
    pub(crate) refused: u64,
    /// What was posted.
    pub(crate) sums: Vec<Posted>,
}

/// The days that were closed now.
#[derive(Serialize, ToSchema)]
pub(crate) struct ClosedDays {
    pub(crate) items: Vec<ClosedDay>,
    /// Whether there are more to close: ask again.
    pub(crate) more: bool,
    #[schema(format = Date)]
    pub(crate) business_date: String,
}
