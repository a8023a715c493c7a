//! The indexer: turns frozen tails into runs, off the way of a commit. A second thread merges runs, so that a long merge
//! never keeps a tail in memory.

use crate::disk::Disk;
use crate::error::StorageError;
use crate::health::Health;
use crate::index::{Family, Rows, Runs, merge_once, run_path};
use crate::published::Published;
use crate::run::writer::RunWriter;
use crate::run::{Covers, Run};
use crate::tail::Tail;
use crate::writer::chain;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

/// How long to wait before looking again whether there is room on the disk.
const ROOM_RETRY: Duration = Duration::from_millis(500);

/// What indexer and merger work with.
#[derive(Clone, Debug)]
pub struct Indexing {
    /// The disk.
    pub disk: Disk,
    /// The shard's `runs` folder.
    pub folder: PathBuf,
    /// What readers see.
    pub published: Arc<Published>,
    /// The shard's health.
    pub health: Arc<Health>,
    /// Bytes on the disk that are left to the journal.
    pub reserve_bytes: u64,
}

/// Turns tails into runs until the publisher ends. Without room on the disk they wait, and so does this thread.
pub fn run_indexer(indexing: &Indexing, tails: &Receiver<Arc<Tail>>, merger: &SyncSender<()>) {
    let mut waiting: VecDeque<Arc<Tail>> = VecDeque::new();
    loop {
        let received = if waiting.is_empty() {
            tails.recv().map_err(RecvTimeoutError::from)
        } else {
            tails.recv_timeout(ROOM_RETRY)
        };
        match received {
            Ok(tail) => waiting.push_back(tail),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return, // what is left the journal has
        }
        while let Some(tail) = waiting.front() {
            match indexing.index(tail) {
                Ok(()) => drop(waiting.pop_front()),
                Err(StorageError::NoSpace { .. }) => break,
                Err(error) => {
                    indexing.health.poison(format!("the index cannot be written: {}", chain(&error)));
                    return;
                }
            }
        }
        indexing.health.index_waits_for_room.store(!waiting.is_empty(), Ordering::Relaxed);
        let _busy = merger.try_send(());
    }
}

/// Merges runs whenever it is nudged, until the indexer ends.
pub fn run_merger(indexing: &Indexing, nudges: &Receiver<()>) {
    while nudges.recv().is_ok() {
        for family in Family::ALL {
            match indexing.merge_all(family) {
                // Merging is a matter of speed: without room it waits for the next nudge.
                Ok(()) | Err(StorageError::NoSpace { .. }) => {}
                Err(error) => {
                    indexing.health.poison(format!("the index cannot be merged: {}", chain(&error)));
                    return;
                }
            }
        }
    }
}

impl Indexing {
    fn index(&self, tail: &Arc<Tail>) -> Result<(), StorageError> {
        let bytes = tail.len() * 128;
        self.ensure_room(bytes)?;
        let covers = Covers { first: tail.first, last: tail.last };
        let runs = write_runs(&self.disk, &self.folder, covers, &tail.sorted())?;
        self.published.replace_runs(|before: &Runs| before.with(runs, covers.last));
        self.published.state_mut().tails.frozen.retain(|frozen| !Arc::ptr_eq(frozen, tail));
        self.health.frozen_tails.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }

    fn merge_all(&self, family: Family) -> Result<(), StorageError> {
        loop {
            let runs = self.published.runs();
            let bytes = runs.of(family).iter().map(|run| run.row_count() * u64::from(run.kind().row_size)).sum::<u64>();
            self.ensure_room(bytes)?;
            let Some((merged, replaced)) = merge_once(&self.disk, &self.folder, family, runs.of(family))? else {
                return Ok(());
            };
            self.published.replace_runs(|before| before.merged(family, merged));
            for path in replaced {
                self.disk.remove(&path)?;
            }
        }
    }

    fn ensure_room(&self, bytes: u64) -> Result<(), StorageError> {
        if self.disk.free_bytes(&self.folder)? < bytes + self.reserve_bytes {
            return Err(StorageError::NoSpace { path: self.folder.clone() });
        }
        Ok(())
    }
}

/// Writes one run of each family.
///
/// # Errors
/// A failed write. What was written already is written again the next time.
pub fn write_runs(
    disk: &Disk,
    folder: &std::path::Path,
    covers: Covers,
    rows: &Rows,
) -> Result<Vec<Run>, StorageError> {
    let path = |family| run_path(folder, family, 0, covers);
    let pair = |row: &(u64, u64)| {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&row.0.to_be_bytes());
        bytes[8..].copy_from_slice(&row.1.to_be_bytes());
        bytes
    };
    let wide = |row: &(u128, u64)| {
        let mut bytes = [0; 24];
        bytes[..16].copy_from_slice(&row.0.to_be_bytes());
        bytes[16..].copy_from_slice(&row.1.to_be_bytes());
        bytes
    };
    let create = |family: Family, rows: &mut dyn ExactSizeIterator<Item = &(u128, u64)>| {
        RunWriter::create(disk, &path(family), family.kind(), covers, rows.map(wide))
    };
    Ok(vec![
        RunWriter::create(
            disk,
            &path(Family::Postings),
            Family::Postings.kind(),
            covers,
            rows.postings.iter().map(pair),
        )?,
        create(Family::Keys, &mut rows.keys.iter())?,
        create(Family::Notes, &mut rows.notes.iter())?,
        RunWriter::create(
            disk,
            &path(Family::Dated),
            Family::Dated.kind(),
            covers,
            rows.dated.iter().map(|row| row.encode()),
        )?,
        RunWriter::create(disk, &path(Family::Steps), Family::Steps.kind(), covers, rows.steps.iter().map(pair))?,
    ])
}
