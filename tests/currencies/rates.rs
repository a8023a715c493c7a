//! Rates come from a call or a file; one that is too old is no rate.

use crate::support::bank::Bank;
use crate::support::program::{finish, florin, run};
use crate::world::{quote, set_rate};
use serde_json::json;

#[test]
fn rates_are_loaded_from_a_file_by_whoever_runs_the_bank() {
    let bank = Bank::open_with_settings(&[
        ("FLORIN_CURRENCIES__PIVOT", "EUR"),
        ("FLORIN_CURRENCIES__RATE_AGE_MAX_S", "4000000000"),
    ]);
    let file = bank.folder().join("eurofxref.csv");
    std::fs::write(&file, "Date, USD, JPY, \n20 November 2020, 1.25, 160, \n").expect("written");
    let (file, url) = (file.to_str().expect("a UTF-8 path"), bank.url());
    run(["rates", "load", file, "--source", "ecb", "--url", &url]).expect_code(0);
    run(["rates", "load", file, "--source", "ecb", "--url", &url]).expect_code(0);
    let rates = bank.all("/api/v1/rates");
    assert_eq!(rates.len(), 2);
    assert_eq!(
        [&rates[0]["quote"], &rates[0]["bid"], &rates[0]["as_of"], &rates[0]["source"]],
        ["JPY", "160", "2020-11-20T12:00:00Z", "ecb"]
    );
    assert_eq!(bank.all("/api/v1/rates?base=EUR&quote=JPY").len(), 1);
    // Dollars to yen, by the euro: 160 / 1.25.
    assert_eq!(
        [&quote(&bank, "USD", "1.00", "JPY")["rate"], &quote(&bank, "JPY", "128", "USD")["buy_amount"]],
        [&json!("128"), &json!("1.00")]
    );
    std::fs::write(file, "nothing").expect("written");
    run(["rates", "load", file, "--url", &url]).expect_code(2);
}

#[test]
fn a_rate_that_is_too_old_or_missing_gives_no_quote() {
    let bank = Bank::open();
    let asked = json!({"sell": "EUR", "sell_amount": "1.00", "buy": "JPY"});
    bank.post("/api/v1/quotes", &asked).expect_problem(422, "rate_unknown");
    let old = json!({"rates": [{"base": "EUR", "quote": "JPY", "mid": "150", "as_of": "2020-11-20T12:00:00Z"}]});
    assert_eq!(bank.post("/api/v1/rates", &old).expect(200).json()["items"][0]["is_stale"], true);
    bank.post("/api/v1/quotes", &asked).expect_problem(422, "rate_stale");
    set_rate(&bank, "EUR", "JPY", "160", 0);
    assert_eq!(quote(&bank, "EUR", "1.00", "JPY")["buy_amount"], "160");
    // One that is older than what is known changes nothing.
    assert_eq!(bank.post("/api/v1/rates", &old).expect(200).json()["items"][0]["bid"], "160");
    let history = bank.all("/api/v1/rates?base=EUR&quote=JPY");
    assert_eq!(history.iter().map(|rate| &rate["bid"]).collect::<Vec<_>>(), ["160", "150"]);
}

#[test]
fn what_is_no_rate_is_refused_and_only_admins_set_them() {
    let bank = Bank::open_with_tokens();
    for rate in [
        json!({"base": "EUR", "quote": "EUR", "mid": "1"}),
        json!({"base": "EUR", "quote": "JPY", "mid": "0"}),
        json!({"base": "EUR", "quote": "JPY", "mid": "-1"}),
        json!({"base": "EUR", "quote": "JPY", "mid": "1e2"}),
        json!({"base": "EUR", "quote": "JPY", "bid": "161", "ask": "160"}),
        json!({"base": "EUR", "quote": "JPY", "bid": "161"}),
        json!({"base": "EUR", "quote": "JPY", "mid": "160", "spread_bps": 10000}),
        json!({"base": "EUR", "quote": "JPY", "mid": "160", "as_of": "2999-01-01T00:00:00Z"}),
    ] {
        bank.post("/api/v1/rates", &json!({"rates": [rate]})).expect_problem(400, "malformed");
    }
    let twice = json!({"base": "EUR", "quote": "JPY", "mid": "160"});
    bank.post("/api/v1/rates", &json!({"rates": [twice, twice]})).expect_problem(400, "malformed");
    let token = bank.post("/api/v1/tokens", &json!({"name": "till", "role": "teller"})).expect(201).json();
    let rates = crate::support::http::Request::post("/api/v1/rates").json(&json!({"rates": [twice]}));
    bank.send_as_it_is(&rates.token(token["token"].as_str().expect("a token"))).expect_problem(403, "forbidden");
    assert_eq!(bank.all("/api/v1/rates").len(), 0);
}

#[test]
fn a_bank_that_could_not_exchange_by_its_settings_does_not_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().to_str().expect("a UTF-8 path");
    for (name, value, told) in [
        ("FLORIN_CURRENCIES__QUOTE_S", "0", "currencies.quote_s"),
        ("FLORIN_CURRENCIES__QUOTE_S", "86401", "currencies.quote_s"),
        ("FLORIN_CURRENCIES__SPREAD_BPS", "10000", "currencies.spread_bps"),
        ("FLORIN_CURRENCIES__RATE_AGE_MAX_S", "0", "currencies.rate_age_max_s"),
    ] {
        let mut serve = florin();
        serve.args(["serve", "--data", folder, "--listen", "127.0.0.1:0"]).env(name, value);
        assert!(finish(&mut serve).expect_code(2).stderr.contains(told), "{name} {value}");
    }
}
