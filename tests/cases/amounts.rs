//! Amounts at the edge: exact, or refused.

use crate::expectations::balances;
use crate::support::bank::{Bank, transfer};
use crate::support::http::Request;
use serde_json::json;

/// Sends a deposit whose amount is this JSON text.
fn deposit(bank: &Bank, to: &str, amount: &str) -> crate::support::http::Response {
    let text = format!(r#"{{"type":"deposit","to":"{to}","amount":{amount},"currency":"EUR"}}"#);
    let request = Request::post("/api/v1/transfers").key(&bank.fresh_key()).body("application/json", text.into_bytes());
    bank.send(request)
}

// N2
#[test]
fn negative_amounts_in_any_disguise_are_refused_at_the_edge() {
    let bank = Bank::open();
    let account = bank.new_account("100.00");
    let before = balances(&bank, &[&account]);
    for amount in [
        "\"-1\"",
        "\"-1.00\"",
        "-1",
        "-0.01",
        "\"\u{2212}1\"",
        "\"\u{ff0d}1\"",
        "\"(1.00)\"",
        "\"1-\"",
        "\" -1\"",
        "\"+-1\"",
        "\"--1\"",
        "\"-0\"",
        "-0",
        "\"\\u002d1\"",
        "\"-1e0\"",
        "\"-0x1\"",
        "-1e0",
        "\"1 CR\"",
    ] {
        deposit(&bank, &account, amount).expect_problem(400, "amount_invalid");
    }
    let withdrawal = json!({"type": "withdrawal", "from": account, "amount": "-1.00", "currency": "EUR"});
    bank.post("/api/v1/transfers", &withdrawal).expect_problem(400, "amount_invalid");
    let hold = json!({"from": account, "amount": "-1.00", "currency": "EUR"});
    bank.post("/api/v1/holds", &hold).expect_problem(400, "amount_invalid");
    let short = bank.post("/deposit", &json!({"accountId": account, "amount": -1}));
    assert_eq!(short.status, 400, "{}", short.text());
    assert_eq!(balances(&bank, &[&account]), before);
}

#[test]
fn zero_and_whatever_is_not_plain_digits_is_refused() {
    let bank = Bank::open();
    let account = bank.new_account("0");
    for amount in [
        "\"0\"",
        "0",
        "\"0.00\"",
        "0.0",
        "\"\"",
        "\"1,00\"",
        "\"1.001\"",
        "1.001",
        "\"1 000\"",
        "\"1_0\"",
        "\"\u{661}\"",
        "\"NaN\"",
        "\"Infinity\"",
        "\"1e2\"",
        "1e2",
        "\"0x10\"",
        "\"01\"",
        "\".5\"",
        "\"5.\"",
        "\"10000000000000000.00\"",
        "true",
        "[1]",
        "{}",
    ] {
        let answer = deposit(&bank, &account, amount);
        assert_eq!(answer.status, 400, "{amount}: {}", answer.text());
    }
    assert_eq!(bank.ledger(&account), "0.00");
}

#[test]
fn fewer_decimals_than_the_currency_has_are_fine() {
    let bank = Bank::open();
    let account = bank.new_account("0");
    for amount in ["\"1\"", "1", "\"1.5\"", "1.5", "\"1.50\"", "1.50"] {
        deposit(&bank, &account, amount).expect(201);
    }
    assert_eq!(bank.ledger(&account), "8.00");
}

// N5
#[test]
fn a_transfer_between_currencies_is_refused() {
    let bank = Bank::open();
    let euros = bank.new_account("100.00");
    let dollars = bank.new_account_of(&json!({"currency": "USD", "type": "checking"}));
    for currency in ["EUR", "USD"] {
        let body = json!({"type": "transfer", "from": euros, "to": dollars, "amount": "1.00", "currency": currency});
        bank.post("/api/v1/transfers", &body).expect_problem(422, "currency_mismatch");
    }
    let body = json!({"type": "withdrawal", "from": euros, "amount": "1.00", "currency": "USD"});
    bank.post("/api/v1/transfers", &body).expect_problem(422, "currency_mismatch");
    let body = json!({"type": "withdrawal", "from": euros, "amount": "1.00", "currency": "XXZ"});
    bank.post("/api/v1/transfers", &body).expect_problem(400, "currency_unknown");
    assert_eq!(bank.ledger(&euros), "100.00");
}

// N5
#[test]
fn no_way_in_moves_money_between_currencies() {
    let bank = Bank::open();
    let euros = bank.new_account("100.00");
    let dollars = bank.new_account_of(&json!({"currency": "USD", "type": "checking"}));
    let post = |path: &str, body: &serde_json::Value| bank.post(path, body);
    let leg = |from: &str, to: &str| json!({"from": from, "to": to, "amount": "1.00"});
    let legs = json!({"type": "transfer", "currency": "EUR", "legs": [leg(&euros, &dollars)]});
    post("/api/v1/transfers", &legs).expect_problem(422, "currency_mismatch");
    let splits = json!({"type": "transfer", "currency": "EUR", "from": euros, "amount": "1.00",
        "splits": [{"to": dollars, "percent": "100"}]});
    post("/api/v1/transfers", &splits).expect_problem(422, "currency_mismatch");
    let item = json!({"type": "transfer", "from": euros, "to": dollars, "amount": "1.00", "currency": "EUR"});
    let batch = post("/api/v1/transfers/batch", &json!({"mode": "atomic", "transfers": [item]})).expect(200).json();
    assert_eq!(batch["results"][0]["error"]["code"], "currency_mismatch");
    let hold = json!({"from": euros, "to": dollars, "amount": "1.00", "currency": "EUR"});
    post("/api/v1/holds", &hold).expect_problem(422, "currency_mismatch");
    let hold = bank.hold(&euros, "5.00").expect(201).json();
    let capture = format!("/api/v1/holds/{}/capture", hold["hold_id"].as_str().expect("an id"));
    post(&capture, &json!({"to": dollars})).expect_problem(422, "currency_mismatch");
    let short = json!({"from_acc": euros, "to_acct": dollars, "amount": 1});
    post(&format!("/api/v1/transactions/{euros}/account"), &short).expect_problem(400, "currency_mismatch");
    let event = json!({"specversion": "1.0", "id": "1", "source": "test", "type": "florin.transfer",
        "data": {"from": euros, "to": dollars, "amount": "1.00", "currency": "EUR"}});
    let event = Request::post("/api/v1/events").body("application/cloudevents+json", event.to_string().into_bytes());
    assert_eq!(bank.send(event).expect(200).json()["results"][0]["code"], "currency_mismatch");
    assert_eq!((bank.ledger(&euros), bank.ledger(&dollars)), ("100.00".to_owned(), "0.00".to_owned()));
}

// N5
#[test]
fn the_banks_positions_are_reached_by_a_quote_only() {
    let bank = Bank::open();
    let (euros, yen) =
        (bank.new_account("100.00"), bank.new_account_of(&json!({"currency": "JPY", "type": "checking"})));
    let rate = json!({"rates": [{"base": "EUR", "quote": "JPY", "mid": "160"}]});
    bank.post("/api/v1/rates", &rate).expect(200);
    let quote =
        bank.post("/api/v1/quotes", &json!({"sell": "EUR", "sell_amount": "1.00", "buy": "JPY"})).expect(201).json();
    let exchange = json!({"type": "exchange", "from": euros, "to": yen, "quote_id": quote["quote_id"]});
    let done = bank.post("/api/v1/transfers", &exchange).expect(201).json();
    let position = done["postings"][1]["account_id"].as_str().expect("an id");
    for body in [
        json!({"type": "transfer", "from": euros, "to": position, "amount": "1.00", "currency": "EUR"}),
        json!({"type": "transfer", "from": position, "to": euros, "amount": "1.00", "currency": "EUR"}),
        json!({"type": "withdrawal", "from": euros, "contra": position, "amount": "1.00", "currency": "EUR"}),
        json!({"type": "deposit", "to": euros, "contra": position, "amount": "1.00", "currency": "EUR"}),
    ] {
        bank.post("/api/v1/transfers", &body).expect_problem(404, "account_not_found");
    }
    let hold = json!({"from": euros, "to": position, "amount": "1.00", "currency": "EUR"});
    bank.post("/api/v1/holds", &hold).expect_problem(404, "account_not_found");
    assert_eq!(bank.ledger(&euros), "99.00");
}

// N1
#[test]
fn the_parts_of_a_split_sum_to_the_whole_in_every_currency() {
    let bank = Bank::open();
    for (currency, amount) in [("JPY", "100"), ("EUR", "100.01"), ("KWD", "0.100"), ("CLF", "7.7777")] {
        let account = || bank.new_account_of(&json!({"currency": currency, "type": "checking"}));
        let (from, to) = (account(), [account(), account(), account()]);
        bank.post("/api/v1/transfers", &json!({"type": "deposit", "to": from, "amount": amount, "currency": currency}))
            .expect(201);
        let splits = json!([{"to": to[0], "percent": "33.33"}, {"to": to[1], "percent": 33.33}, {"to": to[2], "remainder": true}]);
        let body = json!({"type": "transfer", "from": from, "amount": amount, "currency": currency, "splits": splits});
        let done = bank.post("/api/v1/transfers", &body).expect(201).json();
        assert_eq!(done["amount"], amount);
        assert!(bank.ledger(&from).bytes().all(|byte| matches!(byte, b'0' | b'.')), "{done}");
        let units = |id: &String| bank.ledger(id).replace('.', "").parse::<u64>().expect("units");
        let whole: u64 = amount.replace('.', "").parse().expect("units");
        assert_eq!(to.iter().map(units).sum::<u64>(), whole);
    }
    let (from, to) = (bank.new_account("0.01"), bank.new_account("0"));
    let splits = json!([{"to": to, "percent": "50"}, {"to": to, "percent": "50"}]);
    let body = json!({"type": "transfer", "from": from, "amount": "0.01", "currency": "EUR", "splits": splits});
    bank.post("/api/v1/transfers", &body).expect_problem(400, "amount_invalid");
    bank.expect_sums_of_zero();
}

// N6
#[test]
fn two_to_the_53_plus_one_minor_units_survive_every_way_in_and_out() {
    const AMOUNT: &str = "90071992547409.93";
    let bank = Bank::open();
    let to = bank.new_account("0");
    type PayIn = fn(&Bank, &str);
    let ways_in: [(&str, PayIn); 4] = [
        ("text", |bank, account| _ = deposit(bank, account, &format!("\"{AMOUNT}\"")).expect(201)),
        ("number", |bank, account| _ = deposit(bank, account, AMOUNT).expect(201)),
        ("event", |bank, account| {
            let event = format!(
                r#"{{"specversion":"1.0","type":"florin.deposit","source":"n6","id":"{account}","data":{{"account_id":"{account}","amount":{AMOUNT},"currency":"EUR"}}}}"#
            );
            let request = Request::post("/api/v1/events").body("application/cloudevents+json", event.into_bytes());
            let answer = bank.send(request).expect(200).json();
            assert_eq!(answer["accepted"], 1, "{answer}");
        }),
        ("short call", |bank, account| {
            let body = format!(r#"{{"accountId":"{account}","amount":{AMOUNT}}}"#);
            let answer = bank.send(Request::post("/deposit").body("application/json", body.into_bytes())).expect(200);
            assert!(answer.text().contains(AMOUNT), "{}", answer.text());
        }),
    ];
    for (way, pay_in) in ways_in {
        let account = bank.new_account("0");
        pay_in(&bank, &account);
        assert_eq!(bank.ledger(&account), AMOUNT, "{way}");
        let posting = &bank.postings(&account)[0];
        assert_eq!((&posting["amount"], &posting["balance_after"]), (&json!(AMOUNT), &json!(AMOUNT)), "{way}");
        assert!(bank.get(&format!("/balance/{account}")).expect(200).text().contains(AMOUNT), "{way}");
        let moved = bank.post("/api/v1/transfers", &transfer(&account, &to, AMOUNT)).expect(201).json();
        let path = format!("/api/v1/transfers/{}", moved["transfer_id"].as_str().expect("an id"));
        assert_eq!(bank.get(&path).expect(200).json()["amount"], AMOUNT, "{way}");
        assert_eq!(bank.ledger(&account), "0.00");
    }
    assert!(bank.get("/api/v1/journal?shard=0&after=0&limit=1000").expect(200).text().contains(AMOUNT));
    assert_eq!(bank.ledger(&to), "360287970189639.72");
    bank.expect_sums_of_zero();
}

// N7
#[test]
fn exponents_are_refused_without_work_that_grows_with_them() {
    let bank = Bank::open();
    let account = bank.new_account("0");
    for amount in [
        "\"0E0700000000\"",
        "0E0700000000",
        "\"1e999999999\"",
        "1e999999999",
        "1e-999999999",
        "0.0000000001e9999999999999",
    ] {
        deposit(&bank, &account, amount).expect_problem(400, "amount_invalid");
    }
    let digits = "9".repeat(60_000);
    for amount in [format!("\"{digits}\""), digits] {
        deposit(&bank, &account, &amount).expect_problem(400, "amount_invalid");
    }
    assert_eq!(bank.ledger(&account), "0.00");
}
