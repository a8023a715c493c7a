//! `florin rates`: sets the exchange rates of a file.

use crate::cli::ExchangeRates;
use crate::door::Door;
use crate::failure::Failure;
use crate::program::Program;
use serde_json::{Value, json};
use std::path::Path;

/// Runs the command.
///
/// # Errors
/// As [`Failure`] says.
pub(crate) fn run(program: &Program, command: &ExchangeRates) -> Result<(), Failure> {
    let ExchangeRates::Load { file, source, remote } = command;
    let name = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let body = read(file, source.as_deref().unwrap_or(&name))?;
    let mut door = Door::open(program, remote)?;
    let result = load(program, &mut door, &body);
    door.close().and(result)
}

fn read(file: &Path, source: &str) -> Result<Value, Failure> {
    let place = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::usage(format!("cannot read {place}: {error}"), "name an existing file"))?;
    crate::rate_file::body(&text, source)
        .map_err(|error| Failure::usage(format!("{place} is no file of rates: {error}"), "see docs/currencies.md"))
}

fn load(program: &Program, door: &mut Door, body: &Value) -> Result<(), Failure> {
    let answer = door.call("POST", "/api/v1/rates", None, Some(body))?;
    let rates = answer["items"].as_array().map_or(0, Vec::len);
    let stale =
        answer["items"].as_array().map_or(0, |items| items.iter().filter(|rate| rate["is_stale"] == true).count());
    program
        .output
        .line(format!("{rates} pairs, each with the newest rate that is known; too old to be quoted by: {stale}"))?;
    program.output.object(&json!({ "rates": rates, "stale": stale }))
}
