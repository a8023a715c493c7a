//! Reads the blocks of a segment, and says how they end.
//!
//! Promise: a block is returned only if its checksums, its sequence and its place in the hash chain are right. Where no
//! such block follows, the rest of the file is searched: see [`SegmentEnd`].

use crate::bytes::length;
use crate::disk::{Disk, DiskFile};
use crate::error::StorageError;
use crate::segment::{
    BLOCK_ALIGNMENT, BLOCK_HEADER_BYTES, BlockHeader, BlockLocation, ChainPoint, RawBlockHeader, SEGMENT_HEADER_BYTES,
    SegmentHeader, block_hash,
};
use std::path::Path;

/// The rest of a file is searched in steps of this size; a multiple of the alignment of blocks.
const SEARCH_STEP_BYTES: u64 = 1 << 20;

/// Headers are looked for in windows of this size.
const HEADER_WINDOW_BYTES: u64 = 64 << 10;
/// Bytes of a payload that are looked at together with its block's header. No payload is shorter.
pub const PAYLOAD_PREFIX_BYTES: usize = 20;

/// How the blocks of a segment end. In a segment that has a successor only `CleanEnd` is right: blocks are synced before
/// the next segment begins.
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
    /// Something was lost that had been whole, or was never written by this program.
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
#[derive(Debug)]
pub struct SegmentReader {
    file: DiskFile,
    length: u64,
    header: SegmentHeader,
}

/// Goes over the blocks of a segment.
#[derive(Debug)]
pub struct BlockCursor<'a> {
    reader: &'a SegmentReader,
    offset: u64,
    chain: ChainPoint,
    end: Option<SegmentEnd>,
}

/// What lies behind the last valid block.
pub(super) struct Tail {
    /// The end of the last byte that is not zero; `None` if all are.
    pub(super) used_end: Option<u64>,
    /// Whether a later block's header was found.
    block_behind: bool,
}

impl SegmentReader {
    /// Opens a segment and verifies its header.
    pub fn open(disk: &Disk, path: &Path) -> Result<SegmentReader, StorageError> {
        let file = disk.open_to_read(path)?;
        let mut bytes = vec![0; length(SEGMENT_HEADER_BYTES)];
        file.read_exact_at(&mut bytes, 0)?;
        let header = SegmentHeader::decode(&bytes, path)?;
        Ok(SegmentReader { length: file.len()?, file, header })
    }

    /// The header.
    pub fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// All blocks from the first, following the hash chain.
    pub fn blocks(&self) -> BlockCursor<'_> {
        self.blocks_from(SEGMENT_HEADER_BYTES, self.header.start)
    }

    /// The blocks from an offset, which must continue `start`.
    pub fn blocks_from(&self, offset: u64, start: ChainPoint) -> BlockCursor<'_> {
        BlockCursor { reader: self, offset, chain: start, end: None }
    }

    /// The file, for reading parts of a block whose header is known.
    pub fn file(&self) -> &DiskFile {
        &self.file
    }

    /// The header of the last block that begins at or behind `offset` (where a block must begin) and for which
    /// `precedes` holds, its own checksum verified; `None` if it does not hold for the first. Reads windows of headers,
    /// not payloads; `precedes` also sees the first [`PAYLOAD_PREFIX_BYTES`] of the payload, unverified. It holds for no
    /// block behind one for which it does not.
    pub fn last_header(
        &self,
        offset: u64,
        precedes: impl Fn(&BlockHeader, &[u8]) -> bool,
    ) -> Result<Option<BlockHeader>, StorageError> {
        let (mut at, mut found) = (offset, None);
        loop {
            let mut window = vec![0; length(HEADER_WINDOW_BYTES.min(self.length.saturating_sub(at)))];
            self.file.read_exact_at(&mut window, at)?;
            let mut used = 0;
            while let Some(bytes) = window.get(used..used + BLOCK_HEADER_BYTES + PAYLOAD_PREFIX_BYTES) {
                let (header, prefix) = bytes.split_at(BLOCK_HEADER_BYTES);
                let Some(raw) = RawBlockHeader::parse(header) else { return Ok(found) };
                let header = raw.at(self.header.segment, at + used as u64);
                if !precedes(&header, prefix) {
                    return Ok(found);
                }
                used += length(header.location.length);
                found = Some(header);
            }
            if used == 0 || window.len() < length(HEADER_WINDOW_BYTES) {
                return Ok(found);
            }
            at += used as u64;
        }
    }

    /// One block by its location, its checksums verified (not its place in the chain); the payload replaces what is in
    /// the buffer. Works for durable blocks while the segment is being written.
    pub fn read_block(&self, location: BlockLocation, payload: &mut Vec<u8>) -> Result<BlockHeader, StorageError> {
        let corrupt = |what| StorageError::corrupt(self.path(), location.offset, what);
        if location.segment != self.header.segment {
            return Err(corrupt("a block of another segment was looked for here"));
        }
        let mut bytes = [0; BLOCK_HEADER_BYTES];
        self.file.read_exact_at(&mut bytes, location.offset)?;
        let raw = RawBlockHeader::parse(&bytes).ok_or_else(|| corrupt("no block is where one is known to be"))?;
        let header = raw.at(self.header.segment, location.offset);
        if header.location != location {
            return Err(corrupt("the block has another length than is known"));
        }
        if !self.read_payload(&raw, location.offset, payload)? {
            return Err(corrupt("the block does not match its checksum"));
        }
        Ok(header)
    }

    /// False if the payload does not match its checksum or the padding is not zero.
    fn read_payload(&self, raw: &RawBlockHeader, offset: u64, payload: &mut Vec<u8>) -> Result<bool, StorageError> {
        let padded = raw.at(0, 0).location.length - BLOCK_HEADER_BYTES as u64;
        payload.resize(length(padded), 0);
        self.file.read_exact_at(payload, offset + BLOCK_HEADER_BYTES as u64)?;
        let padding_is_zero = payload[length(raw.payload_bytes())..].iter().all(|&byte| byte == 0);
        payload.truncate(length(raw.payload_bytes()));
        Ok(padding_is_zero && crc32fast::hash(payload) == raw.payload_checksum())
    }

    /// Searches everything from `offset`: for bytes that are not zero and, from `blocks_from` on, for a block's header of
    /// `sequence` or later.
    pub(super) fn tail(&self, offset: u64, blocks_from: u64, sequence: u64) -> Result<Tail, StorageError> {
        let mut tail = Tail { used_end: None, block_behind: false };
        let mut step = vec![0; length(SEARCH_STEP_BYTES) + BLOCK_HEADER_BYTES];
        let mut at = offset;
        while at < self.length {
            let bytes = &mut step[..length((self.length - at).min(SEARCH_STEP_BYTES + BLOCK_HEADER_BYTES as u64))];
            self.file.read_exact_at(bytes, at)?;
            // The fold reads many bytes at once; nearly all of the file is zero.
            let is_zero = bytes.iter().fold(0, |all, &byte| all | byte) == 0;
            let last = if is_zero { None } else { bytes.iter().rposition(|&byte| byte != 0) };
            if let Some(last) = last {
                tail.used_end = Some(at + last as u64 + 1);
                let skipped = length(blocks_from.saturating_sub(at)).next_multiple_of(length(BLOCK_ALIGNMENT));
                tail.block_behind |= bytes.len() > skipped && has_block(&bytes[skipped..], sequence);
            }
            at += SEARCH_STEP_BYTES;
        }
        Ok(tail)
    }
}

fn has_block(bytes: &[u8], sequence: u64) -> bool {
    let mut places = bytes.windows(BLOCK_HEADER_BYTES).step_by(length(BLOCK_ALIGNMENT));
    places.any(|place| RawBlockHeader::parse(place).is_some_and(|raw| sequence <= raw.first_sequence()))
}

impl BlockCursor<'_> {
    /// The next block that continues the chain, its payload replacing what is in the buffer; `None` at the end, and
    /// then [`Self::end`] says how it ended.
    pub fn next_block(&mut self, payload: &mut Vec<u8>) -> Result<Option<BlockHeader>, StorageError> {
        if self.end.is_some() {
            return Ok(None);
        }
        let left = self.reader.length.saturating_sub(self.offset);
        if left < BLOCK_HEADER_BYTES as u64 {
            return self.stop("the file ends inside a block's header", self.offset + left);
        }
        let mut bytes = [0; BLOCK_HEADER_BYTES];
        self.reader.file.read_exact_at(&mut bytes, self.offset)?;
        let Some(raw) = RawBlockHeader::parse(&bytes) else {
            return self.stop("the block's header does not match its checksum", self.offset + BLOCK_ALIGNMENT);
        };
        let header = raw.at(self.reader.header.segment, self.offset);
        if left < header.location.length {
            return self.stop("the block is longer than the file", self.reader.length);
        }
        if !self.reader.read_payload(&raw, self.offset, payload)? {
            return self.stop("the block does not match its checksum", self.offset + header.location.length);
        }
        if header.first_sequence != self.chain.next_sequence || header.entry_count == 0 {
            return self.damaged("the block has another sequence than the one that follows");
        }
        if block_hash(&self.chain.hash, &raw.bytes, payload) != header.hash {
            return self.damaged("the block's hash does not follow from the block before");
        }
        self.offset += header.location.length;
        self.chain = ChainPoint {
            hash: header.hash,
            next_sequence: header.first_sequence.saturating_add(u64::from(header.entry_count)),
        };
        Ok(Some(header))
    }

    /// How the blocks ended; `None` before that.
    pub fn end(&self) -> Option<SegmentEnd> {
        self.end
    }

    /// Where the blocks read so far end.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// What the next block must continue.
    pub fn chain_point(&self) -> ChainPoint {
        self.chain
    }

    fn stop(&mut self, what: &'static str, search_from: u64) -> Result<Option<BlockHeader>, StorageError> {
        let (offset, sequence) = (self.offset, self.chain.next_sequence);
        let tail = self.reader.tail(offset, search_from, sequence)?;
        self.end = Some(match tail {
            Tail { used_end: None, .. } => SegmentEnd::CleanEnd,
            Tail { block_behind: true, .. } => SegmentEnd::Damaged { offset, sequence, what },
            Tail { .. } => SegmentEnd::TornTail { offset, what },
        });
        Ok(None)
    }

    /// A block whose checksums are right was not torn by a crash, whatever else is wrong with it.
    fn damaged(&mut self, what: &'static str) -> Result<Option<BlockHeader>, StorageError> {
        self.end = Some(SegmentEnd::Damaged { offset: self.offset, sequence: self.chain.next_sequence, what });
        Ok(None)
    }
}
