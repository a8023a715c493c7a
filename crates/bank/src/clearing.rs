//! The clearing accounts of pairs of shards, held against the transfers between them, item by item. That the balances of
//! each shard add up to zero says nothing here: a credit lost or doubled on the way leaves both shards even.

use crate::Bank;
use ledger::account::{SystemAccount, SystemKind};
use ledger::currency::Currency;
use ledger::event::{Entry, Event, Outcome};
use ledger::ids::{AccountId, Sequence, ShardId, TransferId};
use ledger::saga::StepKind;
use ledger::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use store::query::{EntryQuery, PAGE_MAX, TransferStatus};
use store::report::{Check, Progress};
use store::{Fault, transfers_of};

/// Two shards, the lower number first, and a currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pair {
    /// One shard.
    pub first: ShardId,
    /// The other; the same one for what waits at home.
    pub second: ShardId,
    /// The currency.
    pub currency: Currency,
}

impl Pair {
    /// The pair that a clearing account belongs to.
    pub fn of(account: AccountId) -> Option<Pair> {
        let system = SystemAccount::from_id(account).filter(|system| system.kind == SystemKind::Clearing)?;
        let other = ShardId::new(system.ordinal)?;
        let (first, second) = (system.shard.min(other), system.shard.max(other));
        Some(Pair { first, second, currency: system.currency })
    }
}

/// Messages that one shard sent to another, and how many of them that one took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// The sender.
    pub from: ShardId,
    /// The receiver.
    pub to: ShardId,
    /// Messages sent.
    pub sent: u64,
    /// Messages taken.
    pub received: u64,
}

/// One transfer on its way, as the walk has it so far.
#[derive(Default)]
struct Item {
    /// By pair, what the clearing accounts of both shards together have of it.
    sums: BTreeMap<Pair, i128>,
    has_ended: bool,
}

impl Item {
    fn is_even(&self) -> bool {
        self.sums.values().all(|sum| *sum == 0)
    }
}

/// Where the walk is in the journal of one shard.
struct Reader {
    shard: ShardId,
    read: Sequence,
    /// Endings count up to here.
    ends: Sequence,
    /// Postings count up to here. It was looked up after `ends` of every shard, so that whatever led to an ending counts.
    last: Sequence,
    time: Timestamp,
}

impl Bank {
    /// What is under way by the balances of both sides of every pair, in minor units: zero when no saga is open.
    ///
    /// # Errors
    /// A fault of any shard.
    pub async fn clearing_pairs(&self) -> Result<BTreeMap<Pair, i128>, Fault> {
        let mut pairs = BTreeMap::new();
        for store in self.shards() {
            for account in store.system_accounts().await? {
                if let Some(pair) = Pair::of(account.id) {
                    *pairs.entry(pair).or_insert(0) += account.balance;
                }
            }
        }
        Ok(pairs)
    }

    /// Both ends of every pair of shards that ever spoke.
    ///
    /// # Errors
    /// A fault of any shard.
    pub async fn traffic(&self) -> Result<Vec<Traffic>, Fault> {
        let mut received = BTreeMap::new();
        // Receivers first: what a sender counts later can only be more.
        for store in self.shards() {
            for (from, position) in store.positions().await?.received {
                received.insert((from, store.shard()), position.number);
            }
        }
        let mut traffic = Vec::new();
        for store in self.shards() {
            for (to, sent) in store.positions().await?.sent {
                let received = received.get(&(store.shard(), to)).copied().unwrap_or(0);
                traffic.push(Traffic { from: store.shard(), to, sent, received });
            }
        }
        Ok(traffic)
    }

    /// Walks the journals of all shards, side by side in time, and holds every posting on a clearing account against the
    /// other side's: of each transfer that ended nothing may be left.
    ///
    /// # Errors
    /// A fault of any shard. What is wrong is in the check.
    pub async fn verify_clearing(&self, progress: &dyn Progress) -> Result<Check, Fault> {
        let ends: Vec<Sequence> = self.shards().iter().map(|store| store.head()).collect();
        let reader = |(store, ends): (&std::sync::Arc<dyn store::Store>, Sequence)| Reader {
            shard: store.shard(),
            read: 0,
            ends,
            last: store.head(),
            time: Timestamp::ZERO,
        };
        let mut readers: Vec<Reader> = self.shards().iter().zip(ends).map(reader).collect();
        let total: u64 = readers.iter().map(|reader| reader.last).sum();
        let mut walk = Walk { items: HashMap::new(), transfers: 0, failure: None };
        let mut done = 0;
        while let Some(reader) =
            readers.iter_mut().filter(|reader| reader.read < reader.last).min_by_key(|reader| reader.time)
        {
            let store = self.store(reader.shard);
            let entries = store.entries(EntryQuery { after: reader.read, limit: PAGE_MAX }).await?;
            let Some(last) = entries.last() else { break };
            (reader.read, reader.time) = (last.header.sequence, last.header.time);
            for entry in entries.iter().filter(|entry| entry.header.sequence <= reader.last) {
                walk.entry(entry, entry.header.sequence <= reader.ends);
            }
            done += entries.len() as u64;
            progress.report("clearing", done.min(total), total);
        }
        let ends: Vec<Sequence> = readers.iter().map(|reader| reader.ends).collect();
        for id in walk.uneven() {
            if walk.items[&id].has_ended || self.has_ended(id, &ends).await? {
                walk.leftover(id);
                break;
            }
        }
        Ok(Check {
            name: "clearing accounts match open sagas, pair by pair",
            count: walk.transfers,
            failure: walk.failure,
        })
    }

    /// Whether a saga ended within what counts. Its item may have been even then, and have been dropped, while a shard
    /// that was behind in time had more to say.
    async fn has_ended(&self, id: TransferId, ends: &[Sequence]) -> Result<bool, Fault> {
        let home = self.shard_of_generated(id.number());
        let end = ends.get(usize::from(home.number())).copied().unwrap_or(0);
        let view = self.store(home).transfer(id).await?;
        let Some(view) = view.filter(|view| view.status() != TransferStatus::Pending) else { return Ok(false) };
        Ok(view.steps.last().is_some_and(|last| last.header.sequence <= end))
    }
}

struct Walk {
    items: HashMap<TransferId, Item>,
    transfers: u64,
    failure: Option<String>,
}

impl Walk {
    fn entry(&mut self, entry: &Entry, may_end: bool) {
        let Outcome::Event(Event::Saga(step)) = &entry.outcome else {
            let stray = transfers_of(&entry.outcome)
                .iter()
                .find(|transferred| transferred.postings.iter().any(|posting| Pair::of(posting.account).is_some()));
            if let Some(stray) = stray {
                self.fail(format!("transfer {} is on a clearing account and not between shards", stray.id));
            }
            return;
        };
        let item = self.items.entry(step.saga).or_default();
        for posting in step.transferred.iter().flat_map(|transferred| transferred.postings.iter()) {
            if let Some(pair) = Pair::of(posting.account) {
                *item.sums.entry(pair).or_insert(0) += posting.signed();
            }
        }
        self.transfers += u64::from(matches!(step.kind, StepKind::Started | StepKind::MovedOut));
        let ends = matches!(step.kind, StepKind::Completed | StepKind::Failed | StepKind::MovedIn);
        item.has_ended |= may_end && ends;
        if item.has_ended && item.is_even() {
            self.items.remove(&step.saga);
        }
    }

    fn fail(&mut self, what: String) {
        self.failure.get_or_insert(what);
    }

    /// The transfers of which something is left, by id.
    fn uneven(&self) -> Vec<TransferId> {
        let uneven = self.items.iter().filter(|(_, item)| !item.is_even()).map(|(id, _)| *id);
        uneven.collect::<BTreeSet<TransferId>>().into_iter().collect()
    }

    fn leftover(&mut self, id: TransferId) {
        let pair = self.items[&id].sums.iter().find(|(_, sum)| **sum != 0);
        if let Some((Pair { first, second, currency }, sum)) = pair {
            self.failure.get_or_insert(format!(
                "transfer {id} ended, and the clearing accounts between shards {first} and {second} still have {sum} minor \
                 units of {currency} of it"
            ));
        }
    }
}
