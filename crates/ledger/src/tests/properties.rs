//! What holds in every story. Beside what is claimed here, every step is audited: see [`super::bank`].

use super::audit::nets;
use super::bank::{Bank, empty_set};
use super::rows::Rows;
use super::story::{Movement, Step, Story, movements, stories};
use crate::account::Account;
use crate::command::{Command, Reverse};
use crate::event::{Event, Outcome};
use crate::ids::{AccountId, HoldId};
use crate::limit::DebitCounter;
use crate::{Decision, replay};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn told(seed: u64, story: &[Step]) -> Story {
    let mut told = Story::new(seed);
    story.iter().for_each(|step| drop(told.take(step)));
    told
}

fn outcome(decision: Decision) -> Outcome {
    match decision {
        Decision::Recorded(outcome) | Decision::Unrecorded(outcome) => outcome,
        Decision::Replayed(_) | Decision::KeyReused => panic!("a command without a key has no earlier answer"),
    }
}

/// What a movement of money changes on each account, beside its counts.
fn figures(bank: &Bank) -> BTreeMap<AccountId, (i128, u64, DebitCounter)> {
    let figures = |account: &Account| (account.id, (account.balance, account.held, account.debits.on(bank.day)));
    bank.set.accounts.iter().map(figures).collect()
}

proptest! {
    #[test]
    fn the_journal_alone_gives_the_rows(story in stories(80)) {
        let told = told(1, &story);
        let mut replayed = empty_set(2);
        told.bank.journal.iter().for_each(|entry| replay(&mut replayed, entry));
        prop_assert_eq!(Rows::of(&replayed), Rows::of(&told.bank.set));
        for entry in &told.bank.journal {
            let known = entry.header.key.map(|key| replayed.keys.get(key.digest).map(|row| (row.fingerprint, row.sequence)));
            prop_assert_eq!(known, entry.header.key.map(|key| Some((key.fingerprint, entry.header.sequence))));
        }
    }

    #[test]
    fn the_same_commands_come_to_the_same_everywhere(story in stories(60)) {
        let (here, there) = (told(1, &story), told(0x9e37_79b9, &story));
        prop_assert_eq!(&here.bank.journal, &there.bank.journal);
    }

    #[test]
    fn a_replayed_shard_goes_on_as_if_it_had_never_stopped(story in stories(40), more in stories(20)) {
        let mut told = told(1, &story);
        let mut restarted = Story::new(1);
        restarted.bank.set = empty_set(3);
        told.bank.journal.iter().for_each(|entry| replay(&mut restarted.bank.set, entry));
        restarted.resume(&told);
        for step in &more {
            prop_assert_eq!(restarted.take(step), told.take(step));
        }
    }

    #[test]
    fn an_atomic_batch_is_its_transfers_one_by_one_or_nothing(
        story in stories(40),
        batch in prop::collection::vec(movements(), 1..7),
    ) {
        let (mut whole, mut single) = (told(1, &story), told(1, &story));
        let transfers = |story: &Story, batch: &[Movement]| batch.iter().map(|movement| story.transfer(movement)).collect::<Box<[_]>>();
        let before = Rows::of(&whole.bank.set);
        let transfers = transfers(&whole, &batch);
        let together = outcome(whole.submit(None, &Command::Batch(transfers.clone())));
        let mut one_by_one = Vec::new();
        let mut rejected = None;
        for (index, transfer) in (0..).zip(&transfers) {
            match outcome(single.submit(None, &Command::Transfer(transfer.clone()))) {
                Outcome::Event(Event::Transferred(transferred)) => one_by_one.push(transferred),
                Outcome::Rejection { rejection, .. } => {
                    rejected = Some(Outcome::Rejection { index, rejection });
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        match rejected {
            Some(rejection) => {
                prop_assert_eq!(together, rejection);
                prop_assert_eq!(Rows::of(&whole.bank.set), before);
            }
            None => {
                prop_assert_eq!(together, Outcome::Event(Event::BatchTransferred(one_by_one.into())));
                prop_assert_eq!(Rows::of(&whole.bank.set), Rows::of(&single.bank.set));
            }
        }
    }

    #[test]
    fn a_reversal_undoes_every_figure(story in stories(40), movement in movements()) {
        let mut told = told(1, &story);
        let before = figures(&told.bank);
        let transfer = told.transfer(&movement);
        let Outcome::Event(Event::Transferred(done)) = outcome(told.submit(None, &Command::Transfer(transfer))) else {
            return Ok(());
        };
        let reverse = Command::Reverse(Reverse { transfer: done.id, forced: true, note: None });
        if let Outcome::Event(Event::Transferred(undone)) = outcome(told.submit(None, &reverse)) {
            let opposite: BTreeMap<AccountId, i128> = nets(&done).into_iter().map(|(id, net)| (id, -net)).collect();
            prop_assert_eq!(nets(&undone), opposite);
            let mut after = figures(&told.bank);
            after.retain(|id, _| before.contains_key(id));
            prop_assert_eq!(after, before);
        }
    }

    #[test]
    fn it_does_not_matter_whether_it_was_recorded_that_holds_expired(story in stories(40), movement in movements()) {
        let (mut recorded, mut unrecorded) = (told(1, &story), told(1, &story));
        let due: Vec<HoldId> = recorded.bank.set.all_due_holds(recorded.bank.time).collect();
        for hold in due {
            let expired = outcome(recorded.submit(None, &Command::ExpireHold(hold)));
            prop_assert!(matches!(expired, Outcome::Event(Event::HoldChanged(_))));
        }
        let command = Command::Transfer(recorded.transfer(&movement));
        prop_assert_eq!(outcome(recorded.submit(None, &command)), outcome(unrecorded.submit(None, &command)));
    }
}
