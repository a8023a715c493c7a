//! `florin token`: makes, lists and revokes API tokens.

use crate::adapters::env::Machine;
use crate::cli::{Role, Token};
use crate::door::{Door, fresh_key, text};
use crate::failure::Failure;
use crate::output::Output;
use crate::program::Program;
use bank::ports::Env;
use ledger::time::Timestamp;
use serde_json::{Value, json};

/// Runs the command.
///
/// # Errors
/// As [`Failure`] says.
pub(crate) fn run(program: &Program, command: &Token) -> Result<(), Failure> {
    match command {
        Token::Create { name, role, expires, remote } => {
            let mut door = Door::open(program, remote)?;
            let result = create(program.output, &mut door, name, *role, *expires);
            door.close().and(result)
        }
        Token::List { remote } => {
            let mut door = Door::open(program, remote)?;
            let result = list(program.output, &mut door);
            door.close().and(result)
        }
        Token::Revoke { id, remote } => {
            crate::door::check_id(id, "token list")?;
            let mut door = Door::open(program, remote)?;
            let result = door.call("DELETE", &format!("/api/v1/tokens/{id}"), None, None);
            door.close()?;
            result?;
            program.output.line(format!("revoked token {id}"))?;
            program.output.object(&json!({"token_id": id, "revoked": true}))
        }
    }
}

fn create(output: Output, door: &mut Door, name: &str, role: Role, expires_s: Option<u64>) -> Result<(), Failure> {
    let role = ledger::token::Role::from(role).name();
    let mut body = json!({"name": name, "role": role});
    if let Some(expires_s) = expires_s {
        body["expires_at"] =
            Machine::new().now().saturating_add(expires_s.saturating_mul(1_000_000)).to_string().into();
    }
    let token = door.call("POST", "/api/v1/tokens", Some(&fresh_key()), Some(&body))?;
    output.line(text(&token["token"]))?;
    output
        .note(&format!("This is the token of {name} ({role}). It is not shown again: keep it in a file of mode 0600."));
    output.object(&token)
}

fn list(output: Output, door: &mut Door) -> Result<(), Failure> {
    let tokens = door.call("GET", "/api/v1/tokens", None, None)?;
    let items = tokens["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    output.line(format!("{:<20} {:<20} {:<8} {:<28} {}", "ID", "NAME", "ROLE", "EXPIRES", "STATUS"))?;
    let now = Machine::new().now();
    for item in items {
        let expires = if item["expires_at"].is_null() { "never" } else { text(&item["expires_at"]) };
        let status = status(item, now);
        let (id, name, role) = (text(&item["token_id"]), text(&item["name"]), text(&item["role"]));
        output.line(format!("{id:<20} {name:<20} {role:<8} {expires:<28} {status}"))?;
    }
    output.object(&tokens)
}

fn status(token: &Value, now: Timestamp) -> &'static str {
    let is_over = text(&token["expires_at"]).parse().is_ok_and(|end: Timestamp| end <= now);
    match token["revoked"] == true {
        true => "revoked",
        false if is_over => "expired",
        false => "valid",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_whose_time_is_over_is_not_shown_as_valid() {
        let now: Timestamp = "2026-11-21T10:00:00Z".parse().expect("a time");
        for (expires_at, revoked, expected) in [
            (json!(null), false, "valid"),
            (json!("2026-11-21T10:00:00.000001Z"), false, "valid"),
            (json!("2026-11-21T10:00:00Z"), false, "expired"),
            (json!("2026-11-21T10:00:00Z"), true, "revoked"),
        ] {
            assert_eq!(status(&json!({"expires_at": expires_at, "revoked": revoked}), now), expected);
        }
    }
}
