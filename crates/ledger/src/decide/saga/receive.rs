//! What a message of another shard comes to: a part that is done, prepared or refused; an answer that decides; a decision
//! that is carried out.

use super::books::{Books, counterparty};
use super::share::{Share, check_accounts, check_amounts, shares, shares_known};
use super::{Judged, step, whole};
use crate::amount::Amount;
use crate::command::Receive;
use crate::decide::Decided;
use crate::decide::register::dead_letter_of;
use crate::decide::slots::move_in;
use crate::event::{Event, Header};
use crate::hold::{Hold, HoldStatus};
use crate::ids::{ShardId, TransferId};
use crate::rejection::Rejection;
use crate::saga::{Failure, Message, Order, Part, PartState, Position, Saga, SagaStep, StepKind};
use crate::transfer::Transferred;
use crate::working_set::WorkingSet;
use std::sync::Arc;

/// Takes a message, if it is the next one of its sender.
pub(in crate::decide) fn receive(set: &WorkingSet, header: &Header, receive: &Receive) -> Decided {
    let envelope = &receive.envelope;
    let expected = set.sagas.received_from(envelope.from).number + 1;
    if envelope.position.number != expected || envelope.to != set.shard {
        return Err(Rejection::MessageOutOfOrder { expected });
    }
    let received = Some((envelope.from, envelope.position));
    let step = match &envelope.message {
        Message::Take(order) => take(set, header, order, received, receive.refused),
        Message::Finish { saga, post } => finish(set, header, *saga, *post, received),
        Message::Answer { saga, failure } => match set.sagas.saga(*saga) {
            Some(row) => answer(set, header, row, *failure, received),
            None => step(StepKind::Ignored, *saga, received),
        },
        Message::Done(saga) => match set.sagas.saga(*saga) {
            Some(row) => part_done(set, header, row, envelope.from, received),
            None => step(StepKind::Ignored, *saga, received),
        },
        Message::MoveIn { transfer, moved } => move_in(set, *transfer, moved, received),
        // Messages come in order, so what is to be cancelled was answered before.
        Message::Cancel(saga) => step(StepKind::Ignored, *saga, received),
    };
    Ok(Event::Saga(Box::new(step)))
}

type Received = Option<(ShardId, Position)>;

fn reply(set: &WorkingSet, order_home: ShardId) -> Box<[(ShardId, u64)]> {
    Box::new([(order_home, set.sagas.sent_to(order_home) + 1)])
}

fn judged<'a>(set: &'a WorkingSet, header: &Header, order: &Order) -> Judged<Vec<Share<'a>>> {
    let shares = shares(set, order)?;
    check_accounts(order, &shares)?;
    check_amounts(set, header, order, &shares)?;
    Ok(shares)
}

/// Another shard's saga asks for a part.
fn take(
    set: &WorkingSet,
    header: &Header,
    order: &Arc<Order>,
    received: Received,
    refused: Option<Rejection>,
) -> SagaStep {
    let sent = reply(set, order.home());
    let judged = match refused {
        Some(rejection) => Err(whole(rejection)),
        None => judged(set, header, order),
    };
    let shares = match judged {
        Ok(shares) => shares,
        Err(failure) => {
            return SagaStep { sent, failure: Some(failure), ..step(StepKind::Refused, order.id(), received) };
        }
    };
    let is_final = order.is_decided_by_part();
    let mut books = Books::new(set, order);
    for share in shares.iter().filter(|share| is_final || share.net() < 0) {
        books.post(share, order.home());
    }
    let kind = if is_final { StepKind::Executed } else { StepKind::Prepared };
    let transferred = books.some(header);
    SagaStep { sent, transferred, order: (!is_final).then(|| order.clone()), ..step(kind, order.id(), received) }
}

/// What was prepared is posted or released.
fn finish(set: &WorkingSet, header: &Header, saga: TransferId, post: bool, received: Received) -> SagaStep {
    let home = ShardId::of_generated(saga.number());
    let sent = reply(set, home);
    let Some(Part { order, .. }) = set.sagas.part(saga) else {
        assert!(!post, "saga {saga} is to be posted and was not prepared here");
        return SagaStep { sent, ..step(StepKind::Released, saga, received) }; // it was refused before
    };
    let mut books = Books::new(set, order);
    for share in shares_known(set, order) {
        match (post, share.net() < 0) {
            (true, false) => books.post(&share, home),
            (false, true) => books.refund(&share, home),
            (true, true) | (false, false) => {}
        }
    }
    let kind = if post { StepKind::Posted } else { StepKind::Released };
    SagaStep { sent, transferred: books.some(header), ..step(kind, saga, received) }
}

/// A part's answer, at home.
fn answer(set: &WorkingSet, header: &Header, saga: &Saga, failure: Option<Failure>, received: Received) -> SagaStep {
    let id = saga.order.id();
    let from = received.map(|(from, _)| from);
    if saga.order.is_decided_by_part() {
        return match failure {
            None => complete(set, header, saga, received),
            Some(failure) => fail(set, header, saga, failure, received),
        };
    }
    if saga.decision.is_some() {
        return step(StepKind::Ignored, id, received);
    }
    match failure {
        Some(failure) => abort(set, header, saga, failure, from, received),
        None => {
            let others_granted =
                saga.parts.iter().all(|(shard, state)| Some(*shard) == from || *state == PartState::Granted);
            if others_granted { post_all(set, header, saga, received) } else { step(StepKind::Granted, id, received) }
        }
    }
}

/// All said yes: the commit point of a saga over several shards.
fn post_all(set: &WorkingSet, header: &Header, saga: &Saga, received: Received) -> SagaStep {
    let order = &saga.order;
    let mut books = Books::new(set, order);
    books.settle_parts();
    let late = shares_known(set, order).into_iter().filter(|share| 0 <= share.net());
    late.for_each(|share| books.post(&share, set.shard));
    let sent = saga.parts.iter().map(|(shard, _)| (*shard, set.sagas.sent_to(*shard) + 1)).collect();
    SagaStep { sent, transferred: books.some(header), ..step(StepKind::Posting, order.id(), received) }
}

/// One refused: what the home took is refunded at once, and the others are told to release what they prepared.
fn abort(
    set: &WorkingSet,
    header: &Header,
    saga: &Saga,
    failure: Failure,
    refuser: Option<ShardId>,
    received: Received,
) -> SagaStep {
    let others = saga.parts.iter().filter(|(shard, _)| Some(*shard) != refuser);
    let sent = others.map(|(shard, _)| (*shard, set.sagas.sent_to(*shard) + 1)).collect();
    let (transferred, hold) = refunded(set, header, saga);
    SagaStep { sent, transferred, hold, failure: Some(failure), ..step(StepKind::Aborting, saga.order.id(), received) }
}

fn refunded(set: &WorkingSet, header: &Header, saga: &Saga) -> (Box<[Transferred]>, Option<Hold>) {
    let order = &saga.order;
    let mut books = Books::new(set, order);
    let other = counterparty(set, order);
    let early = shares_known(set, order).into_iter().filter(|share| share.net() < 0);
    early.for_each(|share| books.refund(&share, other));
    (books.as_of(saga.started_at), reopened_hold(set, header, saga))
}

/// The hold of a capture that came to nothing: as before, unless its time is over or somebody ended it meanwhile. What its
/// last capture released may be spent by now: then it reserves less, for it must not take more than there is.
fn reopened_hold(set: &WorkingSet, header: &Header, saga: &Saga) -> Option<Hold> {
    let hold = set.hold(saga.order.hold?)?;
    let amount = saga.order.transfers.first().and_then(|ordered| Amount::new(u64::try_from(ordered.amount()).ok()?))?;
    let captured = hold.captured.checked_sub(amount).expect("what was captured is still counted as such");
    let is_over = hold.expires_at.is_some_and(|expires_at| expires_at <= header.time);
    let status = match (saga.ended_hold, is_over) {
        (true, false) => HoldStatus::Held,
        (true, true) => HoldStatus::Expired,
        (false, _) => hold.status,
    };
    let free = set.account(hold.from).map_or(0, |account| set.available(account, header.time));
    let free = u64::try_from(free.clamp(0, Amount::MAX.signed())).ok().and_then(Amount::new);
    let most = free.and_then(|free| free.checked_add(amount)).and_then(|most| most.checked_add(captured));
    let reserved = most.filter(|most| status == HoldStatus::Held && saga.ended_hold && *most < hold.amount);
    Some(Hold { amount: reserved.unwrap_or(hold.amount), captured, status, ..hold.clone() })
}

/// The only other shard did its part: the home's accounts that gain get theirs.
fn complete(set: &WorkingSet, header: &Header, saga: &Saga, received: Received) -> SagaStep {
    let order = &saga.order;
    let mut books = Books::new(set, order);
    let other = counterparty(set, order);
    let late = shares_known(set, order).into_iter().filter(|share| 0 <= share.net());
    late.for_each(|share| books.post(&share, other));
    SagaStep { transferred: books.some(header), ..step(StepKind::Completed, order.id(), received) }
}

/// The only other shard refused: everything is as it was.
fn fail(set: &WorkingSet, header: &Header, saga: &Saga, failure: Failure, received: Received) -> SagaStep {
    let (transferred, hold) = refunded(set, header, saga);
    SagaStep { transferred, hold, ..failed(set, header, saga, failure, received) }
}

fn failed(set: &WorkingSet, header: &Header, saga: &Saga, failure: Failure, received: Received) -> SagaStep {
    let (code, detail) = (failure.rejection.code(), failure.rejection.to_string());
    let dead_letter =
        saga.payload.as_ref().map(|payload| Box::new(dead_letter_of(set, header, code, &detail, payload)));
    SagaStep { failure: Some(failure), dead_letter, ..step(StepKind::Failed, saga.order.id(), received) }
}

/// A shard did what was decided; the last one ends the saga.
fn part_done(set: &WorkingSet, header: &Header, saga: &Saga, from: ShardId, received: Received) -> SagaStep {
    let id = saga.order.id();
    let others_done = saga.parts.iter().all(|(shard, state)| *shard == from || *state == PartState::Done);
    match (others_done, saga.failure) {
        (false, _) => step(StepKind::PartDone, id, received),
        (true, None) => step(StepKind::Completed, id, received),
        (true, Some(failure)) => failed(set, header, saga, failure, received),
    }
}

/// An operator wants the money back. With several parts the home decides so at once, as long as nothing is decided;
/// with one only that shard can say no.
pub(in crate::decide) fn cancel(set: &WorkingSet, header: &Header, id: TransferId) -> Decided {
    let saga = set.sagas.saga(id).ok_or(Rejection::TransferNotFound(id))?;
    if !saga.order.is_decided_by_part() && saga.decision.is_none() {
        let failure = whole(Rejection::Cancelled(id));
        return Ok(Event::Saga(Box::new(abort(set, header, saga, failure, None, None))));
    }
    let asked = saga.parts.iter().filter(|(_, state)| *state == PartState::Asked);
    let sent = asked.map(|(shard, _)| (*shard, set.sagas.sent_to(*shard) + 1)).collect();
    Ok(Event::Saga(Box::new(SagaStep { sent, ..step(StepKind::Cancelling, id, None) })))
}
