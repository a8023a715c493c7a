//! Transfers: what is asked, what it became, and the postings it left.

use crate::account::SystemAccount;
use crate::amount::Amount;
use crate::currency::Currency;
use crate::ids::{AccountId, HoldId, TransferId};
use crate::time::{Day, Timestamp};
use std::ops::Deref;

/// Most legs of one transfer.
pub const LEGS_MAX: usize = 100;
/// Most transfers in one atomic batch.
pub const BATCH_MAX: usize = 8192;

/// What a transfer is called. It changes no rule except where `decide` says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransferKind {
    /// From the bank's cash or a contra account to a customer.
    Deposit,
    /// From a customer to the bank's cash or a contra account.
    Withdrawal,
    /// Between accounts.
    Transfer,
    /// The capture of a hold.
    Capture,
    /// The reversal of another transfer.
    Reversal,
    /// An account's move to another shard.
    Move,
    /// Interest paid or charged.
    Interest,
    /// A fee.
    Fee,
    /// From one currency into another, by a quote.
    Exchange,
}

impl TransferKind {
    /// Every kind, in the order of its number in files.
    pub const ALL: [TransferKind; 9] = [
        TransferKind::Deposit,
        TransferKind::Withdrawal,
        TransferKind::Transfer,
        TransferKind::Capture,
        TransferKind::Reversal,
        TransferKind::Move,
        TransferKind::Interest,
        TransferKind::Fee,
        TransferKind::Exchange,
    ];

    /// The word for it on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            TransferKind::Deposit => "deposit",
            TransferKind::Withdrawal => "withdrawal",
            TransferKind::Transfer => "transfer",
            TransferKind::Capture => "capture",
            TransferKind::Reversal => "reversal",
            TransferKind::Move => "move",
            TransferKind::Interest => "interest",
            TransferKind::Fee => "fee",
            TransferKind::Exchange => "exchange",
        }
    }

    /// Whether what it takes from an account counts against the account's limits. What a capture takes was counted when its
    /// hold was placed, a reversal gives back, a move is no movement of money, and interest is the bank's own doing: what was
    /// paid too much is no spending of the customer's.
    pub const fn counts_against_limits(self) -> bool {
        !matches!(self, TransferKind::Capture | TransferKind::Reversal | TransferKind::Move | TransferKind::Interest)
    }

    /// Whether legs may be in currencies of their own. Each such leg has one of the bank's own accounts on a side, whose
    /// id tells its currency.
    pub const fn may_exchange(self) -> bool {
        matches!(self, TransferKind::Exchange | TransferKind::Capture | TransferKind::Reversal)
    }

    /// The currency of a leg, or of a debit and its credit, of a transfer of this kind and currency.
    pub fn currency_between(self, accounts: [AccountId; 2], currency: Currency) -> Currency {
        if !self.may_exchange() {
            return currency;
        }
        accounts.into_iter().find_map(SystemAccount::from_id).map_or(currency, |system| system.currency)
    }
}

/// How much a leg moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegAmount {
    /// Exactly this.
    Exactly(Amount),
    /// Whatever is available on the debited account when it is decided.
    Max,
}

/// One movement from an account to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leg {
    /// The account debited.
    pub from: AccountId,
    /// The account credited.
    pub to: AccountId,
    /// How much.
    pub amount: LegAmount,
}

/// A transfer's legs, 1 to [`LEGS_MAX`]; the usual single one needs no allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Legs {
    /// The usual case.
    One([Leg; 1]),
    /// Several, applied in order.
    Many(Box<[Leg]>),
}

impl Deref for Legs {
    type Target = [Leg];

    fn deref(&self) -> &[Leg] {
        match self {
            Legs::One(leg) => leg,
            Legs::Many(legs) => legs,
        }
    }
}

/// What a client adds to a transfer for its own use. Declared non-personal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// At most 255 bytes.
    pub reference: Option<Box<str>>,
    /// At most 32 entries, sorted by key, keys unique.
    pub metadata: Box<[(Box<str>, Box<str>)]>,
}

/// A transfer that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// What it is called.
    pub kind: TransferKind,
    /// The currency of all its accounts.
    pub currency: Currency,
    /// What moves.
    pub legs: Legs,
    /// Whether the check of funds is skipped; only a role that may do so can ask.
    pub forced: bool,
    /// The value date; `None` means the booking time.
    pub effective_at: Option<Timestamp>,
    /// Reference and metadata, if any.
    pub note: Option<Box<Note>>,
}

/// Debit lowers a balance, credit raises it, on every account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Money leaves the account.
    Debit,
    /// Money enters the account.
    Credit,
}

/// One side of a leg on one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posting {
    /// The account.
    pub account: AccountId,
    /// How much.
    pub amount: Amount,
    /// The account's balance after it.
    pub balance_after: i128,
    /// The account's count of postings after it: 1..n without gaps.
    pub version: u64,
    /// In or out.
    pub side: Side,
}

impl Posting {
    /// The amount with the sign of its effect on the balance.
    pub fn signed(&self) -> i128 {
        match self.side {
            Side::Debit => -self.amount.signed(),
            Side::Credit => self.amount.signed(),
        }
    }
}

/// A transfer's postings: debit and credit of the first leg, of the second, and so on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Postings {
    /// Those of a single leg.
    Pair([Posting; 2]),
    /// Those of several.
    Many(Box<[Posting]>),
}

impl Deref for Postings {
    type Target = [Posting];

    fn deref(&self) -> &[Posting] {
        match self {
            Postings::Pair(pair) => pair,
            Postings::Many(postings) => postings,
        }
    }
}

/// What a reversal undoes, and the booking day whose limits get their share back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reversed {
    /// The transfer undone.
    pub transfer: TransferId,
    /// The booking day it counted on: its own, or that of the hold it captured; of what counted on none, one of long ago.
    pub day: Day,
}

/// A transfer that took effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transferred {
    /// Its id.
    pub id: TransferId,
    /// What it is called.
    pub kind: TransferKind,
    /// Its currency.
    pub currency: Currency,
    /// Whether the check of funds was skipped.
    pub forced: bool,
    /// Its value date.
    pub effective_at: Timestamp,
    /// The postings, two for each leg.
    pub postings: Postings,
    /// What it reverses.
    pub reverses: Option<Reversed>,
    /// The hold it captures.
    pub hold: Option<HoldId>,
    /// Reference and metadata.
    pub note: Option<Box<Note>>,
}

impl Transferred {
    /// The sum of all legs in the transfer's own currency, in minor units.
    pub fn amount(&self) -> u128 {
        let (pairs, _) = self.postings.as_chunks::<2>();
        let own = pairs.iter().filter(|pair| self.currency_of(pair) == self.currency).flatten();
        let debits = own.filter(|posting| posting.side == Side::Debit);
        debits.map(|posting| u128::from(posting.amount.minor_units())).sum()
    }

    /// The currency of one of its postings.
    pub fn currency_at(&self, index: usize) -> Currency {
        let pair = self.postings.as_chunks::<2>().0.get(index / 2);
        pair.map_or(self.currency, |pair| self.currency_of(pair))
    }

    fn currency_of(&self, [debit, credit]: &[Posting; 2]) -> Currency {
        self.kind.currency_between([debit.account, credit.account], self.currency)
    }
}

/// A transfer as it is looked up to be reversed: what it was, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferRow {
    /// The transfer.
    pub transferred: Transferred,
    /// Its booking day.
    pub day: Day,
    /// The legs it was ordered with, where it went between shards: its postings here are only a part then.
    pub ordered: Option<Legs>,
    /// Whether it succeeded; one between shards may be pending or failed.
    pub succeeded: bool,
}
