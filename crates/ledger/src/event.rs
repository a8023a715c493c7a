//! What was decided, and the journal entry it becomes.

use crate::account::Account;
use crate::customer::{Customer, ProfileField, Sealed};
use crate::dead_letter::DeadLetter;
use crate::hold::Hold;
use crate::ids::Sequence;
use crate::rejection::Rejection;
use crate::saga::SagaStep;
use crate::slots::SlotChange;
use crate::time::{Day, Timestamp};
use crate::token::Token;
use crate::transfer::Transferred;
use std::sync::Arc;

/// An idempotency key and what was meant by it. Both are keyed digests: short, and telling nothing personal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Of namespace, home and the client's text.
    pub digest: u128,
    /// Of what the client said, before defaults and before anything is resolved.
    pub fingerprint: u128,
}

/// The way a command came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// A request.
    Http,
    /// A file or a pipe.
    File,
    /// A topic.
    Kafka,
    /// The bank's own clock.
    Timer,
    /// A step of a transfer between shards.
    Saga,
}

impl Channel {
    /// Every channel, in the order of its number in files.
    pub const ALL: [Channel; 5] = [Channel::Http, Channel::File, Channel::Kafka, Channel::Timer, Channel::Saga];

    /// The word for it on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Channel::Http => "http",
            Channel::File => "file",
            Channel::Kafka => "kafka",
            Channel::Timer => "timer",
            Channel::Saga => "saga",
        }
    }
}

/// Who asked, and how: the same for everything that comes in together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Context {
    /// The name a token was given.
    pub principal: Box<str>,
    /// The way in.
    pub channel: Channel,
    /// What ties this to a request elsewhere; empty when nothing does.
    pub correlation: Box<str>,
    /// The entry of this shard that led to this one.
    pub cause: Option<Sequence>,
}

/// What precedes every outcome. The rule book takes time, place and identity from here and from nowhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The entry's place in the shard's journal.
    pub sequence: Sequence,
    /// The booking time; it never goes back within a shard.
    pub time: Timestamp,
    /// The bank's booking day.
    pub day: Day,
    /// The idempotency key, if there is one.
    pub key: Option<Key>,
    /// Who asked.
    pub context: Arc<Context>,
}

/// What a command came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It took effect.
    Event(Event),
    /// The bank said no.
    Rejection {
        /// In an atomic batch, the index of the transfer that was rejected; else 0.
        index: u32,
        /// Why.
        rejection: Rejection,
    },
}

/// One place of the journal. An event says all that the command said, so the command is not kept beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When, who, under which key.
    pub header: Header,
    /// What.
    pub outcome: Outcome,
}

/// Something that happened. Each variant carries the rows as they are after it, so that replay can check what it
/// rebuilds and a retry can be answered from the entry alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Money moved.
    Transferred(Transferred),
    /// Money moved in several transfers, all or none.
    BatchTransferred(Box<[Transferred]>),
    /// Reserved money moved.
    HoldCaptured(Box<HoldCaptured>),
    /// A hold was placed or ended.
    HoldChanged(Box<HoldChanged>),
    /// An account was opened or changed, other than by money.
    AccountChanged(Box<AccountChanged>),
    /// A customer was registered or changed.
    CustomerChanged(Box<CustomerChanged>),
    /// A dead letter was made or changed.
    DeadLetterChanged(Box<DeadLetterChanged>),
    /// A token was made or ended.
    TokenChanged(Box<Token>),
    /// A transfer between shards went a step on, or an account moved.
    Saga(Box<SagaStep>),
    /// Slots were fenced, opened, given up or taken over.
    SlotsChanged(Box<SlotsChanged>),
}

/// See [`Event::HoldCaptured`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldCaptured {
    /// The hold after it.
    pub hold: Hold,
    /// The transfer it made.
    pub transferred: Transferred,
}

/// What happened to a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldChange {
    /// It was placed.
    Placed,
    /// It was given up.
    Voided,
    /// Its time was over.
    Expired,
    /// Nothing: it was voided already.
    Nothing,
}

/// See [`Event::HoldChanged`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldChanged {
    /// What happened.
    pub change: HoldChange,
    /// The hold after it.
    pub hold: Hold,
}

/// What happened to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountChange {
    /// It was opened.
    Opened,
    /// Its overdraft limit or limits changed.
    TermsChanged,
    /// It was frozen.
    Frozen,
    /// A freeze ended.
    Unfrozen,
    /// It was closed.
    Closed,
    /// Nothing: it was so already.
    Nothing,
}

/// See [`Event::AccountChanged`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountChanged {
    /// What happened.
    pub change: AccountChange,
    /// Whether the shard gave out the id with this entry; else the client chose it, or it was there before.
    pub id_is_generated: bool,
    /// The account after it.
    pub account: Account,
}

/// What happened to a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CustomerChange {
    /// It was registered.
    Registered,
    /// These fields changed.
    Updated(Vec<ProfileField>),
    /// Nothing: it was registered so already.
    Nothing,
}

/// See [`Event::CustomerChanged`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomerChanged {
    /// What happened.
    pub change: CustomerChange,
    /// Whether the shard gave out the id with this entry; else the client chose it, or it was there before.
    pub id_is_generated: bool,
    /// The customer after it.
    pub customer: Customer,
}

/// See [`Event::SlotsChanged`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotsChanged {
    /// What happened.
    pub change: SlotChange,
    /// To which slots; none if it was so already.
    pub slots: Box<[u16]>,
}

/// What happened to a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadLetterChange {
    /// An input failed for good.
    Recorded,
    /// An attempt was begun.
    RedriveBegun,
    /// The attempt was rejected.
    RedriveFailed,
    /// The attempt took effect.
    Redriven,
    /// Somebody gave it up.
    Discarded,
    /// Nothing: it was so already, or an attempt is under way.
    Nothing,
}

/// See [`Event::DeadLetterChanged`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterChanged {
    /// What happened.
    pub change: DeadLetterChange,
    /// The dead letter after it.
    pub dead_letter: DeadLetter,
    /// What came in or was put in its place, sealed.
    pub payload: Option<Sealed>,
}
