//! Claims about the module `run`.

use super::writer::RunWriter;
use super::*;
use crate::bytes::get;
use std::fs;

const KIND: RowKind = RowKind { kind: 5, row_size: 24, key_size: 16, filter_size: 8 };
const COVERS: Covers = Covers { first: 1, last: 99 };

/// Rows of accounts 0, 10, 20, … with versions 1..=versions and a value.
fn rows(accounts: u64, versions: u64) -> Vec<[u8; 24]> {
    let accounts = (0..accounts).map(|account| account * 10);
    accounts.flat_map(|account| (1..=versions).map(move |version| row(account, version))).collect()
}

fn row(account: u64, version: u64) -> [u8; 24] {
    let mut row = [0; 24];
    put(&mut row, 0, &key(account, version));
    put(&mut row, 16, &(account * 1_000 + version).to_le_bytes());
    row
}

fn key(account: u64, version: u64) -> [u8; 16] {
    (u128::from(account) << 64 | u128::from(version)).to_be_bytes()
}

struct Fixture {
    folder: tempfile::TempDir,
    disk: Disk,
    run: Run,
}

fn fixture(rows: &[[u8; 24]]) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::real();
    let run = RunWriter::create(&disk, &folder.path().join("a.run"), KIND, COVERS, rows.iter()).unwrap();
    Fixture { folder, disk, run }
}

fn collect(mut cursor: RunCursor) -> Vec<[u8; 24]> {
    let mut rows = Vec::new();
    while let Some(row) = cursor.next_row().unwrap() {
        rows.push(get(row, 0));
    }
    rows
}

#[test]
fn every_row_is_found_and_no_other() {
    let rows = rows(1_000, 7);
    let Fixture { run, disk, folder: _folder } = fixture(&rows);
    let run = Run::open(&disk, run.path()).unwrap();
    assert_eq!((run.kind(), run.covers(), run.row_count()), (KIND, COVERS, 7_000));
    for row in &rows {
        assert_eq!(run.get(&row[..16]).unwrap().as_deref(), Some(&row[..]));
    }
    for account in 0..10_000 {
        assert_eq!(run.get(&key(account, 8)).unwrap(), None);
    }
    assert!(run.may_contain(&key(10, 1)) && run.may_contain(&[1]));
    assert!((0..1_000).filter(|n| run.may_contain(&key(n * 10 + 1, 1))).count() < 30);
    assert!(run.memory_bytes() > 0);
}

#[test]
fn many_keys_are_looked_up_at_once_with_each_page_read_once() {
    let rows = rows(1_000, 7);
    let Fixture { run, disk, .. } = fixture(&rows);
    let keys: Vec<[u8; 16]> = rows.iter().rev().map(|row| get(row, 0)).chain([key(5, 5), key(u64::MAX, 0)]).collect();
    let mut found = vec![None; keys.len()];
    let before = disk.counts().reads;
    run.get_many(&keys, |i, row| found[i] = Some(row.to_vec())).unwrap();
    assert!(disk.counts().reads - before <= 7_000_u64.div_ceil(KIND.rows_per_page()));
    for (key, found) in keys.iter().zip(&found) {
        assert_eq!(*found, run.get(key).unwrap());
    }
    assert_eq!(found.iter().flatten().count(), 7_000);
}

#[test]
fn ranges_go_both_ways_and_stop_at_their_bounds() {
    let rows = rows(10, 1_000);
    let run = fixture(&rows).run;
    let select = |is_in: &dyn Fn(&[u8; 24]) -> bool| rows.iter().copied().filter(|row| is_in(row)).collect::<Vec<_>>();
    assert!(collect(run.range(&[], Direction::Forward).unwrap()) == rows);
    let account = 50_u64.to_be_bytes();
    let mut expected = select(&|row| row[..8] == account);
    assert!(collect(run.range(&account, Direction::Forward).unwrap()) == expected);
    expected.reverse();
    assert!(collect(run.range(&account, Direction::Backward).unwrap()) == expected);
    assert!(collect(run.range(&51_u64.to_be_bytes(), Direction::Backward).unwrap()).is_empty());
    let mut expected = select(&|row| key(50, 300)[..] <= row[..16] && row[..16] <= key(50, 700)[..]);
    expected.reverse();
    let cursor = run.between(&key(50, 300), &key(50, 700), Direction::Backward).unwrap();
    assert_eq!(cursor.rows_left(), 401);
    assert!(collect(cursor) == expected);
    assert!(collect(run.between(&account, &key(50, 3), Direction::Forward).unwrap()).len() == 3);
    assert!(collect(run.between(&key(50, 3), &key(50, 2), Direction::Forward).unwrap()).is_empty());
    assert!(collect(run.seek(&key(55, 0)).unwrap()) == select(&|row| key(55, 0)[..] <= row[..16]));
    assert!(collect(run.seek(&key(91, 0)).unwrap()).is_empty());
}

#[test]
fn rows_of_equal_keys_stay_together_across_pages() {
    let mut rows = vec![row(1, 1); 5_000];
    rows.push(row(2, 1));
    for (place, row) in rows.iter_mut().enumerate() {
        put(row, 16, &(place as u64).to_le_bytes());
    }
    let run = fixture(&rows).run;
    assert_eq!(run.get(&key(1, 1)).unwrap().as_deref(), Some(&rows[0][..]));
    assert!(collect(run.range(&key(1, 1), Direction::Forward).unwrap()) == rows[..5_000]);
    assert_eq!(run.get(&key(2, 1)).unwrap().as_deref(), Some(&rows[5_000][..]));
}

#[test]
fn a_page_full_to_its_last_row_has_no_neighbour_at_the_end() {
    let per_page = KIND.rows_per_page();
    for count in [0, 1, per_page - 1, per_page, per_page + 1, 2 * per_page] {
        let rows = rows(count, 1);
        let run = fixture(&rows).run;
        assert!(collect(run.range(&[], Direction::Backward).unwrap()).iter().rev().eq(&rows));
        assert_eq!(run.get(&key(count * 10, 1)).unwrap(), None);
        assert_eq!(run.get(&key(count * 10 + 5, 1)).unwrap(), None);
    }
}

#[test]
fn a_damaged_page_or_a_failed_read_is_an_error_and_never_not_found() {
    let rows = rows(1_000, 7);
    let Fixture { run, folder, .. } = fixture(&rows);
    let good = fs::read(run.path()).unwrap();
    let mut damaged = good.clone();
    damaged[HEADER_BYTES + 100] ^= 1;
    fs::write(run.path(), &damaged).unwrap();
    assert!(matches!(run.get(&rows[4][..16]), Err(StorageError::Corrupt { offset: 4096, .. })));
    let mut cursor = run.range(&[], Direction::Forward).unwrap();
    assert!(cursor.next_row().is_err() && cursor.next_row().is_err());
    assert!(run.get(&rows[5_000][..16]).unwrap().is_some());
    // Two pages exchanged: each checksum is right, its number is not.
    let (one, two) = (HEADER_BYTES, HEADER_BYTES + PAGE_BYTES);
    let mut exchanged = good.clone();
    exchanged.copy_within(two..two + PAGE_BYTES, one);
    fs::write(run.path(), &exchanged).unwrap();
    assert!(matches!(run.get(&rows[4][..16]), Err(StorageError::Corrupt { .. })));
    fs::write(run.path(), &good).unwrap();
    let failing = Disk::with_faults("read:5+:eio".parse().unwrap()); // header, footer, index, filter, then pages
    let run = Run::open(&failing, &folder.path().join("a.run")).unwrap();
    assert!(matches!(run.get(&rows[0][..16]), Err(StorageError::Io { .. })));
    assert!(run.get_many(&[&rows[0][..16]], |_, _| {}).is_err());
    assert!(run.range(&rows[9][..8], Direction::Forward).is_err());
}

#[test]
fn damage_at_the_ends_is_found_at_opening() {
    let Fixture { run, disk, folder } = fixture(&rows(1_000, 7));
    let path = folder.path().join("a.run");
    let good = fs::read(run.path()).unwrap();
    let (footer, index) = (good.len() - FOOTER_BYTES, page_offset(6));
    for at in [0, 30, 4094, length(index), length(index) + 100, footer, footer + 9, good.len() - 1] {
        let mut damaged = good.clone();
        damaged[at] ^= 1;
        fs::write(&path, damaged).unwrap();
        assert!(matches!(Run::open(&disk, &path), Err(StorageError::Corrupt { .. })), "{at}");
    }
    for length in [0, 10, 5_000, good.len() - 1] {
        fs::write(&path, &good[..length]).unwrap();
        assert!(matches!(Run::open(&disk, &path), Err(StorageError::Corrupt { .. })), "{length}");
    }
    let mut newer = good.clone();
    newer[8] = 2;
    fs::write(&path, newer).unwrap();
    assert!(matches!(Run::open(&disk, &path), Err(StorageError::NewerFormat { found: 2, .. })));
}

#[test]
fn a_run_that_could_not_be_written_leaves_nothing() {
    let rows = rows(1_000, 7);
    for number in 1.. {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::with_faults(format!("op:{number}:enospc").parse().unwrap());
        let path = folder.path().join("a.run");
        if RunWriter::create(&disk, &path, KIND, COVERS, rows.iter()).is_ok() {
            assert!(5 < number, "every operation had its turn");
            return;
        }
        let left = disk.list(folder.path()).unwrap();
        assert!(left.is_empty() || (left == ["a.run"] && Run::open(&disk, &path).is_ok()), "{left:?}");
    }
}

#[test]
#[should_panic(expected = "rows out of order")]
fn rows_out_of_order_are_a_defect() {
    fixture(&[row(2, 1), row(1, 1)]);
}

#[test]
fn names_say_what_a_run_is() {
    let name = RunName { family: "net-change".into(), level: 2, covers: Covers { first: 1, last: 8_192 } };
    assert_eq!(name.file_name(), "net-change-L2-00000000000000000001-00000000000000008192.run");
    assert_eq!(RunName::parse(&name.file_name()), Some(name.clone()));
    for other in
        ["keys-L0-1-2.run", "keys-L0-1.run", "keys.run", "keys-L0-00000000000000000001-00000000000000000002.run.aside"]
    {
        assert_eq!(RunName::parse(other), None);
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(name.file_name()), "").unwrap();
    fs::write(folder.path().join("other.run.aside"), "").unwrap();
    assert_eq!(list_runs(&Disk::real(), folder.path()).unwrap(), [name]);
}
