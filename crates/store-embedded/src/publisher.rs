//! The publisher: makes a durable block visible, then answers whoever waits for it. In this order, so that what was
//! answered is seen by every read that starts afterwards.

use crate::health::Health;
use crate::index::Rows;
use crate::pool::Pool;
use crate::published::Published;
use crate::segment::{BlockHeader, ChainPoint};
use crate::sequencer::{Planned, Reply};
use crate::sort::sort_pairs;
use crate::tail::Tail;
use crate::writer::{Durable, chain};
use ledger::event::Entry;
use ledger::ids::Sequence;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, SyncSender};
use store::{Answer, Block, EntryRef, Fault, transfers_of};

/// Entries recorded while readers wait; between two such pieces they get their turn. Every entry of the block is
/// durable already, so a reader may see any part of it.
const PIECE_ENTRIES: usize = 1024;
/// Entries whose accounts are read ahead together, see [`ledger::working_set::WorkingSet::warm`].
const WARM_ENTRIES: usize = 32;

/// See the module.
pub struct Publisher {
    /// What comes in.
    pub durable: Receiver<Durable>,
    /// What readers see.
    pub published: Arc<Published>,
    /// Where tails go that become runs.
    pub indexer: Sender<Arc<Tail>>,
    /// Told that it is time for a checkpoint.
    pub checkpointer: SyncSender<()>,
    /// Entries between two checkpoints.
    pub checkpoint_entries: u64,
    /// Reads what a replay needs from the disk.
    pub pool: Arc<Pool>,
    /// The shard's health.
    pub health: Arc<Health>,
    /// Entries since the last checkpoint.
    pub entries_since_checkpoint: u64,
}

impl Publisher {
    /// Runs until the writer ends.
    pub fn run(mut self) {
        let mut scratch = Vec::new();
        while let Ok(Durable { mut work, header }) = self.durable.recv() {
            let block = Arc::new(Block { entries: std::mem::take(&mut work.entries) });
            if let Some(header) = header {
                let publish = || self.publish(&block.entries, &header, work.ids_before, &mut scratch);
                if catch_unwind(AssertUnwindSafe(publish)).is_err() {
                    let first = header.first_sequence;
                    self.health
                        .poison(format!("the state does not follow from the block that begins with entry {first}"));
                }
                self.entries_since_checkpoint += block.entries.len() as u64;
            }
            if self.health.poisoned().is_some() {
                continue;
            }
            self.published.recent.keep(&block);
            self.health.published(self.published.head());
            if work.ends_run {
                let frozen = self.published.state_mut().tails.freeze();
                self.health.frozen_tails.fetch_add(1, Ordering::Relaxed);
                let _ends = self.indexer.send(frozen);
            }
            self.nudge_checkpointer();
            for (reply, planned) in work.replies {
                self.answer(reply, planned, &block, header.map(|header| header.first_sequence));
            }
        }
    }

    fn publish(&self, entries: &[Entry], header: &BlockHeader, ids_before: u64, scratch: &mut Vec<(u64, u64)>) {
        let mut rows = Rows::default();
        entries.iter().for_each(|entry| rows.add(entry));
        sort_pairs(&mut rows.postings, scratch);
        let last = header.first_sequence + entries.len() as u64 - 1;
        let mut rows = Some(rows);
        for piece in entries.chunks(PIECE_ENTRIES) {
            let mut state = self.published.state_mut();
            if let Some(rows) = rows.take() {
                // First, so that no reader sees an entry that cannot be found yet.
                state.blocks.push(header, ids_before);
                state.tails.growing.push(rows, last);
                state.location = Some(header.location);
                state.chain = ChainPoint { hash: header.hash, next_sequence: last + 1 };
            }
            for entries in piece.chunks(WARM_ENTRIES) {
                let transfers = entries.iter().flat_map(|entry| transfers_of(&entry.outcome));
                let postings = transfers.flat_map(|transferred| transferred.postings.iter());
                state.set.warm(std::iter::empty(), postings.map(|posting| posting.account));
                for entry in entries {
                    ledger::replay(&mut state.set, entry);
                    state.transfers += transfers_of(&entry.outcome).len() as u64;
                }
            }
        }
    }

    fn nudge_checkpointer(&mut self) {
        if self.checkpoint_entries <= self.entries_since_checkpoint && self.checkpointer.try_send(()).is_ok() {
            self.entries_since_checkpoint = 0;
        }
    }

    fn answer(&self, reply: Reply, planned: Vec<Planned>, block: &Arc<Block>, first: Option<Sequence>) {
        let is_elsewhere =
            |plan: &Planned| matches!(plan, Planned::Replayed(sequence) if first.is_none_or(|first| *sequence < first));
        if planned.iter().any(is_elsewhere) {
            let (published, block) = (self.published.clone(), block.clone());
            self.pool.run(move || {
                let _gone = reply.send(answers(planned, &block, first, &published));
            });
            return;
        }
        let _gone = reply.send(answers(planned, block, first, &self.published));
    }
}

fn answers(
    planned: Vec<Planned>,
    block: &Arc<Block>,
    first: Option<Sequence>,
    published: &Published,
) -> Result<Vec<Answer>, Fault> {
    let mut loader = published.loader();
    let in_block = |sequence: Sequence| usize::try_from(sequence.checked_sub(first?)?).ok();
    let mut answer = |plan| match plan {
        Planned::Recorded(place) => Ok(Answer::Recorded(EntryRef::new(block.clone(), place))),
        Planned::Unrecorded(outcome) => Ok(Answer::Unrecorded(outcome)),
        Planned::KeyReused => Ok(Answer::KeyReused),
        Planned::Replayed(sequence) => match in_block(sequence) {
            Some(place) => Ok(Answer::Replayed(EntryRef::new(block.clone(), place))),
            None => match loader.entry(sequence) {
                Ok(Some(entry)) => Ok(Answer::Replayed(entry)),
                Ok(None) => Err(Fault::Corrupt { detail: format!("entry {sequence} answers a key but is not there") }),
                Err(error) => Err(Fault::Corrupt { detail: chain(&error) }),
            },
        },
    };
    planned.into_iter().map(&mut answer).collect()
}
