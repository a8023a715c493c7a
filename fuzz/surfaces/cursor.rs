//! Cursors: the first two bytes change the cursor that the bank gave out, the rest is tried as a cursor by itself.

use axum::Router;
use axum::body::Body;
use axum::http::Request;

#[path = "service.rs"]
mod service;
#[path = "world.rs"]
mod world;

use service::{Answered, send, service, talk};

const DEPOSIT: &str = r#"{"specversion":"1.0","source":"start","id":"5","type":"florin.deposit","data":{"account_id":"1","amount":"1","currency":"EUR"}}"#;

/// Only the very cursor that the bank gave out for a list leads on in it.
pub(crate) fn exercise(data: &[u8]) {
    let (change, text) = data.split_at(data.len().min(2));
    talk(async {
        let bank = world::bank().await;
        bank.ingest(&world::caller(), &[DEPOSIT]).await.expect("no store faults in memory");
        let service = service(bank.clone());
        let first = page(&service, "/api/v1/accounts/1/postings?limit=1").await;
        let first: serde_json::Value = serde_json::from_slice(&first.body).expect("a page is JSON");
        let given = first["next_cursor"].as_str().expect("a second page").to_owned();
        let mut changed = given.clone().into_bytes();
        if let [place, byte] = change {
            let place = usize::from(*place) % changed.len();
            changed[place] = *byte;
        }
        for tried in [changed.as_slice(), text] {
            let encoded: String = tried.iter().map(|byte| format!("%{byte:02X}")).collect();
            for (list, is_its_own) in [
                ("/api/v1/accounts/1/postings?limit=1000", true),
                ("/api/v1/accounts/1/postings?side=credit", false),
                ("/api/v1/accounts/2/postings?limit=1", false),
                ("/api/v1/transfers?limit=1", false),
            ] {
                let answered = page(&service, &format!("{list}&cursor={encoded}")).await;
                let expected = if is_its_own && tried == given.as_bytes() { 200 } else { 400 };
                assert_eq!(answered.status, expected, "{list} with {}", String::from_utf8_lossy(tried));
                if let Some(code) = answered.code() {
                    assert!(code == "cursor_invalid" || std::str::from_utf8(tried).is_err(), "{code}");
                }
            }
        }
        world::assert_books_balance(&bank);
    });
}

async fn page(service: &Router, uri: &str) -> Answered {
    send(service, Request::get(uri).body(Body::empty()).expect("a request")).await
}
