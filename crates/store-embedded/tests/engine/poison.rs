//! A command that makes the rule book panic takes nothing with it.

use crate::bank::{Bank, account, key, transfer, transfers};
use ledger::command::Command;
use ledger::event::Outcome;
use ledger::rejection::Rejection;
use ledger::time::Timestamp;
use std::sync::Arc;
use store::conformance::block_on;
use store::{Answer, Request};

/// Moving exactly this many cents makes the rule book panic.
const POISON_CENTS: u64 = 666_666;

fn bank() -> Bank {
    Bank::with(|options| {
        options.before_apply = Some(Arc::new(|command| {
            if let Command::Transfer(transfer) = command {
                let is_poison = transfer.legs.iter().any(|leg| {
                    leg.amount
                        == ledger::transfer::LegAmount::Exactly(
                            ledger::amount::Amount::new(POISON_CENTS).expect("an amount"),
                        )
                });
                assert!(!is_poison, "poison");
            }
        }));
    })
}

fn is_broken(answer: &Answer) -> bool {
    matches!(answer.outcome(), Some(Outcome::Rejection { rejection: Rejection::InvariantBroken, .. }))
}

#[test]
fn the_culprit_is_rejected_for_good_and_its_neighbours_take_effect() {
    let bank = bank();
    bank.open_accounts(3);
    let mut requests: Vec<Request> = transfers(0..10, 3);
    requests.insert(4, Request { key: key(900), ..transfer(1, 1, 2, POISON_CENTS) });
    requests.push(Request { key: key(901), ..transfer(1, 2, 3, POISON_CENTS) });
    let answers = bank.submit(requests.clone()).expect("no fault");
    let broken: Vec<usize> = (0..answers.len()).filter(|place| is_broken(&answers[*place])).collect();
    assert_eq!(broken, [4, 11]);
    let again = bank.submit(requests).expect("no fault");
    assert!(again.iter().all(|answer| matches!(answer, Answer::Replayed(_))));
    assert!(is_broken(&again[4]));
    let versions: u64 = (1..=3)
        .map(|id| {
            block_on(bank.store().account(account(id), Timestamp::MAX)).expect("no fault").map_or(0, |row| row.version)
        })
        .sum();
    assert_eq!(versions, 20);
    assert_eq!(bank.store().stats().poison_commands, 2);
    assert!(bank.verify().is_clean());
}

#[test]
fn without_a_key_the_culprit_leaves_no_trace() {
    let bank = bank();
    bank.open_accounts(3);
    let head = bank.store().head();
    let answers = bank.submit(vec![Request { key: None, ..transfer(1, 1, 2, POISON_CENTS) }]).expect("no fault");
    assert!(is_broken(&answers[0]) && matches!(answers[0], Answer::Unrecorded(_)));
    assert_eq!(bank.store().head(), head);
}
