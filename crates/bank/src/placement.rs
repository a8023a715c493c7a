//! Where things are: which shard has which slot now, which had it before, and where the accounts of a slot that is
//! moving have been found. Every shard knows its own slots and checks them inside the commit, so this may be old: then
//! the shard says so, and it is made anew.

use crate::slot_map::SlotMap;
use ledger::ids::{AccountId, SLOTS, ShardId};
use ledger::slots::Slots;
use std::collections::{BTreeMap, HashMap};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    owners: Box<[ShardId]>,
    /// Slots whose accounts may still be on the shard that gave them up.
    moving: BTreeMap<u16, ShardId>,
    /// The shards that had a slot before, the latest first.
    earlier: BTreeMap<u16, Vec<ShardId>>,
    /// Grows with every change.
    version: u64,
    /// Accounts of moving slots that were found on the new shard.
    arrived: HashMap<AccountId, ShardId>,
}

impl Placement {
    /// As slots are dealt out when a bank is made.
    pub fn dealt(map: SlotMap) -> Placement {
        Placement {
            owners: (0..SLOTS).map(|slot| map.shard_of(slot)).collect(),
            moving: BTreeMap::new(),
            earlier: BTreeMap::new(),
            version: 0,
            arrived: HashMap::new(),
        }
    }

    /// What all shards say of their slots at one instant, in the order of the shards. A slot that one gave up and none took over yet
    /// counts to the one it was given to.
    pub fn of(shards: &[(ShardId, Slots)]) -> Placement {
        let mut owners = vec![ShardId::default(); usize::from(SLOTS)];
        for slot in shards.iter().flat_map(|(_, slots)| slots.released.keys()) {
            owners[usize::from(*slot)] = last_given_to(shards, *slot);
        }
        for (shard, slots) in shards {
            (0..SLOTS).filter(|slot| slots.contains(*slot)).for_each(|slot| owners[usize::from(slot)] = *shard);
        }
        let mut moving = BTreeMap::new();
        let mut earlier: BTreeMap<u16, Vec<ShardId>> = BTreeMap::new();
        for (shard, slots) in shards {
            for (slot, to) in slots.released.iter().filter(|(slot, _)| owners[usize::from(**slot)] != *shard) {
                earlier.entry(*slot).or_default().push(*shard);
                // One that had the slot before the one that gives it up now is fenced as well, and has nothing of it.
                // One that has heard where the slot is has nothing of it either: that fence is for the next move.
                let has_heard = slots.placed.get(slot).is_some_and(|placed| placed != shard);
                if slots.fenced.contains_key(slot) && *to == owners[usize::from(*slot)] && !has_heard {
                    moving.insert(*slot, *shard);
                }
            }
        }
        // A slot never returns to a shard, so each gave it to the one after it: the latest gave it to the owner.
        for (slot, shards_before) in &mut earlier {
            let given_to = |shard: ShardId| {
                let slots = shards.iter().find(|(known, _)| *known == shard).map(|(_, slots)| slots);
                slots.and_then(|slots| slots.released.get(slot)).copied()
            };
            let mut ordered = Vec::with_capacity(shards_before.len());
            let mut next = owners[usize::from(*slot)];
            while let Some(place) = shards_before.iter().position(|shard| given_to(*shard) == Some(next)) {
                next = shards_before.swap_remove(place);
                ordered.push(next);
            }
            ordered.append(shards_before);
            *shards_before = ordered;
        }
        let version = shards.iter().map(|(_, slots)| slots.epoch).sum();
        Placement { owners: owners.into(), moving, earlier, version, arrived: HashMap::new() }
    }

    /// The shard that owns a slot.
    pub fn owner(&self, slot: u16) -> ShardId {
        self.owners[usize::from(slot % SLOTS)]
    }

    /// Where an account is, as far as is known: one of a moving slot on the old shard, until it was found on the new one.
    pub fn shard_of(&self, slot: u16, account: AccountId) -> ShardId {
        match self.moving.get(&slot) {
            Some(old) => self.arrived.get(&account).copied().unwrap_or(*old),
            None => self.owner(slot),
        }
    }

    /// The shards that had a slot before its owner, the latest first.
    pub fn earlier(&self, slot: u16) -> &[ShardId] {
        self.earlier.get(&slot).map_or(&[], Vec::as_slice)
    }

    /// The shard that a slot is moving away from.
    pub fn moving_from(&self, slot: u16) -> Option<ShardId> {
        self.moving.get(&slot).copied()
    }

    /// Grows with every change of any slot.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether any slot ever moved.
    pub fn is_as_dealt(&self) -> bool {
        self.earlier.is_empty() && self.moving.is_empty()
    }

    pub(crate) fn note_arrival(&mut self, account: AccountId, shard: ShardId) {
        self.arrived.insert(account, shard);
    }

    /// Takes over what was found, for slots that are still moving.
    pub(crate) fn keep_arrivals(&mut self, before: &Placement) {
        if self.moving == before.moving {
            self.arrived.clone_from(&before.arrived);
        }
    }
}

/// The shard that a slot which none owns was given to last.
fn last_given_to(shards: &[(ShardId, Slots)], slot: u16) -> ShardId {
    let given = |(shard, slots): &(ShardId, Slots)| Some((*shard, *slots.released.get(&slot)?));
    let given: BTreeMap<ShardId, ShardId> = shards.iter().filter_map(given).collect();
    let last = given.values().find(|to| !given.contains_key(to));
    last.or_else(|| given.values().next()).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::slots::SlotSet;

    fn shard(number: u16) -> ShardId {
        ShardId::new(number).expect("a shard")
    }

    #[test]
    fn a_slot_that_was_given_up_counts_to_whom_it_was_given() {
        let mut old = Slots::new(SlotSet::of(|slot| slot % 2 == 0));
        old.owned = SlotSet::of(|slot| slot % 2 == 0 && slot != 4);
        old.released.insert(4, shard(2));
        old.fenced.insert(4, shard(2));
        let shards = [
            (shard(0), old),
            (shard(1), Slots::new(SlotSet::of(|slot| slot % 2 == 1))),
            (shard(2), Slots::new(SlotSet::of(|_| false))),
        ];
        let placement = Placement::of(&shards);
        assert_eq!((placement.owner(4), placement.owner(6), placement.owner(7)), (shard(2), shard(0), shard(1)));
        assert_eq!(placement.moving_from(4), Some(shard(0)));
        assert_eq!(placement.earlier(4), [shard(0)]);
        let account = AccountId::new(1).expect("an id");
        assert_eq!(placement.shard_of(4, account), shard(0), "it may still be there");
    }

    #[test]
    fn a_fence_for_the_next_move_does_not_count_as_one_that_has_not_ended() {
        let mut old = Slots::new(SlotSet::of(|slot| slot == 4));
        old.owned = SlotSet::of(|_| false);
        old.released.insert(4, shard(1));
        old.placed.insert(4, shard(1));
        old.fenced.insert(4, shard(2));
        let shards = [(shard(0), old), (shard(1), Slots::new(SlotSet::of(|_| true)))];
        let placement = Placement::of(&shards);
        assert_eq!((placement.owner(4), placement.moving_from(4)), (shard(1), None));
    }

    #[test]
    fn a_slot_that_moves_again_moves_from_where_it_came_to_first() {
        let without = || Slots::new(SlotSet::of(|slot| slot != 4));
        let (mut first, mut second) = (without(), without());
        for (slots, to) in [(&mut first, 1), (&mut second, 2)] {
            slots.released.insert(4, shard(to));
            slots.fenced.insert(4, shard(2));
        }
        let mut third = without();
        for is_acquired in [false, true] {
            if is_acquired {
                third.owned = SlotSet::of(|_| true);
            }
            // Whatever the order of the shards.
            for [a, b, c] in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
                let all = [(shard(0), first.clone()), (shard(1), second.clone()), (shard(2), third.clone())];
                let placement = Placement::of(&[a, b, c].map(|place: usize| all[place].clone()));
                assert_eq!((placement.owner(4), placement.moving_from(4)), (shard(2), Some(shard(1))));
                assert_eq!(placement.earlier(4), [shard(1), shard(0)]);
            }
        }
    }
}
