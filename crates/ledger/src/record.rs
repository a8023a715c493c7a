//! Records what was decided. Nothing is decided here and nothing can be rejected: replay and recovery call only this.
//!
//! Every event carries the rows as they are after it, so recording also proves that the state fits the journal: what
//! does not fit is a broken invariant, and a crash is better than wrong money.

use crate::account::Account;
use crate::event::{AccountChange, Entry, Event, Header, HoldChange, HoldChanged, Outcome};
use crate::hold::{Hold, HoldStatus};
use crate::ids::SYSTEM_ID_START;
use crate::limit::DebitCounter;
use crate::time::Day;
use crate::transfer::{Posting, Postings, Transferred};
use crate::working_set::{Reversal, WorkingSet};

mod saga;

/// Records an outcome. From here on only assertions can fail.
///
/// # Panics
/// When the stored rows do not lead to what the outcome says: then one of the two is damaged.
pub fn record(set: &mut WorkingSet, header: &Header, outcome: &Outcome) {
    assert!(header.sequence == set.sequence + 1, "entry {} follows entry {}", header.sequence, set.sequence);
    assert!(set.time <= header.time, "time goes back at entry {}", header.sequence);
    set.sequence = header.sequence;
    set.time = header.time;
    if let Some(key) = header.key {
        set.keys.insert(key, header.sequence);
    }
    if let Outcome::Event(event) = outcome {
        record_event(set, header, event);
    }
}

/// Replays an entry of the journal: the same as [`record`].
///
/// # Panics
/// As [`record`].
pub fn replay(set: &mut WorkingSet, entry: &Entry) {
    record(set, &entry.header, &entry.outcome);
}

fn record_event(set: &mut WorkingSet, header: &Header, event: &Event) {
    match event {
        Event::Transferred(transferred) => record_transferred(set, header, transferred),
        Event::BatchTransferred(transfers) => {
            transfers.iter().for_each(|transferred| record_transferred(set, header, transferred))
        }
        Event::HoldCaptured(captured) => {
            record_transferred(set, header, &captured.transferred);
            record_hold(set, header, &captured.hold, captured.transferred.amount());
        }
        Event::HoldChanged(changed) => record_hold_changed(set, header, changed),
        Event::AccountChanged(changed) => {
            if changed.id_is_generated {
                set.ids.observe(changed.account.id.number());
            }
            record_account(set, changed.change, &changed.account);
        }
        Event::CustomerChanged(changed) => {
            if changed.id_is_generated {
                set.ids.observe(changed.customer.id.number());
            }
            set.customers.put(changed.customer.clone());
        }
        Event::DeadLetterChanged(changed) => {
            set.ids.observe(changed.dead_letter.id.number());
            set.dead_letters.put(changed.dead_letter.clone());
        }
        Event::Saga(step) => saga::record_step(set, header, step),
        Event::SlotsChanged(changed) => set.slots.change(&changed.slots, changed.change),
        Event::TokenChanged(token) => {
            set.ids.observe(token.id.number());
            set.tokens.put((**token).clone());
        }
    }
}

/// Records the postings of a transfer and what it counts against limits. Decides nothing.
pub(crate) fn record_transferred(set: &mut WorkingSet, header: &Header, transferred: &Transferred) {
    set.ids.observe(transferred.id.number());
    record_postings(set, header, transferred, None);
    if let Some(reversed) = transferred.reverses {
        assert!(set.reversal(reversed.transfer).is_none(), "transfer {} is reversed twice", reversed.transfer);
        set.reversals.put(Reversal { transfer: reversed.transfer, by: transferred.id });
    }
}

/// With `refund`, the postings give back what was taken on that day.
fn record_postings(set: &mut WorkingSet, header: &Header, transferred: &Transferred, refund: Option<Day>) {
    for place in 0..transferred.postings.len() {
        record_posting(set, header, transferred, place, refund);
    }
}

#[inline]
fn record_posting(set: &mut WorkingSet, header: &Header, transferred: &Transferred, place: usize, refund: Option<Day>) {
    let posting = &transferred.postings[place];
    if SYSTEM_ID_START <= posting.account.number() {
        set.ensure_standard(posting.account);
    }
    let account = set.accounts.get_mut(posting.account.number());
    let account = account.unwrap_or_else(|| panic!("posting on account {}, which is not there", posting.account));
    account.balance += posting.signed();
    account.version += 1;
    account.revision += 1;
    assert!(account.balance == posting.balance_after, "balance of account {} differs from the journal's", account.id);
    assert!(account.version == posting.version, "version of account {} differs from the journal's", account.id);
    if !account.is_system() {
        account.debits = match refund {
            None => debits_after(account.debits, header, transferred, place),
            Some(day) if transferred.kind.counts_against_limits() => {
                // Only debits were counted, so only they are given back.
                account.debits.on(header.day).given_back(day, posting.signed().max(0).unsigned_abs())
            }
            Some(_) => account.debits,
        };
    }
}

/// The debits counted against limits, once the net debit of an account is among them; a reversal gives back what the
/// original counted. It counts with the account's first posting. A capture was counted when its hold was placed.
fn debits_after(debits: DebitCounter, header: &Header, transferred: &Transferred, place: usize) -> DebitCounter {
    if transferred.reverses.is_none() && !transferred.kind.counts_against_limits() {
        return debits;
    }
    let net = match &transferred.postings {
        Postings::Pair(pair) => pair[place].signed(),
        Postings::Many(postings) => {
            let account = postings[place].account;
            if postings[..place].iter().any(|earlier| earlier.account == account) {
                return debits;
            }
            postings.iter().filter(|posting| posting.account == account).map(Posting::signed).sum()
        }
    };
    match transferred.reverses {
        Some(reversed) if 0 < net => debits.on(header.day).given_back(reversed.day, net.unsigned_abs()),
        None if net < 0 => debits.debited(header.day, net.unsigned_abs()),
        Some(_) | None => debits,
    }
}

fn record_hold_changed(set: &mut WorkingSet, header: &Header, changed: &HoldChanged) {
    let hold = &changed.hold;
    match changed.change {
        HoldChange::Nothing => {}
        HoldChange::Placed => {
            set.ids.observe(hold.id.number());
            assert!(set.hold(hold.id).is_none(), "hold {} is placed twice", hold.id);
            set.restore_hold(hold.clone());
            let account = account_of(set, hold);
            account.held += hold.amount.minor_units();
            account.holds_active += 1;
            account.revision += 1;
            account.debits = account.debits.debited(header.day, u128::from(hold.amount.minor_units()));
            account.next_expiry = account.next_expiry.min(hold.expires_at.unwrap_or(account.next_expiry));
        }
        HoldChange::Voided | HoldChange::Expired => record_hold(set, header, hold, 0),
    }
}

/// Records a hold that reserves less than before: so much of the difference moved, the rest is given back.
fn record_hold(set: &mut WorkingSet, header: &Header, hold: &Hold, moved: u128) {
    let before = set.hold(hold.id).unwrap_or_else(|| panic!("hold {} is not there", hold.id)).remaining().minor_units();
    assert!(hold.remaining().minor_units() <= before, "hold {} grows", hold.id);
    let released = before - hold.remaining().minor_units();
    set.restore_hold(hold.clone());
    let next_expiry = set.next_expiry(hold.from);
    let account = account_of(set, hold);
    assert!(released <= account.held, "account {} holds less than its holds", account.id);
    account.held -= released;
    account.revision += 1;
    account.holds_active -= u32::from(hold.status != HoldStatus::Held);
    account.next_expiry = next_expiry;
    account.debits = account.debits.on(header.day).given_back(hold.day, u128::from(released) - moved);
}

fn account_of<'a>(set: &'a mut WorkingSet, hold: &Hold) -> &'a mut Account {
    let account = set.accounts.get_mut(hold.from.number());
    account.unwrap_or_else(|| panic!("hold {} is on account {}, which is not there", hold.id, hold.from))
}

fn record_account(set: &mut WorkingSet, change: AccountChange, account: &Account) {
    match change {
        AccountChange::Nothing => {}
        AccountChange::Opened => {
            assert!(set.account(account.id).is_none(), "account {} is opened twice", account.id);
            set.restore_account(account.clone());
        }
        AccountChange::TermsChanged | AccountChange::Frozen | AccountChange::Unfrozen | AccountChange::Closed => {
            let known = set.account(account.id).map(|known| (known.balance, known.version, known.held));
            let after = Some((account.balance, account.version, account.held));
            assert!(known == after, "account {} differs from the journal's", account.id);
            set.restore_account(account.clone());
        }
    }
}
