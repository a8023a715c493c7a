//! `florin deliveries`: messages to customers and other systems, and what a person does with those that failed.

use crate::cli::{Decided, Deliveries, DeliveryStatus, Named};
use crate::door::{Door, text, with_door};
use crate::failure::{ExitStatus, Failure};
use crate::output::Output;
use crate::program::{Program, as_called};
use bank::notification::delivery::is_id;
use ledger::ids::CustomerId;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Runs the command.
///
/// # Errors
/// As [`Failure`] says.
pub(crate) fn run(program: &Program, command: &Deliveries) -> Result<ExitCode, Failure> {
    match command {
        Deliveries::List { status, user, limit, remote } => {
            with_door(program, remote, |door| list(program.output, door, *user, *status, limit.get()))
        }
        Deliveries::Show(Named { id, remote }) => {
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
        Deliveries::Discard(Decided { id, reason, remote }) => {
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

/// Ids go into paths, so that nothing else may.
fn check(id: &str) -> Result<(), Failure> {
    if is_id(id) {
        return Ok(());
    }
    let next = format!("take it from `{} deliveries list`", as_called());
    Err(Failure::usage(format!("{id:?} is no id of a delivery"), next))
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
    let items = door.list(&path, &filter, limit)?;
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
        let failed = door.list("/api/v1/deliveries", "&status=failed", usize::MAX)?;
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
