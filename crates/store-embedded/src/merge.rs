//! Merging runs into one of the next level, in bounded memory.

use crate::disk::Disk;
use crate::error::StorageError;
use crate::run::{Run, RunName};
use std::path::Path;

/// Merges runs of one kind, in the order of what they cover, into one at `path`. Rows with equal keys stay in the order
/// of the inputs; with `combine(kept, next)` they become one row, folded into `kept` (whose key must stay as it is).
pub fn merge(
    disk: &Disk,
    path: &Path,
    inputs: &[Run],
    combine: Option<&mut dyn FnMut(&mut [u8], &[u8])>,
) -> Result<Run, StorageError> {
    todo!()
}

/// Splits listed runs into those to use and those that a merged run already holds (a crash came before their removal).
pub fn split_superseded(names: Vec<RunName>) -> (Vec<RunName>, Vec<RunName>) {
    todo!()
}
