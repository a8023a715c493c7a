//! Damaged bytes are errors that name the place; nothing panics, nothing is silently something else.

use crate::any;
use crate::sample::{self, FIRST_SEQUENCE};
use proptest::prelude::*;
use store::codec::{DecodeError, Problem, decode_block, encode_block};

fn sample_block() -> Vec<u8> {
    let mut out = Vec::new();
    encode_block(&sample::entries(), &mut out);
    out
}

#[test]
fn a_block_cut_anywhere_is_an_error() {
    let block = sample_block();
    for length in 0..block.len() {
        let error = decode_block(&block[..length], FIRST_SEQUENCE).expect_err("half a block is none");
        assert!(error.offset <= length, "{error}");
    }
}

#[test]
fn bytes_behind_the_end_are_an_error() {
    let mut block = sample_block();
    let length = block.len();
    block.push(0);
    let expected = DecodeError { offset: length, what: "end of a block", problem: Problem::TrailingBytes };
    assert_eq!(decode_block(&block, FIRST_SEQUENCE), Err(expected));
}

#[test]
fn another_version_is_refused_by_name() {
    let error = decode_block(&[2, 0], 1).expect_err("version 2 is not known");
    assert_eq!(error.to_string(), "byte 0: the format version 2 is unknown; use a newer florin (format version)");
}

#[test]
fn what_the_writer_never_writes_is_refused() {
    let check = |bytes: &[u8], offset, problem| {
        let error = decode_block(bytes, 1).expect_err("the writer never writes this");
        assert_eq!((error.offset, error.problem), (offset, problem), "{error}");
    };
    check(&[], 0, Problem::Truncated);
    check(&[1, 0x80, 0], 1, Problem::OverlongNumber);
    check(&[1, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2], 1, Problem::OutOfRange);
    check(&[1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], 1, Problem::CountTooLarge);
    check(&[1, 1, 0, 0, 0], 3, Problem::OutOfRange); // no context yet
    check(&[1, 1, 0x29, 1, 0, 0], 3, Problem::OutOfRange); // the second context before the first
    check(&[1, 1, 0x29, 0, 1, 0xff, 0, 0, 0], 4, Problem::InvalidText);
    check(&[1, 1, 0x29, 0, 0, 5, 0, 0, 0], 5, Problem::UnknownTag(5)); // channel
    check(&[1, 1, 0x29, 0, 0, 0, 0, 2, 0], 7, Problem::UnknownTag(2)); // whether there is a cause
    check(&[1, 1, 0x22, 0, 0, 0, 0, 0, 9], 8, Problem::CountTooLarge); // transfers of a batch
    check(&[1, 1, 0x2f, 0, 0, 0, 0, 0, 0], 2, Problem::UnknownTag(15)); // outcome
    check(&[1, 1, 0x29, 0, 0, 0, 0, 0, 0, 32], 9, Problem::UnknownTag(32)); // rejection
    check(&[1, 1, 0x29, 0, 0, 0, 0, 0, 0, 1, 0], 10, Problem::OutOfRange); // account 0
    check(&[1, 1, 0x69, 0, 0, 0, 0, 0, 1, 0], 8, Problem::OutOfRange); // before 1970
    check(&[1, 1, 0x28, 0, 0, 0, 0, 0, 4], 8, Problem::UnknownTag(4)); // flags of a token
}

#[test]
fn amounts_beyond_18_digits_are_refused() {
    // A rejection of a hold's capture: hold 1, with 10^18 left.
    let mut block = vec![1, 1, 0x29, 0, 0, 0, 0, 0, 0, 17, 1];
    let mut number = 1_000_000_000_000_000_000u64;
    while 0x80 <= number {
        block.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    block.extend([number.to_le_bytes()[0], 0xd2, 7]);
    let error = decode_block(&block, 1).expect_err("an amount has at most 18 digits");
    assert_eq!((error.offset, error.problem), (11, Problem::OutOfRange), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn no_mutation_of_a_block_makes_reading_panic(
        entries in any::entries(1..4),
        mutations in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut block = Vec::new();
        encode_block(&any::numbered(1, entries), &mut block);
        for (place, byte) in mutations {
            let place = place.index(block.len());
            block[place] = byte;
        }
        // What can still be read was a value all along: writing it gives something that can be read.
        if let Ok(entries) = decode_block(&block, 1) {
            let mut again = Vec::new();
            encode_block(&entries, &mut again);
            prop_assert_eq!(decode_block(&again, 1), Ok(entries));
        }
    }

    #[test]
    fn no_bytes_at_all_make_reading_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(version) = bytes.first_mut() {
            *version = 1;
        }
        let _outcome = decode_block(&bytes, 1);
    }
}
