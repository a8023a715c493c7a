//! Dead letters: inputs that failed for good, kept until a person redrives or discards them.

use crate::ids::{DeadLetterId, Sequence};
use crate::time::Timestamp;

/// A dead letter as it stands, or as it stood when an entry was written. What was sent is not part of it: the entries
/// at `recorded_by` and `data_from` hold it, sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its id.
    pub id: DeadLetterId,
    /// Where it stands.
    pub status: DeadLetterStatus,
    /// Why the last attempt failed: the code.
    pub code: Box<str>,
    /// Why the last attempt failed: for people.
    pub detail: Box<str>,
    /// When it came in.
    pub received_at: Timestamp,
    /// Attempts so far, the first included.
    pub attempts: u32,
    /// Whether an attempt was begun whose end is not recorded yet.
    pub attempt_is_open: bool,
    /// The entry that holds what was sent first.
    pub recorded_by: Sequence,
    /// The entry that holds the data of the latest attempt.
    pub data_from: Sequence,
    /// Why it was discarded.
    pub discard_reason: Option<Box<str>>,
}

/// Where a dead letter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeadLetterStatus {
    /// For a person to decide.
    Waiting,
    /// A later attempt took effect.
    Redriven,
    /// A person decided that it never shall.
    Discarded,
}

impl DeadLetterStatus {
    /// The word for it on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            DeadLetterStatus::Waiting => "waiting",
            DeadLetterStatus::Redriven => "redriven",
            DeadLetterStatus::Discarded => "discarded",
        }
    }
}
