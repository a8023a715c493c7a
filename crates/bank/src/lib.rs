//! The bank's use cases: who may ask what, which shard decides it, under which idempotency key.
//!
//! Everything goes through one door, [`Bank::submit`] and its siblings, whether it came from a request, a file or a
//! timer. There is no HTTP here, no runtime, no clock and no thread: futures that any executor can poll, and ports for
//! the rest. Nothing here decides about money; the rule book does, behind `store::Store`.

mod between;
pub mod business_date;
pub mod calendar;
pub mod clearing;
pub mod dead_letter;
pub mod digest;
pub mod error;
pub mod event;
pub mod exchange;
pub mod fee;
pub mod history;
pub mod holidays;
pub mod ingest;
pub mod interest;
pub mod journal;
pub mod lease;
pub mod line;
pub mod locale;
pub mod month;
pub mod moving;
pub mod notification;
pub mod placement;
pub mod ports;
pub mod profile;
pub mod read;
pub mod records;
pub mod relay;
pub mod schedule;
pub mod sealing;
pub mod shards;
pub mod slot_map;
pub mod split;
pub mod standing_order;
pub mod statement;
pub mod subjects;
pub mod submit;
pub mod timer;
pub mod token;
pub mod transfer;

use digest::Digests;
use history::Histories;
use ledger::account::SystemAccount;
use ledger::event::{Channel, Context};
use ledger::ids::{AccountId, CustomerId, ShardId, slot};
use ledger::time::Timestamp;
use ledger::token::Role;
use placement::Placement;
use ports::{Env, Keyring};
use sealing::PayloadKey;
use slot_map::SlotMap;
use std::sync::{Arc, RwLock};
use store::{Fault, Store};
use token::TokenCache;

/// Who asks, what they may do, and how it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The name a token was given; the namespace of idempotency keys.
    pub principal: Box<str>,
    /// What they may do.
    pub role: Role,
    /// The way in.
    pub channel: Channel,
    /// What ties this to a request elsewhere; empty when nothing does.
    pub correlation: Box<str>,
}

/// The principal of what the bank does by its own clock.
const BANK: &str = "florin";
/// The principal of whoever has the machine or the data folder.
const LOCAL: &str = "local";
/// The principal of whoever reads a file by its signed link.
pub const LINK: &str = "link";
/// Principals that are no token's name.
pub(crate) const RESERVED_PRINCIPALS: [&str; 3] = [BANK, LOCAL, LINK];

impl Caller {
    /// Whoever has the machine or the data folder: the principal `local`, who may do everything.
    pub fn local(channel: Channel) -> Caller {
        Caller { principal: LOCAL.into(), role: Role::Admin, channel, correlation: "".into() }
    }

    /// The bank itself, at its own clock. Its idempotency keys are in a namespace of their own.
    pub(crate) fn bank() -> Caller {
        Caller { principal: BANK.into(), role: Role::Admin, channel: Channel::Timer, correlation: "".into() }
    }

    /// Whether it is the bank itself: no token comes in at the clock.
    fn is_bank(&self) -> bool {
        self.channel == Channel::Timer && *self.principal == *BANK
    }

    fn context(&self) -> Arc<Context> {
        Arc::new(Context {
            principal: self.principal.clone(),
            channel: self.channel,
            correlation: self.correlation.clone(),
            cause: None,
        })
    }
}

/// A bank over its shards. Cheap to share behind an `Arc`.
pub struct Bank {
    shards: Vec<Arc<dyn Store>>,
    placement: RwLock<Arc<Placement>>,
    env: Arc<dyn Env>,
    keyring: Arc<dyn Keyring>,
    digests: Digests,
    payload_key: PayloadKey,
    tokens: TokenCache,
    histories: Histories,
    effective_at_days_max: Option<u16>,
}

impl Bank {
    /// A bank over these shards, which stand in the order of their numbers, 0 first.
    ///
    /// # Panics
    /// If there is no shard, there are more than 1,024, or they are not in order: a mistake of the program, not of data.
    pub fn new(shards: Vec<Arc<dyn Store>>, env: Arc<dyn Env>, keyring: Arc<dyn Keyring>) -> Bank {
        let dealt = SlotMap::new(shards.len()).expect("a bank has 1 to 1,024 shards");
        let placement = RwLock::new(Arc::new(Placement::dealt(dealt)));
        let in_order = shards.iter().enumerate().all(|(index, shard)| usize::from(shard.shard().number()) == index);
        assert!(in_order, "shards stand in the order of their numbers");
        let digests = Digests::new(&shards[0].secret());
        let histories = Histories::new(blake3::derive_key("florin v1 shared histories", &shards[0].secret()));
        Bank {
            shards,
            placement,
            env,
            keyring,
            digests,
            payload_key: PayloadKey::default(),
            tokens: TokenCache::default(),
            histories,
            effective_at_days_max: None,
        }
    }

    /// The shards in order.
    pub fn shards(&self) -> &[Arc<dyn Store>] {
        &self.shards
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        self.env.now()
    }

    /// The world outside.
    pub fn env(&self) -> &Arc<dyn Env> {
        &self.env
    }

    /// A secret for one purpose, such as the signatures of cursors; it is the same for as long as the data exists.
    pub fn derived_secret(&self, purpose: &str) -> [u8; 32] {
        blake3::derive_key(purpose, &self.shards[0].secret())
    }

    /// The shard an account is on, if it exists, as far as this node knows: the shard itself says so if it is on another.
    /// An id that no account can have counts to shard 0, which says so.
    pub fn shard_of_account(&self, id: AccountId) -> ShardId {
        if self.shards.len() == 1 {
            return ShardId::default();
        }
        match SystemAccount::from_id(id) {
            Some(system) => self.known(system.shard),
            None => self.placement().shard_of(slot(id.number()), id),
        }
    }

    /// The shard on which a customer with this id is registered now. One registered before its slot moved stays where it
    /// was.
    pub fn shard_of_user(&self, id: CustomerId) -> ShardId {
        self.placement().owner(slot(id.number()))
    }

    /// The shard that gave out the id of a transfer, hold, dead letter or token; shard 0 for an id that none gave out.
    pub fn shard_of_generated(&self, id: u64) -> ShardId {
        self.known(ShardId::of_generated(id))
    }

    /// The store of a shard.
    ///
    /// # Panics
    /// If the bank has no such shard; take the number from one of the functions above, or from [`Bank::shards`].
    pub fn store(&self, shard: ShardId) -> &Arc<dyn Store> {
        &self.shards[usize::from(shard.number())]
    }

    /// The store of a shard that another shard named, which may know of more shards than this node.
    ///
    /// # Errors
    /// `Unavailable` for a shard that this bank was not opened with.
    pub(crate) fn reach(&self, shard: ShardId) -> Result<&Arc<dyn Store>, Fault> {
        self.shards.get(usize::from(shard.number())).ok_or_else(|| Fault::Unavailable {
            reason: format!("this node is not configured for shard {shard}; start it again with all shards"),
        })
    }

    fn known(&self, shard: ShardId) -> ShardId {
        if usize::from(shard.number()) < self.shards.len() { shard } else { ShardId::default() }
    }
}
