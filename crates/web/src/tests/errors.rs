//! Of several things that are wrong, the answer names the one that comes first in the contract.

use super::world::World;

#[tokio::test]
async fn the_first_problem_in_the_contracts_order_is_answered() {
    let world = World::new();
    world.open(&[(5, "10")]).await;
    let long = "x".repeat(256);
    // Each line has all that is wrong in the lines below it as well.
    world.check(&format!(r#"
        POST /api/v1/nothing {{"to":1}} => 404 not_found
        PUT /api/v1/transfers {{"to":1}} => 405 method_not_allowed
        POST /api/v1/transfers {{"type":"deposit","to":5,"odd":1,"amount":"-1","currency":"XXX"}} => 400 malformed
        POST /api/v1/transfers {{"type":"deposit","to":"5","odd":1,"amount":"-1","currency":"XXX"}} => 400 unknown_field
        POST /api/v1/transfers?odd=1 {{"type":"deposit","to":"5","amount":"-1","currency":"XXX"}} => 400 unknown_field
        POST /api/v1/transfers {{"type":"deposit","to":"5","amount":"-1","currency":"XXX"}} => 400 idempotency_key_missing
        POST /api/v1/transfers key={long} {{"type":"deposit","to":"5","amount":"-1","currency":"XXX"}} => 400 idempotency_key_invalid
        POST /api/v1/transfers key=k {{"type":"deposit","to":"5","amount":"-1","currency":"XXX"}} => 400 amount_invalid
        POST /api/v1/transfers key=k {{"type":"deposit","to":"9","amount":"1","currency":"XXX"}} => 400 currency_unknown
        POST /api/v1/transfers key=k {{"type":"deposit","to":"9","amount":"1","currency":"USD"}} => 404 account_not_found
        POST /api/v1/transfers key=k {{"type":"deposit","to":"9","amount":"2","currency":"USD"}} => 422 idempotency_key_reused
        POST /api/v1/transfers key=l {{"type":"deposit","to":"5","amount":"1","currency":"USD"}} => 422 currency_mismatch
    "#)).await;
}

#[tokio::test]
async fn what_is_not_json_or_says_a_thing_twice_is_malformed() {
    let world = World::new();
    world.open(&[(5, "0")]).await;
    world.check(r#"
        POST /api/v1/transfers key=k {"type":"deposit", => 400 malformed
        POST /api/v1/transfers key=k [] => 400 malformed
        POST /api/v1/transfers key=k "text" => 400 malformed
        POST /api/v1/transfers key=k {"type":"deposit","to":"5","to":"5","amount":"1","currency":"EUR"} => 400 malformed
        POST /api/v1/transfers key=k {"type":"deposit","to":"5","amount":"1","currency":"EUR","metadata":{"a":"1","a":"2"}} => 400 malformed
        POST /api/v1/transfers key=k {"type":"deposit","to":"5","amount":"1","currency":"EUR","metadata":{"a":null}} => 400 malformed
        POST /api/v1/transfers key=k {"type":"deposit","to":"5","amount":"1","currency":"EUR","metadata":{"a":1}} => 400 malformed
        POST /api/v1/transfers key=k {"type":"deposit","to":"5","amount":"1","currency":"EUR","metadata":{"":"1"}} => 400 malformed
        POST /api/v1/transfers key=k {"type":"deposit","to":"05","amount":"1","currency":"EUR"} => 400 malformed
        POST /api/v1/transfers key=k {"type":"deposit","to":"5","amount":"1","currency":"EUR","effective_at":"2026-01-01"} => 400 malformed
        POST /api/v1/transfers key=k {"type":"deposit","to":"5","amount":"1","currency":"EUR","reference":7} => 400 malformed
        POST /api/v1/transfers key=k {"type":"gift","to":"5","amount":"1","currency":"EUR"} => 400 malformed
        POST /api/v1/transfers key=k => 400 malformed
        POST /api/v1/transfers key=k {"type":"deposit","to":"5","amount":"1","currency":"EUR","reference":null,"metadata":null,"from":null} => 201
        GET /api/v1/accounts/0 => 400 malformed
        GET /api/v1/accounts/5x => 400 malformed
        GET /api/v1/accounts/9223372036854775808 => 400 malformed
        GET /api/v1/accounts/9223372036854775807 => 404 account_not_found
        GET /api/v1/accounts/5?x=1 => 400 unknown_field
        GET /api/v1/transfers/7 => 404 transfer_not_found
        GET /api/v1/holds/7 => 404 hold_not_found
        GET /api/v1/users/7 => 404 user_not_found
        GET /api/v1/dead-letters/7 => 404 dead_letter_not_found
        GET /api/v1/journal?shard=3 => 400 malformed
        GET /api/v1/journal?shard=70000 => 400 malformed
    "#).await;
}

#[tokio::test]
async fn bodies_have_bounds_and_a_type() {
    let world = World::new();
    let big = format!(r#"{{"name":"{}"}}"#, "x".repeat(70_000));
    assert_eq!(world.post("/api/v1/users", "", &big).await.code(), "body_too_large");
    let text = [("content-type", "text/plain")];
    assert_eq!(world.call("POST", "/api/v1/users", &text, r#"{"name":"A"}"#).await.code(), "unsupported_media_type");
    let rows = [("content-type", "application/vnd.florin.transfers")];
    assert_eq!(world.call("POST", "/api/v1/users", &rows, "x").await.code(), "unsupported_media_type");
    let json = [("content-type", "Application/JSON; charset=utf-8")];
    assert_eq!(world.call("POST", "/api/v1/users", &json, r#"{"name":"A"}"#).await.status, 201);
    let many = format!(r#"{{"mode":"independent","transfers":[{}]}}"#, vec!["{}"; 8193].join(","));
    assert_eq!(world.post("/api/v1/transfers/batch", "", &many).await.code(), "body_too_large");
    assert_eq!(world.call("POST", "/api/v1/events", &json, "{}").await.code(), "unsupported_media_type");
}

#[tokio::test]
async fn a_problem_tells_its_parts_and_the_ids_concerned() {
    let world = World::new();
    world.open(&[(5, "10")]).await;
    let body = r#"{"type":"withdrawal","from":"5","amount":"11","currency":"EUR"}"#;
    let problem = world.post("/api/v1/transfers", "k", body).await;
    assert_eq!(problem.headers["content-type"], "application/problem+json");
    let json = problem.json();
    assert_eq!(json["status"], 422);
    assert_eq!(json["code"], "insufficient_funds");
    assert_eq!(json["retryable"], false);
    assert_eq!(json["account_id"], "5");
    assert_eq!(json["type"], "urn:florin:problem:insufficient_funds");
    assert!(json["title"].is_string() && json["detail"].as_str().is_some_and(|detail| detail.contains("10.00 EUR")));
}

#[tokio::test]
async fn idempotency_keys_are_visible_ascii_and_one() {
    let world = World::new();
    world.open(&[(5, "10")]).await;
    let body = r#"{"type":"deposit","to":"5","amount":"1","currency":"EUR"}"#;
    for key in ["a b", "é", &"k".repeat(256)] {
        assert_eq!(world.post("/api/v1/transfers", key, body).await.code(), "idempotency_key_invalid", "{key}");
    }
    let twice = [("idempotency-key", "a"), ("idempotency-key", "b")];
    assert_eq!(world.call("POST", "/api/v1/transfers", &twice, body).await.code(), "idempotency_key_invalid");
    assert_eq!(
        world.call("POST", "/api/v1/transfers", &[("idempotency-key", "")], body).await.code(),
        "idempotency_key_invalid"
    );
    assert_eq!(world.post("/api/v1/transfers", &"k".repeat(255), body).await.status, 201);
}

#[tokio::test]
async fn ids_that_clients_choose_may_be_repeated_and_not_be_taken() {
    let world = World::new();
    world.check(r#"
        POST /api/v1/users {"name":"A","user_id":"1"} => 201
        POST /api/v1/users {"name":"A","user_id":"1"} => 201
        POST /api/v1/users {"name":"B","user_id":"1"} => 409 id_taken
        POST /api/v1/accounts {"user_id":"1","currency":"EUR","type":"checking","account_id":"5"} => 201
        POST /api/v1/accounts {"user_id":"1","currency":"EUR","type":"checking","account_id":"5","overdraft_limit":0} => 201
        POST /api/v1/accounts {"user_id":"1","currency":"EUR","type":"savings","account_id":"5"} => 409 id_taken
        POST /api/v1/accounts {"user_id":"2","currency":"EUR","type":"savings"} => 404 user_not_found
        POST /api/v1/accounts {"user_id":"1","currency":"EUR","type":"checking","account_id":"4611686018427387904"} => 400 malformed
        POST /api/v1/accounts {"user_id":"1","currency":"EUR","type":"system"} => 400 malformed
        POST /api/v1/accounts/5/freeze {"reason":"lost card"} => 200
        POST /api/v1/accounts/5/freeze {"reason":"lost card"} => 200
        POST /api/v1/accounts/5/unfreeze => 200
        POST /api/v1/accounts/5/close {} => 200
        POST /api/v1/accounts/5/close => 200
        POST /api/v1/accounts/5/freeze {"kind":"half"} => 400 malformed
        POST /api/v1/accounts/5/close {"why":"x"} => 400 unknown_field
    "#).await;
}

#[tokio::test]
async fn without_tokens_a_request_under_another_sites_name_is_forbidden() {
    let world = World::new();
    for method in ["GET", "POST"] {
        let asked = world.call(method, "/api/v1/users", &[("host", "evil.example:7878")], "").await;
        assert_eq!((asked.status, asked.code().as_str()), (403, "forbidden"));
        assert!(asked.text().contains("127.0.0.1"), "{}", asked.text());
    }
    assert_eq!(world.call("GET", "/api/v1/users", &[("host", "127.0.0.1:7878")], "").await.status, 200);
}

#[tokio::test]
async fn an_amount_that_is_none_is_answered_with_its_currency_and_decimals() {
    let world = World::new();
    for (amount, currency, words) in [
        ("10.505", "EUR", "EUR has 2 decimals"),
        ("0", "EUR", "EUR has 2 decimals"),
        ("1.5", "JPY", "JPY has no decimals"),
    ] {
        let body = format!(r#"{{"type":"deposit","to":"5","amount":"{amount}","currency":"{currency}"}}"#);
        let answered = world.post("/api/v1/transfers", "k", &body).await;
        assert_eq!(answered.code(), "amount_invalid");
        assert!(answered.text().contains(words), "{}", answered.text());
    }
}
