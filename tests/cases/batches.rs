//! Batches: results align, atomic ones leave nothing behind, dry runs nothing at all.

use crate::expectations::balances;
use crate::support::bank::{Bank, transfer};
use crate::support::http::Request;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn with_key(mut item: Value, key: &str) -> Value {
    item["idempotency_key"] = json!(key);
    item
}

// M8
#[test]
fn results_of_a_batch_align_with_its_requests() {
    let bank = Bank::open();
    let (rich, poor, to) = (bank.new_account("1000.00"), bank.new_account("0"), bank.new_account("0"));
    let items: Vec<Value> = (1..=60)
        .map(|number| {
            let amount = format!("{number}.00");
            let item = match number % 3 {
                0 => transfer(&rich, &to, &amount),
                1 => transfer(&poor, &to, &amount),
                _ => transfer(&rich, &to, "1.001"),
            };
            with_key(item, &format!("k{number}"))
        })
        .collect();
    let body = json!({"mode": "independent", "transfers": items});
    let answer = bank.send(Request::post("/api/v1/transfers/batch").json(&body)).expect(200).json();
    let results = answer["results"].as_array().expect("results");
    assert_eq!(results.len(), 60);
    for (number, result) in (1..).zip(results) {
        match number % 3 {
            0 => assert_eq!(
                (&result["status"], &result["transfer"]["amount"]),
                (&json!(201), &json!(format!("{number}.00")))
            ),
            1 => assert_eq!((&result["status"], &result["error"]["code"]), (&json!(422), &json!("insufficient_funds"))),
            _ => assert_eq!((&result["status"], &result["error"]["code"]), (&json!(400), &json!("amount_invalid"))),
        }
    }
    assert_eq!(bank.ledger(&to), "630.00");
}

// M9
#[test]
fn an_atomic_batch_that_fails_at_any_place_leaves_nothing_behind() {
    const ITEMS: usize = 8;
    let bank = Bank::open();
    let (rich, poor, to) = (bank.new_account("100.00"), bank.new_account("0"), bank.new_account("0"));
    let before = balances(&bank, &[&rich, &poor, &to]);
    let postings = bank.postings(&to).len();
    for culprit in 0..ITEMS {
        let item = |place: usize| transfer(if place == culprit { &poor } else { &rich }, &to, "1.00");
        let body = json!({"mode": "atomic", "transfers": (0..ITEMS).map(item).collect::<Vec<_>>()});
        let answer = bank.post("/api/v1/transfers/batch", &body).expect(200).json();
        for (place, result) in answer["results"].as_array().expect("results").iter().enumerate() {
            let code = if place == culprit { "insufficient_funds" } else { "linked_transfer_failed" };
            assert_eq!((&result["status"], &result["error"]["code"]), (&json!(422), &json!(code)), "{culprit} {place}");
        }
        assert_eq!(balances(&bank, &[&rich, &poor, &to]), before);
    }
    assert_eq!(bank.postings(&to).len(), postings);
    bank.expect_sums_of_zero();
}

#[test]
fn a_transfer_that_fails_at_any_leg_leaves_nothing_behind() {
    let bank = Bank::open();
    let (rich, poor, to) = (bank.new_account("100.00"), bank.new_account("0"), bank.new_account("0"));
    let before = balances(&bank, &[&rich, &poor, &to]);
    for culprit in 0..8 {
        let leg =
            |place: usize| json!({"from": if place == culprit { &poor } else { &rich }, "to": to, "amount": "1.00"});
        let body = json!({"type": "transfer", "currency": "EUR", "legs": (0..8).map(leg).collect::<Vec<_>>()});
        bank.post("/api/v1/transfers", &body).expect_problem(422, "insufficient_funds");
        assert_eq!(balances(&bank, &[&rich, &poor, &to]), before);
    }
}

#[test]
fn an_atomic_batch_that_succeeds_is_one_and_replays_as_one() {
    let bank = Bank::open();
    let (from, to) = (bank.new_account("100.00"), bank.new_account("0"));
    let body = json!({"mode": "atomic", "transfers": vec![transfer(&from, &to, "10.00"); 3]});
    let first = bank.post_with_key("/api/v1/transfers/batch", "all", &body).expect(200);
    let again = bank.post_with_key("/api/v1/transfers/batch", "all", &body).expect(200);
    assert_eq!(first.text(), again.text());
    assert!(again.is_replayed());
    assert_eq!(bank.ledger(&to), "30.00");
}

// M6
#[test]
fn a_dry_run_leaves_the_journal_byte_for_byte_as_it_was() {
    let bank = Bank::open();
    let (from, to) = (bank.new_account("100.00"), bank.new_account("0"));
    let moved = bank.transfer(&from, &to, "10.00").expect(201).json();
    let hold = bank.hold(&from, "10.00").expect(201).json();
    let (transfer_id, hold_id) =
        (moved["transfer_id"].as_str().expect("an id"), hold["hold_id"].as_str().expect("an id"));
    let before = (journal_files(bank.folder()), balances(&bank, &[&from, &to]));
    let calls = [
        ("/api/v1/transfers".to_owned(), transfer(&from, &to, "80.00"), 201),
        ("/api/v1/transfers".to_owned(), transfer(&from, &to, "80.01"), 422),
        ("/api/v1/holds".to_owned(), json!({"from": from, "amount": "80.00", "currency": "EUR"}), 201),
        (format!("/api/v1/transfers/{transfer_id}/reverse"), json!({}), 201),
        (format!("/api/v1/holds/{hold_id}/capture"), json!({}), 201),
        (format!("/api/v1/holds/{hold_id}/void"), json!({}), 200),
        (
            "/api/v1/transfers/batch".to_owned(),
            json!({"mode": "atomic", "transfers": [transfer(&from, &to, "1.00"), transfer(&from, &to, "2.00")]}),
            200,
        ),
    ];
    for (path, body, status) in &calls {
        for _ in 0..2 {
            bank.send(Request::post(&format!("{path}?dry_run=true")).json(body)).expect(*status);
        }
    }
    assert_eq!((journal_files(bank.folder()), balances(&bank, &[&from, &to])), before);
    let answer = bank.send(Request::post("/api/v1/transfers?dry_run=true").json(&calls[0].1)).expect(201).json();
    assert!(answer["transfer_id"].is_null() && answer["created_at"].is_null(), "{answer}");
    bank.post("/api/v1/transfers", &calls[0].1).expect(201);
}

/// Every file of the journal with its bytes.
fn journal_files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder.join("shard-000/journal")).expect("the journal's folder") {
        let path = entry.expect("an entry").path();
        let bytes = std::fs::read(&path).expect("a file");
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        if used != 0 {
            files.insert(path, bytes[..used].to_vec());
        }
    }
    assert!(!files.is_empty());
    files
}
