//! The blocks committed last, kept in memory for whoever follows the journal: they need not be read again from where they
//! were just written to.
//!
//! Promises: what it gives out was handed in, is durable because only durable blocks are handed in, and has no gap. It
//! keeps nothing until somebody asks, and never more than [`KEPT_ENTRIES_MAX`] entries beside the last block.

use crate::{Block, EntryRef};
use ledger::ids::Sequence;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Most entries kept before those of the last block: two of the largest blocks.
pub const KEPT_ENTRIES_MAX: usize = 2 * crate::SUBMISSION_MAX;

/// See the module.
#[derive(Debug, Default)]
pub struct Recent {
    is_wanted: AtomicBool,
    blocks: Mutex<VecDeque<Arc<Block>>>,
}

fn first_of(block: &Block) -> Option<Sequence> {
    block.entries.first().map(|entry| entry.header.sequence)
}

fn last_of(block: &Block) -> Option<Sequence> {
    block.entries.last().map(|entry| entry.header.sequence)
}

impl Recent {
    /// Keeps a block that is durable, for as long as those after it leave room. One that does not follow the block before
    /// it pushes out all others: somebody else committed in between.
    pub fn keep(&self, block: &Arc<Block>) {
        if !self.is_wanted.load(Ordering::Relaxed) || block.entries.is_empty() {
            return;
        }
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if blocks.back().and_then(|last| last_of(last)).map(|last| last + 1) != first_of(block) {
            blocks.clear();
        }
        let mut kept: usize = blocks.iter().map(|block| block.entries.len()).sum();
        while KEPT_ENTRIES_MAX < kept {
            kept -= blocks.pop_front().map_or(kept, |block| block.entries.len());
        }
        blocks.push_back(block.clone());
    }

    /// The entries after one, at most so many; none after the last one kept. `None` if it does not have the next one.
    pub fn after(&self, sequence: Sequence, most: usize) -> Option<Vec<EntryRef>> {
        self.is_wanted.store(true, Ordering::Relaxed);
        let blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let last = blocks.back().and_then(|block| last_of(block))?;
        if last == sequence {
            return Some(Vec::new());
        }
        let found = blocks.partition_point(|block| last_of(block).is_some_and(|last| last <= sequence));
        let first = blocks.get(found).and_then(|block| first_of(block)).filter(|first| *first <= sequence + 1)?;
        let mut skipped = usize::try_from(sequence + 1 - first).ok()?;
        let mut entries = Vec::new();
        for block in blocks.range(found..) {
            let room = most - entries.len();
            let wanted = (skipped..block.entries.len()).take(room);
            entries.extend(wanted.map(|index| EntryRef::new(block.clone(), index)));
            skipped = 0;
        }
        Some(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::event::{Channel, Context, Entry, Header, Outcome};
    use ledger::rejection::Rejection;
    use ledger::time::Timestamp;
    use std::ops::Range;

    fn block(sequences: Range<u64>) -> Arc<Block> {
        let context = Context { principal: "p".into(), channel: Channel::Http, correlation: "".into(), cause: None };
        let context = Arc::new(context);
        let entry = |sequence| {
            let time = Timestamp::ZERO;
            let header = Header { sequence, time, day: time.day(), key: None, context: context.clone() };
            Entry { header, outcome: Outcome::Rejection { index: 0, rejection: Rejection::InvariantBroken } }
        };
        Arc::new(Block { entries: sequences.map(entry).collect() })
    }

    fn sequences(recent: &Recent, after: u64, most: usize) -> Option<Vec<u64>> {
        recent.after(after, most).map(|entries| entries.iter().map(|entry| entry.header.sequence).collect())
    }

    /// One that was asked before.
    fn wanted() -> Recent {
        let recent = Recent::default();
        assert!(recent.after(0, 1).is_none());
        recent
    }

    #[test]
    fn entries_follow_each_other_over_blocks_and_end_with_the_last() {
        let recent = wanted();
        recent.keep(&block(5..8));
        recent.keep(&block(8..12));
        assert_eq!(sequences(&recent, 4, 100), Some((5..12).collect()));
        assert_eq!(sequences(&recent, 6, 3), Some(vec![7, 8, 9]));
        assert_eq!(sequences(&recent, 11, 100), Some(Vec::new()));
        assert_eq!((sequences(&recent, 3, 100), sequences(&recent, 12, 100)), (None, None));
    }

    #[test]
    fn a_block_after_a_gap_pushes_out_those_before_it() {
        let recent = wanted();
        recent.keep(&block(1..4));
        recent.keep(&block(6..8));
        assert_eq!((sequences(&recent, 0, 9), sequences(&recent, 3, 9)), (None, None));
        assert_eq!(sequences(&recent, 5, 9), Some(vec![6, 7]));
    }

    #[test]
    fn nothing_is_kept_before_it_is_wanted_and_not_much_afterwards() {
        let recent = Recent::default();
        recent.keep(&block(1..4));
        assert_eq!(sequences(&recent, 0, 9), None);
        for first in 0..100 {
            recent.keep(&block(first * 1000 + 1..first * 1000 + 1001));
        }
        assert_eq!(sequences(&recent, 99_000, 2).map(|found| found.len()), Some(2));
        assert_eq!(sequences(&recent, 100_000 - 2 * KEPT_ENTRIES_MAX as u64, 2), None);
    }
}
