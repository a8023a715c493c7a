//! A shard that lost what it answered: it is noticed, and nothing is settled on top of it.

use crate::world::{World, account, local, now, opening, transfer};
use bank::Bank;
use ledger::command::Command;
use ledger::ids::{CustomerId, ShardId};
use ledger::time::Timestamp;
use std::sync::Arc;
use store::Store;

fn shard(number: u16) -> ShardId {
    ShardId::new(number).expect("a shard")
}

#[test]
fn a_sender_that_was_restored_to_an_earlier_state_is_noticed() {
    let world = World::new(2);
    let (payer, payee) = (world.id_on(0, 0), world.id_on(1, 0));
    world.open_with(payer, 500);
    world.open(payee);
    for _ in 0..3 {
        world.submit(None, Command::Transfer(transfer(payer, payee, 10))).expect("begun");
    }
    now(world.bank.finish_sagas()).expect("carried");
    assert_eq!(world.balance(payee), 30);
    world.pass(60_000_000);
    // Shard 0 as it was before: from a backup, or a standby that was promoted without its last commits.
    let slots = bank::slot_map::SlotMap::new(2).expect("two").slots_of(shard(0));
    let clock = world.env.clone();
    let identity = store::model::Identity { shard: shard(0), slots, secret: [9; 32] };
    let restored = Arc::new(store::model::MemoryStore::new(identity, Arc::new(move || bank::ports::Env::now(&*clock))));
    let stores: Vec<Arc<dyn Store>> = vec![restored, world.bank.shards()[1].clone()];
    let node = Bank::new(stores, world.env.clone(), world.keyring.clone());
    now(node.register_user(&local(), None, CustomerId::new(payer), &crate::world::named("A"))).expect("registered");
    now(node.submit(&local(), None, opening(payer, payer), false)).expect("opened");
    let deposit = node.deposit(account(payer), None, crate::world::terms(500)).expect("a deposit");
    now(node.submit(&local(), None, Command::Transfer(deposit), false)).expect("paid in");
    now(node.submit(&local(), None, Command::Transfer(transfer(payer, payee, 100)), false)).expect("begun");
    let swept = now(node.finish_sagas());
    let balance = |id| now(node.account(account(id))).expect("read").expect("there").balance;
    let pending = now(node.pending_transfers(Timestamp::MAX, 10, None)).expect("listed").items.len();
    println!("sweep: {swept:?}; payer {}, payee {}, pending {pending}", balance(payer), balance(payee));
    assert!(swept.is_err() || (balance(payer), balance(payee)) == (400, 130));
}
