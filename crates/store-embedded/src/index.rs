//! The indexes: which rows an entry has in each, and the runs that hold them on disk.
//!
//! | family | row | for |
//! |---|---|---|
//! | `postings` | account, sequence | an account's history and its balance at a booking time |
//! | `keys` | digest of the idempotency key, sequence | answering a retry |
//! | `notes` | digest of a reference or of one metadata entry, sequence | finding transfers by them |
//! | `steps` | transfer, sequence | later steps of a transfer between shards, and transfers of other shards |
//! | `dated` | account, value date, sequence, signed amount | balances by value date: only where it is not the booking time |
//!
//! A transfer's own id needs no index: ids are given out in order, so the journal's block index finds it. Numbers in
//! keys are big-endian, so that rows sort as their numbers do. All families are written together and cover the same
//! entries; what is newer is in the [`crate::tail`].

use crate::disk::Disk;
use crate::error::StorageError;
use crate::merge::{merge, split_superseded};
use crate::run::{Covers, RowKind, Run, RunName, list_runs};
use ledger::event::Entry;
use ledger::ids::{AccountId, Sequence};
use ledger::time::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::query::ids_of_step;
use store::transfers_of;

/// Runs of one level that are merged into one of the next.
pub const MERGE_FACTOR: usize = 8;

/// How many indexes there are.
pub const FAMILIES: usize = 5;

/// Which index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// By account.
    Postings,
    /// By idempotency key.
    Keys,
    /// By reference and metadata.
    Notes,
    /// By account and value date.
    Dated,
    /// By transfer, for those between shards.
    Steps,
}

impl Family {
    /// All of them.
    pub const ALL: [Family; FAMILIES] = [Family::Postings, Family::Keys, Family::Notes, Family::Dated, Family::Steps];

    /// The name in file names.
    pub const fn name(self) -> &'static str {
        match self {
            Family::Postings => "postings",
            Family::Keys => "keys",
            Family::Notes => "notes",
            Family::Dated => "dated",
            Family::Steps => "steps",
        }
    }

    /// What its rows are.
    pub const fn kind(self) -> RowKind {
        match self {
            Family::Postings => RowKind { kind: 1, row_size: 16, key_size: 16, filter_size: 0 },
            Family::Keys => RowKind { kind: 2, row_size: 24, key_size: 16, filter_size: 16 },
            Family::Notes => RowKind { kind: 3, row_size: 24, key_size: 24, filter_size: 16 },
            Family::Dated => RowKind { kind: 4, row_size: 40, key_size: 24, filter_size: 8 },
            Family::Steps => RowKind { kind: 5, row_size: 16, key_size: 16, filter_size: 8 },
        }
    }
}

/// The digest under which a reference is indexed.
pub fn reference_digest(reference: &str) -> u128 {
    digest(&[b"reference", reference.as_bytes()])
}

/// The digest under which one entry of the metadata is indexed.
pub fn metadata_digest(key: &str, value: &str) -> u128 {
    digest(&[b"metadata", key.as_bytes(), value.as_bytes()])
}

fn digest(parts: &[&[u8]]) -> u128 {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    let hash: [u8; 32] = hasher.finalize().into();
    u128::from_be_bytes(crate::bytes::get(&hash, 0))
}

/// A row of `dated`: a posting whose value date is not its booking time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatedRow {
    /// The account.
    pub account: AccountId,
    /// The value date.
    pub effective_at: Timestamp,
    /// The entry.
    pub sequence: Sequence,
    /// The amount, negative for a debit.
    pub signed: i128,
}

impl DatedRow {
    pub(crate) fn encode(&self) -> [u8; 40] {
        let mut row = [0; 40];
        row[..8].copy_from_slice(&self.account.number().to_be_bytes());
        row[8..16].copy_from_slice(&self.effective_at.microseconds().to_be_bytes());
        row[16..24].copy_from_slice(&self.sequence.to_be_bytes());
        row[24..].copy_from_slice(&self.signed.to_be_bytes());
        row
    }

    pub(crate) fn decode(row: &[u8]) -> Option<DatedRow> {
        let word = |at: usize| row.get(at..at + 8)?.first_chunk().copied().map(u64::from_be_bytes);
        Some(DatedRow {
            account: AccountId::new(word(0)?)?,
            effective_at: Timestamp::from_microseconds(word(8)?)?,
            sequence: word(16)?,
            signed: i128::from_be_bytes(*row.get(24..40)?.first_chunk()?),
        })
    }
}

/// The rows of some entries, in the order of the entries.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// Account and sequence.
    pub postings: Vec<(u64, u64)>,
    /// Digest and sequence.
    pub keys: Vec<(u128, u64)>,
    /// Digest and sequence.
    pub notes: Vec<(u128, u64)>,
    /// See [`DatedRow`].
    pub dated: Vec<DatedRow>,
    /// Transfer and sequence.
    pub steps: Vec<(u64, u64)>,
}

impl Rows {
    /// Adds the rows of an entry. An account with several postings in it has one row.
    pub fn add(&mut self, entry: &Entry) {
        let sequence = entry.header.sequence;
        if let Some(key) = entry.header.key {
            self.keys.push((key.digest, sequence));
        }
        let first = self.postings.len();
        let first_note = self.notes.len();
        self.steps.extend(ids_of_step(entry).into_iter().map(|id| (id.number(), sequence)));
        for transferred in transfers_of(&entry.outcome) {
            for posting in transferred.postings.iter() {
                let row = (posting.account.number(), sequence);
                let is_known = first < self.postings.len() && self.postings[first..].contains(&row);
                if !is_known {
                    self.postings.push(row);
                }
                if transferred.effective_at != entry.header.time {
                    let (account, signed) = (posting.account, posting.signed());
                    self.dated.push(DatedRow { account, effective_at: transferred.effective_at, sequence, signed });
                }
            }
            let Some(note) = &transferred.note else { continue };
            let reference = note.reference.as_deref().map(reference_digest);
            let digests = note.metadata.iter().map(|(key, value)| metadata_digest(key, value)).chain(reference);
            for row in digests.map(|digest| (digest, sequence)) {
                if !self.notes[first_note..].contains(&row) {
                    self.notes.push(row);
                }
            }
        }
    }
}

/// The runs that queries see, of all families. They cover the entries up to `covered` without a gap.
#[derive(Clone, Debug, Default)]
pub struct Runs {
    families: [Vec<Run>; FAMILIES],
    /// The last entry they cover.
    pub covered: Sequence,
    /// How many times a tail became runs since the shard was opened.
    pub generation: u64,
}

impl Runs {
    /// The runs of a family, oldest entries first.
    pub fn of(&self, family: Family) -> &[Run] {
        &self.families[family as usize]
    }

    /// These runs and one more of each family, which cover what follows.
    #[must_use]
    pub fn with(&self, added: Vec<Run>, covered: Sequence) -> Runs {
        let mut runs = self.clone();
        for (family, run) in Family::ALL.into_iter().zip(added) {
            runs.families[family as usize].push(run);
        }
        Runs { covered, generation: self.generation + 1, ..runs }
    }

    /// These runs with a merged one in place of those it covers.
    #[must_use]
    pub fn merged(&self, family: Family, run: Run) -> Runs {
        let mut runs = self.clone();
        let list = &mut runs.families[family as usize];
        list.retain(|known| known.covers().first < run.covers().first || run.covers().last < known.covers().last);
        list.push(run);
        list.sort_by_key(|known| known.covers().first);
        runs
    }

    /// Bytes in memory.
    pub fn memory_bytes(&self) -> u64 {
        self.families.iter().flatten().map(Run::memory_bytes).sum()
    }
}

/// The path of a run.
pub fn run_path(folder: &Path, family: Family, level: u8, covers: Covers) -> PathBuf {
    folder.join(RunName { family: family.name().into(), level, covers }.file_name())
}

/// A run that could not be used at opening, and why.
pub type DamagedRun = (PathBuf, StorageError);

/// Opens what covers the journal from its start without a gap in all families. Runs behind a gap, and such as a merged
/// run replaced, are removed; damaged ones are set aside as `*.damaged`: all of them can be made again.
///
/// # Errors
/// A folder that cannot be listed, or a run of a newer format.
pub fn open_runs(disk: &Disk, folder: &Path) -> Result<(Runs, Vec<DamagedRun>), StorageError> {
    let (usable, superseded) = split_superseded(list_runs(disk, folder)?);
    for name in superseded {
        disk.remove(&folder.join(name.file_name()))?;
    }
    let mut damaged = Vec::new();
    let mut families: [Vec<Run>; FAMILIES] = Default::default();
    for name in usable {
        let path = folder.join(name.file_name());
        let Some(family) = Family::ALL.into_iter().find(|family| family.name() == name.family) else { continue };
        match Run::open(disk, &path) {
            Ok(run) if run.kind() == family.kind() => families[family as usize].push(run),
            Ok(_) => damaged.push((path.clone(), StorageError::corrupt(&path, 0, "the run has rows of another kind"))),
            Err(error @ StorageError::NewerFormat { .. }) => return Err(error),
            Err(error) => damaged.push((path, error)),
        }
    }
    for (path, _) in &damaged {
        let mut aside = path.clone().into_os_string();
        aside.push(".damaged");
        disk.rename(path, Path::new(&aside))?;
    }
    let covered = families.iter().map(|runs| covered_without_gap(runs)).min().unwrap_or(0);
    for runs in &mut families {
        for behind in runs.extract_if(.., |run| covered < run.covers().last) {
            disk.remove(behind.path())?;
        }
    }
    let covered = families.iter().map(|runs| covered_without_gap(runs)).min().unwrap_or(0);
    Ok((Runs { families, covered, generation: 0 }, damaged))
}

fn covered_without_gap(runs: &[Run]) -> Sequence {
    runs.iter().fold(0, |covered, run| if run.covers().first == covered + 1 { run.covers().last } else { covered })
}

/// Merges the oldest full group of one level, if there is one: the merged run, and the paths it replaces.
///
/// # Errors
/// A failed read or write; nothing has changed then.
pub fn merge_once(
    disk: &Disk,
    folder: &Path,
    family: Family,
    runs: &[Run],
) -> Result<Option<(Run, Vec<PathBuf>)>, StorageError> {
    let level = |run: &Run| {
        let name = run.path().file_name().and_then(|name| name.to_str()).and_then(RunName::parse);
        name.map_or(0, |name| name.level)
    };
    let levels: Vec<u8> = runs.iter().map(level).collect();
    let full = levels.windows(MERGE_FACTOR).position(|window| window.iter().all(|level| *level == window[0]));
    let Some(first) = full else { return Ok(None) };
    let inputs = &runs[first..first + MERGE_FACTOR];
    let covers = Covers { first: inputs[0].covers().first, last: inputs[MERGE_FACTOR - 1].covers().last };
    let path = run_path(folder, family, levels[first] + 1, covers);
    let run = merge(disk, &path, inputs, None)?;
    Ok(Some((run, inputs.iter().map(|run| run.path().to_path_buf()).collect())))
}

/// The runs shared between those who read and the one who replaces them.
pub type SharedRuns = std::sync::RwLock<Arc<Runs>>;
