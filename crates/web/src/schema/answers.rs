//! What the bank answers.

use super::{
    AccountStatus, AnyAccountType, Currency, DeadLetterStatus, HoldStatus, Id, Money, Problem, Role, Side,
    TransferStatus, TransferType,
};
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Pages of lists, all of one shape.
macro_rules! pages {
    ($($(#[$attribute:meta])* $name:ident of $item:ident;)*) => {$(
        $(#[$attribute])*
        #[derive(ToSchema)]
        pub(crate) struct $name {
            pub(crate) items: Vec<$item>,
            #[schema(required)]
            pub(crate) next_cursor: Option<String>,
        }
    )*};
}

pages! {
    /// A page of accounts.
    Accounts of Account;
    /// A page of postings.
    Postings of Posting;
    /// A page of transfers.
    Transfers of Transfer;
    /// A page of holds.
    Holds of Hold;
    /// A page of users.
    #[derive(Serialize)]
    Users of User;
    /// A page of dead letters.
    #[derive(Serialize)]
    DeadLetters of DeadLetter;
    /// All tokens.
    #[derive(Serialize)]
    Tokens of Token;
}

/// A user. What was erased is `null`.
#[derive(Serialize, ToSchema)]
pub(crate) struct User {
    #[schema(value_type = Id)]
    pub(crate) user_id: String,
    #[schema(required)]
    pub(crate) name: Option<String>,
    #[schema(required)]
    pub(crate) date_of_birth: Option<String>,
    /// Full years.
    #[schema(required)]
    pub(crate) age: Option<u32>,
    /// All but the last characters hidden.
    #[schema(required)]
    pub(crate) national_id: Option<String>,
    #[schema(required)]
    pub(crate) email: Option<String>,
    #[schema(required)]
    pub(crate) phone: Option<String>,
    #[schema(required)]
    pub(crate) locale: Option<String>,
    #[schema(format = DateTime)]
    pub(crate) created_at: String,
}

/// Limits of an account; `null` is none.
#[derive(ToSchema)]
pub(crate) struct Limits {
    #[schema(required)]
    per_transfer: Option<Money>,
    #[schema(required)]
    daily_debit: Option<Money>,
    #[schema(required)]
    monthly_debit: Option<Money>,
}

/// What an account has.
#[derive(ToSchema)]
pub(crate) struct Balance {
    ledger: Money,
    held: Money,
    available: Money,
    /// Count of postings.
    version: u64,
    /// Count of changes.
    revision: u64,
}

/// An account.
#[derive(ToSchema)]
pub(crate) struct Account {
    account_id: Id,
    #[schema(required)]
    user_id: Option<Id>,
    r#type: AnyAccountType,
    /// Only of the bank's own accounts.
    kind: Option<String>,
    /// Only of the bank's own accounts.
    name: Option<String>,
    currency: Currency,
    scale: u8,
    status: AccountStatus,
    #[schema(format = Date)]
    date_opened: String,
    overdraft_limit: Money,
    limits: Limits,
    balance: Balance,
}

/// A balance at a time.
#[derive(ToSchema)]
pub(crate) struct BalanceAt {
    account_id: Id,
    currency: Currency,
    ledger: Money,
    #[schema(format = DateTime)]
    at: String,
}

/// What became of a transfer of a batch: `transfer` or `error`.
#[derive(ToSchema)]
pub(crate) struct BatchResult {
    status: u16,
    transfer: Option<Transfer>,
    error: Option<Problem>,
}

/// What became of the transfers of a batch, index by index.
#[derive(ToSchema)]
pub(crate) struct BatchResults {
    results: Vec<BatchResult>,
}

/// One side of a leg. Ids and times are `null` in a dry run.
#[derive(ToSchema)]
pub(crate) struct Posting {
    #[schema(required)]
    transfer_id: Option<Id>,
    account_id: Id,
    side: Side,
    amount: Money,
    currency: Currency,
    balance_after: Money,
    version: u64,
    r#type: TransferType,
    #[schema(required)]
    reference: Option<String>,
    metadata: BTreeMap<String, String>,
    #[schema(required, format = DateTime)]
    effective_at: Option<String>,
    #[schema(required, format = DateTime)]
    created_at: Option<String>,
}

/// Why a transfer failed.
#[derive(ToSchema)]
pub(crate) struct Failure {
    code: String,
    detail: String,
}

/// A transfer. Ids and times are `null` in a dry run.
#[derive(ToSchema)]
pub(crate) struct Transfer {
    #[schema(required)]
    transfer_id: Option<Id>,
    r#type: TransferType,
    status: TransferStatus,
    amount: Money,
    currency: Currency,
    #[schema(required, format = DateTime)]
    created_at: Option<String>,
    #[schema(required, format = DateTime)]
    effective_at: Option<String>,
    #[schema(required)]
    reference: Option<String>,
    metadata: BTreeMap<String, String>,
    postings: Vec<Posting>,
    #[schema(required)]
    hold_id: Option<Id>,
    #[schema(required)]
    reverses: Option<Id>,
    #[schema(required)]
    reversed_by: Option<Id>,
    #[schema(required)]
    failure: Option<Failure>,
}

/// A hold. Id and times are `null` in a dry run.
#[derive(ToSchema)]
pub(crate) struct Hold {
    #[schema(required)]
    hold_id: Option<Id>,
    from: Id,
    #[schema(required)]
    to: Option<Id>,
    amount: Money,
    captured: Money,
    currency: Currency,
    status: HoldStatus,
    #[schema(required, format = DateTime)]
    expires_at: Option<String>,
    #[schema(required, format = DateTime)]
    created_at: Option<String>,
}

/// What became of an event.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventResult {
    #[schema(required)]
    pub(crate) id: Option<String>,
    /// `accepted`, `replayed` or `dead_lettered`.
    pub(crate) status: String,
    #[schema(value_type = Option<Id>, nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) transfer_id: Option<String>,
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
}

/// What became of events. Of a stream only what was dead-lettered is listed.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventResults {
    pub(crate) accepted: u64,
    pub(crate) replayed: u64,
    pub(crate) dead_lettered: u64,
    pub(crate) results: Vec<EventResult>,
}

/// What failed for good.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeadLetter {
    #[schema(value_type = Id)]
    pub(crate) dead_letter_id: String,
    pub(crate) code: String,
    pub(crate) detail: String,
    /// What was sent last; `null` when it can no longer be read.
    #[schema(required, value_type = serde_json::Value)]
    pub(crate) event: Option<Box<RawValue>>,
    #[schema(format = DateTime)]
    pub(crate) received_at: String,
    pub(crate) attempts: u32,
    #[schema(value_type = DeadLetterStatus)]
    pub(crate) status: String,
}

/// A part of the journal as CloudEvents.
#[derive(ToSchema)]
pub(crate) struct Journal {
    items: Vec<serde_json::Value>,
    /// What to ask for next.
    next_after: u64,
}

/// One of the bank's own accounts.
#[derive(Serialize, ToSchema)]
pub(crate) struct SystemAccountBalance {
    #[schema(value_type = Id)]
    pub(crate) account_id: String,
    pub(crate) kind: String,
    #[schema(value_type = Money)]
    pub(crate) balance: String,
}

/// The books of one shard in one currency.
#[derive(Serialize, ToSchema)]
pub(crate) struct SystemBalance {
    pub(crate) shard: u16,
    #[schema(value_type = Currency)]
    pub(crate) currency: String,
    pub(crate) accounts: Vec<SystemAccountBalance>,
    /// All customers together.
    #[schema(value_type = Money)]
    pub(crate) customers: String,
    /// Zero, or something is wrong.
    #[schema(value_type = Money)]
    pub(crate) total: String,
}

/// The books.
#[derive(Serialize, ToSchema)]
pub(crate) struct SystemBalances {
    pub(crate) items: Vec<SystemBalance>,
}

/// A shard.
#[derive(Serialize, ToSchema)]
pub(crate) struct Shard {
    pub(crate) shard: u16,
    /// Those it owns.
    #[schema(max_items = 1024)]
    pub(crate) slots: Vec<u16>,
    /// Those it gave up; they do not come back to it.
    #[schema(max_items = 1024)]
    pub(crate) given_up: Vec<u16>,
    /// Customers' accounts and the bank's own.
    pub(crate) accounts: u64,
    /// The newest entry of its journal.
    pub(crate) sequence: u64,
    /// Transfers between shards that began here and are under way.
    pub(crate) sagas_open: u64,
}

/// A slot on its way to another shard. Where nobody carries its move on, asking for it again does.
#[derive(Serialize, ToSchema)]
pub(crate) struct MovingSlot {
    pub(crate) slot: u16,
    pub(crate) from: u16,
    pub(crate) to: u16,
}

/// All shards.
#[derive(Serialize, ToSchema)]
pub(crate) struct Shards {
    pub(crate) items: Vec<Shard>,
    pub(crate) moving: Vec<MovingSlot>,
    /// Grows with every change of any slot.
    pub(crate) version: u64,
}

/// What a move came to.
#[derive(Serialize, ToSchema)]
pub(crate) struct SlotsMoved {
    /// Slots that went to the shard with this call.
    pub(crate) slots: usize,
    /// Accounts that went there.
    pub(crate) accounts: usize,
}

/// A token without its text.
#[derive(Serialize, ToSchema)]
pub(crate) struct Token {
    #[schema(value_type = Id)]
    pub(crate) token_id: String,
    pub(crate) name: String,
    #[schema(value_type = Role)]
    pub(crate) role: String,
    #[schema(format = DateTime)]
    pub(crate) created_at: String,
    #[schema(required, format = DateTime)]
    pub(crate) expires_at: Option<String>,
    pub(crate) revoked: bool,
}

/// A token with its text, once.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenShown {
    #[serde(flatten)]
    pub(crate) metadata: Token,
    /// What to present as bearer.
    pub(crate) token: String,
}

/// Whether the bank works.
#[derive(ToSchema)]
pub(crate) struct Health {
    status: String,
}

/// The files of a statement: links that are good without a token, for some minutes.
#[derive(Serialize, ToSchema)]
pub(crate) struct StatementFiles {
    pub(crate) pdf: String,
    pub(crate) csv: String,
    /// ISO 20022 camt.053.
    pub(crate) xml: String,
}

/// A statement of an account.
#[derive(Serialize, ToSchema)]
pub(crate) struct Statement {
    #[schema(value_type = Id)]
    pub(crate) account_id: String,
    /// Such as 2026-11.
    pub(crate) month: String,
    /// Counts the statements of the month, from 1; the latest tells also what was booked late since.
    pub(crate) number: u32,
    #[schema(value_type = Currency)]
    pub(crate) currency: String,
    #[schema(value_type = Money)]
    pub(crate) opening: String,
    #[schema(value_type = Money)]
    pub(crate) closing: String,
    /// How many postings it tells of.
    pub(crate) postings: usize,
    pub(crate) files: StatementFiles,
}

/// The statements of several months in one file.
#[derive(Serialize, ToSchema)]
pub(crate) struct StatementMonths {
    /// The months that it has.
    pub(crate) months: Vec<String>,
    /// A link to it, which is good without a token, for some minutes.
    pub(crate) file: String,
}

/// The statements of an account, the latest month first.
#[derive(Serialize, ToSchema)]
pub(crate) struct Statements {
    pub(crate) items: Vec<Statement>,
}

/// A rate: for one unit of `base` so many of `quote`.
#[derive(Serialize, ToSchema)]
pub(crate) struct Rate {
    #[schema(value_type = Currency)]
    pub(crate) base: String,
    #[schema(value_type = Currency)]
    pub(crate) quote: String,
    #[schema(value_type = super::ExactRate)]
    pub(crate) bid: String,
    #[schema(value_type = super::ExactRate)]
    pub(crate) ask: String,
    /// What the bank takes off; `null` for its usual spread.
    #[schema(required)]
    pub(crate) spread_bps: Option<u16>,
    /// The time the rate is of.
    #[schema(format = DateTime)]
    pub(crate) as_of: String,
    /// Where it comes from.
    pub(crate) source: String,
    /// Who set it.
    pub(crate) set_by: String,
    #[schema(format = DateTime)]
    pub(crate) set_at: String,
    /// Whether it is too old to be quoted by.
    pub(crate) is_stale: bool,
}

/// A page of rates.
#[derive(Serialize, ToSchema)]
pub(crate) struct Rates {
    pub(crate) items: Vec<Rate>,
    #[schema(required)]
    pub(crate) next_cursor: Option<String>,
}

/// A quote: `sell_amount` of one currency for `buy_amount` of another, until it ends.
#[derive(Serialize, ToSchema)]
pub(crate) struct Quote {
    #[schema(value_type = Id)]
    pub(crate) quote_id: String,
    #[schema(value_type = Currency)]
    pub(crate) sell: String,
    #[schema(value_type = Money)]
    pub(crate) sell_amount: String,
    #[schema(value_type = Currency)]
    pub(crate) buy: String,
    #[schema(value_type = Money)]
    pub(crate) buy_amount: String,
    #[schema(value_type = super::FixedAmount)]
    pub(crate) fixed: String,
    /// For one unit given so many got.
    #[schema(value_type = super::ExactRate)]
    pub(crate) rate: String,
    /// The same in the middle of the market.
    #[schema(value_type = super::ExactRate)]
    pub(crate) mid: String,
    /// What the bank took off the market's rate.
    pub(crate) spread_bps: u16,
    /// What the bank keeps, of the currency bought: spread and rounding together. It is booked.
    #[schema(value_type = Money)]
    pub(crate) result: String,
    /// What the customer would get beyond `buy_amount` if there were no least unit; a part of `result` and `rest`.
    pub(crate) rounding: String,
    /// What is left below the least unit of what is given at `mid`, exactly.
    pub(crate) rest: String,
    /// Where the rate comes from.
    pub(crate) source: String,
    /// The time the rate is of.
    #[schema(format = DateTime)]
    pub(crate) as_of: String,
    /// Who gave the quote.
    pub(crate) given_by: String,
    #[schema(format = DateTime)]
    pub(crate) created_at: String,
    #[schema(format = DateTime)]
    pub(crate) expires_at: String,
    /// Whether an exchange was asked for by it.
    pub(crate) used: bool,
}

/// What a fee is from an amount on.
#[derive(Serialize, ToSchema)]
pub(crate) struct FeeTier {
    #[schema(value_type = Money)]
    pub(crate) from: String,
    #[schema(value_type = Money)]
    pub(crate) flat: String,
    #[schema(required)]
    pub(crate) percent: Option<String>,
}

/// A fee.
#[derive(Serialize, ToSchema)]
pub(crate) struct Fee {
    pub(crate) name: String,
    #[schema(value_type = Currency)]
    pub(crate) currency: String,
    /// Counts its changes.
    pub(crate) version: u64,
    pub(crate) tiers: Vec<FeeTier>,
    #[schema(value_type = Money)]
    pub(crate) minimum: String,
    #[schema(required, value_type = Option<Money>)]
    pub(crate) maximum: Option<String>,
    #[schema(value_type = super::PaidBy)]
    pub(crate) paid_by: String,
    /// Who set it.
    pub(crate) set_by: String,
    #[schema(format = DateTime)]
    pub(crate) set_at: String,
}

/// All fees.
#[derive(Serialize, ToSchema)]
pub(crate) struct Fees {
    pub(crate) items: Vec<Fee>,
    #[schema(required)]
    pub(crate) next_cursor: Option<String>,
}
