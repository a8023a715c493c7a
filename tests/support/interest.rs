//! Accounts that bear interest, days that are closed, and what came of it.

use super::bank::Bank;
use super::http::{Connection, Request};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// The account set up last; the first one is 1.
pub(crate) const ACCOUNTS: u64 = 400;
/// When they are set up, when the four days since are over, and those days.
pub(crate) const MORNING: &str = "2026-11-10 10:00:00";
pub(crate) const DAYS_LATER: &str = "2026-11-14 00:00:10";
pub(crate) const DAYS: [&str; 4] = ["2026-11-10", "2026-11-11", "2026-11-12", "2026-11-13"];
/// No day is closed unless the test does it.
pub(crate) const BY_HAND: (&str, &str) = ("FLORIN_JOBS__CLOSE_DAY", "off");
/// The least common multiple of the denominators of what accrues, in units of a currency with two decimals.
const DENOMINATOR: i128 = 16_030_800_000_000_000;

/// What became of an account: its postings of interest (amount, what for, value date), and its days as they are explained
/// (day, accrual, posted, carry).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) postings: Vec<[String; 3]>,
    pub(crate) days: Vec<[String; 4]>,
}

/// A product that posts daily, and accounts with balances of which none bears a whole number of cents.
pub(crate) fn set_up(bank: &Bank) {
    let product = json!({"product_id": "daily-money", "currency": "EUR", "day_count": "ACT/365F", "posting": "daily",
        "default_for": "checking", "from": DAYS[0],
        "tiers": [{"above": "0", "rate_percent": "3.1"}, {"above": "2000", "rate_percent": "4.7"}]});
    bank.post("/api/v1/products", &product).expect(201);
    let event = |kind: &str, id: String, data: Value| {
        json!({"specversion": "1.0", "source": "test", "type": kind, "id": id, "data": data}).to_string()
    };
    let mut events = vec![event("florin.user.registered", "1".to_owned(), json!({"user_id": "1", "name": "A"}))];
    for id in 1..=ACCOUNTS {
        let opened = json!({"account_id": id.to_string(), "user_id": "1", "type": "checking", "currency": "EUR"});
        events.push(event("florin.account.opened", id.to_string(), opened));
        let amount = format!("{}.{:02}", 1_000 + 17 * id, id % 100);
        let paid_in = json!({"account_id": id.to_string(), "amount": amount, "currency": "EUR"});
        events.push(event("florin.deposit", format!("in-{id}"), paid_in));
    }
    let request = Request::post("/api/v1/events").body("application/x-ndjson", events.join("\n").into_bytes());
    let counts = bank.send(request).expect(200).json();
    assert_eq!(counts["accepted"], events.len(), "{counts}");
}

/// Asks a node to close what is over; its answer's status, where it gives one.
pub(crate) fn close(address: SocketAddr) -> Option<u16> {
    let request = Request::post("/api/v1/system/close-day").json(&json!({}));
    let answer = Connection::open(address).ok()?.send(&request).ok()?;
    assert!(matches!(answer.status, 200 | 503), "{}", answer.text());
    Some(answer.status)
}

/// What was posted as interest so far, in minor units.
pub(crate) fn posted(bank: &Bank) -> i128 {
    let balances = bank.get("/api/v1/system/balances").expect(200).json();
    let rows = balances["items"].as_array().expect("items").iter().flat_map(|all| all["accounts"].as_array());
    let expense = rows.flatten().filter(|row| row["kind"] == "expense");
    expense.map(|row| -minor_units(row["balance"].as_str().expect("a balance"))).sum()
}

fn minor_units(text: &str) -> i128 {
    text.replace('.', "").parse().expect("digits")
}

/// What became of all accounts: checked to have every day once, and that what accrued is what was posted and the carry.
pub(crate) fn outcome(bank: &Bank) -> BTreeMap<u64, Outcome> {
    let outcomes: BTreeMap<u64, Outcome> = (1..=ACCOUNTS).map(|id| (id, outcome_of(bank, id))).collect();
    for (id, outcome) in &outcomes {
        let paid_for: Vec<&str> = outcome.postings.iter().map(|[_, what, _]| &**what).collect();
        assert_eq!(paid_for, DAYS.map(|day| format!("interest daily-money {day}/{day}")), "account {id}");
        let days: Vec<&str> = outcome.days.iter().map(|[day, ..]| &**day).collect();
        assert_eq!(days, DAYS, "account {id}");
        let accrued: i128 = outcome.days.iter().map(|[_, accrual, ..]| parts(accrual)).sum();
        let posted: i128 = outcome.postings.iter().map(|[amount, ..]| minor_units(amount)).sum();
        let [.., carry] = outcome.days.last().expect("a day");
        assert_eq!(accrued, posted * (DENOMINATOR / 100) + parts(carry), "account {id}: {outcome:?}");
        assert!((0..DENOMINATOR / 100).contains(&parts(carry)), "account {id}: {carry}");
    }
    bank.expect_sums_of_zero();
    outcomes
}

/// A fraction such as `5/73`.
fn parts(fraction: &str) -> i128 {
    let (whole, of) = fraction.split_once('/').unwrap_or((fraction, "1"));
    let [whole, of]: [i128; 2] = [whole, of].map(|number| number.parse().expect("a number"));
    assert_eq!(DENOMINATOR % of, 0, "{fraction}");
    whole * (DENOMINATOR / of)
}

fn outcome_of(bank: &Bank, id: u64) -> Outcome {
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned();
    let postings = bank.postings(&id.to_string());
    let postings = postings.iter().rev().filter(|posting| posting["type"] == "interest");
    let postings = postings.map(|posting| ["amount", "reference", "effective_at"].map(|field| text(&posting[field])));
    let path = format!("/api/v1/accounts/{id}/interest/explain?month=2026-11");
    let explained = bank.get(&path).expect(200).json();
    let days = explained["days"].as_array().expect("days").iter().filter(|day| day["closed"] == true);
    let days = days.map(|day| ["day", "accrual_exact", "posted", "carry_exact"].map(|field| text(&day[field])));
    Outcome { postings: postings.collect(), days: days.collect() }
}
