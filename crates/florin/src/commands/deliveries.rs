//! `florin deliveries`: messages to customers and other systems, and what a person does with those that failed.

use crate::cli::{Deliveries, DeliveryStatus, Remote};
use crate::door::Door;
use crate::failure::{ExitStatus, Failure};
use crate::output::Output;
use crate::program::{Program, as_called};
use bank::notification::delivery::is_id;
use ledger::ids::CustomerId;
use serde_json::{Value, json};
use std::process::ExitCode;

const PAGE: usize = 1000;

/// Runs the command.
///
/// # Errors
/// As [`Failure`] says.
pub(crate) fn run(program: &Program, command: &Deliveries) -> Result<ExitCode, Failure> {
    match command {
        Deliveries::List { status, user, limit, remote } => {
            with_door(program, remote, |door| list(program.output, door, *user, *status, limit.get()))
        }
        Deliveries::Show { id, remote } => {
            check(id)?;
            with_door(program, remote, |door| {
                let delivery = door.call("GET", &format!("/api/v1/deliveries/{id}"), None, None)?;
                show(program.output, &delivery)?;
                Ok(ExitCode::SUCCESS)
            })
        }
        Deliveries::Redrive { ids, all, remote } => {
            ids.iter().try_for_each(|id| check(id))?;
            with_door(program, remote, |door| redrive(program.output, door, ids, *all))
        }
        Deliveries::Discard { id, reason, remote } => {
            check(id)?;
            with_door(program, remote, |door| {
                let path = format!("/api/v1/deliveries/{id}/discard");
                let delivery = door.call("POST", &path, None, Some(&json!({"reason": reason})))?;
                program.output.line(format!("delivery {id} is {}", text(&delivery["status"])))?;
                program.output.object(&delivery)?;
                Ok(answer(delivery["status"] == "discarded"))
            })
        }
    }
}

fn answer(is_done: bool) -> ExitCode {
    if is_done { ExitCode::SUCCESS } else { ExitCode::from(ExitStatus::No as u8) }
}

fn with_door(
    program: &Program,
    remote: &Remote,
    act: impl FnOnce(&mut Door) -> Result<ExitCode, Failure>,
) -> Result<ExitCode, Failure> {
    let mut door = Door::open(program, remote)?;
    let result = act(&mut door);
    door.close()?;
    result
}

/// Ids go into paths, so that nothing else may.
fn check(id: &str) -> Result<(), Failure> {
    if is_id(id) {
        return Ok(());
    }
    let next = format!("take it from `{} deliveries list`", as_called());
    Err(Failure::usage(format!("{id:?} is no id of a delivery"), next))
}

fn find(door: &mut Door, path: &str, filter: &str, limit: usize) -> Result<Vec<Value>, Failure> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let page_limit = (limit - items.len()).min(PAGE);
        let page = door.call("GET", &format!("{path}?limit={page_limit}{filter}{cursor}"), None, None)?;
        items.extend(page["items"].as_array().cloned().unwrap_or_default());
        match page["next_cursor"].as_str() {
            Some(next) if items.len() < limit => cursor = format!("&cursor={next}"),
            _ => return Ok(items),
        }
    }
}

fn list(
    output: Output,
    door: &mut Door,
    user: Option<CustomerId>,
    status: Option<DeliveryStatus>,
    limit: usize,
) -> Result<ExitCode, Failure> {
    let filter = status.map_or_else(String::new, |status| format!("&status={}", status.name()));
    let path = match user {
        Some(user) => format!("/api/v1/users/{user}/deliveries"),
        None => "/api/v1/deliveries".to_owned(),
    };
    let items = find(door, &path, &filter, limit)?;
    output
        .line(format!("{:<32} {:<9} {:<8} {:<18} {:>8} {}", "ID", "STATUS", "CHANNEL", "KIND", "ATTEMPTS", "CODE"))?;
    for item in &items {
        let [id, status, channel] = ["delivery_id", "status", "channel"].map(|field| text(&item[field]));
        let (kind, attempts) = (text(&item["kind"]), item["attempts"].to_string());
        output.line(format!("{id:<32} {status:<9} {channel:<8} {kind:<18} {attempts:>8} {}", text(&item["code"])))?;
    }
    output.object(&json!({"items": items}))?;
    Ok(ExitCode::SUCCESS)
}

fn redrive(output: Output, door: &mut Door, ids: &[String], all: bool) -> Result<ExitCode, Failure> {
    let mut ids = ids.to_vec();
    if all {
        let failed = find(door, "/api/v1/deliveries", "&status=failed", usize::MAX)?;
        ids = failed.iter().map(|item| text(&item["delivery_id"]).to_owned()).collect();
    }
    let mut redriven = 0;
    for id in &ids {
        let delivery = door.call("POST", &format!("/api/v1/deliveries/{id}/redrive"), None, None)?;
        match text(&delivery["status"]) {
            "waiting" => redriven += 1,
            status => output.line(format!("delivery {id} is {status}, and stays so"))?,
        }
    }
    output.line(format!("{redriven} deliveries are sent again"))?;
    output.object(&json!({"redriven": redriven}))?;
    Ok(answer(redriven == ids.len()))
}

fn show(output: Output, delivery: &Value) -> Result<(), Failure> {
    for (name, value) in delivery.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        output.line(format!("{name:<14} {shown}"))?;
    }
    output.object(delivery)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
