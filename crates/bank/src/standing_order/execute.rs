//! Makes the transfers that are due.

use super::kept::{due_key, replaced, told};
use super::{Next, Occurrence, Order, Outcome, Payee, StandingOrders, Status};
use crate::Caller;
use crate::error::BankError;
use crate::submit::ClientKey;
use crate::transfer;
use futures_util::stream::{self, StreamExt};
use ledger::command::Command;
use ledger::event;
use ledger::ids::TransferId;
use ledger::rejection::Rejection;
use ledger::time::Day;
use ledger::transfer::{LegAmount, Note, TransferKind};
use std::collections::BTreeSet;
use store::{Answer, Fault, transfers_of};

/// Orders looked at in a page.
const PAGE: usize = 500;
/// Orders worked on at a time: their transfers become durable together.
const AT_ONCE: usize = 64;

/// What was done with orders that were due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Executed {
    /// Transfers made.
    pub done: u64,
    /// Refused for now, to be tried again.
    pub retried: u64,
    /// Refused for good.
    pub refused: u64,
}

/// What was done so far, and which orders could not be tried.
#[derive(Default)]
struct Round {
    executed: Executed,
    failed: BTreeSet<String>,
    /// The first of their faults.
    fault: Option<Fault>,
}

impl Round {
    fn note(&mut self, id: String, outcome: Result<Option<Outcome>, Fault>) {
        match outcome {
            Ok(Some(Outcome::Done)) => self.executed.done += 1,
            Ok(Some(Outcome::Retry(..))) => self.executed.retried += 1,
            Ok(Some(Outcome::Refused(_))) => self.executed.refused += 1,
            Ok(None) => {}
            Err(fault) => {
                self.failed.insert(id);
                self.fault.get_or_insert(fault);
            }
        }
    }
}

impl StandingOrders {
    /// Makes what is due up to this day, the earliest day first. An order that cannot be tried holds up no other: it stays
    /// due.
    ///
    /// # Errors
    /// The first fault, after everything else was done; what was done stays, and is not done again.
    pub async fn execute(&self, until: Day) -> Result<Executed, Fault> {
        let mut round = Round::default();
        // What was tried may be due again before what was tried last, by a rhythm that is quicker than its retries: so it is
        // begun again until there is nothing more.
        while self.execute_round(until, &mut round).await? {}
        round.fault.map_or(Ok(round.executed), Err)
    }

    /// Goes once through what is due; whether anything was tried.
    async fn execute_round(&self, until: Day, round: &mut Round) -> Result<bool, Fault> {
        let (mut after, mut has_tried): (Option<String>, bool) = (None, false);
        loop {
            let page = self.records.list("order-due/", after.as_deref(), PAGE).await?;
            let due = page.iter().filter_map(|(key, _)| {
                let (on, id) = key.strip_prefix("order-due/")?.split_once('/')?;
                Some((on.parse::<Day>().ok()?, id.to_owned()))
            });
            // Those of one day together: a day's transfers come before the next one's.
            let due: Vec<(Day, String)> = due.filter(|(on, _)| *on <= until).collect();
            let Some(first) = due.first().map(|(on, _)| *on) else { return Ok(has_tried) };
            let today: Vec<String> = due.into_iter().filter(|(on, _)| *on == first).map(|(_, id)| id).collect();
            after = today.last().map(|id| due_key(first, id));
            let tries = today.into_iter().filter(|id| !round.failed.contains(id)).map(|id| async move {
                let outcome = self.execute_one(first, &id).await;
                (id, outcome)
            });
            let tries: Vec<_> = tries.collect();
            let mut tries = stream::iter(tries).buffered(AT_ONCE);
            while let Some((id, outcome)) = tries.next().await {
                has_tried |= outcome.is_ok();
                round.note(id, outcome);
            }
        }
    }

    /// Tries the occurrence that an order has on this day; `None` if it has none there any more.
    async fn execute_one(&self, on: Day, id: &str) -> Result<Option<Outcome>, Fault> {
        let found = self.order_with_value(id).await?;
        let next = found.as_ref().and_then(|(order, _)| order.next).filter(|next| next.on == on);
        let (Some((order, value)), Some(next)) = (found, next) else {
            // The note of a day is left over where somebody else was faster; it leads nowhere.
            let stale = crate::ports::RecordChange::remove(due_key(on, id));
            self.records.change(vec![stale]).await?;
            return Ok(None);
        };
        let (outcome, transfer) = self.attempt(&order, next).await?;
        let outcome = match outcome {
            None => Outcome::Done,
            Some(rejection) if may_change(&rejection) && next.attempt <= order.terms.retries => {
                // After days off too there are days between the tries: the money needs them to come.
                let tried_on = on.max(self.calendar.calendar.day(self.bank.now()));
                let again = Day::new(tried_on.number() + i32::from(order.terms.retry_days));
                Outcome::Retry(
                    rejection.code().into(),
                    self.calendar.holidays.moved(again, crate::holidays::HolidayRule::After),
                )
            }
            Some(rejection) => Outcome::Refused(rejection.code().into()),
        };
        // Before it is noted: whoever stops in between refuses it again, and tells it no second time.
        if let (Some(notifications), Outcome::Refused(code)) = (&self.notifications, &outcome) {
            notifications.order_refused(&order.id, &order.terms, next.due, code).await?;
        }
        let after = self.after(&order, next, &outcome);
        let (attempt, due) = (next.attempt, next.due);
        let occurrence = Occurrence { order: order.id.clone(), due, attempt, outcome: outcome.clone(), transfer };
        let mut changes = replaced((&order, value), &after)?;
        changes.push(told(&occurrence)?);
        if self.records.change(changes).await? {
            return Ok(Some(outcome));
        }
        // Somebody else was faster and told the same; or the order was ended meanwhile, and what it paid is told all the same.
        if outcome == Outcome::Done {
            self.records.change(vec![told(&occurrence)?]).await?;
        }
        Ok(None)
    }

    /// The order as it is after a try.
    fn after(&self, order: &Order, next: Next, outcome: &Outcome) -> Order {
        if let Outcome::Retry(_, on) = outcome {
            let next = Some(Next { attempt: next.attempt + 1, on: *on, ..next });
            return Order { next, status: Status::Active, ..order.clone() };
        }
        let day_after = Day::new(next.due.number() + 1);
        self.with_next(order.clone(), day_after, next.on.min(day_after))
    }

    /// Moves the money, or hears why not.
    async fn attempt(&self, order: &Order, next: Next) -> Result<(Option<Rejection>, Option<TransferId>), Fault> {
        let command = match self.command(order, next) {
            Ok(command) => command,
            Err(rejection) => return Ok((Some(rejection), None)),
        };
        let (text, fingerprint) = self.key(order, next);
        let key = ClientKey { text: &text, fingerprint };
        let answer =
            self.bank.submit(&Caller::bank(), Some(key), command, false).await.map_err(BankError::into_fault)?;
        match (&answer, answer.outcome()) {
            (Answer::KeyReused, _) | (_, None) => {
                Err(Fault::Corrupt { detail: format!("{text} was used for another transfer") })
            }
            (_, Some(event::Outcome::Rejection { rejection, .. })) => Ok((Some(*rejection), None)),
            (_, Some(outcome)) => Ok((None, transfers_of(outcome).first().map(|transferred| transferred.id))),
        }
    }

    /// What the next try of an order did, if it moved the money and nobody heard of it.
    pub(super) async fn unheard(&self, order: &Order) -> Result<Option<Occurrence>, Fault> {
        let Some(next) = order.next else { return Ok(None) };
        let Ok(command) = self.command(order, next) else { return Ok(None) };
        let (text, fingerprint) = self.key(order, next);
        let key = Some(ClientKey { text: &text, fingerprint });
        let answer = self.bank.answer_before(&Caller::bank(), key, &command).await.map_err(BankError::into_fault)?;
        let Some(Answer::Replayed(entry)) = answer else { return Ok(None) };
        let paid = transfers_of(&entry.outcome).first().map(|transferred| transferred.id);
        Ok(paid.map(|transfer| Occurrence {
            order: order.id.clone(),
            due: next.due,
            attempt: next.attempt,
            outcome: Outcome::Done,
            transfer: Some(transfer),
        }))
    }

    /// The key of a try, and the fingerprint of what it says.
    fn key(&self, order: &Order, next: Next) -> (String, u128) {
        let terms = &order.terms;
        let said = format!("{} {} {:?}", terms.amount.minor_units(), terms.currency, terms.to);
        let fingerprint = self.bank.fingerprint("standing-order", &[terms.from.number()], said.as_bytes());
        (format!("standing-order/{}/{}/{}", order.id, next.due, next.attempt), fingerprint)
    }

    /// What the bank is asked for.
    fn command(&self, order: &Order, next: Next) -> Result<Command, Rejection> {
        let terms = &order.terms;
        let wanted = transfer::Terms {
            currency: terms.currency,
            amount: LegAmount::Exactly(terms.amount),
            forced: false,
            effective_at: None,
            note: Some(Box::new(Note {
                reference: terms.reference.clone(),
                metadata: [("standing_order".into(), order.id.clone()), ("due".into(), next.due.to_string().into())]
                    .into_iter()
                    .collect::<std::collections::BTreeMap<Box<str>, Box<str>>>()
                    .into_iter()
                    .collect(),
            })),
        };
        match terms.to {
            Payee::Account(to) => {
                Ok(Command::Transfer(transfer::transfer(TransferKind::Transfer, terms.from, to, wanted)))
            }
            Payee::Outside => self.bank.withdrawal(terms.from, None, wanted).map(Command::Transfer),
        }
    }
}

/// Whether the same may be possible on another day.
fn may_change(rejection: &Rejection) -> bool {
    matches!(
        rejection,
        Rejection::InsufficientFunds { .. } | Rejection::LimitExceeded { .. } | Rejection::AccountFrozen(_)
    )
}
