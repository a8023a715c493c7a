//! `florin close-day`: closes the days that are over.

use crate::cli::CloseDay;
use crate::door::Door;
use crate::failure::Failure;
use crate::output::grouped;
use crate::program::Program;
use serde_json::{Value, json};

/// Runs the command.
///
/// # Errors
/// As [`Failure`] says.
pub(crate) fn run(program: &Program, command: &CloseDay) -> Result<(), Failure> {
    let mut door = Door::open(program, &command.remote)?;
    let result = close(program, &mut door, command);
    door.close().and(result)
}

fn close(program: &Program, door: &mut Door, command: &CloseDay) -> Result<(), Failure> {
    let mut asked = json!({"date": command.date.map(|day| day.to_string()), "rebuild": command.rebuild});
    let mut closed: Vec<Value> = Vec::new();
    loop {
        let answer = door.call("POST", "/api/v1/system/close-day", None, Some(&asked))?;
        asked["rebuild"] = json!(false);
        for day in answer["items"].as_array().into_iter().flatten() {
            print(program, day)?;
            closed.push(day.clone());
        }
        if answer["more"] != true {
            let business_date = answer["business_date"].clone();
            let date = business_date.as_str().unwrap_or_default();
            if closed.is_empty() {
                program.output.line(format!("nothing to close; the business date is {date}"))?;
            }
            return program.output.object(&json!({"items": closed, "business_date": business_date}));
        }
    }
}

fn print(program: &Program, day: &Value) -> Result<(), Failure> {
    let count = |field: &str| grouped(day[field].as_u64().unwrap_or(0));
    let [accounts, posted, corrections, refused] = ["accounts", "posted", "corrections", "refused"].map(count);
    let sums: Vec<String> = day["sums"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|sum| ["amount", "currency"].map(|field| sum[field].as_str().unwrap_or_default()).join(" "))
        .collect();
    let sums = if sums.is_empty() { String::new() } else { format!(": {}", sums.join(", ")) };
    program.output.line(format!(
        "{} closed: {accounts} accounts, {posted} postings, {corrections} corrections, {refused} refused{sums}",
        day["day"].as_str().unwrap_or_default(),
    ))
}
