//! Bugs planted on purpose, to show that the auditor finds such. Each is a layer over a shard's store, or over a node's
//! connection to one: production code has no switches for them.

mod answers;
mod effects;
mod moves;
mod reads;
mod sagas;
mod twist;

use crate::random::Dice;
use crate::shard::Memory;
use ledger::command::Receive;
use std::sync::Arc;
use store::Store;
use store::query::Positions;
use twist::Twisted;

pub use moves::Siblings;

/// A planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// A store forgets idempotency keys now and then.
    KeyForgotten,
    /// A node repeats on its own what got no answer, without its key.
    RepeatedWithoutKey,
    /// A store answers before it publishes: readers see the block before.
    AnsweredBeforePublished,
    /// A store answers before it is durable, and loses its last entry.
    AnsweredBeforeDurable,
    /// A store acknowledges what it never does.
    AcknowledgedOnly,
    /// A node says no when it does not know.
    FaultAsRejection,
    /// A store answers a repeated request with another's answer.
    AnswerOfAnother,
    /// An atomic batch that is rejected leaves its first transfers behind.
    PartOfBatch,
    /// A transfer of several legs loses the last.
    LegLost,
    /// An exchange loses what the bank keeps of it.
    ResultLost,
    /// A second reversal goes through.
    ReversedTwice,
    /// Funds are not always checked.
    FundsUnchecked,
    /// A freeze is acknowledged and not recorded.
    FreezeForgotten,
    /// The time of a shard goes back with the clock of whoever commits.
    TimeGoesBack,
    /// Ids are given out by the second, and twice.
    IdGivenTwice,
    /// A node shows accounts as it saw them first.
    StaleCache,
    /// A step between shards that comes twice is credited twice.
    CreditedAgain,
    /// A refund is made twice.
    RefundedTwice,
    /// A coordinator refunds what takes long, though nobody refused it.
    RefundedAfterTimeout,
    /// A coordinator refunds what the other shard did.
    RefundedWithoutRefusal,
    /// A refusal gets lost on its way home.
    RefusalForgotten,
    /// What was promised is posted though the transfer was aborted.
    AbortPosted,
    /// A message is taken though one before it is missing.
    GapTaken,
    /// The position of a message is noted before its effect.
    PositionBeforeEffect,
    /// A second reversal goes through on the shard of whoever got the money.
    ReversedFromTwoShards,
    /// A shard that an account left is not asked for the keys that were used there.
    KeyForgottenByMove,
    /// A shard shows what an account left behind as if it were still there.
    LeftBehindShown,
    /// An account arrives without its holds.
    HoldsLeftBehind,
    /// A message that comes twice brings an account's money twice.
    ArrivedTwice,
    /// A step that comes twice, and for the second time after its account moved, is credited where the account is now.
    RedeliveredAfterMove,
}

impl Plant {
    /// Every planted bug, with the claim under which it is found, and the count of seeds within which it is.
    pub const ALL: [(Plant, &'static str, u64); 30] = [
        (Plant::KeyForgotten, "a request has one effect", 10),
        (Plant::RepeatedWithoutKey, "a request has one effect", 10),
        (Plant::AnsweredBeforePublished, "reads see what was acknowledged", 10),
        (Plant::AnsweredBeforeDurable, "what is acknowledged is in the books", 10),
        (Plant::AcknowledgedOnly, "what is acknowledged is in the books", 10),
        (Plant::FaultAsRejection, "what is rejected moves nothing", 10),
        (Plant::AnswerOfAnother, "who asks again hears the same", 10),
        (Plant::PartOfBatch, "what is rejected moves nothing", 30),
        (Plant::LegLost, "the effect is what was asked for", 10),
        (Plant::ResultLost, "the effect is what was asked for", 30),
        (Plant::ReversedTwice, "a transfer is reversed once", 30),
        (Plant::FundsUnchecked, "no account is below its overdraft without a forced posting", 10),
        (Plant::FreezeForgotten, "frozen and closed accounts keep their money", 30),
        (Plant::TimeGoesBack, "the time of a shard never goes back", 10),
        (Plant::IdGivenTwice, "no id is given out twice", 10),
        (Plant::StaleCache, "reads see what was acknowledged", 10),
        (Plant::CreditedAgain, "nothing arrives that was not sent", 10),
        (Plant::RefundedTwice, "nothing arrives that was not sent", 30),
        (Plant::RefundedAfterTimeout, "nothing arrives that was not sent", 30),
        (Plant::RefundedWithoutRefusal, "nothing arrives that was not sent", 30),
        (Plant::RefusalForgotten, "nothing is left between shards", 30),
        (Plant::AbortPosted, "a transfer takes effect as a whole or not at all", 30),
        (Plant::GapTaken, "transfers between shards end", 30),
        (Plant::PositionBeforeEffect, "transfers between shards end", 30),
        (Plant::ReversedFromTwoShards, "a transfer is reversed once", 100),
        (Plant::KeyForgottenByMove, "a request has one effect", 300),
        (Plant::LeftBehindShown, "reads see what was acknowledged", 30),
        (Plant::HoldsLeftBehind, "holds are those that were acknowledged", 30),
        (Plant::ArrivedTwice, "every transfer was asked for", 10),
        (Plant::RedeliveredAfterMove, "a request has one effect", 400),
    ];

    /// The bug with this name.
    pub fn from_name(name: &str) -> Option<Plant> {
        Plant::ALL.into_iter().map(|(plant, ..)| plant).find(|plant| format!("{plant:?}") == name)
    }

    /// Whether it is about accounts that move: then some move in every world of several shards.
    pub fn is_about_moves(self) -> bool {
        matches!(
            self,
            Plant::KeyForgottenByMove
                | Plant::LeftBehindShown
                | Plant::HoldsLeftBehind
                | Plant::ArrivedTwice
                | Plant::RedeliveredAfterMove
        )
    }

    /// The store of a shard with this bug.
    pub fn in_shard(self, memory: Memory, dice: &Dice, siblings: &Siblings) -> Arc<dyn Store> {
        let (dice, siblings) = (dice.clone(), siblings.clone());
        let store: Arc<dyn Store> = memory.store.clone();
        siblings.add(store.clone());
        match self {
            Plant::KeyForgotten => Arc::new(Twisted(effects::KeyForgotten { store, dice })),
            Plant::AnsweredBeforePublished => Arc::new(Twisted(reads::Unpublished::new(memory, dice))),
            Plant::AnsweredBeforeDurable => Arc::new(Twisted(reads::Undurable::new(memory, dice))),
            Plant::AcknowledgedOnly => Arc::new(Twisted(answers::AcknowledgedOnly { store, dice })),
            Plant::AnswerOfAnother => Arc::new(Twisted(answers::AnswerOfAnother { store })),
            Plant::PartOfBatch => Arc::new(Twisted(effects::PartOfBatch { store })),
            Plant::LegLost => Arc::new(Twisted(effects::LegLost { store })),
            Plant::ResultLost => Arc::new(Twisted(effects::ResultLost { store })),
            Plant::ReversedTwice => Arc::new(Twisted(effects::ReversedTwice::new(store))),
            Plant::FundsUnchecked => Arc::new(Twisted(effects::FundsUnchecked { store, dice })),
            Plant::FreezeForgotten => Arc::new(Twisted(answers::FreezeForgotten { store })),
            Plant::TimeGoesBack => Arc::new(Twisted(answers::TimeGoesBack { store })),
            Plant::IdGivenTwice => Arc::new(Twisted(answers::IdGivenTwice { store })),
            Plant::CreditedAgain => Arc::new(Twisted(sagas::CreditedAgain { store })),
            Plant::RefundedTwice => Arc::new(Twisted(sagas::RefundedTwice::new(store))),
            Plant::RefundedAfterTimeout => Arc::new(Twisted(sagas::RefundedAfterTimeout::new(store))),
            Plant::RefundedWithoutRefusal => altered(store, sagas::refuse_sometimes),
            Plant::RefusalForgotten => altered(store, sagas::forget_refusal),
            Plant::AbortPosted => altered(store, sagas::post_always),
            Plant::GapTaken => altered(store, sagas::take_over_gaps),
            Plant::PositionBeforeEffect => Arc::new(Twisted(sagas::PositionBeforeEffect::new(store, dice))),
            Plant::ReversedFromTwoShards => Arc::new(Twisted(moves::ReversedFromTwoShards { store, siblings })),
            Plant::KeyForgottenByMove => Arc::new(Twisted(moves::KeyForgottenByMove { store })),
            Plant::LeftBehindShown => Arc::new(Twisted(moves::LeftBehindShown { store })),
            Plant::HoldsLeftBehind => altered(store, moves::leave_holds_behind),
            Plant::ArrivedTwice => Arc::new(Twisted(moves::ArrivedTwice { store })),
            Plant::RedeliveredAfterMove => Arc::new(Twisted(moves::RedeliveredAfterMove { store, siblings })),
            Plant::RepeatedWithoutKey | Plant::FaultAsRejection | Plant::StaleCache => store,
        }
    }

    /// A node's connection with this bug.
    pub fn in_connection(self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        match self {
            Plant::RepeatedWithoutKey => Arc::new(Twisted(effects::RepeatedWithoutKey { store })),
            Plant::FaultAsRejection => Arc::new(Twisted(answers::FaultAsRejection { store })),
            Plant::StaleCache => Arc::new(Twisted(reads::StaleCache::new(store))),
            _ => store,
        }
    }
}

fn altered(store: Arc<dyn Store>, alter: fn(&mut Receive, &Positions)) -> Arc<dyn Store> {
    Arc::new(Twisted(sagas::Altered { store, alter }))
}
