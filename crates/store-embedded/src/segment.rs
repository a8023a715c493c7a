//! The journal's segments: blocks appended to zero-filled files, each block hash-chained to the one before.
//!
//! Promises: a segment is filled with zeros, synced, named and its folder synced before any block goes in; it is never
//! recycled, so whatever is not zero behind the last block is a block half written or damage. Integers are little-endian.
//!
//! Segment header, 4096 bytes:
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `FLORINSG` |
//! | 8 | 4 | format version, 1 |
//! | 12 | 4 | shard |
//! | 16 | 8 | number of the segment, from 1 |
//! | 24 | 8 | first sequence: that of its first block |
//! | 32 | 32 | hash of the block before it; zeros before the first block of all |
//! | 64 | 4028 | zeros |
//! | 4092 | 4 | CRC-32 of bytes 0..4092 |
//!
//! Block, at a multiple of 8: header of 64 bytes, payload, zeros up to a multiple of 8:
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 4 | magic `FLBK` |
//! | 4 | 4 | length of the payload |
//! | 8 | 4 | CRC-32 of this header, this field taken as zero |
//! | 12 | 4 | CRC-32 of the payload |
//! | 16 | 8 | sequence of the first entry |
//! | 24 | 4 | number of entries, at least 1 |
//! | 28 | 4 | zero |
//! | 32 | 32 | BLAKE3 of: hash of the block before, bytes 0..32 of this header with 8..12 taken as zero, payload |

pub mod reader;
pub mod recovery;
pub mod room;
#[cfg(test)]
mod tests;
pub mod writer;

use crate::bytes::{get, get_u32, get_u64, length, put};
use crate::disk::Disk;
use crate::error::StorageError;
use std::path::{Path, PathBuf};

/// Bytes of a block's header; a [`BlockBuffer`] keeps them free in front of the payload.
pub const BLOCK_HEADER_BYTES: usize = 64;
/// Bytes of a segment's header.
pub const SEGMENT_HEADER_BYTES: u64 = 4096;
/// Blocks begin at multiples of this.
const BLOCK_ALIGNMENT: u64 = 8;
const SEGMENT_MAGIC: &[u8; 8] = b"FLORINSG";
const SEGMENT_VERSION: u32 = 1;
const SEGMENT_CHECKSUM_AT: usize = 4092;
const BLOCK_MAGIC: &[u8; 4] = b"FLBK";

/// Fixed facts of a journal.
#[derive(Clone, Debug)]
pub struct JournalOptions {
    /// The shard's `journal` folder.
    pub folder: PathBuf,
    /// The number of the shard.
    pub shard: u32,
    /// Bytes of a new segment, zero-filled ahead.
    pub segment_bytes: u64,
}

/// Where a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockLocation {
    /// The number of the segment, from 1.
    pub segment: u64,
    /// The block's first byte in the segment.
    pub offset: u64,
    /// Bytes of the block with header and padding.
    pub length: u64,
}

/// A point between two blocks: what the next block must continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainPoint {
    /// The hash of the block before; zeros before the first.
    pub hash: [u8; 32],
    /// The first sequence of the next block.
    pub next_sequence: u64,
}

/// A verified block's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHeader {
    /// Where the block is.
    pub location: BlockLocation,
    /// The sequence of its first entry.
    pub first_sequence: u64,
    /// How many entries it holds.
    pub entry_count: u32,
    /// Its hash.
    pub hash: [u8; 32],
}

/// The header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The number of the shard.
    pub shard: u32,
    /// The number of the segment, from 1.
    pub segment: u64,
    /// What its first block continues.
    pub start: ChainPoint,
}

/// A block in the making: a payload with room for the header in front, written to disk as it is.
#[derive(Debug)]
pub struct BlockBuffer {
    bytes: Vec<u8>,
}

impl Default for BlockBuffer {
    fn default() -> BlockBuffer {
        BlockBuffer { bytes: vec![0; BLOCK_HEADER_BYTES] }
    }
}

impl BlockBuffer {
    /// An empty block.
    pub fn new() -> BlockBuffer {
        BlockBuffer::default()
    }

    /// Empties the payload, keeping the memory.
    pub fn clear(&mut self) {
        self.bytes.truncate(BLOCK_HEADER_BYTES);
    }

    /// The vector to append the payload to. What is already in it must stay.
    pub fn payload_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The payload so far.
    pub fn payload(&self) -> &[u8] {
        &self.bytes[BLOCK_HEADER_BYTES..]
    }

    /// Bytes the block will take in a segment.
    pub fn block_bytes(&self) -> u64 {
        block_bytes(self.payload().len() as u64)
    }

    /// Writes the header and the padding, and returns the block's hash. The payload is at most 4 GiB: room for it was
    /// reserved in a segment.
    fn seal(&mut self, start: ChainPoint, entry_count: u32) -> Result<[u8; 32], StorageError> {
        let payload_length = u32::try_from(self.payload().len())
            .map_err(|_| StorageError::TooLarge { asked: self.block_bytes(), most: u64::from(u32::MAX) })?;
        let (header, payload) = self.bytes.split_at_mut(BLOCK_HEADER_BYTES);
        header.fill(0);
        put(header, 0, BLOCK_MAGIC);
        put(header, 4, &payload_length.to_le_bytes());
        put(header, 12, &crc32fast::hash(payload).to_le_bytes());
        put(header, 16, &start.next_sequence.to_le_bytes());
        put(header, 24, &entry_count.to_le_bytes());
        let hash = block_hash(&start.hash, header, payload);
        put(header, 32, &hash);
        put(header, 8, &crc32fast::hash(header).to_le_bytes());
        self.bytes.resize(length(self.block_bytes()), 0);
        Ok(hash)
    }
}

/// Bytes that a payload takes in a segment, with header and padding.
pub fn block_bytes(payload_bytes: u64) -> u64 {
    (BLOCK_HEADER_BYTES as u64 + payload_bytes).next_multiple_of(BLOCK_ALIGNMENT)
}

/// The hash of a block; bytes 8..12 of the header count as zero.
fn block_hash(previous: &[u8; 32], header: &[u8], payload: &[u8]) -> [u8; 32] {
    let mut fields: [u8; 32] = get(header, 0);
    fields[8..12].fill(0);
    let mut hasher = blake3::Hasher::new();
    hasher.update(previous).update(&fields).update(payload);
    hasher.finalize().into()
}

/// A block's header as read, its own checksum verified.
#[derive(Clone, Copy, Debug)]
struct RawBlockHeader {
    bytes: [u8; BLOCK_HEADER_BYTES],
}

impl RawBlockHeader {
    /// `None` if these bytes are no block header or a damaged one.
    fn parse(bytes: &[u8]) -> Option<RawBlockHeader> {
        if &bytes[..4] != BLOCK_MAGIC {
            return None;
        }
        let bytes: [u8; BLOCK_HEADER_BYTES] = get(bytes, 0);
        let mut unchecked = bytes;
        unchecked[8..12].fill(0);
        (crc32fast::hash(&unchecked) == get_u32(&bytes, 8)).then_some(RawBlockHeader { bytes })
    }

    fn payload_bytes(&self) -> u64 {
        u64::from(get_u32(&self.bytes, 4))
    }

    fn payload_checksum(&self) -> u32 {
        get_u32(&self.bytes, 12)
    }

    fn first_sequence(&self) -> u64 {
        get_u64(&self.bytes, 16)
    }

    fn entry_count(&self) -> u32 {
        get_u32(&self.bytes, 24)
    }

    fn hash(&self) -> [u8; 32] {
        get(&self.bytes, 32)
    }

    fn at(&self, segment: u64, offset: u64) -> BlockHeader {
        BlockHeader {
            location: BlockLocation { segment, offset, length: block_bytes(self.payload_bytes()) },
            first_sequence: self.first_sequence(),
            entry_count: self.entry_count(),
            hash: self.hash(),
        }
    }
}

impl SegmentHeader {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; length(SEGMENT_HEADER_BYTES)];
        put(&mut bytes, 0, SEGMENT_MAGIC);
        put(&mut bytes, 8, &SEGMENT_VERSION.to_le_bytes());
        put(&mut bytes, 12, &self.shard.to_le_bytes());
        put(&mut bytes, 16, &self.segment.to_le_bytes());
        put(&mut bytes, 24, &self.start.next_sequence.to_le_bytes());
        put(&mut bytes, 32, &self.start.hash);
        let checksum = crc32fast::hash(&bytes[..SEGMENT_CHECKSUM_AT]);
        put(&mut bytes, SEGMENT_CHECKSUM_AT, &checksum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8], path: &Path) -> Result<SegmentHeader, StorageError> {
        if &bytes[..8] != SEGMENT_MAGIC {
            return Err(StorageError::corrupt(path, 0, "not a segment: the magic bytes are missing"));
        }
        let found = get_u32(bytes, 8);
        if SEGMENT_VERSION < found {
            return Err(StorageError::NewerFormat { path: path.into(), found, known: SEGMENT_VERSION });
        }
        if crc32fast::hash(&bytes[..SEGMENT_CHECKSUM_AT]) != get_u32(bytes, SEGMENT_CHECKSUM_AT) {
            return Err(StorageError::corrupt(path, 0, "the segment header does not match its checksum"));
        }
        Ok(SegmentHeader {
            shard: get_u32(bytes, 12),
            segment: get_u64(bytes, 16),
            start: ChainPoint { hash: get(bytes, 32), next_sequence: get_u64(bytes, 24) },
        })
    }
}

/// The path of a segment.
pub fn segment_path(folder: &Path, segment: u64) -> PathBuf {
    folder.join(format!("{segment:020}.segment"))
}

/// The path of a segment filled with zeros that has no header yet.
fn prepared_path(folder: &Path, segment: u64) -> PathBuf {
    folder.join(format!("{segment:020}.segment.prepared"))
}

/// The numbers of the segments in the folder, in order. One missing between two others is damage.
pub fn list_segments(disk: &Disk, folder: &Path) -> Result<Vec<u64>, StorageError> {
    let names = disk.list(folder)?;
    let mut segments: Vec<u64> = names.iter().filter_map(|name| name.strip_suffix(".segment")?.parse().ok()).collect();
    segments.sort_unstable();
    match segments.windows(2).find(|pair| pair[0] + 1 != pair[1]) {
        Some(pair) => Err(StorageError::corrupt(&segment_path(folder, pair[0] + 1), 0, "the segment is missing")),
        None => Ok(segments),
    }
}
