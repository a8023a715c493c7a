//! `florin demo`: takes a real bank's year through the whole system, and checks what comes out against an independent
//! sum of what went in. Run again, everything is replayed and nothing changes.

mod year;

use crate::commands::ingest::{BATCH_EVENTS, take};
use crate::commands::verify;
use crate::event_file::EventFile;
use crate::failure::{ExitStatus, Failure};
use crate::output::grouped;
use crate::program::{OpenBank, Program, as_called, shell_word};
use bank::ingest::{EventOutcome, EventResult};
use ledger::amount::Decimal;
use serde_json::json;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use year::{Difference, Year};

/// Every transaction of a year on the accounts of a Czech bank; where it comes from is told in `fixtures/README.md`.
const FIXTURE: &[u8] = include_bytes!("../../../../fixtures/real-year.ndjson.gz");

/// What became of the year.
#[derive(Debug, Default)]
struct Story {
    accepted: u64,
    replayed: u64,
    rejections: u64,
    dead_letters: u64,
    /// Transfers made now, and how long that took.
    transfers: u64,
    moving: Duration,
}

/// Runs the command.
///
/// # Errors
/// As [`Failure`] says; a balance that is not what it should be is the answer "no".
pub(crate) fn run(program: &Program) -> Result<ExitCode, Failure> {
    let events = events()?;
    let open = program.open_bank(None)?;
    let result = tell(program, &open, &events);
    open.shut_down()?;
    result
}

fn events() -> Result<Vec<Vec<u8>>, Failure> {
    EventFile::from_reader("the fixture".into(), Box::new(FIXTURE))?.next(usize::MAX)
}

fn tell(program: &Program, open: &OpenBank, events: &[Vec<u8>]) -> Result<ExitCode, Failure> {
    let output = program.output;
    let mut year = Year::read(events)?;
    let story = program.runtime.block_on(live(program, open, events, &mut year))?;
    print_story(program, &year, &story)?;
    let differences = program.runtime.block_on(year.compare(&open.bank, output))?;
    let reports = program.runtime.block_on(verify::verify(open, output))?;
    output.line("\nchecked")?;
    let is_clean = verify::print(output, &reports)? & print_differences(program, &year, &differences)?;
    output.object(&json!({
        "transactions": year.transactions(),
        "customers": year.customers,
        "accounts": year.accounts(),
        "accepted": story.accepted,
        "replayed": story.replayed,
        "rejections": story.rejections,
        "dead_letters": story.dead_letters,
        "transfers_per_s_durable": story.transfers_per_second(),
        "balances_compared": year.transactions_done(),
        "clean": is_clean,
        "checks": verify::checks(&reports),
    }))?;
    if !is_clean {
        return Err(Failure {
            status: ExitStatus::No,
            ..Failure::no("something is wrong, as marked above", "keep the folder, and try the demo in a new one")
        });
    }
    print_next(program)?;
    Ok(ExitCode::SUCCESS)
}

/// Takes every event through the bank, in order.
async fn live(program: &Program, open: &OpenBank, events: &[Vec<u8>], year: &mut Year) -> Result<Story, Failure> {
    let mut story = Story::default();
    let bar = program.output.progress("a real bank's year", events.len() as u64);
    let mut first = 0;
    for batch in events.chunks(BATCH_EVENTS) {
        let start = now();
        let results = take(&open.bank, batch).await?;
        let took = start.elapsed();
        let transfers = results.iter().filter(|result| year::made_now(result)).count() as u64;
        if transfers != 0 {
            story.transfers += transfers;
            story.moving += took;
        }
        for (index, result) in (first..).zip(&results) {
            story.add(result);
            year.note(index, result);
        }
        first += batch.len();
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    Ok(story)
}

#[expect(clippy::disallowed_methods, reason = "measuring needs the clock")]
fn now() -> Instant {
    Instant::now()
}

impl Story {
    fn add(&mut self, result: &EventResult) {
        match &result.outcome {
            EventOutcome::Accepted { .. } => self.accepted += 1,
            EventOutcome::Replayed { .. } => self.replayed += 1,
            EventOutcome::DeadLettered { code, .. } => {
                self.dead_letters += 1;
                // Everything else that makes a dead letter was not understood, and never came before the rule book.
                let is_malformed = matches!(
                    &**code,
                    "malformed" | "unknown_field" | "amount_invalid" | "currency_unknown" | "body_too_large"
                );
                self.rejections += u64::from(!is_malformed);
            }
        }
    }

    /// Counted over the batches that moved money; `None` when nothing moved now.
    fn transfers_per_second(&self) -> Option<u64> {
        let rate = u128::from(self.transfers) * 1_000_000 / self.moving.as_micros().max(1);
        u64::try_from(rate).ok().filter(|_| self.transfers != 0)
    }
}

fn print_story(program: &Program, year: &Year, story: &Story) -> Result<(), Failure> {
    let output = program.output;
    let czk = |minor_units| Decimal { minor_units, scale: 2 };
    output.line(format!("a real bank's year, in {}\n", program.folder().display()))?;
    output.line(format!("{:>12} customers", grouped(year.customers)))?;
    output.line(format!("{:>12} accounts", grouped(year.accounts())))?;
    output.line(format!(
        "{:>12} transactions ({} deposits, {} withdrawals)",
        grouped(year.transactions()),
        grouped(year.deposits),
        grouped(year.withdrawals),
    ))?;
    output.line(format!("{:>12} events accepted, {} replayed", grouped(story.accepted), grouped(story.replayed)))?;
    output.line(format!("{:>12} rejections", grouped(story.rejections)))?;
    output.line(format!("{:>12} dead letters", grouped(story.dead_letters)))?;
    output.line(format!(
        "{:>16} CZK paid in, {} CZK paid out, {} CZK left",
        czk(year.paid_in),
        czk(year.paid_out),
        czk(year.paid_in - year.paid_out)
    ))?;
    match story.transfers_per_second() {
        Some(rate) => output.line(format!("{:>12} durable transfers/s", grouped(rate))),
        None => output.line("everything was replayed, so nothing moved and there are no durable transfers/s to tell"),
    }
}

fn print_differences(program: &Program, year: &Year, differences: &[Difference]) -> Result<bool, Failure> {
    let output = program.output;
    let count = grouped(year.transactions_done());
    let Some(first) = differences.first() else {
        output.line(format!("ok    {count:>12}  running balances, against an independent sum"))?;
        let far = Decimal { minor_units: year.farthest_from_the_banks_own(), scale: 2 };
        output
            .line(format!("ok    {count:>12}  balances the bank itself wrote, at most {far} CZK off (it rounded)"))?;
        return Ok(true);
    };
    output.verdict(
        false,
        &format!("WRONG {count:>12}  running balances: {first} ({} in all)", grouped(differences.len() as u64)),
    )?;
    Ok(false)
}

fn print_next(program: &Program) -> Result<(), Failure> {
    let (florin, folder) = (as_called(), shell_word(&program.folder().to_string_lossy()));
    let (demo, serve) = (format!("{florin} demo --data {folder}"), format!("{florin} serve --data {folder} --no-auth"));
    let width = serve.len();
    program.output.line(format!(
        "\nwhat to try next\n  \
         {demo:<width$}  everything is replayed, nothing changes\n  \
         {serve:<width$}  the same bank over HTTP; then, beside it:\n  \
         curl http://127.0.0.1:7878/balance/576\n  \
         curl 'http://127.0.0.1:7878/api/v1/accounts/576/postings?limit=3'\n  \
         and http://127.0.0.1:7878/docs in a browser"
    ))
}
