//! A real bank's 6,471 standing orders through a year of the whole program, against an oracle that knows only the table.

#[path = "../support/mod.rs"]
mod support;

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Command;
use support::bank::Bank;
use support::clock::TimedBank;
use support::http::Request;
use support::year::minor_units;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/standing-orders.csv.gz");
const ORACLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/oracles/standing_orders.py");
const ORDERS: usize = 6_471;
const ACCOUNTS: usize = 3_758;
const MONTHS: usize = 12;
/// The days of a month on which the job runs: what fell due since is caught up.
const RUNS: [&str; 3] = ["05", "15", "25"];

/// An order as the oracle tells it, and which of its due days are paid and refused.
struct Order {
    id: String,
    account: String,
    minor_units: i64,
    day: String,
    holidays: String,
    paid: Vec<String>,
    refused: Vec<String>,
}

#[derive(Default)]
struct Oracle {
    orders: Vec<Order>,
    /// What accounts have before and after.
    accounts: BTreeMap<String, (i64, i64)>,
    /// What banks are paid.
    banks: BTreeMap<String, i64>,
}

fn number(text: &str) -> i64 {
    text.parse().expect("a number")
}

fn days(text: &str) -> Vec<String> {
    text.split(',').filter(|day| *day != "-").map(str::to_owned).collect()
}

fn oracle() -> Oracle {
    let told = Command::new("python3").args([ORACLE, FIXTURE, "2027"]).output().expect("python3 can be started");
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let mut oracle = Oracle::default();
    for line in String::from_utf8(told.stdout).expect("text").lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["order", id, account, amount, day, holidays, "done", paid, "refused", refused] => {
                oracle.orders.push(Order {
                    id: id.to_owned(),
                    account: account.to_owned(),
                    minor_units: number(amount),
                    day: day.to_owned(),
                    holidays: holidays.to_owned(),
                    paid: days(paid),
                    refused: days(refused),
                });
            }
            ["account", id, before, after] => {
                oracle.accounts.insert(id.to_owned(), (number(before), number(after)));
            }
            ["bank", code, paid] => {
                oracle.banks.insert(code.to_owned(), number(paid));
            }
            _ => panic!("{line}"),
        }
    }
    oracle
}

fn crowns(minor_units: i64) -> String {
    format!("{}.{:02}", minor_units / 100, minor_units % 100)
}

/// Which bank an order pays to: the table's third column.
fn banks_of_orders() -> BTreeMap<String, String> {
    let mut text = String::new();
    let file = std::fs::File::open(FIXTURE).expect("the fixture");
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(file), &mut text).expect("gzip");
    let row = |line: &str| {
        let mut fields = line.split(',');
        let order = fields.next().expect("an order").to_owned();
        (order, fields.nth(1).expect("a bank").to_owned())
    };
    text.lines().skip(1).map(row).collect()
}

fn open_accounts(bank: &Bank, oracle: &Oracle) {
    let event = |kind: &str, id: &str, data: Value| {
        let event = json!({"specversion": "1.0", "source": "table", "type": kind, "id": id, "data": data});
        event.to_string()
    };
    let mut events = vec![event("florin.user.registered", "1", json!({"user_id": "1", "name": "Customer 1"}))];
    for (id, (before, _)) in &oracle.accounts {
        let opened = json!({"account_id": id, "user_id": "1", "type": "checking", "currency": "CZK"});
        events.push(event("florin.account.opened", id, opened));
        if 0 < *before {
            let paid_in = json!({"account_id": id, "amount": crowns(*before), "currency": "CZK"});
            events.push(event("florin.deposit", &format!("in-{id}"), paid_in));
        }
    }
    let request = Request::post("/api/v1/events").body("application/x-ndjson", events.join("\n").into_bytes());
    let counts = bank.send(request).expect(200).json();
    assert_eq!(counts["accepted"], events.len(), "{counts}");
}

fn create_orders(bank: &Bank, oracle: &Oracle, banks: &BTreeMap<String, String>) {
    for order in &oracle.orders {
        let asked = json!({"standing_order_id": order.id, "amount": crowns(order.minor_units), "currency": "CZK",
            "rhythm": format!("monthly on {} from 2027-01-01", order.day), "until": "2027-12-31",
            "holidays": order.holidays, "reference": format!("to {}", banks[&order.id])});
        bank.post(&format!("/api/v1/accounts/{}/standing-orders", order.account), &asked).expect(201);
    }
}

/// How many transfers were made, and how many refused.
fn run(bank: &Bank) -> (usize, usize) {
    let done = bank.post("/api/v1/jobs/standing-orders/run", &json!({})).expect(200).json();
    let detail = done["detail"].as_str().expect("a text");
    let numbers: Vec<usize> = detail.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [made, 0, refused] = numbers[..] else { panic!("{detail}") };
    (made, refused)
}

#[test]
fn a_year_of_a_real_banks_standing_orders_pays_each_due_day_once_and_what_there_is_money_for() {
    let (oracle, banks) = (oracle(), banks_of_orders());
    assert_eq!((oracle.orders.len(), oracle.accounts.len(), oracle.banks.len()), (ORDERS, ACCOUNTS, 13));
    let off = ["FLORIN_JOBS__STANDING_ORDERS", "FLORIN_JOBS__CLOSE_DAY", "FLORIN_JOBS__STATEMENTS"];
    let holidays = ("FLORIN_BUSINESS__HOLIDAYS", "2027-01-01 2027-03-29 2027-05-05 2027-07-05 2027-07-06 2027-12-24");
    let settings: Vec<(&str, &str)> = off.map(|job| (job, "off")).into_iter().chain([holidays]).collect();
    let mut timed = TimedBank::open_at("2026-12-15 10:00:00", &settings);
    open_accounts(timed.bank(), &oracle);
    create_orders(timed.bank(), &oracle, &banks);
    let (mut made, mut refused) = (0, 0);
    let months = (1..=MONTHS).flat_map(|month| RUNS.map(|day| format!("2027-{month:02}-{day} 10:00:00")));
    for (count, time) in months.chain(["2028-01-03 10:00:00".to_owned()]).enumerate() {
        if count % 2 == 0 {
            timed.crash_and_go_to(&time)
        } else {
            timed.go_to(&time)
        }
        let done = run(timed.bank());
        (made, refused) = (made + done.0, refused + done.1);
        assert_eq!(run(timed.bank()), (0, 0), "what was done is not done again");
    }
    let paid: usize = oracle.orders.iter().map(|order| order.paid.len()).sum();
    assert_eq!((made, refused), (paid, ORDERS * MONTHS - paid));
    compare(timed.bank(), &oracle);
    timed.bank().expect_sums_of_zero();
}

/// What the accounts' own postings say, and what orders tell of themselves.
fn compare(bank: &Bank, oracle: &Oracle) {
    let mut debited: BTreeMap<String, Vec<(String, i64)>> = BTreeMap::new();
    let mut banks: BTreeMap<String, i64> = BTreeMap::new();
    for (account, (before, after)) in &oracle.accounts {
        assert_eq!(minor_units(&bank.ledger(account)), *after, "account {account}");
        let mut sum = *before;
        for posting in bank.postings(account).iter().rev().filter(|posting| posting["type"] != "deposit") {
            let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{posting}")).to_owned();
            let amount = minor_units(&text(&posting["amount"]));
            let order = text(&posting["metadata"]["standing_order"]);
            debited.entry(order).or_default().push((text(&posting["metadata"]["due"]), amount));
            *banks.entry(text(&posting["reference"]).trim_start_matches("to ").to_owned()).or_default() += amount;
            sum -= amount;
        }
        assert_eq!(sum, *after, "account {account}");
    }
    for order in &oracle.orders {
        let mut found = debited.remove(&order.id).unwrap_or_default();
        found.sort();
        let expected: Vec<(String, i64)> = order.paid.iter().map(|day| (day.clone(), order.minor_units)).collect();
        assert_eq!(found, expected, "order {}", order.id);
        let told = bank.get(&format!("/api/v1/standing-orders/{}/occurrences", order.id)).expect(200).json();
        let of = |outcome: &str| {
            let items = told["items"].as_array().expect("items").iter().filter(|item| item["outcome"] == outcome);
            let mut days: Vec<String> = items.map(|item| item["due"].as_str().expect("a day").to_owned()).collect();
            days.sort();
            days
        };
        assert_eq!((of("done"), of("refused")), (order.paid.clone(), order.refused.clone()), "order {}", order.id);
    }
    assert!(debited.is_empty(), "nobody ordered these: {debited:?}");
    assert_eq!(banks, oracle.banks);
}
