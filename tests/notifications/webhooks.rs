//! Webhooks: signed so that others' libraries accept them, to endpoints that choose, rotate, refuse and go.

use super::oracle::ask;
use super::world::{Customer, impatient, start};
use crate::support::bank::Bank;
use crate::support::http::Request;
use crate::support::wait::wait_until;
use serde_json::{Value, json};
use std::path::Path;
use test_servers::{HttpServer, Received, Said};

fn bank(folder: &Path) -> Bank {
    start(folder, impatient(folder).env("FLORIN_WEBHOOKS__ALLOW_PRIVATE", "true"))
}

fn endpoint(bank: &Bank, server: &HttpServer, kinds: &Value) -> Value {
    let asked = json!({"url": format!("{}/hook", server.url()), "kinds": kinds});
    bank.post("/api/v1/webhooks", &asked).expect(201).json()
}

fn verify(request: &Received, secret: &Value) -> Value {
    let headers: Value = request
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
        .collect::<serde_json::Map<_, _>>()
        .into();
    ask("webhook", &json!({"secret": secret, "body": request.text(), "headers": headers}))
}

#[test]
fn an_endpoint_gets_the_kinds_it_chose_signed_as_standard_webhooks_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = HttpServer::start(|_| Some(Said::new(204, "")));
    let bank = bank(folder.path());
    let made = endpoint(&bank, &server, &json!(["deposit"]));
    let customer = Customer::new(&bank, "en", "EUR");
    customer.prefers(&bank, &json!({"channels": []}));
    customer.deposit(&bank, "10.50", "EUR");
    let withdrawal = json!({"type": "withdrawal", "from": customer.id, "amount": "1", "currency": "EUR"});
    bank.post("/api/v1/transfers", &withdrawal).expect(201);
    customer.deposit(&bank, "2", "EUR");
    let requests = server.wait_for(2);
    let contents: Vec<Value> =
        requests.iter().map(|request| verify(request, &made["secret"])["content"].clone()).collect();
    assert!(contents.iter().all(|content| content["type"] == "deposit"), "{contents:?}");
    let first = contents.iter().find(|content| content["data"]["amount"] == "10.50").expect("the first deposit");
    let data = json!({"user_id": customer.id, "account_id": customer.id, "currency": "EUR", "amount": "10.50",
        "balance": "10.50", "transfer_id": first["data"]["transfer_id"]});
    assert_eq!(first["data"], data);
    let sent = customer.wait_for(&bank, 2, "sent");
    for request in &requests {
        let id = request.header("webhook-id");
        assert!(sent.iter().any(|delivery| delivery["delivery_id"].as_str() == id), "{id:?}");
        assert!(verify(request, &json!("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))["refused"].is_string());
    }
    let listed = bank.get("/api/v1/webhooks").expect(200).text();
    assert!(!listed.contains("whsec_"), "a secret is shown once: {listed}");
}

#[test]
fn for_a_while_after_a_rotation_both_secrets_sign() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = HttpServer::start(|_| Some(Said::new(200, "")));
    let bank = bank(folder.path());
    let made = endpoint(&bank, &server, &Value::Null);
    let path = format!("/api/v1/webhooks/{}", made["webhook_id"].as_str().expect("an id"));
    let rotated = bank.send(Request::post(&format!("{path}/rotate"))).expect(200).json();
    assert!(rotated["secret"].is_string() && rotated["secret"] != made["secret"]);
    assert_eq!(rotated["secrets"], 2);
    let customer = Customer::new(&bank, "en", "EUR");
    customer.deposit(&bank, "1", "EUR");
    let request = server.wait_for(1).remove(0);
    for secret in [&made["secret"], &rotated["secret"]] {
        assert_eq!(verify(&request, secret)["content"]["type"], "deposit");
    }
}

#[test]
fn an_endpoint_that_fails_is_told_later_and_one_that_is_gone_no_more() {
    let folder = tempfile::tempdir().expect("a folder");
    let (failing, gone) =
        (HttpServer::start(|_| Some(Said::new(500, ""))), HttpServer::start(|_| Some(Said::new(410, ""))));
    let fine = HttpServer::start(|_| Some(Said::new(200, "")));
    let bank = bank(folder.path());
    endpoint(&bank, &failing, &Value::Null);
    let removed = endpoint(&bank, &gone, &Value::Null);
    endpoint(&bank, &fine, &Value::Null);
    let customer = Customer::new(&bank, "en", "EUR");
    customer.deposit(&bank, "1", "EUR");
    fine.wait_for(1);
    failing.wait_for(2);
    let id = failing.received()[0].header("webhook-id").map(str::to_owned);
    assert!(failing.received().iter().all(|request| request.header("webhook-id").map(str::to_owned) == id));
    failing.answer(|_| Some(Said::new(200, "")));
    let path = format!("/api/v1/webhooks/{}", removed["webhook_id"].as_str().expect("an id"));
    wait_until("it is off", || bank.get(&path).expect(200).json()["enabled"] == false);
    customer.deposit(&bank, "2", "EUR");
    fine.wait_for(2);
    customer.wait_for(&bank, 4, "sent");
    assert_eq!(gone.count(), 1);
    gone.answer(|_| Some(Said::new(200, "")));
    bank.send(Request::post(&format!("{path}/enable"))).expect(200);
    gone.wait_for(2);
}

#[test]
fn what_waits_for_an_endpoint_that_says_it_is_gone_is_told_when_it_is_on_again() {
    const DEPOSITS: usize = 200;
    let folder = tempfile::tempdir().expect("a folder");
    let server = HttpServer::start(|_| Some(Said::new(500, "")));
    let bank = bank(folder.path());
    let made = endpoint(&bank, &server, &json!(["deposit"]));
    let customer = Customer::new(&bank, "en", "EUR");
    customer.prefers(&bank, &json!({"channels": []}));
    (0..DEPOSITS).for_each(|_| customer.deposit(&bank, "1", "EUR"));
    customer.wait_for(&bank, DEPOSITS, "waiting");
    server.answer(|_| Some(Said::new(410, "")));
    let path = format!("/api/v1/webhooks/{}", made["webhook_id"].as_str().expect("an id"));
    wait_until("it is off", || bank.get(&path).expect(200).json()["enabled"] == false);
    server.answer(|_| Some(Said::new(200, "")));
    bank.send(Request::post(&format!("{path}/enable"))).expect(200);
    let standing = |status: &str| {
        let all = customer.deliveries(&bank).into_iter();
        all.filter(|delivery| delivery["status"] == status).collect::<Vec<_>>()
    };
    wait_until("all are told but those it refused", || DEPOSITS == standing("sent").len() + standing("failed").len());
    for failed in standing("failed") {
        assert_eq!(failed["code"], "http_410");
        let id = failed["delivery_id"].as_str().expect("an id");
        bank.send(Request::post(&format!("/api/v1/deliveries/{id}/redrive"))).expect(200);
    }
    customer.wait_for(&bank, DEPOSITS, "sent");
}

#[test]
fn what_happened_before_an_endpoint_was_there_is_not_told_to_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = HttpServer::start(|_| Some(Said::new(200, "")));
    let bank = bank(folder.path());
    let customer = Customer::new(&bank, "en", "EUR");
    customer.deposit(&bank, "1", "EUR");
    let made = endpoint(&bank, &server, &Value::Null);
    customer.deposit(&bank, "2", "EUR");
    assert!(server.wait_for(1)[0].text().contains("\"2.00\""));
    let path = format!("/api/v1/webhooks/{}", made["webhook_id"].as_str().expect("an id"));
    bank.send(Request::new("DELETE", &path)).expect(204);
    bank.get(&path).expect_problem(404, "webhook_not_found");
    customer.deposit(&bank, "3", "EUR");
    let other = endpoint(&bank, &server, &Value::Null);
    customer.deposit(&bank, "4", "EUR");
    let texts: Vec<String> = server.wait_for(2).iter().map(Received::text).collect();
    assert!(texts[1].contains("\"4.00\"") && other["webhook_id"] != made["webhook_id"], "{texts:?}");
}

#[test]
fn redirects_are_not_followed_and_networks_of_the_bank_not_reached() {
    let folder = tempfile::tempdir().expect("a folder");
    let hidden = HttpServer::start(|_| Some(Said::new(200, "")));
    let url = hidden.url();
    let server = HttpServer::start(move |_| Some(Said::new(302, "").header("location", &url)));
    let bank = bank(folder.path());
    endpoint(&bank, &server, &Value::Null);
    let customer = Customer::new(&bank, "en", "EUR");
    customer.deposit(&bank, "1", "EUR");
    server.wait_for(2);
    assert_eq!(hidden.count(), 0);
    let (_, data, _kept) = bank.stop();
    // The same folder with a program that refuses what is not public.
    let bank = start(&data, &mut impatient(&data));
    let count = server.count();
    assert_eq!(customer.wait_for(&bank, 1, "failed")[0]["code"], "address_not_public");
    assert_eq!(server.count(), count);
    for url in ["http://hooks.example/", "https://user@hooks.example/", "ftp://hooks.example/", "https://", "hooks"] {
        bank.post("/api/v1/webhooks", &json!({"url": url})).expect_problem(400, "malformed");
    }
    bank.post("/api/v1/webhooks", &json!({"url": "https://localhost:1/"})).expect(201);
    customer.deposit(&bank, "2", "EUR");
    let refused = |delivery: &Value| delivery["code"] == "address_not_public" && delivery["attempts"] == 1;
    wait_until("the name is refused too", || {
        customer.deliveries(&bank).iter().filter(|delivery| refused(delivery)).count() == 2
    });
}
