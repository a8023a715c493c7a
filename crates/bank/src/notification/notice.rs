//! Messages about what no journal has: whoever does it tells it, once, with an id that follows from what it is about.

use super::Notifications;
use super::backlog::Backlogs;
use super::delivery::{Delivery, Identity, ROOT, State, Subscriber};
use super::follower::devices;
use super::kind::Kind;
use super::message::Facts;
use super::recipient::Recipient;
use crate::month::Month;
use crate::ports::{Expected, RecordChange};
use crate::standing_order::{Payee, Terms};
use ledger::ids::{AccountId, CustomerId};
use ledger::time::{Day, Timestamp};
use store::Fault;

/// How long after a month its statement is news.
pub(super) const NEWS_US: u64 = 45 * 24 * 3_600_000_000;

/// What there is to tell the owner of an account.
struct Notice {
    account: AccountId,
    kind: Kind,
    /// What it is about: of one account and kind it is told once.
    about: String,
    /// The time that its ids begin with.
    at: Timestamp,
    facts: Facts,
}

/// Where it is noted that something was told.
pub(super) fn told_prefix() -> String {
    format!("{ROOT}told/")
}

impl Notifications {
    /// Tells the owner of an account that its statement for a month is there: once for each number of it, however often this is
    /// called. Of months long past nobody is told.
    ///
    /// # Errors
    /// A fault of the shard or the records.
    pub async fn statement_ready(&self, account: AccountId, month: Month, number: u32) -> Result<(), Fault> {
        if NEWS_US < self.bank.now().microseconds().saturating_sub(month.end().microseconds()) {
            return Ok(());
        }
        let facts = Facts { account: Some(account.to_string()), month: Some(month.to_string()), ..Facts::default() };
        let about = format!("{account}/{month}/{number}");
        self.tell(&Notice { account, kind: Kind::StatementReady, about, at: month.end(), facts }).await
    }

    /// Tells the owner of an account that a standing order from it was refused for good on a due day: once, however often this
    /// is called.
    ///
    /// # Errors
    /// A fault of the shard or the records.
    pub async fn order_refused(&self, order: &str, terms: &Terms, due: Day, code: &str) -> Result<(), Fault> {
        let facts = Facts {
            account: Some(terms.from.to_string()),
            currency: Some(terms.currency.code().to_owned()),
            amount: Some(terms.amount.signed()),
            other_account: match terms.to {
                Payee::Account(to) => Some(to.to_string()),
                Payee::Outside => None,
            },
            code: Some(code.to_owned()),
            ..Facts::default()
        };
        let (about, at) = (format!("{order}/{due}"), due.start().unwrap_or_default());
        self.tell(&Notice { account: terms.from, kind: Kind::StandingOrderRefused, about, at, facts }).await
    }

    async fn tell(&self, notice: &Notice) -> Result<(), Fault> {
        let told_key = format!("{}{}/{}", told_prefix(), notice.kind.name(), notice.about);
        if self.records.get(&told_key).await?.is_some() {
            return Ok(());
        }
        let Some(customer) = self.owner(notice.account).await? else { return Ok(()) };
        let Some(recipient) = self.recipient(customer).await? else { return Ok(()) };
        // The note is kept for as long as this is news, which it may stay for longer than from now on: a statement is made early
        // where its account is closed.
        let news_us = self.bank.now().max(notice.at).microseconds();
        let mut changes = vec![RecordChange::put(told_key, &news_us)?.expecting(Expected::Absent)];
        let mut backlogs = Backlogs::default();
        for subscriber in self.everybody().await? {
            if !self.is_wanted(&subscriber, &recipient, notice).await? {
                continue;
            }
            for device in devices(subscriber.channel, &recipient) {
                let delivery = self.noticed(notice, &subscriber, (customer, &recipient), device);
                changes.extend(self.bounded(delivery, &mut backlogs).await?.made_once()?);
            }
        }
        // Where somebody else told meanwhile, or told before a note was lost, none of these is made.
        self.records.change(changes).await?;
        Ok(())
    }

    async fn is_wanted(&self, subscriber: &Subscriber, recipient: &Recipient, notice: &Notice) -> Result<bool, Fault> {
        let Some(endpoint) = &subscriber.endpoint else {
            return Ok(recipient.preference.wants(subscriber.channel, notice.kind, &notice.facts));
        };
        // No journal has it for an endpoint that is on again: what is for one that is off is made now, and waits.
        let Some(endpoint) = self.endpoint(endpoint).await? else { return Ok(false) };
        Ok(endpoint.kinds.is_none_or(|kinds| kinds.contains(&notice.kind)))
    }

    fn noticed(
        &self,
        notice: &Notice,
        subscriber: &Subscriber,
        (customer, recipient): (CustomerId, &Recipient),
        device: Option<String>,
    ) -> Delivery {
        let (now, shard) = (self.bank.now(), self.bank.shard_of_account(notice.account));
        let identity = Identity {
            at: notice.at,
            shard,
            sequence: 0,
            about: &notice.about,
            customer: customer.number(),
            kind: notice.kind,
            subscriber: &subscriber.name(),
            device: device.as_deref().unwrap_or_default(),
        };
        let held = subscriber.channel.choice().and_then(|_| recipient.preference.held_until(notice.kind, now));
        Delivery {
            id: identity.id(),
            channel: subscriber.channel,
            endpoint: subscriber.endpoint.clone(),
            device,
            shard: shard.number(),
            sequence: 0,
            customer: customer.number(),
            kind: notice.kind,
            facts: notice.facts.clone(),
            follows: None,
            state: State::Waiting,
            attempts: 0,
            booked_us: now.microseconds(),
            due_us: held.unwrap_or(now).microseconds(),
            changed_us: now.microseconds(),
            code: None,
            provider_id: None,
            reason: None,
            since_us: None,
        }
    }
}
