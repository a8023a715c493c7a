//! Workers without input: they compare what should be with what is, and may run as often as anybody likes.

use crate::{Bank, Caller};
use ledger::command::Command;
use ledger::event::Channel;
use ledger::event::{Event, Outcome};
use ledger::token::Role;
use store::{Answer, Fault, Request, Submission};

/// Most holds that one step expires on one shard.
const DUE_HOLDS_MAX: usize = 1000;

impl Bank {
    /// Records that holds whose time is over have expired, at most a thousand per shard; returns how many did. Reads
    /// and decisions see them as expired before; this is for accounts on which nothing happens.
    ///
    /// # Errors
    /// A fault of any shard; what is left is found by the next step.
    pub async fn expire_due_holds(&self) -> Result<usize, Fault> {
        let clock =
            Caller { principal: "florin".into(), role: Role::Admin, channel: Channel::Timer, correlation: "".into() };
        let context = clock.context();
        let mut expired = 0;
        for store in &self.shards {
            let due = store.due_holds(self.now(), DUE_HOLDS_MAX).await?;
            if due.is_empty() {
                continue;
            }
            let requests =
                due.into_iter().map(|hold| Request { key: None, command: Command::ExpireHold(hold) }).collect();
            let answers = store.submit(Submission { context: context.clone(), requests, dry_run: false }).await?;
            let changed = |answer: &&Answer| matches!(answer.outcome(), Some(Outcome::Event(Event::HoldChanged(_))));
            expired += answers.iter().filter(changed).count();
        }
        Ok(expired)
    }
}
