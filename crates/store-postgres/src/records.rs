//! The table of small records beside the journal. It is on the first shard, so that all nodes of a bank share it.
//!
//! Promises: the changes of one call are one transaction, durable before the future ends; each is made only if what it
//! expects is so when the row is locked.

use crate::error::{corrupt, unavailable};
use crate::read::Reads;
use crate::row::get;
use deadpool_postgres::Transaction;
use std::future::Future;
use std::sync::Arc;
use store::{Fault, Reply};
use tokio::runtime::Handle;
use tokio_postgres::types::ToSql;

/// See the module.
#[derive(Clone, Debug)]
pub struct RecordTable {
    pub(crate) reads: Arc<Reads>,
    pub(crate) runtime: Handle,
}

/// A change of one row, whose key no other change of the same call has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowChange {
    /// Which row.
    pub key: String,
    /// What is there now: `None` for whatever there is, `Some(None)` for nothing.
    pub expected: Option<Option<Vec<u8>>>,
    /// What is there then; `None` removes it.
    pub value: Option<Vec<u8>>,
}

/// Puts a value in, whatever there was.
const PUT: &str = "insert into florin.records (key, value) select * from unnest($1::text[], $2::bytea[]) \
    on conflict (key) do update set value = excluded.value";
/// Puts a value in where there is none.
const ADD: &str = "insert into florin.records (key, value) select * from unnest($1::text[], $2::bytea[]) \
    on conflict (key) do nothing";
/// Puts a value in the place of another.
const REPLACE: &str = "update florin.records set value = new.value \
    from unnest($1::text[], $2::bytea[], $3::bytea[]) as new (key, value, expected) \
    where records.key = new.key and records.value = new.expected";
/// Removes, whatever there is.
const REMOVE: &str = "delete from florin.records where key = any ($1::text[])";
/// Removes what is exactly this.
const REMOVE_EXACTLY: &str = "delete from florin.records using unnest($1::text[], $2::bytea[]) as old (key, value) \
    where records.key = old.key and records.value = old.value";

impl RecordTable {
    fn run<T: Send + 'static>(&self, work: impl Future<Output = Result<T, Fault>> + Send + 'static) -> Reply<'_, T> {
        let task = self.runtime.spawn(work);
        Box::pin(
            async move { task.await.unwrap_or_else(|_| Err(Fault::Unavailable { reason: "it is stopping".into() })) },
        )
    }

    /// The value of a key.
    pub fn get(&self, key: String) -> Reply<'_, Option<Vec<u8>>> {
        let reads = self.reads.clone();
        self.run(async move {
            let rows = reads.rows("select value from florin.records where key = $1", &[&key]).await?;
            rows.first().map(|row| get(row, "value")).transpose().map_err(corrupt)
        })
    }

    /// Rows whose keys begin with `prefix` and come after `after`, in order, at most `count`.
    pub fn list(&self, prefix: String, after: Option<String>, count: usize) -> Reply<'_, Vec<(String, Vec<u8>)>> {
        let reads = self.reads.clone();
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.run(async move {
            let text = "select key, value from florin.records where $1 <= key and ($2::text is null or $2 < key) \
                and starts_with(key, $1) order by key limit $3";
            let rows = reads.rows(text, &[&prefix, &after, &count]).await?;
            rows.iter()
                .map(|row| Ok((get(row, "key")?, get(row, "value")?)))
                .collect::<Result<_, String>>()
                .map_err(corrupt)
        })
    }

    /// Makes all changes, or none if one expects what is not so; whether they were made.
    pub fn change(&self, changes: Vec<RowChange>) -> Reply<'_, bool> {
        let reads = self.reads.clone();
        self.run(async move {
            let mut client = reads.client().await?;
            let transaction = client.transaction().await.map_err(|error| unavailable(&error))?;
            if Sorted::new(changes).apply(&transaction).await.map_err(|error| unavailable(&error))? {
                transaction.commit().await.map_err(|error| unavailable(&error))?;
                return Ok(true);
            }
            transaction.rollback().await.map_err(|error| unavailable(&error))?;
            Ok(false)
        })
    }
}

/// Columns of keys, new values and expected ones.
type Columns = (Vec<String>, Vec<Vec<u8>>, Vec<Vec<u8>>);

/// Changes by what is done to a row, each kind in the order of its keys: whoever locks many rows locks them in the same
/// order as everybody else.
#[derive(Debug, Default)]
struct Sorted {
    put: Columns,
    add: Columns,
    replace: Columns,
    remove: Columns,
    remove_exactly: Columns,
    absent: Columns,
}

impl Sorted {
    fn new(mut changes: Vec<RowChange>) -> Sorted {
        changes.sort_by(|one, other| one.key.cmp(&other.key));
        let mut sorted = Sorted::default();
        for change in changes {
            let columns = match (&change.expected, &change.value) {
                (None, Some(_)) => &mut sorted.put,
                (None, None) => &mut sorted.remove,
                (Some(None), Some(_)) => &mut sorted.add,
                (Some(None), None) => &mut sorted.absent,
                (Some(Some(_)), Some(_)) => &mut sorted.replace,
                (Some(Some(_)), None) => &mut sorted.remove_exactly,
            };
            columns.0.push(change.key);
            columns.1.extend(change.value);
            columns.2.extend(change.expected.flatten());
        }
        sorted
    }

    async fn apply(&self, transaction: &Transaction<'_>) -> Result<bool, tokio_postgres::Error> {
        let Sorted { put, add, replace, remove, remove_exactly, absent } = self;
        Ok(changes_all(transaction, replace, REPLACE, &[&replace.0, &replace.1, &replace.2]).await?
            && changes_all(transaction, remove_exactly, REMOVE_EXACTLY, &[&remove_exactly.0, &remove_exactly.2])
                .await?
            && changes_all(transaction, add, ADD, &[&add.0, &add.1]).await?
            && are_absent(transaction, absent).await?
            && changes(transaction, put, PUT, &[&put.0, &put.1]).await?.is_some()
            && changes(transaction, remove, REMOVE, &[&remove.0]).await?.is_some())
    }
}

/// How many rows a statement changed; `Some(0)` without asking where there is nothing to change.
async fn changes(
    transaction: &Transaction<'_>,
    columns: &Columns,
    text: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Option<usize>, tokio_postgres::Error> {
    if columns.0.is_empty() {
        return Ok(Some(0));
    }
    let statement = transaction.prepare_cached(text).await?;
    let count = transaction.execute(&statement, parameters).await?;
    Ok(usize::try_from(count).ok())
}

async fn changes_all(
    transaction: &Transaction<'_>,
    columns: &Columns,
    text: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<bool, tokio_postgres::Error> {
    Ok(changes(transaction, columns, text, parameters).await? == Some(columns.0.len()))
}

/// Whether there are none of these, and none comes before the transaction is over: whoever would add one has to wait for
/// the row that was there for a moment.
async fn are_absent(transaction: &Transaction<'_>, absent: &Columns) -> Result<bool, tokio_postgres::Error> {
    let nothing: Vec<Vec<u8>> = vec![Vec::new(); absent.0.len()];
    Ok(changes_all(transaction, absent, ADD, &[&absent.0, &nothing]).await?
        && changes_all(transaction, absent, REMOVE, &[&absent.0]).await?)
}
