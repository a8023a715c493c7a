//! Statements: those there are, making one, and their files, which whoever has a link reads without a token.

use crate::answer::{Reply, serialised, with_type};
use crate::call::{Ask, Call, Read};
use crate::input::{Problems, boolean, document, fields, short_string};
use crate::month::month_of;
use crate::problem::{Code, Problem};
use crate::schema::answers;
use crate::v1::accounts::find;
use crate::{App, StatementSettings, schema, sent_file};
use axum::http::{HeaderValue, header};
use bank::month::Month;
use bank::statement::kept::links::Link;
use bank::statement::kept::{Made, Manifest, media_type};
use bank::statement::months::{MONTHS_MAX, MonthsMade};
use ledger::amount::Decimal;
use ledger::currency::Currency;
use ledger::ids::AccountId;

/// What the path of every file begins with.
pub(crate) const FILES: &str = "/api/v1/files/";

/// Bytes of a month as it is written.
const MONTH_BYTES: usize = 7;

/// The statements of an account, the latest month first, with links to their files.
#[utoipa::path(get, path = "/api/v1/accounts/{account_id}/statements", tag = "statements",
    params(("account_id" = schema::Id, Path, description = "The account.")),
    responses((status = 200, description = "The statements.", body = schema::answers::Statements), schema::Errors))]
pub(crate) async fn list(call: Read) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let id: Option<AccountId> = call.path_id("account_id", &mut problems);
    let Some(account) = id else { return Err(problems.into_problem()) };
    problems.check()?;
    find(&call.app, account).await?;
    let mut manifests = settings(&call.app)?.statements.list(account).await?;
    manifests.reverse();
    let mut items = Vec::with_capacity(manifests.len());
    for manifest in &manifests {
        items.push(shown(&call, manifest).await?);
    }
    serialised(200, &answers::Statements { items })
}

/// Makes the statement of a month that is over, unless it is there; `again` makes a further one if something was booked
/// late since. The older ones stay.
#[utoipa::path(post, path = "/api/v1/accounts/{account_id}/statements", tag = "statements",
    params(("account_id" = schema::Id, Path, description = "The account.")), request_body = schema::requests::NewStatement,
    responses((status = 200, description = "It was there.", body = schema::answers::Statement),
        (status = 201, description = "It was made.", body = schema::answers::Statement), schema::Errors))]
pub(crate) async fn create(call: Ask) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let id: Option<AccountId> = call.path_id("account_id", &mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    let [month, again] = fields(document.root(), ["month", "again"], &mut problems);
    problems.required("month", month);
    let month = short_string("month", month, MONTH_BYTES, &mut problems);
    let month = month.and_then(|month| problems.keep(month_of(&month)));
    let again = boolean("again", again, &mut problems).unwrap_or(false);
    let (Some(account), Some(month)) = (id, month) else { return Err(problems.into_problem()) };
    problems.check()?;
    find(&call.app, account).await?;
    let (status, manifest) = match made(&call.app, account, month, again).await? {
        Made::Now(manifest) => (201, manifest),
        Made::Before(manifest) => (200, manifest),
        Made::Nothing => return Err(nothing(account, month)),
        Made::TooEarly => return Err(too_early(month)),
        Made::FarBefore(earlier) => return Err(far_before(account, month, earlier)),
    };
    serialised(status, &shown(&call, &manifest).await?)
}

/// The statements of several months in one file: a ZIP archive with the PDF, the CSV and the camt.053 of each month that is
/// over. Statements that are missing are made first.
#[utoipa::path(get, path = "/api/v1/accounts/{account_id}/statements/download", tag = "statements",
    params(("account_id" = schema::Id, Path, description = "The account."),
        ("from" = String, Query, description = "The first month, such as 2026-01."),
        ("to" = String, Query, description = "The last month, such as 2026-06; at most 36 months.")),
    responses((status = 200, description = "A link to the file.", body = schema::answers::StatementMonths), schema::Errors))]
pub(crate) async fn several(call: Read) -> Reply {
    let mut problems = Problems::none();
    let parameters = call.parameters(&["from", "to"], &mut problems);
    let id: Option<AccountId> = call.path_id("account_id", &mut problems);
    let mut month = |name| {
        let Some(text) = parameters.get(name) else {
            problems.note(Problem::malformed(format!("`{name}` is missing; write a month such as 2026-11")));
            return None;
        };
        problems.keep(month_of(text))
    };
    let (first, last) = (month("from"), month("to"));
    let (Some(account), Some(first), Some(last)) = (id, first, last) else { return Err(problems.into_problem()) };
    problems.check()?;
    if last < first || first.months_until(last) >= MONTHS_MAX {
        let detail = format!("`from` to `to` are 1 to {MONTHS_MAX} months, the earlier first");
        return Err(Problem::malformed(detail));
    }
    find(&call.app, account).await?;
    let made = match settings(&call.app)?.statements.months(account, first, last).await? {
        MonthsMade::All(made) => made,
        MonthsMade::FarBefore(earlier) => return Err(far_before(account, first, earlier)),
    };
    let none = || {
        let detail = format!("account {account} has no statement from {first} to {last}");
        Problem::new(Code::StatementNotFound, detail)
    };
    let made = made.ok_or_else(none)?;
    let months = made.manifests.iter().map(|manifest| manifest.month.to_string()).collect();
    serialised(200, &answers::StatementMonths { months, file: url(&call, &made.file).await? })
}

/// Makes the last statement of an account that was closed, beside whatever else goes on. If it does not come to that, the
/// month's batch makes it, or whoever asks for it.
pub(crate) fn make_last(app: &App, account: AccountId) {
    let month = Month::of(app.bank().now().day());
    let (Ok(settings), Some(month)) = (settings(app), month) else { return };
    let statements = settings.statements.clone();
    app.tasks().spawn(async move {
        match statements.make(account, month, false).await {
            Ok(Some(Made::FarBefore(earlier))) => {
                tracing::warn!(
                    "the last statement of account {account} is made after that of {earlier}, by the next batch"
                );
            }
            Ok(_) => {}
            Err(fault) => tracing::warn!("the last statement of account {account} is made later: {fault}"),
        }
    });
}

/// A file of a statement, for whoever has a link to it.
#[utoipa::path(get, path = "/api/v1/files/{account_id}/{month}/{file}", tag = "statements",
    params(("account_id" = schema::Id, Path, description = "The account."),
        ("month" = String, Path, description = "Such as 2026-11."),
        ("file" = String, Path, description = "Such as report.pdf."),
        ("expires" = u64, Query, description = "Until when the link is good, in seconds since 1970."),
        ("signature" = String, Query, description = "Made by the bank.")),
    responses((status = 200, description = "The file.", content_type = "application/pdf"), schema::Errors))]
pub(crate) async fn file(call: Read) -> Reply {
    let mut problems = Problems::none();
    let parameters = call.parameters(&["expires", "signature"], &mut problems);
    let expires = parameters.number("expires", &mut problems);
    let signature = parameters.get("signature").unwrap_or_default();
    problems.check()?;
    let settings = settings(&call.app)?;
    let parts = ["account_id", "month", "file"].map(|part| call.path_value(part));
    let name = parts.join("/");
    let is_good = expires.is_some_and(|expires| settings.statements.is_good(&name, expires, signature));
    if !is_good {
        return Err(Problem::new(Code::Forbidden, "this link is over or was changed; ask for a new one"));
    }
    let too_many = || {
        Problem::new(
            Code::Unavailable,
            "the bank is sending as many files, or of this account, as it may; ask again soon",
        )
    };
    let place = call.app.files().place(&call.app, parts[0]).await.ok_or_else(too_many)?;
    let found = settings.statements.file(&name).await?;
    let bytes = found.ok_or_else(|| Problem::new(Code::StatementNotFound, "this file is no longer kept"))?;
    let mut response = with_type(200, media_type(&name), sent_file::body(&call.app, bytes, place));
    let headers = response.headers_mut();
    let now = call.app.bank().now().microseconds() / 1_000_000;
    // What is behind a link never changes. A cache may keep it for as long as the link is good, and knows it by the link.
    let cached = format!("public, max-age={}, immutable", expires.unwrap_or(now).saturating_sub(now));
    let saved = format!("inline; filename=\"{}-{}-{}\"", parts[0], parts[1], parts[2]);
    for (name, text) in [(header::CACHE_CONTROL, cached), (header::CONTENT_DISPOSITION, saved)] {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(name, value);
        }
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

fn settings(app: &App) -> Result<&StatementSettings, Problem> {
    let settings = app.settings().statements.as_ref();
    settings.ok_or_else(|| Problem::new(Code::NotAvailableYet, "this server keeps no statements"))
}

async fn made(app: &App, account: AccountId, month: Month, again: bool) -> Result<Made, Problem> {
    let made = settings(app)?.statements.make(account, month, again).await?;
    let not_found = || Problem::new(Code::StatementNotFound, "the bank's own accounts have no statements");
    made.ok_or_else(not_found)
}

fn too_early(month: Month) -> Problem {
    let detail = format!("the month {month} is not over; there is a statement of it when it is");
    Problem::new(Code::StatementNotFound, detail)
}

fn nothing(account: AccountId, month: Month) -> Problem {
    let detail = format!("account {account} has nothing to tell of {month}: it was opened later, or closed before");
    Problem::new(Code::StatementNotFound, detail)
}

fn far_before(account: AccountId, month: Month, earlier: Month) -> Problem {
    let detail = format!(
        "too many statements of account {account} are missing before {month}; ask for the one of {earlier} first, or have \
         the bank make them all with `florin statements make`"
    );
    Problem::new(Code::StatementNotFound, detail)
}

/// The latest statement of a month, made now if there is none.
///
/// # Errors
/// `statement_not_found`, `not_available_yet`, or a fault.
pub(crate) async fn latest(app: &App, account: AccountId, month: Month) -> Result<Manifest, Problem> {
    let manifest = match made(app, account, month, false).await? {
        Made::Now(manifest) | Made::Before(manifest) => manifest,
        Made::Nothing => return Err(nothing(account, month)),
        Made::TooEarly => return Err(too_early(month)),
        Made::FarBefore(earlier) => return Err(far_before(account, month, earlier)),
    };
    Ok(manifest)
}

/// A link to a file.
///
/// # Errors
/// `not_available_yet`, or a fault of the object store.
pub(crate) async fn url<const BYTES: usize>(call: &Call<BYTES>, name: &str) -> Result<String, Problem> {
    let settings = settings(&call.app)?;
    let link = match settings.statements.link(name, settings.link_seconds).await? {
        Link::Elsewhere(url) => return Ok(url),
        Link::Here(link) => format!("{FILES}{link}"),
    };
    if let Some(public) = &settings.public_url {
        return Ok(format!("{}{link}", public.trim_end_matches('/')));
    }
    Ok(call.host().map_or_else(|| link.clone(), |host| format!("http://{host}{link}")))
}

async fn shown<const BYTES: usize>(call: &Call<BYTES>, manifest: &Manifest) -> Result<answers::Statement, Problem> {
    let scale = manifest.currency.parse().map_or(0, Currency::scale);
    let money = |minor_units| Decimal { minor_units, scale }.to_string();
    let [pdf, csv, xml] = ["pdf", "csv", "xml"].map(|ending| manifest.file(ending));
    let files = answers::StatementFiles {
        pdf: url(call, &pdf).await?,
        csv: url(call, &csv).await?,
        xml: url(call, &xml).await?,
    };
    Ok(answers::Statement {
        account_id: manifest.account_id.to_string(),
        month: manifest.month.to_string(),
        number: manifest.number,
        currency: manifest.currency.clone(),
        opening: money(manifest.opening),
        closing: money(manifest.closing),
        postings: manifest.postings,
        files,
    })
}
