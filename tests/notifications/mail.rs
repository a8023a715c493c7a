//! E-mail: what it says, and mail servers that refuse, delay, hang up and say nothing.

use super::oracle::{ask, python, script};
use super::world::{Customer, impatient, start, with_mail};
use crate::support::bank::Bank;
use crate::support::http::Request;
use crate::support::wait::wait_until;
use serde_json::json;
use std::process::Command;
use test_servers::{Mail, MailAnswer, MailServer, Process, free_ports};

/// What the metrics say of a breaker that is open.
const OPEN: &str = "florin_messages_breaker{subscriber=\"email\",provider=\"\"} 2\n";

/// The text of a mail's plain part, as long as it is ASCII.
fn plain(mail: &Mail) -> String {
    let part = mail.content.split("Content-Type: text/plain").nth(1).unwrap_or_default();
    part.split("\r\n\r\n").nth(1).unwrap_or_default().trim().to_owned()
}

#[test]
fn a_deposit_and_a_withdrawal_reach_the_customer_in_the_words_that_were_agreed() {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), MailServer::start());
    let bank = start(folder.path(), &mut with_mail(folder.path(), &server));
    let customer = Customer::new(&bank, "en-US", "USD");
    customer.deposit(&bank, "5000", "USD");
    let withdrawal = json!({"type": "withdrawal", "from": customer.id, "amount": "500", "currency": "USD"});
    bank.post("/api/v1/transfers", &withdrawal).expect(201);
    let mut mails = server.wait_for(2);
    mails.sort_by_key(plain);
    assert_eq!(plain(&mails[0]), "Alert: $500.00 withdrawn from your account. Available balance: $4,500.00.");
    assert_eq!(plain(&mails[1]), "Your deposit of $5,000.00 was successful. Your new balance is $5,000.00.");
    for mail in &mails {
        assert_eq!(mail.to, customer.email);
        assert_eq!(mail.header("Subject").as_deref(), Some("Transaction Confirmation"));
        assert!(mail.header("From").is_some_and(|from| from.contains("messages@bank.example")), "{mail:?}");
        assert!(mail.content.contains("text/html"), "{mail:?}");
    }
    let deliveries = customer.wait_for(&bank, 2, "sent");
    let ids: Vec<&str> = deliveries.iter().filter_map(|delivery| delivery["delivery_id"].as_str()).collect();
    for mail in &mails {
        let id = mail.header("Message-ID").expect("an id");
        assert!(ids.iter().any(|known| id == format!("<{known}@bank.example>")), "{id} is none of {ids:?}");
    }
    assert!(deliveries[0]["provider_id"].as_str().is_some_and(|said| said.contains("4711")), "{deliveries:?}");
    assert!(server.connections() <= 2, "connections are used again");
}

#[test]
fn without_configuration_messages_are_files_marked_as_not_sent() {
    let folder = tempfile::tempdir().expect("a folder");
    let bank = start(folder.path(), &mut impatient(folder.path()));
    let customer = Customer::new(&bank, "cs", "CZK");
    customer.prefers(&bank, &json!({"channels": ["email", "sms"]}));
    customer.deposit(&bank, "1234.50", "CZK");
    let deliveries = customer.wait_for(&bank, 2, "outbox");
    let file = |channel: &str, ending: &str| {
        let delivery = deliveries.iter().find(|delivery| delivery["channel"] == channel).expect("a delivery");
        let id = delivery["delivery_id"].as_str().expect("an id");
        std::fs::read_to_string(folder.path().join("outbox").join(format!("{id}.{ending}"))).expect("a file")
    };
    assert!(file("email", "eml").starts_with("X-Florin-Status: not sent\r\n"));
    let sms: serde_json::Value = serde_json::from_str(&file("sms", "json")).expect("JSON");
    assert_eq!((&sms["status"], &sms["to"]), (&json!("not sent"), &json!(customer.phone)));
    let text = "Váš vklad 1\u{a0}234,50\u{a0}Kč byl úspěšný. Nový zůstatek je 1\u{a0}234,50\u{a0}Kč.";
    assert_eq!(sms["text"], text);
}

#[test]
fn what_a_mail_server_refuses_for_now_is_sent_again_with_the_same_id() {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), MailServer::start());
    let bank = start(folder.path(), &mut with_mail(folder.path(), &server));
    for trouble in [
        MailAnswer::RefuseRecipient(451),
        MailAnswer::RefuseMessage(451),
        MailAnswer::RefuseMessage(452),
        MailAnswer::HangUp,
        MailAnswer::Silence,
    ] {
        let customer = Customer::new(&bank, "en", "EUR");
        server.answer_to(&customer.email, trouble);
        customer.deposit(&bank, "1", "EUR");
        wait_until("an attempt failed", || {
            customer.deliveries(&bank).iter().any(|delivery| delivery["attempts"].as_u64() >= Some(1))
        });
        let waiting = customer.wait_for(&bank, 1, "waiting").remove(0);
        assert!(waiting["code"].is_string(), "{trouble:?}: {waiting}");
        assert!(server.taken().iter().all(|mail| mail.to != customer.email), "{trouble:?}");
        server.answer_to(&customer.email, MailAnswer::Take);
        let sent = customer.wait_for(&bank, 1, "sent").remove(0);
        assert_eq!(sent["delivery_id"], waiting["delivery_id"]);
        assert!(sent["attempts"].as_u64() > Some(1), "{trouble:?}: {sent}");
        let taken: Vec<Mail> = server.taken().into_iter().filter(|mail| mail.to == customer.email).collect();
        assert_eq!(taken.len(), 1, "{trouble:?}");
    }
}

#[test]
fn a_mail_whose_answer_was_lost_comes_again_with_the_same_id() {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), MailServer::start());
    let bank = start(folder.path(), &mut with_mail(folder.path(), &server));
    let customer = Customer::new(&bank, "en", "EUR");
    server.answer_to(&customer.email, MailAnswer::TakeAndHangUp);
    customer.deposit(&bank, "1", "EUR");
    server.wait_for(2);
    server.answer_to(&customer.email, MailAnswer::Take);
    customer.wait_for(&bank, 1, "sent");
    let ids: Vec<Option<String>> = server.taken().iter().map(|mail| mail.header("Message-ID")).collect();
    assert!(ids.iter().all(|id| id.is_some() && *id == ids[0]), "{ids:?}");
    assert_eq!(customer.deliveries(&bank).len(), 1);
}

#[test]
fn what_a_mail_server_refuses_for_good_is_not_tried_again() {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), MailServer::start());
    let bank = start(folder.path(), &mut with_mail(folder.path(), &server));
    for (trouble, code) in
        [(MailAnswer::RefuseRecipient(550), "smtp_550"), (MailAnswer::RefuseMessage(554), "smtp_554")]
    {
        let customer = Customer::new(&bank, "en", "EUR");
        server.answer_to(&customer.email, trouble);
        customer.deposit(&bank, "1", "EUR");
        let failed = customer.wait_for(&bank, 1, "failed").remove(0);
        assert_eq!((&failed["code"], &failed["attempts"]), (&json!(code), &json!(1)));
    }
}

#[test]
fn one_customers_trouble_and_a_slow_server_hold_up_nobody_else() {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), MailServer::start());
    let bank = start(folder.path(), &mut with_mail(folder.path(), &server));
    let [refused, slow, fine] = [(); 3].map(|()| Customer::new(&bank, "en", "EUR"));
    server.answer_to(&refused.email, MailAnswer::RefuseRecipient(450));
    server.answer_to(&slow.email, MailAnswer::TakeAfter(700));
    for customer in [&refused, &slow, &fine] {
        customer.deposit(&bank, "1", "EUR");
    }
    fine.wait_for(&bank, 1, "sent");
    slow.wait_for(&bank, 1, "sent");
    refused.wait_for(&bank, 1, "waiting");
}

#[test]
fn a_mail_server_that_is_away_loses_nothing_and_fails_no_message() {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), MailServer::start());
    server.answer(MailAnswer::RefuseConnection(421));
    let mut command = with_mail(folder.path(), &server);
    let bank = start(folder.path(), command.env("FLORIN_NOTIFICATIONS__ATTEMPTS_MAX", "1000"));
    let customers: Vec<Customer> = (0..20).map(|_| Customer::new(&bank, "en", "EUR")).collect();
    customers.iter().for_each(|customer| customer.deposit(&bank, "1", "EUR"));
    wait_until("the breaker is open", || bank.get("/metrics").expect(200).text().contains(OPEN));
    server.answer(MailAnswer::Take);
    server.wait_for(20);
    customers.iter().for_each(|customer| assert_eq!(customer.wait_for(&bank, 1, "sent").len(), 1));
}

/// A mail server that others wrote, over TLS, with a user and a password.
fn over_tls(tls: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let made = ask("certificate", &json!({}));
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    let authority = file("authority.pem", made["authority"].as_str().expect("PEM"));
    let certificate = file("certificate.pem", made["certificate"].as_str().expect("PEM"));
    let key = file("key.pem", made["private"].as_str().expect("PEM"));
    let password = file("password", "secret\n");
    let mails = folder.path().join("mails");
    std::fs::create_dir(&mails).expect("a folder");
    let [port] = free_ports();
    let mut command = Command::new(python());
    command.arg(script()).args(["serve-mail", &port.to_string()]).args([&certificate, &key, &mails]).arg(tls);
    let _server = Process::start("aiosmtpd", &command, "run xtask/install-test-tools.sh");
    wait_until("the server listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let data = folder.path().join("data");
    let mut command = impatient(&data);
    command
        .env("FLORIN_SMTP__HOST", "localhost")
        .env("FLORIN_SMTP__PORT", port.to_string())
        .env("FLORIN_SMTP__TLS", tls)
        .env("FLORIN_SMTP__CA_FILE", &authority)
        .env("FLORIN_SMTP__USER", "bank")
        .env("FLORIN_SMTP__PASSWORD_FILE", &password)
        .env("FLORIN_SMTP__FROM", "messages@bank.example");
    let bank = start(&data, &mut command);
    let customer = Customer::new(&bank, "el", "EUR");
    customer.deposit(&bank, "1000", "EUR");
    customer.deposit(&bank, "1", "EUR");
    let sent = customer.wait_for(&bank, 2, "sent");
    let mails: Vec<String> = std::fs::read_dir(&mails)
        .expect("a folder")
        .map(|entry| std::fs::read_to_string(entry.expect("an entry").path()).expect("a mail"))
        .collect();
    assert_eq!(mails.len(), 2);
    for delivery in &sent {
        let id = delivery["delivery_id"].as_str().expect("an id");
        assert!(mails.iter().any(|mail| mail.contains(&format!("Message-ID: <{id}@bank.example>"))), "{mails:#?}");
    }
}

#[test]
fn mail_goes_over_starttls_to_a_server_that_others_wrote() {
    over_tls("starttls");
}

#[test]
fn mail_goes_over_tls_to_a_server_that_others_wrote() {
    over_tls("tls");
}

/// What a metric of the messages says of e-mail.
fn figure(bank: &Bank, name: &str) -> Option<u64> {
    let text = bank.get("/metrics").expect(200).text();
    let of_email = format!("florin_messages_{name}{{subscriber=\"email\"");
    let mut lines = text.lines().filter(|line| line.starts_with(&of_email));
    lines.next()?.rsplit(' ').next()?.parse().ok()
}

fn to_send(bank: &Bank) -> Option<u64> {
    figure(bank, "to_send")
}

#[test]
fn while_a_server_says_nothing_the_journal_is_read_no_further_than_it_needs_to_be() {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), MailServer::start());
    server.answer(MailAnswer::Silence);
    let mut command = with_mail(folder.path(), &server);
    let bank = start(folder.path(), command.env("FLORIN_NOTIFICATIONS__ATTEMPTS_MAX", "1000"));
    let customers: Vec<Customer> = (0..20).map(|_| Customer::new(&bank, "en", "EUR")).collect();
    for round in 0..2 {
        let deposit = |number: usize| {
            let (to, key) = (&customers[number % customers.len()].id, format!("deposit-{round}-{number}"));
            json!({"type": "deposit", "to": to, "amount": "1", "currency": "EUR", "idempotency_key": key})
        };
        let deposits: Vec<_> = (0..3000).map(deposit).collect();
        let batch = json!({"mode": "independent", "transfers": deposits});
        bank.send(Request::post("/api/v1/transfers/batch").json(&batch)).expect(200);
    }
    wait_until("the breaker is open", || bank.get("/metrics").expect(200).text().contains(OPEN));
    let (lag, waiting) = (figure(&bank, "lag_entries"), to_send(&bank));
    assert!(lag.is_some_and(|lag| 0 < lag), "{waiting:?} wait and nothing is left to be read");
    server.answer(MailAnswer::Take);
    wait_until("all are sent", || server.count() == 6000);
}

#[test]
fn a_server_that_is_well_again_is_found_whatever_became_of_the_messages_before() {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), MailServer::start());
    server.answer(MailAnswer::RefuseConnection(421));
    let mut command = with_mail(folder.path(), &server);
    let bank = start(folder.path(), command.env("FLORIN_NOTIFICATIONS__ATTEMPTS_MAX", "1000"));
    let customers: Vec<Customer> = (0..40).map(|_| Customer::new(&bank, "en", "EUR")).collect();
    customers.iter().for_each(|customer| customer.deposit(&bank, "1", "EUR"));
    wait_until("the breaker is open", || bank.get("/metrics").expect(200).text().contains(OPEN));
    // There is nobody any more to send most of them to.
    let (last, others) = customers.split_last().expect("customers");
    others.iter().for_each(|customer| customer.prefers(&bank, &json!({"channels": []})));
    server.answer(MailAnswer::Take);
    last.wait_for(&bank, 1, "sent");
}

#[test]
fn what_is_discarded_is_not_sent_and_no_longer_counted() {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), MailServer::start());
    server.answer(MailAnswer::RefuseRecipient(451));
    let mut command = with_mail(folder.path(), &server);
    command.env("FLORIN_NOTIFICATIONS__ATTEMPTS_MAX", "1000000");
    let bank = start(folder.path(), &mut command);
    let customers: Vec<Customer> = (0..10).map(|_| Customer::new(&bank, "en", "EUR")).collect();
    customers.iter().for_each(|customer| customer.deposit(&bank, "1", "EUR"));
    wait_until("all are counted", || to_send(&bank) == Some(10));
    for customer in &customers {
        let id = customer.deliveries(&bank)[0]["delivery_id"].as_str().expect("an id").to_owned();
        let discard = Request::post(&format!("/api/v1/deliveries/{id}/discard")).json(&json!({"reason": "told"}));
        bank.send(discard).expect(200);
    }
    wait_until("none is counted", || to_send(&bank) == Some(0));
    server.answer(MailAnswer::Take);
    customers[0].deposit(&bank, "2", "EUR");
    customers[0].wait_for(&bank, 1, "sent");
    assert_eq!(server.count(), 1);
}

#[test]
fn mail_never_goes_in_clear_where_tls_is_asked_for() {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), MailServer::start());
    let mut command = with_mail(folder.path(), &server);
    let bank = start(folder.path(), command.env("FLORIN_SMTP__TLS", "starttls"));
    let customer = Customer::new(&bank, "en", "EUR");
    customer.deposit(&bank, "1", "EUR");
    wait_until("an attempt failed", || {
        customer.deliveries(&bank).iter().any(|delivery| delivery["code"] == "smtp_no_starttls")
    });
    assert!(server.taken().is_empty());
}
