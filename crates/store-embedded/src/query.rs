//! Reads of a shard. What is in memory is answered at once; what needs the disk runs on the shard's pool.
//!
//! Runs and tails cover consecutive ranges of entries. So a list, newest first, walks the growing tail, the frozen ones,
//! then the runs from the newest to the oldest, and stops when its page is full.

use crate::error::StorageError;
use crate::index::{DatedRow, Family, metadata_digest, reference_digest};
use crate::published::Published;
use crate::run::Direction;
use ledger::ids::{AccountId, Sequence, ShardId, TransferId};
use std::ops::ControlFlow;
use store::query::{
    BalanceQuery, Filter, Page, PostingQuery, PostingRow, TimeAxis, TransferQuery, TransferView, is_listed,
    postings_on, saga_step, transfers_in,
};
use store::{EntryRef, TransferRef, transfers_of};

/// Most entries that one page looks at. A page that stops there is short but says where to go on.
const ENTRIES_PER_PAGE_MAX: usize = 20_000;
/// Bits of a position that count the postings of an entry that were listed already.
const SKIP_BITS: u32 = 20;

type Read<T> = Result<T, StorageError>;
type Visit<'a> = &'a mut dyn FnMut(Sequence) -> Read<ControlFlow<()>>;

/// Where a list of postings goes on: an entry, and how many of its postings were listed.
#[derive(Clone, Copy)]
struct Position {
    sequence: Sequence,
    skip: usize,
}

impl Position {
    fn unpack(packed: u64) -> Position {
        let skip = usize::try_from(packed & ((1 << SKIP_BITS) - 1)).unwrap_or(0);
        Position { sequence: packed >> SKIP_BITS, skip }
    }

    fn pack(self) -> u64 {
        (self.sequence << SKIP_BITS) | (self.skip as u64 & ((1 << SKIP_BITS) - 1))
    }
}

/// An account's postings, newest version first.
pub(crate) fn postings(published: &Published, query: &PostingQuery) -> Read<Page<PostingRow>> {
    let head = published.head();
    let start = query.before.map_or(Position { sequence: head, skip: 0 }, Position::unpack);
    let mut page = Page::empty();
    let mut loader = published.loader();
    let (since, mut looked_at) = (query.filter.booked_since(), 0);
    let mut visit = |sequence: Sequence| {
        looked_at += 1;
        let Some(entry) = loader.entry(sequence)? else { return Ok(ControlFlow::Continue(())) };
        if since.is_some_and(|since| entry.header.time < since) {
            return Ok(ControlFlow::Break(()));
        }
        let skip = if sequence == start.sequence { start.skip } else { 0 };
        for (place, row) in postings_on(&entry, query.account).into_iter().enumerate().skip(skip) {
            if page.items.len() == query.limit {
                page.next = Some(Position { sequence, skip: place }.pack());
                return Ok(ControlFlow::Break(()));
            }
            if passes(&row, query) {
                page.push(Position { sequence, skip: place + 1 }.pack(), row);
            }
        }
        if looked_at == ENTRIES_PER_PAGE_MAX {
            page.next = Some(Position { sequence: sequence - 1, skip: 0 }.pack());
            return Ok(ControlFlow::Break(()));
        }
        Ok(ControlFlow::Continue(()))
    };
    candidates(published, Some(query.account), &query.filter, start.sequence.min(head), &mut visit)?;
    Ok(page)
}

fn passes(row: &PostingRow, query: &PostingQuery) -> bool {
    let Some((posting, transferred, entry)) = row.parts() else { return false };
    query.side.is_none_or(|side| side == posting.side) && query.filter.passes(transferred, entry.header.time)
}

/// Transfers, newest first.
pub(crate) fn transfers(published: &Published, query: &TransferQuery) -> Read<Page<TransferView>> {
    let head = published.head();
    let start = query.before.map_or(Position { sequence: head, skip: 0 }, Position::unpack);
    let mut page = Page::empty();
    let mut loader = published.loader();
    let (since, mut looked_at) = (query.filter.booked_since(), 0);
    let mut visit = |sequence: Sequence| {
        looked_at += 1;
        let Some(entry) = loader.entry(sequence)? else { return Ok(ControlFlow::Continue(())) };
        if since.is_some_and(|since| entry.header.time < since) {
            return Ok(ControlFlow::Break(()));
        }
        let skip = if sequence == start.sequence { start.skip } else { 0 };
        for (place, index) in (0..transfers_of(&entry.outcome).len()).rev().enumerate().skip(skip) {
            let transfer = TransferRef { entry: entry.clone(), index };
            if !is_wanted(&transfer, query) {
                continue;
            }
            if page.items.len() == query.limit {
                page.next = Some(Position { sequence, skip: place }.pack());
                return Ok(ControlFlow::Break(()));
            }
            if let Some(view) = listed(published, transfer)? {
                page.push(Position { sequence, skip: place + 1 }.pack(), view);
            }
        }
        if looked_at == ENTRIES_PER_PAGE_MAX {
            page.next = Some(Position { sequence: sequence - 1, skip: 0 }.pack());
            return Ok(ControlFlow::Break(()));
        }
        Ok(ControlFlow::Continue(()))
    };
    candidates(published, query.account, &query.filter, start.sequence.min(head), &mut visit)?;
    Ok(page)
}

fn is_wanted(transfer: &TransferRef, query: &TransferQuery) -> bool {
    let Some(transferred) = transfer.transferred() else { return false };
    is_listed(&transfer.entry, transferred, query.account)
        && query.filter.passes(transferred, transfer.entry.header.time)
}

/// A transfer with its reversal and the later steps of its saga, as they are known now.
pub(crate) fn transfer(published: &Published, id: TransferId) -> Read<Option<TransferView>> {
    let own = ShardId::of_generated(id.number()) == published.state().set.shard;
    let made = if own { published.transfer(id)? } else { None };
    let (transfer, mut steps) = match made {
        Some(transfer) => {
            let saga = saga_step(&transfer.entry).map(|step| step.saga);
            let steps = saga.map_or_else(|| Ok(Vec::new()), |saga| steps_of(published, saga))?;
            (transfer, steps)
        }
        None => {
            let steps = steps_of(published, id)?;
            let Some(first) = steps.iter().find_map(|entry| transfers_in(entry, id)) else { return Ok(None) };
            (first, steps)
        }
    };
    steps.retain(|entry| transfer.entry.header.sequence < entry.header.sequence);
    let reversed_by = published.state().set.reversal(id);
    Ok(Some(TransferView { transfer, reversed_by, steps }))
}

/// A transfer of a list: one that never left its shard is all there.
fn listed(published: &Published, found: TransferRef) -> Read<Option<TransferView>> {
    let Some(id) = found.transferred().map(|transferred| transferred.id) else { return Ok(None) };
    if saga_step(&found.entry).is_some() {
        return transfer(published, id);
    }
    let reversed_by = published.state().set.reversal(id);
    Ok(Some(TransferView { transfer: found, reversed_by, steps: Vec::new() }))
}

/// The entries with steps of a transfer that this shard's own ids do not lead to, oldest first.
fn steps_of(published: &Published, id: TransferId) -> Read<Vec<EntryRef>> {
    // The tails first: an entry that moves to the runs meanwhile is then in both, never in neither.
    let newer: Vec<Sequence> = {
        let state = published.state();
        let head = state.set.sequence;
        let steps = state.tails.newest_first().flat_map(|tail| tail.steps_of(id));
        steps.filter(|sequence| *sequence <= head).collect()
    };
    let key = id.number().to_be_bytes();
    let mut sequences = newer;
    for run in published.runs().of(Family::Steps) {
        if !run.may_contain(&key) {
            continue;
        }
        let range = [(0u64, &key[..]), (u64::MAX, &key[..])].map(|(last, key)| [key, &last.to_be_bytes()].concat());
        let mut cursor = run.between(&range[0], &range[1], Direction::Forward)?;
        while let Some(row) = cursor.next_row()? {
            sequences.push(last_word(row));
        }
    }
    sequences.sort_unstable();
    sequences.dedup();
    let mut loader = published.loader();
    let mut entries = Vec::with_capacity(sequences.len());
    for sequence in sequences {
        entries.extend(loader.entry(sequence)?);
    }
    Ok(entries)
}

/// Visits, in descending order up to `last`, the entries that may have what is asked for: by note where the filter has
/// one, else by account, else all.
fn candidates(
    published: &Published,
    account: Option<AccountId>,
    filter: &Filter,
    last: Sequence,
    visit: Visit<'_>,
) -> Read<()> {
    let note = filter.reference.as_deref().map(reference_digest);
    let note = note.or_else(|| filter.metadata.first().map(|(key, value)| metadata_digest(key, value)));
    match (note, account) {
        (Some(digest), _) => noted(published, digest, last, visit),
        (None, Some(account)) => of_account(published, account, last, visit),
        (None, None) => {
            for sequence in (1..=last).rev() {
                if visit(sequence)?.is_break() {
                    break;
                }
            }
            Ok(())
        }
    }
}

/// The entry of a key, wherever it is: in a tail or a run.
pub(crate) fn entry_of_key(published: &Published, digest: u128) -> Read<Option<EntryRef>> {
    let newer: Option<Sequence> = {
        let state = published.state();
        let mut keys = state.tails.newest_first().flat_map(|tail| tail.keys().iter());
        keys.find(|(known, sequence)| *known == digest && *sequence <= state.set.sequence)
            .map(|(_, sequence)| *sequence)
    };
    if let Some(sequence) = newer {
        return published.entry(sequence);
    }
    for run in published.runs().of(Family::Keys) {
        if !run.may_contain(&digest.to_be_bytes()) {
            continue;
        }
        let mut found = None;
        run.get_many(&[digest.to_be_bytes()], |_, row| found = Some(last_word(row)))?;
        if let Some(sequence) = found {
            return published.entry(sequence);
        }
    }
    Ok(None)
}

/// Visits an account's entries in descending order, up to `last`.
fn of_account(published: &Published, account: AccountId, last: Sequence, visit: Visit<'_>) -> Read<()> {
    // The tails first: an entry that moves to the runs meanwhile is then in both, never in neither.
    let newer: Vec<Sequence> = {
        let state = published.state();
        state.tails.newest_first().flat_map(|tail| tail.entries_of(account, last + 1)).collect()
    };
    let runs = published.runs();
    let covered = runs.covered;
    for sequence in newer.into_iter().filter(|sequence| covered < *sequence) {
        if visit(sequence)?.is_break() {
            return Ok(());
        }
    }
    let (lowest, highest) = (row_key(account, 0), row_key(account, last));
    for run in runs.of(Family::Postings).iter().rev().filter(|run| run.covers().first <= last) {
        let mut cursor = run.between(&lowest, &highest, Direction::Backward)?;
        while let Some(row) = cursor.next_row()? {
            if visit(last_word(row))?.is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn noted(published: &Published, digest: u128, last: Sequence, visit: Visit<'_>) -> Read<()> {
    let newer: Vec<Sequence> = {
        let state = published.state();
        state.tails.newest_first().flat_map(|tail| tail.entries_noted(digest, last + 1)).collect()
    };
    let runs = published.runs();
    let covered = runs.covered;
    for sequence in newer.into_iter().filter(|sequence| covered < *sequence) {
        if visit(sequence)?.is_break() {
            return Ok(());
        }
    }
    let key = |sequence: Sequence| [&digest.to_be_bytes()[..], &sequence.to_be_bytes()].concat();
    for run in runs.of(Family::Notes).iter().rev().filter(|run| run.covers().first <= last) {
        if !run.may_contain(&digest.to_be_bytes()) {
            continue;
        }
        let mut cursor = run.between(&key(0), &key(last), Direction::Backward)?;
        while let Some(row) = cursor.next_row()? {
            if visit(last_word(row))?.is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn row_key(account: AccountId, sequence: Sequence) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&account.number().to_be_bytes());
    key[8..].copy_from_slice(&sequence.to_be_bytes());
    key
}

/// The big-endian number at the end of a row.
fn last_word(row: &[u8]) -> u64 {
    row.last_chunk().map_or(0, |word| u64::from_be_bytes(*word))
}

/// An account's balance at a time.
///
/// By booking time it is the balance after the last posting booked until then. By value date it is that, and what was
/// booked later with a value date until then: a value date is never after the booking.
pub(crate) fn balance_at(published: &Published, query: &BalanceQuery) -> Read<Option<i128>> {
    if published.state().set.account(query.account).is_none() {
        return Ok(None);
    }
    let last = published.last_until(query.at)?;
    let mut booked = 0;
    let mut loader = published.loader();
    of_account(published, query.account, last, &mut |sequence| {
        let Some(entry) = loader.entry(sequence)? else { return Ok(ControlFlow::Continue(())) };
        booked = balance_after(&entry, query.account);
        Ok(ControlFlow::Break(()))
    })?;
    match query.axis {
        TimeAxis::Booking => Ok(Some(booked)),
        TimeAxis::Effective => Ok(Some(booked + dated_until(published, query, last)?)),
    }
}

fn balance_after(entry: &EntryRef, account: AccountId) -> i128 {
    let rows = postings_on(entry, account);
    rows.first().and_then(PostingRow::parts).map_or(0, |(posting, _, _)| posting.balance_after)
}

/// The sum of postings after an entry whose value date is at or before the time asked for.
fn dated_until(published: &Published, query: &BalanceQuery, after: Sequence) -> Read<i128> {
    let counts = |row: &DatedRow| row.effective_at <= query.at && after < row.sequence;
    let newer: Vec<DatedRow> = {
        let state = published.state();
        let head = state.set.sequence;
        let rows = state.tails.newest_first().flat_map(|tail| tail.dated_of(query.account));
        rows.filter(|row| counts(row) && row.sequence <= head).copied().collect()
    };
    let runs = published.runs();
    let mut sum: i128 = newer.iter().filter(|row| runs.covered < row.sequence).map(|row| row.signed).sum();
    let account = query.account.number().to_be_bytes();
    let highest = [&account[..], &query.at.microseconds().to_be_bytes()].concat();
    for run in runs.of(Family::Dated) {
        if run.covers().last <= after || !run.may_contain(&account) {
            continue;
        }
        let mut cursor = run.between(&account, &highest, Direction::Forward)?;
        while let Some(row) = cursor.next_row()? {
            sum += DatedRow::decode(row).filter(counts).map_or(0, |row| row.signed);
        }
    }
    Ok(sum)
}
