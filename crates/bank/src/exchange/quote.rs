//! Quotes: what somebody sells, what they get for it, and until when that holds. A quote is a promise, so it is kept: who
//! gave it can be looked up, and that it is used once needs a place where that stands.

use super::Exchanges;
use super::book::refused;
use super::rate::{Rate, Rest};
use crate::Caller;
use crate::error::BankError;
use crate::ports::{Expected, RecordChange};
use crate::records::{parsed, read};
use crate::submit::{ClientKey, allow};
use ledger::amount::{Amount, Decimal};
use ledger::currency::Currency;
use ledger::ids::QuoteId;
use ledger::time::Timestamp;
use ledger::token::Role;
use serde::{Deserialize, Serialize};
use store::Fault;

const QUOTES: &str = "fx/quote/";
const KEYS: &str = "fx/quote-key/";
/// Quotes are forgotten so long after they ended; what was exchanged by them stays with the transfers.
const KEPT_US: u64 = 30 * 86_400 * 1_000_000;
/// How many old quotes are removed when a new one is made, at most.
const REMOVED_AT_ONCE: usize = 4;

/// What is fixed; the other amount follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fixed {
    /// What the customer gives. What they get is rounded down.
    Sell(Amount),
    /// What the customer gets. What they give is rounded up.
    Buy(Amount),
}

/// See [`Exchanges::quote`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuoteAsked {
    /// The currency the customer gives.
    pub sell: Currency,
    /// The currency they get.
    pub buy: Currency,
    /// How much of one of them.
    pub fixed: Fixed,
}

/// A quote as it is kept. Amounts are in minor units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// Its id.
    pub id: u64,
    /// The currency the customer gives.
    pub sell: String,
    /// The currency they get.
    pub buy: String,
    /// What they give.
    pub sold: u64,
    /// What they get.
    pub bought: u64,
    /// Whether what they get was fixed, and what they give follows from it.
    pub buy_is_fixed: bool,
    /// For one unit given so many got.
    pub rate: Rate,
    /// The same in the middle of the market, without what anybody keeps.
    pub mid: Rate,
    /// What the bank took off the market's rate, in basis points.
    pub spread_bps: u16,
    /// What the bank keeps, in minor units of the currency bought: from spread and rounding together.
    pub result: u64,
    /// What the customer would get beyond it if there were no minor units, in units of the currency bought.
    pub rounding: String,
    /// What is left below a minor unit of what was given at the middle rate, in units of the currency bought. It stays in
    /// the bank's position.
    pub rest: String,
    /// Where the rate comes from.
    pub source: String,
    /// The time the rate is of, in microseconds.
    pub rate_as_of: u64,
    /// Who gave the quote.
    pub given_by: String,
    /// When, in microseconds.
    pub created_at: u64,
    /// From when on it is no longer good, in microseconds.
    pub expires_at: u64,
    /// By what it was used.
    pub used: Option<Use>,
    /// The record of the key it was asked for under.
    pub asked_under: Option<String>,
}

/// The request that used a quote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// Digest of its idempotency key.
    pub key: String,
    /// Digest of what it said.
    pub fingerprint: String,
    /// Who asked.
    pub by: String,
    /// When, in microseconds.
    pub at: u64,
}

impl Quote {
    /// What is given.
    ///
    /// # Errors
    /// `Corrupt` if the record does not say so.
    pub fn sold(&self) -> Result<(Amount, Currency), Fault> {
        self.money(self.sold, &self.sell)
    }

    /// What is got for it.
    ///
    /// # Errors
    /// As [`Quote::sold`].
    pub fn bought(&self) -> Result<(Amount, Currency), Fault> {
        self.money(self.bought, &self.buy)
    }

    /// What the bank keeps.
    ///
    /// # Errors
    /// As [`Quote::sold`].
    pub fn result(&self) -> Result<(Amount, Currency), Fault> {
        self.money(self.result, &self.buy)
    }

    fn money(&self, minor_units: u64, currency: &str) -> Result<(Amount, Currency), Fault> {
        let (amount, currency) = (Amount::new(minor_units), currency.parse());
        amount.zip(currency.ok()).ok_or_else(|| self.corrupt("an amount or a currency that is none"))
    }

    /// From when on it is no longer good.
    ///
    /// # Errors
    /// As [`Quote::sold`].
    pub fn expires_at(&self) -> Result<Timestamp, Fault> {
        Timestamp::from_microseconds(self.expires_at).ok_or_else(|| self.corrupt("a time that is none"))
    }

    fn corrupt(&self, what: &str) -> Fault {
        Fault::Corrupt { detail: format!("quote {} has {what}", self.id) }
    }
}

pub(super) fn quote_key(id: QuoteId) -> String {
    format!("{QUOTES}{:019}", id.number())
}

/// Which quote a request with a key made.
#[derive(Serialize, Deserialize)]
struct Made {
    quote: u64,
    fingerprint: String,
}

impl Exchanges {
    /// Promises an exchange for a short while. With a key, the same request gets the same quote again, for as long as it is
    /// kept.
    ///
    /// # Errors
    /// `Forbidden` for an auditor; `Refused` without a rate that is good (`rate_unknown`, `rate_stale`) or for what is too
    /// much or comes to nothing (`amount_invalid`); `Malformed` for one currency only or a key of another request; a fault
    /// of the records.
    pub async fn quote(
        &self,
        caller: &Caller,
        key: Option<ClientKey<'_>>,
        asked: &QuoteAsked,
    ) -> Result<Quote, BankError> {
        allow(caller, Role::Teller)?;
        let record = key.map(|key| (self.key_record(caller, key), format!("{:032x}", key.fingerprint)));
        loop {
            if let Some((record, fingerprint)) = &record
                && let Some(made) = read::<Made>(&*self.records, record).await?
            {
                return self.made_before(&made, fingerprint).await;
            }
            let asked_under = record.as_ref().map(|(record, _)| record.clone());
            let quote = Quote { asked_under, ..self.priced(caller, asked).await? };
            let id = quote_id(quote.id)?;
            let mut changes = vec![RecordChange::put(quote_key(id), &quote)?.expecting(Expected::Absent)];
            if let Some((record, fingerprint)) = &record {
                let made = Made { quote: quote.id, fingerprint: fingerprint.clone() };
                changes.push(RecordChange::put(record.as_str(), &made)?.expecting(Expected::Absent));
            }
            changes.extend(self.forgotten().await?);
            if self.records.change(changes).await? {
                return Ok(quote);
            }
        }
    }

    fn key_record(&self, caller: &Caller, key: ClientKey<'_>) -> String {
        format!("{KEYS}{:032x}", self.bank.key_of(caller, key.text))
    }

    async fn made_before(&self, made: &Made, fingerprint: &str) -> Result<Quote, BankError> {
        if made.fingerprint != fingerprint {
            let detail =
                "this idempotency key was used for something else; take a new one for something new".to_owned();
            return Err(refused("idempotency_key_reused", detail));
        }
        let id = quote_id(made.quote)?;
        let gone = || refused("quote_not_found", format!("quote {id} ended long ago; ask for a new one"));
        self.quote_of(id).await?.ok_or_else(gone)
    }

    /// A quote; `None` if there is none, or it ended long ago.
    ///
    /// # Errors
    /// A fault of the records.
    pub async fn quote_of(&self, id: QuoteId) -> Result<Option<Quote>, Fault> {
        read(&*self.records, &quote_key(id)).await
    }

    async fn priced(&self, caller: &Caller, asked: &QuoteAsked) -> Result<Quote, BankError> {
        let QuoteAsked { sell, buy, fixed } = *asked;
        if sell == buy {
            let detail = "`sell` and `buy` are the same currency; such a transfer needs no quote".to_owned();
            return Err(BankError::Malformed { code: "malformed", detail });
        }
        let price = self.price(sell, buy).await?;
        let too_much =
            || refused("amount_invalid", "what it comes to has more than 18 digits; exchange less".to_owned());
        let sold = match fixed {
            Fixed::Sell(amount) => amount,
            Fixed::Buy(amount) => price.rate.cost(amount, sell, buy).ok_or_else(too_much)?,
        };
        let (most, below) = price.rate.convert(sold, sell, buy).ok_or_else(too_much)?;
        let (worth, rest) = price.mid.convert(sold, sell, buy).ok_or_else(too_much)?;
        let bought = match fixed {
            Fixed::Sell(_) => most,
            Fixed::Buy(amount) => amount.minor_units(),
        };
        if bought == 0 {
            let least = Decimal { minor_units: 1, scale: buy.scale() };
            let detail = format!("it comes to less than {least} {buy}, which is the least there is; exchange more");
            return Err(refused("amount_invalid", detail));
        }
        let (Some(over), Some(result)) = (most.checked_sub(bought), worth.checked_sub(bought)) else {
            return Err(
                Fault::Corrupt { detail: format!("the rates from {sell} to {buy} contradict each other") }.into()
            );
        };
        let rounding = Rest::plus(below, over, buy).ok_or_else(too_much)?;
        let now = self.bank.now().microseconds();
        Ok(Quote {
            id: self.fresh_id(),
            sell: sell.to_string(),
            buy: buy.to_string(),
            sold: sold.minor_units(),
            bought,
            buy_is_fixed: matches!(fixed, Fixed::Buy(_)),
            rate: price.rate,
            mid: price.mid,
            spread_bps: price.spread_bps,
            result,
            rounding: rounding.to_string(),
            rest: rest.to_string(),
            source: price.source,
            rate_as_of: price.as_of,
            given_by: caller.principal.to_string(),
            created_at: now,
            expires_at: now + self.settings.quote_s * 1_000_000,
            used: None,
            asked_under: None,
        })
    }

    /// Milliseconds of the clock, so that ids are in the order of time, and 20 bits that nobody can guess.
    fn fresh_id(&self) -> u64 {
        let mut random = [0; 4];
        self.bank.env().fill(&mut random);
        let low = u64::from(u32::from_le_bytes(random)) & 0xf_ffff;
        (((self.bank.now().microseconds() / 1000) << 20) & (u64::MAX >> 1)) | low
    }

    /// Removes some quotes that ended long ago.
    async fn forgotten(&self) -> Result<Vec<RecordChange>, Fault> {
        let now = self.bank.now().microseconds();
        let oldest = self.records.list(QUOTES, None, REMOVED_AT_ONCE).await?;
        let mut changes = Vec::new();
        for (key, value) in oldest {
            let quote: Quote = parsed(&key, &value)?;
            if quote.expires_at.saturating_add(KEPT_US) < now {
                changes.push(RecordChange::remove(key));
                changes.extend(quote.asked_under.map(RecordChange::remove));
            }
        }
        Ok(changes)
    }
}

fn quote_id(number: u64) -> Result<QuoteId, Fault> {
    QuoteId::new(number).ok_or_else(|| Fault::Corrupt { detail: "a quote has the id 0".to_owned() })
}
