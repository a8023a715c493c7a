//! A bank that grows: shards are added, and slots with their accounts move to them while clients pay.

#[path = "../support/mod.rs"]
mod support;

use serde_json::Value;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use support::bank::{Bank, transfer};
use support::http::{Connection, Request, Response};
use support::program::{Run, run};

const CLIENTS: usize = 4;
const SHARDS: [&str; 3] = ["--no-auth", "--shards", "2"];

fn shards(arguments: &[&str], place: &[&str]) -> Run {
    run(["shards"].iter().chain(arguments).chain(place).chain(&["--json"]))
}

fn path(folder: &Path) -> &str {
    folder.to_str().expect("a UTF-8 path")
}

/// How many slots and accounts each shard has.
fn counts(listed: &Value) -> Vec<(usize, u64)> {
    let items = listed["items"].as_array().expect("shards");
    let count = |item: &Value| (item["slots"].as_array().map_or(0, Vec::len), item["accounts"].as_u64().unwrap_or(0));
    items.iter().map(count).collect()
}

/// Asks again for as long as the answer says that it may.
fn insist(bank: &Bank, request: &Request) -> Response {
    for _ in 0..1000 {
        let answer = Connection::open(bank.address()).and_then(|mut connection| connection.send(request));
        match answer {
            Ok(response) if response.status < 400 || response.json()["retryable"] != true => return response,
            _ => std::thread::yield_now(),
        }
    }
    panic!("no answer to {request:?}");
}

/// Clients that pay a cent from account to account until they are told to stop; the transfers that were taken, with the
/// requests that made them.
fn pay_until(bank: &Bank, accounts: &[String], done: &AtomicBool) -> Vec<(String, Request)> {
    std::thread::scope(|scope| {
        let client = |client: usize| {
            let mut taken = Vec::new();
            for number in 0.. {
                if done.load(Ordering::SeqCst) && 20 < number {
                    break;
                }
                let (from, to) = (client + number, client + 3 * number + 1);
                let (from, to) = (&accounts[from % accounts.len()], &accounts[to % accounts.len()]);
                if from == to {
                    continue;
                }
                let key = format!("client-{client}-{number}");
                let request = Request::post("/api/v1/transfers").key(&key).json(&transfer(from, to, "0.01"));
                let answer = insist(bank, &request);
                assert!([201, 202].contains(&answer.status), "{}", answer.text());
                taken.push((answer.json()["transfer_id"].as_str().expect("an id").to_owned(), request));
            }
            taken
        };
        let clients: Vec<_> = (0..CLIENTS).map(|number| scope.spawn(move || client(number))).collect();
        clients.into_iter().flat_map(|client| client.join().expect("a client")).collect()
    })
}

/// Everything that was taken took effect once, and the histories read on without a seam.
fn expect_whole(bank: &Bank, accounts: &[String], taken: &[(String, Request)]) {
    while !bank.all("/api/v1/transfers?status=pending").is_empty() {}
    for (id, request) in taken {
        let found = bank.get(&format!("/api/v1/transfers/{id}")).expect(200).json();
        assert_eq!(found["status"], "succeeded", "{found}");
        let again = insist(bank, request);
        assert!(again.is_replayed() && again.json()["transfer_id"] == id.as_str(), "{}", again.text());
    }
    let mut total = 0;
    for account in accounts {
        let postings = bank.postings(account);
        let versions: Vec<u64> = postings.iter().map(|row| row["version"].as_u64().expect("a version")).collect();
        assert!(versions.iter().copied().eq((1..=versions.len() as u64).rev()), "{account}: {versions:?}");
        let cents = |text: &Value| text.as_str().expect("an amount").replace('.', "").parse::<i64>().expect("cents");
        let mut balance = 0;
        for row in postings.iter().rev() {
            balance += if row["side"] == "credit" { cents(&row["amount"]) } else { -cents(&row["amount"]) };
            assert_eq!(cents(&row["balance_after"]), balance, "{row}");
        }
        assert_eq!(bank.ledger(account).replace('.', "").parse(), Ok(balance));
        total += balance;
    }
    assert_eq!(total, 10_000 * i64::try_from(accounts.len()).expect("few"));
    bank.expect_sums_of_zero();
}

fn expect_verified(bank: Bank) {
    let (code, folder, temporary) = bank.stop();
    assert_eq!(code, Some(0));
    run(["verify", "--data", path(&folder)]).expect_code(0);
    drop(temporary);
}

#[test]
fn a_bank_grows_by_a_shard_and_clients_that_pay_meanwhile_are_not_refused() {
    let bank = Bank::open_with(&SHARDS);
    let accounts: Vec<String> = (0..16).map(|_| bank.new_account("100.00")).collect();
    let (code, folder, _temporary) = bank.stop();
    assert_eq!(code, Some(0));
    let added = shards(&["add"], &["--data", path(&folder)]).expect_code(0).json();
    assert_eq!(added["shard"], 2);
    let bank = Bank::open_in(&folder);
    let url = bank.url();
    let listed = || shards(&["list"], &["--url", &url]).expect_code(0).json();
    let before = counts(&listed());
    assert_eq!((before.len(), before[0].0, before[1].0, before[2].0), (3, 512, 512, 0));
    let done = AtomicBool::new(false);
    let taken = std::thread::scope(|scope| {
        let clients = scope.spawn(|| pay_until(&bank, &accounts, &done));
        let moved = shards(&["move", "--to", "2", "--count", "400"], &["--url", &url]).expect_code(0).json();
        done.store(true, Ordering::SeqCst);
        assert_eq!(moved["slots"], 400);
        clients.join().expect("the clients")
    });
    let after = counts(&listed());
    assert_eq!(after.iter().map(|(slots, _)| *slots).collect::<Vec<_>>(), [312, 312, 400]);
    assert_eq!(listed()["moving"], serde_json::json!([]));
    expect_whole(&bank, &accounts, &taken);
    expect_verified(bank);
}

#[test]
fn a_move_that_a_crash_stopped_goes_on_when_it_is_asked_for_again() {
    let mut bank = Bank::open_with(&["--no-auth", "--shards", "3"]);
    let accounts: Vec<String> = (0..16).map(|_| bank.new_account("100.00")).collect();
    let mut crashes = 0;
    let mut asked = 0;
    while asked < 4 {
        let url = bank.url();
        let request = Request::get("/api/v1/system/shards");
        let version = |bank: &Bank| insist(bank, &request).json()["version"].as_u64().expect("a version");
        let before = version(&bank);
        let mover = std::thread::spawn(move || {
            shards(&["move", "--to", "2", "--slots", "0-255"], &["--url", &url]).code == Some(0)
        });
        // Each time a little later: between fences, releases and accounts.
        while version(&bank) < before + 7 * (asked + 1) && !mover.is_finished() {}
        bank = bank.crash_and_restart();
        crashes += usize::from(!mover.join().expect("the command"));
        asked += 1;
    }
    assert!(0 < crashes, "no move was interrupted");
    let moved = shards(&["move", "--to", "2", "--slots", "0-255"], &["--url", &bank.url()]);
    moved.expect_code(0);
    let listed = shards(&["list"], &["--url", &bank.url()]).expect_code(0).json();
    assert_eq!(listed["moving"], serde_json::json!([]));
    let on_two: Vec<u64> =
        listed["items"][2]["slots"].as_array().expect("slots").iter().filter_map(Value::as_u64).collect();
    assert!((0..256).all(|slot| on_two.contains(&slot)));
    let taken = pay_until(&bank, &accounts, &AtomicBool::new(true));
    expect_whole(&bank, &accounts, &taken);
    expect_verified(bank);
}

#[test]
fn what_cannot_be_moved_or_added_is_said_and_changes_nothing() {
    let bank = Bank::open_with(&SHARDS);
    let place = ["--url", &bank.url()];
    for (arguments, code, words) in [
        (&["move", "--to", "2", "--count", "1"][..], 2, "there is no shard 2"),
        (&["move", "--to", "1"], 2, "--slots"),
        (&["move", "--to", "1", "--slots", "1024"], 2, "0 to 1023"),
    ] {
        let refused = shards(arguments, &place).expect_code(code);
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
    shards(&["move", "--to", "1", "--slots", "0"], &place).expect_code(0);
    let refused = shards(&["move", "--to", "0", "--slots", "0"], &place).expect_code(2);
    assert!(refused.stderr.contains("slot 0 was on shard 0 before"), "{}", refused.stderr);
    let refused = shards(&["add"], &["--data", path(bank.folder())]).expect_code(3);
    assert!(refused.stderr.contains("is in use"), "{}", refused.stderr);
    expect_verified(bank);
}
