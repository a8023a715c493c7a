//! Undoing: once only, all legs or none, and a refusal changes nothing.

use crate::expectations::balances;
use crate::support::bank::{Bank, transfer};
use serde_json::{Value, json};

fn reverse_path(transfer: &Value) -> String {
    format!("/api/v1/transfers/{}/reverse", transfer["transfer_id"].as_str().expect("an id"))
}

// V1
#[test]
fn any_refusal_leaves_every_balance_as_it_was() {
    let bank = Bank::open();
    let (from, to) = (bank.new_account("100.00"), bank.new_account("5.00"));
    let frozen = bank.new_account("50.00");
    bank.post(&format!("/api/v1/accounts/{frozen}/freeze"), &json!({"kind": "full"})).expect(200);
    let dollars = bank.new_account_of(&json!({"currency": "USD", "type": "checking"}));
    let moved = bank.transfer(&from, &to, "10.00").expect(201).json();
    bank.post(&reverse_path(&moved), &json!({})).expect(201);
    let accounts = [from.as_str(), &to, &frozen, &dollars];
    let before = balances(&bank, &accounts);
    let calls: Vec<(String, Value)> = vec![
        ("/api/v1/transfers".into(), transfer(&from, &to, "100.01")),
        ("/api/v1/transfers".into(), transfer(&from, &from, "1.00")),
        ("/api/v1/transfers".into(), transfer(&from, &frozen, "1.00")),
        ("/api/v1/transfers".into(), transfer(&frozen, &to, "1.00")),
        ("/api/v1/transfers".into(), transfer(&from, &dollars, "1.00")),
        ("/api/v1/transfers".into(), transfer(&from, "4611686018427387903", "1.00")),
        ("/api/v1/transfers".into(), transfer(&from, &to, "-1.00")),
        ("/api/v1/holds".into(), json!({"from": from, "amount": "100.01", "currency": "EUR"})),
        (format!("/api/v1/accounts/{from}/close"), json!({})),
        (reverse_path(&moved), json!({})),
    ];
    for (path, body) in calls {
        let answer = bank.post(&path, &body);
        assert!((400..500).contains(&answer.status), "{path} {body}: {} {}", answer.status, answer.text());
        assert_eq!(balances(&bank, &accounts), before, "{path} {body}");
    }
    bank.expect_sums_of_zero();
}

#[test]
fn a_second_reversal_moves_nothing() {
    let bank = Bank::open();
    let (from, to) = (bank.new_account("100.00"), bank.new_account("50.00"));
    let moved = bank.transfer(&from, &to, "10.00").expect(201).json();
    bank.post(&reverse_path(&moved), &json!({})).expect(201);
    let before = balances(&bank, &[&from, &to]);
    bank.post(&reverse_path(&moved), &json!({})).expect_problem(409, "already_reversed");
    assert_eq!(balances(&bank, &[&from, &to]), before);
}

// V3
#[test]
fn reversing_five_times_has_one_effect() {
    let bank = Bank::open();
    let (from, to) = (bank.new_account("100.00"), bank.new_account("50.00"));
    let moved = bank.transfer(&from, &to, "10.00").expect(201).json();
    for round in 0..5 {
        let answer = bank.post(&reverse_path(&moved), &json!({}));
        assert_eq!(answer.status, if round == 0 { 201 } else { 409 });
    }
    for _ in 0..5 {
        bank.post_with_key(&reverse_path(&moved), "one-key", &json!({})).expect_problem(409, "already_reversed");
    }
    assert_eq!((bank.ledger(&from), bank.ledger(&to)), ("100.00".into(), "50.00".into()));
    let original = bank.get(reverse_path(&moved).trim_end_matches("/reverse")).expect(200).json();
    assert!(original["reversed_by"].is_string(), "{original}");
}

#[test]
fn a_reversal_names_what_it_reverses_and_cannot_be_reversed() {
    let bank = Bank::open();
    let (from, to) = (bank.new_account("100.00"), bank.new_account("0"));
    let moved = bank.transfer(&from, &to, "10.00").expect(201).json();
    let reversal = bank.post(&reverse_path(&moved), &json!({})).expect(201).json();
    assert_eq!(reversal["reverses"], moved["transfer_id"]);
    let answer = bank.post(&reverse_path(&reversal), &json!({}));
    assert!((400..500).contains(&answer.status), "{}", answer.text());
    assert_eq!((bank.ledger(&from), bank.ledger(&to)), ("100.00".into(), "0.00".into()));
}

#[test]
fn a_spent_deposit_is_reversed_only_by_force() {
    let bank = Bank::open();
    let account = bank.new_account("0");
    let deposit = bank.deposit(&account, "10.00").expect(201).json();
    bank.withdraw(&account, "8.00").expect(201);
    bank.post(&reverse_path(&deposit), &json!({})).expect_problem(422, "insufficient_funds");
    bank.post(&reverse_path(&deposit), &json!({"forced": true})).expect(201);
    assert_eq!(bank.ledger(&account), "-8.00");
    bank.expect_sums_of_zero();
}

// V6
#[test]
fn reversing_a_chain_works_though_the_account_in_the_middle_is_empty() {
    let bank = Bank::open();
    let (first, middle, last) = (bank.new_account("100.00"), bank.new_account("0"), bank.new_account("0"));
    let legs = json!([
        {"from": first, "to": middle, "amount": "40.00"},
        {"from": middle, "to": last, "amount": "40.00"},
    ]);
    let moved = bank
        .post("/api/v1/transfers", &json!({"type": "transfer", "currency": "EUR", "legs": legs}))
        .expect(201)
        .json();
    assert_eq!(bank.ledger(&middle), "0.00");
    bank.post(&reverse_path(&moved), &json!({})).expect(201);
    assert_eq!([bank.ledger(&first), bank.ledger(&middle), bank.ledger(&last)], ["100.00", "0.00", "0.00"]);
}
