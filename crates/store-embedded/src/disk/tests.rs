//! Claims about the module `disk`.

use super::*;

fn disk(plan: &str) -> (tempfile::TempDir, Disk) {
    (tempfile::tempdir().unwrap(), Disk::with_faults(plan.parse().unwrap()))
}

#[test]
fn what_is_written_is_read_back() {
    let (folder, disk) = disk("");
    let file = disk.create_new(&folder.path().join("a")).unwrap();
    file.zero_fill(0, 3 << 20).unwrap();
    file.write_all_at(b"bank", 100).unwrap();
    file.sync_data().unwrap();
    let mut buffer = [1; 6];
    file.read_exact_at(&mut buffer, 99).unwrap();
    assert_eq!(&buffer, b"\0bank\0");
    assert_eq!(file.len().unwrap(), 3 << 20);
    assert_eq!(disk.counts(), OperationCounts { reads: 1, writes: 4, syncs: 1, operations: 6 });
    assert_eq!(disk.list(folder.path()).unwrap(), ["a"]);
    assert!(disk.free_bytes(folder.path()).unwrap() > 0);
}

#[test]
fn a_failed_sync_poisons_its_file_and_no_other() {
    let (folder, disk) = disk("sync:1:eio");
    let file = disk.create(&folder.path().join("a")).unwrap();
    let other = disk.create(&folder.path().join("b")).unwrap();
    file.write_all_at(b"x", 0).unwrap();
    assert!(matches!(file.sync_data(), Err(StorageError::Io { operation: "sync", .. })));
    assert!(matches!(file.sync_data(), Err(StorageError::Poisoned { .. })));
    assert!(matches!(file.write_all_at(b"x", 0), Err(StorageError::Poisoned { .. })));
    assert!(matches!(file.read_exact_at(&mut [0], 0), Err(StorageError::Poisoned { .. })));
    other.write_all_at(b"x", 0).unwrap();
    other.sync_data().unwrap();
}

#[test]
fn a_short_write_leaves_half_and_poisons() {
    let (folder, disk) = disk("write:2:short");
    let path = folder.path().join("a");
    let file = disk.create(&path).unwrap();
    file.write_all_at(b"12", 0).unwrap();
    assert!(matches!(file.write_all_at(b"3456", 2), Err(StorageError::Io { operation: "write", .. })));
    assert!(matches!(file.len(), Err(StorageError::Poisoned { .. })));
    assert_eq!(disk.read(&path).unwrap(), b"1234");
}

#[test]
fn a_full_disk_is_told_apart_and_may_last() {
    let (folder, disk) = disk("write:1+:enospc");
    for name in ["a", "b"] {
        let file = disk.create(&folder.path().join(name)).unwrap();
        let error = file.write_all_at(b"x", 0).unwrap_err();
        assert!(matches!(error, StorageError::NoSpace { .. }) && error.retryable());
    }
}

#[test]
fn a_failed_read_does_not_poison_and_a_short_file_is_damage() {
    let (folder, disk) = disk("read:1:eio");
    let file = disk.create(&folder.path().join("a")).unwrap();
    file.write_all_at(b"x", 0).unwrap();
    assert!(matches!(file.read_exact_at(&mut [0], 0), Err(StorageError::Io { operation: "read", .. })));
    file.read_exact_at(&mut [0], 0).unwrap();
    assert!(matches!(file.read_exact_at(&mut [0; 2], 0), Err(StorageError::Corrupt { .. })));
}

#[test]
fn operations_count_creations_renames_and_removals() {
    let (folder, disk) = disk("op:3:eio");
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    disk.create(&a).unwrap();
    disk.rename(&a, &b).unwrap();
    assert!(disk.remove(&b).is_err());
    disk.remove(&b).unwrap();
    assert!(!disk.exists(&b).unwrap());
    assert_eq!(disk.counts().operations, 4);
}

#[test]
fn folders_are_created_with_those_above_them_and_synced() {
    let (folder, disk) = disk("");
    disk.create_folder(&folder.path().join("a/b/c")).unwrap();
    disk.create_folder(&folder.path().join("a/b/c")).unwrap();
    assert_eq!(disk.counts().syncs, 3);
}

#[test]
fn a_wrong_plan_is_named() {
    for wrong in ["sync", "sync:0:eio", "sync:x:eio", "fsync:1:eio", "sync:1:maybe"] {
        assert!(wrong.parse::<FaultPlan>().unwrap_err().to_string().contains(wrong));
    }
    assert!(" sync:7:eio, op:31+:abort-after ".parse::<FaultPlan>().is_ok());
}

#[test]
fn an_error_says_what_to_do_and_links_its_cause() {
    let error = Disk::real().open(Path::new("/nowhere/at/all")).unwrap_err();
    assert!(error.to_string().contains("cannot open /nowhere/at/all"));
    assert!(!error.to_string().contains("No such file"));
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("No such file"));
}
