//! A shard that all nodes share: a store in memory, which outlives every node, as a database does.

use crate::plants::{Plant, Siblings};
use crate::random::Dice;
use bank::slot_map::SlotMap;
use ledger::ids::ShardId;
use ledger::time::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use store::model::{Clock, Identity, MemoryStore};
use store::{EntryRef, Store};

/// The secret of every simulated bank.
const SECRET: [u8; 32] = [9; 32];

/// A store in memory with what another copy of it is made from.
#[derive(Clone)]
pub struct Memory {
    /// The store.
    pub store: Arc<MemoryStore>,
    /// Which shard it is.
    pub identity: Identity,
    /// What tells it the time.
    pub clock: Clock,
}

impl Memory {
    /// The shard as it is with this journal.
    #[must_use]
    pub fn again(&self, entries: Vec<EntryRef>) -> Memory {
        let store = MemoryStore::from_entries(self.identity.clone(), self.clock.clone(), entries);
        Memory { store: Arc::new(store), ..self.clone() }
    }
}

/// See the module. Clones are the same shard.
#[derive(Clone)]
pub struct Shard {
    number: u16,
    store: Arc<dyn Store>,
    time_us: Arc<AtomicU64>,
}

impl Shard {
    /// An empty shard of a bank with these slots, with a planted bug where one is wanted.
    ///
    /// # Panics
    /// If a shard cannot have this number.
    pub fn new(number: u16, slots: SlotMap, plant: Option<(Plant, &Siblings)>, dice: &Dice) -> Shard {
        let shard = ShardId::new(number).expect("a world has few shards");
        let time_us = Arc::new(AtomicU64::new(0));
        let shown = time_us.clone();
        let clock: Clock =
            Arc::new(move || Timestamp::from_microseconds(shown.load(Ordering::SeqCst)).unwrap_or_default());
        let identity = Identity { shard, slots: slots.slots_of(shard), secret: SECRET };
        let memory = Arc::new(MemoryStore::new(identity.clone(), clock.clone()));
        let store = match plant {
            Some((plant, siblings)) => plant.in_shard(Memory { store: memory, identity, clock }, dice, siblings),
            None => memory,
        };
        Shard { number, store, time_us }
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Its store, at hand and without faults.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The time by which it decides what comes next: that of the node that commits.
    pub fn set_time(&self, time: Timestamp) {
        self.time_us.store(time.microseconds(), Ordering::SeqCst);
    }
}
