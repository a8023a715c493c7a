//! The payload of a block of the journal.

use ledger::event::Context;
use std::sync::Arc;
use store::codec::{decode_block, encode_block};

/// Decodes the block. Reading is strict: what can be read is exactly what would be written.
pub(crate) fn exercise(data: &[u8]) {
    let Ok(entries) = decode_block(data, 1) else { return };
    let mut written = Vec::new();
    encode_block(&entries, &mut written);
    // Only a context that the table names twice is taken as it is, and then once: see `store::codec`.
    let contexts: Vec<&Arc<Context>> = entries.iter().map(|entry| &entry.header.context).collect();
    let is_twice = |one: &&Arc<Context>| contexts.iter().any(|other| *one == *other && !Arc::ptr_eq(one, other));
    if !contexts.iter().any(is_twice) {
        assert!(written == data, "a block was read that nobody would write");
    }
    assert!(decode_block(&written, 1).as_ref() == Ok(&entries), "a block is read differently the second time");
    for entry in &entries {
        // What is read can be worked with: a hostile file must not make a later step panic.
        let _ = entry.header.day.date();
        let _ = format!("{:?} {}", entry.outcome, entry.header.time);
    }
}
