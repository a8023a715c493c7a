//! Claims about the module `folder`.

use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;

const NEW: NewFolder = NewFolder { shard_count: 2, dealt: 2, data_id: [7; 16], created_at_us: 1_700_000_000_000_000 };

#[test]
fn a_folder_is_made_once_and_keeps_its_id() {
    let temporary = tempfile::tempdir().unwrap();
    let (disk, root) = (Disk::real(), temporary.path().join("bank/data"));
    let folder = Folder::open_or_create(&disk, &root, NEW).unwrap();
    assert!(folder.is_new());
    assert!(folder.shard(1).journal.is_dir() && folder.shard(1).runs.is_dir() && folder.shard(0).checkpoints.is_dir());
    assert_eq!(folder.shard(1).journal, root.join("shard-001/journal"));
    drop(folder);
    let folder = Folder::open_or_create(&disk, &root, NewFolder { data_id: [8; 16], created_at_us: 1, ..NEW }).unwrap();
    assert_eq!((folder.is_new(), folder.data_id(), folder.created_at_us()), (false, [7; 16], NEW.created_at_us));
    drop(folder);
    assert_eq!(Folder::open(&disk, &root).unwrap().shard_count(), 2);
}

#[test]
fn the_second_comer_is_told_who_holds_the_folder() {
    let temporary = tempfile::tempdir().unwrap();
    let disk = Disk::real();
    let first = Folder::open_or_create(&disk, temporary.path(), NEW).unwrap();
    let error = Folder::open_or_create(&disk, temporary.path(), NEW).unwrap_err();
    assert!(matches!(&error, StorageError::Locked { holder, .. } if *holder == std::process::id().to_string()));
    assert!(matches!(Folder::open(&disk, temporary.path()), Err(StorageError::Locked { .. })));
    drop(first);
    Folder::open(&disk, temporary.path()).unwrap();
}

#[test]
fn another_shard_count_is_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let disk = Disk::real();
    Folder::open_or_create(&disk, temporary.path(), NEW).unwrap();
    let error = Folder::open_or_create(&disk, temporary.path(), NewFolder { shard_count: 4, ..NEW }).unwrap_err();
    assert!(matches!(error, StorageError::ShardCountDiffers { folder: 2, asked: 4 }));
}

#[test]
fn a_shard_is_added_without_slots_and_those_of_the_others_stay() {
    let temporary = tempfile::tempdir().unwrap();
    let (disk, root) = (Disk::real(), temporary.path());
    Folder::open_or_create(&disk, root, NEW).unwrap();
    let added = Folder::add_shard(&disk, root).unwrap();
    assert_eq!(added, 2);
    let folder = Folder::open(&disk, root).unwrap();
    assert_eq!((folder.shard_count(), folder.dealt()), (3, 2));
    assert!(folder.shard(2).journal.is_dir());
    assert!(matches!(Folder::add_shard(&disk, root), Err(StorageError::Locked { .. })));
}

#[test]
fn a_newer_or_damaged_format_is_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let (disk, path) = (Disk::real(), temporary.path().join("format"));
    Folder::open_or_create(&disk, temporary.path(), NEW).unwrap();
    let good = fs::read(&path).unwrap();
    assert_eq!(&good[..16], b"FLORINDF\x01\0\0\0\x02\0\0\0");
    let mut bytes = good.clone();
    bytes[20] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(Folder::open(&disk, temporary.path()), Err(StorageError::Corrupt { .. })));
    fs::write(&path, &good[..20]).unwrap();
    assert!(matches!(Folder::open(&disk, temporary.path()), Err(StorageError::Corrupt { .. })));
    bytes[8] = 2;
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(Folder::open(&disk, temporary.path()), Err(StorageError::NewerFormat { found: 2, known: 1, .. })));
}

#[test]
fn a_folder_of_other_things_or_a_lost_format_is_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let disk = Disk::real();
    fs::write(temporary.path().join("photo.jpeg"), "").unwrap();
    let error = Folder::open_or_create(&disk, temporary.path(), NEW).unwrap_err();
    assert!(matches!(error, StorageError::NotDataFolder { found, .. } if found == "photo.jpeg"));
    assert_eq!(disk.list(temporary.path()).unwrap(), ["photo.jpeg"], "and it is left as it was");
    fs::remove_file(temporary.path().join("photo.jpeg")).unwrap();
    let folder = Folder::open_or_create(&disk, temporary.path(), NEW).unwrap();
    fs::write(folder.shard(1).journal.join("1.segment"), "").unwrap();
    fs::remove_file(temporary.path().join("format")).unwrap();
    drop(folder);
    let error = Folder::open_or_create(&disk, temporary.path(), NEW).unwrap_err();
    assert!(matches!(error, StorageError::NotDataFolder { found, .. } if found == "1.segment"));
}

#[test]
fn a_first_start_that_failed_anywhere_is_completed_by_the_next() {
    for number in 1.. {
        let temporary = tempfile::tempdir().unwrap();
        let failing = Disk::with_faults(format!("op:{number}:eio").parse().unwrap());
        let failed = Folder::open_or_create(&failing, temporary.path(), NEW).is_err();
        assert_eq!(Folder::open_or_create(&Disk::real(), temporary.path(), NEW).unwrap().data_id(), [7; 16]);
        if !failed {
            assert!(20 < number, "every operation had its turn");
            return;
        }
    }
}

#[test]
fn a_small_file_is_replaced_whole_or_not_at_all() {
    for number in 1.. {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("secret");
        replace_secret_file(&Disk::real(), &path, b"old").unwrap();
        let failing = Disk::with_faults(format!("op:{number}:short").parse().unwrap());
        let result = replace_secret_file(&failing, &path, b"new value");
        let contents = fs::read(&path).unwrap();
        assert!(contents == b"old" || contents == b"new value");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        if result.is_ok() {
            assert_eq!(contents, b"new value");
            return;
        }
        replace_file(&Disk::real(), &path, b"newer").unwrap();
        assert_eq!(Disk::real().list(temporary.path()).unwrap(), ["secret"]);
    }
}
