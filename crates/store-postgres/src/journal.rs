//! The journal in the database: blocks with the hash of the one before, and their entries in chunks.
//!
//! A chunk is at most [`CHUNK_ENTRIES`] entries in the codec of `store`, and can be read by itself: a query wants single
//! entries out of blocks of thousands. A block's hash covers the hash before it, its place and all of its chunks.

use crate::error::{corrupt, unavailable};
use crate::row::get;
use crate::value::{big, unbig};
use ledger::event::{Entry, Event, Outcome};
use ledger::ids::Sequence;
use ledger::saga::StepKind;
use ledger::transfer::Transferred;
use std::collections::HashMap;
use std::sync::Arc;
use store::{Block, EntryRef, Fault, codec, transfers_of};
use tokio_postgres::Row;

/// Most entries of a chunk.
pub(crate) const CHUNK_ENTRIES: usize = 64;

/// Entries that were read, by sequence.
pub(crate) type Entries = HashMap<Sequence, EntryRef>;

/// Chunks of a block, column by column.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    pub(crate) first_sequence: Vec<i64>,
    pub(crate) entries: Vec<i16>,
    pub(crate) first_time: Vec<i64>,
    pub(crate) ids_before: Vec<i64>,
    pub(crate) payload: Vec<Vec<u8>>,
}

impl Chunks {
    /// The chunks of a block with these entries; `last_id` is the id given out last before them.
    pub(crate) fn of(entries: &[Entry], last_id: u64) -> Chunks {
        let mut chunks = Chunks::default();
        let mut ids = last_id;
        for chunk in entries.chunks(CHUNK_ENTRIES) {
            let mut payload = Vec::new();
            codec::encode_block(chunk, &mut payload);
            chunks.first_sequence.push(big(chunk[0].header.sequence));
            chunks.entries.push(i16::try_from(chunk.len()).unwrap_or(i16::MAX));
            chunks.first_time.push(big(chunk[0].header.time.microseconds()));
            chunks.ids_before.push(big(ids));
            chunks.payload.push(payload);
            let transfers = chunk.iter().flat_map(begun);
            ids = transfers.map(|transferred| transferred.id.number()).fold(ids, u64::max);
        }
        chunks
    }

    /// The hash of the block they make after a block with this hash.
    pub(crate) fn hash(&self, previous: &[u8; 32]) -> [u8; 32] {
        let mut hasher = BlockHasher::new(previous);
        for (payload, first) in self.payload.iter().zip(&self.first_sequence) {
            hasher.add(unbig(*first), payload);
        }
        hasher.finish()
    }
}

/// The transfers that begin with an entry: all that it makes, unless it is a later step of a saga.
pub(crate) fn begun(entry: &Entry) -> &[Transferred] {
    match &entry.outcome {
        Outcome::Event(Event::Saga(step)) if step.kind != StepKind::Started => &[],
        outcome => transfers_of(outcome),
    }
}

/// Hashes a block chunk by chunk.
#[derive(Debug)]
pub(crate) struct BlockHasher(blake3::Hasher);

impl BlockHasher {
    pub(crate) fn new(previous: &[u8; 32]) -> BlockHasher {
        let mut hasher = blake3::Hasher::new();
        hasher.update(previous);
        BlockHasher(hasher)
    }

    pub(crate) fn add(&mut self, first_sequence: Sequence, payload: &[u8]) {
        self.0.update(&first_sequence.to_le_bytes()).update(&(payload.len() as u64).to_le_bytes()).update(payload);
    }

    pub(crate) fn finish(&self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// The chunks that hold these entries, each once.
pub(crate) const CHUNKS_OF_ENTRIES: &str = "select distinct on (c.first_sequence) c.first_sequence, c.payload \
    from unnest($1::bigint[]) as wanted(sequence) cross join lateral ( \
        select first_sequence, payload from florin.chunks where first_sequence <= wanted.sequence \
        order by first_sequence desc limit 1) c order by c.first_sequence";

/// The entries of a chunk that was read.
pub(crate) fn decode_chunk(first_sequence: Sequence, payload: &[u8]) -> Result<Vec<Entry>, Fault> {
    codec::decode_block(payload, first_sequence)
        .map_err(|error| corrupt(format!("the chunk that begins with entry {first_sequence}: {error}")))
}

/// The entries of chunks, in rows with `first_sequence` and `payload`.
pub(crate) fn decode_chunks(rows: &[Row]) -> Result<Entries, Fault> {
    let mut entries = Entries::new();
    for row in rows {
        let first: i64 = get(row, "first_sequence").map_err(corrupt)?;
        let payload: &[u8] = get(row, "payload").map_err(corrupt)?;
        let block = Arc::new(Block { entries: decode_chunk(unbig(first), payload)? });
        for index in 0..block.entries.len() {
            let entry = EntryRef::new(block.clone(), index);
            entries.insert(entry.header.sequence, entry);
        }
    }
    Ok(entries)
}

/// Reads the entries with these sequences.
pub(crate) async fn entries_at(client: &deadpool_postgres::Client, mut sequences: Vec<i64>) -> Result<Entries, Fault> {
    sequences.sort_unstable();
    sequences.dedup();
    if sequences.is_empty() {
        return Ok(Entries::new());
    }
    let statement = client.prepare_cached(CHUNKS_OF_ENTRIES).await.map_err(|error| unavailable(&error))?;
    let rows = client.query(&statement, &[&sequences]).await.map_err(|error| unavailable(&error))?;
    decode_chunks(&rows)
}

/// The entry with this sequence among those that were read.
pub(crate) fn entry(entries: &Entries, sequence: i64) -> Result<EntryRef, Fault> {
    let found = entries.get(&unbig(sequence));
    found.cloned().ok_or_else(|| corrupt(format!("the journal has no entry {sequence}, which a row names")))
}
