//! Decides the first step of a saga: what the home shard takes of its own accounts, and what it asks of the others. What
//! messages come to is in [`receive`].

use super::register::dead_letter_of;
use super::{Decided, capture_of, exchange_of, find, find_payee, insufficient, reversal_of};
use crate::command::{Between, Command};
use crate::customer::Sealed;
use crate::event::{Event, Header};
use crate::hold::Hold;
use crate::ids::{AccountId, QuoteId, SYSTEM_ID_START, ShardId, TransferId, slot};
use crate::rejection::Rejection;
use crate::saga::{Failure, Order, Ordered, Position, Route, SagaStep, StepKind};
use crate::time::Timestamp;
use crate::transfer::{Leg, LegAmount, Legs, Reversed, Transfer};
use crate::working_set::WorkingSet;
use books::{Books, counterparty};
pub(super) use books::{Running, add_postings, clearing};
use share::{check_accounts, check_amounts, shares};
use std::sync::Arc;

mod books;
mod receive;
mod share;

pub(super) use receive::{cancel, receive};
pub(crate) use share::shares_known;

/// What the checks of a saga come to: the failure also says which transfer of a batch it is about.
type Judged<T> = Result<T, Failure>;

fn whole(rejection: Rejection) -> Failure {
    Failure { index: 0, rejection }
}

/// The first step of a command whose accounts are on several shards.
pub(super) fn begin(set: &WorkingSet, header: &Header, between: &Between) -> Judged<Event> {
    let begun = |transfers: &[Transfer]| Begun { transfers: transfers.to_vec(), ..Begun::default() };
    let begun = match &between.command {
        Command::Transfer(transfer) => begun(std::slice::from_ref(transfer)),
        Command::Batch(transfers) => begun(transfers),
        Command::Reverse(reverse) => {
            let (transfer, reverses) = reversal_of(set, reverse).map_err(whole)?;
            Begun { transfers: vec![transfer], reverses: Some(reverses), ..Begun::default() }
        }
        Command::Exchange(exchange) => {
            let hold = exchange_of(set, header, exchange).map_err(whole)?;
            let quoted = Some((exchange.quote, exchange.expires_at));
            Begun { transfers: vec![exchange.transfer.clone()], hold, quoted, ..Begun::default() }
        }
        Command::CaptureHold(capture) => {
            let is_here = |id: &AccountId| !between.routes.iter().any(|route| route.account == *id);
            capture.to.filter(is_here).map(|to| find_payee(set, to)).transpose().map_err(whole)?;
            let (transfer, hold) = capture_of(set, header, capture).map_err(whole)?;
            Begun { transfers: vec![transfer], hold: Some(hold), ..Begun::default() }
        }
        Command::Ingest(ingest) => {
            let inner = Between { command: ingest.command.clone(), routes: between.routes.clone(), payload: None };
            return begin_queued(set, header, &inner, &ingest.payload);
        }
        _ => unreachable!("only what moves money is sent between shards"),
    };
    start(set, header, between, begun, between.payload.clone())
}

/// Nobody waits for the answer to a queued event: its rejection becomes a dead letter, now or when the saga fails.
fn begin_queued(set: &WorkingSet, header: &Header, between: &Between, payload: &Sealed) -> Judged<Event> {
    let Command::Transfer(transfer) = &between.command else { unreachable!("an event moves money in one transfer") };
    let begun = Begun { transfers: vec![transfer.clone()], ..Begun::default() };
    start(set, header, between, begun, Some(payload.clone())).or_else(|failure| {
        if failure.rejection.is_passing() {
            return Err(failure);
        }
        let (code, detail) = (failure.rejection.code(), failure.rejection.to_string());
        Ok(Event::DeadLetterChanged(Box::new(dead_letter_of(set, header, code, &detail, payload))))
    })
}

/// What a saga is made of.
#[derive(Default)]
struct Begun {
    transfers: Vec<Transfer>,
    reverses: Option<Reversed>,
    /// The hold after its capture.
    hold: Option<Hold>,
    /// The quote it rests on, and until when that is good.
    quoted: Option<(QuoteId, Timestamp)>,
}

fn start(set: &WorkingSet, header: &Header, between: &Between, begun: Begun, payload: Option<Sealed>) -> Judged<Event> {
    check_fences(set, between, &begun.transfers)?;
    let order = order_of(set, header, between, &begun)?;
    let shares = shares(set, &order)?;
    check_same(&begun.transfers)?;
    check_accounts(&order, &shares)?;
    begun.quoted.map_or(Ok(()), |quoted| super::check_quote(header, quoted)).map_err(whole)?;
    check_times(header, &begun.transfers)?;
    if let Some((hold, transfer)) = begun.hold.as_ref().and_then(|hold| set.hold(hold.id)).zip(begun.transfers.first())
    {
        super::check_remaining(hold, &transfer.legs).map_err(whole)?;
    }
    check_amounts(set, header, &order, &shares)?;
    let mut books = Books::new(set, &order);
    let other = counterparty(set, &order);
    shares.iter().filter(|share| share.net() < 0).for_each(|share| books.post(share, other));
    let transferred = books.all(header);
    let sent = order.parts().into_iter().map(|shard| (shard, set.sagas.sent_to(shard) + 1)).collect();
    let step = SagaStep {
        sent,
        transferred,
        hold: begun.hold,
        payload,
        order: Some(Arc::new(order.clone())),
        ..step(StepKind::Started, order.id(), None)
    };
    Ok(Event::Saga(Box::new(step)))
}

/// While a slot moves, no new saga names an account of it: so that none is on its way to a shard that the account leaves.
/// Once it has moved, none begins whose routes are older than the move.
fn check_fences(set: &WorkingSet, between: &Between, transfers: &[Transfer]) -> Judged<()> {
    if set.slots.fenced.is_empty() && set.slots.placed.is_empty() {
        return Ok(());
    }
    let is_customers = |id: &AccountId| id.number() < SYSTEM_ID_START;
    let is_fenced = |id: &AccountId| is_customers(id) && set.slots.fenced.contains_key(&slot(id.number()));
    let is_old = |route: &&Route| {
        let placed = set.slots.placed.get(&slot(route.account.number())).filter(|_| is_customers(&route.account));
        placed.is_some_and(|shard| *shard != route.shard)
    };
    if let Some(route) = between.routes.iter().find(is_old) {
        return Err(whole(Rejection::WrongShard(route.account.number())));
    }
    let legs = transfers.iter().flat_map(|transfer| transfer.legs.iter()).flat_map(|leg| [leg.from, leg.to]);
    let mut named = legs.chain(between.routes.iter().map(|route| route.account));
    match named.find(is_fenced) {
        Some(id) => Err(whole(Rejection::WrongShard(id.number()))),
        None => Ok(()),
    }
}

/// A step with nothing in it yet.
pub(super) fn step(kind: StepKind, saga: TransferId, received: Option<(ShardId, Position)>) -> SagaStep {
    SagaStep {
        kind,
        saga,
        received,
        sent: Box::new([]),
        order: None,
        transferred: Box::new([]),
        failure: None,
        hold: None,
        payload: None,
        dead_letter: None,
        moved: None,
    }
}

/// The order with its ids given out and every amount exact.
fn order_of(set: &WorkingSet, header: &Header, between: &Between, begun: &Begun) -> Judged<Order> {
    let mut ids = set.ids;
    let mut transfers = Vec::with_capacity(begun.transfers.len());
    for (index, transfer) in (0u32..).zip(&begun.transfers) {
        let legs = exact(set, header, transfer).map_err(|rejection| Failure { index, rejection })?;
        transfers.push(Ordered {
            id: TransferId::new(ids.next(header.time)).expect("generated ids are ids"),
            kind: transfer.kind,
            currency: transfer.currency,
            forced: transfer.forced,
            effective_at: transfer.effective_at,
            legs,
            note: transfer.note.clone(),
        });
    }
    let mut routes = between.routes.to_vec();
    routes.sort_by_key(|route| route.account);
    routes.dedup_by_key(|route| route.account);
    let hold = begun.hold.as_ref().map(|hold| hold.id);
    Ok(Order { transfers: transfers.into(), routes: routes.into(), reverses: begun.reverses, hold })
}

/// A transfer's legs with `max` resolved. Whoever submits sees to it that what is debited with it is here.
fn exact(set: &WorkingSet, header: &Header, transfer: &Transfer) -> Decided<Legs> {
    let exact_leg = |leg: &Leg| match leg.amount {
        LegAmount::Exactly(_) => Ok(*leg),
        LegAmount::Max => {
            let account = find(set, leg.from)?;
            let available = super::whatever_is_there(set.available(account, header.time));
            let amount = available.ok_or_else(|| insufficient(set, header, account))?;
            Ok(Leg { amount: LegAmount::Exactly(amount), ..*leg })
        }
    };
    match &transfer.legs {
        Legs::One([leg]) => Ok(Legs::One([exact_leg(leg)?])),
        Legs::Many(legs) => Ok(Legs::Many(legs.iter().map(exact_leg).collect::<Decided<_>>()?)),
    }
}

fn check_same(transfers: &[Transfer]) -> Judged<()> {
    for (index, transfer) in (0u32..).zip(transfers) {
        if let Some(leg) = transfer.legs.iter().find(|leg| leg.from == leg.to) {
            return Err(Failure { index, rejection: Rejection::SameAccount(leg.from) });
        }
    }
    Ok(())
}

fn check_times(header: &Header, transfers: &[Transfer]) -> Judged<()> {
    let is_future = |transfer: &Transfer| transfer.effective_at.is_some_and(|effective_at| header.time < effective_at);
    match (0u32..).zip(transfers).find(|(_, transfer)| is_future(transfer)) {
        Some((index, _)) => Err(Failure { index, rejection: Rejection::EffectiveAtInvalid }),
        None => Ok(()),
    }
}
