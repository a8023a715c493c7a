//! An account's postings: its history, one line per movement.

use crate::answer::{Reply, json};
use crate::call::{LIMIT_DEFAULT, Read};
use crate::input::Problems;
use crate::render::{bounded_page, push_row};
use crate::schema;
use ledger::ids::AccountId;
use ledger::transfer::Side;
use store::query::{Filter, PostingQuery};

/// An account's postings, newest version first.
#[utoipa::path(get, path = "/api/v1/accounts/{account_id}/postings", tag = "accounts",
    params(("account_id" = schema::Id, Path, description = "The account."), schema::parameters::Page, schema::parameters::PostingFilter),
    responses((status = 200, description = "A page of postings.", body = schema::answers::Postings), schema::Errors))]
pub(crate) async fn list(call: Read) -> Reply {
    let mut problems = Problems::none();
    let known = ["limit", "cursor", "since", "until", "by", "side", "reference", "metadata."];
    let parameters = call.parameters(&known, &mut problems);
    let id: Option<AccountId> = call.path_id("account_id", &mut problems);
    let side = parameters.word("side", &[("debit", Side::Debit), ("credit", Side::Credit)], &mut problems);
    let filter = parameters.filter(&mut problems);
    let asked = call.page(&parameters, LIMIT_DEFAULT, &mut problems);
    let Some(account) = id else { return Err(problems.into_problem()) };
    problems.check()?;
    let found = super::accounts::find(&call.app, account).await?;
    let is_plain = side.is_none() && filter == Filter::default() && asked.before().is_none();
    let mut query = PostingQuery { account, side, filter, before: asked.before(), limit: asked.limit };
    loop {
        let postings = match is_plain {
            true => call.app.bank().latest_postings(&found, query.limit).await?,
            false => call.app.bank().postings(query.clone()).await?,
        };
        let next = asked.next_before(postings.next);
        match bounded_page(&postings.items, next.as_deref(), push_row) {
            Ok(page) => return Ok(json(200, page)),
            Err(enough) => query.limit = enough,
        }
    }
}
