//! The operator's desk: deliveries that there are, and what a person does with those that failed.

use super::Notifications;
use super::delivery::{Delivery, Identity, ROOT, State, booked_before, delivery_key, failed_key, of_prefix};
use super::follower::devices;
use super::kind::Kind;
use super::message::Facts;
use crate::ports::{Expected, Record, RecordChange};
use crate::records::parsed;
use ledger::ids::{AccountId, CustomerId};
use ledger::time::Timestamp;
use store::Fault;

/// Records looked at for one page of a list that has a condition.
const LOOKED_AT_MAX: usize = 2000;
/// Deliveries removed at a time.
const OLD_MAX: usize = 500;
/// How long after a month its statement is news.
const NEWS_US: u64 = 45 * 24 * 3_600_000_000;

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

    /// Does what a person decided; the delivery as it then is. One that is not failed or waiting stays as it is. `None` if
    /// there is none.
    ///
    /// # Errors
    /// A fault of the records.
    pub async fn decide(&self, id: &str, decision: &Decision) -> Result<Option<Delivery>, Fault> {
        loop {
            let Some(delivery) = self.delivery(id).await? else { return Ok(None) };
            let now_us = self.bank.now().microseconds();
            let next = match (decision, delivery.state) {
                (Decision::Redrive, State::Failed) => {
                    let (state, attempts) = (State::Waiting, 0);
                    Delivery { state, attempts, due_us: now_us, changed_us: now_us, ..delivery.clone() }
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

    /// Removes deliveries older than they are kept, but for those that wait or failed; how many.
    ///
    /// # Errors
    /// A fault of the records.
    pub async fn remove_old(&self) -> Result<usize, Fault> {
        let now_us = self.bank.now().microseconds();
        let before = Timestamp::from_microseconds(now_us.saturating_sub(self.settings.keep_us)).unwrap_or_default();
        let (mut after, mut removed) = (booked_before(before), 0);
        loop {
            let page = self.records.list(&delivery_key(""), Some(&after), OLD_MAX).await?;
            let Some((last, _)) = page.last() else { return Ok(removed) };
            after.clone_from(last);
            let mut changes = Vec::new();
            for (key, value) in page {
                let delivery: Delivery = parsed(&key, &value)?;
                if !matches!(delivery.state, State::Waiting | State::Failed) {
                    changes.push(RecordChange::remove(format!("{}{}", of_prefix(delivery.customer), delivery.id)));
                    changes.push(RecordChange::remove(key));
                    removed += 1;
                }
            }
            self.records.change(changes).await?;
        }
    }

    /// Tells the owner of an account that its statement for a month is there: once for each number of it, however often this is
    /// called. Of months long past nobody is told.
    ///
    /// # Errors
    /// A fault of the shard or the records.
    pub async fn statement_ready(
        &self,
        account: AccountId,
        month: crate::month::Month,
        number: u32,
    ) -> Result<(), Fault> {
        let now = self.bank.now();
        if NEWS_US < now.microseconds().saturating_sub(month.end().microseconds()) {
            return Ok(());
        }
        let told_key = format!("{ROOT}statement/{account}/{month}/{number}");
        if self.records.get(&told_key).await?.is_some() {
            return Ok(());
        }
        let Some(customer) = self.owner(account).await? else { return Ok(()) };
        let Some(recipient) = self.recipient(customer).await? else { return Ok(()) };
        let facts = Facts { account: Some(account.to_string()), month: Some(month.to_string()), ..Facts::default() };
        let mut changes = vec![RecordChange::put(told_key, &now.microseconds())?.expecting(Expected::Absent)];
        for subscriber in self.subscribers().await? {
            let is_wanted = match &subscriber.endpoint {
                None => recipient.preference.wants(subscriber.channel, Kind::StatementReady, &facts),
                Some(endpoint) => {
                    let kinds = self.remembered_endpoint(endpoint).await?;
                    kinds.is_some_and(|kinds| kinds.is_none_or(|kinds| kinds.contains(&Kind::StatementReady)))
                }
            };
            if !is_wanted {
                continue;
            }
            for device in devices(subscriber.channel, &recipient) {
                let shard = self.bank.shard_of_account(account);
                let identity = Identity {
                    at: month.end(),
                    shard,
                    sequence: 0,
                    about: &format!("{account}/{month}/{number}"),
                    customer: customer.number(),
                    kind: Kind::StatementReady,
                    subscriber: &subscriber.name(),
                    device: device.as_deref().unwrap_or_default(),
                };
                let held = subscriber.channel.choice();
                let held = held.and_then(|_| recipient.preference.held_until(Kind::StatementReady, now));
                let delivery = Delivery {
                    id: identity.id(),
                    channel: subscriber.channel,
                    endpoint: subscriber.endpoint.clone(),
                    device,
                    shard: shard.number(),
                    sequence: 0,
                    customer: customer.number(),
                    kind: Kind::StatementReady,
                    facts: facts.clone(),
                    follows: None,
                    state: State::Waiting,
                    attempts: 0,
                    booked_us: now.microseconds(),
                    due_us: held.unwrap_or(now).microseconds(),
                    changed_us: now.microseconds(),
                    code: None,
                    provider_id: None,
                    reason: None,
                };
                changes.extend(delivery.made()?);
            }
        }
        // Where somebody else told meanwhile, none of these is made.
        self.records.change(changes).await?;
        Ok(())
    }
}
