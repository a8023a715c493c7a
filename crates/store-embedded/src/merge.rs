//! Merging runs into one of the next level, in bounded memory: a page of each input and a few of the output.
//!
//! Promise: the merged run has every row of its inputs, in the order of their keys and, for equal keys, in the order of
//! the inputs. It covers what they cover; the inputs may be removed once it is there. A crash in between leaves both:
//! [`split_superseded`] tells which to use.

use crate::disk::Disk;
use crate::error::StorageError;
use crate::run::cursor::RunCursor;
use crate::run::writer::RunWriter;
use crate::run::{Covers, Direction, Run, RunName};
use crate::sort::leading_key;
use std::path::Path;

/// Folds the second row into the first, which keeps its key.
pub type Combine<'a> = &'a mut dyn FnMut(&mut [u8], &[u8]);

/// Merges runs of one kind, at least one, given in the order of what they cover, into one at `path`. With `combine` rows
/// of equal keys become one row.
pub fn merge(disk: &Disk, path: &Path, inputs: &[Run], mut combine: Option<Combine<'_>>) -> Result<Run, StorageError> {
    assert!(inputs.is_sorted_by_key(|run| run.covers().first), "inputs in the order of what they cover");
    assert!(inputs.iter().all(|run| run.kind() == inputs[0].kind()), "runs of one kind");
    let kind = inputs[0].kind();
    let covers =
        Covers { first: inputs[0].covers().first, last: inputs.iter().map(|run| run.covers().last).fold(0, u64::max) };
    let key_size = usize::from(kind.key_size);
    let mut output = RunWriter::begin(disk, path, kind, covers, inputs.iter().map(Run::row_count).sum())?;
    let mut heads = Vec::with_capacity(inputs.len());
    for run in inputs {
        heads.extend(Head::new(run.range(&[], Direction::Forward)?, key_size)?);
    }
    let mut kept: Vec<u8> = Vec::new();
    while !heads.is_empty() {
        let (lowest, second) = lowest_two(&heads, key_size);
        loop {
            let row = &heads[lowest].row;
            match &mut combine {
                None => output.push(row)?,
                Some(combine) if !kept.is_empty() && kept[..key_size] == row[..key_size] => combine(&mut kept, row),
                Some(_) => {
                    if !kept.is_empty() {
                        output.push(&kept)?;
                    }
                    kept.clone_from(row);
                }
            }
            if !heads[lowest].advance(key_size)? {
                heads.remove(lowest); // keeps the order of the others
                break;
            }
            if second.is_some_and(|second| !precedes(&heads, lowest, second, key_size)) {
                break;
            }
        }
    }
    if !kept.is_empty() {
        output.push(&kept)?;
    }
    output.finish()
}

/// The next row of one input.
struct Head {
    cursor: RunCursor,
    row: Vec<u8>,
    leading: u128,
}

impl Head {
    fn new(cursor: RunCursor, key_size: usize) -> Result<Option<Head>, StorageError> {
        let mut head = Head { cursor, row: Vec::new(), leading: 0 };
        Ok(if head.advance(key_size)? { Some(head) } else { None })
    }

    fn advance(&mut self, key_size: usize) -> Result<bool, StorageError> {
        let Some(row) = self.cursor.next_row()? else { return Ok(false) };
        self.row.clear();
        self.row.extend_from_slice(row);
        self.leading = leading_key(&row[..key_size]);
        Ok(true)
    }
}

/// Whether the row of one input comes before that of another.
fn precedes(heads: &[Head], one: usize, other: usize, key_size: usize) -> bool {
    let (a, b) = (&heads[one], &heads[other]);
    let order = a.leading.cmp(&b.leading).then_with(|| a.row[..key_size].cmp(&b.row[..key_size]));
    order.then(one.cmp(&other)).is_lt()
}

/// The inputs with the lowest row and the lowest of the others. There are few inputs, so looking at each is fastest.
fn lowest_two(heads: &[Head], key_size: usize) -> (usize, Option<usize>) {
    let (mut lowest, mut second) = (0, None);
    for i in 1..heads.len() {
        if precedes(heads, i, lowest, key_size) {
            second = Some(lowest);
            lowest = i;
        } else if second.is_none_or(|second| precedes(heads, i, second, key_size)) {
            second = Some(i);
        }
    }
    (lowest, second)
}

/// Splits listed runs into those to use and those whose rows a run of a higher level has: to be removed.
pub fn split_superseded(names: Vec<RunName>) -> (Vec<RunName>, Vec<RunName>) {
    let replaces = |by: &RunName, name: &RunName| {
        by.family == name.family
            && name.level < by.level
            && by.covers.first <= name.covers.first
            && name.covers.last <= by.covers.last
    };
    let all = names.clone();
    names.into_iter().partition(|name| !all.iter().any(|by| replaces(by, name)))
}

#[cfg(test)]
mod tests;
