//! `florin standing-orders`: lists, sets up and ends standing orders.

use crate::cli::StandingOrders;
use crate::door::Door;
use crate::failure::Failure;
use crate::program::Program;
use serde_json::{Value, json};

/// Runs the command.
///
/// # Errors
/// As [`Failure`] says.
pub(crate) fn run(program: &Program, command: &StandingOrders) -> Result<(), Failure> {
    let (StandingOrders::List { remote, .. }
    | StandingOrders::Create { remote, .. }
    | StandingOrders::Occurrences { remote, .. }
    | StandingOrders::Cancel { remote, .. }) = command;
    let mut door = Door::open(program, remote)?;
    let result = ask(program, &mut door, command);
    door.close().and(result)
}

fn ask(program: &Program, door: &mut Door, command: &StandingOrders) -> Result<(), Failure> {
    let answer = match command {
        StandingOrders::List { account, .. } => {
            let orders = door.call("GET", &format!("/api/v1/accounts/{account}/standing-orders"), None, None)?;
            orders["items"].as_array().into_iter().flatten().try_for_each(|order| print(program, order))?;
            orders
        }
        StandingOrders::Create {
            id,
            account,
            to,
            amount,
            currency,
            rhythm,
            until,
            holidays,
            retries,
            reference,
            ..
        } => {
            let asked = json!({
                "standing_order_id": id, "to": to.map(|id| id.to_string()), "amount": amount, "currency": currency,
                "rhythm": rhythm.to_string(), "until": until.map(|day| day.to_string()), "holidays": holidays,
                "retries": retries, "reference": reference,
            });
            let path = format!("/api/v1/accounts/{account}/standing-orders");
            let order = door.call("POST", &path, None, Some(&asked))?;
            print(program, &order)?;
            order
        }
        StandingOrders::Occurrences { id, .. } => {
            check_id(id)?;
            let found = door.call("GET", &format!("/api/v1/standing-orders/{id}/occurrences"), None, None)?;
            let items = found["items"].as_array().map_or(&[][..], Vec::as_slice);
            if items.is_empty() {
                program.output.line(format!("nothing was due of {id} so far"))?;
            }
            for occurrence in items {
                let text = |field: &str| occurrence[field].as_str().unwrap_or_default();
                let attempt = &occurrence["attempt"];
                let line = format!("{}  try {attempt}: {} {}", text("due"), text("outcome"), text("code"));
                program.output.line(line.trim_end())?;
            }
            found
        }
        StandingOrders::Cancel { id, .. } => {
            check_id(id)?;
            let order = door.call("POST", &format!("/api/v1/standing-orders/{id}/cancel"), None, None)?;
            print(program, &order)?;
            order
        }
    };
    program.output.object(&answer)
}

/// Ids go into paths, so that nothing else may.
fn check_id(id: &str) -> Result<(), Failure> {
    if !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
        return Ok(());
    }
    Err(Failure::usage(format!("{id:?} is no id of a standing order"), "it has letters, digits, - and _"))
}

fn print(program: &Program, order: &Value) -> Result<(), Failure> {
    let text = |field: &str| order[field].as_str().unwrap_or_default();
    let to = order["to"].as_str().map_or_else(|| "out of the bank".to_owned(), |to| format!("to {to}"));
    let next = order["next"]["on"].as_str().map_or_else(String::new, |day| format!(", next on {day}"));
    program.output.line(format!(
        "{}  {} {} from {} {to}, {}: {}{next}",
        text("standing_order_id"),
        text("amount"),
        text("currency"),
        text("from"),
        text("rhythm"),
        text("status")
    ))
}
