//! Money in and out: exact from the client's digits, never through a float.

use super::world::World;

#[tokio::test]
async fn a_deposit_is_seen_in_the_account_and_its_postings() {
    let world = World::new();
    world.open(&[(5, "10.50")]).await;
    let account = world.get("/api/v1/accounts/5").await.json();
    assert_eq!(account["balance"]["ledger"], "10.50");
    assert_eq!(account["balance"]["available"], "10.50");
    assert_eq!(account["balance"]["version"], 1);
    let postings = world.get("/api/v1/accounts/5/postings").await.json();
    assert_eq!(postings["items"][0]["side"], "credit");
    assert_eq!(postings["items"][0]["balance_after"], "10.50");
    assert_eq!(postings["next_cursor"], serde_json::Value::Null);
}

#[tokio::test]
async fn an_amount_is_taken_from_its_text_whether_string_or_number() {
    let world = World::new();
    world.open(&[(5, "0")]).await;
    world.check(r#"
        POST /api/v1/transfers key=a {"type":"deposit","to":"5","currency":"EUR","amount":90071992547409.93} => 201
        POST /api/v1/transfers key=b {"type":"deposit","to":"5","currency":"EUR","amount":"0.1"} => 201
        POST /api/v1/transfers key=c {"type":"deposit","to":"5","currency":"EUR","amount":7} => 201
        POST /api/v1/transfers key=d {"type":"deposit","to":"5","currency":"EUR","amount":1e3} => 400 amount_invalid
        POST /api/v1/transfers key=e {"type":"deposit","to":"5","currency":"EUR","amount":-1} => 400 amount_invalid
        POST /api/v1/transfers key=f {"type":"deposit","to":"5","currency":"EUR","amount":"+1"} => 400 amount_invalid
        POST /api/v1/transfers key=g {"type":"deposit","to":"5","currency":"EUR","amount":"0E0700000000"} => 400 amount_invalid
        POST /api/v1/transfers key=h {"type":"deposit","to":"5","currency":"EUR","amount":0.00} => 400 amount_invalid
        POST /api/v1/transfers key=i {"type":"deposit","to":"5","currency":"EUR","amount":"1.001"} => 400 amount_invalid
        POST /api/v1/transfers key=j {"type":"deposit","to":"5","currency":"EUR","amount":"1,000.00"} => 400 amount_invalid
        POST /api/v1/transfers key=k {"type":"deposit","to":"5","currency":"EUR","amount":"10000000000000000.00"} => 400 amount_invalid
        POST /api/v1/transfers key=l {"type":"deposit","to":"5","currency":"EUR","amount":"max"} => 400 amount_invalid
        POST /api/v1/transfers key=m {"type":"deposit","to":"5","currency":"EUR","amount":true} => 400 malformed
        POST /api/v1/transfers key=n {"type":"deposit","to":"5","currency":"JPY","amount":"1.5"} => 400 amount_invalid
        POST /api/v1/transfers key=o {"type":"deposit","to":"5","currency":"EUR","amount":"١"} => 400 amount_invalid
    "#).await;
    assert_eq!(world.ledger(5).await, "90071992547417.03");
}

#[tokio::test]
async fn max_moves_what_is_available_and_nothing_stays() {
    let world = World::new();
    world.open(&[(5, "70.01"), (6, "0")]).await;
    let body = r#"{"type":"transfer","from":"5","to":"6","amount":"max","currency":"EUR"}"#;
    let moved = world.post("/api/v1/transfers", "k", body).await;
    assert_eq!(moved.json()["amount"], "70.01");
    assert_eq!((world.ledger(5).await, world.ledger(6).await), ("0.00".to_string(), "70.01".to_string()));
}

#[tokio::test]
async fn legs_move_together_or_not_at_all() {
    let world = World::new();
    world.open(&[(5, "10"), (6, "0"), (7, "0")]).await;
    world.check(r#"
        POST /api/v1/transfers key=a {"type":"transfer","currency":"EUR","legs":[{"from":"5","to":"6","amount":"6"},{"from":"5","to":"7","amount":"5"}]} => 422 insufficient_funds
        POST /api/v1/transfers key=b {"type":"transfer","currency":"EUR","legs":[{"from":"5","to":"6","amount":"6"},{"from":"6","to":"7","amount":"6"}]} => 201
        POST /api/v1/transfers key=c {"type":"transfer","currency":"EUR","legs":[]} => 400 malformed
        POST /api/v1/transfers key=d {"type":"transfer","currency":"EUR","from":"5","legs":[{"from":"5","to":"6","amount":"1"}]} => 400 unknown_field
        POST /api/v1/transfers key=e {"type":"deposit","currency":"EUR","from":"5","to":"6","amount":"1"} => 400 unknown_field
    "#).await;
    assert_eq!(
        (world.ledger(5).await, world.ledger(6).await, world.ledger(7).await),
        ("4.00".into(), "0.00".into(), "6.00".into())
    );
}

#[tokio::test]
async fn a_dry_run_answers_as_for_real_and_changes_nothing() {
    let world = World::new();
    world.open(&[(5, "10"), (6, "0")]).await;
    let entries = world.memory.entries_so_far().len();
    let body = r#"{"type":"transfer","from":"5","to":"6","amount":"4","currency":"EUR"}"#;
    let dry = world.post("/api/v1/transfers?dry_run=true", "", body).await;
    assert_eq!(dry.status, 201);
    let json = dry.json();
    for field in ["transfer_id", "created_at", "effective_at"] {
        assert!(json[field].is_null() && json["postings"][0][field].is_null(), "{field}");
    }
    assert_eq!(json["postings"][0]["balance_after"], "6.00");
    let hold = world.post("/api/v1/holds?dry_run=true", "", r#"{"from":"5","amount":"4","currency":"EUR"}"#).await;
    assert_eq!((hold.status, &hold.json()["hold_id"]), (201, &serde_json::Value::Null));
    world.check(r#"
        POST /api/v1/transfers?dry_run=true {"type":"withdrawal","from":"5","amount":"11","currency":"EUR"} => 422 insufficient_funds
        POST /api/v1/transfers?dry_run=yes {"type":"withdrawal","from":"5","amount":"1","currency":"EUR"} => 400 malformed
        POST /deposit?dry_run=true {"accountId":"5","amount":1} => 200
    "#).await;
    assert_eq!(world.memory.entries_so_far().len(), entries);
    assert_eq!(world.ledger(5).await, "10.00");
}

#[tokio::test]
async fn holds_reserve_and_are_captured_voided_and_read() {
    let world = World::new();
    world.open(&[(5, "100"), (6, "0")]).await;
    let hold = world.post("/api/v1/holds", "h", r#"{"from":"5","to":"6","amount":"30.50","currency":"EUR"}"#).await;
    assert_eq!((hold.status, hold.json()["status"].as_str()), (201, Some("held")));
    let id = hold.json()["hold_id"].as_str().expect("an id").to_string();
    assert_eq!(world.get("/api/v1/accounts/5").await.json()["balance"]["available"], "69.50");
    let capture = format!("/api/v1/holds/{id}/capture");
    let captured = world.post(&capture, "c", r#"{"amount":10.25,"final":false}"#).await;
    assert_eq!((captured.status, captured.json()["hold_id"].as_str()), (201, Some(id.as_str())));
    assert_eq!(world.post(&capture, "d", r#"{"amount":"20.251"}"#).await.code(), "amount_invalid");
    assert_eq!(world.post(&capture, "e", r#"{"amount":"20.26"}"#).await.code(), "hold_amount_exceeded");
    let void = format!("/api/v1/holds/{id}/void");
    assert_eq!(world.post(&void, "v", "").await.json()["status"], "voided");
    assert_eq!(world.post(&void, "w", "{}").await.status, 200);
    assert_eq!(world.post(&capture, "f", "").await.code(), "hold_not_open");
    let holds = world.get("/api/v1/accounts/5/holds").await.json();
    assert_eq!(holds["items"][0]["captured"], "10.25");
    assert_eq!(world.ledger(6).await, "10.25");
}

#[tokio::test]
async fn limits_are_set_kept_and_lifted() {
    let world = World::new();
    world.open(&[(5, "100")]).await;
    let patched = world
        .call(
            "PATCH",
            "/api/v1/accounts/5",
            &[],
            r#"{"overdraft_limit":"5","limits":{"per_transfer":"20","daily_debit":50}}"#,
        )
        .await;
    assert_eq!(patched.status, 200, "{}", patched.text());
    assert_eq!(patched.json()["limits"]["per_transfer"], "20.00");
    let lifted = world.call("PATCH", "/api/v1/accounts/5", &[], r#"{"limits":{"per_transfer":null}}"#).await.json();
    assert!(lifted["limits"]["per_transfer"].is_null());
    assert_eq!(
        (lifted["limits"]["daily_debit"].as_str(), lifted["overdraft_limit"].as_str()),
        (Some("50.00"), Some("5.00"))
    );
    world.check(r#"
        PATCH /api/v1/accounts/5 {"limits":{"weekly":"1"}} => 400 unknown_field
        PATCH /api/v1/accounts/5 {"limits":{"daily_debit":"-1"}} => 400 amount_invalid
        PATCH /api/v1/accounts/9 {"overdraft_limit":"1"} => 404 account_not_found
        POST /api/v1/transfers key=a {"type":"withdrawal","from":"5","amount":"50.01","currency":"EUR"} => 422 limit_exceeded
    "#).await;
}

#[tokio::test]
async fn a_freeze_that_names_no_kind_does_not_weaken_a_full_one() {
    let world = World::new();
    world.open(&[(5, "10"), (6, "10")]).await;
    world
        .check(
            r#"
        POST /api/v1/accounts/5/freeze {"kind":"full","reason":"court order"} => 200
        POST /api/v1/accounts/5/freeze {"reason":"lost card"} => 200
        POST /api/v1/transfers key=a {"type":"deposit","to":"5","amount":"1","currency":"EUR"} => 422 account_frozen
        POST /api/v1/accounts/5/freeze {"kind":"debit"} => 200
        POST /api/v1/transfers key=b {"type":"deposit","to":"5","amount":"1","currency":"EUR"} => 201
        POST /api/v1/accounts/6/freeze => 200
        POST /api/v1/transfers key=c {"type":"deposit","to":"6","amount":"1","currency":"EUR"} => 201
        POST /api/v1/transfers key=d {"type":"withdrawal","from":"6","amount":"1","currency":"EUR"} => 422 account_frozen
        POST /api/v1/accounts/9/freeze => 404 account_not_found
    "#,
        )
        .await;
}
