//! `florin statements`: makes the monthly statements of all accounts, or of one, and lists them.

use crate::cli::Statements;
use crate::door::Door;
use crate::failure::Failure;
use crate::output::grouped;
use crate::program::{Program, as_called};
use bank::Bank;
use bank::month::Month;
use bank::read::Positions;
use bank::statement::kept::{Made, Statements as Kept};
use indicatif::ProgressBar;
use ledger::ids::AccountId;
use serde_json::{Value, json};
use std::num::NonZero;
use store::Fault;
use tokio::task::JoinSet;

/// Customers whose accounts are looked for at a time.
const CUSTOMERS_A_PAGE: usize = 200;
/// Accounts of a customer in a page.
const ACCOUNTS_A_PAGE: usize = 200;

/// What became of the statements of one or several months.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Made now.
    pub(crate) made: u64,
    /// There before.
    pub(crate) before: u64,
    /// Accounts with nothing to tell.
    pub(crate) nothing: u64,
}

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
        let counts = program.runtime.block_on(make(&open.bank, &open.statements, first, last, &bar));
        bar.finish_and_clear();
        counts.map_err(Failure::from)
    };
    open.shut_down()?;
    let Counts { made, before, nothing } = made?;
    program.output.line(format!(
        "{} statements made, {} there before, {} accounts with nothing to tell",
        grouped(made),
        grouped(before),
        grouped(nothing)
    ))?;
    program.output.object(&json!({"made": made, "before": before, "nothing": nothing}))
}

/// The statements of all accounts for these months, the earlier first: each opens with what the one before closed with.
/// So many accounts at a time as there are processors.
///
/// # Errors
/// The first fault; what was made stays, and is not made again.
pub(crate) async fn make(
    bank: &Bank,
    statements: &Kept,
    first: Month,
    last: Month,
    bar: &ProgressBar,
) -> Result<Counts, Fault> {
    let at_once = std::thread::available_parallelism().map_or(1, NonZero::get);
    let (mut tasks, mut counts) = (JoinSet::new(), Counts::default());
    let mut from: Option<Positions> = None;
    loop {
        let customers = bank.users(CUSTOMERS_A_PAGE, from.as_ref()).await?;
        for customer in customers.items {
            for account in accounts_of(bank, customer.id).await? {
                while at_once <= tasks.len() {
                    counts.add(tasks.join_next().await, bar)?;
                }
                let statements = statements.clone();
                tasks.spawn(async move {
                    let (mut made, mut month) = (Vec::new(), Some(first));
                    while let Some(next) = month.filter(|month| *month <= last) {
                        made.extend(statements.make(account, next, false).await?);
                        month = next.next();
                    }
                    Ok(made)
                });
            }
        }
        match customers.next {
            Some(next) => from = Some(next),
            None => break,
        }
    }
    while !tasks.is_empty() {
        counts.add(tasks.join_next().await, bar)?;
    }
    Ok(counts)
}

type Finished = Option<Result<Result<Vec<Made>, Fault>, tokio::task::JoinError>>;

impl Counts {
    fn add(&mut self, finished: Finished, bar: &ProgressBar) -> Result<(), Fault> {
        let failed = |error| Fault::Unavailable { reason: format!("a statement was not made: {error}") };
        for made in finished.transpose().map_err(failed)?.transpose()?.unwrap_or_default() {
            match made {
                Made::Now(_) => self.made += 1,
                Made::Before(_) => self.before += 1,
                Made::Nothing => self.nothing += 1,
            }
            bar.inc(1);
        }
        Ok(())
    }
}

async fn accounts_of(bank: &Bank, customer: ledger::ids::CustomerId) -> Result<Vec<AccountId>, Fault> {
    let (mut accounts, mut from): (Vec<AccountId>, Option<Positions>) = (Vec::new(), None);
    loop {
        let page = bank.accounts_of(customer, ACCOUNTS_A_PAGE, from.as_ref()).await?;
        accounts.extend(page.items.iter().map(|account| account.id));
        match page.next {
            Some(next) => from = Some(next),
            None => return Ok(accounts),
        }
    }
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
