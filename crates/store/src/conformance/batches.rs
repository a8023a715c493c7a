//! All or none.

use super::ask;
use super::bench::{Bench, sequence};
use crate::transfers_of;
use ledger::command::Command;
use ledger::event::Outcome;
use ledger::rejection::Rejection;
use ledger::transfer::{BATCH_MAX, LEGS_MAX, Note, Transfer};

/// Five transfers that were made together are one entry and five transfers.
pub async fn an_atomic_batch_is_one_entry(bench: &mut Bench) {
    bench.open_accounts(&[1000, 0, 0]).await;
    let head = bench.store().head();
    let answer = bench.ask(ask::batch(&[(1, 2, 10), (1, 3, 20), (2, 3, 5), (3, 1, 1), (1, 2, 2)])).await;
    assert_eq!((sequence(&answer), bench.store().head()), (head + 1, head + 1));
    assert_eq!(bench.balances(3).await, [969, 7, 24]);
    let transfers = answer.outcome().map(transfers_of).unwrap_or_default();
    assert_eq!(transfers.len(), 5);
    for (index, transferred) in transfers.iter().enumerate() {
        let view = bench.store().transfer(transferred.id).await.expect("the store answers").expect("each can be found");
        assert_eq!((view.transfer.index, view.transfer.transferred()), (index, Some(transferred)));
    }
}

/// Money goes through an empty account within a batch.
pub async fn a_transfer_of_a_batch_may_spend_what_an_earlier_one_brought(bench: &mut Bench) {
    bench.open_accounts(&[100, 0, 0]).await;
    bench.ask(ask::batch(&[(1, 2, 100), (2, 3, 100)])).await;
    assert_eq!(bench.balances(3).await, [0, 0, 100]);
    let answer = bench.ask(ask::batch(&[(1, 2, 100), (3, 1, 100)])).await;
    assert!(matches!(answer.outcome(), Some(Outcome::Rejection { index: 0, .. })), "{answer:?}");
    assert_eq!(bench.balances(3).await, [0, 0, 100]);
}

/// Whichever transfer of a batch is rejected: it is named, and nothing is left of the others.
pub async fn an_atomic_batch_that_fails_at_any_transfer_leaves_nothing(bench: &mut Bench) {
    bench.open_accounts(&[1000, 0]).await;
    let good: Vec<(u64, u64, u64)> = (0..10).map(|index| if index % 2 == 0 { (1, 2, 20) } else { (2, 1, 5) }).collect();
    for culprit in 0..good.len() {
        let mut transfers = good.clone();
        transfers[culprit] = (1, 2, 1_000_000);
        let before = bench.world().await;
        let answer = bench.ask_without_key(ask::batch(&transfers)).await;
        let Some(Outcome::Rejection { index, rejection: Rejection::InsufficientFunds { .. } }) = answer.outcome()
        else {
            panic!("transfer {culprit} is too large: {answer:?}")
        };
        assert_eq!(usize::try_from(*index), Ok(culprit));
        assert_eq!(bench.world().await, before, "culprit {culprit}");
        // With a key the rejection is remembered, and is all that is.
        let answer = bench.ask(ask::batch(&transfers)).await;
        assert_eq!(sequence(&answer), before.head + 1);
        assert_eq!(bench.world().await.accounts, before.accounts, "culprit {culprit}");
    }
    bench.ask(ask::batch(&good)).await;
    assert_eq!(bench.balances(2).await, [925, 75]);
}

/// Whichever leg of a transfer is rejected: nothing is left of the others.
pub async fn a_transfer_that_fails_at_any_leg_leaves_nothing(bench: &mut Bench) {
    bench.open_accounts(&[1000, 0]).await;
    let good = [(1, 2, 20); 8];
    for culprit in 0..good.len() {
        let mut legs = good;
        legs[culprit] = (1, 77, 20);
        let before = bench.world().await;
        let answer = bench.ask_without_key(ask::legs(&legs)).await;
        assert_eq!(super::bench::rejection(&answer), Rejection::AccountNotFound(ask::account(77)));
        assert_eq!(bench.world().await, before, "culprit {culprit}");
    }
    bench.ask(ask::legs(&good)).await;
    assert_eq!(bench.balances(2).await, [840, 160]);
    assert_eq!((bench.account(1).await.version, bench.account(2).await.version), (9, 8));
}

/// The largest transfer there may be: every leg, and as much metadata as a client can send.
pub async fn a_transfer_of_the_largest_size_fits(bench: &mut Bench) {
    bench.open_accounts(&[1000, 0]).await;
    let metadata = (0..32).map(|index| (format!("{index:064}").into(), "v".repeat(512).into()));
    let note = Note { reference: Some("r".repeat(255).into()), metadata: metadata.collect() };
    let Command::Transfer(legs) = ask::legs(&[(1, 2, 1); LEGS_MAX]) else { panic!("legs are of a transfer") };
    let answer = bench.ask(Command::Transfer(Transfer { note: Some(Box::new(note.clone())), ..legs })).await;
    let made = super::bench::transferred(&answer);
    assert_eq!((made.postings.len(), made.note.as_deref()), (2 * LEGS_MAX, Some(&note)));
    bench.reopen();
    let view = bench.store().transfer(made.id).await.expect("the store answers").expect("the transfer is there");
    assert_eq!(view.transfer.transferred(), Some(made));
    assert_eq!(bench.balances(2).await, [900, 100]);
}

/// The largest atomic batch there may be is one entry, and none if its last transfer fails.
pub async fn a_batch_of_the_largest_size_fits(bench: &mut Bench) {
    bench.open_accounts(&[1_000_000, 0]).await;
    let mut transfers = vec![(1, 2, 1); BATCH_MAX];
    transfers[BATCH_MAX - 1] = (1, 2, 1_000_000);
    let answer = bench.ask(ask::batch(&transfers)).await;
    let Some(Outcome::Rejection { index, .. }) = answer.outcome() else {
        panic!("the last one is too large: {answer:?}")
    };
    assert_eq!(usize::try_from(*index), Ok(BATCH_MAX - 1));
    assert_eq!(bench.balances(2).await, [1_000_000, 0]);
    transfers[BATCH_MAX - 1] = (2, 1, 1);
    let answer = bench.ask(ask::batch(&transfers)).await;
    let made = answer.outcome().map(transfers_of).unwrap_or_default();
    assert_eq!(made.len(), BATCH_MAX);
    let last = made[BATCH_MAX - 1].id;
    bench.reopen();
    let view = bench.store().transfer(last).await.expect("the store answers").expect("the last one can be found");
    assert_eq!(view.transfer.index, BATCH_MAX - 1);
    assert_eq!(bench.account(1).await.version, 1 + BATCH_MAX as u64);
}
