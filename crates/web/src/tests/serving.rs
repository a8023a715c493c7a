//! The server itself: over real connections, with clients that stall and hang up.

use super::world::World;
use crate::edge::around;
use crate::{App, Settings, server};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tower::ServiceExt;

pub(super) struct Served {
    pub(super) address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<std::io::Result<()>>,
}

pub(super) async fn served(world: &World) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel::<()>();
    let app = world.app.clone();
    let ended = tokio::spawn(async move {
        server::serve(listener, app, async {
            stopped.await.unwrap_or(());
        })
        .await
    });
    Served { address, stop, ended }
}

pub(super) async fn exchange(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.expect("read");
        answer.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&answer);
        if count == 0 || (text.contains("\r\n\r\n") && text.ends_with('}')) {
            return text.into_owned();
        }
    }
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let world = World::new();
    let served = served(&world).await;
    let mut stream = TcpStream::connect(served.address).await.expect("connected");
    for _ in 0..3 {
        let answer = exchange(&mut stream, "GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    served.stop.send(()).expect("served");
    served.ended.await.expect("no panic").expect("stopped");
}

#[tokio::test]
async fn clients_that_stall_do_not_keep_the_server_from_stopping() {
    let world = World::with(Settings {
        no_auth: true,
        is_loopback: true,
        stop_timeout: Duration::from_millis(200),
        ..Settings::default()
    });
    let served = served(&world).await;
    let _silent = TcpStream::connect(served.address).await.expect("connected");
    let mut in_head = TcpStream::connect(served.address).await.expect("connected");
    in_head.write_all(b"GET /health/live HT").await.expect("sent");
    let mut in_body = TcpStream::connect(served.address).await.expect("connected");
    in_body
        .write_all(b"POST /deposit HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{")
        .await
        .expect("sent");
    let mut live = TcpStream::connect(served.address).await.expect("connected");
    exchange(&mut live, "GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    served.stop.send(()).expect("served");
    let ended = tokio::time::timeout(Duration::from_secs(20), served.ended).await.expect("stops by itself");
    ended.expect("no panic").expect("stopped");
}

#[tokio::test]
async fn what_a_client_began_before_it_hung_up_is_finished() {
    let world = World::new();
    world.open(&[(5, "0")]).await;
    let served = served(&world).await;
    let body = r#"{"type":"deposit","to":"5","amount":"1","currency":"EUR"}"#;
    let request = format!(
        "POST /api/v1/transfers HTTP/1.1\r\nhost: localhost\r\nidempotency-key: k\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(served.address).await.expect("connected");
    stream.write_all(request.as_bytes()).await.expect("sent");
    stream.shutdown().await.expect("hung up");
    drop(stream);
    // A stop waits for what was begun; whether or not it was, the same key gives the one effect.
    served.stop.send(()).expect("served");
    served.ended.await.expect("no panic").expect("stopped");
    assert_eq!(world.post("/api/v1/transfers", "k", body).await.status, 201);
    assert_eq!(world.ledger(5).await, "1.00");
}

#[tokio::test]
async fn too_many_requests_at_a_time_are_told_to_come_back() {
    let world = World::with(Settings { no_auth: true, is_loopback: true, requests_max: 0, ..Settings::default() });
    let answered = world.get("/api/v1/users").await;
    assert_eq!((answered.status, answered.code().as_str()), (503, "unavailable"));
    assert_eq!(answered.headers["retry-after"], "1");
    assert_eq!(answered.json()["retryable"], true);
    for path in ["/health/live", "/health/ready", "/metrics"] {
        assert_eq!(world.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_principal_that_asks_too_much_in_a_second_is_told_to_wait() {
    let rate_limit = std::num::NonZeroU32::new(2);
    let world = World::with(Settings { no_auth: true, is_loopback: true, rate_limit, ..Settings::default() });
    assert_eq!(world.get("/api/v1/users").await.status, 200);
    assert_eq!(world.get("/api/v1/users").await.status, 200);
    let limited = world.get("/api/v1/users").await;
    assert_eq!((limited.status, limited.code().as_str()), (429, "rate_limited"));
    assert_eq!((limited.headers["retry-after"].as_bytes(), &limited.json()["retryable"]), (&b"1"[..], &true.into()));
    assert_eq!(world.get("/health/ready").await.status, 200, "who watches is nobody");
    world.pass_days(1);
    assert_eq!(world.get("/api/v1/users").await.status, 200);
}

fn surrounded(app: &App, router: Router<App>) -> Router {
    router.layer(from_fn_with_state(app.clone(), around)).with_state(app.clone())
}

async fn ask(router: Router) -> Response<Body> {
    router.oneshot(Request::get("/x").body(Body::empty()).expect("a request")).await.expect("the router never fails")
}

async fn broken() -> &'static str {
    panic!("a handler that is broken on purpose")
}

#[tokio::test]
async fn a_panic_is_answered_as_a_fault() {
    let world = World::new();
    let response = ask(surrounded(&world.app, Router::new().route("/x", get(broken)))).await;
    assert_eq!(response.status(), 500);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert_eq!(response.headers()["retry-after"], "1");
}

#[tokio::test]
async fn a_limit_of_time_answers_the_client_and_leaves_the_work_running() {
    let settings = Settings { no_auth: true, request_timeout: Duration::from_millis(20), ..Settings::default() };
    let world = World::with(settings);
    let (go_on, finished) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
    let (handler_go_on, handler_finished) = (go_on.clone(), finished.clone());
    let handler = move || async move {
        handler_go_on.notified().await;
        handler_finished.store(true, Ordering::SeqCst);
    };
    let response = ask(surrounded(&world.app, Router::new().route("/x", get(handler)))).await;
    assert_eq!(response.status(), 503);
    assert!(!finished.load(Ordering::SeqCst));
    go_on.notify_one();
    world.app.tasks().close();
    world.app.tasks().wait().await;
    assert!(finished.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_client_that_sends_far_too_much_still_hears_why_it_was_turned_away() {
    let world = World::new();
    let served = served(&world).await;
    let mut stream = TcpStream::connect(served.address).await.expect("connected");
    let length = 3 * 1024 * 1024;
    let head = format!("POST /deposit HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream.write_all(&vec![b' '; length - 1]).await.expect("sent");
    let answer = exchange(&mut stream, " ").await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn a_client_that_never_reads_its_answers_does_not_keep_others_out() {
    let world = World::with(Settings {
        no_auth: true,
        is_loopback: true,
        connections_max: 1,
        write_timeout: Duration::from_millis(200),
        ..Settings::default()
    });
    let served = served(&world).await;
    let mut deaf = TcpStream::connect(served.address).await.expect("connected");
    let asking = tokio::spawn(async move {
        while deaf.write_all(b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n").await.is_ok() {}
        deaf
    });
    // While the first is held, the second waits to be accepted: there is room for one connection.
    let mut stream = TcpStream::connect(served.address).await.expect("connected");
    let asked = exchange(&mut stream, "GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let answer = tokio::time::timeout(Duration::from_secs(20), asked).await.expect("the first client is cut off");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    asking.abort();
}

#[tokio::test]
async fn a_large_body_that_comes_slowly_loses_its_place_and_the_others_are_told_to_come_back() {
    let world = World::with(Settings {
        no_auth: true,
        is_loopback: true,
        large_bodies_max: 1,
        body_timeout: Duration::from_secs(3600),
        request_timeout: Duration::from_secs(3600),
        body_place_timeout: Duration::from_millis(20),
        body_progress_timeout: Duration::from_secs(1),
        ..Settings::default()
    });
    let served = served(&world).await;
    let path = "/api/v1/transfers/batch";
    let mut slow = TcpStream::connect(served.address).await.expect("connected");
    let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3000000\r\n\r\n");
    slow.write_all(head.as_bytes()).await.expect("sent");
    slow.write_all(&vec![b' '; 1_100_000]).await.expect("sent");
    while world.app.large_bodies().available_permits() != 0 {
        tokio::task::yield_now().await;
    }
    let large = " ".repeat(2_000_000);
    let refused = world.call("POST", path, &[], &large).await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "unavailable"));
    assert_eq!((refused.headers["retry-after"].as_bytes(), &refused.json()["retryable"]), (&b"1"[..], &true.into()));
    let asked = exchange(&mut slow, " ");
    let answer = tokio::time::timeout(Duration::from_secs(30), asked).await.expect("the slow one is turned away");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert_eq!(world.call("POST", path, &[], &large).await.code(), "malformed");
}

#[tokio::test]
async fn a_small_body_needs_no_place_among_the_large_ones_though_it_does_not_say_its_length() {
    let world = World::with(Settings { no_auth: true, is_loopback: true, large_bodies_max: 0, ..Settings::default() });
    let served = served(&world).await;
    let mut stream = TcpStream::connect(served.address).await.expect("connected");
    let request = "POST /api/v1/transfers/batch HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    let answer = exchange(&mut stream, request).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}
