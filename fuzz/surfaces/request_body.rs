//! JSON bodies of calls that change something. The first byte chooses the call, the rest is the body.

use axum::body::Body;
use axum::http::Request;

#[path = "service.rs"]
mod service;
#[path = "world.rs"]
mod world;

use service::{Answered, send, service, talk};

/// The calls, and whether they can be tried with `dry_run`.
const CALLS: [(&str, bool); 8] = [
    ("/api/v1/transfers", true),
    ("/api/v1/transfers/batch", true),
    ("/api/v1/holds", true),
    ("/api/v1/accounts", false),
    ("/api/v1/users", false),
    ("/api/v1/accounts/1/freeze", false),
    ("/deposit", false),
    ("/transaction", false),
];

/// Tries the call, makes it, and makes it again.
pub(crate) fn exercise(data: &[u8]) {
    let Some((first, body)) = data.split_first() else { return };
    let (path, moves_money) = CALLS[usize::from(first.wrapping_sub(b'0')) % CALLS.len()];
    talk(async {
        let bank = world::bank().await;
        let service = service(bank.clone());
        let request = |query: &str, key: Option<&str>| {
            let request = Request::post(format!("{path}{query}")).header("content-type", "application/json");
            let request = key.into_iter().fold(request, |request, key| request.header("idempotency-key", key));
            request.body(Body::from(body.to_vec())).expect("a request")
        };
        // Of an independent batch each item has a key and the request none.
        let is_atomic = serde_json::from_slice::<serde_json::Value>(body).is_ok_and(|body| body["mode"] == "atomic");
        let key = (!path.ends_with("batch") || is_atomic).then_some("key");
        let before = balances(&bank).await;
        if moves_money {
            let tried = send(&service, request("?dry_run=true", None)).await;
            assert_eq!(balances(&bank).await, before, "a dry run changed something");
            let done = send(&service, request("", key)).await;
            assert_eq!(
                (tried.status, tried.code()),
                (done.status, done.code()),
                "{path}: a dry run foretold something else"
            );
            assert_replayed(&done, &send(&service, request("", key)).await);
            if done.code().is_some() {
                assert_eq!(balances(&bank).await, before, "what was refused moved money");
            }
        } else {
            let done = send(&service, request("", key)).await;
            assert_replayed(&done, &send(&service, request("", key)).await);
        }
        world::assert_books_balance(&bank);
    });
}

/// The same request has the same answer, byte for byte.
fn assert_replayed(first: &Answered, second: &Answered) {
    assert_eq!((first.status, first.code()), (second.status, second.code()));
    assert!(
        first.body == second.body,
        "{} then {}",
        String::from_utf8_lossy(&first.body),
        String::from_utf8_lossy(&second.body)
    );
    if first.status == 201 {
        assert!(second.headers.contains_key("idempotency-replayed"));
    }
}

async fn balances(bank: &bank::Bank) -> Vec<(u64, i128, u64)> {
    let mut balances = Vec::new();
    for number in 1..=2 {
        let id = ledger::ids::AccountId::new(number).expect("an id");
        let account = bank.shards()[0].account(id, bank.now()).await.expect("no store faults in memory");
        let account = account.expect("the world has two accounts");
        balances.push((number, account.balance, account.held));
    }
    balances
}
