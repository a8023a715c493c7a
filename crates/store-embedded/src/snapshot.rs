//! Checkpoints of a shard's state: written from the published rows while publishing goes on, and loaded at opening.
//!
//! Sections, each a sequence of frames `u32 length, rows`: see `docs/format.md`. A frame holds whole rows in the codec
//! of `store`; the scalars are one frame.

use crate::bytes::get_u64;
use crate::checkpoint::writer::CheckpointWriter;
use crate::checkpoint::{CheckpointHead, KEPT, NewestGood, newest_good, prune};
use crate::disk::Disk;
use crate::error::StorageError;
use crate::journal::{BlockIndex, Step};
use crate::published::{Published, State};
use crate::segment::{BlockLocation, ChainPoint};
use ledger::ids::{IdGenerator, Sequence};
use ledger::saga::Sagas;
use ledger::table::{Row, Table};
use ledger::time::Timestamp;
use ledger::working_set::WorkingSet;
use std::path::Path;
use store::codec::{self, DecodeError, Reader};

/// Rows copied while publishing waits.
const ROWS_PER_STEP: usize = 4096;
/// A frame that a damaged length claims to be longer than this is refused before memory is taken for it.
const FRAME_BYTES_MAX: u32 = 256 << 20;

const SCALARS: u16 = 1;
const ACCOUNTS: u16 = 2;
const HOLDS: u16 = 3;
const CUSTOMERS: u16 = 4;
const DEAD_LETTERS: u16 = 5;
const TOKENS: u16 = 6;
const REVERSALS: u16 = 7;
const STEPS: u16 = 8;
const SAGAS: u16 = 9;
const PARTS: u16 = 10;
const POSITIONS: u16 = 11;
const SLOTS: u16 = 12;

/// Writes a checkpoint of what is published now, and removes those no longer kept. Returns its sequence.
///
/// # Errors
/// A failed write; the checkpoints there were are untouched then.
pub fn write(disk: &Disk, folder: &Path, published: &Published) -> Result<Sequence, StorageError> {
    let Boundary { head, scalars, steps, sagas, slots } = begin(&mut published.state_mut());
    let mut writer = CheckpointWriter::begin(disk, folder, head)?;
    writer.section(SCALARS);
    write_frame(&mut writer, &scalars)?;
    write_sagas(&mut writer, &sagas)?;
    writer.section(SLOTS);
    write_frame(&mut writer, &slots)?;
    copy_table(&mut writer, ACCOUNTS, published, |set| &mut set.accounts, codec::encode_account)?;
    copy_table(&mut writer, HOLDS, published, |set| &mut set.holds, codec::encode_hold)?;
    copy_table(&mut writer, CUSTOMERS, published, |set| &mut set.customers, codec::encode_customer)?;
    copy_table(&mut writer, DEAD_LETTERS, published, |set| &mut set.dead_letters, codec::encode_dead_letter)?;
    copy_table(&mut writer, TOKENS, published, |set| &mut set.tokens, codec::encode_token)?;
    copy_table(&mut writer, REVERSALS, published, |set| &mut set.reversals, codec::encode_reversal)?;
    writer.section(STEPS);
    write_frame(&mut writer, &encode_steps(&steps))?;
    writer.finish()?;
    prune(disk, folder, KEPT)?;
    Ok(head.sequence)
}

/// What is taken at once at the boundary; the tables are copied afterwards, as they were then.
struct Boundary {
    head: CheckpointHead,
    scalars: Vec<u8>,
    steps: BlockIndex,
    sagas: Sagas,
    slots: Vec<u8>,
}

/// Open sagas are few beside accounts, and a snapshot of their own kind of table would cost more than this copy.
fn write_sagas(writer: &mut CheckpointWriter, sagas: &Sagas) -> Result<(), StorageError> {
    let mut frame = Vec::new();
    writer.section(SAGAS);
    for saga in sagas.open() {
        frame.clear();
        codec::encode_saga(saga, &mut frame);
        write_frame(writer, &frame)?;
    }
    writer.section(PARTS);
    for part in sagas.parts() {
        frame.clear();
        codec::encode_part(part, &mut frame);
        write_frame(writer, &frame)?;
    }
    writer.section(POSITIONS);
    frame.clear();
    codec::encode_positions(sagas, &mut frame);
    write_frame(writer, &frame)
}

/// Notes the boundary: everything copied from here on is as it is now.
fn begin(state: &mut State) -> Boundary {
    state.set.accounts.begin_snapshot();
    state.set.holds.begin_snapshot();
    state.set.customers.begin_snapshot();
    state.set.dead_letters.begin_snapshot();
    state.set.tokens.begin_snapshot();
    state.set.reversals.begin_snapshot();
    let head = CheckpointHead {
        shard: u32::from(state.set.shard.number()),
        sequence: state.set.sequence,
        block_hash: state.chain.hash,
        location: state.location,
    };
    let mut scalars = Vec::new();
    scalars.extend(state.set.ids.last().to_le_bytes());
    scalars.extend(state.set.time.microseconds().to_le_bytes());
    let mut slots = Vec::new();
    codec::encode_slots(&state.set.slots, &mut slots);
    Boundary { head, scalars, steps: state.blocks.clone(), sagas: state.set.sagas.clone(), slots }
}

fn write_frame(writer: &mut CheckpointWriter, frame: &[u8]) -> Result<(), StorageError> {
    let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    writer.write(&length.to_le_bytes())?;
    writer.write(frame)
}

fn copy_table<R: Row>(
    writer: &mut CheckpointWriter,
    tag: u16,
    published: &Published,
    table: impl Fn(&mut WorkingSet) -> &mut Table<R>,
    encode: impl Fn(&R, &mut Vec<u8>),
) -> Result<(), StorageError> {
    writer.section(tag);
    let mut frame = Vec::new();
    loop {
        frame.clear();
        let goes_on = table(&mut published.state_mut().set).copy_snapshot(ROWS_PER_STEP, |row| encode(row, &mut frame));
        if !frame.is_empty() {
            write_frame(writer, &frame)?;
        }
        if !goes_on {
            return Ok(());
        }
    }
}

fn encode_steps(blocks: &BlockIndex) -> Vec<u8> {
    let words = |step: &Step| [step.first_sequence, step.ids_before, step.segment, step.offset];
    blocks.steps().iter().flat_map(words).flat_map(u64::to_le_bytes).collect()
}

/// A state as a checkpoint holds it.
#[derive(Debug)]
pub struct Loaded {
    /// The rows.
    pub set: WorkingSet,
    /// What the next block continues.
    pub chain: ChainPoint,
    /// Where the last block is.
    pub location: Option<BlockLocation>,
    /// Where blocks begin.
    pub blocks: BlockIndex,
    /// Newer checkpoints that could not be used, for the report.
    pub skipped: Vec<String>,
}

/// Loads the newest good checkpoint into an empty set; with none the set stays empty.
///
/// # Errors
/// A failed read, a newer format, or rows that do not decode though their checksums are right.
pub fn load(disk: &Disk, folder: &Path, mut set: WorkingSet) -> Result<Loaded, StorageError> {
    let NewestGood { reader, skipped } = newest_good(disk, folder)?;
    let skipped = skipped.into_iter().map(|(path, error)| format!("{}: {error}", path.display())).collect();
    let Some(reader) = reader else {
        let chain = ChainPoint { hash: [0; 32], next_sequence: 1 };
        return Ok(Loaded { set, chain, location: None, blocks: BlockIndex::default(), skipped });
    };
    let head = *reader.head();
    let corrupt = |what| StorageError::corrupt(reader.path(), 0, what);
    if head.shard != u32::from(set.shard.number()) {
        return Err(corrupt("the checkpoint is of another shard"));
    }
    let mut steps = Vec::new();
    for tag in
        [SCALARS, ACCOUNTS, HOLDS, CUSTOMERS, DEAD_LETTERS, TOKENS, REVERSALS, STEPS, SAGAS, PARTS, POSITIONS, SLOTS]
    {
        let mut section = reader.section(tag).ok_or_else(|| corrupt("a section of the checkpoint is missing"))?;
        while 0 < section.remaining() {
            let mut length = [0; 4];
            section.read_exact(&mut length)?;
            let length = u32::from_le_bytes(length);
            if FRAME_BYTES_MAX < length || section.remaining() < u64::from(length) {
                return Err(corrupt("a frame of the checkpoint reaches beyond its section"));
            }
            let mut frame = vec![0; length as usize];
            section.read_exact(&mut frame)?;
            load_frame(tag, &frame, &mut set, &mut steps)
                .map_err(|_| corrupt("a row of the checkpoint cannot be decoded"))?;
        }
    }
    set.sequence = head.sequence;
    Ok(Loaded {
        set,
        chain: ChainPoint { hash: head.block_hash, next_sequence: head.sequence + 1 },
        location: head.location,
        blocks: BlockIndex::from_steps(steps),
        skipped,
    })
}

/// Decodes one frame of a section into the set.
///
/// # Errors
/// Bytes that are no whole rows.
pub fn load_frame(tag: u16, frame: &[u8], set: &mut WorkingSet, steps: &mut Vec<Step>) -> Result<(), InvalidFrame> {
    match tag {
        SCALARS => load_scalars(frame, set),
        STEPS => load_steps(frame, steps),
        _ => load_rows(tag, frame, set).map_err(|_| InvalidFrame),
    }
}

/// Bytes that are no whole rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidFrame;

fn load_rows(tag: u16, frame: &[u8], set: &mut WorkingSet) -> Result<(), DecodeError> {
    let mut reader = Reader::new(frame);
    while reader.offset() < frame.len() {
        match tag {
            ACCOUNTS => set.restore_account(codec::decode_account(&mut reader)?),
            HOLDS => set.restore_hold(codec::decode_hold(&mut reader)?),
            CUSTOMERS => set.customers.put(codec::decode_customer(&mut reader)?),
            DEAD_LETTERS => set.dead_letters.put(codec::decode_dead_letter(&mut reader)?),
            TOKENS => set.tokens.put(codec::decode_token(&mut reader)?),
            SAGAS => set.sagas.put_saga(codec::decode_saga(&mut reader)?),
            PARTS => set.sagas.put_part(codec::decode_part(&mut reader)?),
            SLOTS => set.slots = codec::decode_slots(&mut reader, set.slots.dealt.clone())?,
            POSITIONS => codec::decode_positions(&mut reader, &mut set.sagas)?,
            _ => set.reversals.put(codec::decode_reversal(&mut reader)?),
        }
    }
    Ok(())
}

fn words<const N: usize>(bytes: &[u8]) -> Option<[u64; N]> {
    if bytes.len() != N * 8 {
        return None;
    }
    Some(std::array::from_fn(|word| get_u64(bytes, word * 8)))
}

fn load_scalars(frame: &[u8], set: &mut WorkingSet) -> Result<(), InvalidFrame> {
    let [last_id, time] = words(frame).ok_or(InvalidFrame)?;
    set.ids = IdGenerator::new(set.shard, last_id);
    set.time = Timestamp::from_microseconds(time).ok_or(InvalidFrame)?;
    Ok(())
}

fn load_steps(frame: &[u8], steps: &mut Vec<Step>) -> Result<(), InvalidFrame> {
    for step in frame.chunks(32) {
        let [first_sequence, ids_before, segment, offset] = words(step).ok_or(InvalidFrame)?;
        steps.push(Step { first_sequence, ids_before, segment, offset });
    }
    Ok(())
}

/// A working set with the same rows, whose keys are empty.
pub fn copy_of(set: &WorkingSet, seed: u64) -> WorkingSet {
    let mut copy = WorkingSet::new(set.shard, set.slots.dealt.clone(), seed);
    copy.accounts.reserve(set.accounts.len());
    set.accounts.iter().for_each(|row| copy.restore_account(row.clone()));
    set.holds.iter().for_each(|row| copy.restore_hold(row.clone()));
    set.customers.iter().for_each(|row| copy.customers.put(row.clone()));
    set.dead_letters.iter().for_each(|row| copy.dead_letters.put(row.clone()));
    set.tokens.iter().for_each(|row| copy.tokens.put(row.clone()));
    set.reversals.iter().for_each(|row| copy.reversals.put(*row));
    copy.sagas = set.sagas.clone();
    copy.slots = set.slots.clone();
    (copy.ids, copy.sequence, copy.time) = (set.ids, set.sequence, set.time);
    copy
}
