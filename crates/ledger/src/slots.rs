//! Which slots a shard owns, and what becomes of those that move to another shard.
//!
//! A slot moves in steps, each an entry: it is fenced on every shard, so that no new saga names an account of it; the old
//! shard releases it and the new one acquires it, so that at no time two shards open accounts in it; its accounts move
//! one by one; then every shard opens the fence. What the old shard recorded, keys and history among it, stays there.

use crate::ids::{SLOTS, ShardId};
use std::collections::BTreeMap;

/// A set of slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotSet {
    bits: [u64; SLOTS as usize / 64],
}

impl SlotSet {
    /// The slots for which this holds.
    pub fn of(owns: impl Fn(u16) -> bool) -> SlotSet {
        let mut set = SlotSet { bits: [0; SLOTS as usize / 64] };
        (0..SLOTS).filter(|slot| owns(*slot)).for_each(|slot| set.insert(slot));
        set
    }

    /// Whether this slot is among them.
    pub fn contains(&self, slot: u16) -> bool {
        self.bits[usize::from(slot / 64)] & (1 << (slot % 64)) != 0
    }

    fn insert(&mut self, slot: u16) {
        self.bits[usize::from(slot / 64)] |= 1 << (slot % 64);
    }

    fn remove(&mut self, slot: u16) {
        self.bits[usize::from(slot / 64)] &= !(1 << (slot % 64));
    }
}

/// What happens to slots on a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SlotChange {
    /// They go to this shard: no new saga may name an account of them, until they are opened again.
    Fenced(ShardId),
    /// They have come to this shard: sagas may name their accounts again. Does nothing for those that go elsewhere, since a
    /// slot never goes to a shard twice: whoever says so was away for a whole move.
    Opened(ShardId),
    /// The shard gives them up to another: it opens no account in them any more, and its accounts in them may move there.
    Released(ShardId),
    /// The shard gets them from another.
    Acquired(ShardId),
}

/// The slots of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slots {
    /// Those it had when its data was made.
    pub dealt: SlotSet,
    /// Those it owns.
    pub owned: SlotSet,
    /// Those that are fenced, and where they go; others' slots too.
    pub fenced: BTreeMap<u16, ShardId>,
    /// Those it gave up, and to whom it did so last.
    pub released: BTreeMap<u16, ShardId>,
    /// Where the slots are that were ever fenced and opened again, whoever owns them: a saga begins only if whoever asked
    /// for it knows that.
    pub placed: BTreeMap<u16, ShardId>,
    /// Counts the changes.
    pub epoch: u64,
}

impl Slots {
    /// The slots of a new shard.
    pub fn new(dealt: SlotSet) -> Slots {
        let (fenced, released, placed) = Default::default();
        Slots { owned: dealt.clone(), dealt, fenced, released, placed, epoch: 0 }
    }

    /// Whether the shard owns this slot.
    pub fn contains(&self, slot: u16) -> bool {
        self.owned.contains(slot)
    }

    /// Whether a change does anything to this slot.
    pub fn would_change(&self, slot: u16, change: SlotChange) -> bool {
        match change {
            SlotChange::Fenced(to) => self.fenced.get(&slot) != Some(&to),
            SlotChange::Opened(to) => self.fenced.get(&slot) == Some(&to),
            SlotChange::Released(_) => self.contains(slot),
            SlotChange::Acquired(_) => !self.contains(slot),
        }
    }

    pub(crate) fn change(&mut self, slots: &[u16], change: SlotChange) {
        self.epoch += 1;
        for slot in slots.iter().copied() {
            match change {
                SlotChange::Fenced(to) => drop(self.fenced.insert(slot, to)),
                SlotChange::Opened(owner) => {
                    self.fenced.remove(&slot);
                    self.placed.insert(slot, owner);
                }
                SlotChange::Released(to) => {
                    self.owned.remove(slot);
                    self.released.insert(slot, to);
                }
                SlotChange::Acquired(_) => self.owned.insert(slot),
            }
        }
    }
}
