//! The interest of an account: explained, or tried with a product on its past.

use crate::answer::{Reply, serialised};
use crate::call::{Ask, Read};
use crate::input::{Problems, day, document, fields, short_string};
use crate::json::Value;
use crate::month::month_of;
use crate::problem::Problem;
use crate::schema;
use crate::schema::interest as shapes;
use crate::v1::accounts::find;
use crate::v1::products::{money, named, version, ways};
use crate::v1::system;
use bank::interest::course::DayCourse;
use bank::interest::product::{PRODUCT_ID_BYTES_MAX, Product};
use ledger::currency::Currency;
use ledger::ids::AccountId;
use ledger::time::Day;

/// Most days of a simulation: about a hundred years.
const DAYS_MAX: i32 = 36_600;

/// The interest of an account in a month, day by day: what it was worked out from, and what became of it. Days that are
/// not closed show what is known so far.
#[utoipa::path(get, path = "/api/v1/accounts/{account_id}/interest/explain", tag = "interest",
    params(("account_id" = schema::Id, Path, description = "The account."),
        ("month" = String, Query, description = "Such as 2026-11.", pattern = "^(19[7-9][0-9]|[2-9][0-9]{3})-(0[1-9]|1[0-2])$")),
    responses((status = 200, description = "The days.", body = shapes::InterestExplained), schema::Errors))]
pub(crate) async fn explain(call: Read) -> Reply {
    let mut problems = Problems::none();
    let parameters = call.parameters(&["month"], &mut problems);
    let id: Option<AccountId> = call.path_id("account_id", &mut problems);
    let month = problems.required("month", parameters.get("month"));
    let month = month.and_then(|text| problems.keep(month_of(text)));
    let (Some(id), Some(month)) = (id, month) else { return Err(problems.into_problem()) };
    problems.check()?;
    let account = find(&call.app, id).await?;
    let interest = system::interest(&call.app)?;
    let today = interest.calendar().day(call.app.bank().now());
    let last = Day::new(month.day_after().number() - 1).min(today);
    let days = interest.explain(&account, month.first_day(), last).await?;
    let days = days.iter().map(|day| shown(day, account.currency)).collect();
    let currency = account.currency.code().to_owned();
    serialised(200, &shapes::InterestExplained { account_id: id.to_string(), currency, days })
}

/// What an account would have borne, had it had a product from a day to another, both in the past. Nothing is changed.
#[utoipa::path(post, path = "/api/v1/accounts/{account_id}/interest/simulate", tag = "interest",
    params(("account_id" = schema::Id, Path, description = "The account.")), request_body = shapes::Simulation,
    responses((status = 200, description = "What it would have borne.", body = shapes::InterestSimulated), schema::Errors))]
pub(crate) async fn simulate(call: Ask) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let id: Option<AccountId> = call.path_id("account_id", &mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    let names = ["from", "until", "product_id", "product"];
    let [from, until, product_id, idea] = fields(document.root(), names, &mut problems);
    problems.required("from", from);
    problems.required("until", until);
    let (from, until) = (day("from", from, &mut problems), day("until", until, &mut problems));
    let product_id = short_string("product_id", product_id, PRODUCT_ID_BYTES_MAX, &mut problems);
    if product_id.is_some() == idea.is_some() {
        problems.note(Problem::malformed("name either `product_id` or `product`"));
    }
    let (Some(id), Some(from), Some(until)) = (id, from, until) else { return Err(problems.into_problem()) };
    let today = system::interest(&call.app)?.calendar().day(call.app.bank().now());
    if until < from || today < until || DAYS_MAX < until.number() - from.number() {
        let detail = format!("`until` must be from `from` to today, {today}, and at most {DAYS_MAX} days later");
        problems.note(Problem::malformed(detail));
    }
    problems.check()?;
    let account = find(&call.app, id).await?;
    let interest = system::interest(&call.app)?;
    let product = match (product_id, idea) {
        (Some(product_id), _) => named(interest, &product_id).await?,
        (None, Some(idea)) => tried(idea, from, account.currency)?,
        (None, None) => return Err(Problem::malformed("name a product")),
    };
    if product.currency != account.currency {
        let detail = format!("the product is for accounts in {}", product.currency);
        return Err(Problem::new(crate::problem::Code::CurrencyMismatch, detail));
    }
    let (days, postings) = interest.simulate(&account, &product, from, until).await?;
    let currency = account.currency;
    let total: i128 = postings.iter().map(|posting| posting.amount).sum();
    serialised(
        200,
        &shapes::InterestSimulated {
            account_id: id.to_string(),
            currency: currency.code().to_owned(),
            postings: postings
                .iter()
                .map(|posting| shapes::SimulatedPosting {
                    from: posting.period.first.to_string(),
                    until: posting.period.last.to_string(),
                    amount: money(posting.amount, currency),
                })
                .collect(),
            total: money(total, currency),
            days: days.iter().map(|day| shown(day, currency)).collect(),
        },
    )
}

fn tried(value: Value<'_>, from: Day, currency: Currency) -> Result<Product, Problem> {
    let mut problems = Problems::none();
    let names = ["day_count", "posting", "tiering", "minimum_balance", "tiers"];
    let [day_count, posting, tiering, minimum, tiers] = fields(value, names, &mut problems);
    let ways = ways(day_count, posting, tiering, &mut problems);
    let version = version(Some(from), minimum, tiers, currency, &mut problems);
    let (Some((day_count, posting, tiering)), Some(version)) = (ways, version) else {
        return Err(problems.into_problem());
    };
    problems.check()?;
    let (id, default_for, versions) = ("idea".into(), None, vec![version]);
    Ok(Product { id, currency, day_count, posting, tiering, default_for, versions })
}

fn shown(day: &DayCourse, currency: Currency) -> shapes::InterestDay {
    let scale = currency.scale();
    let slice = |slice: &bank::interest::product::Slice| shapes::Slice {
        amount: money(slice.amount, currency),
        rate_percent: slice.rate.to_string(),
    };
    shapes::InterestDay {
        day: day.day.to_string(),
        product_id: day.product.to_string(),
        base: money(day.balance, currency),
        rates: day.slices.iter().map(slice).collect(),
        accrual: day.accrual.decimal(scale),
        accrual_exact: day.accrual.fraction(scale),
        posted: money(day.posted, currency),
        carry: day.carry.decimal(scale),
        carry_exact: day.carry.fraction(scale),
        closed: day.is_closed,
    }
}
