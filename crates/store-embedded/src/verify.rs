//! Walks everything a shard has stored and compares it: the journal with itself, the state with the journal, the indexes
//! with the journal, the sums with zero.
//!
//! The journal is read from its first block and replayed into empty rows. What the indexes should hold is folded into a
//! sum per family that does not depend on order, so that memory does not grow with the journal.

use crate::checkpoint::{checkpoint_path, list_checkpoints, open_verified};
use crate::disk::Disk;
use crate::error::StorageError;
use crate::folder::ShardFolder;
use crate::index::{FAMILIES, Family, Rows, Runs};
use crate::payload::decode;
use crate::published::Published;
use crate::run::Direction;
use crate::segment::reader::{SegmentEnd, SegmentReader};
use crate::segment::{ChainPoint, list_segments, segment_path};
use crate::snapshot::copy_of;
use crate::tail::Tails;
use crate::writer::chain;
use ledger::account::{AccountKind, SystemAccount, SystemKind};
use ledger::event::Entry;
use ledger::ids::Sequence;
use ledger::table::{Row, Table};
use ledger::working_set::WorkingSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use store::report::{Check, Progress, VerifyReport};
use store::transfers_of;

/// What the walk collects.
struct Walk {
    set: WorkingSet,
    replay_failure: Option<String>,
    blocks: u64,
    entries: u64,
    postings: u64,
    expected: [Fold; FAMILIES],
}

/// Rows of a family, in no order: how many, and the sum of their hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Fold {
    count: u64,
    sum: u64,
}

impl Fold {
    fn add(&mut self, row: &[u8]) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(crate::filter::hash_key(row));
    }
}

/// Verifies a shard. What it finds is in the report; a disk that cannot be read is in it too.
pub fn verify(disk: &Disk, folder: &ShardFolder, published: &Published, progress: &dyn Progress) -> VerifyReport {
    let (state, head, runs, tails) = {
        let state = published.state();
        let (head, runs) = (state.set.sequence, published.runs());
        let tails = folds_of_tails(&state.tails, runs.covered, head);
        (copy_of(&state.set, 0), head, runs, tails)
    };
    let empty = WorkingSet::new(state.shard, state.slots.dealt.clone(), 0);
    let mut walk = Walk {
        set: empty,
        replay_failure: None,
        blocks: 0,
        entries: 0,
        postings: 0,
        expected: [Fold::default(); FAMILIES],
    };
    let read = walk.journal(disk, &folder.journal, head, progress);
    let mut report = VerifyReport::default();
    let mut check = |name, count, failure| report.checks.push(Check { name, count, failure });
    check("block checksums and hash chain", walk.blocks, read.err().map(|error| chain(&error)));
    check("versions without gaps", walk.postings, walk.replay_failure.clone());
    let differs = walk.replay_failure.clone().or_else(|| difference(&walk.set, &state));
    check("replay gives the stored state", walk.entries, differs);
    check("sum of each currency is zero", state.sums().len() as u64, sum_failure(&state));
    check("clearing accounts match open sagas", clearing_count(&state), clearing_failure(&state));
    let (rows, failure) = indexes(&runs, &tails, &walk.expected, progress);
    check("indexes agree with the journal", rows, failure);
    let (count, failure) = checkpoints(disk, &folder.checkpoints);
    check("checkpoints are whole", count, failure);
    report
}

impl Walk {
    fn journal(
        &mut self,
        disk: &Disk,
        folder: &Path,
        head: Sequence,
        progress: &dyn Progress,
    ) -> Result<(), StorageError> {
        let mut expected = ChainPoint { hash: [0; 32], next_sequence: 1 };
        let mut payload = Vec::new();
        for number in list_segments(disk, folder)? {
            let path = segment_path(folder, number);
            let reader = SegmentReader::open(disk, &path)?;
            if reader.header().start != expected {
                return Err(StorageError::corrupt(&path, 0, "the segment does not continue the one before"));
            }
            let mut blocks = reader.blocks();
            while blocks.chain_point().next_sequence <= head {
                let Some(block) = blocks.next_block(&mut payload)? else { break };
                self.blocks += 1;
                for entry in decode(&payload, &block, &path)? {
                    self.entry(&entry);
                }
                progress.report("journal", self.entries, head);
            }
            expected = blocks.chain_point();
            if let Some(SegmentEnd::TornTail { offset, what } | SegmentEnd::Damaged { offset, what, .. }) = blocks.end()
            {
                return Err(StorageError::corrupt(&path, offset, what));
            }
        }
        if expected.next_sequence <= head {
            return Err(StorageError::corrupt(folder, 0, "the journal ends before the last entry that was answered"));
        }
        Ok(())
    }

    fn entry(&mut self, entry: &Entry) {
        self.entries += 1;
        self.postings +=
            transfers_of(&entry.outcome).iter().map(|transferred| transferred.postings.len() as u64).sum::<u64>();
        self.expect(entry);
        if self.replay_failure.is_none()
            && catch_unwind(AssertUnwindSafe(|| ledger::replay(&mut self.set, entry))).is_err()
        {
            self.replay_failure =
                Some(format!("entry {} does not follow from the entries before it", entry.header.sequence));
        }
    }

    fn expect(&mut self, entry: &Entry) {
        let mut rows = Rows::default();
        rows.add(entry);
        add_rows(&mut self.expected, &rows, |_| true);
    }
}

/// Folds rows as the runs hold them, of the entries that count.
fn add_rows(folds: &mut [Fold; FAMILIES], rows: &Rows, counts: impl Fn(Sequence) -> bool) {
    let [postings, keys, notes, dated, steps] = folds;
    let wide = |row: &(u128, u64)| [&row.0.to_be_bytes()[..], &row.1.to_be_bytes()].concat();
    let of_postings = rows.postings.iter().filter(|row| counts(row.1));
    of_postings.for_each(|row| postings.add(&[row.0.to_be_bytes(), row.1.to_be_bytes()].concat()));
    let of_steps = rows.steps.iter().filter(|row| counts(row.1));
    of_steps.for_each(|row| steps.add(&[row.0.to_be_bytes(), row.1.to_be_bytes()].concat()));
    rows.keys.iter().filter(|row| counts(row.1)).for_each(|row| keys.add(&wide(row)));
    rows.notes.iter().filter(|row| counts(row.1)).for_each(|row| notes.add(&wide(row)));
    rows.dated.iter().filter(|row| counts(row.sequence)).for_each(|row| dated.add(&row.encode()));
}

/// The rows that are in memory only.
fn folds_of_tails(tails: &Tails, covered: Sequence, head: Sequence) -> [Fold; FAMILIES] {
    let mut folds = [Fold::default(); FAMILIES];
    for tail in tails.newest_first() {
        add_rows(&mut folds, &tail.sorted(), |sequence| covered < sequence && sequence <= head);
    }
    folds
}

/// The first row in which two sets differ. Standard accounts of the bank that were only named count as absent.
fn difference(replayed: &WorkingSet, stored: &WorkingSet) -> Option<String> {
    let is_used = |account: &&ledger::account::Account| !(account.is_system() && account.revision == 0);
    let accounts = |set: &WorkingSet| set.accounts.iter().filter(is_used).count();
    if accounts(replayed) != accounts(stored) {
        return Some(format!(
            "{} accounts are stored, {} follow from the journal",
            accounts(stored),
            accounts(replayed)
        ));
    }
    let account = stored.accounts.iter().filter(is_used).find(|row| replayed.account(row.id) != Some(*row));
    if let Some(account) = account {
        return Some(format!("account {} differs from what the journal says", account.id));
    }
    differing("hold", &replayed.holds, &stored.holds)
        .or_else(|| differing("user", &replayed.customers, &stored.customers))
        .or_else(|| differing("dead letter", &replayed.dead_letters, &stored.dead_letters))
        .or_else(|| differing("token", &replayed.tokens, &stored.tokens))
        .or_else(|| differing("reversal of transfer", &replayed.reversals, &stored.reversals))
        .or_else(|| {
            let differs = replayed.sagas != stored.sagas || replayed.slots != stored.slots;
            differs.then(|| {
                "open sagas, the positions of other shards or slots differ from what the journal says".to_string()
            })
        })
        .or_else(|| {
            (replayed.ids != stored.ids).then(|| "the id given out last differs from what the journal says".to_string())
        })
}

fn differing<R: Row + PartialEq>(name: &str, replayed: &Table<R>, stored: &Table<R>) -> Option<String> {
    if replayed.len() != stored.len() {
        return Some(format!("{} rows of {name} are stored, {} follow from the journal", stored.len(), replayed.len()));
    }
    let row = stored.iter().find(|row| replayed.get(row.id()) != Some(*row))?;
    Some(format!("{name} {} differs from what the journal says", row.id()))
}

fn sum_failure(state: &WorkingSet) -> Option<String> {
    let (currency, sum) = state.sums().into_iter().find(|(_, sum)| *sum != 0)?;
    Some(format!("all accounts in {currency} together have {sum} minor units instead of none"))
}

fn is_clearing(account: &&ledger::account::Account) -> bool {
    account.kind == AccountKind::System(SystemKind::Clearing)
}

fn clearing_count(state: &WorkingSet) -> u64 {
    state.accounts.iter().filter(is_clearing).count() as u64
}

/// What one shard alone can tell: with no saga open, nothing waits for a decision. The pairs of clearing accounts are
/// compared by whoever sees both shards.
fn clearing_failure(state: &WorkingSet) -> Option<String> {
    let waits = |account: &&ledger::account::Account| {
        SystemAccount::from_id(account.id).is_some_and(|system| system.ordinal == state.shard.number())
    };
    let mut waiting = state.accounts.iter().filter(is_clearing).filter(waits).filter(|account| account.balance != 0);
    let account = waiting.next().filter(|_| state.sagas.open().len() == 0)?;
    Some(format!(
        "clearing account {} has {} minor units though no transfer between shards waits for a decision",
        account.id, account.balance
    ))
}

fn indexes(
    runs: &Runs,
    tails: &[Fold; FAMILIES],
    expected: &[Fold; FAMILIES],
    progress: &dyn Progress,
) -> (u64, Option<String>) {
    let mut rows = 0;
    for family in Family::ALL {
        let expected = expected[family as usize];
        match fold_of(runs, family, tails[family as usize], progress, expected.count) {
            Err(error) => return (rows, Some(chain(&error))),
            Ok(found) if found != expected => {
                let what = format!(
                    "{} rows of the index {} do not match the journal's {}",
                    found.count,
                    family.name(),
                    expected.count
                );
                return (
                    rows,
                    Some(format!("{what}; stop the bank, remove its files from the runs folder and start again")),
                );
            }
            Ok(found) => rows += found.count,
        }
    }
    (rows, None)
}

fn fold_of(
    runs: &Runs,
    family: Family,
    mut fold: Fold,
    progress: &dyn Progress,
    total: u64,
) -> Result<Fold, StorageError> {
    for run in runs.of(family) {
        let mut cursor = run.range(&[], Direction::Forward)?;
        while let Some(row) = cursor.next_row()? {
            fold.add(row);
        }
        progress.report(family.name(), fold.count, total);
    }
    Ok(fold)
}

/// Reads every checkpoint: an older one is what a start falls back to when the newest is damaged.
fn checkpoints(disk: &Disk, folder: &Path) -> (u64, Option<String>) {
    let (mut whole, mut failure) = (0, None);
    let sequences = match list_checkpoints(disk, folder) {
        Ok(sequences) => sequences,
        Err(error) => return (0, Some(chain(&error))),
    };
    for sequence in sequences {
        let path = checkpoint_path(folder, sequence);
        match open_verified(disk, &path, sequence) {
            Ok(_) => whole += 1,
            // A newer one was finished meanwhile, and this one is no longer kept.
            Err(_) if matches!(disk.exists(&path), Ok(false)) => {}
            Err(error) => failure = failure.or_else(|| Some(format!("{}: {}", path.display(), chain(&error)))),
        }
    }
    (whole, failure)
}
