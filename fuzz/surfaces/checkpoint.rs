//! Checkpoints. An even first byte: the rest is a whole file. An odd one: half of it is the tag of a section, the rest
//! one frame of that section, as it is once its checksum was right.

use ledger::ids::ShardId;
use ledger::working_set::{SlotSet, WorkingSet};
use store_embedded::checkpoint::checkpoint_path;
use store_embedded::checkpoint::reader::CheckpointReader;
use store_embedded::disk::Disk;
use store_embedded::snapshot;

fn empty_set() -> WorkingSet {
    WorkingSet::new(ShardId::default(), SlotSet::of(|_| true), 1)
}

/// Reads the file, or the frame into an empty set.
pub(crate) fn exercise(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    if first % 2 == 0 {
        return exercise_file(rest);
    }
    let (mut set, mut steps) = (empty_set(), Vec::new());
    if snapshot::load_frame(u16::from(first / 2), rest, &mut set, &mut steps).is_ok() {
        // A copy has the same rows: whatever was read can be listed and put again.
        let copy = snapshot::copy_of(&set, 2);
        assert_eq!(copy.accounts.len(), set.accounts.len());
        assert_eq!(copy.holds.len(), set.holds.len());
    }
}

fn exercise_file(file: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder for the file");
    let path = checkpoint_path(folder.path(), 7);
    std::fs::write(&path, file).expect("the file can be written");
    let disk = Disk::real();
    if let Ok(reader) = CheckpointReader::open(&disk, &path) {
        let is_whole = reader.verify().is_ok();
        for tag in reader.tags() {
            let Some(mut section) = reader.section(tag) else { continue };
            let mut byte = [0];
            while 0 < section.remaining() && section.read_exact(&mut byte).is_ok() {}
            assert!(!is_whole || section.remaining() == 0, "a section that was verified cannot be read");
        }
    }
    let _ = snapshot::load(&disk, folder.path(), empty_set());
}
