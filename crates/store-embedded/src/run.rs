//! Immutable sorted runs of fixed-size rows.

use crate::disk::Disk;
use crate::error::StorageError;
use std::path::{Path, PathBuf};

/// What the rows of a run are. Rows are sorted by their first `key_size` bytes, compared as `memcmp` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowKind {
    /// Tells the kinds of runs apart in the file.
    pub kind: u16,
    /// Bytes of a row.
    pub row_size: u16,
    /// Bytes of a row that order it.
    pub key_size: u16,
    /// Bytes of a key that the filter knows; 0 for no filter.
    pub filter_size: u16,
}

/// The sequences a run covers, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Covers {
    /// First sequence of the first block.
    pub first: u64,
    /// Last sequence of the last block.
    pub last: u64,
}

/// The name of a run: `<family>-L<level>-<first>-<last>.run`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunName {
    /// Which index, such as `postings`.
    pub family: String,
    /// How often its rows were merged.
    pub level: u8,
    /// The sequences it covers.
    pub covers: Covers,
}

impl RunName {
    /// The file's name.
    pub fn file_name(&self) -> String {
        todo!()
    }
    /// Reads a file's name; `None` for another kind of file.
    pub fn parse(file_name: &str) -> Option<RunName> {
        todo!()
    }
}

/// The runs in a folder, by family, first sequence and level. Files left by an unfinished write are removed.
pub fn list_runs(disk: &Disk, folder: &Path) -> Result<Vec<RunName>, StorageError> {
    todo!()
}

/// Which way a cursor goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the lowest key up.
    Forward,
    /// From the highest key down.
    Backward,
}

/// Writes one run, a row at a time in order.
pub struct RunWriter {}

impl RunWriter {
    /// Starts a run; `rows_max` (an upper bound) gives the size of its filter.
    pub fn begin(
        disk: &Disk,
        path: &Path,
        kind: RowKind,
        covers: Covers,
        rows_max: u64,
    ) -> Result<RunWriter, StorageError> {
        todo!()
    }
    /// Adds a row, whose key is at least that of the row before.
    pub fn push(&mut self, row: &[u8]) -> Result<(), StorageError> {
        todo!()
    }
    /// Syncs the file, names it, syncs the folder and opens it.
    pub fn finish(self) -> Result<Run, StorageError> {
        todo!()
    }
    /// Writes a whole run.
    pub fn create<R: AsRef<[u8]>>(
        disk: &Disk,
        path: &Path,
        kind: RowKind,
        covers: Covers,
        rows: impl ExactSizeIterator<Item = R>,
    ) -> Result<Run, StorageError> {
        todo!()
    }
}

/// An open run; a clone shares the file.
#[derive(Clone)]
pub struct Run {}

impl Run {
    /// Opens a run and loads its sparse index and filter.
    pub fn open(disk: &Disk, path: &Path) -> Result<Run, StorageError> {
        todo!()
    }
    /// What its rows are.
    pub fn kind(&self) -> RowKind {
        todo!()
    }
    /// The sequences it covers.
    pub fn covers(&self) -> Covers {
        todo!()
    }
    /// How many rows it has.
    pub fn row_count(&self) -> u64 {
        todo!()
    }
    /// Where it is.
    pub fn path(&self) -> &Path {
        todo!()
    }
    /// Bytes in memory: sparse index and filter.
    pub fn memory_bytes(&self) -> u64 {
        todo!()
    }
    /// False only if no row's key begins with the first `filter_size` bytes of this key.
    pub fn may_contain(&self, key: &[u8]) -> bool {
        todo!()
    }
    /// The first row with this whole key.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        todo!()
    }
    /// Looks up many keys, each page read once; `found(index of the key, row)` for each key that is there.
    pub fn get_many<K: AsRef<[u8]>>(&self, keys: &[K], found: impl FnMut(usize, &[u8])) -> Result<(), StorageError> {
        todo!()
    }
    /// Forward from the first row whose key is at least `key`, which may be a prefix.
    pub fn seek(&self, key: &[u8]) -> RunCursor {
        todo!()
    }
    /// The rows whose key begins with `prefix`; all of them for an empty one.
    pub fn range(&self, prefix: &[u8], direction: Direction) -> RunCursor {
        todo!()
    }
    /// The rows whose key is at least `lowest` and at most `highest`, each compared over its own length.
    pub fn between(&self, lowest: &[u8], highest: &[u8], direction: Direction) -> RunCursor {
        todo!()
    }
}

/// Goes over rows of one run; owns its share of the file, so the run may be replaced meanwhile.
pub struct RunCursor {}

impl RunCursor {
    /// The next row; `None` at the end. A failed read or checksum is an error, never an end.
    pub fn next_row(&mut self) -> Result<Option<&[u8]>, StorageError> {
        todo!()
    }
}
