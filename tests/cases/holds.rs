//! Reserved money: it counts, it is given back, it moves once.

use crate::expectations::eventually;
use crate::support::bank::Bank;
use ledger::time::Timestamp;
use serde_json::{Value, json};

fn id_of(hold: &Value) -> String {
    hold["hold_id"].as_str().expect("an id").to_owned()
}

fn capture(bank: &Bank, hold: &Value, body: &Value) -> crate::support::http::Response {
    bank.post(&format!("/api/v1/holds/{}/capture", id_of(hold)), body)
}

fn void(bank: &Bank, hold: &Value) -> crate::support::http::Response {
    bank.post(&format!("/api/v1/holds/{}/void", id_of(hold)), &json!({}))
}

/// A hold that ends three seconds after the bank's time now.
fn short_hold(bank: &Bank, account: &str, amount: &str) -> Value {
    let probe = bank.hold(account, "0.01").expect(201).json();
    void(bank, &probe).expect(200);
    let now: Timestamp = probe["created_at"].as_str().expect("a time").parse().expect("RFC 3339");
    let expires_at = now.saturating_add(3_000_000).to_string();
    let body = json!({"from": account, "amount": amount, "currency": "EUR", "expires_at": expires_at});
    bank.post("/api/v1/holds", &body).expect(201).json()
}

// R5
#[test]
fn holds_count_in_the_available_balance_and_the_one_that_exceeds_it_is_refused() {
    let bank = Bank::open();
    let account = bank.new_account("100.00");
    bank.hold(&account, "60.00").expect(201);
    bank.hold(&account, "40.01").expect_problem(422, "insufficient_funds");
    bank.withdraw(&account, "40.01").expect_problem(422, "insufficient_funds");
    bank.hold(&account, "40.00").expect(201);
    assert_eq!((bank.ledger(&account), bank.available(&account)), ("100.00".into(), "0.00".into()));
}

// V4
#[test]
fn voiding_a_hold_twice_has_one_effect() {
    let bank = Bank::open();
    let account = bank.new_account("100.00");
    let (one, other) =
        (bank.hold(&account, "30.00").expect(201).json(), bank.hold(&account, "30.00").expect(201).json());
    for _ in 0..2 {
        assert_eq!(void(&bank, &one).expect(200).json()["status"], "voided");
        assert_eq!(bank.available(&account), "70.00");
    }
    void(&bank, &other).expect(200);
    assert_eq!(bank.available(&account), "100.00");
}

// V9
#[test]
fn every_end_of_a_hold_releases_the_money() {
    let bank = Bank::open();
    let account = bank.new_account("100.00");
    let held = || bank.account(&account)["balance"]["held"].as_str().expect("an amount").to_owned();

    let captured = bank.hold(&account, "30.00").expect(201).json();
    capture(&bank, &captured, &json!({"amount": "10.00"})).expect(201);
    assert_eq!((held(), bank.available(&account)), ("0.00".into(), "90.00".into()));

    let in_parts = bank.hold(&account, "30.00").expect(201).json();
    capture(&bank, &in_parts, &json!({"amount": "10.00", "final": false})).expect(201);
    assert_eq!((held(), bank.available(&account)), ("20.00".into(), "60.00".into()));
    void(&bank, &in_parts).expect(200);
    assert_eq!((held(), bank.available(&account)), ("0.00".into(), "80.00".into()));

    short_hold(&bank, &account, "30.00");
    eventually("80.00", || bank.available(&account));
    assert_eq!(held(), "0.00");
    bank.withdraw(&account, "80.00").expect(201);
    bank.expect_sums_of_zero();
}

#[test]
fn what_ended_can_neither_be_captured_nor_voided_otherwise() {
    let bank = Bank::open();
    let account = bank.new_account("100.00");
    let hold = bank.hold(&account, "30.00").expect(201).json();
    capture(&bank, &hold, &json!({})).expect(201);
    capture(&bank, &hold, &json!({})).expect_problem(409, "hold_not_open");
    void(&bank, &hold).expect_problem(409, "hold_not_open");
    let hold = bank.hold(&account, "30.00").expect(201).json();
    void(&bank, &hold).expect(200);
    capture(&bank, &hold, &json!({})).expect_problem(409, "hold_not_open");
    assert_eq!(bank.ledger(&account), "70.00");
}

#[test]
fn captures_in_parts_never_exceed_the_hold() {
    let bank = Bank::open();
    let account = bank.new_account("100.00");
    let hold = bank.hold(&account, "30.00").expect(201).json();
    let part = json!({"amount": "20.00", "final": false});
    capture(&bank, &hold, &part).expect(201);
    capture(&bank, &hold, &part).expect_problem(422, "hold_amount_exceeded");
    capture(&bank, &hold, &json!({"amount": "10.00", "final": false})).expect(201);
    assert_eq!((bank.ledger(&account), bank.available(&account)), ("70.00".into(), "70.00".into()));
}

// V11
#[test]
fn an_expired_hold_no_longer_reduces_the_balance_though_nothing_was_written_since() {
    let bank = Bank::open();
    let account = bank.new_account("100.00");
    let hold = short_hold(&bank, &account, "100.00");
    assert_eq!(hold["status"], "held");
    eventually("100.00", || bank.available(&account));
    let path = format!("/api/v1/holds/{}", id_of(&hold));
    assert_eq!(bank.get(&path).expect(200).json()["status"], "expired");
    capture(&bank, &hold, &json!({})).expect_problem(409, "hold_not_open");
    bank.withdraw(&account, "100.00").expect(201);
}

// M2
#[test]
fn the_id_just_returned_can_be_read_held_captured_and_voided_at_once() {
    let bank = Bank::open();
    for _ in 0..50 {
        let account = bank.new_account("10.00");
        assert_eq!(bank.account(&account)["account_id"], account.as_str());
        let hold = bank.hold(&account, "4.00").expect(201).json();
        assert_eq!(bank.get(&format!("/api/v1/holds/{}", id_of(&hold))).expect(200).json(), hold);
        let transfer = capture(&bank, &hold, &json!({})).expect(201).json();
        let path = format!("/api/v1/transfers/{}", transfer["transfer_id"].as_str().expect("an id"));
        assert_eq!(bank.get(&path).expect(200).json(), transfer);
        assert_eq!(bank.postings(&account)[0]["transfer_id"], transfer["transfer_id"]);
        let hold = bank.hold(&account, "6.00").expect(201).json();
        void(&bank, &hold).expect(200);
        assert_eq!(bank.available(&account), "6.00");
    }
}
