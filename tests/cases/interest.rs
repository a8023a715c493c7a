//! Interest and the business date, with a bank whose clock goes from day to day.

use crate::expectations::in_parallel;
use crate::support::clock::TimedBank;
use crate::support::wait::wait_until;
use serde_json::{Value, json};

/// No day is closed unless the test does it.
const BY_HAND: (&str, &str) = ("FLORIN_JOBS__CLOSE_DAY", "off");

/// 3.65 % on ACT/365F: a hundredth of a per cent a day, for every checking account in euros.
fn set_up(timed: &TimedBank, from: &str, posting: &str) {
    let product = json!({"product_id": "daily-money", "currency": "EUR", "day_count": "ACT/365F", "posting": posting,
        "default_for": "checking", "from": from, "tiers": [{"above": "0", "rate_percent": "3.65"}]});
    timed.bank().post("/api/v1/products", &product).expect(201);
}

fn close(timed: &TimedBank) -> Value {
    timed.bank().post("/api/v1/system/close-day", &json!({})).expect(200).json()
}

/// Amount and reference of each posting of interest, oldest first.
fn interest(timed: &TimedBank, account: &str) -> Vec<(String, String)> {
    let text = |posting: &Value, field: &str| posting[field].as_str().expect("a text").to_owned();
    let postings = timed.bank().postings(account);
    let paid = postings.iter().rev().filter(|posting| posting["type"] == "interest");
    paid.map(|posting| (text(posting, "amount"), text(posting, "reference"))).collect()
}

// D1
#[test]
fn interest_that_eight_workers_close_at_once_and_again_is_posted_once() {
    let mut timed = TimedBank::open_at("2026-11-10 10:00:00", &[BY_HAND]);
    set_up(&timed, "2026-11-10", "daily");
    let accounts: Vec<String> = (0..20).map(|_| timed.bank().new_account("1000.00")).collect();
    timed.crash_and_go_to("2026-11-13 00:00:10");
    for _ in 0..2 {
        let bank = timed.bank();
        in_parallel(8, |_| {
            let answer = bank.post("/api/v1/system/close-day", &json!({}));
            assert!(matches!(answer.status, 200 | 503), "{}", answer.text());
        });
        close(&timed);
    }
    for account in &accounts {
        let amounts: Vec<String> = interest(&timed, account).into_iter().map(|(amount, _)| amount).collect();
        assert_eq!(amounts, ["0.10", "0.10", "0.10"], "account {account}");
    }
    timed.bank().expect_sums_of_zero();
}

// D5
#[test]
fn business_dates_hold_over_clock_changes_and_year_ends() {
    let zone = ("FLORIN_BUSINESS__TIME_ZONE", "Europe/Prague");
    for (before, days, after) in [
        ("2026-03-28 22:30:00", ["2026-03-28", "2026-03-29"], "2026-03-29 22:00:05"),
        ("2026-10-24 21:30:00", ["2026-10-24", "2026-10-25"], "2026-10-25 23:00:05"),
        ("2026-12-31 22:30:00", ["2026-12-31", "2027-01-01"], "2027-01-01 23:00:05"),
    ] {
        let mut timed = TimedBank::open_at(before, &[BY_HAND, zone]);
        set_up(&timed, days[0], "daily");
        let account = timed.bank().new_account("1000.00");
        timed.go_to(after);
        let closed = close(&timed);
        let found: Vec<&str> =
            closed["items"].as_array().expect("items").iter().filter_map(|day| day["day"].as_str()).collect();
        assert_eq!(found, days, "{before}");
        let paid = interest(&timed, &account);
        let expected = days.map(|day| ("0.10".to_owned(), format!("interest daily-money {day}/{day}")));
        assert_eq!(paid, expected, "{before}");
    }
}

// D7
#[test]
fn periods_of_interest_tile_the_days_without_gap_and_overlap() {
    let mut timed = TimedBank::open_at("2026-11-28 10:00:00", &[BY_HAND]);
    set_up(&timed, "2026-11-28", "monthly");
    let account = timed.bank().new_account("1000.00");
    timed.go_to("2027-02-01 00:00:05");
    close(&timed);
    let periods: Vec<String> = interest(&timed, &account).into_iter().map(|(_, what)| what).collect();
    let expected = ["2026-11-28/2026-11-30", "2026-12-01/2026-12-31", "2027-01-01/2027-01-31"];
    assert_eq!(periods, expected.map(|period| format!("interest daily-money {period}")));
    // What came in in the last instant of a day counts for it, and what came in the first instant of the next does not.
    let explained =
        timed.bank().get(&format!("/api/v1/accounts/{account}/interest/explain?month=2026-12")).expect(200).json();
    assert_eq!(explained["days"].as_array().map(Vec::len), Some(31));
}

// D9
#[test]
fn interest_moves_from_the_expense_account_and_from_no_other() {
    let mut timed = TimedBank::open_at("2026-11-10 10:00:00", &[BY_HAND]);
    set_up(&timed, "2026-11-10", "daily");
    let account = timed.bank().new_account("1000.00");
    timed.go_to("2026-11-12 00:00:10");
    close(&timed);
    let balances = timed.bank().get("/api/v1/system/balances").expect(200).json();
    let all = &balances["items"][0];
    let kinds: Vec<(String, String)> = all["accounts"]
        .as_array()
        .expect("accounts")
        .iter()
        .map(|row| {
            (
                row["kind"].as_str().unwrap_or_default().to_owned(),
                row["balance"].as_str().unwrap_or_default().to_owned(),
            )
        })
        .filter(|(_, balance)| balance != "0.00")
        .collect();
    assert_eq!(
        kinds,
        [("cash".to_owned(), "-1000.00".to_owned()), ("expense".to_owned(), "-0.20".to_owned())],
        "{all}"
    );
    assert_eq!(timed.bank().ledger(&account), "1000.20");
}

#[test]
fn the_job_closes_days_by_itself_and_says_so() {
    let mut timed = TimedBank::open_at("2026-11-10 10:00:00", &[("FLORIN_JOBS__CLOSE_DAY", "daily at 00:01")]);
    set_up(&timed, "2026-11-10", "daily");
    let account = timed.bank().new_account("1000.00");
    timed.bank().post("/api/v1/jobs/close-day/run", &json!({})).expect(200);
    timed.go_to("2026-11-13 10:00:00");
    wait_until("three days are closed", || interest(&timed, &account).len() == 3);
    let runs = timed.bank().get("/api/v1/jobs/close-day/runs").expect(200).json();
    assert_eq!(runs["items"][0]["date"], "2026-11-13");
}
