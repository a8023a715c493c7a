//! Identities: one newtype per thing, so that swapping two does not compile, and the slots that place them on shards.
//!
//! An id is 63 bits: 41 bits of milliseconds since 2025-01-01 UTC, 10 bits of shard, 12 bits of sequence. Clients may
//! choose account and user ids below 2⁶²; the bank's own accounts have the top 2⁴⁰ ids below 2⁶³.

use crate::time::Timestamp;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::str::FromStr;

/// Slots that accounts and users hash to. Part of the data format: never changed.
pub const SLOTS: u16 = 1024;
/// Ids that clients choose are below this.
pub const CLIENT_ID_END: u64 = 1 << 62;
/// The bank's own accounts start here and end at 2⁶³−1.
pub const SYSTEM_ID_START: u64 = (1 << 63) - (1 << 40);
/// Milliseconds from 1970 to 2025-01-01 UTC, where generated ids start to count.
const EPOCH_MS: u64 = 1_735_689_600_000;
const SHARD_BITS: u32 = 10;
const SEQUENCE_BITS: u32 = 12;

/// A text that is no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidId;

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id is a whole number from 1 to 9223372036854775807 in decimal, without leading zeros")
    }
}

impl std::error::Error for InvalidId {}

fn parse_id(text: &str) -> Result<u64, InvalidId> {
    let canonical =
        matches!(text.as_bytes(), [b'1'..=b'9', rest @ ..] if rest.len() < 19 && rest.iter().all(u8::is_ascii_digit));
    let number: u64 = if canonical { text.parse().map_err(|_| InvalidId)? } else { return Err(InvalidId) };
    if number >> 63 == 0 { Ok(number) } else { Err(InvalidId) }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// The id with this number; `None` for zero and from 2⁶³ on.
            pub const fn new(number: u64) -> Option<$name> {
                if number != 0 && number >> 63 == 0 { Some($name(number)) } else { None }
            }

            /// The number, 1 to 2⁶³−1.
            pub const fn number(self) -> u64 {
                self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<$name, InvalidId> {
                parse_id(text).map($name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    )*};
}

ids! {
    /// An account, a customer's or the bank's own.
    AccountId;
    /// A customer; on the wire a `user`.
    CustomerId;
    /// A transfer. Its home shard can be read off it.
    TransferId;
    /// A hold. Its home shard can be read off it.
    HoldId;
    /// A dead letter. Its home shard can be read off it.
    DeadLetterId;
    /// An API token.
    TokenId;
    /// A quote for exchanging one currency for another.
    QuoteId;
}

/// A shard, 0 to 1,023.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(u16);

impl ShardId {
    /// The shard with this number; `None` from 1,024 on.
    pub const fn new(number: u16) -> Option<ShardId> {
        if number < 1 << SHARD_BITS { Some(ShardId(number)) } else { None }
    }

    /// The number, 0 to 1,023.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The shard that gave out a generated id.
    pub const fn of_generated(id: u64) -> ShardId {
        ShardId(((id >> SEQUENCE_BITS) & ((1 << SHARD_BITS) - 1)) as u16)
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A shard's place in its journal, 1..n without gaps.
pub type Sequence = u64;

/// The slot of an account or user id: the id's Fibonacci hash (multiplication by 2⁶⁴/φ), its top 10 bits.
pub const fn slot(id: u64) -> u16 {
    (id.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 54) as u16
}

/// Gives out a shard's ids in order. What it gave out last is state of the shard, so that neither a jump of the clock
/// nor a restart gives one out twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdGenerator {
    shard: ShardId,
    last: u64,
}

impl IdGenerator {
    /// A generator of this shard that gave out `last` before (0: none yet).
    pub const fn new(shard: ShardId, last: u64) -> IdGenerator {
        IdGenerator { shard, last }
    }

    /// The id given out last; 0 when there was none.
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// The next id. It carries the time, or runs ahead of it when 4,096 ids of a millisecond are used up.
    pub const fn next(&mut self, now: Timestamp) -> u64 {
        let milliseconds = (now.microseconds() / 1000).saturating_sub(EPOCH_MS) & ((1 << 41) - 1);
        let at_clock = (milliseconds << (SHARD_BITS + SEQUENCE_BITS)) | ((self.shard.0 as u64) << SEQUENCE_BITS);
        self.last = if self.last < at_clock { at_clock } else { self.after_last() };
        self.last
    }

    /// Notes an id that this generator gave out, as an entry tells.
    pub const fn observe(&mut self, id: u64) {
        if self.last < id {
            self.last = id;
        }
    }

    const fn after_last(&self) -> u64 {
        let sequence_is_used_up = self.last & ((1 << SEQUENCE_BITS) - 1) == (1 << SEQUENCE_BITS) - 1;
        if sequence_is_used_up {
            let milliseconds = (self.last >> (SHARD_BITS + SEQUENCE_BITS)) + 1;
            (milliseconds << (SHARD_BITS + SEQUENCE_BITS)) | ((self.shard.0 as u64) << SEQUENCE_BITS)
        } else {
            self.last + 1
        }
    }
}

/// The time that a generated id carries, to the millisecond. It may be a little ahead of the clock it was made by.
pub const fn time_of_generated(id: u64) -> Timestamp {
    let milliseconds = (id >> (SHARD_BITS + SEQUENCE_BITS)) + EPOCH_MS;
    Timestamp::from_microseconds(milliseconds * 1000).expect("41 bits of milliseconds are in range")
}

/// Hashes ids for in-memory tables: seeded, because clients choose ids, and far cheaper than SipHash. The order of
/// such a table never reaches an outcome.
#[derive(Clone, Copy, Debug)]
pub struct IdHash {
    seed: u64,
}

impl IdHash {
    /// A hash with this secret seed.
    pub const fn new(seed: u64) -> IdHash {
        IdHash { seed }
    }
}

impl BuildHasher for IdHash {
    type Hasher = IdHasher;

    fn build_hasher(&self) -> IdHasher {
        IdHasher { state: self.seed }
    }
}

/// See [`IdHash`].
#[derive(Debug)]
pub struct IdHasher {
    state: u64,
}

impl IdHasher {
    fn fold(&mut self, word: u64) {
        let product = u128::from(self.state ^ word) * u128::from(0x9E37_79B9_7F4A_7C15_u64 | 1);
        let (low, high) = (product & u128::from(u64::MAX), product >> 64);
        #[expect(clippy::cast_possible_truncation, reason = "both halves are 64 bits wide")]
        {
            self.state = (low as u64) ^ (high as u64).rotate_left(23) ^ self.state.rotate_left(17);
        }
    }
}

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.fold(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.fold(word);
    }

    fn write_u128(&mut self, word: u128) {
        #[expect(clippy::cast_possible_truncation, reason = "the two halves are folded one after the other")]
        {
            self.fold(word as u64);
            self.fold((word >> 64) as u64);
        }
    }

    fn finish(&self) -> u64 {
        self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_canonical_decimals_below_two_to_the_63() {
        assert_eq!("9223372036854775807".parse::<AccountId>().map(AccountId::number), Ok(u64::MAX >> 1));
        for text in ["0", "01", "-1", "+1", "", " 1", "9223372036854775808", "18446744073709551616", "1.0", "١"] {
            assert_eq!(text.parse::<AccountId>(), Err(InvalidId), "{text}");
        }
    }

    #[test]
    fn slots_are_part_of_the_format() {
        assert_eq!(
            [1, 2, 3, 123_456_789, CLIENT_ID_END - 1, SYSTEM_ID_START].map(slot),
            [632, 241, 874, 761, 647, 214]
        );
        assert!((0..100_000).all(|id| slot(id) < SLOTS));
    }

    #[test]
    fn generated_ids_grow_though_the_clock_stands_or_goes_back() {
        let shard = ShardId::new(5).expect("a shard");
        let mut ids = IdGenerator::new(shard, 0);
        let mut last = 0;
        for step in 0..20_000u64 {
            let now = Timestamp::from_microseconds(1_800_000_000_000_000 - step * 10).expect("a time");
            let id = ids.next(now);
            assert!(last < id);
            assert_eq!(ShardId::of_generated(id), shard);
            assert!(now.microseconds() < time_of_generated(id).microseconds() + 1000);
            last = id;
        }
    }

    #[test]
    fn a_restarted_generator_gives_no_id_twice() {
        let shard = ShardId::new(0).expect("a shard");
        let now = Timestamp::from_microseconds(1_800_000_000_000_000).expect("a time");
        let mut before = IdGenerator::new(shard, 0);
        let given = before.next(now);
        let mut after = IdGenerator::new(shard, given);
        assert!(given < after.next(now));
    }
}
