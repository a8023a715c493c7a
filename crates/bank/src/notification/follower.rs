//! From the journal to deliveries: a subscriber reads a shard's entries in pages, and what they cause becomes durable
//! together with how far it read.

use super::Notifications;
use super::backlog::Backlogs;
use super::delivery::{Delivery, Identity, State, Subscriber, cursor_key, delivery_key};
use super::kind::{Channel, Kind};
use super::message::{Began, Facts, Message, Whom, ended, messages};
use super::recipient::Recipient;
use crate::ports::{Expected, RecordChange};
use crate::records::parsed;
use ledger::event::{CustomerChange, Event, Outcome};
use ledger::hold::HoldStatus;
use ledger::ids::{AccountId, CustomerId, Sequence, ShardId};
use ledger::time::Timestamp;
use std::collections::HashSet;
use store::query::{EntryQuery, TransferView, saga_step};
use store::{EntryRef, Fault};

/// Entries read at a time.
const PAGE_ENTRIES: usize = 500;
/// A page ends after an entry with which it has so many deliveries.
const PAGE_DELIVERIES: usize = 1000;
/// Entries that caused nothing may be read again after a crash: so many need not be noted, for so long.
const UNNOTED_MAX: Sequence = 10_000;
const UNNOTED_US: u64 = 1_000_000;

/// How far a subscriber is with a shard.
#[derive(Debug)]
pub struct Follower {
    subscriber: Subscriber,
    shard: ShardId,
    /// What the record of the cursor says.
    noted: Vec<u8>,
    noted_sequence: Sequence,
    noted_at: Timestamp,
    /// Up to where entries were read.
    reached: Sequence,
}

/// A cursor that was beyond the end of its journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetBack {
    /// The shard.
    pub shard: ShardId,
    /// Up to which entry it had read.
    pub was: Sequence,
    /// The last entry that there is.
    pub is: Sequence,
}

/// What one step of a follower did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Followed {
    /// Deliveries made.
    pub made: usize,
    /// How many of them are to be sent at once: the others wait for the end of quiet hours, or are dropped.
    pub made_due: usize,
    /// How many of them are dropped, since too many wait for their device.
    pub dropped: usize,
    /// Up to which entry it has read.
    pub reached: Sequence,
    /// Whether there may be more to read now.
    pub has_more: bool,
    /// Whether all that it has read is noted: else a step some time later notes it.
    pub is_noted: bool,
}

impl Follower {
    /// Up to which entry it has read.
    pub const fn reached(&self) -> Sequence {
        self.reached
    }
}

impl Notifications {
    /// Has a subscriber begin with what comes from now on, on each shard that it has not begun with: whoever calls this
    /// before the first request misses nothing. A cursor that is beyond the end of a journal, as after one was restored from
    /// an older backup than the records, is set back to that end: those that were.
    ///
    /// # Errors
    /// A fault of the records or a shard.
    pub async fn begin(&self, subscriber: &Subscriber) -> Result<Vec<SetBack>, Fault> {
        let mut set_back = Vec::new();
        // One that was removed meanwhile leaves nothing behind.
        if let Some(endpoint) = &subscriber.endpoint
            && self.endpoint(endpoint).await?.is_none()
        {
            return Ok(set_back);
        }
        for store in self.bank.shards() {
            let (shard, head) = (store.shard(), store.head());
            let key = cursor_key(subscriber, shard);
            let change = RecordChange::put(&key, &head)?;
            let Some(noted) = self.records.get(&key).await? else {
                self.records.change(vec![change.expecting(Expected::Absent)]).await?;
                continue;
            };
            let was: Sequence = parsed(&key, &noted)?;
            // Another node's head may be ahead of what this one knows: the journal itself says whether the entry is there.
            let query = EntryQuery { after: was.saturating_sub(1), limit: 1 };
            if head < was
                && store.follow(query).await?.is_empty()
                && self.records.change(vec![change.expecting(Expected::Exactly(noted))]).await?
            {
                set_back.push(SetBack { shard, was, is: head });
            }
        }
        Ok(set_back)
    }

    /// A follower that goes on where the subscriber is with a shard; `None` before it began.
    ///
    /// # Errors
    /// A fault of the records.
    pub async fn follower(&self, subscriber: &Subscriber, shard: ShardId) -> Result<Option<Follower>, Fault> {
        let key = cursor_key(subscriber, shard);
        let Some(noted) = self.records.get(&key).await? else { return Ok(None) };
        let sequence: Sequence = parsed(&key, &noted)?;
        let (subscriber, noted_at) = (subscriber.clone(), self.bank.now());
        Ok(Some(Follower { subscriber, shard, noted, noted_sequence: sequence, noted_at, reached: sequence }))
    }

    /// Reads a page, and makes the deliveries it causes. `None`: another node went on from here, or the endpoint is off or
    /// gone, so that this follower is of no use any more.
    ///
    /// # Errors
    /// A fault: the same step can be made again.
    pub async fn follow(&self, follower: &mut Follower) -> Result<Option<Followed>, Fault> {
        let kinds = match &follower.subscriber.endpoint {
            // What is booked while it is off, it hears of when it is on again: nothing is read over.
            Some(endpoint) => match self.remembered_endpoint(endpoint).await? {
                Some(kinds) => kinds,
                None => return Ok(None),
            },
            None => None,
        };
        let query = EntryQuery { after: follower.reached, limit: PAGE_ENTRIES };
        let entries = self.bank.store(follower.shard).follow(query).await?;
        let (mut changes, mut page, mut backlogs) = (Vec::new(), HashSet::new(), Backlogs::default());
        let (mut made_due, mut dropped) = (0, 0);
        let mut reached = follower.reached;
        for entry in &entries {
            let page_so_far = Page { shard: follower.shard, kinds: kinds.as_deref(), made: &page };
            for delivery in self.deliveries(&follower.subscriber, page_so_far, entry).await? {
                if page.insert(delivery.id.clone()) {
                    let delivery = self.bounded(delivery, &mut backlogs).await?;
                    changes.extend(delivery.made()?);
                    let is_waiting = delivery.state == State::Waiting;
                    made_due += usize::from(is_waiting && delivery.due_us <= delivery.changed_us);
                    dropped += usize::from(!is_waiting);
                }
            }
            reached = entry.header.sequence;
            if PAGE_DELIVERIES <= page.len() {
                break;
            }
        }
        let made = page.len();
        let now = self.bank.now();
        let unnoted_us = now.microseconds().saturating_sub(follower.noted_at.microseconds());
        let unnoted = reached - follower.noted_sequence;
        let is_time = UNNOTED_MAX <= unnoted || (0 < unnoted && UNNOTED_US <= unnoted_us);
        if 0 < made || is_time {
            let key = cursor_key(&follower.subscriber, follower.shard);
            let cursor = RecordChange::put(key, &reached)?.expecting(Expected::Exactly(follower.noted.clone()));
            let noted = cursor.value.clone().unwrap_or_default();
            changes.push(cursor);
            if !self.records.change(changes).await? {
                return Ok(None);
            }
            (follower.noted, follower.noted_sequence, follower.noted_at) = (noted, reached, now);
        }
        follower.reached = reached;
        let has_more = reached < self.bank.store(follower.shard).head();
        let is_noted = follower.noted_sequence == reached;
        Ok(Some(Followed { made, made_due, dropped, reached, has_more, is_noted }))
    }

    /// What an entry causes.
    async fn deliveries(
        &self,
        subscriber: &Subscriber,
        page: Page<'_>,
        entry: &EntryRef,
    ) -> Result<Vec<Delivery>, Fault> {
        if let Outcome::Event(Event::CustomerChanged(changed)) = &entry.outcome
            && !matches!(changed.change, CustomerChange::Nothing)
        {
            self.forget_recipient(changed.customer.id);
        }
        let now = self.bank.now();
        let age_us = now.microseconds().saturating_sub(entry.header.time.microseconds());
        if self.settings.stale_after_us < age_us {
            return Ok(Vec::new());
        }
        let began = match ended(entry) {
            Some(transfer) => self.bank.store(page.shard).transfer(transfer).await?,
            None => None,
        };
        let began = began.as_ref();
        let order = began.and_then(TransferView::ordered);
        let began = began.zip(order).map(|(view, (order, _))| {
            let header = &view.transfer.entry.header;
            let step = saga_step(&view.transfer.entry);
            let transferred = step.map_or(&[][..], |step| &step.transferred);
            let hold = step.and_then(|step| step.hold.as_ref());
            let ended_hold = hold.is_some_and(|hold| hold.status != HoldStatus::Held);
            Began { order, transferred, ended_hold, sequence: header.sequence, at: header.time }
        });
        let mut deliveries = Vec::new();
        let mut told: Vec<(u64, CustomerId, String)> = Vec::new();
        for message in messages(entry, began) {
            let customer = match message.whom {
                Whom::Customer(customer) => Some(customer),
                Whom::Owner(account) => self.owner(account).await?,
            };
            let Some(customer) = customer else { continue };
            // Whoever moves money between two accounts of their own is told once: not that it came, if they were told that it
            // went there.
            let (about, facts) = (message.about, &message.facts);
            let end = match facts.credited.filter(|_| facts.transfer.is_some()) {
                Some(true) => facts.account.clone(),
                Some(false) => facts.other_account.clone(),
                None => None,
            };
            let is_debit = facts.credited == Some(false);
            let transfer = end.map(|account| (about, customer, account));
            if !is_debit && transfer.as_ref().is_some_and(|transfer| told.contains(transfer)) {
                continue;
            }
            let place = Place { sequence: entry.header.sequence, at: entry.header.time, now, page };
            let made = self.addressed(subscriber, place, customer, message, began).await?;
            if is_debit && !made.is_empty() {
                told.extend(transfer);
            }
            deliveries.extend(made);
        }
        Ok(deliveries)
    }

    /// The deliveries of a message by this subscriber: none, one, or one for each device.
    async fn addressed(
        &self,
        subscriber: &Subscriber,
        place: Place<'_>,
        customer: CustomerId,
        mut message: Message,
        began: Option<Began<'_>>,
    ) -> Result<Vec<Delivery>, Fault> {
        let Some(recipient) = self.recipient(customer).await? else { return Ok(Vec::new()) };
        if message.kind == Kind::LowBalance {
            match recipient.preference.fell_below(&message.facts) {
                Some(threshold) => message.facts.threshold = Some(threshold),
                None => return Ok(Vec::new()),
            }
            message.facts.balance_before = None;
        }
        let follows = self.follows(subscriber, place, customer, &message, began).await?;
        // Who was told that money left is told what became of it, whatever was chosen since.
        let is_wanted = match &subscriber.endpoint {
            None => recipient.preference.wants(subscriber.channel, message.kind, &message.facts),
            Some(_) => place.page.kinds.is_none_or(|kinds| kinds.contains(&message.kind)),
        };
        if !is_wanted && !follows.iter().any(|first| first.is_known) {
            return Ok(Vec::new());
        }
        if shows_available(message.kind) {
            self.add_available(&mut message.facts).await?;
        }
        let devices = devices(subscriber.channel, &recipient);
        let delivery = |device: Option<&str>| {
            let identity = Identity {
                at: place.at,
                shard: place.page.shard,
                sequence: place.sequence,
                about: &message.topic(),
                customer: customer.number(),
                kind: message.kind,
                subscriber: &subscriber.name(),
                device: device.unwrap_or_default(),
            };
            let first = follows.iter().find(|first| first.device.as_deref() == device && first.is_known);
            let held =
                subscriber.channel.choice().and_then(|_| recipient.preference.held_until(message.kind, place.now));
            Delivery {
                id: identity.id(),
                channel: subscriber.channel,
                endpoint: subscriber.endpoint.clone(),
                device: device.map(str::to_owned),
                shard: place.page.shard.number(),
                sequence: place.sequence,
                customer: customer.number(),
                kind: message.kind,
                facts: message.facts.clone(),
                follows: first.map(|first| first.id.clone()),
                state: State::Waiting,
                attempts: 0,
                booked_us: place.at.microseconds(),
                due_us: held.unwrap_or(place.now).microseconds(),
                changed_us: place.now.microseconds(),
                code: None,
                provider_id: None,
                reason: None,
                since_us: None,
            }
        };
        Ok(devices.iter().map(|device| delivery(device.as_deref())).collect())
    }

    /// The first message of a transfer between shards, for the one that tells its end.
    async fn follows(
        &self,
        subscriber: &Subscriber,
        place: Place<'_>,
        customer: CustomerId,
        message: &Message,
        began: Option<Began<'_>>,
    ) -> Result<Vec<First>, Fault> {
        let is_end = matches!(message.kind, Kind::TransferCompleted | Kind::TransferFailed);
        let Some(began) = began.filter(|_| is_end) else { return Ok(Vec::new()) };
        let Some(recipient) = self.recipient(customer).await? else { return Ok(Vec::new()) };
        let mut firsts = Vec::new();
        for device in devices(subscriber.channel, &recipient) {
            let identity = Identity {
                at: began.at,
                shard: place.page.shard,
                sequence: began.sequence,
                about: &message.topic(),
                customer: customer.number(),
                kind: Kind::TransferPending,
                subscriber: &subscriber.name(),
                device: device.as_deref().unwrap_or_default(),
            };
            let id = identity.id();
            let is_known = place.page.made.contains(&id) || self.records.get(&delivery_key(&id)).await?.is_some();
            firsts.push(First { device, id, is_known });
        }
        Ok(firsts)
    }

    /// Adds what can be spent: what is reserved and the overdraft are those of now, which the entry does not say.
    async fn add_available(&self, facts: &mut Facts) -> Result<(), Fault> {
        let account: Option<AccountId> = facts.account.as_deref().and_then(|account| account.parse().ok());
        let Some(account) = account else { return Ok(()) };
        let Some(account) = self.bank.account(account).await? else { return Ok(()) };
        let beyond = account.available() - account.balance;
        facts.available = Some(facts.balance.unwrap_or(account.balance) + beyond);
        Ok(())
    }
}

/// What is being read.
#[derive(Clone, Copy, Debug)]
struct Page<'a> {
    shard: ShardId,
    /// What an endpoint is told; everything where it is not said.
    kinds: Option<&'a [Kind]>,
    /// What the entries before caused that is not durable yet.
    made: &'a HashSet<String>,
}

#[derive(Clone, Copy, Debug)]
struct Place<'a> {
    page: Page<'a>,
    sequence: Sequence,
    at: Timestamp,
    now: Timestamp,
}

struct First {
    device: Option<String>,
    id: String,
    is_known: bool,
}

const fn shows_available(kind: Kind) -> bool {
    matches!(kind, Kind::Withdrawal | Kind::HoldPlaced | Kind::HoldVoided | Kind::HoldExpired)
}

/// Where a channel leads for a customer: nowhere, to one address, or to several devices.
pub(super) fn devices(channel: Channel, recipient: &Recipient) -> Vec<Option<String>> {
    let one = |is_there: bool| if is_there { vec![None] } else { Vec::new() };
    match channel {
        Channel::Email => one(recipient.has_email),
        Channel::Sms | Channel::Whatsapp => one(recipient.has_phone),
        Channel::Webhook => one(true),
        Channel::Fcm | Channel::WebPush => {
            let of_channel = recipient.devices.iter().filter(|device| device.channel == channel);
            of_channel.map(|device| Some(device.id.clone())).collect()
        }
    }
}
