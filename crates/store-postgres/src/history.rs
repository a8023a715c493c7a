//! Lists of transfers and postings. Rows say which entries are meant; what is answered is always the entry itself.
//!
//! Conditions are put together by what is asked, so that each question has a plan of its own, with an index for it.

use crate::error::corrupt;
use crate::journal::{Entries, entries_at, entry};
use crate::query::{damaged, limit};
use crate::read::{Reads, rows};
use crate::row::{get, step_number};
use crate::value::{big, shown, unbig};
use deadpool_postgres::Client;
use ledger::ids::{AccountId, TransferId};
use ledger::saga::StepKind;
use ledger::time::Timestamp;
use ledger::transfer::{Posting, Side};
use std::fmt::Write as _;
use store::query::{
    Filter, Page, PostingQuery, PostingRow, TimeAxis, TransferQuery, TransferView, is_listed, saga_step, transfers_in,
};
use store::{EntryRef, Fault, TransferRef};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// A statement in the making, with its parameters.
struct Question {
    text: String,
    parameters: Vec<Box<dyn ToSql + Sync + Send>>,
}

/// What a row is about, in the words of a question's tables.
struct Columns {
    id: &'static str,
    booked_at: &'static str,
    effective_at: &'static str,
    reference: &'static str,
}

/// Rows of `transfers t`.
const OF_TRANSFERS: Columns =
    Columns { id: "t.id", booked_at: "t.booked_at", effective_at: "t.effective_at", reference: "t.reference" };

/// Rows of `postings p`, with the transfer or the later step they are of.
const OF_POSTINGS: Columns = Columns {
    id: "p.transfer",
    booked_at: "coalesce(s.booked_at, t.booked_at)",
    effective_at: "coalesce(p.dated, s.booked_at, t.booked_at)",
    reference: "coalesce(s.reference, t.reference)",
};

const POSTINGS: &str = "select p.version, p.transfer, coalesce(p.step, t.sequence) as sequence from florin.postings p \
    left join florin.transfers t on t.id = p.transfer \
    left join florin.steps s on s.transfer = p.transfer and s.sequence = p.step";

impl Question {
    fn new(text: &str) -> Question {
        Question { text: format!("{text} where true"), parameters: Vec::new() }
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

    /// Adds a filter's conditions.
    fn add(&mut self, filter: &Filter, columns: &Columns) {
        let column = match filter.axis {
            TimeAxis::Booking => columns.booked_at,
            TimeAxis::Effective => columns.effective_at,
        };
        if let Some(since) = filter.since {
            self.and(&format!("{column} >= ?"), big(since.microseconds()));
        }
        if let Some(until) = filter.until {
            self.and(&format!("{column} < ?"), big(until.microseconds()));
        }
        if let Some(reference) = &filter.reference {
            self.and(&format!("{} = ?", columns.reference), shown(reference));
        }
        for (key, value) in &filter.metadata {
            let (key, value) = (self.place(shown(key)), self.place(shown(value)));
            let of_transfer = format!("m.transfer = {} and m.key = {key} and m.value = {value}", columns.id);
            self.then(&format!(" and exists (select from florin.transfer_metadata m where {of_transfer})"));
        }
    }

    /// Booking times never fall as ids grow, so that they bound the ids too; and no value date is after its booking.
    fn bound_ids(&mut self, filter: &Filter) {
        if let Some(since) = filter.since {
            self.and(
                "t.id > coalesce((select max(ids_before) from florin.chunks where first_time < ?), 0)",
                big(since.microseconds()),
            );
        }
        if let (Some(until), TimeAxis::Booking) = (filter.until, filter.axis) {
            self.and(
                "t.id <= coalesce((select ids_before from florin.chunks where first_time >= ? \
                 order by first_time, first_sequence limit 1), 9223372036854775807)",
                big(until.microseconds()),
            );
        }
    }

    /// Versions grow with booking times, so that far away times need no walk.
    fn bound_versions(&mut self, filter: &Filter, account: AccountId) {
        let mut bound = |sign: &str, time: Timestamp| {
            let account = self.place(big(account.number()));
            let last = self.place(big(time.microseconds()) - 1);
            self.then(&format!(" and p.version {sign} florin.version_at({account}, {last})"));
        };
        if let (Some(until), TimeAxis::Booking) = (filter.until, filter.axis) {
            bound("<=", until);
        }
        if let Some(since) = filter.booked_since() {
            bound(">", since);
        }
    }

    async fn rows(&self, client: &Client) -> Result<Vec<Row>, Fault> {
        let parameters: Vec<&(dyn ToSql + Sync)> =
            self.parameters.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
        rows(client, &self.text, &parameters).await
    }
}

fn transfer_id(row: &Row, column: &str) -> Result<TransferId, String> {
    crate::row::meant(column, TransferId::new(unbig(get(row, column)?)))
}

fn optional_transfer_id(row: &Row, column: &str) -> Result<Option<TransferId>, String> {
    Ok(get::<Option<i64>>(row, column)?.and_then(|id| TransferId::new(unbig(id))))
}

fn sequences(rows: &[Row]) -> Result<Vec<i64>, Fault> {
    rows.iter().map(|row| get(row, "sequence")).collect::<Result<_, _>>().map_err(damaged)
}

/// A transfer with its reversal and the later steps of its saga.
pub(crate) async fn transfer(reads: &Reads, id: TransferId) -> Result<Option<TransferView>, Fault> {
    view(&reads.client().await?, id).await
}

async fn view(client: &Client, id: TransferId) -> Result<Option<TransferView>, Fault> {
    let text = "select t.sequence, (select reversed_by from florin.reversals where transfer = $1) as reversed_by \
        from (select 1) one left join florin.transfers t on t.id = $1";
    let rows = rows(client, text, &[&big(id.number())]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let reversed_by = optional_transfer_id(row, "reversed_by").map_err(damaged)?;
    let made: Option<i64> = get(row, "sequence").map_err(damaged)?;
    let Some(sequence) = made else {
        let mut steps = steps_of(client, id).await?;
        let Some(transfer) = steps.iter().find_map(|entry| transfers_in(entry, id)) else { return Ok(None) };
        steps.retain(|entry| transfer.entry.header.sequence < entry.header.sequence);
        return Ok(Some(TransferView { transfer, reversed_by, steps }));
    };
    let entries = entries_at(client, vec![sequence]).await?;
    let transfer = transfer_in(&entries, sequence, id)?;
    let steps = match saga_step(&transfer.entry) {
        Some(step) => steps_of(client, step.saga).await?,
        None => Vec::new(),
    };
    Ok(Some(TransferView { transfer, reversed_by, steps }))
}

fn transfer_in(entries: &Entries, sequence: i64, id: TransferId) -> Result<TransferRef, Fault> {
    let entry = entry(entries, sequence)?;
    transfers_in(&entry, id).ok_or_else(|| corrupt(format!("entry {sequence} has no transfer {id}")))
}

/// The entries with later steps of a saga, oldest first.
async fn steps_of(client: &Client, id: TransferId) -> Result<Vec<EntryRef>, Fault> {
    let text = "select sequence from florin.steps where transfer = $1 order by sequence";
    let sequences = sequences(&rows(client, text, &[&big(id.number())]).await?)?;
    let entries = entries_at(client, sequences.clone()).await?;
    sequences.into_iter().map(|sequence| entry(&entries, sequence)).collect()
}

/// Transfers, newest first: without an account those that began here, else those posted on it.
pub(crate) async fn transfers(reads: &Reads, query: &TransferQuery) -> Result<Page<TransferView>, Fault> {
    let client = reads.client().await?;
    let most = limit(query.limit);
    let before = query.before.map_or(i64::MAX, big);
    let mut question = match query.account {
        None => {
            let mut question =
                Question::new("select t.id as place, t.id as transfer, t.sequence from florin.transfers t");
            question.and("t.id < ?", before);
            question.add(&query.filter, &OF_TRANSFERS);
            question.bound_ids(&query.filter);
            question.then(" order by t.id desc");
            question
        }
        Some(account) => transfers_on(account, before, &query.filter),
    };
    question.then(&format!(" limit {}", most + 1));
    let rows = question.rows(&client).await?;
    let entries = entries_at(&client, sequences(&rows)?).await?;
    let next = rows.get(most - 1).filter(|_| most < rows.len()).map(|row| get::<i64>(row, "place"));
    let next = next.transpose().map_err(damaged)?.map(unbig);
    let mut page = Page { next, ..Page::empty() };
    let mut listed = std::collections::HashSet::new();
    for row in rows.iter().take(most) {
        let (id, sequence) = (transfer_id(row, "transfer").map_err(damaged)?, get(row, "sequence").map_err(damaged)?);
        let found = transfer_in(&entries, sequence, id)?;
        let is_wanted = found.transferred().is_some_and(|transferred| {
            // Columns for people have texts cut; the entry has them whole.
            is_listed(&found.entry, transferred, query.account)
                && query.filter.passes(transferred, found.entry.header.time)
        });
        if is_wanted && listed.insert((id, sequence)) {
            let place: i64 = get(row, "place").map_err(damaged)?;
            if let Some(view) = seen(&client, found, id).await? {
                page.push(unbig(place), view);
            }
        }
    }
    Ok(page)
}

/// A transfer of a list: one that never left its shard is all there.
async fn seen(client: &Client, transfer: TransferRef, id: TransferId) -> Result<Option<TransferView>, Fault> {
    if saga_step(&transfer.entry).is_some() {
        return view(client, id).await;
    }
    let text = "select reversed_by from florin.reversals where transfer = $1";
    let rows = rows(client, text, &[&big(id.number())]).await?;
    let reversed_by = rows.first().map(|row| optional_transfer_id(row, "reversed_by")).transpose().map_err(damaged)?;
    Ok(Some(TransferView { transfer, reversed_by: reversed_by.flatten(), steps: Vec::new() }))
}

/// The transfers posted on an account, where their last posting on it is; where that is given back it is not listed.
fn transfers_on(account: AccountId, before: i64, filter: &Filter) -> Question {
    let text = POSTINGS.replace("select p.version,", "select p.version as place,");
    let mut question = Question::new(&text);
    question.and("p.account = ?", big(account.number()));
    question.and("p.version < ?", before);
    question.then(
        " and not exists (select from florin.postings n where n.account = p.account and n.version = p.version + 1 \
         and n.transfer = p.transfer and n.step is not distinct from p.step)",
    );
    let refunds: Vec<i16> =
        StepKind::ALL.iter().filter(|kind| kind.is_refund()).map(|kind| step_number(*kind)).collect();
    question.and("(s.kind is null or not s.kind = any(?))", refunds);
    question.bound_versions(filter, account);
    question.add(filter, &OF_POSTINGS);
    question.then(" order by p.version desc");
    question
}

/// An account's postings, newest version first.
pub(crate) async fn postings(reads: &Reads, query: &PostingQuery) -> Result<Page<PostingRow>, Fault> {
    let client = reads.client().await?;
    let mut question = Question::new(POSTINGS);
    question.and("p.account = ?", big(query.account.number()));
    question.and("p.version < ?", query.before.map_or(i64::MAX, big));
    match query.side {
        Some(Side::Debit) => question.then(" and p.amount < 0"),
        Some(Side::Credit) => question.then(" and p.amount > 0"),
        None => {}
    }
    question.bound_versions(&query.filter, query.account);
    question.add(&query.filter, &OF_POSTINGS);
    let most = limit(query.limit);
    question.then(&format!(" order by p.version desc limit {}", most + 1));
    let rows = question.rows(&client).await?;
    let entries = entries_at(&client, sequences(&rows)?).await?;
    let next = rows.get(most - 1).filter(|_| most < rows.len()).map(|row| get::<i64>(row, "version"));
    let next = next.transpose().map_err(damaged)?.map(unbig);
    let mut page = Page { next, ..Page::empty() };
    for row in rows.iter().take(most) {
        let found = posting(&entries, row, query.account)?;
        let passes =
            found.parts().is_some_and(|(_, transferred, entry)| query.filter.passes(transferred, entry.header.time));
        if passes {
            page.push(unbig(get::<i64>(row, "version").map_err(damaged)?), found);
        }
    }
    Ok(page)
}

fn posting(entries: &Entries, row: &Row, account: AccountId) -> Result<PostingRow, Fault> {
    let id = transfer_id(row, "transfer").map_err(damaged)?;
    let (sequence, version): (i64, i64) =
        (get(row, "sequence").map_err(damaged)?, get(row, "version").map_err(damaged)?);
    let transfer = transfer_in(entries, sequence, id)?;
    let is_it = |posting: &Posting| posting.account == account && posting.version == unbig(version);
    let index = transfer.transferred().and_then(|transferred| transferred.postings.iter().position(is_it));
    match index {
        Some(index) => Ok(PostingRow { transfer, index }),
        None => Err(corrupt(format!("entry {sequence} has no posting {version} on account {account}"))),
    }
}
