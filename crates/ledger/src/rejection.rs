//! The bank's no: stable codes, in the order in which they are checked. The order is part of the contract.

use crate::account::HOLDS_PER_ACCOUNT_MAX;
use crate::amount::{Amount, Decimal};
use crate::currency::Currency;
use crate::ids::{AccountId, CustomerId, DeadLetterId, HoldId, QuoteId, TokenId, TransferId};
use crate::limit::LimitKind;
use std::fmt;

/// Why a command was rejected. Final: a retry with the same key hears the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// No such customer.
    UserNotFound(CustomerId),
    /// No such account, or not one that may be named here.
    AccountNotFound(AccountId),
    /// No such hold.
    HoldNotFound(HoldId),
    /// No such transfer.
    TransferNotFound(TransferId),
    /// No such dead letter.
    DeadLetterNotFound(DeadLetterId),
    /// No such token.
    TokenNotFound(TokenId),
    /// No such quote, or one of long ago.
    QuoteNotFound(QuoteId),
    /// Something different has this id, which a client chose.
    IdTaken(u64),
    /// The transfer was reversed before, or is a reversal itself (then `by` is none).
    AlreadyReversed {
        /// The transfer.
        transfer: TransferId,
        /// Its reversal.
        by: Option<TransferId>,
    },
    /// A reversal is under way on another shard.
    ReversalPending(TransferId),
    /// Only what succeeded can be reversed: this is under way, or it failed and was refunded.
    TransferNotSucceeded(TransferId),
    /// The hold is captured, voided or expired.
    HoldNotOpen(HoldId),
    /// Closing needs a balance of zero and no active hold.
    AccountNotEmpty(AccountId),
    /// The quote was used under another key.
    QuoteUsed(QuoteId),
    /// A leg from an account to itself.
    SameAccount(AccountId),
    /// The account is closed.
    AccountClosed(AccountId),
    /// The account is frozen.
    AccountFrozen(AccountId),
    /// The account has another currency.
    CurrencyMismatch {
        /// The account.
        account: AccountId,
        /// Its currency.
        currency: Currency,
    },
    /// The quote is for something else than was asked.
    QuoteMismatch(QuoteId),
    /// The quote is no longer good.
    QuoteExpired(QuoteId),
    /// The value date is in the future.
    EffectiveAtInvalid,
    /// The hold would have expired already.
    ExpiresAtInvalid,
    /// More than is left of the hold.
    HoldAmountExceeded {
        /// The hold.
        hold: HoldId,
        /// What is left.
        remaining: Amount,
        /// Its currency.
        currency: Currency,
    },
    /// More than is available.
    InsufficientFunds {
        /// The account.
        account: AccountId,
        /// What is available.
        available: i128,
        /// Its currency.
        currency: Currency,
    },
    /// More than a limit allows.
    LimitExceeded {
        /// The account.
        account: AccountId,
        /// Which limit.
        limit: LimitKind,
    },
    /// The balance would leave ±2⁶³−1, or an amount 18 digits.
    BalanceOverflow(AccountId),
    /// Another transfer of the atomic batch was rejected.
    LinkedTransferFailed,
    /// An operator wanted the money of a transfer between shards back before it was through.
    Cancelled(TransferId),
    /// A message between shards is not the next one: it was taken before, or one before it was not. Never recorded.
    MessageOutOfOrder {
        /// The number of the next one.
        expected: u64,
    },
    /// The account or slot is on another shard, or is moving there: ask where it is, and send again. Never recorded.
    WrongShard(u64),
    /// The account has a part in an open saga, so it cannot move yet. Never recorded.
    AccountInUse(AccountId),
    /// This command made the rule book fail. It took no effect and never will; people are told.
    InvariantBroken,
}

impl Rejection {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Rejection::UserNotFound(_) => "user_not_found",
            Rejection::AccountNotFound(_) => "account_not_found",
            Rejection::HoldNotFound(_) => "hold_not_found",
            Rejection::TransferNotFound(_) => "transfer_not_found",
            Rejection::DeadLetterNotFound(_) => "dead_letter_not_found",
            Rejection::TokenNotFound(_) => "not_found",
            Rejection::QuoteNotFound(_) => "quote_not_found",
            Rejection::QuoteUsed(_) => "quote_used",
            Rejection::QuoteMismatch(_) => "quote_mismatch",
            Rejection::QuoteExpired(_) => "quote_expired",
            Rejection::IdTaken(_) => "id_taken",
            Rejection::AlreadyReversed { .. } => "already_reversed",
            Rejection::ReversalPending(_) => "reversal_pending",
            Rejection::HoldNotOpen(_) => "hold_not_open",
            Rejection::AccountNotEmpty(_) => "account_not_empty",
            Rejection::SameAccount(_) => "same_account",
            Rejection::AccountClosed(_) => "account_closed",
            Rejection::AccountFrozen(_) => "account_frozen",
            Rejection::CurrencyMismatch { .. } => "currency_mismatch",
            Rejection::EffectiveAtInvalid => "effective_at_invalid",
            Rejection::ExpiresAtInvalid => "expires_at_invalid",
            Rejection::HoldAmountExceeded { .. } => "hold_amount_exceeded",
            Rejection::InsufficientFunds { .. } => "insufficient_funds",
            Rejection::LimitExceeded { .. } => "limit_exceeded",
            Rejection::BalanceOverflow(_) => "balance_overflow",
            Rejection::LinkedTransferFailed => "linked_transfer_failed",
            Rejection::TransferNotSucceeded(_) => "transfer_not_succeeded",
            Rejection::Cancelled(_) => "cancelled",
            Rejection::MessageOutOfOrder { .. } => "message_out_of_order",
            Rejection::WrongShard(_) => "wrong_shard",
            Rejection::AccountInUse(_) => "account_in_use",
            Rejection::InvariantBroken => "invariant_broken",
        }
    }

    /// Whether it holds only for now, and is therefore never recorded.
    pub const fn is_passing(&self) -> bool {
        matches!(self, Rejection::MessageOutOfOrder { .. } | Rejection::WrongShard(_) | Rejection::AccountInUse(_))
    }
}

/// What happened and what to do about it, from the recorded figures alone: a retry reads the same text.
impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rejection::UserNotFound(id) => write!(f, "there is no user {id}; register it first"),
            Rejection::AccountNotFound(id) => {
                write!(f, "there is no account {id} that could be used here; open it first")
            }
            Rejection::HoldNotFound(id) => write!(f, "there is no hold {id}"),
            Rejection::TransferNotFound(id) => write!(f, "there is no transfer {id}"),
            Rejection::DeadLetterNotFound(id) => write!(f, "there is no dead letter {id}"),
            Rejection::TokenNotFound(id) => write!(f, "there is no token {id}"),
            Rejection::QuoteNotFound(id) => write!(f, "there is no quote {id}; ask for a new one"),
            Rejection::QuoteUsed(id) => write!(f, "quote {id} was used before; ask for a new one"),
            Rejection::QuoteMismatch(id) => write!(f, "quote {id} is for something else; ask for one that fits"),
            Rejection::QuoteExpired(id) => write!(f, "quote {id} is no longer good; ask for a new one"),
            Rejection::IdTaken(id) => {
                write!(f, "the id {id} belongs to something different; choose another or leave it out")
            }
            Rejection::AlreadyReversed { transfer, by: Some(by) } => {
                write!(f, "transfer {transfer} was reversed by transfer {by}")
            }
            Rejection::AlreadyReversed { transfer, by: None } => {
                write!(f, "transfer {transfer} is a reversal or a move; neither can be reversed, make a new one")
            }
            Rejection::ReversalPending(id) => write!(f, "a reversal of transfer {id} is under way; ask for its status"),
            Rejection::HoldNotOpen(id) => write!(f, "hold {id} is captured, voided or expired; place a new one"),
            Rejection::AccountNotEmpty(id) => write!(f, "account {id} has a balance or active holds; empty it first"),
            Rejection::SameAccount(id) => write!(f, "account {id} is on both sides of a leg; name two accounts"),
            Rejection::AccountClosed(id) => write!(f, "account {id} is closed"),
            Rejection::AccountFrozen(id) => write!(f, "account {id} is frozen; unfreeze it first"),
            Rejection::CurrencyMismatch { account, currency } => {
                write!(f, "account {account} is kept in {currency}; use that currency")
            }
            Rejection::EffectiveAtInvalid => {
                f.write_str(
                    "the value date is in the future, or further back than this bank takes; leave it out or use one up to now",
                )
            }
            Rejection::ExpiresAtInvalid => {
                f.write_str("expires_at is not in the future; use a later one or leave it out")
            }
            Rejection::HoldAmountExceeded { hold, remaining, currency } => {
                write!(
                    f,
                    "hold {hold} has {} {currency} left; capture at most that",
                    remaining.decimal(currency.scale())
                )
            }
            Rejection::InsufficientFunds { account, available, currency } => {
                let available = Decimal { minor_units: *available, scale: currency.scale() };
                write!(f, "account {account} has {available} {currency} available; move less, or pay in first")
            }
            Rejection::LimitExceeded { account, limit } => write_limit(f, *account, *limit),
            Rejection::BalanceOverflow(id) => {
                write!(f, "the balance of account {id} would become too large; move less")
            }
            Rejection::LinkedTransferFailed => {
                f.write_str("another transfer of this atomic batch was rejected, so none was made")
            }
            Rejection::TransferNotSucceeded(id) => write_not_succeeded(f, *id),
            Rejection::Cancelled(id) => write!(f, "an operator cancelled transfer {id} before it was through"),
            Rejection::MessageOutOfOrder { expected } => {
                write!(f, "the next message of this shard is number {expected}; send from there")
            }
            Rejection::WrongShard(id) => write!(f, "{id} is moving to another shard; send the same again"),
            Rejection::AccountInUse(id) => write!(f, "account {id} has a part in an open transfer between shards"),
            Rejection::InvariantBroken => {
                f.write_str("this request made the rule book fail and took no effect; report it to the operator")
            }
        }
    }
}

fn write_not_succeeded(f: &mut fmt::Formatter<'_>, id: TransferId) -> fmt::Result {
    write!(f, "transfer {id} is pending or failed, and only one that succeeded can be reversed; see its status")
}

fn write_limit(f: &mut fmt::Formatter<'_>, account: AccountId, limit: LimitKind) -> fmt::Result {
    match limit {
        LimitKind::PerTransfer => {
            write!(f, "account {account} has a limit for one transfer that this exceeds; move less")
        }
        LimitKind::DailyDebit => {
            write!(f, "account {account} has a daily limit that this exceeds; move less or wait for the next day")
        }
        LimitKind::MonthlyDebit => {
            write!(f, "account {account} has a monthly limit that this exceeds; move less or wait for the next month")
        }
        LimitKind::ActiveHolds => {
            write!(f, "account {account} has {HOLDS_PER_ACCOUNT_MAX} active holds; capture or void some first")
        }
    }
}
