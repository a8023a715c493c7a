//! Events that come in over HTTP, and the dead letters they leave.

use super::world::{Answered, World};
use crate::Settings;
use axum::body::Body;
use axum::http::Request;
use std::convert::Infallible;
use std::time::Duration;

fn event(id: &str, account: u64, amount: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/till/1","type":"florin.deposit","time":"2026-11-01T00:00:00Z","data":{{"account_id":"{account}","amount":"{amount}","currency":"EUR"}}}}"#
    )
}

async fn send(world: &World, media_type: &str, body: &str) -> Answered {
    world.call("POST", "/api/v1/events", &[("content-type", media_type)], body).await
}

#[tokio::test]
async fn events_are_taken_replayed_or_kept_as_dead_letters() {
    let world = World::new();
    world.open(&[(5, "0")]).await;
    let one = send(&world, "application/cloudevents+json", &event("a", 5, "1")).await;
    assert_eq!((one.status, &one.json()["results"][0]["status"]), (200, &"accepted".into()), "{}", one.text());
    assert!(one.json()["results"][0]["transfer_id"].is_string());
    let list = format!("[{},{},{},7]", event("a", 5, "1"), event("b", 5, "2"), event("c", 9, "1"));
    let many = send(&world, "application/cloudevents-batch+json; charset=utf-8", &list).await.json();
    assert_eq!((&many["accepted"], &many["replayed"], &many["dead_lettered"]), (&1.into(), &1.into(), &2.into()));
    assert_eq!(many["results"][2]["code"], "account_not_found");
    let lines = format!("{}\n\n{}\r\nnot json", event("d", 5, "3"), event("b", 5, "9"));
    let stream = send(&world, "application/x-ndjson", &lines).await.json();
    assert_eq!((&stream["accepted"], &stream["replayed"], &stream["dead_lettered"]), (&1.into(), &1.into(), &1.into()));
    assert_eq!(stream["results"].as_array().map(Vec::len), Some(1));
    assert_eq!(world.ledger(5).await, "6.00");
    let letters = world.get("/api/v1/dead-letters?status=waiting").await.json();
    assert_eq!(letters["items"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn only_a_body_that_is_not_json_is_malformed() {
    let world = World::new();
    for (media_type, body, status) in [
        ("application/cloudevents+json", "{", 400),
        ("application/cloudevents-batch+json", "[{]", 400),
        ("application/cloudevents-batch+json", "{}", 400),
        ("application/cloudevents+json", "{}", 200),
        ("application/cloudevents-batch+json", "[]", 200),
        ("application/x-ndjson", "{", 200),
        ("application/x-ndjson", "", 200),
        ("text/plain", "{}", 415),
    ] {
        assert_eq!(send(&world, media_type, body).await.status, status, "{media_type} {body}");
    }
}

#[tokio::test]
async fn a_line_too_long_is_a_dead_letter_and_the_next_go_on() {
    let world = World::new();
    world.open(&[(5, "0")]).await;
    let long = format!("{{\"x\":\"{}\"}}", "x".repeat(200_000));
    let answered = send(&world, "application/x-ndjson", &format!("{long}\n{}", event("a", 5, "1"))).await.json();
    assert_eq!((&answered["accepted"], &answered["results"][0]["code"]), (&1.into(), &"body_too_large".into()));
    assert_eq!(send(&world, "application/cloudevents+json", &long).await.code(), "body_too_large");
}

#[tokio::test]
async fn dead_letters_are_redriven_or_discarded_once() {
    let world = World::new();
    world.open(&[(5, "0")]).await;
    send(&world, "application/x-ndjson", &format!("{}\n{}", event("a", 9, "1"), event("b", 9, "1"))).await;
    let letters = world.get("/api/v1/dead-letters").await.json();
    let path = |index: usize| {
        format!("/api/v1/dead-letters/{}", letters["items"][index]["dead_letter_id"].as_str().expect("an id"))
    };
    let (second, first) = (path(0), path(1));
    assert_eq!(world.get(&first).await.json()["event"]["id"], "a");
    let data = r#"{"data":{"account_id":"5","amount":"1","currency":"EUR"}}"#;
    let redriven = world.post(&format!("{first}/redrive"), "", data).await;
    assert_eq!((redriven.status, &redriven.json()["status"]), (200, &"redriven".into()), "{}", redriven.text());
    let discarded = world.post(&format!("{second}/discard"), "", r#"{"reason":"no such account"}"#).await;
    assert_eq!(discarded.json()["status"], "discarded");
    assert_eq!(world.post(&format!("{second}/discard"), "", "").await.code(), "malformed");
    assert_eq!(world.ledger(5).await, "1.00");
}

/// A body that brings these bytes and then, without an end, one byte every few milliseconds.
fn slow_body(first: String) -> Body {
    let drops = futures_util::stream::unfold(Some(first), |first| async move {
        let part = match first {
            Some(first) => first,
            None => {
                tokio::time::timeout(Duration::from_millis(20), std::future::pending::<()>()).await.unwrap_or(());
                " ".to_string()
            }
        };
        Some((Ok::<_, Infallible>(part), None))
    });
    Body::from_stream(drops)
}

#[tokio::test]
async fn a_stream_that_brings_bytes_but_no_line_is_ended() {
    let world = World::with(Settings {
        no_auth: true,
        is_loopback: true,
        stream_progress_timeout: Duration::from_millis(300),
        ..Settings::default()
    });
    world.open(&[(5, "0")]).await;
    let body = slow_body(format!("{}\n", event("a", 5, "1")));
    let request =
        Request::builder().method("POST").uri("/api/v1/events").header("content-type", "application/x-ndjson");
    let ended = world.send(request.body(body).expect("a request"));
    let ended = tokio::time::timeout(Duration::from_secs(20), ended).await.expect("ended");
    assert_eq!((ended.status, ended.code().as_str()), (400, "malformed"));
    assert!(ended.text().contains("no line"), "{}", ended.text());
}

#[tokio::test]
async fn a_list_of_too_many_events_is_refused_before_any_is_taken() {
    let world = World::new();
    world.open(&[(5, "0")]).await;
    let list = format!("[{},{}]", event("a", 5, "1"), vec!["7"; 100_000].join(","));
    let refused = send(&world, "application/cloudevents-batch+json", &list).await;
    assert_eq!((refused.status, refused.code().as_str()), (413, "body_too_large"));
    assert_eq!(world.ledger(5).await, "0.00");
}
