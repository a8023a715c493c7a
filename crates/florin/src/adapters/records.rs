//! The small records of a bank beside its journal, wherever its engine has them.

pub(crate) mod file;

use bank::ports::{Boxed, Expected, Record, RecordChange, Records};
use file::RecordFile;
use store::Fault;
use store_postgres::records::{RecordTable, RowChange};

/// See the module.
#[derive(Debug)]
pub(crate) enum KeptRecords {
    /// A file of the data folder.
    File(RecordFile),
    /// A table of the first shard's database.
    Table(RecordTable),
}

impl Records for KeptRecords {
    fn get<'a>(&'a self, key: &'a str) -> Boxed<'a, Result<Option<Vec<u8>>, Fault>> {
        match self {
            KeptRecords::File(file) => file.get(key),
            KeptRecords::Table(table) => table.get(key.to_owned()),
        }
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        count: usize,
    ) -> Boxed<'a, Result<Vec<Record>, Fault>> {
        match self {
            KeptRecords::File(file) => file.list(prefix, after, count),
            KeptRecords::Table(table) => table.list(prefix.to_owned(), after.map(str::to_owned), count),
        }
    }

    fn change(&self, changes: Vec<RecordChange>) -> Boxed<'_, Result<bool, Fault>> {
        match self {
            KeptRecords::File(file) => file.change(changes),
            KeptRecords::Table(table) => match bank::records::distinct(&changes) {
                Ok(()) => table.change(changes.into_iter().map(row).collect()),
                Err(fault) => Box::pin(std::future::ready(Err(fault))),
            },
        }
    }
}

fn row(change: RecordChange) -> RowChange {
    let expected = match change.expected {
        Expected::Anything => None,
        Expected::Absent => Some(None),
        Expected::Exactly(value) => Some(Some(value)),
    };
    RowChange { key: change.key, expected, value: change.value }
}

#[cfg(test)]
mod tests;
