//! The server itself: over real connections, with clients that stall and hang up.

use super::world::World;
use crate::{Settings, server};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

struct Served {
    address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<std::io::Result<()>>,
}

async fn served(world: &World) -> Served {
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

async fn exchange(stream: &mut TcpStream, request: &str) -> String {
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
        let answer = exchange(&mut stream, "GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").await;
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
    in_body.write_all(b"POST /deposit HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{").await.expect("sent");
    let mut live = TcpStream::connect(served.address).await.expect("connected");
    exchange(&mut live, "GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").await;
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
        "POST /api/v1/transfers HTTP/1.1\r\nhost: x\r\nidempotency-key: k\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
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
}
