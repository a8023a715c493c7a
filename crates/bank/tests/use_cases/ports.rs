//! The bank's ports in tests, those of `web` too: a clock that stands until it is moved, randomness that repeats, and a
//! keyring in memory.

use bank::ports::{Boxed, DataKey, Env, KeyId, Keyring};
use ledger::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use store::Fault;

pub(crate) struct TestEnv {
    now: AtomicU64,
    state: AtomicU64,
}

impl TestEnv {
    pub(crate) fn new() -> Arc<TestEnv> {
        Arc::new(TestEnv { now: AtomicU64::new(1_800_000_000_000_000), state: AtomicU64::new(1) })
    }

    pub(crate) fn pass(&self, microseconds: u64) {
        self.now.fetch_add(microseconds, Ordering::SeqCst);
    }
}

impl Env for TestEnv {
    fn now(&self) -> Timestamp {
        Timestamp::from_microseconds(self.now.load(Ordering::SeqCst)).expect("a time")
    }

    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            let state = self.state.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::SeqCst);
            *byte = state.wrapping_mul(0xBF58_476D_1CE4_E5B9).to_be_bytes()[0];
        }
    }

    fn sleep(&self, _microseconds: u64) -> Boxed<'_, ()> {
        Box::pin(a_moment())
    }
}

/// Lets whatever else is polled get on.
pub(crate) async fn a_moment() {
    let mut is_over = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut is_over, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[derive(Default)]
pub(crate) struct TestKeyring {
    keys: Mutex<BTreeMap<KeyId, DataKey>>,
    pub(crate) made: AtomicU64,
}

impl Keyring for TestKeyring {
    fn fresh_keys(&self, count: usize) -> Boxed<'_, Result<Vec<(KeyId, DataKey)>, Fault>> {
        let fresh = (0..count).map(|_| {
            let number = u128::from(self.made.fetch_add(1, Ordering::SeqCst) + 1).to_le_bytes();
            (KeyId(number), DataKey([number[0] ^ 0xff; 32]))
        });
        let fresh: Vec<(KeyId, DataKey)> = fresh.collect();
        self.keys.lock().expect("unpoisoned").extend(fresh.iter().cloned());
        Box::pin(async { Ok(fresh) })
    }

    fn key(&self, id: KeyId) -> Boxed<'_, Result<Option<DataKey>, Fault>> {
        let key = self.keys.lock().expect("unpoisoned").get(&id).cloned();
        Box::pin(async { Ok(key) })
    }

    fn destroy(&self, id: KeyId) -> Boxed<'_, Result<(), Fault>> {
        self.keys.lock().expect("unpoisoned").remove(&id);
        Box::pin(async { Ok(()) })
    }
}
