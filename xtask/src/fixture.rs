//! `cargo xtask fixture`: a real bank's year as CloudEvents, so that the demo and the tests run anywhere.
//!
//! 1. Read the tables (`source`), refusing whatever is not as the data's description says.
//! 2. Write users, accounts and transactions as events (`events`), gzipped without a timestamp: same tables, same bytes.
//! 3. Read the file back and work out its figures from the events alone (`facts`); a file whose figures differ from
//!    the published ones is reported, not kept.

mod events;
mod facts;
mod money;
pub(crate) mod orders;
mod source;

#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

/// What a clone carries at most for this fixture.
const COMPRESSED_BYTES_MAX: usize = 2_000_000;

pub(crate) fn run(arguments: &[String]) -> Result<bool> {
    let (from, to) = folders(arguments)?;
    let source = source::Source::read(&from)?;
    let bytes = events::compressed(&source)?;
    let facts = facts::Facts::of(&bytes)?;
    println!("{facts}");
    ensure!(
        facts == facts::PUBLISHED,
        "these are not the published figures, so nothing was written: check that {} holds the unchanged tables",
        from.display()
    );
    ensure!(
        bytes.len() <= COMPRESSED_BYTES_MAX,
        "{} bytes are more than the {COMPRESSED_BYTES_MAX} a clone should carry: leave metadata out",
        bytes.len()
    );
    replace(&to, &bytes)?;
    println!("{} bytes in {}", bytes.len(), to.display());
    Ok(true)
}

fn folders(arguments: &[String]) -> Result<(PathBuf, PathBuf)> {
    let (mut from, mut to) = (None, None);
    let mut rest = arguments.iter();
    while let Some(flag) = rest.next() {
        let value = rest.next().with_context(|| format!("`{flag}` needs a path after it"))?;
        match flag.as_str() {
            "--from" => from = Some(PathBuf::from(value)),
            "--to" => to = Some(PathBuf::from(value)),
            _ => bail!("`{flag}` is unknown: give --from DIR --to FILE"),
        }
    }
    Ok((from.context("name the folder of the tables: --from DIR")?, to.context("name the result: --to FILE")?))
}

/// Writes aside and renames, so that an interrupted run leaves the old file whole.
fn replace(to: &Path, bytes: &[u8]) -> Result<()> {
    let aside = to.with_extension("partial");
    fs::write(&aside, bytes).with_context(|| format!("cannot write {}", aside.display()))?;
    fs::rename(&aside, to).with_context(|| format!("cannot rename {} to {}", aside.display(), to.display()))
}
