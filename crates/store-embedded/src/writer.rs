//! The writer: encodes a block, hashes it, writes it and waits for the disk. While it waits, the sequencer applies the
//! next one. The first failure ends the shard: what is on disk is then unknown, and trying again proves nothing.

use crate::error::StorageError;
use crate::health::Health;
use crate::payload;
use crate::segment::room::SegmentRoom;
use crate::segment::writer::SegmentWriter;
use crate::segment::{BlockBuffer, BlockHeader};
use crate::sequencer::Work;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender};
use std::time::Instant;

/// A block that is durable, or nothing that had to be.
#[derive(Debug)]
pub struct Durable {
    /// What was asked.
    pub work: Work,
    /// Where it is; `None` if it had no entries.
    pub header: Option<BlockHeader>,
}

/// See the module.
#[derive(Debug)]
pub struct Writer {
    /// The journal.
    pub segments: SegmentWriter,
    /// Its room.
    pub room: SegmentRoom,
    /// What comes in.
    pub works: Receiver<Work>,
    /// Where durable blocks go.
    pub publisher: Sender<Durable>,
    /// The shard's health.
    pub health: Arc<Health>,
    /// Told when it is time to prepare the next segment.
    pub prepare: SyncSender<()>,
    /// Bytes of a segment after which the next one is prepared.
    pub half_full: u64,
}

impl Writer {
    /// Runs until the sequencer ends, and hands the journal back.
    pub fn run(mut self) {
        let mut buffer = BlockBuffer::new();
        while let Ok(mut work) = self.works.recv() {
            if self.health.poisoned().is_some() {
                continue; // whoever waits hears that the shard is gone, because the reply is dropped
            }
            match self.write(&mut work, &mut buffer) {
                Ok(header) => {
                    if self.publisher.send(Durable { work, header }).is_err() {
                        return;
                    }
                }
                Err(error) => self.health.poison(chain(&error)),
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "measures how long the disk takes, which decides nothing")]
    fn write(&mut self, work: &mut Work, buffer: &mut BlockBuffer) -> Result<Option<BlockHeader>, StorageError> {
        let Some(reservation) = work.reservation.take().filter(|_| !work.entries.is_empty()) else { return Ok(None) };
        buffer.clear();
        payload::encode(&work.entries, work.ids_before, buffer.payload_mut());
        let first_sequence = work.entries[0].header.sequence;
        let entry_count = u32::try_from(work.entries.len()).unwrap_or(u32::MAX);
        let location = self.segments.append(reservation, first_sequence, entry_count, buffer)?;
        let begun = Instant::now();
        self.segments.sync()?;
        let sync_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.health.observe_block(u64::from(entry_count), sync_us);
        if self.half_full < location.offset + location.length && !self.room.is_prepared() {
            let _busy = self.prepare.try_send(());
        }
        Ok(Some(BlockHeader { location, first_sequence, entry_count, hash: self.segments.chain_point().hash }))
    }
}

/// An error with its causes, on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
