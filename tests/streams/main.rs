//! Streams of what happens to accounts and transfers: what they tell, and that they tell it once and all.

#[path = "../support/mod.rs"]
mod support;

use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use support::bank::{Bank, transfer};
use support::http::Request;
use support::wait::PATIENCE;

/// More of them than this take a minute.
const SIGNS_OF_LIFE_MAX: usize = 4;

/// One event of a stream.
#[derive(Clone, Debug, PartialEq)]
struct Event {
    name: String,
    id: u64,
    data: Value,
}

/// A client that listens.
struct Listener {
    reader: BufReader<TcpStream>,
    status: u16,
}

impl Listener {
    /// Listens from now on, or from after the event that was heard of last.
    fn open(address: SocketAddr, path: &str, heard: Option<u64>) -> Listener {
        let heard = heard.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        Listener::with(address, path, &heard)
    }

    /// Listens, with these headers besides.
    fn with(address: SocketAddr, path: &str, headers: &str) -> Listener {
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        // In HTTP/1.0 an answer has no other end than that of its connection, and so no chunks.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n{headers}\r\n").expect("asked");
        let mut listener = Listener { reader: BufReader::new(stream), status: 0 };
        let first = listener.line().expect("a status");
        listener.status = first.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        while listener.line().is_some_and(|line| !line.is_empty()) {}
        listener
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let length = self.reader.read_line(&mut line).expect("something within a minute");
        (length != 0).then(|| line.trim_end().to_owned())
    }

    /// The next event; `None` at the end. One that says nothing but that it is there has failed.
    fn next(&mut self) -> Option<Event> {
        let (mut name, mut id, mut data) = (None, None, None);
        let mut signs_of_life = 0;
        loop {
            let line = self.line()?;
            match line.split_once(": ") {
                Some(("event", text)) => name = Some(text.to_owned()),
                Some(("id", text)) => id = text.parse().ok(),
                Some(("data", text)) => data = serde_json::from_str(text).ok(),
                _ if line.is_empty() && name.is_some() => {
                    let (name, id) = (name.expect("a name"), id.expect("an id"));
                    return Some(Event { name, id, data: data.expect("data") });
                }
                _ => {
                    signs_of_life += usize::from(line == ":");
                    assert!(signs_of_life < SIGNS_OF_LIFE_MAX, "a stream that says nothing else");
                }
            }
        }
    }

    /// The postings that are told next, so many.
    fn postings(&mut self, count: usize) -> Vec<(u64, String)> {
        let mut postings = Vec::new();
        while postings.len() < count {
            let event = self.next().expect("a stream without an end");
            if event.name == "posting" {
                let balance = event.data["balance_after"].as_str().expect("a balance").to_owned();
                postings.push((event.id, balance));
            }
        }
        postings
    }
}

fn events_of(account: &str) -> String {
    format!("/api/v1/accounts/{account}/events")
}

#[test]
fn a_stream_of_an_account_tells_how_it_is_and_then_every_posting_with_its_balance() {
    let bank = Bank::open();
    let (account, other) = (bank.new_account("100"), bank.new_account("0"));
    let mut listener = Listener::open(bank.address(), &events_of(&account), None);
    let first = listener.next().expect("an event");
    assert_eq!((first.name.as_str(), first.id), ("account", 1));
    assert_eq!(first.data["balance"]["ledger"], "100.00");
    bank.transfer(&account, &other, "30").expect(201);
    let posting = listener.next().expect("an event");
    assert_eq!((posting.name.as_str(), posting.id), ("posting", 2));
    assert_eq!((&posting.data["side"], &posting.data["balance_after"]), (&"debit".into(), &"70.00".into()));
    let after = listener.next().expect("an event");
    assert_eq!((after.name.as_str(), &after.data["balance"]["ledger"]), ("account", &"70.00".into()));
    bank.hold(&account, "20").expect(201);
    let held = listener.next().expect("an event");
    assert_eq!((held.name.as_str(), held.id), ("account", 2));
    assert_eq!(held.data["balance"]["available"], "50.00");
    bank.post(&format!("/api/v1/accounts/{account}/freeze"), &serde_json::json!({})).expect(200);
    assert_eq!(listener.next().expect("an event").data["status"], "frozen");
}

#[test]
fn whoever_comes_back_hears_what_was_missed_once_and_in_order() {
    let bank = Bank::open();
    let (account, other) = (bank.new_account("1000"), bank.new_account("1000"));
    let mut heard: Vec<(u64, String)> = Vec::new();
    std::thread::scope(|scope| {
        let bank = &bank;
        let (from, to) = (&account, &other);
        for _ in 0..2 {
            scope.spawn(move || (0..150).for_each(|_| drop(bank.transfer(from, to, "1").expect(201))));
        }
        // Listens for a while, hangs up, and goes on after what was heard.
        while heard.len() < 300 {
            let last = heard.last().map_or(1, |(version, _)| *version);
            let mut listener = Listener::open(bank.address(), &events_of(&account), Some(last));
            let some = 7.min(300 - heard.len());
            heard.extend(listener.postings(some));
        }
    });
    let expected: Vec<(u64, String)> = (1..=300).map(|n| (n + 1, format!("{}.00", 1000 - n))).collect();
    assert_eq!(heard, expected);
    let ahead = Listener::open(bank.address(), &events_of(&account), Some(302));
    assert_eq!(ahead.status, 400, "a version that is not there yet");
}

#[test]
fn a_transfer_between_shards_is_pending_and_then_succeeded_or_failed() {
    let bank = Bank::open_with(&["--no-auth", "--shards", "2"]);
    let accounts: Vec<String> = (0..12).map(|_| bank.new_account("100")).collect();
    let (mut between, mut on_one) = (0, 0);
    for to in &accounts[1..] {
        let answer = bank.transfer(&accounts[0], to, "1");
        let id = answer.json()["transfer_id"].as_str().expect("an id").to_owned();
        let path = format!("/api/v1/transfers/{id}/events");
        let mut listener = Listener::open(bank.address(), &path, None);
        let mut names = Vec::new();
        while let Some(event) = listener.next() {
            assert_eq!(event.data["status"], event.name.as_str());
            names.push((event.name, event.id));
        }
        let last = names.pop();
        assert_eq!(last, Some(("succeeded".to_owned(), 2)), "the stream ends with it");
        assert!(names.is_empty() || names == [("pending".to_owned(), 1)], "{names:?}");
        assert_eq!(Listener::open(bank.address(), &path, Some(2)).status, 204, "there is nothing more to hear");
        let mut again = Listener::open(bank.address(), &path, Some(1));
        assert_eq!(again.next().map(|event| event.name), Some("succeeded".to_owned()));
        if answer.status == 202 { between += 1 } else { on_one += 1 }
    }
    assert!(0 < between && 0 < on_one, "both kinds were tried");
    let closed = accounts.last().expect("accounts");
    let balance = bank.ledger(closed);
    bank.withdraw(closed, &balance).expect(201);
    bank.post(&format!("/api/v1/accounts/{closed}/close"), &serde_json::json!({})).expect(200);
    let answer = bank.transfer(&accounts[0], closed, "1");
    if answer.status == 202 {
        let id = answer.json()["transfer_id"].as_str().expect("an id").to_owned();
        let mut listener = Listener::open(bank.address(), &format!("/api/v1/transfers/{id}/events"), Some(1));
        let last = listener.next().expect("an event");
        assert_eq!((last.name.as_str(), &last.data["failure"]["code"]), ("failed", &"account_closed".into()));
    }
}

#[test]
fn streams_end_when_the_bank_stops_and_what_is_not_there_has_none() {
    let bank = Bank::open();
    let account = bank.new_account("1");
    assert_eq!(Listener::open(bank.address(), &events_of("999"), None).status, 404);
    assert_eq!(Listener::open(bank.address(), "/api/v1/transfers/999/events", None).status, 404);
    let mut listener = Listener::open(bank.address(), &events_of(&account), None);
    assert!(listener.next().is_some());
    let (code, ..) = bank.stop();
    assert_eq!((code, listener.next()), (Some(0), None));
}

#[test]
fn a_stream_ends_with_the_token_that_asked_for_it() {
    let bank = Bank::open_with_tokens();
    let account = bank.new_account("100");
    let body = serde_json::json!({"name": "listener", "role": "auditor"});
    let made = bank.post("/api/v1/tokens", &body).expect(201).json();
    let (id, token) = (made["token_id"].as_str().expect("an id"), made["token"].as_str().expect("a token"));
    let header = format!("Authorization: Bearer {token}\r\n");
    let mut listener = Listener::with(bank.address(), &events_of(&account), &header);
    assert_eq!(listener.next().expect("an event").name, "account");
    bank.send(Request::new("DELETE", &format!("/api/v1/tokens/{id}"))).expect(204);
    bank.withdraw(&account, "1").expect(201);
    assert_eq!(listener.next(), None, "it hears no more of the account");
    assert_eq!(Listener::with(bank.address(), &events_of(&account), &header).status, 401);
}

#[test]
fn whoever_missed_hundreds_hears_them_all_and_whoever_missed_too_many_is_told_to_begin_anew() {
    let bank = Bank::open();
    let (account, other) = (bank.new_account("20000"), bank.new_account("0"));
    let pay = |count: usize, round: usize| {
        let item = |index: usize| {
            let mut item = transfer(&account, &other, "1");
            item["idempotency_key"] = format!("r{round}k{index}").into();
            item
        };
        let transfers: Vec<Value> = (0..count).map(item).collect();
        let body = serde_json::json!({"mode": "independent", "transfers": transfers});
        bank.send(Request::post("/api/v1/transfers/batch").json(&body)).expect(200);
    };
    pay(777, 0);
    let told = Listener::open(bank.address(), &events_of(&account), Some(1)).postings(777);
    let expected: Vec<(u64, String)> = (1..=777).map(|n| (n + 1, format!("{}.00", 20_000 - n))).collect();
    assert_eq!(told, expected);
    for round in 1..=2 {
        pay(5000, round);
    }
    let mut listener = Listener::open(bank.address(), &events_of(&account), Some(1));
    assert_eq!(listener.next().map(|event| (event.name, event.id)), Some(("reset".to_owned(), 10_778)));
    assert_eq!(listener.next().map(|event| event.name), Some("account".to_owned()));
}

#[test]
fn many_listeners_hear_of_their_own_account_and_of_no_other() {
    let bank = Bank::open();
    let accounts: Vec<String> = (0..20).map(|_| bank.new_account("100")).collect();
    let mut listeners: Vec<Listener> = accounts
        .iter()
        .flat_map(|account| (0..5).map(|_| Listener::open(bank.address(), &events_of(account), None)))
        .collect();
    for listener in &mut listeners {
        assert_eq!(listener.next().expect("an event").name, "account");
    }
    let path = "/api/v1/transfers/batch";
    let transfers: Vec<Value> = accounts
        .windows(2)
        .enumerate()
        .map(|(index, pair)| {
            let mut item = transfer(&pair[0], &pair[1], &(index + 1).to_string());
            item["idempotency_key"] = format!("k{index}").into();
            item
        })
        .collect();
    let body = serde_json::json!({"mode": "independent", "transfers": transfers});
    bank.send(Request::post(path).json(&body)).expect(200);
    for (place, account) in accounts.iter().enumerate() {
        let postings = bank.postings(account);
        for listener in &mut listeners[place * 5..place * 5 + 5] {
            let told = listener.postings(postings.len() - 1);
            let expected: Vec<String> = postings
                .iter()
                .rev()
                .skip(1)
                .map(|posting| posting["balance_after"].as_str().expect("a balance").to_owned())
                .collect();
            assert_eq!(told.into_iter().map(|(_, balance)| balance).collect::<Vec<_>>(), expected);
        }
    }
}
