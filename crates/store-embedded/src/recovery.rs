//! Opening a shard: the newest good checkpoint, then the journal behind it.
//!
//! 1. The unsealed segment's end is judged. A torn tail is cut only if it is the last thing written and lies beyond every
//!    entry that a checkpoint or a run vouches for; what is cut is set aside and reported. Anything else is an error that
//!    names the block.
//! 2. Its valid blocks are copied into a new file, which is made durable and swapped in: what was read may have been in
//!    the page cache only.
//! 3. Blocks behind the checkpoint are replayed with the rule book's `record`; rows of blocks behind the runs become the
//!    tail, and their keys the sequencer's.

use crate::disk::Disk;
use crate::error::StorageError;
use crate::folder::{ShardFolder, remove_asides};
use crate::index::{Rows, Runs, open_runs};
use crate::journal::JournalReader;
use crate::payload::{decode, last_generated_id};
use crate::published::{Published, State};
use crate::segment::reader::{SegmentEnd, SegmentReader};
use crate::segment::recovery::copy_valid_blocks;
use crate::segment::writer::SegmentWriter;
use crate::segment::{BlockHeader, ChainPoint, JournalOptions, SEGMENT_HEADER_BYTES, list_segments, segment_path};
use crate::snapshot::{Loaded, load};
use crate::sort::sort_pairs;
use crate::tail::{Tail, Tails};
use crate::writer::chain;
use ledger::event::{Entry, Key};
use ledger::ids::Sequence;
use ledger::working_set::WorkingSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A shard as it was found.
#[derive(Debug)]
pub struct Recovered {
    /// What readers see.
    pub published: Published,
    /// Keys that the runs do not have, with the entries that answered them.
    pub keys: Vec<(Key, Sequence)>,
    /// The journal, ready to be appended to.
    pub segments: SegmentWriter,
    /// What an operator should know: cut tails, damaged files that were made again or passed over.
    pub notes: Vec<String>,
}

/// Opens a shard; `set` is empty.
///
/// # Errors
/// Damage that must not be passed over, a newer format, or a disk that fails.
pub fn recover(
    disk: &Disk,
    folder: &ShardFolder,
    segment_bytes: u64,
    set: WorkingSet,
) -> Result<Recovered, StorageError> {
    for part in [&folder.journal, &folder.runs, &folder.checkpoints] {
        remove_asides(disk, part)?;
    }
    let options = JournalOptions { folder: folder.journal.clone(), shard: u32::from(folder.shard), segment_bytes };
    let loaded = load(disk, &folder.checkpoints, set)?;
    let (runs, damaged) = open_runs(disk, &folder.runs)?;
    let mut notes = loaded.skipped.clone();
    notes.extend(damaged.iter().map(|(path, error)| format!("{} is made again: {}", path.display(), chain(error))));
    let vouched = loaded.set.sequence.max(runs.covered);
    let segments = list_segments(disk, &options.folder)?;
    let Some(&last) = segments.last() else {
        return first_start(disk, options, loaded, runs, vouched, notes);
    };
    judge_end(disk, &options, last, vouched)?;
    let copied = copy_valid_blocks(disk, &options, last)?;
    if let Some(cut) = &copied.cut {
        let (path, sequence) = (cut.path.display(), copied.end.next_sequence);
        notes.push(format!(
            "{} bytes behind entry {} were cut off ({}) and set aside as {path}",
            cut.length,
            sequence - 1,
            cut.what
        ));
    }
    let writer = SegmentWriter::resume(disk, options.clone(), &copied)?;
    let mut replay = Replay::new(loaded, &runs);
    for segment in replay.first_segment(&segments)..=last {
        replay.segment(disk, &options, segment, segment == last)?;
    }
    let (state, keys) = replay.finish(vouched, &segment_path(&options.folder, last))?;
    let journal = JournalReader::new(disk, options.folder);
    Ok(Recovered { published: Published::new(state, runs, journal), keys, segments: writer, notes })
}

fn first_start(
    disk: &Disk,
    options: JournalOptions,
    loaded: Loaded,
    runs: Runs,
    vouched: Sequence,
    notes: Vec<String>,
) -> Result<Recovered, StorageError> {
    if 0 < vouched {
        return Err(StorageError::corrupt(
            &segment_path(&options.folder, 1),
            0,
            "the journal is missing though entries of it are known",
        ));
    }
    let start = ChainPoint { hash: [0; 32], next_sequence: 1 };
    let journal = JournalReader::new(disk, options.folder.clone());
    let segments = SegmentWriter::create(disk, options, start)?;
    let (state, keys) = Replay::new(loaded, &runs).into_state();
    Ok(Recovered { published: Published::new(state, runs, journal), keys, segments, notes })
}

/// Whether the last segment may be opened, though its end may be torn.
fn judge_end(disk: &Disk, options: &JournalOptions, segment: u64, vouched: Sequence) -> Result<(), StorageError> {
    let path = segment_path(&options.folder, segment);
    let reader = SegmentReader::open(disk, &path)?;
    if reader.header().shard != options.shard || reader.header().segment != segment {
        return Err(StorageError::corrupt(&path, 0, "the segment belongs to another place"));
    }
    let mut blocks = reader.blocks();
    let mut payload = Vec::new();
    while blocks.next_block(&mut payload)?.is_some() {}
    match blocks.end() {
        None | Some(SegmentEnd::CleanEnd) => Ok(()),
        Some(SegmentEnd::TornTail { .. }) if vouched < blocks.chain_point().next_sequence => Ok(()),
        Some(SegmentEnd::TornTail { offset, .. }) => Err(StorageError::corrupt(
            &path,
            offset,
            "the block here is damaged, and later entries are known to have been written",
        )),
        Some(SegmentEnd::Damaged { offset, what, .. }) => Err(StorageError::corrupt(&path, offset, what)),
    }
}

/// State and tail while blocks are read.
struct Replay {
    loaded: Loaded,
    tail: Tail,
    covered: Sequence,
    keys: Vec<(Key, Sequence)>,
    ids: u64,
}

impl Replay {
    fn new(loaded: Loaded, runs: &Runs) -> Replay {
        let tail = Tail::starting_at(runs.covered + 1);
        let ids = loaded.set.ids.last();
        Replay { loaded, tail, covered: runs.covered, keys: Vec::new(), ids }
    }

    /// The first segment with a block behind the checkpoint or the runs.
    fn first_segment(&self, segments: &[u64]) -> u64 {
        let first = segments.first().copied().unwrap_or(1);
        let behind_checkpoint = self.loaded.location.map_or(first, |location| location.segment);
        let behind_runs = self.loaded.blocks.before_sequence(self.covered + 1).map_or(first, |step| step.segment);
        behind_checkpoint.min(behind_runs).max(first)
    }

    fn segment(
        &mut self,
        disk: &Disk,
        options: &JournalOptions,
        number: u64,
        is_last: bool,
    ) -> Result<(), StorageError> {
        let path = segment_path(&options.folder, number);
        let reader = SegmentReader::open(disk, &path)?;
        let (offset, start) = self.start_in(&reader);
        let mut blocks = reader.blocks_from(offset, start);
        let mut payload = Vec::new();
        while let Some(block) = blocks.next_block(&mut payload)? {
            let last = block.first_sequence + u64::from(block.entry_count) - 1;
            if last <= self.loaded.set.sequence.min(self.covered) {
                continue;
            }
            self.block(&block, decode(&payload, &block, &path)?, &path)?;
        }
        match blocks.end() {
            None | Some(SegmentEnd::CleanEnd) => Ok(()),
            Some(SegmentEnd::TornTail { offset, what } | SegmentEnd::Damaged { offset, what, .. }) => {
                debug_assert!(!is_last, "the end of the last segment was judged before");
                Err(StorageError::corrupt(&path, offset, what))
            }
        }
    }

    /// Where to begin in a segment: at its first block, or behind the checkpoint's block if the runs reach as far.
    fn start_in(&self, reader: &SegmentReader) -> (u64, ChainPoint) {
        match self.loaded.location {
            Some(location)
                if location.segment == reader.header().segment && self.loaded.set.sequence <= self.covered =>
            {
                (location.offset + location.length, self.loaded.chain)
            }
            _ => (SEGMENT_HEADER_BYTES, reader.header().start),
        }
    }

    fn block(&mut self, block: &BlockHeader, entries: Vec<Entry>, path: &std::path::Path) -> Result<(), StorageError> {
        let last = block.first_sequence + entries.len() as u64 - 1;
        if self.covered < last {
            let mut rows = Rows::default();
            for entry in entries.iter().filter(|entry| self.covered < entry.header.sequence) {
                rows.add(entry);
                self.keys.extend(entry.header.key.map(|key| (key, entry.header.sequence)));
            }
            sort_pairs(&mut rows.postings, &mut Vec::new());
            self.tail.push(rows, last);
        }
        if self.loaded.set.sequence < block.first_sequence {
            let set = &mut self.loaded.set;
            let replayed =
                catch_unwind(AssertUnwindSafe(|| entries.iter().for_each(|entry| ledger::replay(set, entry))));
            if replayed.is_err() {
                return Err(StorageError::corrupt(
                    path,
                    block.location.offset,
                    "the state does not follow from this block",
                ));
            }
            self.loaded.blocks.push(block, self.ids);
            self.ids = entries.iter().filter_map(last_generated_id).fold(self.ids, u64::max);
            self.loaded.location = Some(block.location);
            self.loaded.chain = ChainPoint { hash: block.hash, next_sequence: last + 1 };
        }
        Ok(())
    }

    fn finish(self, vouched: Sequence, path: &std::path::Path) -> Result<(State, Vec<(Key, Sequence)>), StorageError> {
        if self.loaded.set.sequence < vouched {
            return Err(StorageError::corrupt(
                path,
                0,
                "the journal ends before entries that are known to have been written",
            ));
        }
        Ok(self.into_state())
    }

    fn into_state(self) -> (State, Vec<(Key, Sequence)>) {
        let Replay { loaded, tail, keys, .. } = self;
        let tails = Tails { frozen: Vec::new(), growing: tail };
        let Loaded { set, chain, location, blocks, .. } = loaded;
        (State { set, chain, location, blocks, tails, transfers: 0 }, keys)
    }
}
