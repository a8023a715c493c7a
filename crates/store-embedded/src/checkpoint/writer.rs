//! Writes one checkpoint aside, section by section.

use crate::aside::AsideFile;
use crate::checkpoint::{CheckpointHead, FOOTER_MAGIC, HEADER_BYTES, STEP_BYTES, Section, checkpoint_path};
use crate::disk::Disk;
use crate::error::StorageError;
use std::path::{Path, PathBuf};

/// Writes one checkpoint. Dropped before [`CheckpointWriter::finish`], it leaves nothing.
#[derive(Debug)]
pub struct CheckpointWriter {
    aside: AsideFile,
    header: [u8; HEADER_BYTES],
    sections: Vec<Section>,
    checksum: crc32fast::Hasher,
    buffer: Vec<u8>,
    written_to: u64,
}

impl CheckpointWriter {
    /// Starts a checkpoint in the folder.
    pub fn begin(disk: &Disk, folder: &Path, head: CheckpointHead) -> Result<CheckpointWriter, StorageError> {
        let aside = AsideFile::create(disk, &checkpoint_path(folder, head.sequence))?;
        let (header, mut buffer) = (head.encode(), Vec::with_capacity(2 * STEP_BYTES));
        buffer.extend_from_slice(&header);
        let (sections, checksum) = (Vec::new(), crc32fast::Hasher::new());
        Ok(CheckpointWriter { aside, header, sections, checksum, buffer, written_to: 0 })
    }

    /// Ends the section before and begins another. A tag is used once: twice is a panic.
    pub fn section(&mut self, tag: u16) {
        assert!(self.sections.iter().all(|section| section.tag != tag), "section {tag} begun twice");
        self.end_section();
        self.sections.push(Section { tag, checksum: 0, offset: self.offset(), length: 0 });
    }

    /// Adds bytes to the section begun last.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        assert!(!self.sections.is_empty(), "bytes outside a section");
        self.checksum.update(bytes);
        self.buffer.extend_from_slice(bytes);
        if STEP_BYTES <= self.buffer.len() { self.write_out() } else { Ok(()) }
    }

    /// Syncs, names it, syncs the folder. Without this the checkpoint never existed.
    pub fn finish(mut self) -> Result<PathBuf, StorageError> {
        self.end_section();
        let table: Vec<u8> = self.sections.iter().flat_map(Section::encode).collect();
        let mut footer = FOOTER_MAGIC.to_vec();
        footer.extend_from_slice(&self.offset().to_le_bytes());
        // Tags are 16 bits and used once, so the number fits.
        footer.extend_from_slice(&(self.sections.len() as u64).to_le_bytes()[..4]);
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(&self.header);
        checksum.update(&table);
        checksum.update(&footer);
        footer.extend_from_slice(&checksum.finalize().to_le_bytes());
        self.buffer.extend_from_slice(&table);
        self.buffer.extend_from_slice(&footer);
        self.write_out()?;
        let path = self.aside.path().to_owned();
        self.aside.publish()?;
        Ok(path)
    }

    fn end_section(&mut self) {
        let (offset, checksum) = (self.offset(), std::mem::take(&mut self.checksum).finalize());
        if let Some(section) = self.sections.last_mut() {
            section.length = offset - section.offset;
            section.checksum = checksum;
        }
    }

    fn offset(&self) -> u64 {
        self.written_to + self.buffer.len() as u64
    }

    fn write_out(&mut self) -> Result<(), StorageError> {
        self.aside.file().write_all_at(&self.buffer, self.written_to)?;
        self.written_to += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}
