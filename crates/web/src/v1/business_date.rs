//! The business date, and closing days.

use crate::answer::{Reply, serialised};
use crate::call::{Ask, Read};
use crate::input::{Problems, boolean, day, document, fields};
use crate::problem::{Code, Problem};
use crate::schema;
use crate::schema::interest as shapes;
use crate::v1::products::money;
use crate::v1::system::interest;
use bank::business_date::closed;
use bank::error::BankError;
use bank::interest::{CloseError, Closed};
use ledger::time::Day;
use ledger::token::Role;

/// How long one request closes further days, in microseconds: one of many days hears where it stopped.
const CLOSING_US: u64 = 20_000_000;

/// The bank's business date: the first day that is not closed.
#[utoipa::path(get, path = "/api/v1/system/business-date", tag = "system",
    responses((status = 200, description = "The business date.", body = shapes::BusinessDate), schema::Errors))]
pub(crate) async fn read(call: Read) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    problems.check()?;
    let interest = interest(&call.app)?;
    let today = interest.calendar().day(call.app.bank().now());
    let closed = closed(interest.records()).await?;
    serialised(
        200,
        &shapes::BusinessDate {
            business_date: interest.business_date().await?.to_string(),
            today: today.to_string(),
            time_zone: interest.calendar().zone().to_owned(),
            closed: closed.map(|closed| closed.day.to_string()),
        },
    )
}

/// Closes the days that are over and not closed, in order. A day that is closed is not closed again.
#[utoipa::path(post, path = "/api/v1/system/close-day", tag = "system", request_body = shapes::DayToClose,
    responses((status = 200, description = "What was closed now.", body = shapes::ClosedDays), schema::Errors))]
pub(crate) async fn close(call: Ask) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    let [date, rebuild] = fields(document.root(), ["date", "rebuild"], &mut problems);
    let date = day("date", date, &mut problems);
    let rebuild = boolean("rebuild", rebuild, &mut problems).unwrap_or(false);
    problems.check()?;
    if call.caller.role != Role::Admin {
        return Err(BankError::Forbidden { needs: Role::Admin }.into());
    }
    let interest = interest(&call.app)?;
    if rebuild {
        interest.forget().await?;
    }
    let begun = call.app.bank().now();
    let last = date.unwrap_or_else(|| Day::new(interest.calendar().day(begun).number() - 1));
    let mut items = Vec::new();
    let mut more = true;
    while more && call.app.bank().now().microseconds() - begun.microseconds() < CLOSING_US {
        let next = match closed(interest.records()).await? {
            Some(closed) => Day::new(closed.day.number() + 1),
            None => last,
        };
        if next <= last {
            let closed = interest.close_until(Some(next)).await.map_err(not_closed)?;
            items.extend(closed.iter().map(shown));
        }
        more = next < last;
    }
    let business_date = interest.business_date().await?.to_string();
    serialised(200, &shapes::ClosedDays { items, more, business_date })
}

fn not_closed(error: CloseError) -> Problem {
    match error {
        CloseError::Fault(fault) => fault.into(),
        CloseError::NotOver { .. } => Problem::new(Code::DayNotOver, error.to_string()),
    }
}

fn shown(closed: &Closed) -> shapes::ClosedDay {
    let posted = |(currency, amount): (&ledger::currency::Currency, &i128)| shapes::Posted {
        currency: currency.code().to_owned(),
        amount: money(*amount, *currency),
    };
    shapes::ClosedDay {
        day: closed.day.to_string(),
        accounts: closed.accounts,
        posted: closed.posted,
        corrections: closed.corrections,
        refused: closed.refused,
        sums: closed.sums.iter().map(posted).collect(),
    }
}
