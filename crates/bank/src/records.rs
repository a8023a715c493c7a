//! Records that are JSON, and a place for records in memory.

pub mod contract;

use crate::ports::{Boxed, Expected, Record, RecordChange, Records};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;
use std::sync::{Mutex, PoisonError};
use store::Fault;

/// The record with this key, read as JSON; `None` if there is none.
///
/// # Errors
/// `Corrupt` for one that does not read as `T`, else as [`Records::get`].
pub async fn read<T: DeserializeOwned>(records: &dyn Records, key: &str) -> Result<Option<T>, Fault> {
    records.get(key).await?.map(|value| parsed(key, &value)).transpose()
}

/// A record's value, read as JSON.
///
/// # Errors
/// `Corrupt` for one that does not read as `T`.
pub fn parsed<T: DeserializeOwned>(key: &str, value: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(value).map_err(|error| Fault::Corrupt { detail: format!("the record {key}: {error}") })
}

/// Refuses changes of which two have the same key: one of them would be lost, which no caller means.
///
/// # Errors
/// `Corrupt`, with the key.
pub fn distinct(changes: &[RecordChange]) -> Result<(), Fault> {
    let mut keys = HashSet::with_capacity(changes.len());
    match changes.iter().find(|change| !keys.insert(change.key.as_str())) {
        Some(twice) => Err(Fault::Corrupt { detail: format!("the record {} is changed twice at once", twice.key) }),
        None => Ok(()),
    }
}

impl RecordChange {
    /// Keeps this under the key, as JSON, whatever there was.
    ///
    /// # Errors
    /// `Corrupt` if it cannot be written as JSON.
    pub fn put(key: impl Into<String>, value: &impl Serialize) -> Result<RecordChange, Fault> {
        let key = key.into();
        let value = serde_json::to_vec(value)
            .map_err(|error| Fault::Corrupt { detail: format!("the record {key} cannot be written: {error}") })?;
        Ok(RecordChange { key, expected: Expected::Anything, value: Some(value) })
    }

    /// Removes what is under the key.
    pub fn remove(key: impl Into<String>) -> RecordChange {
        RecordChange { key: key.into(), expected: Expected::Anything, value: None }
    }

    /// The same change, made only if this is so.
    pub fn expecting(self, expected: Expected) -> RecordChange {
        RecordChange { expected, ..self }
    }
}

/// Records in memory: for tests and simulations. They are as durable as the process.
#[derive(Debug, Default)]
pub struct MemoryRecords {
    kept: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl Records for MemoryRecords {
    fn get<'a>(&'a self, key: &'a str) -> Boxed<'a, Result<Option<Vec<u8>>, Fault>> {
        Box::pin(async move { Ok(self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()) })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        count: usize,
    ) -> Boxed<'a, Result<Vec<Record>, Fault>> {
        Box::pin(async move {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let first = match after {
                Some(after) if prefix <= after => Bound::Excluded(after),
                _ => Bound::Included(prefix),
            };
            let found = kept.range::<str, _>((first, Bound::Unbounded));
            let found = found.take_while(|(key, _)| key.starts_with(prefix)).take(count);
            Ok(found.map(|(key, value)| (key.clone(), value.clone())).collect())
        })
    }

    fn change(&self, changes: Vec<RecordChange>) -> Boxed<'_, Result<bool, Fault>> {
        Box::pin(async move {
            distinct(&changes)?;
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let holds = |change: &RecordChange| match &change.expected {
                Expected::Anything => true,
                Expected::Absent => !kept.contains_key(&change.key),
                Expected::Exactly(value) => kept.get(&change.key) == Some(value),
            };
            if !changes.iter().all(holds) {
                return Ok(false);
            }
            for change in changes {
                match change.value {
                    Some(value) => kept.insert(change.key, value),
                    None => kept.remove(&change.key),
                };
            }
            Ok(true)
        })
    }
}
