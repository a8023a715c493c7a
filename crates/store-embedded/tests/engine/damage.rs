//! A flipped bit in every kind of file: refused and named, made again, or passed over with a note, never believed.

use crate::bank::{Bank, account, files, new_time, options, transfers};
use std::path::Path;
use store::Fault;
use store::conformance::block_on;
use store::query::{Filter, PostingQuery};
use store_embedded::engine::{Engine, Options};
use store_embedded::error::StorageError;

fn filled() -> Bank {
    let mut bank = Bank::new();
    bank.open_accounts(8);
    for round in 0..12 {
        bank.submit(transfers(round * 100..(round + 1) * 100, 8)).expect("no fault");
    }
    bank.close();
    bank
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).expect("a file");
    bytes[at] ^= 1;
    std::fs::write(path, bytes).expect("written");
}

fn open(bank: &Bank) -> Result<Engine, StorageError> {
    Engine::open(bank.path(), &options(&bank.time))
}

#[test]
fn a_flipped_bit_in_the_middle_of_the_journal_is_refused_and_named() {
    let bank = filled();
    let segment = files(bank.path(), ".segment").remove(0);
    flip(&segment, 4096 + 200);
    let error = open(&bank).expect_err("damage is refused").to_string();
    assert!(error.contains("is damaged at byte 4096"), "{error}");
}

#[test]
fn a_flipped_bit_in_the_last_block_is_refused_when_a_checkpoint_vouches_for_it() {
    let bank = filled();
    let segment = files(bank.path(), ".segment").remove(0);
    let bytes = std::fs::read(&segment).expect("a segment");
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("blocks");
    flip(&segment, end - 20);
    assert!(matches!(open(&bank), Err(StorageError::Corrupt { .. })));
}

#[test]
fn a_damaged_checkpoint_is_passed_over_with_a_note() {
    let mut bank = filled();
    let newest = files(bank.path(), ".checkpoint").pop().expect("a checkpoint");
    let length = std::fs::metadata(&newest).expect("a file").len();
    flip(&newest, usize::try_from(length / 2).expect("a length"));
    bank.open();
    let notes = bank.engine.as_ref().expect("open").notes().join("\n");
    assert!(notes.contains(".checkpoint"), "{notes}");
}

#[test]
fn verification_reads_every_checkpoint_and_not_only_the_newest() {
    let mut bank = filled();
    bank.open();
    bank.submit(transfers(1200..1300, 8)).expect("no fault");
    bank.close();
    let kept = files(bank.path(), ".checkpoint");
    bank.open();
    let whole = |bank: &Bank| {
        let report = bank.verify();
        let check = report.checks.iter().find(|check| check.name == "checkpoints are whole").expect("it is checked");
        (check.count, check.failure.clone())
    };
    assert_eq!((kept.len(), whole(&bank)), (2, (2, None)));
    let length = std::fs::metadata(&kept[0]).expect("a file").len();
    flip(&kept[0], usize::try_from(length / 2).expect("a length"));
    let (count, failure) = whole(&bank);
    assert_eq!(count, 1, "the newest is whole");
    let name = kept[0].file_name().expect("a name").to_string_lossy();
    assert!(failure.as_ref().is_some_and(|failure| failure.contains(&*name)), "{failure:?}");
}

#[test]
fn a_run_that_cannot_be_opened_is_made_again() {
    let mut bank = filled();
    let run =
        files(bank.path(), ".run").into_iter().find(|path| path.to_string_lossy().contains("keys-")).expect("a run");
    let length = std::fs::metadata(&run).expect("a file").len();
    flip(&run, usize::try_from(length - 10).expect("a length"));
    bank.open();
    assert!(bank.verify().is_clean(), "{:?}", bank.verify());
    let replays = bank.submit(transfers(0..1200, 8)).expect("no fault");
    assert!(replays.iter().all(|answer| matches!(answer, store::Answer::Replayed(_))));
}

#[test]
fn a_damaged_page_of_an_index_is_a_fault_and_never_an_absence() {
    let mut bank = filled();
    for run in files(bank.path(), ".run").into_iter().filter(|path| path.to_string_lossy().contains("postings-")) {
        flip(&run, 4096 + 5);
    }
    bank.open();
    let query = PostingQuery { account: account(3), side: None, filter: Filter::default(), before: None, limit: 1000 };
    assert!(matches!(block_on(bank.store().postings(query)), Err(Fault::Corrupt { .. })));
    assert!(!bank.verify().is_clean());
}

#[test]
fn a_missing_segment_is_refused() {
    let mut bank = Bank::with(|options| (options.segment_bytes, options.run_entries) = (2 << 20, 5000));
    bank.open_accounts(8);
    for round in 0..100 {
        bank.submit(transfers(round * 1000..(round + 1) * 1000, 8)).expect("no fault");
    }
    bank.close();
    let segments = files(bank.path(), ".segment");
    assert!(2 < segments.len(), "{segments:?}");
    std::fs::remove_file(&segments[1]).expect("removed");
    assert!(open(&bank).is_err());
}

#[test]
fn a_folder_of_a_newer_format_is_refused() {
    let bank = filled();
    let path = bank.path().join("format");
    let mut bytes = std::fs::read(&path).expect("a file");
    bytes[8] = 9;
    std::fs::write(&path, bytes).expect("written");
    assert!(matches!(open(&bank), Err(StorageError::NewerFormat { found: 9, .. })));
}

#[test]
fn a_missing_secret_is_refused_because_retries_would_pay_twice() {
    let bank = filled();
    std::fs::remove_file(bank.path().join("secret")).expect("removed");
    let error = open(&bank).expect_err("refused").to_string();
    assert!(error.contains("secret is missing"), "{error}");
    assert!(!bank.path().join("secret").exists());
}

#[test]
fn more_shards_than_there_are_slots_are_refused_before_anything_is_made() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = folder.path().join("data");
    for shards in [0, 1025] {
        let asked = Options { shards, ..options(&new_time()) };
        let error = Engine::open(&path, &asked).expect_err("a refusal").to_string();
        assert!(error.contains(&format!("{shards} shards")) && error.contains("1 to 1024"), "{error}");
    }
    assert!(!path.exists());
}
