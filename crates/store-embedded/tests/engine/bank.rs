//! A shard under test: a data folder, a clock that the test sets, and short words for what tests ask of it.

use ledger::account::AccountKind;
use ledger::amount::Amount;
use ledger::command::{Command, OpenAccount, RegisterCustomer};
use ledger::currency::Currency;
use ledger::event::{Channel, Context, Key};
use ledger::ids::{AccountId, CustomerId};
use ledger::time::Timestamp;
use ledger::transfer::{Leg, LegAmount, Legs, Note, Transfer, TransferKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use store::conformance::block_on;
use store::report::{Silent, VerifyReport};
use store::{Answer, Fault, Request, Store, Submission};
use store_embedded::engine::{Engine, Options};

/// 2026-01-01T00:00:00Z.
const START_US: u64 = 1_767_225_600_000_000;

pub(crate) struct Bank {
    pub(crate) folder: Arc<tempfile::TempDir>,
    pub(crate) time: Arc<AtomicU64>,
    pub(crate) engine: Option<Engine>,
}

/// Options with small segments, runs and checkpoints, so that a short test meets all of them.
pub(crate) fn options(time: &Arc<AtomicU64>) -> Options {
    let time = time.clone();
    let clock = Arc::new(move || Timestamp::from_microseconds(time.load(Ordering::Relaxed)).expect("a time"));
    let mut options = Options::new(clock, [7; 48]);
    options.segment_bytes = 4 << 20;
    options.run_entries = 200;
    options.checkpoint_entries = 500;
    options.reserve_bytes = 1 << 20;
    options
}

pub(crate) fn new_time() -> Arc<AtomicU64> {
    Arc::new(AtomicU64::new(START_US))
}

impl Bank {
    pub(crate) fn new() -> Bank {
        Bank::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Options)) -> Bank {
        let folder = Arc::new(tempfile::tempdir().expect("a temporary folder"));
        let time = new_time();
        let mut options = options(&time);
        change(&mut options);
        let engine = Engine::open(folder.path(), &options).expect("a new folder opens");
        Bank { folder, time, engine: Some(engine) }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn store(&self) -> Arc<dyn Store> {
        self.engine.as_ref().expect("the engine is open").stores()[0].clone()
    }

    /// Closes as a clean shutdown does.
    pub(crate) fn close(&mut self) {
        self.engine.take().expect("the engine is open").shut_down().expect("a clean shutdown");
    }

    pub(crate) fn open(&mut self) {
        self.engine = Some(Engine::open(self.folder.path(), &options(&self.time)).expect("the folder opens again"));
    }

    /// The folder as a crash of the process would leave it now.
    pub(crate) fn crashed(&self) -> Bank {
        let folder = Arc::new(tempfile::tempdir().expect("a temporary folder"));
        copy_folder(self.path(), folder.path());
        Bank { folder, time: self.time.clone(), engine: None }
    }

    pub(crate) fn submit(&self, requests: Vec<Request>) -> Result<Vec<Answer>, Fault> {
        submit(&*self.store(), requests)
    }

    /// Customer 1 with accounts 1 to `count` that may go far below zero.
    pub(crate) fn open_accounts(&self, count: u64) {
        let register = RegisterCustomer { id: CustomerId::new(1), profile: Vec::new(), registered_as: 1 };
        let mut requests = vec![Request { key: None, command: Command::RegisterCustomer(Box::new(register)) }];
        requests.extend((1..=count).map(|id| Request {
            key: None,
            command: Command::OpenAccount(OpenAccount {
                id: AccountId::new(id),
                customer: CustomerId::new(1).expect("an id"),
                kind: AccountKind::Checking,
                currency: euro(),
                overdraft_limit: Amount::new(1_000_000_000).expect("an amount"),
            }),
        }));
        assert_eq!(self.submit(requests).expect("no fault").len() as u64, count + 1);
    }

    pub(crate) fn verify(&self) -> VerifyReport {
        block_on(self.store().verify(Arc::new(Silent))).expect("verification runs")
    }
}

pub(crate) fn submit(store: &dyn Store, requests: Vec<Request>) -> Result<Vec<Answer>, Fault> {
    let context = Context { principal: "test".into(), channel: Channel::Http, correlation: "".into(), cause: None };
    block_on(store.submit(Submission { context: Arc::new(context), requests, dry_run: false }))
}

pub(crate) fn euro() -> Currency {
    "EUR".parse().expect("a currency")
}

pub(crate) fn account(id: u64) -> AccountId {
    AccountId::new(id).expect("an id")
}

pub(crate) fn key(number: u64) -> Option<Key> {
    // Spread over all bits, as digests are.
    let digest = u128::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    Some(Key { digest, fingerprint: u128::from(number) })
}

/// A transfer of so many cents under a key of its own.
pub(crate) fn transfer(number: u64, from: u64, to: u64, cents: u64) -> Request {
    let leg = Leg {
        from: account(from),
        to: account(to),
        amount: LegAmount::Exactly(Amount::new(cents).expect("an amount")),
    };
    let note = number.is_multiple_of(3).then(|| {
        let metadata = Box::new([("group".into(), format!("{}", number % 7).into())]);
        Box::new(Note { reference: Some(format!("order-{}", number % 11).into()), metadata })
    });
    let transfer = Transfer {
        kind: TransferKind::Transfer,
        currency: euro(),
        legs: Legs::One([leg]),
        forced: false,
        effective_at: number
            .is_multiple_of(5)
            .then(|| Timestamp::from_microseconds(START_US - number * 1_000_000).expect("a time")),
        note,
    };
    Request { key: key(number), command: Command::Transfer(transfer) }
}

/// A fixed sequence of transfers among accounts 1 to `accounts`.
pub(crate) fn transfers(numbers: std::ops::Range<u64>, accounts: u64) -> Vec<Request> {
    let pair = |number: u64| {
        let from = 1 + number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % accounts;
        (from, 1 + (from + number % (accounts - 1)) % accounts)
    };
    numbers
        .map(|number| (number, pair(number)))
        .map(|(number, (from, to))| transfer(number, from, to, 1 + number % 100))
        .collect()
}

pub(crate) fn copy_folder(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            std::fs::create_dir_all(&target).expect("a folder");
            copy_folder(&entry.path(), &target);
        } else {
            // A file that vanished meanwhile (written aside, merged away) vanishes for the crash too.
            let _vanished = std::fs::copy(entry.path(), target);
        }
    }
}

/// All files below a folder whose names end like this, in order.
pub(crate) fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        if entry.file_type().expect("a type").is_dir() {
            found.extend(files(&entry.path(), ending));
        } else if entry.file_name().to_string_lossy().ends_with(ending) {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}
