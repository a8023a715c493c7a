//! Writes a run: pages in large steps, then sparse index, filter and footer, the header last.

use crate::aside::AsideFile;
use crate::bytes::{length, put};
use crate::disk::Disk;
use crate::error::StorageError;
use crate::filter::{FilterBuilder, hash_key};
use crate::run::{
    Covers, Footer, HEADER_BYTES, HEADER_CHECKSUM_AT, MAGIC, PAGE_BYTES, PAGE_CHECKSUM_AT, PAGE_NUMBER_AT, RowKind,
    Run, VERSION,
};
use std::path::Path;

/// Pages are written together in steps of this size.
const WRITE_BYTES: usize = 1 << 20;

/// Writes one run, a row at a time in order. Dropped before [`RunWriter::finish`], it leaves nothing.
#[derive(Debug)]
pub struct RunWriter {
    disk: Disk,
    aside: AsideFile,
    kind: RowKind,
    covers: Covers,
    row_count: u64,
    rows_per_page: u64,
    page_count: u64,
    /// Rows in the page that `pages` ends with.
    page_rows: u64,
    /// Whole pages not yet written, and the one being filled.
    pages: Vec<u8>,
    written_to: u64,
    first_keys: Vec<u8>,
    last_key: Vec<u8>,
    filter: Option<FilterBuilder>,
}

impl RunWriter {
    /// Starts a run at `path` (see [`super::RunName`]); `rows_max` (an upper bound) gives the size of its filter.
    /// The kind is one of the program's own constants: an impossible one is a panic.
    pub fn begin(
        disk: &Disk,
        path: &Path,
        kind: RowKind,
        covers: Covers,
        rows_max: u64,
    ) -> Result<RunWriter, StorageError> {
        assert!(kind.is_valid(), "{kind:?} is no kind of row");
        Ok(RunWriter {
            disk: disk.clone(),
            aside: AsideFile::create(disk, path)?,
            kind,
            covers,
            row_count: 0,
            rows_per_page: kind.rows_per_page(),
            page_count: 0,
            page_rows: 0,
            pages: Vec::with_capacity(WRITE_BYTES + PAGE_BYTES),
            written_to: HEADER_BYTES as u64,
            first_keys: Vec::new(),
            last_key: vec![0; usize::from(kind.key_size)],
            filter: (kind.filter_size > 0).then(|| FilterBuilder::new(rows_max)),
        })
    }

    /// Writes a whole run.
    pub fn create<R: AsRef<[u8]>>(
        disk: &Disk,
        path: &Path,
        kind: RowKind,
        covers: Covers,
        rows: impl ExactSizeIterator<Item = R>,
    ) -> Result<Run, StorageError> {
        let mut writer = RunWriter::begin(disk, path, kind, covers, rows.len() as u64)?;
        for row in rows {
            writer.push(row.as_ref())?;
        }
        writer.finish()
    }

    /// Adds a row, whose key is at least that of the row before: an unsorted run would lose rows, so it is a panic.
    #[inline]
    pub fn push(&mut self, row: &[u8]) -> Result<(), StorageError> {
        let key_size = usize::from(self.kind.key_size);
        assert!(row.len() == usize::from(self.kind.row_size), "a row of another kind");
        let key = &row[..key_size];
        if self.page_rows == self.rows_per_page {
            self.end_page()?;
        }
        if self.page_rows == 0 {
            assert!(self.last_key.as_slice() <= key, "rows out of order");
            self.first_keys.extend_from_slice(key);
        } else {
            assert!(&self.pages[self.pages.len() - row.len()..][..key_size] <= key, "rows out of order");
        }
        if let Some(filter) = &mut self.filter {
            filter.add(hash_key(&key[..usize::from(self.kind.filter_size)]));
        }
        self.pages.extend_from_slice(row);
        self.page_rows += 1;
        self.row_count += 1;
        Ok(())
    }

    /// Syncs the file, names it, syncs the folder and opens it.
    pub fn finish(mut self) -> Result<Run, StorageError> {
        if 0 < self.page_rows {
            self.end_page()?;
        }
        let filter = self.filter.take().map(|filter| filter.finish().to_bytes()).unwrap_or_default();
        let checksum = crc32fast::hash(&self.first_keys);
        let footer = Footer::new(self.page_count, self.kind, filter.len() as u64, checksum);
        self.pages.extend_from_slice(&self.first_keys);
        self.pages.extend_from_slice(&filter);
        self.pages.extend_from_slice(&footer.encode());
        self.write_out()?;
        self.aside.file().write_all_at(&self.header(), 0)?;
        let path = self.aside.path().to_owned();
        self.aside.publish()?;
        Run::open(&self.disk, &path)
    }

    fn end_page(&mut self) -> Result<(), StorageError> {
        let row_size = usize::from(self.kind.row_size);
        let start = self.pages.len() - length(self.page_rows) * row_size;
        let last_row = self.pages.len() - row_size;
        self.last_key.copy_from_slice(&self.pages[last_row..][..usize::from(self.kind.key_size)]);
        self.pages.resize(start + PAGE_BYTES, 0);
        let page = &mut self.pages[start..];
        put(page, PAGE_NUMBER_AT, &self.page_count.to_le_bytes()[..4]);
        let checksum = crc32fast::hash(&page[..PAGE_CHECKSUM_AT]);
        put(page, PAGE_CHECKSUM_AT, &checksum.to_le_bytes());
        self.page_count += 1;
        self.page_rows = 0;
        if WRITE_BYTES <= self.pages.len() { self.write_out() } else { Ok(()) }
    }

    fn write_out(&mut self) -> Result<(), StorageError> {
        self.aside.file().write_all_at(&self.pages, self.written_to)?;
        self.written_to += self.pages.len() as u64;
        self.pages.clear();
        Ok(())
    }

    fn header(&self) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        put(&mut bytes, 0, MAGIC);
        put(&mut bytes, 8, &VERSION.to_le_bytes());
        put(&mut bytes, 12, &self.kind.kind.to_le_bytes());
        put(&mut bytes, 14, &self.kind.row_size.to_le_bytes());
        put(&mut bytes, 16, &self.kind.key_size.to_le_bytes());
        put(&mut bytes, 18, &self.kind.filter_size.to_le_bytes());
        put(&mut bytes, 20, &32_768_u32.to_le_bytes());
        put(&mut bytes, 24, &self.row_count.to_le_bytes());
        put(&mut bytes, 32, &self.covers.first.to_le_bytes());
        put(&mut bytes, 40, &self.covers.last.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..HEADER_CHECKSUM_AT]);
        put(&mut bytes, HEADER_CHECKSUM_AT, &checksum.to_le_bytes());
        bytes
    }
}
