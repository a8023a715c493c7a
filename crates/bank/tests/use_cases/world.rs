//! A bank in memory, over the ports of tests and stores that can fail.

use crate::ports::{TestEnv, TestKeyring};
use bank::error::BankError;
use bank::ingest::{EventCounts, EventOutcome, EventResult};
use bank::ports::Env;
use bank::profile::PlainProfile;
use bank::slot_map::SlotMap;
use bank::submit::ClientKey;
use bank::transfer::Terms;
use bank::{Bank, Caller};
use ledger::account::AccountKind;
use ledger::amount::Amount;
use ledger::command::{Command, OpenAccount};
use ledger::currency::Currency;
use ledger::customer::ProfileField;
use ledger::event::{AccountChanged, Channel, Event, Outcome};
use ledger::ids::{AccountId, CustomerId, ShardId, slot};
use ledger::time::Timestamp;
use ledger::transfer::{Leg, LegAmount, Legs, Transfer, TransferKind};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use store::faulty::FaultyStore;
use store::model::{Identity, MemoryStore};
use store::{Answer, Store};

/// Runs a future to its end. Stores in memory never wait, so neither does anything built on them.
pub(crate) fn now<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    for _ in 0..100_000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
    panic!("the future waits for something");
}

pub(crate) struct World {
    pub(crate) bank: Bank,
    pub(crate) env: Arc<TestEnv>,
    pub(crate) keyring: Arc<TestKeyring>,
    pub(crate) memories: Vec<Arc<MemoryStore>>,
    pub(crate) faulty: Vec<Arc<FaultyStore>>,
}

impl World {
    pub(crate) fn new(shards: u16) -> World {
        World::ahead(&vec![0; usize::from(shards)])
    }

    /// A bank whose shards' clocks are so many microseconds ahead.
    pub(crate) fn ahead(shards: &[u64]) -> World {
        let env = TestEnv::new();
        let slots = SlotMap::new(shards.len()).expect("a count of shards");
        let memory = |(number, ahead): (u16, &u64)| {
            let shard = ShardId::new(number).expect("a shard");
            let (clock, ahead) = (env.clone(), *ahead);
            let identity = Identity { shard, slots: slots.slots_of(shard), secret: [9; 32] };
            Arc::new(MemoryStore::new(identity, Arc::new(move || clock.now().saturating_add(ahead))))
        };
        let memories: Vec<Arc<MemoryStore>> = (0..).zip(shards).map(memory).collect();
        let faulty: Vec<Arc<FaultyStore>> =
            memories.iter().map(|memory| Arc::new(FaultyStore::new(memory.clone()))).collect();
        let keyring = Arc::new(TestKeyring::default());
        let stores = faulty.iter().map(|store| store.clone() as Arc<dyn Store>).collect();
        let bank = Bank::new(stores, env.clone(), keyring.clone());
        World { bank, env, keyring, memories, faulty }
    }

    /// Another node over the same shards, which knows nothing of what this one learned.
    pub(crate) fn another_node(&self) -> Bank {
        let stores = self.faulty.iter().map(|store| store.clone() as Arc<dyn Store>).collect();
        Bank::new(stores, self.env.clone(), self.keyring.clone())
    }

    pub(crate) fn pass(&self, microseconds: u64) {
        self.env.pass(microseconds);
    }

    /// How many keys were asked for.
    pub(crate) fn keys_made(&self) -> u64 {
        self.keyring.made.load(Ordering::SeqCst)
    }

    /// The `n`th small id, from 0, that lives on this shard.
    pub(crate) fn id_on(&self, shard: u16, n: usize) -> u64 {
        let on_shard = |id: &u64| self.bank.placement().owner(slot(*id)).number() == shard;
        (1..).filter(on_shard).nth(n).expect("ids without end")
    }

    /// Opens a EUR account of a new customer of the same id.
    pub(crate) fn open(&self, id: u64) {
        now(self.bank.register_user(&local(), None, CustomerId::new(id), &named("A"))).expect("registered");
        let opened = now(self.bank.submit(&local(), None, opening(id, id), false)).expect("opened");
        assert!(matches!(event_of(&opened), Event::AccountChanged(_)));
    }

    /// Opens an account and pays in.
    pub(crate) fn open_with(&self, id: u64, minor_units: u64) {
        self.open(id);
        self.pay_in(id, minor_units);
    }

    pub(crate) fn pay_in(&self, id: u64, minor_units: u64) {
        let deposit = self.bank.deposit(account(id), None, terms(minor_units)).expect("a deposit");
        let answer = now(self.bank.submit(&local(), None, Command::Transfer(deposit), false)).expect("an answer");
        assert_eq!(rejection(&answer), None);
    }

    pub(crate) fn balance(&self, id: u64) -> i128 {
        now(self.bank.account(account(id))).expect("read").expect("an account").balance
    }

    pub(crate) fn submit(&self, key: Option<(&str, u128)>, command: Command) -> Result<Answer, BankError> {
        self.submit_as(&local(), key, command)
    }

    pub(crate) fn submit_as(
        &self,
        caller: &Caller,
        key: Option<(&str, u128)>,
        command: Command,
    ) -> Result<Answer, BankError> {
        let key = key.map(|(text, fingerprint)| ClientKey { text, fingerprint });
        now(self.bank.submit(caller, key, command, false))
    }

    pub(crate) fn ingest<E: AsRef<[u8]> + Sync>(&self, events: &[E]) -> Vec<EventResult> {
        now(self.bank.ingest(&local(), events)).expect("ingested")
    }

    /// All balances of all shards sum up to zero.
    pub(crate) fn assert_sums_are_zero(&self) {
        let balances = now(self.bank.system_balances()).expect("read");
        assert!(balances.iter().all(|balance| balance.total == 0), "{balances:?}");
    }

    /// Count of entries of all shards.
    pub(crate) fn entries(&self) -> usize {
        self.memories.iter().map(|memory| memory.entries_so_far().len()).sum()
    }
}

pub(crate) fn local() -> Caller {
    Caller::local(Channel::Http)
}

pub(crate) fn account(id: u64) -> AccountId {
    AccountId::new(id).expect("an id")
}

pub(crate) fn euro() -> Currency {
    "EUR".parse().expect("a currency")
}

pub(crate) fn amount(minor_units: u64) -> Amount {
    Amount::new(minor_units).expect("an amount")
}

pub(crate) fn terms(minor_units: u64) -> Terms {
    Terms {
        currency: euro(),
        amount: LegAmount::Exactly(amount(minor_units)),
        forced: false,
        effective_at: None,
        note: None,
    }
}

pub(crate) fn transfer(from: u64, to: u64, minor_units: u64) -> Transfer {
    let leg = Leg { from: account(from), to: account(to), amount: LegAmount::Exactly(amount(minor_units)) };
    Transfer {
        kind: TransferKind::Transfer,
        currency: euro(),
        legs: Legs::One([leg]),
        forced: false,
        effective_at: None,
        note: None,
    }
}

pub(crate) fn opening(id: u64, customer: u64) -> Command {
    Command::OpenAccount(OpenAccount {
        id: AccountId::new(id),
        customer: CustomerId::new(customer).expect("an id"),
        kind: AccountKind::Checking,
        currency: euro(),
        overdraft_limit: Amount::ZERO,
    })
}

pub(crate) fn named(name: &str) -> PlainProfile {
    let mut profile = PlainProfile::default();
    let today = Timestamp::from_microseconds(1_800_000_000_000_000).expect("a time").day();
    profile.set(ProfileField::Name, name, today).expect("a name");
    profile
}

pub(crate) fn event_of(answer: &Answer) -> &Event {
    match answer.outcome() {
        Some(Outcome::Event(event)) => event,
        other => panic!("no event: {other:?}"),
    }
}

pub(crate) fn opened_account(answer: &Answer) -> AccountId {
    match event_of(answer) {
        Event::AccountChanged(changed) => {
            let AccountChanged { account, .. } = &**changed;
            account.id
        }
        other => panic!("no account: {other:?}"),
    }
}

pub(crate) fn rejection(answer: &Answer) -> Option<&'static str> {
    match answer.outcome() {
        Some(Outcome::Rejection { rejection, .. }) => Some(rejection.code()),
        Some(Outcome::Event(_)) | None => None,
    }
}

pub(crate) fn counts(results: &[EventResult]) -> (u64, u64, u64) {
    let mut counts = EventCounts::default();
    results.iter().for_each(|result| counts.add(result));
    assert_eq!(counts.total(), results.len() as u64);
    (counts.accepted, counts.replayed, counts.dead_lettered)
}

pub(crate) fn code(result: &EventResult) -> &str {
    match &result.outcome {
        EventOutcome::Accepted { .. } => "accepted",
        EventOutcome::Replayed { .. } => "replayed",
        EventOutcome::DeadLettered { code, .. } => code,
    }
}
