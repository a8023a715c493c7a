//! The rule book: what a bank does with a command, and nothing else.
//!
//! A [`command::Command`] and the rows it touches go in, an [`event::Outcome`] comes out. [`apply`] first decides, on
//! rows it only reads, and then records what was decided, which cannot fail. Replay and recovery only record, so that
//! the journal alone gives the state.
//!
//! What is not here: input and output, clocks, randomness, serialisation, threads, and any dependency. Ids and times
//! come in through the header. No order of a hash table reaches an outcome.

pub mod account;
pub mod amount;
pub mod command;
pub mod currency;
pub mod customer;
pub mod dead_letter;
pub mod event;
pub mod hold;
pub mod ids;
pub mod key_table;
pub mod limit;
pub mod rejection;
pub mod saga;
pub mod slots;
pub mod table;
pub mod time;
pub mod token;
pub mod transfer;
pub mod working_set;

mod decide;
mod places;
mod record;

pub use record::{record, replay};

use command::Command;
use event::{Header, Outcome};
use ids::Sequence;
use working_set::WorkingSet;

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It was decided and recorded: its entry belongs into the journal.
    Recorded(Outcome),
    /// It was rejected and carries no key, or only for now, so there is nothing to remember.
    Unrecorded(Outcome),
    /// Its key was used before, for the same: the answer is that of this entry.
    Replayed(Sequence),
    /// Its key was used before, for something else.
    KeyReused,
}

/// Decides one command on the rows it touches and records what was decided. A rejection changes nothing but its key.
/// Time, ids and principal are in the header and the set: the same set, header and command give the same outcome
/// everywhere.
///
/// # Panics
/// When a stored row breaks an invariant. The set is then not to be used again.
pub fn apply(set: &mut WorkingSet, header: &Header, command: &Command) -> Decision {
    if let Some(key) = header.key
        && let Some(row) = set.keys.get(key.digest)
    {
        return if row.fingerprint == key.fingerprint { Decision::Replayed(row.sequence) } else { Decision::KeyReused };
    }
    let outcome = decide::decide(set, header, command);
    if let Outcome::Rejection { rejection, .. } = &outcome
        && (header.key.is_none() || rejection.is_passing())
    {
        return Decision::Unrecorded(outcome);
    }
    record(set, header, &outcome); // from here on only assertions can fail
    Decision::Recorded(outcome)
}

/// What [`apply`] would come to, without a key and without changing anything.
pub fn dry_run(set: &mut WorkingSet, header: &Header, command: &Command) -> Outcome {
    decide::decide(set, header, command)
}

#[cfg(test)]
mod tests;
