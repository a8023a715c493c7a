//! A real bank's year through the whole system, from the file and over HTTP: every balance against an independent sum.

#[path = "../support/mod.rs"]
mod support;

use serde_json::Value;
use std::path::Path;
use support::bank::{Bank, Server, serve};
use support::http::Request;
use support::program::{run, run_with_input};
use support::year::{EVENTS, FIXTURE, TRANSACTIONS, compare, counts, expected, fixture, minor_units};
use tempfile::TempDir;

fn path_text(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

#[test]
fn a_real_year_from_the_file_has_every_balance_exact_and_replays() {
    let folder = TempDir::new().expect("a temporary folder");
    let data = folder.path().join("data");
    let data = path_text(&data);
    let first = run(["ingest", FIXTURE, "--data", data, "--json"]).expect_code(0);
    assert_eq!(counts(&first.json()), [EVENTS, 0, 0]);
    let again = run(["ingest", FIXTURE, "--data", data, "--json"]).expect_code(0);
    assert_eq!(counts(&again.json()), [0, EVENTS, 0]);
    assert_eq!(run(["verify", "--data", data, "--json"]).expect_code(0).json()["clean"], true);
    let bank = Bank::open_in(Path::new(data));
    assert_eq!(compare(&bank, &expected(&fixture(), &[])), TRANSACTIONS);
}

#[test]
fn a_real_year_over_http_has_every_balance_exact_and_replays() {
    let bank = Bank::open();
    let events = fixture();
    let body = events.join("\n").into_bytes();
    let send = || {
        let request = Request::post("/api/v1/events").body("application/x-ndjson", body.clone());
        counts(&bank.send(request).expect(200).json())
    };
    assert_eq!(send(), [EVENTS, 0, 0]);
    assert_eq!(compare(&bank, &expected(&events, &[])), TRANSACTIONS);
    assert_eq!(send(), [0, EVENTS, 0]);
    assert_eq!(compare(&bank, &expected(&events, &[])), TRANSACTIONS);
    let url = bank.url();
    let through = run(["ingest", FIXTURE, "--url", &url, "--json"]).expect_code(0);
    assert_eq!(counts(&through.json()), [0, EVENTS, 0]);
    let (code, folder, temporary) = bank.stop();
    assert_eq!(code, Some(0));
    run(["verify", "--data", path_text(&folder)]).expect_code(0);
    drop(temporary);
}

#[test]
fn without_overdraft_six_withdrawals_wait_until_an_operator_redrives_them() {
    let folder = TempDir::new().expect("a temporary folder");
    let data_folder = folder.path().join("data");
    let data = path_text(&data_folder);
    let events: Vec<String> = fixture().iter().map(|event| without_overdraft(event)).collect();
    let input = events.join("\n").into_bytes();
    let first = run_with_input(["ingest", "-", "--data", data, "--json"], &input).expect_code(1);
    assert_eq!(counts(&first.json()), [EVENTS - 6, 0, 6]);
    let again = run_with_input(["ingest", "-", "--data", data, "--json"], &input).expect_code(0);
    assert_eq!(counts(&again.json()), [0, EVENTS, 0]);

    let listed = run(["dead-letters", "list", "--data", data, "--json"]).expect_code(0).json();
    let letters = listed["items"].as_array().expect("items").clone();
    assert_eq!(letters.len(), 6);
    assert!(
        letters.iter().all(|letter| letter["code"] == "insufficient_funds" && letter["status"] == "waiting"),
        "{listed}"
    );
    let rejected: Vec<String> =
        letters.iter().map(|letter| letter["event"]["id"].as_str().expect("an id").to_owned()).collect();

    let bank = Bank::open_in(&data_folder);
    assert_eq!(compare(&bank, &expected(&events, &rejected)), TRANSACTIONS - 6);
    for letter in &letters {
        redrive_after_raising_the_limit(&bank, letter);
    }
    let waiting = bank.all("/api/v1/dead-letters?status=waiting");
    assert!(waiting.is_empty(), "{waiting:?}");
    bank.expect_sums_of_zero();
    let total: i64 =
        expected(&events, &[]).values().map(|postings| postings.last().map_or(0, |(_, balance, _)| *balance)).sum();
    assert_eq!(customers_total(&bank), total);
    drop(bank);
    run(["verify", "--data", data]).expect_code(0);
    drop(Server::start(&mut serve(&data_folder)));
}

fn redrive_after_raising_the_limit(bank: &Bank, letter: &Value) {
    let id = letter["dead_letter_id"].as_str().expect("an id");
    let account = letter["event"]["data"]["account_id"].as_str().expect("an account");
    let path = format!("/api/v1/dead-letters/{id}/redrive");
    let before = bank.ledger(account);
    let limit = Request::new("PATCH", &format!("/api/v1/accounts/{account}"))
        .key(&bank.fresh_key())
        .json(&serde_json::json!({"overdraft_limit": "1000000.00"}));
    bank.send(limit).expect(200);
    let redriven = bank.post(&path, &serde_json::json!({})).expect(200).json();
    assert_eq!((&redriven["status"], &redriven["attempts"]), (&Value::from("redriven"), &Value::from(2)), "{redriven}");
    let amount = minor_units(letter["event"]["data"]["amount"].as_str().expect("an amount"));
    assert_eq!(minor_units(&bank.ledger(account)), minor_units(&before) - amount);
    bank.post(&path, &serde_json::json!({}));
    assert_eq!(minor_units(&bank.ledger(account)), minor_units(&before) - amount, "redriven twice, moved twice");
}

fn customers_total(bank: &Bank) -> i64 {
    let balances = bank.get("/api/v1/system/balances").expect(200).json();
    let items = balances["items"].as_array().expect("items").iter();
    items
        .filter(|item| item["currency"] == "CZK")
        .map(|item| minor_units(item["customers"].as_str().expect("a sum")))
        .sum()
}

/// The same event with an overdraft limit of zero.
fn without_overdraft(event: &str) -> String {
    let mut value: Value = serde_json::from_str(event).expect("JSON");
    if value["type"] == "florin.account.opened" {
        value["data"].as_object_mut().expect("an object").remove("overdraft_limit");
    }
    value.to_string()
}
