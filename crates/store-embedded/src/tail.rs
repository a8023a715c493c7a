//! The tail: rows of durable entries that no run on disk has yet. Queries merge it with the runs.

use crate::index::{DatedRow, Rows};
use crate::sort::{sort_pairs, sort_wide};
use ledger::ids::{AccountId, Sequence, TransferId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Postings of small blocks are merged in memory until so many are together, so that a query looks into few places.
const PIECE_ROWS: usize = 1 << 14;

/// Rows of consecutive entries. A frozen one changes no more and is on its way to the disk.
#[derive(Debug, Default)]
pub struct Tail {
    /// Sorted by account, then sequence; each piece continues the one before.
    postings: Vec<Vec<(u64, u64)>>,
    keys: Vec<(u128, u64)>,
    notes: Vec<(u128, u64)>,
    dated: BTreeMap<AccountId, Vec<DatedRow>>,
    steps: Vec<(u64, u64)>,
    /// The first entry.
    pub first: Sequence,
    /// The last entry.
    pub last: Sequence,
}

impl Tail {
    /// A tail that begins with this entry.
    pub fn starting_at(first: Sequence) -> Tail {
        Tail { first, last: first - 1, ..Tail::default() }
    }

    /// Count of entries.
    pub fn len(&self) -> u64 {
        self.last + 1 - self.first
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds the rows of the entries up to `last`, the postings sorted.
    pub fn push(&mut self, mut rows: Rows, last: Sequence) {
        self.keys.append(&mut rows.keys);
        self.notes.append(&mut rows.notes);
        for row in rows.dated {
            self.dated.entry(row.account).or_default().push(row);
        }
        self.steps.append(&mut rows.steps);
        self.last = last;
        let mut piece = rows.postings;
        while let Some(before) =
            self.postings.pop_if(|before| before.len() < PIECE_ROWS && before.len() <= piece.len().saturating_mul(2))
        {
            piece = merge(&before, &piece);
        }
        if !piece.is_empty() {
            self.postings.push(piece);
        }
    }

    /// An account's entries in descending order, below `before`.
    pub fn entries_of(&self, account: AccountId, before: Sequence) -> Vec<Sequence> {
        let mut entries = Vec::new();
        for piece in self.postings.iter().rev() {
            let start = piece.partition_point(|row| row.0 < account.number());
            let end = start + piece[start..].partition_point(|row| *row < (account.number(), before));
            entries.extend(piece[start..end].iter().rev().map(|row| row.1));
        }
        entries
    }

    /// Entries with this note in descending order, below `before`.
    pub fn entries_noted(&self, digest: u128, before: Sequence) -> Vec<Sequence> {
        self.notes.iter().rev().filter(|row| row.0 == digest && row.1 < before).map(|row| row.1).collect()
    }

    /// An account's postings whose value date differs from their booking.
    pub fn dated_of(&self, account: AccountId) -> impl Iterator<Item = &DatedRow> {
        self.dated.get(&account).into_iter().flatten()
    }

    /// The entries with later steps of a transfer, ascending.
    pub fn steps_of(&self, transfer: TransferId) -> impl Iterator<Item = Sequence> {
        self.steps.iter().filter(move |row| row.0 == transfer.number()).map(|row| row.1)
    }

    /// The keys, as they came.
    pub fn keys(&self) -> &[(u128, u64)] {
        &self.keys
    }

    /// All rows, sorted for a run.
    pub fn sorted(&self) -> Rows {
        let mut postings = self.postings.concat();
        sort_pairs(&mut postings, &mut Vec::new());
        let mut keys = self.keys.clone();
        sort_wide(&mut keys, &mut Vec::new());
        let mut notes = self.notes.clone();
        sort_wide(&mut notes, &mut Vec::new());
        let mut dated: Vec<DatedRow> = self.dated.values().flatten().copied().collect();
        dated.sort_by_key(|row| (row.account, row.effective_at, row.sequence));
        let mut steps = self.steps.clone();
        sort_pairs(&mut steps, &mut Vec::new());
        Rows { postings, keys, notes, dated, steps }
    }
}

fn merge(older: &[(u64, u64)], newer: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut merged = Vec::with_capacity(older.len() + newer.len());
    let (mut older, mut newer) = (older.iter().copied().peekable(), newer.iter().copied().peekable());
    loop {
        let next = match (older.peek(), newer.peek()) {
            (Some(a), Some(b)) if a <= b => older.next(),
            (_, Some(_)) => newer.next(),
            (Some(_), None) => older.next(),
            (None, None) => return merged,
        };
        merged.extend(next);
    }
}

/// Tails in the order of their entries: the frozen ones, then the one that grows.
#[derive(Debug)]
pub struct Tails {
    /// On their way to the disk.
    pub frozen: Vec<Arc<Tail>>,
    /// Growing.
    pub growing: Tail,
}

impl Tails {
    /// Newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Tail> {
        std::iter::once(&self.growing).chain(self.frozen.iter().rev().map(Arc::as_ref))
    }

    /// Count of entries.
    pub fn len(&self) -> u64 {
        self.newest_first().map(Tail::len).sum()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends the growing tail and starts another; the ended one.
    pub fn freeze(&mut self) -> Arc<Tail> {
        let next = Tail::starting_at(self.growing.last + 1);
        let frozen = Arc::new(std::mem::replace(&mut self.growing, next));
        self.frozen.push(frozen.clone());
        frozen
    }
}
