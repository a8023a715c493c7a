//! One request as handlers see it: who calls, what the path, the query and the headers say, and the whole body.
//!
//! What cannot be read at all (a body too large, or of another type) is answered here, before a handler runs; the rest
//! is noted among the problems of the request, so that the first in the contract's order wins.

use crate::App;
use crate::body::{WholeBody, read_body};
use crate::cursor::Cursors;
use crate::idle::Activity;
use crate::input::{Problems, check_key, key_missing, unknown_field};
use crate::problem::{Code, Problem};
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, header};
use bank::Caller;
use bank::read::Positions;
use ledger::ids::InvalidId;
use ledger::time::Timestamp;
use std::str::FromStr;
use std::sync::Arc;
use store::query::{Filter, PAGE_MAX, TimeAxis};

/// Largest body of one command.
pub(crate) const COMMAND_BYTES_MAX: usize = 64 * 1024;
/// Largest body of a batch.
pub(crate) const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;
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
    pub(crate) body: WholeBody,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The connection it came over; none without a server.
    pub(crate) activity: Option<Arc<Activity>>,
    /// Values of the path's parameters.
    path_values: Vec<(String, String)>,
    path: String,
    query: Option<String>,
    /// The name by which the client reached the bank.
    host: Option<String>,
}

impl<const BODY_BYTES_MAX: usize> FromRequest<App> for Call<BODY_BYTES_MAX> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let body = match BODY_BYTES_MAX {
            0 => WholeBody::empty(),
            bytes_max => read_body(app, &parts.headers, body, bytes_max).await?,
        };
        if !body.is_empty() {
            check_content_type(&parts.headers, 1024 * 1024 < BODY_BYTES_MAX)?;
        }
        let path_values = path_values(&mut parts, app).await?;
        let caller = parts.extensions.get::<Arc<Caller>>().cloned();
        // HTTP/2 has it in the address of what is asked for.
        let in_header = || parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = parts.uri.authority().map(Authority::as_str).or_else(in_header).map(str::to_string);
        Ok(Call {
            host,
            app: app.clone(),
            activity: parts.extensions.get().cloned(),
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

    /// A whole number of seconds.
    pub(crate) fn seconds(&self, name: &str, problems: &mut Problems) -> Option<u64> {
        let text = self.get(name)?;
        let read = text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()) && text.len() <= 9);
        problems.keep(read.ok_or_else(|| Problem::malformed(format!("`{name}` must be a whole number of seconds"))))
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

    /// The name by which the client reached the bank, with the port.
    pub(crate) fn host(&self) -> Option<&str> {
        self.host.as_deref()
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
