//! Claims about the module `checkpoint`.

use super::writer::CheckpointWriter;
use super::*;
use std::fs;

const LOCATION: BlockLocation = BlockLocation { segment: 3, offset: 4096, length: 800 };

fn head(sequence: u64) -> CheckpointHead {
    CheckpointHead { shard: 1, sequence, block_hash: [5; 32], location: Some(LOCATION) }
}

fn large() -> Vec<u8> {
    (0..3_000_000_u32).flat_map(|n| n.to_le_bytes()).take(2_500_000).collect()
}

fn write(disk: &Disk, folder: &Path, sequence: u64) -> Result<PathBuf, StorageError> {
    let mut writer = CheckpointWriter::begin(disk, folder, head(sequence))?;
    writer.section(1);
    writer.write(b"accounts")?;
    writer.section(7);
    for part in large().chunks(999) {
        writer.write(part)?;
    }
    writer.section(2);
    writer.finish()
}

fn damage(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn sections_are_read_back_by_tag() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::real();
    let path = write(&disk, folder.path(), 42).unwrap();
    assert_eq!(path, folder.path().join("00000000000000000042.checkpoint"));
    let reader = CheckpointReader::open(&disk, &path).unwrap();
    assert_eq!((*reader.head(), reader.tags().collect::<Vec<_>>()), (head(42), vec![1, 7, 2]));
    reader.verify().unwrap();
    let mut section = reader.section(7).unwrap();
    let (mut first, mut rest) = ([0; 10], vec![0; 2_499_990]);
    section.read_exact(&mut first).unwrap();
    assert_eq!(section.remaining(), 2_499_990);
    section.read_exact(&mut rest).unwrap();
    assert!([&first[..], &rest].concat() == large());
    assert_eq!(section.remaining(), 0);
    assert!(matches!(section.read_exact(&mut [0]), Err(StorageError::Corrupt { .. })));
    assert_eq!(reader.section(2).unwrap().remaining(), 0);
    assert!(reader.section(3).is_none());
}

#[test]
fn a_checkpoint_before_the_first_block_has_no_location() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::real();
    let empty = CheckpointHead { location: None, ..head(0) };
    let path = CheckpointWriter::begin(&disk, folder.path(), empty).unwrap().finish().unwrap();
    let reader = CheckpointReader::open(&disk, &path).unwrap();
    assert_eq!((*reader.head(), reader.tags().count()), (empty, 0));
}

#[test]
fn damage_anywhere_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::real();
    let path = write(&disk, folder.path(), 42).unwrap();
    let good = fs::read(&path).unwrap();
    let end = good.len();
    for at in [0, 20, 100, 126, 130, 140, 1_500_000, end - 96, end - 90, end - 70, end - 24, end - 14, end - 6, end - 1]
    {
        damage(&path, at);
        let result = CheckpointReader::open(&disk, &path).and_then(|reader| reader.verify());
        assert!(matches!(result, Err(StorageError::Corrupt { .. })), "{at}");
        fs::write(&path, &good).unwrap();
    }
    for length in [0, 100, 150, end - 1] {
        fs::write(&path, &good[..length]).unwrap();
        assert!(matches!(CheckpointReader::open(&disk, &path), Err(StorageError::Corrupt { .. })), "{length}");
    }
}

#[test]
fn the_newest_good_one_is_found_and_damaged_ones_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::real();
    assert!(newest_good(&disk, folder.path()).unwrap().reader.is_none());
    let paths: Vec<_> = (1..=4).map(|n| write(&disk, folder.path(), n * 10).unwrap()).collect();
    fs::write(folder.path().join("00000000000000000099.checkpoint.aside"), "half").unwrap();
    damage(&paths[3], 1_000_000);
    damage(&paths[2], 3);
    let found = newest_good(&disk, folder.path()).unwrap();
    assert_eq!(found.reader.unwrap().head().sequence, 20);
    assert!(found.skipped.iter().map(|(path, _)| path).eq([&paths[3], &paths[2]]));
    fs::rename(&paths[1], checkpoint_path(folder.path(), 25)).unwrap();
    assert_eq!(newest_good(&disk, folder.path()).unwrap().reader.unwrap().head().sequence, 10);
    let mut bytes = fs::read(&paths[0]).unwrap();
    bytes[8] = 2;
    fs::write(checkpoint_path(folder.path(), 50), bytes).unwrap();
    assert!(matches!(newest_good(&disk, folder.path()), Err(StorageError::NewerFormat { found: 2, .. })));
}

#[test]
fn pruning_keeps_the_newest_two_that_open() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::real();
    let paths: Vec<_> = (1..=5).map(|n| write(&disk, folder.path(), n * 10).unwrap()).collect();
    damage(&paths[3], 3);
    assert_eq!(prune(&disk, folder.path(), 2).unwrap(), 2);
    assert_eq!(list_checkpoints(&disk, folder.path()).unwrap(), [50, 40, 30]);
    assert_eq!(prune(&disk, folder.path(), 2).unwrap(), 0);
}

#[test]
fn a_checkpoint_that_failed_anywhere_is_whole_or_not_there() {
    for number in 1.. {
        let folder = tempfile::tempdir().unwrap();
        write(&Disk::real(), folder.path(), 10).unwrap();
        let failing = Disk::with_faults(format!("op:{number}:short").parse().unwrap());
        let result = write(&failing, folder.path(), 20);
        let found = newest_good(&Disk::real(), folder.path()).unwrap();
        assert!(found.skipped.is_empty() && found.reader.is_some());
        if result.is_ok() {
            assert!(5 < number, "every operation had its turn");
            return;
        }
    }
}
