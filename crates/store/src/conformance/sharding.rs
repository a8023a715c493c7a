//! One shard of several: what it makes up is its own, and it knows what is another's.

use super::ask;
use super::bench::{Bench, held, rejection, transferred};
use crate::Answer;
use ledger::account::SystemAccount;
use ledger::command::{Command, RegisterCustomer};
use ledger::event::{Event, Outcome};
use ledger::ids::{ShardId, slot};
use ledger::rejection::Rejection;

/// The lowest id whose slot the shard owns, or does not own.
fn lowest_id(bench: &Bench, is_owned: bool) -> u64 {
    let slots = bench.identity().slots;
    let mut ids = 1..;
    ids.find(|id| slots.contains(slot(*id)) == is_owned).expect("a shard of several owns a part of the slots")
}

/// The id that an answer gives to what was registered or opened.
#[track_caller]
fn opened(answer: &Answer) -> u64 {
    match answer.outcome() {
        Some(Outcome::Event(Event::AccountChanged(changed))) => changed.account.id.number(),
        Some(Outcome::Event(Event::CustomerChanged(changed))) => changed.customer.id.number(),
        _ => panic!("expected a customer or an account: {answer:?}"),
    }
}

/// Registers a customer and opens accounts, all with ids that the bank chooses: the customer's is the first.
async fn open_without_ids(bench: &mut Bench, accounts: usize) -> Vec<u64> {
    let register = RegisterCustomer { id: None, profile: Vec::new(), registered_as: bench.next_key().digest };
    let customer = opened(&bench.ask(Command::RegisterCustomer(Box::new(register))).await);
    let mut ids = vec![customer];
    for _ in 0..accounts {
        ids.push(opened(&bench.ask(ask::open(None, customer, "EUR", 1000)).await));
    }
    ids
}

/// Whoever knows an id of a customer or an account finds the shard by its slot; one of a transfer or a hold, by the
/// shard in it.
pub async fn ids_the_bank_chooses_carry_the_shard_and_are_in_owned_slots(bench: &mut Bench) {
    let identity = bench.identity();
    assert_eq!(bench.store().shard(), identity.shard);
    for _ in 0..10 {
        let ids = open_without_ids(bench, 4).await;
        for id in &ids {
            assert_eq!(ShardId::of_generated(*id), identity.shard, "{id}");
            assert!(identity.slots.contains(slot(*id)), "{id} is in slot {}", slot(*id));
        }
        let transfer = transferred(&bench.ask(ask::transfer(ids[1], ids[2], 5)).await).id;
        let hold = held(&bench.ask(ask::hold(ids[1], None, 5, None)).await).id;
        assert_eq!(ShardId::of_generated(transfer.number()), identity.shard);
        assert_eq!(ShardId::of_generated(hold.number()), identity.shard);
    }
}

/// Cash comes from the shard's own account for it; that of another shard is not there.
pub async fn the_standard_accounts_of_the_bank_belong_to_the_shard(bench: &mut Bench) {
    let shard = bench.identity().shard;
    let account = open_without_ids(bench, 1).await[1];
    let elsewhere = bench.ask(ask::deposit(account, 500)).await;
    assert_eq!(rejection(&elsewhere), Rejection::AccountNotFound(ask::cash("EUR")));
    transferred(&bench.ask(ask::deposit_at(shard, account, 300)).await);
    let own = bench.store().system_accounts().await.expect("the store answers");
    assert_eq!(own.iter().map(|account| account.balance).collect::<Vec<_>>(), [-300]);
    let shards: Vec<_> = own.iter().filter_map(|account| SystemAccount::from_id(account.id)).collect();
    assert!(shards.len() == 1 && shards[0].shard == shard, "{shards:?}");
    assert_eq!(bench.account(account).await.balance, 300);
}

/// A customer who belongs to another shard was looked up there; one who would belong here has to be here.
pub async fn only_customers_of_the_shard_have_to_be_registered_on_it(bench: &mut Bench) {
    let (own, elsewhere) = (lowest_id(bench, true), lowest_id(bench, false));
    let answer = bench.ask(ask::open(None, own, "EUR", 0)).await;
    assert_eq!(rejection(&answer), Rejection::UserNotFound(ask::customer(own)));
    let account = opened(&bench.ask(ask::open(None, elsewhere, "EUR", 0)).await);
    assert_eq!(bench.account(account).await.customer, Some(ask::customer(elsewhere)));
}

/// Ids go on growing and stay the shard's own, though the clock was put back meanwhile.
pub async fn a_reopened_shard_goes_on_giving_out_its_own_ids(bench: &mut Bench) {
    let identity = bench.identity();
    let mut last = 0;
    for _ in 0..4 {
        let ids = open_without_ids(bench, 10).await;
        for id in ids {
            assert!(last < id, "{id} after {last}");
            assert_eq!(ShardId::of_generated(id), identity.shard, "{id}");
            assert!(identity.slots.contains(slot(id)), "{id} is in slot {}", slot(id));
            last = id;
        }
        let before = bench.world().await;
        bench.turn_back(60_000_000);
        bench.reopen();
        assert_eq!(bench.store().shard(), identity.shard);
        assert_eq!(bench.world().await.entries, before.entries);
    }
}
