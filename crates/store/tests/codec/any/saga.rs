//! Steps, rows and messages of sagas with values from the whole of their ranges.

use super::{
    account_id, amount, currency, day, dead_letter, hold, id, note, number, rejection, sealed, time, transferred,
};
use ledger::event::{DeadLetterChange, DeadLetterChanged, Event};
use ledger::hold::Hold;
use ledger::ids::{HoldId, ShardId, TransferId};
use ledger::saga::{
    Envelope, Failure, Message, Order, Ordered, Part, PartState, Position, Route, Saga, SagaStep, Sagas, StepKind,
};
use ledger::transfer::{Leg, LegAmount, Legs, Reversed, TransferKind};
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use std::sync::Arc;

fn shard() -> impl Strategy<Value = ShardId> {
    (0..1024u16).prop_map(|number| ShardId::new(number).expect("a shard"))
}

fn transfer_id() -> impl Strategy<Value = TransferId> {
    id(TransferId::new)
}

fn position() -> impl Strategy<Value = Position> {
    (number(u64::MAX), number(u64::MAX)).prop_map(|(number, sequence)| Position { number, sequence })
}

fn leg() -> impl Strategy<Value = Leg> {
    (account_id(), account_id(), amount()).prop_map(|(from, to, amount)| Leg {
        from,
        to,
        amount: LegAmount::Exactly(amount),
    })
}

fn legs() -> impl Strategy<Value = Legs> {
    prop_oneof![leg().prop_map(|leg| Legs::One([leg])), vec(leg(), 0..4).prop_map(|legs| Legs::Many(legs.into())),]
}

fn ordered() -> impl Strategy<Value = Ordered> {
    let what = (transfer_id(), select(TransferKind::ALL.to_vec()), currency());
    (what, any::<bool>(), of(time()), legs(), of(note())).prop_map(
        |((id, kind, currency), forced, effective_at, legs, note)| Ordered {
            id,
            kind,
            currency,
            forced,
            effective_at,
            legs,
            note: note.map(Box::new),
        },
    )
}

/// Routes stand in the order of their accounts, each account once.
fn routes() -> impl Strategy<Value = Box<[Route]>> {
    let routes = btree_map(account_id(), shard(), 0..4);
    routes.prop_map(|routes| routes.into_iter().map(|(account, shard)| Route { account, shard }).collect())
}

fn order() -> impl Strategy<Value = Arc<Order>> {
    let reverses = (transfer_id(), day()).prop_map(|(transfer, day)| Reversed { transfer, day });
    (vec(ordered(), 1..4), routes(), of(reverses), of(id(HoldId::new))).prop_map(
        |(transfers, routes, reverses, hold)| Arc::new(Order { transfers: transfers.into(), routes, reverses, hold }),
    )
}

fn failure() -> impl Strategy<Value = Failure> {
    (any::<u32>(), rejection()).prop_map(|(index, rejection)| Failure { index, rejection })
}

fn letter_changed() -> impl Strategy<Value = Box<DeadLetterChanged>> {
    (dead_letter(), of(sealed())).prop_map(|(dead_letter, payload)| {
        Box::new(DeadLetterChanged { change: DeadLetterChange::Recorded, dead_letter, payload })
    })
}

fn captured() -> impl Strategy<Value = Option<Hold>> {
    of(hold())
}

pub(super) fn event() -> impl Strategy<Value = Event> {
    let what = (select(StepKind::ALL.to_vec()), transfer_id(), of((shard(), position())));
    let told = (vec((shard(), number(u64::MAX)), 0..4), vec(transferred(), 0..3), of(order()));
    let ended = (of(failure()), captured(), of(sealed()), of(letter_changed()));
    (what, told, ended).prop_map(
        |((kind, saga, received), (sent, transferred, order), (failure, hold, payload, dead_letter))| {
            Event::Saga(Box::new(SagaStep {
                moved: None,
                kind,
                saga,
                received,
                sent: sent.into(),
                order,
                transferred: transferred.into(),
                failure,
                hold,
                payload,
                dead_letter,
            }))
        },
    )
}

pub(crate) fn saga() -> impl Strategy<Value = Saga> {
    let states = select(vec![PartState::Asked, PartState::Granted, PartState::Done]);
    let began = (order(), of(sealed()), time(), day(), any::<bool>());
    (began, vec((shard(), states), 0..4), of(any::<bool>()), of(failure())).prop_map(
        |((order, payload, started_at, day, ended_hold), parts, decision, failure)| Saga {
            order,
            payload,
            started_at,
            day,
            ended_hold,
            parts: parts.into(),
            decision,
            failure,
        },
    )
}

pub(crate) fn part() -> impl Strategy<Value = Part> {
    (order(), day()).prop_map(|(order, day)| Part { order, day })
}

/// What came from and went to others.
pub(crate) fn positions() -> impl Strategy<Value = Sagas> {
    (btree_map(shard(), position(), 0..4), btree_map(shard(), number(u64::MAX), 0..4)).prop_map(|(received, sent)| {
        let mut sagas = Sagas::default();
        (sagas.received, sagas.sent) = (received, sent);
        sagas
    })
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        order().prop_map(Message::Take),
        (transfer_id(), of(failure())).prop_map(|(saga, failure)| Message::Answer { saga, failure }),
        (transfer_id(), any::<bool>()).prop_map(|(saga, post)| Message::Finish { saga, post }),
        transfer_id().prop_map(Message::Done),
        transfer_id().prop_map(Message::Cancel),
    ]
}

/// Messages of one pair of shards.
pub(crate) fn parcel() -> impl Strategy<Value = (ShardId, ShardId, Vec<Envelope>)> {
    (shard(), shard(), vec((position(), message()), 0..5)).prop_map(|(from, to, messages)| {
        let envelope = |(position, message)| Envelope { from, to, position, message };
        (from, to, messages.into_iter().map(envelope).collect())
    })
}
