//! The OpenAPI document: reviewed as a file, and true of what the handlers answer.

use super::world::World;
use crate::openapi_json;
use bank::interest::day_count::DayCount;
use bank::notification::kind::Kind;
use serde_json::Value;

const SNAPSHOT: &str = "openapi.json";

#[test]
fn the_document_is_the_reviewed_one() {
    let path = format!("{}/{SNAPSHOT}", env!("CARGO_MANIFEST_DIR"));
    let document = format!("{}\n", openapi_json());
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&path, &document).expect("written");
    }
    let reviewed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(reviewed == document, "{SNAPSHOT} differs from the handlers; review it with UPDATE_OPENAPI=1");
}

fn document() -> Value {
    serde_json::from_str(openapi_json()).expect("JSON")
}

/// Whether a value is as a schema says: the parts of JSON Schema that the document uses.
fn fits(document: &Value, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.trim_start_matches("#/components/schemas/");
        return fits(document, &document["components"]["schemas"][name], value, place);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let fitting = choices.iter().filter(|choice| fits(document, choice, value, place).is_ok()).count();
        return if fitting == 1 { Ok(()) } else { Err(format!("{place}: {value} fits {fitting} of {schema}")) };
    }
    if let Some(all) = schema["allOf"].as_array() {
        return all.iter().try_for_each(|part| fits(document, part, value, place));
    }
    let type_is = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => false,
    };
    let fits_type = match &schema["type"] {
        Value::String(name) => type_is(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(type_is),
        _ => true,
    };
    if !fits_type || schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        return Err(format!("{place}: {value} is not {schema}"));
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.is_object() && value.get(name).is_none() {
            return Err(format!("{place}: `{name}` is missing in {value}"));
        }
    }
    for (name, part) in value.as_object().into_iter().flatten() {
        match schema["properties"].get(name) {
            Some(schema) => fits(document, schema, part, &format!("{place}.{name}"))?,
            None if schema["properties"].is_object() && schema["allOf"].is_null() && place.len() < 200 => {
                let known =
                    schema["additionalProperties"].is_object() || name.ends_with("_id") || schema["title"].is_string();
                if !known && schema["properties"].get("code").is_none() {
                    return Err(format!("{place}: `{name}` is not described"));
                }
            }
            None => {}
        }
    }
    value
        .as_array()
        .into_iter()
        .flatten()
        .try_for_each(|item| fits(document, &schema["items"], item, &format!("{place}[]")))
}

async fn check(world: &World, method: &str, route: &str, path: &str, body: &str) -> Value {
    let answered = world.call(method, path, &[("idempotency-key", "k")], body).await;
    let document = document();
    let operation = &document["paths"][route][method.to_ascii_lowercase()];
    let mut response = &operation["responses"][answered.status.to_string()];
    if let Some(reference) = response["$ref"].as_str() {
        response = &document["components"]["responses"][reference.trim_start_matches("#/components/responses/")];
    }
    let media_type = answered.headers["content-type"].to_str().expect("text").split(';').next().expect("a type");
    let schema = &response["content"][media_type]["schema"];
    assert!(schema.is_object(), "{method} {route}: {} {media_type} is not described", answered.status);
    let value = answered.json();
    fits(&document, schema, &value, route).unwrap_or_else(|error| panic!("{error}"));
    value
}

#[tokio::test]
async fn answers_are_as_the_document_says() {
    let world = World::new();
    world.open(&[(5, "100"), (6, "0")]).await;
    check(&world, "POST", "/api/v1/users", "/api/v1/users", r#"{"name":"B"}"#).await;
    check(&world, "GET", "/api/v1/users", "/api/v1/users", "").await;
    check(&world, "GET", "/api/v1/users/{user_id}", "/api/v1/users/1", "").await;
    check(&world, "PATCH", "/api/v1/users/{user_id}", "/api/v1/users/1", r#"{"locale":"cs-CZ"}"#).await;
    check(&world, "GET", "/api/v1/users/{user_id}/accounts", "/api/v1/users/1/accounts", "").await;
    check(&world, "GET", "/api/v1/accounts/{account_id}", "/api/v1/accounts/5", "").await;
    check(&world, "GET", "/api/v1/accounts/{account_id}", "/api/v1/accounts/9", "").await;
    check(&world, "GET", "/api/v1/accounts/{account_id}/balance", "/api/v1/accounts/5/balance", "").await;
    let transfer = r#"{"type":"transfer","from":"5","to":"6","amount":"1","currency":"EUR","metadata":{"a":"b"}}"#;
    let made = check(&world, "POST", "/api/v1/transfers", "/api/v1/transfers", transfer).await;
    check(&world, "POST", "/api/v1/transfers", "/api/v1/transfers?dry_run=true", transfer).await;
    let path = format!("/api/v1/transfers/{}", made["transfer_id"].as_str().expect("an id"));
    check(&world, "GET", "/api/v1/transfers/{transfer_id}", &path, "").await;
    check(&world, "GET", "/api/v1/transfers", "/api/v1/transfers", "").await;
    check(&world, "GET", "/api/v1/accounts/{account_id}/postings", "/api/v1/accounts/5/postings", "").await;
    let batch = r#"{"mode":"independent","transfers":[{"type":"deposit","to":"5","amount":"1","currency":"EUR","idempotency_key":"x"},{}]}"#;
    check(&world, "POST", "/api/v1/transfers/batch", "/api/v1/transfers/batch", batch).await;
    let hold = r#"{"from":"5","amount":"1","currency":"EUR","expires_at":"2030-01-01T00:00:00Z"}"#;
    check(&world, "POST", "/api/v1/holds", "/api/v1/holds?dry_run=true", hold).await;
    world.post("/api/v1/holds", "h", hold).await;
    check(&world, "GET", "/api/v1/accounts/{account_id}/holds", "/api/v1/accounts/5/holds", "").await;
    check(
        &world,
        "POST",
        "/api/v1/system/accounts",
        "/api/v1/system/accounts",
        r#"{"kind":"atm","name":"M","currency":"EUR"}"#,
    )
    .await;
    check(&world, "GET", "/api/v1/system/balances", "/api/v1/system/balances", "").await;
    check(&world, "POST", "/api/v1/tokens", "/api/v1/tokens", r#"{"name":"t","role":"auditor"}"#).await;
    check(&world, "GET", "/api/v1/tokens", "/api/v1/tokens", "").await;
    check(&world, "GET", "/api/v1/journal", "/api/v1/journal", "").await;
    world.call("POST", "/api/v1/events", &[("content-type", "application/x-ndjson")], "{}").await;
    check(&world, "GET", "/api/v1/dead-letters", "/api/v1/dead-letters", "").await;
    check(&world, "POST", "/deposit", "/deposit", r#"{"accountId":"5","amount":1}"#).await;
    check(&world, "GET", "/balance/{account_id}", "/balance/5", "").await;
    let month = "/api/v1/transactions/{account_id}/month/{month}";
    check(&world, "GET", month, "/api/v1/transactions/5/month/2027-01", "").await;
    check(&world, "GET", "/health/ready", "/health/ready", "").await;
}

#[tokio::test]
async fn the_page_needs_no_network() {
    let world = World::new();
    let page = world.get("/docs").await;
    assert!(!page.text().contains("//") || !page.text().contains("http"), "{}", page.text());
    assert!(page.headers["content-security-policy"].to_str().expect("text").contains("script-src 'self'"));
    assert!(500_000 < world.get("/docs/rapidoc.js").await.body.len());
}

#[tokio::test]
async fn the_address_alone_says_where_to_go_on() {
    let world = World::new();
    let welcome = world.get("/").await;
    assert_eq!((welcome.status, welcome.headers["content-type"].as_bytes()), (200, &b"text/plain; charset=utf-8"[..]));
    for line in welcome.text().lines().filter(|line| line.starts_with('/')) {
        let path = line.split(' ').next().expect("a path");
        assert_eq!(world.get(path).await.status, 200, "{path}");
    }
    assert!(["/docs ", "/openapi.json "].iter().all(|path| welcome.text().contains(path)), "{}", welcome.text());
}

#[tokio::test]
async fn metrics_are_prometheus_text() {
    let world = World::new();
    world.open(&[(5, "10")]).await;
    let text = world.get("/metrics").await.text();
    assert!(
        text.contains("florin_http_requests_total{method=\"POST\",route=\"/api/v1/transfers\",status=\"201\"} 1"),
        "{text}"
    );
    assert!(text.contains("florin_shard_up{shard=\"0\"} 1"));
    let well_formed = |line: &str| {
        line.starts_with("# ")
            || line.rsplit_once(' ').is_some_and(|(name, value)| {
                name.starts_with("florin_") && value.bytes().all(|byte| byte.is_ascii_digit() || b".-".contains(&byte))
            })
    };
    assert!(text.lines().all(well_formed), "{text}");
}

#[test]
fn the_words_of_the_bank_are_those_of_the_document() {
    let document = document();
    let expect_known = |schema: &str, word: &str| {
        fits(&document, &document["components"]["schemas"][schema], &word.into(), schema)
            .expect("a word of the document");
    };
    Kind::ALL.iter().for_each(|kind| expect_known("MessageKind", kind.name()));
    DayCount::ALL.iter().for_each(|count| expect_known("DayCount", count.name()));
}
