//! Records where they are kept, held to the contract.

use super::KeptRecords;
use super::file::RecordFile;
use bank::ports::{Expected, RecordChange, Records};
use bank::records::contract;
use futures_util::future::try_join_all;
use ledger::time::Timestamp;
use std::sync::Arc;
use store::Fault;
use store_postgres::engine::{Engine, Options};
use test_servers::{Disk, Postgres};
use tokio::runtime::Runtime;

fn runtime() -> Runtime {
    Runtime::new().expect("a runtime")
}

fn with_table(work: impl AsyncFnOnce(&dyn Records)) {
    let url = Postgres::shared().create_database();
    let clock = Arc::new(|| Timestamp::from_microseconds(1_800_000_000_000_000).expect("a time"));
    let mut options = Options::new(vec![url.clone()], clock, [7; 64]);
    options.owners = vec![url];
    let engine = Engine::open(&options).expect("a bank");
    runtime().block_on(work(&KeptRecords::Table(engine.records())));
    engine.shut_down();
}

/// Of sixteen at once who all add a record, or all replace the same value, one does.
async fn of_many_at_once_one_wins(records: &dyn Records) -> Result<(), Fault> {
    for expected in [Expected::Absent, Expected::Exactly(b"first".into())] {
        let value = if expected == Expected::Absent { b"first" } else { b"other" };
        let change = |_| {
            let won = RecordChange { key: "race/won".into(), expected: expected.clone(), value: Some(value.into()) };
            let beside = RecordChange { key: "race/beside".into(), expected: Expected::Anything, value: Some(vec![1]) };
            records.change(vec![beside, won])
        };
        let made = try_join_all((0..16).map(change)).await?;
        assert_eq!(made.iter().filter(|made| **made).count(), 1);
    }
    Ok(())
}

#[test]
fn the_table_keeps_the_contract() {
    with_table(async |records| contract::check(records).await.expect("no fault"));
}

/// Of many at once of whom each adds its own record if another's is not there, one does.
async fn of_two_that_exclude_each_other_one_is_kept(records: &dyn Records) -> Result<(), Fault> {
    for round in 0..20 {
        let keys = ["one", "other"].map(|name| format!("exclude/{round}/{name}"));
        let change = |mine: usize| {
            let add = RecordChange { key: keys[mine].clone(), expected: Expected::Absent, value: Some(vec![1]) };
            let guard = RecordChange::remove(&keys[1 - mine]).expecting(Expected::Absent);
            records.change(vec![add, guard])
        };
        // A database may find that they wait for each other, and ends one of them.
        let made = futures_util::future::join(change(0), change(1)).await;
        let made = [made.0, made.1].into_iter().filter(|made| matches!(made, Ok(true))).count();
        assert!(made <= 1, "both were added");
        assert_eq!(records.list(&format!("exclude/{round}/"), None, 9).await?.len(), made);
    }
    Ok(())
}

#[test]
fn what_must_be_absent_stays_absent_until_the_change_is_made() {
    with_table(async |records| of_two_that_exclude_each_other_one_is_kept(records).await.expect("no fault"));
}

#[test]
fn of_many_changes_of_a_row_at_once_one_wins() {
    with_table(async |records| of_many_at_once_one_wins(records).await.expect("no fault"));
}

#[test]
fn the_file_keeps_the_contract_and_what_it_was_given_when_it_is_opened_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = runtime();
    let records = RecordFile::open(folder.path()).expect("records");
    runtime.block_on(contract::check(&records)).expect("no fault");
    runtime.block_on(of_many_at_once_one_wins(&records)).expect("no fault");
    let before = runtime.block_on(records.list("", None, 100)).expect("no fault");
    drop(records);
    let records = RecordFile::open(folder.path()).expect("the same records");
    let after = runtime.block_on(records.list("", None, 100)).expect("no fault");
    assert!(!after.is_empty());
    assert_eq!(before, after);
}

#[test]
fn a_damaged_file_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("records");
    std::fs::write(&path, b"these are no records").expect("a file");
    let refused = RecordFile::open(folder.path()).expect_err("it is no such file");
    assert!(refused.to_string().contains("cannot open the records"), "{refused}");
    assert_eq!(std::fs::read(&path).expect("the file"), b"these are no records");
}

#[test]
fn a_file_that_was_left_half_made_is_made_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("records.new"), vec![0; 4096]).expect("a file");
    let records = RecordFile::open(folder.path()).expect("records");
    runtime().block_on(contract::check(&records)).expect("no fault");
}

fn put(key: &str, bytes: usize) -> Vec<RecordChange> {
    vec![RecordChange { key: key.into(), expected: Expected::Anything, value: Some(vec![7; bytes]) }]
}

#[test]
fn after_a_full_disk_has_room_again_records_are_kept_again_and_none_is_lost() {
    let disk = Disk::new(64);
    let records = RecordFile::open(disk.path()).expect("records");
    let runtime = runtime();
    assert!(runtime.block_on(records.change(put("before", 1000))).expect("room"));
    disk.fill();
    let refused = (0..64).find_map(|number| runtime.block_on(records.change(put(&number.to_string(), 1 << 20))).err());
    assert!(refused.is_some(), "a full disk keeps 64 megabytes");
    disk.free();
    // What follows a failure may be refused too: it opens the file again.
    let kept = (0..3).any(|_| runtime.block_on(records.change(put("after", 1000))).is_ok_and(|made| made));
    assert!(kept, "there is room again");
    for key in ["before", "after"] {
        assert_eq!(runtime.block_on(records.get(key)).expect("no fault"), Some(vec![7; 1000]), "{key}");
    }
}

#[test]
fn what_was_changed_survives_a_power_cut() {
    let disk = Disk::new(64);
    let records = RecordFile::open(disk.path()).expect("records");
    let runtime = runtime();
    for number in 0..20 {
        assert!(runtime.block_on(records.change(put(&format!("key/{number:02}"), 10_000))).expect("kept"));
    }
    disk.cut_power();
    runtime.block_on(records.change(put("late", 1))).expect_err("there is no power");
    drop(records);
    disk.restore_power();
    let records = RecordFile::open(disk.path()).expect("the same records");
    assert_eq!(runtime.block_on(records.list("key/", None, 100)).expect("no fault").len(), 20);
}
