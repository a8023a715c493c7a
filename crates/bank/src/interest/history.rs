//! An account's past by value date: what its balance was at the end of each day, as it is known now or was known before.

use super::Interest;
use super::posting::{Paid, paid};
use crate::calendar::Calendar;
use ledger::account::Account;
use ledger::time::Day;
use ledger::transfer::TransferKind;
use std::collections::BTreeMap;
use store::Fault;
use store::query::PostingRow;

/// How often an account is read that changes meanwhile.
const READS_MAX: usize = 20;

/// One posting, as far as interest is concerned.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// The day of its value date.
    pub(crate) day: Day,
    /// The account's version with it.
    pub(crate) version: u64,
    /// What it adds to the balance.
    pub(crate) gain: i128,
    /// What it is for, if it is interest that was posted here.
    pub(crate) paid: Option<Paid>,
}

impl Step {
    /// A posting of the account; `None` for its move between shards, which is no movement of money.
    pub(crate) fn of(row: &PostingRow, calendar: &Calendar) -> Option<Step> {
        let (posting, transferred, _) = row.parts()?;
        if transferred.kind == TransferKind::Move {
            return None;
        }
        Some(Step {
            day: calendar.day(transferred.effective_at),
            version: posting.version,
            gain: posting.signed(),
            paid: paid(&row.transfer.entry, transferred),
        })
    }
}

/// Postings with value dates from a day on, and what was there before.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    /// The balance before the first day.
    pub(crate) opening: i128,
    /// The postings by day.
    pub(crate) days: BTreeMap<Day, Vec<Step>>,
}

impl Interest {
    /// An account's postings with value dates from a day on, as they are known now.
    pub(crate) async fn history(&self, account: &Account, first: Day) -> Result<History, Fault> {
        for _ in 0..READS_MAX {
            let Some(before) = self.bank.account(account.id).await? else { return Ok(History::default()) };
            let rows = self.bank.rows(account.id, Some(self.calendar.start(first)), ledger::time::Timestamp::MAX, None);
            let rows = rows.await?;
            let after = self.bank.account(account.id).await?;
            if after.is_some_and(|after| after.version == before.version) {
                return Ok(self.history_of(before.balance, &rows));
            }
        }
        let reason = format!("account {} changed whenever it was read for its interest", account.id);
        Err(Fault::Unavailable { reason })
    }

    fn history_of(&self, balance: i128, rows: &[PostingRow]) -> History {
        let mut history = History { opening: balance, days: BTreeMap::new() };
        for step in rows.iter().filter_map(|row| Step::of(row, &self.calendar)) {
            history.opening -= step.gain;
            history.days.entry(step.day).or_default().push(step);
        }
        history
    }
}
