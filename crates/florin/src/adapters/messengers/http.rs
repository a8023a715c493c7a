//! What providers over HTTP have in common: one client, bounded times and answers, and what a status means.

use super::names::NoAddress;
use super::public_address::NotPublic;
use crate::failure::Failure;
use bank::notification::outgoing::SendFailure;
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, ClientBuilder, RequestBuilder, Response, StatusCode};
use std::error::Error;
use std::time::Duration;

/// Most bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Longest `Retry-After` that is believed, in seconds.
const RETRY_AFTER_MAX_S: u64 = 3600;
const SECOND_US: u64 = 1_000_000;

/// A client's beginnings: no redirects, no proxies of the environment, and bounded times.
pub(super) fn client(timeout: Duration) -> ClientBuilder {
    Client::builder()
        .timeout(timeout)
        .connect_timeout(timeout)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent(concat!("florin/", env!("CARGO_PKG_VERSION")))
}

/// The client that was begun.
///
/// # Errors
/// A fault of the machine.
pub(super) fn build(builder: ClientBuilder) -> Result<Client, Failure> {
    builder.build().map_err(|error| {
        Failure::fault(format!("cannot make a client of HTTP: {error}"), "check this machine's certificates")
    })
}

/// An answer, read.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) retry_after_us: Option<u64>,
    pub(super) body: Vec<u8>,
}

/// Sends a request and reads its answer.
///
/// # Errors
/// The provider's failure, where there is none.
pub(super) async fn ask(request: RequestBuilder) -> Result<Answer, SendFailure> {
    let mut response = request.send().await.map_err(|error| failed(&error))?;
    let status = response.status();
    let retry_after_us = retry_after_us(&response);
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error))? {
        let room = ANSWER_BYTES_MAX - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == ANSWER_BYTES_MAX {
            break;
        }
    }
    Ok(Answer { status, retry_after_us, body })
}

/// Never what the library says: it may contain the address.
fn failed(error: &reqwest::Error) -> SendFailure {
    match () {
        () if error.is_timeout() => SendFailure::of_provider("timeout"),
        () if cause::<NotPublic>(error).is_some() => SendFailure::never("address_not_public"),
        // Says nothing of whoever was to be asked.
        () if cause(error) == Some(&NoAddress::Busy) => SendFailure::later("names_busy"),
        () if error.is_connect() => SendFailure::of_provider("cannot_connect"),
        () if error.is_builder() => SendFailure::never("address_invalid"),
        () => SendFailure::of_provider("connection_lost"),
    }
}

/// The error of this type that is behind it.
fn cause<E: Error + 'static>(error: &reqwest::Error) -> Option<&E> {
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(cause) = error.downcast_ref() {
            return Some(cause);
        }
        source = error.source();
    }
    None
}

/// Seconds; a date is taken for a minute, so that no clock has to agree with another.
fn retry_after_us(response: &Response) -> Option<u64> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().to_owned();
    let seconds = text.parse().unwrap_or(60u64);
    Some(seconds.min(RETRY_AFTER_MAX_S) * SECOND_US)
}

impl Answer {
    /// What an answer that is not a success means, by its status alone: 429 slow down, 5xx and the like later, others never.
    pub(super) fn failure(&self) -> SendFailure {
        let code = format!("http_{}", self.status.as_u16());
        let after_us = self.retry_after_us;
        match self.status.as_u16() {
            429 => SendFailure::SlowDown { code, after_us },
            // Asked to wait by a provider that is not well: as asked.
            503 if after_us.is_some() => SendFailure::SlowDown { code, after_us },
            408 | 425 | 500..=599 => SendFailure::of_provider(code),
            _ => SendFailure::never(code),
        }
    }
}
