//! Transfers: moving money, looking transfers up, undoing them.

use super::transfer_input::{KeyPlace, transfer};
use crate::answer::{Reply, effect, fingerprint, json, marked, respond, unexpected_event};
use crate::call::{Ask, LIMIT_DEFAULT, Read};
use crate::input::{Problems, boolean, document, fields, note, string};
use crate::json::Value;
use crate::problem::{Code, Problem};
use crate::render::{TRANSFER_BYTES, bounded_page, push_details, push_started, push_transfer, status_word};
use crate::schema;
use axum::http::{HeaderValue, header};
use bank::read::TransferDetails;
use bank::submit::ClientKey;
use ledger::command::{Command, Reverse};
use ledger::event::{Event, Outcome};
use ledger::ids::{AccountId, TransferId};
use ledger::saga::{SagaStep, StepKind};
use ledger::time::Timestamp;
use ledger::token::Role;
use ledger::transfer::{Transfer, TransferKind};
use store::query::TransferQuery;
use store::{Answer, transfers_of};

/// Moves money: a deposit, a withdrawal or a transfer, in one leg or several.
#[utoipa::path(post, path = "/api/v1/transfers", tag = "transfers", params(schema::parameters::IdempotencyKey, schema::parameters::DryRun),
    request_body = schema::requests::NewTransfer,
    responses((status = 201, description = "Money moved.", body = schema::answers::Transfer),
        (status = 202, description = "Money is on its way to another shard; `Location` tells where to look.", body = schema::answers::Transfer), schema::Errors))]
pub(crate) async fn create(call: Ask) -> Reply {
    let mut problems = Problems::none();
    let dry_run = call.parameters(&["dry_run"], &mut problems).dry_run(&mut problems);
    let key = call.required_key(dry_run, &mut problems);
    let document = problems.keep(document(&call.body));
    let Some(document) = document else { return Err(problems.into_problem()) };
    if is_exchange(document.root()) {
        return super::quotes::exchange(&call, document.root(), key, dry_run, problems).await;
    }
    let fee = fee_name(document.root(), &mut problems);
    let transfer = transfer(&call.app, &call.caller, document.root(), KeyPlace::Outside, problems)?;
    let fingerprint = fingerprint(&call.app, "POST /transfers", &[], document.root());
    let key = key.as_deref().map(|text| ClientKey { text, fingerprint });
    let answer = match fee {
        Some(fee) => with_fee(&call, key, transfer, &fee, dry_run).await?,
        None => call.app.bank().submit(&call.caller, key, Command::Transfer(transfer), dry_run).await?,
    };
    Ok(transferred(&answer))
}

/// Moves money with a fee. The fee may have changed since the same was sent first: where it cannot be charged any more, what
/// was heard then still holds.
async fn with_fee(
    call: &Ask,
    key: Option<ClientKey<'_>>,
    transfer: Transfer,
    fee: &str,
    dry_run: bool,
) -> Result<Answer, Problem> {
    let bank = call.app.bank();
    match super::fees::fees(&call.app)?.charge(transfer.clone(), fee).await {
        Ok(charged) => Ok(bank.submit(&call.caller, key, Command::Transfer(charged), dry_run).await?),
        Err(error) => {
            let key = key.filter(|_| !dry_run);
            Ok(bank.answer_before(&call.caller, key, &Command::Transfer(transfer)).await?.ok_or(error)?)
        }
    }
}

/// The name of the fee that it is to carry.
fn fee_name(root: Value<'_>, problems: &mut Problems) -> Option<String> {
    let fee = root.fields().find(|(name, value)| name == "fee" && !value.is_null()).map(|(_, value)| value);
    string("fee", fee, problems).map(String::from)
}

/// Whether it is a transfer from one currency into another, which is made by a quote.
fn is_exchange(root: Value<'_>) -> bool {
    let kind = root.fields().find(|(name, _)| name == "type").and_then(|(_, value)| value.string());
    kind.as_deref() == Some(TransferKind::Exchange.name())
}

/// The answer to what made one transfer: 201, or 202 with the place to look when it goes between shards.
pub(crate) fn transferred(answer: &Answer) -> axum::http::Response<axum::body::Body> {
    if let Some(step) = started(answer) {
        return accepted(answer, step);
    }
    respond(answer, 201, |effect, out| {
        out.reserve(TRANSFER_BYTES);
        if let Some(transferred) = transferred_of(effect.event) {
            push_transfer(out, transferred, effect.booked_at(), None);
        }
    })
}

/// The first step of a transfer between shards, if that is the answer.
pub(crate) fn started(answer: &Answer) -> Option<&SagaStep> {
    match answer.outcome() {
        Some(Outcome::Event(Event::Saga(step))) if step.kind == StepKind::Started => Some(step),
        _ => None,
    }
}

fn accepted(answer: &Answer, step: &SagaStep) -> axum::http::Response<axum::body::Body> {
    let mut response = respond(answer, 202, |effect, out| {
        out.reserve(TRANSFER_BYTES);
        push_first(out, step, effect.booked_at());
    });
    let location = format!("/api/v1/transfers/{}", step.saga);
    if let (Some(_), Ok(location)) = (answer.entry(), HeaderValue::try_from(location)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// The first transfer of a saga as its first step tells it.
pub(crate) fn push_first(out: &mut Vec<u8>, step: &SagaStep, booked_at: Option<Timestamp>) {
    let ordered = step.order.as_ref().and_then(|order| order.transfers.first());
    if let (Some(ordered), Some(transferred)) = (ordered, step.transferred.first()) {
        push_started(out, ordered, transferred, booked_at);
    }
}

fn transferred_of(event: &ledger::event::Event) -> Option<&ledger::transfer::Transferred> {
    use ledger::event::Event;
    match event {
        Event::Transferred(transferred) => Some(transferred),
        Event::HoldCaptured(captured) => Some(&captured.transferred),
        _ => None,
    }
}

/// A transfer as it is now.
#[utoipa::path(get, path = "/api/v1/transfers/{transfer_id}", tag = "transfers",
    params(("transfer_id" = schema::Id, Path, description = "The transfer.")),
    responses((status = 200, description = "The transfer.", body = schema::answers::Transfer), schema::Errors))]
pub(crate) async fn read(call: Read) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let id: Option<TransferId> = call.path_id("transfer_id", &mut problems);
    let Some(id) = id else { return Err(problems.into_problem()) };
    problems.check()?;
    let view = call.app.bank().transfer(id).await?;
    let view = view.ok_or_else(|| Problem::not_found(Code::TransferNotFound, "transfer_id", id.number()))?;
    let mut out = Vec::with_capacity(TRANSFER_BYTES);
    push_details(&mut out, &view);
    Ok(json(200, out))
}

/// Transfers, newest first.
#[utoipa::path(get, path = "/api/v1/transfers", tag = "transfers",
    params(schema::parameters::Page, schema::parameters::TransferFilter),
    responses((status = 200, description = "A page of transfers.", body = schema::answers::Transfers), schema::Errors))]
pub(crate) async fn list(call: Read) -> Reply {
    let mut problems = Problems::none();
    let known =
        ["limit", "cursor", "account_id", "status", "older_than", "reference", "since", "until", "by", "metadata."];
    let parameters = call.parameters(&known, &mut problems);
    let account: Option<AccountId> = parameters.id("account_id", &mut problems);
    let statuses = ["succeeded", "pending", "failed"].map(|word| (word, word));
    let status = parameters.word("status", &statuses, &mut problems);
    let older_than = parameters.seconds("older_than", &mut problems);
    if older_than.is_some() && status != Some("pending") {
        problems.note(Problem::new(Code::Malformed, "`older_than` is about what is under way: add `status=pending`"));
    }
    let filter = parameters.filter(&mut problems);
    let asked = call.page(&parameters, LIMIT_DEFAULT, &mut problems);
    problems.check()?;
    let bank = call.app.bank();
    let mut query = TransferQuery { account, filter, before: None, limit: asked.limit };
    loop {
        let mut merged = if status == Some("pending") {
            // Without an age all of them: what another node began may be ahead of this node's clock.
            let until = older_than.map_or(Timestamp::MAX, |seconds| {
                let until = bank.now().microseconds().saturating_sub(seconds.saturating_mul(1_000_000));
                Timestamp::from_microseconds(until).unwrap_or(Timestamp::ZERO)
            });
            bank.pending_transfers(until, query.limit, asked.from.as_ref()).await?
        } else {
            bank.transfers(&query, asked.from.as_ref()).await?
        };
        merged.items.retain(|details| is_asked(details, status, &query));
        let next = asked.next(merged.next.as_ref());
        match bounded_page(&merged.items, next.as_deref(), push_details) {
            Ok(page) => return Ok(json(200, page)),
            Err(enough) => query.limit = enough,
        }
    }
}

/// What a list that was found otherwise still has to be compared with. A page may so be short and yet not be the last.
fn is_asked(details: &TransferDetails, status: Option<&str>, query: &TransferQuery) -> bool {
    let view = &details.view;
    let Some(transferred) = view.transfer.transferred() else { return false };
    let has_status = status.is_none_or(|status| status == status_word(view.status()));
    let names = |account| match view.ordered() {
        Some((_, ordered)) => ordered.legs.iter().any(|leg| leg.from == account || leg.to == account),
        None => true,
    };
    has_status
        && (status != Some("pending")
            || (query.account.is_none_or(names) && query.filter.passes(transferred, view.transfer.entry.header.time)))
}

/// Undoes a transfer by its opposite, once only.
#[utoipa::path(post, path = "/api/v1/transfers/{transfer_id}/reverse", tag = "transfers",
    params(("transfer_id" = schema::Id, Path, description = "The transfer."), schema::parameters::IdempotencyKey, schema::parameters::DryRun),
    request_body(content = Option<schema::requests::Reverse>),
    responses((status = 201, description = "The reversing transfer.", body = schema::answers::Transfer),
        (status = 202, description = "The reversing transfer, on its way between shards.", body = schema::answers::Transfer), schema::Errors))]
pub(crate) async fn reverse(call: Ask) -> Reply {
    let mut problems = Problems::none();
    let dry_run = call.parameters(&["dry_run"], &mut problems).dry_run(&mut problems);
    let key = call.required_key(dry_run, &mut problems);
    let id: Option<TransferId> = call.path_id("transfer_id", &mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    let [forced, reference, metadata] = fields(document.root(), ["forced", "reference", "metadata"], &mut problems);
    let forced = boolean("forced", forced, &mut problems).unwrap_or(false);
    if forced && call.caller.role != Role::Admin {
        problems.note(crate::auth::forbidden(Role::Admin));
    }
    let note = note(reference, metadata, &mut problems);
    let Some(transfer) = id else { return Err(problems.into_problem()) };
    problems.check()?;
    let fingerprint = fingerprint(&call.app, "POST /transfers/reverse", &[transfer.number()], document.root());
    let key = key.as_deref().map(|text| ClientKey { text, fingerprint });
    let command = Command::Reverse(Reverse { transfer, forced, note });
    let answer = call.app.bank().submit(&call.caller, key, command, dry_run).await?;
    Ok(transferred(&answer))
}

/// Asks for the money of a transfer between shards back. Whether that comes in time its status tells; of one that has
/// ended nothing changes.
#[utoipa::path(post, path = "/api/v1/transfers/{transfer_id}/cancel", tag = "transfers",
    params(("transfer_id" = schema::Id, Path, description = "The transfer.")),
    request_body(content = Option<schema::Nothing>),
    responses((status = 202, description = "The transfer as it is now.", body = schema::answers::Transfer), schema::Errors))]
pub(crate) async fn cancel(call: Ask) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let id: Option<TransferId> = call.path_id("transfer_id", &mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    let [] = fields(document.root(), [], &mut problems);
    let Some(id) = id else { return Err(problems.into_problem()) };
    problems.check()?;
    let bank = call.app.bank();
    bank.submit(&call.caller, None, Command::CancelSaga(id), false).await?; // not open: it ended, or there is none
    let details = bank.transfer(id).await?;
    let details = details.ok_or_else(|| Problem::not_found(Code::TransferNotFound, "transfer_id", id.number()))?;
    let mut out = Vec::with_capacity(TRANSFER_BYTES);
    push_details(&mut out, &details);
    Ok(json(202, out))
}

/// The id of the one transfer that an answer made.
///
/// # Errors
/// The rejection, or that the key was used for something else.
pub(crate) fn transfer_id(answer: &Answer) -> Result<Option<TransferId>, Problem> {
    let effect = effect(answer)?;
    let transferred = answer.outcome().map(transfers_of).and_then(<[_]>::first).ok_or_else(unexpected_event)?;
    Ok(effect.header.map(|_| transferred.id))
}

/// A problem as the answer, marked if it was given before.
pub(crate) fn problem_answer(problem: Problem, answer: &Answer) -> axum::http::Response<axum::body::Body> {
    marked(problem.into_response(), matches!(answer, Answer::Replayed(_)))
}
