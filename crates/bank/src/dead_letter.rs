//! The operator's queue: what failed for good, until a person redrives or discards it.

use crate::error::BankError;
use crate::read::{Merged, Positions};
use crate::submit::ClientKey;
use crate::{Bank, Caller};
use ledger::dead_letter::{DeadLetter, DeadLetterStatus};
use ledger::ids::DeadLetterId;
use serde_json::value::RawValue;
use store::{Answer, Fault};

/// A dead letter with what it is about.
#[derive(Clone, Debug)]
pub struct LetterView {
    /// The dead letter.
    pub letter: DeadLetter,
    /// The event as the latest attempt sent it, as JSON (a JSON string of the text if it was no JSON); `None` if it can
    /// no longer be read.
    pub event: Option<Box<RawValue>>,
}

impl Bank {
    /// A dead letter; `None` if there is no such one.
    ///
    /// # Errors
    /// A fault of the shard or the keyring.
    pub async fn dead_letter(&self, id: DeadLetterId) -> Result<Option<LetterView>, Fault> {
        let _ = id;
        Ok(None)
    }

    /// Dead letters of all shards, newest first.
    ///
    /// # Errors
    /// A fault of any shard or the keyring.
    pub async fn dead_letters(
        &self,
        status: Option<DeadLetterStatus>,
        limit: usize,
        from: Option<&Positions>,
    ) -> Result<Merged<LetterView>, Fault> {
        let _ = (status, limit, from);
        Ok(Merged { items: Vec::new(), next: None })
    }

    /// A dead letter as an answer tells it, with its event.
    ///
    /// # Errors
    /// A fault of the shard or the keyring.
    pub async fn view_letter(&self, letter: &DeadLetter) -> Result<LetterView, Fault> {
        let _ = letter;
        Err(Fault::Overloaded)
    }

    /// Submits a dead letter anew, as its next attempt, with other data if there is any. An attempt that was begun and
    /// not ended is carried on with the data it was begun with. The answer is `DeadLetterChanged`, whatever became of
    /// the attempt, or a rejection. Needs the role teller.
    ///
    /// # Errors
    /// As [`Bank::submit`]. After a fault the attempt may be open: redrive again.
    pub async fn redrive(
        &self,
        caller: &Caller,
        key: Option<ClientKey<'_>>,
        id: DeadLetterId,
        data: Option<&RawValue>,
    ) -> Result<Answer, BankError> {
        let _ = (caller, key, id, data);
        Err(BankError::NotAvailableYet { what: "redriving" })
    }

    /// Decides that a dead letter shall never take effect. Needs the role admin.
    ///
    /// # Errors
    /// As [`Bank::submit`].
    pub async fn discard(
        &self,
        caller: &Caller,
        key: Option<ClientKey<'_>>,
        id: DeadLetterId,
        reason: &str,
    ) -> Result<Answer, BankError> {
        let _ = (caller, key, id, reason);
        Err(BankError::NotAvailableYet { what: "discarding" })
    }
}
