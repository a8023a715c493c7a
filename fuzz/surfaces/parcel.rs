//! Parcels: the messages that a bus brings from another shard.

use store::codec::{decode_parcel, encode_parcel};

/// Reads the parcel. Reading is strict: what can be read is exactly what would be written.
pub(crate) fn exercise(data: &[u8]) {
    let Ok(envelopes) = decode_parcel(data) else { return };
    let Some((from, to)) = envelopes.first().map(|first| (first.from, first.to)) else { return };
    assert!(encode_parcel(from, to, &envelopes) == data, "a parcel was read that nobody would write");
    for envelope in &envelopes {
        // What is read can be worked with: a hostile bus must not make a later step panic.
        let _ = format!("{envelope:?}");
    }
}
