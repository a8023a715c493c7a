//! The journal's segments: blocks appended to zero-filled files, each block hash-chained to the one before.

use crate::disk::Disk;
use crate::error::StorageError;
use std::path::{Path, PathBuf};

/// Bytes of a block's header; a [`BlockBuffer`] keeps them free in front of the payload.
pub const BLOCK_HEADER_BYTES: usize = 64;
/// Bytes of a segment's header.
pub const SEGMENT_HEADER_BYTES: u64 = 4096;

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

/// A block in the making: a payload with room for the header in front, written to disk as it is.
pub struct BlockBuffer {}

impl BlockBuffer {
    /// An empty block.
    pub fn new() -> BlockBuffer {
        todo!()
    }
    /// Empties the payload, keeping the memory.
    pub fn clear(&mut self) {
        todo!()
    }
    /// The vector to append the payload to. What is already in it must stay.
    pub fn payload_mut(&mut self) -> &mut Vec<u8> {
        todo!()
    }
    /// The payload so far.
    pub fn payload(&self) -> &[u8] {
        todo!()
    }
    /// Bytes the block will take in a segment.
    pub fn block_bytes(&self) -> u64 {
        todo!()
    }
}

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

/// Promises room for blocks; shared between the thread that applies batches and the one that writes them.
#[derive(Clone)]
pub struct SegmentRoom {}

impl SegmentRoom {
    /// Promises room for one block of at most so many bytes ([`BlockBuffer::block_bytes`]), preparing a segment if none
    /// is ready. `NoSpace` leaves everything as it was: try again later.
    pub fn reserve(&self, block_bytes: u64) -> Result<Reservation, StorageError> {
        todo!()
    }
    /// Prepares the next segment if none is ready: for a thread in the background, so that roll-over is cheap.
    pub fn prepare_next(&self) -> Result<(), StorageError> {
        todo!()
    }
}

/// Room promised for one block; given back when dropped.
pub struct Reservation {}

/// Appends blocks to the journal of one shard.
pub struct SegmentWriter {}

impl SegmentWriter {
    /// Begins an empty journal with segment 1.
    pub fn create(disk: &Disk, options: JournalOptions, start: ChainPoint) -> Result<SegmentWriter, StorageError> {
        todo!()
    }
    /// Goes on behind the valid blocks that [`copy_valid_blocks`] has made durable.
    pub fn resume(disk: &Disk, options: JournalOptions, end: &CopiedSegment) -> Result<SegmentWriter, StorageError> {
        todo!()
    }
    /// The handle that promises room.
    pub fn room(&self) -> SegmentRoom {
        todo!()
    }
    /// Hashes and writes a block, rolling over to the next segment if it does not fit. Durable after [`Self::sync`].
    pub fn append(
        &mut self,
        reservation: Reservation,
        first_sequence: u64,
        entry_count: u32,
        block: &mut BlockBuffer,
    ) -> Result<BlockLocation, StorageError> {
        todo!()
    }
    /// Makes the blocks appended so far durable.
    pub fn sync(&mut self) -> Result<(), StorageError> {
        todo!()
    }
    /// What the next block will continue.
    pub fn chain_point(&self) -> ChainPoint {
        todo!()
    }
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

/// How the blocks of a segment end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentEnd {
    /// Nothing but zeros behind the last block.
    CleanEnd,
    /// What follows looks like a block half written, and nothing valid is behind it.
    TornTail {
        /// Where the blocks end.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// Something was lost that had been whole.
    Damaged {
        /// Where the blocks end.
        offset: u64,
        /// The sequence that should follow.
        sequence: u64,
        /// What is wrong there.
        what: &'static str,
    },
}

/// Reads one segment.
pub struct SegmentReader {}

impl SegmentReader {
    /// Opens a segment and verifies its header.
    pub fn open(disk: &Disk, path: &Path) -> Result<SegmentReader, StorageError> {
        todo!()
    }
    /// The header.
    pub fn header(&self) -> &SegmentHeader {
        todo!()
    }
    /// All blocks from the first, following the hash chain.
    pub fn blocks(&self) -> BlockCursor<'_> {
        todo!()
    }
    /// The blocks from an offset, which must continue `start`.
    pub fn blocks_from(&self, offset: u64, start: ChainPoint) -> BlockCursor<'_> {
        todo!()
    }
    /// One block by its location, its checksums verified; the payload replaces what is in the buffer.
    pub fn read_block(&self, location: BlockLocation, payload: &mut Vec<u8>) -> Result<BlockHeader, StorageError> {
        todo!()
    }
}

/// Goes over the blocks of a segment.
pub struct BlockCursor<'a> {
    reader: &'a SegmentReader,
}

impl BlockCursor<'_> {
    /// The next block that continues the chain, its payload replacing what is in the buffer; `None` at the end.
    pub fn next_block(&mut self, payload: &mut Vec<u8>) -> Result<Option<BlockHeader>, StorageError> {
        todo!()
    }
    /// How the blocks ended; `None` before that.
    pub fn end(&self) -> Option<SegmentEnd> {
        todo!()
    }
    /// Where the blocks read so far end.
    pub fn offset(&self) -> u64 {
        todo!()
    }
    /// What the next block must continue.
    pub fn chain_point(&self) -> ChainPoint {
        todo!()
    }
}

/// A tail that was cut off and set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutTail {
    /// The file it was put into, `<segment>.torn-<n>`.
    pub path: PathBuf,
    /// Where it was in the segment.
    pub offset: u64,
    /// How many bytes, up to the last that is not zero.
    pub length: u64,
    /// Why it was cut.
    pub what: &'static str,
}

/// The unsealed segment after recovery: durable, and ready to be resumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiedSegment {
    /// The number of the segment.
    pub segment: u64,
    /// Where its blocks end.
    pub offset: u64,
    /// What the next block will continue.
    pub end: ChainPoint,
    /// How many blocks were copied.
    pub block_count: u64,
    /// What was cut off.
    pub cut: Option<CutTail>,
}

/// The numbers of the segments in the folder, in order.
pub fn list_segments(disk: &Disk, folder: &Path) -> Result<Vec<u64>, StorageError> {
    todo!()
}

/// The path of a segment.
pub fn segment_path(folder: &Path, segment: u64) -> PathBuf {
    todo!()
}

/// Copies the valid blocks of the unsealed (last) segment into a new file, makes it durable and swaps it in. A torn tail
/// is set aside; the caller has decided before, with [`SegmentReader`], that it may be cut. Damage is an error.
pub fn copy_valid_blocks(disk: &Disk, options: &JournalOptions, segment: u64) -> Result<CopiedSegment, StorageError> {
    todo!()
}
