//! What a client hears: the public part of the bank's answer, whether it was decided now or before.

use ledger::account::Account;
use ledger::event::{Entry, Event, Outcome};
use ledger::hold::Hold;
use ledger::ids::{CustomerId, HoldId, TransferId};
use ledger::rejection::Rejection;
use ledger::time::Timestamp;
use ledger::transfer::{Posting, TransferKind, Transferred};
use store::{Answer, transfers_of};

/// A transfer as the bank shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenTransfer {
    /// Its id.
    pub id: TransferId,
    /// What it is called.
    pub kind: TransferKind,
    /// The reference that its request gave it.
    pub reference: Option<String>,
    /// Its postings.
    pub postings: Vec<Posting>,
    /// Whether the check of funds was skipped.
    pub forced: bool,
    /// What it reverses.
    pub reverses: Option<TransferId>,
    /// The hold it captured.
    pub hold: Option<HoldId>,
    /// When it was booked.
    pub booked_at: Timestamp,
}

impl SeenTransfer {
    /// The public part of a transfer that was booked at this time.
    pub fn of(transferred: &Transferred, booked_at: Timestamp) -> SeenTransfer {
        let reference = transferred.note.as_deref().and_then(|note| note.reference.as_deref());
        SeenTransfer {
            id: transferred.id,
            kind: transferred.kind,
            reference: reference.map(str::to_string),
            postings: transferred.postings.to_vec(),
            forced: transferred.forced,
            reverses: transferred.reverses.map(|reversed| reversed.transfer),
            hold: transferred.hold,
            booked_at,
        }
    }
}

/// What a client hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Money moved.
    Moved(Vec<SeenTransfer>),
    /// A hold, as it was then.
    Hold(Box<Hold>),
    /// An account, as it was then.
    Account(Box<Account>),
    /// A customer is known.
    Customer(CustomerId),
    /// The bank said no.
    Rejected {
        /// In an atomic batch, whose fault it was.
        index: u32,
        /// Why.
        rejection: Rejection,
    },
    /// The key was used for something else.
    KeyReused,
    /// The bank cannot do this yet.
    NotAvailable,
    /// Something that these clients never ask for.
    Other,
}

impl Heard {
    /// The public part of an answer.
    pub fn of(answer: &Answer) -> Heard {
        match answer {
            Answer::Recorded(entry) | Answer::Replayed(entry) => Heard::of_entry(entry),
            Answer::Unrecorded(outcome) => Heard::of_outcome(outcome, Timestamp::ZERO),
            Answer::KeyReused => Heard::KeyReused,
        }
    }

    fn of_entry(entry: &Entry) -> Heard {
        Heard::of_outcome(&entry.outcome, entry.header.time)
    }

    fn of_outcome(outcome: &Outcome, booked_at: Timestamp) -> Heard {
        match outcome {
            Outcome::Rejection { index, rejection } => Heard::Rejected { index: *index, rejection: *rejection },
            Outcome::Event(Event::HoldChanged(changed)) => Heard::Hold(Box::new(changed.hold.clone())),
            Outcome::Event(Event::AccountChanged(changed)) => Heard::Account(Box::new(changed.account.clone())),
            Outcome::Event(Event::CustomerChanged(changed)) => Heard::Customer(changed.customer.id),
            Outcome::Event(_) => {
                let transfers = transfers_of(outcome).iter();
                let transfers: Vec<SeenTransfer> =
                    transfers.map(|transferred| SeenTransfer::of(transferred, booked_at)).collect();
                if transfers.is_empty() { Heard::Other } else { Heard::Moved(transfers) }
            }
        }
    }

    /// The transfers, if money moved.
    pub fn transfers(&self) -> &[SeenTransfer] {
        match self {
            Heard::Moved(transfers) => transfers,
            _ => &[],
        }
    }

    /// Why the bank said no, if it did.
    pub fn rejection(&self) -> Option<&Rejection> {
        match self {
            Heard::Rejected { rejection, .. } => Some(rejection),
            _ => None,
        }
    }
}
