//! Fees and splits are legs of the transfer they belong to: the parts sum to the whole, in every currency.

use crate::support::bank::Bank;
use crate::world::{account, expect_in_order, foretold, minor_units, own};
use serde_json::{Value, json};

fn set_fee(bank: &Bank, fee: &Value) -> Value {
    bank.post("/api/v1/fees", fee).expect(200).json()
}

#[test]
fn a_fee_is_booked_with_its_transfer_or_not_at_all() {
    let bank = Bank::open();
    let (from, to) = (account(&bank, "EUR", "100.00"), account(&bank, "EUR", "0"));
    set_fee(
        &bank,
        &json!({"name": "wire", "currency": "EUR", "flat": "1.00", "percent": "0.5", "minimum": "1.20", "maximum": "3.00"}),
    );
    let body = json!({"type": "transfer", "from": from, "to": to, "amount": "80.00", "currency": "EUR", "fee": "wire"});
    let told = foretold(&bank, &body).expect(201).json();
    assert_eq!(told["metadata"]["florin.fee.amount"], "1.40 EUR");
    let done = bank.post("/api/v1/transfers", &body).expect(201).json();
    assert_eq!((&done["amount"], done["postings"].as_array().map(Vec::len)), (&json!("81.40"), Some(4)));
    assert_eq!((bank.ledger(&from), bank.ledger(&to)), ("18.60".into(), "80.00".into()));
    assert_eq!(own(&bank, "income")["EUR"], 140);
    let short =
        json!({"type": "transfer", "from": from, "to": to, "amount": "18.00", "currency": "EUR", "fee": "wire"});
    bank.post("/api/v1/transfers", &short).expect_problem(422, "insufficient_funds");
    let paid_out = json!({"type": "withdrawal", "from": from, "amount": "10.00", "currency": "EUR", "fee": "wire"});
    bank.post("/api/v1/transfers", &paid_out).expect(201);
    assert_eq!(bank.ledger(&from), "7.40");
    let reverse = format!("/api/v1/transfers/{}/reverse", done["transfer_id"].as_str().expect("an id"));
    bank.post(&reverse, &json!({})).expect(201);
    assert_eq!(
        (bank.ledger(&from), bank.ledger(&to), own(&bank, "income")["EUR"]),
        ("88.80".into(), "0.00".into(), 120)
    );
    let mut unknown = body.clone();
    unknown["fee"] = json!("nothing");
    bank.post("/api/v1/transfers", &unknown).expect_problem(404, "fee_not_found");
    expect_in_order(bank);
}

#[test]
fn a_fee_that_the_recipient_pays_is_taken_out_of_the_amount() {
    let bank = Bank::open();
    let (from, to) = (account(&bank, "JPY", "1000"), account(&bank, "JPY", "0"));
    set_fee(&bank, &json!({"name": "wire", "currency": "JPY", "flat": "30", "paid_by": "recipient"}));
    let body = json!({"type": "transfer", "from": from, "to": to, "amount": "500", "currency": "JPY", "fee": "wire"});
    assert_eq!(bank.post("/api/v1/transfers", &body).expect(201).json()["amount"], "500");
    assert_eq!((bank.ledger(&from), bank.ledger(&to), own(&bank, "income")["JPY"]), ("500".into(), "470".into(), 30));
    let deposit = json!({"type": "deposit", "to": to, "amount": "100", "currency": "JPY", "fee": "wire"});
    bank.post("/api/v1/transfers", &deposit).expect(201);
    assert_eq!(bank.ledger(&to), "540");
    let tiny = json!({"type": "transfer", "from": from, "to": to, "amount": "30", "currency": "JPY", "fee": "wire"});
    bank.post("/api/v1/transfers", &tiny).expect_problem(400, "amount_invalid");
    expect_in_order(bank);
}

#[test]
fn a_retry_costs_what_it_cost_though_the_fee_has_changed() {
    let bank = Bank::open();
    let (from, to) = (account(&bank, "KWD", "100.000"), account(&bank, "KWD", "0"));
    let fee =
        json!({"name": "wire", "currency": "KWD", "tiers": [{"flat": "0.100"}, {"from": "10.000", "percent": "1"}]});
    assert_eq!(set_fee(&bank, &fee)["version"], 1);
    assert_eq!(set_fee(&bank, &fee)["version"], 1);
    let body =
        json!({"type": "transfer", "from": from, "to": to, "amount": "12.345", "currency": "KWD", "fee": "wire"});
    let first = bank.post_with_key("/api/v1/transfers", "once", &body).expect(201);
    assert_eq!(first.json()["metadata"]["florin.fee.amount"], "0.123 KWD");
    assert_eq!(set_fee(&bank, &json!({"name": "wire", "currency": "KWD", "flat": "9.000"}))["version"], 2);
    let again = bank.post_with_key("/api/v1/transfers", "once", &body).expect(201);
    assert_eq!((again.is_replayed(), again.body), (true, first.body));
    assert_eq!(bank.ledger(&from), "87.532");
    expect_in_order(bank);
}

#[test]
fn what_no_fee_or_split_can_be_is_refused() {
    let bank = Bank::open();
    let (from, to) = (account(&bank, "EUR", "100.00"), account(&bank, "EUR", "0"));
    for fee in [
        json!({"name": "Wire", "currency": "EUR", "flat": "1"}),
        json!({"name": "wire", "currency": "EUR"}),
        json!({"name": "wire", "currency": "EUR", "percent": "101"}),
        json!({"name": "wire", "currency": "EUR", "minimum": "2", "maximum": "1"}),
        json!({"name": "wire", "currency": "EUR", "flat": "1", "tiers": [{"flat": "1"}]}),
        json!({"name": "wire", "currency": "EUR", "tiers": [{"from": "5", "flat": "1"}, {"from": "5", "flat": "2"}]}),
    ] {
        bank.post("/api/v1/fees", &fee).expect_problem(400, "malformed");
    }
    for splits in [
        json!([]),
        json!([{"to": to, "percent": "50"}]),
        json!([{"to": to, "percent": "50", "remainder": true}]),
        json!([{"to": to, "remainder": true}, {"to": to, "remainder": true}]),
        json!([{"to": to, "percent": "0"}, {"to": to, "remainder": true}]),
        json!([{"to": to, "percent": "1e1"}, {"to": to, "remainder": true}]),
    ] {
        let body = json!({"type": "transfer", "from": from, "amount": "10.00", "currency": "EUR", "splits": splits});
        bank.post("/api/v1/transfers", &body).expect_problem(400, "malformed");
    }
    assert_eq!(bank.ledger(&from), "100.00");
}

#[test]
fn reserved_metadata_is_the_banks_own() {
    let bank = Bank::open();
    let to = account(&bank, "EUR", "0");
    let body =
        json!({"type": "deposit", "to": to, "amount": "1.00", "currency": "EUR", "metadata": {"florin.fx.rate": "1"}});
    bank.post("/api/v1/transfers", &body).expect_problem(400, "malformed");
    assert_eq!(minor_units(&json!(bank.ledger(&to))), 0);
}
