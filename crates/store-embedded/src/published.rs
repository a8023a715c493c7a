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
use ledger::working_set::WorkingSet;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use store::recent::Recent;
use store::{EntryRef, TransferRef};

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
    /// The last blocks, for whoever follows the journal.
    pub recent: Recent,
}

impl Published {
    /// The first state, as recovery left it.
    pub fn new(state: State, runs: Runs, journal: JournalReader) -> Published {
        Published { state: RwLock::new(state), runs: RwLock::new(Arc::new(runs)), journal, recent: Recent::default() }
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
