//! Part of an account's history as it was at a version.

use super::View;
use crate::read::by_version;
use ledger::account::Account;
use ledger::event::{Channel, Context, Entry, Event, Header, Outcome};
use ledger::transfer::{Postings, Transferred};
use std::sync::{Arc, LazyLock};
use store::query::{Page, PostingRow};
use store::{EntryRef, TransferRef};

/// See the module.
#[derive(Debug)]
pub(super) struct Window {
    /// The account's version: it tells of all postings up to this one.
    pub(super) version: u64,
    /// The newest of them, newest first.
    pub(super) rows: Vec<PostingRow>,
    /// Whether there are no others.
    pub(super) is_all: bool,
}

pub(super) fn version_of(row: &PostingRow) -> u64 {
    row.parts().map_or(0, |(posting, ..)| posting.version)
}

impl Window {
    /// Whether this is what there is of an account with this row. The balance tells apart two pasts of one account, of which
    /// a restored backup has forgotten one.
    pub(super) fn is_of(&self, account: &Account, view: View) -> bool {
        let is_newest = |row: &PostingRow| {
            row.parts().is_some_and(|(posting, ..)| {
                (posting.version, posting.balance_after) == (account.version, account.balance)
            })
        };
        let agrees = view != View::Latest || self.rows.first().map_or(account.version == 0, is_newest);
        self.version == account.version && agrees
    }

    /// The same with the postings that came since, up to a version.
    pub(super) fn with(&self, newer: Vec<PostingRow>, version: u64, view: View) -> Window {
        let most = view.most();
        let count = newer.len() + self.rows.len();
        let rows = newer.into_iter().chain(self.rows.iter().cloned()).take(most).collect();
        Window { version, rows, is_all: self.is_all && count <= most }
    }

    /// Whether its rows have the versions below its own one by one.
    pub(super) fn is_unbroken(&self) -> bool {
        let versions = (0..=self.version).rev();
        self.rows.iter().zip(versions).all(|(row, version)| version_of(row) == version)
    }

    /// Its first page; `None` if it has too little.
    pub(super) fn page(&self, limit: usize) -> Option<Page<PostingRow>> {
        if self.rows.len() < limit && !self.is_all {
            return None;
        }
        let rows = self.rows.iter().take(limit).map(|row| (by_version(version_of(row)), row.clone()));
        let is_more = limit < self.rows.len() || !self.is_all;
        let page = Page::of(rows, None);
        Some(Page { next: page.places.last().copied().filter(|_| is_more), ..page })
    }

    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        let note = |row: &PostingRow| {
            let note = row.transfer.transferred().and_then(|transferred| transferred.note.as_deref());
            note.map_or(0, |note| {
                let words = note.metadata.iter().map(|(key, value)| key.len() + value.len() + 48).sum::<usize>();
                note.reference.as_ref().map_or(0, |reference| reference.len()) + words + 64
            })
        };
        self.rows.iter().map(|row| ROW_BYTES + note(row)).sum::<usize>() + ROW_BYTES
    }
}

/// About how many bytes a row takes without its note: an entry with one posting, in a block of its own.
const ROW_BYTES: usize = 512;

/// A posting with no more of its transfer than what a history shows: neither the postings of others nor the block it came
/// with.
pub(super) fn slim(row: &PostingRow) -> PostingRow {
    static NOBODY: LazyLock<Arc<Context>> = LazyLock::new(|| {
        let (principal, correlation) = Default::default();
        Arc::new(Context { principal, channel: Channel::Timer, correlation, cause: None })
    });
    let Some((posting, transferred, entry)) = row.parts() else { return row.clone() };
    let postings = Postings::Many([*posting].into());
    let note = transferred.note.clone();
    let transferred = Transferred {
        id: transferred.id,
        kind: transferred.kind,
        currency: transferred.currency_at(row.index),
        forced: transferred.forced,
        effective_at: transferred.effective_at,
        postings,
        reverses: None,
        hold: None,
        note,
    };
    let header = Header { key: None, context: NOBODY.clone(), ..entry.header.clone() };
    let entry = EntryRef::single(Entry { header, outcome: Outcome::Event(Event::Transferred(transferred)) });
    PostingRow { transfer: TransferRef { entry, index: 0 }, index: 0 }
}
