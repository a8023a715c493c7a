//! SMS and WhatsApp: what Twilio's documentation asks for, and what it answers.

use super::world::{Customer, impatient, start};
use crate::support::bank::Bank;
use crate::support::http::Connection;
use crate::support::wait::wait_until;
use serde_json::json;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use test_servers::{HttpServer, Received, Said};

const SID: &str = "AC00000000000000000000000000000001";
const MADE: &str = r#"{"sid":"SM00000000000000000000000000000001","status":"queued"}"#;

fn bank(folder: &Path, server: &HttpServer) -> Bank {
    start(&folder.join("data"), &mut with_twilio(folder, server))
}

fn with_twilio(folder: &Path, server: &HttpServer) -> Command {
    let token = folder.join("twilio.token");
    std::fs::write(&token, "token-of-twilio\n").expect("written");
    let data = folder.join("data");
    let mut command = impatient(&data);
    command
        .env("FLORIN_TWILIO__URL", server.url())
        .env("FLORIN_TWILIO__ACCOUNT_SID", SID)
        .env("FLORIN_TWILIO__AUTH_TOKEN_FILE", token)
        .env("FLORIN_TWILIO__SMS_FROM", "+15005550006")
        .env("FLORIN_TWILIO__WHATSAPP_FROM", "+14155238886")
        .env("FLORIN_TWILIO__WHATSAPP_CONTENT_SID", "HX0001");
    command
}

fn reached_by(bank: &Bank, channel: &str) -> Customer {
    let customer = Customer::new(bank, "en", "USD");
    customer.prefers(bank, &json!({"channels": [channel]}));
    customer
}

fn is_whatsapp(request: &Received) -> bool {
    request.field("To").is_some_and(|to| to.starts_with("whatsapp:"))
}

#[test]
fn messages_are_asked_for_as_twilio_documents_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = HttpServer::start(|_| Some(Said::new(201, MADE)));
    let bank = bank(folder.path(), &server);
    let (short, whatsapp) = (reached_by(&bank, "sms"), reached_by(&bank, "whatsapp"));
    short.deposit(&bank, "1000", "USD");
    whatsapp.deposit(&bank, "5", "USD");
    let requests = server.wait_for(2);
    for request in &requests {
        assert_eq!(
            (request.method.as_str(), request.path.as_str()),
            ("POST", "/2010-04-01/Accounts/AC00000000000000000000000000000001/Messages.json")
        );
        assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
        // AC…:token-of-twilio
        let expected = "Basic QUMwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMTp0b2tlbi1vZi10d2lsaW8=";
        assert_eq!(request.header("authorization"), Some(expected));
    }
    let sms = requests.iter().find(|request| !is_whatsapp(request)).expect("an SMS");
    assert_eq!(sms.field("To").as_deref(), Some(short.phone.as_str()));
    assert_eq!(sms.field("From").as_deref(), Some("+15005550006"));
    let text = "Your deposit of $1,000.00 was successful. Your new balance is $1,000.00.";
    assert_eq!(sms.field("Body").as_deref(), Some(text));
    let message = requests.iter().find(|request| is_whatsapp(request)).expect("a message of WhatsApp");
    assert_eq!(message.field("To"), Some(format!("whatsapp:{}", whatsapp.phone)));
    assert_eq!(message.field("From").as_deref(), Some("whatsapp:+14155238886"));
    assert_eq!(message.field("ContentSid").as_deref(), Some("HX0001"));
    let variables: serde_json::Value =
        serde_json::from_str(&message.field("ContentVariables").expect("variables")).expect("JSON");
    assert!(variables["1"].as_str().is_some_and(|text| text.starts_with("Your deposit of $5.00")), "{variables}");
    let sent = short.wait_for(&bank, 1, "sent").remove(0);
    assert_eq!(sent["provider_id"], "SM00000000000000000000000000000001");
    assert_eq!(sms.header("i-twilio-idempotency-token"), sent["delivery_id"].as_str());
}

#[test]
fn what_twilio_refuses_for_good_is_not_asked_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let invalid = r#"{"code":21211,"message":"Invalid 'To' Phone Number","status":400}"#;
    let server = HttpServer::start(move |_| Some(Said::new(400, invalid)));
    let bank = bank(folder.path(), &server);
    let customer = reached_by(&bank, "sms");
    customer.deposit(&bank, "1", "USD");
    let failed = customer.wait_for(&bank, 1, "failed").remove(0);
    assert_eq!((&failed["code"], &failed["attempts"]), (&json!("twilio_21211"), &json!(1)));
    assert_eq!(server.count(), 1);
}

/// The first requests are answered so, then all is well.
fn troubled(troubles: Vec<Option<Said>>) -> HttpServer {
    let place = Arc::new(AtomicUsize::new(0));
    HttpServer::start(move |_| match troubles.get(place.fetch_add(1, Ordering::SeqCst)) {
        Some(trouble) => trouble.clone(),
        None => Some(Said::new(201, MADE)),
    })
}

#[test]
fn a_planned_restart_sends_nothing_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let (release, held) = channel::<()>();
    let (came, coming) = channel();
    let held = Mutex::new(held);
    // Nothing is answered until the test says so.
    let server = HttpServer::start(move |_| {
        came.send(()).expect("the test goes on");
        _ = held.lock().expect("not poisoned").recv();
        Some(Said::new(201, MADE))
    });
    // Longer than this test has patience.
    let command = || {
        let mut command = with_twilio(folder.path(), &server);
        command.env("FLORIN_NOTIFICATIONS__TIMEOUT_MS", "300000");
        command
    };
    let data = folder.path().join("data");
    let bank = start(&data, &mut command());
    let customer = reached_by(&bank, "sms");
    customer.deposit(&bank, "1", "USD");
    coming.recv().expect("it is asked");
    let address = bank.address();
    std::thread::scope(|scope| {
        let stopped = scope.spawn(move || bank.stop().0);
        wait_until("it is being stopped", || Connection::open(address).is_err());
        drop(release);
        assert_eq!(stopped.join().expect("stopped"), Some(0));
    });
    let bank = start(&data, &mut command());
    let sent = customer.wait_for(&bank, 1, "sent").remove(0);
    assert_eq!((&sent["attempts"], server.count()), (&json!(1), 1));
}

#[test]
fn too_many_requests_failures_and_no_answer_are_asked_again_with_the_same_id() {
    let folder = tempfile::tempdir().expect("a folder");
    let too_many = Said::new(429, r#"{"code":20429,"status":429}"#);
    let server =
        troubled(vec![Some(too_many), Some(Said::new(503, "")), Some(Said::new(500, "<html>oops</html>")), None]);
    let bank = bank(folder.path(), &server);
    let customer = reached_by(&bank, "sms");
    customer.deposit(&bank, "1", "USD");
    let requests = server.wait_for(5);
    let id = requests[0].header("i-twilio-idempotency-token");
    assert!(id.is_some() && requests.iter().all(|request| request.header("i-twilio-idempotency-token") == id));
    let sent = customer.wait_for(&bank, 1, "sent").remove(0);
    assert_eq!((&sent["attempts"], sent["delivery_id"].as_str()), (&json!(5), id));
}

#[test]
fn a_provider_that_asks_for_time_gets_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let wait = || Some(Said::new(429, "{}").header("retry-after", "2"));
    let server = troubled(vec![wait(), wait()]);
    let bank = bank(folder.path(), &server);
    let [first, second, third] = [(); 3].map(|()| reached_by(&bank, "sms"));
    [&first, &second].into_iter().for_each(|customer| customer.deposit(&bank, "1", "USD"));
    wait_until("it is asked to wait", || server.count() == 2);
    let asked = crate::support::wait::now();
    for customer in [&first, &second] {
        wait_until("that is noted", || customer.deliveries(&bank)[0]["attempts"] == 1);
    }
    third.deposit(&bank, "1", "USD");
    server.wait_for(3);
    assert!(std::time::Duration::from_millis(1800) <= asked.elapsed(), "the third waited as well");
    [first, second, third].iter().for_each(|customer| _ = customer.wait_for(&bank, 1, "sent"));
}

#[test]
fn a_provider_that_asks_for_time_about_one_customer_is_given_what_is_for_others() {
    let folder = tempfile::tempdir().expect("a folder");
    // Longer than this test has patience.
    let server = troubled(vec![Some(Said::new(429, "{}").header("retry-after", "600"))]);
    let bank = bank(folder.path(), &server);
    let [slowed, fine] = [(); 2].map(|()| reached_by(&bank, "sms"));
    slowed.deposit(&bank, "1", "USD");
    server.wait_for(1);
    wait_until("that is noted", || slowed.deliveries(&bank)[0]["attempts"] == 1);
    fine.deposit(&bank, "1", "USD");
    fine.wait_for(&bank, 1, "sent");
    slowed.wait_for(&bank, 1, "waiting");
}

#[test]
fn a_wrong_password_is_nobodys_message_failing() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = || Some(Said::new(401, r#"{"code":20003,"message":"Authenticate","status":401}"#));
    let server = troubled(vec![refused(), refused(), refused()]);
    let bank = bank(folder.path(), &server);
    let customer = reached_by(&bank, "sms");
    customer.deposit(&bank, "1", "USD");
    let sent = customer.wait_for(&bank, 1, "sent").remove(0);
    assert_eq!(sent["attempts"], 4);
}

#[test]
fn one_channel_that_is_down_holds_up_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = HttpServer::start(|request| match is_whatsapp(request) {
        true => None,
        false => Some(Said::new(201, MADE)),
    });
    let bank = bank(folder.path(), &server);
    let customer = Customer::new(&bank, "en", "USD");
    customer.prefers(&bank, &json!({"channels": ["sms", "whatsapp"]}));
    (0..10).for_each(|_| customer.deposit(&bank, "1", "USD"));
    let sent = customer.wait_for(&bank, 10, "sent");
    assert!(sent.iter().all(|delivery| delivery["channel"] == "sms"), "{sent:?}");
}
