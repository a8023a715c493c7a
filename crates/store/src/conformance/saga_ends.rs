//! What becomes of transfers between shards when something happens meanwhile: accounts that are frozen, closed or full,
//! limits, clocks, operators and events that wait for an end.

use super::ask;
use super::bench::{Bench, rejection};
use super::kinds::{Kind, account_at, begin, leg, movement};
use super::net::{Net, PLACES, step_of};
use crate::query::{PageQuery, TransferStatus};
use ledger::account::{CUSTOMER_BALANCE_MAX, FreezeKind};
use ledger::amount::Amount;
use ledger::command::{ChangeTerms, Command, Freeze, Ingest};
use ledger::event::{Event, Outcome};
use ledger::ids::{AccountId, TransferId};
use ledger::limit::LimitKind;
use ledger::rejection::Rejection;
use ledger::saga::StepKind;
use ledger::time::Timestamp;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The store under test is the home, then the first of the others, then the second.
const PLACES_OF_TEST: [usize; PLACES] = [0, 1, 2];

/// What a day is on the clock.
pub(super) const DAY_US: u64 = 86_400_000_000;

pub(super) async fn failure_of(net: &Net<'_>, id: TransferId) -> Rejection {
    match net.status(id).await {
        TransferStatus::Failed(failure) => failure.rejection,
        status => panic!("{id} should have failed: {status:?}"),
    }
}

async fn withdraw_all(net: &mut Net<'_>, place: usize, account: u64) {
    let (number, balance) = (net.number(place, account), net.account(place, account).await.balance);
    let cash = ledger::account::SystemAccount::standard(
        net.shard(place),
        ledger::account::SystemKind::Cash,
        ask::currency("EUR"),
    );
    let minor_units = u64::try_from(balance).expect("it has something");
    let Command::Transfer(withdrawal) = ask::withdrawal(number, minor_units) else { unreachable!("it is a transfer") };
    let legs = ledger::transfer::Legs::One([leg(ask::account(number), cash.id(), minor_units)]);
    let withdrawal = ledger::transfer::Transfer { legs, ..withdrawal };
    let answer = net.ask(place, Command::Transfer(withdrawal)).await;
    assert!(matches!(answer.outcome(), Some(Outcome::Event(_))), "{answer:?}");
}

/// From 1 at home and 1 at the second place to the given account of the first: so that it is promised.
fn promising(net: &Net<'_>, account: u64) -> Command {
    let to = account_at(net, (1, account));
    let legs = vec![leg(account_at(net, (0, 1)), to, 100), leg(account_at(net, (2, 1)), to, 50)];
    movement(net, Kind::LegsOverThree, legs)
}

/// Hands over only what the home asks for: every part is prepared, nothing is decided.
async fn carry_questions(net: &Net<'_>) {
    for part in [1, 2] {
        for envelope in net.untaken(0, part).await {
            net.hand(&envelope).await.expect("the next message is taken");
        }
    }
}

/// A message from beyond a gap changes nothing, not even the head.
pub async fn a_message_from_beyond_a_gap_changes_nothing(bench: &mut Bench) {
    for own in PLACES_OF_TEST {
        let mut net = Net::new(bench, own, own as u64).await;
        for _ in 0..3 {
            Kind::LegsOverThree.start(&mut net).await;
        }
        for part in [1, 2] {
            let (head, told) = (net.store(part).head(), net.told(0, part).await);
            assert_eq!(net.hand(&told[2]).await.err(), Some(1));
            assert_eq!(net.hand(&told[1]).await.err(), Some(1));
            net.hand(&told[0]).await.expect("the first is the next");
            assert_eq!(net.hand(&told[2]).await.err(), Some(2));
            assert_eq!(net.store(part).head(), head + 1, "only the next message has an entry");
        }
        net.carry_all().await;
        net.assert_quiet("after gaps").await;
    }
}

/// What the home rejects begins nothing: no message, no row, no figure.
pub async fn a_rejected_start_changes_nothing(bench: &mut Bench) {
    let mut net = Net::new(bench, 0, 0).await;
    let before = (net.figures().await, net.store(0).positions().await.expect("the store answers"));
    let (from, to, closed) = (account_at(&net, (0, 1)), account_at(&net, (1, 1)), account_at(&net, (0, 3)));
    withdraw_all(&mut net, 0, 3).await;
    net.ask(0, Command::Close(closed)).await;
    let figures = net.figures().await;
    let asked = |legs| movement(&net, Kind::Transfer, legs);
    let cases = [
        (asked(vec![leg(from, to, 1001)]), "insufficient_funds"),
        (asked(vec![leg(from, to, 1), leg(to, to, 1)]), "same_account"),
        (asked(vec![leg(closed, to, 1)]), "account_closed"),
    ];
    for (command, code) in cases {
        let head = net.store(0).head();
        let unkeyed = net.bench.ask_without_key(command.clone()).await;
        assert_eq!((rejection(&unkeyed).code(), net.store(0).head()), (code, head));
        assert_eq!(rejection(&net.ask(0, command).await).code(), code);
    }
    assert_eq!(net.figures().await, figures);
    assert_eq!(net.store(0).positions().await.expect("the store answers"), before.1);
    net.assert_quiet("after rejections").await;
}

/// Whoever is frozen after giving has given; a refund reaches it all the same.
pub async fn a_frozen_account_gets_its_refund(bench: &mut Bench) {
    for (number, own) in (0..).zip(PLACES_OF_TEST) {
        for (number, kind) in (2 * number..).zip([Kind::Transfer, Kind::LegsOverThree]) {
            let mut net = Net::new(bench, own, number).await;
            let before = net.figures().await;
            let id = kind.start(&mut net).await[0];
            net.freeze(0, 1, true).await;
            if kind == Kind::LegsOverThree {
                for envelope in net.untaken(0, 2).await {
                    net.hand(&envelope).await.expect("the next message is taken");
                }
                net.freeze(2, 1, true).await; // it gave when it was prepared
            }
            net.refusing = vec![1];
            net.carry_all().await;
            assert_eq!(failure_of(&net, id).await, Rejection::InvariantBroken);
            assert_eq!(net.figures().await, before, "{kind:?}, seen from place {own}");
            net.assert_quiet("after a refund to a frozen account").await;
        }
    }
}

/// A credited account that is frozen in full or closed before its shard was asked refuses; one that is frozen for debits
/// does not.
pub async fn an_account_that_may_not_be_credited_refuses(bench: &mut Bench) {
    let mut number = 0;
    for own in PLACES_OF_TEST {
        for kind in [Kind::Transfer, Kind::LegsOverThree] {
            for is_closed in [false, true] {
                let mut net = Net::new(bench, own, number).await;
                number += 1;
                if is_closed {
                    withdraw_all(&mut net, 1, 1).await;
                }
                let account = account_at(&net, (1, 1));
                let before = net.figures().await;
                let id = kind.start(&mut net).await[0];
                let expected = if is_closed {
                    net.ask(1, Command::Close(account)).await;
                    Rejection::AccountClosed(account)
                } else {
                    net.freeze(1, 1, true).await;
                    Rejection::AccountFrozen(account)
                };
                net.carry_all().await;
                assert_eq!(failure_of(&net, id).await, expected);
                assert_eq!(net.figures().await, before, "{kind:?}, seen from place {own}");
                net.assert_quiet("after a refusal").await;
            }
        }
        let mut net = Net::new(bench, own, number).await;
        number += 1;
        let freeze = Freeze { account: account_at(&net, (1, 1)), kind: Some(FreezeKind::Debit), reason: None };
        net.ask(1, Command::Freeze(Box::new(freeze))).await;
        let id = Kind::Transfer.start(&mut net).await[0];
        net.carry_all().await;
        assert_eq!(net.status(id).await, TransferStatus::Succeeded);
    }
}

/// What was promised is credited, frozen or not; and an account with an open part is not closed, though it is empty.
pub async fn a_promise_is_kept_and_keeps_its_account_open(bench: &mut Bench) {
    for own in PLACES_OF_TEST {
        let mut net = Net::new(bench, own, own as u64).await;
        withdraw_all(&mut net, 1, 3).await;
        let account = account_at(&net, (1, 3));
        let command = promising(&net, 3);
        let id = begin(&mut net, command).await[0];
        carry_questions(&net).await;
        assert_eq!(rejection(&net.ask(1, Command::Close(account)).await), Rejection::AccountNotEmpty(account));
        net.freeze(1, 3, true).await;
        net.carry_all().await;
        assert_eq!(net.status(id).await, TransferStatus::Succeeded);
        assert_eq!(net.account(1, 3).await.balance, 150);
        net.assert_quiet("after a promise to a frozen account").await;
    }
}

/// An account that gave all it had stays open until its saga has ended.
pub async fn a_debited_account_is_not_closed_before_its_saga_ends(bench: &mut Bench) {
    for own in [0, 1] {
        for is_refused in [false, true] {
            let mut net = Net::new(bench, own, 2 * own as u64 + u64::from(is_refused)).await;
            let (from, to) = (account_at(&net, (0, 1)), account_at(&net, (1, 1)));
            let command = movement(&net, Kind::Transfer, vec![leg(from, to, 1000)]);
            begin(&mut net, command).await;
            assert_eq!(rejection(&net.ask(0, Command::Close(from)).await), Rejection::AccountNotEmpty(from));
            net.refusing = if is_refused { vec![1] } else { vec![] };
            net.carry_all().await;
            assert_eq!(net.account(0, 1).await.balance, if is_refused { 1000 } else { 0 });
            let answer = net.ask(0, Command::Close(from)).await;
            assert_eq!(matches!(answer.outcome(), Some(Outcome::Event(_))), !is_refused, "{answer:?}");
        }
    }
}

/// Fills an account to the last unit it may have.
async fn fill(net: &mut Net<'_>, place: usize, account: u64) {
    loop {
        let room = CUSTOMER_BALANCE_MAX - net.account(place, account).await.balance;
        let some = u64::try_from(room.min(Amount::MAX.signed())).expect("it is not over the bound");
        if some == 0 {
            return;
        }
        let deposit = ask::deposit_at(net.shard(place), net.number(place, account), some);
        let answer = net.ask(place, deposit).await;
        assert!(matches!(answer.outcome(), Some(Outcome::Event(_))), "{answer:?}");
    }
}

/// The bound of a balance is for what can still be refused: a credit that was not promised yet. A refund and a promised
/// credit may exceed it.
pub async fn a_refund_and_a_promised_credit_may_exceed_the_bound(bench: &mut Bench) {
    for own in PLACES_OF_TEST {
        let mut net = Net::new(bench, own, 3 * own as u64).await;
        fill(&mut net, 1, 1).await;
        let id = Kind::Transfer.start(&mut net).await[0];
        fill(&mut net, 0, 1).await;
        net.carry_all().await;
        assert_eq!(failure_of(&net, id).await, Rejection::BalanceOverflow(account_at(&net, (1, 1))));
        assert_eq!(net.account(0, 1).await.balance, CUSTOMER_BALANCE_MAX + 300);
        net.assert_quiet("after a refund beyond the bound").await;

        let mut net = Net::new(bench, own, 3 * own as u64 + 1).await;
        let command = promising(&net, 2);
        let id = begin(&mut net, command).await[0];
        carry_questions(&net).await;
        fill(&mut net, 1, 2).await;
        net.carry_all().await;
        assert_eq!(net.status(id).await, TransferStatus::Succeeded);
        assert_eq!(net.account(1, 2).await.balance, CUSTOMER_BALANCE_MAX + 150);
        net.assert_quiet("after a promise beyond the bound").await;

        let mut net = Net::new(bench, own, 3 * own as u64 + 2).await;
        fill(&mut net, 1, 2).await;
        let command = promising(&net, 2);
        let id = begin(&mut net, command).await[0];
        net.carry_all().await;
        assert_eq!(failure_of(&net, id).await, Rejection::BalanceOverflow(account_at(&net, (1, 2))));
        net.assert_quiet("after a credit beyond the bound").await;
    }
}

/// With several parts an operator gets the money back while nothing is decided; with one, what is done stays done.
pub async fn an_operator_gets_the_money_back_while_nothing_is_decided(bench: &mut Bench) {
    for own in PLACES_OF_TEST {
        let mut net = Net::new(bench, own, 3 * own as u64).await;
        let before = net.figures().await;
        let id = Kind::LegsOverThree.start(&mut net).await[0];
        carry_questions(&net).await;
        assert_eq!(step_of(&net.ask(0, Command::CancelSaga(id)).await).kind, StepKind::Aborting);
        net.carry_badly().await;
        assert_eq!(failure_of(&net, id).await, Rejection::Cancelled(id));
        assert_eq!(net.figures().await, before);
        net.assert_quiet("after an operator's no").await;
        assert_eq!(rejection(&net.ask(0, Command::CancelSaga(id)).await), Rejection::TransferNotFound(id));

        for (number, kind) in (3 * own as u64 + 1..).zip([Kind::Transfer, Kind::LegsOverThree]) {
            let mut net = Net::new(bench, own, number).await;
            let id = kind.start(&mut net).await[0];
            let mut is_decided = kind == Kind::Transfer;
            while !is_decided {
                let step = net.carry_one().await.expect("it is decided some time");
                is_decided = step.kind == StepKind::Posting;
            }
            assert_eq!(step_of(&net.ask(0, Command::CancelSaga(id)).await).kind, StepKind::Cancelling);
            net.carry_badly().await;
            assert_eq!(net.status(id).await, TransferStatus::Succeeded);
            net.assert_quiet("after an operator who came too late").await;
        }
    }
}

/// A queued event that the home rejects is a dead letter at once; one whose saga fails becomes one then, and only then.
pub async fn an_event_whose_saga_fails_becomes_a_dead_letter(bench: &mut Bench) {
    let mut net = Net::new(bench, 0, 0).await;
    let (from, to) = (account_at(&net, (0, 1)), account_at(&net, (1, 1)));
    for (minor_units, is_refused, code) in
        [(5000, false, Some("insufficient_funds")), (100, false, None), (100, true, Some("account_frozen"))]
    {
        let letters = letters_of(&net).await.len();
        let Command::Transfer(transfer) = ask::transfer(from.number(), to.number(), minor_units) else {
            unreachable!("it is a transfer")
        };
        let ingest = Ingest { command: Command::Transfer(transfer), payload: b"event".as_slice().into() };
        let command = net.between(Command::Ingest(Box::new(ingest)), &[from, to]);
        let answer = net.ask(0, command).await;
        let is_letter = matches!(answer.outcome(), Some(Outcome::Event(Event::DeadLetterChanged(_))));
        assert_eq!(is_letter, minor_units == 5000, "{answer:?}");
        if is_refused {
            net.freeze(1, 1, true).await;
        }
        assert_eq!(letters_of(&net).await.len(), letters + usize::from(is_letter));
        net.carry_badly().await;
        let codes = letters_of(&net).await;
        assert_eq!(codes.len(), letters + usize::from(code.is_some()));
        assert_eq!(code.or(codes.first().map(String::as_str)), codes.first().map(String::as_str));
    }
    net.assert_quiet("after events").await;
}

/// The codes of the dead letters at home, newest first. Each has what was sent.
async fn letters_of(net: &Net<'_>) -> Vec<String> {
    let query = PageQuery { before: None, limit: 100, status: None };
    let letters = net.store(0).dead_letters(query).await.expect("the store answers").items;
    for letter in &letters {
        let (_, first, _) =
            net.store(0).dead_letter(letter.id).await.expect("the store answers").expect("it is listed");
        let payload = match &first.outcome {
            Outcome::Event(Event::DeadLetterChanged(changed)) => changed.payload.as_deref(),
            Outcome::Event(Event::Saga(step)) => {
                step.dead_letter.as_ref().and_then(|changed| changed.payload.as_deref())
            }
            _ => None,
        };
        assert_eq!(payload, Some(b"event".as_slice()));
    }
    letters.into_iter().map(|letter| letter.code.to_string()).collect()
}

async fn limit(net: &mut Net<'_>, place: usize, account: u64, per_transfer: u64, daily: u64) {
    let change = ChangeTerms {
        account: account_at(net, (place, account)),
        overdraft_limit: None,
        per_transfer: Some(Some(ask::amount(per_transfer))),
        daily_debit: Some(Some(ask::amount(daily))),
        monthly_debit: None,
    };
    let answer = net.ask(place, Command::ChangeTerms(Box::new(change))).await;
    assert!(matches!(answer.outcome(), Some(Outcome::Event(_))), "{answer:?}");
}

/// Limits are of each transfer, of a day's debits, and judged on whichever shard the account is.
pub async fn limits_hold_between_shards(bench: &mut Bench) {
    for own in PLACES_OF_TEST {
        let mut net = Net::new(bench, own, own as u64).await;
        limit(&mut net, 0, 1, 100, 250).await;
        let (from, to) = (account_at(&net, (0, 1)), account_at(&net, (1, 1)));
        let exceeded = |limit| Rejection::LimitExceeded { account: from, limit };
        let command = movement(&net, Kind::Transfer, vec![leg(from, to, 101)]);
        assert_eq!(rejection(&net.ask(0, command).await), exceeded(LimitKind::PerTransfer));
        let pair = |minor_units| {
            let Command::Batch(transfers) =
                ask::batch(&[(from.number(), to.number(), 90), (from.number(), to.number(), minor_units)])
            else {
                unreachable!("it is a batch")
            };
            net.between(Command::Batch(transfers), &[from, to])
        };
        let (twice, more) = (pair(90), pair(71));
        begin(&mut net, twice).await;
        assert_eq!(rejection(&net.ask(0, more).await), exceeded(LimitKind::DailyDebit));
        // The refund gives the day its share back.
        net.refusing = vec![1];
        net.carry_all().await;
        net.refusing.clear();
        let command = movement(&net, Kind::Transfer, vec![leg(from, to, 100)]);
        begin(&mut net, command).await;
        net.carry_all().await;
        assert_eq!(net.account(0, 1).await.debits.on(net.bench.now().day()).parts().1, 100);

        limit(&mut net, 2, 1, 40, 1000).await;
        let before = net.figures().await;
        let command = promising(&net, 1);
        let id = begin(&mut net, command).await[0];
        net.carry_all().await;
        let account = account_at(&net, (2, 1));
        assert_eq!(failure_of(&net, id).await, Rejection::LimitExceeded { account, limit: LimitKind::PerTransfer });
        assert_eq!(net.figures().await, before);
    }
}

/// A refund gives back to the day its debit was counted on, wherever that was.
pub async fn a_refund_gives_back_to_the_day_it_was_taken_on(bench: &mut Bench) {
    for own in PLACES_OF_TEST {
        let mut net = Net::new(bench, own, own as u64).await;
        let id = Kind::LegsOverThree.start(&mut net).await[0];
        for envelope in net.untaken(0, 2).await {
            net.hand(&envelope).await.expect("the next message is taken");
        }
        net.bench.advance(DAY_US);
        for place in [0, 2] {
            net.ask(place, ask::transfer(net.number(place, 1), net.number(place, 4), 10)).await;
        }
        net.refusing = vec![1];
        net.carry_all().await;
        failure_of(&net, id).await;
        for place in [0, 2] {
            let (_, of_day, of_month) = net.account(place, 1).await.debits.on(net.bench.now().day()).parts();
            assert_eq!((of_day, of_month), (10, 10), "place {place}, seen from {own}");
        }
        net.bench.turn_back(DAY_US);
    }
}

/// Whatever the clocks of other shards say, no value date is after the booking of its entry.
pub async fn the_value_date_is_never_after_the_booking(bench: &mut Bench) {
    for own in PLACES_OF_TEST {
        let mut net = Net::new(bench, own, own as u64).await;
        net.bench.advance(100_000_000);
        let asked = net.bench.now();
        let Command::Transfer(transfer) =
            ask::legs(&[(net.number(0, 1), net.number(1, 1), 100), (net.number(0, 1), net.number(2, 1), 50)])
        else {
            unreachable!("it is a transfer")
        };
        let transfer = ledger::transfer::Transfer { effective_at: Some(asked), ..transfer };
        let accounts = [account_at(&net, (0, 1)), account_at(&net, (1, 1)), account_at(&net, (2, 1))];
        let command = net.between(Command::Transfer(transfer), &accounts);
        let id = begin(&mut net, command).await[0];
        net.bench.turn_back(50_000_000);
        net.carry_all().await;
        for place in 0..PLACES {
            let view = net.view(place, id).await.expect("every place has a part");
            for row in view.postings() {
                let (_, transferred, entry) = row.parts().expect("it is there");
                assert!(transferred.effective_at <= entry.header.time, "place {place}");
                assert!(transferred.effective_at <= asked);
            }
        }
    }
}

/// What the home took and gives back has one value date, however long it was under way: no day is without it.
pub async fn a_refund_has_the_value_date_of_what_it_gives_back(bench: &mut Bench) {
    for (number, kind) in (0..).zip([Kind::Transfer, Kind::LegsOverThree]) {
        let mut net = Net::new(bench, 0, number).await;
        net.refusing = vec![1];
        net.bench.advance(100_000_000);
        let id = kind.start(&mut net).await[0];
        net.bench.advance(3 * DAY_US);
        net.carry_all().await;
        failure_of(&net, id).await;
        let view = net.view(0, id).await.expect("the home has it");
        let rows = view.postings();
        let of_account = || rows.iter().filter_map(|row| row.parts()).filter(|parts| !is_own(parts.0.account));
        let sum: i128 = of_account().map(|(posting, ..)| posting.signed()).sum();
        assert_eq!((of_account().count() % 2, sum), (0, 0), "{kind:?}: taken and given back");
        let booked: BTreeSet<Timestamp> = of_account().map(|(_, _, entry)| entry.header.time).collect();
        let dated: BTreeSet<Timestamp> = of_account().map(|(_, transferred, _)| transferred.effective_at).collect();
        assert_eq!((booked.len(), dated.len()), (2, 1), "{kind:?}");
        assert_eq!(booked.first(), dated.first(), "{kind:?}");
    }
}

fn is_own(account: AccountId) -> bool {
    ledger::account::SystemAccount::from_id(account).is_some()
}

/// Ids that other shards gave out, later than this one's clock, do not move this one's ids.
pub async fn ids_of_other_shards_do_not_move_the_ids_of_this_one(bench: &mut Bench) {
    let mut net = Net::new(bench, 1, 0).await;
    net.bench.advance(DAY_US);
    Kind::BatchOverThree.start(&mut net).await;
    Kind::Transfer.start(&mut net).await;
    net.bench.turn_back(DAY_US);
    let first = super::bench::transferred(&net.ask(1, ask::transfer(net.number(1, 1), net.number(1, 2), 1)).await).id;
    net.carry_all().await;
    net.bench.advance(1000);
    let next = super::bench::transferred(&net.ask(1, ask::transfer(net.number(1, 1), net.number(1, 2), 1)).await).id;
    let milliseconds = |id: TransferId| id.number() >> 22;
    assert!(first < next && milliseconds(next) - milliseconds(first) < 10, "{first} then {next}");
    assert_eq!(ledger::ids::ShardId::of_generated(next.number()), net.shard(1));
}

/// The largest batch there is fits between shards too, at home and elsewhere, posted and refunded. Engines call it on a
/// shard as large as it is by default: those of the suite may have less room.
pub async fn the_largest_batch_fits_between_shards(bench: &mut Bench) {
    for (number, (own, is_refused)) in (0..).zip([(0, false), (1, false), (0, true)]) {
        let mut net = Net::new(bench, own, number).await;
        let (from, to, third) = (net.number(0, 1), net.number(1, 1), net.number(2, 1));
        net.ask(0, ask::deposit_at(net.shard(0), from, 10_000)).await;
        let note = "n".repeat(200);
        let transfer = |place: usize| {
            let to = if place.is_multiple_of(2) { to } else { third };
            ask::noted(ask::movement(from, to, 1), None, Some(&note), &[("key", &note)])
        };
        let transfers: Vec<_> = (0..ledger::transfer::BATCH_MAX).map(transfer).collect();
        let accounts = [ask::account(from), ask::account(to), ask::account(third)];
        let command = net.between(Command::Batch(transfers.into()), &accounts);
        let before = net.figures().await;
        let ids = begin(&mut net, command).await;
        assert_eq!(ids.len(), ledger::transfer::BATCH_MAX);
        net.refusing = if is_refused { vec![2] } else { vec![] };
        net.carry_all().await;
        if is_refused {
            assert_eq!(net.figures().await, before);
        } else {
            assert_eq!(net.account(1, 1).await.balance, 1000 + 4096);
            assert_eq!(net.account(2, 1).await.balance, 1000 + 4096);
        }
        net.assert_quiet("after the largest batch").await;
        net.bench.settle();
        net.bench.reopen();
        net.assert_quiet("after the largest batch, reopened").await;
    }
}

/// The hash chain, the rows and the clearing accounts are in order after all kinds of ends.
pub async fn verification_finds_nothing_wrong_with_sagas(bench: &mut Bench) {
    for own in PLACES_OF_TEST {
        let mut net = Net::new(bench, own, own as u64).await;
        net.ask(0, ask::deposit_at(net.shard(0), net.number(0, 1), 5000)).await;
        for kind in [Kind::LegsOverThree, Kind::BatchOverThree, Kind::LastCapture, Kind::Transfer] {
            for refusing in [vec![], vec![1], vec![2]] {
                net.refusing = refusing;
                kind.start(&mut net).await;
                net.carry_all().await;
            }
        }
        net.refusing.clear();
        Kind::LegsOverThree.start(&mut net).await; // left open
        carry_questions(&net).await;
        for _ in 0..2 {
            let report = net.store(own).verify(Arc::new(crate::report::Silent)).await.expect("the store answers");
            assert!(report.is_clean(), "{report:?}");
            net.bench.settle();
            net.bench.reopen();
        }
        net.carry_all().await;
        net.assert_quiet("after all").await;
    }
}
