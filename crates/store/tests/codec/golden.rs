//! Golden files: the bytes of format version 1. They change only when somebody says so with `UPDATE_GOLDEN=1`, and once
//! a bank has data, never.

use crate::sample::{self, FIRST_SEQUENCE};
use std::path::PathBuf;
use store::codec::{
    Reader, decode_account, decode_block, decode_customer, decode_dead_letter, decode_hold, decode_reversal,
    decode_token, encode_account, encode_block, encode_customer, encode_dead_letter, encode_hold, encode_reversal,
    encode_token,
};

/// The golden bytes of this name, after they were compared with what is written today.
pub(crate) fn golden(name: &str, written: &[u8]) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        std::fs::write(&path, written).expect("the golden file can be written");
    }
    let stored = std::fs::read(&path).expect("the golden file is there; UPDATE_GOLDEN=1 makes it");
    let same = stored.iter().zip(written).take_while(|(stored, written)| stored == written).count();
    assert!(stored == written, "{name} differs from byte {same} on: the format changed, so it needs a new version");
    stored
}

#[test]
fn entries_are_written_and_read_as_in_format_version_1() {
    let entries = sample::entries();
    let mut written = Vec::new();
    encode_block(&entries, &mut written);
    assert_eq!(decode_block(&golden("block-v1.bin", &written), FIRST_SEQUENCE), Ok(entries));
}

#[test]
fn exchanges_are_written_and_read_as_in_format_version_1() {
    let mut written = Vec::new();
    encode_block(&sample::exchanges(), &mut written);
    assert_eq!(decode_block(&golden("exchanges-v1.bin", &written), FIRST_SEQUENCE), Ok(sample::exchanges()));
}

#[test]
fn rows_are_written_and_read_as_in_format_version_1() {
    let reversal = ledger::working_set::Reversal {
        transfer: ledger::ids::TransferId::new(1).expect("an id"),
        by: ledger::ids::TransferId::new(u64::MAX >> 1).expect("an id"),
    };
    let mut written = Vec::new();
    sample::accounts().iter().for_each(|row| encode_account(row, &mut written));
    sample::holds().iter().for_each(|row| encode_hold(row, &mut written));
    sample::customers().iter().for_each(|row| encode_customer(row, &mut written));
    sample::dead_letters().iter().for_each(|row| encode_dead_letter(row, &mut written));
    sample::tokens().iter().for_each(|row| encode_token(row, &mut written));
    encode_reversal(&reversal, &mut written);

    let stored = golden("rows-v1.bin", &written);
    let reader = &mut Reader::new(&stored);
    sample::accounts().into_iter().for_each(|row| assert_eq!(decode_account(reader), Ok(row)));
    sample::holds().into_iter().for_each(|row| assert_eq!(decode_hold(reader), Ok(row)));
    sample::customers().into_iter().for_each(|row| assert_eq!(decode_customer(reader), Ok(row)));
    sample::dead_letters().into_iter().for_each(|row| assert_eq!(decode_dead_letter(reader), Ok(row)));
    sample::tokens().into_iter().for_each(|row| assert_eq!(decode_token(reader), Ok(row)));
    assert_eq!(decode_reversal(reader), Ok(reversal));
    assert_eq!(reader.finish("end of the rows"), Ok(()));
}
