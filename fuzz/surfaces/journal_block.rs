//! The payload of a block of the journal.

use store::codec::{decode_block, encode_block};

/// Decodes the block. Reading is strict: what can be read is exactly what would be written.
pub(crate) fn exercise(data: &[u8]) {
    let Ok(entries) = decode_block(data, 1) else { return };
    let mut written = Vec::new();
    encode_block(&entries, &mut written);
    assert_eq!(written, data, "a block was read that nobody would write");
    for entry in &entries {
        // What is read can be worked with: a hostile file must not make a later step panic.
        let _ = entry.header.day.date();
        let _ = format!("{:?} {}", entry.outcome, entry.header.time);
    }
}
