//! The operator's desk: deliveries that there are, and what a person does with those that failed.

use super::Notifications;
use super::delivery::{Delivery, State, booked_at, delivery_key, failed_key, of_prefix};
use super::preference::Preference;
use super::sender::Settled;
use crate::ports::Record;
use crate::records::parsed;
use ledger::ids::CustomerId;
use store::Fault;

/// Records looked at for one page of a list that has a condition.
const LOOKED_AT_MAX: usize = 2000;
/// What quiet hours hold is among a customer's newest deliveries: they are no longer than a day, and what they hold was read soon
/// after it was booked. What is not found waits for the end that it has.
const HELD_MAX: usize = 1000;
const HELD_US: u64 = 2 * 24 * 3_600_000_000;

/// Which deliveries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryQuery {
    /// Only this customer's.
    pub customer: Option<CustomerId>,
    /// Only those that stand here.
    pub state: Option<State>,
    /// Those after this one.
    pub after: Option<String>,
    /// At most so many.
    pub limit: usize,
}

/// A part of a list, the newest first. It may be short, or empty, and not be the last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deliveries {
    /// The deliveries.
    pub items: Vec<Delivery>,
    /// After which one to ask on.
    pub next: Option<String>,
}

/// What a person may do with a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Send it again.
    Redrive,
    /// Never send it, for this reason.
    Discard(String),
}

impl Notifications {
    /// Deliveries, the newest first.
    ///
    /// # Errors
    /// A fault of the records.
    pub async fn deliveries_of(&self, query: &DeliveryQuery) -> Result<Deliveries, Fault> {
        let prefix = match (query.customer, query.state) {
            (Some(customer), _) => of_prefix(customer.number()),
            (None, Some(State::Failed)) => failed_key(""),
            (None, _) => delivery_key(""),
        };
        let has_condition = query.state.is_some() && (query.customer.is_some() || query.state != Some(State::Failed));
        let (mut items, mut looked_at) = (Vec::new(), 0);
        let mut after = query.after.clone();
        loop {
            let count = query.limit.saturating_sub(items.len()).max(if has_condition { 100 } else { 1 });
            let from = after.as_ref().map(|id| format!("{prefix}{id}"));
            let page = self.records.list(&prefix, from.as_deref(), count).await?;
            let is_last = page.len() < count;
            looked_at += page.len();
            for record in page {
                let id = record.0[prefix.len()..].to_owned();
                let found = self.listed(record).await?;
                let fits = |delivery: &Delivery| query.state.is_none_or(|state| state == delivery.state);
                items.extend(found.filter(fits));
                after = Some(id);
                if items.len() == query.limit {
                    return Ok(Deliveries { items, next: after });
                }
            }
            if is_last {
                return Ok(Deliveries { items, next: None });
            }
            if LOOKED_AT_MAX <= looked_at {
                return Ok(Deliveries { items, next: after });
            }
        }
    }

    async fn listed(&self, (key, value): Record) -> Result<Option<Delivery>, Fault> {
        match value.is_empty() {
            true => self.delivery(key.rsplit('/').next().unwrap_or_default()).await,
            false => parsed(&key, &value).map(Some),
        }
    }

    /// Has what quiet hours hold wait for the end of those that the customer wants now, where that is earlier: at once, where there
    /// are none.
    pub(super) async fn hold_anew(&self, customer: CustomerId, preference: &Preference) -> Result<(), Fault> {
        let (prefix, now) = (of_prefix(customer.number()), self.bank.now());
        for (key, _) in self.records.list(&prefix, None, HELD_MAX).await? {
            let id = &key[prefix.len()..];
            let age_us = booked_at(id).map_or(0, |at| now.microseconds().saturating_sub(at.microseconds()));
            if HELD_US < age_us {
                break;
            }
            let Some(delivery) = self.delivery_as_written(id).await? else { continue };
            let is_held = delivery.state == State::Waiting && delivery.attempts == 0 && delivery.endpoint.is_none();
            let until = preference.held_until(delivery.kind, now).unwrap_or(now);
            if is_held && until.microseconds() < delivery.due_us {
                self.settle(&[(delivery, Settled::Held(until))]).await?;
            }
        }
        Ok(())
    }

    /// Does what a person decided; the delivery as it then is. One that is not failed or waiting stays as it is. `None` if
    /// there is none.
    ///
    /// # Errors
    /// A fault of the records.
    pub async fn decide(&self, id: &str, decision: &Decision) -> Result<Option<Delivery>, Fault> {
        loop {
            let Some(delivery) = self.delivery_as_written(id).await? else { return Ok(None) };
            let now_us = self.bank.now().microseconds();
            let next = match (decision, delivery.state) {
                (Decision::Redrive, State::Failed) => {
                    let (state, attempts, since_us) = (State::Waiting, 0, None);
                    Delivery { state, attempts, since_us, due_us: now_us, changed_us: now_us, ..delivery.clone() }
                }
                (Decision::Discard(reason), State::Failed | State::Waiting) => {
                    let (state, reason) = (State::Discarded, Some(reason.clone()));
                    Delivery { state, reason, changed_us: now_us, ..delivery.clone() }
                }
                _ => return Ok(Some(delivery)),
            };
            if self.records.change(delivery.becomes(&next)?).await? {
                return Ok(Some(next));
            }
        }
    }
}
