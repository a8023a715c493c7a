//! The data folder: its lock, its `format` file and a folder for each shard.

use crate::disk::Disk;
use crate::error::StorageError;
use std::path::{Path, PathBuf};

/// What a new data folder is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewFolder {
    /// How many shards the bank has.
    pub shard_count: u32,
    /// Names this bank's data for ever.
    pub data_id: [u8; 16],
    /// Microseconds since 1970.
    pub created_at_us: u64,
}

/// An open, locked data folder. The lock is held until this is dropped or the process ends, however it ends.
pub struct Folder {}

impl Folder {
    /// Opens the folder, or creates it from `new` when it does not exist or is empty.
    /// An existing folder keeps its own id and time; a different shard count is an error.
    pub fn open_or_create(disk: &Disk, root: &Path, new: NewFolder) -> Result<Folder, StorageError> {
        todo!()
    }
    /// Opens an existing folder as it is.
    pub fn open(disk: &Disk, root: &Path) -> Result<Folder, StorageError> {
        todo!()
    }
    /// Whether this call made the folder.
    pub fn is_new(&self) -> bool {
        todo!()
    }
    /// How many shards the bank has.
    pub fn shard_count(&self) -> u32 {
        todo!()
    }
    /// Names this bank's data for ever.
    pub fn data_id(&self) -> [u8; 16] {
        todo!()
    }
    /// Microseconds since 1970.
    pub fn created_at_us(&self) -> u64 {
        todo!()
    }
    /// Where the folder is.
    pub fn root(&self) -> &Path {
        todo!()
    }
    /// The folders of one shard.
    pub fn shard(&self, shard: u32) -> ShardFolder {
        todo!()
    }
}

/// The folders of one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardFolder {
    /// The number of the shard.
    pub shard: u32,
    /// Segments.
    pub journal: PathBuf,
    /// Index runs.
    pub runs: PathBuf,
    /// Checkpoints.
    pub checkpoints: PathBuf,
}

/// Replaces a small file so that a crash leaves the old or the new one whole.
pub fn replace_file(disk: &Disk, path: &Path, contents: &[u8]) -> Result<(), StorageError> {
    todo!()
}

/// As [`replace_file`], readable by its owner only.
pub fn replace_secret_file(disk: &Disk, path: &Path, contents: &[u8]) -> Result<(), StorageError> {
    todo!()
}
