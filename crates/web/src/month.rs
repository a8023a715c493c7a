//! The month of an account, one of the short calls: its postings by value date, and the statement that there will be.

use crate::answer::{Reply, json};
use crate::call::Read;
use crate::input::Problems;
use crate::problem::{Code, Problem};
use crate::render::side_name;
use crate::schema;
use crate::short_calls::push_short_money;
use crate::text::{push_id, push_optional_string, push_time};
use crate::v1::accounts::find;
use ledger::ids::AccountId;
use ledger::time::{Day, Timestamp};
use store::query::{Filter, PostingQuery, PostingRow, TimeAxis};

/// Items of a month's page unless asked otherwise.
const LIMIT_DEFAULT: usize = 100;

/// The value dates of a month in UTC, half-open.
fn month_of(text: &str) -> Option<(Timestamp, Timestamp)> {
    let (year, month) = text.split_once('-')?;
    let is_plain =
        year.len() == 4 && month.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let (year, month): (i32, u32) = (year.parse().ok().filter(|_| is_plain)?, month.parse().ok()?);
    let start = Day::from_date(year, month, 1)?.start()?;
    let next = if month == 12 { Day::from_date(year + 1, 1, 1) } else { Day::from_date(year, month + 1, 1) };
    Some((start, next.and_then(Day::start).unwrap_or(Timestamp::MAX)))
}

fn no_month(text: &str) -> Problem {
    let text: String = text.chars().take(20).collect();
    Problem::malformed(format!("`{text}` is no month; write one such as 2026-11"))
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
    let month = problems.keep(month_of(text).ok_or_else(|| no_month(text)));
    let asked = call.page(&parameters, LIMIT_DEFAULT, &mut problems);
    let (Some(account), Some((since, until))) = (id, month) else { return Err(problems.into_problem()) };
    problems.check()?;
    find(&call.app, account).await?;
    let filter = Filter { since: Some(since), until: Some(until), axis: TimeAxis::Effective, ..Filter::default() };
    let query = PostingQuery { account, side: None, filter, before: asked.before(), limit: asked.limit };
    let postings = call.app.bank().postings(query).await?;
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
    push_short_money(out, posting.amount.signed(), transferred.currency);
    out.extend_from_slice(b",\"current_balance\":");
    push_short_money(out, posting.balance_after, transferred.currency);
    out.extend_from_slice(b",\"effective_at\":");
    push_time(out, transferred.effective_at);
    out.extend_from_slice(b",\"status\":\"success\"}");
}

/// A month's statement as a file, once there are statements.
#[utoipa::path(get, path = "/api/v1/transactions/{account_id}/month/{month}/download", tag = "short calls",
    params(("account_id" = schema::Id, Path, description = "The account."),
        ("month" = String, Path, description = "Such as 2026-11.", pattern = "^(19[7-9][0-9]|[2-9][0-9]{3})-(0[1-9]|1[0-2])$")),
    responses(schema::Errors))]
pub(crate) async fn download(call: Read) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let id: Option<AccountId> = call.path_id("account_id", &mut problems);
    let text = call.path_value("month");
    problems.keep(month_of(text).ok_or_else(|| no_month(text)));
    let Some(id) = id else { return Err(problems.into_problem()) };
    problems.check()?;
    find(&call.app, id).await?;
    Err(Problem::new(Code::NotAvailableYet, "there are no statements to download yet; read the month itself"))
}
