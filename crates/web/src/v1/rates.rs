//! Rates: what one currency is worth in another.

use crate::App;
use crate::answer::{Reply, serialised};
use crate::call::{Ask, LIMIT_DEFAULT, Read};
use crate::input::{Problems, amount_text, currency_in, document, fields, short_string, time};
use crate::json::{Kind, Value};
use crate::problem::{Code, Problem};
use crate::schema;
use crate::schema::answers;
use bank::exchange::rate::Rate;
use bank::exchange::{Exchanges, NewRate, RateQuery, RateRecord};
use ledger::currency::Currency;
use ledger::time::Timestamp;

/// Longest name of where rates come from, in bytes.
const SOURCE_BYTES_MAX: usize = 100;

/// Exchanges, where this server makes any.
pub(crate) fn exchanges(app: &App) -> Result<&Exchanges, Problem> {
    let exchanges = app.settings().exchanges.as_ref();
    exchanges.ok_or_else(|| Problem::new(Code::NotAvailableYet, "this server exchanges no currencies"))
}

/// Sets rates, all or none. One that is older than the known one of its pair, or the same, changes nothing.
#[utoipa::path(post, path = "/api/v1/rates", tag = "currencies", request_body = schema::requests::NewRates,
    responses((status = 200, description = "The rates of these pairs as they are now.", body = schema::answers::Rates), schema::Errors))]
pub(crate) async fn create(call: Ask) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    let [rates, source] = fields(document.root(), ["rates", "source"], &mut problems);
    problems.required("rates", rates);
    let source = short_string("source", source, SOURCE_BYTES_MAX, &mut problems);
    if rates.is_some_and(|rates| rates.kind() != Kind::Array) {
        problems.note(Problem::malformed("`rates` must be a list"));
    }
    let items = rates.into_iter().flat_map(Value::items);
    let rates: Vec<NewRate> = items.filter_map(|item| new_rate(item, &mut problems)).collect();
    problems.check()?;
    let exchanges = exchanges(&call.app)?;
    let known = exchanges.set_rates(&call.caller, &rates, source.as_deref().unwrap_or("api")).await?;
    serialised(
        200,
        &answers::Rates { items: known.iter().map(|rate| shown(exchanges, rate)).collect(), next_cursor: None },
    )
}

fn new_rate(item: Value<'_>, problems: &mut Problems) -> Option<NewRate> {
    let names = ["base", "quote", "mid", "bid", "ask", "spread_bps", "as_of"];
    let [base, quote, mid, bid, ask, spread, as_of] = fields(item, names, problems);
    problems.required("base", base);
    problems.required("quote", quote);
    let (base, quote) = (currency_in("base", base, problems), currency_in("quote", quote, problems));
    let [mid, bid, ask] = [("mid", mid), ("bid", bid), ("ask", ask)].map(|(name, value)| rate(name, value, problems));
    let spread_bps = spread.and_then(|value| basis_points(value, problems));
    let as_of = time("as_of", as_of, problems);
    let (bid, ask) = match (mid, bid, ask) {
        (Some(mid), None, None) => (mid, mid),
        (None, Some(bid), Some(ask)) => (bid, ask),
        _ => {
            problems.note(Problem::malformed("a rate has either `mid`, or `bid` and `ask`"));
            return None;
        }
    };
    Some(NewRate { base: base?, quote: quote?, bid, ask, spread_bps, as_of })
}

fn rate(name: &str, value: Option<Value<'_>>, problems: &mut Problems) -> Option<Rate> {
    let text = amount_text(name, value, problems)?;
    problems.keep(text.parse().map_err(|error| Problem::malformed(format!("`{name}`: {error}"))))
}

fn basis_points(value: Value<'_>, problems: &mut Problems) -> Option<u16> {
    let read = if value.kind() == Kind::Number { value.text().parse().ok() } else { None };
    problems.keep(read.ok_or_else(|| Problem::malformed("`spread_bps` must be a whole number of basis points")))
}

/// The latest rate of every pair; with `base` and `quote` all that this pair ever had, newest first.
#[utoipa::path(get, path = "/api/v1/rates", tag = "currencies",
    params(schema::parameters::Page, schema::parameters::RateFilter),
    responses((status = 200, description = "A page of rates.", body = schema::answers::Rates), schema::Errors))]
pub(crate) async fn list(call: Read) -> Reply {
    let mut problems = Problems::none();
    let parameters = call.parameters(&["limit", "cursor", "base", "quote"], &mut problems);
    let [base, quote] = ["base", "quote"].map(|name| {
        let text = parameters.get(name)?;
        let unknown = |_| Problem::new(Code::CurrencyUnknown, format!("`{name}` is no code of ISO 4217 such as EUR"));
        problems.keep(text.parse::<Currency>().map_err(unknown))
    });
    if parameters.get("base").is_some() != parameters.get("quote").is_some() {
        problems.note(Problem::malformed("`base` and `quote` belong together; name both or none"));
    }
    let asked = call.page(&parameters, LIMIT_DEFAULT, &mut problems);
    problems.check()?;
    let query = RateQuery { history_of: base.zip(quote), after: asked.before(), limit: asked.limit };
    let exchanges = exchanges(&call.app)?;
    let (rates, next) = exchanges.rates(&query).await?;
    let items = rates.iter().map(|rate| shown(exchanges, rate)).collect();
    serialised(200, &answers::Rates { items, next_cursor: asked.next_before(next) })
}

fn shown(exchanges: &Exchanges, rate: &RateRecord) -> answers::Rate {
    answers::Rate {
        base: rate.base.clone(),
        quote: rate.quote.clone(),
        bid: rate.bid.to_string(),
        ask: rate.ask.to_string(),
        spread_bps: rate.spread_bps,
        as_of: instant(rate.as_of),
        source: rate.source.clone(),
        set_by: rate.set_by.clone(),
        set_at: instant(rate.set_at),
        is_stale: exchanges.is_stale(rate.as_of),
    }
}

/// A time of a record.
pub(crate) fn instant(microseconds: u64) -> String {
    Timestamp::from_microseconds(microseconds).unwrap_or(Timestamp::MAX).to_string()
}
