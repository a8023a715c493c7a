//! What is stored: found again after a crash, and when it is damaged, said so.

use crate::expectations::in_parallel;
use crate::support::bank::{Bank, Server, serve};
use crate::support::program::run;
use std::path::{Path, PathBuf};

// M1; `tests/crash` does the same at random instants, many times
#[test]
fn every_acknowledged_transfer_is_found_after_a_crash_and_the_sum_is_exact() {
    let bank = Bank::open();
    let (from, to) = (bank.new_account("1000.00"), bank.new_account("0"));
    let acknowledged: Vec<String> = in_parallel(8, |_| {
        let ids = (0..20)
            .map(|_| bank.transfer(&from, &to, "0.25").expect(201).json()["transfer_id"].as_str().map(str::to_owned));
        ids.map(|id| id.expect("an id")).collect::<Vec<_>>()
    })
    .concat();
    let bank = bank.crash_and_restart();
    for id in &acknowledged {
        bank.get(&format!("/api/v1/transfers/{id}")).expect(200);
    }
    assert_eq!((bank.ledger(&from), bank.ledger(&to)), ("960.00".into(), "40.00".into()));
    bank.expect_sums_of_zero();
}

/// The journal's file that was written to.
fn journal_file(folder: &Path) -> PathBuf {
    let entries = std::fs::read_dir(folder.join("shard-000/journal")).expect("the journal's folder");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files.into_iter().find(|path| used_bytes(path) > 8192).expect("a file with blocks")
}

fn used_bytes(path: &Path) -> usize {
    let bytes = std::fs::read(path).expect("a file");
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

// N8
#[test]
fn a_corrupt_stored_row_is_an_error_and_never_a_default() {
    let bank = Bank::open();
    let (from, to) = (bank.new_account("1000.00"), bank.new_account("0"));
    for _ in 0..40 {
        bank.transfer(&from, &to, "0.25").expect(201);
    }
    let (code, folder, temporary) = bank.stop();
    assert_eq!(code, Some(0));
    let data = folder.to_str().expect("a UTF-8 path");
    run(["verify", "--data", data]).expect_code(0);
    let path = journal_file(&folder);
    let whole = std::fs::read(&path).expect("a file");
    let mut damaged = whole.clone();
    let middle = used_bytes(&path) / 2;
    damaged[middle] ^= 0x40;
    std::fs::write(&path, &damaged).expect("written");
    let verified = run(["verify", "--data", data]).expect_code(1);
    let said = format!("{}{}", verified.stdout, verified.stderr);
    assert!(said.contains("block") || said.contains("damaged"), "{said}");
    std::fs::write(&path, &whole).expect("written");
    run(["verify", "--data", data]).expect_code(0);
    drop(Server::start(serve(&folder).arg("--no-auth")));
    drop(temporary);
}
