//! Statements from outside: made over HTTP and by the program, read by whoever has a link and by nobody else.

#[path = "../support/mod.rs"]
mod support;

use serde_json::{Value, json};
use std::path::Path;
use support::bank::{Bank, serve};
use support::http::{Connection, Request, Response};
use support::program::{Run, run};

/// An account that was paid 1,000 on 10 October 2025 and paid 300 on the 20th.
fn account_with_an_october(bank: &Bank) -> String {
    let account = bank.new_account("0");
    pay(bank, &account, "1000", "2025-10-10T12:00:00Z");
    let paid = json!({"type": "withdrawal", "from": account, "amount": "300", "currency": "EUR",
        "effective_at": "2025-10-20T12:00:00Z", "reference": "rent"});
    bank.post_with_key("/api/v1/transfers", &bank.fresh_key(), &paid).expect(201);
    account
}

fn pay(bank: &Bank, account: &str, amount: &str, effective_at: &str) {
    let deposit =
        json!({"type": "deposit", "to": account, "amount": amount, "currency": "EUR", "effective_at": effective_at});
    bank.post_with_key("/api/v1/transfers", &bank.fresh_key(), &deposit).expect(201);
}

fn statements_of(account: &str) -> String {
    format!("/api/v1/accounts/{account}/statements")
}

fn link(statement: &Value, ending: &str) -> String {
    let link = statement["files"][ending].as_str().expect("a link");
    link.split_once("/api/").map(|(_, path)| format!("/api/{path}")).expect("a path")
}

/// As somebody without a token.
fn open(bank: &Bank, path: &str) -> Response {
    let mut connection = Connection::open(bank.address()).expect("a connection");
    connection.send(&Request::get(path)).expect("an answer")
}

fn is_pdf(response: &Response) -> bool {
    response.header("content-type") == Some("application/pdf") && response.text().starts_with("%PDF-1.7")
}

#[test]
fn a_statement_is_made_listed_and_read_by_its_links() {
    let bank = Bank::open_with_tokens();
    let account = account_with_an_october(&bank);
    let path = statements_of(&account);
    let made = bank.post(&path, &json!({"month": "2025-10"})).expect(201).json();
    assert_eq!([&made["opening"], &made["closing"]], ["0.00", "700.00"]);
    assert_eq!((&made["number"], &made["postings"]), (&json!(1), &json!(2)));
    bank.post(&path, &json!({"month": "2025-10"})).expect(200);
    let listed = bank.get(&path).expect(200).json();
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));
    let pdf = open(&bank, &link(&listed["items"][0], "pdf"));
    assert!(is_pdf(&pdf.expect(200)));
    let csv = open(&bank, &link(&made, "csv")).expect(200);
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    assert!(csv.header("cache-control").is_some_and(|header| header.starts_with("public, max-age=")));
    assert!(csv.text().contains(",withdrawal,") && csv.text().contains(",rent,-300.00,700.00,EUR,"), "{}", csv.text());
    let xml = open(&bank, &link(&made, "xml")).expect(200).text();
    assert!(xml.contains("camt.053.001.08"), "{xml}");
}

#[test]
fn a_month_is_downloaded_by_a_link_that_works_as_it_is() {
    let bank = Bank::open_with_tokens();
    let account = account_with_an_october(&bank);
    let answer = bank.get(&format!("/api/v1/transactions/{account}/month/2025-10/download")).expect(200).json();
    let path = answer["path"].as_str().expect("a link");
    assert_eq!(answer["code"], 200);
    // The bank is named as whoever asks for the link names it, unless the configuration says how customers do.
    let file = format!("/api/v1/files/{account}/2025-10/report.pdf?");
    assert!(path.starts_with(&format!("http://localhost{file}")), "{path}");
    assert!(is_pdf(&open(&bank, &link(&json!({"files": {"pdf": path}}), "pdf"))));
    let mut command = serve(bank.folder());
    let folder = bank.folder().to_owned();
    let (_, _, _kept) = bank.stop();
    command.arg("--no-auth").env("FLORIN_STATEMENTS__PUBLIC_URL", "https://bank.example/");
    let public = Bank::attach(support::bank::Server::start(&mut command), &folder);
    let answer = public.get(&format!("/api/v1/transactions/{account}/month/2025-10/download")).expect(200).json();
    assert!(answer["path"].as_str().is_some_and(|path| path.starts_with(&format!("https://bank.example{file}"))));
}

#[test]
fn a_link_that_was_changed_or_is_over_or_is_for_something_else_is_refused() {
    let bank = Bank::open_with_tokens();
    let (account, other) = (account_with_an_october(&bank), account_with_an_october(&bank));
    let made = bank.post(&statements_of(&account), &json!({"month": "2025-10"})).expect(201).json();
    bank.post(&statements_of(&other), &json!({"month": "2025-10"})).expect(201);
    let link = link(&made, "pdf");
    open(&bank, &link).expect(200);
    let expires = link.split_once("expires=").and_then(|(_, rest)| rest.split_once('&')).expect("a time").0;
    let longer = (expires.parse::<u64>().expect("a number") + 1).to_string();
    for changed in [
        link.replace(&account, &other),
        link.replace(".pdf", ".csv"),
        link.replace("2025-10", "2025-09"),
        link.replace(expires, &longer),
        link.replace(expires, "1"),
        link[..link.len() - 1].to_owned(),
        link.split('?').next().expect("a path").to_owned(),
        link.replace("report.pdf", "..%2f..%2f..%2fadmin.token"),
    ] {
        open(&bank, &changed).expect_problem(403, "forbidden");
    }
    open(&bank, &format!("{link}&more=1")).expect_problem(400, "unknown_field");
    open(&bank, &statements_of(&account)).expect_problem(401, "unauthenticated");
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = serve(folder.path());
    command.arg("--no-auth").env("FLORIN_STATEMENTS__LINK_S", "0");
    let hasty = Bank::attach(support::bank::Server::start(&mut command), folder.path());
    let account = account_with_an_october(&hasty);
    let made = hasty.post(&statements_of(&account), &json!({"month": "2025-10"})).expect(201).json();
    open(&hasty, &self::link(&made, "pdf")).expect_problem(403, "forbidden");
}

#[test]
fn what_was_booked_late_is_in_a_further_statement_or_in_the_next_month() {
    let bank = Bank::open();
    let account = account_with_an_october(&bank);
    let path = statements_of(&account);
    let first = bank.post(&path, &json!({"month": "2025-10"})).expect(201).json();
    let before = open(&bank, &link(&first, "pdf")).text();
    pay(&bank, &account, "5", "2025-10-25T00:00:00Z");
    let next = bank.post(&path, &json!({"month": "2025-11"})).expect(201).json();
    assert_eq!([&next["opening"], &next["closing"]], ["700.00", "705.00"]);
    let again = bank.post(&path, &json!({"month": "2025-10", "again": true})).expect(201).json();
    assert_eq!((&again["number"], &again["closing"]), (&json!(2), &json!("705.00")));
    bank.post(&path, &json!({"month": "2025-10", "again": true})).expect(200);
    assert_eq!(open(&bank, &link(&first, "pdf")).text(), before, "the old one stays");
    let listed = bank.get(&path).expect(200).json();
    let months: Vec<String> = listed["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|item| format!("{}/{}", item["month"], item["number"]))
        .collect();
    assert_eq!(months, ["\"2025-11\"/1", "\"2025-10\"/2", "\"2025-10\"/1"]);
}

#[test]
fn there_is_no_statement_of_what_is_not_over_or_was_not_there() {
    let bank = Bank::open();
    let account = account_with_an_october(&bank);
    let path = statements_of(&account);
    bank.post(&path, &json!({"month": "2999-01"})).expect_problem(404, "statement_not_found");
    bank.post(&path, &json!({"month": "2025-13"})).expect_problem(400, "malformed");
    bank.post(&path, &json!({"month": "2025-10", "agian": true})).expect_problem(400, "unknown_field");
    bank.post(&path, &json!({})).expect_problem(400, "malformed");
    bank.post(&statements_of("999"), &json!({"month": "2025-10"})).expect_problem(404, "account_not_found");
    bank.get(&format!("/api/v1/transactions/{account}/month/2024-01/download"))
        .expect_problem(404, "statement_not_found");
    assert_eq!(bank.get(&path).expect(200).json(), json!({"items": []}));
}

fn make(folder: &Path, arguments: &[&str]) -> Run {
    let folder = folder.to_str().expect("a UTF-8 path");
    run(["statements", "make", "--data", folder, "--json"].iter().chain(arguments))
}

#[test]
fn the_program_makes_a_month_of_all_accounts_and_goes_on_where_it_stopped() {
    let bank = Bank::open();
    let accounts: Vec<String> = (0..3).map(|_| account_with_an_october(&bank)).collect();
    let other = bank.new_account("0");
    pay(&bank, &other, "8", "2025-12-01T00:00:00Z");
    let (_, folder, _kept) = bank.stop();
    let made = make(&folder, &["--month", "2025-10", "--until", "2025-11"]).expect_code(0).json();
    assert_eq!(made, json!({"made": 6, "before": 0, "nothing": 2}));
    let object = |account: &str, file: &str| folder.join("objects").join(account).join("2025-10").join(file);
    let whole = std::fs::read(object(&accounts[1], "report.pdf")).expect("a file");
    // As a crash leaves it: the manifest is there, and not all of its files.
    for file in ["report.pdf", "report.xml"] {
        std::fs::remove_file(object(&accounts[1], file)).expect("removed");
    }
    let made = make(&folder, &["--month", "2025-10"]).expect_code(0).json();
    assert_eq!(made, json!({"made": 0, "before": 3, "nothing": 1}));
    assert!(std::fs::read(object(&accounts[1], "report.pdf")).expect("a file") == whole);
    make(&folder, &["--month", "2999-10"]).expect_code(2);
    make(&folder, &["--month", "2025-10", "--until", "2025-09"]).expect_code(2);
}

#[test]
fn a_process_killed_while_it_makes_statements_leaves_no_half_file() {
    let bank = Bank::open();
    let accounts: Vec<String> = (0..12).map(|_| account_with_an_october(&bank)).collect();
    let (_, folder, _kept) = bank.stop();
    let data = folder.to_str().expect("a UTF-8 path");
    let objects = folder.join("objects");
    let mut seen = 0;
    while seen < accounts.len() {
        let mut child = support::program::florin()
            .args(["statements", "make", "--data", data, "--month", "2025-10", "--quiet"])
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("the program can be started");
        // Killed as soon as there is something more than before.
        let is_done = loop {
            let there = std::fs::read_dir(&objects).map_or(0, Iterator::count);
            if child.try_wait().expect("a child").is_some() {
                break true;
            }
            if seen < there {
                seen = there;
                break false;
            }
            std::thread::yield_now();
        };
        _ = child.kill();
        _ = child.wait();
        if is_done {
            break;
        }
    }
    let made = make(&folder, &["--month", "2025-10"]).expect_code(0).json();
    assert_eq!(made["made"].as_u64().unwrap_or(0) + made["before"].as_u64().unwrap_or(0), accounts.len() as u64);
    let bank = Bank::open_in(&folder);
    for account in &accounts {
        let listed = bank.get(&statements_of(account)).expect(200).json();
        let statement = &listed["items"][0];
        assert_eq!(statement["closing"], "700.00");
        let pdf = open(&bank, &link(statement, "pdf"));
        assert!(is_pdf(&pdf) && pdf.text().trim_end().ends_with("%%EOF"), "whole");
        assert!(open(&bank, &link(statement, "csv")).text().trim_end().ends_with("closing,,,,,700.00,EUR,"));
        assert!(open(&bank, &link(statement, "xml")).text().trim_end().ends_with("</Document>"));
    }
}
