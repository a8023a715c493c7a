//! Events that come in over HTTP, and the dead letters they leave.

use super::world::{Answered, World};

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
