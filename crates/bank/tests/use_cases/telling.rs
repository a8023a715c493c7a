//! How what one shard tells another arrives: once, in order, by whatever brings it first.

use crate::world::{World, now, transfer};
use bank::relay::Sent;
use ledger::command::Command;
use ledger::ids::ShardId;
use ledger::saga::{Envelope, messages};
use store::query::EntryQuery;

fn shard(number: u16) -> ShardId {
    ShardId::new(number).expect("a shard")
}

/// An account with 100 on shard 0, and an empty one on shard 1.
fn two_shards() -> (World, u64, u64) {
    let world = World::new(2);
    let (from, to) = (world.id_on(0, 0), world.id_on(1, 0));
    world.open_with(from, 100);
    world.open(to);
    (world, from, to)
}

fn send(world: &World, from: u64, to: u64, minor_units: u64) {
    world.submit(None, Command::Transfer(transfer(from, to, minor_units))).expect("begun");
}

/// All that shard 0 told so far.
fn told(world: &World) -> Vec<Envelope> {
    let entries = now(world.bank.shards()[0].follow(EntryQuery { after: 0, limit: 1000 })).expect("read");
    entries.iter().flat_map(|entry| messages(shard(0), entry)).collect()
}

#[test]
fn a_late_sweep_brings_what_was_sent_before_the_last_one_and_leaves_what_is_on_its_way() {
    let (world, from, to) = two_shards();
    let mut sent = Sent::new();
    send(&world, from, to, 10);
    assert!(!now(world.bank.sweep_late(&mut sent)).expect("swept"));
    assert_eq!(world.balance(to), 0);
    send(&world, from, to, 20);
    assert!(now(world.bank.sweep_late(&mut sent)).expect("swept"));
    assert_eq!(world.balance(to), 30);
    now(world.bank.finish_sagas()).expect("ended");
    for _ in 0..2 {
        assert!(!now(world.bank.sweep_late(&mut sent)).expect("swept"));
    }
    world.assert_sums_are_zero();
}

#[test]
fn what_several_parcels_say_takes_effect_once_and_what_is_missing_between_them_is_pulled() {
    let (world, from, to) = two_shards();
    (1..=4).for_each(|amount| send(&world, from, to, amount));
    let told = told(&world);
    assert_eq!(told.len(), 4);
    // The first two came twice, the third was lost.
    let came = [&told[..2], &told[..2], &told[3..]].concat();
    now(world.bank.take_envelopes(came)).expect("taken");
    assert_eq!(world.balance(to), 1 + 2 + 3 + 4);
    now(world.bank.take_envelopes(told)).expect("taken again");
    assert_eq!(world.balance(to), 1 + 2 + 3 + 4);
    now(world.bank.finish_sagas()).expect("ended");
    world.assert_sums_are_zero();
}
