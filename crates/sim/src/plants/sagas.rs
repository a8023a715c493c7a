//! Planted bugs in what goes between shards.

use super::twist::Twist;
use crate::random::Dice;
use crate::scheduler::lock;
use ledger::account::{SystemAccount, SystemKind};
use ledger::command::{Command, Receive};
use ledger::event::{Event, Outcome};
use ledger::ids::{AccountId, ShardId, TransferId};
use ledger::rejection::Rejection;
use ledger::saga::{Envelope, Failure, Message, Order, Ordered, Position, SagaStep, StepKind};
use ledger::transfer::{Leg, Legs, Transfer, TransferKind};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use store::query::Positions;
use store::{Answer, Reply, Request, Store, Submission};

/// A movement that no saga knows of, between an account and the shard at the other end.
pub(super) fn slipped(store: &dyn Store, ordered: &Ordered, other: ShardId, leg: &Leg, is_credit: bool) -> Request {
    let (shard, ordinal) = (store.shard(), other.number());
    let clearing = SystemAccount { shard, kind: SystemKind::Clearing, currency: ordered.currency, ordinal }.id();
    let (from, to) = if is_credit { (clearing, leg.to) } else { (clearing, leg.from) };
    let command = Command::Transfer(Transfer {
        // Only a reversal may name an account through which money goes between shards.
        kind: TransferKind::Reversal,
        currency: ordered.currency,
        legs: Legs::One([Leg { from, to, amount: leg.amount }]),
        forced: true,
        effective_at: None,
        note: ordered.note.clone(),
    });
    Request { key: None, command }
}

/// The legs of an order that one of its accounts on a shard has a part in.
pub(super) fn legs_on(order: &Order, account: impl Fn(&Leg) -> AccountId, shard: ShardId) -> Vec<(Ordered, Leg)> {
    let legs = order.transfers.iter().flat_map(|ordered| ordered.legs.iter().map(move |leg| (ordered.clone(), *leg)));
    legs.filter(|(_, leg)| order.shard_of(account(leg)) == shard).collect()
}

pub(super) fn envelope_of(request: &Request) -> Option<&Envelope> {
    match &request.command {
        Command::Receive(receive) => Some(&receive.envelope),
        _ => None,
    }
}

fn step_of(answer: &Answer) -> Option<&SagaStep> {
    match answer.outcome() {
        Some(Outcome::Event(Event::Saga(step))) => Some(step),
        _ => None,
    }
}

pub(super) async fn slip(store: &dyn Store, context: &Submission, requests: Vec<Request>) -> Result<(), store::Fault> {
    if !requests.is_empty() {
        store.submit(Submission { requests, dry_run: false, ..context.clone() }).await?;
    }
    Ok(())
}

/// See [`super::Plant::CreditedAgain`].
pub(super) struct CreditedAgain {
    pub(super) store: Arc<dyn Store>,
}

impl Twist for CreditedAgain {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn submit(&self, submission: Submission) -> Reply<'_, Vec<Answer>> {
        Box::pin(async move {
            let answers = self.store.submit(submission.clone()).await?;
            for (request, answer) in submission.requests.iter().zip(&answers) {
                let Some(Envelope { message: Message::Take(order), position, .. }) = envelope_of(request) else {
                    continue;
                };
                let is_redelivered = matches!(
                    answer.outcome(),
                    Some(Outcome::Rejection { rejection: Rejection::MessageOutOfOrder { expected }, .. })
                        if position.number < *expected
                );
                if is_redelivered {
                    let legs = legs_on(order, |leg| leg.to, self.store.shard());
                    let again =
                        legs.iter().map(|(ordered, leg)| slipped(&*self.store, ordered, order.home(), leg, true));
                    slip(&*self.store, &submission, again.collect()).await?;
                }
            }
            Ok(answers)
        })
    }
}

/// See [`super::Plant::RefundedTwice`].
pub(super) struct RefundedTwice {
    pub(super) store: Arc<dyn Store>,
    orders: Mutex<BTreeMap<TransferId, Arc<Order>>>,
}

impl RefundedTwice {
    pub(super) fn new(store: Arc<dyn Store>) -> RefundedTwice {
        RefundedTwice { store, orders: Mutex::default() }
    }
}

impl Twist for RefundedTwice {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn submit(&self, submission: Submission) -> Reply<'_, Vec<Answer>> {
        Box::pin(async move {
            let answers = self.store.submit(submission.clone()).await?;
            for step in answers.iter().filter_map(step_of) {
                if let Some(order) = &step.order {
                    lock(&self.orders).insert(step.saga, order.clone());
                }
                let order = lock(&self.orders).get(&step.saga).cloned();
                if let Some(order) = order.filter(|order| step.kind == StepKind::Failed && order.is_decided_by_part()) {
                    let requests = refund(&*self.store, &order);
                    slip(&*self.store, &submission, requests).await?;
                }
            }
            Ok(answers)
        })
    }
}

/// What the home shard gave for an order, once more.
fn refund(store: &dyn Store, order: &Order) -> Vec<Request> {
    let Some(other) = order.parts().into_iter().next() else { return Vec::new() };
    let legs = legs_on(order, |leg| leg.from, order.home());
    legs.iter().map(|(ordered, leg)| slipped(store, ordered, other, leg, false)).collect()
}

/// See [`super::Plant::RefundedAfterTimeout`].
pub(super) struct RefundedAfterTimeout {
    store: Arc<dyn Store>,
    refunded: Mutex<BTreeSet<TransferId>>,
}

/// How long the impatient coordinator waits.
const PATIENCE_US: u64 = 300_000;

impl RefundedAfterTimeout {
    pub(super) fn new(store: Arc<dyn Store>) -> RefundedAfterTimeout {
        RefundedAfterTimeout { store, refunded: Mutex::default() }
    }
}

impl Twist for RefundedAfterTimeout {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn submit(&self, submission: Submission) -> Reply<'_, Vec<Answer>> {
        Box::pin(async move {
            let answers = self.store.submit(submission.clone()).await?;
            let now = answers.iter().find_map(|answer| Some(answer.entry()?.header.time));
            let Some(now) = now else { return Ok(answers) };
            let query = store::query::SagaQuery { until: now, before: None, limit: 100 };
            for saga in self.store.open_sagas(query).await?.items {
                let is_late = saga.started_at.saturating_add(PATIENCE_US) < now && saga.order.is_decided_by_part();
                if is_late && lock(&self.refunded).insert(saga.order.id()) {
                    let requests = refund(&*self.store, &saga.order);
                    slip(&*self.store, &submission, requests).await?;
                }
            }
            Ok(answers)
        })
    }
}

/// A layer that changes messages before they are taken.
pub(super) struct Altered {
    pub(super) store: Arc<dyn Store>,
    pub(super) alter: fn(&mut Receive, &Positions),
}

impl Twist for Altered {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn submit(&self, mut submission: Submission) -> Reply<'_, Vec<Answer>> {
        Box::pin(async move {
            let positions = self.store.positions().await?;
            for request in &mut submission.requests {
                if let Command::Receive(receive) = &mut request.command {
                    (self.alter)(receive, &positions);
                }
            }
            self.store.submit(submission).await
        })
    }
}

/// See [`super::Plant::AbortPosted`].
pub(super) fn post_always(receive: &mut Receive, _positions: &Positions) {
    if let Message::Finish { post, .. } = &mut receive.envelope.message {
        *post = true;
    }
}

/// See [`super::Plant::RefusalForgotten`].
pub(super) fn forget_refusal(receive: &mut Receive, _positions: &Positions) {
    if let Message::Answer { failure, .. } = &mut receive.envelope.message {
        *failure = None;
    }
}

/// See [`super::Plant::RefundedWithoutRefusal`].
pub(super) fn refuse_sometimes(receive: &mut Receive, _positions: &Positions) {
    let is_chosen = receive.envelope.position.number.is_multiple_of(5);
    if let Message::Answer { failure, saga } = &mut receive.envelope.message
        && is_chosen
    {
        *failure = Some(Failure { index: 0, rejection: Rejection::Cancelled(*saga) });
    }
}

/// See [`super::Plant::GapTaken`].
pub(super) fn take_over_gaps(receive: &mut Receive, positions: &Positions) {
    let envelope = &mut receive.envelope;
    let taken = positions.received.get(&envelope.from).copied().unwrap_or_default();
    if taken.number + 1 < envelope.position.number {
        envelope.position.number = taken.number + 1;
    }
}

/// See [`super::Plant::PositionBeforeEffect`].
pub(super) struct PositionBeforeEffect {
    store: Arc<dyn Store>,
    dice: Dice,
    noted: Mutex<BTreeMap<ShardId, Position>>,
}

impl PositionBeforeEffect {
    pub(super) fn new(store: Arc<dyn Store>, dice: Dice) -> PositionBeforeEffect {
        PositionBeforeEffect { store, dice, noted: Mutex::default() }
    }
}

impl Twist for PositionBeforeEffect {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn submit(&self, submission: Submission) -> Reply<'_, Vec<Answer>> {
        let mut is_message = false;
        for envelope in submission.requests.iter().filter_map(envelope_of) {
            is_message = true;
            let mut noted = lock(&self.noted);
            let last = noted.entry(envelope.from).or_default();
            if last.number < envelope.position.number {
                *last = envelope.position;
            }
        }
        if is_message && self.dice.happens(500) {
            let fault = store::Fault::Unavailable { reason: "it stopped between position and effect".into() };
            return Box::pin(std::future::ready(Err(fault)));
        }
        self.store.submit(submission)
    }

    fn show_positions(&self, positions: &mut Positions) {
        for (from, noted) in lock(&self.noted).iter() {
            let known = positions.received.entry(*from).or_default();
            if known.number < noted.number {
                *known = *noted;
            }
        }
    }
}
