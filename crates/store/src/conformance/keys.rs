//! A key has one effect, for ever.

use super::bench::{Bench, key, rejection, sequence, submit_to, transferred};
use super::{ask, block_on};
use crate::codec::encode_block;
use crate::{Answer, Request};
use ledger::event::{Entry, Key, Outcome};
use ledger::rejection::Rejection;

/// An entry as bytes.
pub(super) fn bytes(answer: &Answer) -> Vec<u8> {
    let entry: &Entry = answer.entry().expect("the answer rests on an entry");
    let mut bytes = Vec::new();
    encode_block(std::slice::from_ref(entry), &mut bytes);
    bytes.extend(entry.header.sequence.to_le_bytes());
    bytes
}

/// A retry, at once or later, is answered from the first entry, byte for byte.
pub async fn the_same_key_and_meaning_replays_the_same_entry(bench: &mut Bench) {
    bench.open_accounts(&[1000, 0]).await;
    let key = bench.next_key();
    let first = bench.ask_as(key, ask::transfer(1, 2, 10)).await;
    assert!(matches!(first, Answer::Recorded(_)));
    for retry in 0..3 {
        bench.advance(86_400_000_000);
        if retry == 1 {
            bench.settle();
        }
        let again = bench.ask_as(key, ask::transfer(1, 2, 10)).await;
        assert!(matches!(again, Answer::Replayed(_)), "{again:?}");
        assert_eq!(bytes(&again), bytes(&first));
    }
    assert_eq!(bench.balances(2).await, [990, 10]);
    assert_eq!(bench.store().head(), sequence(&first));
}

/// The same key for something else is refused and changes nothing.
pub async fn a_key_with_another_meaning_is_reused_and_moves_nothing(bench: &mut Bench) {
    bench.open_accounts(&[1000, 0]).await;
    let first = bench.next_key();
    bench.ask_as(first, ask::transfer(1, 2, 10)).await;
    bench.settle();
    let before = bench.world().await;
    let other = Key { fingerprint: first.fingerprint ^ 1, ..first };
    for _ in 0..2 {
        let answer = bench.ask_as(other, ask::transfer(1, 2, 20)).await;
        assert!(matches!(answer, Answer::KeyReused), "{answer:?}");
    }
    assert_eq!(bench.world().await, before);
}

/// A rejection stays the answer, though the reason for it is gone.
pub async fn a_rejection_is_final_for_its_key(bench: &mut Bench) {
    bench.open_accounts(&[5, 0]).await;
    let key = bench.next_key();
    let first = bench.ask_as(key, ask::transfer(1, 2, 10)).await;
    assert!(matches!(rejection(&first), Rejection::InsufficientFunds { available: 5, .. }));
    bench.ask(ask::deposit(1, 100)).await;
    bench.settle();
    let again = bench.ask_as(key, ask::transfer(1, 2, 10)).await;
    assert!(matches!(again, Answer::Replayed(_)), "{again:?}");
    assert_eq!(bytes(&again), bytes(&first));
    assert_eq!(bench.balances(2).await, [105, 0]);
}

/// Without a key there is nothing to remember of a rejection.
pub async fn a_rejection_without_a_key_leaves_no_entry(bench: &mut Bench) {
    bench.open_accounts(&[5, 0]).await;
    let before = bench.world().await;
    let answer = bench.ask_without_key(ask::transfer(1, 2, 10)).await;
    assert!(matches!(answer, Answer::Unrecorded(_)), "{answer:?}");
    assert!(matches!(rejection(&answer), Rejection::InsufficientFunds { .. }));
    assert_eq!(bench.world().await, before);
    let answer = bench.ask_without_key(ask::transfer(1, 2, 5)).await;
    assert!(matches!(answer, Answer::Recorded(_)), "{answer:?}");
}

/// The second of two equal requests in one submission is a retry of the first.
pub async fn a_key_repeated_inside_one_submission_replays(bench: &mut Bench) {
    bench.open_accounts(&[1000, 0]).await;
    let (repeated, rejected) = (bench.next_key(), bench.next_key());
    let request = |key: Key, minor_units| Request { key: Some(key), command: ask::transfer(1, 2, minor_units) };
    let other = Key { fingerprint: 7, ..repeated };
    let requests = vec![
        request(repeated, 10),
        request(rejected, 5000),
        request(repeated, 10),
        request(rejected, 5000),
        request(other, 10),
    ];
    let answers = bench.submit(requests).await;
    assert_eq!(sequence(&answers[2]), sequence(&answers[0]));
    assert_eq!(sequence(&answers[3]), sequence(&answers[1]));
    assert!(
        matches!(
            &answers[..],
            [Answer::Recorded(_), Answer::Recorded(_), Answer::Replayed(_), Answer::Replayed(_), Answer::KeyReused]
        ),
        "{answers:?}"
    );
    assert_eq!(bench.balances(2).await, [990, 10]);
}

/// Eight threads send the same requests at once: each has one effect, and all hear the same.
pub async fn the_same_keys_from_many_threads_have_one_effect_each(bench: &mut Bench) {
    bench.open_accounts(&[100_000, 0]).await;
    let store = bench.store();
    // One in four is rejected, since account 77 is not there.
    let request = |number: u64| Request {
        key: Some(key(1_000_000 + u128::from(number))),
        command: ask::transfer(1, if number % 4 == 3 { 77 } else { 2 }, 1 + number),
    };
    let heard: Vec<Vec<Vec<u8>>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8u64)
            .map(|thread| {
                scope.spawn(move || {
                    let mut heard = vec![Vec::new(); 64];
                    for step in 0..16 {
                        // Everybody goes through the same keys, four at a time, each from a place of its own.
                        let numbers: Vec<u64> = (0..4).map(|index| (thread * 8 + step * 4 + index) % 64).collect();
                        let answers =
                            block_on(submit_to(store, numbers.iter().map(|number| request(*number)).collect(), false));
                        for (number, answer) in numbers.iter().zip(&answers) {
                            heard[usize::try_from(*number).expect("a small number")] = bytes(answer);
                        }
                    }
                    heard
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread fails")).collect()
    });
    assert!(heard.iter().all(|answers| *answers == heard[0]), "all threads hear the same");
    let moved: u64 = (0..64).filter(|number| number % 4 != 3).map(|number| number + 1).sum();
    assert_eq!(bench.balances(2).await, [100_000 - i128::from(moved), i128::from(moved)]);
    let with_key = bench
        .journal()
        .await
        .iter()
        .filter(|entry| entry.header.key.is_some_and(|known| (0..64).any(|number| known == key(1_000_000 + number))))
        .count();
    assert_eq!(with_key, 64);
}

/// A command on which the rule book panics takes nothing with it, neither what came before nor what comes after.
pub async fn a_command_that_breaks_the_rule_book_is_rejected_for_good(bench: &mut Bench) {
    bench.open_accounts(&[1000, 0]).await;
    // No edge makes such a command: a batch is never inside of an event.
    let poison = bench.request(ask::ingest(ask::batch(&[(1, 2, 5)]), b"{}"));
    let requests = vec![bench.request(ask::transfer(1, 2, 10)), poison.clone(), bench.request(ask::transfer(1, 2, 20))];
    let answers = bench.submit(requests).await;
    assert_eq!(transferred(&answers[0]).postings[1].balance_after, 10);
    assert_eq!(rejection(&answers[1]), Rejection::InvariantBroken);
    assert_eq!(transferred(&answers[2]).postings[1].balance_after, 30);
    assert_eq!(bench.balances(2).await, [970, 30]);
    let again = bench.submit(vec![poison]).await.remove(0);
    assert!(matches!(again, Answer::Replayed(_)), "{again:?}");
    assert_eq!(bytes(&again), bytes(&answers[1]));
    assert_eq!(bench.store().stats().poison_commands, 1);
    bench.reopen();
    assert_eq!(bench.balances(2).await, [970, 30]);
}

/// Asking what such a command would do is answered, and harms nobody.
pub async fn a_dry_run_that_breaks_the_rule_book_is_answered(bench: &mut Bench) {
    bench.open_accounts(&[1000, 0]).await;
    let before = bench.world().await;
    let poison = ask::ingest(ask::batch(&[(1, 2, 5)]), b"{}");
    let outcome = bench.dry_run(poison.clone()).await;
    assert_eq!(outcome, Outcome::Rejection { index: 0, rejection: Rejection::InvariantBroken });
    let answer = bench.ask_without_key(poison).await;
    assert!(matches!(answer, Answer::Unrecorded(_)), "{answer:?}");
    assert_eq!(rejection(&answer), Rejection::InvariantBroken);
    assert_eq!(bench.world().await, before);
    bench.ask(ask::transfer(1, 2, 10)).await;
    assert_eq!(bench.balances(2).await, [990, 10]);
}
