//! Claims about the module `segment`.

use super::reader::{SegmentEnd, SegmentReader};
use super::recovery::{CopiedSegment, copy_valid_blocks};
use super::writer::SegmentWriter;
use super::*;
use std::fs;
use std::os::unix::fs::FileExt;

const START: ChainPoint = ChainPoint { hash: [0; 32], next_sequence: 1 };
const SEGMENT_BYTES: u64 = 64 << 10;

struct Journal {
    folder: tempfile::TempDir,
    disk: Disk,
}

impl Journal {
    fn with_faults(plan: &str) -> Journal {
        Journal { folder: tempfile::tempdir().unwrap(), disk: Disk::with_faults(plan.parse().unwrap()) }
    }

    fn options(&self) -> JournalOptions {
        JournalOptions { folder: self.folder.path().into(), shard: 3, segment_bytes: SEGMENT_BYTES }
    }

    fn create(&self) -> SegmentWriter {
        SegmentWriter::create(&self.disk, self.options(), START).unwrap()
    }

    fn path(&self, segment: u64) -> PathBuf {
        segment_path(self.folder.path(), segment)
    }

    fn end_of(&self, segment: u64) -> (u64, Option<SegmentEnd>) {
        let reader = SegmentReader::open(&self.disk, &self.path(segment)).unwrap();
        let (mut blocks, mut payload, mut count) = (reader.blocks(), Vec::new(), 0);
        while blocks.next_block(&mut payload).unwrap().is_some() {
            count += 1;
        }
        (count, blocks.end())
    }

    fn overwrite(&self, segment: u64, offset: u64, bytes: &[u8]) {
        fs::OpenOptions::new().write(true).open(self.path(segment)).unwrap().write_all_at(bytes, offset).unwrap();
    }

    fn copy(&self, segment: u64) -> Result<CopiedSegment, StorageError> {
        copy_valid_blocks(&self.disk, &self.options(), segment)
    }

    fn files(&self) -> Vec<String> {
        self.disk.list(self.folder.path()).unwrap()
    }
}

fn block(payload: &[u8]) -> BlockBuffer {
    let mut block = BlockBuffer::new();
    block.payload_mut().extend_from_slice(payload);
    block
}

fn append(writer: &mut SegmentWriter, payload: &[u8], entry_count: u32) -> Result<BlockLocation, StorageError> {
    let mut block = block(payload);
    let reservation = writer.room().reserve(block.block_bytes())?;
    let location = writer.append(reservation, writer.chain_point().next_sequence, entry_count, &mut block)?;
    assert_eq!(block.payload(), payload);
    writer.sync()?;
    Ok(location)
}

#[test]
fn blocks_are_read_back_in_order_and_by_location() {
    let journal = Journal::with_faults("");
    let mut writer = journal.create();
    let first = append(&mut writer, b"one", 2).unwrap();
    let second = append(&mut writer, &[7; 1001], 5).unwrap();
    assert_eq!((first.offset, first.length, second.offset, second.length), (4096, 72, 4168, 1072));
    let reader = SegmentReader::open(&journal.disk, &journal.path(1)).unwrap();
    assert_eq!(*reader.header(), SegmentHeader { shard: 3, segment: 1, start: START });
    let (mut blocks, mut payload) = (reader.blocks(), Vec::new());
    assert_eq!(blocks.next_block(&mut payload).unwrap().map(|b| (b.first_sequence, b.entry_count)), Some((1, 2)));
    assert_eq!(payload, b"one");
    let middle = (blocks.offset(), blocks.chain_point());
    assert_eq!(blocks.next_block(&mut payload).unwrap().map(|b| (b.first_sequence, b.location)), Some((3, second)));
    assert_eq!(blocks.next_block(&mut payload).unwrap(), None);
    assert_eq!((blocks.end(), blocks.chain_point()), (Some(SegmentEnd::CleanEnd), writer.chain_point()));
    assert_eq!(reader.read_block(first, &mut payload).unwrap().first_sequence, 1);
    assert_eq!(payload, b"one");
    let mut rest = reader.blocks_from(middle.0, middle.1);
    assert!(rest.next_block(&mut payload).unwrap().is_some());
    assert!(reader.read_block(BlockLocation { offset: 4104, ..first }, &mut payload).is_err());
    assert!(reader.read_block(BlockLocation { length: 80, ..first }, &mut payload).is_err());
    assert!(reader.read_block(BlockLocation { segment: 2, ..first }, &mut payload).is_err());
}

#[test]
fn a_block_that_does_not_fit_rolls_over_and_the_chain_goes_on() {
    let journal = Journal::with_faults("");
    let mut writer = journal.create();
    for _ in 0..10 {
        append(&mut writer, &[1; 20_000], 1).unwrap();
    }
    assert_eq!(list_segments(&journal.disk, journal.folder.path()).unwrap(), [1, 2, 3, 4]);
    let mut chain = START;
    let mut payload = Vec::new();
    for segment in 1..=4 {
        let reader = SegmentReader::open(&journal.disk, &journal.path(segment)).unwrap();
        assert_eq!(reader.header().start, chain);
        let mut blocks = reader.blocks();
        while blocks.next_block(&mut payload).unwrap().is_some() {}
        assert_eq!(blocks.end(), Some(SegmentEnd::CleanEnd));
        chain = blocks.chain_point();
    }
    assert_eq!(chain, writer.chain_point());
}

#[test]
fn a_segment_prepared_ahead_makes_rolling_over_cheap() {
    let journal = Journal::with_faults("");
    let mut writer = journal.create();
    append(&mut writer, &[1; 50_000], 1).unwrap();
    writer.room().prepare_next().unwrap();
    assert!(writer.room().is_prepared());
    let before = journal.disk.counts();
    append(&mut writer, &[1; 50_000], 1).unwrap();
    let after = journal.disk.counts();
    // header and block; header, folder and block
    assert_eq!((after.writes - before.writes, after.syncs - before.syncs), (2, 3));
}

#[test]
fn preparing_ahead_never_touches_the_segment_that_is_being_opened() {
    let journal = Journal::with_faults("");
    let mut writer = journal.create();
    let (room, is_done) = (writer.room(), std::sync::atomic::AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
                room.prepare_next().unwrap();
            }
        });
        for _ in 0..150 {
            append(&mut writer, &[7; 40 << 10], 1).unwrap(); // each in a segment of its own
        }
        is_done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!((1..=150).all(|segment| journal.end_of(segment) == (1, Some(SegmentEnd::CleanEnd))));
}

#[test]
fn a_full_disk_rejects_a_reservation_and_may_be_tried_again() {
    // Writes: 1 zero fill, 2 header, 3 block, 4 zero fill of the next segment.
    let journal = Journal::with_faults("write:4:enospc");
    let mut writer = journal.create();
    append(&mut writer, &[1; 50_000], 1).unwrap();
    assert!(matches!(writer.room().reserve(50_000), Err(StorageError::NoSpace { .. })));
    assert_eq!(journal.files().len(), 1, "the space is given back");
    append(&mut writer, &[2; 100], 1).unwrap();
    append(&mut writer, &[3; 50_000], 1).unwrap();
    assert_eq!(journal.end_of(1), (2, Some(SegmentEnd::CleanEnd)));
    assert_eq!(journal.end_of(2), (1, Some(SegmentEnd::CleanEnd)));
}

#[test]
fn reservations_promise_room_for_all_of_them_together() {
    let journal = Journal::with_faults("");
    let mut writer = journal.create();
    let room = writer.room();
    append(&mut writer, &[1; 40_000], 1).unwrap();
    let first = room.reserve(30_000).unwrap();
    let second = room.reserve(30_000).unwrap();
    assert!(matches!(room.reserve(30_000), Err(StorageError::TooLarge { most: 61_440, .. })));
    writer.append(first, 2, 1, &mut block(&[2; 29_000])).unwrap();
    writer.append(second, 3, 1, &mut block(&[3; 29_000])).unwrap();
    drop(room.reserve(61_440).unwrap());
    drop(room.reserve(61_440).unwrap());
    writer.sync().unwrap();
    assert_eq!(journal.end_of(2), (2, Some(SegmentEnd::CleanEnd)));
}

#[test]
fn after_a_failed_write_or_sync_nothing_more_is_written() {
    // Syncs: 1 zeros, 2 header, 3 folder, 4 first block, 5 second block. Writes: 1 zeros, 2 header, 3 and 4 blocks.
    for plan in ["sync:5:eio", "write:4:eio", "write:4:short", "write:4:enospc"] {
        let journal = Journal::with_faults(plan);
        let mut writer = journal.create();
        append(&mut writer, b"durable", 1).unwrap();
        assert!(append(&mut writer, b"lost", 1).is_err(), "{plan}");
        assert!(matches!(append(&mut writer, b"more", 1), Err(StorageError::Poisoned { .. })), "{plan}");
        assert!(matches!(writer.sync(), Err(StorageError::Poisoned { .. })), "{plan}");
    }
}

#[test]
fn a_last_block_half_written_is_a_torn_tail() {
    // Damage anywhere in the last block: its header, its payload, or only its beginning missing.
    for (at, bytes) in [(0, [0; 8]), (12, [1; 8]), (40, [1; 8]), (64, [1; 8]), (200, [1; 8])] {
        let journal = Journal::with_faults("");
        let mut writer = journal.create();
        append(&mut writer, &[5; 500], 1).unwrap();
        let last = append(&mut writer, &[6; 500], 1).unwrap();
        journal.overwrite(1, last.offset + at, &bytes);
        let (count, end) = journal.end_of(1);
        assert_eq!(count, 1);
        assert!(matches!(end, Some(SegmentEnd::TornTail { offset, .. }) if offset == last.offset), "{at}: {end:?}");
    }
}

#[test]
fn a_bad_block_with_a_good_one_behind_it_is_damage() {
    for at in [0, 12, 40, 64, 200] {
        let journal = Journal::with_faults("");
        let mut writer = journal.create();
        let first = append(&mut writer, &[5; 500], 4).unwrap();
        append(&mut writer, &[6; 500], 1).unwrap();
        journal.overwrite(1, first.offset + at, &[1; 8]);
        let (count, end) = journal.end_of(1);
        assert_eq!(count, 0);
        assert!(matches!(end, Some(SegmentEnd::Damaged { offset: 4096, sequence: 1, .. })), "{at}: {end:?}");
        assert!(matches!(journal.copy(1), Err(StorageError::Corrupt { offset: 4096, .. })));
        assert_eq!(journal.files().len(), 1, "damage changes nothing");
    }
}

#[test]
fn a_whole_block_out_of_its_chain_is_damage() {
    let (one, two) = (Journal::with_faults(""), Journal::with_faults(""));
    let (mut writer, mut other) = (one.create(), two.create());
    append(&mut writer, b"this bank's", 1).unwrap();
    append(&mut other, b"that bank's", 1).unwrap();
    let last = append(&mut other, b"that bank's second", 1).unwrap();
    let bytes = fs::read(two.path(1)).unwrap();
    let range = length(last.offset)..length(last.offset + last.length);
    one.overwrite(1, last.offset, &bytes[range]);
    let (count, end) = one.end_of(1);
    assert_eq!(count, 1);
    assert!(matches!(end, Some(SegmentEnd::Damaged { sequence: 2, .. })), "{end:?}");
}

#[test]
fn a_segment_cut_short_ends_torn_and_a_damaged_header_is_refused() {
    let journal = Journal::with_faults("");
    let mut writer = journal.create();
    append(&mut writer, &[5; 500], 1).unwrap();
    let last = append(&mut writer, &[6; 500], 1).unwrap();
    let file = fs::OpenOptions::new().write(true).open(journal.path(1)).unwrap();
    file.set_len(last.offset + 100).unwrap();
    assert!(matches!(journal.end_of(1), (1, Some(SegmentEnd::TornTail { .. }))));
    file.set_len(last.offset + 10).unwrap();
    assert!(matches!(journal.end_of(1), (1, Some(SegmentEnd::TornTail { .. }))));
    file.set_len(last.offset).unwrap();
    assert!(matches!(journal.end_of(1), (1, Some(SegmentEnd::CleanEnd))));
    journal.overwrite(1, 16, &[9]);
    assert!(matches!(
        SegmentReader::open(&journal.disk, &journal.path(1)),
        Err(StorageError::Corrupt { offset: 0, .. })
    ));
    journal.overwrite(1, 8, &[9]);
    assert!(matches!(
        SegmentReader::open(&journal.disk, &journal.path(1)),
        Err(StorageError::NewerFormat { found: 9, known: 1, .. })
    ));
}

#[test]
fn recovery_keeps_the_valid_blocks_and_sets_the_torn_tail_aside() {
    let journal = Journal::with_faults("");
    let mut writer = journal.create();
    append(&mut writer, b"kept", 3).unwrap();
    let chain = writer.chain_point();
    let last = append(&mut writer, &[6; 500], 1).unwrap();
    writer.room().prepare_next().unwrap();
    drop(writer);
    journal.overwrite(1, last.offset + 64, b"torn");
    for round in 1..=2 {
        let copied = journal.copy(1).unwrap();
        assert_eq!((copied.offset, copied.end, copied.block_count), (last.offset, chain, 1));
        let name = format!("00000000000000000001.segment.torn-{round}");
        let cut = copied.cut.clone().unwrap();
        assert_eq!((cut.offset, cut.length, cut.path), (last.offset, 564, journal.folder.path().join(&name)));
        assert_eq!(&fs::read(journal.folder.path().join(&name)).unwrap()[64..68], b"torn");
        assert!(journal.files().iter().all(|name| name.ends_with(".segment") || name.contains(".torn-")));
        let mut writer = SegmentWriter::resume(&journal.disk, journal.options(), &copied).unwrap();
        assert_eq!(append(&mut writer, b"goes on", 1).unwrap().offset, last.offset);
        assert_eq!(journal.end_of(1), (2, Some(SegmentEnd::CleanEnd)));
        journal.overwrite(1, last.offset + 64, b"torn");
        journal.overwrite(1, last.offset + 560, &[6; 4]);
    }
}

#[test]
fn recovery_of_a_clean_segment_changes_no_block() {
    let journal = Journal::with_faults("");
    let mut writer = journal.create();
    append(&mut writer, b"kept", 3).unwrap();
    let before = fs::read(journal.path(1)).unwrap();
    let copied = journal.copy(1).unwrap();
    assert_eq!((copied.cut, copied.end), (None, writer.chain_point()));
    assert_eq!(fs::read(journal.path(1)).unwrap(), before);
}

#[test]
fn a_missing_segment_and_a_journal_begun_twice_are_refused() {
    let journal = Journal::with_faults("");
    let mut writer = journal.create();
    assert!(SegmentWriter::create(&journal.disk, journal.options(), START).is_err());
    for _ in 0..3 {
        append(&mut writer, &[1; 50_000], 1).unwrap();
    }
    fs::remove_file(journal.path(2)).unwrap();
    assert!(matches!(
        list_segments(&journal.disk, journal.folder.path()),
        Err(StorageError::Corrupt { path, .. }) if path == journal.path(2)
    ));
}

#[test]
fn an_old_segment_stays_readable() {
    // The header of version 1, byte by byte: a change here is a change of the format.
    let header = SegmentHeader { shard: 3, segment: 2, start: ChainPoint { hash: [9; 32], next_sequence: 258 } };
    let bytes = header.encode();
    assert_eq!(&bytes[..8], b"FLORINSG");
    assert_eq!(bytes[8..32], [1, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes[32..64], [9; 32]);
    assert_eq!(SegmentHeader::decode(&bytes, Path::new("x")).unwrap(), header);
    let mut block = block(b"hello");
    let hash = block.seal(START, 1).unwrap();
    assert_eq!(block.bytes[16..32], [1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(&block.bytes[64..], b"hello\0\0\0");
    let mut hashed = [0; 32].to_vec();
    hashed.extend_from_slice(b"FLBK\x05\0\0\0\0\0\0\0");
    hashed.extend_from_slice(&crc32fast::hash(b"hello").to_le_bytes());
    hashed.extend_from_slice(b"\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0hello");
    assert_eq!(hash, *blake3::hash(&hashed).as_bytes());
}

/// The child half of the test below: appends blocks until the fault plan ends it, noting each durable one.
#[test]
fn child_appends_until_it_crashes() {
    let (Ok(folder), Ok(plan)) = (std::env::var("CRASH_FOLDER"), std::env::var("CRASH_PLAN")) else { return };
    let disk = Disk::with_faults(plan.parse().unwrap());
    let options = JournalOptions { folder: Path::new(&folder).join("journal"), shard: 3, segment_bytes: SEGMENT_BYTES };
    let mut writer = SegmentWriter::create(&disk, options, START).unwrap();
    let noted = fs::File::create(Path::new(&folder).join("noted")).unwrap();
    for number in 1..=5_u8 {
        append(&mut writer, &[number; 20_000], 1).unwrap();
        noted.write_all_at(&[number], 0).unwrap();
    }
}

#[test]
fn a_crash_at_any_operation_loses_no_durable_block() {
    for how in ["abort", "torn", "abort-after"] {
        for number in 1.. {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join("journal")).unwrap();
            let mut child = std::process::Command::new(std::env::current_exe().unwrap());
            child.args(["--exact", "segment::tests::child_appends_until_it_crashes"]);
            child.env("CRASH_FOLDER", folder.path()).env("CRASH_PLAN", format!("op:{number}:{how}"));
            let survived = child.output().unwrap().status.success();
            let noted = fs::read(folder.path().join("noted")).unwrap_or_default().first().copied().unwrap_or(0);
            let disk = Disk::real();
            let options =
                JournalOptions { folder: folder.path().join("journal"), shard: 3, segment_bytes: SEGMENT_BYTES };
            let mut next = 1;
            if let Some(&last) = list_segments(&disk, &options.folder).unwrap().last() {
                let copied = copy_valid_blocks(&disk, &options, last).unwrap();
                next = copied.end.next_sequence;
                let mut writer = SegmentWriter::resume(&disk, options, &copied).unwrap();
                append(&mut writer, b"goes on", 1).unwrap();
            }
            assert!(u64::from(noted) < next && next <= u64::from(noted) + 2, "op:{number}:{how}: {noted} {next}");
            if survived {
                assert!(20 < number, "every operation had its turn");
                break;
            }
        }
    }
}

#[test]
fn a_recovery_that_failed_anywhere_is_completed_by_the_next() {
    for number in 1.. {
        let journal = Journal::with_faults("");
        let mut writer = journal.create();
        append(&mut writer, b"kept", 3).unwrap();
        let chain = writer.chain_point();
        let last = append(&mut writer, &[6; 500], 1).unwrap();
        journal.overwrite(1, last.offset + 64, b"torn");
        let failing = Disk::with_faults(format!("op:{number}:short").parse().unwrap());
        let failed = copy_valid_blocks(&failing, &journal.options(), 1).is_err();
        let copied = journal.copy(1).unwrap();
        assert_eq!((copied.end, copied.offset), (chain, last.offset));
        assert!(journal.files().iter().any(|name| name.ends_with(".torn-1")), "{number}");
        if !failed {
            assert!(8 < number, "every operation had its turn");
            return;
        }
    }
}
