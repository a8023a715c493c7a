//! From deliveries to providers: which are due, what is sent, and what becomes of one that was.

use super::Notifications;
use super::delivery::{Delivery, Queue, State, Subscriber, delivery_key, due_prefix};
use super::endpoint::Reached;
use super::kind::{Channel, Kind};
use super::outgoing::{Accepted, Address, Outgoing, SendFailure};
use super::text::Known;
use crate::locale::{Language, Locale};
use crate::ports::{Expected, RecordChange};
use crate::records::parsed;
use ledger::customer::ProfileField;
use ledger::ids::{AccountId, CustomerId, ShardId};
use ledger::time::Timestamp;
use serde_json::json;
use std::collections::HashSet;
use store::Fault;
use store::query::TransferStatus;

/// How long one that goes on from another waits for it, each time, at least.
const BEHIND_US: u64 = 500_000;
/// After so long what was never tried is looked at whether it is still so.
const OVER_US: u64 = 60_000_000;
/// How long what is for an endpoint that is off is left alone, should anybody look at it meanwhile.
const OFF_US: u64 = 5_000_000;

/// What waits.
#[derive(Clone, Debug, Default)]
pub struct Due {
    /// What is to be sent now, the longest due first.
    pub now: Vec<Delivery>,
    /// When the next is due that is not yet.
    pub next: Option<Timestamp>,
    /// Keys of records that cannot be read: the others do not wait for them.
    pub unreadable: Vec<String>,
}

/// How many wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Those to be sent now, or again after a failure.
    pub all: usize,
    /// Those of them that are to be sent now.
    pub due: usize,
}

/// What is to be done with a delivery that is due.
#[derive(Clone, Debug)]
pub enum Step {
    /// Send this.
    Send(Box<Outgoing>),
    /// Settle it so, and send nothing.
    Settle(Settled),
    /// Nothing: somebody changed it since it was looked up, and it is due again if it still waits.
    Outrun,
}

/// What became of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The provider took it.
    Accepted(Accepted),
    /// It was not sent.
    Failed(SendFailure),
    /// It was not tried, and is due again then.
    Held(Timestamp),
    /// There is nobody to send it to.
    Dropped(&'static str),
}

impl Notifications {
    /// What a subscriber has to send of a shard and queue, but for what is `busy`, at most so many.
    ///
    /// # Errors
    /// A fault of the records.
    pub async fn due(
        &self,
        subscriber: &Subscriber,
        (shard, queue): (ShardId, Queue),
        busy: &HashSet<String>,
        limit: usize,
    ) -> Result<Due, Fault> {
        let prefix = due_prefix(queue, subscriber, shard.number());
        let now = self.bank.now();
        let mut due = Due::default();
        for (key, value) in self.records.list(&prefix, None, busy.len() + limit + 1).await? {
            let Ok(delivery) = parsed::<Delivery>(&key, &value) else {
                due.unreadable.push(key);
                continue;
            };
            if busy.contains(&delivery.id) {
                continue;
            }
            if delivery.due_key() != key {
                self.mend_due(&key, &delivery.id).await?;
                continue;
            }
            let at = Timestamp::from_microseconds(delivery.due_us).unwrap_or(Timestamp::ZERO);
            if now < at {
                due.next = Some(at);
                break;
            }
            if due.now.len() == limit {
                due.next = Some(now);
                break;
            }
            due.now.push(delivery);
        }
        Ok(due)
    }

    /// How many deliveries of a shard a subscriber has to send now or after a failure, counted up to `most` of each queue:
    /// not those that wait for the end of quiet hours, nor those that no journal causes.
    ///
    /// # Errors
    /// A fault of the records.
    pub async fn waiting(&self, subscriber: &Subscriber, shard: ShardId, most: usize) -> Result<Waiting, Fault> {
        const PAGE: usize = 1000;
        let now_us = self.bank.now().microseconds();
        let mut waiting = Waiting::default();
        for queue in Queue::ALL {
            let prefix = due_prefix(queue, subscriber, shard.number());
            let (mut after, mut counted): (Option<String>, usize) = (None, 0);
            while counted < most {
                let page = self.records.list(&prefix, after.as_deref(), PAGE).await?;
                let readable = page.iter().filter_map(|(key, value)| parsed::<Delivery>(key, value).ok());
                for delivery in readable.filter(Delivery::is_of_journal) {
                    let is_due = delivery.due_us <= now_us;
                    counted += usize::from(is_due || 0 < delivery.attempts);
                    waiting.due += usize::from(is_due);
                }
                match page.last() {
                    Some((key, _)) if page.len() == PAGE => after = Some(key.clone()),
                    _ => break,
                }
            }
            waiting.all += counted;
        }
        Ok(waiting)
    }

    /// Looks up whether a delivery still waits, as whoever asks knows it, and where it goes, and writes its text.
    ///
    /// # Errors
    /// A fault: it stays due.
    pub async fn prepare(&self, delivery: &Delivery) -> Result<Step, Fault> {
        let now = self.bank.now();
        if delivery.state != State::Waiting || self.delivery_as_written(&delivery.id).await?.as_ref() != Some(delivery)
        {
            self.mend_due(&delivery.due_key(), &delivery.id).await?;
            return Ok(Step::Outrun);
        }
        let Some(id) = CustomerId::new(delivery.customer) else { return Ok(dropped("no_user")) };
        let first = match &delivery.follows {
            Some(first) => self.delivery(first).await?,
            None => None,
        };
        if let Some(endpoint) = &delivery.endpoint {
            let to = match self.endpoint_address(endpoint).await? {
                Reached::At(to) => to,
                Reached::Off => return Ok(Step::Settle(Settled::Held(now.saturating_add(OFF_US)))),
                Reached::Gone => return Ok(dropped("no_endpoint")),
            };
            if let Some(until) = behind(first.as_ref(), now) {
                return Ok(Step::Settle(Settled::Held(until)));
            }
            return Ok(Step::Send(Box::new(self.outgoing(delivery, to, "en", Default::default(), now))));
        }
        let Some(recipient) = self.recipient(id).await? else { return Ok(dropped("no_user")) };
        // Who was told that money left is told what became of it, whatever was chosen since.
        let is_wanted = match delivery.follows {
            Some(_) => recipient.preference.chose(delivery.channel),
            None => recipient.preference.wants(delivery.channel, delivery.kind, &delivery.facts),
        };
        if !is_wanted {
            return Ok(dropped("not_chosen"));
        }
        if self.is_stale(delivery, first.as_ref(), now) {
            return Ok(dropped("stale"));
        }
        if self.is_over(delivery, now).await? {
            return Ok(dropped("over"));
        }
        if let Some(until) = recipient.preference.held_until(delivery.kind, now) {
            return Ok(Step::Settle(Settled::Held(until)));
        }
        if let Some(until) = behind(first.as_ref(), now) {
            return Ok(Step::Settle(Settled::Held(until)));
        }
        let Some(customer) = self.bank.user(id).await? else { return Ok(dropped("no_user")) };
        let profile = self.bank.open_profile(&customer).await?;
        let field = |field| profile.get(field).map(str::to_owned);
        let to = match (delivery.channel, &delivery.device) {
            (Channel::Email, _) => field(ProfileField::Email).map(Address::Email),
            (Channel::Sms | Channel::Whatsapp, _) => field(ProfileField::Phone).map(Address::Phone),
            (_, Some(device)) => self.device_address(id, device).await?,
            (_, None) => None,
        };
        let Some(to) = to else { return Ok(dropped("no_address")) };
        let locale = Locale::of(profile.get(ProfileField::Locale).unwrap_or("en"));
        let first_message = first.filter(is_sent).and_then(|first| Timestamp::from_microseconds(first.changed_us));
        let known = Known { recipient: self.recipient_name(delivery).await?, first_message };
        let written = self.texts.write(locale, delivery.kind, &delivery.facts, &known)?;
        Ok(Step::Send(Box::new(self.outgoing(delivery, to, language(locale), written, now))))
    }

    /// Whether it is old news, as where its channel was off: it was never tried, though it could have been since that time. What
    /// became of something that was told is told however late.
    fn is_stale(&self, delivery: &Delivery, first: Option<&Delivery>, now: Timestamp) -> bool {
        let since_us = delivery.booked_us.max(delivery.due_us);
        let is_stale = self.settings.stale_after_us < now.microseconds().saturating_sub(since_us);
        is_stale && delivery.attempts == 0 && !first.is_some_and(is_sent)
    }

    /// Whether it says that money is on its way which came back meanwhile. Where it waited for a short time only, both messages are
    /// sent, the second with a look back at the first; after that it is no news any more, and the second says it all.
    async fn is_over(&self, delivery: &Delivery, now: Timestamp) -> Result<bool, Fault> {
        let waited_us = now.microseconds().saturating_sub(delivery.booked_us);
        if delivery.kind != Kind::TransferPending || 0 < delivery.attempts || waited_us < OVER_US {
            return Ok(false);
        }
        let transfer = delivery.facts.transfer.as_deref().and_then(|transfer| transfer.parse().ok());
        let home = self.bank.shards().iter().find(|store| store.shard().number() == delivery.shard);
        let (Some(transfer), Some(home)) = (transfer, home) else { return Ok(false) };
        let view = home.transfer(transfer).await?;
        Ok(view.is_some_and(|view| matches!(view.status(), TransferStatus::Failed(_))))
    }

    /// Has a record of what waits say again what its delivery says, or removes it where that does not wait, or elsewhere: else it
    /// would be looked up without end.
    async fn mend_due(&self, key: &str, id: &str) -> Result<(), Fault> {
        let Some(found) = self.records.get(key).await? else { return Ok(()) };
        let known = self.delivery(id).await?.filter(|known| known.state == State::Waiting);
        let Some(known) = known else {
            return self
                .records
                .change(vec![RecordChange::remove(key).expecting(Expected::Exactly(found))])
                .await
                .map(drop);
        };
        let (due_key, bytes) = (known.due_key(), known.bytes()?);
        let record = |expected| RecordChange { key: due_key.clone(), expected, value: Some(bytes.clone()) };
        if due_key == key {
            return self.records.change(vec![record(Expected::Exactly(found))]).await.map(drop);
        }
        self.records.change(vec![RecordChange::remove(key).expecting(Expected::Exactly(found))]).await?;
        self.records.change(vec![record(Expected::Absent)]).await.map(drop)
    }

    fn outgoing(
        &self,
        delivery: &Delivery,
        to: Address,
        language: &'static str,
        written: super::text::Written,
        now: Timestamp,
    ) -> Outgoing {
        let booked_at = Timestamp::from_microseconds(delivery.booked_us).unwrap_or(Timestamp::ZERO);
        let data = json!({
            "type": delivery.kind.name(),
            "timestamp": booked_at.to_string(),
            "data": shown_facts(delivery),
        });
        Outgoing {
            id: delivery.id.clone(),
            follows: delivery.follows.clone(),
            to,
            kind: delivery.kind,
            language,
            subject: written.subject,
            text: written.text,
            data: data.to_string(),
            booked_at,
            now,
        }
    }

    /// The name of whom a transfer went to, where customers are to see names.
    async fn recipient_name(&self, delivery: &Delivery) -> Result<Option<String>, Fault> {
        let is_sent_on =
            matches!(delivery.kind, Kind::TransferCompleted | Kind::TransferFailed | Kind::TransferPending);
        if !self.settings.recipient_names || !is_sent_on {
            return Ok(None);
        }
        let other: Option<AccountId> = delivery.facts.other_account.as_deref().and_then(|account| account.parse().ok());
        let Some(other) = other else { return Ok(None) };
        let Some(customer) = self.owner(other).await? else { return Ok(None) };
        let Some(customer) = self.bank.user(customer).await? else { return Ok(None) };
        Ok(self.bank.open_profile(&customer).await?.get(ProfileField::Name).map(str::to_owned))
    }

    /// Notes what became of deliveries, in one change. One that somebody else changed meanwhile stays as they left it.
    ///
    /// # Errors
    /// A fault: none is noted, and each may be sent again, with the same id.
    pub async fn settle(&self, settled: &[(Delivery, Settled)]) -> Result<(), Fault> {
        let mut all = Vec::with_capacity(settled.len());
        for (delivery, what) in settled {
            all.push(delivery.becomes(&self.next(delivery, what))?);
        }
        if self.records.change(all.iter().flatten().cloned().collect()).await? {
            return Ok(());
        }
        for changes in all {
            self.records.change(changes).await?;
        }
        Ok(())
    }

    /// What a delivery is after this.
    pub fn next(&self, delivery: &Delivery, what: &Settled) -> Delivery {
        let now = self.bank.now();
        let mut next = Delivery { changed_us: now.microseconds(), ..delivery.clone() };
        match what {
            Settled::Accepted(accepted) => {
                next.state = if accepted.is_put_aside { State::Outbox } else { State::Sent };
                next.attempts += 1;
                next.provider_id.clone_from(&accepted.provider_id);
                next.code = None;
            }
            Settled::Held(until) => next.due_us = until.microseconds(),
            Settled::Dropped(code) => {
                next.state = State::Dropped;
                next.code = Some((*code).to_owned());
            }
            Settled::Failed(failure) => {
                next.attempts += 1;
                next.code = Some(failure.code().to_owned());
                // When it could be sent first: that quiet hours held it is no failure of anybody's.
                let since_us = delivery.since_us.unwrap_or(delivery.due_us);
                next.since_us = Some(since_us);
                let age_us = now.microseconds().saturating_sub(since_us);
                let is_over = self.settings.give_up_after_us < age_us;
                let after_us = match failure {
                    SendFailure::Never { .. } => None,
                    _ if self.settings.attempts_max <= next.attempts => None,
                    SendFailure::Later { .. } => Some(self.wait_us(next.attempts)),
                    SendFailure::SlowDown { after_us, .. } => {
                        Some(after_us.unwrap_or(0).saturating_add(self.wait_us(next.attempts)))
                    }
                };
                match after_us.filter(|_| !is_over) {
                    Some(after_us) => next.due_us = now.microseconds().saturating_add(after_us),
                    None => next.state = State::Failed,
                }
            }
        }
        next
    }

    /// Exponential backoff with full jitter: anything from nothing to a bound that doubles.
    fn wait_us(&self, attempts: u32) -> u64 {
        let doubled = 1u64.checked_shl(attempts.saturating_sub(1)).unwrap_or(u64::MAX);
        let bound_us = self.settings.retry_first_us.saturating_mul(doubled).min(self.settings.retry_most_us).max(1);
        let mut random = [0; 8];
        self.bank.env().fill(&mut random);
        u64::from_le_bytes(random) % (bound_us + 1)
    }

    /// Has nothing more sent to what a provider said is gone, to what was sent then.
    ///
    /// # Errors
    /// A fault of the records.
    pub async fn gone(&self, delivery: &Delivery, sent_at: Timestamp) -> Result<(), Fault> {
        if let (Some(device), Some(customer)) = (&delivery.device, CustomerId::new(delivery.customer)) {
            return self.remove_device(customer, device).await;
        }
        if let Some(endpoint) = &delivery.endpoint {
            self.endpoint_gone(endpoint, sent_at).await?;
        }
        Ok(())
    }

    /// A delivery for whoever changes it: a change expects the bytes that this program writes, so a record that another version
    /// wrote is written again first, and what this one does not know of it is lost. Else nothing could be noted of it, and it
    /// would be sent without end.
    pub(super) async fn delivery_as_written(&self, id: &str) -> Result<Option<Delivery>, Fault> {
        let key = delivery_key(id);
        loop {
            let Some(found) = self.records.get(&key).await? else { return Ok(None) };
            let delivery: Delivery = parsed(&key, &found)?;
            let bytes = delivery.bytes()?;
            if found == bytes {
                return Ok(Some(delivery));
            }
            let record = RecordChange { key: key.clone(), expected: Expected::Exactly(found), value: Some(bytes) };
            self.records.change(vec![record]).await?;
        }
    }

    /// A delivery; `None` if there is none, or no longer.
    ///
    /// # Errors
    /// A fault of the records.
    pub async fn delivery(&self, id: &str) -> Result<Option<Delivery>, Fault> {
        crate::records::read(self.records.as_ref(), &delivery_key(id)).await
    }
}

fn is_sent(delivery: &Delivery) -> bool {
    matches!(delivery.state, State::Sent | State::Outbox)
}

/// Until when to wait where what it goes on from is not sent yet.
fn behind(first: Option<&Delivery>, now: Timestamp) -> Option<Timestamp> {
    let first = first.filter(|first| first.state == State::Waiting)?;
    let due = Timestamp::from_microseconds(first.due_us).unwrap_or(Timestamp::ZERO);
    Some(due.max(now.saturating_add(BEHIND_US)))
}

fn dropped(code: &'static str) -> Step {
    Step::Settle(Settled::Dropped(code))
}

fn language(locale: &Locale) -> &'static str {
    match locale.language {
        Language::English => "en",
        Language::Czech => "cs",
        Language::German => "de",
        Language::Greek => "el",
        Language::Japanese => "ja",
    }
}

/// The facts as programs read them: amounts as decimals, ids as texts.
pub fn shown_facts(delivery: &Delivery) -> serde_json::Value {
    let facts = &delivery.facts;
    let scale = facts.currency().map_or(0, ledger::currency::Currency::scale);
    let money = |minor_units: i128| ledger::amount::Decimal { minor_units, scale }.to_string();
    let mut shown = serde_json::Map::new();
    shown.insert("user_id".into(), delivery.customer.to_string().into());
    let texts = [
        ("account_id", &facts.account),
        ("currency", &facts.currency),
        ("transfer_id", &facts.transfer),
        ("other_account_id", &facts.other_account),
        ("hold_id", &facts.hold),
        ("expires_at", &facts.expires_at),
        ("month", &facts.month),
        ("code", &facts.code),
        ("change", &facts.change),
    ];
    for (name, text) in texts {
        shown.extend(text.as_ref().map(|text| (name.to_owned(), text.as_str().into())));
    }
    let amounts = [
        ("amount", facts.amount),
        ("balance", facts.balance),
        ("available", facts.available),
        ("threshold", facts.threshold),
    ];
    for (name, amount) in amounts {
        shown.extend(amount.map(|amount| (name.to_owned(), money(amount).into())));
    }
    shown.into()
}
