//! The bench on which a store is tested: a clock to set, requests to make, and everything that can be read compared.

use super::{Fixture, ask};
use crate::model::{Clock, Identity};
use crate::query::{EntryQuery, PAGE_MAX, Page, PageQuery};
use crate::{Answer, EntryRef, Request, Store, Submission, transfers_of};
use ledger::account::Account;
use ledger::command::Command;
use ledger::currency::Currency;
use ledger::customer::Customer;
use ledger::dead_letter::DeadLetter;
use ledger::event::{Channel, Context, Entry, Event, Key, Outcome};
use ledger::hold::Hold;
use ledger::ids::{AccountId, Sequence};
use ledger::rejection::Rejection;
use ledger::time::Timestamp;
use ledger::token::Token;
use ledger::transfer::Transferred;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// 2026-11-21T10:00:00Z, when every claim begins.
pub const START_US: u64 = 1_795_255_200_000_000;
/// The customer that owns the accounts that [`Bench::open_accounts`] opens.
pub const OWNER: u64 = 900;

/// See the module.
pub struct Bench {
    fixture: Box<dyn Fixture>,
    clock: Arc<AtomicU64>,
    keys: u128,
}

/// All that can be read of a shard without naming a time in the past.
#[derive(Clone, Debug, PartialEq)]
pub struct World {
    /// The last entry.
    pub head: Sequence,
    /// The journal.
    pub entries: Vec<Entry>,
    /// Accounts of customers, as they are seen.
    pub accounts: Vec<Account>,
    /// The bank's own.
    pub system_accounts: Vec<Account>,
    /// What customers have.
    pub customer_sums: Vec<(Currency, i128)>,
    /// Customers.
    pub customers: Vec<Customer>,
    /// Holds of all accounts.
    pub holds: Vec<Hold>,
    /// Dead letters.
    pub dead_letters: Vec<DeadLetter>,
    /// Tokens.
    pub tokens: Vec<Token>,
}

impl std::fmt::Debug for Bench {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bench").field("now", &self.now()).finish_non_exhaustive()
    }
}

impl Bench {
    /// A bench with a fresh store.
    pub fn new(make: impl FnOnce(Clock) -> Box<dyn Fixture>) -> Bench {
        let clock = Arc::new(AtomicU64::new(START_US));
        let hand = clock.clone();
        let fixture = make(Arc::new(move || instant(hand.load(Ordering::SeqCst))));
        Bench { fixture, clock, keys: 0 }
    }

    /// The store.
    pub fn store(&self) -> &dyn Store {
        self.fixture.store()
    }

    /// Which shard it is.
    pub fn identity(&self) -> Identity {
        self.fixture.identity()
    }

    /// Closes and opens the store.
    pub fn reopen(&mut self) {
        self.fixture.reopen();
    }

    /// Lets the engine finish what it does in the background.
    pub fn settle(&mut self) {
        self.fixture.settle();
    }

    /// The clock, for stores that play other shards.
    pub fn clock(&self) -> Clock {
        let hand = self.clock.clone();
        Arc::new(move || instant(hand.load(Ordering::SeqCst)))
    }

    /// What the clock shows.
    pub fn now(&self) -> Timestamp {
        instant(self.clock.load(Ordering::SeqCst))
    }

    /// Puts the clock forward.
    pub fn advance(&self, microseconds: u64) {
        self.clock.fetch_add(microseconds, Ordering::SeqCst);
    }

    /// Puts the clock back, which clocks do.
    pub fn turn_back(&self, microseconds: u64) {
        self.clock.fetch_sub(microseconds, Ordering::SeqCst);
    }

    /// A key nobody used yet.
    pub fn next_key(&mut self) -> Key {
        self.keys += 1;
        key(self.keys)
    }

    /// A request with a key nobody used yet.
    pub fn request(&mut self, command: Command) -> Request {
        Request { key: Some(self.next_key()), command }
    }

    /// Submits requests that come in together.
    ///
    /// # Panics
    /// On a fault, as all of these: nothing here is meant to fail.
    pub async fn submit(&self, requests: Vec<Request>) -> Vec<Answer> {
        submit_to(self.store(), requests, false).await
    }

    /// Asks one thing, with a new key.
    pub async fn ask(&mut self, command: Command) -> Answer {
        let request = self.request(command);
        self.submit(vec![request]).await.remove(0)
    }

    /// Asks one thing, with this key.
    pub async fn ask_as(&self, key: Key, command: Command) -> Answer {
        self.submit(vec![Request { key: Some(key), command }]).await.remove(0)
    }

    /// Asks one thing without a key.
    pub async fn ask_without_key(&self, command: Command) -> Answer {
        self.submit(vec![Request { key: None, command }]).await.remove(0)
    }

    /// Asks what would happen.
    pub async fn dry_run(&self, command: Command) -> Outcome {
        let answers = submit_to(self.store(), vec![Request { key: None, command }], true).await;
        let Some(Answer::Unrecorded(outcome)) = answers.into_iter().next() else { panic!("a dry run has no entry") };
        *outcome
    }

    /// Opens the accounts 1, 2, 3, … of [`OWNER`] with these balances.
    pub async fn open_accounts(&mut self, balances: &[u64]) {
        let mut commands = vec![ask::register(OWNER, "Owner")];
        for (number, balance) in (1..).zip(balances) {
            commands.push(ask::open(Some(number), OWNER, "EUR", 0));
            if *balance != 0 {
                commands.push(ask::deposit(number, *balance));
            }
        }
        let requests = commands.into_iter().map(|command| self.request(command)).collect();
        let answers = self.submit(requests).await;
        assert!(
            answers.iter().all(|answer| matches!(answer.outcome(), Some(Outcome::Event(_)))),
            "accounts open: {answers:?}"
        );
    }

    /// An account as it is now.
    pub async fn account(&self, number: u64) -> Account {
        let account = self.store().account(ask::account(number), self.now()).await.expect("the store answers");
        account.unwrap_or_else(|| panic!("account {number} is there"))
    }

    /// The balances of the accounts 1 to n.
    pub async fn balances(&self, count: u64) -> Vec<i128> {
        let mut balances = Vec::new();
        for number in 1..=count {
            balances.push(self.account(number).await.balance);
        }
        balances
    }

    /// The whole journal.
    pub async fn journal(&self) -> Vec<EntryRef> {
        let mut entries: Vec<EntryRef> = Vec::new();
        loop {
            let after = entries.last().map_or(0, |entry| entry.header.sequence);
            let more = self.store().entries(EntryQuery { after, limit: PAGE_MAX }).await.expect("the store answers");
            if more.is_empty() {
                return entries;
            }
            entries.extend(more);
        }
    }

    /// Everything that can be read now.
    pub async fn world(&self) -> World {
        let (store, now) = (self.store(), self.now());
        let entries: Vec<Entry> = self.journal().await.iter().map(|entry| (**entry).clone()).collect();
        let mut accounts = Vec::new();
        let mut holds = Vec::new();
        for id in accounts_in(&entries) {
            accounts.extend(store.account(id, now).await.expect("the store answers"));
            holds.extend(every(PAGE_MAX, |page| store.holds_of(id, page, now)).await);
        }
        World {
            head: store.head(),
            entries,
            accounts,
            system_accounts: store.system_accounts().await.expect("the store answers"),
            customer_sums: store.customer_sums().await.expect("the store answers"),
            customers: every(PAGE_MAX, |page| store.customers(page)).await,
            holds,
            dead_letters: every(PAGE_MAX, |page| store.dead_letters(page)).await,
            tokens: store.tokens().await.expect("the store answers"),
        }
    }
}

fn instant(microseconds: u64) -> Timestamp {
    Timestamp::from_microseconds(microseconds).expect("claims end before the year 9999")
}

/// The key with this number; its meaning has the same.
pub fn key(number: u128) -> Key {
    let digest = number.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    Key { digest, fingerprint: !digest }
}

/// Who asks in all claims.
pub fn context() -> Arc<Context> {
    Arc::new(Context { principal: "local".into(), channel: Channel::Http, correlation: "".into(), cause: None })
}

/// Submits to a store.
///
/// # Panics
/// On a fault, and when the answers are not as many as the requests.
pub async fn submit_to(store: &dyn Store, requests: Vec<Request>, dry_run: bool) -> Vec<Answer> {
    let count = requests.len();
    let answers = store.submit(Submission { context: context(), requests, dry_run }).await.expect("the store answers");
    assert_eq!(answers.len(), count, "there is an answer to every request");
    answers
}

/// The customers' accounts that the journal opened, in that order.
fn accounts_in(entries: &[Entry]) -> Vec<AccountId> {
    let mut ids: Vec<AccountId> = Vec::new();
    for entry in entries {
        if let Outcome::Event(Event::AccountChanged(changed)) = &entry.outcome
            && !changed.account.is_system()
            && !ids.contains(&changed.account.id)
        {
            ids.push(changed.account.id);
        }
    }
    ids
}

/// What a method that returns pages gives.
pub type Paged<'a, T> = Pin<Box<dyn Future<Output = Result<Page<T>, crate::Fault>> + Send + 'a>>;

/// All rows of a list, read in pages of this size.
///
/// # Panics
/// On a fault, and when a page is longer than asked for or pages never end.
pub async fn every<'a, T>(limit: usize, mut list: impl FnMut(PageQuery) -> Paged<'a, T>) -> Vec<T> {
    every_from(|before| list(PageQuery { before, limit, status: None }), limit).await
}

/// All rows of anything that comes in pages of this size. Of every other page the last row is left for the next.
///
/// # Panics
/// As [`every`].
pub async fn every_from<'a, T>(mut list: impl FnMut(Option<u64>) -> Paged<'a, T>, limit: usize) -> Vec<T> {
    let mut rows = Vec::new();
    let mut before = None;
    for number in 0..100_000 {
        let mut page = list(before).await.expect("the store answers");
        assert!(page.items.len() <= limit, "a page of {limit} has {} rows", page.items.len());
        assert_eq!(page.items.len(), page.places.len(), "each row has its place");
        if number % 2 == 1 && 1 < page.items.len() {
            page.items.pop();
            page.next = Some(page.places[page.items.len() - 1]);
        }
        rows.extend(page.items);
        before = page.next;
        if before.is_none() {
            return rows;
        }
    }
    panic!("the pages of a list never end");
}

/// The transfer an answer is about.
///
/// # Panics
/// When it is not about a single one.
#[track_caller]
pub fn transferred(answer: &Answer) -> &Transferred {
    match answer.outcome().map(transfers_of) {
        Some([transferred]) => transferred,
        _ => panic!("expected a transfer: {answer:?}"),
    }
}

/// The hold an answer is about.
///
/// # Panics
/// When it is about none.
#[track_caller]
pub fn held(answer: &Answer) -> &Hold {
    match answer.outcome() {
        Some(Outcome::Event(Event::HoldChanged(changed))) => &changed.hold,
        Some(Outcome::Event(Event::HoldCaptured(captured))) => &captured.hold,
        _ => panic!("expected a hold: {answer:?}"),
    }
}

/// Why an answer is no.
///
/// # Panics
/// When it is not.
#[track_caller]
pub fn rejection(answer: &Answer) -> Rejection {
    match answer.outcome() {
        Some(Outcome::Rejection { rejection, .. }) => *rejection,
        _ => panic!("expected a rejection: {answer:?}"),
    }
}

/// The sequence of the entry an answer rests on.
///
/// # Panics
/// When it rests on none.
#[track_caller]
pub fn sequence(answer: &Answer) -> Sequence {
    match answer.entry() {
        Some(entry) => entry.header.sequence,
        None => panic!("expected an entry: {answer:?}"),
    }
}
