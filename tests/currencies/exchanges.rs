//! An exchange is one transfer: all of it or nothing, in the journal with all that is to be known of it.

use crate::support::bank::Bank;
use crate::world::{account, exchange, exchanged, expect_in_order, foretold, own, quote, set_rate};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn sums(pairs: &[(&str, i128)]) -> BTreeMap<String, i128> {
    pairs.iter().map(|(currency, sum)| ((*currency).to_owned(), *sum)).collect()
}

#[test]
fn what_is_sold_and_bought_and_what_the_bank_keeps_are_legs_of_one_transfer() {
    let bank = Bank::open();
    let (euros, yen) = (account(&bank, "EUR", "500.00"), account(&bank, "JPY", "0"));
    set_rate(&bank, "EUR", "JPY", "163.777", 50);
    let quoted = quote(&bank, "EUR", "100.01", "JPY");
    // 100.01 × 163.777 × 0.995 = 16297.43915…; 100.01 × 163.777 = 16379.33777
    assert_eq!([&quoted["rate"], &quoted["mid"]], ["162.958115", "163.777"]);
    assert_eq!([&quoted["sell_amount"], &quoted["buy_amount"], &quoted["result"]], ["100.01", "16297", "82"]);
    assert_eq!([&quoted["rounding"], &quoted["rest"]], ["0.44108115", "0.33777"]);
    let done = exchanged(&bank, &euros, &yen, &quoted).expect(201).json();
    assert_eq!((&done["type"], &done["status"]), (&json!("exchange"), &json!("succeeded")));
    assert_eq!([&done["amount"], &done["currency"]], ["100.01", "EUR"]);
    let legs: Vec<[&Value; 4]> = done["postings"]
        .as_array()
        .expect("postings")
        .iter()
        .map(|posting| [&posting["side"], &posting["amount"], &posting["currency"], &posting["balance_after"]])
        .collect();
    let expected = [
        ["debit", "100.01", "EUR", "399.99"],
        ["credit", "100.01", "EUR", "100.01"],
        ["debit", "16297", "JPY", "-16297"],
        ["credit", "16297", "JPY", "16297"],
        ["debit", "82", "JPY", "-16379"],
        ["credit", "82", "JPY", "82"],
    ];
    assert_eq!(legs, expected);
    assert_eq!((bank.ledger(&euros), bank.ledger(&yen)), ("399.99".to_owned(), "16297".to_owned()));
    assert_eq!(own(&bank, "fx_position"), sums(&[("EUR", 10_001), ("JPY", -16_379)]));
    assert_eq!(own(&bank, "fx_result"), sums(&[("JPY", 82)]));
    let metadata = &done["metadata"];
    assert_eq!(metadata["florin.fx.quote"], quoted["quote_id"]);
    assert_eq!([&metadata["florin.fx.rate"], &metadata["florin.fx.rest"]], ["162.958115", "0.33777 JPY"]);
    assert_eq!([&metadata["florin.fx.given_by"], &metadata["florin.fx.sold"]], ["local", "100.01 EUR"]);
    expect_in_order(bank);
}

#[test]
fn each_side_reads_its_own_currency_wherever_it_looks() {
    let bank = Bank::open();
    let (euros, dinars) = (account(&bank, "EUR", "500.00"), account(&bank, "KWD", "0"));
    set_rate(&bank, "EUR", "KWD", "0.334567", 0);
    let done = exchanged(&bank, &euros, &dinars, &quote(&bank, "EUR", "10.00", "KWD")).expect(201).json();
    let id = done["transfer_id"].as_str().expect("an id");
    let posting = &bank.postings(&dinars)[0];
    assert_eq!([&posting["amount"], &posting["currency"], &posting["balance_after"]], ["3.345", "KWD", "3.345"]);
    assert_eq!(bank.get(&format!("/api/v1/transfers/{id}")).expect(200).json(), done);
    let month = &done["created_at"].as_str().expect("a time")[..7];
    let trx = bank.get(&format!("/api/v1/transactions/{dinars}/month/{month}")).expect(200).json();
    assert_eq!((&trx["trx"][0]["amount"], &trx["trx"][0]["current_balance"]), (&json!(3.345), &json!(3.345)));
    let found = bank.all(&format!(
        "/api/v1/transfers?metadata.florin.fx.quote={}",
        done["metadata"]["florin.fx.quote"].as_str().expect("a quote")
    ));
    assert_eq!(found, std::slice::from_ref(&done));
    let journal = bank.get("/api/v1/journal?limit=1000").expect(200).json();
    let events = journal["items"].as_array().expect("events");
    let told = events.iter().find(|event| event["data"]["type"] == "exchange").expect("the exchange");
    let currencies: Vec<&Value> =
        told["data"]["postings"].as_array().expect("postings").iter().map(|posting| &posting["currency"]).collect();
    assert_eq!(currencies[..4], ["EUR", "EUR", "KWD", "KWD"]);
    expect_in_order(bank);
}

#[test]
fn an_exchange_is_reversed_as_a_whole() {
    let bank = Bank::open();
    let (euros, yen) = (account(&bank, "EUR", "500.00"), account(&bank, "JPY", "0"));
    set_rate(&bank, "EUR", "JPY", "163.777", 50);
    let done = exchanged(&bank, &euros, &yen, &quote(&bank, "EUR", "100.01", "JPY")).expect(201).json();
    let reverse = format!("/api/v1/transfers/{}/reverse", done["transfer_id"].as_str().expect("an id"));
    let undone = bank.post(&reverse, &json!({})).expect(201).json();
    assert_eq!(
        [&undone["amount"], &undone["currency"], &undone["reverses"]],
        [&json!("100.01"), &json!("EUR"), &done["transfer_id"]]
    );
    assert_eq!((bank.ledger(&euros), bank.ledger(&yen)), ("500.00".to_owned(), "0".to_owned()));
    assert_eq!((own(&bank, "fx_position"), own(&bank, "fx_result")), (sums(&[]), sums(&[])));
    bank.post(&reverse, &json!({})).expect_problem(409, "already_reversed");
    expect_in_order(bank);
}

#[test]
fn what_was_bought_and_spent_cannot_be_reversed_in_part() {
    let bank = Bank::open();
    let (euros, yen) = (account(&bank, "EUR", "500.00"), account(&bank, "JPY", "0"));
    set_rate(&bank, "EUR", "JPY", "160", 0);
    let done = exchanged(&bank, &euros, &yen, &quote(&bank, "EUR", "100.00", "JPY")).expect(201).json();
    let spent = json!({"type": "withdrawal", "from": yen, "amount": "1", "currency": "JPY"});
    bank.post("/api/v1/transfers", &spent).expect(201);
    let reverse = format!("/api/v1/transfers/{}/reverse", done["transfer_id"].as_str().expect("an id"));
    bank.post(&reverse, &json!({})).expect_problem(422, "insufficient_funds");
    assert_eq!((bank.ledger(&euros), bank.ledger(&yen)), ("400.00".to_owned(), "15999".to_owned()));
    expect_in_order(bank);
}

#[test]
fn a_dry_run_foretells_an_exchange_and_leaves_the_quote_alone() {
    let bank = Bank::open();
    let (euros, yen) = (account(&bank, "EUR", "500.00"), account(&bank, "JPY", "0"));
    set_rate(&bank, "EUR", "JPY", "163.777", 50);
    let quoted = quote(&bank, "EUR", "100.01", "JPY");
    let told = foretold(&bank, &exchange(&euros, &yen, &quoted)).expect(201).json();
    assert_eq!((&told["transfer_id"], &told["amount"]), (&Value::Null, &json!("100.01")));
    assert_eq!(bank.ledger(&euros), "500.00");
    exchanged(&bank, &euros, &yen, &quoted).expect(201);
    foretold(&bank, &exchange(&euros, &yen, &quoted)).expect_problem(409, "quote_used");
    expect_in_order(bank);
}

#[test]
fn the_money_of_a_hold_is_captured_into_another_currency() {
    let bank = Bank::open();
    let (euros, yen) = (account(&bank, "EUR", "500.00"), account(&bank, "JPY", "0"));
    set_rate(&bank, "EUR", "JPY", "160", 0);
    let hold = bank.hold(&euros, "150.00").expect(201).json();
    let capture = format!("/api/v1/holds/{}/capture", hold["hold_id"].as_str().expect("an id"));
    let part = quote(&bank, "EUR", "100.00", "JPY");
    let body = json!({"quote_id": part["quote_id"], "to": yen, "amount": "99.00", "final": false});
    bank.post(&capture, &body).expect_problem(422, "quote_mismatch");
    let body = json!({"quote_id": part["quote_id"], "to": yen, "amount": "100.00", "final": false});
    let done = bank.post(&capture, &body).expect(201).json();
    assert_eq!(
        [&done["type"], &done["amount"], &done["hold_id"]],
        [&json!("capture"), &json!("100.00"), &hold["hold_id"]]
    );
    assert_eq!(
        (bank.ledger(&yen), bank.ledger(&euros), bank.available(&euros)),
        ("16000".into(), "400.00".into(), "350.00".into())
    );
    let too_much = json!({"quote_id": quote(&bank, "EUR", "50.01", "JPY")["quote_id"], "to": yen});
    bank.post(&capture, &too_much).expect_problem(422, "hold_amount_exceeded");
    let rest = json!({"quote_id": quote(&bank, "EUR", "20.00", "JPY")["quote_id"], "to": yen});
    bank.post(&capture, &rest).expect(201);
    assert_eq!((bank.ledger(&yen), bank.available(&euros)), ("19200".into(), "380.00".into()));
    let ended = json!({"quote_id": quote(&bank, "EUR", "1.00", "JPY")["quote_id"], "to": yen});
    bank.post(&capture, &ended).expect_problem(409, "hold_not_open");
    expect_in_order(bank);
}

#[test]
fn an_account_of_another_currency_than_the_quotes_is_refused_on_either_side() {
    let bank = Bank::open();
    let (euros, yen, dollars) =
        (account(&bank, "EUR", "500.00"), account(&bank, "JPY", "0"), account(&bank, "USD", "100.00"));
    set_rate(&bank, "EUR", "JPY", "160", 0);
    for (from, to) in [(&dollars, &yen), (&euros, &dollars), (&yen, &euros), (&euros, &euros)] {
        let refused = exchanged(&bank, from, to, &quote(&bank, "EUR", "1.00", "JPY"));
        refused.expect_problem(422, "currency_mismatch");
    }
    assert_eq!((bank.ledger(&euros), bank.ledger(&dollars)), ("500.00".into(), "100.00".into()));
    expect_in_order(bank);
}

#[test]
fn a_frozen_or_closed_side_and_missing_money_stop_all_of_it() {
    let bank = Bank::open();
    let (euros, yen) = (account(&bank, "EUR", "50.00"), account(&bank, "JPY", "0"));
    set_rate(&bank, "EUR", "JPY", "160", 0);
    exchanged(&bank, &euros, &yen, &quote(&bank, "EUR", "50.01", "JPY")).expect_problem(422, "insufficient_funds");
    bank.post(&format!("/api/v1/accounts/{yen}/freeze"), &json!({"kind": "full"})).expect(200);
    exchanged(&bank, &euros, &yen, &quote(&bank, "EUR", "1.00", "JPY")).expect_problem(422, "account_frozen");
    bank.post(&format!("/api/v1/accounts/{yen}/unfreeze"), &json!({})).expect(200);
    bank.post(&format!("/api/v1/accounts/{yen}/close"), &json!({})).expect(200);
    exchanged(&bank, &euros, &yen, &quote(&bank, "EUR", "1.00", "JPY")).expect_problem(422, "account_closed");
    let nowhere = exchanged(&bank, &euros, "4611686018427387000", &quote(&bank, "EUR", "1.00", "JPY"));
    nowhere.expect_problem(404, "account_not_found");
    assert_eq!(bank.ledger(&euros), "50.00");
    expect_in_order(bank);
}
