//! What can be typed about products, interest and the close of a day.

use super::{Remote, day};
use bank::interest::day_count::DayCount;
use bank::month::Month;
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use ledger::ids::AccountId;
use ledger::time::Day;

/// See [`Command::Products`](super::Command::Products).
#[derive(Debug, Subcommand)]
pub(crate) enum Products {
    /// List them, with what they pay
    List {
        #[command(flatten)]
        remote: Remote,
    },
    /// Set one up
    Create {
        /// Its name: small letters, digits and -
        id: String,
        #[command(flatten)]
        rates: Rates,
        /// The currency of accounts that can have it
        #[arg(long, value_name = "CODE")]
        currency: String,
        #[command(flatten)]
        ways: Ways,
        /// The kind of accounts that have it without being assigned to it
        #[arg(long, value_name = "KIND", value_parser = ["checking", "savings"])]
        default_for: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Add what one pays from a day on
    AddVersion {
        /// Its name
        id: String,
        #[command(flatten)]
        rates: Rates,
        #[command(flatten)]
        remote: Remote,
    },
    /// Give an account a product from a day on, or take its product away
    Assign {
        /// The account
        #[arg(long, value_name = "ID")]
        account: AccountId,
        /// The product
        #[arg(long, value_name = "NAME", required_unless_present = "none")]
        product: Option<String>,
        /// None from then on
        #[arg(long, conflicts_with = "product")]
        none: bool,
        /// The first day [default: the business date]
        #[arg(long, value_name = "DAY", value_parser = day)]
        from: Option<Day>,
        #[command(flatten)]
        remote: Remote,
    },
}

/// What a product pays from a day on.
#[derive(Debug, Args)]
pub(crate) struct Rates {
    /// The first day, such as 2027-01-01
    #[arg(long, value_name = "DAY", value_parser = day)]
    pub(crate) from: Day,
    /// Per cent a year, such as 2.5; with a balance from which it is paid, such as 3@10000, once for each tier
    #[arg(long = "rate", value_name = "PERCENT[@BALANCE]", required = true, value_parser = rate)]
    pub(crate) rates: Vec<(String, String)>,
    /// A balance below it bears nothing
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) minimum_balance: Option<String>,
}

/// How a product reckons.
#[derive(Debug, Args)]
pub(crate) struct Ways {
    /// Which part of a year a day is
    #[arg(long, value_name = "COUNT", default_value = "ACT/365F", value_parser = PossibleValuesParser::new(DayCount::ALL.map(DayCount::name)))]
    pub(crate) day_count: String,
    /// When what accrued is posted
    #[arg(long, value_name = "WHEN", default_value = "monthly", value_parser = ["daily", "monthly", "quarterly"])]
    pub(crate) posting: String,
    /// Whether a tier's rate is for the part of the balance in it, or for the whole balance
    #[arg(long, value_name = "HOW", default_value = "slices", value_parser = ["slices", "whole"])]
    pub(crate) tiering: String,
}

/// See [`Command::Interest`](super::Command::Interest).
#[derive(Debug, Subcommand)]
pub(crate) enum Interest {
    /// Show an account's interest in a month, day by day
    Explain {
        /// The account
        #[arg(long, value_name = "ID")]
        account: AccountId,
        /// The month, such as 2026-11
        #[arg(long, value_name = "MONTH")]
        month: Month,
        #[command(flatten)]
        remote: Remote,
    },
    /// What accounts would have borne in the past with a product; nothing is changed
    Simulate {
        /// The account; once for each
        #[arg(long = "account", value_name = "ID", required_unless_present = "all")]
        accounts: Vec<AccountId>,
        /// All accounts
        #[arg(long, conflicts_with = "accounts")]
        all: bool,
        /// A product there is
        #[arg(long, value_name = "NAME", conflicts_with_all = ["rates", "minimum_balance"], required_unless_present = "rates")]
        product: Option<String>,
        /// One that is only an idea: per cent a year, such as 2.5; with a balance from which it is paid, such as 3@10000
        #[arg(long = "rate", value_name = "PERCENT[@BALANCE]", value_parser = rate)]
        rates: Vec<(String, String)>,
        /// A balance below it bears nothing
        #[arg(long, value_name = "AMOUNT")]
        minimum_balance: Option<String>,
        #[command(flatten)]
        ways: Ways,
        /// The first day
        #[arg(long, value_name = "DAY", value_parser = day)]
        from: Day,
        /// The last day
        #[arg(long, value_name = "DAY", value_parser = day)]
        until: Day,
        #[command(flatten)]
        remote: Remote,
    },
}

/// See [`Command::CloseDay`](super::Command::CloseDay).
#[derive(Debug, Args)]
pub(crate) struct CloseDay {
    /// The last day to close [default: the last that is over]
    #[arg(long, value_name = "DAY", value_parser = day)]
    pub(crate) date: Option<Day>,
    /// Make again from the journal what is kept of accounts beside it
    #[arg(long)]
    pub(crate) rebuild: bool,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// Per cent and the balance from which they are paid.
fn rate(text: &str) -> Result<(String, String), &'static str> {
    let (percent, above) = text.split_once('@').unwrap_or((text, "0"));
    let is_decimal = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if is_decimal(percent) && is_decimal(above) {
        Ok((percent.to_owned(), above.to_owned()))
    } else {
        Err("write per cent a year such as 2.5, or 3@10000 for what lies above 10000")
    }
}
