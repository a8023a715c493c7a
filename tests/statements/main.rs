//! Statements from outside: made over HTTP and by the program, read by whoever has a link and by nobody else.

#[path = "../support/mod.rs"]
mod support;

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use support::bank::{Bank, serve};
use support::http::{Connection, Request, Response};
use support::program::{Run, run};
use support::wait::wait_until;

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
    let again = bank.post(&path, &json!({"month": "2025-10", "again": true})).expect(201).json();
    assert_eq!(
        [&again["opening"], &again["closing"], &again["number"]],
        [&first["opening"], &json!("705.00"), &json!(2)]
    );
    bank.post(&path, &json!({"month": "2025-10", "again": true})).expect(200);
    let next = bank.post(&path, &json!({"month": "2025-11"})).expect(201).json();
    assert_eq!([&next["opening"], &next["closing"]], ["705.00", "705.00"]);
    pay(&bank, &account, "7", "2025-10-25T00:00:00Z");
    let after = bank.post(&path, &json!({"month": "2025-12"})).expect(201).json();
    assert_eq!([&after["opening"], &after["closing"]], ["705.00", "712.00"]);
    // It was told of: a further statement of its month would tell it twice.
    assert_eq!(bank.post(&path, &json!({"month": "2025-10", "again": true})).expect(200).json()["number"], 2);
    assert_eq!(open(&bank, &link(&first, "pdf")).text(), before, "the old one stays");
    let listed = bank.get(&path).expect(200).json();
    let months: Vec<String> = listed["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|item| format!("{}/{}", item["month"], item["number"]))
        .collect();
    assert_eq!(months, ["\"2025-12\"/1", "\"2025-11\"/1", "\"2025-10\"/2", "\"2025-10\"/1"]);
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
    assert_eq!(made, json!({"made": 6, "before": 0, "nothing": 2, "failed": 0}));
    let object = |account: &str, file: &str| folder.join("objects").join(account).join("2025-10").join(file);
    let whole = std::fs::read(object(&accounts[1], "report.pdf")).expect("a file");
    // As a crash leaves it: the manifest is there, and not all of its files.
    for file in ["report.pdf", "report.xml"] {
        std::fs::remove_file(object(&accounts[1], file)).expect("removed");
    }
    let made = make(&folder, &["--month", "2025-10"]).expect_code(0).json();
    assert_eq!(made, json!({"made": 0, "before": 3, "nothing": 1, "failed": 0}));
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

#[test]
fn several_months_come_in_one_file_by_a_link() {
    let bank = Bank::open_with_tokens();
    let account = account_with_an_october(&bank);
    let path = format!("{}/download", statements_of(&account));
    let made = bank.get(&format!("{path}?from=2025-08&to=2025-12")).expect(200).json();
    assert_eq!(
        made["months"],
        json!(["2025-10", "2025-11", "2025-12"]),
        "nothing lies before the account's first posting"
    );
    let link = |made: &Value| {
        let link = made["file"].as_str().and_then(|link| link.split_once("/api/")).expect("a link").1;
        format!("/api/{link}")
    };
    let file = open(&bank, &link(&made)).expect(200);
    assert_eq!(file.header("content-type"), Some("application/zip"));
    let (_folder, unpacked) = unzip(&file.body);
    let mut names: Vec<String> = std::fs::read_dir(&unpacked)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .collect();
    names.sort_unstable();
    let expected = ["2025-10", "2025-11", "2025-12"]
        .map(|month| ["csv", "pdf", "xml"].map(|ending| format!("{month}-report.{ending}")))
        .concat();
    assert_eq!(names, expected);
    let csv = std::fs::read_to_string(unpacked.join("2025-10-report.csv")).expect("a file");
    assert!(csv.trim_end().ends_with("closing,,,,,700.00,EUR,"), "{csv}");
    let again = bank.get(&format!("{path}?from=2025-08&to=2025-12")).expect(200).json();
    assert!(open(&bank, &link(&again)).expect(200).body == file.body);
    open(&bank, &link(&again).replace("2025-10_", "2025-11_")).expect_problem(403, "forbidden");
    for wrong in
        ["", "?from=2025-10", "?from=2025-10&to=2025-09", "?from=2020-01&to=2025-10", "?from=2025-13&to=2025-10"]
    {
        bank.get(&format!("{path}{wrong}")).expect_problem(400, "malformed");
    }
    bank.get(&format!("{path}?from=2024-01&to=2024-02")).expect_problem(404, "statement_not_found");
    bank.get("/api/v1/accounts/999/statements/download?from=2025-10&to=2025-10")
        .expect_problem(404, "account_not_found");
}

/// Unpacks an archive as any program does, which checks it.
fn unzip(archive: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, unpacked) = (folder.path().join("all.zip"), folder.path().join("all"));
    std::fs::write(&file, archive).expect("written");
    let mut command = std::process::Command::new("python3");
    let done = command.args(["-m", "zipfile", "-e"]).arg(file).arg(&unpacked).status().expect("python3 can be started");
    assert!(done.success());
    (folder, unpacked)
}

#[test]
fn an_account_that_is_closed_has_its_last_statement_before_the_month_is_over() {
    let bank = Bank::open();
    let account = bank.new_account("5");
    let today = bank.account(&account)["date_opened"].as_str().expect("a day").to_owned();
    let path = statements_of(&account);
    let asked = json!({"month": today[..7]});
    bank.post(&path, &asked).expect_problem(404, "statement_not_found");
    bank.withdraw(&account, "5").expect(201);
    bank.post(&format!("/api/v1/accounts/{account}/close"), &json!({})).expect(200);
    // It is made without being asked for.
    wait_until("it is made", || {
        bank.get(&path).expect(200).json()["items"].as_array().is_some_and(|items| !items.is_empty())
    });
    let listed = bank.get(&path).expect(200).json();
    assert_eq!((&listed["items"][0]["closing"], &listed["items"][0]["postings"]), (&json!("0.00"), &json!(2)));
    bank.post(&path, &asked).expect(200);
    let csv = open(&bank, &link(&listed["items"][0], "csv")).expect(200).text();
    assert!(csv.trim_end().ends_with(",closing,,,,,0.00,EUR,"), "{csv}");
}
