//! The command line as scripts and people use it: exit codes, messages, what it leaves behind.

#[path = "../support/mod.rs"]
mod support;

use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use support::bank::{Bank, Server, serve};
use support::http::Request;
use support::program::{Run, finish, florin, run, run_with_input};
use tempfile::TempDir;

struct Room {
    folder: TempDir,
}

impl Room {
    fn new() -> Room {
        Room { folder: TempDir::new().expect("a temporary folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn data(&self) -> String {
        self.path("data").to_str().expect("a UTF-8 path").to_owned()
    }

    fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), contents).expect("written");
        self.path(name).to_str().expect("a UTF-8 path").to_owned()
    }
}

/// An error says what to do next.
#[track_caller]
fn expect_error(run: Run, code: i32, words: &[&str]) {
    let run = run.expect_code(code);
    for word in words {
        assert!(run.stderr.contains(word), "{word:?} is not in {}", run.stderr);
    }
    assert!(run.stdout.is_empty(), "{}", run.stdout);
}

const EVENTS: &str = r#"{"specversion":"1.0","type":"florin.user.registered","source":"s","id":"1","data":{"user_id":"1","name":"A"}}
{"specversion":"1.0","type":"florin.account.opened","source":"s","id":"2","data":{"account_id":"1","user_id":"1","currency":"EUR","type":"checking"}}
{"specversion":"1.0","type":"florin.deposit","source":"s","id":"3","data":{"account_id":"1","amount":"10.00","currency":"EUR"}}
{"specversion":"1.0","type":"florin.withdrawal","source":"s","id":"4","data":{"account_id":"1","amount":"11.00","currency":"EUR"}}
not even JSON
"#;

#[test]
fn the_demo_tells_the_year_and_the_second_time_all_is_replayed() {
    let room = Room::new();
    let first = run(["demo", "--data", &room.data()]).expect_code(0);
    for words in [
        "27,215 transactions",
        "1,111 accounts",
        "0 rejections",
        "0 dead letters",
        "durable transfers/s",
        "florin serve",
    ] {
        assert!(first.stdout.contains(words), "{words:?} is not in {}", first.stdout);
    }
    let again = run(["demo", "--data", &room.data(), "--json"]).expect_code(0).json();
    assert_eq!((&again["accepted"], &again["replayed"], &again["clean"]), (&json!(0), &json!(29_437), &json!(true)));
}

#[test]
fn ingest_counts_what_it_read_and_says_no_when_something_was_dead_lettered() {
    let room = Room::new();
    let first =
        run_with_input(["ingest", "-", "--json", "--data", &room.data()], EVENTS.as_bytes()).expect_code(1).json();
    assert_eq!(first, json!({"events": 5, "accepted": 3, "replayed": 0, "dead_lettered": 2}));
    let file = room.write("events.ndjson", EVENTS);
    let again = run(["--data", &room.data(), "ingest", &file, "--json"]).expect_code(1).json();
    assert_eq!(again, json!({"events": 5, "accepted": 0, "replayed": 4, "dead_lettered": 1}));
}

#[test]
fn dead_letters_are_listed_shown_redriven_and_discarded() {
    let room = Room::new();
    let data = room.data();
    run_with_input(["ingest", "-", "--data", &data], EVENTS.as_bytes()).expect_code(1);
    let listed = run(["dead-letters", "list", "--data", &data, "--json"]).expect_code(0).json();
    let ids: Vec<String> = listed["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|letter| letter["dead_letter_id"].as_str().expect("an id").to_owned())
        .collect();
    let [malformed, rejected] = ids.as_slice() else { panic!("{listed}") };
    let shown = run(["dead-letters", "show", rejected, "--data", &data]).expect_code(0);
    assert!(shown.stdout.contains("insufficient_funds") && shown.stdout.contains("11.00"), "{}", shown.stdout);
    let refused = run(["dead-letters", "redrive", rejected, "--data", &data]).expect_code(1);
    for words in ["next:", "--with JSON", "dead-letters discard", rejected] {
        assert!(refused.stderr.contains(words), "{words}: {}", refused.stderr);
    }
    let corrected = r#"{"account_id":"1","amount":"9.00","currency":"EUR"}"#;
    let redriven =
        run(["dead-letters", "redrive", rejected, "--with", corrected, "--data", &data, "--json"]).expect_code(0);
    assert_eq!(redriven.json()["status"], "redriven");
    let discarded =
        run(["dead-letters", "discard", malformed, "--reason", "not ours", "--data", &data, "--json"]).expect_code(0);
    assert_eq!(discarded.json()["status"], "discarded");
    let waiting = run(["dead-letters", "list", "--status", "waiting", "--data", &data, "--json"]).expect_code(0);
    assert_eq!(waiting.json(), json!({"items": []}));
    expect_error(run(["dead-letters", "show", "x", "--data", &data]), 2, &["no id", "next:", "dead-letters list"]);
    expect_error(
        run(["dead-letters", "show", "999", "--data", &data]),
        1,
        &["dead_letter_not_found", "next:", "dead-letters list"],
    );
    expect_error(run(["token", "revoke", "999", "--data", &data]), 1, &["not_found", "next:", "token list"]);
}

#[test]
fn a_server_is_looked_after_through_its_url() {
    let bank = Bank::open_with_tokens();
    let room = Room::new();
    let (url, token_file) = (bank.url(), bank.folder().join("admin.token"));
    let remote = ["--url", &url, "--token-file", token_file.to_str().expect("a UTF-8 path"), "--json"];
    let with = |arguments: &[&str]| run(arguments.iter().chain(&remote));
    let file = room.write("events.ndjson", EVENTS);
    let counts = with(&["ingest", &file]).expect_code(1).json();
    assert_eq!(counts, json!({"events": 5, "accepted": 3, "replayed": 0, "dead_lettered": 2}));
    let letters = with(&["dead-letters", "list"]).expect_code(0).json();
    assert_eq!(letters["items"].as_array().map(Vec::len), Some(2));
    let token =
        with(&["token", "create", "--name", "till 1", "--role", "teller", "--expires", "30d"]).expect_code(0).json();
    let text = token["token"].as_str().expect("a token");
    bank.send_as_it_is(&Request::get("/api/v1/accounts/1").token(text)).expect(200);
    let listed = with(&["token", "list"]).expect_code(0);
    assert!(listed.stdout.contains("till 1") && !listed.stdout.contains(text));
    with(&["token", "revoke", token["token_id"].as_str().expect("an id")]).expect_code(0);
    bank.send_as_it_is(&Request::get("/api/v1/accounts/1").token(text)).expect_problem(401, "unauthenticated");
    expect_error(run(["token", "list", "--url", &url]), 1, &["--token-file"]);
    expect_error(run(["token", "list", "--url", "https://bank"]), 2, &["plain HTTP"]);
    expect_error(run(["token", "list", "--token-file", "x"]), 2, &["--url"]);
}

#[test]
fn tokens_made_in_the_folder_work_when_it_is_served() {
    let room = Room::new();
    let data = room.data();
    run_with_input(["ingest", "-", "--data", &data], EVENTS.as_bytes()).expect_code(1);
    let made = run(["token", "create", "--name", "a", "--role", "auditor", "--data", &data]).expect_code(0);
    let text = made.stdout.trim().to_owned();
    assert!(made.stderr.contains("not shown again"), "{}", made.stderr);
    let server = Server::start(&mut serve(Path::new(&data)));
    let mut connection = support::http::Connection::open(server.address).expect("a connection");
    let answer = connection.send(&Request::get("/api/v1/accounts/1").token(&text)).expect("an answer");
    answer.expect(200);
}

#[test]
fn who_comes_second_is_told_who_holds_the_folder() {
    let bank = Bank::open();
    let data = bank.folder().to_str().expect("a UTF-8 path").to_owned();
    let holder = bank.server().process_id().to_string();
    for arguments in
        [vec!["verify"], vec!["demo"], vec!["dead-letters", "list"], vec!["serve", "--listen", "127.0.0.1:0"]]
    {
        let arguments = arguments.into_iter().chain(["--data", &data]);
        expect_error(run(arguments), 3, &["in use", &holder, "next: ", "--url"]);
    }
    let (code, folder, temporary) = bank.stop();
    assert_eq!(code, Some(0));
    run(["verify", "--data", folder.to_str().expect("a UTF-8 path")]).expect_code(0);
    drop(temporary);
}

#[test]
fn the_lock_does_not_outlive_its_process() {
    let bank = Bank::open();
    let account = bank.new_account("5.00");
    let bank = bank.crash_and_restart();
    assert_eq!(bank.ledger(&account), "5.00");
}

#[test]
fn a_folder_of_a_newer_format_is_refused() {
    let room = Room::new();
    run(["demo", "--data", &room.data()]).expect_code(0);
    let format = room.path("data").join("format");
    let mut bytes = std::fs::read(&format).expect("a file");
    bytes[8..12].copy_from_slice(&99u32.to_le_bytes());
    std::fs::write(&format, bytes).expect("written");
    expect_error(run(["verify", "--data", &room.data()]), 3, &["99", "newer"]);
    expect_error(run(["serve", "--data", &room.data(), "--listen", "127.0.0.1:0"]), 3, &["99", "newer"]);
}

#[test]
fn the_first_start_leaves_a_token_for_its_owner_only() {
    let bank = Bank::open_with_tokens();
    for name in ["admin.token", "keyring", "master.key", "records"] {
        let mode = std::fs::metadata(bank.folder().join(name)).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    bank.get("/api/v1/tokens").expect(200);
}

#[test]
fn an_open_bank_is_refused_where_others_can_reach_it() {
    let room = Room::new();
    let refused = run(["serve", "--no-auth", "--listen", "0.0.0.0:0", "--data", &room.data()]);
    expect_error(refused, 2, &["--no-auth", "loopback"]);
    assert!(!room.path("data").exists());
}

#[test]
fn another_number_of_shards_than_the_folders_is_wrong_usage() {
    let room = Room::new();
    let data = room.path("data");
    let server = Server::start(serve(&data).args(["--shards", "2"]));
    assert_eq!(server.terminate(), Some(0));
    expect_error(finish(serve(&data).args(["--shards", "3"])), 2, &["2 shards", "3"]);
    let server = Server::start(&mut serve(&data));
    assert_eq!(server.terminate(), Some(0));
    run(["verify", "--data", &room.data()]).expect_code(0);
}

#[test]
fn a_second_signal_ends_the_server_at_once() {
    let bank = Bank::open();
    let account = bank.new_account("5.00");
    // A request that never ends keeps the first signal waiting.
    let mut connection = support::http::Connection::open(bank.address()).expect("a connection");
    connection
        .write(
            b"POST /api/v1/users HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{",
        )
        .expect("sent");
    bank.get("/health/live").expect(200);
    bank.server().signal("TERM");
    bank.server().signal("INT");
    let (code, folder, temporary) = bank.stop();
    assert!(matches!(code, Some(0 | 3)), "{code:?}");
    let bank = Bank::open_in(&folder);
    assert_eq!(bank.ledger(&account), "5.00");
    drop(bank);
    drop(temporary);
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_is_right() {
    let room = Room::new();
    let data = room.data();
    expect_error(run(["verify", "--data", &data]), 2, &["no bank", "--data", "florin demo"]);
    assert!(!room.path("data").exists());
    expect_error(run(["ingest", "nowhere.ndjson", "--data", &data]), 2, &["nowhere.ndjson"]);
    expect_error(run(["nonsense"]), 2, &["Usage"]);
    expect_error(run(["serve", "--listen", "here"]), 2, &["here"]);
    let config = room.write("florin.toml", "[serve]\nlistn = 'x'\n");
    expect_error(run(["--config", &config, "verify"]), 2, &["listn", "florin.toml"]);
    let config = room.write("shards.toml", "[serve]\nshards = 1025\n");
    expect_error(run(["--config", &config, "serve", "--data", &data]), 2, &["1 to 1024 shards", "shards.toml"]);
    expect_error(finish(florin().args(["verify"]).env("FLORIN_SERVE__LISTN", "x")), 2, &["FLORIN_SERVE__LISTN"]);
    let full = room.write("full", "x");
    expect_error(
        run([
            "bench",
            "engine",
            "--transfers",
            "1",
            "--accounts",
            "2",
            "--data",
            room.folder.path().to_str().expect("a path"),
        ]),
        2,
        &["not empty"],
    );
    drop(full);
}

#[test]
fn a_keyring_that_lost_a_key_does_not_verify() {
    let room = Room::new();
    let data = room.data();
    run_with_input(["ingest", "-", "--data", &data], EVENTS.as_bytes()).expect_code(1);
    let verified = run(["verify", "--data", &data]).expect_code(0);
    assert!(verified.stdout.contains("keys in the keyring"), "{}", verified.stdout);
    let keyring = room.path("data").join("keyring");
    let whole = std::fs::read(&keyring).expect("a keyring");
    let mut damaged = whole.clone();
    let last = damaged.len() - 128;
    damaged[last + 40] ^= 1; // keys made ahead are used from the end
    for (bytes, words) in [(&whole[..128], "not in the keyring"), (&damaged, "checksum")] {
        std::fs::write(&keyring, bytes).expect("written");
        let verified = run(["verify", "--data", &data]).expect_code(1);
        assert!(verified.stdout.contains("WRONG") && verified.stdout.contains(words), "{}", verified.stdout);
    }
    std::fs::write(&keyring, whole).expect("written");
    run(["verify", "--data", &data]).expect_code(0);
}

#[test]
fn the_demo_suggests_commands_that_work_as_typed() {
    let room = Room::new();
    let data = room.path("my data");
    let first = finish(florin().args(["demo", "--data"]).arg(&data)).expect_code(0);
    let suggested = first.stdout.lines().find(|line| line.contains(" demo --data ")).expect("a suggestion");
    let (command, _) = suggested.split_once("  everything").expect("a command and what it does");
    let again = std::process::Command::new("sh").args(["-c", command]).output().expect("a shell");
    let told = String::from_utf8_lossy(&again.stdout);
    assert!(again.status.success() && told.contains("everything was replayed"), "{told}");
}

#[test]
fn a_folder_of_something_else_is_left_alone() {
    let room = Room::new();
    room.write("letter.txt", "dear bank");
    let folder = room.folder.path().to_str().expect("a UTF-8 path");
    expect_error(run(["demo", "--data", folder]), 2, &["letter.txt"]);
    assert_eq!(std::fs::read_dir(folder).expect("the folder").count(), 1);
}

#[test]
fn configuration_comes_from_the_file_the_environment_and_the_command_line_in_this_order() {
    let room = Room::new();
    let config = room.write("florin.toml", format!("[data]\nfolder = {:?}\n", room.path("of-the-file")));
    run_with_input(["ingest", "-", "--config", &config], b"").expect_code(0);
    finish(
        florin().args(["ingest", "-", "--config", &config]).env("FLORIN_DATA__FOLDER", room.path("of-the-environment")),
    )
    .expect_code(0);
    let line = room.path("of-the-line");
    let mut command = florin();
    command
        .args(["ingest", "-", "--config", &config])
        .arg("--data")
        .arg(&line)
        .env("FLORIN_DATA__FOLDER", room.path("unused"));
    finish(&mut command).expect_code(0);
    for (name, is_there) in
        [("of-the-file", true), ("of-the-environment", true), ("of-the-line", true), ("unused", false)]
    {
        assert_eq!(room.path(name).join("format").exists(), is_there, "{name}");
    }
}

#[test]
fn measuring_the_engine_tells_what_was_asked_for() {
    let room = Room::new();
    let measured = run([
        "bench",
        "engine",
        "--transfers",
        "20000",
        "--accounts",
        "100",
        "--batch",
        "1000",
        "--data",
        &room.data(),
        "--json",
    ]);
    let measured = measured.expect_code(0).json();
    for field in
        ["transfers_per_s_durable", "transfers_per_s_indexed", "p50_ms", "p99_ms", "bytes_per_transfer", "rss_mb"]
    {
        assert!(measured[field].as_f64().is_some_and(|value| value > 0.0), "{field} in {measured}");
    }
    run(["verify", "--data", &room.data()]).expect_code(0);
}

#[test]
fn measuring_a_server_moves_money_on_it() {
    let bank = Bank::open();
    let url = bank.url();
    for options in [&["--batch", "1"][..], &["--batch", "50"], &["--batch", "50", "--rows"]] {
        let arguments =
            ["bench", "http", "--url", &url, "--clients", "2", "--seconds", "1", "--accounts", "10", "--json"];
        let measured = run(arguments.iter().chain(options)).expect_code(0).json();
        assert!(measured["transfers"].as_u64().is_some_and(|count| count > 0), "{measured}");
    }
    bank.expect_sums_of_zero();
}

#[test]
fn a_bulk_load_makes_exactly_the_transfers_that_were_asked_for() {
    let bank = Bank::open();
    let url = bank.url();
    let count = || {
        let text = bank.get("/metrics").expect(200).text();
        let line = text.lines().find(|line| line.starts_with("florin_transfers_total")).expect("a line").to_owned();
        line.rsplit(' ').next().and_then(|number| number.parse::<u64>().ok()).expect("a number")
    };
    let before = count();
    let measured = run([
        "bench",
        "http",
        "--url",
        &url,
        "--rows",
        "--clients",
        "3",
        "--batch",
        "300",
        "--transfers",
        "10001",
        "--accounts",
        "5000",
        "--read-clients",
        "1",
        "--json",
    ]);
    let measured = measured.expect_code(0).json();
    assert_eq!((measured["transfers"].as_u64(), count() - before), (Some(10_001), 10_001), "{measured}");
    for field in ["transfers_per_s_indexed", "p50_ms", "p99_ms", "reads", "reads_p50_ms", "reads_p99_ms"] {
        assert!(measured[field].as_f64().is_some_and(|value| value > 0.0), "{field} in {measured}");
    }
    bank.expect_sums_of_zero();
}

#[test]
fn completions_and_the_manual_name_every_command() {
    let names = ["demo", "serve", "ingest", "verify", "dead-letters", "token", "bench"];
    for run in [run(["completions", "bash"]), run(["man"])] {
        let run = run.expect_code(0);
        for name in names {
            assert!(run.stdout.replace('\\', "").contains(name), "{name}");
        }
    }
}

#[test]
fn results_go_to_stdout_without_colours_when_nobody_looks() {
    let room = Room::new();
    let demo = run(["demo", "--data", &room.data()]).expect_code(0);
    assert!(!demo.stdout.contains('\u{1b}') && demo.stderr.is_empty(), "{}{}", demo.stdout, demo.stderr);
    let verified: Value = run(["verify", "--data", &room.data(), "--json"]).expect_code(0).json();
    assert!(verified["checks"].as_array().is_some_and(|checks| checks.len() > 3));
}

/// What is built without Kafka says how to build it with it, before it touches anything.
#[cfg(not(feature = "kafka"))]
#[test]
fn a_program_without_kafka_refuses_to_be_configured_for_it() {
    let room = Room::new();
    let mut command = florin();
    command.args(["serve", "--no-auth", "--listen", "127.0.0.1:0", "--data", &room.data()]);
    command.env("FLORIN_KAFKA__EVENTS", "true").env("FLORIN_KAFKA__BROKERS", "127.0.0.1:9092");
    expect_error(finish(&mut command), 2, &["[kafka]", "--features kafka"]);
    assert!(!room.path("data").exists());
}
