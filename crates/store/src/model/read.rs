//! Reads of the store in memory: rows from the working set, history by walking the journal.

use super::{MemoryStore, State};
use crate::query::{
    BalanceQuery, EntryQuery, PAGE_MAX, Page, PageQuery, Positions, PostingQuery, PostingRow, SagaQuery, TimeAxis,
    TransferQuery, TransferView, ids_of_step, is_in_slot, is_listed, page_of_accounts, page_of_sagas, postings_on,
    saga_step,
};
use crate::report::{Progress, Stats, VerifyReport};
use crate::{Answer, EntryRef, Fault, Reply, Store, Submission, TransferRef};
use ledger::account::Account;
use ledger::currency::Currency;
use ledger::customer::Customer;
use ledger::dead_letter::{DeadLetter, DeadLetterStatus};
use ledger::hold::{Hold, HoldStatus};
use ledger::ids::{AccountId, CustomerId, DeadLetterId, HoldId, Sequence, ShardId, TransferId};
use ledger::saga::{Saga, StepKind};
use ledger::slots::Slots;
use ledger::time::Timestamp;
use ledger::token::Token;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Poll;

/// An answer that needs no waiting.
fn ready<'a, T: Send + 'a>(value: T) -> Reply<'a, T> {
    Box::pin(std::future::ready(Ok(value)))
}

/// A page of rows that come newest first, each with its place: a number that falls from row to row.
fn page<T>(rows: impl Iterator<Item = (u64, T)>, before: Option<u64>, limit: usize) -> Page<T> {
    let limit = limit.clamp(1, PAGE_MAX);
    let rows = rows.filter(|(place, _)| before.is_none_or(|before| *place < before));
    let mut taken: Vec<(u64, T)> = rows.take(limit + 1).collect();
    let goes_on = limit < taken.len();
    taken.truncate(limit);
    let next = taken.last().map(|(place, _)| *place).filter(|_| goes_on);
    Page::of(taken, next)
}

/// Rows with their places, newest first.
fn newest_first<'a, T: Clone + 'a>(
    rows: impl DoubleEndedIterator<Item = &'a T> + ExactSizeIterator,
) -> impl Iterator<Item = (u64, T)> {
    (1..).zip(rows).map(|(place, row)| (place, row.clone())).collect::<Vec<_>>().into_iter().rev()
}

impl State {
    /// Whether an account is there for readers: the bank's standard ones are from their first posting on.
    pub(super) fn is_visible(account: &Account) -> bool {
        account.revision != 0
    }

    /// An account as it is at a time: holds whose time is over reserve nothing.
    fn account_at(&self, account: &Account, now: Timestamp) -> Account {
        let due = self.set.due_holds(account.id, now);
        if due.is_empty() {
            return account.clone();
        }
        let active = self.set.holds_of(account.id).iter().filter_map(|id| self.set.hold(*id));
        let left: Vec<&Hold> = active.filter(|hold| hold.seen_at(now).status == HoldStatus::Held).collect();
        Account {
            held: self.set.held(account, now),
            holds_active: u32::try_from(left.len()).unwrap_or(u32::MAX),
            next_expiry: left.iter().filter_map(|hold| hold.expires_at).min().unwrap_or(Timestamp::MAX),
            ..account.clone()
        }
    }

    pub(super) fn view(&self, transfer: TransferRef) -> Option<TransferView> {
        let id = transfer.transferred()?.id;
        let saga = saga_step(&transfer.entry).map(|step| if step.kind == StepKind::Started { step.saga } else { id });
        let later = self.entries.iter().filter(|entry| transfer.entry.header.sequence < entry.header.sequence);
        let steps = later.filter(|entry| saga.is_some_and(|saga| ids_of_step(entry).contains(&saga)));
        let steps = steps.cloned().collect();
        Some(TransferView { transfer, reversed_by: self.set.reversal(id), steps })
    }

    fn transfers(&self, query: &TransferQuery) -> Page<TransferView> {
        let places = (1..).zip(self.all_transfers().collect::<Vec<_>>().into_iter().rev()).collect::<Vec<(u64, _)>>();
        let rows = places.into_iter().rev().filter_map(|(place, found)| {
            let (transferred, entry) = (found.transferred()?, &found.entry);
            let passes =
                is_listed(entry, transferred, query.account) && query.filter.passes(transferred, entry.header.time);
            if passes { Some((place, self.view(self.find_transfer(transferred.id)?)?)) } else { None }
        });
        page(rows, query.before, query.limit)
    }

    fn postings(&self, query: &PostingQuery) -> Page<PostingRow> {
        let rows = self.entries.iter().rev().flat_map(|entry| postings_on(entry, query.account));
        let rows = rows.filter_map(|row| {
            let (posting, transferred, entry) = row.parts()?;
            let is_side = query.side.is_none_or(|side| posting.side == side);
            let passes = is_side && query.filter.passes(transferred, entry.header.time);
            let version = posting.version;
            passes.then_some((version, row))
        });
        page(rows, query.before, query.limit)
    }

    fn balance_at(&self, query: BalanceQuery) -> Option<i128> {
        self.set.account(query.account).filter(|account| State::is_visible(account))?;
        let rows = self.entries.iter().flat_map(|entry| postings_on(entry, query.account));
        let counted = rows.filter_map(|row| {
            let (posting, transferred, entry) = row.parts()?;
            let time = match query.axis {
                TimeAxis::Booking => entry.header.time,
                TimeAxis::Effective => transferred.effective_at,
            };
            (time <= query.at).then(|| posting.signed())
        });
        Some(counted.sum())
    }

    fn dead_letter(&self, id: DeadLetterId) -> Option<(DeadLetter, EntryRef, EntryRef)> {
        let row = self.set.dead_letters.get(id.number())?;
        Some((row.clone(), self.known_entry(row.recorded_by), self.known_entry(row.data_from)))
    }

    fn stats(&self) -> Stats {
        let waiting = self.set.dead_letters.iter().filter(|row| row.status == DeadLetterStatus::Waiting).count();
        Stats {
            commits: self.commits,
            entries: self.entries.len() as u64,
            transfers: self.all_transfers().count() as u64,
            dead_letters_waiting: waiting as u64,
            sums: self.set.sums(),
            accounts: self.set.accounts.iter().filter(|account| State::is_visible(account)).count() as u64,
            keys_in_memory: self.set.keys.len() as u64,
            sagas_open: self.set.sagas.open().len() as u64,
            oldest_saga: self.set.sagas.open().next().map(|saga| saga.started_at),
            parts_open: self.set.sagas.parts().len() as u64,
            poison_commands: self.poison_commands,
            ..Stats::default()
        }
    }
}

impl Store for MemoryStore {
    fn shard(&self) -> ShardId {
        self.identity.shard
    }

    fn secret(&self) -> [u8; 32] {
        self.identity.secret
    }

    fn submit(&self, submission: Submission) -> Reply<'_, Vec<Answer>> {
        Box::pin(async move { Ok(self.decide_all(&submission)) })
    }

    fn account(&self, id: AccountId, now: Timestamp) -> Reply<'_, Option<Account>> {
        let state = self.state();
        let account = state.set.account(id).filter(|account| State::is_visible(account));
        ready(account.map(|account| state.account_at(account, now)))
    }

    fn customer(&self, id: CustomerId) -> Reply<'_, Option<Customer>> {
        ready(self.state().set.customer(id).cloned())
    }

    fn customers(&self, query: PageQuery) -> Reply<'_, Page<Customer>> {
        ready(page(newest_first(self.state().set.customers.iter()), query.before, query.limit))
    }

    fn accounts_of(&self, customer: CustomerId, query: PageQuery, now: Timestamp) -> Reply<'_, Page<Account>> {
        let state = self.state();
        let ids = newest_first(state.set.accounts_of(customer).iter());
        let accounts = ids.filter_map(|(place, id)| Some((place, state.account_at(state.set.account(id)?, now))));
        ready(page(accounts, query.before, query.limit))
    }

    fn system_accounts(&self) -> Reply<'_, Vec<Account>> {
        let state = self.state();
        let accounts = state.set.accounts.iter().filter(|account| account.is_system() && State::is_visible(account));
        let mut accounts: Vec<Account> = accounts.cloned().collect();
        accounts.sort_by_key(|account| account.id);
        ready(accounts)
    }

    fn customer_sums(&self) -> Reply<'_, Vec<(Currency, i128)>> {
        let mut sums = BTreeMap::new();
        for account in self.state().set.accounts.iter().filter(|account| !account.is_system()) {
            *sums.entry(account.currency).or_insert(0) += account.balance;
        }
        ready(sums.into_iter().collect())
    }

    fn hold(&self, id: HoldId, now: Timestamp) -> Reply<'_, Option<Hold>> {
        ready(self.state().set.hold(id).map(|hold| hold.seen_at(now)))
    }

    fn holds_of(&self, account: AccountId, query: PageQuery, now: Timestamp) -> Reply<'_, Page<Hold>> {
        let state = self.state();
        let ids = newest_first(state.set.holds_of(account).iter());
        let holds = ids.filter_map(|(place, id)| Some((place, state.set.hold(id)?.seen_at(now))));
        ready(page(holds, query.before, query.limit))
    }

    fn transfer(&self, id: TransferId) -> Reply<'_, Option<TransferView>> {
        let state = self.state();
        ready(state.find_transfer(id).and_then(|found| state.view(found)))
    }

    fn transfers(&self, query: TransferQuery) -> Reply<'_, Page<TransferView>> {
        ready(self.state().transfers(&query))
    }

    fn postings(&self, query: PostingQuery) -> Reply<'_, Page<PostingRow>> {
        ready(self.state().postings(&query))
    }

    fn balance_at(&self, query: BalanceQuery) -> Reply<'_, Option<i128>> {
        ready(self.state().balance_at(query))
    }

    fn dead_letter(&self, id: DeadLetterId) -> Reply<'_, Option<(DeadLetter, EntryRef, EntryRef)>> {
        ready(self.state().dead_letter(id))
    }

    fn dead_letters(&self, query: PageQuery) -> Reply<'_, Page<DeadLetter>> {
        let state = self.state();
        let rows = newest_first(state.set.dead_letters.iter());
        let rows = rows.filter(|(_, row)| query.status.is_none_or(|status| row.status == status));
        ready(page(rows, query.before, query.limit))
    }

    fn tokens(&self) -> Reply<'_, Vec<Token>> {
        ready(self.state().set.tokens.iter().rev().cloned().collect())
    }

    fn entries(&self, query: EntryQuery) -> Reply<'_, Vec<EntryRef>> {
        let state = self.state();
        let start = usize::try_from(query.after).unwrap_or(usize::MAX);
        ready(state.entries.iter().skip(start).take(query.limit.clamp(1, PAGE_MAX)).cloned().collect())
    }

    fn head(&self) -> Sequence {
        self.state().set.sequence
    }

    fn head_after(&self, sequence: Sequence) -> Reply<'_, Sequence> {
        Box::pin(std::future::poll_fn(move |context| {
            let mut state = self.state();
            if sequence < state.set.sequence {
                return Poll::Ready(Ok(state.set.sequence));
            }
            state.waiting.push(context.waker().clone());
            Poll::Pending
        }))
    }

    fn positions(&self) -> Reply<'_, Positions> {
        let state = self.state();
        let sagas = &state.set.sagas;
        ready(Positions { received: sagas.received.clone(), sent: sagas.sent.clone() })
    }

    fn open_sagas(&self, query: SagaQuery) -> Reply<'_, Page<Saga>> {
        let state = self.state();
        ready(page_of_sagas(&state.set.sagas, query))
    }

    fn slots(&self) -> Reply<'_, Slots> {
        ready(self.state().set.slots.clone())
    }

    fn account_ids(&self, after: Option<u64>, limit: usize) -> Reply<'_, Page<AccountId>> {
        ready(page_of_accounts(&self.state().set, after, limit))
    }

    fn accounts_in(&self, slot: u16, after: Option<AccountId>, limit: usize) -> Reply<'_, Vec<AccountId>> {
        let state = self.state();
        let ids = state.set.accounts.iter().filter(|account| is_in_slot(account, slot)).map(|account| account.id);
        let mut ids: Vec<AccountId> = ids.filter(|id| after.is_none_or(|after| after < *id)).collect();
        ids.sort();
        ids.truncate(limit);
        ready(ids)
    }

    fn entry_of_key(&self, digest: u128) -> Reply<'_, Option<EntryRef>> {
        let state = self.state();
        ready(state.set.keys.get(digest).map(|row| state.known_entry(row.sequence)))
    }

    fn lease(&self, holder: u128, microseconds: u64) -> Reply<'_, bool> {
        let now = (self.clock)();
        let mut state = self.state();
        let is_free = state.lease.is_none_or(|(known, until)| known == holder || until <= now);
        if is_free {
            let until = Timestamp::from_microseconds(now.microseconds().saturating_add(microseconds));
            state.lease = Some((holder, until.unwrap_or(Timestamp::MAX)));
        }
        ready(is_free)
    }

    fn due_holds(&self, now: Timestamp, limit: usize) -> Reply<'_, Vec<HoldId>> {
        let state = self.state();
        ready(state.set.holds.iter().filter(|hold| hold.is_due(now)).map(|hold| hold.id).take(limit).collect())
    }

    fn verify(&self, progress: Arc<dyn Progress>) -> Reply<'_, VerifyReport> {
        let report = self.state().verify(&self.identity, &*progress);
        Box::pin(async move { report.map_err(|detail| Fault::Corrupt { detail }) })
    }

    fn stats(&self) -> Stats {
        self.state().stats()
    }
}
