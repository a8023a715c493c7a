//! Queued events: nobody waits for their answers, so what does not take effect becomes a dead letter.

use crate::error::BankError;
use crate::{Bank, Caller};
use ledger::ids::{DeadLetterId, TransferId};

/// Most bytes of one event.
pub const EVENT_BYTES_MAX: usize = 64 * 1024;

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventResult {
    /// The event's `id`, where it has one.
    pub id: Option<Box<str>>,
    /// What became of it.
    pub outcome: EventOutcome,
}

/// See [`EventResult`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventOutcome {
    /// It took effect now.
    Accepted {
        /// The transfer it made, if it made one.
        transfer: Option<TransferId>,
    },
    /// It was seen before, whatever became of it then.
    Replayed {
        /// The transfer it made then, if it made one.
        transfer: Option<TransferId>,
    },
    /// It took no effect and waits for a person.
    DeadLettered {
        /// Where.
        dead_letter: DeadLetterId,
        /// Why.
        code: Box<str>,
    },
}

/// Counts that add up to the events read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventCounts {
    /// Took effect.
    pub accepted: u64,
    /// Seen before.
    pub replayed: u64,
    /// Took no effect.
    pub dead_lettered: u64,
}

impl EventCounts {
    /// Counts a result.
    pub fn add(&mut self, result: &EventResult) {
        match result.outcome {
            EventOutcome::Accepted { .. } => self.accepted += 1,
            EventOutcome::Replayed { .. } => self.replayed += 1,
            EventOutcome::DeadLettered { .. } => self.dead_lettered += 1,
        }
    }

    /// How many events were counted.
    pub fn total(&self) -> u64 {
        self.accepted + self.replayed + self.dead_lettered
    }
}

/// The elements of a JSON array, each as its own text; `None` if the text is no JSON array.
pub fn events_of_array(text: &[u8]) -> Option<Vec<&[u8]>> {
    let elements: Vec<&serde_json::value::RawValue> = serde_json::from_slice(text).ok()?;
    Some(elements.into_iter().map(|element| element.get().as_bytes()).collect())
}

impl Bank {
    /// Takes events in order; any number, each as its own text (longer than [`EVENT_BYTES_MAX`]: a dead letter). The
    /// results align with the events. After a fault the same events may be sent again: those done count as replayed.
    ///
    /// For a stream: call it again and again with a few thousand events, in order, one call after the other.
    ///
    /// # Errors
    /// `Forbidden` for an auditor, or a fault.
    pub async fn ingest<E: AsRef<[u8]> + Sync>(
        &self,
        caller: &Caller,
        events: &[E],
    ) -> Result<Vec<EventResult>, BankError> {
        let _ = (caller, events);
        Err(BankError::NotAvailableYet { what: "events" })
    }
}
