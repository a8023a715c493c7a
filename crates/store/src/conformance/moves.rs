//! Accounts that move to another shard with their slot: what goes with them, what stays, and who turns whom away.

use super::ask;
use super::bench::{Bench, every, held, rejection, submit_to, transferred};
use super::kinds::{Kind, account_at, begin, leg, movement};
use super::net::{Net, PLACES, step_of};
use super::saga_reads::assert_replayed;
use crate::query::{PAGE_MAX, PostingQuery};
use crate::{Answer, Request};
use ledger::account::{Account, FreezeKind};
use ledger::command::{ChangeSlots, ChangeTerms, Command, Freeze, MoveAccount};
use ledger::event::{Event, Outcome};
use ledger::hold::{Hold, HoldStatus};
use ledger::ids::{AccountId, HoldId, slot};
use ledger::rejection::Rejection;
use ledger::saga::StepKind;
use ledger::slots::SlotChange;
use ledger::transfer::TransferKind;

/// The store under test loses the account, then gets it, then looks on.
const PLACES_OF_TEST: [usize; PLACES] = [0, 1, 2];

/// Changes an account's slot at a place.
pub(super) async fn change_slot(net: &mut Net<'_>, place: usize, account: AccountId, change: SlotChange) {
    let slots = Box::new([slot(account.number())]);
    let answer = net.ask(place, Command::ChangeSlots(Box::new(ChangeSlots { change, slots }))).await;
    assert!(matches!(answer.outcome(), Some(Outcome::Event(Event::SlotsChanged(_)))), "{answer:?}");
}

async fn change_everywhere(net: &mut Net<'_>, account: AccountId, change: SlotChange) {
    for place in 0..PLACES {
        change_slot(net, place, account, change).await;
    }
}

/// Fences the slot of an account, and hands it from one place to another.
async fn hand_over_slot(net: &mut Net<'_>, from: usize, to: usize, account: AccountId) {
    let (old, new) = (net.shard(from), net.shard(to));
    change_everywhere(net, account, SlotChange::Fenced(new)).await;
    change_slot(net, from, account, SlotChange::Released(new)).await;
    change_slot(net, to, account, SlotChange::Acquired(old)).await;
}

/// Sends an account off.
async fn send_off(net: &mut Net<'_>, from: usize, to: usize, account: AccountId) -> Answer {
    let to = net.shard(to);
    net.ask(from, Command::MoveAccount(MoveAccount { account, to })).await
}

/// Moves an account with its slot, from the fence to its end.
pub(super) async fn move_account(net: &mut Net<'_>, from: usize, to: usize, account: AccountId) {
    hand_over_slot(net, from, to, account).await;
    assert_eq!(step_of(&send_off(net, from, to, account).await).kind, StepKind::MovedOut);
    net.bench.advance(5_000); // it is on its way for a while
    let kinds = net.carry_all().await;
    assert_eq!(kinds, [StepKind::MovedIn]);
    change_everywhere(net, account, SlotChange::Opened(net.shard(to))).await;
    net.note_move(account, to);
}

async fn row_at(net: &Net<'_>, place: usize, account: AccountId) -> Account {
    let row = net.store(place).account(account, net.bench.now()).await.expect("the store answers");
    row.unwrap_or_else(|| panic!("account {account} is known at place {place}"))
}

async fn hold_at(net: &Net<'_>, place: usize, hold: HoldId) -> Option<Hold> {
    net.store(place).hold(hold, net.bench.now()).await.expect("the store answers")
}

async fn holds_at(net: &Net<'_>, place: usize, account: AccountId) -> Vec<Hold> {
    let now = net.bench.now();
    let mut holds = every(PAGE_MAX, |page| net.store(place).holds_of(account, page, now)).await;
    holds.sort_by_key(|hold| hold.id);
    holds
}

/// What was done, for the answer to be compared with a later one.
#[track_caller]
fn assert_done(answer: &Answer) {
    assert!(matches!(answer.outcome(), Some(Outcome::Event(_))), "{answer:?}");
}

/// Turned away: nobody hears of it but who asked.
#[track_caller]
fn assert_turned_away(answer: &Answer, id: u64) {
    assert!(matches!(answer, Answer::Unrecorded(_)), "{answer:?}");
    assert_eq!(rejection(answer), Rejection::WrongShard(id));
}

/// An account with debits of today, limits, a freeze, one hold that was captured in part, one that will expire.
async fn furnish(net: &mut Net<'_>, place: usize) -> (AccountId, Vec<HoldId>) {
    let account = account_at(net, (place, 1));
    let (number, other) = (account.number(), net.number(place, 2));
    let terms = ChangeTerms {
        account,
        overdraft_limit: Some(ask::amount(70)),
        per_transfer: Some(Some(ask::amount(900))),
        daily_debit: Some(Some(ask::amount(800))),
        monthly_debit: None,
    };
    let expires_at = ledger::time::Timestamp::from_microseconds(net.bench.now().microseconds() + 3_600_000_000);
    assert_done(&net.ask(place, Command::ChangeTerms(Box::new(terms))).await);
    assert_done(&net.ask(place, ask::transfer(number, other, 120)).await);
    let some = held(&net.ask(place, ask::hold(number, Some(other), 200, None)).await).id;
    let expiring = held(&net.ask(place, ask::hold(number, None, 50, expires_at)).await).id;
    let voided = held(&net.ask(place, ask::hold(number, None, 10, None)).await).id;
    assert_done(&net.ask(place, ask::capture(some, Some(80), false)).await);
    assert_done(&net.ask(place, Command::VoidHold(voided)).await);
    let freeze = Freeze { account, kind: Some(FreezeKind::Debit), reason: None };
    assert_done(&net.ask(place, Command::Freeze(Box::new(freeze))).await);
    (account, vec![some, expiring, voided])
}

/// Balance, holds, limits and what they counted, status: an account arrives as it left, and behind it is nothing.
pub async fn an_account_moves_with_all_it_has(bench: &mut Bench) {
    for own in PLACES_OF_TEST {
        let mut net = Net::new(bench, own, own as u64).await;
        let (account, holds) = furnish(&mut net, 0).await;
        let (before, listed) = (row_at(&net, 0, account).await, holds_at(&net, 0, account).await);
        move_account(&mut net, 0, 1, account).await;
        let arrived = row_at(&net, 1, account).await;
        let expected = Account { version: before.version + 2, revision: arrived.revision, ..before.clone() };
        assert_eq!(arrived, expected, "seen from place {own}");
        assert!(before.revision < arrived.revision, "a cache sees that it changed");
        assert_eq!(holds_at(&net, 1, account).await, listed);
        let behind = row_at(&net, 0, account).await;
        assert_eq!((behind.moved_to, behind.balance, behind.version), (Some(net.shard(1)), 0, before.version + 1));
        assert_eq!((behind.held, behind.holds_active), (0, 0));
        for hold in &holds {
            let left = hold_at(&net, 0, *hold).await;
            assert!(left.is_none_or(|left| left.status != HoldStatus::Held), "it reserves nothing where it was");
        }
        let slot = slot(account.number());
        for (place, expected) in [(0, false), (1, true), (2, false)] {
            let there = net.store(place).accounts_in(slot, None, 10).await.expect("the store answers");
            assert_eq!(there.contains(&account), expected, "place {place}");
            let was_there = net.store(place).account_ids(None, 1000).await.expect("the store answers").items;
            assert_eq!(was_there.contains(&account), place != 2, "place {place}");
        }
        net.assert_quiet("after a move").await;

        // What is left of the limit of the day, and the holds, count there.
        net.ask(1, Command::Unfreeze(account)).await;
        let other = net.number(1, 1);
        let expected = Rejection::LimitExceeded { account, limit: ledger::limit::LimitKind::DailyDebit };
        assert_eq!(rejection(&net.ask(1, ask::transfer(account.number(), other, 500)).await), expected);
        let capture = |minor_units| Command::CaptureHold(Box::new(capture_to(holds[0], other, minor_units)));
        assert_done(&net.ask(1, capture(70)).await);
        assert_eq!(hold_at(&net, 1, holds[0]).await.map(|hold| hold.captured), Some(ask::amount(150)));
        net.bench.advance(3_600_000_001);
        let hold = hold_at(&net, 1, holds[1]).await.expect("it is there");
        assert_eq!(hold.status, HoldStatus::Expired);
        assert_eq!(row_at(&net, 1, account).await.held, 50, "only what was not captured of the first");
        net.assert_quiet("after work on an account that moved").await;
    }
}

fn capture_to(hold: HoldId, to: u64, minor_units: u64) -> ledger::command::CaptureHold {
    ledger::command::CaptureHold {
        hold,
        amount: Some(ask::amount(minor_units)),
        to: Some(ask::account(to)),
        is_final: false,
        note: None,
    }
}

/// The shard that an account left, and one that never had it, turn away whoever asks for it, and record nothing: with
/// the same key it is done where the account is.
pub async fn a_moved_account_is_turned_away_and_nothing_is_recorded(bench: &mut Bench) {
    for own in PLACES_OF_TEST {
        let mut net = Net::new(bench, own, own as u64).await;
        let account = account_at(&net, (0, 1));
        let hold = held(&net.ask(0, ask::hold(account.number(), None, 100, None)).await).id;
        move_account(&mut net, 0, 1, account).await;
        let (number, other) = (account.number(), net.number(0, 2));
        let commands = [
            ask::transfer(number, other, 1),
            ask::transfer(other, number, 1),
            ask::deposit_at(net.shard(0), number, 1),
            ask::legs(&[(other, number, 1), (other, net.number(0, 3), 1)]),
            ask::batch(&[(other, net.number(0, 3), 1), (other, number, 1)]),
            ask::hold(number, None, 1, None),
            ask::capture(hold, None, true),
            Command::VoidHold(hold),
            Command::Close(account),
            Command::Unfreeze(account),
            ask::open(Some(number), net.owner(0), "EUR", 0),
            Command::MoveAccount(MoveAccount { account, to: net.shard(2) }),
        ];
        let head = net.store(0).head();
        for command in commands {
            let what = format!("{command:?}");
            let key = net.bench.next_key();
            let request = vec![Request { key: Some(key), command }];
            let answer = submit_to(net.store(0), request, false).await.remove(0);
            assert!(matches!(answer, Answer::Unrecorded(_)), "{what}: {answer:?}");
            assert!(matches!(rejection(&answer), Rejection::WrongShard(_)), "{what}: {answer:?}");
        }
        assert_eq!(net.store(0).head(), head, "nothing was recorded");

        let command = ask::transfer(number, net.number(1, 2), 5);
        let key = net.bench.next_key();
        let request = |command: &Command| vec![Request { key: Some(key), command: command.clone() }];
        let asked = request(&command);
        assert_turned_away(&submit_to(net.store(0), asked, false).await[0], number);
        let done = submit_to(net.store(1), request(&command), false).await.remove(0);
        assert_eq!(transferred(&done).postings.len(), 2);
        let again = submit_to(net.store(1), request(&command), false).await.remove(0);
        assert!(matches!(again, Answer::Replayed(_)), "{again:?}");
        assert_eq!(row_at(&net, 1, account).await.balance, 995);
    }
}

/// Keys and history stay where they were written: the key of an earlier answer gives that answer there, and the
/// postings of both shards together have no gap.
pub async fn keys_and_history_stay_where_they_were_written(bench: &mut Bench) {
    for own in PLACES_OF_TEST {
        let mut net = Net::new(bench, own, own as u64).await;
        let account = account_at(&net, (0, 1));
        let command = ask::transfer(account.number(), net.number(0, 2), 100);
        let request = net.bench.request(command);
        let first = submit_to(net.store(0), vec![request.clone()], false).await.remove(0);
        let refused = net.bench.request(ask::transfer(account.number(), net.number(0, 2), 5000));
        let no = submit_to(net.store(0), vec![refused.clone()], false).await.remove(0);
        move_account(&mut net, 0, 1, account).await;
        assert_done(&net.ask(1, ask::transfer(account.number(), net.number(1, 2), 7)).await);
        for round in 0..2 {
            for (request, answer) in [(&request, &first), (&refused, &no)] {
                let again = submit_to(net.store(0), vec![request.clone()], false).await.remove(0);
                assert!(matches!(again, Answer::Replayed(_)), "round {round}: {again:?}");
                assert_eq!(again.entry().map(|entry| &**entry), answer.entry().map(|entry| &**entry), "round {round}");
            }
            assert_joined(&net, account).await;
            net.bench.settle();
            net.bench.reopen();
        }
    }
}

/// Read from the old shard and then from the new one, the versions go on and the balance runs; the move has one posting
/// on each side, both with the same value date, so that a balance by value date never misses the money.
async fn assert_joined(net: &Net<'_>, account: AccountId) {
    let (mut versions, mut dates) = (Vec::new(), Vec::new());
    for place in [0, 1] {
        let query = PostingQuery { account, side: None, filter: Default::default(), before: None, limit: PAGE_MAX };
        let mut page = net.store(place).postings(query).await.expect("the store answers").items;
        page.reverse();
        let mut balance = 0;
        for row in &page {
            let (posting, transferred, _) = row.parts().expect("it is there");
            balance += posting.signed();
            assert_eq!(posting.balance_after, balance, "version {} at place {place}", posting.version);
            versions.push((posting.version, transferred.kind == TransferKind::Move));
            dates.extend(Some(transferred.effective_at).filter(|_| transferred.kind == TransferKind::Move));
        }
    }
    let expected: Vec<(u64, bool)> = [false, false, true, true, false].into_iter().zip(1..).map(flip).collect();
    assert_eq!(versions, expected);
    assert!(dates.len() == 2 && dates[0] == dates[1], "{dates:?}");
}

fn flip<A, B>((one, other): (A, B)) -> (B, A) {
    (other, one)
}

/// However often, and in whatever order, a bus brings it, an account arrives once.
pub async fn an_account_arrives_once(bench: &mut Bench) {
    for own in PLACES_OF_TEST {
        let mut net = Net::new(bench, own, own as u64).await;
        let accounts = [account_at(&net, (0, 1)), account_at(&net, (0, 2)), account_at(&net, (0, 3))];
        for account in accounts {
            hand_over_slot(&mut net, 0, 1, account).await;
            send_off(&mut net, 0, 1, account).await;
            let (clearing, other) = (net.clearing(0, 1).await, net.clearing(1, 0).await);
            assert_eq!((clearing + other).rem_euclid(1000), 0, "what is under way is in clearing");
            net.assert_even("under way").await;
        }
        assert_eq!(net.clearing(0, 1).await, 3000);
        net.carry_badly().await;
        for account in accounts {
            assert_eq!(row_at(&net, 1, account).await.balance, 1000);
            let again = send_off(&mut net, 0, 1, account).await;
            assert_turned_away(&again, account.number());
        }
        // It goes on there, and the message comes once more.
        assert_done(&net.ask(1, ask::transfer(accounts[0].number(), accounts[1].number(), 300)).await);
        for envelope in net.told(0, 1).await {
            net.hand(&envelope).await.expect_err("a message is taken once");
        }
        assert_eq!(row_at(&net, 1, accounts[0]).await.balance, 700);
        net.assert_quiet("after moves").await;
    }
}

/// No new saga names an account of a fenced slot, wherever it is; what stays on its shard goes on. Whoever was turned
/// away sends the same again when the fence is open.
pub async fn a_fenced_slot_turns_new_sagas_away(bench: &mut Bench) {
    for (own, at) in [(0, (0, 1)), (0, (1, 1)), (1, (1, 1)), (2, (2, 1))] {
        let number = 10 * own as u64 + at.0 as u64;
        let mut net = Net::new(bench, own, number).await;
        let account = account_at(&net, at);
        let request = net.bench.request(Command::VoidHold(HoldId::new(1).expect("an id")));
        let others = movement(&net, Kind::Transfer, vec![leg(account_at(&net, (0, 3)), account_at(&net, (1, 3)), 5)]);
        let three = [((0, 3), at, 5), ((0, 3), (1, 4), 5), ((0, 3), (2, 4), 5)];
        let three = three.map(|(from, to, amount)| leg(account_at(&net, from), account_at(&net, to), amount));
        let asked = movement(&net, Kind::LegsOverThree, three.to_vec());
        let owner = net.shard(at.0);
        change_everywhere(&mut net, account, SlotChange::Fenced(owner)).await;
        let ask = |command: &Command| vec![Request { command: command.clone(), ..request.clone() }];
        let heads = [net.store(0).head(), net.store(1).head(), net.store(2).head()];
        for is_dry in [true, false] {
            let answer = submit_to(net.store(0), ask(&asked), is_dry).await.remove(0);
            assert_turned_away(&answer, account.number());
        }
        assert_eq!([net.store(0).head(), net.store(1).head(), net.store(2).head()], heads, "nothing was recorded");
        let neighbour = net.number(at.0, 2);
        assert_done(&net.ask(at.0, ask::transfer(account.number(), neighbour, 1)).await);
        begin(&mut net, others).await;
        change_everywhere(&mut net, account, SlotChange::Opened(owner)).await;
        let answer = submit_to(net.store(0), ask(&asked), false).await.remove(0);
        assert_eq!(step_of(&answer).kind, StepKind::Started);
        net.carry_all().await;
        net.assert_quiet("after a fence").await;
    }
}

/// An account with a debit or a promise under way stays until the saga has ended; and none leaves a slot that was not
/// released, or to another shard than the one that got it.
pub async fn an_account_leaves_when_nothing_of_it_is_under_way(bench: &mut Bench) {
    for (number, (own, is_refused)) in (0..).zip([(0, false), (0, true), (1, false), (2, false)]) {
        let mut net = Net::new(bench, own, number).await;
        let (debited, promised) = (account_at(&net, (0, 1)), account_at(&net, (1, 1)));
        assert_turned_away(&send_off(&mut net, 0, 1, debited).await, debited.number());
        let release =
            ChangeSlots { change: SlotChange::Released(net.shard(1)), slots: Box::new([slot(debited.number())]) };
        let early = net.ask(0, Command::ChangeSlots(Box::new(release))).await;
        assert!(matches!(early, Answer::Unrecorded(_)), "a slot is fenced before it is given up: {early:?}");

        Kind::LegsOverThree.start(&mut net).await;
        let envelope = net.untaken(0, 1).await.remove(0);
        net.hand(&envelope).await.expect("the next message is taken");
        hand_over_slot(&mut net, 0, 2, debited).await;
        hand_over_slot(&mut net, 1, 2, promised).await;
        for (place, account) in [(0, debited), (1, promised)] {
            let answer = send_off(&mut net, place, 2, account).await;
            assert!(matches!(answer, Answer::Unrecorded(_)), "{answer:?}");
            assert_eq!(rejection(&answer), Rejection::AccountInUse(account));
        }
        net.refusing = if is_refused { vec![2] } else { vec![] };
        net.carry_all().await;
        let expected = if is_refused { [1000, 1000] } else { [900, 1130] };
        let now = [row_at(&net, 0, debited).await.balance, row_at(&net, 1, promised).await.balance];
        assert_eq!(now, expected);
        assert_turned_away(&send_off(&mut net, 0, 1, debited).await, debited.number());
        for (place, account) in [(0, debited), (1, promised)] {
            assert_eq!(step_of(&send_off(&mut net, place, 2, account).await).kind, StepKind::MovedOut);
        }
        net.carry_badly().await;
        let now = [row_at(&net, 2, debited).await.balance, row_at(&net, 2, promised).await.balance];
        assert_eq!(now, expected);
        net.assert_quiet("after accounts that waited").await;
    }
}

/// From shard to shard, with its holds and with what happened meanwhile; a slot that was given up does not return.
pub async fn an_account_moves_on_with_what_happened_meanwhile(bench: &mut Bench) {
    for own in PLACES_OF_TEST {
        let mut net = Net::new(bench, own, own as u64).await;
        let account = account_at(&net, (0, 1));
        let (number, there) = (account.number(), net.number(1, 2));
        let [one, other] = [300, 100].map(|minor_units| ask::hold(number, None, minor_units, None));
        let (one, other) = (held(&net.ask(0, one).await).id, held(&net.ask(0, other).await).id);
        move_account(&mut net, 0, 1, account).await;
        assert_done(&net.ask(1, Command::CaptureHold(Box::new(capture_to(one, there, 120)))).await);
        assert_done(&net.ask(1, Command::VoidHold(other)).await);
        let third = held(&net.ask(1, ask::hold(number, None, 40, None)).await).id;
        let (row, holds) = (row_at(&net, 1, account).await, holds_at(&net, 1, account).await);
        assert_eq!((row.balance, row.held, row.holds_active), (880, 220, 2));
        net.bench.settle();
        net.bench.reopen();
        move_account(&mut net, 1, 2, account).await;
        for round in 0..2 {
            let now = row_at(&net, 2, account).await;
            let expected = Account { version: row.version + 2, revision: now.revision, ..row.clone() };
            assert_eq!(now, expected, "round {round}");
            assert_eq!(holds_at(&net, 2, account).await, holds, "round {round}");
            net.bench.settle();
            net.bench.reopen();
        }
        let capture = capture_to(third, net.number(2, 2), 40);
        assert_done(&net.ask(2, Command::CaptureHold(Box::new(capture))).await);
        assert_eq!(row_at(&net, 2, account).await.balance, 840);
        for place in [0, 1] {
            assert_turned_away(&net.ask(place, ask::transfer(number, there, 1)).await, number);
            let change = SlotChange::Acquired(net.shard(2));
            let slots = Box::new([slot(number)]);
            let returned = net.ask(place, Command::ChangeSlots(Box::new(ChangeSlots { change, slots }))).await;
            assert_turned_away(&returned, u64::from(slot(number)));
        }
        net.assert_quiet("after moving on").await;
    }
}

/// An account below zero, an empty one, one that is closed and one frozen in full move like any other.
pub async fn accounts_move_whatever_their_balance_and_status(bench: &mut Bench) {
    for own in PLACES_OF_TEST {
        let mut net = Net::new(bench, own, own as u64).await;
        let accounts = [1, 2, 3, 4].map(|account| account_at(&net, (0, account)));
        let take = |account: AccountId, minor_units, forced| {
            let Command::Transfer(transfer) = ask::transfer(account.number(), accounts[3].number(), minor_units) else {
                unreachable!("it is a transfer")
            };
            Command::Transfer(ledger::transfer::Transfer { forced, ..transfer })
        };
        for (account, minor_units) in [(accounts[0], 1500), (accounts[1], 1000), (accounts[2], 1000)] {
            assert_done(&net.ask(0, take(account, minor_units, true)).await);
        }
        assert_done(&net.ask(0, Command::Close(accounts[2])).await);
        net.freeze(0, 4, true).await;
        for (account, balance) in accounts.into_iter().zip([-500, 0, 0, 4500]) {
            let before = row_at(&net, 0, account).await;
            move_account(&mut net, 0, 1, account).await;
            let after = row_at(&net, 1, account).await;
            assert_eq!((after.balance, after.status), (balance, before.status));
            assert_eq!(after.version, before.version + if balance == 0 { 0 } else { 2 });
        }
        assert_eq!(
            rejection(&net.ask(1, ask::deposit_at(net.shard(1), accounts[2].number(), 1)).await).code(),
            "account_closed"
        );
        assert_eq!(
            rejection(&net.ask(1, ask::deposit_at(net.shard(1), accounts[3].number(), 1)).await).code(),
            "account_frozen"
        );
        assert_done(&net.ask(1, ask::deposit_at(net.shard(1), accounts[0].number(), 500)).await);
        assert_eq!(row_at(&net, 1, accounts[0]).await.balance, 0);
        net.assert_quiet("after moves").await;
    }
}

/// An account is opened where its slot is: the old shard turns it away from the release on, and chooses no id in it.
pub async fn a_shard_opens_no_account_in_a_slot_that_it_gave_up(bench: &mut Bench) {
    for own in [0, 1] {
        let mut net = Net::new(bench, own, own as u64).await;
        let account = account_at(&net, (0, 1));
        let same_slot = |id: &u64| slot(*id) == slot(account.number()) && *id != account.number();
        let id = (500_000..).find(same_slot).expect("slots have many ids");
        hand_over_slot(&mut net, 0, 1, account).await;
        for _ in 0..2 {
            let owner = net.owner(0);
            assert_turned_away(&net.ask(0, ask::open(Some(id), owner, "EUR", 0)).await, id);
            assert_turned_away(&net.ask(0, ask::register(id, "Owner")).await, id);
            let slots = net.store(0).slots().await.expect("the store answers");
            assert!(!slots.contains(slot(id)) && slots.released.contains_key(&slot(id)));
            net.bench.settle();
            net.bench.reopen();
        }
        // Until all has arrived, the new shard cannot know what is there; then it opens it.
        let (owner, shard) = (net.owner(1), net.shard(1));
        change_everywhere(&mut net, account, SlotChange::Opened(shard)).await;
        assert_done(&net.ask(1, ask::open(Some(id), owner, "EUR", 0)).await);
        let slots = net.store(own).slots().await.expect("the store answers");
        assert!(slots.fenced.is_empty());
    }
}

/// The journal alone leads to the same accounts, holds, slots and positions, and nothing is found wrong with them.
pub async fn replay_and_verification_know_accounts_that_moved(bench: &mut Bench) {
    for own in PLACES_OF_TEST {
        let mut net = Net::new(bench, own, own as u64).await;
        let (account, _) = furnish(&mut net, 0).await;
        for (from, to) in [(0, 1), (1, 2)] {
            move_account(&mut net, from, to, account).await;
            assert_replayed(&net, own).await;
            let report = net.store(own).verify(std::sync::Arc::new(crate::report::Silent)).await.expect("it answers");
            assert!(report.is_clean(), "{report:?}");
            net.bench.settle();
            net.bench.reopen();
        }
        let rows = [row_at(&net, 0, account).await, row_at(&net, 1, account).await, row_at(&net, 2, account).await];
        assert_eq!(rows.map(|row| row.balance), [0, 0, 800]);
        let saga = movement(&net, Kind::Transfer, vec![leg(account_at(&net, (0, 2)), account, 5)]);
        begin(&mut net, saga).await;
        net.carry_all().await;
        assert_eq!(row_at(&net, 2, account).await.balance, 805);
        net.assert_quiet("after moves").await;
    }
}

/// Whoever asks for a saga by an old map is turned away: once the fence is open everybody knows where the slot is.
pub async fn a_saga_by_an_old_map_is_turned_away(bench: &mut Bench) {
    for own in PLACES_OF_TEST {
        let mut net = Net::new(bench, own, own as u64).await;
        let account = account_at(&net, (2, 1));
        let legs = vec![leg(account_at(&net, (0, 1)), account, 5)];
        let old = movement(&net, Kind::Transfer, legs.clone());
        move_account(&mut net, 2, 1, account).await;
        net.bench.settle();
        net.bench.reopen();
        let head = net.store(0).head();
        assert_turned_away(&net.ask(0, old).await, account.number());
        assert_eq!(net.store(0).head(), head, "nothing was recorded");
        let new = movement(&net, Kind::Transfer, legs);
        begin(&mut net, new).await;
        net.carry_all().await;
        assert_eq!(row_at(&net, 1, account).await.balance, 1005);
        net.assert_quiet("after a new map").await;
    }
}
