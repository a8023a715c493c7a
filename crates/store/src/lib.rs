//! The contract of a shard's store: what an engine promises to the bank, in prose and in types.
//!
//! A [`Store`] is one shard. It keeps the shard's journal, the only source of truth, and everything projected from it.
//! All engines decide with the same rule book, [`ledger::apply`], and pass the same [`conformance`] suite.
//!
//! # What every engine promises
//!
//! 1. **Durable before answered.** An answer is given only when the entry it rests on, and every entry before it, would
//!    survive a power cut. That holds for first answers, replays, dry runs and rejections alike.
//! 2. **One order.** A shard's entries form one gapless sequence; a submission's requests take effect in their order,
//!    though entries of others may come between them.
//! 3. **Exactly once.** Of requests with the same key digest one is decided; the others are answered from its entry, or
//!    hear that the key was reused. This holds for ever, over restarts too.
//! 4. **Read your writes.** What was answered is seen by every read that starts afterwards. What is not durable is seen
//!    by nobody.
//! 5. **Faults are not answers.** After a [`Fault`] the outcome is unknown unless it says otherwise; the same requests
//!    with the same keys may be submitted again. A rejection is never a fault, a fault never a rejection.
//! 6. **Bounded.** A store that is asked for more than it can queue answers [`Fault::Overloaded`] at once.
//! 7. **Holds expire by the clock.** From the instant a hold's time is over, every decision and every read of it and of
//!    its account takes it as expired. The entry that says so may be recorded at any time from then on, beside whatever
//!    command; engines differ in when. It takes a sequence and a revision of the account, and changes nothing else that
//!    is seen.

pub mod codec;
pub mod conformance;
pub mod faulty;
pub mod model;
pub mod query;
pub mod recent;
pub mod report;

use ledger::account::Account;
use ledger::command::Command;
use ledger::customer::Customer;
use ledger::dead_letter::DeadLetter;
use ledger::event::{Context, Entry, Event, Key, Outcome};
use ledger::hold::Hold;
use ledger::ids::{AccountId, CustomerId, DeadLetterId, HoldId, Sequence, ShardId, TransferId};
use ledger::saga::Saga;
use ledger::slots::Slots;
use ledger::time::Timestamp;
use ledger::token::Token;
use ledger::transfer::Transferred;
use query::{
    BalanceQuery, EntryQuery, Page, PageQuery, Positions, PostingQuery, PostingRow, SagaQuery, TransferQuery,
    TransferView,
};
use report::{Progress, Stats, VerifyReport};
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;

/// What a store's methods return: a future of an answer or a fault.
pub type Reply<'a, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 'a>>;

/// Most requests in one submission.
pub const SUBMISSION_MAX: usize = 8192;

/// One command with its idempotency key.
#[derive(Clone, Debug)]
pub struct Request {
    /// The key, where there is one.
    pub key: Option<Key>,
    /// What is asked.
    pub command: Command,
}

/// Requests that come in together. They take effect in order, each by itself.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Who asks, and how.
    pub context: Arc<Context>,
    /// 1 to [`SUBMISSION_MAX`] requests.
    pub requests: Vec<Request>,
    /// Whether to say what would happen, and to do nothing: keys are neither looked at nor stored.
    pub dry_run: bool,
}

/// Entries that became durable together.
#[derive(Debug)]
pub struct Block {
    /// The entries in order.
    pub entries: Vec<Entry>,
}

/// One entry of a block, shared rather than copied.
#[derive(Clone, Debug)]
pub struct EntryRef {
    block: Arc<Block>,
    index: usize,
}

impl EntryRef {
    /// The entry at this index of a block.
    ///
    /// # Panics
    /// If the block has no such entry.
    pub fn new(block: Arc<Block>, index: usize) -> EntryRef {
        assert!(index < block.entries.len(), "a block of {} entries has no entry {index}", block.entries.len());
        EntryRef { block, index }
    }

    /// An entry by itself.
    pub fn single(entry: Entry) -> EntryRef {
        EntryRef { block: Arc::new(Block { entries: vec![entry] }), index: 0 }
    }
}

impl Deref for EntryRef {
    type Target = Entry;

    fn deref(&self) -> &Entry {
        &self.block.entries[self.index]
    }
}

/// What became of a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// It was decided now; this is its entry.
    Recorded(EntryRef),
    /// It was decided before; this is its entry.
    Replayed(EntryRef),
    /// It was rejected without a key, or it was a dry run: there is no entry.
    Unrecorded(Box<Outcome>),
    /// Its key was used for something else.
    KeyReused,
}

impl Answer {
    /// The outcome; `None` when the key was used for something else.
    pub fn outcome(&self) -> Option<&Outcome> {
        match self {
            Answer::Recorded(entry) | Answer::Replayed(entry) => Some(&entry.outcome),
            Answer::Unrecorded(outcome) => Some(outcome),
            Answer::KeyReused => None,
        }
    }

    /// The entry it rests on.
    pub fn entry(&self) -> Option<&EntryRef> {
        match self {
            Answer::Recorded(entry) | Answer::Replayed(entry) => Some(entry),
            Answer::Unrecorded(_) | Answer::KeyReused => None,
        }
    }
}

/// One transfer of an entry.
#[derive(Clone, Debug)]
pub struct TransferRef {
    /// The entry.
    pub entry: EntryRef,
    /// Which of its transfers: 0 unless it is an atomic batch.
    pub index: usize,
}

impl TransferRef {
    /// The transfer; `None` if the entry has no such one.
    pub fn transferred(&self) -> Option<&Transferred> {
        transfers_of(&self.entry.outcome).get(self.index)
    }
}

/// The transfers an outcome made, in order.
pub fn transfers_of(outcome: &Outcome) -> &[Transferred] {
    match outcome {
        Outcome::Event(Event::Transferred(transferred)) => std::slice::from_ref(transferred),
        Outcome::Event(Event::HoldCaptured(captured)) => std::slice::from_ref(&captured.transferred),
        Outcome::Event(Event::BatchTransferred(transfers)) => transfers,
        Outcome::Event(Event::Saga(step)) => &step.transferred,
        Outcome::Event(_) | Outcome::Rejection { .. } => &[],
    }
}

/// Machinery failed. Says what to do next, never what the bank thinks of the request.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Fault {
    /// Nothing was done: the queue is full.
    #[error("the shard has more requests waiting than it may keep; retry in a moment")]
    Overloaded,
    /// Nothing was done: there is no room for what it might have to write.
    #[error("the disk of the shard is full; make room and retry")]
    NoSpace,
    /// The shard does not serve (starting, stopping, or poisoned by a failed write); the outcome may be unknown.
    #[error("the shard is not available: {reason}; retry with the same key")]
    Unavailable {
        /// Why.
        reason: String,
    },
    /// Something stored is damaged. Retrying does not help.
    #[error("stored data is damaged: {detail}; run `florin verify`")]
    Corrupt {
        /// What and where.
        detail: String,
    },
}

impl Fault {
    /// Whether the same request may succeed later.
    pub fn retryable(&self) -> bool {
        match self {
            Fault::Overloaded | Fault::NoSpace | Fault::Unavailable { .. } => true,
            Fault::Corrupt { .. } => false,
        }
    }
}

/// One shard. See the module for what every engine promises.
///
/// Reads take `now` from the caller, since a store has no clock of its own for them: a hold whose time is over at
/// `now` is seen as expired and reserves nothing, whether or not an entry says so yet.
pub trait Store: Send + Sync + 'static {
    /// Which shard this is.
    fn shard(&self) -> ShardId;

    /// The secret made with the data, from which digests of keys and signatures of cursors are derived. The same on
    /// every shard of a bank, and never changed.
    fn secret(&self) -> [u8; 32];

    /// Decides the requests in order; the answers align with them, index by index.
    fn submit(&self, submission: Submission) -> Reply<'_, Vec<Answer>>;

    /// An account as it is at `now`.
    fn account(&self, id: AccountId, now: Timestamp) -> Reply<'_, Option<Account>>;

    /// A customer.
    fn customer(&self, id: CustomerId) -> Reply<'_, Option<Customer>>;

    /// Customers, newest first.
    fn customers(&self, page: PageQuery) -> Reply<'_, Page<Customer>>;

    /// A customer's accounts on this shard, newest first.
    fn accounts_of(&self, customer: CustomerId, page: PageQuery, now: Timestamp) -> Reply<'_, Page<Account>>;

    /// The bank's own accounts on this shard that have postings or were opened, by id.
    fn system_accounts(&self) -> Reply<'_, Vec<Account>>;

    /// The sum of customers' balances of each currency, by currency.
    fn customer_sums(&self) -> Reply<'_, Vec<(ledger::currency::Currency, i128)>>;

    /// A hold as it is at `now`.
    fn hold(&self, id: HoldId, now: Timestamp) -> Reply<'_, Option<Hold>>;

    /// An account's holds, newest first.
    fn holds_of(&self, account: AccountId, page: PageQuery, now: Timestamp) -> Reply<'_, Page<Hold>>;

    /// A transfer, with its reversal.
    fn transfer(&self, id: TransferId) -> Reply<'_, Option<TransferView>>;

    /// Transfers, newest first.
    fn transfers(&self, query: TransferQuery) -> Reply<'_, Page<TransferView>>;

    /// An account's postings, newest version first.
    fn postings(&self, query: PostingQuery) -> Reply<'_, Page<PostingRow>>;

    /// An account's balance at a time; `None` if there is no such account.
    fn balance_at(&self, query: BalanceQuery) -> Reply<'_, Option<i128>>;

    /// A dead letter with the two entries that hold what was sent first and the latest data.
    fn dead_letter(&self, id: DeadLetterId) -> Reply<'_, Option<(DeadLetter, EntryRef, EntryRef)>>;

    /// Dead letters, newest first.
    fn dead_letters(&self, page: PageQuery) -> Reply<'_, Page<DeadLetter>>;

    /// All tokens, newest first.
    fn tokens(&self) -> Reply<'_, Vec<Token>>;

    /// Entries in order.
    fn entries(&self, query: EntryQuery) -> Reply<'_, Vec<EntryRef>>;

    /// Entries in order, as [`Store::entries`] gives them, for whoever asks again and again: those that this process
    /// committed last need not be read again, and a page may end before the journal does. None only when there are none.
    fn follow(&self, query: EntryQuery) -> Reply<'_, Vec<EntryRef>> {
        self.entries(query)
    }

    /// The entry published last; 0 in a new journal.
    fn head(&self) -> Sequence;

    /// Waits until there is an entry after this one, and returns the head.
    fn head_after(&self, sequence: Sequence) -> Reply<'_, Sequence>;

    /// Where this shard stands with the others.
    fn positions(&self) -> Reply<'_, Positions>;

    /// Open sagas whose home this is, newest first.
    fn open_sagas(&self, query: SagaQuery) -> Reply<'_, Page<Saga>>;

    /// The shard's slots.
    fn slots(&self) -> Reply<'_, Slots>;

    /// Customers' accounts that are here or once were, each once and in no order. `after` is `next` of the page before.
    fn account_ids(&self, after: Option<u64>, limit: usize) -> Reply<'_, Page<AccountId>>;

    /// Accounts in this slot that are here and did not move away, by id, after one of them; at most `limit`.
    fn accounts_in(&self, slot: u16, after: Option<AccountId>, limit: usize) -> Reply<'_, Vec<AccountId>>;

    /// The entry of a key that was used on this shard; its header has the fingerprint.
    fn entry_of_key(&self, digest: u128) -> Reply<'_, Option<EntryRef>>;

    /// Takes the shard's relay lease for so many microseconds, or renews it; whether `holder` has it then. At most one
    /// holder has it at a time by the store's own clock. It saves work and nothing depends on it: two relays at once
    /// deliver twice what is taken once.
    fn lease(&self, holder: u128, microseconds: u64) -> Reply<'_, bool>;

    /// Holds whose time is over at `now` and has not been recorded so, at most `limit`.
    fn due_holds(&self, now: Timestamp, limit: usize) -> Reply<'_, Vec<HoldId>>;

    /// Walks everything that is stored and compares it.
    fn verify(&self, progress: Arc<dyn Progress>) -> Reply<'_, VerifyReport>;

    /// Counters for whoever watches.
    fn stats(&self) -> Stats;
}
