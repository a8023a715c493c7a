//! Statements of accounts whose currency has none or three decimals.

use crate::support::bank::Bank;
use crate::world::account;
use serde_json::json;

#[test]
fn a_statement_is_written_with_as_many_decimals_as_its_currency_has() {
    let bank = Bank::open();
    for (currency, first, second, closing) in [
        ("JPY", "1000", "-250", "750"),
        ("EUR", "1000.00", "-2.50", "997.50"),
        ("KWD", "1000.000", "-0.250", "999.750"),
    ] {
        let id = account(&bank, currency, "0");
        for (kind, side, amount) in [("deposit", "to", first), ("withdrawal", "from", second)] {
            let body = json!({"type": kind, side: id, "amount": amount.trim_start_matches('-'), "currency": currency,
                "effective_at": "2025-10-09T12:00:00Z"});
            bank.post("/api/v1/transfers", &body).expect(201);
        }
        let path = format!("/api/v1/accounts/{id}/statements");
        let made = bank.post(&path, &json!({"month": "2025-10"})).expect(201).json();
        assert_eq!((&made["currency"], &made["closing"]), (&json!(currency), &json!(closing)));
        let file = |ending: &str| {
            let link = made["files"][ending].as_str().expect("a link");
            bank.get(&link[link.find("/api/").expect("a path")..]).expect(200).text()
        };
        for line in [format!(",{first},{first},{currency},"), format!(",{second},{closing},{currency},")] {
            assert!(file("csv").contains(&line), "{line}\n{}", file("csv"));
        }
        let balance = format!("<Amt Ccy=\"{currency}\">{closing}</Amt>");
        assert!(file("xml").contains(&balance), "{balance}\n{}", file("xml"));
    }
}
