//! Many transfers in one request: each by itself, or all or none. The hot path of bulk clients: one pass over the body,
//! one submission, one buffer for the answer.

use super::transfer_input::{KeyPlace, transfer};
use super::transfers::{push_first, started};
use crate::answer::{Reply, json, key_reused, marked};
use crate::call::{AskMany, content_type};
use crate::input::{Problems, document, fields, key, key_missing, word};
use crate::json::{Kind, Value};
use crate::problem::{Code, Problem};
use crate::render::push_started;
use crate::render::{TRANSFER_BYTES, answer_bytes, push_transfer};
use crate::schema;
use bank::digest::Fingerprints;
use bank::submit::{ClientKey, ItemAnswer};
use ledger::command::Command;
use ledger::event::Outcome;
use ledger::saga::SagaStep;
use ledger::time::Timestamp;
use ledger::transfer::{BATCH_MAX, Transfer};
use std::borrow::Cow;
use store::{Answer, transfers_of};

/// Most legs of all transfers of an atomic batch together. The batch is one entry of the journal, and an entry must fit
/// into a segment of 64 MiB beside 1 MiB for holds that expire meanwhile, or it could never be written and every answer
/// would be "try again". By the engine's own bound an entry takes at most 256 bytes for a transfer (2 MiB for all), 128
/// for a further leg (12.2 MiB), and the notes: their text, which is within the body's 16 MiB, with 8 bytes for each of
/// at most 32 pairs of metadata and 16 for each note (2.2 MiB). That is 33 MiB, about half of a segment.
const ATOMIC_LEGS_MAX: usize = 100_000;

/// Most bytes of the answer to a batch, about. Each posting repeats reference and metadata, so that a body of 16 MiB could
/// have an answer of gigabytes. As many legs as an atomic batch may have, without notes, still fit.
const ANSWER_BYTES_MAX: usize = 80 * 1024 * 1024;

/// How the transfers of a batch belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Independent,
    Atomic,
}

/// Moves money in many transfers, each by itself (`independent`) or all or none (`atomic`).
#[utoipa::path(post, path = "/api/v1/transfers/batch", tag = "transfers", params(schema::parameters::IdempotencyKey, schema::parameters::DryRun),
    request_body(content(
        (schema::requests::NewBatch = "application/json"),
        (Vec<u8> = "application/vnd.florin.transfers"),
    )),
    responses((status = 200, description = "What became of each, index by index.", content(
        (schema::answers::BatchResults = "application/json"),
        (Vec<u8> = "application/vnd.florin.transfers"),
    )), schema::Errors))]
pub(crate) async fn create(call: AskMany) -> Reply {
    if content_type(&call.headers).as_deref() == Some(crate::rows::MEDIA_TYPE) {
        return crate::rows::create(call).await;
    }
    let mut problems = Problems::none();
    let dry_run = call.parameters(&["dry_run"], &mut problems).dry_run(&mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    let [mode, transfers] = fields(document.root(), ["mode", "transfers"], &mut problems);
    problems.required("mode", mode);
    let mode = word("mode", mode, &[("independent", Mode::Independent), ("atomic", Mode::Atomic)], &mut problems);
    problems.required("transfers", transfers);
    let is_list = transfers.is_some_and(|list| list.kind() == Kind::Array);
    if transfers.is_some() && !is_list {
        problems.note(Problem::malformed("`transfers` must be a list"));
    }
    let items: Vec<Value<'_>> = transfers.into_iter().flat_map(Value::items).collect();
    if BATCH_MAX < items.len() {
        problems.note(Problem::new(
            Code::BodyTooLarge,
            format!("a batch may have at most {BATCH_MAX} transfers; split it"),
        ));
    }
    if is_list && items.is_empty() {
        problems.note(Problem::malformed("`transfers` must have at least one transfer"));
    }
    if mode == Some(Mode::Atomic) && ATOMIC_LEGS_MAX < items.iter().map(|item| legs_of(*item)).sum() {
        let detail = format!("an atomic batch may have at most {ATOMIC_LEGS_MAX} legs in all; split it");
        problems.note(Problem::new(Code::BodyTooLarge, detail));
    }
    match mode {
        Some(Mode::Independent) => independent(&call, &items, dry_run, problems).await,
        Some(Mode::Atomic) => atomic(&call, &items, document.root(), dry_run, problems).await,
        None => Err(problems.into_problem()),
    }
}

/// How many legs a transfer names, before it is known whether it can be read.
fn legs_of(item: Value<'_>) -> usize {
    item.fields().find(|(name, _)| name == "legs").map_or(1, |(_, legs)| legs.items().count())
}

/// Refuses, before anything is done, what would have too long an answer.
fn check_answer<'t>(transfers: impl Iterator<Item = &'t Transfer>) -> Result<(), Problem> {
    if transfers.map(answer_bytes).sum::<usize>() <= ANSWER_BYTES_MAX {
        return Ok(());
    }
    let detail = format!(
        "the answer could have more than {ANSWER_BYTES_MAX} bytes, since each posting repeats reference and metadata of \
         its transfer; split the batch"
    );
    Err(Problem::new(Code::BodyTooLarge, detail))
}

/// An item that was read, with its key.
struct Item<'a> {
    transfer: Transfer,
    key: Option<(Cow<'a, str>, u128)>,
}

async fn independent(call: &AskMany, items: &[Value<'_>], dry_run: bool, problems: Problems) -> Reply {
    problems.check()?;
    let mut canonical = Vec::with_capacity(256);
    let fingerprints = call.app.bank().fingerprints_of("POST /transfers/batch", &[]);
    let read: Vec<Result<Item<'_>, Problem>> =
        items.iter().map(|item| independent_item(call, *item, dry_run, &fingerprints, &mut canonical)).collect();
    check_answer(read.iter().flatten().map(|item| &item.transfer))?;
    let mut commands = Vec::with_capacity(read.len());
    let mut keys = Vec::with_capacity(read.len());
    let mut places: Vec<Result<usize, Problem>> = Vec::with_capacity(read.len());
    for item in read {
        places.push(item.map(|item| {
            keys.push(item.key);
            commands.push(Command::Transfer(item.transfer));
            commands.len() - 1
        }));
    }
    let requests = keys.iter().zip(commands).map(|(key, command)| {
        let key = key.as_ref().map(|(text, fingerprint)| ClientKey { text, fingerprint: *fingerprint });
        (key, command)
    });
    let answers = call.app.bank().submit_batch(&call.caller, requests.collect(), dry_run).await;
    if let Some(fault) = fault_of_all(&answers) {
        return Err(fault);
    }
    let mut out = start(places.len());
    for (index, place) in places.iter().enumerate() {
        separate(&mut out, index);
        match place {
            Ok(place) => push_result(&mut out, &answers[*place]),
            Err(problem) => push_problem(&mut out, problem),
        }
    }
    out.extend_from_slice(b"]}");
    Ok(json(200, out))
}

/// When nothing at all could be done, the request as a whole is what is to be sent again.
fn fault_of_all(answers: &[ItemAnswer]) -> Option<Problem> {
    let faults = answers.iter().filter(|answer| matches!(answer, Err(bank::error::BankError::Fault(_)))).count();
    if faults == 0 || faults < answers.len() {
        return None;
    }
    answers.first().and_then(|answer| answer.as_ref().err().cloned()).map(Problem::from)
}

fn independent_item<'a>(
    call: &AskMany,
    item: Value<'a>,
    dry_run: bool,
    fingerprints: &Fingerprints,
    canonical: &mut Vec<u8>,
) -> Result<Item<'a>, Problem> {
    let mut problems = Problems::none();
    // The key counts before amounts and currencies, so it is looked at before the rest is read.
    let given =
        item.fields().find(|(name, value)| name == "idempotency_key" && !value.is_null()).map(|(_, value)| value);
    if given.is_none() && !dry_run {
        problems.note(key_missing());
    }
    let text = key(given, &mut problems);
    let transfer = transfer(&call.app, &call.caller, item, KeyPlace::Inside, problems)?;
    canonical.clear();
    item.canonical(canonical);
    Ok(Item { transfer, key: text.map(|text| (text, fingerprints.of(canonical))) })
}

async fn atomic(call: &AskMany, items: &[Value<'_>], root: Value<'_>, dry_run: bool, mut problems: Problems) -> Reply {
    let key = call.required_key(dry_run, &mut problems);
    problems.check()?;
    let mut transfers = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        if item.fields().any(|(name, value)| name == "fee" && !value.is_null()) {
            let problem = Problem::new(Code::UnknownField, "a transfer of a batch has no `fee`; send it by itself");
            return Ok(json(200, rejected(items.len(), index, &problem)));
        }
        match transfer(&call.app, &call.caller, *item, KeyPlace::Outside, Problems::none()) {
            Ok(transfer) => transfers.push(transfer),
            Err(problem) => return Ok(json(200, rejected(items.len(), index, &problem))),
        }
    }
    check_answer(transfers.iter())?;
    let fingerprint = crate::answer::fingerprint(&call.app, "POST /transfers/batch", &[], root);
    let key = key.as_deref().map(|text| ClientKey { text, fingerprint });
    let answer = call.app.bank().submit_atomic(&call.caller, key, transfers, dry_run).await?;
    let body = match answer.outcome() {
        None => return Err(key_reused()),
        Some(Outcome::Rejection { index, rejection }) => {
            rejected(items.len(), usize::try_from(*index).unwrap_or(0), &Problem::from(rejection))
        }
        Some(outcome) => {
            let booked_at = answer.entry().map(|entry| entry.header.time);
            let mut out = start(items.len());
            if let Some(step) = started(&answer) {
                push_all_started(&mut out, step, booked_at);
                return Ok(marked(json(200, out), matches!(answer, Answer::Replayed(_))));
            }
            for (index, transferred) in transfers_of(outcome).iter().enumerate() {
                separate(&mut out, index);
                out.extend_from_slice(b"{\"status\":201,\"transfer\":");
                push_transfer(&mut out, transferred, booked_at, None);
                out.push(b'}');
            }
            out.extend_from_slice(b"]}");
            out
        }
    };
    Ok(marked(json(200, body), matches!(answer, Answer::Replayed(_))))
}

/// The results of an atomic batch that goes between shards.
fn push_all_started(out: &mut Vec<u8>, step: &SagaStep, booked_at: Option<Timestamp>) {
    let ordered = step.order.iter().flat_map(|order| order.transfers.iter());
    for (index, (ordered, transferred)) in ordered.zip(&step.transferred).enumerate() {
        separate(out, index);
        out.extend_from_slice(b"{\"status\":202,\"transfer\":");
        push_started(out, ordered, transferred, booked_at);
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
}

/// The results of an atomic batch of which one transfer was rejected: the others could not be made either.
fn rejected(count: usize, culprit: usize, problem: &Problem) -> Vec<u8> {
    let linked = Problem::from(&ledger::rejection::Rejection::LinkedTransferFailed);
    let mut out = start(count);
    for index in 0..count {
        separate(&mut out, index);
        push_problem(&mut out, if index == culprit { problem } else { &linked });
    }
    out.extend_from_slice(b"]}");
    out
}

fn start(count: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(32 + count * TRANSFER_BYTES);
    out.extend_from_slice(b"{\"results\":[");
    out
}

fn separate(out: &mut Vec<u8>, index: usize) {
    if index != 0 {
        out.push(b',');
    }
}

fn push_result(out: &mut Vec<u8>, answer: &ItemAnswer) {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return push_problem(out, &Problem::from(error.clone())),
    };
    match answer.outcome() {
        None => push_problem(out, &key_reused()),
        Some(Outcome::Rejection { rejection, .. }) => push_problem(out, &Problem::from(rejection)),
        Some(_) if let Some(step) = started(answer) => {
            out.extend_from_slice(b"{\"status\":202,\"transfer\":");
            push_first(out, step, answer.entry().map(|entry| entry.header.time));
            out.push(b'}');
        }
        Some(outcome) => {
            out.extend_from_slice(b"{\"status\":201,\"transfer\":");
            if let Some(transferred) = transfers_of(outcome).first() {
                push_transfer(out, transferred, answer.entry().map(|entry| entry.header.time), None);
            }
            out.push(b'}');
        }
    }
}

fn push_problem(out: &mut Vec<u8>, problem: &Problem) {
    out.extend_from_slice(b"{\"status\":");
    crate::text::push_number(out, u128::from(problem.status));
    out.extend_from_slice(b",\"error\":");
    problem.write(out);
    out.push(b'}');
}
