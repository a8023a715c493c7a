//! What is written is what is read, for whatever can be said at all.

use crate::any;
use proptest::prelude::*;
use std::sync::Arc;
use store::codec::{decode_block, encode_block};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn decoding_what_was_encoded_gives_the_same_entries(first in 1..u64::MAX / 2, entries in any::entries(0..12)) {
        let entries = any::numbered(first, entries);
        let mut out = b"before".to_vec();
        encode_block(&entries, &mut out);
        prop_assert_eq!(decode_block(&out[6..], first), Ok(entries));
    }
}

#[test]
fn entries_of_one_asker_share_its_context() {
    let mut entries = crate::sample::entries();
    let context = entries[0].header.context.clone();
    for entry in &mut entries {
        entry.header.context = Arc::new((*context).clone()); // equal, but not the same
    }
    let mut out = Vec::new();
    encode_block(&entries, &mut out);
    let decoded = decode_block(&out, crate::sample::FIRST_SEQUENCE).expect("what was written can be read");
    assert!(decoded.iter().all(|entry| Arc::ptr_eq(&entry.header.context, &decoded[0].header.context)));
}
