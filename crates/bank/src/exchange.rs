//! From one currency into another: rates, the quotes that are given by them, and the exchanges that are made by quotes.
//!
//! An exchange is one transfer. What is sold goes from the customer to the bank's position in that currency, what is
//! bought from the bank's position in the other to whoever gets it, and what the bank keeps of it from that position to
//! its result. Each leg stays in one currency, so the sum over every currency stays zero; the id of the bank's own account
//! tells which currency a leg is in. What rounding leaves is part of what the bank keeps, down to the minor unit; the rest
//! below that is written with the transfer, exactly.

mod book;
mod order;
mod quote;
pub mod rate;

pub use book::{NewRate, RateQuery, RateRecord};
pub use order::{ExchangeAsked, Sold, is_reserved};
pub use quote::{Fixed, Quote, QuoteAsked};

use crate::Bank;
use crate::ports::Records;
use ledger::currency::Currency;
use std::fmt;
use std::sync::Arc;

/// What rates and quotes are bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExchangeSettings {
    /// A rate is good for so many seconds from the time it is of.
    pub rate_age_max_s: u64,
    /// A quote is good for so many seconds.
    pub quote_s: u64,
    /// What the bank takes off a rate that names no spread of its own, in basis points.
    pub spread_bps: u16,
    /// The currency by which two currencies are exchanged that have no rate of their own.
    pub pivot: Option<Currency>,
}

impl Default for ExchangeSettings {
    fn default() -> ExchangeSettings {
        ExchangeSettings { rate_age_max_s: 86_400, quote_s: 60, spread_bps: 0, pivot: None }
    }
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Exchanges {
    bank: Arc<Bank>,
    records: Arc<dyn Records>,
    settings: ExchangeSettings,
}

impl fmt::Debug for Exchanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchanges").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Exchanges {
    /// Exchanges of this bank, with rates and quotes in these records.
    pub fn new(bank: Arc<Bank>, records: Arc<dyn Records>, settings: ExchangeSettings) -> Exchanges {
        Exchanges { bank, records, settings }
    }
}
