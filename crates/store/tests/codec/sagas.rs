//! Sagas: their steps, their rows, and parcels of messages are read as they were written, stay as they are, and what is
//! damaged is an error.

use crate::any;
use crate::golden::golden;
use crate::sample::saga as sample;
use proptest::prelude::*;
use store::codec::{
    DecodeError, Problem, Reader, decode_block, decode_parcel, decode_part, decode_positions, decode_saga,
    encode_block, encode_parcel, encode_part, encode_positions, encode_saga,
};

fn block() -> Vec<u8> {
    let mut out = Vec::new();
    encode_block(&sample::entries(), &mut out);
    out
}

fn parcel() -> Vec<u8> {
    let envelopes = sample::envelopes();
    encode_parcel(envelopes[0].from, envelopes[0].to, &envelopes)
}

/// All rows about other shards, one after the other.
fn rows() -> Vec<u8> {
    let mut out = Vec::new();
    sample::sagas().iter().for_each(|row| encode_saga(row, &mut out));
    sample::parts().iter().for_each(|row| encode_part(row, &mut out));
    encode_positions(&sample::positions(), &mut out);
    out
}

#[test]
fn steps_are_written_and_read_as_in_format_version_1() {
    assert_eq!(decode_block(&golden("sagas-v1.bin", &block()), 1), Ok(sample::entries()));
}

#[test]
fn rows_about_other_shards_are_written_and_read_as_in_format_version_1() {
    let stored = golden("saga-rows-v1.bin", &rows());
    let reader = &mut Reader::new(&stored);
    sample::sagas().into_iter().for_each(|row| assert_eq!(decode_saga(reader), Ok(row)));
    sample::parts().into_iter().for_each(|row| assert_eq!(decode_part(reader), Ok(row)));
    let mut positions = ledger::saga::Sagas::default();
    assert_eq!(decode_positions(reader, &mut positions), Ok(()));
    assert_eq!(positions, sample::positions());
    assert_eq!(reader.finish("end of the rows"), Ok(()));
}

#[test]
fn parcels_are_written_and_read_as_in_format_version_1() {
    assert_eq!(decode_parcel(&golden("parcel-v1.bin", &parcel())), Ok(sample::envelopes()));
}

#[test]
fn what_is_cut_anywhere_is_an_error() {
    let (block, parcel) = (block(), parcel());
    for length in 0..block.len() {
        assert!(decode_block(&block[..length], 1).expect_err("half a block is none").offset <= length);
    }
    for length in 0..parcel.len() {
        assert!(decode_parcel(&parcel[..length]).expect_err("half a parcel is none").offset <= length);
    }
    let mut saga = Vec::new();
    encode_saga(&sample::sagas()[4], &mut saga);
    for length in 0..saga.len() {
        assert!(decode_saga(&mut Reader::new(&saga[..length])).is_err(), "half a saga is none: {length}");
    }
}

#[test]
fn a_parcel_of_another_version_or_with_more_behind_it_is_refused() {
    let mut other = parcel();
    other[0] = 2;
    let problem = Problem::UnknownVersion(2);
    assert_eq!(decode_parcel(&other), Err(DecodeError { offset: 0, what: "format version", problem }));
    let mut longer = parcel();
    longer.push(0);
    let expected = DecodeError { offset: longer.len() - 1, what: "end of a parcel", problem: Problem::TrailingBytes };
    assert_eq!(decode_parcel(&longer), Err(expected));
}

#[test]
fn what_no_writer_writes_is_refused() {
    let check = |bytes: &[u8], offset, problem| {
        let error = decode_parcel(bytes).expect_err("no writer writes this");
        assert_eq!((error.offset, error.problem), (offset, problem), "{error}");
    };
    check(&[1, 0, 1, 1, 1, 1, 8, 1], 6, Problem::UnknownTag(8)); // message
    check(&[1, 0x80, 8, 1, 0], 1, Problem::OutOfRange); // shard 1024
    check(&[1, 0, 1, 1, 1, 1, 5, 0], 7, Problem::OutOfRange); // transfer 0
    check(&[1, 0, 1, 1, 1, 1, 0, 4, 0, 0], 7, Problem::UnknownTag(4)); // flags of an order
    check(&[1, 0, 1, 1, 1, 1, 0, 0, 0, 0], 8, Problem::OutOfRange); // an order without a transfer
    check(&[1, 0, 1, 0xff, 0xff, 3], 3, Problem::CountTooLarge); // messages of a parcel
}

#[test]
fn routes_out_of_order_are_refused() {
    let mut envelopes = sample::envelopes();
    let ledger::saga::Message::Take(order) = &envelopes[1].message else { panic!("the second asks for a part") };
    let routes = order.routes.iter().rev().copied().collect();
    let turned = ledger::saga::Order { routes, ..(**order).clone() };
    envelopes[1].message = ledger::saga::Message::Take(turned.into());
    let written = encode_parcel(envelopes[1].from, envelopes[1].to, &envelopes[1..2]);
    assert_eq!(decode_parcel(&written).map_err(|error| error.what), Err("order of routes"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn decoding_what_was_encoded_gives_the_same_rows(
        saga in any::saga::saga(), part in any::saga::part(), positions in any::saga::positions()
    ) {
        let mut out = Vec::new();
        encode_saga(&saga, &mut out);
        encode_part(&part, &mut out);
        encode_positions(&positions, &mut out);
        let reader = &mut Reader::new(&out);
        prop_assert_eq!(decode_saga(reader), Ok(saga));
        prop_assert_eq!(decode_part(reader), Ok(part));
        let mut read = ledger::saga::Sagas::default();
        prop_assert_eq!(decode_positions(reader, &mut read), Ok(()));
        prop_assert_eq!(read, positions);
        prop_assert_eq!(reader.finish("end of the rows"), Ok(()));
    }

    #[test]
    fn decoding_what_was_encoded_gives_the_same_parcel((from, to, envelopes) in any::saga::parcel()) {
        prop_assert_eq!(decode_parcel(&encode_parcel(from, to, &envelopes)), Ok(envelopes));
    }

    #[test]
    fn no_mutation_of_a_parcel_makes_reading_panic(
        (from, to, envelopes) in any::saga::parcel(),
        mutations in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut parcel = encode_parcel(from, to, &envelopes);
        for (place, byte) in mutations {
            let place = place.index(parcel.len());
            parcel[place] = byte;
        }
        if let Ok(read) = decode_parcel(&parcel) {
            let (from, to) = read.first().map_or((from, to), |first| (first.from, first.to));
            prop_assert_eq!(decode_parcel(&encode_parcel(from, to, &read)), Ok(read));
        }
    }
}
