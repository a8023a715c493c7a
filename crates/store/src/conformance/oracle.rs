//! The store in memory is the oracle: asked the same things at the same times, an engine says the same.

use super::bench::Bench;
use super::{Fixture, ask, workload};
use crate::Store;
use crate::model::{Clock, Identity, MemoryStore};
use std::sync::Arc;

/// A store in memory, under test like any other.
#[derive(Debug)]
pub struct InMemory {
    clock: OpaqueClock,
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
        let store = MemoryStore::new(Identity::only_shard(), Arc::clone(&clock));
        Box::new(InMemory { clock: OpaqueClock(clock), store })
    }
}

impl Fixture for InMemory {
    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn reopen(&mut self) {
        let entries = self.store.entries_so_far();
        self.store = MemoryStore::from_entries(Identity::only_shard(), Arc::clone(&self.clock.0), entries);
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
