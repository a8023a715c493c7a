//! What an entry of the journal is about, for whoever watches an account or a transfer.

use ledger::event::{Entry, Event, Outcome};
use ledger::ids::{AccountId, TransferId};
use store::transfers_of;

/// Something that can be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// An account: its postings, holds and terms.
    Account(AccountId),
    /// A transfer, by its own id or that of the order between shards that it belongs to.
    Transfer(TransferId),
}

/// Everything that an entry may have changed, some of it more than once.
pub fn subjects(entry: &Entry) -> Vec<Subject> {
    let mut subjects = Vec::new();
    for transferred in transfers_of(&entry.outcome) {
        subjects.push(Subject::Transfer(transferred.id));
        subjects.extend(transferred.postings.iter().map(|posting| Subject::Account(posting.account)));
    }
    let Outcome::Event(event) = &entry.outcome else { return subjects };
    match event {
        Event::HoldCaptured(captured) => subjects.push(Subject::Account(captured.hold.from)),
        Event::HoldChanged(changed) => subjects.push(Subject::Account(changed.hold.from)),
        Event::AccountChanged(changed) => subjects.push(Subject::Account(changed.account.id)),
        Event::Saga(step) => {
            subjects.push(Subject::Transfer(step.saga));
            subjects.extend(step.hold.iter().map(|hold| Subject::Account(hold.from)));
            subjects.extend(step.moved.iter().map(|moved| Subject::Account(moved.account.id)));
        }
        Event::Transferred(_)
        | Event::BatchTransferred(_)
        | Event::CustomerChanged(_)
        | Event::DeadLetterChanged(_)
        | Event::TokenChanged(_)
        | Event::SlotsChanged(_) => {}
    }
    subjects
}
