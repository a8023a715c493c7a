//! The rates that are known: the latest of each pair of currencies, and all there were.

use super::Exchanges;
use super::rate::{BASIS_POINTS, Rate};
use crate::Caller;
use crate::error::BankError;
use crate::ports::{Expected, RecordChange};
use crate::records::{parsed, read};
use crate::submit::allow;
use ledger::currency::Currency;
use ledger::time::Timestamp;
use ledger::token::Role;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use store::Fault;

const LATEST: &str = "fx/rate/";
const HISTORY: &str = "fx/rate-history/";
/// How many rates may be set at once.
const RATES_MAX: usize = 1000;

/// A rate as it is kept: for one unit of `base` so many of `quote`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateRecord {
    /// The currency of which there is one.
    pub base: String,
    /// The currency in which it is counted.
    pub quote: String,
    /// What somebody gets for one unit of `base`.
    pub bid: Rate,
    /// What somebody pays for it.
    pub ask: Rate,
    /// What the bank takes off for itself, in basis points; the bank's usual spread without it.
    pub spread_bps: Option<u16>,
    /// The time the rate is of, in microseconds.
    pub as_of: u64,
    /// Where it comes from.
    pub source: String,
    /// Who set it.
    pub set_by: String,
    /// When, in microseconds.
    pub set_at: u64,
}

/// A rate that is to be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRate {
    /// The currency of which there is one.
    pub base: Currency,
    /// The currency in which it is counted.
    pub quote: Currency,
    /// What somebody gets for one unit of `base`.
    pub bid: Rate,
    /// What somebody pays for it.
    pub ask: Rate,
    /// What the bank takes off for itself, in basis points.
    pub spread_bps: Option<u16>,
    /// The time the rate is of; now without it.
    pub as_of: Option<Timestamp>,
}

/// Which rates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateQuery {
    /// All that one pair had, the newest first, instead of the latest of every pair.
    pub history_of: Option<(Currency, Currency)>,
    /// `next` of the page before.
    pub after: Option<u64>,
    /// How many at most.
    pub limit: usize,
}

/// By what a quote is made.
pub(super) struct Price {
    /// The rate in the middle.
    pub(super) mid: Rate,
    /// What the customer gets for one unit.
    pub(super) rate: Rate,
    pub(super) spread_bps: u16,
    pub(super) as_of: u64,
    pub(super) source: String,
}

fn latest_key(base: Currency, quote: Currency) -> String {
    format!("{LATEST}{base}/{quote}")
}

/// The newest first.
fn history_key(base: Currency, quote: Currency, set_at: u64) -> String {
    format!("{HISTORY}{base}/{quote}/{:020}", u64::MAX - set_at)
}

/// A pair as a number.
fn place_of(base: Currency, quote: Currency) -> u64 {
    u64::from(base.number()) * 1000 + u64::from(quote.number())
}

fn pair_of(place: u64) -> Option<(Currency, Currency)> {
    let currency = |number: u64| u16::try_from(number).ok().and_then(Currency::from_number);
    currency(place / 1000).zip(currency(place % 1000))
}

impl Exchanges {
    /// Sets rates, all or none. One that is older than what is known of its pair, or says the same, changes nothing. What is
    /// known of each pair then.
    ///
    /// # Errors
    /// `Forbidden` unless the caller is an admin; `Malformed` for what is no pair, a bid above its ask, a spread that
    /// leaves nothing, or a time to come; a fault of the records.
    pub async fn set_rates(
        &self,
        caller: &Caller,
        rates: &[NewRate],
        source: &str,
    ) -> Result<Vec<RateRecord>, BankError> {
        allow(caller, Role::Admin)?;
        let now = self.bank.now();
        check_count(rates)?;
        rates.iter().try_for_each(|rate| check(rate, now))?;
        let mut set_at = now;
        loop {
            let (mut changes, mut known) = (Vec::new(), Vec::new());
            for rate in rates {
                let key = latest_key(rate.base, rate.quote);
                let stored = self.records.get(&key).await?;
                let old: Option<RateRecord> = stored.as_deref().map(|value| parsed(&key, value)).transpose()?;
                let new = RateRecord {
                    base: rate.base.to_string(),
                    quote: rate.quote.to_string(),
                    bid: rate.bid,
                    ask: rate.ask,
                    spread_bps: rate.spread_bps,
                    as_of: rate.as_of.unwrap_or(now).microseconds(),
                    source: source.to_owned(),
                    set_by: caller.principal.to_string(),
                    set_at: set_at.microseconds(),
                };
                if let Some(old) = old.filter(|old| is_as_good(old, &new)) {
                    known.push(old);
                    continue;
                }
                let expected = stored.map_or(Expected::Absent, Expected::Exactly);
                let history = history_key(rate.base, rate.quote, new.set_at);
                changes.push(RecordChange::put(key, &new)?.expecting(expected));
                changes.push(RecordChange::put(history, &new)?.expecting(Expected::Absent));
                known.push(new);
            }
            if changes.is_empty() || self.records.change(changes).await? {
                return Ok(known);
            }
            // Somebody else set one of them meanwhile, perhaps at the very same moment: both stay in the history.
            set_at = set_at.saturating_add(1);
        }
    }

    /// Rates, and what to go on with, if there may be more.
    ///
    /// # Errors
    /// A fault of the records.
    pub async fn rates(&self, query: &RateQuery) -> Result<(Vec<RateRecord>, Option<u64>), Fault> {
        let (prefix, after) = match query.history_of {
            Some((base, quote)) => {
                (format!("{HISTORY}{base}/{quote}/"), query.after.map(|set_at| history_key(base, quote, set_at)))
            }
            None => (LATEST.to_owned(), query.after.and_then(pair_of).map(|(base, quote)| latest_key(base, quote))),
        };
        let found = self.records.list(&prefix, after.as_deref(), query.limit + 1).await?;
        let is_more = query.limit < found.len();
        let told = found.iter().take(query.limit).map(|(key, value)| parsed(key, value));
        let rates: Vec<RateRecord> = told.collect::<Result<_, _>>()?;
        let place = |rate: &RateRecord| match query.history_of {
            Some(_) => Some(rate.set_at),
            None => Some(place_of(rate.base.parse().ok()?, rate.quote.parse().ok()?)),
        };
        let next = rates.last().filter(|_| is_more).and_then(place);
        Ok((rates, next))
    }

    /// Whether a rate of this time is too old to be used.
    pub fn is_stale(&self, as_of: u64) -> bool {
        let age = self.bank.now().microseconds().saturating_sub(as_of);
        self.settings.rate_age_max_s.saturating_mul(1_000_000) < age
    }

    /// What a customer gets of one currency for another, now.
    pub(super) async fn price(&self, sell: Currency, buy: Currency) -> Result<Price, BankError> {
        let known = match self.known(sell, buy).await? {
            Some(known) => known,
            None => self.by_pivot(sell, buy).await?,
        };
        if self.is_stale(known.as_of) {
            let age = self.bank.now().microseconds().saturating_sub(known.as_of) / 1_000_000;
            let (most, source) = (self.settings.rate_age_max_s, &known.source);
            return Err(refused(
                "rate_stale",
                format!(
                    "the rate from {sell} to {buy} ({source}) is {age} s old and good for {most} s; set a newer one"
                ),
            ));
        }
        let too_small = || refused("rate_unknown", format!("the rate from {sell} to {buy} is too small to be used"));
        let spread_bps = known.spread_bps.unwrap_or(self.settings.spread_bps);
        let rate = known.market.less(spread_bps).ok_or_else(too_small)?;
        Ok(Price { mid: known.mid, rate, spread_bps, as_of: known.as_of, source: known.source })
    }

    async fn by_pivot(&self, sell: Currency, buy: Currency) -> Result<Known, BankError> {
        let unknown = || {
            refused(
                "rate_unknown",
                format!("there is no rate from {sell} to {buy}; set one first (POST /api/v1/rates)"),
            )
        };
        let pivot = self.settings.pivot.filter(|pivot| *pivot != sell && *pivot != buy).ok_or_else(unknown)?;
        let (first, second) = (self.known(sell, pivot).await?, self.known(pivot, buy).await?);
        let (first, second) = first.zip(second).ok_or_else(unknown)?;
        // The usual spread is that of a rate without one, here too.
        let usual = |spread: Option<u16>| spread.unwrap_or(self.settings.spread_bps);
        let spread_bps = Some(usual(first.spread_bps).max(usual(second.spread_bps)));
        let source =
            if first.source == second.source { first.source } else { format!("{}, {}", first.source, second.source) };
        Ok(Known {
            mid: first.mid.times(second.mid).ok_or_else(unknown)?,
            market: first.market.times(second.market).ok_or_else(unknown)?,
            spread_bps,
            as_of: first.as_of.min(second.as_of),
            source,
        })
    }

    /// The rate of a pair, whichever way round it was set.
    async fn known(&self, sell: Currency, buy: Currency) -> Result<Option<Known>, Fault> {
        let forth: Option<RateRecord> = read(&*self.records, &latest_key(sell, buy)).await?;
        let back: Option<RateRecord> = read(&*self.records, &latest_key(buy, sell)).await?;
        let forth = forth.and_then(|rate| {
            let (mid, market) = (rate.bid.middle(rate.ask)?, rate.bid);
            Some(Known { mid, market, spread_bps: rate.spread_bps, as_of: rate.as_of, source: rate.source })
        });
        let back = back.and_then(|rate| {
            let (mid, market) = (rate.bid.middle(rate.ask)?.inverse()?, rate.ask.inverse()?);
            Some(Known { mid, market, spread_bps: rate.spread_bps, as_of: rate.as_of, source: rate.source })
        });
        // The newer one, if somebody set both.
        Ok(match (forth, back) {
            (Some(forth), Some(back)) if forth.as_of < back.as_of => Some(back),
            (Some(forth), _) => Some(forth),
            (None, back) => back,
        })
    }
}

/// A rate from one currency to another, before the bank's spread.
struct Known {
    mid: Rate,
    market: Rate,
    spread_bps: Option<u16>,
    as_of: u64,
    source: String,
}

fn check_count(rates: &[NewRate]) -> Result<(), BankError> {
    let malformed = |detail: String| Err(BankError::Malformed { code: "malformed", detail });
    if !(1..=RATES_MAX).contains(&rates.len()) {
        return malformed(format!("1 to {RATES_MAX} rates can be set at once"));
    }
    let mut pairs = BTreeSet::new();
    match rates.iter().find(|rate| !pairs.insert((rate.base, rate.quote))) {
        Some(rate) => malformed(format!("{}/{} stands there twice; leave one out", rate.base, rate.quote)),
        None => Ok(()),
    }
}

fn check(rate: &NewRate, now: Timestamp) -> Result<(), BankError> {
    let (base, quote) = (rate.base, rate.quote);
    let malformed =
        |what: &str| Err(BankError::Malformed { code: "malformed", detail: format!("{base}/{quote}: {what}") });
    if base == quote {
        return malformed("a rate is between two currencies; name another");
    }
    if rate.ask.is_below(rate.bid) {
        return malformed("the bid is above the ask; change them round");
    }
    if rate.bid.middle(rate.ask).and_then(Rate::inverse).is_none() || rate.ask.inverse().is_none() {
        return malformed("the rate is too large or too small to be turned round");
    }
    if rate.spread_bps.is_some_and(|spread| BASIS_POINTS <= spread) {
        return malformed("a spread has less than 10000 basis points");
    }
    if rate.as_of.is_some_and(|as_of| now < as_of) {
        return malformed("`as_of` is in the future; leave it out or use a time up to now");
    }
    Ok(())
}

/// Whether there is no need for the new one.
fn is_as_good(old: &RateRecord, new: &RateRecord) -> bool {
    let says = |rate: &RateRecord| (rate.bid, rate.ask, rate.spread_bps, rate.as_of, rate.source.clone());
    new.as_of < old.as_of || says(old) == says(new)
}

/// The bank's no to what moves no money.
pub(super) fn refused(code: &'static str, detail: String) -> BankError {
    BankError::Refused { code, detail }
}
