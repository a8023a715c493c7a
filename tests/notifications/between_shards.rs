//! Transfers between shards: told when they leave, and truly told how they ended.

use super::world::{Customer, start, with_mail};
use crate::support::bank::Bank;
use serde_json::{Value, json};
use std::path::Path;
use test_servers::{MailAnswer, MailServer};

fn bank(folder: &Path, server: &MailServer) -> Bank {
    start(folder, with_mail(folder, server).args(["--shards", "2"]))
}

/// Two customers whose accounts are on different shards.
fn apart(bank: &Bank) -> (Customer, Customer) {
    // The shard of a slot is its number modulo 2; see docs/format.md.
    let shard = |id: u64| (id.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 54) % 2;
    let first = (500..).find(|id| shard(*id) == 0).expect("an id");
    let second = (500..).find(|id| shard(*id) == 1).expect("an id");
    (Customer::with_id(bank, first, "en", "EUR"), Customer::with_id(bank, second, "en", "EUR"))
}

fn subjects_to(server: &MailServer, customer: &Customer) -> Vec<String> {
    let mails = server.taken().into_iter().filter(|mail| mail.to == customer.email);
    mails.map(|mail| mail.content.replace("=\r\n", "")).collect()
}

fn of_kind<'a>(deliveries: &'a [Value], kind: &str) -> &'a Value {
    deliveries.iter().find(|delivery| delivery["kind"] == kind).unwrap_or_else(|| panic!("no {kind}: {deliveries:?}"))
}

#[test]
fn who_pays_hears_that_it_left_and_then_that_it_arrived() {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), MailServer::start());
    let bank = bank(folder.path(), &server);
    let (payer, payee) = apart(&bank);
    payer.deposit(&bank, "100", "EUR");
    bank.transfer(&payer.id, &payee.id, "40").expect(202);
    let told = payer.wait_for(&bank, 3, "sent");
    let (pending, completed) = (of_kind(&told, "transfer_pending"), of_kind(&told, "transfer_completed"));
    assert_eq!(completed["follows"], pending["delivery_id"]);
    let mails = subjects_to(&server, &payer);
    let place =
        |words: &str| mails.iter().position(|mail| mail.contains(words)).unwrap_or_else(|| panic!("{mails:#?}"));
    let sent = place("Money sent! We're updating the recipient's balance now.");
    let success = place(&format!("Success! Your transfer to {} is complete.", payee.id));
    assert!(sent < success, "in their order");
    let first = format!("<{}@bank.example>", pending["delivery_id"].as_str().expect("an id"));
    assert!(mails[success].contains(&format!("In-Reply-To: {first}")), "{}", mails[success]);
    let received = payee.wait_for(&bank, 1, "sent").remove(0);
    assert_eq!((&received["kind"], &received["data"]["balance"]), (&json!("transfer_received"), &json!("40.00")));
}

#[test]
fn who_was_told_that_money_left_is_told_that_it_came_back_and_never_that_it_arrived() {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), MailServer::start());
    let bank = bank(folder.path(), &server);
    let (payer, payee) = apart(&bank);
    payer.deposit(&bank, "100", "EUR");
    bank.post(&format!("/api/v1/accounts/{}/close", payee.id), &json!({})).expect(200);
    bank.transfer(&payer.id, &payee.id, "40").expect(202);
    let told = payer.wait_for(&bank, 3, "sent");
    let failed = of_kind(&told, "transfer_failed");
    assert_eq!(failed["follows"], of_kind(&told, "transfer_pending")["delivery_id"]);
    assert_eq!(failed["data"]["code"], "account_closed");
    let mails = subjects_to(&server, &payer);
    let correction =
        mails.iter().find(|mail| mail.contains("Subject: Correction")).unwrap_or_else(|| panic!("{mails:#?}"));
    assert!(correction.contains("Money sent! We're updating the recipient's balance now."), "{correction}");
    assert!(correction.contains("40.00") && correction.contains("UTC"), "{correction}");
    assert!(mails.iter().all(|mail| !mail.contains("complete") && !mail.contains("Success")), "{mails:#?}");
}

#[test]
fn the_end_is_not_told_before_the_beginning() {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), MailServer::start());
    let bank = bank(folder.path(), &server);
    let (payer, payee) = apart(&bank);
    payer.deposit(&bank, "100", "EUR");
    payer.wait_for(&bank, 1, "sent");
    server.answer_to(&payer.email, MailAnswer::RefuseRecipient(451));
    bank.transfer(&payer.id, &payee.id, "40").expect(202);
    payer.wait_for(&bank, 2, "waiting");
    server.answer_to(&payer.email, MailAnswer::Take);
    payer.wait_for(&bank, 3, "sent");
    let mails = subjects_to(&server, &payer);
    assert!(mails[1].contains("Money sent!") && mails[2].contains("Success!"), "{mails:#?}");
}

#[test]
fn accounts_that_move_between_shards_tell_nobody() {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), MailServer::start());
    let bank = bank(folder.path(), &server);
    let (first, second) = apart(&bank);
    first.deposit(&bank, "100", "EUR");
    first.wait_for(&bank, 1, "sent");
    let slot = 500u64.max(first.id.parse().expect("an id")).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 54;
    bank.post("/api/v1/system/slots/move", &json!({"slots": [slot], "to": 1})).expect(200);
    first.deposit(&bank, "1", "EUR");
    second.deposit(&bank, "1", "EUR");
    let told = first.wait_for(&bank, 2, "sent");
    second.wait_for(&bank, 1, "sent");
    assert!(told.iter().all(|delivery| delivery["kind"] == "deposit"), "{told:?}");
    assert_eq!(first.deliveries(&bank).len(), 2);
}
