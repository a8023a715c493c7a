//! What clients send.

use super::{
    AccountType, Amount, AmountOrMax, BatchMode, ChosenId, Currency, ExactRate, FreezeKind, Id, OnlyDeposit,
    OnlyExchange, OnlyTransfer, OnlyWithdrawal, PaidBy, Role, SystemAccountKind,
};
use serde::Deserialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A user to register.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUser {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    user_id: Option<ChosenId>,
    #[schema(format = Date)]
    date_of_birth: Option<String>,
    national_id: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    locale: Option<String>,
}

/// What changes of a user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserChange {
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    #[schema(format = Date)]
    date_of_birth: Option<String>,
    national_id: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    locale: Option<String>,
}

/// An account to open.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAccount {
    user_id: Id,
    currency: Currency,
    r#type: AccountType,
    /// How far below zero debits may take it; zero without it.
    overdraft_limit: Option<Amount>,
    account_id: Option<ChosenId>,
}

/// Limits of an account; `null` is none.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewLimits {
    per_transfer: Option<Amount>,
    daily_debit: Option<Amount>,
    monthly_debit: Option<Amount>,
}

/// What changes of an account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountChange {
    overdraft_limit: Option<Amount>,
    limits: Option<NewLimits>,
}

/// What a freeze stops, and why.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Freeze {
    #[schema(max_length = 255)]
    reason: Option<String>,
    kind: Option<FreezeKind>,
}

/// One leg of a transfer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewLeg {
    from: Id,
    to: Id,
    amount: AmountOrMax,
}

/// A part of a split transfer: either `percent`, or `remainder`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPart {
    to: Id,
    /// So much of the whole.
    percent: Option<ExactRate>,
    /// What the others leave; one at most.
    remainder: Option<bool>,
}

/// What a fee is: either `tiers`, or `flat` and `percent`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewFee {
    #[schema(pattern = "^[a-z0-9_-]{1,40}$")]
    name: String,
    currency: Currency,
    flat: Option<Amount>,
    percent: Option<ExactRate>,
    #[schema(min_items = 1, max_items = 100)]
    tiers: Option<Vec<NewFeeTier>>,
    minimum: Option<Amount>,
    maximum: Option<Amount>,
    paid_by: Option<PaidBy>,
}

/// What a fee is from an amount on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewFeeTier {
    from: Option<Amount>,
    flat: Option<Amount>,
    percent: Option<ExactRate>,
}

/// A transfer that is asked for.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum NewTransfer {
    Deposit(NewDeposit),
    Withdrawal(NewWithdrawal),
    Between(NewBetween),
    Split(NewSplit),
    InLegs(NewInLegs),
    Exchange(NewExchange),
}

/// An exchange of one currency for another, by a quote.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewExchange {
    r#type: OnlyExchange,
    from: Id,
    to: Id,
    quote_id: Id,
    /// What is sold, as a check: the quote must be for it.
    amount: Option<Amount>,
    /// The currency of `amount`.
    currency: Option<Currency>,
    #[schema(max_length = 255)]
    reference: Option<String>,
    /// The value date, not in the future; now without it.
    #[schema(format = DateTime)]
    effective_at: Option<String>,
    metadata: Option<BTreeMap<String, String>>,
}

/// Rates to set, all or none.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRates {
    #[schema(min_items = 1, max_items = 1000)]
    rates: Vec<NewRate>,
    /// Where they come from; `api` without it.
    #[schema(max_length = 100)]
    source: Option<String>,
}

/// A rate: for one unit of `base` so many of `quote`. Either `mid`, or `bid` and `ask`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRate {
    base: Currency,
    quote: Currency,
    mid: Option<ExactRate>,
    bid: Option<ExactRate>,
    ask: Option<ExactRate>,
    /// What the bank takes off; its usual spread without it.
    #[schema(maximum = 9999)]
    spread_bps: Option<u16>,
    /// The time the rate is of; now without it.
    #[schema(format = DateTime)]
    as_of: Option<String>,
}

/// What somebody wants to exchange: either `sell_amount` or `buy_amount`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewQuote {
    /// The currency that is given.
    sell: Currency,
    /// The currency that is got for it.
    buy: Currency,
    /// What is given; what is got is rounded down.
    sell_amount: Option<Amount>,
    /// What is got; what is given is rounded up.
    buy_amount: Option<Amount>,
}

/// Shapes of a transfer, each as a request of its own and as an item of a batch, which may have a key: what all of them
/// have is said here once.
macro_rules! transfers {
    ($(
        $(#[doc = $doc:literal])* $name:ident;
        $(#[doc = $batch_doc:literal])* $in_batch:ident {
            $($(#[$attribute:meta])* $field:ident: $type:ty,)*
        }
    )*) => {$(
        transfers!(@ $(#[doc = $doc])* $name { $($(#[$attribute])* $field: $type,)* } {});
        transfers!(@ $(#[doc = $batch_doc])* $in_batch { $($(#[$attribute])* $field: $type,)* } {
            /// Needed in an independent batch.
            #[schema(min_length = 1, max_length = 255, pattern = "^[!-~]+$")]
            idempotency_key: Option<String>,
        });
    )*};
    (@ $(#[doc = $doc:literal])* $name:ident {
        $($(#[$attribute:meta])* $field:ident: $type:ty,)*
    } {
        $($(#[$last_attribute:meta])* $last_field:ident: $last_type:ty,)*
    }) => {
        $(#[doc = $doc])*
        #[derive(Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            $($(#[$attribute])* $field: $type,)*
            currency: Currency,
            #[schema(max_length = 255)]
            reference: Option<String>,
            /// The value date, not in the future; now without it.
            #[schema(format = DateTime)]
            effective_at: Option<String>,
            metadata: Option<BTreeMap<String, String>>,
            /// Skips the check of funds; needs the role admin.
            forced: Option<bool>,
            /// The name of a fee that is booked with it; not in batches.
            #[schema(pattern = "^[a-z0-9_-]{1,40}$")]
            fee: Option<String>,
            $($(#[$last_attribute])* $last_field: $last_type,)*
        }
    };
}

transfers! {
    /// A deposit.
    NewDeposit;
    /// A deposit of a batch.
    NewBatchDeposit {
        r#type: OnlyDeposit,
        to: Id,
        amount: Amount,
        /// One of the bank's own accounts other than cash.
        contra: Option<Id>,
    }

    /// A withdrawal.
    NewWithdrawal;
    /// A withdrawal of a batch.
    NewBatchWithdrawal {
        r#type: OnlyWithdrawal,
        from: Id,
        amount: AmountOrMax,
        /// One of the bank's own accounts other than cash.
        contra: Option<Id>,
    }

    /// A transfer between two accounts.
    NewBetween;
    /// A transfer between two accounts of a batch.
    NewBatchBetween {
        r#type: OnlyTransfer,
        from: Id,
        to: Id,
        amount: AmountOrMax,
    }

    /// A transfer of one amount in parts for several accounts; the parts sum to the amount.
    NewSplit;
    /// A transfer in parts of a batch.
    NewBatchSplit {
        r#type: OnlyTransfer,
        from: Id,
        amount: Amount,
        #[schema(min_items = 1, max_items = 100)]
        splits: Vec<NewPart>,
    }

    /// A transfer in legs: all or none.
    NewInLegs;
    /// A transfer in legs of a batch: all or none.
    NewBatchInLegs {
        r#type: OnlyTransfer,
        #[schema(min_items = 1, max_items = 100)]
        legs: Vec<NewLeg>,
    }
}

/// A transfer of a batch that is asked for.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum NewBatchTransfer {
    Deposit(NewBatchDeposit),
    Withdrawal(NewBatchWithdrawal),
    Between(NewBatchBetween),
    Split(NewBatchSplit),
    InLegs(NewBatchInLegs),
}

/// Many transfers.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewBatch {
    mode: BatchMode,
    #[schema(min_items = 1, max_items = 8192)]
    transfers: Vec<NewBatchTransfer>,
}

/// How a transfer is undone.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reverse {
    /// Skips the check of funds; needs the role admin.
    forced: Option<bool>,
    #[schema(max_length = 255)]
    reference: Option<String>,
    metadata: Option<BTreeMap<String, String>>,
}

/// Money to reserve.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewHold {
    from: Id,
    to: Option<Id>,
    amount: Amount,
    currency: Currency,
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// How much of a hold is taken, and for whom.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Capture {
    amount: Option<Amount>,
    to: Option<Id>,
    /// Whether what is not captured is released; yes without it.
    r#final: Option<bool>,
    /// Exchanges what is captured by this quote; `to` gets what is bought.
    quote_id: Option<Id>,
    #[schema(max_length = 255)]
    reference: Option<String>,
    metadata: Option<BTreeMap<String, String>>,
}

/// A CloudEvent 1.0; see docs/api.md for types and data.
#[derive(ToSchema)]
pub(crate) struct CloudEvent {
    specversion: String,
    id: String,
    source: String,
    r#type: String,
    #[schema(format = DateTime)]
    time: Option<String>,
    #[schema(value_type = Object)]
    data: String,
}

/// How a dead letter is submitted anew.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Redrive {
    /// In place of the event's `data`.
    data: Option<serde_json::Value>,
}

/// Why a dead letter is given up.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Discard {
    #[schema(min_length = 1, max_length = 512)]
    reason: String,
}

/// An account of the bank's own to open.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSystemAccount {
    kind: SystemAccountKind,
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    currency: Currency,
}

/// Slots to move to another shard.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SlotsToMove {
    #[schema(min_items = 1, max_items = 1024)]
    slots: Vec<u16>,
    /// The shard.
    to: u16,
}

/// A token to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToken {
    /// The principal it speaks for.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    role: Role,
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// A statement that is wanted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewStatement {
    /// A month that is over, such as 2026-11.
    #[schema(pattern = "^(19[7-9][0-9]|[2-9][0-9]{3})-(0[1-9]|1[0-2])$")]
    month: String,
    /// Whether a further one is made if something was booked late since the last one.
    again: Option<bool>,
}
