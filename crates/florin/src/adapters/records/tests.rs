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
use test_servers::Postgres;
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
