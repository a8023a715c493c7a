//! A blocked Bloom filter: says "never seen" for certain, or "perhaps". Immutable once built; about 16 bits a key.
//!
//! A key's hash picks one line of 64 bytes, so that asking costs one cache line, and one bit in each of its eight words.
//! At 16 bits a key about one in a thousand keys never seen gets a "perhaps".
//!
//! The hash and the bits are part of the format (all arithmetic wraps at 64 bits):
//! - hash of a key: start with `SEED + length`; for each 8 bytes (little-endian, the last ones padded with zeros):
//!   `hash = fold(hash ^ word, 0x9E3779B97F4A7C15)`; at the end `hash = fold(hash, 0xD6E8FEB86659FD93)`;
//!   `fold(a, b)` is the low half of the 128-bit product xor its high half; SEED is `0x464C4F52494E3031`
//! - line: `(hash × lines) >> 64`
//! - bits: `spread = hash × 0x9E3779B97F4A7C15`; in word *i* bit `(spread >> (16 + 6 × i)) & 63`
//!
//! Stored, little-endian:
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 4 | magic `FLFT` |
//! | 4 | 4 | format version, 1 |
//! | 8 | 8 | number of lines |
//! | 16 | 64 each | lines of eight words |
//! | end | 4 | CRC-32 of all before |

use crate::bytes::{get_u32, get_u64, length};
use crate::error::StorageError;
use crate::sort;
use std::path::Path;

const MAGIC: &[u8; 4] = b"FLFT";
const VERSION: u32 = 1;
const HEAD_BYTES: usize = 16;
const LINE_BYTES: usize = 64;
const LINE_BITS: u64 = 512;
const BITS_PER_KEY: u64 = 16;
/// 8 MiB of hashes: enough that each part of a large filter gets many at once.
const GATHERED_MAX: usize = 1 << 20;
/// Hashes whose lines are read ahead together: few enough that the first are still at hand when the last are.
const ASKED_TOGETHER: usize = 64;
const SEED: u64 = 0x464C_4F52_494E_3031;
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
const FINISH: u64 = 0xD6E8_FEB8_6659_FD93;

/// The hash of a key of any length, with a seed that is part of the format.
pub fn hash_key(key: &[u8]) -> u64 {
    let mut hash = SEED.wrapping_add(key.len() as u64);
    let (words, rest) = key.as_chunks::<8>();
    for &word in words {
        hash = fold(hash ^ u64::from_le_bytes(word), SPREAD);
    }
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        hash = fold(hash ^ u64::from_le_bytes(word), SPREAD);
    }
    fold(hash, FINISH)
}

#[expect(clippy::cast_possible_truncation, reason = "takes the two halves")]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// Aligned to a cache line, so that a key costs only one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(align(64))]
struct Line([u64; 8]);

/// A filter over the hashes of [`hash_key`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    lines: Vec<Line>,
}

/// Builds a filter. Hashes are gathered and added in the order of their lines: at random places each costs a miss of every
/// cache, ten times the rest of writing a row.
#[derive(Debug)]
pub(crate) struct FilterBuilder {
    filter: Filter,
    gathered: Vec<u64>,
    scratch: Vec<u64>,
}

impl FilterBuilder {
    /// An empty filter for so many keys.
    pub(crate) fn new(count: u64) -> FilterBuilder {
        let lines = count.saturating_mul(BITS_PER_KEY).div_ceil(LINE_BITS).max(1);
        let filter = Filter { lines: vec![Line([0; 8]); length(lines)] };
        FilterBuilder { filter, gathered: Vec::new(), scratch: Vec::new() }
    }

    #[inline]
    pub(crate) fn add(&mut self, hash: u64) {
        self.gathered.push(hash);
        if self.gathered.len() == GATHERED_MAX {
            self.add_gathered();
        }
    }

    pub(crate) fn finish(mut self) -> Filter {
        self.add_gathered();
        self.filter
    }

    fn add_gathered(&mut self) {
        self.scratch.resize(self.gathered.len(), 0);
        // A line's number grows with its hash, so the highest bits bring neighbours together.
        sort::pass(&self.gathered, &mut self.scratch, |hash| length(hash >> (u64::BITS - sort::DIGIT_BITS)));
        for &hash in &self.scratch {
            let line = self.filter.line(hash);
            for (word, bit) in self.filter.lines[line].0.iter_mut().zip(bits(hash)) {
                *word |= bit;
            }
        }
        self.gathered.clear();
    }
}

impl Filter {
    /// A filter over these hashes; `count` (about how many) gives its size.
    pub fn build(count: u64, hashes: impl IntoIterator<Item = u64>) -> Filter {
        let mut builder = FilterBuilder::new(count);
        for hash in hashes {
            builder.add(hash);
        }
        builder.finish()
    }

    /// False only if the key was never added.
    #[inline]
    pub fn may_contain(&self, hash: u64) -> bool {
        let missing =
            self.lines[self.line(hash)].0.iter().zip(bits(hash)).fold(0, |all, (word, bit)| all | (!word & bit));
        missing == 0
    }

    /// The places of those hashes for which [`Filter::may_contain`] holds.
    pub fn may_contain_many(&self, hashes: &[u64]) -> Vec<usize> {
        let mut found = Vec::new();
        for (group, hashes) in hashes.chunks(ASKED_TOGETHER).enumerate() {
            // First every line is read, so that the waits for memory overlap; asking is then a matter of the cache.
            std::hint::black_box(hashes.iter().fold(0, |all, hash| all ^ self.lines[self.line(*hash)].0[0]));
            let places = (group * ASKED_TOGETHER..).zip(hashes);
            found.extend(places.filter(|(_, hash)| self.may_contain(**hash)).map(|(place, _)| place));
        }
        found
    }

    /// Bytes in memory.
    pub fn memory_bytes(&self) -> u64 {
        (self.lines.len() * LINE_BYTES) as u64
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "less than the number of lines")]
    fn line(&self, hash: u64) -> usize {
        ((u128::from(hash) * self.lines.len() as u128) >> 64) as usize
    }

    /// The filter as stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + self.lines.len() * LINE_BYTES + 4);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(self.lines.len() as u64).to_le_bytes());
        for word in self.lines.iter().flat_map(|line| line.0) {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    /// The stored filter; `path` and `offset` name it in an error.
    pub fn from_bytes(bytes: &[u8], path: &Path, offset: u64) -> Result<Filter, StorageError> {
        let corrupt = |what| Err(StorageError::corrupt(path, offset, what));
        if bytes.len() < HEAD_BYTES + LINE_BYTES + 4 || &bytes[..4] != MAGIC {
            return corrupt("not a filter: the magic bytes are missing");
        }
        let found = get_u32(bytes, 4);
        if VERSION < found {
            return Err(StorageError::NewerFormat { path: path.into(), found, known: VERSION });
        }
        let (stored, checksum) = bytes.split_at(bytes.len() - 4);
        if crc32fast::hash(stored) != get_u32(checksum, 0) {
            return corrupt("the filter does not match its checksum");
        }
        let (words, _) = stored[HEAD_BYTES..].as_chunks::<8>();
        let lines: Vec<Line> = words.as_chunks::<8>().0.iter().map(|line| Line(line.map(u64::from_le_bytes))).collect();
        if lines.len() as u64 != get_u64(bytes, 8) {
            return corrupt("the filter has another length than it says");
        }
        Ok(Filter { lines })
    }
}

#[inline]
fn bits(hash: u64) -> [u64; 8] {
    let spread = hash.wrapping_mul(SPREAD);
    std::array::from_fn(|i| 1 << ((spread >> (16 + 6 * i)) & 63))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_hash(number: u64) -> u64 {
        hash_key(&number.to_be_bytes())
    }

    #[test]
    fn no_key_that_was_added_is_turned_away() {
        let filter = Filter::build(100_000, (0..100_000).map(key_hash));
        assert!((0..100_000).all(|number| filter.may_contain(key_hash(number))));
        let hashes: Vec<u64> = (0..1_000).map(key_hash).collect();
        assert_eq!(filter.may_contain_many(&hashes), (0..1_000).collect::<Vec<_>>());
        assert!(filter.memory_bytes() * 8 <= BITS_PER_KEY * 100_000 + LINE_BITS);
    }

    #[test]
    fn few_keys_never_added_get_a_perhaps() {
        let filter = Filter::build(100_000, (0..100_000).map(key_hash));
        let wrong = (100_000..300_000).filter(|&number| filter.may_contain(key_hash(number))).count();
        assert!(wrong < 500, "{wrong} of 200,000");
        let hashes: Vec<u64> = (100_000..300_000).map(key_hash).collect();
        assert_eq!(filter.may_contain_many(&hashes).len(), wrong);
    }

    #[test]
    fn an_empty_filter_turns_everything_away() {
        assert!(!Filter::build(0, []).may_contain(key_hash(1)));
    }

    #[test]
    fn a_stored_filter_is_the_same_and_damage_is_found() {
        let filter = Filter::build(1_000, (0..1_000).map(key_hash));
        let bytes = filter.to_bytes();
        assert_eq!(Filter::from_bytes(&bytes, Path::new("x"), 0).unwrap(), filter);
        for at in [0, 9, 50, bytes.len() - 1] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(matches!(
                Filter::from_bytes(&damaged, Path::new("x"), 7),
                Err(StorageError::Corrupt { offset: 7, .. })
            ));
        }
        assert!(Filter::from_bytes(&bytes[..bytes.len() - 64], Path::new("x"), 0).is_err());
        assert!(Filter::from_bytes(&[], Path::new("x"), 0).is_err());
    }

    #[test]
    fn the_hash_and_the_bits_never_change() {
        assert_eq!(hash_key(b""), GOLDEN[0]);
        assert_eq!(hash_key(b"florin"), GOLDEN[1]);
        assert_eq!(hash_key(b"0123456789abcdef"), GOLDEN[2]);
    }

    /// By another implementation of the description above.
    const GOLDEN: [u64; 3] = [0x3072_0625_A10E_89EA, 0xAE45_B1F8_EF5E_33CB, 0x6226_387E_CBDA_7D20];
}
