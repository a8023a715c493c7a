//! The container of a state snapshot.

use crate::disk::Disk;
use crate::error::StorageError;
use crate::segment::BlockLocation;
use std::path::{Path, PathBuf};

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

/// Writes one checkpoint aside, section by section.
pub struct CheckpointWriter {}

impl CheckpointWriter {
    /// Starts a checkpoint in the folder.
    pub fn begin(disk: &Disk, folder: &Path, head: CheckpointHead) -> Result<CheckpointWriter, StorageError> {
        todo!()
    }
    /// Ends the section before and begins another; a tag is used once.
    pub fn section(&mut self, tag: u16) -> Result<(), StorageError> {
        todo!()
    }
    /// Adds bytes to the section.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        todo!()
    }
    /// Syncs, names it, syncs the folder. Without this the checkpoint never existed.
    pub fn finish(self) -> Result<PathBuf, StorageError> {
        todo!()
    }
}

/// Reads one checkpoint.
pub struct CheckpointReader {}

impl CheckpointReader {
    /// Opens a checkpoint: head and table of sections are verified, the sections not yet.
    pub fn open(disk: &Disk, path: &Path) -> Result<CheckpointReader, StorageError> {
        todo!()
    }
    /// The block boundary.
    pub fn head(&self) -> &CheckpointHead {
        todo!()
    }
    /// Reads everything once and compares the checksums.
    pub fn verify(&self) -> Result<(), StorageError> {
        todo!()
    }
    /// The tags in the order written.
    pub fn tags(&self) -> impl Iterator<Item = u16> {
        [].into_iter()
    }
    /// A section as a stream; `None` if it was not written.
    pub fn section(&self, tag: u16) -> Option<SectionReader<'_>> {
        todo!()
    }
}

/// Streams one section; its checksum is compared when the last byte is read.
pub struct SectionReader<'a> {
    reader: &'a CheckpointReader,
}

impl SectionReader<'_> {
    /// Bytes not yet read.
    pub fn remaining(&self) -> u64 {
        todo!()
    }
    /// Fills the buffer; a section that ends before is damage.
    pub fn read_exact(&mut self, buffer: &mut [u8]) -> Result<(), StorageError> {
        todo!()
    }
}

/// What [`newest_good`] found.
pub struct NewestGood {
    /// The newest checkpoint whose every byte is verified; `None` if there is none.
    pub reader: Option<CheckpointReader>,
    /// Newer ones that were skipped, with the reason. The caller reports them.
    pub skipped: Vec<(PathBuf, StorageError)>,
}

/// The sequences of the checkpoints in the folder, newest first. Files left by an unfinished write are removed.
pub fn list_checkpoints(disk: &Disk, folder: &Path) -> Result<Vec<u64>, StorageError> {
    todo!()
}

/// The newest checkpoint that is whole.
pub fn newest_good(disk: &Disk, folder: &Path) -> Result<NewestGood, StorageError> {
    todo!()
}

/// Removes all that is older than the `keep` newest that open well; returns how many were removed.
pub fn prune(disk: &Disk, folder: &Path, keep: usize) -> Result<usize, StorageError> {
    todo!()
}
