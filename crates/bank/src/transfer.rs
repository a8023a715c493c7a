//! Makes the transfers that name only one account: deposits and withdrawals, whose other side is the bank's own.

use crate::Bank;
use ledger::account::{SystemAccount, SystemKind};
use ledger::currency::Currency;
use ledger::ids::AccountId;
use ledger::rejection::Rejection;
use ledger::time::Timestamp;
use ledger::transfer::{Leg, LegAmount, Legs, Note, Transfer, TransferKind};

/// What a deposit and a withdrawal have in common with every transfer.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The currency of both accounts.
    pub currency: Currency,
    /// How much.
    pub amount: LegAmount,
    /// Whether the check of funds is skipped.
    pub forced: bool,
    /// The value date; `None` means the booking time.
    pub effective_at: Option<Timestamp>,
    /// Reference and metadata, if any.
    pub note: Option<Box<Note>>,
}

impl Bank {
    /// A deposit: from the contra account, or from the cash account of the customer's shard.
    ///
    /// # Errors
    /// `AccountNotFound` when `to` is the bank's own, or `contra` is not one of the bank's own that may be named.
    /// The rejection follows from the ids alone, so it is the same each time without being recorded.
    pub fn deposit(&self, to: AccountId, contra: Option<AccountId>, terms: Terms) -> Result<Transfer, Rejection> {
        let from = self.other_side(to, contra, terms.currency)?;
        Ok(transfer(TransferKind::Deposit, from, to, terms))
    }

    /// A withdrawal: to the contra account, or to the cash account of the customer's shard.
    ///
    /// # Errors
    /// As [`Bank::deposit`].
    pub fn withdrawal(&self, from: AccountId, contra: Option<AccountId>, terms: Terms) -> Result<Transfer, Rejection> {
        let to = self.other_side(from, contra, terms.currency)?;
        Ok(transfer(TransferKind::Withdrawal, from, to, terms))
    }

    fn other_side(
        &self,
        customers: AccountId,
        contra: Option<AccountId>,
        currency: Currency,
    ) -> Result<AccountId, Rejection> {
        if SystemAccount::from_id(customers).is_some() {
            return Err(Rejection::AccountNotFound(customers));
        }
        let Some(contra) = contra else {
            return Ok(SystemAccount::standard(self.shard_of_account(customers), SystemKind::Cash, currency).id());
        };
        match SystemAccount::from_id(contra) {
            Some(system) if system.kind != SystemKind::Clearing => Ok(contra),
            Some(_) | None => Err(Rejection::AccountNotFound(contra)),
        }
    }
}

/// A transfer of one leg.
pub(crate) fn transfer(kind: TransferKind, from: AccountId, to: AccountId, terms: Terms) -> Transfer {
    let legs = Legs::One([Leg { from, to, amount: terms.amount }]);
    Transfer {
        kind,
        currency: terms.currency,
        legs,
        forced: terms.forced,
        effective_at: terms.effective_at,
        note: terms.note,
    }
}
