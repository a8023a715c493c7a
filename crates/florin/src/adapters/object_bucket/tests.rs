//! Buckets of a real server, and what breaks on the way to it.

use super::*;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::num::NonZeroU64;
use test_servers::{Proxy, S3};

/// The bucket of a server that is reached at this address; a request may take so many milliseconds.
fn bucket_within(address: std::net::SocketAddr, timeout_ms: u64) -> ObjectBucket {
    let config = Objects {
        bucket: Some(S3::BUCKET.into()),
        prefix: Some("florin/test".into()),
        endpoint: Some(format!("http://{address}")),
        access_key: Some(S3::ACCESS_KEY.into()),
        secret_key: crate::config::Secret(Some(S3::SECRET_KEY.into())),
        timeout_ms: NonZeroU64::new(timeout_ms).expect("not zero"),
        ..Objects::default()
    };
    ObjectBucket::new(&config, Arc::new(Machine::new())).expect("a bucket")
}

fn bucket(s3: &S3) -> ObjectBucket {
    bucket_within(s3.address(), 10_000)
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(future)
}

fn link(bucket: &ObjectBucket, name: &str, seconds: u64) -> String {
    run(bucket.link(name, seconds)).expect("no fault").expect("a link")
}

/// What a client without any key hears: the status and everything that follows.
fn open(url: &str) -> (u16, String) {
    let (host, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect("a URL");
    let mut connection = TcpStream::connect(host).expect("a connection");
    write!(connection, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).expect("an answer");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, answer)
}

#[test]
fn what_is_stored_stays_as_it_is() {
    let s3 = S3::start();
    let objects = bucket(&s3);
    assert_eq!(run(objects.get("7/2026-10/report.pdf")).expect("read"), None);
    assert!(run(objects.put_new("7/2026-10/report.pdf", b"one".to_vec())).expect("stored"));
    assert!(!run(objects.put_new("7/2026-10/report.pdf", b"two".to_vec())).expect("left"));
    assert!(run(objects.put_new("77/2026-11/report.pdf", b"three".to_vec())).expect("stored"));
    assert_eq!(run(objects.get("7/2026-10/report.pdf")).expect("read").as_deref(), Some(b"one".as_slice()));
    assert_eq!(run(objects.list("7/")).expect("read"), ["7/2026-10/report.pdf"]);
    assert_eq!(run(objects.list("8/")).expect("read"), Vec::<String>::new());
    s3.kill();
    assert!(run(objects.put_new("7/2026-12/report.pdf", b"one".to_vec())).is_err());
    s3.restart();
    assert_eq!(run(objects.get("7/2026-10/report.pdf")).expect("read").as_deref(), Some(b"one".as_slice()));
    assert!(run(objects.put_new("7/2026-12/report.pdf", b"one".to_vec())).expect("stored"));
}

#[test]
fn of_many_who_store_the_same_name_one_does() {
    let s3 = S3::start();
    let objects = bucket(&s3);
    let store = |number: u8| {
        let objects = objects.clone();
        std::thread::spawn(move || run(objects.put_new("a/b", vec![number; 1000])).expect("an answer"))
    };
    let stored = (0..8).map(store).collect::<Vec<_>>().into_iter().filter_map(|thread| thread.join().ok());
    assert_eq!(stored.filter(|stored| *stored).count(), 1);
    let kept = run(objects.get("a/b")).expect("read").expect("an object");
    assert!(kept.len() == 1000 && kept.iter().all(|byte| *byte == kept[0]));
}

#[test]
fn a_list_has_more_than_a_page() {
    let s3 = S3::start();
    let objects = bucket(&s3);
    let names: Vec<String> = (0..1_201).map(|number| format!("7/{number:04}/report.json")).collect();
    run(async {
        for some in names.chunks(32) {
            let stored = some.iter().map(|name| objects.put_new(name, name.clone().into_bytes()));
            for stored in futures_util::future::join_all(stored).await {
                assert!(stored.expect("stored"));
            }
        }
    });
    assert_eq!(run(objects.list("7/")).expect("read"), names);
}

#[test]
fn no_name_leads_out_of_the_prefix() {
    let objects = bucket_within(([127, 0, 0, 1], 1).into(), 1000);
    for name in ["../secret", "a/../../secret", "/secret", "", "a//b", "a/.b", "a\\b", "a\0b", "7/ü"] {
        let fault = run(objects.get(name)).expect_err("refused");
        assert!(fault.to_string().contains("cannot be called"), "{fault}");
        run(objects.put_new(name, Vec::new())).expect_err("refused");
    }
}

#[test]
fn a_link_is_for_one_object_and_one_time() {
    let s3 = S3::start();
    let objects = bucket(&s3);
    for name in ["7/2026-10/report.csv", "8/2026-10/report.csv"] {
        run(objects.put_new(name, name.into())).expect("stored");
    }
    let good = link(&objects, "7/2026-10/report.csv", 60);
    let (status, answer) = open(&good);
    assert!(status == 200 && answer.ends_with("7/2026-10/report.csv"), "{answer}");
    let headers = answer.to_lowercase();
    for header in [
        "content-type: text/csv; charset=utf-8",
        "cache-control: public, immutable",
        "expires: ",
        "content-disposition: inline; filename=\"7-2026-10-report.csv\"",
    ] {
        assert!(headers.contains(header), "{header} in {answer}");
    }
    for altered in [
        good.replace("/7/", "/8/"),
        good.replace("X-Amz-Expires=60", "X-Amz-Expires=61"),
        good[..good.len() - 1].to_owned() + if good.ends_with('0') { "1" } else { "0" },
        good.split('?').next().expect("a URL").to_owned(),
        link(&objects, "7/2026-10/report.csv", 0),
    ] {
        assert!(matches!(open(&altered).0, 400 | 403), "{altered}");
    }
    assert!(!good.contains(S3::SECRET_KEY));
}

#[test]
fn a_server_that_hangs_is_a_fault_and_is_served_again_when_it_answers() {
    let s3 = S3::start();
    let proxy = Proxy::start(s3.address());
    let objects = bucket_within(proxy.address(), 500);
    assert!(run(objects.put_new("a/1", b"one".to_vec())).expect("stored"));
    for break_it in [Proxy::stall, Proxy::refuse, Proxy::cut] {
        break_it(&proxy);
        // What is cut is tried again at once; what hangs or is refused is a fault that says what to do.
        if let Err(fault) = run(objects.get("a/1")) {
            assert!(fault.retryable() && fault.to_string().contains("a/1 in bucket bank"), "{fault}");
        }
        proxy.heal();
        assert_eq!(run(objects.get("a/1")).expect("read").as_deref(), Some(b"one".as_slice()));
    }
    proxy.stall();
    run(objects.get("a/1")).expect_err("nobody answers");
}

#[test]
fn an_answer_that_is_lost_leaves_the_object_whole_or_away() {
    let s3 = S3::start();
    let proxy = Proxy::start(s3.address());
    let objects = bucket_within(proxy.address(), 1_000);
    proxy.lose_answers();
    run(objects.put_new("a/1", vec![7; 1000])).expect_err("nobody knows");
    proxy.heal();
    run(objects.put_new("a/1", vec![7; 1000])).expect("stored now or before");
    assert_eq!(run(objects.get("a/1")).expect("read"), Some(vec![7; 1000]));
}

#[test]
fn half_of_an_upload_is_never_seen() {
    let s3 = S3::start();
    let objects = bucket(&s3);
    // A request that promises more than it brings: its first half is all that arrives.
    let proxy = Proxy::start(s3.address());
    let through = bucket_within(proxy.address(), 60_000);
    let large = vec![1; 64 << 20];
    let sending = std::thread::spawn(move || run(through.put_new("a/large", large)));
    proxy.wait_for_connections(1);
    let mut is_cut = false;
    while !sending.is_finished() {
        let seen = run(objects.get("a/large")).expect("read");
        assert!(seen.is_none_or(|seen| seen.len() == 64 << 20), "half of it");
        if !is_cut {
            proxy.refuse();
            proxy.cut();
            is_cut = true;
        }
    }
    let stored = sending.join().expect("it does not panic");
    let seen = run(objects.get("a/large")).expect("read");
    assert_eq!((stored.is_ok(), seen.is_some()), (false, false), "it was cut before it was whole");
    run(objects.put_new("a/large", vec![2; 1000])).expect("stored");
    assert_eq!(run(objects.get("a/large")).expect("read"), Some(vec![2; 1000]));
}

/// A server that answers every request with this status.
fn refusing(status: &'static str) -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let mut connection = connection;
            let mut request = [0; 4096];
            _ = connection.read(&mut request);
            _ = write!(connection, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    address
}

#[test]
fn a_server_that_refuses_is_a_fault_and_nothing_is_taken_for_there() {
    for status in ["500 Internal Server Error", "503 Slow Down", "403 Forbidden", "409 Conflict"] {
        let objects = bucket_within(refusing(status), 2_000);
        for fault in [
            run(objects.get("a/1")).expect_err("no object"),
            run(objects.put_new("a/1", b"one".to_vec())).expect_err("not stored"),
            run(objects.list("a/")).expect_err("no list"),
        ] {
            assert!(fault.retryable(), "{fault}");
            assert!(!fault.to_string().contains(S3::SECRET_KEY), "{fault}");
        }
    }
}
