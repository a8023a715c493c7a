//! Reads one checkpoint, section by section.

use crate::bytes::{get_u32, get_u64, length};
use crate::checkpoint::{
    CheckpointHead, ENTRY_BYTES, FOOTER_BYTES, FOOTER_CHECKSUM_AT, FOOTER_MAGIC, HEADER_BYTES, STEP_BYTES, Section,
};
use crate::disk::{Disk, DiskFile};
use crate::error::StorageError;
use std::path::Path;

/// Reads one checkpoint.
#[derive(Debug)]
pub struct CheckpointReader {
    file: DiskFile,
    head: CheckpointHead,
    sections: Vec<Section>,
}

/// Streams one section; its checksum is compared when its last byte is read.
#[derive(Debug)]
pub struct SectionReader<'a> {
    file: &'a DiskFile,
    section: Section,
    checksum: crc32fast::Hasher,
    /// Bytes read from the file so far.
    fetched: u64,
    buffer: Vec<u8>,
    used: usize,
}

impl CheckpointReader {
    /// Opens a checkpoint: head and table of sections are verified, the sections not yet.
    pub fn open(disk: &Disk, path: &Path) -> Result<CheckpointReader, StorageError> {
        let file = disk.open_to_read(path)?;
        let mut header = [0; HEADER_BYTES];
        file.read_exact_at(&mut header, 0)?;
        let head = CheckpointHead::decode(&header, path)?;
        let footer_at = file.len()?.saturating_sub(FOOTER_BYTES as u64);
        let mut footer = [0; FOOTER_BYTES];
        file.read_exact_at(&mut footer, footer_at)?;
        let damaged = || StorageError::corrupt(path, footer_at, "the table of sections does not match its checksum");
        let (table_at, count) = (get_u64(&footer, 8), u64::from(get_u32(&footer, 16)));
        let table_bytes = footer_at.checked_sub(table_at).filter(|&bytes| bytes == count * ENTRY_BYTES as u64);
        let mut table = vec![0; length(table_bytes.ok_or_else(damaged)?)];
        file.read_exact_at(&mut table, table_at)?;
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(&header);
        checksum.update(&table);
        checksum.update(&footer[..FOOTER_CHECKSUM_AT]);
        if &footer[..8] != FOOTER_MAGIC || checksum.finalize() != get_u32(&footer, FOOTER_CHECKSUM_AT) {
            return Err(damaged());
        }
        Ok(CheckpointReader { file, head, sections: table.chunks(ENTRY_BYTES).map(Section::decode).collect() })
    }

    /// The block boundary.
    pub fn head(&self) -> &CheckpointHead {
        &self.head
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The tags in the order written.
    pub fn tags(&self) -> impl Iterator<Item = u16> {
        self.sections.iter().map(|section| section.tag)
    }

    /// A section as a stream; `None` if it was not written.
    pub fn section(&self, tag: u16) -> Option<SectionReader<'_>> {
        let section = *self.sections.iter().find(|section| section.tag == tag)?;
        let checksum = crc32fast::Hasher::new();
        Some(SectionReader { file: &self.file, section, checksum, fetched: 0, buffer: Vec::new(), used: 0 })
    }

    /// Reads every section once and compares the checksums.
    pub fn verify(&self) -> Result<(), StorageError> {
        for mut section in self.sections.iter().filter_map(|section| self.section(section.tag)) {
            section.fetch()?;
            while 0 < section.remaining() {
                section.used = section.buffer.len();
                section.fetch()?;
            }
        }
        Ok(())
    }
}

impl SectionReader<'_> {
    /// Bytes not yet read.
    pub fn remaining(&self) -> u64 {
        self.section.length - self.fetched + (self.buffer.len() - self.used) as u64
    }

    /// Fills the buffer; a section that ends before is damage. With the last byte of the section the checksum is compared;
    /// what was read before that is not yet vouched for, unless the whole was verified before (as
    /// [`super::newest_good`] does).
    pub fn read_exact(&mut self, buffer: &mut [u8]) -> Result<(), StorageError> {
        let mut filled = 0;
        while filled < buffer.len() {
            if self.used == self.buffer.len() {
                if self.fetched == self.section.length {
                    return Err(self.corrupt("the section ends too early"));
                }
                self.fetch()?;
            }
            let step = (buffer.len() - filled).min(self.buffer.len() - self.used);
            buffer[filled..filled + step].copy_from_slice(&self.buffer[self.used..self.used + step]);
            self.used += step;
            filled += step;
        }
        Ok(())
    }

    /// Replaces the buffer by the next bytes of the section. Comparing the checksum when the last ones come in.
    fn fetch(&mut self) -> Result<(), StorageError> {
        let step = (self.section.length - self.fetched).min(STEP_BYTES as u64);
        self.buffer.resize(length(step), 0);
        self.used = 0;
        self.file.read_exact_at(&mut self.buffer, self.section.offset + self.fetched)?;
        self.checksum.update(&self.buffer);
        self.fetched += step;
        if self.fetched == self.section.length && self.checksum.clone().finalize() != self.section.checksum {
            return Err(self.corrupt("the section does not match its checksum"));
        }
        Ok(())
    }

    fn corrupt(&self, what: &'static str) -> StorageError {
        StorageError::corrupt(self.file.path(), self.section.offset, what)
    }
}
