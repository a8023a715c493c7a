//! Tokens and roles.

use super::world::World;
use crate::Settings;
use bank::token::TokenText;

async fn world_with_admin(is_loopback: bool) -> (World, String) {
    let world = World::with(Settings { is_loopback, ..Settings::default() });
    let text = TokenText::generate(world.bank.env().as_ref());
    world.bank.create_first_admin_token(&text).await.expect("made");
    (world, text.as_str().to_string())
}

async fn token_of(world: &World, admin: &str, role: &str) -> (String, String) {
    let bearer = format!("Bearer {admin}");
    let body = format!(r#"{{"name":"{role}","role":"{role}"}}"#);
    let made = world.call("POST", "/api/v1/tokens", &[("authorization", &bearer)], &body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let text = |field: &str| made.json()[field].as_str().expect("a text").to_string();
    (text("token"), text("token_id"))
}

#[tokio::test]
async fn each_role_may_do_its_part_and_no_more() {
    let (world, admin) = world_with_admin(true).await;
    let (teller, _) = token_of(&world, &admin, "teller").await;
    let (auditor, _) = token_of(&world, &admin, "auditor").await;
    let forced = r#"{"type":"withdrawal","from":"5","amount":"x","currency":"EUR","forced":true}"#;
    let system = r#"{"kind":"atm","name":"M","currency":"EUR"}"#;
    // Method, path, body, and what admin, teller and auditor are told.
    let table = [
        ("GET", "/api/v1/users", "", [200, 200, 200]),
        ("POST", "/api/v1/users", r#"{"name":"A"}"#, [201, 201, 403]),
        ("POST", "/api/v1/nothing", "", [404, 404, 403]),
        ("GET", "/api/v1/tokens", "", [200, 403, 403]),
        ("POST", "/api/v1/system/accounts", system, [201, 403, 403]),
        ("POST", "/api/v1/transfers", forced, [400, 403, 403]),
        ("POST", "/api/v1/dead-letters/7/discard", r#"{"reason":"x"}"#, [404, 403, 403]),
        ("POST", "/api/v1/dead-letters/7/redrive", "", [404, 404, 403]),
        ("GET", "/api/v1/journal", "", [200, 200, 200]),
        ("POST", "/deposit", "{}", [400, 400, 403]),
    ];
    for (method, path, body, statuses) in table {
        for (token, status) in [&admin, &teller, &auditor].into_iter().zip(statuses) {
            let answered = world.call(method, path, &[("authorization", &format!("Bearer {token}"))], body).await;
            assert_eq!(answered.status, status, "{method} {path}: {}", answered.text());
        }
    }
}

#[tokio::test]
async fn without_a_valid_token_nothing_is_told_not_even_whether_a_call_exists() {
    let (world, admin) = world_with_admin(true).await;
    let (teller, id) = token_of(&world, &admin, "teller").await;
    for path in ["/api/v1/users", "/api/v1/nothing", "/nothing", "/balance/1"] {
        for header in ["", "Bearer", "Bearer x", "Basic YTpi", &format!("Bearer {teller}x")] {
            let headers = [("authorization", header)];
            let answered = world.call("GET", path, if header.is_empty() { &[] } else { &headers }, "").await;
            assert_eq!((answered.status, answered.code().as_str()), (401, "unauthenticated"), "{path} {header}");
            assert_eq!(answered.headers["www-authenticate"], "Bearer");
        }
    }
    let bearer = format!("Bearer {admin}");
    let revoke = format!("/api/v1/tokens/{id}");
    assert_eq!(world.call("DELETE", &revoke, &[("authorization", &bearer)], "").await.status, 204);
    assert_eq!(world.call("DELETE", &revoke, &[("authorization", &bearer)], "").await.status, 204);
    assert_eq!(world.call("DELETE", "/api/v1/tokens/7", &[("authorization", &bearer)], "").await.code(), "not_found");
    let revoked = world.call("GET", "/api/v1/users", &[("authorization", &format!("Bearer {teller}"))], "").await;
    assert_eq!(revoked.status, 401);
}

#[tokio::test]
async fn health_metrics_and_documentation_are_open_on_loopback_only() {
    for (is_loopback, status) in [(true, 200), (false, 401)] {
        let (world, _) = world_with_admin(is_loopback).await;
        for path in ["/", "/health/live", "/health/ready", "/metrics", "/openapi.json", "/docs", "/docs/rapidoc.js"] {
            assert_eq!(world.get(path).await.status, status, "{path}");
        }
    }
}
