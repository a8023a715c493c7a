//! Jobs and standing orders.

use super::{Amount, Currency, Id, Money};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A job.
#[derive(Serialize, ToSchema)]
pub(crate) struct Job {
    pub(crate) name: String,
    /// What it does.
    pub(crate) about: String,
    /// When: such as `daily at 00:05`, by the bank's clock.
    pub(crate) plan: String,
    /// When it is due next; `null` where it runs every few seconds, or never.
    #[schema(required, format = DateTime)]
    pub(crate) next: Option<String>,
    /// Its latest run that was recorded.
    #[schema(required)]
    pub(crate) last_run: Option<JobRun>,
}

/// All jobs.
#[derive(Serialize, ToSchema)]
pub(crate) struct Jobs {
    pub(crate) items: Vec<Job>,
}

/// A run of a job.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobRun {
    #[schema(format = DateTime)]
    pub(crate) started: String,
    #[schema(required, format = DateTime)]
    pub(crate) finished: Option<String>,
    #[schema(required)]
    pub(crate) milliseconds: Option<u64>,
    /// For which date.
    #[schema(format = Date)]
    pub(crate) date: String,
    /// Whether somebody asked for it.
    pub(crate) by_hand: bool,
    /// `running`, `done`, `failed` or `interrupted`.
    pub(crate) outcome: String,
    /// What it did, or why it failed.
    pub(crate) detail: String,
}

/// The runs of a job, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobRuns {
    pub(crate) items: Vec<JobRun>,
}

/// For which date to run a job.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JobDate {
    /// Without it, the latest whose time has come.
    #[schema(format = Date)]
    date: Option<String>,
}

/// What a run did.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobDone {
    pub(crate) detail: String,
}

/// A standing order, or a scheduled transfer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewStandingOrder {
    /// An id that you choose: 1 to 64 letters, digits, `-` and `_`. The same order sent again is the same.
    #[schema(pattern = "^[A-Za-z0-9_-]{1,64}$")]
    standing_order_id: String,
    /// The account of this bank that is paid; without it the money leaves the bank, as a withdrawal does.
    to: Option<Id>,
    amount: Amount,
    currency: Currency,
    #[schema(max_length = 200)]
    reference: Option<String>,
    /// `once 2026-12-24`, `weekly from 2026-12-04` or `monthly on 31 from 2026-12-01`; a month that has no such day counts
    /// with its last.
    rhythm: String,
    /// The last day that may be due.
    #[schema(format = Date)]
    until: Option<String>,
    /// What becomes of a due day without business; on its day unless said otherwise.
    holidays: Option<HolidayRule>,
    /// How often it is tried again when the money is not there, at most 30 times; not at all unless said otherwise.
    #[schema(maximum = 30)]
    retries: Option<u8>,
    /// How many days lie between two tries; one unless said otherwise.
    #[schema(minimum = 1, maximum = 30)]
    retry_days: Option<u8>,
}

/// What becomes of a due day without business.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HolidayRule {
    SameDay,
    Before,
    After,
}

/// The next try of a standing order.
#[derive(Serialize, ToSchema)]
pub(crate) struct NextTry {
    /// The day that is due.
    #[schema(format = Date)]
    pub(crate) due: String,
    /// Counts the tries, from 1.
    pub(crate) attempt: u8,
    /// When it is tried.
    #[schema(format = Date)]
    pub(crate) on: String,
}

/// A standing order.
#[derive(Serialize, ToSchema)]
pub(crate) struct StandingOrder {
    pub(crate) standing_order_id: String,
    #[schema(value_type = Id)]
    pub(crate) from: String,
    #[schema(required, value_type = Option<Id>)]
    pub(crate) to: Option<String>,
    #[schema(value_type = Money)]
    pub(crate) amount: String,
    #[schema(value_type = Currency)]
    pub(crate) currency: String,
    #[schema(required)]
    pub(crate) reference: Option<String>,
    pub(crate) rhythm: String,
    #[schema(required, format = Date)]
    pub(crate) until: Option<String>,
    pub(crate) holidays: String,
    pub(crate) retries: u8,
    pub(crate) retry_days: u8,
    /// `active`, `ended` or `cancelled`.
    pub(crate) status: String,
    #[schema(required)]
    pub(crate) next: Option<NextTry>,
}

/// The standing orders of an account.
#[derive(Serialize, ToSchema)]
pub(crate) struct StandingOrders {
    pub(crate) items: Vec<StandingOrder>,
}

/// What became of an occurrence.
#[derive(Serialize, ToSchema)]
pub(crate) struct Occurrence {
    #[schema(format = Date)]
    pub(crate) due: String,
    /// Which try it was.
    pub(crate) attempt: u8,
    /// `done`, `retry` or `refused`.
    pub(crate) outcome: String,
    /// Why it was refused.
    #[schema(required)]
    pub(crate) code: Option<String>,
    /// When it is tried again.
    #[schema(required, format = Date)]
    pub(crate) retry_on: Option<String>,
    #[schema(required, value_type = Option<Id>)]
    pub(crate) transfer_id: Option<String>,
}

/// What became of an order's occurrences, the earliest due day first.
#[derive(Serialize, ToSchema)]
pub(crate) struct Occurrences {
    pub(crate) items: Vec<Occurrence>,
}
