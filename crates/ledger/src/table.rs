//! A table of rows by id: a slab and a hash. Rows are never removed, so a row's place in the slab is stable.
//!
//! Two things can be layered over it. A **savepoint** keeps the rows as they were, so that an attempt can be rolled
//! back. A **snapshot** lets somebody copy the table as it is now, piece by piece, while it goes on changing: a row
//! about to change that was not copied yet is first kept as it was.

use crate::ids::IdHash;
use crate::places::Places;
use std::collections::HashMap;
use std::hash::BuildHasher;

/// A row that has an id.
pub trait Row: Clone {
    /// Its id, unique in its table.
    fn id(&self) -> u64;
}

/// See the module.
#[derive(Debug)]
pub struct Table<R> {
    places: Places,
    hash: IdHash,
    rows: Vec<R>,
    savepoint: Option<Savepoint<R>>,
    snapshot: Option<Snapshot<R>>,
}

#[derive(Debug)]
struct Savepoint<R> {
    length: usize,
    changed: Vec<(usize, R)>,
}

#[derive(Debug)]
struct Snapshot<R> {
    length: usize,
    copied: usize,
    kept: HashMap<usize, R, IdHash>,
}

impl<R: Row> Table<R> {
    /// An empty table. The seed is of the hash, so that no client can make rows collide.
    pub fn new(seed: u64) -> Table<R> {
        let hash = IdHash::new(seed);
        Table { places: Places::default(), hash, rows: Vec::new(), savepoint: None, snapshot: None }
    }

    /// The row with this id.
    pub fn get(&self, id: u64) -> Option<&R> {
        self.place(id).map(|place| &self.rows[place])
    }

    /// The row with this id, to be changed.
    pub fn get_mut(&mut self, id: u64) -> Option<&mut R> {
        let place = self.place(id)?;
        self.keep(place);
        Some(&mut self.rows[place])
    }

    /// Puts a row in place of the one with its id, or adds it.
    ///
    /// # Panics
    /// With more than 2³² rows.
    pub fn put(&mut self, row: R) {
        if let Some(present) = self.get_mut(row.id()) {
            *present = row;
            return;
        }
        self.places.insert(self.hash.hash_one(row.id()), self.rows.len());
        self.rows.push(row);
    }

    /// Count of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// All rows, in the order in which they were added.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &R> + ExactSizeIterator {
        self.rows.iter()
    }

    /// Makes room for so many more rows.
    pub fn reserve(&mut self, rows: usize) {
        self.places.reserve(rows);
        self.rows.reserve(rows);
    }

    /// From here on the rows are kept as they were, until [`Table::roll_back`].
    pub fn set_savepoint(&mut self) {
        assert!(self.savepoint.is_none(), "savepoints do not nest");
        self.savepoint = Some(Savepoint { length: self.rows.len(), changed: Vec::new() });
    }

    /// Makes the table what it was at the savepoint, which ends.
    pub fn roll_back(&mut self) {
        let Some(savepoint) = self.savepoint.take() else { return };
        for (place, row) in savepoint.changed.into_iter().rev() {
            self.rows[place] = row;
        }
        for (place, added) in (savepoint.length..).zip(self.rows.drain(savepoint.length..)) {
            self.places.remove(self.hash.hash_one(added.id()), place);
        }
    }

    /// Begins to copy the table as it is now. An earlier snapshot that is not finished ends.
    pub fn begin_snapshot(&mut self) {
        let kept = HashMap::with_hasher(self.hash);
        self.snapshot = Some(Snapshot { length: self.rows.len(), copied: 0, kept });
    }

    /// Hands the next rows of the snapshot out as they were when it began, at most so many. False when there are no
    /// more: then the snapshot has ended.
    pub fn copy_snapshot(&mut self, count: usize, mut copy: impl FnMut(&R)) -> bool {
        let Some(snapshot) = &mut self.snapshot else { return false };
        let end = snapshot.length.min(snapshot.copied.saturating_add(count));
        for place in snapshot.copied..end {
            copy(snapshot.kept.get(&place).unwrap_or(&self.rows[place]));
        }
        snapshot.copied = end;
        let goes_on = end < snapshot.length;
        if !goes_on {
            self.snapshot = None;
        }
        goes_on
    }

    /// Reads where looking for this row begins. The value means nothing.
    #[inline]
    pub(crate) fn touch(&self, id: u64) -> u64 {
        self.places.touch(self.hash.hash_one(id))
    }

    #[inline]
    fn place(&self, id: u64) -> Option<usize> {
        self.places.find(self.hash.hash_one(id), |place| self.rows[place].id() == id)
    }

    fn keep(&mut self, place: usize) {
        if let Some(snapshot) = &mut self.snapshot
            && (snapshot.copied..snapshot.length).contains(&place)
        {
            let row = &self.rows[place];
            snapshot.kept.entry(place).or_insert_with(|| row.clone());
        }
        if let Some(savepoint) = &mut self.savepoint
            && place < savepoint.length
        {
            savepoint.changed.push((place, self.rows[place].clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Row for (u64, u64) {
        fn id(&self) -> u64 {
            self.0
        }
    }

    fn filled() -> Table<(u64, u64)> {
        let mut table = Table::new(1);
        (1..=100).for_each(|id| table.put((id, 0)));
        table
    }

    #[test]
    fn a_roll_back_leaves_nothing_changed_and_nothing_added() {
        let mut table = filled();
        table.set_savepoint();
        for value in 1..4 {
            table.put((7, value));
            table.put((200 + value, value));
        }
        table.roll_back();
        assert_eq!(table.iter().copied().collect::<Vec<_>>(), filled().iter().copied().collect::<Vec<_>>());
        assert_eq!(table.get(201), None);
    }

    #[test]
    fn a_snapshot_shows_the_table_as_it_was_when_it_began() {
        let mut table = filled();
        table.begin_snapshot();
        let mut copied = Vec::new();
        let mut step = 0;
        loop {
            step += 1;
            table.put((50, step));
            table.put((1, step));
            table.put((300 + step, step));
            if !table.copy_snapshot(7, |row| copied.push(*row)) {
                break;
            }
        }
        assert_eq!(copied, filled().iter().copied().collect::<Vec<_>>());
    }
}
