//! Push messages: what push services and Firebase check, and what devices read.

use super::oracle::ask;
use super::world::{Customer, impatient, start};
use crate::support::bank::Bank;
use crate::support::http::Request;
use crate::support::wait::wait_until;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use test_servers::{HttpServer, Said};

const TEXT: &str = "Your deposit of $1,000.00 was successful. Your new balance is $1,000.00.";

fn add_device(bank: &Bank, customer: &Customer, device: &Value) -> Value {
    bank.post(&format!("/api/v1/users/{}/devices", customer.id), device).expect(201).json()
}

fn web_push_bank(folder: &Path) -> Bank {
    let data = folder.join("data");
    let mut command = impatient(&data);
    command.env("FLORIN_WEB_PUSH__SUBJECT", "mailto:push@bank.example").env("FLORIN_WEB_PUSH__ALLOW_PRIVATE", "true");
    start(&data, &mut command)
}

fn subscription(server: &HttpServer, browser: &Value) -> Value {
    let keys = json!({"p256dh": browser["p256dh"], "auth": browser["auth"]});
    json!({"web_push": {"endpoint": format!("{}/push/one", server.url()), "expirationTime": null, "keys": keys}})
}

#[test]
fn a_browser_reads_what_its_push_service_could_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = HttpServer::start(|_| Some(Said::new(201, "").header("location", "/message/1")));
    let (bank, browser) = (web_push_bank(folder.path()), ask("browser", &json!({})));
    let customer = Customer::new(&bank, "en", "USD");
    add_device(&bank, &customer, &subscription(&server, &browser));
    customer.deposit(&bank, "1000", "USD");
    let request = server.wait_for(1).remove(0);
    let delivery = customer.wait_for(&bank, 1, "sent").remove(0);
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/push/one"));
    assert_eq!(request.header("content-encoding"), Some("aes128gcm"));
    assert_eq!(request.header("topic"), delivery["delivery_id"].as_str());
    assert!(request.header("ttl").is_some_and(|ttl| ttl.parse::<u32>().is_ok()));
    assert_eq!(request.header("urgency"), Some("normal"));
    assert!(!request.text().contains("deposit"), "nothing in clear");
    let question = json!({
        "private": browser["private"], "auth": browser["auth"], "body": STANDARD.encode(&request.body),
        "authorization": request.header("authorization"), "audience": server.url(),
    });
    let read = ask("web-push", &question);
    assert_eq!((&read["content"]["body"], &read["content"]["id"]), (&json!(TEXT), &delivery["delivery_id"]));
    assert_eq!(read["claims"]["sub"], "mailto:push@bank.example");
    let devices = bank.get(&format!("/api/v1/users/{}/devices", customer.id)).expect(200).json();
    assert_eq!(devices["web_push_key"], read["key"], "browsers subscribe with the key that signs");
}

#[test]
fn a_subscription_that_is_gone_is_forgotten() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = HttpServer::start(|_| Some(Said::new(410, "")));
    let (bank, browser) = (web_push_bank(folder.path()), ask("browser", &json!({})));
    let customer = Customer::new(&bank, "en", "USD");
    add_device(&bank, &customer, &subscription(&server, &browser));
    customer.deposit(&bank, "1", "USD");
    customer.wait_for(&bank, 1, "failed");
    let devices = bank.get(&format!("/api/v1/users/{}/devices", customer.id)).expect(200).json();
    assert_eq!(devices["items"], json!([]));
    customer.deposit(&bank, "1", "USD");
    assert_eq!(server.count(), 1);
}

#[test]
fn a_customer_whose_push_service_says_nothing_holds_up_nobody_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let silent = HttpServer::start(|_| None);
    let fine = HttpServer::start(|_| Some(Said::new(201, "")));
    let data = folder.path().join("data");
    let mut command = impatient(&data);
    command.env("FLORIN_WEB_PUSH__SUBJECT", "mailto:push@bank.example").env("FLORIN_WEB_PUSH__ALLOW_PRIVATE", "true");
    // Longer than this test has patience.
    command.env("FLORIN_NOTIFICATIONS__TIMEOUT_MS", "300000");
    let (bank, browser) = (start(&data, &mut command), ask("browser", &json!({})));
    let [silents, other] = [(); 2].map(|()| Customer::new(&bank, "en", "USD"));
    for place in 0..20 {
        let mut subscription = subscription(&silent, &browser);
        subscription["web_push"]["endpoint"] = json!(format!("{}/push/{place}", silent.url()));
        add_device(&bank, &silents, &subscription);
    }
    add_device(&bank, &other, &subscription(&fine, &browser));
    (0..20).for_each(|_| silents.deposit(&bank, "1", "USD"));
    silent.wait_for(1);
    other.deposit(&bank, "1", "USD");
    other.wait_for(&bank, 1, "sent");
    assert!(silent.count() < 20, "{}", silent.count());
}

#[test]
fn a_customer_whose_push_service_is_slow_to_answer_holds_up_nobody_else() {
    let folder = tempfile::tempdir().expect("a folder");
    // Not as slow as what is silent.
    let slow = HttpServer::start(|_| {
        std::thread::park_timeout(Duration::from_millis(900));
        Some(Said::new(201, ""))
    });
    let fine = HttpServer::start(|_| Some(Said::new(201, "")));
    let (bank, browser) = (web_push_bank(folder.path()), ask("browser", &json!({})));
    let [slows, other] = [(); 2].map(|()| Customer::new(&bank, "en", "USD"));
    for place in 0..20 {
        let mut subscription = subscription(&slow, &browser);
        subscription["web_push"]["endpoint"] = json!(format!("{}/push/{place}", slow.url()));
        add_device(&bank, &slows, &subscription);
    }
    add_device(&bank, &other, &subscription(&fine, &browser));
    // More than are kept in memory, of any kind.
    (0..90).for_each(|_| slows.deposit(&bank, "1", "USD"));
    slow.wait_for(1);
    other.deposit(&bank, "1", "USD");
    other.wait_for(&bank, 1, "sent");
    assert!(slow.count() < 500, "{}", slow.count());
}

#[test]
fn a_push_service_that_does_not_want_one_subscription_is_asked_for_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = HttpServer::start(|request| match request.path.as_str() {
        "/push/one" => Some(Said::new(201, "").header("location", &"x".repeat(50_000))),
        _ => Some(Said::new(403, "")),
    });
    let (bank, browser) = (web_push_bank(folder.path()), ask("browser", &json!({})));
    let [refused, also_refused, fine] = [(); 3].map(|()| Customer::new(&bank, "en", "USD"));
    for customer in [&refused, &also_refused] {
        let mut subscription = subscription(&server, &browser);
        subscription["web_push"]["endpoint"] = json!(format!("{}/push/{}", server.url(), customer.id));
        add_device(&bank, customer, &subscription);
        (0..3).for_each(|_| customer.deposit(&bank, "1", "USD"));
    }
    server.wait_for(6);
    add_device(&bank, &fine, &subscription(&server, &browser));
    fine.deposit(&bank, "1", "USD");
    let sent = fine.wait_for(&bank, 1, "sent").remove(0);
    assert_eq!(sent["provider_id"], Value::Null, "nothing that a service answers is kept unbounded");
    let text = bank.get("/metrics").expect(200).text();
    assert!(!text.contains("florin_messages_breaker{subscriber=\"web_push\""), "{text}");
}

#[test]
fn devices_are_registered_once_and_never_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let bank = start(&folder.path().join("data"), &mut impatient(&folder.path().join("data")));
    let customer = Customer::new(&bank, "en", "USD");
    let path = format!("/api/v1/users/{}/devices", customer.id);
    let token = json!({"fcm_token": "very-secret-token"});
    let first = bank.post(&path, &token).expect(201).json();
    assert_eq!(bank.post(&path, &token).expect(201).json(), first);
    let listed = bank.get(&path).expect(200).text();
    assert!(!listed.contains("secret") && listed.contains(first["device_id"].as_str().expect("an id")), "{listed}");
    for wrong in [
        json!({}),
        json!({"fcm_token": ""}),
        json!({"fcm_token": "a b"}),
        json!({"fcm_token": "a", "web_push": {"endpoint": "https://push.example/", "keys": {}}}),
        json!({"web_push": {"endpoint": "http://push.example/", "keys": {"p256dh": "x", "auth": "y"}}}),
        json!({"web_push": {"endpoint": "https://push.example/", "keys": {"p256dh": "AAAA", "auth": "AAAA"}}}),
    ] {
        bank.post(&path, &wrong).expect_problem(400, "malformed");
    }
    (1..20).for_each(|number| _ = bank.post(&path, &json!({"fcm_token": format!("t{number}")})).expect(201));
    bank.post(&path, &json!({"fcm_token": "one-more"})).expect_problem(422, "limit_exceeded");
    let one = format!("{path}/{}", first["device_id"].as_str().expect("an id"));
    bank.send(Request::new("DELETE", &one)).expect(204);
    bank.send(Request::new("DELETE", &one)).expect(204);
    let data = folder.path().join("data");
    drop(bank);
    let kept = std::fs::read(data.join("records")).expect("a file");
    assert!(!kept.windows(17).any(|part| part == b"very-secret-token"), "tokens are sealed");
}

#[test]
fn a_telephone_that_somebody_else_registers_is_theirs_and_tells_nobody_elses_business() {
    let folder = tempfile::tempdir().expect("a folder");
    let bank = start(&folder.path().join("data"), &mut impatient(&folder.path().join("data")));
    let [former, owner] = [(); 2].map(|()| Customer::new(&bank, "en", "USD"));
    let token = json!({"fcm_token": "a-telephone"});
    let devices = |customer: &Customer| {
        let path = format!("/api/v1/users/{}/devices", customer.id);
        bank.get(&path).expect(200).json()["items"].as_array().map(Vec::len)
    };
    for customer in [&former, &owner] {
        add_device(&bank, customer, &token);
        customer.prefers(&bank, &json!({"channels": ["push"]}));
    }
    assert_eq!((devices(&former), devices(&owner)), (Some(0), Some(1)));
    former.deposit(&bank, "1", "USD");
    owner.deposit(&bank, "1", "USD");
    owner.wait_for(&bank, 1, "outbox");
    assert_eq!(former.deliveries(&bank).len(), 0);
    add_device(&bank, &former, &token);
    assert_eq!((devices(&former), devices(&owner)), (Some(1), Some(0)));
}

struct Firebase {
    server: Arc<HttpServer>,
    public: Value,
}

/// A bank with a service account, whose tokens and messages this server answers.
fn firebase(folder: &Path, answer: impl Fn(usize) -> Option<Said> + Send + Sync + 'static) -> (Bank, Firebase) {
    let asked = AtomicUsize::new(0);
    let granted = r#"{"access_token":"access-1","expires_in":3599,"token_type":"Bearer"}"#;
    let server = HttpServer::start(move |request| match request.path.as_str() {
        "/token" => Some(Said::new(200, granted)),
        _ => answer(asked.fetch_add(1, Ordering::SeqCst)),
    });
    let made = ask("service-account", &json!({"token_uri": format!("{}/token", server.url())}));
    let file = folder.join("firebase.json");
    std::fs::write(&file, made["account"].to_string()).expect("written");
    let data = folder.join("data");
    let mut command = impatient(&data);
    command.env("FLORIN_FCM__URL", server.url()).env("FLORIN_FCM__SERVICE_ACCOUNT_FILE", file);
    let bank = start(&data, &mut command);
    (bank, Firebase { server: Arc::new(server), public: made["public"].clone() })
}

fn done() -> Option<Said> {
    Some(Said::new(200, r#"{"name":"projects/example-project/messages/1"}"#))
}

#[test]
fn firebase_is_asked_as_a_service_account_that_fetches_its_token_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (bank, firebase) = firebase(folder.path(), |_| done());
    let customer = Customer::new(&bank, "en", "USD");
    add_device(&bank, &customer, &json!({"fcm_token": "device-1"}));
    customer.deposit(&bank, "1000", "USD");
    customer.wait_for(&bank, 1, "sent");
    customer.deposit(&bank, "1", "USD");
    let requests = firebase.server.wait_for(3);
    let (tokens, messages): (Vec<_>, Vec<_>) = requests.iter().partition(|request| request.path == "/token");
    assert_eq!((tokens.len(), messages.len()), (1, 2), "the token is used again");
    assert_eq!(tokens[0].field("grant_type").as_deref(), Some("urn:ietf:params:oauth:grant-type:jwt-bearer"));
    let audience = format!("{}/token", firebase.server.url());
    let question = json!({"assertion": tokens[0].field("assertion"), "public": firebase.public, "audience": audience});
    let read = ask("assertion", &question);
    assert_eq!(read["claims"]["iss"], "bank@example-project.iam.example");
    assert_eq!(read["claims"]["scope"], "https://www.googleapis.com/auth/firebase.messaging");
    assert_eq!((&read["header"]["alg"], &read["header"]["kid"]), (&json!("RS256"), &json!("key-1")));
    assert_eq!(messages[0].path, "/v1/projects/example-project/messages:send");
    assert_eq!(messages[0].header("authorization"), Some("Bearer access-1"));
    let body: Value = serde_json::from_slice(&messages[0].body).expect("JSON");
    let message = &body["message"];
    assert_eq!((&message["token"], &message["notification"]["body"]), (&json!("device-1"), &json!(TEXT)));
    let sent = customer.wait_for(&bank, 2, "sent");
    let id = &sent.iter().find(|sent| sent["data"]["amount"] == "1000.00").expect("a delivery")["delivery_id"];
    for place in [
        &message["android"]["notification"]["tag"],
        &message["apns"]["headers"]["apns-collapse-id"],
        &message["data"]["id"],
    ] {
        assert_eq!(place, id);
    }
    assert_eq!(sent[0]["provider_id"], "projects/example-project/messages/1");
}

#[test]
fn what_firebase_answers_is_told_apart() {
    let error =
        |status: &str, code: &str| json!({"error": {"status": status, "details": [{"errorCode": code}]}}).to_string();
    let unregistered = error("NOT_FOUND", "UNREGISTERED");
    let invalid = error("INVALID_ARGUMENT", "INVALID_ARGUMENT");
    let quota = error("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED");
    let folder = tempfile::tempdir().expect("a folder");
    let (bank, firebase) = firebase(folder.path(), move |place| match place {
        0 => Some(Said::new(401, "")),
        1 => Some(Said::new(500, "")),
        2 => Some(Said::new(429, &quota).header("retry-after", "1")),
        3 => done(),
        4 => Some(Said::new(400, &invalid)),
        _ => Some(Said::new(404, &unregistered)),
    });
    let customer = Customer::new(&bank, "en", "USD");
    add_device(&bank, &customer, &json!({"fcm_token": "device-1"}));
    customer.deposit(&bank, "1", "USD");
    assert_eq!(customer.wait_for(&bank, 1, "sent")[0]["attempts"], 4);
    let tokens = || firebase.server.received().iter().filter(|request| request.path == "/token").count();
    assert_eq!(tokens(), 2, "after a 401 another token is fetched");
    customer.deposit(&bank, "2", "USD");
    assert_eq!(customer.wait_for(&bank, 1, "failed")[0]["code"], "fcm_invalid_argument");
    customer.deposit(&bank, "3", "USD");
    assert_eq!(customer.wait_for(&bank, 2, "failed")[0]["code"], "fcm_unregistered");
    let devices = format!("/api/v1/users/{}/devices", customer.id);
    wait_until("the device is forgotten", || bank.get(&devices).expect(200).json()["items"] == json!([]));
}
