//! Money moves once, completely, and is seen at once.

use super::bench::{Bench, OWNER, every_from, rejection, sequence, submit_to, transferred};
use super::{ask, block_on};
use crate::query::{BalanceQuery, PostingQuery, TimeAxis};
use crate::{Answer, Request, SUBMISSION_MAX};
use ledger::event::{Event, Outcome};
use ledger::rejection::Rejection;
use std::sync::atomic::{AtomicBool, Ordering};

/// Answer n belongs to request n, whatever became of it.
pub async fn answers_align_with_their_requests(bench: &mut Bench) {
    bench.open_accounts(&[1000, 0]).await;
    let commands: Vec<_> =
        (1..=20).map(|minor_units| ask::transfer(1, if minor_units % 3 == 0 { 77 } else { 2 }, minor_units)).collect();
    let requests = commands.into_iter().map(|command| bench.request(command)).collect();
    let answers = bench.submit(requests).await;
    for (minor_units, answer) in (1..=20).zip(&answers) {
        if minor_units % 3 == 0 {
            assert_eq!(rejection(answer), Rejection::AccountNotFound(ask::account(77)));
        } else {
            assert_eq!(transferred(answer).postings[0].amount, ask::amount(minor_units));
        }
    }
    let sequences: Vec<_> = answers.iter().map(sequence).collect();
    assert!(sequences.is_sorted(), "requests take effect in their order: {sequences:?}");
}

/// Whatever an answer says can be read as soon as it is there.
pub async fn what_was_answered_is_seen_by_the_next_read(bench: &mut Bench) {
    bench.open_accounts(&[1000, 0]).await;
    for step in 1..=5u64 {
        bench.advance(1000);
        let answer = bench.ask(ask::transfer(1, 2, 10)).await;
        let made = transferred(&answer);
        let store = bench.store();
        assert_eq!(store.head(), sequence(&answer));
        assert_eq!(bench.balances(2).await, [i128::from(1000 - 10 * step), i128::from(10 * step)]);
        let view = store.transfer(made.id).await.expect("the store answers").expect("the transfer is there");
        assert_eq!(view.transfer.transferred(), Some(made));
        let query =
            PostingQuery { account: ask::account(2), side: None, filter: Default::default(), before: None, limit: 1 };
        let page = store.postings(query).await.expect("the store answers");
        let newest = page.items.first().and_then(|row| row.parts()).map(|(posting, _, _)| *posting);
        assert_eq!(newest, Some(made.postings[1]));
        let at = BalanceQuery { account: ask::account(2), at: bench.now(), axis: TimeAxis::Booking };
        assert_eq!(store.balance_at(at).await.expect("the store answers"), Some(i128::from(10 * step)));
        let last = bench.journal().await.last().map(|entry| entry.header.sequence);
        assert_eq!(last, Some(sequence(&answer)));
    }
}

/// A dry run leaves entries, rows, keys and ids as they were.
pub async fn a_dry_run_changes_nothing(bench: &mut Bench) {
    bench.open_accounts(&[1000, 0]).await;
    let first = transferred(&bench.ask(ask::transfer(1, 2, 1)).await).id;
    let before = bench.world().await;
    let key = bench.next_key();
    let commands = [
        ask::transfer(1, 2, 10),
        ask::transfer(1, 2, 100_000),
        ask::deposit_in("CZK", 1, 5),
        ask::batch(&[(1, 2, 5), (2, 1, 9000)]),
        ask::batch(&[(1, 2, 5), (2, 1, 6)]),
        ask::hold(1, None, 10, None),
        ask::reverse(first),
        ask::open(None, OWNER, "EUR", 0),
    ];
    for command in commands {
        let request = Request { key: Some(key), command };
        let answers = submit_to(bench.store(), vec![request.clone(), request], true).await;
        assert!(
            answers.iter().all(|answer| matches!(answer, Answer::Unrecorded(_))),
            "a dry run has no entry: {answers:?}"
        );
    }
    assert_eq!(bench.world().await, before);
    let answer = bench.ask_as(key, ask::transfer(1, 2, 1)).await;
    assert!(matches!(answer, Answer::Recorded(_)), "a dry run stores no key: {answer:?}");
    assert_eq!(transferred(&answer).id.number(), first.number() + 1, "a dry run uses up no id");
}

/// What a dry run says is what then happens.
pub async fn a_dry_run_says_what_would_happen(bench: &mut Bench) {
    bench.open_accounts(&[1000, 0]).await;
    for command in [
        ask::transfer(1, 2, 10),
        ask::transfer(2, 1, 500),
        ask::batch(&[(1, 2, 1), (2, 1, 900)]),
        ask::withdrawal(2, 3),
    ] {
        let foretold = bench.dry_run(command.clone()).await;
        let answer = bench.ask(command).await;
        assert_eq!(answer.outcome(), Some(&foretold));
    }
}

/// Every account's postings count 1, 2, 3, … and each balance is the one before plus the posting.
pub async fn versions_have_no_gaps(bench: &mut Bench) {
    super::workload::run(bench, 11, 300).await;
    bench.settle();
    for number in 1..=super::workload::ACCOUNTS {
        let list = |before| {
            let query = PostingQuery {
                account: ask::account(number),
                side: None,
                filter: Default::default(),
                before,
                limit: 40,
            };
            bench.store().postings(query)
        };
        let mut rows = every_from(list, 40).await;
        rows.reverse();
        let mut balance = 0;
        for (version, row) in (1..).zip(&rows) {
            let (posting, _, _) = row.parts().expect("a posting's entry has it");
            balance += posting.signed();
            assert_eq!((posting.version, posting.balance_after), (version, balance), "account {number}");
        }
        let account = bench.account(number).await;
        assert_eq!((account.version, account.balance), (rows.len() as u64, balance), "account {number}");
    }
}

/// The bank's own accounts and the customers' together have nothing, in each currency.
pub async fn balances_of_each_currency_sum_to_zero(bench: &mut Bench) {
    super::workload::run(bench, 12, 200).await;
    bench.ask(ask::open(Some(70), OWNER, "CZK", 0)).await;
    bench.ask(ask::deposit_in("CZK", 70, 123_456)).await;
    let world = bench.world().await;
    assert_eq!(world.customer_sums.len(), 2);
    for (currency, customers) in world.customer_sums {
        let own = world.system_accounts.iter().filter(|account| account.currency == currency);
        assert_eq!(customers + own.map(|account| account.balance).sum::<i128>(), 0, "{currency}");
    }
    assert!(bench.store().stats().sums.iter().all(|(_, sum)| *sum == 0));
}

/// Eight threads move money between two accounts both ways: none is lost, none made.
pub async fn transfers_in_both_directions_at_once_lose_nothing(bench: &mut Bench) {
    bench.open_accounts(&[100_000, 100_000]).await;
    let mut work: Vec<Vec<Request>> = Vec::new();
    for thread in 0..8 {
        let (from, to) = if thread % 2 == 0 { (1, 2) } else { (2, 1) };
        work.push((0..50).map(|step| bench.request(ask::transfer(from, to, 1 + step % 7))).collect());
    }
    let store = bench.store();
    std::thread::scope(|scope| {
        for requests in work {
            scope.spawn(move || {
                for request in requests {
                    let answers = block_on(submit_to(store, vec![request], false));
                    transferred(&answers[0]);
                }
            });
        }
    });
    assert_eq!(bench.balances(2).await, [100_000, 100_000]);
    assert_eq!(bench.account(1).await.version, 401);
}

/// Of eight threads that reverse the same transfer with keys of their own, one does.
pub async fn a_transfer_is_reversed_once(bench: &mut Bench) {
    bench.open_accounts(&[1000, 0]).await;
    let original = transferred(&bench.ask(ask::transfer(1, 2, 400)).await).id;
    bench.settle();
    let requests: Vec<Request> = (0..8).map(|_| bench.request(ask::reverse(original))).collect();
    let store = bench.store();
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let asked = |request| scope.spawn(move || block_on(submit_to(store, vec![request], false)).remove(0));
        let threads: Vec<_> = requests.into_iter().map(asked).collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread fails")).collect()
    });
    let made: Vec<_> = answers.iter().filter(|answer| matches!(answer.outcome(), Some(Outcome::Event(_)))).collect();
    let [made] = made[..] else { panic!("one reversal is made: {answers:?}") };
    let by = transferred(made).id;
    assert_eq!(transferred(made).reverses.map(|reversed| reversed.transfer), Some(original));
    let others = answers.iter().filter(|answer| matches!(answer.outcome(), Some(Outcome::Rejection { .. })));
    for other in others {
        assert_eq!(rejection(other), Rejection::AlreadyReversed { transfer: original, by: Some(by) });
    }
    assert_eq!(bench.balances(2).await, [1000, 0]);
    let view = bench.store().transfer(original).await.expect("the store answers").expect("the transfer is there");
    assert_eq!(view.reversed_by, Some(by));
    assert_eq!(rejection(&bench.ask(ask::reverse(by)).await), Rejection::AlreadyReversed { transfer: by, by: None });
}

/// A→B→C in one transfer is undone though B has nothing.
pub async fn a_chain_is_reversed_though_its_middle_is_empty(bench: &mut Bench) {
    bench.open_accounts(&[100, 0, 0]).await;
    let answer = bench.ask(ask::legs(&[(1, 2, 100), (2, 3, 100)])).await;
    assert_eq!(bench.balances(3).await, [0, 0, 100]);
    let answer = bench.ask(ask::reverse(transferred(&answer).id)).await;
    assert_eq!(transferred(&answer).postings.len(), 4);
    assert_eq!(bench.balances(3).await, [100, 0, 0]);
}

/// A clock that is put back does not put entries back.
pub async fn time_never_goes_back(bench: &mut Bench) {
    bench.open_accounts(&[1000, 0]).await;
    for step in 0..20 {
        if step % 2 == 0 {
            bench.advance(3_000_000)
        } else {
            bench.turn_back(2_500_000)
        }
        bench.ask(ask::transfer(1, 2, 1)).await;
    }
    let journal = bench.journal().await;
    assert!(journal.is_sorted_by_key(|entry| entry.header.time));
    assert!(journal.iter().all(|entry| entry.header.day == entry.header.time.day()));
    let ids = journal.iter().filter_map(|entry| match &entry.outcome {
        Outcome::Event(Event::Transferred(transferred)) => Some(transferred.id),
        _ => None,
    });
    assert!(ids.is_sorted_by(|earlier, later| earlier < later), "ids grow");
}

/// As many requests as a submission may have take effect, each answered in its place.
pub async fn a_submission_may_be_as_large_as_the_maximum(bench: &mut Bench) {
    bench.open_accounts(&[1_000_000, 0]).await;
    let requests = (0..SUBMISSION_MAX).map(|_| bench.request(ask::transfer(1, 2, 1))).collect();
    let answers = bench.submit(requests).await;
    assert_eq!(answers.len(), SUBMISSION_MAX);
    for (version, answer) in (1..).zip(&answers) {
        assert_eq!(transferred(answer).postings[1].version, version);
    }
    let moved = i128::try_from(SUBMISSION_MAX).expect("a small number");
    assert_eq!(bench.balances(2).await, [1_000_000 - moved, moved]);
}

/// While money moves, whoever reads sees rows that belong together, and never goes back in time.
pub async fn readers_see_rows_that_belong_together(bench: &mut Bench) {
    bench.open_accounts(&[1_000_000, 0]).await;
    let work: Vec<Vec<Request>> =
        (0..100).map(|_| (0..5).map(|_| bench.request(ask::transfer(1, 2, 1))).collect()).collect();
    let (store, now) = (bench.store(), bench.now());
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let (mut version, mut head) = (0, 0);
                while !is_done.load(Ordering::SeqCst) {
                    let row = block_on(store.account(ask::account(2), now)).expect("the store answers");
                    let row = row.expect("the account is there");
                    // Every posting brings one unit.
                    assert_eq!(row.balance, i128::from(row.version));
                    assert!(version <= row.version && head <= store.head(), "time goes back for a reader");
                    (version, head) = (row.version, store.head());
                    let query = PostingQuery {
                        account: row.id,
                        side: None,
                        filter: Default::default(),
                        before: None,
                        limit: 1,
                    };
                    let page = block_on(store.postings(query)).expect("the store answers");
                    let newest =
                        page.items.first().and_then(|row| row.parts()).map_or(0, |(posting, _, _)| posting.version);
                    assert!(version <= newest, "the list of postings lags behind the account");
                    version = newest;
                }
            });
        }
        for requests in work {
            block_on(submit_to(store, requests, false));
        }
        is_done.store(true, Ordering::SeqCst);
    });
    assert_eq!(bench.balances(2).await, [999_500, 500]);
}
