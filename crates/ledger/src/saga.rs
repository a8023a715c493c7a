//! Sagas: money that moves between shards, as rows, messages and steps.
//!
//! The home shard of a saga is the one that gave out its id. It asks the other shards with a part in it, its *parts*,
//! and what they answer decides:
//!
//! - One other shard: that shard does its part at once, or refuses it. A yes is final, so it completes the saga; a
//!   recorded no is what a refund needs.
//! - Several: each prepares its part, then the home shard decides, and each posts or releases what it prepared.
//!
//! What a shard prepares is judged by the net effect on each of its accounts: an account that loses money gives it at
//! once, into a clearing account; an account that gains is promised, and gets it when the saga is decided.
//!
//! Messages of a pair of shards carry gapless numbers. The receiver's entry names the number, and a message that does
//! not follow the one before is not taken. So whatever carries them may lose, double and reorder them.

use crate::account::Account;
use crate::currency::Currency;
use crate::customer::Sealed;
use crate::event::{DeadLetterChanged, Entry, Event, Outcome};
use crate::hold::Hold;
use crate::ids::{AccountId, HoldId, Sequence, ShardId, TransferId};
use crate::rejection::Rejection;
use crate::time::{Day, Timestamp};
use crate::transfer::{Leg, LegAmount, Legs, Note, Reversed, TransferKind, Transferred};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One transfer of a saga; an atomic batch has several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordered {
    /// Its id, given out by the home shard.
    pub id: TransferId,
    /// What it is called.
    pub kind: TransferKind,
    /// Its currency.
    pub currency: Currency,
    /// Whether the check of funds is skipped.
    pub forced: bool,
    /// The value date, where one was asked for.
    pub effective_at: Option<Timestamp>,
    /// What moves. All amounts are exact.
    pub legs: Legs,
    /// Reference and metadata.
    pub note: Option<Box<Note>>,
}

impl Ordered {
    /// The sum of all legs in the transfer's own currency, in minor units.
    pub fn amount(&self) -> u128 {
        let minor_units = |amount| match amount {
            LegAmount::Exactly(amount) => u128::from(crate::amount::Amount::minor_units(amount)),
            LegAmount::Max => 0,
        };
        let own = self.legs.iter().filter(|leg| self.currency_of(leg) == self.currency);
        own.map(|leg| minor_units(leg.amount)).sum()
    }

    /// The currency of one of its legs.
    pub fn currency_of(&self, leg: &Leg) -> Currency {
        self.kind.currency_between([leg.from, leg.to], self.currency)
    }
}

/// Where an account is that is not on the home shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The account.
    pub account: AccountId,
    /// Its shard.
    pub shard: ShardId,
}

/// What a saga is to bring about. It never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its transfers, at least one. The id of the first is the saga's.
    pub transfers: Box<[Ordered]>,
    /// The accounts on other shards, each once, by id.
    pub routes: Box<[Route]>,
    /// What it reverses.
    pub reverses: Option<Reversed>,
    /// The hold it captures.
    pub hold: Option<HoldId>,
}

impl Order {
    /// The saga's id.
    ///
    /// # Panics
    /// If it has no transfer, which neither the rule book nor the codec lets pass.
    pub fn id(&self) -> TransferId {
        self.transfers.first().expect("an order has at least one transfer").id
    }

    /// The shard that gave out its ids.
    pub fn home(&self) -> ShardId {
        ShardId::of_generated(self.id().number())
    }

    /// The shard an account is on.
    pub fn shard_of(&self, account: AccountId) -> ShardId {
        let place = self.routes.binary_search_by_key(&account, |route| route.account);
        place.map_or(self.home(), |place| self.routes[place].shard)
    }

    /// The other shards with a part in it, by number.
    pub fn parts(&self) -> BTreeSet<ShardId> {
        self.routes.iter().map(|route| route.shard).collect()
    }

    /// Whether the only other shard decides by what it answers.
    pub fn is_decided_by_part(&self) -> bool {
        self.parts().len() == 1
    }
}

/// Why a saga failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// In an atomic batch, the index of the transfer that was rejected; else 0.
    pub index: u32,
    /// The recorded rejection.
    pub rejection: Rejection,
}

/// How far another shard is with its part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PartState {
    /// It was asked.
    Asked,
    /// It said yes.
    Granted,
    /// It is through: it refused, or did what was decided.
    Done,
}

/// An open saga, as its home shard keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saga {
    /// What it is to bring about.
    pub order: Arc<Order>,
    /// The queued event it came from, sealed: it becomes a dead letter if the saga fails.
    pub payload: Option<Sealed>,
    /// When it began.
    pub started_at: Timestamp,
    /// The booking day it began on, whose limits get their share back from a refund.
    pub day: Day,
    /// Whether it took the last of the hold it captures, so that a refund opens the hold again.
    pub ended_hold: bool,
    /// The other shards, by number.
    pub parts: Box<[(ShardId, PartState)]>,
    /// Whether it is to be posted, once that is decided.
    pub decision: Option<bool>,
    /// Why it fails, once that is decided.
    pub failure: Option<Failure>,
}

impl Saga {
    pub(crate) fn set_part(&mut self, shard: ShardId, state: PartState) {
        if let Some(part) = self.parts.iter_mut().find(|part| part.0 == shard) {
            part.1 = state;
        }
    }

    /// How far a shard is.
    pub fn part(&self, shard: ShardId) -> Option<PartState> {
        self.parts.iter().find(|part| part.0 == shard).map(|part| part.1)
    }
}

/// What a shard prepared for a saga of another and has not posted or released yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The saga's order.
    pub order: Arc<Order>,
    /// The booking day it was prepared on.
    pub day: Day,
}

/// The message of another shard that was taken last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Its number among all that this shard had from that one; 0 for none.
    pub number: u64,
    /// The entry of the sender's journal that has it.
    pub sequence: Sequence,
}

/// What one shard tells another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Do your part of this, or prepare it where several shards have one.
    Take(Arc<Order>),
    /// The part is done or prepared, or it is refused.
    Answer {
        /// The saga.
        saga: TransferId,
        /// Why not; `None` is a yes.
        failure: Option<Failure>,
    },
    /// Post what you prepared, or release it.
    Finish {
        /// The saga.
        saga: TransferId,
        /// Whether to post.
        post: bool,
    },
    /// What was decided is done.
    Done(TransferId),
    /// An operator wants the money back: refuse, unless you answered already.
    Cancel(TransferId),
    /// Take this account over.
    MoveIn {
        /// The transfer that moves its balance.
        transfer: TransferId,
        /// What comes.
        moved: Arc<Moved>,
    },
}

/// An account on its way to another shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The account as it arrives, before its balance is posted there.
    pub account: Account,
    /// The balance that comes with it.
    pub balance: i128,
    /// Its holds, oldest first.
    pub holds: Box<[Hold]>,
}

/// A message on its way, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Who sent it.
    pub from: ShardId,
    /// Whom it is for.
    pub to: ShardId,
    /// Its place: number of the pair, entry of the sender.
    pub position: Position,
    /// What it says.
    pub message: Message,
}

/// What a step of a saga was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepKind {
    /// The home shard took what its accounts give, and asked the others.
    Started,
    /// At home: a shard said yes, others were not heard yet.
    Granted,
    /// At home: all said yes, so it is to be posted.
    Posting,
    /// At home: one refused, so what was prepared is to be released; the home's own is refunded with this step.
    Aborting,
    /// At home: a shard did what was decided, others were not heard yet.
    PartDone,
    /// At home: it succeeded.
    Completed,
    /// At home: it failed and all is refunded.
    Failed,
    /// An operator asked the other shard to refuse it.
    Cancelling,
    /// Elsewhere: the part was done, for good.
    Executed,
    /// Elsewhere: the part was prepared.
    Prepared,
    /// Elsewhere: the part was refused.
    Refused,
    /// Elsewhere: what was prepared was posted.
    Posted,
    /// Elsewhere: what was prepared was released.
    Released,
    /// A message that changes nothing any more.
    Ignored,
    /// An account left for another shard.
    MovedOut,
    /// An account arrived from another shard.
    MovedIn,
}

impl StepKind {
    /// Every kind, in the order of its number in files.
    pub const ALL: [StepKind; 16] = [
        StepKind::Started,
        StepKind::Granted,
        StepKind::Posting,
        StepKind::Aborting,
        StepKind::PartDone,
        StepKind::Completed,
        StepKind::Failed,
        StepKind::Cancelling,
        StepKind::Executed,
        StepKind::Prepared,
        StepKind::Refused,
        StepKind::Posted,
        StepKind::Released,
        StepKind::Ignored,
        StepKind::MovedOut,
        StepKind::MovedIn,
    ];

    /// The word for it on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            StepKind::Started => "started",
            StepKind::Granted => "granted",
            StepKind::Posting => "posting",
            StepKind::Aborting => "aborting",
            StepKind::PartDone => "part_done",
            StepKind::Completed => "completed",
            StepKind::Failed => "failed",
            StepKind::Cancelling => "cancelling",
            StepKind::Executed => "executed",
            StepKind::Prepared => "prepared",
            StepKind::Refused => "refused",
            StepKind::Posted => "posted",
            StepKind::Released => "released",
            StepKind::Ignored => "ignored",
            StepKind::MovedOut => "moved_out",
            StepKind::MovedIn => "moved_in",
        }
    }

    /// Whether its postings give back what an earlier step of the saga took.
    pub const fn is_refund(self) -> bool {
        matches!(self, StepKind::Aborting | StepKind::Released | StepKind::Failed)
    }
}

/// A step of a saga on one shard: an entry of its journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SagaStep {
    /// What it was.
    pub kind: StepKind,
    /// The saga.
    pub saga: TransferId,
    /// The message that led to it: who sent it, and its place.
    pub received: Option<(ShardId, Position)>,
    /// To whom a message goes, and its number; [`messages`] tells what it says.
    pub sent: Box<[(ShardId, u64)]>,
    /// The order: with `Started` and `Prepared`.
    pub order: Option<Arc<Order>>,
    /// What was posted here, by transfer. `Started` names each transfer, with or without postings.
    pub transferred: Box<[Transferred]>,
    /// Why not: with `Refused`, `Aborting` and `Failed`.
    pub failure: Option<Failure>,
    /// The hold it captures as it is after it, where it changed: with `Started`, `Aborting` and `Failed`.
    pub hold: Option<Hold>,
    /// The event that asked for it, sealed: with `Started`.
    pub payload: Option<Sealed>,
    /// What became of that event: with `Failed`.
    pub dead_letter: Option<Box<DeadLetterChanged>>,
    /// The account: with `MovedOut` and `MovedIn`.
    pub moved: Option<Arc<Moved>>,
}

/// What an entry tells other shards.
pub fn messages(shard: ShardId, entry: &Entry) -> Vec<Envelope> {
    let Outcome::Event(Event::Saga(step)) = &entry.outcome else { return Vec::new() };
    let sent = step.sent.iter().filter_map(|(to, number)| {
        let position = Position { number: *number, sequence: entry.header.sequence };
        Some(Envelope { from: shard, to: *to, position, message: message_of(step)? })
    });
    sent.collect()
}

fn message_of(step: &SagaStep) -> Option<Message> {
    let saga = step.saga;
    Some(match step.kind {
        StepKind::Started => Message::Take(step.order.clone()?),
        StepKind::Posting => Message::Finish { saga, post: true },
        StepKind::Aborting => Message::Finish { saga, post: false },
        StepKind::Executed | StepKind::Prepared => Message::Answer { saga, failure: None },
        StepKind::Refused => Message::Answer { saga, failure: step.failure },
        StepKind::Posted | StepKind::Released => Message::Done(saga),
        StepKind::Cancelling => Message::Cancel(saga),
        StepKind::MovedOut => Message::MoveIn { transfer: saga, moved: step.moved.clone()? },
        StepKind::Granted
        | StepKind::PartDone
        | StepKind::Completed
        | StepKind::Failed
        | StepKind::Ignored
        | StepKind::MovedIn => return None,
    })
}

/// The rows of a shard that are about others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sagas {
    open: BTreeMap<TransferId, Saga>,
    parts: BTreeMap<TransferId, Part>,
    reversing: BTreeMap<TransferId, TransferId>,
    /// What came from each shard.
    pub received: BTreeMap<ShardId, Position>,
    /// The number of the last message to each shard.
    pub sent: BTreeMap<ShardId, u64>,
}

impl Sagas {
    /// An open saga of this shard.
    pub fn saga(&self, id: TransferId) -> Option<&Saga> {
        self.open.get(&id)
    }

    /// All open sagas of this shard, the oldest first.
    pub fn open(&self) -> impl DoubleEndedIterator<Item = &Saga> + ExactSizeIterator {
        self.open.values()
    }

    /// What this shard prepared for a saga of another.
    pub fn part(&self, id: TransferId) -> Option<&Part> {
        self.parts.get(&id)
    }

    /// All that this shard prepared for others.
    pub fn parts(&self) -> impl ExactSizeIterator<Item = &Part> {
        self.parts.values()
    }

    /// The open saga that reverses this transfer.
    pub fn reversing(&self, transfer: TransferId) -> Option<TransferId> {
        self.reversing.get(&transfer).copied()
    }

    /// Puts a saga in place of what is known of it.
    pub fn put_saga(&mut self, saga: Saga) {
        let id = saga.order.id();
        if let Some(reversed) = saga.order.reverses {
            self.reversing.insert(reversed.transfer, id);
        }
        self.open.insert(id, saga);
    }

    /// Puts a part in place of what is known of it.
    pub fn put_part(&mut self, part: Part) {
        self.parts.insert(part.order.id(), part);
    }

    pub(crate) fn remove_saga(&mut self, id: TransferId) -> Option<Saga> {
        let saga = self.open.remove(&id)?;
        if let Some(reversed) = saga.order.reverses {
            self.reversing.remove(&reversed.transfer);
        }
        Some(saga)
    }

    pub(crate) fn remove_part(&mut self, id: TransferId) -> Option<Part> {
        self.parts.remove(&id)
    }

    pub(crate) fn saga_mut(&mut self, id: TransferId) -> Option<&mut Saga> {
        self.open.get_mut(&id)
    }

    /// What came last from a shard.
    pub fn received_from(&self, shard: ShardId) -> Position {
        self.received.get(&shard).copied().unwrap_or_default()
    }

    /// The number of the last message to a shard.
    pub fn sent_to(&self, shard: ShardId) -> u64 {
        self.sent.get(&shard).copied().unwrap_or(0)
    }
}
