//! The journal for whoever follows.

use crate::events::{deposited, opened, registered, withdrawn};
use crate::world::{World, now};
use ledger::ids::ShardId;
use serde_json::{Value, json};

fn journal(world: &World, after: u64, limit: usize) -> Vec<Value> {
    let events = now(world.bank.journal(ShardId::default(), after, limit)).expect("read").expect("a shard");
    events.iter().map(|event| serde_json::to_value(event).expect("JSON")).collect()
}

#[test]
fn every_entry_is_a_cloud_event_in_order() {
    let world = World::new(1);
    world.ingest(&[registered(1), opened(2, 1), deposited("d", 2, "10.50"), withdrawn("w", 2, "99.00")]);
    let events = journal(&world, 0, 100);
    let field =
        |name: &str| events.iter().map(|event| event[name].as_str().unwrap_or("").to_string()).collect::<Vec<_>>();
    assert_eq!(
        field("type"),
        ["florin.user.registered", "florin.account.opened", "florin.transfer.succeeded", "florin.dead_letter.recorded"]
    );
    assert_eq!(field("id"), ["0-1", "0-2", "0-3", "0-4"]);
    assert_eq!(field("sequence"), ["1", "2", "3", "4"]);
    assert!(field("specversion").iter().all(|version| version == "1.0"));
    assert_eq!(events[2]["data"]["amount"], json!("10.50"));
    assert_eq!(events[2]["data"]["postings"][0]["balance_after"], json!("-10.50"));
    assert_eq!(events[3]["data"]["code"], json!("insufficient_funds"));
    assert_eq!(journal(&world, 2, 1), events[2..3]);
    assert_eq!(journal(&world, 4, 10), Vec::<Value>::new());
}

#[test]
fn nothing_personal_is_told() {
    let world = World::new(1);
    world.ingest(&[registered(1)]);
    assert!(!serde_json::to_string(&journal(&world, 0, 100)).expect("JSON").contains("Customer"));
}

#[test]
fn there_is_no_journal_of_a_shard_that_is_not_there() {
    let world = World::new(2);
    assert!(now(world.bank.journal(ShardId::new(2).expect("a shard"), 0, 10)).expect("read").is_none());
}
