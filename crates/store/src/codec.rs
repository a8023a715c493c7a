//! Entries and rows as bytes, for segments, checkpoints and the way between shards.
//!
//! The format is versioned, little-endian and compact: numbers are LEB128 varints, signed ones zigzag before that,
//! digests 16 bytes as they are, and an entry says only what the one before it did not. `docs/format.md` has it field
//! by field; golden files keep it as it is.
//!
//! Writing cannot fail and allocates nothing but what the output needs. Reading is strict: what the writer would not
//! have written is a [`DecodeError`] that names the byte (but for a context that is in a block's table twice: noticing
//! it costs more than it could do harm); no input makes it panic or allocate out of proportion.

mod block;
mod reader;
mod rejection;
mod row;
mod saga;
mod tag;
mod transfer;
mod writer;

pub use block::{decode_block, encode_block};
pub use reader::{DecodeError, Problem, Reader};
pub use row::{
    decode_account, decode_customer, decode_dead_letter, decode_hold, decode_reversal, decode_token, encode_account,
    encode_customer, encode_dead_letter, encode_hold, encode_reversal, encode_token,
};
pub use saga::{
    decode_parcel, decode_part, decode_positions, decode_saga, decode_slots, encode_parcel, encode_part,
    encode_positions, encode_saga, encode_slots,
};

/// The version of the format, the first byte of every block's payload. Rows have none of their own: what holds them
/// (a block, a section of a checkpoint) says it for all.
pub const VERSION: u8 = 1;

/// About as many bytes as a plain transfer with a key takes, for whoever reserves room for a block.
pub const ENTRY_BYTES_TYPICAL: usize = 80;
