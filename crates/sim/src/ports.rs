//! The bank's ports in a world: a clock that may be wrong, chance from the seed, waiting in virtual time, and a keyring.

use crate::ground::{Clock, Ground};
use crate::scheduler::lock;
use bank::ports::{Boxed, DataKey, Env, KeyId, Keyring};
use ledger::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Mutex;
use store::Fault;

/// The world as one node sees it.
pub struct NodeEnv {
    ground: Ground,
    clock: Clock,
}

impl NodeEnv {
    /// What a node with this clock sees.
    pub fn new(ground: Ground, clock: Clock) -> NodeEnv {
        NodeEnv { ground, clock }
    }
}

impl Env for NodeEnv {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.ground.dice.fill(bytes);
    }

    fn sleep(&self, microseconds: u64) -> Boxed<'_, ()> {
        Box::pin(self.ground.scheduler.sleep(microseconds))
    }
}

/// One keyring for all nodes.
pub struct SharedKeyring {
    ground: Ground,
    keys: Mutex<BTreeMap<KeyId, DataKey>>,
}

impl SharedKeyring {
    /// An empty keyring.
    pub fn new(ground: Ground) -> SharedKeyring {
        SharedKeyring { ground, keys: Mutex::default() }
    }

    async fn reach(&self) -> Result<(), Fault> {
        self.ground.pause(10, 1_000).await;
        let fails = self.ground.dice.happens(self.ground.faults.rates().keyring_failed);
        if fails { Err(Fault::Unavailable { reason: "the keyring does not answer".into() }) } else { Ok(()) }
    }
}

impl Keyring for SharedKeyring {
    fn fresh_keys(&self, count: usize) -> Boxed<'_, Result<Vec<(KeyId, DataKey)>, Fault>> {
        Box::pin(async move {
            self.reach().await?;
            let fresh = (0..count).map(|_| {
                let (mut id, mut key) = ([0; 16], [0; 32]);
                self.ground.dice.fill(&mut id);
                self.ground.dice.fill(&mut key);
                (KeyId(id), DataKey(key))
            });
            let fresh: Vec<(KeyId, DataKey)> = fresh.collect();
            lock(&self.keys).extend(fresh.iter().cloned());
            Ok(fresh)
        })
    }

    fn key(&self, id: KeyId) -> Boxed<'_, Result<Option<DataKey>, Fault>> {
        Box::pin(async move {
            self.reach().await?;
            Ok(lock(&self.keys).get(&id).cloned())
        })
    }

    fn destroy(&self, id: KeyId) -> Boxed<'_, Result<(), Fault>> {
        Box::pin(async move {
            self.reach().await?;
            lock(&self.keys).remove(&id);
            Ok(())
        })
    }
}
