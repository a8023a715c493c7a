//! The same key and the same meaning give the first answer again, byte for byte, whatever has happened since.

use super::world::World;

/// The path serves as the key.
async fn check_replay(world: &World, path: &str, first: &str, again: &str) {
    let one = world.post(path, path, first).await;
    assert!(!one.is_replayed(), "{}", one.text());
    world.pass_days(400);
    let two = world.post(path, path, again).await;
    assert!(two.is_replayed(), "{path}: {}", two.text());
    assert_eq!((one.status, one.text()), (two.status, two.text()), "{path}");
    assert_eq!(one.headers["content-type"], two.headers["content-type"]);
}

#[tokio::test]
async fn a_replayed_answer_is_the_first_one_byte_for_byte() {
    let world = World::new();
    world.open(&[(5, "100"), (6, "0")]).await;
    let transfer =
        r#"{"type":"transfer","from":"5","to":"6","amount":"1.5","currency":"EUR","metadata":{"b":"2","a":"1"}}"#;
    let reordered = r#" {"metadata":{"a":"1","b":"2"}, "currency":"EUR","amount":"1.5","to":"6","from":"5","type":"transfer","reference":null} "#;
    check_replay(&world, "/api/v1/transfers", transfer, reordered).await;
    check_replay(
        &world,
        "/api/v1/holds",
        r#"{"from":"6","amount":"1","currency":"EUR"}"#,
        r#"{"amount":"1","from":"6","currency":"EUR"}"#,
    )
    .await;
    check_replay(&world, "/api/v1/accounts/6/freeze", r#"{"kind":"full"}"#, r#"{ "kind" : "full" }"#).await;
    check_replay(&world, "/api/v1/accounts/6/unfreeze", "", "{}").await;
    let user = r#"{"name":"B","date_of_birth":"1990-02-28","national_id":"8502011234"}"#;
    check_replay(&world, "/api/v1/users", user, user).await;
    let account = r#"{"user_id":"1","currency":"JPY","type":"savings"}"#;
    check_replay(&world, "/api/v1/accounts", account, account).await;
    let token = r#"{"name":"desk","role":"teller"}"#;
    check_replay(&world, "/api/v1/tokens", token, token).await;
    let own = r#"{"kind":"atm","name":"Main street","currency":"EUR"}"#;
    check_replay(&world, "/api/v1/system/accounts", own, own).await;
}

#[tokio::test]
async fn a_replayed_rejection_is_the_first_one_though_there_is_money_now() {
    let world = World::new();
    world.open(&[(5, "1"), (6, "0")]).await;
    let body = r#"{"type":"transfer","from":"5","to":"6","amount":"2","currency":"EUR"}"#;
    let first = world.post("/api/v1/transfers", "k", body).await;
    assert_eq!(first.code(), "insufficient_funds");
    world.post("/api/v1/transfers", "more", r#"{"type":"deposit","to":"5","amount":"50","currency":"EUR"}"#).await;
    let again = world.post("/api/v1/transfers", "k", body).await;
    assert!(again.is_replayed());
    assert_eq!(first.text(), again.text());
    assert_eq!(world.ledger(6).await, "0.00");
}

#[tokio::test]
async fn a_replayed_transfer_is_the_first_one_though_its_fee_would_be_too_much_now() {
    let world = World::new();
    world.open(&[(5, "100"), (6, "0")]).await;
    let fee = |flat: &str| format!(r#"{{"name":"wire","currency":"EUR","flat":"{flat}","paid_by":"recipient"}}"#);
    assert_eq!(world.post("/api/v1/fees", "", &fee("1")).await.status, 200);
    let body = r#"{"type":"transfer","from":"5","to":"6","amount":"2","currency":"EUR","fee":"wire"}"#;
    let first = world.post("/api/v1/transfers", "k", body).await;
    assert_eq!(first.status, 201, "{}", first.text());
    assert_eq!(world.post("/api/v1/fees", "", &fee("50")).await.status, 200);
    let again = world.post("/api/v1/transfers", "k", body).await;
    assert!(again.is_replayed(), "{}", again.text());
    assert_eq!((first.status, first.text()), (again.status, again.text()));
    assert_eq!(world.ledger(6).await, "1.00");
    let other = r#"{"type":"transfer","from":"5","to":"6","amount":"3","currency":"EUR","fee":"wire"}"#;
    assert_eq!(world.post("/api/v1/transfers", "k", other).await.code(), "idempotency_key_reused");
    assert_eq!(world.post("/api/v1/transfers", "new", body).await.code(), "amount_invalid");
    let tried = world.post("/api/v1/transfers?dry_run=true", "k", body).await;
    assert_eq!(tried.code(), "amount_invalid", "a dry run has no key");
}

#[tokio::test]
async fn a_key_with_other_content_or_another_path_is_reused() {
    let world = World::new();
    world.open(&[(5, "100"), (6, "0")]).await;
    let made =
        world.post("/api/v1/transfers", "k", r#"{"type":"withdrawal","from":"5","amount":"2","currency":"EUR"}"#).await;
    world.check(r#"
        POST /api/v1/transfers key=k {"type":"withdrawal","from":"5","amount":"2.0","currency":"EUR"} => 422 idempotency_key_reused
        POST /api/v1/transfers key=k {"type":"withdrawal","from":"5","amount":2,"currency":"EUR"} => 422 idempotency_key_reused
        POST /api/v1/holds key=k {"from":"5","amount":"2","currency":"EUR"} => 422 idempotency_key_reused
        POST /api/v1/accounts/5/close key=k => 422 idempotency_key_reused
        POST /api/v1/transfers key=k {"type":"deposit","to":"6","amount":"2","currency":"EUR"} => 201
    "#).await;
    let reverse = format!("/api/v1/transfers/{}/reverse", made.json()["transfer_id"].as_str().expect("an id"));
    assert_eq!(world.post(&reverse, "k", "").await.code(), "idempotency_key_reused");
    assert_eq!(world.post(&reverse, "r", "").await.status, 201);
    assert!(world.post(&reverse, "r", "{}").await.is_replayed());
    assert_eq!(world.post(&reverse, "r2", "").await.code(), "already_reversed");
}

#[tokio::test]
async fn capture_void_and_reverse_are_replayed_too() {
    let world = World::new();
    world.open(&[(5, "100"), (6, "0")]).await;
    let hold = world.post("/api/v1/holds", "h", r#"{"from":"5","to":"6","amount":"9","currency":"EUR"}"#).await;
    let id = hold.json()["hold_id"].as_str().expect("an id").to_string();
    check_replay(
        &world,
        &format!("/api/v1/holds/{id}/capture"),
        r#"{"final":false,"amount":"4"}"#,
        r#"{"amount":"4","final":false}"#,
    )
    .await;
    let void = format!("/api/v1/holds/{id}/void");
    let one = world.post(&void, "v", "").await;
    let two = world.post(&void, "v", "{}").await;
    assert!(two.is_replayed());
    assert_eq!(one.text(), two.text());
    let transfer =
        world.get("/api/v1/transfers").await.json()["items"][0]["transfer_id"].as_str().expect("an id").to_string();
    check_replay(&world, &format!("/api/v1/transfers/{transfer}/reverse"), "", "{}").await;
    let original = world.get(&format!("/api/v1/transfers/{transfer}")).await.json();
    assert!(original["reversed_by"].is_string());
}
