//! Fees: what a transfer costs, by the name of a schedule.

use super::rates::instant;
use crate::App;
use crate::answer::{Reply, serialised};
use crate::call::{Ask, Read};
use crate::input::{Problems, amount_or_zero, amount_text, currency, document, fields, string, word};
use crate::json::{Kind, Value};
use crate::problem::{Code, Problem};
use crate::schema;
use crate::schema::answers;
use bank::fee::{Fees, PaidBy, Schedule, Tier};
use ledger::amount::Decimal;
use ledger::currency::Currency;

/// Most tiers of a schedule, and most schedules that are listed.
const TIERS_MAX: usize = 100;
const LISTED_MAX: usize = 1000;

/// Fees, where this server keeps any.
pub(crate) fn fees(app: &App) -> Result<&Fees, Problem> {
    let fees = app.settings().fees.as_ref();
    fees.ok_or_else(|| Problem::new(Code::NotAvailableYet, "this server keeps no fees"))
}

/// Sets what a fee is from now on. The same again changes nothing.
#[utoipa::path(post, path = "/api/v1/fees", tag = "currencies", request_body = schema::requests::NewFee,
    responses((status = 200, description = "The fee as it is now.", body = schema::answers::Fee), schema::Errors))]
pub(crate) async fn create(call: Ask) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    let names = ["name", "currency", "flat", "percent", "tiers", "minimum", "maximum", "paid_by"];
    let [name, currency_value, flat, percent, tiers, minimum, maximum, paid_by] =
        fields(document.root(), names, &mut problems);
    problems.required("name", name);
    let name = string("name", name, &mut problems).map(String::from);
    let currency = currency(currency_value, &mut problems);
    if tiers.is_some() && (flat.is_some() || percent.is_some()) {
        problems.note(Problem::malformed("a fee has either `tiers`, or `flat` and `percent`"));
    }
    let tiers = match tiers {
        Some(list) => tiers_of(list, currency, &mut problems),
        None => vec![Tier {
            from: 0,
            flat: units("flat", flat, currency, &mut problems).unwrap_or(0),
            percent: amount_text("percent", percent, &mut problems).map(String::from),
        }],
    };
    let minimum = units("minimum", minimum, currency, &mut problems).unwrap_or(0);
    let maximum = units("maximum", maximum, currency, &mut problems);
    let payers = [("sender", PaidBy::Sender), ("recipient", PaidBy::Recipient)];
    let paid_by = word("paid_by", paid_by, &payers, &mut problems).unwrap_or_default();
    let (Some(name), Some(currency)) = (name, currency) else { return Err(problems.into_problem()) };
    problems.check()?;
    let asked = Schedule {
        name,
        currency: currency.to_string(),
        version: 0,
        tiers,
        minimum,
        maximum,
        paid_by,
        set_by: String::new(),
        set_at: 0,
    };
    serialised(200, &shown(&fees(&call.app)?.set(&call.caller, &asked).await?))
}

fn tiers_of(list: Value<'_>, currency: Option<Currency>, problems: &mut Problems) -> Vec<Tier> {
    let count = list.items().take(TIERS_MAX + 1).count();
    if list.kind() != Kind::Array || !(1..=TIERS_MAX).contains(&count) {
        problems.note(Problem::malformed(format!("`tiers` must be a list of 1 to {TIERS_MAX} objects")));
        return Vec::new();
    }
    let tier = |item: Value<'_>| {
        let [from, flat, percent] = fields(item, ["from", "flat", "percent"], problems);
        Tier {
            from: units("from", from, currency, problems).unwrap_or(0),
            flat: units("flat", flat, currency, problems).unwrap_or(0),
            percent: amount_text("percent", percent, problems).map(String::from),
        }
    };
    list.items().map(tier).collect()
}

fn units(name: &str, value: Option<Value<'_>>, currency: Option<Currency>, problems: &mut Problems) -> Option<u64> {
    let text = amount_text(name, value, problems)?;
    amount_or_zero(name, &text, currency, problems).map(ledger::amount::Amount::minor_units)
}

/// The fees as they are now, by name and currency.
#[utoipa::path(get, path = "/api/v1/fees", tag = "currencies",
    responses((status = 200, description = "The fees.", body = schema::answers::Fees), schema::Errors))]
pub(crate) async fn list(call: Read) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    problems.check()?;
    let found = fees(&call.app)?.list(LISTED_MAX).await?;
    serialised(200, &answers::Fees { items: found.iter().map(shown).collect(), next_cursor: None })
}

fn shown(schedule: &Schedule) -> answers::Fee {
    let scale = schedule.currency.parse().map_or(0, Currency::scale);
    let money = |units: u64| Decimal { minor_units: i128::from(units), scale }.to_string();
    let tier = |tier: &Tier| answers::FeeTier {
        from: money(tier.from),
        flat: money(tier.flat),
        percent: tier.percent.clone(),
    };
    answers::Fee {
        name: schedule.name.clone(),
        currency: schedule.currency.clone(),
        version: schedule.version,
        tiers: schedule.tiers.iter().map(tier).collect(),
        minimum: money(schedule.minimum),
        maximum: schedule.maximum.map(money),
        paid_by: if schedule.paid_by == PaidBy::Sender { "sender" } else { "recipient" }.to_owned(),
        set_by: schedule.set_by.clone(),
        set_at: instant(schedule.set_at),
    }
}
