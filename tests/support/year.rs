//! A real bank's year: its events, what every posting of it should be by an independent sum, and the comparison.

use super::bank::Bank;
use flate2::read::GzDecoder;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read;

pub(crate) const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/real-year.ndjson.gz");
pub(crate) const EVENTS: u64 = 29_437;
pub(crate) const TRANSACTIONS: usize = 27_215;

/// Its events, in their order.
pub(crate) fn fixture() -> Vec<String> {
    let mut text = String::new();
    let file = std::fs::File::open(FIXTURE).expect("the fixture");
    GzDecoder::new(file).read_to_string(&mut text).expect("gzip");
    text.lines().map(str::to_owned).collect()
}

/// Minor units of a decimal with two places.
pub(crate) fn minor_units(text: &str) -> i64 {
    let (whole, decimals) = text.split_once('.').expect("a point");
    assert_eq!(decimals.len(), 2, "{text}");
    format!("{whole}{decimals}").parse().expect("digits")
}

/// What each account's postings should be: signed amount, balance after it, and the balance the bank itself wrote.
pub(crate) fn expected(events: &[String], skip: &[String]) -> BTreeMap<String, Vec<(i64, i64, i64)>> {
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
pub(crate) fn compare(bank: &Bank, expected: &BTreeMap<String, Vec<(i64, i64, i64)>>) -> usize {
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

/// How many events were accepted, replayed and dead-lettered.
pub(crate) fn counts(value: &Value) -> [u64; 3] {
    ["accepted", "replayed", "dead_lettered"].map(|field| value[field].as_u64().expect("a count"))
}
