//! Parameters of queries and headers.

use super::{Axis, DeadLetterStatus, Side, TransferStatus};
use utoipa::IntoParams;

/// The key of something that moves money.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct IdempotencyKey {
    /// New for each thing that is asked, the same when it is asked again. Not needed when nothing is to happen.
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255, pattern = "^[!-~]+$")]
    idempotency_key: String,
}

/// The key of something that may also be asked without.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct OptionalIdempotencyKey {
    /// New for each thing that is asked, the same when it is asked again.
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255, pattern = "^[!-~]+$")]
    idempotency_key: Option<String>,
}

/// Whether nothing is to happen.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DryRun {
    /// Say what would happen, with ids and times `null`, and do nothing.
    dry_run: Option<bool>,
}

/// A part of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// Most items.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
}

/// Which rates.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct RateFilter {
    /// With `quote`: all rates of this pair, instead of the latest of every pair.
    #[param(pattern = "^[A-Z]{3}$")]
    base: Option<String>,
    /// See `base`.
    #[param(pattern = "^[A-Z]{3}$")]
    quote: Option<String>,
}

/// Which transfers. Further: `metadata.KEY=VALUE`.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct TransferFilter {
    /// Only those with a posting on this account.
    #[param(pattern = "^([1-9][0-9]{0,17}|[1-8][0-9]{18}|9([01][0-9]|2[0-2])[0-9]{16})$")]
    account_id: Option<String>,
    /// Only those of this status.
    #[param(inline)]
    status: Option<TransferStatus>,
    /// With `status=pending`: only those that began so many seconds ago or earlier.
    older_than: Option<u64>,
    /// Only those with exactly this reference.
    reference: Option<String>,
    /// At or after this time.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Before this time.
    #[param(format = DateTime)]
    until: Option<String>,
    /// Which time `since` and `until` are about.
    #[param(inline)]
    by: Option<Axis>,
}

/// Which postings. Further: `metadata.KEY=VALUE`.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PostingFilter {
    /// Only this side.
    #[param(inline)]
    side: Option<Side>,
    /// Only those with exactly this reference.
    reference: Option<String>,
    /// At or after this time.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Before this time.
    #[param(format = DateTime)]
    until: Option<String>,
    /// Which time `since` and `until` are about.
    #[param(inline)]
    by: Option<Axis>,
}

/// At which time.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct At {
    /// The time; now without it.
    #[param(format = DateTime)]
    at: Option<String>,
    /// Which time of postings counts.
    #[param(inline)]
    by: Option<Axis>,
}

/// Which dead letters.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeadLetterFilter {
    /// Only those of this status.
    #[param(inline)]
    status: Option<DeadLetterStatus>,
}

/// Which part of the journal.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct JournalPart {
    /// The shard, from 0.
    #[param(minimum = 0, maximum = 1023)]
    shard: Option<u16>,
    /// Entries after this sequence.
    #[param(minimum = 0)]
    after: Option<i64>,
    /// Most events.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u16>,
}
