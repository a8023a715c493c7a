//! Where the row with some hash is: an open-addressing table of eight bytes a slot, half of them free.
//!
//! Rows stay in a slab of their own, so a slot needs only 32 bits of the hash and 32 bits of a place, and eight slots share
//! a line of the processor's cache: asking for a row that is not there costs one such line. [`Places::touch`] brings the
//! line in ahead of time.

/// The hash's high half gives the slot, and tells slots that lie together apart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    /// Zero where free, else 32 bits of the hash over the place plus one. Their count is a power of two.
    slots: Vec<u64>,
    taken: usize,
}

const FREE: u64 = 0;
const SLOTS_MIN: usize = 16;

impl Places {
    /// Makes room for so many more rows.
    pub(crate) fn reserve(&mut self, rows: usize) {
        let wanted = (2 * (self.taken + rows)).next_power_of_two().max(SLOTS_MIN);
        if wanted <= self.slots.len() {
            return;
        }
        let before = std::mem::replace(&mut self.slots, vec![FREE; wanted]);
        for slot in before.into_iter().filter(|slot| *slot != FREE) {
            let at = self.free_slot(slot);
            self.slots[at] = slot;
        }
    }

    /// The place of the row with this hash for which `is_it` holds.
    #[inline]
    pub(crate) fn find(&self, hash: u64, is_it: impl Fn(usize) -> bool) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let mut at = self.home(hash);
        loop {
            let slot = self.slots[at];
            if slot == FREE {
                return None;
            }
            if (slot ^ hash) >> 32 == 0 && is_it(place_in(slot)) {
                return Some(place_in(slot));
            }
            at = self.after(at);
        }
    }

    /// Notes the place of a row that has none yet.
    ///
    /// # Panics
    /// With 2³² rows.
    pub(crate) fn insert(&mut self, hash: u64, place: usize) {
        self.reserve(1);
        let slot = slot_of(hash, place);
        let at = self.free_slot(slot);
        self.slots[at] = slot;
        self.taken += 1;
    }

    /// Forgets the place of a row, and closes the gap, so that what was put behind it is still found.
    pub(crate) fn remove(&mut self, hash: u64, place: usize) {
        let slot = slot_of(hash, place);
        let mut gap = self.home(hash);
        while self.slots[gap] != slot {
            assert!(self.slots[gap] != FREE, "a place that is removed was noted");
            gap = self.after(gap);
        }
        let mut at = self.after(gap);
        while self.slots[at] != FREE {
            let from_home = at.wrapping_sub(self.home(self.slots[at])) & self.mask();
            if at.wrapping_sub(gap) & self.mask() <= from_home {
                self.slots[gap] = self.slots[at];
                gap = at;
            }
            at = self.after(at);
        }
        self.slots[gap] = FREE;
        self.taken -= 1;
    }

    /// Forgets all places, and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.slots.fill(FREE);
        self.taken = 0;
    }

    /// Count of rows.
    pub(crate) fn len(&self) -> usize {
        self.taken
    }

    /// Reads where [`Places::find`] begins. The value means nothing.
    #[inline]
    pub(crate) fn touch(&self, hash: u64) -> u64 {
        self.slots.get(self.home(hash)).copied().unwrap_or(FREE)
    }

    fn mask(&self) -> usize {
        self.slots.len().wrapping_sub(1)
    }

    /// The slot where looking begins.
    #[inline]
    fn home(&self, hash: u64) -> usize {
        (hash >> 32) as usize & self.mask()
    }

    #[inline]
    fn after(&self, at: usize) -> usize {
        (at + 1) & self.mask()
    }

    fn free_slot(&self, hash: u64) -> usize {
        let mut at = self.home(hash);
        while self.slots[at] != FREE {
            at = self.after(at);
        }
        at
    }
}

fn slot_of(hash: u64, place: usize) -> u64 {
    let place = u32::try_from(place).ok().and_then(|place| place.checked_add(1));
    hash >> 32 << 32 | u64::from(place.expect("a shard has fewer than 2^32 rows of a kind"))
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is the place plus one")]
fn place_in(slot: u64) -> usize {
    (slot as u32 - 1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Few homes, so that nearly all rows lie behind others.
    fn hash(id: u64) -> u64 {
        (id % 7) << 32
    }

    #[test]
    fn rows_that_share_a_slot_are_all_found_and_others_are_not() {
        let mut places = Places::default();
        (0..100).for_each(|place| places.insert(hash(place as u64), place));
        for place in 0..100 {
            assert_eq!(places.find(hash(place as u64), |candidate| candidate == place), Some(place));
        }
        assert_eq!(places.find(hash(3), |candidate| candidate == 100), None);
        assert_eq!(places.find(9 << 32, |_| true), None);
    }

    #[test]
    fn removing_a_row_loses_no_other() {
        for removed in 0..60 {
            let mut places = Places::default();
            (0..60).for_each(|place| places.insert(hash(place as u64), place));
            places.remove(hash(removed as u64), removed);
            for place in 0..60 {
                let found = places.find(hash(place as u64), |candidate| candidate == place);
                assert_eq!(found, (place != removed).then_some(place), "after {removed} went");
            }
        }
    }

    #[test]
    fn places_are_counted_and_cleared() {
        let mut places = Places::default();
        (0..100).for_each(|place| places.insert(hash(place as u64), place));
        assert!(places.len() == 100 && 200 <= places.slots.len());
        places.clear();
        assert_eq!((places.len(), places.find(hash(3), |_| true)), (0, None));
    }

    #[test]
    fn an_empty_table_has_nothing_and_may_be_touched() {
        let places = Places::default();
        assert_eq!((places.find(1 << 40, |_| true), places.touch(1 << 40)), (None, FREE));
    }
}
