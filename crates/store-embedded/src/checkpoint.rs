//! The container of a state snapshot: `checkpoints/<sequence>.checkpoint`, the sequence of its last entry with 20 digits.
//!
//! Promises: a checkpoint appears whole or not at all, and only one whose every byte matches its checksum is ever called
//! good. At least two are kept, so that a damaged one costs replay time and nothing else.
//!
//! Little-endian. Header, 128 bytes:
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `FLORINCP` |
//! | 8 | 4 | format version, 1 |
//! | 12 | 4 | shard |
//! | 16 | 8 | sequence of the last entry contained |
//! | 24 | 32 | hash of the last block contained |
//! | 56 | 8 | segment of that block; 0 if there is none yet |
//! | 64 | 8 | its offset in the segment |
//! | 72 | 8 | its length |
//! | 80 | 44 | zeros |
//! | 124 | 4 | CRC-32 of bytes 0..124 |
//!
//! The bytes of the sections follow, one behind the other. Then the table, 24 bytes for each section:
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 2 | tag |
//! | 2 | 2 | zero |
//! | 4 | 4 | CRC-32 of the section |
//! | 8 | 8 | offset in the file |
//! | 16 | 8 | length |
//!
//! Then the footer, 24 bytes: magic `FLORINCE`, 8 bytes offset of the table, 4 bytes number of sections, 4 bytes CRC-32 of
//! header, table and the first 20 bytes of the footer. The sections' checksums are in the table, so this covers everything.

pub mod reader;
#[cfg(test)]
mod tests;
pub mod writer;

use crate::bytes::{get, get_u16, get_u32, get_u64, put};
use crate::disk::Disk;
use crate::error::StorageError;
use crate::segment::BlockLocation;
use reader::CheckpointReader;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"FLORINCP";
const FOOTER_MAGIC: &[u8; 8] = b"FLORINCE";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 128;
const HEADER_CHECKSUM_AT: usize = 124;
const ENTRY_BYTES: usize = 24;
const FOOTER_BYTES: usize = 24;
const FOOTER_CHECKSUM_AT: usize = 20;
/// Checkpoints kept, the newest ones: a damaged one costs replay from the one before it.
pub const KEPT: usize = 2;
/// Sections are written and verified in steps of this size.
const STEP_BYTES: usize = 1 << 20;
const SUFFIX: &str = ".checkpoint";

/// The block boundary at which the state was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointHead {
    /// The number of the shard.
    pub shard: u32,
    /// The last sequence contained.
    pub sequence: u64,
    /// The hash of the last block contained.
    pub block_hash: [u8; 32],
    /// Where that block is; `None` before the first.
    pub location: Option<BlockLocation>,
}

/// One line of the table of sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Section {
    tag: u16,
    checksum: u32,
    offset: u64,
    length: u64,
}

/// What [`newest_good`] found.
#[derive(Debug)]
pub struct NewestGood {
    /// The newest checkpoint whose every byte is verified; `None` if there is none.
    pub reader: Option<CheckpointReader>,
    /// Newer ones that were skipped, with the reason. The caller reports them.
    pub skipped: Vec<(PathBuf, StorageError)>,
}

impl CheckpointHead {
    fn encode(&self) -> [u8; HEADER_BYTES] {
        let location = self.location.unwrap_or(BlockLocation { segment: 0, offset: 0, length: 0 });
        let mut bytes = [0; HEADER_BYTES];
        put(&mut bytes, 0, MAGIC);
        put(&mut bytes, 8, &VERSION.to_le_bytes());
        put(&mut bytes, 12, &self.shard.to_le_bytes());
        put(&mut bytes, 16, &self.sequence.to_le_bytes());
        put(&mut bytes, 24, &self.block_hash);
        put(&mut bytes, 56, &location.segment.to_le_bytes());
        put(&mut bytes, 64, &location.offset.to_le_bytes());
        put(&mut bytes, 72, &location.length.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..HEADER_CHECKSUM_AT]);
        put(&mut bytes, HEADER_CHECKSUM_AT, &checksum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; HEADER_BYTES], path: &Path) -> Result<CheckpointHead, StorageError> {
        if &bytes[..8] != MAGIC {
            return Err(StorageError::corrupt(path, 0, "not a checkpoint: the magic bytes are missing"));
        }
        let found = get_u32(bytes, 8);
        if VERSION < found {
            return Err(StorageError::NewerFormat { path: path.into(), found, known: VERSION });
        }
        if crc32fast::hash(&bytes[..HEADER_CHECKSUM_AT]) != get_u32(bytes, HEADER_CHECKSUM_AT) {
            return Err(StorageError::corrupt(path, 0, "the header of the checkpoint does not match its checksum"));
        }
        let location =
            BlockLocation { segment: get_u64(bytes, 56), offset: get_u64(bytes, 64), length: get_u64(bytes, 72) };
        Ok(CheckpointHead {
            shard: get_u32(bytes, 12),
            sequence: get_u64(bytes, 16),
            block_hash: get(bytes, 24),
            location: (location.segment != 0).then_some(location),
        })
    }
}

impl Section {
    fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        put(&mut bytes, 0, &self.tag.to_le_bytes());
        put(&mut bytes, 4, &self.checksum.to_le_bytes());
        put(&mut bytes, 8, &self.offset.to_le_bytes());
        put(&mut bytes, 16, &self.length.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Section {
        Section {
            tag: get_u16(bytes, 0),
            checksum: get_u32(bytes, 4),
            offset: get_u64(bytes, 8),
            length: get_u64(bytes, 16),
        }
    }
}

/// The path of a checkpoint.
pub fn checkpoint_path(folder: &Path, sequence: u64) -> PathBuf {
    folder.join(format!("{sequence:020}{SUFFIX}"))
}

/// The sequences of the checkpoints in the folder, newest first. What unfinished writes left aside is not listed; see
/// [`crate::folder::remove_asides`].
pub fn list_checkpoints(disk: &Disk, folder: &Path) -> Result<Vec<u64>, StorageError> {
    let names = disk.list(folder)?;
    let mut sequences: Vec<u64> = names.iter().filter_map(|name| name.strip_suffix(SUFFIX)?.parse().ok()).collect();
    sequences.sort_unstable_by(|a, b| b.cmp(a));
    Ok(sequences)
}

/// The newest checkpoint that is whole. A newer format is an error, not a damaged file: skipping it would be going back.
pub fn newest_good(disk: &Disk, folder: &Path) -> Result<NewestGood, StorageError> {
    let mut skipped = Vec::new();
    for sequence in list_checkpoints(disk, folder)? {
        let path = checkpoint_path(folder, sequence);
        match open_verified(disk, &path, sequence) {
            Ok(reader) => return Ok(NewestGood { reader: Some(reader), skipped }),
            Err(error @ StorageError::NewerFormat { .. }) => return Err(error),
            Err(error) => skipped.push((path, error)),
        }
    }
    Ok(NewestGood { reader: None, skipped })
}

/// Opens a checkpoint and reads all of it.
///
/// # Errors
/// A failed read, a newer format, a byte that does not match its checksum, or another sequence than the name says.
pub fn open_verified(disk: &Disk, path: &Path, sequence: u64) -> Result<CheckpointReader, StorageError> {
    let reader = CheckpointReader::open(disk, path)?;
    if reader.head().sequence != sequence {
        return Err(StorageError::corrupt(path, 16, "the checkpoint has another sequence than its name"));
    }
    reader.verify()?;
    Ok(reader)
}

/// Removes what is older than the `keep` newest that open well (at least one is kept); returns how many were removed.
/// Damaged ones do not count as kept.
pub fn prune(disk: &Disk, folder: &Path, keep: usize) -> Result<usize, StorageError> {
    let (mut kept, mut removed) = (0, 0);
    for sequence in list_checkpoints(disk, folder)? {
        let path = checkpoint_path(folder, sequence);
        if keep.max(1) <= kept {
            disk.remove(&path)?;
            removed += 1;
        } else if CheckpointReader::open(disk, &path).is_ok() {
            kept += 1;
        }
    }
    if 0 < removed {
        disk.sync_folder(folder)?;
    }
    Ok(removed)
}
