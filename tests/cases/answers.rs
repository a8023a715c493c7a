//! What answers say: refusals are refusals, and what is not known is refused.

use crate::support::bank::{Bank, transfer};
use crate::support::http::Request;
use serde_json::{Value, json};

// A1
#[test]
fn an_unknown_filter_or_field_is_refused_and_never_ignored() {
    let bank = Bank::open();
    let (from, to) = (bank.new_account("10.00"), bank.new_account("0"));
    let user = bank.new_user();
    for path in [
        format!("/api/v1/accounts/{from}/postings?sid=debit"),
        format!("/api/v1/accounts/{from}?x=1"),
        format!("/api/v1/accounts/{from}/holds?status=held"),
        "/api/v1/transfers?account=1".to_owned(),
        "/api/v1/users?name=x".to_owned(),
        format!("/api/v1/accounts/{from}/balance?att=2024-01-01T00:00:00Z"),
        "/api/v1/dead-letters?state=waiting".to_owned(),
    ] {
        bank.get(&path).expect_problem(400, "unknown_field");
    }
    let mut with_field = transfer(&from, &to, "1.00");
    with_field["ammount"] = json!("2.00");
    let mut leg_with_field = json!({"type": "transfer", "currency": "EUR"});
    leg_with_field["legs"] = json!([{"from": from, "to": to, "amount": "1.00", "note": "x"}]);
    for (path, body) in [
        ("/api/v1/transfers".to_owned(), with_field),
        ("/api/v1/transfers".to_owned(), leg_with_field),
        ("/api/v1/users".to_owned(), json!({"name": "x", "nickname": "y"})),
        ("/api/v1/accounts".to_owned(), json!({"user_id": user, "currency": "EUR", "type": "checking", "limit": "1"})),
        ("/api/v1/holds".to_owned(), json!({"from": from, "amount": "1.00", "currency": "EUR", "until": "x"})),
        (format!("/api/v1/accounts/{from}/freeze"), json!({"reson": "x"})),
        (format!("/api/v1/accounts/{from}/close"), json!({"force": true})),
    ] {
        bank.post(&path, &body).expect_problem(400, "unknown_field");
    }
    assert_eq!(bank.ledger(&from), "10.00");
}

// A2
#[test]
fn a_business_refusal_never_arrives_as_a_fault() {
    let bank = Bank::open();
    let (empty, rich) = (bank.new_account("0"), bank.new_account("100.00"));
    let dollars = bank.new_account_of(&json!({"currency": "USD", "type": "checking"}));
    let closed = bank.new_account("0");
    bank.post(&format!("/api/v1/accounts/{closed}/close"), &json!({})).expect(200);
    let frozen = bank.new_account("10.00");
    bank.post(&format!("/api/v1/accounts/{frozen}/freeze"), &json!({})).expect(200);
    let limited = bank.new_account("100.00");
    let limits = json!({"limits": {"per_transfer": "10.00"}});
    bank.send(Request::new("PATCH", &format!("/api/v1/accounts/{limited}")).key("limits").json(&limits)).expect(200);
    let unknown = "4611686018427387903";
    let deposit = |to: &str, at: &str| json!({"type": "deposit", "to": to, "amount": "1.00", "currency": "EUR", "effective_at": at});
    let cases: Vec<(&str, Value, u16, &str)> = vec![
        ("/api/v1/transfers", transfer(&empty, &rich, "1.00"), 422, "insufficient_funds"),
        ("/api/v1/transfers", transfer(&rich, &rich, "1.00"), 422, "same_account"),
        ("/api/v1/transfers", transfer(&rich, &closed, "1.00"), 422, "account_closed"),
        ("/api/v1/transfers", transfer(&frozen, &rich, "1.00"), 422, "account_frozen"),
        ("/api/v1/transfers", transfer(&rich, &dollars, "1.00"), 422, "currency_mismatch"),
        ("/api/v1/transfers", transfer(&limited, &rich, "10.01"), 422, "limit_exceeded"),
        ("/api/v1/transfers", transfer(&rich, unknown, "1.00"), 404, "account_not_found"),
        ("/api/v1/transfers", deposit(&rich, "9998-01-01T00:00:00Z"), 422, "effective_at_invalid"),
        ("/api/v1/transfers/4611686018427387903/reverse", json!({}), 404, "transfer_not_found"),
        ("/api/v1/holds/4611686018427387903/capture", json!({}), 404, "hold_not_found"),
        ("/api/v1/accounts", json!({"user_id": unknown, "currency": "EUR", "type": "checking"}), 404, "user_not_found"),
    ];
    for (path, body, status, code) in cases {
        let answer = bank.post(path, &body).expect_problem(status, code);
        assert_eq!(answer.json()["retryable"], false, "{code}");
    }
    bank.post(&format!("/api/v1/accounts/{rich}/close"), &json!({})).expect_problem(409, "account_not_empty");
    bank.get("/api/v1/nothing").expect_problem(404, "not_found");
    bank.send(Request::new("DELETE", "/api/v1/transfers")).expect_problem(405, "method_not_allowed");
}

#[test]
fn of_several_reasons_the_first_in_the_documented_order_is_told() {
    let bank = Bank::open();
    let poor = bank.new_account("0");
    let dollars = bank.new_account_of(&json!({"currency": "USD", "type": "checking"}));
    bank.post(&format!("/api/v1/accounts/{poor}/freeze"), &json!({})).expect(200);
    bank.post("/api/v1/transfers", &transfer(&poor, &dollars, "1.00")).expect_problem(422, "account_frozen");
    bank.post("/api/v1/transfers", &transfer(&poor, "4611686018427387903", "1.00"))
        .expect_problem(404, "account_not_found");
    bank.post("/api/v1/transfers", &transfer(&poor, &poor, "1.00")).expect_problem(422, "same_account");
}

#[test]
fn tokens_decide_what_may_be_asked() {
    let bank = Bank::open_with_tokens();
    let account = bank.new_account("10.00");
    let make = |role: &str| {
        let body = json!({"name": role, "role": role});
        bank.post("/api/v1/tokens", &body).expect(201).json()
    };
    let (teller, auditor) = (make("teller"), make("auditor"));
    let text = |token: &Value| token["token"].as_str().expect("a token").to_owned();
    let read = Request::get(&format!("/api/v1/accounts/{account}"));
    let pay = |key: &str| {
        let body = json!({"type": "withdrawal", "from": account, "amount": "1.00", "currency": "EUR"});
        Request::post("/api/v1/transfers").key(key).json(&body)
    };
    bank.send_as_it_is(&read).expect_problem(401, "unauthenticated");
    bank.send_as_it_is(&read.clone().token("florin_00")).expect_problem(401, "unauthenticated");
    bank.send_as_it_is(&read.clone().token(&text(&auditor))).expect(200);
    bank.send_as_it_is(&pay("a").token(&text(&auditor))).expect_problem(403, "forbidden");
    bank.send_as_it_is(&pay("a").token(&text(&teller))).expect(201);
    bank.send_as_it_is(&Request::get("/api/v1/tokens").token(&text(&teller))).expect_problem(403, "forbidden");
    let id = teller["token_id"].as_str().expect("an id");
    bank.send(Request::new("DELETE", &format!("/api/v1/tokens/{id}"))).expect(204);
    bank.send_as_it_is(&pay("b").token(&text(&teller))).expect_problem(401, "unauthenticated");
    assert_eq!(bank.ledger(&account), "9.00");
}
