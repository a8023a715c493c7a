//! A store whose machinery fails where a script says so, for tests of whoever uses a store.
//!
//! Submissions can be refused before anything was done, or their answers lost after everything was done: the two
//! things a caller cannot tell apart, and the reason for idempotency keys. Reads can fail. What is not scripted works.

use crate::query::{
    BalanceQuery, EntryQuery, Page, PageQuery, Positions, PostingQuery, PostingRow, SagaQuery, TransferQuery,
    TransferView,
};
use crate::report::{Progress, Stats, VerifyReport};
use crate::{Answer, EntryRef, Fault, Reply, Store, Submission};
use ledger::account::Account;
use ledger::currency::Currency;
use ledger::customer::Customer;
use ledger::dead_letter::DeadLetter;
use ledger::hold::Hold;
use ledger::ids::{AccountId, CustomerId, DeadLetterId, HoldId, Sequence, ShardId, TransferId};
use ledger::saga::Saga;
use ledger::slots::Slots;
use ledger::time::Timestamp;
use ledger::token::Token;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// What happens to a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submitting {
    /// Nothing out of the ordinary.
    Works,
    /// It fails before it reaches the store.
    IsRefused,
    /// It takes effect, and then its answer is lost.
    LosesAnswer,
}

/// What happens to a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Nothing out of the ordinary.
    Works,
    /// It fails.
    Fails,
}

/// See the module.
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    submissions: Mutex<VecDeque<Submitting>>,
    reads: Mutex<VecDeque<Reading>>,
}

impl std::fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FaultyStore")
            .field("submissions", &self.submissions)
            .field("reads", &self.reads)
            .finish_non_exhaustive()
    }
}

fn next<T>(script: &Mutex<VecDeque<T>>) -> Option<T> {
    script.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

fn unavailable(reason: &str) -> Fault {
    Fault::Unavailable { reason: reason.into() }
}

impl FaultyStore {
    /// A store over another, with nothing scripted.
    pub fn new(inner: Arc<dyn Store>) -> FaultyStore {
        FaultyStore { inner, submissions: Mutex::default(), reads: Mutex::default() }
    }

    /// Says what happens to the next submissions, after those already scripted.
    pub fn script_submissions(&self, script: impl IntoIterator<Item = Submitting>) {
        self.submissions.lock().unwrap_or_else(PoisonError::into_inner).extend(script);
    }

    /// Says what happens to the next reads, after those already scripted.
    pub fn script_reads(&self, script: impl IntoIterator<Item = Reading>) {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner).extend(script);
    }

    /// Whether everything scripted has happened.
    pub fn is_script_done(&self) -> bool {
        let is_empty = |waiting: usize| waiting == 0;
        is_empty(self.submissions.lock().unwrap_or_else(PoisonError::into_inner).len())
            && is_empty(self.reads.lock().unwrap_or_else(PoisonError::into_inner).len())
    }
}

/// Methods that read, each of which takes one step of the script.
macro_rules! reads {
    ($($method:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {$(
        fn $method(&self, $($argument: $type),*) -> Reply<'_, $answer> {
            match next(&self.reads) {
                Some(Reading::Fails) => Box::pin(std::future::ready(Err(unavailable("the read was made to fail")))),
                Some(Reading::Works) | None => self.inner.$method($($argument),*),
            }
        }
    )*};
}

impl Store for FaultyStore {
    fn shard(&self) -> ShardId {
        self.inner.shard()
    }

    fn secret(&self) -> [u8; 32] {
        self.inner.secret()
    }

    fn submit(&self, submission: Submission) -> Reply<'_, Vec<Answer>> {
        let step = next(&self.submissions).unwrap_or(Submitting::Works);
        Box::pin(async move {
            if step == Submitting::IsRefused {
                return Err(unavailable("the submission was made to fail"));
            }
            let answers = self.inner.submit(submission).await;
            if step == Submitting::LosesAnswer { Err(unavailable("the answer was made to get lost")) } else { answers }
        })
    }

    reads! {
        account(id: AccountId, now: Timestamp) -> Option<Account>;
        customer(id: CustomerId) -> Option<Customer>;
        customers(page: PageQuery) -> Page<Customer>;
        accounts_of(customer: CustomerId, page: PageQuery, now: Timestamp) -> Page<Account>;
        system_accounts() -> Vec<Account>;
        customer_sums() -> Vec<(Currency, i128)>;
        hold(id: HoldId, now: Timestamp) -> Option<Hold>;
        holds_of(account: AccountId, page: PageQuery, now: Timestamp) -> Page<Hold>;
        transfer(id: TransferId) -> Option<TransferView>;
        transfers(query: TransferQuery) -> Page<TransferView>;
        postings(query: PostingQuery) -> Page<PostingRow>;
        balance_at(query: BalanceQuery) -> Option<i128>;
        dead_letter(id: DeadLetterId) -> Option<(DeadLetter, EntryRef, EntryRef)>;
        dead_letters(page: PageQuery) -> Page<DeadLetter>;
        tokens() -> Vec<Token>;
        entries(query: EntryQuery) -> Vec<EntryRef>;
        head_after(sequence: Sequence) -> Sequence;
        positions() -> Positions;
        open_sagas(query: SagaQuery) -> Page<Saga>;
        slots() -> Slots;
        account_ids(after: Option<u64>, limit: usize) -> Page<AccountId>;
        accounts_in(slot: u16, after: Option<AccountId>, limit: usize) -> Vec<AccountId>;
        entry_of_key(digest: u128) -> Option<EntryRef>;
        lease(holder: u128, microseconds: u64) -> bool;
        due_holds(now: Timestamp, limit: usize) -> Vec<HoldId>;
        verify(progress: Arc<dyn Progress>) -> VerifyReport;
    }

    fn head(&self) -> Sequence {
        self.inner.head()
    }

    fn stats(&self) -> Stats {
        self.inner.stats()
    }
}
