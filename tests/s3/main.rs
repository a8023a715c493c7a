//! Statements in a bucket of a real server with the interface of S3.

#[path = "../support/mod.rs"]
mod support;

use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use support::bank::{Bank, Server, serve};
use support::http::{Connection, Response};
use test_servers::{Proxy, S3};

const SECRET_FILE: &str = "s3.secret";

/// Has a program keep its files in the bucket that is reached at this address.
fn with_bucket(command: &mut Command, folder: &Path, address: SocketAddr) {
    std::fs::create_dir_all(folder).expect("a folder");
    let secret = folder.join(SECRET_FILE);
    std::fs::write(&secret, format!("{}\n", S3::SECRET_KEY)).expect("written");
    command
        .env("FLORIN_OBJECTS__BUCKET", S3::BUCKET)
        .env("FLORIN_OBJECTS__ENDPOINT", format!("http://{address}"))
        .env("FLORIN_OBJECTS__ACCESS_KEY", S3::ACCESS_KEY)
        .env("FLORIN_OBJECTS__SECRET_KEY_FILE", secret)
        .env("FLORIN_OBJECTS__TIMEOUT_MS", "2000");
}

fn bank_over(folder: &Path, address: SocketAddr) -> Bank {
    let mut command = serve(&folder.join("data"));
    with_bucket(command.arg("--no-auth"), folder, address);
    Bank::attach(Server::start(&mut command), &folder.join("data"))
}

fn account_with_an_october(bank: &Bank) -> String {
    let account = bank.new_account("0");
    let deposit = json!({"type": "deposit", "to": account, "amount": "700", "currency": "EUR",
        "effective_at": "2025-10-10T12:00:00Z"});
    bank.post("/api/v1/transfers", &deposit).expect(201);
    account
}

fn statements_of(account: &str) -> String {
    format!("/api/v1/accounts/{account}/statements")
}

/// As somebody without a key, at the server that the link names.
fn open(link: &str) -> Response {
    let (host, path) = link.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect("a URL");
    let mut connection = Connection::open(host.parse().expect("an address")).expect("a connection");
    // The host's name is signed too.
    connection.write(format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).expect("sent");
    connection.read(false).expect("an answer")
}

fn link<'a>(statement: &'a Value, ending: &str) -> &'a str {
    statement["files"][ending].as_str().expect("a link")
}

#[test]
fn a_statement_in_a_bucket_is_read_by_links_of_the_bucket() {
    let (s3, folder) = (S3::start(), tempfile::tempdir().expect("a folder"));
    let bank = bank_over(folder.path(), s3.address());
    let (account, other) = (account_with_an_october(&bank), account_with_an_october(&bank));
    let made = bank.post(&statements_of(&account), &json!({"month": "2025-10"})).expect(201).json();
    bank.post(&statements_of(&other), &json!({"month": "2025-10"})).expect(201);
    bank.post(&statements_of(&account), &json!({"month": "2025-10"})).expect(200);
    let pdf = link(&made, "pdf");
    assert!(pdf.starts_with(&format!("http://{}/{}/{account}/2025-10/report.pdf?", s3.address(), S3::BUCKET)), "{pdf}");
    let file = open(pdf).expect(200);
    assert_eq!(file.header("content-type"), Some("application/pdf"));
    assert!(file.text().starts_with("%PDF-1.7"));
    assert!(open(link(&made, "csv")).expect(200).text().trim_end().ends_with("closing,,,,,700.00,EUR,"));
    for changed in [
        pdf.replace(&format!("/{account}/"), &format!("/{other}/")),
        pdf.replace(".pdf", ".csv"),
        pdf.replace("X-Amz-Expires=900", "X-Amz-Expires=901"),
        pdf.split('?').next().expect("a URL").to_owned(),
    ] {
        open(&changed).expect(403);
    }
    let answer = bank.get(&format!("/api/v1/transactions/{account}/month/2025-10/download")).expect(200).json();
    open(answer["path"].as_str().expect("a link")).expect(200);
    assert!(!folder.path().join("data/objects").exists(), "nothing is kept in the folder besides");
}

#[test]
fn a_bucket_that_is_away_is_asked_again_later() {
    let (s3, folder) = (S3::start(), tempfile::tempdir().expect("a folder"));
    let bank = bank_over(folder.path(), s3.address());
    let account = account_with_an_october(&bank);
    s3.kill();
    let path = statements_of(&account);
    bank.post(&path, &json!({"month": "2025-10"})).expect_problem(503, "unavailable");
    bank.deposit(&account, "1").expect(201);
    s3.restart();
    let made = bank.post(&path, &json!({"month": "2025-10"})).expect(201).json();
    open(link(&made, "pdf")).expect(200);
    s3.kill();
    s3.restart();
    open(link(&made, "pdf")).expect(200);
    assert_eq!(bank.get(&path).expect(200).json()["items"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_batch_over_a_network_that_breaks_goes_on_and_makes_the_same_files_as_in_a_folder() {
    let (s3, folder) = (S3::start(), tempfile::tempdir().expect("a folder"));
    let bank = bank_over(folder.path(), s3.address());
    let accounts: Vec<String> = (0..12).map(|_| account_with_an_october(&bank)).collect();
    let (_, data, _kept) = bank.stop();
    let proxy = Proxy::start(s3.address());
    let make = || {
        let mut command = support::program::florin();
        command.args(["statements", "make", "--month", "2025-10", "--json", "--data"]).arg(&data);
        command
    };
    let mut rounds = 0;
    loop {
        let mut command = make();
        with_bucket(&mut command, folder.path(), proxy.address());
        let mut child = command.stdout(std::process::Stdio::null()).spawn().expect("the program can be started");
        // Cut again and again, each time after one more connection than before.
        rounds += 1;
        while child.try_wait().expect("a child").is_none() && rounds < 5 {
            proxy.cut();
            std::thread::yield_now();
        }
        if child.wait().expect("a child").success() {
            break;
        }
        assert!(rounds < 50, "it never succeeds");
    }
    let folder_made = make().output().expect("the program can be started");
    assert!(folder_made.status.success());
    let bank = bank_over(folder.path(), s3.address());
    for account in &accounts {
        let listed = bank.get(&statements_of(account)).expect(200).json();
        for ending in ["pdf", "csv", "xml"] {
            let in_folder = data.join("objects").join(account).join("2025-10").join(format!("report.{ending}"));
            let in_bucket = open(link(&listed["items"][0], ending)).expect(200).body;
            assert!(in_bucket == std::fs::read(in_folder).expect("a file"), "{ending} of {account}");
        }
    }
}

#[test]
fn what_is_half_configured_is_refused_by_name() {
    for (name, value, word) in [
        ("FLORIN_OBJECTS__REGION", "eu-central-1", "bucket"),
        ("FLORIN_OBJECTS__ACCESS_KEY", "key", "bucket"),
        ("FLORIN_OBJECTS__BUKCET", "bank", "FLORIN_OBJECTS__BUKCET"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let output = serve(folder.path()).env(name, value).output().expect("the program can be started");
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains(word));
    }
}
