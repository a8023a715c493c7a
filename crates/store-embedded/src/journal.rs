//! Finds and reads single entries of the journal.
//!
//! In memory there is one step for about every 64 KiB of journal: from it a few block headers are read, then the block's
//! table of chunks, then one chunk. So an entry costs a few small reads, however long the journal is.

use crate::disk::Disk;
use crate::error::StorageError;
use crate::payload::ChunkTable;
use crate::segment::reader::SegmentReader;
use crate::segment::{BlockHeader, segment_path};
use ledger::event::Entry;
use ledger::ids::{Sequence, TransferId};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use store::{Block, EntryRef, TransferRef, transfers_of};

/// Journal between two steps, at least.
const STEP_BYTES: u64 = 64 << 10;
/// Segments kept open.
const OPEN_SEGMENTS_MAX: usize = 512;

/// A block from which to look on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its first entry.
    pub first_sequence: Sequence,
    /// The id given out last before it.
    pub ids_before: u64,
    /// The segment it is in.
    pub segment: u64,
    /// Where it begins.
    pub offset: u64,
}

/// The steps of the journal, oldest first.
#[derive(Clone, Debug, Default)]
pub struct BlockIndex {
    steps: Vec<Step>,
}

impl BlockIndex {
    /// The index with these steps, oldest first.
    pub fn from_steps(steps: Vec<Step>) -> BlockIndex {
        BlockIndex { steps }
    }

    /// The steps, oldest first.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Notes a block that is durable.
    pub fn push(&mut self, block: &BlockHeader, ids_before: u64) {
        let is_near = self.steps.last().is_some_and(|step| {
            step.segment == block.location.segment && block.location.offset < step.offset + STEP_BYTES
        });
        if !is_near {
            let (segment, offset) = (block.location.segment, block.location.offset);
            self.steps.push(Step { first_sequence: block.first_sequence, ids_before, segment, offset });
        }
    }

    /// From where to look for an entry.
    pub fn before_sequence(&self, sequence: Sequence) -> Option<Step> {
        let behind = self.steps.partition_point(|step| step.first_sequence <= sequence);
        behind.checked_sub(1).map(|place| self.steps[place])
    }

    /// From where to look for an id that was given out, and where the next step begins.
    pub fn before_id(&self, id: u64) -> Option<(Step, Option<Step>)> {
        let behind = self.steps.partition_point(|step| step.ids_before < id);
        behind.checked_sub(1).map(|place| (self.steps[place], self.steps.get(behind).copied()))
    }
}

/// Reads entries of one shard's journal.
#[derive(Debug)]
pub struct JournalReader {
    disk: Disk,
    folder: PathBuf,
    segments: Mutex<BTreeMap<u64, Arc<SegmentReader>>>,
}

/// Entries that were read together.
#[derive(Clone, Debug)]
pub struct Chunk {
    first_sequence: Sequence,
    block: Arc<Block>,
}

impl Chunk {
    /// The entry with this sequence, if it is among them.
    pub fn entry(&self, sequence: Sequence) -> Option<EntryRef> {
        let index = usize::try_from(sequence.checked_sub(self.first_sequence)?).ok()?;
        (index < self.block.entries.len()).then(|| EntryRef::new(self.block.clone(), index))
    }
}

impl JournalReader {
    /// A reader of the journal in this folder.
    pub fn new(disk: &Disk, folder: PathBuf) -> JournalReader {
        JournalReader { disk: disk.clone(), folder, segments: Mutex::new(BTreeMap::new()) }
    }

    /// The chunk with this entry, which is durable; `step` is at or before it.
    ///
    /// # Errors
    /// A failed read or damage. An entry that is not there is damage too.
    pub fn chunk(&self, step: Step, sequence: Sequence) -> Result<Chunk, StorageError> {
        let segment = self.segment(step.segment)?;
        let header = segment.last_header(step.offset, |header, _| header.first_sequence <= sequence)?;
        let Some(header) = header.filter(|header| sequence < header.first_sequence + u64::from(header.entry_count))
        else {
            return Err(StorageError::corrupt(segment.path(), step.offset, "an entry that was written is missing"));
        };
        let table = ChunkTable::load(segment.file(), header.location, header.entry_count)?;
        let chunk = ChunkTable::chunk_of_sequence(header.first_sequence, sequence);
        load(&segment, &table, &header, chunk)
    }

    /// The transfer with this id; `None` if the id was never given to one. `head` is the last durable entry.
    ///
    /// # Errors
    /// A failed read or damage.
    pub fn transfer(
        &self,
        step: Step,
        next: Option<Step>,
        head: Sequence,
        id: TransferId,
    ) -> Result<Option<TransferRef>, StorageError> {
        let segment = self.segment(step.segment)?;
        let last = next.map_or(head, |next| next.first_sequence - 1);
        let precedes = |header: &BlockHeader, prefix: &[u8]| {
            header.first_sequence <= last && ChunkTable::first_ids_before(prefix) < id.number()
        };
        let Some(header) = segment.last_header(step.offset, precedes)? else { return Ok(None) };
        let table = ChunkTable::load(segment.file(), header.location, header.entry_count)?;
        let Some(chunk) = table.chunk_of_id(id.number()) else { return Ok(None) };
        let chunk = load(&segment, &table, &header, chunk)?;
        Ok((0..chunk.block.entries.len())
            .find_map(|index| find_transfer(EntryRef::new(chunk.block.clone(), index), id)))
    }

    fn segment(&self, number: u64) -> Result<Arc<SegmentReader>, StorageError> {
        let mut segments = self.segments.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = segments.get(&number) {
            return Ok(open.clone());
        }
        if OPEN_SEGMENTS_MAX <= segments.len() {
            segments.pop_first();
        }
        let open = Arc::new(SegmentReader::open(&self.disk, &segment_path(&self.folder, number))?);
        segments.insert(number, open.clone());
        Ok(open)
    }
}

fn load(
    segment: &SegmentReader,
    table: &ChunkTable,
    header: &BlockHeader,
    chunk: usize,
) -> Result<Chunk, StorageError> {
    let entries: Vec<Entry> = table.load_chunk(segment.file(), header, chunk)?;
    let first_sequence = header.first_sequence + (chunk * crate::payload::CHUNK_ENTRIES) as u64;
    Ok(Chunk { first_sequence, block: Arc::new(Block { entries }) })
}

fn find_transfer(entry: EntryRef, id: TransferId) -> Option<TransferRef> {
    let index = transfers_of(&entry.outcome).iter().position(|transferred| transferred.id == id)?;
    Some(TransferRef { entry, index })
}
