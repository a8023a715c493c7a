//! Makes the unsealed segment durable again after a start.
//!
//! What recovery reads may have been only in the page cache, and after a failed sync syncing again proves nothing. So:
//!
//! 1. read the valid blocks of the last segment;
//! 2. set a torn tail aside as `<segment>.torn-<n>`, synced;
//! 3. copy the valid blocks into a new file, zero-filled behind them, and sync it;
//! 4. read the copy as if it were the segment;
//! 5. rename it over the segment and sync the folder.
//!
//! A crash in between leaves the old segment as it was.

use crate::bytes::length;
use crate::disk::{Disk, DiskFile, parent};
use crate::error::StorageError;
use crate::segment::reader::{SegmentEnd, SegmentReader};
use crate::segment::{ChainPoint, JournalOptions, segment_path};
use std::path::{Path, PathBuf};

const COPY_STEP_BYTES: u64 = 1 << 20;

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

/// Copies the valid blocks of the unsealed (last) segment into a new file, makes it durable and swaps it in. A torn tail
/// is set aside; the caller has decided before, with [`SegmentReader`], that it may be cut. Damage is an error and changes
/// nothing. Segments prepared but not used and copies not finished by an earlier process are removed.
pub fn copy_valid_blocks(disk: &Disk, options: &JournalOptions, segment: u64) -> Result<CopiedSegment, StorageError> {
    remove_leftovers(disk, &options.folder)?;
    let path = segment_path(&options.folder, segment);
    let reader = SegmentReader::open(disk, &path)?;
    let mut copied = read_through(&reader)?;
    if let Some(cut) = &mut copied.cut {
        set_aside(disk, &path, &reader, cut, copied.end.next_sequence)?;
    }
    let aside = path.with_extension("segment.aside");
    let (from, to) = (disk.open_to_read(&path)?, disk.create_new(&aside)?);
    copy(&from, 0, copied.offset, &to)?;
    to.zero_fill(copied.offset, options.segment_bytes.max(copied.offset))?;
    to.sync_data()?;
    let again = read_through(&SegmentReader::open(disk, &aside)?)?;
    if (again.offset, again.end, &again.cut) != (copied.offset, copied.end, &None) {
        return Err(StorageError::corrupt(&aside, again.offset, "the copy of a segment differs from the segment"));
    }
    disk.rename(&aside, &path)?;
    disk.sync_folder(&options.folder)?;
    Ok(copied)
}

fn remove_leftovers(disk: &Disk, folder: &Path) -> Result<(), StorageError> {
    for name in disk.list(folder)? {
        if name.ends_with(".segment.prepared") || name.ends_with(".segment.aside") {
            disk.remove(&folder.join(name))?;
        }
    }
    Ok(())
}

fn read_through(reader: &SegmentReader) -> Result<CopiedSegment, StorageError> {
    let (mut blocks, mut payload, mut block_count) = (reader.blocks(), Vec::new(), 0);
    while blocks.next_block(&mut payload)?.is_some() {
        block_count += 1;
    }
    let cut = match blocks.end() {
        Some(SegmentEnd::TornTail { offset, what }) => Some(CutTail { path: PathBuf::new(), offset, length: 0, what }),
        Some(SegmentEnd::Damaged { offset, what, .. }) => {
            return Err(StorageError::corrupt(reader.path(), offset, what));
        }
        Some(SegmentEnd::CleanEnd) | None => None,
    };
    let segment = reader.header().segment;
    Ok(CopiedSegment { segment, offset: blocks.offset(), end: blocks.chain_point(), block_count, cut })
}

fn set_aside(
    disk: &Disk,
    path: &Path,
    reader: &SegmentReader,
    cut: &mut CutTail,
    sequence: u64,
) -> Result<(), StorageError> {
    let mut number = 1;
    cut.path = path.with_extension("segment.torn-1");
    while disk.exists(&cut.path)? {
        number += 1;
        cut.path = path.with_extension(format!("segment.torn-{number}"));
    }
    let used_end = reader.tail(cut.offset, cut.offset, sequence)?.used_end.unwrap_or(cut.offset);
    cut.length = used_end - cut.offset;
    let (from, to) = (disk.open_to_read(path)?, disk.create_new(&cut.path)?);
    copy(&from, cut.offset, used_end, &to)?;
    to.sync_data()?;
    disk.sync_folder(parent(path))
}

/// Copies the bytes of `from` between two offsets to the beginning of `to`.
fn copy(from: &DiskFile, start: u64, end: u64, to: &DiskFile) -> Result<(), StorageError> {
    let mut buffer = vec![0; length(COPY_STEP_BYTES)];
    let mut offset = start;
    while offset < end {
        let step = &mut buffer[..length((end - offset).min(COPY_STEP_BYTES))];
        from.read_exact_at(step, offset)?;
        to.write_all_at(step, offset - start)?;
        offset += step.len() as u64;
    }
    Ok(())
}
