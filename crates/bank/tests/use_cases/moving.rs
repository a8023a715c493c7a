//! Slots that move to another shard: balances, holds, keys and history go on as if nothing had happened.

use crate::world::{World, account, amount, euro, event_of, local, now, opening, rejection, transfer};
use bank::submit::ClientKey;
use ledger::command::{CaptureHold, ChangeSlots, Command, PlaceHold};
use ledger::event::{Channel, Context, Event};
use ledger::ids::{AccountId, ShardId, slot};
use ledger::slots::SlotChange;
use ledger::transfer::TransferKind;
use std::sync::Arc;
use store::query::{BalanceQuery, PostingQuery, TimeAxis};
use store::{Answer, Request, Submission};

fn shard(number: u16) -> ShardId {
    ShardId::new(number).expect("a shard")
}

fn postings(world: &World, id: u64) -> Vec<(u64, i128, TransferKind)> {
    let mut query = PostingQuery {
        account: account(id),
        side: None,
        filter: store::query::Filter::default(),
        before: None,
        limit: 2,
    };
    let mut found = Vec::new();
    loop {
        let page = now(world.bank.postings(query.clone())).expect("read");
        found.extend(page.items.iter().map(|row| {
            let (posting, transferred, _) = row.parts().expect("a posting");
            (posting.version, posting.balance_after, transferred.kind)
        }));
        match page.next {
            Some(next) => query.before = Some(next),
            None => return found,
        }
    }
}

fn move_account(world: &World, id: u64, to: u16) -> bank::moving::Moved {
    now(world.bank.move_slots(&local(), &[slot(id)], shard(to))).expect("moved")
}

fn hold_of(id: u64, minor: u64) -> Command {
    let (from, amount) = (account(id), amount(minor));
    Command::PlaceHold(PlaceHold { from, to: None, amount, currency: euro(), expires_at: None })
}

/// One step of a move, by itself.
fn change_slot(world: &World, on: usize, slot: u16, change: SlotChange) -> Answer {
    let command = Command::ChangeSlots(Box::new(ChangeSlots { change, slots: Box::new([slot]) }));
    let requests = vec![Request { key: None, command }];
    let context =
        Arc::new(Context { principal: "operator".into(), channel: Channel::Http, correlation: "".into(), cause: None });
    let answers = now(world.bank.shards()[on].submit(Submission { context, requests, dry_run: false }));
    answers.expect("answered").first().expect("one answer").clone()
}

#[test]
fn an_account_that_moved_goes_on_with_its_balance_its_history_and_its_versions() {
    let world = World::new(3);
    let (id, other) = (world.id_on(0, 0), world.id_on(1, 0));
    world.open_with(id, 500);
    world.open(other);
    world.submit(None, Command::Transfer(transfer(id, other, 100))).expect("moved");
    now(world.bank.finish_sagas()).expect("carried");
    world.pass(1_000_000);
    let before_move = world.bank.now();
    world.pass(1_000_000);
    let moved = move_account(&world, id, 2);
    assert_eq!((moved.slots, moved.accounts), (1, 1));
    assert_eq!(now(world.bank.account(account(id))).expect("read").expect("there").moved_to, None);
    assert_eq!(world.balance(id), 400);
    world.submit(None, Command::Transfer(transfer(id, other, 30))).expect("moved");
    world.pay_in(id, 5);
    now(world.bank.finish_sagas()).expect("carried");
    assert_eq!((world.balance(id), world.balance(other)), (375, 130));
    let expected = [
        (6, 375, TransferKind::Deposit),
        (5, 370, TransferKind::Transfer),
        (4, 400, TransferKind::Move),
        (3, 0, TransferKind::Move),
        (2, 400, TransferKind::Transfer),
        (1, 500, TransferKind::Deposit),
    ];
    assert_eq!(postings(&world, id), expected);
    for axis in [TimeAxis::Booking, TimeAxis::Effective] {
        let at = |at| now(world.bank.balance_at(BalanceQuery { account: account(id), at, axis })).expect("read");
        assert_eq!((at(before_move), at(world.bank.now())), (Some(400), Some(375)));
    }
    world.assert_sums_are_zero();
    assert_eq!(move_account(&world, id, 2), bank::moving::Moved::default(), "asked again, it is done");
}

#[test]
fn a_hold_for_an_account_that_moved_away_is_placed_where_the_money_is_and_captured_to_it() {
    let world = World::new(3);
    let (id, gone) = (world.id_on(0, 0), world.id_on(0, 1));
    world.open_with(id, 500);
    world.open(gone);
    move_account(&world, gone, 1);
    let hold = PlaceHold {
        from: account(id),
        to: Some(account(gone)),
        amount: amount(50),
        currency: euro(),
        expires_at: None,
    };
    let placed = world.submit(Some(("hold", 1)), Command::PlaceHold(hold)).expect("answered");
    let Event::HoldChanged(placed) = event_of(&placed) else { panic!("{placed:?}") };
    let capture = CaptureHold { hold: placed.hold.id, amount: None, to: None, is_final: true, note: None };
    world.submit(Some(("capture", 1)), Command::CaptureHold(Box::new(capture))).expect("answered");
    now(world.bank.finish_sagas()).expect("carried");
    assert_eq!((world.balance(id), world.balance(gone)), (450, 50));
    world.assert_sums_are_zero();
}

#[test]
fn a_key_that_was_used_before_the_move_replays_after_it() {
    let world = World::new(3);
    let (id, other) = (world.id_on(0, 0), world.id_on(0, 1));
    world.open_with(id, 500);
    world.open(other);
    let paid = || world.submit(Some(("k", 7)), Command::Transfer(transfer(id, other, 100))).expect("answered");
    let first = paid();
    move_account(&world, id, 1);
    let again = paid();
    assert!(matches!(again, Answer::Replayed(_)), "the key stayed where it was written and is found there");
    assert_eq!(again.entry().map(|entry| entry.header.sequence), first.entry().map(|entry| entry.header.sequence));
    let other_meaning = world.submit(Some(("k", 8)), Command::Transfer(transfer(id, other, 1))).expect("answered");
    assert!(matches!(other_meaning, Answer::KeyReused));
    let items = || vec![(Some(ClientKey { text: "k", fingerprint: 7 }), Command::Transfer(transfer(id, other, 100)))];
    let batch = now(world.bank.submit_batch(&local(), items(), false));
    assert!(matches!(batch[..], [Ok(Answer::Replayed(_))]));
    assert_eq!((world.balance(id), world.balance(other)), (400, 100));
}

#[test]
fn a_hold_goes_with_its_account_and_is_captured_there() {
    let world = World::new(3);
    let (id, other) = (world.id_on(0, 0), world.id_on(1, 0));
    world.open_with(id, 500);
    world.open(other);
    let hold = Command::PlaceHold(PlaceHold {
        from: account(id),
        to: None,
        amount: amount(200),
        currency: euro(),
        expires_at: None,
    });
    let placed = world.submit(None, hold).expect("placed");
    let Event::HoldChanged(placed) = event_of(&placed) else { panic!("no hold") };
    let hold = placed.hold.id;
    move_account(&world, id, 2);
    let row = now(world.bank.account(account(id))).expect("read").expect("there");
    assert_eq!((row.held, row.available()), (200, 300));
    assert_eq!(now(world.bank.hold(hold)).expect("read").expect("there").remaining(), amount(200));
    let capture = CaptureHold { hold, amount: None, to: Some(account(other)), is_final: true, note: None };
    world.submit(None, Command::CaptureHold(Box::new(capture))).expect("captured");
    now(world.bank.finish_sagas()).expect("carried");
    assert_eq!((world.balance(id), world.balance(other)), (300, 200));
    world.assert_sums_are_zero();
}

#[test]
fn a_node_that_knows_an_old_map_is_turned_away_and_finds_the_account() {
    let world = World::new(3);
    let (id, other) = (world.id_on(0, 0), world.id_on(0, 1));
    world.open_with(id, 500);
    world.open(other);
    let old_node = world.another_node();
    move_account(&world, id, 1);
    let answer = now(old_node.submit(&local(), None, Command::Transfer(transfer(id, other, 100)), false));
    assert!(rejection(&answer.expect("answered")).is_none());
    now(old_node.finish_sagas()).expect("carried");
    assert_eq!((world.balance(id), world.balance(other)), (400, 100));
}

#[test]
fn a_node_that_knows_an_old_map_reads_what_the_account_has_now() {
    let world = World::new(3);
    let id = world.id_on(0, 0);
    world.open_with(id, 500);
    let nodes = [world.another_node(), world.another_node(), world.another_node()];
    let placed = world.submit(None, hold_of(id, 50)).expect("placed");
    let Event::HoldChanged(placed) = event_of(&placed) else { panic!("no hold") };
    let opened = (1..).filter(|other| slot(*other) == slot(id)).nth(1).expect("an id");
    move_account(&world, id, 1);
    world.open_with(opened, 7);
    move_account(&world, id, 2);
    let row = now(nodes[0].account(account(id))).expect("read").expect("there");
    assert_eq!((row.balance, row.held, row.moved_to), (500, 50, None));
    let hold = now(nodes[1].hold(placed.hold.id)).expect("read").expect("there");
    assert_eq!(hold.remaining(), amount(50));
    assert!(now(nodes[2].account(account(opened))).expect("read").is_some(), "it never was where the map says");
}

#[test]
fn a_list_that_began_before_a_move_goes_on_where_it_was() {
    let world = World::new(3);
    let id = world.id_on(0, 0);
    world.open_with(id, 500);
    for _ in 0..3 {
        world.pay_in(id, 5);
    }
    let first = PostingQuery {
        account: account(id),
        side: None,
        filter: store::query::Filter::default(),
        before: None,
        limit: 2,
    };
    let versions = |query: &PostingQuery| {
        let page = now(world.bank.postings(query.clone())).expect("read");
        let versions: Vec<u64> = page.items.iter().map(|row| row.parts().expect("a posting").0.version).collect();
        (versions, page.next)
    };
    let (newest, next) = versions(&first);
    move_account(&world, id, 1);
    let (older, end) = versions(&PostingQuery { before: next, ..first });
    assert_eq!((newest, older, end), (vec![4, 3], vec![2, 1], None));
}

#[test]
fn a_hold_for_an_account_that_moved_away_is_placed_and_captured() {
    let world = World::new(3);
    let (id, to) = (world.id_on(0, 0), world.id_on(0, 1));
    world.open_with(id, 500);
    world.open(to);
    let old_node = world.another_node();
    move_account(&world, to, 2);
    let hold = |to: u64| {
        let Command::PlaceHold(hold) = hold_of(id, 200) else { panic!("no hold") };
        Command::PlaceHold(PlaceHold { to: Some(account(to)), ..hold })
    };
    let placed = now(old_node.submit(&local(), None, hold(to), false)).expect("placed");
    let Event::HoldChanged(placed) = event_of(&placed) else { panic!("no hold") };
    let capture = CaptureHold { hold: placed.hold.id, amount: None, to: None, is_final: true, note: None };
    world.submit(None, Command::CaptureHold(Box::new(capture))).expect("captured");
    now(world.bank.finish_sagas()).expect("carried");
    assert_eq!((world.balance(id), world.balance(to)), (300, 200));
    world.submit(None, Command::Close(account(id))).expect("answered");
    world.submit(None, Command::Transfer(transfer(to, id, 200))).expect("answered");
    now(world.bank.finish_sagas()).expect("carried");
    world.submit(None, Command::Close(account(to))).expect("closed");
    let refused = now(old_node.submit(&local(), None, hold(to), false)).expect("answered");
    assert_eq!(rejection(&refused), Some("account_closed"), "it was looked up where it is");
}

#[test]
fn an_account_is_opened_on_the_shard_that_owns_its_slot_and_nowhere_else() {
    let world = World::new(3);
    let ids: Vec<u64> = (1..).filter(|id| slot(*id) == slot(world.id_on(0, 0))).take(2).collect();
    world.open_with(ids[0], 10);
    let old_node = world.another_node();
    move_account(&world, ids[0], 1);
    let open = |id| now(old_node.submit(&local(), None, opening(id, ids[0]), false)).expect("answered");
    assert!(matches!(event_of(&open(ids[1])), Event::AccountChanged(_)));
    let found = |shard: usize, id| {
        now(world.bank.shards()[shard].account(AccountId::new(id).expect("an id"), world.bank.now()))
    };
    assert!(found(0, ids[1]).expect("read").is_none());
    assert!(found(1, ids[1]).expect("read").is_some());
    assert!(matches!(event_of(&open(ids[0])), Event::AccountChanged(_)), "the same again is the same account");
}

#[test]
fn a_transfer_between_shards_is_not_refused_because_a_node_knows_an_old_map() {
    let world = World::new(3);
    let (id, payer) = (world.id_on(0, 0), world.id_on(1, 0));
    world.open(id);
    world.open_with(payer, 500);
    let old_node = world.another_node();
    move_account(&world, id, 2);
    let answer = now(old_node.submit(&local(), None, Command::Transfer(transfer(payer, id, 100)), false));
    assert!(rejection(&answer.expect("answered")).is_none());
    now(old_node.finish_sagas()).expect("carried");
    assert_eq!((world.balance(payer), world.balance(id)), (400, 100), "its routes were made anew");
}

#[test]
fn an_operator_who_slept_through_two_moves_does_not_give_a_slot_two_owners() {
    let world = World::new(3);
    let id = world.id_on(0, 0);
    world.open_with(id, 500);
    move_account(&world, id, 1);
    move_account(&world, id, 2);
    let late = change_slot(&world, 1, slot(id), SlotChange::Acquired(shard(0)));
    assert_eq!(rejection(&late), Some("wrong_shard"));
    assert!(!now(world.bank.shards()[1].slots()).expect("read").contains(slot(id)));
}

#[test]
fn a_fence_that_a_stopped_move_left_is_opened_by_asking_again() {
    let world = World::new(3);
    let (id, payer) = (world.id_on(0, 0), world.id_on(1, 0));
    world.open(id);
    world.open_with(payer, 500);
    change_slot(&world, 1, slot(id), SlotChange::Fenced(shard(2)));
    assert_eq!(now(world.bank.shards_summary()).expect("read").moving.len(), 1, "an operator sees it");
    now(world.bank.move_slots(&local(), &[slot(id)], shard(0))).expect("it stays where it is");
    world.submit(None, Command::Transfer(transfer(payer, id, 100))).expect("begun");
    now(world.bank.finish_sagas()).expect("carried");
    assert_eq!(world.balance(id), 100);
}
