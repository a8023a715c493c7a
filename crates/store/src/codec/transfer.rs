//! Transfers. Two shapes: the plain one, which nearly all have, and the general one. Both are written relative to the
//! transfer before it in the block: its currency is usually the same, its id the next.

use super::reader::{DecodeError, Problem, Reader};
use super::tag::Tagged;
use super::writer::{
    Sink, flags, put_amount, put_count, put_currency, put_day, put_signed, put_signed_wide, put_text, put_time,
    put_varint,
};
use ledger::currency::Currency;
use ledger::ids::TransferId;
use ledger::time::Timestamp;
use ledger::transfer::{Note, Posting, Postings, Reversed, Side, TransferKind, Transferred};

/// Fewest bytes of a leg, of a posting, and of an entry of the metadata.
const LEG_BYTES: usize = 7;
const POSTING_BYTES: usize = 5;
const METADATA_BYTES: usize = 2;

const SAME_CURRENCY: u8 = 1 << 3;
const NEXT_ID: u8 = 1 << 4;
/// The kind has the lowest three bits, and since there are more than eight kinds this one.
const KIND_HIGH: u8 = 1 << 5;
const KIND: u8 = 7 | KIND_HIGH;

fn kind_bits(kind: TransferKind) -> u8 {
    (kind.tag() & 7) | ((kind.tag() & 8) << 2)
}

fn kind_of(flags: u8) -> Option<TransferKind> {
    Tagged::from_tag((flags & 7) | ((flags & KIND_HIGH) >> 2))
}

/// What the transfer before in the block was; nothing at its beginning.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Previous {
    id: i64,
    currency: Option<Currency>,
}

impl Previous {
    /// The flags that id and currency deserve.
    fn flags(&self, transferred: &Transferred) -> u8 {
        let same_currency = if self.currency == Some(transferred.currency) { SAME_CURRENCY } else { 0 };
        let next_id = if transferred.id.number().cast_signed() == self.id + 1 { NEXT_ID } else { 0 };
        same_currency | next_id
    }

    /// Writes what the flags do not say, and remembers this transfer.
    fn put(&mut self, flags: u8, transferred: &Transferred, out: &mut impl Sink) {
        let id = transferred.id.number().cast_signed();
        if flags & SAME_CURRENCY == 0 {
            put_currency(out, transferred.currency);
        }
        if flags & NEXT_ID == 0 {
            put_signed(out, id - self.id);
        }
        *self = Previous { id, currency: Some(transferred.currency) };
    }

    fn read(&mut self, flags: u8, reader: &mut Reader<'_>) -> Result<(TransferId, Currency), DecodeError> {
        let at = reader.clone();
        let currency = match (flags & SAME_CURRENCY, self.currency) {
            (0, previous) => match reader.currency()? {
                // What a flag says is never written out: one block has one form.
                currency if previous == Some(currency) => {
                    return Err(at.error("currency that differs", Problem::OutOfRange));
                }
                currency => currency,
            },
            (_, Some(currency)) => currency,
            (_, None) => return Err(reader.error("currency of the first transfer", Problem::OutOfRange)),
        };
        let at = reader.clone();
        let delta = match flags & NEXT_ID {
            0 => reader.signed("transfer id")?,
            _ => 1,
        };
        if flags & NEXT_ID == 0 && delta == 1 {
            return Err(at.error("transfer id that is not the next", Problem::OutOfRange));
        }
        let id = self.id.checked_add(delta).and_then(|id| TransferId::new(u64::try_from(id).ok()?));
        let id = id.ok_or_else(|| at.error("transfer id", Problem::OutOfRange))?;
        *self = Previous { id: id.number().cast_signed(), currency: Some(currency) };
        Ok((id, currency))
    }
}

/// The postings of a transfer that is as plain as most: a single leg at the booking time, with nothing said of it.
pub(super) fn plain_postings(transferred: &Transferred, time: Timestamp) -> Option<&[Posting; 2]> {
    match &transferred.postings {
        Postings::Pair(pair)
            if is_leg(pair)
                && transferred.effective_at == time
                && !transferred.forced
                && transferred.note.is_none()
                && transferred.reverses.is_none()
                && transferred.hold.is_none() =>
        {
            Some(pair)
        }
        _ => None,
    }
}

/// Whether two postings are the debit and credit of one leg.
fn is_leg(pair: &[Posting]) -> bool {
    matches!(pair, [debit, credit] if debit.side == Side::Debit && credit.side == Side::Credit && debit.amount == credit.amount)
}

pub(super) fn encode_plain(
    transferred: &Transferred,
    pair: &[Posting; 2],
    previous: &mut Previous,
    out: &mut impl Sink,
) {
    let flags = previous.flags(transferred);
    out.put(kind_bits(transferred.kind) | flags);
    previous.put(flags, transferred, out);
    put_leg(pair, out);
}

pub(super) fn decode_plain(
    reader: &mut Reader<'_>,
    previous: &mut Previous,
    time: Timestamp,
) -> Result<Transferred, DecodeError> {
    let at = reader.clone();
    let flags = reader.flags(KIND | SAME_CURRENCY | NEXT_ID, "flags of a transfer")?;
    let kind = kind_of(flags).ok_or_else(|| at.error("kind of transfer", Problem::UnknownTag(flags)))?;
    let (id, currency) = previous.read(flags, reader)?;
    let postings = Postings::Pair(read_leg(reader)?);
    Ok(Transferred {
        id,
        kind,
        currency,
        forced: false,
        effective_at: time,
        postings,
        reverses: None,
        hold: None,
        note: None,
    })
}

pub(super) fn encode_transferred(
    transferred: &Transferred,
    time: Timestamp,
    previous: &mut Previous,
    out: &mut Vec<u8>,
) {
    let relative = previous.flags(transferred);
    out.push(kind_bits(transferred.kind) | relative);
    previous.put(relative, transferred, out);
    let is_back_dated = transferred.effective_at != time;
    let (reverses, hold, note) = (transferred.reverses, transferred.hold, &transferred.note);
    out.push(flags([transferred.forced, is_back_dated, reverses.is_some(), hold.is_some(), note.is_some()]));
    if is_back_dated {
        put_time(out, transferred.effective_at);
    }
    if let Some(reversed) = reverses {
        put_varint(out, reversed.transfer.number());
        put_day(out, reversed.day);
    }
    if let Some(hold) = hold {
        put_varint(out, hold.number());
    }
    if let Some(note) = note {
        encode_note(note, out);
    }
    encode_postings(&transferred.postings, out);
}

pub(super) fn decode_transferred(
    reader: &mut Reader<'_>,
    previous: &mut Previous,
    time: Timestamp,
) -> Result<Transferred, DecodeError> {
    let at = reader.clone();
    let relative = reader.flags(KIND | SAME_CURRENCY | NEXT_ID, "flags of a transfer")?;
    let kind = kind_of(relative).ok_or_else(|| at.error("kind of transfer", Problem::UnknownTag(relative)))?;
    let (id, currency) = previous.read(relative, reader)?;
    let flags = reader.flags(0x1f, "more flags of a transfer")?;
    let has = |bit: u8| flags & (1 << bit) != 0;
    Ok(Transferred {
        id,
        kind,
        currency,
        forced: has(0),
        effective_at: reader.when(has(1), |reader| reader.time("value date"))?.unwrap_or(time),
        reverses: reader.when(has(2), |reader| {
            Ok(Reversed { transfer: reader.transfer_id()?, day: reader.day("day of the transfer reversed")? })
        })?,
        hold: reader.when(has(3), Reader::hold_id)?,
        note: reader.when(has(4), decode_note)?.map(Box::new),
        postings: decode_postings(reader)?,
    })
}

pub(super) fn encode_note(note: &Note, out: &mut Vec<u8>) {
    out.push(flags([note.reference.is_some()]));
    if let Some(reference) = &note.reference {
        put_text(out, reference);
    }
    put_count(out, note.metadata.len());
    for (key, value) in &note.metadata {
        put_text(out, key);
        put_text(out, value);
    }
}

pub(super) fn decode_note(reader: &mut Reader<'_>) -> Result<Note, DecodeError> {
    let has_reference = reader.bool("whether there is a reference")?;
    let reference = reader.when(has_reference, |reader| reader.text("reference"))?.map(Box::from);
    let count = reader.count(METADATA_BYTES, "entries of metadata")?;
    let entry = |_| Ok((reader.text("key of metadata")?.into(), reader.text("value of metadata")?.into()));
    Ok(Note { reference, metadata: (0..count).map(entry).collect::<Result<_, DecodeError>>()? })
}

/// Postings come as one leg (0), as so many legs (1), or, where they do not pair up, one by one (2 and 3).
fn encode_postings(postings: &Postings, out: &mut Vec<u8>) {
    match postings {
        Postings::Pair(pair) if is_leg(pair) => {
            out.push(0);
            put_leg(pair, out);
        }
        Postings::Many(many) if many.len() % 2 == 0 && many.chunks_exact(2).all(is_leg) => {
            out.push(1);
            put_count(out, many.len() / 2);
            for pair in many.as_chunks().0 {
                put_leg(pair, out);
            }
        }
        Postings::Pair(pair) => {
            out.push(2);
            pair.iter().for_each(|posting| put_posting(posting, out));
        }
        Postings::Many(many) => {
            out.push(3);
            put_count(out, many.len());
            many.iter().for_each(|posting| put_posting(posting, out));
        }
    }
}

fn decode_postings(reader: &mut Reader<'_>) -> Result<Postings, DecodeError> {
    let at = reader.clone();
    Ok(match reader.byte("shape of postings")? {
        0 => Postings::Pair(read_leg(reader)?),
        1 => {
            let legs = reader.count(LEG_BYTES, "legs")?;
            let mut postings = Vec::with_capacity(legs * 2);
            for _ in 0..legs {
                postings.extend(read_leg(reader)?);
            }
            Postings::Many(postings.into())
        }
        2 => Postings::Pair([read_posting(reader)?, read_posting(reader)?]),
        3 => {
            let count = reader.count(POSTING_BYTES, "postings")?;
            Postings::Many((0..count).map(|_| read_posting(reader)).collect::<Result<_, _>>()?)
        }
        shape => return Err(at.error("shape of postings", Problem::UnknownTag(shape))),
    })
}

#[inline]
fn put_leg([debit, credit]: &[Posting; 2], out: &mut impl Sink) {
    put_varint(out, debit.account.number());
    put_varint(out, credit.account.number());
    put_amount(out, debit.amount);
    put_signed_wide(out, debit.balance_after);
    put_signed_wide(out, credit.balance_after);
    put_varint(out, debit.version);
    put_varint(out, credit.version);
}

fn read_leg(reader: &mut Reader<'_>) -> Result<[Posting; 2], DecodeError> {
    let (from, to) = (reader.account_id()?, reader.account_id()?);
    let amount = reader.amount("amount of a leg")?;
    let balances = [reader.signed_wide("balance after")?, reader.signed_wide("balance after")?];
    let versions = [reader.varint("version")?, reader.varint("version")?];
    Ok([
        Posting { account: from, amount, balance_after: balances[0], version: versions[0], side: Side::Debit },
        Posting { account: to, amount, balance_after: balances[1], version: versions[1], side: Side::Credit },
    ])
}

fn put_posting(posting: &Posting, out: &mut Vec<u8>) {
    out.push(posting.side.tag());
    put_varint(out, posting.account.number());
    put_amount(out, posting.amount);
    put_signed_wide(out, posting.balance_after);
    put_varint(out, posting.version);
}

fn read_posting(reader: &mut Reader<'_>) -> Result<Posting, DecodeError> {
    Ok(Posting {
        side: reader.tag()?,
        account: reader.account_id()?,
        amount: reader.amount("amount of a posting")?,
        balance_after: reader.signed_wide("balance after")?,
        version: reader.varint("version")?,
    })
}
