//! A bank under test: databases, a clock, and short words for what tests ask of it.

use ledger::event::Key;
use ledger::time::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use store::conformance::bench::{START_US, key, submit_to};
use store::conformance::{ask, block_on};
use store::model::Clock;
use store::report::{Silent, VerifyReport};
use store::{Answer, Fault, Request, Store, Submission};
use store_postgres::engine::{Engine, Options};

/// Accounts that [`Node::open_accounts`] opens, with so much each.
pub(crate) const ACCOUNTS: u64 = 8;
pub(crate) const BALANCE: u64 = 1_000_000;

/// A node: an engine of its own.
pub(crate) struct Node {
    _engine: Engine,
    pub(crate) store: Arc<dyn Store>,
}

/// A clock that goes on with every look, the same for all nodes of a test.
pub(crate) fn clock() -> Clock {
    let time = Arc::new(AtomicU64::new(START_US));
    Arc::new(move || Timestamp::from_microseconds(time.fetch_add(1000, Ordering::SeqCst)).expect("a time"))
}

pub(crate) fn options(url: &str, clock: &Clock, node: u8) -> Options {
    let mut options = Options::new(vec![url.into()], clock.clone(), [node; 64]);
    options.owners = vec![url.into()];
    options.read_connections = 2;
    options
}

impl Node {
    pub(crate) fn open(url: &str, clock: &Clock, node: u8) -> Node {
        Node::with(&options(url, clock, node))
    }

    pub(crate) fn with(options: &Options) -> Node {
        let engine = Engine::open(options).expect("the database opens");
        let store = engine.stores()[0].clone();
        Node { _engine: engine, store }
    }

    /// Accounts 1 to [`ACCOUNTS`] with [`BALANCE`] each.
    pub(crate) fn open_accounts(&self) {
        let mut commands = vec![ask::register(900, "Owner")];
        for number in 1..=ACCOUNTS {
            commands.extend([ask::open(Some(number), 900, "EUR", 0), ask::deposit(number, BALANCE)]);
        }
        let requests = commands.into_iter().map(|command| Request { key: None, command }).collect();
        assert!(block_on(submit_to(&*self.store, requests, false)).iter().all(|answer| answer.entry().is_some()));
    }

    /// Submits once; a fault is handed back.
    pub(crate) fn submit(&self, requests: Vec<Request>) -> Result<Vec<Answer>, Fault> {
        let context = store::conformance::bench::context();
        block_on(self.store.submit(Submission { context, requests, dry_run: false }))
    }

    /// Submits until there is an answer, as a client does.
    pub(crate) fn insist(&self, requests: &[Request]) -> Vec<Answer> {
        for _ in 0..100 {
            match self.submit(requests.to_vec()) {
                Ok(answers) => return answers,
                Err(fault) => assert!(fault.retryable(), "{fault}"),
            }
        }
        panic!("the store does not serve again");
    }

    pub(crate) fn verify(&self) -> VerifyReport {
        block_on(self.store.verify(Arc::new(Silent))).expect("verification runs")
    }

    /// # Panics
    /// If it is not clean.
    pub(crate) fn expect_clean(&self) {
        let report = self.verify();
        assert!(report.is_clean(), "{report:#?}");
    }
}

/// A transfer of one cent between two of the accounts, under the key with its number.
pub(crate) fn transfer(number: u64) -> Request {
    let (from, to) = (1 + number % ACCOUNTS, 1 + (number + 1 + number / ACCOUNTS % (ACCOUNTS - 1)) % ACCOUNTS);
    Request { key: Some(key_of(number)), command: ask::transfer(from, to, 1) }
}

pub(crate) fn key_of(number: u64) -> Key {
    key(u128::from(number) + 1_000_000)
}

pub(crate) fn sequence(answer: &Answer) -> u64 {
    answer.entry().unwrap_or_else(|| panic!("an entry: {answer:?}")).header.sequence
}
