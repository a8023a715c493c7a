//! Writing numbers and texts. Numbers are LEB128 varints, signed ones zigzag before that; texts and blobs have their
//! length in front.

use ledger::amount::Amount;
use ledger::currency::Currency;
use ledger::time::{Day, Timestamp};

/// Where bytes go.
pub(super) trait Sink {
    /// Appends a byte.
    fn put(&mut self, byte: u8);

    /// Appends bytes as they are.
    fn put_all(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn put(&mut self, byte: u8) {
        self.push(byte);
    }

    fn put_all(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// A few bytes on the stack, so that the fields of a plain transfer reach the block in one copy. Its length is a byte
/// and its room is what a byte can count, so that no access needs a check; whoever writes into it stays below that.
pub(super) struct Line {
    bytes: [u8; 256],
    length: u8,
}

impl Line {
    pub(super) const fn new() -> Line {
        Line { bytes: [0; 256], length: 0 }
    }

    /// Moves what was gathered to the block.
    pub(super) fn flush(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes[..usize::from(self.length)]);
        self.length = 0;
    }

    /// Writes a key's digest or fingerprint.
    pub(super) fn put_digest(&mut self, digest: u128) {
        let start = usize::from(self.length);
        self.bytes[start..start + 16].copy_from_slice(&digest.to_le_bytes());
        self.length += 16;
    }
}

impl Sink for Line {
    #[inline]
    fn put(&mut self, byte: u8) {
        self.bytes[usize::from(self.length)] = byte;
        self.length += 1;
    }

    fn put_all(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.put(*byte));
    }
}

#[inline]
pub(super) fn put_varint(out: &mut impl Sink, mut number: u64) {
    while 0x80 <= number {
        out.put(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.put(number.to_le_bytes()[0]);
}

pub(super) fn put_wide(out: &mut impl Sink, mut number: u128) {
    if let Ok(narrow) = u64::try_from(number) {
        return put_varint(out, narrow);
    }
    while 0x80 <= number {
        out.put(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.put(number.to_le_bytes()[0]);
}

#[inline]
pub(super) fn put_signed(out: &mut impl Sink, number: i64) {
    put_varint(out, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

#[inline]
pub(super) fn put_signed_wide(out: &mut impl Sink, number: i128) {
    match i64::try_from(number) {
        Ok(narrow) => put_signed(out, narrow),
        Err(_) => put_wide(out, ((number << 1) ^ (number >> 127)).cast_unsigned()),
    }
}

pub(super) fn put_count(out: &mut impl Sink, count: usize) {
    put_varint(out, count as u64);
}

pub(super) fn put_blob(out: &mut impl Sink, blob: &[u8]) {
    put_count(out, blob.len());
    out.put_all(blob);
}

pub(super) fn put_text(out: &mut impl Sink, text: &str) {
    put_blob(out, text.as_bytes());
}

pub(super) fn put_amount(out: &mut impl Sink, amount: Amount) {
    put_varint(out, amount.minor_units());
}

pub(super) fn put_currency(out: &mut impl Sink, currency: Currency) {
    put_varint(out, u64::from(currency.number()));
}

pub(super) fn put_time(out: &mut impl Sink, time: Timestamp) {
    put_varint(out, time.microseconds());
}

pub(super) fn put_day(out: &mut impl Sink, day: Day) {
    put_signed(out, i64::from(day.number()));
}

/// A byte in which each of these conditions has a bit, the first one the lowest.
pub(super) fn flags<const N: usize>(conditions: [bool; N]) -> u8 {
    conditions.iter().rev().fold(0, |byte, is_set| byte << 1 | u8::from(*is_set))
}
