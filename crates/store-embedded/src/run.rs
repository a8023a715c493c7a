//! Immutable sorted runs of fixed-size rows: the index files.
//!
//! Promises: a run appears whole or not at all; a page is used only if its checksum is right; a failed read or checksum is
//! an error, never "not found". A run names the sequences it covers, so that a merged run tells which others it replaces.
//!
//! Little-endian, but for the rows: their keys are the caller's, ordered as `memcmp` orders them (so numbers in keys are
//! big-endian).
//!
//! Header, 4096 bytes:
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `FLORINRN` |
//! | 8 | 4 | format version, 1 |
//! | 12 | 2 | kind of the rows |
//! | 14 | 2 | bytes of a row |
//! | 16 | 2 | bytes of its key, which are its first |
//! | 18 | 2 | bytes of the key that the filter knows; 0 for no filter |
//! | 20 | 4 | bytes of a page, 32768 |
//! | 24 | 8 | number of rows |
//! | 32 | 8 | first sequence covered |
//! | 40 | 8 | last sequence covered |
//! | 48 | 4044 | zeros |
//! | 4092 | 4 | CRC-32 of bytes 0..4092 |
//!
//! Pages follow, each 32768 bytes: as many rows as fit into 32760 bytes (the last page may have fewer), zeros, at 32760 the
//! low four bytes of the page's number from 0, at 32764 the CRC-32 of bytes 0..32764. Then the sparse index: the key of
//! each page's first row. Then the filter ([`crate::filter`]), if there is one. Then the footer, 64 bytes:
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `FLORINRE` |
//! | 8 | 8 | offset of the sparse index |
//! | 16 | 8 | bytes of the sparse index |
//! | 24 | 8 | offset of the filter |
//! | 32 | 8 | bytes of the filter; 0 for none |
//! | 40 | 4 | CRC-32 of the sparse index |
//! | 44 | 16 | zeros |
//! | 60 | 4 | CRC-32 of bytes 0..60 of the footer |

pub mod cursor;
#[cfg(test)]
mod tests;
pub mod writer;

use crate::bytes::{get_u16, get_u32, get_u64, length, put};
use crate::disk::{Disk, DiskFile};
use crate::error::StorageError;
use crate::filter::{Filter, hash_key};
use cursor::{Page, RunCursor};
use std::path::Path;
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"FLORINRN";
const FOOTER_MAGIC: &[u8; 8] = b"FLORINRE";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 4096;
const HEADER_CHECKSUM_AT: usize = 4092;
const PAGE_BYTES: usize = 32 << 10;
const PAGE_NUMBER_AT: usize = PAGE_BYTES - 8;
const PAGE_CHECKSUM_AT: usize = PAGE_BYTES - 4;
const FOOTER_BYTES: usize = 64;
const FOOTER_CHECKSUM_AT: usize = 60;

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

/// The name of a run: `<family>-L<level>-<first>-<last>.run`, the sequences with 20 digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunName {
    /// Which index, such as `postings`; no `.` and no `/`.
    pub family: String,
    /// How often its rows were merged.
    pub level: u8,
    /// The sequences it covers.
    pub covers: Covers,
}

/// Which way a cursor goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the lowest key up.
    Forward,
    /// From the highest key down.
    Backward,
}

/// An open run; a clone shares the file.
#[derive(Clone, Debug)]
pub struct Run {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    file: DiskFile,
    kind: RowKind,
    covers: Covers,
    row_count: u64,
    rows_per_page: u64,
    /// The key of each page's first row, one after the other.
    first_keys: Vec<u8>,
    filter: Option<Filter>,
}

impl RowKind {
    fn is_valid(&self) -> bool {
        0 < self.key_size
            && self.filter_size <= self.key_size
            && self.key_size <= self.row_size
            && usize::from(self.row_size) <= PAGE_NUMBER_AT
    }

    fn rows_per_page(&self) -> u64 {
        (PAGE_NUMBER_AT / usize::from(self.row_size)) as u64
    }
}

impl RunName {
    /// The file's name.
    pub fn file_name(&self) -> String {
        format!("{}-L{}-{:020}-{:020}.run", self.family, self.level, self.covers.first, self.covers.last)
    }

    /// Reads a file's name; `None` for another kind of file.
    pub fn parse(file_name: &str) -> Option<RunName> {
        let mut parts = file_name.strip_suffix(".run")?.rsplitn(4, '-');
        let last = parts.next()?.parse().ok()?;
        let first = parts.next()?.parse().ok()?;
        let level = parts.next()?.strip_prefix('L')?.parse().ok()?;
        let name = RunName { family: parts.next()?.into(), level, covers: Covers { first, last } };
        (name.file_name() == file_name).then_some(name)
    }
}

/// The runs in a folder, by family, first sequence and level. What unfinished writes left aside is not listed; see
/// [`crate::folder::remove_asides`].
pub fn list_runs(disk: &Disk, folder: &Path) -> Result<Vec<RunName>, StorageError> {
    let mut names: Vec<RunName> = disk.list(folder)?.iter().filter_map(|name| RunName::parse(name)).collect();
    names.sort_by(|a, b| (&a.family, a.covers.first, a.level).cmp(&(&b.family, b.covers.first, b.level)));
    Ok(names)
}

impl Run {
    /// Opens a run, verifies its ends and loads its sparse index and filter.
    pub fn open(disk: &Disk, path: &Path) -> Result<Run, StorageError> {
        let corrupt = |offset: u64, what| StorageError::corrupt(path, offset, what);
        let file = disk.open_to_read(path)?;
        let mut header = vec![0; HEADER_BYTES];
        file.read_exact_at(&mut header, 0)?;
        if &header[..8] != MAGIC {
            return Err(corrupt(0, "not a run: the magic bytes are missing"));
        }
        let found = get_u32(&header, 8);
        if VERSION < found {
            return Err(StorageError::NewerFormat { path: path.into(), found, known: VERSION });
        }
        let kind = RowKind {
            kind: get_u16(&header, 12),
            row_size: get_u16(&header, 14),
            key_size: get_u16(&header, 16),
            filter_size: get_u16(&header, 18),
        };
        let checksum = crc32fast::hash(&header[..HEADER_CHECKSUM_AT]);
        if checksum != get_u32(&header, HEADER_CHECKSUM_AT) || !kind.is_valid() {
            return Err(corrupt(0, "the header of the run does not match its checksum"));
        }
        let (row_count, rows_per_page) = (get_u64(&header, 24), kind.rows_per_page());
        let footer_at = file.len()?.saturating_sub(FOOTER_BYTES as u64);
        let mut footer = [0; FOOTER_BYTES];
        file.read_exact_at(&mut footer, footer_at)?;
        let footer = Footer::decode(&footer).ok_or_else(|| corrupt(footer_at, "the footer of the run is damaged"))?;
        let page_count = row_count.div_ceil(rows_per_page);
        if footer != Footer::new(page_count, kind, footer.filter_bytes, footer.index_checksum)
            || footer.filter_at + footer.filter_bytes != footer_at
        {
            return Err(corrupt(footer_at, "the parts of the run do not fit together"));
        }
        let mut first_keys = vec![0; length(footer.index_bytes)];
        file.read_exact_at(&mut first_keys, footer.index_at)?;
        if crc32fast::hash(&first_keys) != footer.index_checksum {
            return Err(corrupt(footer.index_at, "the sparse index does not match its checksum"));
        }
        let filter = read_filter(&file, &footer)?;
        let covers = Covers { first: get_u64(&header, 32), last: get_u64(&header, 40) };
        Ok(Run { shared: Arc::new(Shared { file, kind, covers, row_count, rows_per_page, first_keys, filter }) })
    }

    /// What its rows are.
    pub fn kind(&self) -> RowKind {
        self.shared.kind
    }

    /// The sequences it covers.
    pub fn covers(&self) -> Covers {
        self.shared.covers
    }

    /// How many rows it has.
    pub fn row_count(&self) -> u64 {
        self.shared.row_count
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.shared.file.path()
    }

    /// Bytes in memory: sparse index and filter.
    pub fn memory_bytes(&self) -> u64 {
        self.shared.first_keys.len() as u64 + self.shared.filter.as_ref().map_or(0, Filter::memory_bytes)
    }

    /// False only if no row's key begins with the first `filter_size` bytes of this key. True without a filter, and for a
    /// key shorter than the filter knows.
    pub fn may_contain(&self, key: &[u8]) -> bool {
        match (&self.shared.filter, key.get(..usize::from(self.shared.kind.filter_size))) {
            (Some(filter), Some(part)) => filter.may_contain(hash_key(part)),
            _ => true,
        }
    }

    /// [`Run::may_contain`] for many keys, given as the [`hash_key`] of their first `filter_size` bytes, so that many
    /// runs are asked with the same hashes: the places of those it may have.
    pub fn may_contain_hashes(&self, hashes: &[u64]) -> Vec<usize> {
        match &self.shared.filter {
            Some(filter) => filter.may_contain_many(hashes),
            None => (0..hashes.len()).collect(),
        }
    }

    /// The first row with this whole key.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        if !self.may_contain(key) {
            return Ok(None);
        }
        let mut page = Page::new();
        Ok(self.find(key, &mut page)?.map(<[u8]>::to_vec))
    }

    /// Looks up many keys, in any order, each page read once; `found(index of the key, row)` for each key that is there,
    /// in the order of the keys' bytes. On an error some may have been reported already: use none of them.
    pub fn get_many<K: AsRef<[u8]>>(
        &self,
        keys: &[K],
        mut found: impl FnMut(usize, &[u8]),
    ) -> Result<(), StorageError> {
        // All filter lines first: these reads of memory do not wait for each other.
        let mut candidates: Vec<usize> = (0..keys.len()).filter(|&i| self.may_contain(keys[i].as_ref())).collect();
        candidates.sort_unstable_by(|&a, &b| keys[a].as_ref().cmp(keys[b].as_ref()));
        let mut last_page = None;
        for &i in &candidates {
            let page = self.pages_before(|first_key| first_key < keys[i].as_ref()).saturating_sub(1);
            if last_page.replace(page) != Some(page) {
                self.shared.file.will_need(page_offset(page), PAGE_BYTES as u64);
            }
        }
        let mut page = Page::new();
        for i in candidates {
            if let Some(row) = self.find(keys[i].as_ref(), &mut page)? {
                found(i, row);
            }
        }
        Ok(())
    }

    /// Forward from the first row whose key is at least `key`, which may be a prefix.
    pub fn seek(&self, key: &[u8]) -> Result<RunCursor, StorageError> {
        self.between(key, &[], Direction::Forward)
    }

    /// The rows whose key begins with `prefix`; all of them for an empty one.
    pub fn range(&self, prefix: &[u8], direction: Direction) -> Result<RunCursor, StorageError> {
        self.between(prefix, prefix, direction)
    }

    /// The rows whose key is at least `lowest` and at most `highest`, each compared over its own length: so an empty one
    /// sets no bound, and a prefix as `highest` includes all keys that begin with it.
    pub fn between(&self, lowest: &[u8], highest: &[u8], direction: Direction) -> Result<RunCursor, StorageError> {
        let mut page = Page::new();
        let start = match lowest {
            [] => 0,
            _ => self.rows_before(|key| key[..lowest.len().min(key.len())] < *lowest, &mut page)?,
        };
        let end = match highest {
            [] => self.row_count(),
            _ => self.rows_before(|key| key[..highest.len().min(key.len())] <= *highest, &mut page)?,
        };
        Ok(RunCursor::new(self.clone(), page, start..end.max(start), direction))
    }

    fn find<'a>(&self, key: &[u8], page: &'a mut Page) -> Result<Option<&'a [u8]>, StorageError> {
        let row = self.rows_before(|row_key| row_key < key, page)?;
        if row == self.row_count() {
            return Ok(None);
        }
        let row_page = row / self.shared.rows_per_page;
        if row % self.shared.rows_per_page == 0 && self.first_key(row_page) != key {
            return Ok(None); // the sparse index tells, without reading the page
        }
        page.load(self, row_page)?;
        let row = page.row(self, row);
        Ok((&row[..usize::from(self.shared.kind.key_size)] == key).then_some(row))
    }

    /// How many rows lie before a place, given by what is true for the keys before it and false for the others.
    fn rows_before(&self, is_before: impl Fn(&[u8]) -> bool, page: &mut Page) -> Result<u64, StorageError> {
        let Some(last) = self.pages_before(&is_before).checked_sub(1) else { return Ok(0) };
        page.load(self, last)?;
        let (mut low, mut high) = page.rows();
        while low < high {
            let middle = low.midpoint(high);
            if is_before(&page.row(self, middle)[..usize::from(self.shared.kind.key_size)]) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// How many pages have a first key that lies before the place.
    fn pages_before(&self, is_before: impl Fn(&[u8]) -> bool) -> u64 {
        let (mut low, mut high) = (0, self.row_count().div_ceil(self.shared.rows_per_page));
        while low < high {
            let middle = low.midpoint(high);
            if is_before(self.first_key(middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn first_key(&self, page: u64) -> &[u8] {
        let key_size = usize::from(self.shared.kind.key_size);
        &self.shared.first_keys[length(page) * key_size..][..key_size]
    }
}

fn page_offset(page: u64) -> u64 {
    HEADER_BYTES as u64 + page * PAGE_BYTES as u64
}

fn read_filter(file: &DiskFile, footer: &Footer) -> Result<Option<Filter>, StorageError> {
    if footer.filter_bytes == 0 {
        return Ok(None);
    }
    let mut bytes = vec![0; length(footer.filter_bytes)];
    file.read_exact_at(&mut bytes, footer.filter_at)?;
    Filter::from_bytes(&bytes, file.path(), footer.filter_at).map(Some)
}

/// Where the parts behind the pages are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Footer {
    index_at: u64,
    index_bytes: u64,
    filter_at: u64,
    filter_bytes: u64,
    index_checksum: u32,
}

impl Footer {
    fn new(page_count: u64, kind: RowKind, filter_bytes: u64, index_checksum: u32) -> Footer {
        let (index_at, index_bytes) = (page_offset(page_count), page_count * u64::from(kind.key_size));
        Footer { index_at, index_bytes, filter_at: index_at + index_bytes, filter_bytes, index_checksum }
    }

    fn encode(&self) -> [u8; FOOTER_BYTES] {
        let mut bytes = [0; FOOTER_BYTES];
        put(&mut bytes, 0, FOOTER_MAGIC);
        put(&mut bytes, 8, &self.index_at.to_le_bytes());
        put(&mut bytes, 16, &self.index_bytes.to_le_bytes());
        put(&mut bytes, 24, &self.filter_at.to_le_bytes());
        put(&mut bytes, 32, &self.filter_bytes.to_le_bytes());
        put(&mut bytes, 40, &self.index_checksum.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..FOOTER_CHECKSUM_AT]);
        put(&mut bytes, FOOTER_CHECKSUM_AT, &checksum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; FOOTER_BYTES]) -> Option<Footer> {
        let is_whole = &bytes[..8] == FOOTER_MAGIC
            && crc32fast::hash(&bytes[..FOOTER_CHECKSUM_AT]) == get_u32(bytes, FOOTER_CHECKSUM_AT);
        is_whole.then(|| Footer {
            index_at: get_u64(bytes, 8),
            index_bytes: get_u64(bytes, 16),
            filter_at: get_u64(bytes, 24),
            filter_bytes: get_u64(bytes, 32),
            index_checksum: get_u32(bytes, 40),
        })
    }
}
