//! Makes the transfers that name only one account: deposits and withdrawals, whose other side is the bank's own.

use crate::{Bank, Caller};
use ledger::account::{SystemAccount, SystemKind};
use ledger::command::Command;
use ledger::currency::Currency;
use ledger::ids::AccountId;
use ledger::rejection::Rejection;
use ledger::time::Timestamp;
use ledger::transfer::{Leg, LegAmount, Legs, Note, Transfer, TransferKind};

const DAY_US: u64 = 86_400_000_000;

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

    /// The same bank, which takes no value date further back than so many days; without a number any.
    #[must_use]
    pub fn with_effective_at_days_max(self, effective_at_days_max: Option<u16>) -> Bank {
        Bank { effective_at_days_max, ..self }
    }

    /// The command, or the refusal of it where a value date is too far back for whoever asks: recorded under its key like
    /// every other. What the bank posts by its own clock has the value date it should have had, however late it is.
    pub(crate) fn dated(&self, caller: &Caller, command: Command) -> Command {
        let is_refused = !caller.is_bank()
            && transfers_in(&command).iter().any(|transfer| self.is_too_far_back(transfer.effective_at));
        if is_refused { Command::Refuse(Box::new(Rejection::EffectiveAtInvalid)) } else { command }
    }

    /// Whether a value date is further back than this bank takes.
    pub(crate) fn is_too_far_back(&self, effective_at: Option<Timestamp>) -> bool {
        effective_at
            .zip(self.effective_at_days_max)
            .is_some_and(|(effective_at, days)| effective_at.saturating_add(u64::from(days) * DAY_US) < self.now())
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

/// The transfers that a command asks for.
pub(crate) fn transfers_in(command: &Command) -> &[Transfer] {
    match command {
        Command::Transfer(transfer) => std::slice::from_ref(transfer),
        Command::Batch(transfers) => transfers,
        Command::Exchange(exchange) => std::slice::from_ref(&exchange.transfer),
        _ => &[],
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
