//! Deliveries: what is to be sent to whom by which way, and what became of it. Each has an id that follows from what it
//! is about, so that it is the same again after a crash.
//!
//! Records, all under `notification/`:
//!
//! | key | what |
//! |---|---|
//! | `cursor/SUBSCRIBER/SHARD` | how far a subscriber has read a shard's journal |
//! | `delivery/ID` | a delivery; ids begin with the time, inverted, so that the newest come first |
//! | `due/SUBSCRIBER/SHARD/TIME/ID` | the same while it waits, under the time from which on it may be sent |
//! | `urgent/SUBSCRIBER/SHARD/TIME/ID` | the same for what is sent before everything else |
//! | `backlog/SUBSCRIBER/CUSTOMER/DEVICE/QUEUE/ID` | that it waits, where it is for a device, and how that counts |
//! | `of/CUSTOMER/ID` | that it is a customer's |
//! | `failed/ID` | that it failed |
//! | `preference/CUSTOMER`, `device/CUSTOMER/ID`, `endpoint/ID` | what was set up by calls |
//! | `device_owner/ID` | the customer whose device it is: the last one it was registered for |

use super::kind::{Channel, Kind};
use super::message::Facts;
use crate::ports::{Expected, RecordChange};
use ledger::ids::{Sequence, ShardId};
use ledger::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::Fault;

/// Digits of the time at the beginning of an id: enough for a century, in microseconds.
const TIME_DIGITS: usize = 13;
const TIME_END: u64 = 1 << (4 * TIME_DIGITS);
/// Digits of an id in all, which is as long as the topic of a Web Push message may be.
pub const ID_DIGITS: usize = 32;

/// Somebody who follows the journal for messages: a channel, or one endpoint of webhooks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subscriber {
    /// The channel.
    pub channel: Channel,
    /// The endpoint, for webhooks.
    pub endpoint: Option<String>,
}

impl Subscriber {
    /// The one of a channel.
    pub fn channel(channel: Channel) -> Subscriber {
        Subscriber { channel, endpoint: None }
    }

    /// The one of an endpoint of webhooks.
    pub fn endpoint(id: &str) -> Subscriber {
        Subscriber { channel: Channel::Webhook, endpoint: Some(id.to_owned()) }
    }

    /// Its name in keys and metrics.
    pub fn name(&self) -> String {
        match &self.endpoint {
            Some(endpoint) => format!("{}-{endpoint}", self.channel.name()),
            None => self.channel.name().to_owned(),
        }
    }
}

/// What makes a delivery the one it is.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// When the entry was booked.
    pub at: Timestamp,
    /// The shard of the entry.
    pub shard: ShardId,
    /// The entry; 0 for what is in no journal.
    pub sequence: Sequence,
    /// What the message is about, among those of the entry.
    pub about: &'a str,
    /// The customer.
    pub customer: u64,
    /// What it says.
    pub kind: Kind,
    /// The subscriber.
    pub subscriber: &'a str,
    /// The device, where there can be several.
    pub device: &'a str,
}

impl Identity<'_> {
    /// The id: the time inverted and a hash, in 32 hexadecimal digits. It is the same wherever and whenever it is made.
    pub fn id(&self) -> String {
        let mut hasher = blake3::Hasher::new_derive_key("florin v1 id of a delivery");
        for number in [u64::from(self.shard.number()), self.sequence, self.customer] {
            hasher.update(&number.to_le_bytes());
        }
        for text in [self.about, self.kind.name(), self.subscriber, self.device] {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        let hash = hasher.finalize().to_hex();
        format!("{}{}", inverted(self.at), &hash[..ID_DIGITS - TIME_DIGITS])
    }
}

fn inverted(at: Timestamp) -> String {
    format!("{:013x}", TIME_END - 1 - at.microseconds().min(TIME_END - 1))
}

/// Whether a text can be the id of a delivery.
pub fn is_id(text: &str) -> bool {
    text.len() == ID_DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is to be sent, or sent again.
    Waiting,
    /// The provider took it.
    Sent,
    /// It was written to the outbox: nobody was sent anything.
    Outbox,
    /// It failed for good, or too often: a person decides.
    Failed,
    /// There was nobody to send it to any more.
    Dropped,
    /// A person decided that it shall not be sent.
    Discarded,
}

impl State {
    /// Every one of them.
    pub const ALL: [State; 6] =
        [State::Waiting, State::Sent, State::Outbox, State::Failed, State::Dropped, State::Discarded];

    /// The word for it on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Sent => "sent",
            State::Outbox => "outbox",
            State::Failed => "failed",
            State::Dropped => "dropped",
            State::Discarded => "discarded",
        }
    }
}

/// One message on its way to one customer, or one endpoint. It holds nothing personal: where it goes is looked up when it
/// is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Its id, the same for each attempt.
    pub id: String,
    /// The way.
    pub channel: Channel,
    /// The endpoint, for webhooks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The device, for push messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The shard whose journal it comes from.
    pub shard: u16,
    /// The entry it comes from; 0 for what is in no journal.
    pub sequence: Sequence,
    /// The customer it is for or about.
    pub customer: u64,
    /// What it says.
    pub kind: Kind,
    /// What there is to say.
    pub facts: Facts,
    /// The delivery that it goes on from, which is sent first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows: Option<String>,
    /// Where it stands.
    pub state: State,
    /// How often it was tried.
    pub attempts: u32,
    /// When the entry was booked, in microseconds since 1970.
    pub booked_us: u64,
    /// From when on it is sent next.
    pub due_us: u64,
    /// When it came to where it stands.
    pub changed_us: u64,
    /// Why it failed or waits: a stable word, with the provider's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What the provider calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<String>,
    /// Why a person discarded it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when it is tried, once it was; anew when a person has it sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_us: Option<u64>,
}

/// How long what could be sent may wait before it counts among what is too much for a device.
const LONG_US: u64 = 60_000_000;

/// How what waits counts among what waits for the same device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InBacklog {
    /// It says what became of something: it counts by itself.
    End,
    /// It counts among what has waited for long from this time on, in microseconds: from the first when it was tried.
    CountsFrom(u64),
}

impl InBacklog {
    const END: &[u8] = b"end";

    /// As its record says it; one that is empty is of a version that counted all.
    pub(crate) fn read(value: &[u8]) -> InBacklog {
        let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
        if value == InBacklog::END { InBacklog::End } else { InBacklog::CountsFrom(number.unwrap_or(0)) }
    }

    fn bytes(self) -> Vec<u8> {
        match self {
            InBacklog::End => InBacklog::END.to_vec(),
            InBacklog::CountsFrom(from_us) => from_us.to_string().into_bytes(),
        }
    }
}

/// What of a subscriber's on a shard is sent first, and the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// What is urgent.
    Urgent,
    /// Everything else.
    Ordinary,
}

impl Queue {
    /// Both, the first first.
    pub const ALL: [Queue; 2] = [Queue::Urgent, Queue::Ordinary];

    /// Where its records are.
    pub(crate) const fn prefix(self) -> &'static str {
        match self {
            Queue::Urgent => "notification/urgent/",
            Queue::Ordinary => "notification/due/",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Queue::Urgent => "urgent",
            Queue::Ordinary => "ordinary",
        }
    }
}

impl Delivery {
    /// Whether the journal has it again, should it be needed.
    pub const fn is_of_journal(&self) -> bool {
        self.sequence != 0
    }

    /// Who sends it.
    pub fn subscriber(&self) -> Subscriber {
        Subscriber { channel: self.channel, endpoint: self.endpoint.clone() }
    }

    /// Where it stands in the queue of what waits.
    pub(crate) fn due_key(&self) -> String {
        format!("{}{:013x}/{}", due_prefix(self.queue(), &self.subscriber(), self.shard), self.due_us, self.id)
    }

    fn queue(&self) -> Queue {
        if self.kind.is_urgent() { Queue::Urgent } else { Queue::Ordinary }
    }

    /// Where it is noted that it waits beside others for the same device; `None` where it is for none.
    pub(crate) fn backlog_prefix(&self) -> Option<String> {
        let (device, subscriber) = (self.device.as_ref()?, self.subscriber().name());
        Some(format!("{ROOT}backlog/{subscriber}/{:016x}/{device}/{}/", self.customer, self.queue().name()))
    }

    fn backlog_key(&self) -> Option<String> {
        Some(format!("{}{}", self.backlog_prefix()?, self.id))
    }

    /// How it counts while it waits.
    pub(crate) fn in_backlog(&self) -> InBacklog {
        match self.attempts {
            _ if self.follows.is_some() || self.kind == Kind::TransferFailed => InBacklog::End,
            0 => InBacklog::CountsFrom(self.due_us.saturating_add(LONG_US)),
            _ => InBacklog::CountsFrom(0),
        }
    }

    /// What notes that it waits, where it is for a device.
    fn backlog_record(&self) -> Option<RecordChange> {
        let (key, value) = (self.backlog_key()?, Some(self.in_backlog().bytes()));
        Some(RecordChange { key, expected: Expected::Anything, value })
    }

    pub(crate) fn bytes(&self) -> Result<Vec<u8>, Fault> {
        let failed = |error| Fault::Corrupt { detail: format!("the delivery {} cannot be written: {error}", self.id) };
        serde_json::to_vec(self).map_err(failed)
    }

    /// What makes it known.
    pub(crate) fn made(&self) -> Result<Vec<RecordChange>, Fault> {
        let bytes = self.bytes()?;
        let record =
            |key: String, value: Vec<u8>| RecordChange { key, expected: Expected::Anything, value: Some(value) };
        let mut changes = vec![record(delivery_key(&self.id), bytes.clone()), record(of_key(self), Vec::new())];
        match self.state {
            State::Waiting => {
                changes.push(record(self.due_key(), bytes));
                changes.extend(self.backlog_record());
            }
            State::Failed => changes.push(record(failed_key(&self.id), Vec::new())),
            _ => {}
        }
        Ok(changes)
    }

    /// The same where nothing else says whether it is known: nothing is changed if it is.
    pub(crate) fn made_once(&self) -> Result<Vec<RecordChange>, Fault> {
        let key = delivery_key(&self.id);
        let once = |change: RecordChange| match change.key == key {
            true => change.expecting(Expected::Absent),
            false => change,
        };
        Ok(self.made()?.into_iter().map(once).collect())
    }

    /// What makes it `next`, if it still is as it was.
    pub(crate) fn becomes(&self, next: &Delivery) -> Result<Vec<RecordChange>, Fault> {
        let bytes = next.bytes()?;
        let expected = Expected::Exactly(self.bytes()?);
        let mut changes = vec![RecordChange { key: delivery_key(&self.id), expected, value: Some(bytes.clone()) }];
        let put = |key: String, value: Vec<u8>| RecordChange { key, expected: Expected::Anything, value: Some(value) };
        // No key is changed twice by one call.
        let stays = next.state == State::Waiting && next.due_key() == self.due_key();
        if self.state == State::Waiting && !stays {
            changes.push(RecordChange::remove(self.due_key()));
        }
        match (self.state == State::Waiting, next.state == State::Waiting) {
            (true, false) => changes.extend(self.backlog_key().map(RecordChange::remove)),
            (false, true) => changes.extend(next.backlog_record()),
            (true, true) if self.in_backlog() != next.in_backlog() => changes.extend(next.backlog_record()),
            _ => {}
        }
        if self.state == State::Failed && next.state != State::Failed {
            changes.push(RecordChange::remove(failed_key(&self.id)));
        }
        match next.state {
            State::Waiting => changes.push(put(next.due_key(), bytes)),
            State::Failed => changes.push(put(failed_key(&next.id), Vec::new())),
            _ => {}
        }
        Ok(changes)
    }
}

pub(crate) const ROOT: &str = "notification/";

pub(crate) fn cursor_key(subscriber: &Subscriber, shard: ShardId) -> String {
    format!("{ROOT}cursor/{}/{:04}", subscriber.name(), shard.number())
}

pub(crate) fn delivery_key(id: &str) -> String {
    format!("{ROOT}delivery/{id}")
}

pub(crate) fn due_prefix(queue: Queue, subscriber: &Subscriber, shard: u16) -> String {
    format!("{}{}/{shard:04}/", queue.prefix(), subscriber.name())
}

pub(crate) fn of_prefix(customer: u64) -> String {
    format!("{ROOT}of/{customer:016x}/")
}

fn of_key(delivery: &Delivery) -> String {
    format!("{}{}", of_prefix(delivery.customer), delivery.id)
}

pub(crate) fn failed_key(id: &str) -> String {
    format!("{ROOT}failed/{id}")
}

/// When what has this id was booked; `None` for what is none.
pub fn booked_at(id: &str) -> Option<Timestamp> {
    let inverted = u64::from_str_radix(id.get(..TIME_DIGITS).filter(|_| is_id(id))?, 16).ok()?;
    Timestamp::from_microseconds(TIME_END - 1 - inverted)
}

/// The key after which deliveries come that were booked before this time.
pub(crate) fn booked_before(at: Timestamp) -> String {
    // `g` comes after every hexadecimal digit.
    format!("{}g", delivery_key(&inverted(at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity<'static> {
        Identity {
            at: "2026-11-21T10:00:00Z".parse().expect("a time"),
            shard: ShardId::default(),
            sequence: 7,
            about: "9",
            customer: 1,
            kind: Kind::Deposit,
            subscriber: "email",
            device: "",
        }
    }

    #[test]
    fn an_id_never_changes_and_is_another_for_everything_else() {
        assert_eq!(identity().id(), identity().id());
        assert_eq!(identity().id(), "99f399385d7ff019139bbcc465674867", "part of what providers know");
    }

    #[test]
    fn newer_deliveries_come_first() {
        let later = Identity { at: identity().at.saturating_add(1), ..identity() };
        assert!(later.id() < identity().id());
        assert!(delivery_key(&later.id()) < booked_before(identity().at.saturating_add(1)));
        assert_eq!(booked_at(&later.id()), Some(later.at));
        assert!(booked_before(identity().at.saturating_add(1)) < delivery_key(&identity().id()));
    }
}
