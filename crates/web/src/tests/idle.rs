//! Connections that nobody uses end, whatever their peers do to keep them, and those in use do not.

use super::serving::{exchange, served};
use super::world::World;
use crate::Settings;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const ACK: u8 = 1;

fn impatient(head_timeout_ms: u64) -> World {
    World::with(Settings {
        no_auth: true,
        is_loopback: true,
        head_timeout: Duration::from_millis(head_timeout_ms),
        body_place_timeout: Duration::from_secs(60),
        large_bodies_max: 1,
        ..Settings::default()
    })
}

async fn send_frame(stream: &mut TcpStream, kind: u8, flags: u8, payload: &[u8]) {
    let length = u8::try_from(payload.len()).expect("a short frame");
    let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, 0];
    frame.extend_from_slice(payload);
    // The server may have hung up meanwhile, which the next read tells.
    stream.write_all(&frame).await.unwrap_or(());
}

/// The next frame, as its kind, flags and payload; none when the connection has ended.
async fn next_frame(stream: &mut TcpStream) -> Option<(u8, u8, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let mut payload = vec![0; usize::from(head[1]) * 256 + usize::from(head[2])];
    stream.read_exact(&mut payload).await.ok()?;
    Some((head[3], head[4], payload))
}

/// Opens a connection of HTTP/2, asks nothing, and stays until the server ends it. Returns whether it was told first.
async fn stays(world: &World, answers_pings: bool) -> bool {
    let served = served(world).await;
    let mut stream = TcpStream::connect(served.address).await.expect("connected");
    stream.write_all(PREFACE).await.expect("sent");
    send_frame(&mut stream, SETTINGS, 0, &[]).await;
    let mut was_told = false;
    let until_it_ends = async {
        while let Some((kind, flags, payload)) = next_frame(&mut stream).await {
            match kind {
                SETTINGS if flags & ACK == 0 => send_frame(&mut stream, SETTINGS, ACK, &[]).await,
                PING if flags & ACK == 0 && answers_pings => send_frame(&mut stream, PING, ACK, &payload).await,
                GOAWAY => was_told = true,
                _ => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), until_it_ends).await.expect("the server ends it");
    was_told
}

#[tokio::test]
async fn a_peer_of_http_2_that_asks_nothing_is_told_to_go_though_it_answers_pings() {
    assert!(stays(&impatient(100), true).await);
}

#[tokio::test]
async fn a_peer_that_does_not_take_part_in_ending_is_left() {
    assert!(stays(&impatient(100), false).await);
}

#[tokio::test]
async fn a_peer_that_never_says_which_protocol_it_speaks_is_left() {
    let world = impatient(100);
    let served = served(&world).await;
    let mut stream = TcpStream::connect(served.address).await.expect("connected");
    stream.write_all(&PREFACE[..4]).await.expect("sent");
    let ended = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut Vec::new())).await;
    ended.expect("the server ends it").unwrap_or(0);
}

#[tokio::test]
async fn a_connection_whose_request_is_worked_on_is_kept_however_long_that_takes() {
    let world = impatient(100);
    let served = served(&world).await;
    // All places for large bodies are taken, so this request waits.
    let place = world.app.large_bodies().clone().acquire_owned().await.expect("a place");
    let mut patient = TcpStream::connect(served.address).await.expect("connected");
    let body = " ".repeat(1_200_000);
    let head = "POST /api/v1/transfers/batch HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1200000\r\n\r\n";
    let asking = tokio::spawn(async move { exchange(&mut patient, &format!("{head}{body}")).await });
    // Meanwhile connections that ask nothing end, one after the other.
    for _ in 0..5 {
        stays(&world, true).await;
    }
    drop(place);
    let answer = asking.await.expect("asked");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}
