//! The journal for whoever follows: a shard's entries as CloudEvents, oldest first.

use crate::answer::{Reply, serialised};
use crate::call::{LIMIT_DEFAULT, Read};
use crate::input::Problems;
use crate::problem::Problem;
use crate::schema;
use bank::journal::JournalEvent;
use ledger::ids::ShardId;
use serde::Serialize;
use store::query::PAGE_MAX;

/// A part of the journal. `next_after` is what to ask for next, also when there is nothing more yet.
#[derive(Serialize)]
struct Part {
    items: Vec<JournalEvent>,
    next_after: u64,
}

/// The events of a shard's journal, in order.
#[utoipa::path(get, path = "/api/v1/journal", tag = "journal", params(schema::parameters::JournalPart),
    responses((status = 200, description = "CloudEvents in order.", body = schema::answers::Journal), schema::Errors))]
pub(crate) async fn read(call: Read) -> Reply {
    let mut problems = Problems::none();
    let parameters = call.parameters(&["shard", "after", "limit"], &mut problems);
    let number = parameters.number("shard", &mut problems).unwrap_or(0);
    let after = parameters.number("after", &mut problems).unwrap_or(0);
    let limit = parameters.number("limit", &mut problems).unwrap_or(LIMIT_DEFAULT as u64);
    let limit = usize::try_from(limit).ok().filter(|limit| (1..=PAGE_MAX).contains(limit));
    if limit.is_none() {
        problems.note(Problem::malformed(format!("`limit` must be between 1 and {PAGE_MAX}")));
    }
    problems.check()?;
    // A parameter that is out of range, like any other: `not_found` is for calls that do not exist.
    let last = call.app.bank().shards().len() - 1;
    let no_such_shard = || Problem::malformed(format!("`shard` must be between 0 and {last}; there is no {number}"));
    let shard = u16::try_from(number).ok().and_then(ShardId::new).ok_or_else(no_such_shard)?;
    let items = call.app.bank().journal(shard, after, limit.unwrap_or(LIMIT_DEFAULT)).await?;
    let items = items.ok_or_else(no_such_shard)?;
    let next_after = items.last().map_or(after, |event| event.sequence);
    serialised(200, &Part { items, next_after })
}
