//! The payload of a block: its entries in chunks, each of which can be read by itself.
//!
//! A query wants single entries out of blocks of thousands. So entries are encoded in chunks of [`CHUNK_ENTRIES`], and
//! a table in front tells where each ends, its checksum, and the last id that was given out before it: a chunk is
//! found by sequence or by transfer id, verified and decoded without its neighbours.
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 4 | number of chunks |
//! | 4 + 16·i | 4 | end of chunk i, counted from the end of the table |
//! | 8 + 16·i | 4 | CRC-32 of chunk i |
//! | 12 + 16·i | 8 | the id given out last before chunk i |
//!
//! Then the chunks, in the codec of `store`.

use crate::bytes::{get_u32, get_u64, length};
use crate::disk::DiskFile;
use crate::error::StorageError;
use crate::segment::{BLOCK_HEADER_BYTES, BlockHeader, BlockLocation};
use ledger::event::{Entry, Event, Outcome};
use ledger::ids::Sequence;
use ledger::saga::{SagaStep, StepKind};
use std::path::Path;
use store::codec;

/// Entries of a chunk; the last one of a block may have fewer.
pub const CHUNK_ENTRIES: usize = 64;
const ROW_BYTES: usize = 16;

/// The table of chunks in front of a payload.
#[derive(Clone, Debug)]
pub struct ChunkTable {
    rows: Vec<u8>,
}

/// Appends the payload of a block with these entries; `ids_before` is the id given out last before them.
pub fn encode(entries: &[Entry], ids_before: u64, payload: &mut Vec<u8>) {
    let chunk_count = entries.len().div_ceil(CHUNK_ENTRIES);
    let start = payload.len();
    let table_bytes = table_bytes(chunk_count);
    payload.resize(start + table_bytes, 0);
    let data = start + table_bytes;
    payload[start..start + 4].copy_from_slice(&u32::try_from(chunk_count).unwrap_or(u32::MAX).to_le_bytes());
    let mut ids = ids_before;
    for (index, chunk) in entries.chunks(CHUNK_ENTRIES).enumerate() {
        let chunk_start = payload.len();
        codec::encode_block(chunk, payload);
        let checksum = crc32fast::hash(&payload[chunk_start..]);
        let end = u32::try_from(payload.len() - data).unwrap_or(u32::MAX);
        let row = start + 4 + index * ROW_BYTES;
        payload[row..row + 4].copy_from_slice(&end.to_le_bytes());
        payload[row + 4..row + 8].copy_from_slice(&checksum.to_le_bytes());
        payload[row + 8..row + 16].copy_from_slice(&ids.to_le_bytes());
        ids = chunk.iter().filter_map(last_generated_id).fold(ids, u64::max);
    }
}

/// The last id that the shard gave out with this entry.
pub fn last_generated_id(entry: &Entry) -> Option<u64> {
    let Outcome::Event(event) = &entry.outcome else { return None };
    match event {
        Event::Transferred(transferred) => Some(transferred.id.number()),
        Event::BatchTransferred(transfers) => transfers.last().map(|transferred| transferred.id.number()),
        Event::HoldCaptured(captured) => Some(captured.transferred.id.number()),
        Event::HoldChanged(changed) => Some(changed.hold.id.number()),
        Event::AccountChanged(changed) if changed.id_is_generated => Some(changed.account.id.number()),
        Event::CustomerChanged(changed) if changed.id_is_generated => Some(changed.customer.id.number()),
        Event::DeadLetterChanged(changed) => Some(changed.dead_letter.id.number()),
        Event::TokenChanged(token) => Some(token.id.number()),
        Event::SlotsChanged(_) => None,
        Event::Saga(step) => last_id_of_step(step),
        Event::AccountChanged(_) | Event::CustomerChanged(_) => None,
    }
}

fn last_id_of_step(step: &SagaStep) -> Option<u64> {
    let dead_letter = step.dead_letter.as_ref().map(|changed| changed.dead_letter.id.number());
    let started = step.transferred.last().filter(|_| matches!(step.kind, StepKind::Started | StepKind::MovedOut));
    started.map(|transferred| transferred.id.number()).max(dead_letter)
}

/// Decodes all entries of a payload.
///
/// # Errors
/// [`StorageError::Corrupt`], naming the block, if anything does not fit.
pub fn decode(payload: &[u8], block: &BlockHeader, path: &Path) -> Result<Vec<Entry>, StorageError> {
    let corrupt = |what| StorageError::corrupt(path, block.location.offset, what);
    let table = ChunkTable::read(payload).ok_or_else(|| corrupt("the table of chunks does not fit the block"))?;
    let data = &payload[table_bytes(table.len())..];
    let mut entries = Vec::with_capacity(block.entry_count as usize);
    for chunk in 0..table.len() {
        let (from, to) = table.range(chunk);
        let bytes = data.get(from..to).ok_or_else(|| corrupt("a chunk reaches beyond its block"))?;
        let first = block.first_sequence + entries.len() as u64;
        entries.extend(codec::decode_block(bytes, first).map_err(|_| corrupt("an entry cannot be decoded"))?);
    }
    if entries.len() != block.entry_count as usize {
        return Err(corrupt("the block has another number of entries than its header says"));
    }
    Ok(entries)
}

fn table_bytes(chunk_count: usize) -> usize {
    4 + chunk_count * ROW_BYTES
}

impl ChunkTable {
    /// The table in front of these bytes; `None` if they are too few.
    pub fn read(payload: &[u8]) -> Option<ChunkTable> {
        let count = u32::from_le_bytes(*payload.first_chunk()?) as usize;
        let rows = payload.get(4..4 + count.checked_mul(ROW_BYTES)?)?;
        Some(ChunkTable { rows: rows.to_vec() })
    }

    /// Reads the table of a block from its segment, and nothing else.
    ///
    /// # Errors
    /// A failed read. What the table says is verified when a chunk is read.
    pub fn load(file: &DiskFile, location: BlockLocation, entry_count: u32) -> Result<ChunkTable, StorageError> {
        let chunk_count = (entry_count as usize).div_ceil(CHUNK_ENTRIES);
        let mut bytes = vec![0; table_bytes(chunk_count)];
        file.read_exact_at(&mut bytes, location.offset + BLOCK_HEADER_BYTES as u64)?;
        match ChunkTable::read(&bytes) {
            Some(table) if table.len() == chunk_count => Ok(table),
            _ => Err(StorageError::corrupt(file.path(), location.offset, "the table of chunks does not fit the block")),
        }
    }

    /// Reads, verifies and decodes one chunk.
    ///
    /// # Errors
    /// A failed read, or [`StorageError::Corrupt`] if the chunk is not what was written.
    pub fn load_chunk(&self, file: &DiskFile, block: &BlockHeader, chunk: usize) -> Result<Vec<Entry>, StorageError> {
        let corrupt = |what| StorageError::corrupt(file.path(), block.location.offset, what);
        let (from, to) = self.range(chunk);
        if to < from || block.location.length < to as u64 {
            return Err(corrupt("a chunk reaches beyond its block"));
        }
        let mut bytes = vec![0; to - from];
        let data = block.location.offset + (BLOCK_HEADER_BYTES + table_bytes(self.len())) as u64;
        file.read_exact_at(&mut bytes, data + from as u64)?;
        if crc32fast::hash(&bytes) != get_u32(&self.rows, chunk * ROW_BYTES + 4) {
            return Err(corrupt("a chunk does not match its checksum"));
        }
        let first = block.first_sequence + (chunk * CHUNK_ENTRIES) as u64;
        codec::decode_block(&bytes, first).map_err(|_| corrupt("an entry cannot be decoded"))
    }

    /// Number of chunks.
    pub fn len(&self) -> usize {
        self.rows.len() / ROW_BYTES
    }

    /// Whether there are no chunks.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The chunk that holds this entry of a block.
    pub fn chunk_of_sequence(first_sequence: Sequence, sequence: Sequence) -> usize {
        length(sequence - first_sequence) / CHUNK_ENTRIES
    }

    /// The id given out last before a block whose payload begins like this.
    pub fn first_ids_before(prefix: &[u8]) -> u64 {
        get_u64(prefix, 12)
    }

    /// The chunk whose entries were given this id, if any was.
    pub fn chunk_of_id(&self, id: u64) -> Option<usize> {
        (0..self.len()).rev().find(|chunk| self.ids_before(*chunk) < id)
    }

    /// The id given out last before this chunk.
    pub fn ids_before(&self, chunk: usize) -> u64 {
        get_u64(&self.rows, chunk * ROW_BYTES + 8)
    }

    fn range(&self, chunk: usize) -> (usize, usize) {
        let end = |chunk: usize| get_u32(&self.rows, chunk * ROW_BYTES) as usize;
        (if chunk == 0 { 0 } else { end(chunk - 1) }, end(chunk))
    }
}
