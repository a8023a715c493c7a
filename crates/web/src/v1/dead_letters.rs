//! Dead letters: the operator's queue of what failed for good.

use crate::App;
use crate::answer::{Reply, effect, fingerprint, marked, serialised, unexpected_event};
use crate::call::{Ask, LIMIT_DEFAULT, Read};
use crate::input::{Problems, document, fields, short_string};
use crate::problem::{Code, Problem};
use crate::schema;
use bank::dead_letter::LetterView;
use bank::submit::ClientKey;
use ledger::dead_letter::DeadLetterStatus;
use ledger::event::Event;
use ledger::ids::DeadLetterId;
use serde_json::value::RawValue;
use store::Answer;

/// Longest reason of a discard in bytes.
const REASON_BYTES_MAX: usize = 512;

/// Dead letters, newest first.
#[utoipa::path(get, path = "/api/v1/dead-letters", tag = "dead letters", params(schema::parameters::Page, schema::parameters::DeadLetterFilter),
    responses((status = 200, description = "A page of dead letters.", body = schema::answers::DeadLetters), schema::Errors))]
pub(crate) async fn list(call: Read) -> Reply {
    let mut problems = Problems::none();
    let parameters = call.parameters(&["limit", "cursor", "status"], &mut problems);
    let statuses = [DeadLetterStatus::Waiting, DeadLetterStatus::Redriven, DeadLetterStatus::Discarded];
    let status = parameters.word("status", &statuses.map(|status| (status.name(), status)), &mut problems);
    let asked = call.page(&parameters, LIMIT_DEFAULT, &mut problems);
    problems.check()?;
    let merged = call.app.bank().dead_letters(status, asked.limit, asked.from.as_ref()).await?;
    let next_cursor = asked.next(merged.next.as_ref());
    serialised(200, &schema::answers::DeadLetters { items: merged.items.into_iter().map(shown).collect(), next_cursor })
}

fn shown(view: LetterView) -> schema::answers::DeadLetter {
    let letter = view.letter;
    schema::answers::DeadLetter {
        dead_letter_id: letter.id.to_string(),
        code: letter.code.to_string(),
        detail: letter.detail.to_string(),
        event: view.event,
        received_at: letter.received_at.to_string(),
        attempts: letter.attempts,
        status: letter.status.name().to_string(),
    }
}

/// A dead letter as it is now.
#[utoipa::path(get, path = "/api/v1/dead-letters/{dead_letter_id}", tag = "dead letters",
    params(("dead_letter_id" = schema::Id, Path, description = "The dead letter.")),
    responses((status = 200, description = "The dead letter.", body = schema::answers::DeadLetter), schema::Errors))]
pub(crate) async fn read(call: Read) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let id: Option<DeadLetterId> = call.path_id("dead_letter_id", &mut problems);
    let Some(id) = id else { return Err(problems.into_problem()) };
    problems.check()?;
    let view = call.app.bank().dead_letter(id).await?;
    let view = view.ok_or_else(|| Problem::not_found(Code::DeadLetterNotFound, "dead_letter_id", id.number()))?;
    serialised(200, &shown(view))
}

async fn letter_answer(app: &App, answer: &Answer) -> Reply {
    let effect = match effect(answer) {
        Ok(effect) => effect,
        Err(problem) => return Ok(super::transfers::problem_answer(problem, answer)),
    };
    let Event::DeadLetterChanged(changed) = effect.event else { return Err(unexpected_event()) };
    let view = app.bank().view_letter(&changed.dead_letter).await?;
    Ok(marked(serialised(200, &shown(view))?, matches!(answer, Answer::Replayed(_))))
}

/// Submits a dead letter anew, with other data if there is any.
#[utoipa::path(post, path = "/api/v1/dead-letters/{dead_letter_id}/redrive", tag = "dead letters",
    params(("dead_letter_id" = schema::Id, Path, description = "The dead letter."), schema::parameters::OptionalIdempotencyKey),
    request_body(content = Option<schema::requests::Redrive>),
    responses((status = 200, description = "The dead letter as it then is.", body = schema::answers::DeadLetter), schema::Errors))]
pub(crate) async fn redrive(call: Ask) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let key = call.key(&mut problems);
    let id: Option<DeadLetterId> = call.path_id("dead_letter_id", &mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    let [data] = fields(document.root(), ["data"], &mut problems);
    let raw = data.map(|value| serde_json::from_str::<&RawValue>(value.raw()));
    let data = raw.transpose().map_err(|_| Problem::malformed("`data` is not JSON"));
    let data = problems.keep(data).flatten();
    let Some(id) = id else { return Err(problems.into_problem()) };
    problems.check()?;
    let fingerprint = fingerprint(&call.app, "POST /dead-letters/redrive", &[id.number()], document.root());
    let key = key.as_deref().map(|text| ClientKey { text, fingerprint });
    let answer = call.app.bank().redrive(&call.caller, key, id, data).await?;
    letter_answer(&call.app, &answer).await
}

/// Decides that a dead letter shall never take effect.
#[utoipa::path(post, path = "/api/v1/dead-letters/{dead_letter_id}/discard", tag = "dead letters",
    params(("dead_letter_id" = schema::Id, Path, description = "The dead letter."), schema::parameters::OptionalIdempotencyKey),
    request_body = schema::requests::Discard,
    responses((status = 200, description = "The dead letter as it then is.", body = schema::answers::DeadLetter), schema::Errors))]
pub(crate) async fn discard(call: Ask) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let key = call.key(&mut problems);
    let id: Option<DeadLetterId> = call.path_id("dead_letter_id", &mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    let [reason] = fields(document.root(), ["reason"], &mut problems);
    problems.required("reason", reason);
    let reason = short_string("reason", reason, REASON_BYTES_MAX, &mut problems);
    let (Some(id), Some(reason)) = (id, reason) else { return Err(problems.into_problem()) };
    problems.check()?;
    let fingerprint = fingerprint(&call.app, "POST /dead-letters/discard", &[id.number()], document.root());
    let key = key.as_deref().map(|text| ClientKey { text, fingerprint });
    let answer = call.app.bank().discard(&call.caller, key, id, &reason).await?;
    letter_answer(&call.app, &answer).await
}
