//! An auditor with books of its own: works out from the journal alone what every row must be, by other means than the
//! rule book's.

use crate::account::Account;
use crate::amount::Amount;
use crate::event::{Entry, Event, HoldChange, Outcome};
use crate::hold::{Hold, HoldStatus};
use crate::ids::{AccountId, HoldId, TransferId};
use crate::time::{Day, Timestamp};
use crate::transfer::{Posting, TransferKind, Transferred};
use std::collections::{BTreeMap, BTreeSet};

use super::bank::{Bank, transfers_of};

/// Asserts that the rows are what the journal says.
pub(super) fn audit(bank: &Bank) {
    for (currency, sum) in bank.set.sums() {
        assert_eq!(sum, 0, "the books do not balance in {currency}");
    }
    let books = Books::of(&bank.journal);
    for account in bank.set.accounts.iter() {
        audit_account(bank, &books, account);
    }
    // Rows are those after the whole entry, so a forced transfer of a batch excuses the ordinary ones beside it.
    let transfers = bank.journal.last().map_or(&[][..], |entry| transfers_of(&entry.outcome));
    if transfers.iter().all(|transferred| !transferred.forced) {
        transfers.iter().for_each(|transferred| audit_funds(bank, transferred));
    }
}

/// What the journal says, in the auditor's own figures.
struct Books {
    postings: BTreeMap<AccountId, Vec<Posting>>,
    holds: BTreeMap<HoldId, Hold>,
    /// Net debits by account and day.
    debits: BTreeMap<(AccountId, Day), i128>,
}

impl Books {
    fn of(journal: &[Entry]) -> Books {
        let mut books = Books { postings: BTreeMap::new(), holds: BTreeMap::new(), debits: BTreeMap::new() };
        let reversed: BTreeSet<TransferId> = journal
            .iter()
            .flat_map(|entry| transfers_of(&entry.outcome))
            .filter_map(|transferred| transferred.reverses.map(|reversed| reversed.transfer))
            .collect();
        for entry in journal {
            for transferred in transfers_of(&entry.outcome) {
                books.add_transfer(transferred, entry.header.day, reversed.contains(&transferred.id));
            }
            match &entry.outcome {
                Outcome::Event(Event::HoldCaptured(captured)) => {
                    books.holds.insert(captured.hold.id, captured.hold.clone());
                }
                Outcome::Event(Event::HoldChanged(changed)) if changed.change != HoldChange::Nothing => {
                    books.holds.insert(changed.hold.id, changed.hold.clone());
                }
                _ => {}
            }
        }
        let reserved: Vec<_> =
            books.holds.values().map(|hold| (hold.from, hold.day, hold.remaining().signed())).collect();
        reserved
            .into_iter()
            .for_each(|(account, day, amount)| *books.debits.entry((account, day)).or_default() += amount);
        books
    }

    /// Counts what a transfer took on the day it counts on, unless that was undone: a reversal itself takes nothing, and what
    /// the bank takes back of interest is no debit of the customer's.
    fn add_transfer(&mut self, transferred: &Transferred, booked: Day, is_reversed: bool) {
        for posting in transferred.postings.iter() {
            self.postings.entry(posting.account).or_default().push(*posting);
        }
        if matches!(transferred.kind, TransferKind::Reversal | TransferKind::Interest) || is_reversed {
            return;
        }
        let day = transferred.hold.and_then(|hold| self.holds.get(&hold)).map_or(booked, |hold| hold.day);
        for (account, net) in nets(transferred) {
            if net < 0 {
                *self.debits.entry((account, day)).or_default() -= net;
            }
        }
    }

    fn debits(&self, account: AccountId, counts: impl Fn(Day) -> bool) -> i128 {
        let of_account = self.debits.iter().filter(|((debited, day), _)| *debited == account && counts(*day));
        of_account.map(|(_, debit)| debit).sum()
    }
}

/// The net effect of a transfer on each account.
pub(super) fn nets(transferred: &Transferred) -> BTreeMap<AccountId, i128> {
    let mut nets = BTreeMap::new();
    transferred.postings.iter().for_each(|posting| *nets.entry(posting.account).or_default() += posting.signed());
    nets
}

fn audit_account(bank: &Bank, books: &Books, account: &Account) {
    let id = account.id;
    let postings = books.postings.get(&id).map_or(&[][..], Vec::as_slice);
    let mut balance = 0;
    for (version, posting) in (1..).zip(postings) {
        balance += posting.signed();
        assert_eq!(posting.version, version, "versions of account {id} have a gap");
        assert_eq!(posting.balance_after, balance, "a running balance of account {id} is wrong");
    }
    assert_eq!(
        (account.balance, account.version),
        (balance, postings.len() as u64),
        "account {id} differs from its postings"
    );

    let open: Vec<&Hold> =
        books.holds.values().filter(|hold| hold.from == id && hold.status == HoldStatus::Held).collect();
    let held: u64 = open.iter().map(|hold| hold.remaining().minor_units()).sum();
    let next_expiry = open.iter().filter_map(|hold| hold.expires_at).min().unwrap_or(Timestamp::MAX);
    assert_eq!(account.held, held, "account {id} holds something else than its holds");
    assert_eq!(account.holds_active as usize, open.len(), "account {id} miscounts its holds");
    assert_eq!(account.next_expiry, next_expiry, "account {id} expects another expiry");
    let due: u64 = open.iter().filter(|hold| hold.is_due(bank.time)).map(|hold| hold.remaining().minor_units()).sum();
    assert_eq!(bank.set.held(account, bank.time), held - due, "holds of account {id} whose time is over still reserve");

    if !account.is_system() {
        let (_, of_day, of_month) = account.debits.on(bank.day).parts();
        let of_day = i128::try_from(of_day).expect("a debit");
        let of_month = i128::try_from(of_month).expect("a debit");
        assert_eq!(of_day, books.debits(id, |day| day == bank.day), "account {id} miscounts the day's debits");
        let counted = books.debits(id, |day| day.is_same_month(bank.day));
        assert_eq!(of_month, counted, "account {id} miscounts the month's debits");
    }
}

/// No ordinary debit leaves less than nothing. A capture takes what its hold set apart, whatever was forced since.
fn audit_funds(bank: &Bank, transferred: &Transferred) {
    if transferred.kind == TransferKind::Capture {
        return;
    }
    for (id, net) in nets(transferred) {
        let account = bank.set.account(id).expect("an account with postings");
        if net < 0 && !account.is_system() {
            assert!(0 <= bank.set.available(account, bank.time), "account {id} was overdrawn by {:?}", transferred.id);
            let (limits, (_, of_day, of_month)) = (
                account.limits.as_deref().copied().unwrap_or_default(),
                bank.set.debits(account, bank.day, bank.time).parts(),
            );
            let within =
                |limit: Option<Amount>, used: u128| limit.is_none_or(|limit| used <= u128::from(limit.minor_units()));
            let has_none = matches!(transferred.kind, TransferKind::Reversal | TransferKind::Interest);
            assert!(has_none || within(limits.daily_debit, of_day), "limit of a day");
            assert!(has_none || within(limits.monthly_debit, of_month), "limit of a month");
        }
    }
}
