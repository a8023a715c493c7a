//! The year as the fixture tells it, added up without the bank's help, and compared with what the bank shows.

use crate::failure::Failure;
use crate::output::Output;
use bank::Bank;
use bank::ingest::{EventOutcome, EventResult};
use ledger::amount::Decimal;
use ledger::ids::{AccountId, TransferId};
use ledger::transfer::Posting;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use store::query::{Filter, PAGE_MAX, PostingQuery};

/// What the fixture tells.
#[derive(Debug, Default)]
pub(super) struct Year {
    /// Users registered.
    pub(super) customers: u64,
    /// Deposits and withdrawals told.
    pub(super) deposits: u64,
    /// See `deposits`.
    pub(super) withdrawals: u64,
    /// Their sums in minor units.
    pub(super) paid_in: i128,
    /// See `paid_in`.
    pub(super) paid_out: i128,
    accounts: BTreeMap<AccountId, Vec<Movement>>,
    /// Where the transaction of an event is: account, and place on it.
    places: HashMap<usize, (AccountId, usize)>,
}

/// A transaction on an account.
#[derive(Debug)]
struct Movement {
    signed: i128,
    banks_own_balance: i128,
    /// The transfer it became; `None` while it has not taken effect.
    transfer: Option<TransferId>,
    /// The independent sum up to here.
    balance: i128,
}

/// A balance that is not what it should be.
#[derive(Debug)]
pub(super) struct Difference {
    account: AccountId,
    version: u64,
    expected: i128,
    found: Option<i128>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let czk = |minor_units| Decimal { minor_units, scale: 2 };
        write!(f, "account {} version {} should be at {}", self.account, self.version, czk(self.expected))?;
        match self.found {
            Some(found) => write!(f, " but is at {}", czk(found)),
            None => f.write_str(" but is not there"),
        }
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    r#type: &'a str,
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    account_id: Option<&'a str>,
    amount: Option<&'a str>,
    metadata: Option<Metadata<'a>>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    balance_after: &'a str,
}

impl Year {
    /// Reads the fixture.
    ///
    /// # Errors
    /// A fault, if an event is not what the fixture's description says.
    pub(super) fn read(events: &[Vec<u8>]) -> Result<Year, Failure> {
        let mut year = Year::default();
        for (index, text) in events.iter().enumerate() {
            let unlike =
                || Failure::fault(format!("event {} of the fixture is unlike its description", index + 1), "report it");
            let event: Event<'_> = serde_json::from_slice(text).map_err(|_| unlike())?;
            year.add(index, &event).ok_or_else(unlike)?;
        }
        Ok(year)
    }

    fn add(&mut self, index: usize, event: &Event<'_>) -> Option<()> {
        if event.r#type == "florin.user.registered" {
            self.customers += 1;
            return Some(());
        }
        let account: AccountId = event.data.account_id?.parse().ok()?;
        if event.r#type == "florin.account.opened" {
            self.accounts.insert(account, Vec::new());
            return Some(());
        }
        let amount = minor_units(event.data.amount?)?;
        let signed = match event.r#type {
            "florin.deposit" => {
                self.deposits += 1;
                self.paid_in += amount;
                amount
            }
            "florin.withdrawal" => {
                self.withdrawals += 1;
                self.paid_out += amount;
                -amount
            }
            _ => return None,
        };
        let banks_own_balance = minor_units(event.data.metadata.as_ref()?.balance_after)?;
        let movements = self.accounts.get_mut(&account)?;
        self.places.insert(index, (account, movements.len()));
        movements.push(Movement { signed, banks_own_balance, transfer: None, balance: 0 });
        Some(())
    }

    /// Accounts opened.
    pub(super) fn accounts(&self) -> u64 {
        self.accounts.len() as u64
    }

    /// Deposits and withdrawals.
    pub(super) fn transactions(&self) -> u64 {
        self.deposits + self.withdrawals
    }

    /// Those that took effect.
    pub(super) fn transactions_done(&self) -> u64 {
        self.done().count() as u64
    }

    fn done(&self) -> impl Iterator<Item = &Movement> {
        self.accounts.values().flatten().filter(|movement| movement.transfer.is_some())
    }

    /// Notes what became of the event at this index.
    pub(super) fn note(&mut self, index: usize, result: &EventResult) {
        if let Some((account, place)) = self.places.get(&index)
            && let Some(movement) = self.accounts.get_mut(account).and_then(|movements| movements.get_mut(*place))
        {
            movement.transfer = transfer_of(result);
        }
    }

    /// The farthest that an independent sum is from the balance the bank itself wrote at the time, in minor units.
    pub(super) fn farthest_from_the_banks_own(&self) -> i128 {
        self.done().map(|movement| (movement.balance - movement.banks_own_balance).abs()).max().unwrap_or(0)
    }

    /// Adds up each account by itself and compares every running balance with the bank's. What happened on the accounts
    /// later must go on from there.
    ///
    /// # Errors
    /// A fault of the bank.
    pub(super) async fn compare(&mut self, bank: &Bank, output: Output) -> Result<Vec<Difference>, Failure> {
        let bar = output.progress("comparing balances", self.accounts());
        let mut differences = Vec::new();
        for (account, movements) in &mut self.accounts {
            let postings = postings(bank, *account).await?;
            let mut balance = 0;
            let done = movements.iter_mut().filter(|movement| movement.transfer.is_some());
            let mut expected: Vec<(Option<TransferId>, i128)> = Vec::new();
            for movement in done {
                balance += movement.signed;
                movement.balance = balance;
                expected.push((movement.transfer, balance));
            }
            for (version, (transfer, balance)) in (1..).zip(&expected) {
                let found = postings.get(&version);
                let is_right =
                    found.is_some_and(|(id, posting)| Some(*id) == *transfer && posting.balance_after == *balance);
                if !is_right {
                    let found = found.map(|(_, posting)| posting.balance_after);
                    differences.push(Difference { account: *account, version, expected: *balance, found });
                }
            }
            for (version, (_, posting)) in postings.range(expected.len() as u64 + 1..) {
                balance += posting.signed();
                if posting.balance_after != balance {
                    let found = Some(posting.balance_after);
                    differences.push(Difference { account: *account, version: *version, expected: balance, found });
                }
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(differences)
    }
}

/// An account's postings by version.
async fn postings(bank: &Bank, account: AccountId) -> Result<BTreeMap<u64, (TransferId, Posting)>, Failure> {
    let mut postings = BTreeMap::new();
    let mut before = None;
    loop {
        let query = PostingQuery { account, side: None, filter: Filter::default(), before, limit: PAGE_MAX };
        let page = bank.postings(query).await?;
        for row in &page.items {
            let Some((posting, transferred, _)) = row.parts() else { continue };
            postings.insert(posting.version, (transferred.id, *posting));
        }
        match page.next {
            Some(next) => before = Some(next),
            None => return Ok(postings),
        }
    }
}

fn transfer_of(result: &EventResult) -> Option<TransferId> {
    match result.outcome {
        EventOutcome::Accepted { transfer } | EventOutcome::Replayed { transfer } => transfer,
        EventOutcome::DeadLettered { .. } => None,
    }
}

/// Whether the event moved money now.
pub(super) fn made_now(result: &EventResult) -> bool {
    matches!(result.outcome, EventOutcome::Accepted { transfer: Some(_) })
}

/// The fixture writes every amount with two decimals, so that leaving the point out gives minor units.
fn minor_units(text: &str) -> Option<i128> {
    let (whole, decimals) = text.split_once('.')?;
    if decimals.len() == 2 { format!("{whole}{decimals}").parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_year_is_what_its_description_says() {
        let year = Year::read(&crate::commands::demo::events().expect("the fixture")).expect("a year");
        assert_eq!((year.customers, year.accounts(), year.transactions()), (1111, 1111, 27_215));
        assert_eq!((year.deposits, year.withdrawals), (14_724, 12_491));
        assert_eq!((year.paid_in, year.paid_out), (11_601_841_750, 8_049_866_570));
    }
}
