//! What an operator sees of the shards: who owns which slots, what is moving, and how much is where.

use crate::Bank;
use ledger::ids::{SLOTS, Sequence, ShardId};
use std::collections::BTreeMap;
use store::Fault;

/// A shard as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardSummary {
    /// The shard.
    pub shard: ShardId,
    /// The slots it owns, in order.
    pub slots: Vec<u16>,
    /// The slots it gave up, in order. They do not come back to it.
    pub given_up: Vec<u16>,
    /// Customers' accounts and the bank's own.
    pub accounts: u64,
    /// The newest entry of its journal.
    pub head: Sequence,
    /// Transfers between shards that began here and are under way.
    pub sagas_open: u64,
}

/// A slot on its way to another shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MovingSlot {
    /// The slot.
    pub slot: u16,
    /// The shard it leaves.
    pub from: ShardId,
    /// The shard it goes to.
    pub to: ShardId,
}

/// All shards at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardsSummary {
    /// Grows with every change of any slot.
    pub version: u64,
    /// The shards, in order.
    pub shards: Vec<ShardSummary>,
    /// The slots that are moving, in order. Where nobody carries a move on, asking for it again does.
    pub moving: Vec<MovingSlot>,
}

impl Bank {
    /// What the shards are and have now. Asks each of them.
    ///
    /// # Errors
    /// A fault of any shard.
    pub async fn shards_summary(&self) -> Result<ShardsSummary, Fault> {
        self.reload_placement().await?;
        let placement = self.placement();
        let (mut shards, mut fenced) = (Vec::with_capacity(self.shards().len()), BTreeMap::new());
        for store in self.shards() {
            let (slots, stats) = (store.slots().await?, store.stats());
            fenced.extend(slots.fenced);
            shards.push(ShardSummary {
                shard: store.shard(),
                slots: (0..SLOTS).filter(|slot| placement.owner(*slot) == store.shard()).collect(),
                given_up: slots.released.into_keys().collect(),
                accounts: stats.accounts,
                head: store.head(),
                sagas_open: stats.sagas_open,
            });
        }
        let from = |slot| placement.moving_from(slot).unwrap_or_else(|| placement.owner(slot));
        let moving = fenced.into_iter().map(|(slot, to)| MovingSlot { slot, from: from(slot), to });
        Ok(ShardsSummary { version: placement.version(), moving: moving.collect(), shards })
    }
}
