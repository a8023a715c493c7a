//! Operators who move the same slot at the same time, or slept through a move: whatever they still do, no account is
//! stranded, no slot stays shut, no id has two owners.

use crate::world::{World, account, amount, local, now, opening, rejection, terms, transfer};
use ledger::command::{ChangeSlots, Command, MoveAccount};
use ledger::event::{Channel, Context};
use ledger::ids::{ShardId, slot};
use ledger::slots::SlotChange;
use std::sync::Arc;
use store::{Answer, Request, Submission};

fn shard(number: u16) -> ShardId {
    ShardId::new(number).expect("a shard")
}

fn ask(world: &World, on: usize, command: Command) -> Answer {
    let requests = vec![Request { key: None, command }];
    let context =
        Arc::new(Context { principal: "operator".into(), channel: Channel::Http, correlation: "".into(), cause: None });
    let answers = now(world.bank.shards()[on].submit(Submission { context, requests, dry_run: false }));
    answers.expect("answered").first().expect("one answer").clone()
}

fn change(world: &World, on: usize, slot: u16, change: SlotChange) -> Answer {
    ask(world, on, Command::ChangeSlots(Box::new(ChangeSlots { change, slots: Box::new([slot]) })))
}

/// As `change_everywhere`: in the order of the shards, up to the first that refuses.
fn everywhere(world: &World, slot: u16, what: SlotChange) -> bool {
    (0..3).all(|on| rejection(&change(world, on, slot, what)).is_none())
}

fn is_here(world: &World, on: usize, id: u64) -> bool {
    let row = now(world.bank.shards()[on].account(account(id), world.bank.now())).expect("read");
    row.is_some_and(|row| row.moved_to.is_none())
}

/// Move 1 to 2 up to where the slot has changed hands; the account is still on 1.
fn half_moved(world: &World, id: u64) {
    now(world.bank.move_slots(&local(), &[slot(id)], shard(1))).expect("moved");
    everywhere(world, slot(id), SlotChange::Fenced(shard(2)));
    change(world, 1, slot(id), SlotChange::Released(shard(2)));
    change(world, 2, slot(id), SlotChange::Acquired(shard(1)));
}

/// `move_slots(slot, 1)` read the map before the slot was given up (owner 1: "stays", and it is fenced), and does its two
/// steps now.
#[test]
fn asking_that_a_slot_stays_while_it_leaves_strands_no_account() {
    let world = World::new(3);
    let id = world.id_on(0, 0);
    world.open_with(id, 500);
    half_moved(&world, id);
    let _ = everywhere(&world, slot(id), SlotChange::Fenced(shard(1)))
        && everywhere(&world, slot(id), SlotChange::Opened(shard(1)));
    for _ in 0..2 {
        now(world.bank.move_slots(&local(), &[slot(id)], shard(2))).expect("moved or there");
    }
    let deposit = world.bank.deposit(account(id), None, terms(70)).expect("a deposit");
    let paid = world.submit(None, Command::Transfer(deposit));
    assert!(is_here(&world, 2, id) && paid.is_ok_and(|paid| rejection(&paid).is_none()));
}

/// The same, and the mover goes on to its end.
#[test]
fn asking_that_a_slot_stays_while_it_leaves_shuts_nothing() {
    let world = World::new(3);
    let id = world.id_on(0, 0);
    let payer =
        (1..).find(|p| slot(*p) != slot(id) && world.bank.placement().owner(slot(*p)) == shard(0)).expect("one");
    world.open(id);
    world.open_with(payer, 500);
    half_moved(&world, id);
    let _ = everywhere(&world, slot(id), SlotChange::Fenced(shard(1)))
        && everywhere(&world, slot(id), SlotChange::Opened(shard(1)));
    ask(&world, 1, Command::MoveAccount(MoveAccount { account: account(id), to: shard(2) }));
    now(world.bank.finish_sagas()).expect("carried");
    everywhere(&world, slot(id), SlotChange::Fenced(shard(2)));
    everywhere(&world, slot(id), SlotChange::Opened(shard(2)));
    now(world.bank.move_slots(&local(), &[slot(id)], shard(2))).expect("moved or there");
    let paid = world.submit(None, Command::Transfer(transfer(payer, id, 100)));
    assert!(paid.is_ok());
}

/// The operator of the move 0 to 1, who was asleep before its first step (a second one had done it all), begins it now.
#[test]
fn a_fence_for_another_shard_does_not_stay_when_the_move_is_told_as_done() {
    let world = World::new(3);
    let id = world.id_on(0, 0);
    let payer =
        (1..).find(|p| slot(*p) != slot(id) && world.bank.placement().owner(slot(*p)) == shard(0)).expect("one");
    world.open(id);
    world.open_with(payer, 500);
    half_moved(&world, id);
    everywhere(&world, slot(id), SlotChange::Fenced(shard(1)));
    ask(&world, 1, Command::MoveAccount(MoveAccount { account: account(id), to: shard(2) }));
    now(world.bank.finish_sagas()).expect("carried");
    everywhere(&world, slot(id), SlotChange::Fenced(shard(2))); // the added step of the mend
    everywhere(&world, slot(id), SlotChange::Opened(shard(2))); // the mover ends and says so
    let paid = world.submit(None, Command::Transfer(transfer(payer, id, 100)));
    assert!(paid.is_ok());
}

#[test]
fn an_id_on_its_way_to_a_shard_is_not_given_out_there() {
    let world = World::new(2);
    let user = world.id_on(1, 0);
    world.open(user);
    let open = |overdraft| {
        let Command::OpenAccount(open) = opening(1, user) else { unreachable!() };
        let open = ledger::command::OpenAccount { id: None, overdraft_limit: amount(overdraft), ..open };
        crate::world::opened_account(&world.submit(None, Command::OpenAccount(open)).expect("answered")).number()
    };
    // A teller looks at what the bank gives out, and opens the next one himself, on the other shard.
    let mut next = open(0) + 1;
    while world.bank.placement().owner(slot(next)) != shard(0) {
        next = open(0) + 1;
    }
    world.open(next);
    (0..2).for_each(|on| drop(change(&world, on, slot(next), SlotChange::Fenced(shard(1)))));
    change(&world, 0, slot(next), SlotChange::Released(shard(1)));
    change(&world, 1, slot(next), SlotChange::Acquired(shard(0)));
    let given = open(1_000);
    now(world.bank.move_slots(&local(), &[slot(next)], shard(1))).expect("moved");
    world.assert_sums_are_zero();
    assert_ne!(given, next);
}
