//! A bank of several shards: lists gather from all, events find their place.

use crate::support::bank::Bank;
use crate::support::http::Request;
use crate::support::program::run;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A bank with accounts of 100.00 on all of its shards.
fn sharded_bank() -> (Bank, Vec<String>) {
    let bank = Bank::open_with(&["--no-auth", "--shards", "3"]);
    // So many that every shard has some: their ids are drawn at random.
    let accounts = (0..40).map(|_| bank.new_account("100.00")).collect();
    (bank, accounts)
}

#[test]
fn lists_gather_from_all_shards_without_gap_or_overlap() {
    let (bank, accounts) = sharded_bank();
    let shards: BTreeSet<u64> = bank.get("/api/v1/system/balances").expect(200).json()["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|item| item["shard"].as_u64().expect("a shard"))
        .collect();
    assert_eq!(shards, BTreeSet::from([0, 1, 2]));
    let ids = |items: Vec<Value>| {
        items.iter().map(|item| item["transfer_id"].as_str().expect("an id").to_owned()).collect::<Vec<_>>()
    };
    let everything = ids(bank.all("/api/v1/transfers"));
    assert_eq!(everything.len(), accounts.len());
    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = bank.get(&format!("/api/v1/transfers?limit=5{cursor}")).expect(200).json();
        paged.extend(page["items"].as_array().expect("items").iter().cloned());
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(ids(paged), everything);
    assert_eq!(bank.all("/api/v1/users").len(), accounts.len());
}

#[test]
fn events_find_their_shard_and_are_replayed_there() {
    let bank = Bank::open_with(&["--no-auth", "--shards", "3"]);
    let mut lines = Vec::new();
    let event = |kind: &str, id: String, data: Value| {
        json!({"specversion": "1.0", "type": kind, "source": "shards", "id": id, "data": data}).to_string()
    };
    for number in 1..=20 {
        let id = number.to_string();
        lines.push(event("florin.user.registered", format!("u{id}"), json!({"user_id": id, "name": "A"})));
        let account = json!({"account_id": id, "user_id": id, "currency": "EUR", "type": "savings"});
        lines.push(event("florin.account.opened", format!("a{id}"), account));
        lines.push(event(
            "florin.deposit",
            format!("d{id}"),
            json!({"account_id": id, "amount": "1.00", "currency": "EUR"}),
        ));
        let too_much = json!({"account_id": id, "amount": "2.00", "currency": "EUR"});
        lines.push(event("florin.withdrawal", format!("w{id}"), too_much));
    }
    let send = || {
        let answer =
            bank.send(Request::post("/api/v1/events").body("application/x-ndjson", lines.join("\n").into_bytes()));
        let answer = answer.expect(200).json();
        ["accepted", "replayed", "dead_lettered"].map(|field| answer[field].as_u64().expect("a count"))
    };
    assert_eq!(send(), [60, 0, 20]);
    assert_eq!(send(), [0, 80, 0]);
    assert_eq!(bank.all("/api/v1/dead-letters").len(), 20);
    let bank = bank.crash_and_restart();
    assert!((1..=20).all(|number| bank.ledger(&number.to_string()) == "1.00"));
    let (code, folder, temporary) = bank.stop();
    assert_eq!(code, Some(0));
    run(["verify", "--data", folder.to_str().expect("a UTF-8 path")]).expect_code(0);
    drop(temporary);
}
