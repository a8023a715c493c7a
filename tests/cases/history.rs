//! What happened, as it can be asked for: without gaps, by either time, by any filter, page by page.

use crate::expectations::{Numbers, in_parallel};
use crate::support::bank::Bank;
use serde_json::{Value, json};

// M4
#[test]
fn versions_of_an_account_are_one_to_n_without_gaps() {
    let bank = Bank::open();
    let (left, right) = (bank.new_account("20.00"), bank.new_account("20.00"));
    in_parallel(8, |index| {
        for round in 0..20 {
            let (from, to) = if (index + round) % 2 == 0 { (&left, &right) } else { (&right, &left) };
            let amount = if round % 5 == 0 { "500.00" } else { "0.50" };
            let answer = bank.transfer(from, to, amount);
            assert!(matches!(answer.status, 201 | 422), "{}", answer.text());
        }
    });
    for account in [&left, &right] {
        let postings = bank.postings(account);
        let versions: Vec<u64> =
            postings.iter().rev().map(|posting| posting["version"].as_u64().expect("a version")).collect();
        assert_eq!(versions, (1..=postings.len() as u64).collect::<Vec<_>>());
        assert_eq!(bank.account(account)["balance"]["version"], postings.len());
        assert_running_balances(&postings);
    }
}

fn minor_units(text: &Value) -> i64 {
    text.as_str().expect("a decimal").replace('.', "").parse().expect("digits")
}

/// Each balance is the one before plus or minus the amount.
fn assert_running_balances(newest_first: &[Value]) {
    let mut balance = 0;
    for posting in newest_first.iter().rev() {
        let amount = minor_units(&posting["amount"]);
        balance += if posting["side"] == "credit" { amount } else { -amount };
        assert_eq!(minor_units(&posting["balance_after"]), balance, "{posting}");
    }
}

// D4
#[test]
fn back_dated_postings_change_the_past_by_value_date_only() {
    let bank = Bank::open();
    let account = bank.new_account("0");
    let pay_in = |amount: &str, effective_at: &str| {
        let body = json!({"type": "deposit", "to": account, "amount": amount, "currency": "EUR", "effective_at": effective_at});
        bank.post("/api/v1/transfers", &body).expect(201)
    };
    pay_in("10.00", "2024-03-10T00:00:00Z");
    pay_in("5.00", "2024-03-20T00:00:00Z");
    let booked_before: Vec<Value> =
        bank.postings(&account).iter().map(|posting| posting["balance_after"].clone()).collect();
    pay_in("2.00", "2024-03-01T00:00:00Z");
    let booked: Vec<Value> = bank.postings(&account).iter().map(|posting| posting["balance_after"].clone()).collect();
    assert_eq!(booked, ["17.00", "15.00", "10.00"]);
    assert_eq!(booked[1..], booked_before);
    let balance = |at: &str| {
        let path = format!("/api/v1/accounts/{account}/balance?at={at}&by=effective");
        bank.get(&path).expect(200).json()["ledger"].as_str().expect("a balance").to_owned()
    };
    let asked = [
        "2024-02-29T23:59:59Z",
        "2024-03-01T00:00:00Z",
        "2024-03-10T00:00:00Z",
        "2024-03-19T23:59:59Z",
        "2024-03-20T00:00:00Z",
    ];
    assert_eq!(asked.map(balance), ["0.00", "2.00", "12.00", "12.00", "17.00"]);
}

#[test]
fn value_dates_of_the_future_are_refused() {
    let bank = Bank::open();
    let account = bank.new_account("0");
    let body = json!({"type": "deposit", "to": account, "amount": "1.00", "currency": "EUR", "effective_at": "9999-01-01T00:00:00Z"});
    bank.post("/api/v1/transfers", &body).expect_problem(422, "effective_at_invalid");
}

/// An account with many different postings.
fn busy_account(bank: &Bank, numbers: &mut Numbers) -> String {
    let (account, other) = (bank.new_account("1000.00"), bank.new_account("1000.00"));
    for _ in 0..150 {
        let (from, to) = if numbers.below(2) == 0 { (&account, &other) } else { (&other, &account) };
        let day = 1 + numbers.below(28);
        let mut body = json!({
            "type": "transfer", "from": from, "to": to, "currency": "EUR",
            "amount": format!("{}.{:02}", numbers.below(3), 1 + numbers.below(99)),
            "effective_at": format!("2024-05-{day:02}T12:00:00Z"),
        });
        if numbers.below(3) != 0 {
            body["reference"] = json!(format!("reference {}", numbers.below(4)));
        }
        if numbers.below(3) != 0 {
            body["metadata"] =
                json!({"shop": format!("{}", numbers.below(4)), "till": format!("{}", numbers.below(2))});
        }
        bank.post("/api/v1/transfers", &body).expect(201);
    }
    account
}

// Q1
#[test]
fn a_filtered_query_returns_what_a_full_scan_returns() {
    let bank = Bank::open();
    let mut numbers = Numbers(42);
    let account = busy_account(&bank, &mut numbers);
    let everything = bank.postings(&account);
    assert_eq!(everything.len(), 151);
    for _ in 0..60 {
        let (mut query, mut expected) = (String::from("?by=effective"), everything.clone());
        if numbers.below(2) == 0 {
            let side = ["debit", "credit"][usize::try_from(numbers.below(2)).expect("small")];
            query.push_str(&format!("&side={side}"));
            expected.retain(|posting| posting["side"] == side);
        }
        if numbers.below(2) == 0 {
            let reference = format!("reference {}", numbers.below(5));
            query.push_str(&format!("&reference={}", reference.replace(' ', "%20")));
            expected.retain(|posting| posting["reference"] == reference.as_str());
        }
        for (key, values) in [("shop", 5), ("till", 2)] {
            if numbers.below(3) == 0 {
                let value = numbers.below(values).to_string();
                query.push_str(&format!("&metadata.{key}={value}"));
                expected.retain(|posting| posting["metadata"][key] == value.as_str());
            }
        }
        if numbers.below(2) == 0 {
            let (since, until) = (1 + numbers.below(28), 1 + numbers.below(28));
            let (since, until) = (format!("2024-05-{since:02}T12:00:00Z"), format!("2024-05-{until:02}T12:00:00Z"));
            query.push_str(&format!("&since={since}&until={until}"));
            expected.retain(|posting| {
                let at = posting["effective_at"].as_str().expect("a time");
                since[..10] <= at[..10] && at[..10] < until[..10]
            });
        }
        assert_eq!(bank.all(&format!("/api/v1/accounts/{account}/postings{query}")), expected, "{query}");
    }
}

// Q3
#[test]
fn a_cursor_carries_its_filters_and_pages_without_gap_or_overlap() {
    let bank = Bank::open();
    let account = busy_account(&bank, &mut Numbers(7));
    let path = format!("/api/v1/accounts/{account}/postings");
    let expected: Vec<Value> =
        bank.postings(&account).into_iter().filter(|posting| posting["side"] == "debit").collect();
    let (mut items, mut cursor, mut limit) = (Vec::new(), String::new(), 1);
    loop {
        let page = bank.get(&format!("{path}?side=debit&limit={limit}{cursor}")).expect(200).json();
        let found = page["items"].as_array().expect("items").clone();
        assert!(found.len() <= limit);
        items.extend(found);
        let Some(next) = page["next_cursor"].as_str() else { break };
        assert!(next.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'), "{next}");
        cursor = format!("&cursor={next}");
        limit = limit % 7 + 1;
    }
    assert_eq!(items, expected);
}

#[test]
fn a_cursor_used_elsewhere_changed_or_beside_another_filter_is_refused() {
    let bank = Bank::open();
    let account = busy_account(&bank, &mut Numbers(7));
    let other = bank.new_account("1.00");
    let path = format!("/api/v1/accounts/{account}/postings");
    let page = bank.get(&format!("{path}?side=debit&limit=3")).expect(200).json();
    let cursor = page["next_cursor"].as_str().expect("a cursor").to_owned();
    bank.get(&format!("{path}?side=debit&limit=5&cursor={cursor}")).expect(200);
    let last = if cursor.ends_with('A') { 'B' } else { 'A' };
    let changed = format!("{}{last}", &cursor[..cursor.len() - 1]);
    for query in [
        format!("{path}?cursor={cursor}"),
        format!("{path}?side=credit&cursor={cursor}"),
        format!("{path}?side=debit&reference=x&cursor={cursor}"),
        format!("/api/v1/accounts/{other}/postings?side=debit&cursor={cursor}"),
        format!("/api/v1/transfers?cursor={cursor}"),
        format!("{path}?side=debit&cursor={changed}"),
        format!("{path}?side=debit&cursor="),
        format!("{path}?side=debit&cursor=AAAA"),
    ] {
        bank.get(&query).expect_problem(400, "cursor_invalid");
    }
}
