//! The keyring as a table of the first shard's database, which all nodes of a bank share. Each key is wrapped by the master
//! key, which every node has in a file of its own: the database alone opens nothing.
//!
//! Promises: a key is durable in the database before anybody gets it; a destroyed one is never handed out again; a
//! damaged one is a fault, never another key and never "not there".

use super::{KeyState, MAGIC, POOL, SEALED, make_master, random, read_master, seal, unseal};
use crate::failure::Failure;
use bank::ports::{Boxed, DataKey, KeyId, Keyring};
use ring::aead::{LessSafeKey, NONCE_LEN};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use store::Fault;
use store_postgres::sealing_keys::{SealingKeys, StoredKey};

/// See the module.
pub(crate) struct KeyringTable {
    keys: SealingKeys,
    master: LessSafeKey,
    /// Made ahead, durable, and given to nobody yet.
    ready: Mutex<Vec<(KeyId, DataKey)>>,
}

impl std::fmt::Debug for KeyringTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyringTable")
    }
}

impl KeyringTable {
    /// Opens the keyring of a bank. The first node of a new bank makes its master key; every other one has to have it.
    ///
    /// # Errors
    /// A master key that is missing or does not fit.
    pub(crate) async fn open(keys: SealingKeys, master_path: &Path) -> Result<KeyringTable, Failure> {
        let is_new = keys.proof().await?.is_none();
        if !is_new && !master_path.exists() {
            let what = format!("the bank has a keyring, but its master key {} is missing here", master_path.display());
            return Err(Failure::usage(what, "copy it from another node, or name it with data.master_key_file"));
        }
        let master = if is_new { make_master(master_path)? } else { read_master(master_path)? };
        let proof = keys.prove(wrap(&master, MAGIC, &[0; 32])).await?;
        if unwrap(&master, MAGIC, &proof).is_none() {
            let what = format!("the master key in {} does not fit the bank's keyring", master_path.display());
            return Err(Failure::usage(what, "copy the one of another node"));
        }
        Ok(KeyringTable { keys, master, ready: Mutex::default() })
    }

    /// Where a key stands.
    ///
    /// # Errors
    /// `Corrupt` for one that the master key does not open; `Unavailable` if it cannot be read.
    pub(crate) async fn state(&self, id: KeyId) -> Result<KeyState, Fault> {
        match self.keys.get(id.0).await? {
            None => Ok(KeyState::Missing),
            Some(StoredKey::Destroyed) => Ok(KeyState::Destroyed),
            Some(StoredKey::Live(wrapped)) => self.open_key(id, &wrapped).map(|_| KeyState::Live),
        }
    }

    fn open_key(&self, id: KeyId, wrapped: &[u8]) -> Result<DataKey, Fault> {
        let opened = unwrap(&self.master, &id.0, wrapped);
        opened.map(DataKey).ok_or_else(|| Fault::Corrupt {
            detail: "a row of the table sealing_keys cannot be opened with the master key".into(),
        })
    }

    fn ready(&self) -> MutexGuard<'_, Vec<(KeyId, DataKey)>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_ready(&self, count: usize) -> Option<Vec<(KeyId, DataKey)>> {
        let mut ready = self.ready();
        let kept = ready.len().checked_sub(count)?;
        Some(ready.split_off(kept))
    }

    /// Makes keys and stores them; only then are they there to be given out.
    async fn make(&self, count: usize) -> Result<(), Fault> {
        let (mut rows, mut made) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for _ in 0..count {
            let (mut id, mut key) = ([0; 16], [0; 32]);
            random(&mut id);
            random(&mut key);
            rows.push((id, wrap(&self.master, &id, &key)));
            made.push((KeyId(id), DataKey(key)));
        }
        self.keys.add(rows).await?;
        self.ready().append(&mut made);
        Ok(())
    }
}

impl Keyring for KeyringTable {
    fn fresh_keys(&self, count: usize) -> Boxed<'_, Result<Vec<(KeyId, DataKey)>, Fault>> {
        Box::pin(async move {
            loop {
                if let Some(keys) = self.take_ready(count) {
                    return Ok(keys);
                }
                self.make(count.max(POOL)).await?;
            }
        })
    }

    fn key(&self, id: KeyId) -> Boxed<'_, Result<Option<DataKey>, Fault>> {
        Box::pin(async move {
            match self.keys.get(id.0).await? {
                Some(StoredKey::Live(wrapped)) => self.open_key(id, &wrapped).map(Some),
                Some(StoredKey::Destroyed) | None => Ok(None),
            }
        })
    }

    fn destroy(&self, id: KeyId) -> Boxed<'_, Result<(), Fault>> {
        self.keys.destroy(id.0)
    }
}

/// A key sealed with the master key and bound to what it is for: nonce, then ciphertext.
fn wrap(master: &LessSafeKey, bound_to: &[u8], key: &[u8; 32]) -> Vec<u8> {
    let (nonce, sealed) = seal(master, bound_to, key);
    [&nonce[..], &sealed].concat()
}

fn unwrap(master: &LessSafeKey, bound_to: &[u8], wrapped: &[u8]) -> Option<[u8; 32]> {
    if wrapped.len() != NONCE_LEN + SEALED {
        return None;
    }
    let (nonce, sealed) = wrapped.split_at(NONCE_LEN);
    unseal(master, bound_to, nonce, sealed)
}
