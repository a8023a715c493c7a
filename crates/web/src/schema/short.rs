//! The short calls.

use super::{Id, Side};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A short deposit or withdrawal.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct ShortMovement {
    account_id: Id,
    /// Whole units of the account's currency.
    #[schema(value_type = f64, exclusive_minimum = 0)]
    amount: String,
}

/// What became of a short deposit or withdrawal.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct ShortMoved {
    message: String,
    #[schema(value_type = f64, required)]
    new_balance: Option<String>,
}

/// An account's balance.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct ShortBalance {
    account_id: Id,
    #[schema(value_type = f64)]
    balance: String,
}

/// A short transaction on one account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct ShortTransaction {
    account_id: Id,
    #[schema(value_type = f64, exclusive_minimum = 0)]
    amount: String,
    r#type: Side,
}

/// What became of a short transaction.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct ShortTransacted {
    status: String,
    #[schema(required)]
    transaction_id: Option<Id>,
    account_id: Id,
    #[schema(value_type = f64)]
    amount: String,
    r#type: Side,
}

/// A short transfer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShortTransfer {
    #[schema(min_length = 1, max_length = 255, pattern = "^[!-~]+$")]
    idempotency_key: Option<String>,
    from_acc: Id,
    to_acct: Id,
    #[schema(value_type = f64, exclusive_minimum = 0)]
    amount: String,
}

/// The short transfer's id.
#[derive(ToSchema)]
pub(crate) struct ShortTransferred {
    #[schema(required)]
    transfer_id: Option<Id>,
}

/// Where a short transfer stands: `success`, `pending` or `failed`.
#[derive(ToSchema)]
pub(crate) struct ShortStatus {
    code: u16,
    status: String,
}

/// One posting of a month.
#[derive(ToSchema)]
pub(crate) struct MonthPosting {
    transaction_id: String,
    transfer_id: Id,
    account_id: Id,
    r#type: Side,
    #[schema(value_type = f64)]
    amount: String,
    #[schema(value_type = f64)]
    current_balance: String,
    #[schema(format = DateTime)]
    effective_at: String,
    status: String,
}

/// A month of an account.
#[derive(ToSchema)]
pub(crate) struct Month {
    code: u16,
    trx: Vec<MonthPosting>,
    #[schema(required)]
    next_cursor: Option<String>,
}

/// A link to a file.
#[derive(Serialize, ToSchema)]
pub(crate) struct Download {
    pub(crate) code: u16,
    /// Where the file can be read without a token, for some minutes.
    pub(crate) path: String,
}
