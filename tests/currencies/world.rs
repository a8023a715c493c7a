//! What all tests of currencies need: accounts in any of them, rates, quotes, and the bank's own books.

use crate::support::bank::Bank;
use crate::support::http::{Request, Response};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// An account in this currency, with this much on it.
pub(crate) fn account(bank: &Bank, currency: &str, amount: &str) -> String {
    let id = bank.new_account_of(&json!({"currency": currency, "type": "checking"}));
    if amount != "0" {
        let deposit = json!({"type": "deposit", "to": id, "amount": amount, "currency": currency});
        bank.post("/api/v1/transfers", &deposit).expect(201);
    }
    id
}

/// Sets the rate in the middle.
pub(crate) fn set_rate(bank: &Bank, base: &str, quote: &str, mid: &str, spread_bps: u16) {
    let rate = json!({"base": base, "quote": quote, "mid": mid, "spread_bps": spread_bps});
    bank.post("/api/v1/rates", &json!({"rates": [rate], "source": "test"})).expect(200);
}

/// A quote for so much of what is given.
pub(crate) fn quote(bank: &Bank, sell: &str, amount: &str, buy: &str) -> Value {
    bank.post("/api/v1/quotes", &json!({"sell": sell, "sell_amount": amount, "buy": buy})).expect(201).json()
}

/// The body of an exchange by a quote.
pub(crate) fn exchange(from: &str, to: &str, quote: &Value) -> Value {
    json!({"type": "exchange", "from": from, "to": to, "quote_id": quote["quote_id"]})
}

/// Makes an exchange with a fresh key.
pub(crate) fn exchanged(bank: &Bank, from: &str, to: &str, quote: &Value) -> Response {
    bank.post("/api/v1/transfers", &exchange(from, to, quote))
}

/// As it would be.
pub(crate) fn foretold(bank: &Bank, body: &Value) -> Response {
    bank.send(Request::post("/api/v1/transfers?dry_run=true").json(body))
}

/// The transfer once it has ended.
#[track_caller]
pub(crate) fn ended(bank: &Bank, transfer: &Value) -> Value {
    let id = transfer["transfer_id"].as_str().expect("an id");
    for _ in 0..200_000 {
        let now = bank.get(&format!("/api/v1/transfers/{id}")).expect(200).json();
        if now["status"] != "pending" {
            return now;
        }
    }
    panic!("transfer {id} stays pending");
}

/// What the bank's own accounts of a kind have, all shards together, by currency, in minor units.
pub(crate) fn own(bank: &Bank, kind: &str) -> BTreeMap<String, i128> {
    let balances = bank.get("/api/v1/system/balances").expect(200).json();
    let mut sums = BTreeMap::new();
    for row in balances["items"].as_array().expect("items") {
        let currency = row["currency"].as_str().expect("a currency").to_owned();
        for account in row["accounts"].as_array().expect("accounts").iter().filter(|account| account["kind"] == kind) {
            *sums.entry(currency.clone()).or_insert(0) += minor_units(&account["balance"]);
        }
    }
    sums.retain(|_, sum| *sum != 0);
    sums
}

/// A decimal without its point.
pub(crate) fn minor_units(text: &Value) -> i128 {
    let text = text.as_str().expect("a decimal");
    text.replace('.', "").parse().unwrap_or_else(|_| panic!("{text} is no decimal"))
}

/// The sums are zero, nothing is under way, and every check of the program passes.
pub(crate) fn expect_in_order(bank: Bank) {
    assert_eq!(bank.all("/api/v1/transfers?status=pending"), [Value::Null; 0]);
    assert_eq!(own(&bank, "clearing"), BTreeMap::new());
    bank.expect_sums_of_zero();
    let (code, folder, temporary) = bank.stop();
    assert_eq!(code, Some(0));
    crate::support::program::run(["verify", "--data", folder.to_str().expect("a UTF-8 path")]).expect_code(0);
    drop(temporary);
}
