//! The section `currencies` of the configuration.

use crate::failure::Failure;
use bank::exchange::ExchangeSettings;
use bank::exchange::rate::BASIS_POINTS;
use ledger::currency::Currency;
use serde::Deserialize;

/// Longest time that a quote may be good: a day. What it promises stands however the market moves.
const QUOTE_S_MAX: u64 = 86_400;

/// What rates and quotes are bound to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Currencies {
    /// A rate is good for so many seconds from the time it is of.
    pub(crate) rate_age_max_s: u64,
    /// A quote is good for so many seconds.
    pub(crate) quote_s: u64,
    /// What the bank takes off rates that name no spread of their own, in basis points.
    pub(crate) spread_bps: u16,
    /// The currency by which two currencies are exchanged that have no rate of their own.
    #[serde(deserialize_with = "currency")]
    pub(crate) pivot: Option<Currency>,
}

impl Default for Currencies {
    fn default() -> Currencies {
        let ExchangeSettings { rate_age_max_s, quote_s, spread_bps, pivot } = ExchangeSettings::default();
        Currencies { rate_age_max_s, quote_s, spread_bps, pivot }
    }
}

impl Currencies {
    /// # Errors
    /// Wrong usage for a time or a spread by which there could be no exchange.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if !(1..=QUOTE_S_MAX).contains(&self.quote_s) {
            let what = format!("currencies.quote_s is {}", self.quote_s);
            return Err(Failure::usage(what, format!("a quote is good for 1 to {QUOTE_S_MAX} seconds")));
        }
        if BASIS_POINTS <= self.spread_bps {
            let what = format!("currencies.spread_bps is {}", self.spread_bps);
            return Err(Failure::usage(what, format!("a spread has less than {BASIS_POINTS} basis points")));
        }
        if self.rate_age_max_s == 0 {
            let next = "say for how many seconds a rate is good, such as 86400";
            return Err(Failure::usage("currencies.rate_age_max_s is 0, so that every rate is too old", next));
        }
        Ok(())
    }

    /// What the bank needs to know of it.
    pub(crate) fn settings(&self) -> ExchangeSettings {
        let Currencies { rate_age_max_s, quote_s, spread_bps, pivot } = *self;
        ExchangeSettings { rate_age_max_s, quote_s, spread_bps, pivot }
    }
}

fn currency<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Currency>, D::Error> {
    String::deserialize(deserializer)?.parse().map(Some).map_err(serde::de::Error::custom)
}
