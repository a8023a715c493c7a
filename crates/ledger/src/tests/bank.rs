//! A shard under test: submits as an engine does, keeps the journal, and audits itself after every command.
//!
//! What holds for every command is asserted here once, so that each rule table and each random sequence claims it:
//! a dry run changes nothing and foretells the outcome; a rejection, a replay and a reused key change no row; after
//! every outcome the rows are what the journal alone says they must be.

use crate::command::Command;
use crate::event::{Channel, Context, Entry, Event, Header, Key, Outcome};
use crate::ids::{ShardId, TransferId};
use crate::time::{Day, Timestamp};
use crate::transfer::{TransferRow, Transferred};
use crate::working_set::{SlotSet, WorkingSet};
use crate::{Decision, apply, dry_run};
use std::sync::Arc;

use super::audit::audit;
use super::rows::Rows;

/// See the module.
pub(super) struct Bank {
    pub(super) set: WorkingSet,
    pub(super) journal: Vec<Entry>,
    pub(super) time: Timestamp,
    pub(super) day: Day,
    context: Arc<Context>,
}

/// An empty set of shard 0, which owns every slot. No outcome may depend on the seed.
pub(super) fn empty_set(seed: u64) -> WorkingSet {
    WorkingSet::new(ShardId::default(), SlotSet::of(|_| true), seed)
}

/// The transfers an entry made.
pub(super) fn transfers_of(outcome: &Outcome) -> &[Transferred] {
    match outcome {
        Outcome::Event(Event::Transferred(transferred)) => std::slice::from_ref(transferred),
        Outcome::Event(Event::HoldCaptured(captured)) => std::slice::from_ref(&captured.transferred),
        Outcome::Event(Event::BatchTransferred(transfers)) => transfers,
        Outcome::Event(_) | Outcome::Rejection { .. } => &[],
    }
}

impl Bank {
    pub(super) fn new(seed: u64) -> Bank {
        let time: Timestamp = "2026-11-21T10:00:00Z".parse().expect("a time");
        let context =
            Context { principal: "local".into(), channel: Channel::Http, correlation: "".into(), cause: None };
        Bank { set: empty_set(seed), journal: Vec::new(), time, day: time.day(), context: Arc::new(context) }
    }

    /// Decides a command now. See the module for what is claimed of every one.
    pub(super) fn submit(&mut self, key: Option<Key>, command: &Command) -> Decision {
        self.look_up(command);
        let context = Arc::clone(&self.context);
        let header = Header { sequence: self.set.sequence + 1, time: self.time, day: self.day, key, context };
        let before = Rows::of(&self.set);
        let foretold = dry_run(&mut self.set, &header, command);
        assert_eq!(Rows::of(&self.set), before, "a dry run changed something: {command:?}");
        let decision = apply(&mut self.set, &header, command);
        match &decision {
            Decision::Recorded(outcome) => {
                assert_eq!(*outcome, foretold, "a dry run foretold something else");
                if let Outcome::Rejection { .. } = outcome {
                    assert!(key.is_some(), "a rejection without a key leaves nothing to remember");
                    assert_eq!(Rows::of(&self.set), before, "a rejection changed something: {command:?}");
                }
                self.journal.push(Entry { header, outcome: outcome.clone() });
            }
            Decision::Unrecorded(outcome) => {
                assert!(
                    key.is_none() && matches!(outcome, Outcome::Rejection { .. }),
                    "only keyless rejections are forgotten"
                );
                assert_eq!(*outcome, foretold, "a dry run foretold something else");
                assert_eq!(Rows::of(&self.set), before, "a rejection changed something: {command:?}");
            }
            Decision::Replayed(_) | Decision::KeyReused => {
                assert_eq!(Rows::of(&self.set), before, "a known key changed something: {command:?}");
            }
        }
        audit(self);
        decision
    }

    /// A transfer of the journal, as an engine looks it up.
    pub(super) fn transfer(&self, id: TransferId) -> Option<TransferRow> {
        self.journal.iter().find_map(|entry| {
            let transferred = transfers_of(&entry.outcome).iter().find(|transferred| transferred.id == id)?;
            let day = entry.header.day;
            Some(TransferRow { transferred: transferred.clone(), day, ordered: None, succeeded: true })
        })
    }

    fn look_up(&mut self, command: &Command) {
        for id in crate::command::footprint(command).transfers {
            if let Some(row) = self.transfer(id) {
                self.set.transfers.insert(id, row);
            }
        }
    }
}
