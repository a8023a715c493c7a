//! What can be read of a shard besides single rows, and what comes back.

use crate::{EntryRef, TransferRef, transfers_of};
use ledger::dead_letter::DeadLetterStatus;
use ledger::event::Entry;
use ledger::ids::{AccountId, Sequence, TransferId};
use ledger::time::Timestamp;
use ledger::transfer::{Posting, Side, Transferred};

/// Most items of a page.
pub const PAGE_MAX: usize = 1000;

/// Part of a list, newest first.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page starts; `None` when there is nothing more. A page may be short and yet not be the last.
    pub next: Option<u64>,
}

impl<T> Page<T> {
    /// A page of nothing.
    pub const fn empty() -> Page<T> {
        Page { items: Vec::new(), next: None }
    }
}

/// Which part of a list, and for dead letters which of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageQuery {
    /// `next` of the page before; `None` starts with the newest.
    pub before: Option<u64>,
    /// 1 to [`PAGE_MAX`].
    pub limit: usize,
    /// Only dead letters of this status; other lists take no notice.
    pub status: Option<DeadLetterStatus>,
}

/// Which of the two times of a posting a filter looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeAxis {
    /// The booking time.
    #[default]
    Booking,
    /// The value date.
    Effective,
}

/// Conditions on transfers and postings; all must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// At or after this time.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// Which time `since` and `until` are about.
    pub axis: TimeAxis,
    /// Exactly this reference.
    pub reference: Option<String>,
    /// All of these entries of the metadata.
    pub metadata: Vec<(String, String)>,
}

impl Filter {
    /// Whether a transfer that was booked at this time passes.
    pub fn passes(&self, transferred: &Transferred, booked_at: Timestamp) -> bool {
        let time = match self.axis {
            TimeAxis::Booking => booked_at,
            TimeAxis::Effective => transferred.effective_at,
        };
        let note = transferred.note.as_deref();
        let has = |key: &str, value: &str| {
            note.is_some_and(|note| note.metadata.iter().any(|(known, is)| (&**known, &**is) == (key, value)))
        };
        self.since.is_none_or(|since| since <= time)
            && self.until.is_none_or(|until| time < until)
            && self
                .reference
                .as_deref()
                .is_none_or(|reference| note.and_then(|note| note.reference.as_deref()) == Some(reference))
            && self.metadata.iter().all(|(key, value)| has(key, value))
    }
}

/// Which transfers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransferQuery {
    /// Only those with a posting on this account.
    pub account: Option<AccountId>,
    /// Further conditions.
    pub filter: Filter,
    /// `next` of the page before, which is a transfer's id.
    pub before: Option<u64>,
    /// 1 to [`PAGE_MAX`].
    pub limit: usize,
}

/// Which postings of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostingQuery {
    /// The account.
    pub account: AccountId,
    /// Only this side.
    pub side: Option<Side>,
    /// Further conditions.
    pub filter: Filter,
    /// `next` of the page before.
    pub before: Option<u64>,
    /// 1 to [`PAGE_MAX`].
    pub limit: usize,
}

/// The balance of an account when all postings up to and including `at` count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BalanceQuery {
    /// The account.
    pub account: AccountId,
    /// The time.
    pub at: Timestamp,
    /// Whether booking times or value dates count.
    pub axis: TimeAxis,
}

/// Which entries of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryQuery {
    /// Those after this one.
    pub after: Sequence,
    /// 1 to [`PAGE_MAX`].
    pub limit: usize,
}

/// One posting with the transfer it is of.
#[derive(Clone, Debug)]
pub struct PostingRow {
    /// The transfer.
    pub transfer: TransferRef,
    /// Which of its postings.
    pub index: usize,
}

impl PostingRow {
    /// The posting with its transfer and entry; `None` if the entry has no such one.
    pub fn parts(&self) -> Option<(&Posting, &Transferred, &Entry)> {
        let transferred = self.transfer.transferred()?;
        Some((transferred.postings.get(self.index)?, transferred, &self.transfer.entry))
    }
}

/// A transfer with what happened to it later.
#[derive(Clone, Debug)]
pub struct TransferView {
    /// The transfer.
    pub transfer: TransferRef,
    /// Its reversal.
    pub reversed_by: Option<TransferId>,
}

/// The postings of an account in an entry, newest version first.
pub fn postings_on(entry: &EntryRef, account: AccountId) -> Vec<PostingRow> {
    let mut rows = Vec::new();
    for (transfer, transferred) in transfers_of(&entry.outcome).iter().enumerate() {
        let on_account = transferred.postings.iter().enumerate().filter(|(_, posting)| posting.account == account);
        rows.extend(
            on_account.map(|(index, _)| PostingRow {
                transfer: TransferRef { entry: entry.clone(), index: transfer },
                index,
            }),
        );
    }
    rows.reverse();
    rows
}
