//! The operator's desk: what failed is listed, shown, sent again or discarded, over HTTP and by the program.

use super::world::{Customer, start, with_mail};
use crate::support::bank::{Bank, serve};
use crate::support::http::Request;
use crate::support::program::{Run, run};
use serde_json::json;
use std::path::Path;
use test_servers::{MailAnswer, MailServer};

fn deliveries(folder: &Path, arguments: &[&str]) -> Run {
    let folder = folder.to_str().expect("a UTF-8 path");
    run(["deliveries", arguments[0], "--data", folder, "--json"].iter().chain(&arguments[1..]))
}

#[test]
fn what_failed_is_sent_again_with_its_id_when_a_person_says_so() {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), MailServer::start());
    server.answer(MailAnswer::RefuseRecipient(550));
    let bank = start(folder.path(), &mut with_mail(folder.path(), &server));
    let customers: Vec<Customer> = (0..3).map(|_| Customer::new(&bank, "en", "EUR")).collect();
    customers.iter().for_each(|customer| customer.deposit(&bank, "1", "EUR"));
    let failed: Vec<_> = customers.iter().map(|customer| customer.wait_for(&bank, 1, "failed").remove(0)).collect();
    let listed = bank.all("/api/v1/deliveries?status=failed");
    assert_eq!(listed.len(), 3);
    assert!(listed[0]["booked_at"].as_str() >= listed[2]["booked_at"].as_str(), "the newest first");
    let page = bank.get("/api/v1/deliveries?status=failed&limit=2").expect(200).json();
    assert_eq!(page["items"].as_array().map(Vec::len), Some(2));
    let cursor = page["next_cursor"].as_str().expect("a cursor");
    let rest = bank.get(&format!("/api/v1/deliveries?status=failed&limit=2&cursor={cursor}")).expect(200).json();
    assert_eq!((&rest["items"][0], &rest["items"][1]), (&listed[2], &serde_json::Value::Null));
    server.answer(MailAnswer::Take);
    let id = failed[0]["delivery_id"].as_str().expect("an id");
    let redriven = bank.send(Request::post(&format!("/api/v1/deliveries/{id}/redrive"))).expect(200).json();
    assert_eq!((&redriven["status"], &redriven["attempts"]), (&json!("waiting"), &json!(0)));
    let sent = customers[0].wait_for(&bank, 1, "sent").remove(0);
    assert_eq!(sent["delivery_id"], id);
    assert_eq!(server.wait_for(1)[0].header("Message-ID"), Some(format!("<{id}@bank.example>")));
    // Again it stays as it is.
    assert_eq!(bank.send(Request::post(&format!("/api/v1/deliveries/{id}/redrive"))).expect(200).json(), sent);
    let (_, data, _kept) = bank.stop();
    let table = deliveries(&data, &["list", "--status", "failed"]).expect_code(0).json();
    assert_eq!(table["items"].as_array().map(Vec::len), Some(2));
    let other = failed[1]["delivery_id"].as_str().expect("an id");
    assert_eq!(deliveries(&data, &["show", other]).expect_code(0).json()["code"], "smtp_550");
    let discarded = deliveries(&data, &["discard", other, "--reason", "the account is closed"]).expect_code(0).json();
    assert_eq!((&discarded["status"], &discarded["reason"]), (&json!("discarded"), &json!("the account is closed")));
    deliveries(&data, &["redrive", other]).expect_code(1);
    assert_eq!(deliveries(&data, &["redrive", "--all"]).expect_code(0).json(), json!({"redriven": 1}));
    deliveries(&data, &["show", "no-id"]).expect_code(2);
    deliveries(&data, &["show", &"0".repeat(32)]).expect_code(1);
    let bank = start(&data, &mut with_mail(&data, &server));
    customers[2].wait_for(&bank, 1, "sent");
    assert_eq!(customers[1].deliveries(&bank)[0]["status"], "discarded");
    assert_eq!(server.wait_for(2).len(), 2);
}

#[test]
fn only_who_may_decides() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut bank = Bank::open_with_tokens();
    let customer = Customer::new(&bank, "en", "EUR");
    customer.deposit(&bank, "1", "EUR");
    let id = customer.wait_for(&bank, 1, "outbox")[0]["delivery_id"].as_str().expect("an id").to_owned();
    let token = |bank: &Bank, role: &str| {
        let made = bank.post("/api/v1/tokens", &json!({"name": role, "role": role})).expect(201).json();
        made["token"].as_str().expect("a token").to_owned()
    };
    let (teller, auditor) = (token(&bank, "teller"), token(&bank, "auditor"));
    let asks = |bank: &Bank, token: &str, request: Request| bank.send_as_it_is(&request.token(token)).status;
    let discard = || Request::post(&format!("/api/v1/deliveries/{id}/discard")).json(&json!({"reason": "x"}));
    let redrive = || Request::post(&format!("/api/v1/deliveries/{id}/redrive"));
    let hook = || Request::post("/api/v1/webhooks").json(&json!({"url": "https://hooks.example/"}));
    let prefers = || Request::new("PUT", &format!("/api/v1/users/{}/preferences", customer.id)).json(&json!({}));
    assert_eq!([discard(), redrive(), hook(), prefers()].map(|request| asks(&bank, &auditor, request)), [403; 4]);
    assert_eq!(
        [discard(), hook(), redrive(), prefers()].map(|request| asks(&bank, &teller, request)),
        [403, 403, 200, 200]
    );
    assert_eq!(asks(&bank, &auditor, Request::get(&format!("/api/v1/deliveries/{id}"))), 200);
    assert_eq!(asks(&bank, &auditor, Request::get("/api/v1/webhooks")), 200);
    bank = Bank::attach(crate::support::bank::Server::start(serve(folder.path()).arg("--no-auth")), folder.path());
    bank.get(&format!("/api/v1/deliveries/{id}")).expect_problem(404, "delivery_not_found");
}
