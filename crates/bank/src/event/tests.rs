//! What events say, and what is told of those that say it wrong.

use super::*;
use ledger::account::SystemAccount;

fn said(event: &str) -> Result<Said, (&'static str, String)> {
    read(event.as_bytes(), Day::from_date(2026, 11, 21).expect("a day"))
        .said
        .map_err(|failure| (failure.code, failure.detail))
}

fn code(event: &str) -> &'static str {
    said(event).map_or_else(|(code, _)| code, |_| "fine")
}

fn deposit(data: &str) -> String {
    format!(r#"{{"specversion":"1.0","type":"florin.deposit","source":"s","id":"1","data":{data}}}"#)
}

fn amount_of(event: &str) -> Option<u64> {
    match said(event) {
        Ok(Said::Deposit { movement, .. }) => Some(movement.amount.minor_units()),
        _ => None,
    }
}

#[test]
fn amounts_are_taken_from_their_digits_and_never_through_a_float() {
    let amount = |amount: &str| deposit(&format!(r#"{{"account_id":"1","amount":{amount},"currency":"EUR"}}"#));
    assert_eq!(amount_of(&amount("90071992547409.93")), Some(9_007_199_254_740_993)); // 2^53 + 1
    assert_eq!(amount_of(&amount(r#""90071992547409.93""#)), Some(9_007_199_254_740_993));
    assert_eq!(amount_of(&amount("10.5")), Some(1050));
    for wrong in ["-1", "1e2", "0", "0.00", "1.001", r#""1,5""#, r#"" 1""#, r#""max""#, r#""٣""#, "0E0700000000"] {
        assert_eq!(code(&amount(wrong)), "amount_invalid", "{wrong}");
    }
    for wrong in ["true", "{}", "[1]", "null"] {
        assert_eq!(code(&amount(wrong)), "malformed", "{wrong}");
    }
}

#[test]
fn of_several_wrongs_the_first_in_the_interfaces_order_is_told() {
    assert_eq!(code(&deposit(r#"{"account_id":"1","amount":"1.00","currency":"EUR"}"#)), "fine");
    assert_eq!(code(&deposit(r#"{"account_id":"1","amount":"1.00","currency":"XXX"}"#)), "currency_unknown");
    assert_eq!(code(&deposit(r#"{"account_id":"1","amount":"-1","currency":"XXX"}"#)), "amount_invalid");
    assert_eq!(code(&deposit(r#"{"account_id":"1","amount":"-1","currency":"XXX","x":1}"#)), "unknown_field");
    assert_eq!(code(&deposit(r#"{"account_id":"01","amount":"-1","currency":"XXX","x":1}"#)), "malformed");
}

#[test]
fn nulls_count_as_absent_but_not_inside_metadata() {
    let with = |extra: &str| code(&deposit(&format!(r#"{{"account_id":"1","amount":"1","currency":"EUR",{extra}}}"#)));
    assert_eq!(with(r#""reference":null,"metadata":null,"whatever":null"#), "fine");
    assert_eq!(with(r#""metadata":{"a":null}"#), "malformed");
    assert_eq!(with(r#""metadata":{"a":1}"#), "malformed");
    assert_eq!(with(r#""metadata":{"a":"1","a":"2"}"#), "malformed");
    assert_eq!(with(r#""metadata":{"":"1"}"#), "malformed");
    assert_eq!(with(r#""metadata":{"florin.fee.paid_by":"5"}"#), "malformed", "the bank's own to write");
    assert_eq!(with(r#""metadata":{"florinx":"5"}"#), "fine");
    assert_eq!(with(&format!(r#""metadata":{{"a":"{}"}}"#, "x".repeat(513))), "malformed");
    assert_eq!(with(&format!(r#""reference":"{}""#, "x".repeat(256))), "malformed");
    assert_eq!(with(&format!(r#""reference":"{}""#, "x".repeat(255))), "fine");
}

#[test]
fn envelopes_are_cloud_events_of_version_1_0_with_any_extensions() {
    let data = r#"{"account_id":"1","amount":"1","currency":"EUR"}"#;
    let event = |attributes: &str| format!(r#"{{{attributes}"type":"florin.deposit","data":{data}}}"#);
    assert_eq!(code(&event(r#""specversion":"1.0","source":"s","id":"1","traceparent":"x","partition":7,"#)), "fine");
    assert_eq!(
        code(&event(
            r#""specversion":"1.0","source":"s","id":"1","datacontenttype":"application/json; charset=utf-8","#
        )),
        "fine"
    );
    for wrong in [
        r#""specversion":"0.3","source":"s","id":"1","#,
        r#""specversion":1.0,"source":"s","id":"1","#,
        r#""source":"s","id":"1","#,
        r#""specversion":"1.0","source":"","id":"1","#,
        r#""specversion":"1.0","source":"s","id":1,"#,
        r#""specversion":"1.0","source":"s","id":"1","time":"yesterday","#,
        r#""specversion":"1.0","source":"s","id":"1","datacontenttype":"text/xml","#,
        r#""specversion":"1.0","source":"s","id":"1","id":"2","#,
    ] {
        assert_eq!(code(&event(wrong)), "malformed", "{wrong}");
    }
    assert_eq!(code("[]"), "malformed");
    assert_eq!(code("nonsense"), "malformed");
    assert_eq!(code(r#"{"specversion":"1.0","type":"florin.nothing","source":"s","id":"1","data":{}}"#), "malformed");
}

#[test]
fn registrations_and_openings_say_all_that_is_needed() {
    let event = |kind: &str, data: &str| {
        code(&format!(r#"{{"specversion":"1.0","type":"florin.{kind}","source":"s","id":"1","data":{data}}}"#))
    };
    assert_eq!(event("user.registered", r#"{"user_id":"7","name":"A","date_of_birth":"1980-01-01"}"#), "fine");
    assert_eq!(event("user.registered", r#"{"user_id":"7"}"#), "malformed");
    assert_eq!(event("user.registered", r#"{"name":"A"}"#), "malformed");
    assert_eq!(event("user.registered", r#"{"user_id":"4611686018427387904","name":"A"}"#), "malformed");
    assert_eq!(event("user.registered", r#"{"user_id":"7","name":"A","age":3}"#), "unknown_field");
    let open =
        |rest: &str| event("account.opened", &format!(r#"{{"account_id":"1","user_id":"7","currency":"CZK"{rest}}}"#));
    assert_eq!(open(r#","type":"checking""#), "fine");
    assert_eq!(open(r#","type":"savings","overdraft_limit":0"#), "fine");
    assert_eq!(open(r#","type":"savings","overdraft_limit":-1"#), "amount_invalid");
    assert_eq!(open(r#","type":"gold""#), "malformed");
    assert_eq!(open(""), "malformed");
}

#[test]
fn the_home_is_the_first_of_account_from_and_user_whatever_else_is_wrong() {
    let scope = |text: &str| {
        let event = read(text.as_bytes(), Day::new(0));
        (event.source.as_deref().map(str::to_string), event.id.as_deref().map(str::to_string), event.scope)
    };
    let known = |scope| (Some("s".to_string()), Some("1".to_string()), scope);
    let (account, user) = (|id| AccountId::new(id).expect("an id"), |id| CustomerId::new(id).expect("an id"));
    assert_eq!(
        scope(r#"{"source":"s","id":"1","data":{"user_id":"3","from":"2","account_id":"1"}}"#),
        known(Scope::Account(account(1)))
    );
    assert_eq!(
        scope(r#"{"source":"s","id":"1","data":{"user_id":"3","from":"2","account_id":null}}"#),
        known(Scope::Account(account(2)))
    );
    assert_eq!(scope(r#"{"source":"s","id":"1","data":{"user_id":"3"}}"#), known(Scope::User(user(3))));
    assert_eq!(scope(r#"{"source":"s","id":"1","data":{"user_id":"3","from":"x"}}"#), known(Scope::Text));
    assert_eq!(scope(r#"{"source":"s","id":"1"}"#), known(Scope::Text));
    // The same is told of an event that breaks off or is no JSON further on.
    assert_eq!(
        scope(r#"{"source":"s","id":"1","data":{"from":"2","user_id":"3","am"#),
        known(Scope::Account(account(2)))
    );
    assert_eq!(scope(r#"{"source":"s","id":"1","data":{"user_id":"3","#), known(Scope::User(user(3))));
    assert_eq!(scope(r#"{"id":"1","source":"s",,}"#), known(Scope::Text));
    assert_eq!(scope("nonsense"), (None, None, Scope::Text));
}

#[test]
fn other_data_takes_the_place_of_what_was_sent_and_nothing_else_changes() {
    let data: Box<RawValue> = serde_json::from_str(r#"{"account_id":"2"}"#).expect("JSON");
    let event = br#"{ "specversion" : "1.0", "a\"b": 1.50, "data": {"account_id":"1"}, "id":"1" }"#;
    let replaced = with_data(event, &data).expect("an object");
    assert_eq!(
        String::from_utf8_lossy(&replaced),
        r#"{"specversion":"1.0","a\"b":1.50,"id":"1","data":{"account_id":"2"}}"#
    );
    assert_eq!(with_data(b"[]", &data), None);
}

#[test]
fn what_is_wrong_is_told_without_repeating_values() {
    let told = said(
        r#"{"specversion":"1.0","type":"florin.user.registered","source":"s","id":"1","data":{"user_id":"7","name":"A","email":"secret"}}"#,
    );
    let (code, detail) = told.expect_err("no address");
    assert_eq!(code, "malformed");
    assert!(detail.contains("email") && !detail.contains("secret"), "{detail}");
}

#[test]
fn ids_of_the_banks_own_accounts_are_ids() {
    let cash = SystemAccount::standard(
        ledger::ids::ShardId::default(),
        ledger::account::SystemKind::Cash,
        "EUR".parse().expect("EUR"),
    );
    assert_eq!(code(&deposit(&format!(r#"{{"account_id":"{}","amount":"1","currency":"EUR"}}"#, cash.id()))), "fine");
}
