//! The currency table against somebody else's reading of ISO 4217.

use iso_currency::Currency as Theirs;
use ledger::currency::Currency;

/// Every code that could be one: AAA to ZZZ.
fn codes() -> impl Iterator<Item = String> {
    let letters = || b'A'..=b'Z';
    letters().flat_map(move |first| {
        letters()
            .flat_map(move |second| letters().map(move |third| [first, second, third].map(char::from).iter().collect()))
    })
}

/// What they know of a code that an account could be kept in: number and decimals.
fn theirs(code: &str) -> Option<(u16, u16)> {
    let theirs = Theirs::from_code(code)?;
    // They take the bolívar's two codes for a replacement of one by the other; the standard lists both as current.
    let is_current = theirs.is_superseded().is_none() || code == "VES";
    Some((theirs.numeric(), theirs.exponent()?)).filter(|_| is_current)
}

#[test]
fn number_and_decimals_of_every_currency_are_those_of_the_standard() {
    for code in codes() {
        let ours = code.parse::<Currency>().ok().map(|currency| (currency.number(), u16::from(currency.scale())));
        assert_eq!(ours, theirs(&code), "{code}");
    }
}
