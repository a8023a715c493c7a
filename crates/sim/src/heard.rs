//! What a client hears: the public part of the bank's answer, whether it was decided now or before.

use bank::ingest::{EventOutcome, EventResult};
use bank::read::TransferDetails;
use ledger::account::{Account, SystemAccount, SystemKind};
use ledger::event::{Entry, Event, Outcome};
use ledger::hold::Hold;
use ledger::ids::{AccountId, CustomerId, DeadLetterId, HoldId, TransferId};
use ledger::rejection::Rejection;
use ledger::saga::StepKind;
use ledger::time::Timestamp;
use ledger::transfer::{Posting, TransferKind, Transferred};
use std::collections::BTreeMap;
use store::query::TransferStatus;
use store::{Answer, transfers_of};

/// How far a transfer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It took effect.
    Succeeded,
    /// It is on its way between shards.
    Pending,
    /// It failed on its way, and everything is as it was.
    Failed,
}

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
    /// How far it is.
    pub progress: Progress,
}

impl SeenTransfer {
    /// The public part of a transfer that was booked at this time.
    pub fn of(transferred: &Transferred, booked_at: Timestamp, progress: Progress) -> SeenTransfer {
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
            progress,
        }
    }

    /// A transfer with its postings on all shards.
    pub fn of_details(details: &TransferDetails) -> Option<SeenTransfer> {
        let progress = match details.view.status() {
            TransferStatus::Succeeded => Progress::Succeeded,
            TransferStatus::Pending => Progress::Pending,
            TransferStatus::Failed(_) => Progress::Failed,
        };
        let transfer = &details.view.transfer;
        let seen = SeenTransfer::of(transfer.transferred()?, transfer.entry.header.time, progress);
        let postings = details.postings.iter().filter_map(|row| Some(*row.parts()?.0)).collect();
        Some(SeenTransfer { postings, ..seen })
    }

    /// What it changed on each account, but for those through which money goes between shards.
    pub fn net(&self) -> BTreeMap<AccountId, i128> {
        let mut net = BTreeMap::new();
        for posting in self.postings.iter().filter(|posting| !is_clearing(posting.account)) {
            *net.entry(posting.account).or_default() += posting.signed();
        }
        net.retain(|_, amount| *amount != 0);
        net
    }
}

/// Whether this is an account through which money goes between shards.
pub fn is_clearing(id: AccountId) -> bool {
    SystemAccount::from_id(id).is_some_and(|account| account.kind == SystemKind::Clearing)
}

/// What a client hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Money moved.
    Moved(Vec<SeenTransfer>),
    /// Money is on its way between shards.
    Begun(Vec<SeenTransfer>),
    /// A transfer between shards shall be given up, if it still can.
    Cancelling,
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
    /// A queued event was taken: it made this transfer, or a dead letter. Who sends it again hears no more than that.
    Taken(Option<TransferId>),
    /// An attempt to redrive a dead letter was made.
    Redriven(DeadLetterId),
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

    /// The public part of what became of an event, as whoever sends it again hears it too.
    pub fn of_event(result: &EventResult) -> Heard {
        match &result.outcome {
            EventOutcome::Accepted { transfer } | EventOutcome::Replayed { transfer } => Heard::Taken(*transfer),
            EventOutcome::DeadLettered { .. } => Heard::Taken(None),
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
            Outcome::Event(Event::DeadLetterChanged(changed)) => Heard::Redriven(changed.dead_letter.id),
            Outcome::Event(Event::CustomerChanged(changed)) => Heard::Customer(changed.customer.id),
            Outcome::Event(Event::Saga(step)) => match step.kind {
                StepKind::Started => Heard::Begun(seen(outcome, booked_at, Progress::Pending)),
                StepKind::Cancelling | StepKind::Aborting => Heard::Cancelling,
                _ => Heard::Other,
            },
            Outcome::Event(_) => {
                let transfers = seen(outcome, booked_at, Progress::Succeeded);
                if transfers.is_empty() { Heard::Other } else { Heard::Moved(transfers) }
            }
        }
    }

    /// The transfers, if money moved or is about to.
    pub fn transfers(&self) -> &[SeenTransfer] {
        match self {
            Heard::Moved(transfers) | Heard::Begun(transfers) => transfers,
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

fn seen(outcome: &Outcome, booked_at: Timestamp, progress: Progress) -> Vec<SeenTransfer> {
    transfers_of(outcome).iter().map(|transferred| SeenTransfer::of(transferred, booked_at, progress)).collect()
}
