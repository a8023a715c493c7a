//! Blocks of entries. Each entry is written relative to the one before: who asked, when and on which day are usually
//! the same and then cost nothing.

use super::reader::{DecodeError, Problem, Reader};
use super::rejection::{decode_rejection, encode_rejection};
use super::row::{
    decode_account, decode_customer, decode_dead_letter, decode_hold, decode_token, encode_account, encode_customer,
    encode_dead_letter, encode_hold, encode_token,
};
use super::saga::{decode_slots_changed, decode_step, encode_slots_changed, encode_step};
use super::tag::Tagged;
use super::transfer::{Previous, decode_plain, decode_transferred, encode_plain, encode_transferred, plain_postings};
use super::writer::{Line, Sink, flags, put_blob, put_count, put_signed, put_text, put_varint};
use super::{ENTRY_BYTES_TYPICAL, VERSION};
use ledger::event::{
    AccountChanged, Context, CustomerChange, CustomerChanged, DeadLetterChanged, Entry, Event, Header, HoldCaptured,
    HoldChanged, Key, Outcome,
};
use ledger::ids::Sequence;
use ledger::time::{Day, Timestamp};
use std::collections::HashMap;
use std::sync::Arc;

/// Fewest bytes of an entry, and of a transfer in a batch.
const ENTRY_BYTES: usize = 3;
const TRANSFER_BYTES: usize = 4;
/// Room for so many entries is made at once; beyond that it grows with what was read.
const ENTRIES_AT_ONCE: usize = 8192;

const HAS_KEY: u8 = 1 << 4;
const OTHER_CONTEXT: u8 = 1 << 5;
const OTHER_TIME: u8 = 1 << 6;
const OTHER_DAY: u8 = 1 << 7;

mod outcome {
    //! The low four bits of an entry's first byte.
    pub(super) const PLAIN_TRANSFER: u8 = 0;
    pub(super) const TRANSFERRED: u8 = 1;
    pub(super) const BATCH_TRANSFERRED: u8 = 2;
    pub(super) const HOLD_CAPTURED: u8 = 3;
    pub(super) const HOLD_CHANGED: u8 = 4;
    pub(super) const ACCOUNT_CHANGED: u8 = 5;
    pub(super) const CUSTOMER_CHANGED: u8 = 6;
    pub(super) const DEAD_LETTER_CHANGED: u8 = 7;
    pub(super) const TOKEN_CHANGED: u8 = 8;
    pub(super) const REJECTION: u8 = 9;
    pub(super) const SAGA: u8 = 10;
    pub(super) const SLOTS_CHANGED: u8 = 11;
}

/// Appends the payload of a block of these entries. Their sequences are not part of it, but follow from the block's
/// first one.
pub fn encode_block(entries: &[Entry], out: &mut Vec<u8>) {
    out.reserve(entries.len() * ENTRY_BYTES_TYPICAL + 64);
    out.push(VERSION);
    put_count(out, entries.len());
    let mut writer = BlockWriter {
        line: Line::new(),
        contexts: Contexts::default(),
        time: 0,
        day: 0,
        previous: Previous::default(),
    };
    for entry in entries {
        writer.encode_entry(entry, out);
    }
}

/// Reads the entries of a block whose first one has this sequence.
///
/// # Errors
/// When the bytes are not the payload of a block, to the last one.
pub fn decode_block(payload: &[u8], first_sequence: Sequence) -> Result<Vec<Entry>, DecodeError> {
    let mut reader = Reader::new(payload);
    let version = reader.byte("format version")?;
    if version != VERSION {
        return Err(DecodeError { offset: 0, what: "format version", problem: Problem::UnknownVersion(version) });
    }
    let count = reader.count(ENTRY_BYTES, "entries of a block")?;
    let mut entries = Vec::with_capacity(count.min(ENTRIES_AT_ONCE));
    let mut block = BlockReader { contexts: Vec::new(), context: None, time: 0, day: 0, previous: Previous::default() };
    for sequence in (first_sequence..).take(count) {
        entries.push(block.decode_entry(&mut reader, sequence)?);
    }
    reader.finish("end of a block")?;
    Ok(entries)
}

/// The distinct contexts of a block. Most blocks come from few askers, so the one before is looked at first.
#[derive(Default)]
struct Contexts<'a> {
    before: Option<&'a Arc<Context>>,
    places: HashMap<&'a Context, usize>,
}

impl<'a> Contexts<'a> {
    /// Whether this is the same as that of the entry before.
    fn is_same(&mut self, context: &'a Arc<Context>) -> bool {
        let is_same = self.before.is_some_and(|before| Arc::ptr_eq(before, context) || before == context);
        self.before = Some(context);
        is_same
    }

    /// The place of a context that differs from the one before, and whether it is a new one.
    fn place(&mut self, context: &'a Arc<Context>) -> (usize, bool) {
        let next = self.places.len();
        let place = *self.places.entry(context).or_insert(next);
        (place, place == next)
    }
}

struct BlockWriter<'a> {
    line: Line,
    contexts: Contexts<'a>,
    time: u64,
    day: i32,
    previous: Previous,
}

impl<'a> BlockWriter<'a> {
    fn encode_entry(&mut self, entry: &'a Entry, out: &mut Vec<u8>) {
        let time = entry.header.time;
        if let Outcome::Event(Event::Transferred(transferred)) = &entry.outcome
            && let Some(pair) = plain_postings(transferred, time)
        {
            self.encode_header(&entry.header, outcome::PLAIN_TRANSFER, out);
            encode_plain(transferred, pair, &mut self.previous, &mut self.line);
            self.line.flush(out);
            return;
        }
        self.encode_header(&entry.header, tag_of(&entry.outcome), out);
        self.line.flush(out);
        match &entry.outcome {
            Outcome::Event(event) => self.encode_event(event, time, out),
            Outcome::Rejection { index, rejection } => {
                put_varint(out, u64::from(*index));
                encode_rejection(rejection, out);
            }
        }
    }

    fn encode_header(&mut self, header: &'a Header, tag: u8, out: &mut Vec<u8>) {
        let (time, day) = (header.time.microseconds(), header.day.number());
        let is_same_context = self.contexts.is_same(&header.context);
        let line = &mut self.line;
        let differs = flags([header.key.is_some(), !is_same_context, time != self.time, day != self.day]) << 4;
        line.put(tag | differs);
        if let Some(key) = header.key {
            line.put_digest(key.digest);
            line.put_digest(key.fingerprint);
        }
        if !is_same_context {
            let (place, is_new) = self.contexts.place(&header.context);
            put_count(line, place);
            if is_new {
                line.flush(out);
                encode_context(&header.context, out);
            }
        }
        if time != self.time {
            put_signed(line, time.cast_signed() - self.time.cast_signed());
            self.time = time;
        }
        if day != self.day {
            put_signed(line, i64::from(day) - i64::from(self.day));
            self.day = day;
        }
    }

    fn encode_event(&mut self, event: &Event, time: Timestamp, out: &mut Vec<u8>) {
        match event {
            Event::Transferred(transferred) => encode_transferred(transferred, time, &mut self.previous, out),
            Event::BatchTransferred(transfers) => {
                put_count(out, transfers.len());
                transfers.iter().for_each(|transferred| encode_transferred(transferred, time, &mut self.previous, out));
            }
            Event::HoldCaptured(captured) => {
                encode_hold(&captured.hold, out);
                encode_transferred(&captured.transferred, time, &mut self.previous, out);
            }
            Event::HoldChanged(changed) => {
                out.push(changed.change.tag());
                encode_hold(&changed.hold, out);
            }
            Event::AccountChanged(changed) => {
                out.extend([changed.change.tag(), flags([changed.id_is_generated])]);
                encode_account(&changed.account, out);
            }
            Event::CustomerChanged(changed) => encode_customer_changed(changed, out),
            Event::DeadLetterChanged(changed) => encode_dead_letter_changed(changed, out),
            Event::TokenChanged(token) => encode_token(token, out),
            Event::Saga(step) => encode_step(step, time, &mut self.previous, out),
            Event::SlotsChanged(changed) => encode_slots_changed(changed, out),
        }
    }
}

pub(super) fn encode_dead_letter_changed(changed: &DeadLetterChanged, out: &mut Vec<u8>) {
    out.extend([changed.change.tag(), flags([changed.payload.is_some()])]);
    encode_dead_letter(&changed.dead_letter, out);
    if let Some(payload) = &changed.payload {
        put_blob(out, payload);
    }
}

pub(super) fn decode_dead_letter_changed(reader: &mut Reader<'_>) -> Result<DeadLetterChanged, DecodeError> {
    let (change, has_payload) = (reader.tag()?, reader.bool("whether there is a payload")?);
    let dead_letter = decode_dead_letter(reader)?;
    let payload = reader.when(has_payload, |reader| reader.blob("payload"))?.map(Box::from);
    Ok(DeadLetterChanged { change, dead_letter, payload })
}

fn tag_of(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Event(Event::Transferred(_)) => outcome::TRANSFERRED,
        Outcome::Event(Event::BatchTransferred(_)) => outcome::BATCH_TRANSFERRED,
        Outcome::Event(Event::HoldCaptured(_)) => outcome::HOLD_CAPTURED,
        Outcome::Event(Event::HoldChanged(_)) => outcome::HOLD_CHANGED,
        Outcome::Event(Event::AccountChanged(_)) => outcome::ACCOUNT_CHANGED,
        Outcome::Event(Event::CustomerChanged(_)) => outcome::CUSTOMER_CHANGED,
        Outcome::Event(Event::DeadLetterChanged(_)) => outcome::DEAD_LETTER_CHANGED,
        Outcome::Event(Event::TokenChanged(_)) => outcome::TOKEN_CHANGED,
        Outcome::Event(Event::Saga(_)) => outcome::SAGA,
        Outcome::Event(Event::SlotsChanged(_)) => outcome::SLOTS_CHANGED,
        Outcome::Rejection { .. } => outcome::REJECTION,
    }
}

fn encode_context(context: &Context, out: &mut Vec<u8>) {
    put_text(out, &context.principal);
    out.push(context.channel.tag());
    put_text(out, &context.correlation);
    out.push(flags([context.cause.is_some()]));
    if let Some(cause) = context.cause {
        put_varint(out, cause);
    }
}

fn decode_context(reader: &mut Reader<'_>) -> Result<Context, DecodeError> {
    let principal = reader.text("principal")?.into();
    let channel = reader.tag()?;
    let correlation = reader.text("correlation")?.into();
    let has_cause = reader.bool("whether there is a cause")?;
    Ok(Context { principal, channel, correlation, cause: reader.when(has_cause, |reader| reader.varint("cause"))? })
}

/// A registration is 0, nothing 1, an update 2 with the fields it changed.
fn encode_customer_changed(changed: &CustomerChanged, out: &mut Vec<u8>) {
    match &changed.change {
        CustomerChange::Registered => out.push(0),
        CustomerChange::Nothing => out.push(1),
        CustomerChange::Updated(fields) => {
            out.push(2);
            put_count(out, fields.len());
            out.extend(fields.iter().map(|field| field.tag()));
        }
    }
    out.push(flags([changed.id_is_generated]));
    encode_customer(&changed.customer, out);
}

fn decode_customer_changed(reader: &mut Reader<'_>) -> Result<CustomerChanged, DecodeError> {
    let at = reader.clone();
    let change = match reader.byte("change of a customer")? {
        0 => CustomerChange::Registered,
        1 => CustomerChange::Nothing,
        2 => {
            let count = reader.count(1, "fields changed")?;
            CustomerChange::Updated((0..count).map(|_| reader.tag()).collect::<Result<_, _>>()?)
        }
        tag => return Err(at.error("change of a customer", Problem::UnknownTag(tag))),
    };
    Ok(CustomerChanged {
        change,
        id_is_generated: reader.bool("whether the id is generated")?,
        customer: decode_customer(reader)?,
    })
}

struct BlockReader {
    contexts: Vec<Arc<Context>>,
    context: Option<Arc<Context>>,
    time: u64,
    day: i32,
    previous: Previous,
}

impl BlockReader {
    fn decode_entry(&mut self, reader: &mut Reader<'_>, sequence: Sequence) -> Result<Entry, DecodeError> {
        let at = reader.clone();
        let first = reader.byte("first byte of an entry")?;
        let header = self.decode_header(first, reader, sequence)?;
        let outcome = match first & 0xf {
            outcome::REJECTION => {
                let index = reader.narrow("index in the batch")?;
                Outcome::Rejection { index, rejection: decode_rejection(reader)? }
            }
            tag => Outcome::Event(self.decode_event(tag, reader, header.time, &at)?),
        };
        Ok(Entry { header, outcome })
    }

    fn decode_header(&mut self, first: u8, reader: &mut Reader<'_>, sequence: Sequence) -> Result<Header, DecodeError> {
        let key = reader.when(first & HAS_KEY != 0, |reader| {
            Ok(Key { digest: reader.digest("digest of a key")?, fingerprint: reader.digest("fingerprint")? })
        })?;
        let at = reader.clone();
        if first & OTHER_CONTEXT != 0 {
            let context = Some(self.decode_place(reader)?);
            if context == self.context {
                return Err(at.error("context that differs", Problem::OutOfRange));
            }
            self.context = context;
        }
        let at = reader.clone();
        if first & OTHER_TIME != 0 {
            let time = Some(reader.signed("time")?).filter(|delta| *delta != 0);
            let time = time.and_then(|delta| self.time.checked_add_signed(delta));
            self.time = time.ok_or_else(|| at.error("time", Problem::OutOfRange))?;
        }
        let time = Timestamp::from_microseconds(self.time).ok_or_else(|| at.error("time", Problem::OutOfRange))?;
        let at = reader.clone();
        if first & OTHER_DAY != 0 {
            let day = Some(reader.signed("day")?).filter(|delta| *delta != 0);
            let day =
                day.and_then(|delta| i64::from(self.day).checked_add(delta)).and_then(|day| i32::try_from(day).ok());
            self.day = day.ok_or_else(|| at.error("day", Problem::OutOfRange))?;
        }
        let context =
            self.context.clone().ok_or_else(|| at.error("context of the first entry", Problem::OutOfRange))?;
        Ok(Header { sequence, time, day: Day::new(self.day), key, context })
    }

    fn decode_place(&mut self, reader: &mut Reader<'_>) -> Result<Arc<Context>, DecodeError> {
        let at = reader.clone();
        let place = usize::try_from(reader.varint("place of a context")?).unwrap_or(usize::MAX);
        if place == self.contexts.len() {
            self.contexts.push(Arc::new(decode_context(reader)?));
        }
        self.contexts.get(place).cloned().ok_or_else(|| at.error("place of a context", Problem::OutOfRange))
    }

    fn decode_event(
        &mut self,
        tag: u8,
        reader: &mut Reader<'_>,
        time: Timestamp,
        at: &Reader<'_>,
    ) -> Result<Event, DecodeError> {
        let previous = &mut self.previous;
        Ok(match tag {
            outcome::PLAIN_TRANSFER => Event::Transferred(decode_plain(reader, previous, time)?),
            outcome::TRANSFERRED => Event::Transferred(decode_transferred(reader, previous, time)?),
            outcome::BATCH_TRANSFERRED => {
                let count = reader.count(TRANSFER_BYTES, "transfers of a batch")?;
                let transfers = (0..count).map(|_| decode_transferred(reader, previous, time));
                Event::BatchTransferred(transfers.collect::<Result<_, _>>()?)
            }
            outcome::HOLD_CAPTURED => {
                let hold = decode_hold(reader)?;
                let transferred = decode_transferred(reader, previous, time)?;
                Event::HoldCaptured(Box::new(HoldCaptured { hold, transferred }))
            }
            outcome::HOLD_CHANGED => {
                Event::HoldChanged(Box::new(HoldChanged { change: reader.tag()?, hold: decode_hold(reader)? }))
            }
            outcome::ACCOUNT_CHANGED => Event::AccountChanged(Box::new(AccountChanged {
                change: reader.tag()?,
                id_is_generated: reader.bool("whether the id is generated")?,
                account: decode_account(reader)?,
            })),
            outcome::CUSTOMER_CHANGED => Event::CustomerChanged(Box::new(decode_customer_changed(reader)?)),
            outcome::DEAD_LETTER_CHANGED => Event::DeadLetterChanged(Box::new(decode_dead_letter_changed(reader)?)),
            outcome::TOKEN_CHANGED => Event::TokenChanged(Box::new(decode_token(reader)?)),
            outcome::SLOTS_CHANGED => Event::SlotsChanged(Box::new(decode_slots_changed(reader)?)),
            outcome::SAGA => Event::Saga(Box::new(decode_step(reader, previous, time)?)),
            tag => return Err(at.error("outcome", Problem::UnknownTag(tag))),
        })
    }
}
