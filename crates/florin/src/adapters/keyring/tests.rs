//! The keyring keeps, loses and refuses what it should.

use super::*;
use tempfile::TempDir;

struct Room {
    folder: TempDir,
}

impl Room {
    fn new() -> Room {
        Room { folder: TempDir::new().expect("a temporary folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn open(&self) -> Result<KeyringFile, Failure> {
        KeyringFile::open(&self.path("keyring"), &self.path("master.key"))
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

#[test]
fn keys_are_there_again_after_a_restart() {
    let room = Room::new();
    let keyring = room.open().expect("a new keyring");
    let keys = wait(keyring.fresh_keys(3)).expect("keys");
    drop(keyring);
    let keyring = room.open().expect("the same keyring");
    for (id, key) in &keys {
        assert_eq!(wait(keyring.key(*id)).expect("no fault").as_ref(), Some(key));
    }
    let more = wait(keyring.fresh_keys(300)).expect("keys");
    assert!(more.iter().all(|(id, _)| keys.iter().all(|(known, _)| known != id)));
}

#[test]
fn a_destroyed_key_is_gone_for_good_and_the_others_stay() {
    let room = Room::new();
    let keyring = room.open().expect("a new keyring");
    let keys = wait(keyring.fresh_keys(2)).expect("keys");
    for _ in 0..2 {
        wait(keyring.destroy(keys[0].0)).expect("destroyed");
    }
    drop(keyring);
    let keyring = room.open().expect("the same keyring");
    let states = [keys[0].0, keys[1].0, KeyId([7; 16])].map(|id| keyring.state(id).expect("no fault"));
    assert_eq!(states, [KeyState::Destroyed, KeyState::Live, KeyState::Missing]);
    assert_eq!(wait(keyring.key(keys[0].0)).expect("no fault"), None);
    assert_eq!(wait(keyring.key(keys[1].0)).expect("no fault").as_ref(), Some(&keys[1].1));
}

#[test]
fn keys_that_were_never_made_are_not_there() {
    let room = Room::new();
    let keyring = room.open().expect("a new keyring");
    let (id, _) = wait(keyring.fresh_keys(1)).expect("keys")[0].clone();
    let mut other = id;
    other.0[15] ^= 1;
    for unknown in [other, KeyId([0; 16]), KeyId([255; 16])] {
        assert_eq!(wait(keyring.key(unknown)).expect("no fault"), None);
        wait(keyring.destroy(unknown)).expect("no fault");
    }
    assert!(wait(keyring.key(id)).expect("no fault").is_some());
}

#[test]
fn a_damaged_record_is_a_fault_and_not_an_absence() {
    let room = Room::new();
    let keyring = room.open().expect("a new keyring");
    let (id, _) = wait(keyring.fresh_keys(1)).expect("keys")[0].clone();
    let mut bytes = std::fs::read(room.path("keyring")).expect("a file");
    let place = usize::try_from(place_of(id)).expect("a place");
    bytes[place * RECORD + 40] ^= 1;
    std::fs::write(room.path("keyring"), bytes).expect("written");
    let keyring = room.open().expect("the same keyring");
    assert!(matches!(wait(keyring.key(id)), Err(Fault::Corrupt { .. })));
}

#[test]
fn a_torn_end_costs_nothing_that_was_given_out() {
    let room = Room::new();
    let keyring = room.open().expect("a new keyring");
    let keys = wait(keyring.fresh_keys(1)).expect("keys");
    let mut bytes = std::fs::read(room.path("keyring")).expect("a file");
    bytes.extend_from_slice(&[7; 100]);
    std::fs::write(room.path("keyring"), bytes).expect("written");
    let keyring = room.open().expect("the same keyring");
    let fresh = wait(keyring.fresh_keys(1)).expect("keys");
    for (id, key) in keys.iter().chain(&fresh) {
        assert_eq!(wait(keyring.key(*id)).expect("no fault").as_ref(), Some(key));
    }
}

#[test]
fn another_master_key_is_refused_with_a_way_out() {
    let room = Room::new();
    drop(room.open().expect("a new keyring"));
    std::fs::write(room.path("master.key"), "00".repeat(32)).expect("written");
    let failure = room.open().expect_err("a refusal");
    assert!(failure.what.contains("does not fit"), "{failure}");
    std::fs::remove_file(room.path("master.key")).expect("removed");
    assert!(room.open().expect_err("a refusal").what.contains("master.key"));
}

#[test]
fn secrets_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let room = Room::new();
    drop(room.open().expect("a new keyring"));
    for name in ["keyring", "master.key"] {
        let mode = std::fs::metadata(room.path(name)).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}
