//! A blocked Bloom filter: one 64-byte line per key, about 12 bits a key, immutable once built.

use crate::error::StorageError;
use std::path::Path;

/// The hash of a key of any length, with a seed that is part of the format.
pub fn hash_key(key: &[u8]) -> u64 {
    todo!()
}

/// Says "never seen" for certain, or "perhaps".
pub struct Filter {}

impl Filter {
    /// A filter over the hashes of [`hash_key`]; `count` (an upper bound) gives its size.
    pub fn build(count: u64, hashes: impl IntoIterator<Item = u64>) -> Filter {
        todo!()
    }
    /// False only if the key was never added.
    pub fn may_contain(&self, hash: u64) -> bool {
        todo!()
    }
    /// Bytes in memory.
    pub fn memory_bytes(&self) -> u64 {
        todo!()
    }
    /// The filter as stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        todo!()
    }
    /// The stored filter; `path` and `offset` name it in an error.
    pub fn from_bytes(bytes: &[u8], path: &Path, offset: u64) -> Result<Filter, StorageError> {
        todo!()
    }
}
