//! Planted bugs that answer something else than what is.

use super::twist::Twist;
use crate::random::Dice;
use ledger::amount::Amount;
use ledger::command::Command;
use ledger::event::{Entry, Event, Header, Outcome};
use ledger::ids::TransferId;
use ledger::rejection::Rejection;
use ledger::time::Timestamp;
use ledger::transfer::{LegAmount, Transferred};
use std::sync::Arc;
use store::query::EntryQuery;
use store::{Answer, EntryRef, Reply, Store, Submission};

/// What would happen, answered as if it had.
async fn pretend(store: &dyn Store, submission: Submission) -> Result<Vec<Answer>, store::Fault> {
    let context = submission.context.clone();
    let answers = store.submit(Submission { dry_run: true, ..submission }).await?;
    let recorded = |answer: Answer| match answer {
        Answer::Unrecorded(outcome) => {
            let time = Timestamp::from_microseconds(crate::ground::START_US).unwrap_or_default();
            let header =
                Header { sequence: store.head() + 1, time, day: time.day(), key: None, context: context.clone() };
            Answer::Recorded(EntryRef::single(Entry { header, outcome: *outcome }))
        }
        other => other,
    };
    Ok(answers.into_iter().map(recorded).collect())
}

/// See [`super::Plant::AcknowledgedOnly`].
pub(super) struct AcknowledgedOnly {
    pub(super) store: Arc<dyn Store>,
    pub(super) dice: Dice,
}

impl Twist for AcknowledgedOnly {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn submit(&self, submission: Submission) -> Reply<'_, Vec<Answer>> {
        let moves = submission.requests.iter().all(|request| matches!(request.command, Command::Transfer(_)));
        if moves && self.dice.happens(300) {
            return Box::pin(pretend(&*self.store, submission));
        }
        self.store.submit(submission)
    }
}

/// See [`super::Plant::FreezeForgotten`].
pub(super) struct FreezeForgotten {
    pub(super) store: Arc<dyn Store>,
}

impl Twist for FreezeForgotten {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn submit(&self, submission: Submission) -> Reply<'_, Vec<Answer>> {
        if submission.requests.iter().any(|request| matches!(request.command, Command::Freeze(_))) {
            return Box::pin(pretend(&*self.store, submission));
        }
        self.store.submit(submission)
    }
}

/// See [`super::Plant::FaultAsRejection`].
pub(super) struct FaultAsRejection {
    pub(super) store: Arc<dyn Store>,
}

fn no_funds(command: &Command) -> Option<Answer> {
    let Command::Transfer(transfer) = command else { return None };
    let leg = transfer.legs.first()?;
    let LegAmount::Exactly(amount) = leg.amount else { return None };
    let less = amount.checked_sub(Amount::new(1)?)?;
    let rejection =
        Rejection::InsufficientFunds { account: leg.from, available: less.signed(), currency: transfer.currency };
    Some(Answer::Unrecorded(Box::new(Outcome::Rejection { index: 0, rejection })))
}

impl Twist for FaultAsRejection {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn submit(&self, submission: Submission) -> Reply<'_, Vec<Answer>> {
        Box::pin(async move {
            let no: Option<Vec<Answer>> =
                submission.requests.iter().map(|request| no_funds(&request.command)).collect();
            match (self.store.submit(submission).await, no) {
                (Err(_), Some(no)) => Ok(no),
                (answers, _) => answers,
            }
        })
    }
}

/// See [`super::Plant::AnswerOfAnother`].
pub(super) struct AnswerOfAnother {
    pub(super) store: Arc<dyn Store>,
}

impl Twist for AnswerOfAnother {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn submit(&self, submission: Submission) -> Reply<'_, Vec<Answer>> {
        Box::pin(async move {
            let mut answers = self.store.submit(submission).await?;
            for answer in &mut answers {
                if let Answer::Replayed(entry) = answer {
                    // The entry of the last block in place of the one the key names.
                    let after = self.store.head().saturating_sub(1).min(entry.header.sequence);
                    let others = self.store.entries(EntryQuery { after, limit: 1 }).await?;
                    if let Some(other) = others.into_iter().next() {
                        *answer = Answer::Replayed(other);
                    }
                }
            }
            Ok(answers)
        })
    }
}

/// See [`super::Plant::TimeGoesBack`].
pub(super) struct TimeGoesBack {
    pub(super) store: Arc<dyn Store>,
}

impl Twist for TimeGoesBack {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn show(&self, entry: &mut Entry) {
        if entry.header.sequence.is_multiple_of(16) {
            let before = entry.header.time.microseconds() - 3_000_000;
            entry.header.time = Timestamp::from_microseconds(before).unwrap_or_default();
        }
    }
}

/// See [`super::Plant::IdGivenTwice`].
pub(super) struct IdGivenTwice {
    pub(super) store: Arc<dyn Store>,
}

/// The bits of an id that count milliseconds within about a second.
const SECOND_BITS: u64 = 0x3ff << 22;

fn by_the_second(transferred: &mut Transferred) {
    if let Some(id) = TransferId::new(transferred.id.number() & !SECOND_BITS) {
        transferred.id = id;
    }
}

impl Twist for IdGivenTwice {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn show(&self, entry: &mut Entry) {
        match &mut entry.outcome {
            Outcome::Event(Event::Transferred(transferred)) => by_the_second(transferred),
            Outcome::Event(Event::BatchTransferred(transfers)) => transfers.iter_mut().for_each(by_the_second),
            _ => {}
        }
    }
}
