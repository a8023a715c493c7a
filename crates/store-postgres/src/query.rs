//! Reads of lists and of history. Rows say which entries are meant; what is answered is always the entry itself.
//!
//! Conditions are put together by what is asked, so that each question has a plan of its own, with an index for it.

use crate::error::corrupt;
use crate::journal::{Entries, entry};
use crate::read::{Reads, rows};
use crate::row::{ACCOUNT_COLUMNS, HOLD_COLUMNS, get};
use crate::value::{Whole, big, shown, unbig};
use ledger::account::Account;
use ledger::hold::{Hold, HoldStatus};
use ledger::ids::{AccountId, TransferId};
use ledger::time::Timestamp;
use ledger::transfer::Side;
use std::fmt::Write as _;
use store::query::{
    BalanceQuery, Filter, PAGE_MAX, Page, PageQuery, PostingQuery, PostingRow, TimeAxis, TransferQuery, TransferView,
};
use store::{EntryRef, Fault, TransferRef};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// A statement in the making, with its parameters.
#[derive(Default)]
struct Question {
    text: String,
    parameters: Vec<Box<dyn ToSql + Sync + Send>>,
}

impl Question {
    fn new(text: &str) -> Question {
        Question { text: text.into(), parameters: Vec::new() }
    }

    /// Adds a parameter; returns what stands for it.
    fn place(&mut self, value: impl ToSql + Sync + Send + 'static) -> String {
        self.parameters.push(Box::new(value));
        format!("${}", self.parameters.len())
    }

    /// Adds a condition, in which `?` stands for the value.
    fn and(&mut self, condition: &str, value: impl ToSql + Sync + Send + 'static) {
        let place = self.place(value);
        let _infallible = write!(self.text, " and {}", condition.replace('?', &place));
    }

    fn then(&mut self, text: &str) {
        self.text.push_str(text);
    }

    async fn rows(&self, client: &deadpool_postgres::Client) -> Result<Vec<Row>, Fault> {
        let parameters: Vec<&(dyn ToSql + Sync)> =
            self.parameters.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
        rows(client, &self.text, &parameters).await
    }
}

/// How many rows of a page are asked for: one more than it has, to know whether it goes on.
fn limit(limit: usize) -> usize {
    limit.clamp(1, PAGE_MAX)
}

/// A page of rows with their places, of which one more than the page has may be there.
pub(crate) fn page<T>(mut rows: Vec<(u64, T)>, most: usize) -> Page<T> {
    let goes_on = most < rows.len();
    rows.truncate(most);
    let next = rows.last().map(|(place, _)| *place).filter(|_| goes_on);
    Page { items: rows.into_iter().map(|(_, row)| row).collect(), next }
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

fn damaged(what: String) -> Fault {
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
         where a.customer = $2 and a.opened_by < $3 order by a.opened_by desc limit $4"
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

const TRANSFER_COLUMNS: &str = "t.id, t.sequence, t.place, r.reversed_by";
const REVERSALS: &str = "left join florin.reversals r on r.transfer = t.id";

/// A row about a transfer.
struct Found {
    id: u64,
    sequence: i64,
    place: usize,
    reversed_by: Option<TransferId>,
}

fn found(row: &Row) -> Result<Found, String> {
    let place: i32 = get(row, "place")?;
    let reversed_by: Option<i64> = get(row, "reversed_by")?;
    Ok(Found {
        id: unbig(get(row, "id")?),
        sequence: get(row, "sequence")?,
        place: crate::row::meant("place", usize::try_from(place).ok())?,
        reversed_by: reversed_by.and_then(|id| TransferId::new(unbig(id))),
    })
}

impl Found {
    fn transfer(&self, entries: &Entries) -> Result<TransferRef, Fault> {
        let transfer = TransferRef { entry: entry(entries, self.sequence)?, index: self.place };
        match transfer.transferred() {
            Some(transferred) if transferred.id.number() == self.id => Ok(transfer),
            _ => Err(corrupt(format!("entry {} has no transfer {}", self.sequence, self.id))),
        }
    }
}

/// A transfer with its reversal.
pub(crate) async fn transfer(reads: &Reads, id: TransferId) -> Result<Option<TransferView>, Fault> {
    let client = reads.client().await?;
    let text = format!("select {TRANSFER_COLUMNS} from florin.transfers t {REVERSALS} where t.id = $1");
    let rows = rows(&client, &text, &[&big(id.number())]).await?;
    let Some(found) = rows.first().map(found).transpose().map_err(damaged)? else { return Ok(None) };
    let entries = crate::journal::entries_at(&client, vec![found.sequence]).await?;
    Ok(Some(TransferView { transfer: found.transfer(&entries)?, reversed_by: found.reversed_by }))
}

/// The conditions of a filter on a transfer `t`. Booking times never fall as ids grow, so they bound the ids too.
fn add_filter(question: &mut Question, filter: &Filter) {
    let column = match filter.axis {
        TimeAxis::Booking => "t.booked_at",
        TimeAxis::Effective => "t.effective_at",
    };
    if let Some(since) = filter.since {
        // No value date is after its booking.
        question.and(&format!("{column} >= ?"), big(since.microseconds()));
        question.and(
            "t.id > coalesce((select max(ids_before) from florin.chunks where first_time < ?), 0)",
            big(since.microseconds()),
        );
    }
    if let Some(until) = filter.until {
        question.and(&format!("{column} < ?"), big(until.microseconds()));
        if filter.axis == TimeAxis::Booking {
            question.and(
                "t.id <= coalesce((select ids_before from florin.chunks where first_time >= ? \
                 order by first_time, first_sequence limit 1), 9223372036854775807)",
                big(until.microseconds()),
            );
        }
    }
    if let Some(reference) = &filter.reference {
        question.and("t.reference = ?", shown(reference));
    }
    for (key, value) in &filter.metadata {
        question
            .and("exists (select from florin.transfer_metadata m where m.transfer = t.id and m.key = ?", shown(key));
        question.and("m.value = ?)", shown(value));
    }
}

/// Transfers, newest first.
pub(crate) async fn transfers(reads: &Reads, query: &TransferQuery) -> Result<Page<TransferView>, Fault> {
    let client = reads.client().await?;
    let mut question =
        Question::new(&format!("select {TRANSFER_COLUMNS} from florin.transfers t {REVERSALS} where true"));
    if let Some(account) = query.account {
        let of_account = "t.id in (select p.transfer from florin.postings p where p.account = ?)";
        question.and(of_account, big(account.number()));
    }
    add_filter(&mut question, &query.filter);
    question.and("t.id < ?", query.before.map_or(i64::MAX, big));
    let most = limit(query.limit);
    question.then(&format!(" order by t.id desc limit {}", most + 1));
    let rows = question.rows(&client).await?;
    let found: Vec<Found> = rows.iter().map(found).collect::<Result<_, _>>().map_err(damaged)?;
    let entries = crate::journal::entries_at(&client, found.iter().map(|found| found.sequence).collect()).await?;
    let goes_on = most < found.len();
    let next = found.get(most - 1).map(|found| found.id).filter(|_| goes_on);
    let mut items = Vec::new();
    for found in found.iter().take(most) {
        let transfer = found.transfer(&entries)?;
        // Columns for people have texts cut; the entry has them whole.
        let time = transfer.entry.header.time;
        if transfer.transferred().is_some_and(|transferred| query.filter.passes(transferred, time)) {
            items.push(TransferView { transfer, reversed_by: found.reversed_by });
        }
    }
    Ok(Page { items, next })
}

/// An account's postings, newest version first.
pub(crate) async fn postings(reads: &Reads, query: &PostingQuery) -> Result<Page<PostingRow>, Fault> {
    let client = reads.client().await?;
    let text = "select p.version, t.sequence, t.place, t.id from florin.postings p \
        join florin.transfers t on t.id = p.transfer where true";
    let mut question = Question::new(text);
    question.and("p.account = ?", big(query.account.number()));
    question.and("p.version < ?", query.before.map_or(i64::MAX, big));
    match query.side {
        Some(Side::Debit) => question.then(" and p.amount < 0"),
        Some(Side::Credit) => question.then(" and p.amount > 0"),
        None => {}
    }
    if query.filter.axis == TimeAxis::Booking {
        // Versions grow with booking times, so that far away times need no walk.
        if let Some(until) = query.filter.until {
            let account = question.place(big(query.account.number()));
            let last = question.place(big(until.microseconds()) - 1);
            question.then(&format!(" and p.version <= florin.version_at({account}, {last})"));
        }
    }
    add_filter(&mut question, &query.filter);
    let most = limit(query.limit);
    question.then(&format!(" order by p.version desc limit {}", most + 1));
    let rows = question.rows(&client).await?;
    posting_page(&client, &rows, query, most).await
}

async fn posting_page(
    client: &deadpool_postgres::Client,
    rows: &[Row],
    query: &PostingQuery,
    most: usize,
) -> Result<Page<PostingRow>, Fault> {
    let read = |row: &Row| -> Result<(i64, i64, i32), String> {
        Ok((get(row, "version")?, get(row, "sequence")?, get(row, "place")?))
    };
    let found: Vec<_> = rows.iter().map(read).collect::<Result<_, _>>().map_err(damaged)?;
    let entries = crate::journal::entries_at(client, found.iter().map(|(_, sequence, _)| *sequence).collect()).await?;
    let next = found.get(most - 1).map(|(version, _, _)| unbig(*version)).filter(|_| most < found.len());
    let mut items = Vec::new();
    for (version, sequence, place) in found.into_iter().take(most) {
        let transfer =
            TransferRef { entry: entry(&entries, sequence)?, index: usize::try_from(place).unwrap_or(usize::MAX) };
        let time = transfer.entry.header.time;
        let Some(transferred) = transfer.transferred() else {
            return Err(corrupt(format!("entry {sequence} has no transfer {place}")));
        };
        let is_it =
            |posting: &ledger::transfer::Posting| posting.account == query.account && posting.version == unbig(version);
        let Some(index) = transferred.postings.iter().position(is_it) else {
            return Err(corrupt(format!("entry {sequence} has no posting {version} on account {}", query.account)));
        };
        if query.filter.passes(transferred, time) {
            items.push(PostingRow { transfer, index });
        }
    }
    Ok(Page { items, next })
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
