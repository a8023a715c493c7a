//! A real bank's year through the whole system, from the file and over HTTP: every balance against an independent sum.

#[path = "../support/mod.rs"]
mod support;

use flate2::read::GzDecoder;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use support::bank::{Bank, Server, serve};
use support::http::Request;
use support::program::{run, run_with_input};
use tempfile::TempDir;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/real-year.ndjson.gz");
const EVENTS: u64 = 29_437;
const TRANSACTIONS: usize = 27_215;

fn fixture() -> Vec<String> {
    let mut text = String::new();
    let file = std::fs::File::open(FIXTURE).expect("the fixture");
    GzDecoder::new(file).read_to_string(&mut text).expect("gzip");
    text.lines().map(str::to_owned).collect()
}

/// Minor units of a decimal with two places.
fn minor_units(text: &str) -> i64 {
    let (whole, decimals) = text.split_once('.').expect("a point");
    assert_eq!(decimals.len(), 2, "{text}");
    format!("{whole}{decimals}").parse().expect("digits")
}

/// What each account's postings should be: signed amount, balance after it, and the balance the bank itself wrote.
fn expected(events: &[String], skip: &[String]) -> BTreeMap<String, Vec<(i64, i64, i64)>> {
    let mut accounts: BTreeMap<String, Vec<(i64, i64, i64)>> = BTreeMap::new();
    for text in events {
        let event: Value = serde_json::from_str(text).expect("JSON");
        let data = &event["data"];
        let sign = match event["type"].as_str().expect("a type") {
            "florin.deposit" => 1,
            "florin.withdrawal" => -1,
            "florin.account.opened" => {
                accounts.entry(data["account_id"].as_str().expect("an id").to_owned()).or_default();
                continue;
            }
            _ => continue,
        };
        if skip.iter().any(|id| event["id"] == id.as_str()) {
            continue;
        }
        let postings = accounts.get_mut(data["account_id"].as_str().expect("an id")).expect("an opened account");
        let signed = sign * minor_units(data["amount"].as_str().expect("an amount"));
        let balance = postings.last().map_or(0, |(_, balance, _)| *balance) + signed;
        postings.push((signed, balance, minor_units(data["metadata"]["balance_after"].as_str().expect("a balance"))));
    }
    accounts
}

/// Asks the bank for every posting of every account and compares.
fn compare(bank: &Bank, expected: &BTreeMap<String, Vec<(i64, i64, i64)>>) -> usize {
    let mut compared = 0;
    let something_was_rejected = expected.values().map(Vec::len).sum::<usize>() != TRANSACTIONS;
    for (account, postings) in expected {
        let mut found = bank.postings(account);
        found.reverse();
        assert_eq!(found.len(), postings.len(), "account {account}");
        for (index, (item, (signed, balance, banks_own))) in found.iter().zip(postings).enumerate() {
            let side = if *signed < 0 { "debit" } else { "credit" };
            let text = |field: &str| item[field].as_str().expect("a text").to_owned();
            assert_eq!((text("side").as_str(), minor_units(&text("amount"))), (side, signed.abs()), "{item}");
            assert_eq!(minor_units(&text("balance_after")), *balance, "{item}");
            assert_eq!(item["version"], index + 1, "{item}");
            // What was rejected here took place in the real bank.
            assert!(something_was_rejected || (balance - banks_own).abs() <= 100, "{item}");
            compared += 1;
        }
        let last = postings.last().map_or(0, |(_, balance, _)| *balance);
        assert_eq!(minor_units(&bank.ledger(account)), last, "account {account}");
    }
    bank.expect_sums_of_zero();
    compared
}

fn counts(value: &Value) -> [u64; 3] {
    ["accepted", "replayed", "dead_lettered"].map(|field| value[field].as_u64().expect("a count"))
}

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
