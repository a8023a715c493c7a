//! Transfers of several legs: all or none, every leg counts.

use crate::support::bank::{Bank, transfer};
use crate::support::http::Response;
use serde_json::{Value, json};

fn send(bank: &Bank, legs: &Value) -> Response {
    bank.post("/api/v1/transfers", &json!({"type": "transfer", "currency": "EUR", "legs": legs}))
}

// S1
#[test]
fn the_same_source_twice_in_one_transfer_counts_twice() {
    let bank = Bank::open();
    let (from, one, other) = (bank.new_account("100.00"), bank.new_account("0"), bank.new_account("0"));
    let legs = json!([{"from": from, "to": one, "amount": "60.00"}, {"from": from, "to": other, "amount": "60.00"}]);
    send(&bank, &legs).expect_problem(422, "insufficient_funds");
    assert_eq!([bank.ledger(&from), bank.ledger(&one), bank.ledger(&other)], ["100.00", "0.00", "0.00"]);
    bank.deposit(&from, "20.00").expect(201);
    send(&bank, &legs).expect(201);
    assert_eq!([bank.ledger(&from), bank.ledger(&one), bank.ledger(&other)], ["0.00", "60.00", "60.00"]);
}

// S2
#[test]
fn a_transfer_from_an_account_to_itself_is_refused() {
    let bank = Bank::open();
    let (account, other) = (bank.new_account("100.00"), bank.new_account("0"));
    bank.post("/api/v1/transfers", &transfer(&account, &account, "1.00")).expect_problem(422, "same_account");
    let legs =
        json!([{"from": account, "to": other, "amount": "1.00"}, {"from": account, "to": account, "amount": "1.00"}]);
    send(&bank, &legs).expect_problem(422, "same_account");
    assert_eq!(bank.postings(&account).len(), 1);
}

// S5
#[test]
fn of_several_postings_on_one_account_the_last_running_balance_is_the_accounts() {
    let bank = Bank::open();
    let (from, to) = (bank.new_account("100.00"), bank.new_account("7.00"));
    let legs = json!([
        {"from": from, "to": to, "amount": "10.00"},
        {"from": to, "to": from, "amount": "4.00"},
        {"from": from, "to": to, "amount": "20.00"},
    ]);
    send(&bank, &legs).expect(201);
    for (account, balance, versions) in [(&from, "74.00", 4), (&to, "33.00", 4)] {
        let postings = bank.postings(account);
        assert_eq!(
            (postings[0]["balance_after"].as_str(), postings[0]["version"].as_u64()),
            (Some(balance), Some(versions))
        );
        assert_eq!(bank.ledger(account), balance);
    }
    let running: Vec<Value> = bank.postings(&to).iter().rev().map(|posting| posting["balance_after"].clone()).collect();
    assert_eq!(running, ["7.00", "17.00", "13.00", "33.00"]);
}

#[test]
fn legs_are_judged_by_what_they_come_to_together() {
    let bank = Bank::open();
    let (first, middle, last) = (bank.new_account("10.00"), bank.new_account("0"), bank.new_account("0"));
    let legs =
        json!([{"from": middle, "to": last, "amount": "10.00"}, {"from": first, "to": middle, "amount": "10.00"}]);
    send(&bank, &legs).expect(201);
    assert_eq!([bank.ledger(&first), bank.ledger(&middle), bank.ledger(&last)], ["0.00", "0.00", "10.00"]);
}

#[test]
fn more_legs_than_allowed_are_malformed() {
    let bank = Bank::open();
    let (from, to) = (bank.new_account("200.00"), bank.new_account("0"));
    let legs = |count: usize| Value::Array(vec![json!({"from": from, "to": to, "amount": "0.01"}); count]);
    send(&bank, &legs(100)).expect(201);
    for count in [0, 101] {
        let answer = send(&bank, &legs(count));
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
    assert_eq!(bank.ledger(&to), "1.00");
}
