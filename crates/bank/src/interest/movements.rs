//! What a day brought to accounts: one walk through the journals of all shards.

use super::catalogue::{CHUNKS, chunk_of};
use super::posting::is_own;
use crate::Bank;
use futures_util::future::try_join_all;
use ledger::account::AccountKind;
use ledger::currency::Currency;
use ledger::event::{AccountChange, Event, Outcome};
use ledger::ids::{AccountId, SYSTEM_ID_START, Sequence};
use ledger::saga::StepKind;
use ledger::time::{Day, Timestamp};
use ledger::transfer::{TransferKind, Transferred};
use std::collections::HashMap;
use store::query::{EntryQuery, PAGE_MAX};
use store::{EntryRef, Fault, Store, transfers_of};

/// A posting with a value date before the day it was booked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Late {
    /// Its value date.
    pub(crate) effective_at: Timestamp,
    /// What it adds to the balance.
    pub(crate) amount: i128,
}

/// What happened on an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Movement {
    /// The first and last of its versions, and how many were seen.
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) count: u64,
    /// What its balance gained, what is late among it; without this job's own postings.
    pub(crate) gain: i128,
    /// What is late.
    pub(crate) late: Vec<Late>,
    /// Its version when it left for another shard, if it did.
    pub(crate) left: Option<u64>,
    /// What it was opened as, and its booking day.
    pub(crate) opened: Option<(AccountKind, Currency, Day)>,
}

impl Movement {
    /// Adds a posting of this version.
    pub(crate) fn add(&mut self, version: u64, gain: i128, effective_at: Timestamp, day_start: Timestamp) {
        self.first = if self.count == 0 { version } else { self.first.min(version) };
        self.last = self.last.max(version);
        self.count += 1;
        self.gain += gain;
        if effective_at < day_start && gain != 0 {
            self.late.push(Late { effective_at, amount: gain });
        }
    }

    /// Whether it has every version after this one. Where an account leaves and its arrival is not among this, that is in
    /// another stretch, which may be an earlier one if the other shard's clock is behind.
    pub(crate) fn continues(&self, version: u64) -> bool {
        let arrives = self.left.is_none_or(|left| left < self.last);
        arrives && (self.count == 0 || (self.first == version + 1 && self.last == version + self.count))
    }
}

/// What a posting adds to the balance that interest is worked out from. An account's move between shards takes out and
/// brings in the same, and is no movement of money; own postings are counted where they are made.
pub(crate) fn gain(entry: &EntryRef, transferred: &Transferred, signed: i128) -> i128 {
    if transferred.kind == TransferKind::Move || is_own(entry, transferred) { 0 } else { signed }
}

/// What happened in a stretch of all journals, chunk by chunk.
#[derive(Debug)]
pub(crate) struct Movements {
    /// By chunk, by account.
    pub(crate) chunks: Vec<HashMap<AccountId, Movement>>,
    /// The last entry of each shard's stretch.
    pub(crate) until: Vec<Sequence>,
}

impl Bank {
    /// What was booked after these entries of the shards and before `end`. What has a value date before `day_start` is
    /// late.
    pub(crate) async fn movements(
        &self,
        after: &[Sequence],
        day_start: Timestamp,
        end: Timestamp,
    ) -> Result<Movements, Fault> {
        let scans = self.shards().iter().enumerate().map(|(index, store)| {
            let after = after.get(index).copied().unwrap_or(0);
            scan(store.as_ref(), after, day_start, end)
        });
        let mut found = Movements { chunks: Vec::new(), until: Vec::new() };
        found.chunks.resize_with(usize::from(CHUNKS), HashMap::new);
        for (chunks, until) in try_join_all(scans).await? {
            found.until.push(until);
            for (known, chunk) in found.chunks.iter_mut().zip(chunks) {
                if known.is_empty() {
                    *known = chunk;
                    continue;
                }
                for (account, movement) in chunk {
                    merge(known.entry(account).or_default(), movement);
                }
            }
        }
        Ok(found)
    }
}

/// An account that moved has postings on several shards.
fn merge(known: &mut Movement, other: Movement) {
    known.opened = known.opened.or(other.opened);
    known.left = known.left.max(other.left);
    if other.count == 0 {
        return;
    }
    known.first = if known.count == 0 { other.first } else { known.first.min(other.first) };
    known.last = known.last.max(other.last);
    known.count += other.count;
    known.gain += other.gain;
    known.late.extend(other.late);
}

type Chunks = Vec<HashMap<AccountId, Movement>>;

async fn scan(
    store: &dyn Store,
    after: Sequence,
    day_start: Timestamp,
    end: Timestamp,
) -> Result<(Chunks, Sequence), Fault> {
    let mut chunks = Chunks::new();
    chunks.resize_with(usize::from(CHUNKS), HashMap::new);
    let mut last = after;
    loop {
        let entries = store.entries(EntryQuery { after: last, limit: PAGE_MAX }).await?;
        if entries.is_empty() {
            return Ok((chunks, last));
        }
        for entry in &entries {
            if end <= entry.header.time {
                return Ok((chunks, last));
            }
            take(&mut chunks, entry, day_start);
            last = entry.header.sequence;
        }
    }
}

fn take(chunks: &mut Chunks, entry: &EntryRef, day_start: Timestamp) {
    if let Outcome::Event(Event::AccountChanged(changed)) = &entry.outcome
        && changed.change == AccountChange::Opened
        && !changed.account.is_system()
    {
        let account = &changed.account;
        let movement = chunks[usize::from(chunk_of(account.id))].entry(account.id).or_default();
        movement.opened = Some((account.kind, account.currency, account.opened));
    }
    if let Outcome::Event(Event::Saga(step)) = &entry.outcome
        && step.kind == StepKind::MovedOut
        && let Some(moved) = &step.moved
    {
        let left = &moved.account;
        chunks[usize::from(chunk_of(left.id))].entry(left.id).or_default().left = Some(left.version);
    }
    for transferred in transfers_of(&entry.outcome) {
        for posting in transferred.postings.iter().filter(|posting| posting.account.number() < SYSTEM_ID_START) {
            let movement = chunks[usize::from(chunk_of(posting.account))].entry(posting.account).or_default();
            let gain = gain(entry, transferred, posting.signed());
            movement.add(posting.version, gain, transferred.effective_at, day_start);
        }
    }
}
