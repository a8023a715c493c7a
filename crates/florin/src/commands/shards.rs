//! `florin shards`: lists and adds shards, and moves slots between them.

use crate::adapters::env::Machine;
use crate::cli::{Shards, SlotList};
use crate::door::{Door, with_door};
use crate::failure::{ExitStatus, Failure};
use crate::output::{Output, grouped};
use crate::program::{Program, as_called};
use crate::storage::Engine;
use serde_json::{Value, json};
use std::num::NonZeroU16;
use std::sync::Arc;

/// How many slots one request moves: it must be over before the server's patience is.
const SLOTS_A_REQUEST: usize = 16;

/// Runs the command.
///
/// # Errors
/// As [`Failure`] says.
pub(crate) fn run(program: &Program, command: &Shards) -> Result<(), Failure> {
    match command {
        Shards::List { remote } => with_door(program, remote, |door| list(program.output, door)),
        Shards::Add => add(program),
        Shards::Move { to, slots, count, remote } => with_door(program, remote, |door| {
            let slots = match (slots, count) {
                (Some(SlotList(slots)), _) => slots.clone(),
                (None, count) => fullest(door, *to, count.map_or(1, NonZeroU16::get))?,
            };
            move_slots(program.output, door, &slots, *to)
        }),
    }
}

fn list(output: Output, door: &mut Door) -> Result<(), Failure> {
    let shards = summary(door)?;
    output
        .line(format!("{:>5} {:>6} {:>12} {:>14} {:>8}  SLOTS", "SHARD", "COUNT", "ACCOUNTS", "SEQUENCE", "PENDING"))?;
    for item in items(&shards, "items") {
        let slots = slots_of(item, "slots");
        let number = |field: &str| grouped(item[field].as_u64().unwrap_or_default());
        output.line(format!(
            "{:>5} {:>6} {:>12} {:>14} {:>8}  {}",
            item["shard"].to_string(),
            slots.len(),
            number("accounts"),
            number("sequence"),
            number("sagas_open"),
            ranges(&slots)
        ))?;
    }
    for moving in items(&shards, "moving") {
        let (slot, from, to) = (&moving["slot"], &moving["from"], &moving["to"]);
        output.line(format!("slot {slot} is moving from shard {from} to shard {to}"))?;
    }
    output.object(&shards)
}

fn add(program: &Program) -> Result<(), Failure> {
    program.expect_bank()?;
    let number = Engine::add_shard(&program.config, &Arc::new(Machine::new()))?;
    program.output.line(format!("shard {number} is there, without slots"))?;
    program.output.note(&format!(
        "  next: start the bank with it, then `{} shards move --to {number} --count N --url URL`",
        as_called()
    ));
    program.output.object(&json!({"shard": number}))
}

/// So many slots, each from the shard that has the most then, that the shard did not have before. Those that are on
/// their way to it come first.
fn fullest(door: &mut Door, to: u16, count: u16) -> Result<Vec<u16>, Failure> {
    let shards = summary(door)?;
    let on_their_way = items(&shards, "moving").iter().filter(|moving| moving["to"].as_u64() == Some(u64::from(to)));
    let mut chosen: Vec<u16> = on_their_way.filter_map(|moving| small(&moving["slot"])).collect();
    let target = items(&shards, "items").iter().find(|item| small(&item["shard"]) == Some(to));
    let given_up = target.map(|item| slots_of(item, "given_up")).unwrap_or_default();
    let others = items(&shards, "items").iter().filter(|item| small(&item["shard"]) != Some(to));
    let mut others: Vec<Vec<u16>> = others.map(|item| slots_of(item, "slots")).collect();
    others.iter_mut().for_each(|slots| slots.retain(|slot| !given_up.contains(slot)));
    while chosen.len() < usize::from(count) {
        let Some(slot) = others.iter_mut().max_by_key(|slots| slots.len()).and_then(Vec::pop) else { break };
        chosen.push(slot);
    }
    chosen.truncate(usize::from(count));
    chosen.sort_unstable();
    Ok(chosen)
}

fn move_slots(output: Output, door: &mut Door, slots: &[u16], to: u16) -> Result<(), Failure> {
    let bar = output.progress("moving slots", slots.len() as u64);
    let (mut moved, mut accounts) = (0, 0);
    for some in slots.chunks(SLOTS_A_REQUEST) {
        let answer = door.call("POST", "/api/v1/system/slots/move", None, Some(&json!({"slots": some, "to": to})));
        let answer = answer.map_err(|failure| match failure.status {
            ExitStatus::Fault => {
                Failure { next: "run the command again: it goes on where it stopped".into(), ..failure }
            }
            ExitStatus::No | ExitStatus::Usage => failure,
        })?;
        moved += answer["slots"].as_u64().unwrap_or_default();
        accounts += answer["accounts"].as_u64().unwrap_or_default();
        bar.inc(some.len() as u64);
    }
    bar.finish_and_clear();
    output.line(format!("{} slots with {} accounts are on shard {to} now", grouped(moved), grouped(accounts)))?;
    output.object(&json!({"to": to, "slots": moved, "accounts": accounts}))
}

fn summary(door: &mut Door) -> Result<Value, Failure> {
    door.call("GET", "/api/v1/system/shards", None, None)
}

fn items<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn slots_of(item: &Value, name: &str) -> Vec<u16> {
    items(item, name).iter().filter_map(small).collect()
}

fn small(value: &Value) -> Option<u16> {
    value.as_u64().and_then(|number| u16::try_from(number).ok())
}

/// Numbers in order as people write them: `0-2,17`; every so many-th as `1,5,9,…,1021`.
fn ranges(slots: &[u16]) -> String {
    let mut parts: Vec<String> = Vec::new();
    for run in slots.chunk_by(|one, next| one + 1 == *next) {
        match run {
            [first, .., last] => parts.push(format!("{first}-{last}")),
            [slot] => parts.push(slot.to_string()),
            [] => {}
        }
    }
    match &parts[..] {
        [first, second, third, .., last] if 8 < parts.len() => format!("{first},{second},{third},…,{last}"),
        _ => parts.join(","),
    }
}

#[cfg(test)]
mod tests {
    use super::ranges;

    #[test]
    fn slots_are_shown_as_ranges_and_long_lists_shortened() {
        assert_eq!(ranges(&[0, 1, 2, 17]), "0-2,17");
        assert_eq!(ranges(&[]), "");
        assert_eq!(ranges(&(0..1024).step_by(4).collect::<Vec<_>>()), "0,4,8,…,1020");
    }
}
