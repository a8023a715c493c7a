//! What can be read of a shard besides single rows, and what comes back.

use crate::{EntryRef, TransferRef, transfers_of};
use ledger::account::Account;
use ledger::dead_letter::DeadLetterStatus;
use ledger::event::{Entry, Event, Outcome};
use ledger::ids::{AccountId, Sequence, ShardId, TransferId};
use ledger::saga::{Failure, Order, Ordered, Position, Saga, SagaStep, Sagas, StepKind};
use ledger::time::Timestamp;
use ledger::transfer::{Posting, Side, TransferRow, Transferred};
use ledger::working_set::WorkingSet;
use std::collections::BTreeMap;

/// Most items of a page.
pub const PAGE_MAX: usize = 1000;

/// Part of a list, newest first.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where a list goes on after each of them.
    pub places: Vec<u64>,
    /// Where the next page starts; `None` when there is nothing more. A page may be short and yet not be the last.
    pub next: Option<u64>,
}

impl<T> Page<T> {
    /// A page of nothing.
    pub const fn empty() -> Page<T> {
        Page { items: Vec::new(), places: Vec::new(), next: None }
    }

    /// These items with their places, in their order.
    pub fn of(rows: impl IntoIterator<Item = (u64, T)>, next: Option<u64>) -> Page<T> {
        let (places, items) = rows.into_iter().unzip();
        Page { items, places, next }
    }

    /// Adds an item.
    pub fn push(&mut self, place: u64, item: T) {
        self.places.push(place);
        self.items.push(item);
    }

    /// The items with their places.
    pub fn into_rows(self) -> impl ExactSizeIterator<Item = (u64, T)> {
        self.places.into_iter().zip(self.items)
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

/// How much later than its booking a value date may be, in microseconds: that of a move between shards comes from the clock of
/// the shard that an account left.
const VALUE_DATE_AHEAD_US: u64 = 60_000_000;

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
    /// A time such that nothing passes which was booked before it. What is looked for further back is not found.
    pub fn booked_since(&self) -> Option<Timestamp> {
        let ahead = match self.axis {
            TimeAxis::Booking => 0,
            TimeAxis::Effective => VALUE_DATE_AHEAD_US,
        };
        self.since.and_then(|since| Timestamp::from_microseconds(since.microseconds().saturating_sub(ahead)))
    }

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
    /// `next` of the page before.
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
    /// `next` of the page before. Positions in postings are below 2⁵⁴ − 1, so that whoever gathers a moved account's
    /// history can say beside them which shard they are of.
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

/// How far a transfer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferStatus {
    /// It took effect.
    Succeeded,
    /// It is on its way between shards.
    Pending,
    /// It failed on the way, and what it had taken is given back.
    Failed(Failure),
}

/// A transfer with what happened to it later, as far as this shard knows.
#[derive(Clone, Debug)]
pub struct TransferView {
    /// The entry that made it; on another shard than its home, the first one about it.
    pub transfer: TransferRef,
    /// Its reversal.
    pub reversed_by: Option<TransferId>,
    /// Later steps of its saga on this shard, oldest first; none for a transfer on one shard.
    pub steps: Vec<EntryRef>,
}

impl TransferView {
    /// What it was ordered as, where it goes between shards and this is its home.
    pub fn ordered(&self) -> Option<(&Order, &Ordered)> {
        let order = saga_step(&self.transfer.entry)?.order.as_deref()?;
        let id = self.transfer.transferred()?.id;
        Some((order, order.transfers.iter().find(|ordered| ordered.id == id)?))
    }

    /// How far it is. Its home shard alone knows.
    pub fn status(&self) -> TransferStatus {
        let Some(first) = saga_step(&self.transfer.entry) else { return TransferStatus::Succeeded };
        let last = self.steps.iter().rev().filter_map(saga_step).find_map(|step| match (step.kind, step.failure) {
            (StepKind::Completed, _) => Some(TransferStatus::Succeeded),
            (StepKind::Failed, Some(failure)) => Some(TransferStatus::Failed(failure)),
            _ => None,
        });
        let is_done = matches!(first.kind, StepKind::Executed | StepKind::MovedOut | StepKind::MovedIn);
        last.unwrap_or(if is_done { TransferStatus::Succeeded } else { TransferStatus::Pending })
    }

    /// Every posting of it on this shard, in their order, refunds among them.
    pub fn postings(&self) -> Vec<PostingRow> {
        let Some(id) = self.transfer.transferred().map(|transferred| transferred.id) else { return Vec::new() };
        let later = self.steps.iter().flat_map(|entry| transfers_in(entry, id));
        let all = std::iter::once(self.transfer.clone()).chain(later);
        let rows = all.flat_map(|transfer| {
            let count = transfer.transferred().map_or(0, |transferred| transferred.postings.len());
            (0..count).map(move |index| PostingRow { transfer: transfer.clone(), index })
        });
        rows.collect()
    }

    /// What is moved in all, in minor units.
    pub fn amount(&self) -> u128 {
        let of_postings = || self.transfer.transferred().map_or(0, Transferred::amount);
        self.ordered().map_or_else(of_postings, |(_, ordered)| ordered.amount())
    }

    /// The transfer as a command that reverses it wants to know it.
    pub fn row(&self) -> Option<TransferRow> {
        Some(TransferRow {
            transferred: self.transfer.transferred()?.clone(),
            day: self.transfer.entry.header.day,
            ordered: self.ordered().map(|(_, ordered)| ordered.legs.clone()),
            succeeded: self.status() == TransferStatus::Succeeded,
        })
    }
}

/// The step of a saga that an entry is, if it is one.
pub fn saga_step(entry: &EntryRef) -> Option<&SagaStep> {
    match &entry.outcome {
        Outcome::Event(Event::Saga(step)) => Some(step),
        _ => None,
    }
}

/// The transfer with this id in an entry, if it has postings there or begins there.
pub fn transfers_in(entry: &EntryRef, id: TransferId) -> Option<TransferRef> {
    let index = transfers_of(&entry.outcome).iter().position(|transferred| transferred.id == id)?;
    Some(TransferRef { entry: entry.clone(), index })
}

/// The ids under which a later step of a saga is found: the saga's, and those of transfers that have postings in it.
pub fn ids_of_step(entry: &Entry) -> Vec<TransferId> {
    let Outcome::Event(Event::Saga(step)) = &entry.outcome else { return Vec::new() };
    if step.kind == StepKind::Started {
        return Vec::new();
    }
    let mut ids = vec![step.saga];
    ids.extend(step.transferred.iter().map(|transferred| transferred.id).filter(|id| *id != step.saga));
    ids
}

/// Whether lists of transfers have this one of an entry: each transfer once. Without an account, where it began; of an
/// account, where it is posted, but not where that is given back.
pub fn is_listed(entry: &Entry, transferred: &Transferred, account: Option<AccountId>) -> bool {
    let step = match &entry.outcome {
        Outcome::Event(Event::Saga(step)) => Some(step),
        _ => None,
    };
    match account {
        None => step.is_none_or(|step| step.kind == StepKind::Started),
        Some(account) => {
            step.is_none_or(|step| !step.kind.is_refund())
                && transferred.postings.iter().any(|posting| posting.account == account)
        }
    }
}

/// Customers' accounts by their places among the rows, which never change; for [`crate::Store::account_ids`].
pub fn page_of_accounts(set: &WorkingSet, after: Option<u64>, limit: usize) -> Page<AccountId> {
    let start = after.and_then(|after| usize::try_from(after).ok()).unwrap_or(0);
    let end = start.saturating_add(limit).min(set.accounts.len());
    let rows = (1..).zip(set.accounts.iter()).take(end).skip(start);
    let ids = rows.filter(|(_, account)| !account.is_system()).map(|(place, account)| (place, account.id));
    Page::of(ids, (end < set.accounts.len()).then_some(end as u64))
}

/// Whether an account is a customer's in this slot, and did not move away.
pub fn is_in_slot(account: &Account, slot: u16) -> bool {
    !account.is_system() && account.moved_to.is_none() && ledger::ids::slot(account.id.number()) == slot
}

/// Which open sagas, newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SagaQuery {
    /// Begun at or before this time.
    pub until: Timestamp,
    /// `next` of the page before.
    pub before: Option<u64>,
    /// 1 to [`PAGE_MAX`].
    pub limit: usize,
}

/// A page of a shard's open sagas.
pub fn page_of_sagas(sagas: &Sagas, query: SagaQuery) -> Page<Saga> {
    let is_wanted = |saga: &&Saga| {
        saga.started_at <= query.until && query.before.is_none_or(|before| saga.order.id().number() < before)
    };
    let mut found = sagas.open().rev().filter(is_wanted);
    let taken = found.by_ref().take(query.limit.clamp(1, PAGE_MAX));
    let rows: Vec<(u64, Saga)> = taken.map(|saga| (saga.order.id().number(), saga.clone())).collect();
    let next = rows.last().map(|(place, _)| *place).filter(|_| found.next().is_some());
    Page::of(rows, next)
}

/// Where a shard stands with the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions {
    /// What it took last from each.
    pub received: BTreeMap<ShardId, Position>,
    /// The number of its last message to each.
    pub sent: BTreeMap<ShardId, u64>,
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
