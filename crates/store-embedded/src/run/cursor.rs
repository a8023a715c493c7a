//! Goes over the rows of a run, a page at a time.

use crate::bytes::{get_u32, length};
use crate::error::StorageError;
use crate::run::{Direction, PAGE_BYTES, PAGE_CHECKSUM_AT, PAGE_NUMBER_AT, Run, page_offset};
use std::ops::Range;

/// Goes over rows of one run. It owns its share of the file, so the run may be replaced and removed meanwhile.
#[derive(Debug)]
pub struct RunCursor {
    run: Run,
    page: Page,
    left: Range<u64>,
    direction: Direction,
}

impl RunCursor {
    pub(super) fn new(run: Run, page: Page, left: Range<u64>, direction: Direction) -> RunCursor {
        RunCursor { run, page, left, direction }
    }

    /// The next row; `None` at the end. A failed read or checksum is an error, never an end; the cursor then stays.
    pub fn next_row(&mut self) -> Result<Option<&[u8]>, StorageError> {
        if self.left.is_empty() {
            return Ok(None);
        }
        let row = match self.direction {
            Direction::Forward => self.left.start,
            Direction::Backward => self.left.end - 1,
        };
        if !self.page.has(row) {
            self.page.load(&self.run, row / self.run.shared.rows_per_page)?;
        }
        match self.direction {
            Direction::Forward => self.left.start += 1,
            Direction::Backward => self.left.end -= 1,
        }
        Ok(Some(self.page.row(&self.run, row)))
    }

    /// How many rows are left.
    pub fn rows_left(&self) -> u64 {
        self.left.end - self.left.start
    }
}

/// A page in memory, its checksum verified; at first none.
#[derive(Debug)]
pub(super) struct Page {
    bytes: Vec<u8>,
    rows: Range<u64>,
}

impl Page {
    pub(super) fn new() -> Page {
        Page { bytes: Vec::new(), rows: 0..0 }
    }

    fn has(&self, row: u64) -> bool {
        self.rows.contains(&row)
    }

    /// The first row of the page and the one behind its last.
    pub(super) fn rows(&self) -> (u64, u64) {
        (self.rows.start, self.rows.end)
    }

    /// Reads a page, unless it is the one in memory.
    pub(super) fn load(&mut self, run: &Run, page: u64) -> Result<(), StorageError> {
        let start = page * run.shared.rows_per_page;
        if self.has(start) {
            return Ok(());
        }
        self.rows = 0..0;
        self.bytes.resize(PAGE_BYTES, 0);
        run.shared.file.read_exact_at(&mut self.bytes, page_offset(page))?;
        let checksum = crc32fast::hash(&self.bytes[..PAGE_CHECKSUM_AT]);
        let is_right = checksum == get_u32(&self.bytes, PAGE_CHECKSUM_AT)
            && u64::from(get_u32(&self.bytes, PAGE_NUMBER_AT)) == page & u64::from(u32::MAX);
        if !is_right {
            return Err(StorageError::corrupt(run.path(), page_offset(page), "the page does not match its checksum"));
        }
        self.rows = start..run.row_count().min(start + run.shared.rows_per_page);
        Ok(())
    }

    /// A row of the page in memory.
    pub(super) fn row(&self, run: &Run, row: u64) -> &[u8] {
        let row_size = usize::from(run.shared.kind.row_size);
        &self.bytes[length(row - self.rows.start) * row_size..][..row_size]
    }
}
