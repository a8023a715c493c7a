//! Reads of accounts, holds and entries.

use crate::error::corrupt;
use crate::read::Reads;
use crate::row::{ACCOUNT_COLUMNS, HOLD_COLUMNS, get};
use crate::value::{Whole, big, unbig};
use ledger::account::Account;
use ledger::hold::{Hold, HoldStatus};
use ledger::ids::AccountId;
use ledger::time::Timestamp;
use store::query::{BalanceQuery, PAGE_MAX, Page, PageQuery, TimeAxis};
use store::{EntryRef, Fault};
use tokio_postgres::Row;

/// How many rows of a page are asked for: one more than it has, to know whether it goes on.
pub(crate) fn limit(limit: usize) -> usize {
    limit.clamp(1, PAGE_MAX)
}

/// A page of rows with their places, of which one more than the page has may be there.
pub(crate) fn page<T>(mut rows: Vec<(u64, T)>, most: usize) -> Page<T> {
    let goes_on = most < rows.len();
    rows.truncate(most);
    let next = rows.last().map(|(place, _)| *place).filter(|_| goes_on);
    Page::of(rows, next)
}

/// An account as it is at a time: its row, less what holds reserve whose time is over.
pub(crate) const ACCOUNT_SEEN: &str = "left join lateral ( \
    select count(*) filter (where h.expires_at <= $1) as due, \
        coalesce(sum(h.amount - h.captured) filter (where h.expires_at <= $1), 0)::numeric as due_amount, \
        min(h.expires_at) filter (where h.expires_at > $1) as next_of_others \
    from florin.holds h where h.account = a.id and h.status = 0) seen on a.next_expiry <= $1";

const SEEN_COLUMNS: &str =
    "coalesce(seen.due, 0) as due, coalesce(seen.due_amount, 0) as due_amount, seen.next_of_others";

fn account_seen(row: &Row) -> Result<Account, String> {
    let account = crate::row::account(row)?;
    let due: i64 = get(row, "due")?;
    if due == 0 {
        return Ok(account);
    }
    let Whole(amount) = get(row, "due_amount")?;
    let amount = crate::row::meant("due_amount", u64::try_from(amount).ok())?;
    let due = crate::row::meant("due", u32::try_from(due).ok())?;
    Ok(Account {
        held: crate::row::meant("held", account.held.checked_sub(amount))?,
        holds_active: crate::row::meant("holds_active", account.holds_active.checked_sub(due))?,
        next_expiry: crate::row::optional_time(row, "next_of_others")?.unwrap_or(Timestamp::MAX),
        ..account
    })
}

pub(crate) fn damaged(what: String) -> Fault {
    corrupt(format!("a stored row: {what}"))
}

/// An account as it is at a time.
pub(crate) async fn account(reads: &Reads, id: AccountId, now: Timestamp) -> Result<Option<Account>, Fault> {
    let text =
        format!("select {ACCOUNT_COLUMNS}, {SEEN_COLUMNS} from florin.accounts a {ACCOUNT_SEEN} where a.id = $2");
    let rows = reads.rows(&text, &[&big(now.microseconds()), &big(id.number())]).await?;
    rows.first().map(account_seen).transpose().map_err(damaged)
}

/// A customer's accounts, newest first.
pub(crate) async fn accounts_of(
    reads: &Reads,
    customer: i64,
    query: PageQuery,
    now: Timestamp,
) -> Result<Page<Account>, Fault> {
    let text = format!(
        "select {ACCOUNT_COLUMNS}, {SEEN_COLUMNS} from florin.accounts a {ACCOUNT_SEEN} \
         where a.customer = $2 and a.moved_to is null and a.opened_by < $3 order by a.opened_by desc limit $4"
    );
    let most = limit(query.limit);
    let before = query.before.map_or(i64::MAX, big);
    let rows = reads.rows(&text, &[&big(now.microseconds()), &customer, &before, &big(most as u64 + 1)]).await?;
    let read = |row: &Row| Ok((unbig(get(row, "opened_by")?), account_seen(row)?));
    Ok(page(rows.iter().map(read).collect::<Result<_, String>>().map_err(damaged)?, most))
}

/// The bank's own accounts, by id.
pub(crate) async fn system_accounts(reads: &Reads) -> Result<Vec<Account>, Fault> {
    let text =
        format!("select {ACCOUNT_COLUMNS} from florin.accounts a where a.id >= 9223370937343148032 order by a.id");
    let rows = reads.rows(&text, &[]).await?;
    rows.iter().map(crate::row::account).collect::<Result<_, _>>().map_err(damaged)
}

/// A hold as it is at a time.
pub(crate) async fn hold(reads: &Reads, id: i64, now: Timestamp) -> Result<Option<Hold>, Fault> {
    let text = format!("select {HOLD_COLUMNS} from florin.holds h where h.id = $1");
    let rows = reads.rows(&text, &[&id]).await?;
    let hold = rows.first().map(crate::row::hold).transpose().map_err(damaged)?;
    Ok(hold.map(|hold| hold.seen_at(now)))
}

/// An account's holds, newest first.
pub(crate) async fn holds_of(
    reads: &Reads,
    account: i64,
    query: PageQuery,
    now: Timestamp,
) -> Result<Page<Hold>, Fault> {
    let text = format!(
        "select {HOLD_COLUMNS} from florin.holds h where h.account = $1 and h.id < $2 order by h.id desc limit $3"
    );
    let most = limit(query.limit);
    let rows = reads.rows(&text, &[&account, &query.before.map_or(i64::MAX, big), &big(most as u64 + 1)]).await?;
    let read = |row: &Row| crate::row::hold(row).map(|hold| (hold.id.number(), hold.seen_at(now)));
    Ok(page(rows.iter().map(read).collect::<Result<_, _>>().map_err(damaged)?, most))
}

/// Holds whose time is over, the longest due first.
pub(crate) async fn due_holds(reads: &Reads, now: Timestamp, most: usize) -> Result<Vec<Hold>, Fault> {
    let text = format!(
        "select {HOLD_COLUMNS} from florin.holds h \
         where h.status = 0 and h.expires_at is not null and h.expires_at <= $1 order by h.expires_at limit $2"
    );
    let rows = reads.rows(&text, &[&big(now.microseconds()), &big(most as u64)]).await?;
    let holds: Vec<Hold> = rows.iter().map(crate::row::hold).collect::<Result<_, _>>().map_err(damaged)?;
    Ok(holds.into_iter().filter(|hold| hold.status == HoldStatus::Held).collect())
}

/// An account's balance at a time.
///
/// By booking time it is the balance after the last posting booked until then. By value date it is that, and what was
/// booked later with a value date until then: no value date is after its booking.
pub(crate) async fn balance_at(reads: &Reads, query: &BalanceQuery) -> Result<Option<i128>, Fault> {
    let text = "select coalesce((select p.balance_after from florin.postings p \
            where p.account = a.id and p.version = at.version), 0) as booked, \
        coalesce((select sum(p.amount) from florin.postings p where p.account = a.id and p.dated is not null \
            and p.dated <= $2 and p.version > at.version), 0)::numeric as dated \
        from florin.accounts a cross join lateral (select florin.version_at($1, $2) as version) at where a.id = $1";
    let rows = reads.rows(text, &[&big(query.account.number()), &big(query.at.microseconds())]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let (Whole(booked), Whole(dated)) = (get(row, "booked").map_err(damaged)?, get(row, "dated").map_err(damaged)?);
    Ok(Some(match query.axis {
        TimeAxis::Booking => booked,
        TimeAxis::Effective => booked + dated,
    }))
}

/// The entries after one, in order.
pub(crate) async fn entries(reads: &Reads, after: u64, most: usize) -> Result<Vec<EntryRef>, Fault> {
    // The chunk with the next entry, and as many after it as the page can need.
    let text = "select first_sequence, payload from florin.chunks where first_sequence >= coalesce( \
            (select max(first_sequence) from florin.chunks where first_sequence <= $1), 0) \
        order by first_sequence limit $2";
    let most = limit(most);
    let first = big(after.saturating_add(1));
    // Chunks may be as short as one entry; a first guess takes them for full, and goes on where they are not.
    let mut wanted = first;
    let mut list: Vec<EntryRef> = Vec::new();
    loop {
        let chunks = big((most - list.len()) as u64 / 8 + 2);
        let rows = reads.rows(text, &[&wanted, &chunks]).await?;
        let count = rows.len() as u64;
        let mut read: Vec<EntryRef> = crate::journal::decode_chunks(&rows)?.into_values().collect();
        read.retain(|entry| unbig(wanted) <= entry.header.sequence);
        read.sort_unstable_by_key(|entry| entry.header.sequence);
        let is_end = count < unbig(chunks) || read.is_empty();
        list.extend(read);
        if is_end || most <= list.len() {
            list.truncate(most);
            return Ok(list);
        }
        wanted = list.last().map_or(wanted, |entry| big(entry.header.sequence + 1));
    }
}
