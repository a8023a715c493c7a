//! The store in memory keeps what every store promises.

use std::sync::Arc;
use store::Store;
use store::conformance::Fixture;
use store::model::{Clock, Identity, MemoryStore};

struct InMemory {
    clock: Clock,
    store: MemoryStore,
}

impl Fixture for InMemory {
    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn reopen(&mut self) {
        let entries = self.store.entries_so_far();
        self.store = MemoryStore::from_entries(Identity::only_shard(), Arc::clone(&self.clock), entries);
    }
}

fn in_memory(clock: Clock) -> Box<dyn Fixture> {
    let store = MemoryStore::new(Identity::only_shard(), Arc::clone(&clock));
    Box::new(InMemory { clock, store })
}

store::conformance_suite!(in_memory);
