//! `florin jobs`: lists the bank's jobs and their runs, and runs one by hand.

use super::products::check_name;
use crate::cli::Jobs;
use crate::door::Door;
use crate::failure::Failure;
use crate::program::Program;
use serde_json::{Value, json};

/// Runs the command.
///
/// # Errors
/// As [`Failure`] says.
pub(crate) fn run(program: &Program, command: &Jobs) -> Result<(), Failure> {
    let (Jobs::List { remote } | Jobs::Runs { remote, .. } | Jobs::Run { remote, .. }) = command;
    let mut door = Door::open(program, remote)?;
    let result = ask(program, &mut door, command);
    door.close().and(result)
}

fn ask(program: &Program, door: &mut Door, command: &Jobs) -> Result<(), Failure> {
    let answer = match command {
        Jobs::List { .. } => {
            let jobs = door.call("GET", "/api/v1/jobs", None, None)?;
            for job in jobs["items"].as_array().into_iter().flatten() {
                let text = |field: &str| job[field].as_str().unwrap_or_default();
                let last = &job["last_run"];
                let last = if last.is_null() { "no run on record".to_owned() } else { told(last) };
                let next = job["next"].as_str().map_or_else(String::new, |next| format!(", next at {next}"));
                program.output.line(format!("{}  {}{next}\n  {last}", text("name"), text("plan")))?;
            }
            jobs
        }
        Jobs::Runs { name, .. } => {
            check_name(name)?;
            let runs = door.call("GET", &format!("/api/v1/jobs/{name}/runs"), None, None)?;
            let items = runs["items"].as_array().map_or(&[][..], Vec::as_slice);
            items.iter().try_for_each(|run| program.output.line(told(run)))?;
            if items.is_empty() {
                program.output.line(format!("no run of {name} is on record"))?;
            }
            runs
        }
        Jobs::Run { name, date, .. } => {
            check_name(name)?;
            let asked = json!({"date": date.map(|day| day.to_string())});
            let done = door.call("POST", &format!("/api/v1/jobs/{name}/run"), None, Some(&asked))?;
            program.output.line(done["detail"].as_str().unwrap_or_default())?;
            done
        }
    };
    program.output.object(&answer)
}

fn told(run: &Value) -> String {
    let text = |field: &str| run[field].as_str().unwrap_or_default();
    let took = run["milliseconds"].as_u64().map_or_else(String::new, |took| format!(" in {took} ms"));
    let by_hand = if run["by_hand"] == true { ", by hand" } else { "" };
    format!("{}  for {}: {}{took}{by_hand}: {}", text("started"), text("date"), text("outcome"), text("detail"))
}
