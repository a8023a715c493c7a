//! Idempotency keys that the indexes on disk do not show yet, and older ones that an engine looked up.
//!
//! Keys are kept in generations: an engine starts a new one when it begins to write the keys of the last to an index,
//! and retires the oldest when that index is visible to every lookup still to come.

use crate::event::Key;
use crate::ids::{IdHash, Sequence};
use std::collections::{HashMap, VecDeque};

/// What is known of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// Digest of what was meant by it.
    pub fingerprint: u128,
    /// The entry that answered it.
    pub sequence: Sequence,
}

type Generation = HashMap<u128, KeyRow, IdHash>;

/// See the module.
#[derive(Debug)]
pub struct KeyTable {
    generations: VecDeque<Generation>,
    loaded: Generation,
    seed: u64,
    is_kept: bool,
}

impl KeyTable {
    /// An empty table.
    pub fn new(seed: u64) -> KeyTable {
        let generation = || HashMap::with_hasher(IdHash::new(seed));
        KeyTable { generations: VecDeque::from([generation()]), loaded: generation(), seed, is_kept: true }
    }

    /// A table that forgets at once, for a working set that decides nothing.
    pub fn forgetful(seed: u64) -> KeyTable {
        KeyTable { is_kept: false, ..KeyTable::new(seed) }
    }

    /// What is known of this key.
    pub fn get(&self, digest: u128) -> Option<KeyRow> {
        let newer = self.generations.iter().rev().find_map(|generation| generation.get(&digest));
        newer.or_else(|| if self.loaded.is_empty() { None } else { self.loaded.get(&digest) }).copied()
    }

    /// Puts back what an engine found of an older key, until [`KeyTable::forget_loaded`].
    pub fn load(&mut self, digest: u128, row: KeyRow) {
        self.loaded.insert(digest, row);
    }

    /// Forgets what was loaded for the commands that are done.
    pub fn forget_loaded(&mut self) {
        self.loaded.clear();
    }

    /// Notes the entry that answered a key.
    pub fn insert(&mut self, key: Key, sequence: Sequence) {
        if let (true, Some(newest)) = (self.is_kept, self.generations.back_mut()) {
            newest.insert(key.digest, KeyRow { fingerprint: key.fingerprint, sequence });
        }
    }

    /// Forgets a key whose entry was never written.
    pub fn forget(&mut self, digest: u128) {
        for generation in &mut self.generations {
            generation.remove(&digest);
        }
    }

    /// Starts a new generation with room for so many keys.
    pub fn start_generation(&mut self, keys: usize) {
        self.generations.push_back(HashMap::with_capacity_and_hasher(keys, IdHash::new(self.seed)));
    }

    /// Forgets the oldest generation, unless it is the only one.
    pub fn retire_generation(&mut self) {
        if 1 < self.generations.len() {
            self.generations.pop_front();
        }
    }

    /// Count of keys.
    pub fn len(&self) -> usize {
        self.generations.iter().map(HashMap::len).sum()
    }

    /// Whether no key is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
