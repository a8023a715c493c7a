//! `florin ingest`: takes events from files, in order, into the data folder or through a running server.

use crate::cli::Ingest;
use crate::client::{Client, Request};
use crate::event_file::EventFile;
use crate::failure::{ExitStatus, Failure};
use crate::output::{Output, grouped};
use crate::program::Program;
use bank::ingest::{EventCounts, EventOutcome, EventResult};
use bank::{Bank, Caller};
use ledger::event::Channel;
use serde::Deserialize;
use serde_json::json;
use std::process::ExitCode;

/// Events of one submission: large enough for the disk, small enough for progress and for a server's memory.
pub(crate) const BATCH_EVENTS: usize = 4096;
/// Bytes of one request to a server.
const REQUEST_BYTES: usize = 1024 * 1024;
/// Dead letters that are named one by one; the rest is counted.
const NAMED_MAX: u64 = 20;

/// Runs the command.
///
/// # Errors
/// As [`Failure`] says.
pub(crate) fn run(program: &Program, command: &Ingest) -> Result<ExitCode, Failure> {
    let mut files = command.files.iter().map(|path| EventFile::open(path)).collect::<Result<Vec<_>, _>>()?;
    let counts = match program.server(&command.remote)? {
        Some(server) => {
            let mut client = server.client();
            read_all(program.output, &mut files, |events| send(&mut client, events))?
        }
        None => {
            let open = program.open_bank(None)?;
            let caller = Caller::local(Channel::File);
            let counts = read_all(program.output, &mut files, |events| {
                let results = program.runtime.block_on(open.bank.ingest(&caller, events))?;
                Ok(results.iter().map(told).collect())
            });
            open.shut_down()?;
            counts?
        }
    };
    report(program.output, counts)
}

/// What became of an event, whoever told it.
struct Told {
    status: String,
    id: Option<String>,
    code: Option<String>,
}

fn told(result: &EventResult) -> Told {
    let (status, code) = match &result.outcome {
        EventOutcome::Accepted { .. } => ("accepted", None),
        EventOutcome::Replayed { .. } => ("replayed", None),
        EventOutcome::DeadLettered { code, .. } => ("dead_lettered", Some(code.to_string())),
    };
    Told { status: status.into(), id: result.id.as_deref().map(str::to_owned), code }
}

fn read_all(
    output: Output,
    files: &mut [EventFile],
    mut take: impl FnMut(&[Vec<u8>]) -> Result<Vec<Told>, Failure>,
) -> Result<EventCounts, Failure> {
    let mut counts = EventCounts::default();
    let spinner = output.spinner("reading events");
    for file in files {
        loop {
            let events = file.next(BATCH_EVENTS)?;
            if events.is_empty() {
                break;
            }
            for result in take(&events)? {
                match result.status.as_str() {
                    "accepted" => counts.accepted += 1,
                    "replayed" => counts.replayed += 1,
                    _ => {
                        counts.dead_lettered += 1;
                        if counts.dead_lettered <= NAMED_MAX {
                            let event =
                                result.id.map_or_else(|| "an event without id".into(), |id| format!("event {id}"));
                            let code = result.code.unwrap_or_default();
                            spinner.suspend(|| output.note(&format!("dead-lettered: {event}: {code}")));
                        }
                    }
                }
            }
            spinner.set_position(counts.total());
        }
    }
    spinner.finish_and_clear();
    Ok(counts)
}

fn report(output: Output, counts: EventCounts) -> Result<ExitCode, Failure> {
    output.line(format!("{:>12} events read", grouped(counts.total())))?;
    output.line(format!("{:>12} accepted", grouped(counts.accepted)))?;
    output.line(format!("{:>12} replayed", grouped(counts.replayed)))?;
    output.line(format!("{:>12} dead-lettered", grouped(counts.dead_lettered)))?;
    output.object(&json!({
        "events": counts.total(),
        "accepted": counts.accepted,
        "replayed": counts.replayed,
        "dead_lettered": counts.dead_lettered,
    }))?;
    if counts.dead_lettered == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    output.note("look at what took no effect with `florin dead-letters list`");
    Ok(ExitCode::from(ExitStatus::No as u8))
}

/// The answer of `POST /api/v1/events`; of NDJSON it names only what was dead-lettered.
#[derive(Deserialize)]
struct Answer {
    accepted: u64,
    replayed: u64,
    results: Vec<AnswerItem>,
}

#[derive(Deserialize)]
struct AnswerItem {
    id: Option<String>,
    status: String,
    code: Option<String>,
}

fn send(client: &mut Client, events: &[Vec<u8>]) -> Result<Vec<Told>, Failure> {
    let mut told = Vec::with_capacity(events.len());
    let mut body = Vec::with_capacity(REQUEST_BYTES);
    for (index, event) in events.iter().enumerate() {
        // An event of an array may go over several lines. Inside its texts there are none, so a space means the same.
        body.extend(event.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
        body.push(b'\n');
        if REQUEST_BYTES <= body.len() || index + 1 == events.len() {
            told.extend(post(client, &body)?);
            body.clear();
        }
    }
    Ok(told)
}

fn post(client: &mut Client, body: &[u8]) -> Result<Vec<Told>, Failure> {
    let request =
        Request { method: "POST", path: "/api/v1/events", key: None, body: Some(("application/x-ndjson", body)) };
    let reply = client.send(&request)?;
    if reply.status != 200 {
        return Err(crate::door::refusal(&reply));
    }
    let answer: Answer = serde_json::from_slice(&reply.body).map_err(|error| {
        Failure::fault(
            format!("the server's answer cannot be understood: {error}"),
            "use the same version of this program as the server's",
        )
    })?;
    let counted = |status: &str, count: u64| {
        let one = move |status: String| Told { status, id: None, code: None };
        (0..count).map(|_| one(status.to_owned())).collect::<Vec<_>>()
    };
    let mut told = counted("accepted", answer.accepted);
    told.extend(counted("replayed", answer.replayed));
    let dead = answer.results.into_iter().filter(|item| item.status == "dead_lettered");
    told.extend(dead.map(|item| Told { status: item.status, id: item.id, code: item.code }));
    Ok(told)
}

/// Takes events into a bank; the demo's way.
///
/// # Errors
/// A fault of the bank.
pub(crate) async fn take(bank: &Bank, events: &[Vec<u8>]) -> Result<Vec<EventResult>, Failure> {
    Ok(bank.ingest(&Caller::local(Channel::File), events).await?)
}
