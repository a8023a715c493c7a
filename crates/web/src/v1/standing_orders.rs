//! Standing orders and scheduled transfers of an account.

use crate::App;
use crate::answer::{Reply, serialised};
use crate::call::{Ask, Read};
use crate::input::{Problems, amount, amount_text, currency, day, document, fields, id, short_string, word};
use crate::json::{Kind, Value};
use crate::problem::{Code, Problem};
use crate::schema;
use crate::schema::jobs as shapes;
use crate::v1::accounts::find;
use crate::v1::products::money;
use bank::holidays::HolidayRule;
use bank::standing_order::rhythm::{NoRhythm, Rhythm};
use bank::standing_order::{Occurrence, Order, Outcome, Payee, REFERENCE_BYTES_MAX, StandingOrders, Terms};
use ledger::ids::AccountId;

/// Longest id of an order.
const ID_BYTES_MAX: usize = 64;
/// Longest rhythm as it is written.
const RHYTHM_BYTES_MAX: usize = 40;

/// Sets up a standing order, or a transfer on a later day.
#[utoipa::path(post, path = "/api/v1/accounts/{account_id}/standing-orders", tag = "standing orders",
    params(("account_id" = schema::Id, Path, description = "The account that pays.")),
    request_body = shapes::NewStandingOrder,
    responses((status = 201, description = "The order.", body = shapes::StandingOrder), schema::Errors))]
pub(crate) async fn create(call: Ask) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let from: Option<AccountId> = call.path_id("account_id", &mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    let names = [
        "standing_order_id",
        "to",
        "amount",
        "currency",
        "reference",
        "rhythm",
        "until",
        "holidays",
        "retries",
        "retry_days",
    ];
    let [order, to, amount_value, currency_value, reference, rhythm, until, holidays, retries, retry_days] =
        fields(document.root(), names, &mut problems);
    problems.required("standing_order_id", order);
    let order = short_string("standing_order_id", order, ID_BYTES_MAX, &mut problems);
    if order.as_deref().is_some_and(|order| !is_name(order)) {
        problems.note(Problem::malformed("`standing_order_id` has 1 to 64 letters, digits, - and _"));
    }
    let to = id::<AccountId>("to", to, &mut problems).map_or(Payee::Outside, Payee::Account);
    let currency = currency(currency_value, &mut problems);
    problems.required("amount", amount_value);
    let amount = amount_text("amount", amount_value, &mut problems)
        .and_then(|text| amount("amount", &text, currency, &mut problems));
    let reference = short_string("reference", reference, REFERENCE_BYTES_MAX, &mut problems).map(|text| text.into());
    problems.required("rhythm", rhythm);
    let rhythm = short_string("rhythm", rhythm, RHYTHM_BYTES_MAX, &mut problems);
    let malformed = |error: NoRhythm| Problem::malformed(format!("`rhythm`: {error}"));
    let rhythm = rhythm.and_then(|text| problems.keep(text.parse::<Rhythm>().map_err(malformed)));
    let until = day("until", until, &mut problems);
    let holidays = word("holidays", holidays, &HolidayRule::ALL, &mut problems).unwrap_or_default();
    let retries = small("retries", retries, &mut problems).unwrap_or(0);
    let retry_days = small("retry_days", retry_days, &mut problems).unwrap_or(1);
    let (Some(from), Some(order), Some(amount), Some(currency), Some(rhythm)) = (from, order, amount, currency, rhythm)
    else {
        return Err(problems.into_problem());
    };
    problems.check()?;
    let account = find(&call.app, from).await?;
    let terms = Terms { from, to, amount, currency, reference, rhythm, until, holidays, retries, retry_days };
    let made = orders(&call.app)?.create(&call.caller, &order, &account, terms).await?;
    serialised(201, &shown(&made))
}

/// The standing orders of an account, by id.
#[utoipa::path(get, path = "/api/v1/accounts/{account_id}/standing-orders", tag = "standing orders",
    params(("account_id" = schema::Id, Path, description = "The account that pays.")),
    responses((status = 200, description = "The orders.", body = shapes::StandingOrders), schema::Errors))]
pub(crate) async fn list(call: Read) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let account: Option<AccountId> = call.path_id("account_id", &mut problems);
    let Some(account) = account else { return Err(problems.into_problem()) };
    problems.check()?;
    find(&call.app, account).await?;
    let found = orders(&call.app)?.orders_of(account).await?;
    serialised(200, &shapes::StandingOrders { items: found.iter().map(shown).collect() })
}

/// A standing order.
#[utoipa::path(get, path = "/api/v1/standing-orders/{standing_order_id}", tag = "standing orders",
    params(("standing_order_id" = String, Path, description = "The order.")),
    responses((status = 200, description = "The order.", body = shapes::StandingOrder), schema::Errors))]
pub(crate) async fn read(call: Read) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    problems.check()?;
    let id = known_name(call.path_value("standing_order_id"))?;
    let order = orders(&call.app)?.order(id).await?.ok_or_else(unknown)?;
    serialised(200, &shown(&order))
}

/// Ends a standing order. What was done stays.
#[utoipa::path(post, path = "/api/v1/standing-orders/{standing_order_id}/cancel", tag = "standing orders",
    params(("standing_order_id" = String, Path, description = "The order.")),
    responses((status = 200, description = "The order.", body = shapes::StandingOrder), schema::Errors))]
pub(crate) async fn cancel(call: Read) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    problems.check()?;
    let id = known_name(call.path_value("standing_order_id"))?;
    let order = orders(&call.app)?.cancel(&call.caller, id).await?.ok_or_else(unknown)?;
    serialised(200, &shown(&order))
}

/// What became of the occurrences of a standing order.
#[utoipa::path(get, path = "/api/v1/standing-orders/{standing_order_id}/occurrences", tag = "standing orders",
    params(("standing_order_id" = String, Path, description = "The order.")),
    responses((status = 200, description = "The occurrences.", body = shapes::Occurrences), schema::Errors))]
pub(crate) async fn occurrences(call: Read) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    problems.check()?;
    let id = known_name(call.path_value("standing_order_id"))?;
    let orders = orders(&call.app)?;
    orders.order(id).await?.ok_or_else(unknown)?;
    let found = orders.occurrences(id).await?;
    serialised(200, &shapes::Occurrences { items: found.iter().map(told).collect() })
}

fn orders(app: &App) -> Result<&StandingOrders, Problem> {
    let orders = app.settings().standing_orders.as_ref();
    orders.ok_or_else(|| Problem::new(Code::NotAvailableYet, "this server has no standing orders"))
}

fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_plain)
}

fn known_name(text: &str) -> Result<&str, Problem> {
    if is_name(text) { Ok(text) } else { Err(unknown()) }
}

fn unknown() -> Problem {
    Problem::new(Code::NotFound, "there is no such standing order")
}

fn small(name: &str, value: Option<Value<'_>>, problems: &mut Problems) -> Option<u8> {
    let value = value?;
    let number = value.text().parse::<u8>().ok().filter(|number| value.kind() == Kind::Number && *number <= 30);
    problems.keep(number.ok_or_else(|| Problem::malformed(format!("`{name}` must be a whole number up to 30"))))
}

fn shown(order: &Order) -> shapes::StandingOrder {
    let terms = &order.terms;
    shapes::StandingOrder {
        standing_order_id: order.id.to_string(),
        from: terms.from.to_string(),
        to: match terms.to {
            Payee::Account(account) => Some(account.to_string()),
            Payee::Outside => None,
        },
        amount: money(terms.amount.signed(), terms.currency),
        currency: terms.currency.code().to_owned(),
        reference: terms.reference.as_deref().map(str::to_owned),
        rhythm: terms.rhythm.to_string(),
        until: terms.until.map(|day| day.to_string()),
        holidays: terms.holidays.name().to_owned(),
        retries: terms.retries,
        retry_days: terms.retry_days,
        status: order.status.name().to_owned(),
        next: order.next.map(|next| shapes::NextTry {
            due: next.due.to_string(),
            attempt: next.attempt,
            on: next.on.to_string(),
        }),
    }
}

fn told(occurrence: &Occurrence) -> shapes::Occurrence {
    let (outcome, code, retry_on) = match &occurrence.outcome {
        Outcome::Done => ("done", None, None),
        Outcome::Retry(code, on) => ("retry", Some(code.to_string()), Some(on.to_string())),
        Outcome::Refused(code) => ("refused", Some(code.to_string()), None),
    };
    shapes::Occurrence {
        due: occurrence.due.to_string(),
        attempt: occurrence.attempt,
        outcome: outcome.to_owned(),
        code,
        retry_on,
        transfer_id: occurrence.transfer.map(|id| id.to_string()),
    }
}
