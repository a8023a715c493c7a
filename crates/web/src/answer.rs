//! Turns what the bank answered into an HTTP answer.

use crate::App;
use crate::problem::{Code, Problem};
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use bank::error::BankError;
use ledger::event::{Event, Header, Outcome};
use ledger::time::Timestamp;
use store::Answer;

/// What every handler gives back.
pub(crate) type Reply = Result<Response<Body>, Problem>;

/// What took effect, as an answer tells it.
#[derive(Clone, Copy)]
pub(crate) struct Effect<'a> {
    /// What happened, or would.
    pub(crate) event: &'a Event,
    /// The header of its entry; none for a dry run.
    pub(crate) header: Option<&'a Header>,
}

impl Effect<'_> {
    /// When it was booked; none for a dry run.
    pub(crate) fn booked_at(&self) -> Option<Timestamp> {
        self.header.map(|header| header.time)
    }
}

/// What took effect.
///
/// # Errors
/// The rejection, or that the key was used for something else.
pub(crate) fn effect(answer: &Answer) -> Result<Effect<'_>, Problem> {
    let header = answer.entry().map(|entry| &entry.header);
    match answer.outcome() {
        None => Err(key_reused()),
        Some(Outcome::Rejection { rejection, .. }) => Err(Problem::from(rejection)),
        Some(Outcome::Event(event)) => Ok(Effect { event, header }),
    }
}

/// The key was used for something else.
pub(crate) fn key_reused() -> Problem {
    Problem::new(
        Code::IdempotencyKeyReused,
        "this idempotency key was used for something else; take a new one for something new",
    )
}

/// An answer that renders its effect, or its rejection; one that was given before says so.
pub(crate) fn respond(answer: &Answer, status: u16, write: impl FnOnce(Effect<'_>, &mut Vec<u8>)) -> Response<Body> {
    let response = match effect(answer) {
        Ok(effect) => {
            let mut out = Vec::with_capacity(1024);
            write(effect, &mut out);
            json(status, out)
        }
        Err(problem) => problem.into_response(),
    };
    marked(response, matches!(answer, Answer::Replayed(_)))
}

/// The answer, marked if it was given before.
pub(crate) fn marked(mut response: Response<Body>, is_replayed: bool) -> Response<Body> {
    if is_replayed {
        response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
    response
}

/// A JSON answer.
pub(crate) fn json(status: u16, body: Vec<u8>) -> Response<Body> {
    with_type(status, "application/json", Body::from(body))
}

/// An answer of this type.
pub(crate) fn with_type(status: u16, media_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// A JSON answer of a type that says itself how it is written.
pub(crate) fn serialised<T: serde::Serialize>(status: u16, value: &T) -> Reply {
    match serde_json::to_vec(value) {
        Ok(body) => Ok(json(status, body)),
        Err(error) => {
            Err(crate::problem::fault_problem(Code::Fault, &format!("an answer could not be written: {error}")))
        }
    }
}

/// An event of another kind than the command asked for: a broken promise between bank and web.
pub(crate) fn unexpected_event() -> Problem {
    crate::problem::fault_problem(Code::Fault, "the bank answered with an event of another kind than was asked for")
}

impl From<BankError> for Problem {
    fn from(error: BankError) -> Problem {
        match error {
            BankError::Fault(fault) => Problem::from(fault),
            BankError::Malformed { code, detail } | BankError::Refused { code, detail } => {
                let code = Code::ALL.iter().copied().find(|known| known.name() == code).unwrap_or(Code::Malformed);
                Problem::new(code, detail)
            }
            BankError::Forbidden { needs } => crate::auth::forbidden(needs),
            BankError::NotAvailableYet { .. } => Problem::new(Code::NotAvailableYet, error.to_string()),
        }
    }
}

/// The fingerprint of a request: the operation, the ids of its path, and what its body means.
pub(crate) fn fingerprint(app: &App, operation: &str, path: &[u64], value: crate::json::Value<'_>) -> u128 {
    let mut canonical = Vec::with_capacity(256);
    value.canonical(&mut canonical);
    app.bank().fingerprint(operation, path, &canonical)
}
