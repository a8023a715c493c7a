//! A quote is a promise: kept once, until its time is over, to whoever was asked the same again.

use crate::support::bank::Bank;
use crate::support::http::Request;
use crate::world::{account, exchange, exchanged, expect_in_order, quote, set_rate};
use serde_json::json;
use std::thread;

#[test]
fn of_64_clients_with_keys_of_their_own_one_uses_a_quote() {
    let bank = Bank::open();
    let (euros, yen) = (account(&bank, "EUR", "500.00"), account(&bank, "JPY", "0"));
    set_rate(&bank, "EUR", "JPY", "160", 0);
    let quoted = quote(&bank, "EUR", "1.00", "JPY");
    let answers: Vec<_> = thread::scope(|scope| {
        let ask = |_| scope.spawn(|| exchanged(&bank, &euros, &yen, &quoted));
        let asked: Vec<_> = (0..64).map(ask).collect();
        asked.into_iter().map(|client| client.join().expect("a client")).collect()
    });
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert_eq!(
        answers.iter().filter(|answer| (answer.status, answer.code().as_str()) == (409, "quote_used")).count(),
        63
    );
    assert_eq!((bank.ledger(&euros), bank.ledger(&yen)), ("499.00".into(), "160".into()));
    assert_eq!(
        bank.get(&format!("/api/v1/quotes/{}", quoted["quote_id"].as_str().expect("an id"))).expect(200).json()["used"],
        true
    );
    expect_in_order(bank);
}

#[test]
fn of_64_identical_requests_one_exchanges_and_all_hear_the_same() {
    let bank = Bank::open();
    let (euros, yen) = (account(&bank, "EUR", "500.00"), account(&bank, "JPY", "0"));
    set_rate(&bank, "EUR", "JPY", "160", 0);
    let quoted = quote(&bank, "EUR", "1.00", "JPY");
    let answers: Vec<_> = thread::scope(|scope| {
        let ask = |_| scope.spawn(|| bank.post_with_key("/api/v1/transfers", "once", &exchange(&euros, &yen, &quoted)));
        let asked: Vec<_> = (0..64).map(ask).collect();
        asked.into_iter().map(|client| client.join().expect("a client").expect(201)).collect()
    });
    assert!(answers.iter().all(|answer| answer.body == answers[0].body));
    assert_eq!(answers.iter().filter(|answer| !answer.is_replayed()).count(), 1);
    assert_eq!(bank.ledger(&euros), "499.00");
    expect_in_order(bank);
}

#[test]
fn a_quote_that_is_over_is_refused_and_what_was_done_by_it_is_told_again() {
    let bank = Bank::open_with_settings(&[("FLORIN_CURRENCIES__QUOTE_S", "2")]);
    let (euros, yen) = (account(&bank, "EUR", "500.00"), account(&bank, "JPY", "0"));
    set_rate(&bank, "EUR", "JPY", "160", 0);
    let (used, late) = (quote(&bank, "EUR", "1.00", "JPY"), quote(&bank, "EUR", "2.00", "JPY"));
    let first = bank.post_with_key("/api/v1/transfers", "in-time", &exchange(&euros, &yen, &used)).expect(201);
    // Until the bank's own clock says that it is over; a dry run uses nothing up.
    let is_over = || {
        let path = "/api/v1/transfers?dry_run=true";
        bank.send(Request::post(path).json(&exchange(&euros, &yen, &late))).code() == "quote_expired"
    };
    while !is_over() {
        thread::yield_now();
    }
    for _ in 0..2 {
        let refused = bank.post_with_key("/api/v1/transfers", "too-late", &exchange(&euros, &yen, &late));
        refused.expect_problem(422, "quote_expired");
    }
    let again = bank.post_with_key("/api/v1/transfers", "in-time", &exchange(&euros, &yen, &used)).expect(201);
    assert!(again.is_replayed());
    assert_eq!(again.body, first.body);
    assert_eq!(bank.ledger(&euros), "499.00");
    expect_in_order(bank);
}

#[test]
fn a_quote_whose_exchange_was_rejected_can_be_used_by_another_request() {
    let bank = Bank::open();
    let (euros, yen) = (account(&bank, "EUR", "0"), account(&bank, "JPY", "0"));
    set_rate(&bank, "EUR", "JPY", "160", 0);
    let quoted = quote(&bank, "EUR", "10.00", "JPY");
    let poor = || bank.post_with_key("/api/v1/transfers", "poor", &exchange(&euros, &yen, &quoted));
    poor().expect_problem(422, "insufficient_funds");
    bank.deposit(&euros, "10.00").expect(201);
    assert!(poor().expect_problem(422, "insufficient_funds").is_replayed());
    exchanged(&bank, &euros, &yen, &quoted).expect(201);
    exchanged(&bank, &euros, &yen, &quoted).expect_problem(409, "quote_used");
    assert!(poor().expect_problem(422, "insufficient_funds").is_replayed());
    assert_eq!((bank.ledger(&euros), bank.ledger(&yen)), ("0.00".into(), "1600".into()));
    expect_in_order(bank);
}

#[test]
fn a_key_that_was_used_for_something_else_does_not_use_up_a_quote() {
    let bank = Bank::open();
    let (euros, yen) = (account(&bank, "EUR", "100.00"), account(&bank, "JPY", "0"));
    set_rate(&bank, "EUR", "JPY", "160", 0);
    let other = account(&bank, "EUR", "0");
    bank.post_with_key("/api/v1/transfers", "k", &crate::support::bank::transfer(&euros, &other, "1.00")).expect(201);
    let quoted = quote(&bank, "EUR", "10.00", "JPY");
    let body = exchange(&euros, &yen, &quoted);
    bank.post_with_key("/api/v1/transfers", "k", &body).expect_problem(422, "idempotency_key_reused");
    exchanged(&bank, &euros, &yen, &quoted).expect(201);
    expect_in_order(bank);
}

#[test]
fn the_same_request_for_a_quote_gets_the_same_quote() {
    let bank = Bank::open();
    set_rate(&bank, "EUR", "JPY", "160", 0);
    let body = json!({"sell": "EUR", "sell_amount": "10.00", "buy": "JPY"});
    let first = bank.post_with_key("/api/v1/quotes", "q", &body).expect(201).json();
    set_rate(&bank, "EUR", "JPY", "161", 0);
    assert_eq!(bank.post_with_key("/api/v1/quotes", "q", &body).expect(201).json(), first);
    let other = json!({"sell": "EUR", "sell_amount": "10.01", "buy": "JPY"});
    bank.post_with_key("/api/v1/quotes", "q", &other).expect_problem(422, "idempotency_key_reused");
    assert_ne!(bank.post("/api/v1/quotes", &body).expect(201).json()["quote_id"], first["quote_id"]);
}

#[test]
fn unknown_quotes_and_amounts_that_do_not_fit_are_refused_for_good() {
    let bank = Bank::open();
    let (euros, yen) = (account(&bank, "EUR", "100.00"), account(&bank, "JPY", "0"));
    set_rate(&bank, "EUR", "JPY", "160", 0);
    let unknown = json!({"type": "exchange", "from": euros, "to": yen, "quote_id": "7"});
    for _ in 0..2 {
        bank.post_with_key("/api/v1/transfers", "u", &unknown).expect_problem(404, "quote_not_found");
    }
    bank.get("/api/v1/quotes/7").expect_problem(404, "quote_not_found");
    let quoted = quote(&bank, "EUR", "10.00", "JPY");
    for (amount, currency) in [("10.01", "EUR"), ("1600", "JPY"), ("10.00", "USD")] {
        let mut body = exchange(&euros, &yen, &quoted);
        (body["amount"], body["currency"]) = (json!(amount), json!(currency));
        bank.post("/api/v1/transfers", &body).expect_problem(422, "quote_mismatch");
    }
    let mut body = exchange(&euros, &yen, &quoted);
    (body["amount"], body["currency"]) = (json!("10.00"), json!("EUR"));
    bank.post("/api/v1/transfers", &body).expect(201);
    expect_in_order(bank);
}
