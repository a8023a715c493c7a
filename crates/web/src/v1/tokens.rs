//! API tokens: who may ask for what.

use crate::answer::{Reply, effect, fingerprint, marked, serialised, unexpected_event};
use crate::call::{Ask, Read};
use crate::input::{NAME_BYTES_MAX, Problems, document, fields, short_string, time, word};
use crate::problem::Problem;
use crate::schema;
use axum::body::Body;
use axum::http::{Response, StatusCode};
use bank::submit::ClientKey;
use bank::token::NewToken;
use ledger::event::Event;
use ledger::ids::TokenId;
use ledger::token::{Role, Token};
use store::Answer;

/// Makes a token. It is shown in this answer and never again.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", params(schema::parameters::OptionalIdempotencyKey),
    request_body = schema::requests::NewToken,
    responses((status = 201, description = "The token with its text.", body = schema::answers::TokenShown), schema::Errors))]
pub(crate) async fn create(call: Ask) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let key = call.key(&mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    let [name, role, expires_at] = fields(document.root(), ["name", "role", "expires_at"], &mut problems);
    problems.required("name", name);
    problems.required("role", role);
    let name = short_string("name", name, NAME_BYTES_MAX, &mut problems);
    let roles = Role::ALL.map(|role| (role.name(), role));
    let role = word("role", role, &roles, &mut problems);
    let expires_at = time("expires_at", expires_at, &mut problems);
    if name.as_deref() == Some("") {
        problems.note(Problem::malformed("`name` must not be empty"));
    }
    let (Some(name), Some(role)) = (name, role) else { return Err(problems.into_problem()) };
    problems.check()?;
    let fingerprint = fingerprint(&call.app, "POST /tokens", &[], document.root());
    let key = key.as_deref().map(|text| ClientKey { text, fingerprint });
    let new = NewToken { name: name.into_owned(), role, expires_at };
    let (answer, text) = call.app.bank().create_token(&call.caller, key, &new).await?;
    let token = match effect(&answer) {
        Ok(effect) => match effect.event {
            Event::TokenChanged(token) => shown(token),
            _ => return Err(unexpected_event()),
        },
        Err(problem) => return Ok(super::transfers::problem_answer(problem, &answer)),
    };
    let body = schema::answers::TokenShown { metadata: token, token: text.as_str().to_string() };
    Ok(marked(serialised(201, &body)?, matches!(answer, Answer::Replayed(_))))
}

fn shown(token: &Token) -> schema::answers::Token {
    schema::answers::Token {
        token_id: token.id.to_string(),
        name: token.name.to_string(),
        role: token.role.name().to_string(),
        created_at: token.created_at.to_string(),
        expires_at: token.expires_at.map(|time| time.to_string()),
        revoked: token.revoked,
    }
}

/// All tokens, newest first, without their texts.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens",
    responses((status = 200, description = "The tokens.", body = schema::answers::Tokens), schema::Errors))]
pub(crate) async fn list(call: Read) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    problems.check()?;
    let tokens = call.app.bank().tokens(&call.caller).await?;
    serialised(200, &schema::answers::Tokens { items: tokens.iter().map(shown).collect(), next_cursor: None })
}

/// Ends a token. Doing it twice is the same as once.
#[utoipa::path(delete, path = "/api/v1/tokens/{token_id}", tag = "tokens",
    params(("token_id" = schema::Id, Path, description = "The token."), schema::parameters::OptionalIdempotencyKey),
    responses((status = 204, description = "The token is no longer valid."), schema::Errors))]
pub(crate) async fn revoke(call: Read) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let key = call.key(&mut problems);
    let id: Option<TokenId> = call.path_id("token_id", &mut problems);
    let Some(id) = id else { return Err(problems.into_problem()) };
    problems.check()?;
    let fingerprint = call.app.bank().fingerprint("DELETE /tokens", &[id.number()], b"");
    let key = key.as_deref().map(|text| ClientKey { text, fingerprint });
    let answer = call.app.bank().revoke_token(&call.caller, key, id).await?;
    if let Err(problem) = effect(&answer) {
        return Ok(super::transfers::problem_answer(problem, &answer));
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(marked(response, matches!(answer, Answer::Replayed(_))))
}
