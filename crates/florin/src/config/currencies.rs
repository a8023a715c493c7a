//! The section `currencies` of the configuration.

use bank::exchange::ExchangeSettings;
use ledger::currency::Currency;
use serde::Deserialize;

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
    /// What the bank needs to know of it.
    pub(crate) fn settings(&self) -> ExchangeSettings {
        let Currencies { rate_age_max_s, quote_s, spread_bps, pivot } = *self;
        ExchangeSettings { rate_age_max_s, quote_s, spread_bps, pivot }
    }
}

fn currency<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Currency>, D::Error> {
    String::deserialize(deserializer)?.parse().map(Some).map_err(serde::de::Error::custom)
}
