//! What readers see: the state after the last durable block, and everything needed to find older entries.
//!
//! The rows are a second working set, fed by the rule book's `record` alone. So every block that is published has been
//! replayed, and a state that does not follow from the journal stops the shard at once instead of at the next start.

use crate::error::StorageError;
use crate::index::{Runs, SharedRuns};
use crate::journal::{BlockIndex, Chunk, JournalReader};
use crate::segment::{BlockLocation, ChainPoint};
use crate::tail::Tails;
use ledger::ids::{Sequence, TransferId};
use ledger::time::Timestamp;
use ledger::working_set::WorkingSet;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use store::recent::Recent;
use store::{EntryRef, TransferRef};

/// Ends of times that are remembered: more than whoever makes statements of some years asks for.
const ENDS_MAX: usize = 256;

/// The state at a block boundary.
#[derive(Debug)]
pub struct State {
    /// The rows. Its key table keeps nothing.
    pub set: WorkingSet,
    /// The hash of the last block, and what follows it.
    pub chain: ChainPoint,
    /// Where the last block is.
    pub location: Option<BlockLocation>,
    /// Where blocks begin.
    pub blocks: BlockIndex,
    /// Rows that no run has yet.
    pub tails: Tails,
    /// Transfers durable since the shard was opened.
    pub transfers: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Published {
    state: RwLock<State>,
    runs: SharedRuns,
    journal: JournalReader,
    /// Last entries up to times which are over, so that they stay the last: whoever asks for balances at a time asks it of many
    /// accounts.
    ends: Mutex<HashMap<Timestamp, Sequence>>,
    /// The last blocks, for whoever follows the journal.
    pub recent: Recent,
}

impl Published {
    /// The first state, as recovery left it.
    pub fn new(state: State, runs: Runs, journal: JournalReader) -> Published {
        let (state, runs) = (RwLock::new(state), RwLock::new(Arc::new(runs)));
        Published { state, runs, journal, ends: Mutex::default(), recent: Recent::default() }
    }

    /// The state, to be read for a short time: publishing waits.
    pub fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, to be changed by the publisher or copied by a checkpoint.
    pub fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The runs as they are now.
    pub fn runs(&self) -> Arc<Runs> {
        self.runs.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes new runs visible. What they cover is still in the tails, so no query misses anything.
    pub fn replace_runs(&self, change: impl FnOnce(&Runs) -> Runs) {
        let mut runs = self.runs.write().unwrap_or_else(PoisonError::into_inner);
        *runs = Arc::new(change(&runs));
    }

    /// The last durable entry.
    pub fn head(&self) -> Sequence {
        self.state().set.sequence
    }

    /// A durable entry; `None` if there is none with this sequence yet.
    ///
    /// # Errors
    /// A failed read or damage.
    pub fn entry(&self, sequence: Sequence) -> Result<Option<EntryRef>, StorageError> {
        self.loader().entry(sequence)
    }

    /// The last entry booked at or before a time; 0 if there is none.
    ///
    /// # Errors
    /// A failed read or damage.
    pub fn last_until(&self, at: Timestamp) -> Result<Sequence, StorageError> {
        if let Some(known) = self.ends().get(&at) {
            return Ok(*known);
        }
        let (mut loader, head) = (self.loader(), self.head());
        let (mut low, mut high) = (0, head);
        while low < high {
            let middle = high - (high - low) / 2;
            let is_until = loader.entry(middle)?.is_some_and(|entry| entry.header.time <= at);
            if is_until {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        if low < head {
            let mut ends = self.ends();
            if ENDS_MAX <= ends.len() {
                ends.clear();
            }
            ends.insert(at, low);
        }
        Ok(low)
    }

    fn ends(&self) -> MutexGuard<'_, HashMap<Timestamp, Sequence>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads entries one after the other, keeping the chunk read last.
    pub fn loader(&self) -> EntryLoader<'_> {
        EntryLoader { published: self, chunk: None }
    }

    /// The entry that made a transfer of this shard.
    ///
    /// # Errors
    /// A failed read or damage.
    pub fn transfer(&self, id: TransferId) -> Result<Option<TransferRef>, StorageError> {
        let (steps, head) = {
            let state = self.state();
            (state.blocks.before_id(id.number()), state.set.sequence)
        };
        match steps {
            Some((step, next)) => self.journal.transfer(step, next, head, id),
            None => Ok(None),
        }
    }
}

/// See [`Published::loader`].
#[derive(Debug)]
pub struct EntryLoader<'a> {
    published: &'a Published,
    chunk: Option<Chunk>,
}

impl EntryLoader<'_> {
    /// A durable entry; `None` if there is none with this sequence yet.
    ///
    /// # Errors
    /// A failed read or damage.
    pub fn entry(&mut self, sequence: Sequence) -> Result<Option<EntryRef>, StorageError> {
        if let Some(entry) = self.chunk.as_ref().and_then(|chunk| chunk.entry(sequence)) {
            return Ok(Some(entry));
        }
        let step = {
            let state = self.published.state();
            if sequence == 0 || state.set.sequence < sequence {
                return Ok(None);
            }
            state.blocks.before_sequence(sequence)
        };
        let Some(step) = step else { return Ok(None) };
        let chunk = self.published.journal.chunk(step, sequence)?;
        let entry = chunk.entry(sequence);
        self.chunk = Some(chunk);
        Ok(entry)
    }
}
