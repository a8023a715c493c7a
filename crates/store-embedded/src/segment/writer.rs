//! Appends blocks to the journal of one shard.
//!
//! Promises: a block is written with one call behind the block before; it is durable after [`SegmentWriter::sync`].
//! A block that does not fit goes into the next segment, whose header is synced, named and its folder synced first.
//! After the first failure nothing more is written: every call answers [`StorageError::Poisoned`].

use crate::bytes::length;
use crate::disk::{Disk, DiskFile};
use crate::error::StorageError;
use crate::segment::recovery::CopiedSegment;
use crate::segment::room::{Reservation, SegmentRoom};
use crate::segment::{
    BLOCK_HEADER_BYTES, BlockBuffer, BlockLocation, ChainPoint, JournalOptions, SEGMENT_HEADER_BYTES, SegmentHeader,
    list_segments, prepared_path, segment_path,
};

/// Appends blocks to the journal of one shard.
#[derive(Debug)]
pub struct SegmentWriter {
    disk: Disk,
    room: SegmentRoom,
    file: DiskFile,
    segment: u64,
    offset: u64,
    capacity: u64,
    chain: ChainPoint,
    synced: bool,
    failed: bool,
}

impl SegmentWriter {
    /// Begins an empty journal with segment 1. The folder has no segments yet.
    pub fn create(disk: &Disk, options: JournalOptions, start: ChainPoint) -> Result<SegmentWriter, StorageError> {
        if let Some(&segment) = list_segments(disk, &options.folder)?.first() {
            let path = segment_path(&options.folder, segment);
            return Err(StorageError::corrupt(&path, 0, "a new journal was to begin but has segments already"));
        }
        let room = SegmentRoom::new(disk, options, 0, 0);
        room.prepare_next()?;
        let file = open_next(disk, &room, 1, start)?;
        Ok(SegmentWriter::new(disk, room, file, 1, start))
    }

    /// Goes on behind the valid blocks that [`super::recovery::copy_valid_blocks`] has made durable.
    pub fn resume(disk: &Disk, options: JournalOptions, end: &CopiedSegment) -> Result<SegmentWriter, StorageError> {
        let file = disk.open(&segment_path(&options.folder, end.segment))?;
        let capacity = file.len()?;
        let room = SegmentRoom::new(disk, options, end.segment, capacity.saturating_sub(end.offset));
        let mut writer = SegmentWriter::new(disk, room, file, end.segment, end.end);
        (writer.offset, writer.capacity) = (end.offset, capacity);
        Ok(writer)
    }

    fn new(disk: &Disk, room: SegmentRoom, file: DiskFile, segment: u64, chain: ChainPoint) -> SegmentWriter {
        let (offset, capacity) = (SEGMENT_HEADER_BYTES, room.options().segment_bytes);
        SegmentWriter { disk: disk.clone(), room, file, segment, offset, capacity, chain, synced: true, failed: false }
    }

    /// The handle that promises room.
    pub fn room(&self) -> SegmentRoom {
        self.room.clone()
    }

    /// Hashes and writes a block, rolling over to the next segment if it does not fit. The block continues the one
    /// before ([`Self::chain_point`]), and the reservation was made for at least its size.
    pub fn append(
        &mut self,
        mut reservation: Reservation,
        first_sequence: u64,
        entry_count: u32,
        block: &mut BlockBuffer,
    ) -> Result<BlockLocation, StorageError> {
        let bytes = block.block_bytes();
        assert!(bytes <= reservation.bytes(), "a block of {bytes} bytes exceeds its reservation");
        assert!(
            first_sequence == self.chain.next_sequence,
            "block {first_sequence} does not continue {:?}",
            self.chain
        );
        assert!(0 < entry_count, "a block holds entries");
        self.guard(|writer| writer.roll_over_for(bytes))?;
        let payload_bytes = block.payload().len();
        let hash = block.seal(self.chain, entry_count)?;
        let written = self.guard(|writer| {
            writer.synced = false;
            writer.file.write_all_at(&block.bytes[..length(bytes)], writer.offset)
        });
        block.bytes.truncate(BLOCK_HEADER_BYTES + payload_bytes);
        written?;
        let location = BlockLocation { segment: self.segment, offset: self.offset, length: bytes };
        self.offset += bytes;
        self.chain = ChainPoint { hash, next_sequence: first_sequence + u64::from(entry_count) };
        self.room.appended(&mut reservation, bytes);
        Ok(location)
    }

    /// Makes the blocks appended so far durable.
    pub fn sync(&mut self) -> Result<(), StorageError> {
        self.guard(|writer| {
            writer.file.sync_data()?;
            writer.synced = true;
            Ok(())
        })
    }

    /// What the next block will continue.
    pub fn chain_point(&self) -> ChainPoint {
        self.chain
    }

    fn roll_over_for(&mut self, bytes: u64) -> Result<(), StorageError> {
        if self.offset + bytes <= self.capacity {
            return Ok(());
        }
        if !self.synced {
            self.file.sync_data()?;
        }
        self.file = open_next(&self.disk, &self.room, self.segment + 1, self.chain)?;
        self.segment += 1;
        (self.offset, self.capacity) = (SEGMENT_HEADER_BYTES, self.room.options().segment_bytes);
        self.synced = true;
        Ok(())
    }

    fn guard<T>(&mut self, step: impl FnOnce(&mut Self) -> Result<T, StorageError>) -> Result<T, StorageError> {
        if self.failed {
            return Err(StorageError::Poisoned { path: self.file.path().into() });
        }
        let result = step(self);
        self.failed = result.is_err();
        result
    }
}

/// Turns the prepared file into a segment: header, sync, name, sync of the folder.
fn open_next(disk: &Disk, room: &SegmentRoom, segment: u64, start: ChainPoint) -> Result<DiskFile, StorageError> {
    let options = room.options();
    let (from, to) = (prepared_path(&options.folder, segment), segment_path(&options.folder, segment));
    // A reservation implies that the segment is prepared, see `room`.
    let file = room.take_prepared().ok_or_else(|| StorageError::Poisoned { path: from.clone() })?;
    file.write_all_at(&SegmentHeader { shard: options.shard, segment, start }.encode(), 0)?;
    file.sync_data()?;
    drop(file);
    disk.rename(&from, &to)?;
    disk.sync_folder(&options.folder)?;
    disk.open(&to)
}
