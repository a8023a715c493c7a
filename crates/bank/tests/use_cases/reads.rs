//! Lists over all shards.

use crate::world::{World, account, local, named, now, opening, transfer};
use bank::read::{Merged, Positions, TransferDetails};
use ledger::command::Command;
use ledger::ids::{AccountId, CustomerId, TransferId};
use ledger::time::Timestamp;
use store::Fault;
use store::query::TransferQuery;

/// Reads a list page by page; no item may come twice.
fn all<T: Clone, K: PartialEq + std::fmt::Debug>(
    page: impl Fn(Option<&Positions>) -> Result<Merged<T>, Fault>,
    key: impl Fn(&T) -> K,
) -> Vec<T> {
    let (mut items, mut from): (Vec<T>, Option<Positions>) = (Vec::new(), None);
    loop {
        let read = page(from.as_ref()).expect("read");
        for item in read.items {
            assert!(items.iter().all(|known| key(known) != key(&item)), "{:?} comes twice", key(&item));
            items.push(item);
        }
        match read.next {
            Some(next) => from = Some(next),
            None => return items,
        }
    }
}

#[test]
fn transfers_of_all_shards_come_newest_first_in_pages_of_any_size() {
    let world = World::new(3);
    let pairs: Vec<(u64, u64)> = (0..3).map(|shard| (world.id_on(shard, 0), world.id_on(shard, 1))).collect();
    for (from, to) in &pairs {
        world.open_with(*from, 10_000);
        world.open(*to);
    }
    for n in 0..40u64 {
        world.pass(1_000);
        let (from, to) = pairs[usize::try_from(n * n % 7 % 3).expect("small")];
        world.submit(None, Command::Transfer(transfer(from, to, n + 1))).expect("moved");
    }
    for limit in [1, 2, 3, 7, 20, 43, 100] {
        let query = TransferQuery { limit, ..TransferQuery::default() };
        let id = |found: &TransferDetails| -> TransferId { found.view.transfer.transferred().expect("a transfer").id };
        let views = all(|from| now(world.bank.transfers(&query, from)), id);
        assert_eq!(views.len(), 43, "limit {limit}");
        let times: Vec<Timestamp> = views.iter().map(|found| found.view.transfer.entry.header.time).collect();
        assert!(times.is_sorted_by(|newer, older| older <= newer), "limit {limit}");
    }
}

#[test]
fn transfers_of_one_account_come_from_its_shard() {
    let world = World::new(3);
    let (id, other) = (world.id_on(1, 0), world.id_on(2, 0));
    world.open_with(id, 10);
    world.pay_in(id, 10);
    world.open_with(other, 10);
    let query = TransferQuery { account: Some(account(id)), limit: 1, ..TransferQuery::default() };
    let views = all(
        |from| now(world.bank.transfers(&query, from)),
        |found| found.view.transfer.transferred().map(|found| found.id),
    );
    assert_eq!(views.len(), 2);
}

#[test]
fn a_customers_accounts_and_all_customers_are_gathered() {
    let world = World::new(4);
    for id in 1..=25 {
        world.pass(1_000_000);
        now(world.bank.register_user(&local(), None, CustomerId::new(id), &named("A"))).expect("registered");
    }
    for id in 1..=30 {
        world.submit(None, opening(id, 7)).expect("opened");
    }
    let customer = CustomerId::new(7).expect("an id");
    for limit in [1, 4, 30, 100] {
        let accounts = all(|from| now(world.bank.accounts_of(customer, limit, from)), |account| account.id);
        let mut ids: Vec<AccountId> = accounts.iter().map(|account| account.id).collect();
        ids.sort();
        assert_eq!(ids, (1..=30).map(account).collect::<Vec<_>>(), "limit {limit}");
        let users = all(|from| now(world.bank.users(limit, from)), |user| user.id);
        let ids: Vec<u64> = users.iter().map(|user| user.id.number()).collect();
        assert_eq!(ids, (1..=25).rev().collect::<Vec<_>>(), "limit {limit}");
    }
}

#[test]
fn positions_of_a_bank_with_another_count_of_shards_start_anew() {
    let world = World::new(2);
    world.open(1);
    let wrong: Positions = vec![None; 5];
    assert_eq!(now(world.bank.users(10, Some(&wrong))).expect("read").items.len(), 1);
}

#[test]
fn the_books_of_every_shard_and_currency_sum_to_zero() {
    let world = World::new(2);
    let (here, there) = (world.id_on(0, 0), world.id_on(1, 0));
    world.open_with(here, 500);
    world.open_with(there, 700);
    let balances = now(world.bank.system_balances()).expect("read");
    let figures: Vec<(u16, i128, i128)> =
        balances.iter().map(|balance| (balance.shard.number(), balance.customers, balance.total)).collect();
    assert_eq!(figures, [(0, 500, 0), (1, 700, 0)]);
    assert_eq!(balances[1].accounts.iter().map(|account| account.balance).collect::<Vec<_>>(), [-700]);
}

#[test]
fn a_fault_of_one_shard_is_no_empty_list() {
    let world = World::new(2);
    world.open(1);
    world.faulty[1].script_reads([store::faulty::Reading::Fails]);
    assert!(now(world.bank.users(10, None)).is_err());
}
