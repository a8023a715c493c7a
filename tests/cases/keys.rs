//! Idempotency keys: the same key means the same thing, once, for ever.

use crate::expectations::{balances, in_parallel};
use crate::support::bank::{Bank, transfer};
use crate::support::http::Request;
use serde_json::json;

#[test]
fn identical_requests_at_the_same_time_have_one_effect() {
    let bank = Bank::open();
    let (from, to) = (bank.new_account("100.00"), bank.new_account("0"));
    let body = transfer(&from, &to, "7.00");
    let answers = in_parallel(16, |_| bank.post_with_key("/api/v1/transfers", "once", &body));
    let mut bodies = Vec::new();
    for answer in answers {
        if answer.status == 409 {
            answer.expect_problem(409, "request_in_progress");
        } else {
            bodies.push(answer.expect(201).body);
        }
    }
    bodies.dedup();
    assert_eq!((bodies.len(), bank.ledger(&to)), (1, "7.00".into()));
}

#[test]
fn a_replay_is_the_first_answer_byte_for_byte_though_the_balance_moved_on() {
    let bank = Bank::open();
    let (from, to) = (bank.new_account("100.00"), bank.new_account("0"));
    let body = transfer(&from, &to, "7.00");
    let first = bank.post_with_key("/api/v1/transfers", "k", &body).expect(201);
    assert!(!first.is_replayed());
    bank.transfer(&from, &to, "1.00").expect(201);
    let again = bank.post_with_key("/api/v1/transfers", "k", &body).expect(201);
    assert!(again.is_replayed());
    assert_eq!(first.text(), again.text());
}

#[test]
fn order_and_spaces_of_the_json_do_not_matter_to_a_key() {
    let bank = Bank::open();
    let (from, to) = (bank.new_account("100.00"), bank.new_account("0"));
    let first = format!(r#"{{"type":"transfer","from":"{from}","to":"{to}","amount":"7.00","currency":"EUR"}}"#);
    let other = format!(r#"{{ "currency" : "EUR", "amount":"7.00", "to":"{to}" ,"from":"{from}","type":"transfer" }}"#);
    let send = |text: String| {
        let request = Request::post("/api/v1/transfers").key("k").body("application/json", text.into_bytes());
        bank.send(request).expect(201)
    };
    assert_eq!(send(first).text(), send(other).text());
    assert_eq!(bank.ledger(&to), "7.00");
}

// I2
#[test]
fn a_key_repeated_inside_one_batch_replays() {
    let bank = Bank::open();
    let (from, to) = (bank.new_account("100.00"), bank.new_account("0"));
    let mut item = transfer(&from, &to, "5.00");
    item["idempotency_key"] = json!("twice");
    let mut other = transfer(&from, &to, "6.00");
    other["idempotency_key"] = json!("twice");
    let batch = json!({"mode": "independent", "transfers": [item, item, other]});
    let answer = bank.send(Request::post("/api/v1/transfers/batch").json(&batch)).expect(200).json();
    let results = answer["results"].as_array().expect("results");
    assert_eq!([&results[0]["status"], &results[1]["status"], &results[2]["status"]], [201, 201, 422]);
    assert_eq!(results[0]["transfer"]["transfer_id"], results[1]["transfer"]["transfer_id"]);
    assert_eq!(results[2]["error"]["code"], "idempotency_key_reused");
    assert_eq!(bank.ledger(&to), "5.00");
}

// I3
#[test]
fn a_key_with_another_body_is_refused_and_nothing_moves() {
    let bank = Bank::open();
    let (from, to) = (bank.new_account("100.00"), bank.new_account("0"));
    bank.post_with_key("/api/v1/transfers", "k", &transfer(&from, &to, "7.00")).expect(201);
    let before = balances(&bank, &[&from, &to]);
    let other = bank.post_with_key("/api/v1/transfers", "k", &transfer(&from, &to, "8.00"));
    other.expect_problem(422, "idempotency_key_reused");
    assert_eq!(balances(&bank, &[&from, &to]), before);
}

#[test]
fn a_key_belongs_to_the_account_debited_first() {
    let bank = Bank::open();
    let (one, other, to) = (bank.new_account("10.00"), bank.new_account("10.00"), bank.new_account("0"));
    bank.post_with_key("/api/v1/transfers", "k", &transfer(&one, &to, "7.00")).expect(201);
    let second = bank.post_with_key("/api/v1/transfers", "k", &transfer(&other, &to, "7.00")).expect(201);
    assert!(!second.is_replayed());
    assert_eq!(bank.ledger(&to), "14.00");
}

// I5
#[test]
fn a_refused_requests_key_gives_the_same_refusal_again() {
    let bank = Bank::open();
    let (from, to) = (bank.new_account("1.00"), bank.new_account("0"));
    let body = transfer(&from, &to, "7.00");
    let first = bank.post_with_key("/api/v1/transfers", "k", &body).expect_problem(422, "insufficient_funds");
    let again = bank.post_with_key("/api/v1/transfers", "k", &body).expect_problem(422, "insufficient_funds");
    assert_eq!(first.text(), again.text());
    assert!(again.is_replayed());
}

// I7
#[test]
fn the_outcome_of_a_key_is_final_refusals_included() {
    let bank = Bank::open();
    let (from, to) = (bank.new_account("1.00"), bank.new_account("0"));
    let body = transfer(&from, &to, "7.00");
    bank.post_with_key("/api/v1/transfers", "k", &body).expect_problem(422, "insufficient_funds");
    bank.deposit(&from, "100.00").expect(201);
    bank.post_with_key("/api/v1/transfers", "k", &body).expect_problem(422, "insufficient_funds");
    assert_eq!(bank.ledger(&to), "0.00");
    let bank = bank.crash_and_restart();
    bank.post_with_key("/api/v1/transfers", "k", &body).expect_problem(422, "insufficient_funds");
    bank.post_with_key("/api/v1/transfers", "k2", &body).expect(201);
}

#[test]
fn a_replay_survives_a_crash_byte_for_byte() {
    let bank = Bank::open();
    let (from, to) = (bank.new_account("10.00"), bank.new_account("0"));
    let body = transfer(&from, &to, "7.00");
    let first = bank.post_with_key("/api/v1/transfers", "k", &body).expect(201);
    let bank = bank.crash_and_restart();
    let again = bank.post_with_key("/api/v1/transfers", "k", &body).expect(201);
    assert_eq!((first.text(), bank.ledger(&to)), (again.text(), "7.00".into()));
}

#[test]
fn malformed_requests_use_up_no_key() {
    let bank = Bank::open();
    let (from, to) = (bank.new_account("10.00"), bank.new_account("0"));
    bank.post_with_key("/api/v1/transfers", "k", &transfer(&from, &to, "1.001")).expect_problem(400, "amount_invalid");
    bank.post_with_key("/api/v1/transfers", "k", &transfer(&from, &to, "1.00")).expect(201);
}

#[test]
fn moving_money_needs_a_valid_key() {
    let bank = Bank::open();
    let account = bank.new_account("10.00");
    let body = json!({"type": "withdrawal", "from": account, "amount": "1.00", "currency": "EUR"});
    let without = Request::post("/api/v1/transfers").json(&body);
    bank.send(without.clone()).expect_problem(400, "idempotency_key_missing");
    for key in ["", "two words", &"k".repeat(256)] {
        let answer = bank.send(without.clone().key(key));
        assert_eq!(answer.status, 400, "{key:?} {}", answer.text());
    }
    bank.send(without.key(&"k".repeat(255))).expect(201);
    assert_eq!(bank.ledger(&account), "9.00");
}
