//! Room for blocks, promised before a batch is applied, so that a full disk is a clean "try again later".
//!
//! Promise: every reservation fits either behind the blocks and earlier reservations of the current segment, or the next
//! segment is prepared and all reservations together fit into it. So a block whose room is reserved never meets a full disk.

use crate::disk::{Disk, DiskFile};
use crate::error::StorageError;
use crate::segment::{JournalOptions, SEGMENT_HEADER_BYTES, prepared_path};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Promises room for blocks; shared between the thread that applies batches, the one that writes them and one in the
/// background that prepares segments ahead.
#[derive(Clone, Debug)]
pub struct SegmentRoom {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    disk: Disk,
    options: JournalOptions,
    state: Mutex<State>,
    /// Held while a segment is filled with zeros, so that the state stays free meanwhile.
    preparing: Mutex<()>,
}

#[derive(Debug)]
struct State {
    segment: u64,
    free_bytes: u64,
    reserved_bytes: u64,
    prepared: Option<DiskFile>,
}

/// Room promised for one block; given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    room: SegmentRoom,
    bytes: u64,
}

impl SegmentRoom {
    pub(super) fn new(disk: &Disk, options: JournalOptions, segment: u64, free_bytes: u64) -> SegmentRoom {
        let state = Mutex::new(State { segment, free_bytes, reserved_bytes: 0, prepared: None });
        SegmentRoom { shared: Arc::new(Shared { disk: disk.clone(), options, state, preparing: Mutex::new(()) }) }
    }

    /// Promises room for one block of at most so many bytes ([`super::block_bytes`]), preparing a segment if none is
    /// ready. `NoSpace` leaves everything as it was: try again later. All reservations together are at most a segment.
    pub fn reserve(&self, bytes: u64) -> Result<Reservation, StorageError> {
        loop {
            let mut state = self.state();
            let reserved_bytes = state.reserved_bytes.saturating_add(bytes);
            let most = self.options().segment_bytes.saturating_sub(SEGMENT_HEADER_BYTES);
            if most < reserved_bytes {
                return Err(StorageError::TooLarge { asked: reserved_bytes, most });
            }
            if reserved_bytes <= state.free_bytes || state.prepared.is_some() {
                state.reserved_bytes = reserved_bytes;
                return Ok(Reservation { room: self.clone(), bytes });
            }
            drop(state);
            self.prepare_next()?;
        }
    }

    /// Prepares the next segment if none is ready: for a thread in the background, so that roll-over is cheap.
    pub fn prepare_next(&self) -> Result<(), StorageError> {
        let _preparing = self.shared.preparing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_prepared() {
            return Ok(());
        }
        // No roll-over can change the number meanwhile: it needs a prepared segment.
        let path = prepared_path(&self.options().folder, self.state().segment + 1);
        let disk = &self.shared.disk;
        if disk.exists(&path)? {
            disk.remove(&path)?;
        }
        let file = disk.create_new(&path)?;
        let filled = file.zero_fill(0, self.options().segment_bytes).and_then(|()| file.sync_data());
        if let Err(error) = filled {
            drop(file);
            disk.remove(&path)?; // gives the space back; if even this fails, the next attempt begins with it
            return Err(error);
        }
        self.state().prepared = Some(file);
        Ok(())
    }

    /// Whether the next segment is ready.
    pub fn is_prepared(&self) -> bool {
        self.state().prepared.is_some()
    }

    pub(super) fn options(&self) -> &JournalOptions {
        &self.shared.options
    }

    /// Takes the prepared segment, which is the current one from now on: in one step, so that whoever prepares ahead
    /// meanwhile prepares the one after it and never touches the file that is being opened.
    pub(super) fn take_prepared(&self) -> Option<DiskFile> {
        let mut state = self.state();
        let file = state.prepared.take()?;
        state.segment += 1;
        state.free_bytes = self.options().segment_bytes.saturating_sub(SEGMENT_HEADER_BYTES);
        Some(file)
    }

    pub(super) fn appended(&self, reservation: &mut Reservation, block_bytes: u64) {
        let mut state = self.state();
        state.free_bytes -= block_bytes;
        state.reserved_bytes -= std::mem::take(&mut reservation.bytes);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reservation {
    /// How many bytes are promised.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.room.state().reserved_bytes -= self.bytes;
    }
}
