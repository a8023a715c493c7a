//! The month of an account, one of the short calls: its postings by value date, and its statement.

use crate::answer::{Reply, json, serialised};
use crate::call::Read;
use crate::input::Problems;
use crate::problem::Problem;
use crate::render::side_name;
use crate::schema;
use crate::short_calls::push_short_money;
use crate::text::{push_id, push_optional_string, push_time};
use crate::v1::accounts::find;
use crate::v1::statements;
use bank::month::Month;
use ledger::ids::AccountId;
use store::query::{Filter, PostingQuery, PostingRow, TimeAxis};

/// Items of a month's page unless asked otherwise.
const LIMIT_DEFAULT: usize = 100;

/// A month as it is written in a path or a body.
///
/// # Errors
/// `malformed`.
pub(crate) fn month_of(text: &str) -> Result<Month, Problem> {
    let shown: String = text.chars().take(20).collect();
    text.parse().map_err(|_| Problem::malformed(format!("`{shown}` is no month; write one such as 2026-11")))
}

/// A month of an account by value date, newest version first.
#[utoipa::path(get, path = "/api/v1/transactions/{account_id}/month/{month}", tag = "short calls",
    params(("account_id" = schema::Id, Path, description = "The account."),
        ("month" = String, Path, description = "Such as 2026-11.", pattern = "^(19[7-9][0-9]|[2-9][0-9]{3})-(0[1-9]|1[0-2])$"), schema::parameters::Page),
    responses((status = 200, description = "The postings.", body = schema::short::Month), schema::Errors))]
pub(crate) async fn month(call: Read) -> Reply {
    let mut problems = Problems::none();
    let parameters = call.parameters(&["limit", "cursor"], &mut problems);
    let id: Option<AccountId> = call.path_id("account_id", &mut problems);
    let text = call.path_value("month");
    let month = problems.keep(month_of(text));
    let asked = call.page(&parameters, LIMIT_DEFAULT, &mut problems);
    let (Some(account), Some(month)) = (id, month) else { return Err(problems.into_problem()) };
    problems.check()?;
    let found = find(&call.app, account).await?;
    let postings = match asked.before() {
        None => call.app.bank().month_postings(&found, month, asked.limit).await?,
        before => {
            let (since, until) = (Some(month.start()), Some(month.end()));
            let filter = Filter { since, until, axis: TimeAxis::Effective, ..Filter::default() };
            call.app.bank().postings(PostingQuery { account, side: None, filter, before, limit: asked.limit }).await?
        }
    };
    let mut out = Vec::with_capacity(64 + postings.items.len() * 256);
    out.extend_from_slice(b"{\"code\":200,\"trx\":[");
    for (index, row) in postings.items.iter().enumerate() {
        if index != 0 {
            out.push(b',');
        }
        push_row(&mut out, row);
    }
    out.extend_from_slice(b"],\"next_cursor\":");
    push_optional_string(&mut out, asked.next_before(postings.next).as_deref());
    out.push(b'}');
    Ok(json(200, out))
}

fn push_row(out: &mut Vec<u8>, row: &PostingRow) {
    let Some((posting, transferred, _)) = row.parts() else { return };
    out.extend_from_slice(
        format!("{{\"transaction_id\":\"{}-{}\",\"transfer_id\":", posting.account, posting.version).as_bytes(),
    );
    push_id(out, transferred.id.number());
    out.extend_from_slice(b",\"account_id\":");
    push_id(out, posting.account.number());
    out.extend_from_slice(format!(",\"type\":\"{}\",\"amount\":", side_name(posting.side)).as_bytes());
    let currency = transferred.currency_at(row.index);
    push_short_money(out, posting.amount.signed(), currency);
    out.extend_from_slice(b",\"current_balance\":");
    push_short_money(out, posting.balance_after, currency);
    out.extend_from_slice(b",\"effective_at\":");
    push_time(out, transferred.effective_at);
    out.extend_from_slice(b",\"status\":\"success\"}");
}

/// A link to the PDF of a month's statement, which is made now if nobody asked for it before.
#[utoipa::path(get, path = "/api/v1/transactions/{account_id}/month/{month}/download", tag = "short calls",
    params(("account_id" = schema::Id, Path, description = "The account."),
        ("month" = String, Path, description = "Such as 2026-11.", pattern = "^(19[7-9][0-9]|[2-9][0-9]{3})-(0[1-9]|1[0-2])$")),
    responses((status = 200, description = "The link.", body = schema::short::Download), schema::Errors))]
pub(crate) async fn download(call: Read) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let id: Option<AccountId> = call.path_id("account_id", &mut problems);
    let text = call.path_value("month");
    let month = problems.keep(month_of(text));
    let (Some(account), Some(month)) = (id, month) else { return Err(problems.into_problem()) };
    problems.check()?;
    find(&call.app, account).await?;
    let manifest = statements::latest(&call.app, account, month).await?;
    let url = statements::url(&call, &manifest.file("pdf")).await?;
    serialised(200, &schema::short::Download { code: 200, path: url })
}
