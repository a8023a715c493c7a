//! One request as handlers see it: who calls, what the path, the query and the headers say, and the whole body.
//!
//! What cannot be read at all (a body too large, or of another type) is answered here, before a handler runs; the rest
//! is noted among the problems of the request, so that the first in the contract's order wins.

use crate::App;
use crate::cursor::Cursors;
use crate::input::{Problems, check_key, key_missing, unknown_field};
use crate::problem::{Code, Problem};
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use bank::Caller;
use bank::read::Positions;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use ledger::ids::InvalidId;
use ledger::time::Timestamp;
use std::str::FromStr;
use std::sync::Arc;
use store::query::{Filter, PAGE_MAX, TimeAxis};
use tokio::sync::OwnedSemaphorePermit;

/// Largest body of one command.
pub(crate) const COMMAND_BYTES_MAX: usize = 64 * 1024;
/// Largest body of a batch.
pub(crate) const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bodies announced as this small need no room of their own.
const SMALL_BODY_BYTES_MAX: u64 = 1024 * 1024;
/// How much of a body too large is read before the answer.
const DISCARDED_BYTES_MAX: usize = 2 * BATCH_BYTES_MAX;
/// Items of a page unless asked otherwise.
pub(crate) const LIMIT_DEFAULT: usize = 50;

/// A request without a body of interest.
pub(crate) type Read = Call<0>;
/// A request with one command.
pub(crate) type Ask = Call<COMMAND_BYTES_MAX>;
/// A request with many.
pub(crate) type AskMany = Call<BATCH_BYTES_MAX>;

/// See the module. The bound is of the body in bytes; zero does not read it.
pub(crate) struct Call<const BODY_BYTES_MAX: usize> {
    /// The bank and what is around it.
    pub(crate) app: App,
    /// Who asks.
    pub(crate) caller: Arc<Caller>,
    /// The whole body.
    pub(crate) body: Bytes,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// Values of the path's parameters.
    path_values: Vec<(String, String)>,
    path: String,
    query: Option<String>,
}

impl<const BODY_BYTES_MAX: usize> FromRequest<App> for Call<BODY_BYTES_MAX> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let body = match BODY_BYTES_MAX {
            0 => Bytes::new(),
            bytes_max => read_body(app, &parts.headers, body, bytes_max).await?,
        };
        if !body.is_empty() {
            check_content_type(&parts.headers, 1024 * 1024 < BODY_BYTES_MAX)?;
        }
        let path_values = path_values(&mut parts, app).await?;
        let caller = parts.extensions.get::<Arc<Caller>>().cloned();
        Ok(Call {
            app: app.clone(),
            caller: caller.ok_or_else(|| Problem::new(Code::Unauthenticated, "present a token"))?,
            body,
            path_values,
            path: parts.uri.path().to_string(),
            query: parts.uri.query().map(str::to_string),
            headers: parts.headers,
        })
    }
}

async fn path_values(parts: &mut Parts, app: &App) -> Result<Vec<(String, String)>, Problem> {
    let values = RawPathParams::from_request_parts(parts, app).await;
    let values = values.map_err(|_| Problem::malformed("the path is not UTF-8"))?;
    Ok(values.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect())
}

/// Reads a whole body, as long as it comes in time and is not too large.
///
/// # Errors
/// `body_too_large`, or `malformed` when it breaks off or takes too long.
pub(crate) async fn read_body(app: &App, headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let reading = async {
        if announced.is_some_and(|length| bytes_max as u64 <= length && length != bytes_max as u64) {
            discard(body).await;
            return Err(too_large(bytes_max));
        }
        let _room = room(app, announced).await?;
        match Limited::new(body, bytes_max).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(too_large(bytes_max)),
            Err(_) => Err(Problem::malformed("the body broke off")),
        }
    };
    let read = tokio::time::timeout(app.settings().body_timeout, reading).await;
    read.unwrap_or_else(|_| Err(Problem::malformed("the body did not come in time")))
}

fn too_large(bytes_max: usize) -> Problem {
    Problem::new(Code::BodyTooLarge, format!("the body may have at most {bytes_max} bytes; split it"))
}

/// Reads on without keeping anything, so that a client that sends before it listens hears why it was turned away.
async fn discard(mut body: Body) {
    let mut rest = DISCARDED_BYTES_MAX;
    while let Some(Ok(frame)) = body.frame().await {
        rest = rest.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        if rest == 0 {
            return;
        }
    }
}

/// Only so many large bodies are in memory at a time; small ones are bounded by the number of requests.
async fn room(app: &App, announced: Option<u64>) -> Result<Option<OwnedSemaphorePermit>, Problem> {
    if announced.is_some_and(|length| length <= SMALL_BODY_BYTES_MAX) {
        return Ok(None);
    }
    let stopping = |_| Problem::new(Code::Unavailable, "the bank is stopping; retry in a moment");
    app.large_bodies().clone().acquire_owned().await.map(Some).map_err(stopping)
}

/// The type of a body, without its parameters.
pub(crate) fn content_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?;
    let essence = value.to_str().unwrap_or("?").split(';').next().unwrap_or("?");
    Some(essence.trim().to_ascii_lowercase())
}

/// A body that does not say what it is counts as JSON.
fn check_content_type(headers: &HeaderMap, rows_are_welcome: bool) -> Result<(), Problem> {
    match content_type(headers).as_deref() {
        None | Some("application/json") => Ok(()),
        Some(crate::rows::MEDIA_TYPE) if rows_are_welcome => Ok(()),
        Some(_) => Err(Problem::new(Code::UnsupportedMediaType, "send JSON, with `content-type: application/json`")),
    }
}

/// The part of a list that is asked for.
pub(crate) struct PageAsked {
    /// How many items.
    pub(crate) limit: usize,
    /// Where to go on; `None` starts with the newest.
    pub(crate) from: Option<Positions>,
    scope: String,
    cursors: Cursors,
}

impl PageAsked {
    /// The single position of a list that one shard gives.
    pub(crate) fn before(&self) -> Option<u64> {
        self.from.as_ref().and_then(|positions| positions.first().copied().flatten())
    }

    /// The cursor of the next page.
    pub(crate) fn next(&self, positions: Option<&Positions>) -> Option<String> {
        positions.map(|positions| self.cursors.write(&self.scope, positions))
    }

    /// The cursor of the next page of a list that one shard gives.
    pub(crate) fn next_before(&self, next: Option<u64>) -> Option<String> {
        next.map(|next| self.cursors.write(&self.scope, &[Some(next)]))
    }
}

/// The parameters of a query, each at most once, all of them known.
pub(crate) struct Parameters {
    values: Vec<(String, String)>,
}

impl Parameters {
    /// The value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A time.
    pub(crate) fn time(&self, name: &str, problems: &mut Problems) -> Option<Timestamp> {
        let text = self.get(name)?;
        // In a query `+` means a space unless it is written as %2B, which people forget in offsets.
        let read = text.parse().or_else(|_| text.replace(' ', "+").parse());
        problems.keep(read.map_err(|error| Problem::malformed(format!("`{name}`: {error}"))))
    }

    /// An id.
    pub(crate) fn id<T: FromStr<Err = InvalidId>>(&self, name: &str, problems: &mut Problems) -> Option<T> {
        problems.keep(self.get(name)?.parse().map_err(|error| Problem::invalid_id(name, error)))
    }

    /// A whole number.
    pub(crate) fn number(&self, name: &str, problems: &mut Problems) -> Option<u64> {
        let text = self.get(name)?;
        let is_plain = (1..=19).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number: &u64| is_plain && number >> 63 == 0);
        problems.keep(number.ok_or_else(|| Problem::malformed(format!("`{name}` must be a whole number"))))
    }

    /// One of some words.
    pub(crate) fn word<T: Copy>(&self, name: &str, words: &[(&str, T)], problems: &mut Problems) -> Option<T> {
        let text = self.get(name)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        let words = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        problems.keep(found.ok_or_else(|| Problem::malformed(format!("`{name}` must be one of {}", words()))))
    }

    /// Whether nothing is to happen.
    pub(crate) fn dry_run(&self, problems: &mut Problems) -> bool {
        self.word("dry_run", &[("true", true), ("false", false)], problems).unwrap_or(false)
    }

    /// The conditions on postings and transfers.
    pub(crate) fn filter(&self, problems: &mut Problems) -> Filter {
        let metadata = self.values.iter().filter_map(|(name, value)| Some((name.strip_prefix(METADATA)?, value)));
        Filter {
            since: self.time("since", problems),
            until: self.time("until", problems),
            axis: self.axis(problems),
            reference: self.get("reference").map(str::to_string),
            metadata: metadata.map(|(key, value)| (key.to_string(), value.clone())).collect(),
        }
    }

    /// Which time counts.
    pub(crate) fn axis(&self, problems: &mut Problems) -> TimeAxis {
        let axes = [("booking", TimeAxis::Booking), ("effective", TimeAxis::Effective)];
        self.word("by", &axes, problems).unwrap_or_default()
    }
}

const METADATA: &str = "metadata.";

impl<const BODY_BYTES_MAX: usize> Call<BODY_BYTES_MAX> {
    /// The id at this place of the path.
    pub(crate) fn path_id<T: FromStr<Err = InvalidId>>(&self, name: &str, problems: &mut Problems) -> Option<T> {
        let text = self.path_value(name);
        problems.keep(text.parse().map_err(|error| Problem::invalid_id(name, error)))
    }

    /// The text at this place of the path.
    pub(crate) fn path_value(&self, name: &str) -> &str {
        self.path_values.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The query's parameters. Known are these names, and `metadata.KEY` if `metadata.` is among them.
    pub(crate) fn parameters(&self, known: &[&str], problems: &mut Problems) -> Parameters {
        let mut values: Vec<(String, String)> = Vec::new();
        for pair in self.query.as_deref().unwrap_or("").split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (percent_decoded(name), percent_decoded(value)) else {
                problems.note(Problem::malformed("the query is not percent-encoded UTF-8"));
                continue;
            };
            let is_metadata = METADATA.len() < name.len() && name.starts_with(METADATA) && known.contains(&METADATA);
            if !is_metadata && (!known.contains(&name.as_str()) || name == METADATA) {
                problems.note(unknown_field(&name, known));
            } else if values.iter().any(|(other, _)| *other == name) {
                problems.note(Problem::malformed(format!("the query names `{name}` twice")));
            } else {
                values.push((name, value));
            }
        }
        Parameters { values }
    }

    /// The part of a list that the parameters `limit` and `cursor` ask for.
    pub(crate) fn page(&self, parameters: &Parameters, limit_default: usize, problems: &mut Problems) -> PageAsked {
        let mut filters: Vec<_> =
            parameters.values.iter().filter(|(name, _)| name != "limit" && name != "cursor").collect();
        filters.sort();
        let scope = format!("{}?{filters:?}", self.path);
        let cursors = self.app.cursors().clone();
        let limit = match parameters.number("limit", problems).map(usize::try_from) {
            None => limit_default,
            Some(Ok(limit)) if (1..=PAGE_MAX).contains(&limit) => limit,
            Some(_) => {
                problems.note(Problem::malformed(format!("`limit` must be between 1 and {PAGE_MAX}")));
                limit_default
            }
        };
        let from = parameters.get("cursor").and_then(|cursor| problems.keep(cursors.read(&scope, cursor)));
        PageAsked { limit, from, scope, cursors }
    }

    /// The header `Idempotency-Key`.
    pub(crate) fn key(&self, problems: &mut Problems) -> Option<String> {
        let mut sent = self.headers.get_all("idempotency-key").iter();
        let key = sent.next()?;
        if sent.next().is_some() {
            problems.note(Problem::new(Code::IdempotencyKeyInvalid, "send one idempotency key, not several"));
            return None;
        }
        problems.keep(check_key(key.as_bytes()))?;
        key.to_str().ok().map(str::to_string)
    }

    /// The header `Idempotency-Key`, which is needed unless nothing is to happen.
    pub(crate) fn required_key(&self, dry_run: bool, problems: &mut Problems) -> Option<String> {
        if !dry_run && !self.headers.contains_key("idempotency-key") {
            problems.note(key_missing());
        }
        self.key(problems)
    }
}

/// A part of a query, decoded; `None` if it is no percent-encoded UTF-8.
fn percent_decoded(text: &str) -> Option<String> {
    if !text.contains(['%', '+']) {
        return Some(text.to_string());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = rest.get(..2)?;
                let digit = |at: usize| char::from(digits[at]).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                bytes.push(digit(0)? * 16 + digit(1)?);
                rest = &rest[2..];
            }
            byte => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_percent_decoded() {
        assert_eq!(percent_decoded("a%2Bb+c%C5%BE").as_deref(), Some("a+b cž"));
        for broken in ["%", "%4", "%zz", "%ff", "%+1"] {
            assert_eq!(percent_decoded(broken), None, "{broken}");
        }
    }
}
