//! Batches: results align with what was asked, each by itself or all or none.

use super::world::World;
use serde_json::Value;

fn summary(json: &Value) -> Vec<(u64, String)> {
    let results = json["results"].as_array().expect("results");
    let code = |result: &Value| result["error"]["code"].as_str().unwrap_or("").to_string();
    results.iter().map(|result| (result["status"].as_u64().expect("a status"), code(result))).collect()
}

fn expected(rows: &[(u64, &str)]) -> Vec<(u64, String)> {
    rows.iter().map(|(status, code)| (*status, (*code).to_string())).collect()
}

#[tokio::test]
async fn an_independent_batch_answers_each_item_at_its_index() {
    let world = World::new();
    world.open(&[(5, "10"), (6, "0")]).await;
    let body = r#"{"mode":"independent","transfers":[
        {"type":"transfer","from":"5","to":"6","amount":"4","currency":"EUR","idempotency_key":"a"},
        {"type":"transfer","from":"5","to":"6","amount":"7","currency":"EUR","idempotency_key":"b"},
        {"type":"transfer","from":"5","to":"6","amount":"1","currency":"EUR"},
        {"type":"transfer","from":"5","to":"6","amount":"-1","currency":"EUR","idempotency_key":"c"},
        7,
        {"type":"transfer","from":"5","to":"6","amount":"4","currency":"EUR","idempotency_key":"a"},
        {"type":"transfer","from":"5","to":"6","amount":"5","currency":"EUR","idempotency_key":"a"},
        {"type":"deposit","to":"9","amount":"5","currency":"EUR","idempotency_key":"d"}]}"#;
    let rows = [
        (201, ""),
        (422, "insufficient_funds"),
        (400, "idempotency_key_missing"),
        (400, "amount_invalid"),
        (400, "malformed"),
        (201, ""),
        (422, "idempotency_key_reused"),
        (404, "account_not_found"),
    ];
    let first = world.post("/api/v1/transfers/batch", "", body).await;
    assert_eq!((first.status, summary(&first.json())), (200, expected(&rows)));
    assert_eq!(first.json()["results"][0]["transfer"], first.json()["results"][5]["transfer"]);
    let again = world.post("/api/v1/transfers/batch", "", body).await;
    assert_eq!(first.text(), again.text());
    assert_eq!(world.ledger(6).await, "4.00");
}

#[tokio::test]
async fn an_atomic_batch_with_one_rejection_does_nothing_and_names_the_culprit() {
    let world = World::new();
    world.open(&[(5, "10"), (6, "0")]).await;
    let item =
        |amount: &str| format!(r#"{{"type":"transfer","from":"5","to":"6","amount":"{amount}","currency":"EUR"}}"#);
    let batch = |amounts: &[&str]| {
        let items: Vec<_> = amounts.iter().map(|amount| item(amount)).collect();
        format!(r#"{{"mode":"atomic","transfers":[{}]}}"#, items.join(","))
    };
    let linked = (422, "linked_transfer_failed");
    let path = "/api/v1/transfers/batch";
    let failed = world.post(path, "a", &batch(&["4", "7", "1"])).await;
    assert_eq!(summary(&failed.json()), expected(&[linked, (422, "insufficient_funds"), linked]));
    let again = world.post(path, "a", &batch(&["4", "7", "1"])).await;
    assert!(again.is_replayed());
    assert_eq!(again.text(), failed.text());
    let malformed = world.post(path, "b", &batch(&["4", "x"])).await;
    assert_eq!(summary(&malformed.json()), expected(&[linked, (400, "amount_invalid")]));
    assert_eq!(world.ledger(5).await, "10.00");
    let done = world.post(path, "c", &batch(&["4", "6"])).await;
    assert_eq!(summary(&done.json()), expected(&[(201, ""), (201, "")]));
    assert_eq!(world.post(path, "c", &batch(&["4", "5"])).await.code(), "idempotency_key_reused");
    assert_eq!(world.post(path, "", &batch(&["1"])).await.code(), "idempotency_key_missing");
    let dry = world.post(&format!("{path}?dry_run=true"), "", &batch(&["1"])).await;
    assert_eq!(summary(&dry.json()), expected(&[(422, "insufficient_funds")]));
    assert_eq!(world.ledger(6).await, "10.00");
}

#[tokio::test]
async fn a_batch_is_well_formed_before_any_item_is_looked_at() {
    let world = World::new();
    world
        .check(
            r#"
        POST /api/v1/transfers/batch {"mode":"independent","transfers":[]} => 400 malformed
        POST /api/v1/transfers/batch {"mode":"independent"} => 400 malformed
        POST /api/v1/transfers/batch {"transfers":[{}]} => 400 malformed
        POST /api/v1/transfers/batch {"mode":"all","transfers":[{}]} => 400 malformed
        POST /api/v1/transfers/batch {"mode":"independent","transfers":{}} => 400 malformed
        POST /api/v1/transfers/batch {"mode":"independent","transfers":[{}],"x":1} => 400 unknown_field
    "#,
        )
        .await;
}

const LEGS_MAX: usize = 100_000;
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// An atomic batch of 8,192 transfers with so many legs in all, the last of which moves `last`. The body is filled up to
/// so many bytes with metadata; with zero bytes there is none.
fn atomic_batch(legs: usize, body_bytes: usize, last: &str) -> String {
    const COUNT: usize = 8192;
    let leg = r#"{"from":"5","to":"6","amount":0.01}"#;
    let last_leg = format!(r#"{{"from":"5","to":"6","amount":{last}}}"#);
    let bare = format!(r#"{{"type":"transfer","currency":"EUR","legs":[],"metadata":{}}},"#, metadata(0));
    let needed = 64 + COUNT * bare.len() + legs * (leg.len() + 1);
    let value_bytes = body_bytes.saturating_sub(needed) / COUNT / 32;
    let metadata = if body_bytes == 0 { "{}".to_string() } else { metadata(value_bytes) };
    let items = (0..COUNT).map(|index| {
        let count = legs / COUNT + usize::from(index < legs % COUNT);
        let mut legs = vec![leg; count];
        if index == COUNT - 1 {
            legs[0] = &last_leg;
        }
        format!(r#"{{"type":"transfer","currency":"EUR","legs":[{}],"metadata":{metadata}}}"#, legs.join(","))
    });
    let body = format!(r#"{{"mode":"atomic","transfers":[{}]}}"#, items.collect::<Vec<_>>().join(","));
    assert!(body.len() <= BODY_BYTES_MAX, "{}", body.len());
    body
}

/// As many pairs as there may be, with values of so many bytes.
fn metadata(value_bytes: usize) -> String {
    let pair = |index: u8| format!(r#""{}":"{}""#, char::from(b'A' + index), "x".repeat(value_bytes));
    format!("{{{}}}", (0..26).chain(32..38).map(pair).collect::<Vec<_>>().join(","))
}

#[tokio::test]
async fn the_largest_atomic_batch_is_decided_by_the_engine_that_serves() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (world, engine) = World::embedded(folder.path());
    world.open(&[(5, "1000"), (6, "0")]).await;
    let path = "/api/v1/transfers/batch";
    // What an entry may take is reserved before it is decided, so one that is rejected needs as much room.
    for (key, legs, body_bytes) in [("a", 8192, BODY_BYTES_MAX), ("b", LEGS_MAX, 0)] {
        let rejected = world.post(path, key, &atomic_batch(legs, body_bytes, "1001")).await;
        assert_eq!(rejected.status, 200, "{}", rejected.text());
        assert_eq!(summary(&rejected.json()).last(), expected(&[(422, "insufficient_funds")]).first());
    }
    let done = world.post(path, "c", &atomic_batch(LEGS_MAX, 0, "0.01")).await;
    assert_eq!((done.status, world.ledger(6).await.as_str()), (200, "1000.00"));
    let too_many = world.post(path, "d", &atomic_batch(LEGS_MAX + 1, 0, "0.01")).await;
    assert_eq!((too_many.status, too_many.code().as_str()), (413, "body_too_large"));
    engine.shut_down().expect("a clean shutdown");
}

#[tokio::test]
async fn a_batch_whose_answer_would_be_too_long_is_refused_before_anything_is_done() {
    let world = World::new();
    world.open(&[(5, "1000"), (6, "0")]).await;
    let atomic = atomic_batch(LEGS_MAX, BODY_BYTES_MAX, "0.01");
    let independent = atomic.replacen("atomic", "independent", 1);
    for (body, query) in [(&atomic, ""), (&independent, "?dry_run=true")] {
        let refused = world.post(&format!("/api/v1/transfers/batch{query}"), "a", body).await;
        assert_eq!((refused.status, refused.code().as_str()), (413, "body_too_large"));
        assert!(refused.text().contains("split"), "{}", refused.text());
    }
    assert_eq!(world.ledger(6).await, "0.00");
}
