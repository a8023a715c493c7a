//! Events that come in: one CloudEvent, a list of them, or a stream of lines without an end.
//!
//! A stream is read as fast as events are taken, never faster, and never held as a whole: what is read is submitted
//! before more is read.

use crate::App;
use crate::answer::{Reply, serialised};
use crate::body::read_body;
use crate::call::{BATCH_BYTES_MAX, COMMAND_BYTES_MAX, content_type};
use crate::json::{Document, Kind};
use crate::problem::{Code, Problem};
use crate::schema;
use axum::body::Body;
use axum::extract::{Request, State};
use bank::Caller;
use bank::ingest::{EventCounts, EventOutcome, EventResult};
use bank::line::Lines;
use http_body_util::BodyExt;
use std::sync::Arc;
use std::time::Duration;

/// Where events come in.
pub(crate) const PATH: &str = "/api/v1/events";
/// Events of one submission.
const EVENTS_PER_SUBMISSION_MAX: usize = 4096;
/// Bytes of lines that are gathered before they are submitted.
const GATHERED_BYTES_MAX: usize = 1024 * 1024;
/// How long a stream may say nothing.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Most results that a stream's answer lists; the counts are of all.
const RESULTS_MAX: usize = 100_000;

/// Takes events.
#[utoipa::path(post, path = "/api/v1/events", tag = "events",
    request_body(content(
        (schema::requests::CloudEvent = "application/cloudevents+json"),
        (Vec<schema::requests::CloudEvent> = "application/cloudevents-batch+json"),
        (String = "application/x-ndjson"),
    )),
    responses((status = 200, description = "What became of them.", body = schema::answers::EventResults), schema::Errors))]
pub(crate) async fn ingest(State(app): State<App>, request: Request) -> Reply {
    let (parts, body) = request.into_parts();
    let caller = parts.extensions.get::<Arc<Caller>>().cloned();
    let caller = caller.ok_or_else(|| Problem::new(Code::Unauthenticated, "present a token"))?;
    if parts.uri.query().is_some_and(|query| !query.is_empty()) {
        return Err(crate::input::unknown_field("query", &[]));
    }
    match content_type(&parts.headers).as_deref() {
        Some("application/cloudevents+json") => {
            let body = read_body(&app, &parts.headers, body, COMMAND_BYTES_MAX).await?;
            Document::read(&body).map_err(|error| not_json(&error))?;
            let mut taken = Taken::default();
            taken.take(&app, &caller, &[&body[..]], true).await?;
            taken.reply()
        }
        Some("application/cloudevents-batch+json") => {
            let body = read_body(&app, &parts.headers, body, BATCH_BYTES_MAX).await?;
            list(&app, &caller, &body).await
        }
        Some("application/x-ndjson") => stream(&app, &caller, body).await,
        _ => Err(Problem::new(
            Code::UnsupportedMediaType,
            "send application/cloudevents+json, application/cloudevents-batch+json or application/x-ndjson",
        )),
    }
}

fn not_json(error: &crate::json::NotJson) -> Problem {
    Problem::malformed(format!("the body is not JSON: {} at byte {}", error.reason, error.at))
}

async fn list(app: &App, caller: &Arc<Caller>, body: &[u8]) -> Reply {
    let document = Document::read(body).map_err(|error| not_json(&error))?;
    if document.root().kind() != Kind::Array {
        return Err(Problem::malformed("a JSON list of events was expected"));
    }
    let events: Vec<&[u8]> = document.root().items().map(|event| event.raw().as_bytes()).collect();
    let mut taken = Taken::default();
    for events in events.chunks(EVENTS_PER_SUBMISSION_MAX) {
        taken.take(app, caller, events, true).await?;
    }
    taken.reply()
}

async fn stream(app: &App, caller: &Arc<Caller>, mut body: Body) -> Reply {
    let mut taken = Taken::default();
    let mut splitter = Lines::default();
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let mut gathered_bytes = 0;
    loop {
        let frame = tokio::time::timeout(SILENCE_MAX, body.frame()).await;
        let frame = frame.map_err(|_| {
            Problem::malformed("the stream was silent for too long; send it again from where it stopped")
        })?;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|_| {
            Problem::malformed("the stream broke off; send it again, what was taken counts as replayed")
        })?;
        let Ok(bytes) = frame.into_data() else { continue };
        gathered_bytes += bytes.len();
        splitter.push(&bytes, &mut lines);
        if EVENTS_PER_SUBMISSION_MAX <= lines.len() || GATHERED_BYTES_MAX <= gathered_bytes {
            taken.take(app, caller, &lines, false).await?;
            lines.clear();
            gathered_bytes = 0;
        }
    }
    lines.extend(splitter.finish());
    taken.take(app, caller, &lines, false).await?;
    taken.reply()
}

/// What became of the events so far.
#[derive(Default)]
struct Taken {
    counts: EventCounts,
    results: Vec<schema::answers::EventResult>,
}

impl Taken {
    async fn take<E: AsRef<[u8]> + Sync>(
        &mut self,
        app: &App,
        caller: &Caller,
        events: &[E],
        lists_all: bool,
    ) -> Result<(), Problem> {
        for events in events.chunks(EVENTS_PER_SUBMISSION_MAX) {
            for result in app.bank().ingest(caller, events).await? {
                self.counts.add(&result);
                let is_dead = matches!(result.outcome, EventOutcome::DeadLettered { .. });
                if lists_all || (is_dead && self.results.len() < RESULTS_MAX) {
                    self.results.push(shown(result));
                }
            }
        }
        Ok(())
    }

    fn reply(self) -> Reply {
        let EventCounts { accepted, replayed, dead_lettered } = self.counts;
        serialised(200, &schema::answers::EventResults { accepted, replayed, dead_lettered, results: self.results })
    }
}

fn shown(result: EventResult) -> schema::answers::EventResult {
    let id = result.id.map(String::from);
    let of = |status: &str| schema::answers::EventResult {
        id: id.clone(),
        status: status.to_string(),
        transfer_id: None,
        code: None,
    };
    match result.outcome {
        EventOutcome::Accepted { transfer } => {
            schema::answers::EventResult { transfer_id: transfer.map(|id| id.to_string()), ..of("accepted") }
        }
        EventOutcome::Replayed { transfer } => {
            schema::answers::EventResult { transfer_id: transfer.map(|id| id.to_string()), ..of("replayed") }
        }
        EventOutcome::DeadLettered { code, .. } => {
            schema::answers::EventResult { code: Some(code.into()), ..of("dead_lettered") }
        }
    }
}
