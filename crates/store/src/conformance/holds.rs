//! Holds reserve money until they end, by whatever way.

use super::bench::{Bench, held, rejection, submit_to, transferred};
use super::{ask, block_on};
use crate::{Answer, Request};
use ledger::account::Account;
use ledger::command::Command;
use ledger::event::{Channel, Event, HoldChange, Outcome};
use ledger::hold::HoldStatus;
use ledger::rejection::Rejection;
use ledger::time::Timestamp;

async fn available(bench: &Bench) -> i128 {
    bench.account(1).await.available()
}

/// Placed, captured in part, captured for good, voided: what is available follows.
pub async fn a_hold_reserves_until_it_ends(bench: &mut Bench) {
    bench.open_accounts(&[1000, 0]).await;
    let first = held(&bench.ask(ask::hold(1, Some(2), 300, None)).await).id;
    let second = held(&bench.ask(ask::hold(1, None, 200, None)).await).id;
    assert_eq!(available(bench).await, 500);
    let answer = bench.ask(ask::transfer(1, 2, 501)).await;
    assert!(matches!(rejection(&answer), Rejection::InsufficientFunds { available: 500, .. }));

    bench.ask(ask::capture(first, Some(100), false)).await;
    assert_eq!((available(bench).await, bench.balances(2).await), (500, vec![900, 100]));
    let captured = bench.ask(ask::capture(first, Some(50), true)).await;
    assert_eq!(transferred(&captured).hold, Some(first));
    assert_eq!((available(bench).await, bench.balances(2).await), (650, vec![850, 150]), "the rest is released");
    assert_eq!(rejection(&bench.ask(ask::capture(first, None, true)).await), Rejection::HoldNotOpen(first));

    bench.ask(Command::VoidHold(second)).await;
    assert_eq!(available(bench).await, 850);
    let again = bench.ask(Command::VoidHold(second)).await;
    assert_eq!(held(&again).status, HoldStatus::Voided);
    assert_eq!(available(bench).await, 850, "voiding twice is voiding once");
}

/// From the instant a hold expires it is expired for every reader, and its money can be spent.
pub async fn a_due_hold_reserves_nothing_though_nobody_recorded_it(bench: &mut Bench) {
    bench.open_accounts(&[1000, 0]).await;
    let expires_at = bench.now().saturating_add(60_000_000);
    let hold = held(&bench.ask(ask::hold(1, None, 1000, Some(expires_at))).await).id;
    bench.advance(59_999_999);
    assert_eq!(available(bench).await, 0);
    bench.advance(1);
    let head = bench.store().head();
    let seen = bench.store().hold(hold, bench.now()).await.expect("the store answers").expect("the hold is there");
    assert_eq!(seen.status, HoldStatus::Expired);
    let listed = super::bench::every(10, |page| bench.store().holds_of(ask::account(1), page, bench.now())).await;
    assert_eq!(listed.iter().map(|hold| hold.status).collect::<Vec<_>>(), [HoldStatus::Expired]);
    let account = bench.account(1).await;
    assert_eq!((account.held, account.available()), (0, 1000));
    let foretold = bench.dry_run(ask::transfer(1, 2, 1000)).await;
    assert!(matches!(foretold, Outcome::Event(Event::Transferred(_))), "{foretold:?}");
    assert_eq!(bench.store().head(), head, "reading and asking what would be write nothing");
    transferred(&bench.ask(ask::transfer(1, 2, 1000)).await);
}

/// What an account says of its holds leaves out those whose time is over: what they reserve, how many there are, and
/// which is the next to expire.
pub async fn an_account_does_not_count_holds_that_are_due(bench: &mut Bench) {
    bench.open_accounts(&[1000]).await;
    let start = bench.now();
    let at = |after| start.saturating_add(after);
    for (minor_units, expires_at) in [(500, None), (100, Some(at(30))), (50, Some(at(10))), (200, Some(at(20)))] {
        held(&bench.ask(ask::hold(1, None, minor_units, expires_at)).await);
    }
    let counted = |account: Account| (account.held, account.holds_active, account.next_expiry);
    assert_eq!(counted(bench.account(1).await), (850, 4, at(10)));
    for (after, expected) in [(10, (800, 3, at(20))), (25, (600, 2, at(30))), (30, (500, 1, Timestamp::MAX))] {
        let seen = bench.store().account(ask::account(1), at(after)).await;
        assert_eq!(counted(seen.expect("the store answers").expect("the account is there")), expected, "after {after}");
    }
}

/// The journal says that a hold expired before it says what that made possible.
pub async fn a_command_records_first_that_holds_are_due(bench: &mut Bench) {
    bench.open_accounts(&[1000, 0]).await;
    let expires_at = bench.now().saturating_add(1_000_000);
    let holds = [400, 600].map(|minor_units| ask::hold(1, None, minor_units, Some(expires_at)));
    let mut ids = Vec::new();
    for hold in holds {
        ids.push(held(&bench.ask(hold).await).id);
    }
    bench.advance(2_000_000);
    let head = bench.store().head();
    bench.ask(ask::transfer(1, 2, 700)).await;
    let journal = bench.journal().await;
    let new: Vec<_> = journal.iter().filter(|entry| head < entry.header.sequence).collect();
    assert_eq!(new.len(), 3);
    for (entry, id) in new.iter().zip(&ids) {
        let Outcome::Event(Event::HoldChanged(changed)) = &entry.outcome else {
            panic!("expected an expiry: {entry:?}")
        };
        assert_eq!((changed.change, changed.hold.id), (HoldChange::Expired, *id));
        assert_eq!((entry.header.key, entry.header.context.channel), (None, Channel::Timer));
    }
    assert_eq!(rejection(&bench.ask(ask::capture(ids[0], None, true)).await), Rejection::HoldNotOpen(ids[0]));
    let account = bench.account(1).await;
    assert_eq!((account.held, account.holds_active), (0, 0));
}

/// Of eight threads that capture the same hold one does, and the money moves once.
pub async fn one_of_many_captures_takes_effect(bench: &mut Bench) {
    bench.open_accounts(&[1000, 0]).await;
    let hold = held(&bench.ask(ask::hold(1, Some(2), 300, None)).await).id;
    let requests: Vec<Request> = (0..8).map(|_| bench.request(ask::capture(hold, None, true))).collect();
    let store = bench.store();
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let asked = |request| scope.spawn(move || block_on(submit_to(store, vec![request], false)).remove(0));
        let threads: Vec<_> = requests.into_iter().map(asked).collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread fails")).collect()
    });
    let (made, rejected): (Vec<&Answer>, Vec<&Answer>) =
        answers.iter().partition(|answer| matches!(answer.outcome(), Some(Outcome::Event(_))));
    assert_eq!((made.len(), rejected.len()), (1, 7));
    assert!(rejected.iter().all(|answer| rejection(answer) == Rejection::HoldNotOpen(hold)));
    assert_eq!(bench.balances(2).await, [700, 300]);
}

/// The timer finds holds that are due, and finds them once.
pub async fn due_holds_are_listed_until_they_are_recorded(bench: &mut Bench) {
    bench.open_accounts(&[1000, 1000]).await;
    let start = bench.now();
    let mut ids = Vec::new();
    for (number, after) in [(1, 10), (2, 20), (1, 30), (2, 1_000_000)] {
        ids.push(held(&bench.ask(ask::hold(number, None, 100, Some(start.saturating_add(after)))).await).id);
    }
    bench.advance(25);
    let due = |limit| bench.store().due_holds(bench.now(), limit);
    let mut found = due(10).await.expect("the store answers");
    found.sort();
    assert_eq!(found, ids[..2]);
    assert_eq!(due(1).await.expect("the store answers").len(), 1);
    for id in found {
        let answer = bench.ask_without_key(Command::ExpireHold(id)).await;
        assert_eq!(held(&answer).status, HoldStatus::Expired);
    }
    assert_eq!(bench.store().due_holds(bench.now(), 10).await.expect("the store answers"), []);
    let answer = bench.ask_without_key(Command::ExpireHold(ids[2])).await;
    assert_eq!(rejection(&answer), Rejection::HoldNotOpen(ids[2]), "it is not due yet");
}
