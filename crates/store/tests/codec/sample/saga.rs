//! Every step of a saga, every row about other shards and every message, made the same way every time.

use super::{FIRST_ID, START_US, account, amount, currency, dead_letters, hold_id, holds, plain, time, transfer_id};
use ledger::event::{Channel, Context, DeadLetterChange, DeadLetterChanged, Entry, Event, Header, Outcome};
use ledger::ids::ShardId;
use ledger::rejection::Rejection;
use ledger::saga::{
    Envelope, Failure, Message, Order, Ordered, Part, PartState, Position, Route, Saga, SagaStep, Sagas, StepKind,
};
use ledger::time::{Day, Timestamp};
use ledger::transfer::{Leg, LegAmount, Legs, Note, Reversed, TransferKind, Transferred};
use std::sync::Arc;

pub(crate) fn shard(number: u16) -> ShardId {
    ShardId::new(number).expect("a shard")
}

fn leg(from: u64, to: u64, minor_units: u64) -> Leg {
    Leg { from: account(from), to: account(to), amount: LegAmount::Exactly(amount(minor_units)) }
}

fn ordered(id: u64, kind: TransferKind, legs: Legs) -> Ordered {
    Ordered {
        id: transfer_id(id),
        kind,
        currency: currency("EUR"),
        forced: false,
        effective_at: None,
        legs,
        note: None,
    }
}

fn orders() -> Vec<Arc<Order>> {
    let route = |number, on| Route { account: account(number), shard: shard(on) };
    let plain = Order {
        transfers: Box::new([ordered(FIRST_ID, TransferKind::Transfer, Legs::One([leg(1, 2, 12_345)]))]),
        routes: Box::new([route(2, 3)]),
        reverses: None,
        hold: None,
    };
    let note = Note { reference: Some("rent 11/2026".into()), metadata: Box::new([("order".into(), "17".into())]) };
    let several = Order {
        transfers: Box::new([
            Ordered {
                forced: true,
                effective_at: Some(time(7)),
                note: Some(Box::new(note)),
                ..ordered(
                    FIRST_ID + 1,
                    TransferKind::Withdrawal,
                    Legs::Many(Box::new([leg(1, 2, 1), leg(2, 3, 999_999_999_999_999_999)])),
                )
            },
            ordered(FIRST_ID + 2, TransferKind::Deposit, Legs::One([leg(3, 1, 5)])),
        ]),
        routes: Box::new([route(2, 3), route(3, 1023)]),
        reverses: None,
        hold: None,
    };
    let reversal = Order {
        transfers: Box::new([ordered(FIRST_ID + 3, TransferKind::Reversal, Legs::One([leg(2, 1, 12_345)]))]),
        reverses: Some(Reversed { transfer: transfer_id(FIRST_ID), day: Day::new(-1) }),
        ..plain.clone()
    };
    let capture = Order {
        transfers: Box::new([ordered(FIRST_ID + 4, TransferKind::Capture, Legs::One([leg(1, 2, 70)]))]),
        hold: Some(hold_id(FIRST_ID + 9000)),
        ..plain.clone()
    };
    [plain, several, reversal, capture].into_iter().map(Arc::new).collect()
}

fn failures() -> [Failure; 4] {
    let about = transfer_id(FIRST_ID);
    [
        Failure { index: 0, rejection: Rejection::AccountFrozen(account(2)) },
        Failure { index: 8191, rejection: Rejection::TransferNotSucceeded(about) },
        Failure { index: 0, rejection: Rejection::Cancelled(about) },
        Failure { index: 0, rejection: Rejection::MessageOutOfOrder { expected: u64::MAX } },
    ]
}

fn step(kind: StepKind, saga: u64) -> SagaStep {
    SagaStep {
        moved: None,
        kind,
        saga: transfer_id(saga),
        received: None,
        sent: Box::new([]),
        order: None,
        transferred: Box::new([]),
        failure: None,
        hold: None,
        payload: None,
        dead_letter: None,
    }
}

/// Each kind of step, plain; then those that carry what only some carry.
fn steps() -> Vec<SagaStep> {
    let mut all: Vec<SagaStep> = StepKind::ALL.into_iter().map(|kind| step(kind, FIRST_ID)).collect();
    let moved = |id| -> Box<[Transferred]> { Box::new([plain(id, time(0))]) };
    all.extend(orders().into_iter().map(|order| SagaStep {
        sent: Box::new([(shard(3), 1), (shard(1023), u64::MAX)]),
        transferred: moved(order.id().number()),
        order: Some(order),
        ..step(StepKind::Started, FIRST_ID)
    }));
    let letter = dead_letters().remove(0);
    let changed = DeadLetterChanged {
        change: DeadLetterChange::Recorded,
        dead_letter: letter,
        payload: Some(Box::from([0, 1, 0xff])),
    };
    all.extend(failures().into_iter().map(|failure| SagaStep {
        received: Some((shard(3), Position { number: 300, sequence: 7 })),
        transferred: moved(FIRST_ID + 5),
        failure: Some(failure),
        hold: holds().pop(),
        dead_letter: Some(Box::new(changed.clone())),
        ..step(StepKind::Failed, FIRST_ID)
    }));
    all.push(SagaStep { payload: Some(Box::from([9; 40])), ..step(StepKind::Started, FIRST_ID) });
    all
}

/// Every step as an entry of one journal.
pub(crate) fn entries() -> Vec<Entry> {
    let context =
        Arc::new(Context { principal: "florin".into(), channel: Channel::Saga, correlation: "".into(), cause: None });
    let header = |sequence| Header {
        sequence,
        time: Timestamp::from_microseconds(START_US).expect("a time"),
        day: Day::new(20_778),
        key: None,
        context: context.clone(),
    };
    (1..)
        .zip(steps())
        .map(|(sequence, step)| Entry {
            header: header(sequence),
            outcome: Outcome::Event(Event::Saga(Box::new(step))),
        })
        .collect()
}

pub(crate) fn sagas() -> Vec<Saga> {
    let plain = |order| Saga {
        order,
        payload: None,
        started_at: time(3),
        day: Day::new(20_778),
        ended_hold: false,
        parts: Box::new([(shard(3), PartState::Asked)]),
        decision: None,
        failure: None,
    };
    let mut all: Vec<Saga> = orders().into_iter().map(plain).collect();
    all.push(Saga {
        payload: Some(Box::from([1, 2, 3])),
        ended_hold: true,
        parts: Box::new([(shard(3), PartState::Granted), (shard(1023), PartState::Done)]),
        decision: Some(true),
        ..plain(orders().remove(1))
    });
    all.push(Saga { decision: Some(false), failure: Some(failures()[0]), ..plain(orders().remove(1)) });
    all
}

pub(crate) fn parts() -> Vec<Part> {
    orders().into_iter().map(|order| Part { order, day: Day::new(i32::MIN) }).collect()
}

pub(crate) fn positions() -> Sagas {
    let received = [(shard(3), Position { number: 300, sequence: 7 }), (shard(4), Position::default())];
    let sent = [(shard(0), 0), (shard(3), 128)];
    let mut sagas = Sagas::default();
    (sagas.received, sagas.sent) = (received.into(), sent.into());
    sagas
}

/// Every message, as one parcel.
pub(crate) fn envelopes() -> Vec<Envelope> {
    let saga = transfer_id(FIRST_ID);
    let mut all: Vec<Message> = orders().into_iter().map(Message::Take).collect();
    all.push(Message::Answer { saga, failure: None });
    all.extend(failures().map(|failure| Message::Answer { saga, failure: Some(failure) }));
    all.extend([true, false].map(|post| Message::Finish { saga, post }));
    all.extend([Message::Done(saga), Message::Cancel(saga)]);
    (1..)
        .zip(all)
        .map(|(number, message)| Envelope {
            from: shard(2),
            to: shard(1023),
            position: Position { number, sequence: number * 1000 },
            message,
        })
        .collect()
}
