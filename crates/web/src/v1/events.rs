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

/// Where events come in.
pub(crate) const PATH: &str = "/api/v1/events";
/// Events of one submission.
const EVENTS_PER_SUBMISSION_MAX: usize = 4096;
/// Bytes of lines that are gathered before they are submitted.
const GATHERED_BYTES_MAX: usize = 1024 * 1024;
/// Most results that a stream's answer lists, and most bytes of their ids; the counts are of all.
const RESULTS_MAX: usize = 100_000;
const RESULT_ID_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most events of a list, each of which has a result in the answer.
const EVENTS_MAX: usize = 100_000;

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
    if EVENTS_MAX < events.len() {
        let detail = format!("a list may have at most {EVENTS_MAX} events; split it, or send a stream");
        return Err(Problem::new(Code::BodyTooLarge, detail));
    }
    let mut taken = Taken::default();
    for events in events.chunks(EVENTS_PER_SUBMISSION_MAX) {
        taken.take(app, caller, events, true).await?;
    }
    taken.reply()
}

async fn stream(app: &App, caller: &Arc<Caller>, body: Body) -> Reply {
    let mut taken = Taken::default();
    let mut stream = Stream { body, splitter: Lines::default(), lines: Vec::new(), gathered_bytes: 0, is_whole: false };
    while !stream.is_whole {
        let progress = tokio::time::timeout(app.settings().stream_progress_timeout, stream.progress()).await;
        progress.map_err(|_| {
            Problem::malformed(
                "the stream brought no line for too long; send it again, what was taken counts as replayed",
            )
        })??;
        if EVENTS_PER_SUBMISSION_MAX <= stream.lines.len() || GATHERED_BYTES_MAX <= stream.gathered_bytes {
            taken.take(app, caller, &stream.lines, false).await?;
            stream.lines.clear();
            stream.gathered_bytes = 0;
        }
    }
    stream.lines.extend(stream.splitter.finish());
    taken.take(app, caller, &stream.lines, false).await?;
    taken.reply()
}

/// A stream of which a part has come.
struct Stream {
    body: Body,
    splitter: Lines,
    /// Lines that were not submitted yet.
    lines: Vec<Vec<u8>>,
    gathered_bytes: usize,
    is_whole: bool,
}

impl Stream {
    /// Reads until a line is whole, until as many bytes came as a line may have, or until the end. Bytes alone are no
    /// progress, or whoever sends one a minute could keep a request for ever and do nothing.
    async fn progress(&mut self) -> Result<(), Problem> {
        let (lines, mut bytes) = (self.lines.len(), 0);
        while self.lines.len() == lines && bytes < COMMAND_BYTES_MAX {
            let Some(frame) = self.body.frame().await else {
                self.is_whole = true;
                return Ok(());
            };
            let frame = frame.map_err(|_| {
                Problem::malformed("the stream broke off; send it again, what was taken counts as replayed")
            })?;
            let Ok(data) = frame.into_data() else { continue };
            bytes += data.len();
            self.gathered_bytes += data.len();
            self.splitter.push(&data, &mut self.lines);
        }
        Ok(())
    }
}

/// What became of the events so far.
#[derive(Default)]
struct Taken {
    counts: EventCounts,
    results: Vec<schema::answers::EventResult>,
    id_bytes: usize,
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
                let has_room = self.results.len() < RESULTS_MAX && self.id_bytes < RESULT_ID_BYTES_MAX;
                if lists_all || (is_dead && has_room) {
                    self.id_bytes += result.id.as_ref().map_or(0, |id| id.len());
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
