//! Rates and quotes, without a server.

use crate::world::{World, euro, local, now};
use bank::exchange::rate::Rate;
use bank::exchange::{ExchangeSettings, Exchanges, Fixed, NewRate, QuoteAsked, RateQuery};
use bank::records::MemoryRecords;
use ledger::amount::Amount;
use ledger::currency::Currency;
use std::sync::Arc;

fn currency(code: &str) -> Currency {
    code.parse().expect("a currency")
}

fn exchanges(world: &World, settings: ExchangeSettings) -> Exchanges {
    Exchanges::new(Arc::new(world.another_node()), Arc::new(MemoryRecords::default()), settings)
}

fn rate(base: &str, quote: &str, mid: &str, spread_bps: Option<u16>) -> NewRate {
    let mid: Rate = mid.parse().expect("a rate");
    NewRate { base: currency(base), quote: currency(quote), bid: mid, ask: mid, spread_bps, as_of: None }
}

fn set(exchanges: &Exchanges, rates: &[NewRate]) {
    now(exchanges.set_rates(&local(), rates, "test")).expect("set");
}

#[test]
fn a_pair_by_the_pivot_has_the_larger_spread_of_its_rates_and_the_usual_one_counts() {
    for (usd, jpy, spread_bps) in
        [(None, None, 50), (Some(10), None, 50), (None, Some(80), 80), (Some(10), Some(20), 20), (Some(0), None, 50)]
    {
        let world = World::new(1);
        let settings = ExchangeSettings { spread_bps: 50, pivot: Some(euro()), ..ExchangeSettings::default() };
        let exchanges = exchanges(&world, settings);
        set(&exchanges, &[rate("EUR", "USD", "1.25", usd), rate("EUR", "JPY", "160", jpy)]);
        let fixed = Fixed::Sell(Amount::new(100).expect("an amount"));
        let asked = QuoteAsked { sell: currency("USD"), buy: currency("JPY"), fixed };
        let quote = now(exchanges.quote(&local(), None, &asked)).expect("a quote");
        assert_eq!((quote.spread_bps, quote.mid.to_string()), (spread_bps, "128".into()), "{usd:?} {jpy:?}");
    }
}

#[test]
fn of_rates_set_in_the_same_moment_none_is_lost_from_the_history() {
    let world = World::new(1);
    let exchanges = exchanges(&world, ExchangeSettings::default());
    for mid in ["160", "161", "162"] {
        set(&exchanges, &[rate("EUR", "JPY", mid, None)]);
    }
    let query = RateQuery { history_of: Some((euro(), currency("JPY"))), after: None, limit: 10 };
    let (history, _) = now(exchanges.rates(&query)).expect("read");
    assert_eq!(history.iter().map(|rate| rate.bid.to_string()).collect::<Vec<_>>(), ["162", "161", "160"]);
}
