//! Which slot is on which shard. Part of the data format from the first day: never changed for existing data.

use ledger::ids::{SLOTS, ShardId};
use ledger::working_set::SlotSet;

/// Slots dealt out to shards in turn: slot `s` is on shard `s` modulo the count of shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotMap {
    shards: u16,
}

impl SlotMap {
    /// A map for so many shards; `None` unless there are 1 to 1,024.
    pub fn new(shards: usize) -> Option<SlotMap> {
        let shards = u16::try_from(shards).ok()?;
        (1..=SLOTS).contains(&shards).then_some(SlotMap { shards })
    }

    /// How many shards there are.
    pub fn shards(self) -> u16 {
        self.shards
    }

    /// The shard a slot is on.
    pub fn shard_of(self, slot: u16) -> ShardId {
        ShardId::new(slot % self.shards).unwrap_or_default()
    }

    /// The slots a shard owns.
    pub fn slots_of(self, shard: ShardId) -> SlotSet {
        SlotSet::of(|slot| self.shard_of(slot) == shard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::ids::slot;

    #[test]
    fn placement_is_part_of_the_format() {
        let map = SlotMap::new(4).expect("four shards");
        let shards = [1, 2, 3, 123_456_789].map(|id| map.shard_of(slot(id)).number());
        assert_eq!(shards, [632 % 4, 241 % 4, 874 % 4, 177 % 4]);
    }

    #[test]
    fn every_slot_is_on_exactly_one_shard() {
        let map = SlotMap::new(3).expect("three shards");
        let owners =
            |slot| (0..3).filter(|shard| map.slots_of(ShardId::new(*shard).expect("a shard")).contains(slot)).count();
        assert!((0..SLOTS).all(|slot| owners(slot) == 1));
    }

    #[test]
    fn a_bank_has_one_to_1024_shards() {
        assert!([0, 1025, 100_000].into_iter().all(|count| SlotMap::new(count).is_none()));
        assert!([1, 1024].into_iter().all(|count| SlotMap::new(count).is_some()));
    }
}
