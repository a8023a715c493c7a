//! Reading numbers and texts strictly: whatever does not look as the writer would have written it is an error that
//! says where. Nothing here panics, and nothing allocates more than the bytes at hand can fill.

use super::tag::Tagged;
use ledger::amount::Amount;
use ledger::currency::Currency;
use ledger::ids::{AccountId, CustomerId, DeadLetterId, HoldId, QuoteId, SLOTS, ShardId, TokenId, TransferId};
use ledger::time::{Day, Timestamp};
use std::sync::LazyLock;

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset}: {problem} ({what})")]
pub struct DecodeError {
    /// Where the thing starts that cannot be read, counted from the beginning of the payload or row.
    pub offset: usize,
    /// What was expected there.
    pub what: &'static str,
    /// What is wrong with it.
    pub problem: Problem,
}

/// See [`DecodeError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The bytes end before it does.
    #[error("the bytes end too early")]
    Truncated,
    /// There are bytes behind the last thing.
    #[error("there are bytes behind the end")]
    TrailingBytes,
    /// A number has more bytes than it needs or may have.
    #[error("a number is written with too many bytes")]
    OverlongNumber,
    /// A number that this thing cannot be.
    #[error("the number is out of range")]
    OutOfRange,
    /// More items than the remaining bytes could hold.
    #[error("the count exceeds what the remaining bytes could hold")]
    CountTooLarge,
    /// Not UTF-8.
    #[error("the text is not UTF-8")]
    InvalidText,
    /// A tag or set of flags that this version does not have.
    #[error("the tag {0} is unknown")]
    UnknownTag(u8),
    /// A version of the format that this program does not know.
    #[error("the format version {0} is unknown; use a newer florin")]
    UnknownVersion(u8),
}

/// A place in bytes that are being read.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

type Read<T> = Result<T, DecodeError>;

static CURRENCIES: LazyLock<Vec<Option<Currency>>> = LazyLock::new(|| (0..1000).map(Currency::from_number).collect());

impl<'a> Reader<'a> {
    /// Reads these bytes from their beginning.
    pub const fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, offset: 0 }
    }

    /// How many bytes were read.
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// Whether all bytes were read.
    pub const fn is_at_end(&self) -> bool {
        self.offset == self.bytes.len()
    }

    /// Makes sure that all bytes were read.
    ///
    /// # Errors
    /// [`Problem::TrailingBytes`] if not.
    pub const fn finish(&self, what: &'static str) -> Result<(), DecodeError> {
        if self.is_at_end() { Ok(()) } else { Err(self.error(what, Problem::TrailingBytes)) }
    }

    pub(super) const fn error(&self, what: &'static str, problem: Problem) -> DecodeError {
        DecodeError { offset: self.offset, what, problem }
    }

    const fn remaining(&self) -> usize {
        self.bytes.len() - self.offset
    }

    #[inline]
    pub(super) fn byte(&mut self, what: &'static str) -> Read<u8> {
        match self.bytes.get(self.offset) {
            Some(byte) => {
                self.offset += 1;
                Ok(*byte)
            }
            None => Err(self.error(what, Problem::Truncated)),
        }
    }

    /// A byte of flags, of which only those in the mask are known.
    pub(super) fn flags(&mut self, mask: u8, what: &'static str) -> Read<u8> {
        let at = self.clone();
        let flags = self.byte(what)?;
        if flags & !mask == 0 { Ok(flags) } else { Err(at.error(what, Problem::UnknownTag(flags))) }
    }

    pub(super) fn bool(&mut self, what: &'static str) -> Read<bool> {
        Ok(self.flags(1, what)? == 1)
    }

    pub(super) fn tag<T: Tagged>(&mut self) -> Read<T> {
        let at = self.clone();
        let tag = self.byte(T::WHAT)?;
        T::from_tag(tag).ok_or_else(|| at.error(T::WHAT, Problem::UnknownTag(tag)))
    }

    /// Reads what may be absent, as a flag tells.
    pub(super) fn when<T>(&mut self, is_there: bool, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<Option<T>> {
        if is_there { read(self).map(Some) } else { Ok(None) }
    }

    fn take(&mut self, length: usize, what: &'static str) -> Read<&'a [u8]> {
        match self.bytes.get(self.offset..).and_then(|rest| rest.get(..length)) {
            Some(taken) => {
                self.offset += length;
                Ok(taken)
            }
            None => Err(self.error(what, Problem::Truncated)),
        }
    }

    pub(super) fn array<const N: usize>(&mut self, what: &'static str) -> Read<[u8; N]> {
        let at = self.clone();
        self.take(N, what)?.try_into().map_err(|_| at.error(what, Problem::Truncated))
    }

    pub(super) fn digest(&mut self, what: &'static str) -> Read<u128> {
        self.array(what).map(u128::from_le_bytes)
    }

    #[inline]
    pub(super) fn varint(&mut self, what: &'static str) -> Read<u64> {
        match self.bytes.get(self.offset) {
            Some(byte) if *byte < 0x80 => {
                self.offset += 1;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(what),
        }
    }

    fn long_varint(&mut self, what: &'static str) -> Read<u64> {
        let at = self.clone();
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(what)?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(at.error(what, Problem::OutOfRange));
            }
            number |= bits << shift;
            if byte < 0x80 {
                return if byte == 0 && shift != 0 { Err(at.error(what, Problem::OverlongNumber)) } else { Ok(number) };
            }
        }
        Err(at.error(what, Problem::OverlongNumber))
    }

    pub(super) fn wide(&mut self, what: &'static str) -> Read<u128> {
        let at = self.clone();
        let mut number = 0;
        for shift in (0..128).step_by(7) {
            let byte = self.byte(what)?;
            let bits = u128::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(at.error(what, Problem::OutOfRange));
            }
            number |= bits << shift;
            if byte < 0x80 {
                return if byte == 0 && shift != 0 { Err(at.error(what, Problem::OverlongNumber)) } else { Ok(number) };
            }
        }
        Err(at.error(what, Problem::OverlongNumber))
    }

    pub(super) fn signed(&mut self, what: &'static str) -> Read<i64> {
        let number = self.varint(what)?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    pub(super) fn signed_wide(&mut self, what: &'static str) -> Read<i128> {
        let number = self.wide(what)?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    /// A varint that is checked and turned into something.
    pub(super) fn number<T>(&mut self, what: &'static str, make: impl FnOnce(u64) -> Option<T>) -> Read<T> {
        let at = self.clone();
        make(self.varint(what)?).ok_or_else(|| at.error(what, Problem::OutOfRange))
    }

    pub(super) fn narrow(&mut self, what: &'static str) -> Read<u32> {
        self.number(what, |number| u32::try_from(number).ok())
    }

    /// A count of items that take at least so many bytes each.
    pub(super) fn count(&mut self, bytes_each: usize, what: &'static str) -> Read<usize> {
        let at = self.clone();
        let count = usize::try_from(self.varint(what)?).unwrap_or(usize::MAX);
        if self.remaining() / bytes_each < count { Err(at.error(what, Problem::CountTooLarge)) } else { Ok(count) }
    }

    pub(super) fn blob(&mut self, what: &'static str) -> Read<&'a [u8]> {
        let length = self.count(1, what)?;
        self.take(length, what)
    }

    pub(super) fn text(&mut self, what: &'static str) -> Read<&'a str> {
        let at = self.clone();
        std::str::from_utf8(self.blob(what)?).map_err(|_| at.error(what, Problem::InvalidText))
    }

    pub(super) fn amount(&mut self, what: &'static str) -> Read<Amount> {
        self.number(what, Amount::new)
    }

    pub(super) fn currency(&mut self) -> Read<Currency> {
        self.number("currency", |number| CURRENCIES.get(usize::try_from(number).ok()?).copied().flatten())
    }

    pub(super) fn time(&mut self, what: &'static str) -> Read<Timestamp> {
        self.number(what, Timestamp::from_microseconds)
    }

    pub(super) fn day(&mut self, what: &'static str) -> Read<Day> {
        let at = self.clone();
        let number = i32::try_from(self.signed(what)?);
        number.map(Day::new).map_err(|_| at.error(what, Problem::OutOfRange))
    }

    pub(super) fn slot(&mut self) -> Read<u16> {
        self.number("slot", |number| u16::try_from(number).ok().filter(|slot| *slot < SLOTS))
    }

    pub(super) fn shard_id(&mut self) -> Read<ShardId> {
        self.number("shard", |number| u16::try_from(number).ok().and_then(ShardId::new))
    }

    pub(super) fn account_id(&mut self) -> Read<AccountId> {
        self.number("account id", AccountId::new)
    }

    pub(super) fn customer_id(&mut self) -> Read<CustomerId> {
        self.number("customer id", CustomerId::new)
    }

    pub(super) fn transfer_id(&mut self) -> Read<TransferId> {
        self.number("transfer id", TransferId::new)
    }

    pub(super) fn hold_id(&mut self) -> Read<HoldId> {
        self.number("hold id", HoldId::new)
    }

    pub(super) fn dead_letter_id(&mut self) -> Read<DeadLetterId> {
        self.number("dead letter id", DeadLetterId::new)
    }

    pub(super) fn quote_id(&mut self) -> Read<QuoteId> {
        self.number("quote id", QuoteId::new)
    }

    pub(super) fn token_id(&mut self) -> Read<TokenId> {
        self.number("token id", TokenId::new)
    }
}
