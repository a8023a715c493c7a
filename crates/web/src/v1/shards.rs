//! The shards: what is where, and moving slots to another one while the bank serves.

use crate::answer::{Reply, serialised};
use crate::call::{Ask, Read};
use crate::input::{Problems, document, fields};
use crate::json::{Kind, Value};
use crate::problem::Problem;
use crate::schema;
use crate::schema::answers;
use bank::shards::ShardSummary;
use ledger::ids::{SLOTS, ShardId};

/// The shards with the slots they own, and the slots that are moving.
#[utoipa::path(get, path = "/api/v1/system/shards", tag = "system",
    responses((status = 200, description = "The shards.", body = schema::answers::Shards), schema::Errors))]
pub(crate) async fn list(call: Read) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    problems.check()?;
    let summary = call.app.bank().shards_summary().await?;
    let moving = summary.moving.iter().map(|moving| answers::MovingSlot {
        slot: moving.slot,
        from: moving.from.number(),
        to: moving.to.number(),
    });
    let moving = moving.collect();
    let items = summary.shards.into_iter().map(shown).collect();
    serialised(200, &answers::Shards { items, moving, version: summary.version })
}

fn shown(shard: ShardSummary) -> answers::Shard {
    answers::Shard {
        shard: shard.shard.number(),
        slots: shard.slots,
        given_up: shard.given_up,
        accounts: shard.accounts,
        sequence: shard.head,
        sagas_open: shard.sagas_open,
    }
}

/// Moves slots with their accounts to another shard, while all of them are served. What is there already stays; what was
/// begun before and not finished is carried on. A request takes at most a minute: ask for few slots at a time.
#[utoipa::path(post, path = "/api/v1/system/slots/move", tag = "system", request_body = schema::requests::SlotsToMove,
    responses((status = 200, description = "All of them are there.", body = schema::answers::SlotsMoved), schema::Errors))]
pub(crate) async fn move_slots(call: Ask) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    let [slots, to] = fields(document.root(), ["slots", "to"], &mut problems);
    problems.required("slots", slots);
    problems.required("to", to);
    let slots = slots.and_then(|slots| problems.keep(slot_numbers(slots)));
    let to = to.and_then(|to| problems.keep(shard_number(to)));
    let (Some(slots), Some(to)) = (slots, to) else { return Err(problems.into_problem()) };
    problems.check()?;
    let moved = call.app.bank().move_slots(&call.caller, &slots, to).await?;
    serialised(200, &answers::SlotsMoved { slots: moved.slots, accounts: moved.accounts })
}

fn slot_numbers(value: Value<'_>) -> Result<Vec<u16>, Problem> {
    let number = |item: Value<'_>| small_number(item).filter(|slot| *slot < SLOTS);
    let slots: Option<Vec<u16>> = value.items().map(number).collect();
    let fits = |slots: &Vec<u16>| (1..=usize::from(SLOTS)).contains(&slots.len());
    slots.filter(fits).ok_or_else(|| {
        Problem::malformed(format!("`slots` must be a list of 1 to {SLOTS} slots, each from 0 to {}", SLOTS - 1))
    })
}

fn shard_number(value: Value<'_>) -> Result<ShardId, Problem> {
    let shard = small_number(value).and_then(ShardId::new);
    shard.ok_or_else(|| Problem::malformed("`to` must be the number of a shard"))
}

/// A whole number as JSON has it, without sign, point and exponent.
fn small_number(value: Value<'_>) -> Option<u16> {
    let text = value.text();
    let is_plain = value.kind() == Kind::Number && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}
