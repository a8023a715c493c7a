//! The store in memory is the oracle: asked the same things at the same times, an engine says the same.

use super::bench::{Bench, every};
use super::{Fixture, ask, workload};
use crate::Store;
use crate::model::{Clock, Identity, MemoryStore};
use ledger::ids::ShardId;
use ledger::working_set::SlotSet;
use std::sync::Arc;

/// A store in memory, under test like any other.
#[derive(Debug)]
pub struct InMemory {
    clock: OpaqueClock,
    identity: Identity,
    store: MemoryStore,
}

struct OpaqueClock(Clock);

impl std::fmt::Debug for OpaqueClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

impl InMemory {
    /// A fresh one.
    pub fn fresh(clock: Clock) -> Box<dyn Fixture> {
        InMemory::of(Identity::only_shard(), clock)
    }

    /// A fresh one of a bank with several shards: shard 5, with a tenth of the slots.
    ///
    /// # Panics
    /// Never: 5 is a shard's number.
    pub fn one_of_several(clock: Clock) -> Box<dyn Fixture> {
        let shard = ShardId::new(5).expect("5 is a shard's number");
        let slots = SlotSet::of(|slot| (100..200).contains(&slot));
        InMemory::of(Identity { shard, slots, ..Identity::only_shard() }, clock)
    }

    fn of(identity: Identity, clock: Clock) -> Box<dyn Fixture> {
        let store = MemoryStore::new(identity.clone(), Arc::clone(&clock));
        Box::new(InMemory { clock: OpaqueClock(clock), identity, store })
    }
}

impl Fixture for InMemory {
    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn identity(&self) -> Identity {
        self.identity.clone()
    }

    fn reopen(&mut self) {
        let entries = self.store.entries_so_far();
        self.store = MemoryStore::from_entries(self.identity.clone(), Arc::clone(&self.clock.0), entries);
    }
}

/// Every outcome, ids and versions included, and every balance is the same.
pub async fn the_same_requests_come_to_the_same_as_in_memory(bench: &mut Bench) {
    let mut model = Bench::new(InMemory::fresh);
    let outcomes = workload::run(bench, 51, 600).await;
    let expected = workload::run(&mut model, 51, 600).await;
    assert_eq!(outcomes.len(), expected.len());
    for (place, (outcome, expected)) in outcomes.iter().zip(&expected).enumerate() {
        assert_eq!(outcome, expected, "request {place}");
    }
    for number in 1..=workload::ACCOUNTS {
        let (account, other) = (bench.account(number).await, model.account(number).await);
        let figures =
            [&account, &other].map(|account| (account.balance, account.version, account.held, account.available()));
        assert_eq!(figures[0], figures[1], "account {number}");
    }
    let (now, cash) = (bench.now(), ask::cash("EUR"));
    let own = bench.store().account(cash, now).await.expect("the store answers").map(|account| account.balance);
    let other = model.store().account(cash, now).await.expect("the store answers").map(|account| account.balance);
    assert_eq!((now, own), (model.now(), other));
}

/// Engines may record at different times that a hold expired. Whatever commands come on either side of the account, and
/// at every moment in between, what is answered and what is seen is the same.
pub async fn holds_expire_for_all_to_see_at_the_same_moment(bench: &mut Bench) {
    let mut model = Bench::new(InMemory::fresh);
    let (own, expected) = (expiring(bench).await, expiring(&mut model).await);
    for (place, (own, expected)) in own.iter().zip(&expected).enumerate() {
        assert_eq!(own, expected, "moment {place}");
    }
    assert_eq!(own.len(), expected.len());
}

/// What is seen of two accounts and the holds on them, without sequences and revisions.
async fn seen(bench: &Bench) -> String {
    let mut seen = String::new();
    for number in 1..=2 {
        let account = bench.account(number).await;
        let figures = (account.balance, account.version, account.available());
        let holds = (account.held, account.holds_active, account.next_expiry);
        let listed = every(10, |page| bench.store().holds_of(ask::account(number), page, bench.now())).await;
        let listed: Vec<_> = listed.iter().map(|hold| (hold.id, hold.status, hold.remaining())).collect();
        seen += &format!("{figures:?} {holds:?} {listed:?}; ");
    }
    seen
}

/// Holds on both accounts, one due after the other, while money comes to, leaves and fails to leave the accounts.
async fn expiring(bench: &mut Bench) -> Vec<String> {
    bench.open_accounts(&[1000, 1000]).await;
    let start = bench.now();
    for after in [10, 20, 30, 40] {
        for number in 1..=2 {
            bench.ask(ask::hold(number, None, 200, Some(start.saturating_add(after)))).await;
        }
    }
    let mut moments = vec![seen(bench).await];
    for (from, to, amount) in [(1, 2, 100), (1, 2, 2000), (2, 1, 300), (1, 2, 900), (2, 1, 1700)] {
        bench.advance(10);
        moments.push(seen(bench).await);
        let answer = bench.ask(ask::transfer(from, to, amount)).await;
        moments.push(format!("{:?}", answer.outcome()));
        moments.push(seen(bench).await);
    }
    moments
}
