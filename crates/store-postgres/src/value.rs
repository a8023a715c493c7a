//! Values that PostgreSQL has and Rust's driver does not: whole numbers as `numeric`, digests as `uuid`, and text that
//! may hold what PostgreSQL's cannot.

use bytes::{BufMut, BytesMut};
use std::error::Error;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

type Failure = Box<dyn Error + Sync + Send>;

/// A whole number as `numeric`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Whole(pub(crate) i128);

/// 128 bits as `uuid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digest(pub(crate) u128);

/// The hash of a block as `bytea`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockHash(pub(crate) [u8; 32]);

impl ToSql for BlockHash {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
        out.put_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::BYTEA
    }

    to_sql_checked!();
}

/// The base of the digits of a `numeric` on the wire.
const BASE: u128 = 10_000;
/// The sign of a `numeric` below zero on the wire.
const NEGATIVE: u16 = 0x4000;

impl ToSql for Whole {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
        // An `i128` has at most ten digits of this base.
        let mut digits = [0u16; 10];
        let mut count = 0;
        let mut rest = self.0.unsigned_abs();
        while 0 < rest {
            digits[count] = u16::try_from(rest % BASE)?;
            rest /= BASE;
            count += 1;
        }
        let trailing = digits[..count].iter().take_while(|digit| **digit == 0).count();
        out.put_u16(u16::try_from(count - trailing)?);
        out.put_i16(i16::try_from(count)? - i16::from(0 < count));
        out.put_u16(if self.0 < 0 { NEGATIVE } else { 0 });
        out.put_u16(0);
        digits[trailing..count].iter().rev().for_each(|digit| out.put_u16(*digit));
        Ok(IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::NUMERIC
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Whole {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Whole, Failure> {
        let word = |at: usize| {
            let bytes: [u8; 2] =
                raw.get(at..at + 2).and_then(|bytes| bytes.try_into().ok()).ok_or("a short numeric")?;
            Ok::<u16, Failure>(u16::from_be_bytes(bytes))
        };
        let (count, weight, sign) = (usize::from(word(0)?), word(2)?.cast_signed(), word(4)?);
        let mut number: i128 = 0;
        for place in 0..=weight.max(-1) {
            let at = usize::try_from(place)?;
            let digit = if at < count { word(8 + 2 * at)? } else { 0 };
            number = number
                .checked_mul(10_000)
                .and_then(|number| number.checked_add(i128::from(digit)))
                .ok_or("a numeric beyond 128 bits")?;
        }
        match sign {
            0 => Ok(Whole(number)),
            NEGATIVE => Ok(Whole(-number)),
            _ => Err("a numeric that is no number".into()),
        }
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::NUMERIC
    }
}

impl ToSql for Digest {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
        out.put_u128(self.0);
        Ok(IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::UUID
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Digest {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Digest, Failure> {
        Ok(Digest(u128::from_be_bytes(raw.try_into()?)))
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::UUID
    }
}

/// Most bytes of a text in a column that is indexed.
const TEXT_BYTES_MAX: usize = 600;

/// A text as a column for people has it: without the character that PostgreSQL cannot store, and not beyond what an
/// index takes. Whoever looks for such a text compares what it finds with the journal.
pub(crate) fn shown(text: &str) -> String {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].replace('\0', "\u{fffd}")
}

/// An id or a count as `bigint`: all of them are below 2⁶³.
pub(crate) fn big(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A `bigint` back as what [`big`] made it from; a negative one, which nobody wrote, as nothing.
pub(crate) fn unbig(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_survive_the_wire() {
        let large = i128::MAX / 10;
        for number in [0, 1, -1, 9_999, 10_000, -10_001, 100_000_000, 123_456_789_012_345_678_901, large, -large] {
            let mut bytes = BytesMut::new();
            Whole(number).to_sql(&Type::NUMERIC, &mut bytes).expect("it is written");
            assert_eq!(Whole::from_sql(&Type::NUMERIC, &bytes).expect("it is read"), Whole(number));
        }
    }

    #[test]
    fn a_text_for_people_has_no_character_that_a_database_refuses() {
        assert_eq!(shown("a\0b"), "a\u{fffd}b");
        assert!(shown(&"ä".repeat(1_000)).len() <= TEXT_BYTES_MAX);
    }
}
