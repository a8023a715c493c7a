//! Sagas: their steps in blocks, their rows in checkpoints, and the parcels in which messages go from shard to shard.

use super::VERSION;
use super::block::{decode_dead_letter_changed, encode_dead_letter_changed};
use super::reader::{DecodeError, Problem, Reader};
use super::rejection::{decode_rejection, encode_rejection};
use super::row::{decode_account, decode_hold, encode_account, encode_hold};
use super::tag::Tagged;
use super::transfer::{Previous, decode_note, decode_transferred, encode_note, encode_transferred};
use super::writer::{
    flags, put_amount, put_blob, put_count, put_currency, put_day, put_signed_wide, put_time, put_varint,
};
use ledger::event::SlotsChanged;
use ledger::ids::{SLOTS, ShardId, TransferId};
use ledger::saga::{Envelope, Failure, Message, Moved, Order, Ordered, Part, Position, Route, Saga, SagaStep, Sagas};
use ledger::slots::{SlotChange, SlotSet, Slots};
use ledger::time::Timestamp;
use ledger::transfer::{Leg, LegAmount, Legs, Reversed};
use std::sync::Arc;

/// Fewest bytes of a transfer in an order, a leg, a route, a part, a message sent, a transfer made, an envelope.
const ORDERED_BYTES: usize = 7;
const LEG_BYTES: usize = 3;
const ROUTE_BYTES: usize = 2;
const SENT_BYTES: usize = 2;
const TRANSFERRED_BYTES: usize = 4;
const ENVELOPE_BYTES: usize = 4;
const POSITION_BYTES: usize = 2;
const HOLD_BYTES: usize = 10;

type Read<T> = Result<T, DecodeError>;

pub(super) fn encode_step(step: &SagaStep, time: Timestamp, previous: &mut Previous, out: &mut Vec<u8>) {
    out.push(step.kind.tag());
    let (order, failure, hold) = (&step.order, &step.failure, &step.hold);
    let (payload, dead_letter) = (&step.payload, &step.dead_letter);
    out.push(flags([
        step.received.is_some(),
        order.is_some(),
        failure.is_some(),
        hold.is_some(),
        payload.is_some(),
        dead_letter.is_some(),
        step.moved.is_some(),
    ]));
    put_varint(out, step.saga.number());
    if let Some((from, position)) = step.received {
        put_varint(out, u64::from(from.number()));
        put_varint(out, position.number);
        put_varint(out, position.sequence);
    }
    put_count(out, step.sent.len());
    for (to, number) in &step.sent {
        put_varint(out, u64::from(to.number()));
        put_varint(out, *number);
    }
    put_count(out, step.transferred.len());
    step.transferred.iter().for_each(|transferred| encode_transferred(transferred, time, previous, out));
    if let Some(order) = order {
        encode_order(order, out);
    }
    if let Some(failure) = failure {
        encode_failure(*failure, out);
    }
    if let Some(hold) = hold {
        encode_hold(hold, out);
    }
    if let Some(payload) = payload {
        put_blob(out, payload);
    }
    if let Some(changed) = dead_letter {
        encode_dead_letter_changed(changed, out);
    }
    if let Some(moved) = &step.moved {
        encode_moved(moved, out);
    }
}

fn encode_moved(moved: &Moved, out: &mut Vec<u8>) {
    encode_account(&moved.account, out);
    put_signed_wide(out, moved.balance);
    put_count(out, moved.holds.len());
    moved.holds.iter().for_each(|hold| encode_hold(hold, out));
}

fn decode_moved(reader: &mut Reader<'_>) -> Read<Moved> {
    let account = decode_account(reader)?;
    let balance = reader.signed_wide("balance that moves")?;
    let count = reader.count(HOLD_BYTES, "holds that move")?;
    Ok(Moved { account, balance, holds: (0..count).map(|_| decode_hold(reader)).collect::<Read<_>>()? })
}

pub(super) fn decode_step(reader: &mut Reader<'_>, previous: &mut Previous, time: Timestamp) -> Read<SagaStep> {
    let kind = reader.tag()?;
    let flags = reader.flags(0x7f, "flags of a step")?;
    let has = |bit: u8| flags & (1 << bit) != 0;
    let saga = reader.transfer_id()?;
    let received = reader.when(has(0), |reader| Ok((reader.shard_id()?, decode_position(reader)?)))?;
    let sent = reader.count(SENT_BYTES, "messages sent")?;
    let sent = (0..sent).map(|_| Ok((reader.shard_id()?, reader.varint("number of a message")?)));
    let sent = sent.collect::<Read<_>>()?;
    let count = reader.count(TRANSFERRED_BYTES, "transfers of a step")?;
    let transferred = (0..count).map(|_| decode_transferred(reader, previous, time)).collect::<Read<_>>()?;
    Ok(SagaStep {
        kind,
        saga,
        received,
        sent,
        transferred,
        order: reader.when(has(1), decode_order)?.map(Arc::new),
        failure: reader.when(has(2), decode_failure)?,
        hold: reader.when(has(3), decode_hold)?,
        payload: reader.when(has(4), |reader| reader.blob("payload of a saga"))?.map(Box::from),
        dead_letter: reader.when(has(5), decode_dead_letter_changed)?.map(Box::new),
        moved: reader.when(has(6), decode_moved)?.map(Arc::new),
    })
}

fn decode_position(reader: &mut Reader<'_>) -> Read<Position> {
    Ok(Position { number: reader.varint("number of a message")?, sequence: reader.varint("entry of a message")? })
}

fn encode_failure(failure: Failure, out: &mut Vec<u8>) {
    put_varint(out, u64::from(failure.index));
    encode_rejection(&failure.rejection, out);
}

fn decode_failure(reader: &mut Reader<'_>) -> Read<Failure> {
    Ok(Failure { index: reader.narrow("index in the batch")?, rejection: decode_rejection(reader)? })
}

fn encode_order(order: &Order, out: &mut Vec<u8>) {
    out.push(flags([order.reverses.is_some(), order.hold.is_some()]));
    put_count(out, order.transfers.len());
    order.transfers.iter().for_each(|ordered| encode_ordered(ordered, out));
    put_count(out, order.routes.len());
    for route in &order.routes {
        put_varint(out, route.account.number());
        put_varint(out, u64::from(route.shard.number()));
    }
    if let Some(reversed) = order.reverses {
        put_varint(out, reversed.transfer.number());
        put_day(out, reversed.day);
    }
    if let Some(hold) = order.hold {
        put_varint(out, hold.number());
    }
}

fn decode_order(reader: &mut Reader<'_>) -> Read<Order> {
    let flags = reader.flags(0x3, "flags of an order")?;
    let at = reader.clone();
    let count = reader.count(ORDERED_BYTES, "transfers of an order")?;
    if count == 0 {
        return Err(at.error("transfers of an order", Problem::OutOfRange));
    }
    let transfers = (0..count).map(|_| decode_ordered(reader)).collect::<Read<_>>()?;
    let at = reader.clone();
    let count = reader.count(ROUTE_BYTES, "routes of an order")?;
    let route = |_| Ok(Route { account: reader.account_id()?, shard: reader.shard_id()? });
    let routes: Box<[Route]> = (0..count).map(route).collect::<Read<_>>()?;
    if !routes.is_sorted_by(|one, next| one.account < next.account) {
        return Err(at.error("order of routes", Problem::OutOfRange));
    }
    Ok(Order {
        transfers,
        routes,
        reverses: reader.when(flags & 1 != 0, |reader| {
            Ok(Reversed { transfer: reader.transfer_id()?, day: reader.day("day of the transfer reversed")? })
        })?,
        hold: reader.when(flags & 2 != 0, Reader::hold_id)?,
    })
}

fn encode_ordered(ordered: &Ordered, out: &mut Vec<u8>) {
    out.push(ordered.kind.tag());
    let is_one = matches!(ordered.legs, Legs::One(_));
    out.push(flags([ordered.forced, ordered.effective_at.is_some(), ordered.note.is_some(), is_one]));
    put_varint(out, ordered.id.number());
    put_currency(out, ordered.currency);
    if let Some(effective_at) = ordered.effective_at {
        put_time(out, effective_at);
    }
    if let Some(note) = &ordered.note {
        encode_note(note, out);
    }
    if !is_one {
        put_count(out, ordered.legs.len());
    }
    for leg in ordered.legs.iter() {
        put_varint(out, leg.from.number());
        put_varint(out, leg.to.number());
        let LegAmount::Exactly(amount) = leg.amount else { unreachable!("the amounts of an order are exact") };
        put_amount(out, amount);
    }
}

fn decode_ordered(reader: &mut Reader<'_>) -> Read<Ordered> {
    let kind = reader.tag()?;
    let flags = reader.flags(0xf, "flags of an ordered transfer")?;
    let has = |bit: u8| flags & (1 << bit) != 0;
    let (id, currency) = (reader.transfer_id()?, reader.currency()?);
    let effective_at = reader.when(has(1), |reader| reader.time("value date asked for"))?;
    let note = reader.when(has(2), decode_note)?.map(Box::new);
    let legs = if has(3) {
        Legs::One([decode_leg(reader)?])
    } else {
        let count = reader.count(LEG_BYTES, "legs of an order")?;
        Legs::Many((0..count).map(|_| decode_leg(reader)).collect::<Read<_>>()?)
    };
    Ok(Ordered { id, kind, currency, forced: has(0), effective_at, legs, note })
}

fn decode_leg(reader: &mut Reader<'_>) -> Read<Leg> {
    Ok(Leg {
        from: reader.account_id()?,
        to: reader.account_id()?,
        amount: LegAmount::Exactly(reader.amount("amount of a leg")?),
    })
}

/// Appends an open saga.
pub fn encode_saga(saga: &Saga, out: &mut Vec<u8>) {
    let (payload, decision, failure) = (&saga.payload, saga.decision, saga.failure);
    let posts = decision == Some(true);
    out.push(flags([payload.is_some(), saga.ended_hold, decision.is_some(), posts, failure.is_some()]));
    encode_order(&saga.order, out);
    put_time(out, saga.started_at);
    put_day(out, saga.day);
    put_count(out, saga.parts.len());
    for (shard, state) in &saga.parts {
        put_varint(out, u64::from(shard.number()));
        out.push(state.tag());
    }
    if let Some(payload) = payload {
        put_blob(out, payload);
    }
    if let Some(failure) = failure {
        encode_failure(failure, out);
    }
}

/// Reads an open saga.
///
/// # Errors
/// When the bytes are not one.
pub fn decode_saga(reader: &mut Reader<'_>) -> Result<Saga, DecodeError> {
    let flags = reader.flags(0x1f, "flags of a saga")?;
    let has = |bit: u8| flags & (1 << bit) != 0;
    let order = Arc::new(decode_order(reader)?);
    let (started_at, day) = (reader.time("start of a saga")?, reader.day("day of a saga")?);
    let count = reader.count(SENT_BYTES, "parts of a saga")?;
    let parts = (0..count).map(|_| Ok((reader.shard_id()?, reader.tag()?))).collect::<Read<_>>()?;
    Ok(Saga {
        order,
        started_at,
        day,
        ended_hold: has(1),
        parts,
        decision: has(2).then(|| has(3)),
        payload: reader.when(has(0), |reader| reader.blob("payload of a saga"))?.map(Box::from),
        failure: reader.when(has(4), decode_failure)?,
    })
}

/// Appends what a shard prepared for another.
pub fn encode_part(part: &Part, out: &mut Vec<u8>) {
    encode_order(&part.order, out);
    put_day(out, part.day);
}

/// Reads what a shard prepared for another.
///
/// # Errors
/// When the bytes are not that.
pub fn decode_part(reader: &mut Reader<'_>) -> Result<Part, DecodeError> {
    Ok(Part { order: Arc::new(decode_order(reader)?), day: reader.day("day of a part")? })
}

/// Appends what moves of a shard's slots: which it owns, which are fenced, which it gave up, and where those are that
/// ever moved.
pub fn encode_slots(slots: &Slots, out: &mut Vec<u8>) {
    put_varint(out, slots.epoch);
    let owned: Vec<u16> = (0..SLOTS).filter(|slot| slots.contains(*slot)).collect();
    put_count(out, owned.len());
    owned.iter().for_each(|slot| put_varint(out, u64::from(*slot)));
    for places in [&slots.fenced, &slots.released, &slots.placed] {
        put_count(out, places.len());
        for (slot, shard) in places {
            put_varint(out, u64::from(*slot));
            put_varint(out, u64::from(shard.number()));
        }
    }
}

/// Reads a shard's slots; those that were dealt to it are known.
///
/// # Errors
/// When the bytes are not that.
pub fn decode_slots(reader: &mut Reader<'_>, dealt: SlotSet) -> Result<Slots, DecodeError> {
    let epoch = reader.varint("epoch of slots")?;
    let count = reader.count(1, "slots owned")?;
    let owned = (0..count).map(|_| reader.slot()).collect::<Read<Vec<u16>>>()?;
    let mut places = |name| -> Read<_> {
        let count = reader.count(SENT_BYTES, name)?;
        (0..count).map(|_| Ok((reader.slot()?, reader.shard_id()?))).collect()
    };
    let (fenced, released) = (places("slots fenced")?, places("slots given up")?);
    let placed = places("slots that moved")?;
    Ok(Slots { dealt, owned: SlotSet::of(|slot| owned.contains(&slot)), fenced, released, placed, epoch })
}

pub(super) fn encode_slots_changed(changed: &SlotsChanged, out: &mut Vec<u8>) {
    let (tag, other) = match changed.change {
        SlotChange::Fenced(to) => (0, Some(to)),
        SlotChange::Opened(owner) => (1, Some(owner)),
        SlotChange::Released(to) => (2, Some(to)),
        SlotChange::Acquired(from) => (3, Some(from)),
    };
    out.push(tag);
    if let Some(other) = other {
        put_varint(out, u64::from(other.number()));
    }
    put_count(out, changed.slots.len());
    changed.slots.iter().for_each(|slot| put_varint(out, u64::from(*slot)));
}

pub(super) fn decode_slots_changed(reader: &mut Reader<'_>) -> Read<SlotsChanged> {
    let at = reader.clone();
    let change = match reader.byte("change of slots")? {
        0 => SlotChange::Fenced(reader.shard_id()?),
        1 => SlotChange::Opened(reader.shard_id()?),
        2 => SlotChange::Released(reader.shard_id()?),
        3 => SlotChange::Acquired(reader.shard_id()?),
        tag => return Err(at.error("change of slots", Problem::UnknownTag(tag))),
    };
    let count = reader.count(1, "slots changed")?;
    Ok(SlotsChanged { change, slots: (0..count).map(|_| reader.slot()).collect::<Read<_>>()? })
}

/// Appends the positions of a shard: what came last from each other, and the number of the last message to each.
pub fn encode_positions(sagas: &Sagas, out: &mut Vec<u8>) {
    put_count(out, sagas.received.len());
    for (from, position) in &sagas.received {
        put_varint(out, u64::from(from.number()));
        put_varint(out, position.number);
        put_varint(out, position.sequence);
    }
    put_count(out, sagas.sent.len());
    for (to, number) in &sagas.sent {
        put_varint(out, u64::from(to.number()));
        put_varint(out, *number);
    }
}

/// Reads the positions of a shard into its rows.
///
/// # Errors
/// When the bytes are not that.
pub fn decode_positions(reader: &mut Reader<'_>, sagas: &mut Sagas) -> Result<(), DecodeError> {
    for _ in 0..reader.count(POSITION_BYTES, "shards heard of")? {
        let from = reader.shard_id()?;
        sagas.received.insert(from, decode_position(reader)?);
    }
    for _ in 0..reader.count(SENT_BYTES, "shards written to")? {
        let to = reader.shard_id()?;
        sagas.sent.insert(to, reader.varint("number of a message")?);
    }
    Ok(())
}

mod message {
    //! The first byte of a message.
    pub(super) const TAKE: u8 = 0;
    pub(super) const GRANTED: u8 = 1;
    pub(super) const REFUSED: u8 = 2;
    pub(super) const POST: u8 = 3;
    pub(super) const RELEASE: u8 = 4;
    pub(super) const DONE: u8 = 5;
    pub(super) const CANCEL: u8 = 6;
    pub(super) const MOVE_IN: u8 = 7;
}

/// Messages from one shard to another as bytes: what the bus carries. They are all of the same pair.
pub fn encode_parcel(from: ShardId, to: ShardId, envelopes: &[Envelope]) -> Vec<u8> {
    let mut out = vec![VERSION];
    put_varint(&mut out, u64::from(from.number()));
    put_varint(&mut out, u64::from(to.number()));
    put_count(&mut out, envelopes.len());
    for envelope in envelopes {
        put_varint(&mut out, envelope.position.number);
        put_varint(&mut out, envelope.position.sequence);
        encode_message(&envelope.message, &mut out);
    }
    out
}

/// Reads a parcel.
///
/// # Errors
/// When the bytes are not one, to the last one.
pub fn decode_parcel(bytes: &[u8]) -> Result<Vec<Envelope>, DecodeError> {
    let mut reader = Reader::new(bytes);
    let version = reader.byte("format version")?;
    if version != VERSION {
        return Err(DecodeError { offset: 0, what: "format version", problem: Problem::UnknownVersion(version) });
    }
    let (from, to) = (reader.shard_id()?, reader.shard_id()?);
    let count = reader.count(ENVELOPE_BYTES, "messages of a parcel")?;
    let mut envelopes = Vec::with_capacity(count.min(8192));
    for _ in 0..count {
        let position = decode_position(&mut reader)?;
        envelopes.push(Envelope { from, to, position, message: decode_message(&mut reader)? });
    }
    reader.finish("end of a parcel")?;
    Ok(envelopes)
}

fn encode_message(message: &Message, out: &mut Vec<u8>) {
    let mut about = |tag: u8, saga: &TransferId| {
        out.push(tag);
        put_varint(out, saga.number());
    };
    match message {
        Message::Take(order) => {
            out.push(message::TAKE);
            encode_order(order, out);
        }
        Message::Answer { saga, failure: None } => about(message::GRANTED, saga),
        Message::Answer { saga, failure: Some(failure) } => {
            about(message::REFUSED, saga);
            encode_failure(*failure, out);
        }
        Message::Finish { saga, post: true } => about(message::POST, saga),
        Message::Finish { saga, post: false } => about(message::RELEASE, saga),
        Message::Done(saga) => about(message::DONE, saga),
        Message::Cancel(saga) => about(message::CANCEL, saga),
        Message::MoveIn { transfer, moved } => {
            about(message::MOVE_IN, transfer);
            encode_moved(moved, out);
        }
    }
}

fn decode_message(reader: &mut Reader<'_>) -> Read<Message> {
    let at = reader.clone();
    Ok(match reader.byte("message")? {
        message::TAKE => Message::Take(Arc::new(decode_order(reader)?)),
        message::GRANTED => Message::Answer { saga: reader.transfer_id()?, failure: None },
        message::REFUSED => {
            let saga = reader.transfer_id()?;
            Message::Answer { saga, failure: Some(decode_failure(reader)?) }
        }
        message::POST => Message::Finish { saga: reader.transfer_id()?, post: true },
        message::RELEASE => Message::Finish { saga: reader.transfer_id()?, post: false },
        message::DONE => Message::Done(reader.transfer_id()?),
        message::CANCEL => Message::Cancel(reader.transfer_id()?),
        message::MOVE_IN => Message::MoveIn { transfer: reader.transfer_id()?, moved: Arc::new(decode_moved(reader)?) },
        tag => return Err(at.error("message", Problem::UnknownTag(tag))),
    })
}
