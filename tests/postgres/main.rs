//! The whole program over PostgreSQL: several nodes, several shards, money between them, and nodes that are killed.

#[path = "../support/mod.rs"]
mod support;

use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use support::bank::{Server, transfer};
use support::http::{Connection, Request, Response};
use support::program::{finish, florin};
use tempfile::TempDir;
use test_servers::Postgres;

const SHARDS: usize = 2;
const ACCOUNTS: u64 = 12;
const CLIENTS: u64 = 4;
const TRANSFERS_EACH: u64 = 40;

/// The databases of a bank, and a folder with its master key.
struct Databases {
    urls: String,
    folder: TempDir,
}

impl Databases {
    fn new() -> Databases {
        let urls: Vec<String> = (0..SHARDS).map(|_| Postgres::shared().create_database()).collect();
        Databases { urls: urls.join(" "), folder: TempDir::new().expect("a temporary folder") }
    }

    fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    fn configure(&self, command: &mut Command, data: &Path) {
        command.env("FLORIN_STORAGE__ENGINE", "postgres").env("FLORIN_STORAGE__READ_CONNECTIONS", "4");
        command.env("FLORIN_STORAGE__SHARDS", &self.urls).env("FLORIN_STORAGE__OWNERS", &self.urls);
        command.env("FLORIN_SAGAS__LEASE_MS", "500").env("FLORIN_SAGAS__RETRY_MOST_MS", "200");
        command.env("FLORIN_DATA__MASTER_KEY_FILE", self.folder.path().join("master.key"));
        command.arg("--data").arg(data).arg("--quiet");
    }

    fn node(&self) -> Server {
        let mut command = florin();
        command.args(["serve", "--listen", "127.0.0.1:0", "--no-auth"]);
        self.configure(&mut command, &self.data());
        Server::start(&mut command)
    }

    fn run(&self, arguments: &[&str]) -> support::program::Run {
        let mut command = florin();
        command.args(arguments);
        self.configure(&mut command, &self.data());
        finish(&mut command)
    }
}

/// Nodes of which one may be gone at any moment.
struct Nodes<'a> {
    databases: &'a Databases,
    servers: Mutex<Vec<Server>>,
    retries: AtomicU64,
}

impl Nodes<'_> {
    fn start(databases: &Databases, count: usize) -> Nodes<'_> {
        let servers = (0..count).map(|_| databases.node()).collect();
        Nodes { databases, servers: Mutex::new(servers), retries: AtomicU64::new(0) }
    }

    /// Asks one node after the other until one answers for good, as clients do that retry what may be retried.
    fn insist(&self, request: &Request) -> Response {
        for attempt in 0..400 {
            let address = {
                let servers = self.servers.lock().expect("no panic");
                servers[attempt % servers.len()].address
            };
            let answer = Connection::open(address).and_then(|mut connection| connection.send(request));
            match answer {
                Ok(response) if response.status < 500 && response.status != 409 => return response,
                Ok(response) if response.status != 503 && response.json()["retryable"] != true => return response,
                _ => self.retries.fetch_add(1, Ordering::SeqCst),
            };
            pause();
        }
        panic!("no node answers {request:?}");
    }

    fn kill_one(&self, place: usize) {
        let fresh = self.databases.node();
        let old = std::mem::replace(&mut self.servers.lock().expect("no panic")[place], fresh);
        old.kill();
    }

    fn ledger(&self, account: u64) -> String {
        let found = self.insist(&Request::get(&format!("/api/v1/accounts/{account}"))).expect(200).json();
        found["balance"]["ledger"].as_str().expect("a balance").to_owned()
    }
}

#[expect(clippy::disallowed_methods, reason = "a test waits for real servers")]
fn pause() {
    std::thread::sleep(std::time::Duration::from_millis(20));
}

fn post(path: &str, key: &str, body: &Value) -> Request {
    Request::post(path).key(key).json(body)
}

/// Customer 1 with accounts 1 to [`ACCOUNTS`] that have 100 euros each.
fn open_accounts(nodes: &Nodes<'_>) {
    let register = serde_json::json!({"user_id": "1", "name": "Customer"});
    nodes.insist(&post("/api/v1/users", "user", &register)).expect(201);
    for account in 1..=ACCOUNTS {
        let body = serde_json::json!({"account_id": account.to_string(), "user_id": "1", "currency": "EUR", "type": "checking"});
        nodes.insist(&post("/api/v1/accounts", &format!("open-{account}"), &body)).expect(201);
        let body =
            serde_json::json!({"type": "deposit", "to": account.to_string(), "amount": "100.00", "currency": "EUR"});
        nodes.insist(&post("/api/v1/transfers", &format!("deposit-{account}"), &body)).expect(201);
    }
}

#[test]
fn nodes_that_are_killed_under_load_lose_and_double_nothing() {
    let databases = Databases::new();
    let nodes = Nodes::start(&databases, 3);
    open_accounts(&nodes);
    let answered: Mutex<HashMap<String, (String, u64, u64)>> = Mutex::default();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (nodes, answered) = (&nodes, &answered);
            scope.spawn(move || {
                for number in 0..TRANSFERS_EACH {
                    let (key, from) = (format!("{client}-{number}"), 1 + (client + number) % ACCOUNTS);
                    let to = 1 + (from + number % (ACCOUNTS - 1)) % ACCOUNTS;
                    let body = transfer(&from.to_string(), &to.to_string(), "0.01");
                    let response = nodes.insist(&post("/api/v1/transfers", &key, &body));
                    assert!(matches!(response.status, 201 | 202), "{key}: {response:?}");
                    let id = response.json()["transfer_id"].as_str().expect("an id").to_owned();
                    answered.lock().expect("no panic").insert(key, (id, from, to));
                }
            });
        }
        for round in 0..4 {
            nodes.kill_one(round % 3);
        }
    });
    let answered = answered.into_inner().expect("no panic");
    assert_eq!(answered.len() as u64, CLIENTS * TRANSFERS_EACH);
    expect_succeeded(&nodes, &answered);
    expect_balances(&nodes, &answered);
    drop(nodes);
    databases.run(&["verify"]).expect_code(0);
}

/// Every transfer ends in success, and the same key still gives the same transfer.
fn expect_succeeded(nodes: &Nodes<'_>, answered: &HashMap<String, (String, u64, u64)>) {
    for (key, (id, from, to)) in answered {
        let status = || {
            let found = nodes.insist(&Request::get(&format!("/api/v1/transfers/{id}"))).expect(200).json();
            found["status"].as_str().expect("a status").to_owned()
        };
        let mut known = status();
        for _ in 0..500 {
            if known != "pending" {
                break;
            }
            pause();
            known = status();
        }
        assert_eq!(known, "succeeded", "transfer {id} under key {key}");
        let again =
            nodes.insist(&post("/api/v1/transfers", key, &transfer(&from.to_string(), &to.to_string(), "0.01")));
        assert_eq!(again.json()["transfer_id"], id.as_str(), "key {key}");
    }
}

fn expect_balances(nodes: &Nodes<'_>, answered: &HashMap<String, (String, u64, u64)>) {
    let mut cents: HashMap<u64, i64> = (1..=ACCOUNTS).map(|account| (account, 10_000)).collect();
    for (_, from, to) in answered.values() {
        *cents.entry(*from).or_default() -= 1;
        *cents.entry(*to).or_default() += 1;
    }
    for (account, cents) in cents {
        assert_eq!(nodes.ledger(account), format!("{}.{:02}", cents / 100, cents % 100), "account {account}");
    }
}

#[test]
fn a_real_year_has_the_same_balances_over_several_databases() {
    let databases = Databases::new();
    let run = databases.run(&["demo"]).expect_code(0);
    assert!(run.stdout.contains("running balances, against an independent sum"), "{}", run.stdout);
    let again = databases.run(&["demo"]).expect_code(0);
    assert!(again.stdout.contains("0 events accepted, 29,437 replayed"), "{}", again.stdout);
}

#[test]
fn a_node_without_the_banks_master_key_is_refused() {
    let databases = Databases::new();
    drop(databases.node());
    let mut command = florin();
    command.args(["verify"]);
    databases.configure(&mut command, &databases.folder.path().join("another"));
    command.env("FLORIN_DATA__MASTER_KEY_FILE", databases.folder.path().join("another.key"));
    let run = finish(&mut command).expect_code(2);
    assert!(run.stderr.contains("master key"), "{}", run.stderr);
}
