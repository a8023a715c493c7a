//! What customers chose: channels, kinds, amounts, hours; and those who are no longer known.

use super::world::{Customer, impatient, start, with_mail};
use crate::support::bank::{Bank, serve};
use crate::support::http::Request;
use serde_json::json;
use test_servers::{MailAnswer, MailServer};

/// The last of the messages that were caused before it shows that the others were not made.
fn kinds_of(bank: &Bank, customer: &Customer, last: &str) -> Vec<String> {
    let kinds = || -> Vec<String> {
        let all = customer.deliveries(bank);
        all.iter().rev().filter_map(|delivery| delivery["kind"].as_str().map(str::to_owned)).collect()
    };
    crate::support::wait::wait_until(&format!("{last} is told"), || kinds().iter().any(|kind| kind == last));
    kinds()
}

fn freeze(bank: &Bank, customer: &Customer) {
    bank.send(Request::post(&format!("/api/v1/accounts/{}/freeze", customer.id))).expect(200);
}

#[test]
fn a_customer_hears_of_what_was_chosen_and_always_of_security() {
    let folder = tempfile::tempdir().expect("a folder");
    let bank = start(folder.path(), &mut impatient(folder.path()));
    let customer = Customer::new(&bank, "en", "EUR");
    customer.prefers(&bank, &json!({"kinds": ["withdrawal"], "minimum_amounts": {"EUR": "10"}}));
    customer.deposit(&bank, "100", "EUR");
    for amount in ["9.99", "10"] {
        let withdrawal = json!({"type": "withdrawal", "from": customer.id, "amount": amount, "currency": "EUR"});
        bank.post("/api/v1/transfers", &withdrawal).expect(201);
    }
    freeze(&bank, &customer);
    assert_eq!(kinds_of(&bank, &customer, "security"), ["withdrawal", "security"]);
    let silent = Customer::new(&bank, "en", "EUR");
    silent.prefers(&bank, &json!({"channels": []}));
    let other = Customer::new(&bank, "en", "EUR");
    silent.deposit(&bank, "1", "EUR");
    other.deposit(&bank, "1", "EUR");
    kinds_of(&bank, &other, "deposit");
    assert!(silent.deliveries(&bank).is_empty());
}

#[test]
fn every_movement_is_told_to_whom_it_concerns() {
    let folder = tempfile::tempdir().expect("a folder");
    let bank = start(folder.path(), &mut impatient(folder.path()));
    let [payer, payee] = [(); 2].map(|()| Customer::new(&bank, "en", "EUR"));
    payer.prefers(&bank, &json!({"low_balance": {"EUR": "60"}}));
    payer.deposit(&bank, "100", "EUR");
    bank.transfer(&payer.id, &payee.id, "30").expect(201);
    let hold = bank.hold(&payer.id, "20").expect(201).json();
    let hold = hold["hold_id"].as_str().expect("an id");
    let capture = json!({"amount": "15", "to": payee.id, "final": false});
    bank.post(&format!("/api/v1/holds/{hold}/capture"), &capture).expect(201);
    bank.post(&format!("/api/v1/holds/{hold}/void"), &json!({})).expect(200);
    freeze(&bank, &payer);
    let told = kinds_of(&bank, &payer, "security");
    let expected =
        ["deposit", "transfer_completed", "hold_placed", "hold_captured", "low_balance", "hold_voided", "security"];
    let mut sorted = (told.clone(), expected.map(str::to_owned).to_vec());
    sorted.0.sort();
    sorted.1.sort();
    assert_eq!(sorted.0, sorted.1, "{told:?}");
    freeze(&bank, &payee);
    assert_eq!(kinds_of(&bank, &payee, "security"), ["transfer_received", "transfer_received", "security"]);
    let placed = payer.deliveries(&bank).into_iter().find(|delivery| delivery["kind"] == "hold_placed").expect("it");
    assert!(placed["data"]["available"].is_string(), "{placed}");
}

#[test]
fn messages_wait_for_the_end_of_quiet_hours_and_security_does_not() {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), MailServer::start());
    let bank = start(folder.path(), &mut with_mail(folder.path(), &server));
    let customer = Customer::new(&bank, "en", "EUR");
    // All day but the minute twelve hours from now, whatever the time is.
    let now = bank.account(&customer.id)["balance"].clone();
    assert!(now.is_object());
    let quiet = |from: &str, until: &str| json!({"quiet_hours": {"from": from, "until": until, "time_zone": "UTC"}});
    let hour: u32 = hour_now(&bank);
    let away = format!("{:02}:30", (hour + 12) % 24);
    let after = format!("{:02}:31", (hour + 12) % 24);
    customer.prefers(&bank, &quiet(&after, &away));
    customer.deposit(&bank, "1", "EUR");
    freeze(&bank, &customer);
    customer.wait_for(&bank, 1, "sent");
    let waiting = customer.wait_for(&bank, 1, "waiting").remove(0);
    assert_eq!(waiting["kind"], "deposit");
    assert!(waiting["due_at"].as_str().is_some_and(|due| due.contains(&format!("T{away}:00"))), "{waiting}");
    assert_eq!(server.taken().len(), 1);
    assert!(server.taken()[0].header("Subject").is_some_and(|subject| subject.contains("Security")));
    // Redriving is for what failed; a person may discard what waits.
    let id = waiting["delivery_id"].as_str().expect("an id");
    let discarded = bank.post(&format!("/api/v1/deliveries/{id}/discard"), &json!({"reason": "told by telephone"}));
    assert_eq!(discarded.expect(200).json()["status"], "discarded");
}

fn hour_now(bank: &Bank) -> u32 {
    let user = bank.post("/api/v1/users", &json!({"name": "Clock"})).expect(201).json();
    user["created_at"].as_str().and_then(|at| at[11..13].parse().ok()).expect("an hour")
}

#[test]
fn preferences_are_checked_and_read_back_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let bank = start(folder.path(), &mut impatient(folder.path()));
    let customer = Customer::new(&bank, "en", "EUR");
    let path = format!("/api/v1/users/{}/preferences", customer.id);
    let put = |body: &serde_json::Value| bank.send(Request::new("PUT", &path).json(body));
    let all = json!({
        "channels": ["sms", "push"], "kinds": ["deposit"], "minimum_amounts": {"EUR": "1.50", "JPY": 100},
        "low_balance": {"EUR": "0"}, "quiet_hours": {"from": "22:00", "until": "07:30", "time_zone": "Europe/Prague"},
    });
    let read = put(&all).expect(200).json();
    assert_eq!(bank.get(&path).expect(200).json(), read);
    assert_eq!(read["minimum_amounts"], json!({"EUR": "1.50", "JPY": "100"}));
    assert_eq!(read["quiet_hours"], all["quiet_hours"]);
    assert_eq!(put(&json!({})).expect(200).json()["channels"], json!(["email", "push"]));
    for (wrong, code) in [
        (json!({"channels": ["pigeon"]}), "malformed"),
        (json!({"channels": "sms"}), "malformed"),
        (json!({"kinds": ["deposits"]}), "malformed"),
        (json!({"minimum_amounts": {"EURO": "1"}}), "currency_unknown"),
        (json!({"minimum_amounts": {"EUR": "1.005"}}), "amount_invalid"),
        (json!({"low_balance": {"EUR": "-1"}}), "amount_invalid"),
        (json!({"quiet_hours": {"from": "22:00", "until": "07:00", "time_zone": "Europe/Nowhere"}}), "malformed"),
        (json!({"quiet_hours": {"from": "22:00", "until": "24:00", "time_zone": "UTC"}}), "malformed"),
        (json!({"quiet_hours": {"from": "22:00", "time_zone": "UTC"}}), "malformed"),
        (json!({"chanels": []}), "unknown_field"),
    ] {
        put(&wrong).expect_problem(400, code);
    }
    bank.get("/api/v1/users/99/preferences").expect_problem(404, "user_not_found");
}

#[test]
fn nothing_personal_is_in_the_log_of_deliveries_nor_logged() {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), MailServer::start());
    server.answer(MailAnswer::RefuseRecipient(550));
    let data = folder.path().join("data");
    let log = std::fs::File::create(folder.path().join("log")).expect("a file");
    let mut command = with_mail(&data, &server);
    let bank = start(&data, command.stderr(log).env("FLORIN_LOG__FILTER", "debug"));
    let customer = Customer::new(&bank, "en", "EUR");
    customer.deposit(&bank, "1", "EUR");
    customer.wait_for(&bank, 1, "failed");
    drop(bank);
    for file in [data.join("records"), folder.path().join("log")] {
        let bytes = std::fs::read(&file).expect("a file");
        for personal in [customer.email.as_bytes(), customer.phone.as_bytes(), "Nová".as_bytes()] {
            assert!(!bytes.windows(personal.len()).any(|part| part == personal), "{}", file.display());
        }
    }
}

#[test]
fn a_banks_own_texts_are_used_and_wrong_ones_refused_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, texts) = (folder.path().join("data"), folder.path().join("texts"));
    std::fs::create_dir(&texts).expect("a folder");
    std::fs::write(texts.join("en.txt"), "[deposit]\nHello from {{ bank }}\n{{ amount }} & <more>\n").expect("written");
    let server = MailServer::start();
    let mut command = with_mail(&data, &server);
    let bank = start(&data, command.env("FLORIN_NOTIFICATIONS__TEMPLATES", &texts));
    Customer::new(&bank, "en", "USD").deposit(&bank, "7", "USD");
    let mail = server.wait_for(1).remove(0);
    assert_eq!(mail.header("Subject").as_deref(), Some("Hello from Florin"));
    assert!(mail.content.contains("\r\n\r\n$7.00 & <more>"), "{}", mail.content);
    assert!(mail.content.contains("$7.00 &amp; &lt;more&gt;"), "{}", mail.content);
    drop(bank);
    std::fs::write(texts.join("en.txt"), "[deposit]\nHello\n{{ amuont }}\n").expect("written");
    let mut command = serve(&data);
    let run = crate::support::program::finish(command.env("FLORIN_NOTIFICATIONS__TEMPLATES", &texts)).expect_code(2);
    assert!(["en.txt", "[deposit]"].iter().all(|word| run.stderr.contains(word)), "{}", run.stderr);
}

#[test]
fn a_statement_that_is_made_is_told_once_however_often_it_is_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let bank = start(folder.path(), &mut impatient(folder.path()));
    let customer = Customer::new(&bank, "en", "EUR");
    // The month before this one, as the bank's clock says.
    let user = bank.post("/api/v1/users", &json!({"name": "Clock"})).expect(201).json();
    let now = user["created_at"].as_str().expect("a time");
    let (year, month): (u32, u32) = (now[..4].parse().expect("a year"), now[5..7].parse().expect("a month"));
    let (year, month) = if month == 1 { (year - 1, 12) } else { (year, month - 1) };
    let month = format!("{year}-{month:02}");
    let deposit = json!({"type": "deposit", "to": customer.id, "amount": "5", "currency": "EUR",
        "effective_at": format!("{month}-10T12:00:00Z")});
    bank.post("/api/v1/transfers", &deposit).expect(201);
    let path = format!("/api/v1/accounts/{}/statements", customer.id);
    bank.post(&path, &json!({"month": month})).expect(201);
    bank.post(&path, &json!({"month": month})).expect(200);
    bank.get(&format!("/api/v1/transactions/{}/month/{month}/download", customer.id)).expect(200);
    bank.post(&path, &json!({"month": "2020-01"})).expect_problem(404, "statement_not_found");
    let told = customer.wait_for(&bank, 2, "outbox");
    let ready: Vec<_> = told.iter().filter(|delivery| delivery["kind"] == "statement_ready").collect();
    assert_eq!(ready.len(), 1, "{told:?}");
    assert_eq!((&ready[0]["data"]["month"], &ready[0]["journal"]), (&json!(month), &json!(null)));
    assert_eq!(customer.deliveries(&bank).len(), 2);
}
