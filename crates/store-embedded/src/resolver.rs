//! The resolver: looks up older keys, and the transfers that commands name, before the sequencer sees a submission, so
//! that the sequencer never waits for the disk.
//!
//! Each run of keys has a filter in memory. Nearly every new key is turned away by the filters alone, on the caller's own
//! thread; only where one may be known, or a transfer is to be reversed, the shard's pool reads the disk. Keys newer than
//! the runs asked are in the sequencer's own table, see [`crate::health::Resolved`].

use crate::error::StorageError;
use crate::index::{Family, Runs};
use crate::published::Published;
use crate::run::Run;
use ledger::command::Command;
use ledger::key_table::KeyRow;
use ledger::transfer::TransferRow;
use store::Submission;

/// Whether the disk has to be read for this submission.
pub(crate) fn needs_disk(runs: &Runs, submission: &Submission) -> bool {
    let keys = runs.of(Family::Keys);
    submission.requests.iter().any(|request| {
        matches!(request.command, Command::Reverse(_))
            || (!submission.dry_run && request.key.is_some_and(|key| may_be_known(keys, key.digest)))
    })
}

fn may_be_known(runs: &[Run], digest: u128) -> bool {
    let digest = digest.to_be_bytes();
    runs.iter().any(|run| run.may_contain(&digest))
}

/// The keys of a submission that the runs know. A failed read is a fault, never "not found".
pub(crate) fn known_keys(
    published: &Published,
    runs: &Runs,
    submission: &Submission,
) -> Result<Vec<(u128, KeyRow)>, StorageError> {
    if submission.dry_run {
        return Ok(Vec::new());
    }
    let digests: Vec<u128> =
        submission.requests.iter().filter_map(|request| request.key).map(|key| key.digest).collect();
    let keys: Vec<[u8; 16]> = digests.iter().map(|digest| digest.to_be_bytes()).collect();
    let mut found = Vec::new();
    for run in runs.of(Family::Keys) {
        run.get_many(&keys, |place, row| {
            found.push((digests[place], row.last_chunk().map_or(0, |word| u64::from_be_bytes(*word))))
        })?;
    }
    let mut loader = published.loader();
    let mut known = Vec::with_capacity(found.len());
    for (digest, sequence) in found {
        let key = loader.entry(sequence)?.and_then(|entry| entry.header.key).filter(|key| key.digest == digest);
        let Some(key) = key else {
            return Err(StorageError::corrupt(
                runs.of(Family::Keys)[0].path(),
                0,
                "a key leads to an entry that does not have it",
            ));
        };
        known.push((digest, KeyRow { fingerprint: key.fingerprint, sequence }));
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
        let Command::Reverse(reverse) = &request.command else { continue };
        let Some(found) = published.transfer(reverse.transfer)? else { continue };
        let day = found.entry.header.day;
        rows.extend(found.transferred().map(|transferred| TransferRow { transferred: transferred.clone(), day }));
    }
    Ok(rows)
}
