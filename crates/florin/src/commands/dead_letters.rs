//! `florin dead-letters`: the operator's queue of events that did not take effect.

use crate::cli::{DeadLetters, Decided, Named, Status};
use crate::door::{Door, check_id, fresh_key, text, with_door};
use crate::failure::{ExitStatus, Failure};
use crate::output::Output;
use crate::program::{Program, as_called};
use serde_json::{Value, json};
use std::process::ExitCode;

/// Runs the command.
///
/// # Errors
/// As [`Failure`] says.
pub(crate) fn run(program: &Program, command: &DeadLetters) -> Result<ExitCode, Failure> {
    match command {
        DeadLetters::List { status, limit, remote } => {
            with_door(program, remote, |door| list(program.output, door, *status, limit.get()))
        }
        DeadLetters::Show(Named { id, remote }) => {
            check_id(id, "dead-letters list")?;
            with_door(program, remote, |door| {
                let letter = door.call("GET", &format!("/api/v1/dead-letters/{id}"), None, None)?;
                show(program.output, &letter)?;
                Ok(ExitCode::SUCCESS)
            })
        }
        DeadLetters::Redrive { id, replacement, remote } => {
            check_id(id, "dead-letters list")?;
            let data = replacement.as_deref().map(parse_data).transpose()?;
            with_door(program, remote, |door| redrive(program.output, door, id, data))
        }
        DeadLetters::Discard(Decided { id, reason, remote }) => {
            check_id(id, "dead-letters list")?;
            with_door(program, remote, |door| {
                let path = format!("/api/v1/dead-letters/{id}/discard");
                let letter = door.call("POST", &path, Some(&fresh_key()), Some(&json!({"reason": reason})))?;
                program.output.line(format!("dead letter {id} is {}", text(&letter["status"])))?;
                program.output.object(&letter)?;
                Ok(ExitCode::SUCCESS)
            })
        }
    }
}

/// Data is handed on as it was written, so that no amount goes through a float.
fn parse_data(text: &str) -> Result<String, Failure> {
    match serde_json::from_str::<&serde_json::value::RawValue>(text) {
        Ok(data) => Ok(format!("{{\"data\":{}}}", data.get())),
        Err(error) => {
            Err(Failure::usage(format!("--with is not JSON: {error}"), "write the event's data as a JSON object"))
        }
    }
}

fn list(output: Output, door: &mut Door, status: Option<Status>, limit: usize) -> Result<ExitCode, Failure> {
    let filter = status.map_or_else(String::new, |status| format!("&status={}", status.name()));
    let items = door.list("/api/v1/dead-letters", &filter, limit)?;
    output.line(format!("{:<20} {:<10} {:>8} {:<28} {}", "ID", "STATUS", "ATTEMPTS", "RECEIVED", "CODE"))?;
    for item in &items {
        let (id, status, code) = (text(&item["dead_letter_id"]), text(&item["status"]), text(&item["code"]));
        output.line(format!(
            "{id:<20} {status:<10} {:>8} {:<28} {code}",
            item["attempts"].to_string(),
            text(&item["received_at"])
        ))?;
    }
    output.object(&json!({"items": items}))?;
    Ok(ExitCode::SUCCESS)
}

fn redrive(output: Output, door: &mut Door, id: &str, data: Option<String>) -> Result<ExitCode, Failure> {
    let path = format!("/api/v1/dead-letters/{id}/redrive");
    let letter = door.call_with_text("POST", &path, Some(&fresh_key()), data.as_deref())?;
    let is_redriven = letter["status"] == "redriven";
    if is_redriven {
        output.line(format!("dead letter {id} took effect"))?;
    } else {
        output.line(format!(
            "dead letter {id} is still {}: {} ({})",
            text(&letter["status"]),
            text(&letter["detail"]),
            text(&letter["code"])
        ))?;
        output.note(&next_after_failure(&as_called(), id, text(&letter["status"])));
    }
    output.object(&letter)?;
    Ok(if is_redriven { ExitCode::SUCCESS } else { ExitCode::from(ExitStatus::No as u8) })
}

fn next_after_failure(florin: &str, id: &str, status: &str) -> String {
    match status {
        "waiting" => format!(
            "  next: put the cause right and redrive it again, or\n        \
             {florin} dead-letters show {id}                      what was sent\n        \
             {florin} dead-letters redrive {id} --with JSON       other data in its place\n        \
             {florin} dead-letters discard {id} --reason TEXT     it shall never take effect"
        ),
        _ => format!("  next: {florin} dead-letters list --status waiting     those that are left to decide"),
    }
}

fn show(output: Output, letter: &Value) -> Result<(), Failure> {
    for (label, field) in [
        ("dead letter", "dead_letter_id"),
        ("status", "status"),
        ("code", "code"),
        ("detail", "detail"),
        ("received", "received_at"),
    ] {
        output.line(format!("{label:<12} {}", text(&letter[field])))?;
    }
    output.line(format!("{:<12} {}", "attempts", letter["attempts"]))?;
    output.line(format!("{:<12} {}", "event", letter["event"]))?;
    output.object(letter)
}
