//! Accounts: a customer's or the bank's own, one currency, one status.

use crate::amount::Amount;
use crate::currency::Currency;
use crate::ids::{AccountId, CustomerId, SYSTEM_ID_START, ShardId};
use crate::limit::{DebitCounter, Limits};
use crate::time::{Day, Timestamp};

/// The largest balance, up or down, that an ordinary posting may leave on a customer's account: 2⁶³−1 minor units.
pub const CUSTOMER_BALANCE_MAX: i128 = i64::MAX as i128;
/// Most holds that may be active on one account at a time, so that what an expiry has to look at is bounded.
pub const HOLDS_PER_ACCOUNT_MAX: u32 = 10_000;

/// What an account is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccountKind {
    /// A customer's account for daily payments.
    Checking,
    /// A customer's savings.
    Savings,
    /// One of the bank's own.
    System(SystemKind),
}

/// What one of the bank's own accounts is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SystemKind {
    /// Where deposits come from and withdrawals go to.
    Cash,
    /// Money on its way between this shard and another.
    Clearing,
    /// What the bank pays, interest among it.
    Expense,
    /// What the bank earns, fees among it.
    Income,
    /// Money whose owner is not clear yet.
    Suspense,
    /// One cash machine.
    Atm,
    /// Money kept at another bank.
    Correspondent,
    /// Anything else the bank opens.
    Other,
    /// What the bank has gained of a currency by exchanging others for it, or given away: its position.
    FxPosition,
    /// What the bank keeps of exchanges: the spread, and what rounding leaves.
    FxResult,
}

impl SystemKind {
    /// Every kind, in the order of its number in ids and files.
    pub const ALL: [SystemKind; 10] = [
        SystemKind::Cash,
        SystemKind::Clearing,
        SystemKind::Expense,
        SystemKind::Income,
        SystemKind::Suspense,
        SystemKind::Atm,
        SystemKind::Correspondent,
        SystemKind::Other,
        SystemKind::FxPosition,
        SystemKind::FxResult,
    ];

    /// The word for it on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            SystemKind::Cash => "cash",
            SystemKind::Clearing => "clearing",
            SystemKind::Expense => "expense",
            SystemKind::Income => "income",
            SystemKind::Suspense => "suspense",
            SystemKind::Atm => "atm",
            SystemKind::Correspondent => "correspondent",
            SystemKind::Other => "other",
            SystemKind::FxPosition => "fx_position",
            SystemKind::FxResult => "fx_result",
        }
    }

    /// The kind with this name.
    pub fn from_name(name: &str) -> Option<SystemKind> {
        SystemKind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Who may still move money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Everything works.
    Active,
    /// Debits, or all, are rejected for now.
    Frozen(FreezeKind),
    /// For good; the balance is zero.
    Closed,
}

/// How much a freeze stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreezeKind {
    /// Debits and new holds; credits and captures of earlier holds go on.
    Debit,
    /// Credits and captures too.
    Full,
}

/// An account as it stands, or as it stood when an entry was written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Account {
    // Lines of a processor's cache have 64 bytes. The first two of the row have all that a transfer reads and writes.
    /// Signed sum of its postings in minor units; a credit raises it.
    pub balance: i128,
    /// Debits counted against limits.
    pub debits: DebitCounter,

    /// Its id.
    pub id: AccountId,
    /// Sum of what its active holds reserve.
    pub held: u64,
    /// Count of its postings.
    pub version: u64,
    /// Count of its changes, postings included.
    pub revision: u64,
    /// How far below zero ordinary debits may take it.
    pub overdraft_limit: Amount,
    /// When the first of its holds expires; [`Timestamp::MAX`] when none does.
    pub next_expiry: Timestamp,
    /// What limits its debits; most accounts have none.
    pub limits: Option<Box<Limits>>,
    /// Its active holds.
    pub holds_active: u32,
    /// Its currency.
    pub currency: Currency,
    /// Its status.
    pub status: Status,
    /// What it is for.
    pub kind: AccountKind,

    /// The customer it belongs to; none for the bank's own.
    pub customer: Option<CustomerId>,
    /// The bank's name for its own account, or why a customer's is frozen.
    pub note: Option<Box<str>>,
    /// The overdraft limit it was opened with, by which a repeated opening is known.
    pub opening_overdraft_limit: Amount,
    /// The booking day it was opened.
    pub opened: Day,
    /// Open sagas with a part of it: debits not completed and credits promised. It cannot be closed or moved meanwhile.
    pub sagas_open: u32,
    /// The shard it moved to. What is here of it then only tells where it is.
    pub moved_to: Option<ShardId>,
}

impl Account {
    /// Reads a bit of both lines that a transfer needs. The value means nothing.
    #[inline]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "nothing depends on it")]
    pub(crate) fn touch(&self) -> u64 {
        self.balance as u64 ^ self.version
    }

    /// An account without postings.
    pub fn open(id: AccountId, kind: AccountKind, currency: Currency, opened: Day) -> Account {
        Account {
            id,
            balance: 0,
            held: 0,
            version: 0,
            revision: 0,
            overdraft_limit: Amount::ZERO,
            next_expiry: Timestamp::MAX,
            holds_active: 0,
            currency,
            status: Status::Active,
            kind,
            customer: None,
            debits: DebitCounter::default(),
            limits: None,
            note: None,
            opening_overdraft_limit: Amount::ZERO,
            opened,
            sagas_open: 0,
            moved_to: None,
        }
    }

    /// What can be spent: ledger − held + overdraft limit. Negative after a forced posting.
    pub fn available(&self) -> i128 {
        self.balance - i128::from(self.held) + self.overdraft_limit.signed()
    }

    /// Whether it is one of the bank's own.
    pub fn is_system(&self) -> bool {
        matches!(self.kind, AccountKind::System(_))
    }
}

/// What the id of one of the bank's own accounts says of it.
///
/// The low 40 bits: 10 of shard, 4 of kind, 10 of ISO 4217 number, 16 of ordinal. For a clearing account the ordinal
/// is the shard at the other end; for the others it is 0 for the one that always exists, 1.. for those opened later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemAccount {
    /// The shard it is on.
    pub shard: ShardId,
    /// What it is for.
    pub kind: SystemKind,
    /// Its currency.
    pub currency: Currency,
    /// Which one of its kind.
    pub ordinal: u16,
}

impl SystemAccount {
    /// The account of this kind that always exists.
    pub const fn standard(shard: ShardId, kind: SystemKind, currency: Currency) -> SystemAccount {
        SystemAccount { shard, kind, currency, ordinal: 0 }
    }

    /// Its id.
    pub fn id(self) -> AccountId {
        let low = (u64::from(self.shard.number()) << 30)
            | ((self.kind as u64) << 26)
            | (u64::from(self.currency.number()) << 16)
            | u64::from(self.ordinal);
        AccountId::new(SYSTEM_ID_START | low).expect("the top 2^40 ids below 2^63 are ids")
    }

    /// What this id says; `None` for a customer's account and for an id that no account of the bank can have.
    #[expect(clippy::cast_possible_truncation, reason = "each part is masked to its width")]
    pub fn from_id(id: AccountId) -> Option<SystemAccount> {
        let low = id.number().checked_sub(SYSTEM_ID_START)?;
        Some(SystemAccount {
            shard: ShardId::new((low >> 30) as u16 & 0x3ff)?,
            kind: SystemKind::ALL.get((low >> 26) as usize & 0xf).copied()?,
            currency: Currency::from_number((low >> 16) as u16 & 0x3ff)?,
            ordinal: low as u16,
        })
    }

    /// Whether it exists without having been opened: one of each standard kind, and a clearing account per shard, with
    /// one for the shard itself, where its own part of a saga over several others waits for the decision.
    pub fn is_standard(self) -> bool {
        match self.kind {
            SystemKind::Clearing => ShardId::new(self.ordinal).is_some(),
            SystemKind::Cash
            | SystemKind::Expense
            | SystemKind::Income
            | SystemKind::Suspense
            | SystemKind::FxPosition
            | SystemKind::FxResult => self.ordinal == 0,
            SystemKind::Atm | SystemKind::Correspondent | SystemKind::Other => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    #[test]
    fn what_a_transfer_needs_of_an_account_is_in_two_cache_lines() {
        assert_eq!((offset_of!(Account, id), offset_of!(Account, customer), size_of::<Account>()), (64, 128, 192));
    }

    #[test]
    fn the_id_of_a_system_account_tells_all_about_it() {
        for currency in Currency::all() {
            for kind in SystemKind::ALL {
                let account = SystemAccount { shard: ShardId::new(1023).expect("a shard"), kind, currency, ordinal: 7 };
                assert_eq!(SystemAccount::from_id(account.id()), Some(account));
            }
        }
    }

    #[test]
    fn ids_of_customers_are_never_system_accounts() {
        for number in [1, 1 << 62, SYSTEM_ID_START - 1] {
            assert_eq!(AccountId::new(number).and_then(SystemAccount::from_id), None);
        }
    }
}
