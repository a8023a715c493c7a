//! Makes an exchange by a quote: one transfer with a leg for what is sold, one for what is bought, and one for what the bank
//! keeps.
//!
//! A quote is used once. Before an exchange is submitted, the quote's record is marked with the request's key; who finds
//! it marked with another key is refused, unless that key came to nothing for good. Then the rule book decides, with the
//! quote's end before it: so a request that was sent again after the end gets the answer it would have had, and if it never
//! was decided, that the quote is no longer good.

use super::Exchanges;
use super::quote::{Quote, Use, quote_key};
use crate::Caller;
use crate::error::BankError;
use crate::ports::{Expected, RecordChange};
use crate::records::parsed;
use crate::submit::ClientKey;
use ledger::account::{SystemAccount, SystemKind};
use ledger::amount::Amount;
use ledger::command::{Command, Exchange};
use ledger::currency::Currency;
use ledger::event::{Entry, Event, Key, Outcome};
use ledger::ids::{AccountId, HoldId, QuoteId};
use ledger::rejection::Rejection;
use ledger::time::Timestamp;
use ledger::transfer::{Leg, LegAmount, Legs, Note, Transfer, TransferKind};
use store::query::TransferStatus;
use store::{Answer, Fault};

/// Whether metadata under this key is the bank's own to write.
pub fn is_reserved(key: &str) -> bool {
    key.starts_with("florin.")
}

/// Where the money comes from that is sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sold {
    /// An account.
    From(AccountId),
    /// A hold, and whether what is left of it is released.
    Captured(HoldId, bool),
}

/// See [`Exchanges::exchange`].
#[derive(Clone, Debug)]
pub struct ExchangeAsked {
    /// By which quote.
    pub quote: QuoteId,
    /// Where from.
    pub sold: Sold,
    /// Where to.
    pub to: AccountId,
    /// What the quote must be for, if the client said so: how much is sold, and of which currency.
    pub amount: Option<Amount>,
    /// See `amount`.
    pub currency: Option<Currency>,
    /// The value date; `None` means the booking time.
    pub effective_at: Option<Timestamp>,
    /// Reference and metadata, if any.
    pub note: Option<Box<Note>>,
}

impl Exchanges {
    /// Exchanges money, once for each quote.
    ///
    /// # Errors
    /// As [`Bank::submit`](crate::Bank::submit), and a fault of the records. That there is no such quote, that it is for
    /// something else, was used, or is no longer good, are rejections.
    pub async fn exchange(
        &self,
        caller: &Caller,
        key: Option<ClientKey<'_>>,
        asked: &ExchangeAsked,
        dry_run: bool,
    ) -> Result<Answer, BankError> {
        let from = match asked.sold {
            Sold::From(account) => account,
            // Without such a hold the rule book says so, whatever the account.
            Sold::Captured(hold, _) => self.bank.hold(hold).await?.map_or(asked.to, |hold| hold.from),
        };
        let Some(quote) = self.quote_of(asked.quote).await? else {
            let nothing = self.nothing(asked, from);
            return self.bank.refuse(caller, key, &nothing, Rejection::QuoteNotFound(asked.quote), dry_run).await;
        };
        let command = self.command(asked, &quote, from)?;
        if !fits(asked, &quote)? {
            return self.bank.refuse(caller, key, &command, Rejection::QuoteMismatch(asked.quote), dry_run).await;
        }
        let key_digest = self.bank.key_digest(caller, key, &command).await?;
        if !self.take(caller, asked.quote, key_digest.filter(|_| !dry_run), dry_run).await? {
            return self.bank.refuse(caller, key, &command, Rejection::QuoteUsed(asked.quote), dry_run).await;
        }
        self.bank.submit(caller, key, command, dry_run).await
    }

    /// Marks the quote with the key, unless another one has it for good.
    async fn take(&self, caller: &Caller, id: QuoteId, key: Option<Key>, dry_run: bool) -> Result<bool, Fault> {
        let record = quote_key(id);
        loop {
            let Some(stored) = self.records.get(&record).await? else { return Ok(false) };
            let quote: Quote = parsed(&record, &stored)?;
            let Some(key) = key else {
                // A dry run only looks; what has no key is never remembered, so it cannot be told apart from another.
                return Ok(dry_run && quote.used.is_none());
            };
            let (digest, fingerprint) = (format!("{:032x}", key.digest), format!("{:032x}", key.fingerprint));
            match &quote.used {
                Some(used) if used.key == digest && used.fingerprint == fingerprint => return Ok(true),
                Some(used) if !self.came_to_nothing(used).await? => return Ok(false),
                Some(_) | None => {}
            }
            let at = self.bank.now().microseconds();
            let used = Some(Use { key: digest, fingerprint, by: caller.principal.to_string(), at });
            let change = RecordChange::put(record.as_str(), &Quote { used, ..quote })?;
            if self.records.change(vec![change.expecting(Expected::Exactly(stored))]).await? {
                return Ok(true);
            }
        }
    }

    /// Whether the request that used the quote was rejected, or failed on its way, so that it never will take effect.
    async fn came_to_nothing(&self, used: &Use) -> Result<bool, Fault> {
        let corrupt = |_| Fault::Corrupt { detail: format!("a quote was used by {}, which is no key", used.key) };
        let digest = u128::from_str_radix(&used.key, 16).map_err(corrupt)?;
        let fingerprint = u128::from_str_radix(&used.fingerprint, 16).map_err(corrupt)?;
        let Some(entry) = self.bank.entry_of_key(digest).await? else { return Ok(false) };
        let is_same = entry.header.key.is_some_and(|key| key.fingerprint == fingerprint);
        Ok(!is_same || self.has_failed(&entry).await?)
    }

    async fn has_failed(&self, entry: &Entry) -> Result<bool, Fault> {
        match &entry.outcome {
            Outcome::Rejection { .. } => Ok(true),
            Outcome::Event(Event::Saga(step)) => {
                let view = self.bank.transfer(step.saga).await?;
                Ok(view.is_some_and(|details| matches!(details.view.status(), TransferStatus::Failed(_))))
            }
            Outcome::Event(_) => Ok(false),
        }
    }

    /// What the rule book is asked.
    fn command(&self, asked: &ExchangeAsked, quote: &Quote, from: AccountId) -> Result<Command, Fault> {
        let ((sold, sell), (bought, buy), (result, _)) = (quote.sold()?, quote.bought()?, quote.result()?);
        let own = |customers, kind, currency| {
            SystemAccount::standard(self.bank.shard_of_account(customers), kind, currency).id()
        };
        let position = own(asked.to, SystemKind::FxPosition, buy);
        let leg = |from, to, amount| Leg { from, to, amount: LegAmount::Exactly(amount) };
        let mut legs = vec![leg(from, own(from, SystemKind::FxPosition, sell), sold), leg(position, asked.to, bought)];
        if !result.is_zero() {
            legs.push(leg(position, own(asked.to, SystemKind::FxResult, buy), result));
        }
        Ok(self.exchange_of(asked, sell, legs, quote.expires_at()?, Some(note(asked, quote)?)))
    }

    /// A command that only tells whose key it is.
    fn nothing(&self, asked: &ExchangeAsked, from: AccountId) -> Command {
        let currency = Currency::all().next().expect("there are currencies");
        let leg = Leg { from, to: asked.to, amount: LegAmount::Exactly(Amount::ZERO) };
        self.exchange_of(asked, currency, vec![leg], Timestamp::ZERO, None)
    }

    fn exchange_of(
        &self,
        asked: &ExchangeAsked,
        currency: Currency,
        legs: Vec<Leg>,
        expires_at: Timestamp,
        note: Option<Box<Note>>,
    ) -> Command {
        let (kind, captures) = match asked.sold {
            Sold::From(_) => (TransferKind::Exchange, None),
            Sold::Captured(hold, is_final) => (TransferKind::Capture, Some((hold, is_final))),
        };
        let legs = Legs::Many(legs.into());
        let transfer = Transfer { kind, currency, legs, forced: false, effective_at: asked.effective_at, note };
        Command::Exchange(Box::new(Exchange { transfer, quote: asked.quote, expires_at, captures }))
    }
}

/// Whether a quote is for what the client said.
fn fits(asked: &ExchangeAsked, quote: &Quote) -> Result<bool, Fault> {
    let (sold, sell) = quote.sold()?;
    Ok(asked.amount.is_none_or(|amount| amount == sold) && asked.currency.is_none_or(|currency| currency == sell))
}

/// What the client said of it, and by what it was exchanged: the journal alone tells all of an exchange.
fn note(asked: &ExchangeAsked, quote: &Quote) -> Result<Box<Note>, Fault> {
    let money = |(amount, currency): (Amount, Currency)| format!("{} {currency}", amount.decimal(currency.scale()));
    let as_of = Timestamp::from_microseconds(quote.rate_as_of).unwrap_or(Timestamp::ZERO);
    let mut note = asked.note.as_deref().cloned().unwrap_or_default();
    let more = [
        ("florin.fx.bought", money(quote.bought()?)),
        ("florin.fx.given_by", quote.given_by.clone()),
        ("florin.fx.mid", quote.mid.to_string()),
        ("florin.fx.quote", quote.id.to_string()),
        ("florin.fx.rate", quote.rate.to_string()),
        ("florin.fx.rest", format!("{} {}", quote.rest, quote.buy)),
        ("florin.fx.result", money(quote.result()?)),
        ("florin.fx.rounding", format!("{} {}", quote.rounding, quote.buy)),
        ("florin.fx.sold", money(quote.sold()?)),
        ("florin.fx.source", format!("{}, {as_of}", quote.source)),
        ("florin.fx.spread_bps", quote.spread_bps.to_string()),
    ];
    let mut metadata = note.metadata.into_vec();
    metadata.extend(more.into_iter().map(|(key, value)| (key.into(), value.into())));
    metadata.sort_unstable();
    note.metadata = metadata.into();
    Ok(Box::new(note))
}
