//! Planted bugs about accounts that move to another shard, and about shards that decide what is another's to decide.

use super::sagas::{envelope_of, legs_on, slip, slipped};
use super::twist::Twist;
use crate::scheduler::lock;
use ledger::account::{Account, SystemAccount, SystemKind};
use ledger::command::{Between, Command, Receive, Reverse};
use ledger::event::{Entry, Event, Outcome};
use ledger::ids::{ShardId, TransferId};
use ledger::rejection::Rejection;
use ledger::saga::{Envelope, Message, Moved, Ordered, Position, Route};
use ledger::time::Timestamp;
use ledger::transfer::{Leg, LegAmount, Legs, Reversed, Transfer, TransferKind};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use store::query::Positions;
use store::{Answer, Reply, Request, Store, Submission};

/// The stores of all shards, for bugs that reach from one into another. Clones are the same stores.
#[derive(Clone, Default)]
pub struct Siblings {
    stores: Arc<Mutex<BTreeMap<ShardId, Arc<dyn Store>>>>,
    /// What was undone by reversals that the home of the original knows nothing of.
    undone: Arc<Mutex<BTreeMap<TransferId, Reversed>>>,
}

impl Siblings {
    /// Adds the store of a shard.
    pub fn add(&self, store: Arc<dyn Store>) {
        lock(&self.stores).insert(store.shard(), store);
    }

    fn store(&self, shard: ShardId) -> Option<Arc<dyn Store>> {
        lock(&self.stores).get(&shard).cloned()
    }
}

/// Whether a message was not taken because it had been taken before.
fn is_redelivered(answer: &Answer, position: &Position) -> bool {
    matches!(
        answer.outcome(),
        Some(Outcome::Rejection { rejection: Rejection::MessageOutOfOrder { expected }, .. })
            if position.number < *expected
    )
}

/// See [`super::Plant::KeyForgottenByMove`].
pub(super) struct KeyForgottenByMove {
    pub(super) store: Arc<dyn Store>,
}

impl Twist for KeyForgottenByMove {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn knows_key(&self, _entry: &Entry) -> bool {
        false
    }
}

/// See [`super::Plant::LeftBehindShown`].
pub(super) struct LeftBehindShown {
    pub(super) store: Arc<dyn Store>,
}

impl Twist for LeftBehindShown {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn show_account(&self, account: Option<Account>) -> Option<Account> {
        account.map(|account| Account { moved_to: None, ..account })
    }
}

/// See [`super::Plant::HoldsLeftBehind`].
pub(super) fn leave_holds_behind(receive: &mut Receive, _positions: &Positions) {
    if let Message::MoveIn { moved, .. } = &mut receive.envelope.message {
        let account = Account { held: 0, holds_active: 0, next_expiry: Timestamp::MAX, ..moved.account.clone() };
        *moved = Arc::new(Moved { account, balance: moved.balance, holds: Box::new([]) });
    }
}

/// See [`super::Plant::ArrivedTwice`].
pub(super) struct ArrivedTwice {
    pub(super) store: Arc<dyn Store>,
}

impl ArrivedTwice {
    /// What came with an account, once more.
    fn again(&self, from: ShardId, moved: &Moved) -> Option<Request> {
        let currency = moved.account.currency;
        let (shard, ordinal) = (self.store.shard(), from.number());
        let clearing = SystemAccount { shard, kind: SystemKind::Clearing, currency, ordinal }.id();
        let amount = ledger::amount::Amount::new(u64::try_from(moved.balance).ok()?)?;
        let leg = Leg { from: clearing, to: moved.account.id, amount: LegAmount::Exactly(amount) };
        let transfer = Transfer {
            kind: TransferKind::Reversal,
            currency,
            legs: Legs::One([leg]),
            forced: true,
            effective_at: None,
            note: None,
        };
        Some(Request { key: None, command: Command::Transfer(transfer) })
    }
}

impl Twist for ArrivedTwice {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn submit(&self, submission: Submission) -> Reply<'_, Vec<Answer>> {
        Box::pin(async move {
            let answers = self.store.submit(submission.clone()).await?;
            for (request, answer) in submission.requests.iter().zip(&answers) {
                let Some(Envelope { message: Message::MoveIn { moved, .. }, position, from, .. }) =
                    envelope_of(request)
                else {
                    continue;
                };
                if is_redelivered(answer, position) {
                    slip(&*self.store, &submission, self.again(*from, moved).into_iter().collect()).await?;
                }
            }
            Ok(answers)
        })
    }
}

/// See [`super::Plant::RedeliveredAfterMove`].
pub(super) struct RedeliveredAfterMove {
    pub(super) store: Arc<dyn Store>,
    pub(super) siblings: Siblings,
}

impl RedeliveredAfterMove {
    /// Credits an account that left where it went to.
    async fn credit(&self, context: &Submission, ordered: &Ordered, home: ShardId, leg: &Leg) -> Option<()> {
        let row = self.store.account(leg.to, Timestamp::default()).await.ok()??;
        let new_home = self.siblings.store(row.moved_to?).filter(|store| store.shard() != home)?;
        let request = slipped(&*new_home, ordered, home, leg, true);
        slip(&*new_home, context, vec![request]).await.ok()
    }
}

impl Twist for RedeliveredAfterMove {
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
                if is_redelivered(answer, position) {
                    for (ordered, leg) in legs_on(order, |leg| leg.to, self.store.shard()) {
                        self.credit(&submission, &ordered, order.home(), &leg).await;
                    }
                }
            }
            Ok(answers)
        })
    }
}

/// See [`super::Plant::ReversedFromTwoShards`].
pub(super) struct ReversedFromTwoShards {
    pub(super) store: Arc<dyn Store>,
    pub(super) siblings: Siblings,
}

impl ReversedFromTwoShards {
    /// Has the shard of whoever got the money give it back, though the home of the transfer said no.
    async fn reverse_there(&self, context: &Submission, request: &Request, reverse: &Reverse) -> Option<Answer> {
        let original = self.store.transfer(reverse.transfer).await.ok()??;
        let day = original.transfer.entry.header.day;
        let (order, ordered) = original.ordered()?;
        let leg = *ordered.legs.first().filter(|_| ordered.legs.len() == 1)?;
        let there = self.siblings.store(order.shard_of(leg.to)).filter(|store| store.shard() != order.home())?;
        let transfer = Transfer {
            kind: TransferKind::Reversal,
            currency: ordered.currency,
            legs: Legs::One([Leg { from: leg.to, to: leg.from, amount: leg.amount }]),
            forced: true,
            effective_at: None,
            note: reverse.note.clone(),
        };
        let routes: Box<[Route]> = Box::new([Route { account: leg.from, shard: order.shard_of(leg.from) }]);
        let command =
            Command::Between(Box::new(Between { command: Command::Transfer(transfer), routes, payload: None }));
        let requests = vec![Request { key: request.key, command }];
        let answer = there.submit(Submission { requests, dry_run: false, ..context.clone() }).await.ok()?.pop()?;
        let Some(Outcome::Event(Event::Saga(step))) = answer.outcome() else { return None };
        lock(&self.siblings.undone).insert(step.saga, Reversed { transfer: reverse.transfer, day });
        Some(answer)
    }
}

impl Twist for ReversedFromTwoShards {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn submit(&self, submission: Submission) -> Reply<'_, Vec<Answer>> {
        Box::pin(async move {
            let mut answers = self.store.submit(submission.clone()).await?;
            for (request, answer) in submission.requests.iter().zip(&mut answers) {
                let Some(reverse) = reversal_in(&request.command) else { continue };
                let is_second = matches!(
                    answer.outcome(),
                    Some(Outcome::Rejection { rejection: Rejection::AlreadyReversed { by: Some(_), .. }, .. })
                );
                if is_second && let Some(again) = self.reverse_there(&submission, request, reverse).await {
                    *answer = again;
                }
            }
            Ok(answers)
        })
    }

    fn show(&self, entry: &mut Entry) {
        let Outcome::Event(Event::Saga(step)) = &mut entry.outcome else { return };
        let Some(reversed) = lock(&self.siblings.undone).get(&step.saga).copied() else { return };
        step.transferred.iter_mut().for_each(|transferred| transferred.reverses = Some(reversed));
        if let Some(order) = &mut step.order {
            Arc::make_mut(order).reverses = Some(reversed);
        }
    }
}

fn reversal_in(command: &Command) -> Option<&Reverse> {
    match command {
        Command::Reverse(reverse) => Some(reverse),
        Command::Between(between) => reversal_in(&between.command),
        _ => None,
    }
}
