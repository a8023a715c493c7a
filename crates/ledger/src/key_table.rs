//! Idempotency keys that the indexes on disk do not show yet, and older ones that an engine looked up.
//!
//! Keys are kept in generations: an engine starts a new one when it begins to write the keys of the last to an index,
//! and retires the oldest when that index is visible to every lookup still to come.

use crate::event::Key;
use crate::ids::{IdHash, Sequence};
use crate::places::Places;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;

/// What is known of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// Digest of what was meant by it.
    pub fingerprint: u128,
    /// The entry that answered it.
    pub sequence: Sequence,
}

/// Keys in the order in which they came.
#[derive(Debug, Default)]
struct Generation {
    places: Places,
    rows: Vec<(u128, KeyRow)>,
}

impl Generation {
    fn find(&self, hash: u64, digest: u128) -> Option<usize> {
        self.places.find(hash, |place| self.rows[place].0 == digest)
    }
}

/// See the module.
#[derive(Debug)]
pub struct KeyTable {
    generations: VecDeque<Generation>,
    /// A retired one, whose memory the next can have: new memory costs more than what is kept in it.
    spare: Generation,
    loaded: HashMap<u128, KeyRow, IdHash>,
    hash: IdHash,
    is_kept: bool,
}

impl KeyTable {
    /// An empty table.
    pub fn new(seed: u64) -> KeyTable {
        let hash = IdHash::new(seed);
        let generations = VecDeque::from([Generation::default()]);
        let spare = Generation::default();
        KeyTable { generations, spare, loaded: HashMap::with_hasher(hash), hash, is_kept: true }
    }

    /// A table that forgets at once, for a working set that decides nothing.
    pub fn forgetful(seed: u64) -> KeyTable {
        KeyTable { is_kept: false, ..KeyTable::new(seed) }
    }

    /// What is known of this key.
    pub fn get(&self, digest: u128) -> Option<KeyRow> {
        let hash = self.hash.hash_one(digest);
        let newer = self.generations.iter().rev().find_map(|generation| {
            let place = generation.find(hash, digest)?;
            Some(generation.rows[place].1)
        });
        newer.or_else(|| if self.loaded.is_empty() { None } else { self.loaded.get(&digest).copied() })
    }

    /// Puts back what an engine found of an older key, until [`KeyTable::forget_loaded`].
    pub fn load(&mut self, digest: u128, row: KeyRow) {
        self.loaded.insert(digest, row);
    }

    /// Forgets what was loaded for the commands that are done.
    pub fn forget_loaded(&mut self) {
        self.loaded.clear();
    }

    /// Notes the entry that answered a key, which has none yet.
    pub fn insert(&mut self, key: Key, sequence: Sequence) {
        if let (true, Some(newest)) = (self.is_kept, self.generations.back_mut()) {
            newest.places.insert(self.hash.hash_one(key.digest), newest.rows.len());
            newest.rows.push((key.digest, KeyRow { fingerprint: key.fingerprint, sequence }));
        }
    }

    /// Forgets a key whose entry was never written.
    pub fn forget(&mut self, digest: u128) {
        let hash = self.hash.hash_one(digest);
        for generation in &mut self.generations {
            // Its row stays, where nothing finds it: it goes with its generation.
            if let Some(place) = generation.find(hash, digest) {
                generation.places.remove(hash, place);
            }
        }
    }

    /// Starts a new generation with room for so many keys.
    pub fn start_generation(&mut self, keys: usize) {
        let mut generation = std::mem::take(&mut self.spare);
        generation.places.reserve(keys);
        generation.rows.reserve(keys);
        self.generations.push_back(generation);
    }

    /// Forgets the oldest generation, unless it is the only one.
    pub fn retire_generation(&mut self) {
        if 1 < self.generations.len()
            && let Some(mut retired) = self.generations.pop_front()
        {
            retired.places.clear();
            retired.rows.clear();
            self.spare = retired;
        }
    }

    /// Count of keys.
    pub fn len(&self) -> usize {
        self.generations.iter().map(|generation| generation.places.len()).sum()
    }

    /// Whether no key is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads where [`KeyTable::get`] begins. The value means nothing.
    #[inline]
    pub(crate) fn touch(&self, digest: u128) -> u64 {
        let hash = self.hash.hash_one(digest);
        self.generations.iter().fold(0, |all, generation| all ^ generation.places.touch(hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u128) -> Key {
        Key { digest: number, fingerprint: !number }
    }

    fn sequences(table: &KeyTable, keys: std::ops::RangeInclusive<u128>) -> Vec<Option<Sequence>> {
        keys.map(|number| table.get(number).map(|row| row.sequence)).collect()
    }

    #[test]
    fn a_key_is_known_until_its_generation_is_retired() {
        let mut table = KeyTable::new(1);
        for generation in 1..=3 {
            table.insert(key(generation), u64::try_from(generation).expect("small"));
            table.start_generation(4);
        }
        assert_eq!((sequences(&table, 1..=4), table.len()), (vec![Some(1), Some(2), Some(3), None], 3));
        table.retire_generation();
        assert_eq!((sequences(&table, 1..=4), table.len()), (vec![None, Some(2), Some(3), None], 2));
    }

    #[test]
    fn a_generation_in_the_memory_of_a_retired_one_begins_empty() {
        let mut table = KeyTable::new(1);
        for generation in 0..10_u128 {
            for number in 1..=100 {
                table.insert(key(1_000 * generation + number), 7);
            }
            table.start_generation(100);
            table.retire_generation();
            assert_eq!(table.len(), 0);
            assert_eq!(sequences(&table, 1..=3), [None, None, None]);
            assert_eq!(table.generations.back().map(|newest| newest.rows.len()), Some(0));
        }
    }

    #[test]
    fn a_forgotten_key_may_be_used_again_and_the_others_stay() {
        let mut table = KeyTable::new(1);
        (1..=50).for_each(|number| table.insert(key(number), 7));
        table.forget(20);
        assert_eq!((table.get(20), table.len()), (None, 49));
        table.insert(key(20), 8);
        let expected: Vec<_> = (1..=50).map(|number| Some(if number == 20 { 8 } else { 7 })).collect();
        assert_eq!(sequences(&table, 1..=50), expected);
    }

    #[test]
    fn what_was_loaded_is_known_until_it_is_forgotten() {
        let mut table = KeyTable::new(1);
        table.load(5, KeyRow { fingerprint: 1, sequence: 9 });
        assert_eq!(table.get(5), Some(KeyRow { fingerprint: 1, sequence: 9 }));
        table.forget_loaded();
        assert_eq!(table.get(5), None);
    }

    #[test]
    fn a_forgetful_table_keeps_nothing() {
        let mut table = KeyTable::forgetful(1);
        table.insert(key(1), 1);
        assert!(table.get(1).is_none() && table.is_empty());
    }
}
