//! Claims about the module `merge`.

use super::*;
use crate::run::RowKind;

const KIND: RowKind = RowKind { kind: 1, row_size: 24, key_size: 16, filter_size: 8 };
const LONG: RowKind = RowKind { kind: 2, row_size: 32, key_size: 24, filter_size: 0 };

fn row<const N: usize>(key: u64, value: u64) -> [u8; N] {
    let mut row = [0; N];
    row[..8].copy_from_slice(&(key / 10).to_be_bytes());
    row[N - 16..N - 8].copy_from_slice(&key.to_be_bytes());
    row[N - 8..].copy_from_slice(&value.to_be_bytes());
    row
}

fn runs<const N: usize>(disk: &Disk, folder: &Path, kind: RowKind, rows: &[Vec<[u8; N]>]) -> Vec<Run> {
    let mut first = 1;
    let mut create = |rows: &Vec<[u8; N]>| {
        let covers = Covers { first, last: first + 9 };
        first += 10;
        let name = RunName { family: "rows".into(), level: 0, covers };
        RunWriter::create(disk, &folder.join(name.file_name()), kind, covers, rows.iter()).unwrap()
    };
    rows.iter().map(&mut create).collect()
}

fn all_rows(run: &Run) -> Vec<Vec<u8>> {
    let mut cursor = run.range(&[], Direction::Forward).unwrap();
    let mut rows = Vec::new();
    while let Some(row) = cursor.next_row().unwrap() {
        rows.push(row.to_vec());
    }
    rows
}

fn check<const N: usize>(kind: RowKind, rows: &[Vec<[u8; N]>]) {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::real();
    let inputs = runs(&disk, folder.path(), kind, rows);
    let merged = merge(&disk, &folder.path().join("merged"), &inputs, None).unwrap();
    let mut expected: Vec<[u8; N]> = rows.concat();
    expected.sort_by(|a, b| a[..N - 8].cmp(&b[..N - 8]));
    assert!(all_rows(&merged) == expected);
    assert_eq!(merged.covers(), Covers { first: 1, last: 10 * rows.len() as u64 });
    assert!(expected.iter().all(|row| merged.get(&row[..N - 8]).unwrap().is_some()));
}

#[test]
fn a_merged_run_has_all_rows_in_order_and_equal_keys_in_the_order_of_the_runs() {
    let interleaved: Vec<Vec<_>> = (0..5).map(|n| (0..4_000).map(|i| row::<24>(i * 5 + n, n)).collect()).collect();
    check(KIND, &interleaved);
    let apart: Vec<Vec<_>> = (0..3).map(|n| (0..4_000).map(|i| row::<24>(i + n * 4_000, n)).collect()).collect();
    check(KIND, &apart);
    let equal: Vec<Vec<_>> = (0..4).map(|n| (0..1_000).map(|i| row::<24>(i / 3, n)).collect()).collect();
    check(KIND, &equal);
    let long: Vec<Vec<_>> = (0..4).map(|n| (0..1_000).map(|i| row::<32>(i / 3 + n, n)).collect()).collect();
    check(LONG, &long);
    check(KIND, &[Vec::new(), vec![row::<24>(1, 1)], Vec::new()]);
    check::<24>(KIND, &[Vec::new()]);
}

#[test]
fn equal_keys_are_combined_into_one_row() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::real();
    let rows: Vec<Vec<_>> = (0..4).map(|_| (0..3_000).map(|i| row::<24>(i / 2, 1)).collect()).collect();
    let inputs = runs(&disk, folder.path(), KIND, &rows);
    let mut add = |kept: &mut [u8], next: &[u8]| {
        let value = |row: &[u8]| u64::from_be_bytes(*row.last_chunk().unwrap());
        let sum = value(kept) + value(next);
        kept[16..].copy_from_slice(&sum.to_be_bytes());
    };
    let merged = merge(&disk, &folder.path().join("merged"), &inputs, Some(&mut add)).unwrap();
    let expected: Vec<_> = (0..1_500).map(|key| row::<24>(key, 8)).collect();
    assert!(all_rows(&merged) == expected);
}

#[test]
fn a_damaged_input_fails_the_merge_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<Vec<_>> = (0..2).map(|n| (0..3_000).map(|i| row::<24>(i, n)).collect()).collect();
    let inputs = runs(&Disk::real(), folder.path(), KIND, &rows);
    let mut bytes = std::fs::read(inputs[1].path()).unwrap();
    bytes[4096 + 40_000] ^= 1;
    std::fs::write(inputs[1].path(), bytes).unwrap();
    let result = merge(&Disk::real(), &folder.path().join("merged"), &inputs, None);
    assert!(matches!(result, Err(StorageError::Corrupt { offset: 36_864, .. })));
    assert_eq!(Disk::real().list(folder.path()).unwrap().len(), 2);
}

#[test]
fn runs_that_a_merged_run_holds_are_told_apart() {
    let name =
        |family: &str, level, first, last| RunName { family: family.into(), level, covers: Covers { first, last } };
    let names = vec![
        name("keys", 0, 1, 10),
        name("postings", 0, 1, 10),
        name("postings", 0, 11, 20),
        name("postings", 1, 1, 20),
        name("postings", 0, 21, 30),
    ];
    let (live, superseded) = split_superseded(names.clone());
    assert_eq!(superseded, [names[1].clone(), names[2].clone()]);
    assert_eq!(live, [names[0].clone(), names[3].clone(), names[4].clone()]);
}
