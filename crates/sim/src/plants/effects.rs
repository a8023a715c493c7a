//! Planted bugs that do something else than what was asked.

use super::twist::Twist;
use crate::random::Dice;
use crate::scheduler::lock;
use ledger::command::{Command, Reverse};
use ledger::event::{Entry, Event, Key, Outcome};
use ledger::ids::TransferId;
use ledger::rejection::Rejection;
use ledger::transfer::{Leg, LegAmount, Legs, Reversed, Transfer, TransferKind, Transferred};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use store::{Answer, Reply, Request, Store, Submission};

/// See [`super::Plant::KeyForgotten`].
pub(super) struct KeyForgotten {
    pub(super) store: Arc<dyn Store>,
    pub(super) dice: Dice,
}

impl Twist for KeyForgotten {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn submit(&self, mut submission: Submission) -> Reply<'_, Vec<Answer>> {
        if self.dice.happens(1_500) {
            submission.requests.iter_mut().for_each(|request| request.key = None);
        }
        self.store.submit(submission)
    }
}

/// See [`super::Plant::RepeatedWithoutKey`].
pub(super) struct RepeatedWithoutKey {
    pub(super) store: Arc<dyn Store>,
}

impl Twist for RepeatedWithoutKey {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn submit(&self, submission: Submission) -> Reply<'_, Vec<Answer>> {
        Box::pin(async move {
            let mut again = submission.clone();
            again.requests.iter_mut().for_each(|request| request.key = None);
            match self.store.submit(submission).await {
                Err(_) => self.store.submit(again).await,
                answers => answers,
            }
        })
    }
}

/// See [`super::Plant::PartOfBatch`].
pub(super) struct PartOfBatch {
    pub(super) store: Arc<dyn Store>,
}

impl Twist for PartOfBatch {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn submit(&self, submission: Submission) -> Reply<'_, Vec<Answer>> {
        Box::pin(async move {
            let batches: Vec<Command> = submission.requests.iter().map(|request| request.command.clone()).collect();
            let context = submission.context.clone();
            let answers = self.store.submit(submission).await?;
            for (command, answer) in batches.into_iter().zip(&answers) {
                let (Command::Batch(transfers), Some(Outcome::Rejection { index, .. })) = (command, answer.outcome())
                else {
                    continue;
                };
                let before = usize::try_from(*index).unwrap_or(0);
                let requests: Vec<Request> = transfers
                    .iter()
                    .take(before)
                    .map(|transfer| Request { key: None, command: Command::Transfer(transfer.clone()) })
                    .collect();
                if !requests.is_empty() && matches!(answer, Answer::Recorded(_)) {
                    self.store.submit(Submission { context: context.clone(), requests, dry_run: false }).await?;
                }
            }
            Ok(answers)
        })
    }
}

/// See [`super::Plant::LegLost`].
pub(super) struct LegLost {
    pub(super) store: Arc<dyn Store>,
}

impl Twist for LegLost {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn submit(&self, mut submission: Submission) -> Reply<'_, Vec<Answer>> {
        for request in &mut submission.requests {
            if let Command::Transfer(Transfer { legs: Legs::Many(legs), .. }) = &mut request.command {
                *legs = legs[..legs.len() - 1].into();
            }
        }
        self.store.submit(submission)
    }
}

/// See [`super::Plant::ResultLost`].
pub(super) struct ResultLost {
    pub(super) store: Arc<dyn Store>,
}

impl Twist for ResultLost {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn submit(&self, mut submission: Submission) -> Reply<'_, Vec<Answer>> {
        for request in &mut submission.requests {
            if let Command::Exchange(exchange) = &mut request.command
                && let Legs::Many(legs) = &mut exchange.transfer.legs
                && 2 < legs.len()
            {
                *legs = legs[..2].into();
            }
        }
        self.store.submit(submission)
    }
}

/// See [`super::Plant::FundsUnchecked`].
pub(super) struct FundsUnchecked {
    pub(super) store: Arc<dyn Store>,
    pub(super) dice: Dice,
}

impl Twist for FundsUnchecked {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn submit(&self, mut submission: Submission) -> Reply<'_, Vec<Answer>> {
        for request in &mut submission.requests {
            if let Command::Transfer(transfer) = &mut request.command {
                transfer.forced |= self.dice.happens(3_000);
            }
        }
        self.store.submit(submission)
    }

    fn show(&self, entry: &mut Entry) {
        if let Outcome::Event(Event::Transferred(transferred)) = &mut entry.outcome {
            transferred.forced = false;
        }
    }
}

/// See [`super::Plant::ReversedTwice`].
pub(super) struct ReversedTwice {
    store: Arc<dyn Store>,
    /// What the second reversals undo.
    undone: Mutex<BTreeMap<TransferId, Reversed>>,
}

impl ReversedTwice {
    pub(super) fn new(store: Arc<dyn Store>) -> ReversedTwice {
        ReversedTwice { store, undone: Mutex::default() }
    }

    /// Makes a transfer of the opposite legs, which the claim on the original knows nothing of.
    async fn reverse_again(&self, context: &Submission, key: Option<Key>, reverse: &Reverse) -> Option<Answer> {
        let original = self.store.transfer(reverse.transfer).await.ok()??;
        let day = original.transfer.entry.header.day;
        let command = Command::Transfer(opposite(original.transfer.transferred()?, reverse));
        let key = key.map(|key| Key { digest: key.digest ^ 1, ..key });
        let again = Submission { requests: vec![Request { key, command }], ..context.clone() };
        let answer = self.store.submit(again).await.ok()?.pop()?;
        if let Some(Outcome::Event(Event::Transferred(reversal))) = answer.outcome() {
            lock(&self.undone).insert(reversal.id, Reversed { transfer: reverse.transfer, day });
        }
        Some(answer)
    }
}

fn opposite(original: &Transferred, reverse: &Reverse) -> Transfer {
    let leg = |pair: &[ledger::transfer::Posting]| match pair {
        [debit, credit] => {
            Some(Leg { from: credit.account, to: debit.account, amount: LegAmount::Exactly(debit.amount) })
        }
        _ => None,
    };
    Transfer {
        kind: TransferKind::Reversal,
        currency: original.currency,
        legs: Legs::Many(original.postings.chunks(2).filter_map(leg).collect()),
        forced: reverse.forced,
        effective_at: None,
        note: reverse.note.clone(),
    }
}

impl Twist for ReversedTwice {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn submit(&self, submission: Submission) -> Reply<'_, Vec<Answer>> {
        Box::pin(async move {
            let mut answers = self.store.submit(submission.clone()).await?;
            for (request, answer) in submission.requests.iter().zip(&mut answers) {
                let Command::Reverse(reverse) = &request.command else { continue };
                let is_second = matches!(
                    answer.outcome(),
                    Some(Outcome::Rejection { rejection: Rejection::AlreadyReversed { by: Some(_), .. }, .. })
                );
                if is_second && let Some(again) = self.reverse_again(&submission, request.key, reverse).await {
                    *answer = again;
                }
            }
            Ok(answers)
        })
    }

    fn show(&self, entry: &mut Entry) {
        if let Outcome::Event(Event::Transferred(transferred)) = &mut entry.outcome
            && let Some(reversed) = lock(&self.undone).get(&transferred.id)
        {
            transferred.reverses = Some(*reversed);
        }
    }
}
