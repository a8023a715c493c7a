//! Streams of events: how many there may be, and what they tell those who are slow.

use super::world::World;
use crate::Settings;
use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use http_body_util::BodyExt;
use tower::ServiceExt;

async fn ask(world: &World, last_heard: &str) -> Response {
    let request = Request::get("/api/v1/accounts/7/events").header("last-event-id", last_heard).body(Body::empty());
    world.router.clone().oneshot(request.expect("a request")).await.expect("the router never fails")
}

#[tokio::test]
async fn beyond_the_streams_that_may_be_open_one_is_refused_until_another_ends() {
    let world = World::with(Settings { no_auth: true, is_loopback: true, streams_max: 1, ..Settings::default() });
    world.open(&[(7, "1")]).await;
    let first = ask(&world, "").await;
    assert_eq!(first.status(), 200);
    let refused = ask(&world, "").await;
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    drop(first);
    // The place is free once the stream has seen that nobody listens.
    while ask(&world, "").await.status() != 200 {
        tokio::task::yield_now().await;
    }
}

/// Pays so much a cent at a time into account 7.
async fn pay_in(world: &World, cents: u64, round: &str) {
    for number in 0..cents {
        let body = r#"{"type":"deposit","to":"7","amount":"0.01","currency":"EUR"}"#;
        assert_eq!(world.post("/api/v1/transfers", &format!("{round}-{number}"), body).await.status, 201);
    }
}

#[tokio::test]
async fn a_stream_that_makes_up_for_pages_leaves_nothing_out_though_more_is_posted_meanwhile() {
    let world = World::new();
    world.open(&[(7, "1")]).await;
    pay_in(&world, 400, "before").await;
    let mut body = ask(&world, "1").await.into_body();
    let mut told = Vec::new();
    // What it has sent so far is far from the newest page that it has looked at, as nobody has taken the rest.
    let mut is_first = true;
    while told.len() < 460 {
        let piece = body.frame().await.expect("a stream without an end").expect("a piece").into_data().expect("data");
        let text = String::from_utf8(piece.to_vec()).expect("text");
        let ids =
            text.split("event: posting\nid: ").skip(1).filter_map(|event| event.lines().next()?.parse::<u64>().ok());
        told.extend(ids);
        assert!(told.iter().copied().eq(2..told.len() as u64 + 2), "{told:?}");
        if std::mem::take(&mut is_first) {
            pay_in(&world, 60, "meanwhile").await;
        }
    }
}
