//! `florin statements`: makes the monthly statements of all accounts, or of one, and lists them.

use crate::cli::Statements;
use crate::door::Door;
use crate::failure::Failure;
use crate::output::grouped;
use crate::program::{Program, as_called};
use bank::Bank;
use bank::month::Month;
use bank::ports::Records;
use bank::statement::batch::{Batch, BatchCounts, Share};
use bank::statement::kept::{Made, Statements as Kept};
use indicatif::ProgressBar;
use ledger::ids::AccountId;
use serde_json::{Value, json};
use std::num::NonZero;
use std::sync::Arc;
use store::Fault;

/// Accounts that are worked on at a time for each processor.
const ACCOUNTS_A_PROCESSOR: usize = 8;

/// Runs the command.
///
/// # Errors
/// As [`Failure`] says.
pub(crate) fn run(program: &Program, command: &Statements) -> Result<(), Failure> {
    match command {
        Statements::Make { month, until } => make_all(program, *month, until.unwrap_or(*month)),
        Statements::MakeOne { account, month, again, remote } => {
            let mut door = Door::open(program, remote)?;
            let result = make_one(program, &mut door, *account, *month, *again);
            door.close().and(result)
        }
        Statements::List { account, remote } => {
            let mut door = Door::open(program, remote)?;
            let result = list(program, &mut door, *account);
            door.close().and(result)
        }
    }
}

fn make_all(program: &Program, first: Month, last: Month) -> Result<(), Failure> {
    if last < first {
        return Err(Failure::usage(format!("{last} is before {first}"), "name the later month with --until"));
    }
    let open = program.open_existing_bank()?;
    let made = if open.bank.now() < last.end() {
        Err(Failure::usage(format!("the month {last} is not over"), "name a month that is"))
    } else {
        let bar = program.output.spinner("statements");
        let counts = program.runtime.block_on(make(&open.bank, &open.statements, &open.records, (first, last), &bar));
        bar.finish_and_clear();
        counts.map_err(Failure::from)
    };
    open.shut_down()?;
    let BatchCounts { made, before, nothing, failed } = made?;
    program.output.line(format!(
        "{} statements made, {} there before, {} months of accounts with nothing to tell",
        grouped(made),
        grouped(before),
        grouped(nothing)
    ))?;
    program.output.object(&json!({"made": made, "before": before, "nothing": nothing, "failed": failed}))?;
    if failed != 0 {
        let what = format!("{} accounts have no statement, because what is stored contradicts itself", grouped(failed));
        return Err(Failure::no(what, "see the log, and run `florin verify`"));
    }
    Ok(())
}

/// The statements of all accounts for these months. Nodes that do so at the same time share the work.
///
/// # Errors
/// The first fault that may pass; what was made stays, and is not made again.
pub(crate) async fn make(
    bank: &Bank,
    statements: &Kept,
    records: &Arc<dyn Records>,
    (first, last): (Month, Month),
    bar: &ProgressBar,
) -> Result<BatchCounts, Fault> {
    let mut holder = [0; 16];
    bank.env().fill(&mut holder);
    let share = Share { records: records.clone(), holder: u128::from_le_bytes(holder) };
    // While some are printed, others are read, or wait for the disk.
    let at_once = std::thread::available_parallelism().map_or(1, NonZero::get) * ACCOUNTS_A_PROCESSOR;
    let batch = Batch { first, last, at_once, share: Some(share) };
    let progress = |made: Result<&Made, &Fault>| match made {
        Ok(_) => bar.inc(1),
        Err(fault) => tracing::error!("a statement was not made: {fault}"),
    };
    statements.make_all(&batch, &progress).await
}

fn make_one(program: &Program, door: &mut Door, account: AccountId, month: Month, again: bool) -> Result<(), Failure> {
    let path = statements_of(account);
    let asked = json!({"month": month.to_string(), "again": again});
    let statement = door.call("POST", &path, None, Some(&asked))?;
    print(program, door, &statement)?;
    program.output.object(&statement)
}

fn list(program: &Program, door: &mut Door, account: AccountId) -> Result<(), Failure> {
    let statements = door.call("GET", &statements_of(account), None, None)?;
    let items = statements["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().try_for_each(|statement| print(program, door, statement))?;
    if items.is_empty() {
        let next = format!("`{} statements make-one --account {account} --month MONTH`", as_called());
        program.output.note(&format!("  there is none yet; make one with {next}"));
    }
    program.output.object(&statements)
}

fn statements_of(account: AccountId) -> String {
    format!("/api/v1/accounts/{account}/statements")
}

fn print(program: &Program, door: &Door, statement: &Value) -> Result<(), Failure> {
    let text = |field: &str| statement[field].as_str().unwrap_or_default().to_owned();
    let link = statement["files"]["pdf"].as_str().unwrap_or_default();
    let place = match (door, link.split_once("/api/v1/files/")) {
        // There is no server that the link would lead to.
        (Door::Folder(_), Some((_, file))) => {
            let file = file.split('?').next().unwrap_or_default();
            program.objects_folder().join(file).display().to_string()
        }
        _ => link.to_owned(),
    };
    program.output.line(format!(
        "{} no. {}  {} postings, opens with {} and closes with {} {}\n  {place}",
        text("month"),
        statement["number"],
        statement["postings"],
        text("opening"),
        text("closing"),
        text("currency"),
    ))
}
