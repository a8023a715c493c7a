//! Quotes, and the exchanges that are made by them.

use super::rates::{exchanges, instant};
use super::transfers::transferred;
use crate::answer::{Reply, fingerprint, serialised};
use crate::call::{Ask, Read};
use crate::input::{Problems, amount, amount_text, currency_in, document, fields, note, required_id, time};
use crate::json::Value;
use crate::problem::{Code, Problem};
use crate::schema;
use crate::schema::answers;
use bank::exchange::{ExchangeAsked, Fixed, Quote, QuoteAsked, Sold};
use bank::submit::ClientKey;
use ledger::amount::Amount;
use ledger::currency::Currency;
use ledger::ids::QuoteId;
use store::Fault;

/// Promises an exchange for a short while: so much of one currency for so much of another.
#[utoipa::path(post, path = "/api/v1/quotes", tag = "currencies", params(schema::parameters::OptionalIdempotencyKey),
    request_body = schema::requests::NewQuote,
    responses((status = 201, description = "The quote.", body = schema::answers::Quote), schema::Errors))]
pub(crate) async fn create(call: Ask) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let key = call.key(&mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    let names = ["sell", "buy", "sell_amount", "buy_amount"];
    let [sell, buy, sell_amount, buy_amount] = fields(document.root(), names, &mut problems);
    problems.required("sell", sell);
    problems.required("buy", buy);
    let (sell, buy) = (currency_in("sell", sell, &mut problems), currency_in("buy", buy, &mut problems));
    if sell_amount.is_some() == buy_amount.is_some() {
        problems.note(Problem::malformed("a quote is for either `sell_amount` or `buy_amount`"));
    }
    let fixed = match (sell_amount, buy_amount) {
        (Some(_), _) => amount_in("sell_amount", sell_amount, sell, &mut problems).map(Fixed::Sell),
        (None, _) => amount_in("buy_amount", buy_amount, buy, &mut problems).map(Fixed::Buy),
    };
    let (Some(sell), Some(buy), Some(fixed)) = (sell, buy, fixed) else { return Err(problems.into_problem()) };
    problems.check()?;
    let fingerprint = fingerprint(&call.app, "POST /quotes", &[], document.root());
    let key = key.as_deref().map(|text| ClientKey { text, fingerprint });
    let quote = exchanges(&call.app)?.quote(&call.caller, key, &QuoteAsked { sell, buy, fixed }).await?;
    serialised(201, &shown(&quote)?)
}

fn amount_in(
    name: &str,
    value: Option<Value<'_>>,
    currency: Option<Currency>,
    problems: &mut Problems,
) -> Option<Amount> {
    let text = amount_text(name, value, problems)?;
    amount(name, &text, currency, problems)
}

/// A quote as it is now.
#[utoipa::path(get, path = "/api/v1/quotes/{quote_id}", tag = "currencies",
    params(("quote_id" = schema::Id, Path, description = "The quote.")),
    responses((status = 200, description = "The quote.", body = schema::answers::Quote), schema::Errors))]
pub(crate) async fn read(call: Read) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let id: Option<QuoteId> = call.path_id("quote_id", &mut problems);
    let Some(id) = id else { return Err(problems.into_problem()) };
    problems.check()?;
    let quote = exchanges(&call.app)?.quote_of(id).await?;
    let quote = quote.ok_or_else(|| Problem::not_found(Code::QuoteNotFound, "quote_id", id.number()))?;
    serialised(200, &shown(&quote)?)
}

fn shown(quote: &Quote) -> Result<answers::Quote, Fault> {
    let text = |(amount, currency): (Amount, Currency)| amount.decimal(currency.scale()).to_string();
    Ok(answers::Quote {
        quote_id: quote.id.to_string(),
        sell: quote.sell.clone(),
        sell_amount: text(quote.sold()?),
        buy: quote.buy.clone(),
        buy_amount: text(quote.bought()?),
        fixed: if quote.buy_is_fixed { "buy_amount" } else { "sell_amount" }.to_owned(),
        rate: quote.rate.to_string(),
        mid: quote.mid.to_string(),
        spread_bps: quote.spread_bps,
        result: text(quote.result()?),
        rounding: quote.rounding.clone(),
        rest: quote.rest.clone(),
        source: quote.source.clone(),
        as_of: instant(quote.rate_as_of),
        given_by: quote.given_by.clone(),
        created_at: instant(quote.created_at),
        expires_at: instant(quote.expires_at),
        used: quote.used.is_some(),
    })
}

/// Makes an exchange: a transfer whose body has the type `exchange`.
pub(crate) async fn exchange(
    call: &Ask,
    root: Value<'_>,
    key: Option<String>,
    dry_run: bool,
    mut problems: Problems,
) -> Reply {
    let names = ["type", "from", "to", "quote_id", "amount", "currency", "reference", "effective_at", "metadata"];
    let [_, from, to, quote, amount_value, currency, reference, effective_at, metadata] =
        fields(root, names, &mut problems);
    let from = required_id("from", from, &mut problems);
    let to = required_id("to", to, &mut problems);
    let quote = required_id("quote_id", quote, &mut problems);
    let currency = currency_in("currency", currency, &mut problems);
    if amount_value.is_some() && currency.is_none() {
        problems.note(Problem::malformed("`amount` needs `currency`; leave out both, or name what the quote is for"));
    }
    let amount = amount_in("amount", amount_value, currency, &mut problems);
    let effective_at = time("effective_at", effective_at, &mut problems);
    let note = note(reference, metadata, &mut problems);
    let (Some(from), Some(to), Some(quote)) = (from, to, quote) else { return Err(problems.into_problem()) };
    problems.check()?;
    let asked = ExchangeAsked { quote, sold: Sold::From(from), to, amount, currency, effective_at, note };
    let fingerprint = fingerprint(&call.app, "POST /transfers", &[], root);
    let key = key.as_deref().map(|text| ClientKey { text, fingerprint });
    let answer = exchanges(&call.app)?.exchange(&call.caller, key, &asked, dry_run).await?;
    Ok(transferred(&answer))
}
