//! Exchanges between shards: all or nothing there too, with nothing left on the way.

use crate::support::bank::Bank;
use crate::world::{account, ended, exchanged, expect_in_order, foretold, own, quote, set_rate};
use serde_json::{Value, json};

const SHARDS: usize = 3;

fn open() -> Bank {
    let bank = Bank::open_with(&["--no-auth", "--shards", &SHARDS.to_string()]);
    set_rate(&bank, "EUR", "JPY", "163.777", 50);
    bank
}

/// Accounts in both currencies until there is a pair that a transfer between shards is needed for, and one that is not.
fn pairs(bank: &Bank) -> [(String, String); 2] {
    let euros = account(bank, "EUR", "500.00");
    let (mut near, mut far) = (None, None);
    while near.is_none() || far.is_none() {
        let yen = account(bank, "JPY", "0");
        let quoted = quote(bank, "EUR", "1.00", "JPY");
        let told = foretold(bank, &crate::world::exchange(&euros, &yen, &quoted));
        match told.status {
            201 => near = Some(yen),
            202 => far = Some(yen),
            status => panic!("{status}: {}", told.text()),
        }
    }
    [near, far].map(|yen| (euros.clone(), yen.expect("found")))
}

#[test]
fn an_exchange_between_shards_is_one_transfer_with_all_its_postings() {
    let bank = open();
    for (euros, yen) in pairs(&bank) {
        let (before, quoted) = (bank.ledger(&euros), quote(&bank, "EUR", "100.01", "JPY"));
        let done = ended(&bank, &exchanged(&bank, &euros, &yen, &quoted).json());
        assert_eq!([&done["status"], &done["amount"], &done["currency"]], ["succeeded", "100.01", "EUR"], "{done}");
        assert_ne!(bank.ledger(&euros), before);
        assert_eq!(bank.ledger(&yen), "16297");
        let yen_posted: i128 = done["postings"]
            .as_array()
            .expect("postings")
            .iter()
            .filter(|posting| posting["currency"] == "JPY")
            .map(|posting| {
                crate::world::minor_units(&posting["amount"]) * if posting["side"] == "debit" { -1 } else { 1 }
            })
            .sum();
        assert_eq!(yen_posted, 0);
    }
    assert_eq!(own(&bank, "fx_position").into_values().collect::<Vec<_>>(), [20_002, -32_758]);
    assert_eq!(own(&bank, "fx_result").into_values().collect::<Vec<_>>(), [164]);
    expect_in_order(bank);
}

#[test]
fn an_exchange_that_the_other_shard_refuses_gives_everything_back() {
    let bank = open();
    let [_, (euros, yen)] = pairs(&bank);
    let quoted = quote(&bank, "EUR", "100.01", "JPY");
    bank.post(&format!("/api/v1/accounts/{yen}/freeze"), &json!({"kind": "full"})).expect(200);
    let failed = ended(&bank, &exchanged(&bank, &euros, &yen, &quoted).expect(202).json());
    assert_eq!((&failed["status"], &failed["failure"]["code"]), (&json!("failed"), &json!("account_frozen")));
    assert_eq!((bank.ledger(&euros), bank.ledger(&yen)), ("500.00".into(), "0".into()));
    bank.post(&format!("/api/v1/accounts/{yen}/unfreeze"), &json!({})).expect(200);
    // What came to nothing did not use the quote up.
    let done = ended(&bank, &exchanged(&bank, &euros, &yen, &quoted).expect(202).json());
    assert_eq!(done["status"], "succeeded");
    exchanged(&bank, &euros, &yen, &quoted).expect_problem(409, "quote_used");
    expect_in_order(bank);
}

#[test]
fn an_exchange_between_shards_is_reversed_as_a_whole() {
    let bank = open();
    let [_, (euros, yen)] = pairs(&bank);
    let done = ended(&bank, &exchanged(&bank, &euros, &yen, &quote(&bank, "EUR", "100.01", "JPY")).expect(202).json());
    let reverse = format!("/api/v1/transfers/{}/reverse", done["transfer_id"].as_str().expect("an id"));
    let undone = ended(&bank, &bank.post(&reverse, &json!({})).expect(202).json());
    assert_eq!(undone["status"], "succeeded");
    assert_eq!((bank.ledger(&euros), bank.ledger(&yen)), ("500.00".into(), "0".into()));
    assert!(own(&bank, "fx_position").is_empty() && own(&bank, "fx_result").is_empty());
    expect_in_order(bank);
}

#[test]
fn a_hold_is_captured_into_a_currency_of_another_shard_or_stays_open() {
    let bank = open();
    let [_, (euros, yen)] = pairs(&bank);
    let hold = bank.hold(&euros, "150.00").expect(201).json();
    let path = format!("/api/v1/holds/{}", hold["hold_id"].as_str().expect("an id"));
    bank.post(&format!("/api/v1/accounts/{yen}/freeze"), &json!({"kind": "full"})).expect(200);
    let quoted = quote(&bank, "EUR", "100.01", "JPY");
    let body = json!({"quote_id": quoted["quote_id"], "to": yen});
    let failed = ended(&bank, &bank.post(&format!("{path}/capture"), &body).expect(202).json());
    assert_eq!(failed["status"], "failed");
    let seen: Value = bank.get(&path).expect(200).json();
    assert_eq!([&seen["status"], &seen["captured"]], ["held", "0.00"]);
    assert_eq!((bank.ledger(&euros), bank.available(&euros)), ("500.00".into(), "350.00".into()));
    bank.post(&format!("/api/v1/accounts/{yen}/unfreeze"), &json!({})).expect(200);
    let done = ended(&bank, &bank.post(&format!("{path}/capture"), &body).expect(202).json());
    assert_eq!([&done["status"], &done["type"], &done["amount"]], ["succeeded", "capture", "100.01"]);
    assert_eq!(
        (bank.ledger(&euros), bank.available(&euros), bank.ledger(&yen)),
        ("399.99".into(), "399.99".into(), "16297".into())
    );
    expect_in_order(bank);
}
