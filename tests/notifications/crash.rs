//! Kills between commit and send: every customer has every message, each with one id, and none that is wrong.

use super::world::{Customer, start, with_mail};
use crate::support::bank::Bank;
use crate::support::http::{Connection, Request};
use crate::support::wait::wait_until;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use test_servers::MailServer;

/// How often the program is killed: so often, or as often as the long form of this test asks for.
fn kills() -> usize {
    std::env::var("NOTIFICATION_KILLS").map_or(20, |kills| kills.parse().expect("a number of kills"))
}

const CUSTOMERS: usize = 4;

/// Sends deposits until the bank is gone; those that were acknowledged, by their amount in cents.
fn pay(bank: &Bank, customer: &Customer, first: usize, count: usize) -> Vec<usize> {
    let Ok(mut connection) = Connection::open(bank.address()) else { return Vec::new() };
    let mut paid = Vec::new();
    for cents in first..first + count {
        let amount = format!("{}.{:02}", cents / 100, cents % 100);
        let body = json!({"type": "deposit", "to": customer.id, "amount": amount, "currency": "USD"});
        let request = Request::post("/api/v1/transfers").key(&format!("{}-{cents}", customer.id)).json(&body);
        match connection.send(&request) {
            Ok(response) if response.status == 201 => paid.push(cents),
            _ => break,
        }
    }
    paid
}

/// Waits until a customer has so many different mails, for as long as more come. The bank is not asked meanwhile: the
/// more it is asked, the less it sends.
fn wait_for_mails(server: &MailServer, customer: &Customer, count: usize) {
    let different = || {
        let taken = server.taken();
        let ids = taken.iter().filter(|mail| mail.to == customer.email).filter_map(|mail| mail.header("Message-ID"));
        ids.collect::<BTreeSet<String>>().len()
    };
    loop {
        let before = server.count();
        if count <= different() {
            return;
        }
        wait_until("more mails come", || before < server.count());
    }
}

#[test]
fn a_kill_between_commit_and_send_loses_no_message_and_makes_none_up() {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), MailServer::start());
    let mut bank = start(folder.path(), &mut with_mail(folder.path(), &server));
    let customers: Vec<Customer> = (0..CUSTOMERS).map(|_| Customer::new(&bank, "en", "USD")).collect();
    let mut next = 1;
    for round in 0..kills() {
        // Killed at another moment each time: after none to some of the deposits were answered, and at once.
        let count = round % 7;
        std::thread::scope(|scope| {
            for customer in &customers {
                let bank = &bank;
                scope.spawn(move || pay(bank, customer, next, count + 1));
            }
        });
        next += count + 1;
        bank.detach().kill();
        bank = start(folder.path(), &mut with_mail(folder.path(), &server));
    }
    // What the bank has booked is what must be told, whether its answer was heard or not.
    for customer in &customers {
        let postings = bank.postings(&customer.id);
        let expected: BTreeMap<String, String> = postings
            .iter()
            .map(|posting| {
                let text = |field: &str| posting[field].as_str().expect("a text").to_owned();
                (text("amount"), text("balance_after"))
            })
            .collect();
        assert_eq!(expected.len(), postings.len());
        wait_for_mails(&server, customer, expected.len());
        customer.wait_for(&bank, expected.len(), "sent");
        let deliveries = customer.deliveries(&bank);
        assert_eq!(deliveries.len(), expected.len(), "one delivery for each");
        let mut ids: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for mail in server.taken().iter().filter(|mail| mail.to == customer.email) {
            let text = mail.content.split("\r\n\r\n").find(|part| part.contains("Your deposit of")).expect("a text");
            let words: Vec<&str> = text.split('$').collect();
            let figure = |word: &str| -> String {
                word.chars()
                    .take_while(|character| character.is_ascii_digit() || ".,".contains(*character))
                    .filter(|character| *character != ',')
                    .collect()
            };
            let (amount, balance) = (figure(words[1]), figure(words[2]));
            let balance = balance.trim_end_matches('.').to_owned();
            assert_eq!(expected.get(&amount), Some(&balance), "nothing is told that is not so: {text}");
            ids.entry(amount).or_default().push(mail.header("Message-ID").expect("an id"));
        }
        assert_eq!(ids.len(), expected.len(), "each was told at least once");
        assert!(ids.values().all(|ids| ids.iter().all(|id| *id == ids[0])), "always with one id: {ids:?}");
    }
}
