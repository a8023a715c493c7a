//! A small bank in memory whose clock stands and whose randomness counts, so that every run is the same.

use bank::ports::{Boxed, DataKey, Env, KeyId, Keyring};
use bank::{Bank, Caller};
use ledger::event::Channel;
use ledger::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use store::Fault;
use store::model::{Identity, MemoryStore};

/// The instant at which the world stands: 2026-11-21T10:00:00Z.
fn now() -> Timestamp {
    Timestamp::from_microseconds(1_795_255_200_000_000).expect("a time")
}

#[derive(Default)]
struct World {
    drawn: AtomicU64,
}

impl Env for World {
    fn now(&self) -> Timestamp {
        now()
    }

    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let number = self.drawn.fetch_add(1, Ordering::Relaxed).to_le_bytes();
            chunk.copy_from_slice(&number[..chunk.len()]);
        }
    }

    fn sleep(&self, _microseconds: u64) -> Boxed<'_, ()> {
        Box::pin(async {})
    }
}

#[derive(Default)]
struct Keys {
    keys: Mutex<BTreeMap<KeyId, DataKey>>,
}

impl Keyring for Keys {
    fn fresh_keys(&self, count: usize) -> Boxed<'_, Result<Vec<(KeyId, DataKey)>, Fault>> {
        let mut keys = self.keys.lock().expect("nobody panics with it");
        let fresh = (0..count).map(|_| {
            let number = u128::try_from(keys.len()).expect("a number") + 1;
            let key = (KeyId(number.to_le_bytes()), DataKey([7; 32]));
            keys.insert(key.0, key.1.clone());
            key
        });
        let fresh: Vec<_> = fresh.collect();
        Box::pin(async { Ok(fresh) })
    }

    fn key(&self, id: KeyId) -> Boxed<'_, Result<Option<DataKey>, Fault>> {
        let key = self.keys.lock().expect("nobody panics with it").get(&id).cloned();
        Box::pin(async { Ok(key) })
    }

    fn destroy(&self, id: KeyId) -> Boxed<'_, Result<(), Fault>> {
        self.keys.lock().expect("nobody panics with it").remove(&id);
        Box::pin(async { Ok(()) })
    }
}

/// What the bank starts with: a customer 1 with the accounts 1 and 2 in euros, 1,000.00 on the first.
const BEGINNING: [&str; 4] = [
    r#"{"specversion":"1.0","source":"start","id":"1","type":"florin.user.registered","data":{"user_id":"1","name":"Ann"}}"#,
    r#"{"specversion":"1.0","source":"start","id":"2","type":"florin.account.opened","data":{"account_id":"1","user_id":"1","currency":"EUR","type":"checking"}}"#,
    r#"{"specversion":"1.0","source":"start","id":"3","type":"florin.account.opened","data":{"account_id":"2","user_id":"1","currency":"EUR","type":"savings"}}"#,
    r#"{"specversion":"1.0","source":"start","id":"4","type":"florin.deposit","data":{"account_id":"1","amount":"1000","currency":"EUR"}}"#,
];

/// Whoever sends what is tried.
pub(crate) fn caller() -> Caller {
    Caller::local(Channel::File)
}

/// A new bank.
pub(crate) async fn bank() -> Arc<Bank> {
    let store = MemoryStore::new(Identity::only_shard(), Arc::new(now));
    let bank = Bank::new(vec![Arc::new(store)], Arc::new(World::default()), Arc::new(Keys::default()));
    let results = bank.ingest(&caller(), &BEGINNING).await.expect("no store faults in memory");
    let accepted =
        |result: &bank::ingest::EventResult| matches!(result.outcome, bank::ingest::EventOutcome::Accepted { .. });
    assert!(results.iter().all(accepted), "{results:?}");
    Arc::new(bank)
}

/// No input makes or loses money.
pub(crate) fn assert_books_balance(bank: &Bank) {
    for shard in bank.shards() {
        for (currency, sum) in shard.stats().sums {
            assert_eq!(sum, 0, "the books do not balance in {currency}");
        }
    }
}
