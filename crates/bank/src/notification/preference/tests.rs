//! What a customer is told, and when not.

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn end(hours: (&str, &str, &str), now: &str) -> Option<String> {
    let hours = QuietHours::new(hours.0, hours.1, hours.2).expect("hours");
    hours.end(at(now)).map(|end| end.to_string())
}

#[test]
fn quiet_hours_are_those_of_the_customers_clock() {
    let prague = ("22:00", "07:00", "Europe/Prague");
    assert_eq!(end(prague, "2026-01-10T20:59:59Z"), None, "21:59 there");
    assert_eq!(end(prague, "2026-01-10T21:00:00Z"), Some(at("2026-01-11T06:00:00Z").to_string()));
    assert_eq!(end(prague, "2026-01-11T05:59:00Z"), Some(at("2026-01-11T06:00:00Z").to_string()));
    assert_eq!(end(prague, "2026-01-11T06:00:00Z"), None);
    assert_eq!(end(prague, "2026-07-10T20:00:00Z"), Some(at("2026-07-11T05:00:00Z").to_string()), "summer");
    let noon = ("12:00", "13:00", "Asia/Tokyo");
    assert_eq!(end(noon, "2026-01-10T03:30:00Z"), Some(at("2026-01-10T04:00:00Z").to_string()));
    assert_eq!(end(noon, "2026-01-10T04:00:00Z"), None);
}

#[test]
fn quiet_hours_end_once_though_clocks_are_set() {
    // On 29 March 2026 02:30 does not exist in Prague, on 25 October 02:30 is there twice.
    let early = ("22:00", "02:30", "Europe/Prague");
    assert_eq!(end(early, "2026-03-29T00:30:00Z"), Some(at("2026-03-29T01:30:00Z").to_string()), "03:30 summer time");
    assert_eq!(end(early, "2026-03-29T01:30:00Z"), None);
    assert_eq!(end(early, "2026-10-24T23:30:00Z"), Some(at("2026-10-25T00:30:00Z").to_string()), "the first 02:30");
    assert_eq!(end(early, "2026-10-25T00:30:00Z"), None);
    for minutes in 0..2880 {
        let now = at("2026-10-24T12:00:00Z").saturating_add(minutes * 60_000_000);
        let hours = QuietHours::new("22:00", "02:30", "Europe/Prague").expect("hours");
        if let Some(end) = hours.end(now) {
            assert!(now < end, "{now} waits until {end}");
        }
    }
}

#[test]
fn times_and_zones_that_are_none_are_refused() {
    for (from, until, zone) in [
        ("24:00", "07:00", "Europe/Prague"),
        ("22:60", "07:00", "Europe/Prague"),
        ("22", "07:00", "Europe/Prague"),
        ("+1:00", "07:00", "Europe/Prague"),
        ("07:00", "07:00", "Europe/Prague"),
        ("22:00", "07:00", "Europe/Nowhere"),
    ] {
        assert!(QuietHours::new(from, until, zone).is_none(), "{from} {until} {zone}");
    }
    assert_eq!(clock(minute("07:05").expect("a minute")), "07:05");
}

fn facts(amount: i128) -> Facts {
    Facts { currency: Some("EUR".into()), amount: Some(amount), ..Facts::default() }
}

#[test]
fn whoever_said_nothing_hears_everything_by_mail_and_push() {
    let preference = Preference::default();
    for kind in Kind::ALL {
        assert!(preference.wants(Channel::Email, *kind, &facts(1)) && preference.wants(Channel::Fcm, *kind, &facts(1)));
        assert!(!preference.wants(Channel::Sms, *kind, &facts(1)));
    }
}

#[test]
fn a_minimum_keeps_back_small_amounts_of_its_currency_and_no_correction() {
    let minimum_amounts = [("EUR".to_owned(), 1000)].into();
    let preference = Preference { minimum_amounts, ..Preference::default() };
    let wants = |kind, facts: &Facts| preference.wants(Channel::Email, kind, facts);
    assert!(!wants(Kind::Deposit, &facts(999)) && wants(Kind::Deposit, &facts(1000)));
    assert!(wants(Kind::Deposit, &Facts { currency: Some("CZK".into()), ..facts(1) }));
    assert!(wants(Kind::TransferFailed, &facts(1)) && wants(Kind::Security, &Facts::default()));
}

#[test]
fn what_is_urgent_knows_no_quiet_hours_and_no_kinds() {
    let quiet_hours = QuietHours::new("00:00", "23:59", "UTC");
    let preference = Preference { kinds: Some(vec![]), quiet_hours, ..Preference::default() };
    let now = at("2026-01-10T10:00:00Z");
    assert!(preference.wants(Channel::Email, Kind::Security, &Facts::default()));
    assert!(!preference.wants(Channel::Email, Kind::Deposit, &facts(1)));
    assert_eq!(preference.held_until(Kind::Security, now), None);
    assert!(preference.held_until(Kind::Deposit, now).is_some());
}

#[test]
fn a_balance_that_was_below_already_warns_no_more() {
    let low_balance = [("EUR".to_owned(), 100)].into();
    let preference = Preference { low_balance, ..Preference::default() };
    let fell = |before, after| {
        preference.fell_below(&Facts { balance: Some(after), balance_before: Some(before), ..facts(1) })
    };
    assert_eq!([fell(100, 99), fell(100, 100), fell(99, 98), fell(500, -5)], [Some(100), None, None, Some(100)]);
}
