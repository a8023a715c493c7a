//! Closing a store and opening it again changes nothing that anybody can see.

use super::ask;
use super::bench::{Bench, OWNER, every_from, held, rejection, sequence, transferred};
use super::keys::bytes;
use super::queries::{place, view};
use super::workload;
use crate::query::{PostingQuery, TransferQuery};
use crate::report::Silent;
use crate::{Answer, Request};
use ledger::command::{Command, CreateToken};
use ledger::event::Key;
use ledger::rejection::Rejection;
use ledger::token::Role;
use std::sync::Arc;

/// All rows and the whole journal, after one and after two restarts.
pub async fn every_row_is_as_it_was(bench: &mut Bench) {
    workload::run(bench, 41, 200).await;
    bench.ask(ask::ingest(ask::transfer(1, 77, 5), b"event")).await;
    let token = CreateToken { name: "till".into(), role: Role::Teller, digest: [3; 32], expires_at: None };
    bench.ask(Command::CreateToken(Box::new(token))).await;
    let (before, secret) = (bench.world().await, bench.store().secret());
    for _ in 0..2 {
        bench.reopen();
        assert_eq!(bench.world().await, before);
        assert_eq!(bench.store().secret(), secret);
    }
}

/// What was answered before is answered so again.
pub async fn old_keys_have_their_old_answers(bench: &mut Bench) {
    bench.open_accounts(&[1000, 0]).await;
    let mut asked = Vec::new();
    for step in 0..30 {
        let request = bench.request(ask::transfer(1, 2, if step % 3 == 0 { 5000 } else { 1 + step }));
        let answer = bench.submit(vec![request.clone()]).await.remove(0);
        asked.push((request, bytes(&answer)));
        if step == 15 {
            bench.settle();
        }
    }
    bench.reopen();
    bench.ask(ask::deposit(1, 100_000)).await;
    let before = bench.world().await;
    for (request, first) in &asked {
        let again = bench.submit(vec![request.clone()]).await.remove(0);
        assert!(matches!(again, Answer::Replayed(_)), "{again:?}");
        assert_eq!(&bytes(&again), first);
        let key = request.key.map(|key| Key { fingerprint: key.fingerprint ^ 1, ..key });
        let reused = bench.submit(vec![Request { key, command: request.command.clone() }]).await.remove(0);
        assert!(matches!(reused, Answer::KeyReused), "{reused:?}");
    }
    assert_eq!(bench.world().await, before);
}

/// Ids go on growing, though the clock was put back meanwhile.
pub async fn no_id_is_given_twice(bench: &mut Bench) {
    bench.open_accounts(&[1000, 0]).await;
    let mut last = 0;
    for round in 0..4 {
        for _ in 0..3 {
            let made = transferred(&bench.ask(ask::transfer(1, 2, 1)).await).id.number();
            assert!(last < made, "transfer {made} after {last}");
            last = made;
            let hold = held(&bench.ask(ask::hold(1, None, 1, None)).await).id.number();
            assert!(last < hold, "hold {hold} after {last}");
            last = hold;
        }
        // A dry run and a rejection come last before the restart: they use up no id that would then be missing.
        bench.dry_run(ask::transfer(1, 2, 1)).await;
        bench.ask(ask::transfer(1, 2, 1_000_000)).await;
        if round % 2 == 0 {
            bench.turn_back(60_000_000)
        } else {
            bench.advance(60_000_000)
        }
        bench.reopen();
    }
}

/// A claim on a reversal outlives a restart.
pub async fn a_reversal_stays_the_only_one(bench: &mut Bench) {
    bench.open_accounts(&[1000, 0]).await;
    let first = transferred(&bench.ask(ask::transfer(1, 2, 100)).await).id;
    let second = transferred(&bench.ask(ask::transfer(1, 2, 200)).await).id;
    let by = transferred(&bench.ask(ask::reverse(first)).await).id;
    bench.reopen();
    let again = bench.ask(ask::reverse(first)).await;
    assert_eq!(rejection(&again), Rejection::AlreadyReversed { transfer: first, by: Some(by) });
    transferred(&bench.ask(ask::reverse(second)).await);
    assert_eq!(bench.balances(2).await, [1000, 0]);
}

/// Entries, versions and lists continue where they were.
pub async fn history_goes_on_without_a_seam(bench: &mut Bench) {
    bench.open_accounts(&[1000, 0]).await;
    for round in 0..3u64 {
        for _ in 0..5 {
            bench.advance(1_000_000);
            bench.ask(ask::transfer(1, 2, 1)).await;
        }
        if round == 1 {
            bench.settle();
        }
        bench.reopen();
        let head = bench.store().head();
        let answer = bench.ask(ask::open(None, OWNER, "EUR", 0)).await;
        assert_eq!(sequence(&answer), head + 1);
        let query =
            PostingQuery { account: ask::account(2), side: None, filter: Default::default(), before: None, limit: 4 };
        let rows = every_from(|before| bench.store().postings(PostingQuery { before, ..query.clone() }), 4).await;
        let versions: Vec<u64> =
            rows.iter().filter_map(|row| row.parts()).map(|(posting, _, _)| posting.version).collect();
        assert_eq!(versions, (1..=5 * (round + 1)).rev().collect::<Vec<_>>());
        assert!(rows.iter().map(place).is_sorted_by(|newer, older| older < newer));
        let query =
            TransferQuery { account: Some(ask::account(2)), filter: Default::default(), before: None, limit: 4 };
        let transfers =
            every_from(|before| bench.store().transfers(TransferQuery { before, ..query.clone() }), 4).await;
        assert_eq!(transfers.len(), rows.len());
        assert!(transfers.iter().map(view).is_sorted_by(|newer, older| older < newer));
    }
}

/// A store that nobody damaged verifies clean, before and after a restart.
pub async fn verification_finds_nothing_wrong(bench: &mut Bench) {
    workload::run(bench, 42, 200).await;
    for _ in 0..2 {
        let report = bench.store().verify(Arc::new(Silent)).await.expect("the store answers");
        assert!(report.is_clean(), "{report:?}");
        assert!(report.checks.iter().any(|check| 0 < check.count));
        bench.reopen();
    }
}
