//! The resolver: looks up older keys, and the transfers that commands name, before the sequencer sees a submission, so
//! that the sequencer never waits for the disk.
//!
//! Each run of keys has a filter in memory. Nearly every new key is turned away by the filters alone, on the caller's own
//! thread; only where one may be known, or a transfer is to be reversed, the shard's pool reads the disk. Keys newer than
//! the runs asked are in the sequencer's own table, see [`crate::health::Resolved`].

use crate::error::StorageError;
use crate::filter::hash_key;
use crate::index::{Family, Runs};
use crate::published::Published;
use crate::run::Run;
use ledger::command::Command;
use ledger::ids::TransferId;
use ledger::key_table::KeyRow;
use ledger::transfer::TransferRow;
use store::Submission;

/// What has to be read from the disk before a submission can be sequenced.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// For each run of keys, which of the digests it may know.
    keys: Vec<(Run, Vec<u128>)>,
    /// Whether a transfer is named.
    transfers: bool,
}

impl Wanted {
    /// Whether there is nothing to read.
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty() && !self.transfers
    }
}

/// What a submission needs from the disk, as far as filters in memory tell.
pub(crate) fn wanted(runs: &Runs, submission: &Submission) -> Wanted {
    let transfers = submission.requests.iter().any(|request| reversed(&request.command).is_some());
    if submission.dry_run {
        return Wanted { keys: Vec::new(), transfers };
    }
    let digests: Vec<u128> =
        submission.requests.iter().filter_map(|request| request.key).map(|key| key.digest).collect();
    let hashes: Vec<u64> = digests.iter().map(|digest| hash_key(&digest.to_be_bytes())).collect();
    let mut keys = Vec::new();
    for run in runs.of(Family::Keys) {
        let known: Vec<u128> = run.may_contain_hashes(&hashes).into_iter().map(|place| digests[place]).collect();
        if !known.is_empty() {
            keys.push((run.clone(), known));
        }
    }
    Wanted { keys, transfers }
}

/// The keys that the runs really know. A failed read is a fault, never "not found".
pub(crate) fn known_keys(published: &Published, wanted: &Wanted) -> Result<Vec<(u128, KeyRow)>, StorageError> {
    let mut known = Vec::new();
    let mut loader = published.loader();
    for (run, digests) in &wanted.keys {
        let keys: Vec<[u8; 16]> = digests.iter().map(|digest| digest.to_be_bytes()).collect();
        let mut found = Vec::new();
        run.get_many(&keys, |place, row| {
            found.push((digests[place], row.last_chunk().map_or(0, |word| u64::from_be_bytes(*word))))
        })?;
        for (digest, sequence) in found {
            let key = loader.entry(sequence)?.and_then(|entry| entry.header.key).filter(|key| key.digest == digest);
            let Some(key) = key else {
                return Err(StorageError::corrupt(run.path(), 0, "a key leads to an entry that does not have it"));
            };
            known.push((digest, KeyRow { fingerprint: key.fingerprint, sequence }));
        }
    }
    Ok(known)
}

/// The transfers that a submission's commands name.
pub(crate) fn named_transfers(
    published: &Published,
    submission: &Submission,
) -> Result<Vec<TransferRow>, StorageError> {
    let mut rows = Vec::new();
    for request in &submission.requests {
        let Some(transfer) = reversed(&request.command) else { continue };
        rows.extend(crate::query::transfer(published, transfer)?.and_then(|found| found.row()));
    }
    Ok(rows)
}

/// The transfer that a command reverses.
fn reversed(command: &Command) -> Option<TransferId> {
    match command {
        Command::Reverse(reverse) => Some(reverse.transfer),
        Command::Between(between) => reversed(&between.command),
        _ => None,
    }
}
