//! Streams of what happens to an account or a transfer, as server-sent events (HTML Living Standard, section 9.2).
//!
//! A stream says first how things are, and then what becomes of them, in order and without gaps: it looks at the account or
//! the transfer itself whenever that may have changed, and tells what it has not told yet. Whoever comes back with
//! `Last-Event-ID`, at whatever node, is told what happened since.

use crate::answer::{Reply, with_type};
use crate::call::{Call, Read};
use crate::idle::Running;
use crate::input::Problems;
use crate::nudges::Watcher;
use crate::problem::{Code, Problem};
use crate::render::{push_account, push_details, push_posting, status_word};
use crate::v1::accounts::find;
use crate::{App, schema};
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use bank::read::TransferDetails;
use bank::subjects::Subject;
use hyper::body::Frame;
use ledger::ids::{AccountId, TransferId};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use store::Fault;
use store::query::{Filter, PAGE_MAX, PostingQuery, PostingRow, TransferStatus};
use tokio::sync::mpsc;

/// How often a stream says that it is there.
const BEAT: Duration = Duration::from_secs(15);
/// Pieces that a client may be behind with before its stream waits for it.
const PIECES_MAX: usize = 4;
/// Most postings that a stream makes up for; whoever missed more is told to read the account anew.
const MISSED_MAX: usize = 10_000;
/// Bytes of events that are gathered before they are sent.
const PIECE_BYTES: usize = 16 * 1024;

/// What happens to an account: `posting` for each posting, its version as the id, and `account` whenever the account is
/// different, which is also the first event. `reset` in place of more postings than a stream makes up for.
#[utoipa::path(get, path = "/api/v1/accounts/{account_id}/events", tag = "accounts",
    params(("account_id" = schema::Id, Path, description = "The account."),
        ("last-event-id" = Option<String>, Header, description = "The last version that was heard of.")),
    responses((status = 200, description = "Server-sent events, without an end.", content_type = "text/event-stream"), schema::Errors))]
pub(crate) async fn of_account(call: Read) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let id: Option<AccountId> = call.path_id("account_id", &mut problems);
    let heard = problems.keep(last_heard(&call)).flatten();
    let Some(account) = id else { return Err(problems.into_problem()) };
    problems.check()?;
    let watcher = call.app.nudges().watch(call.app.bank(), Subject::Account(account));
    let found = find(&call.app, account).await?;
    if heard.is_some_and(|heard| found.version < heard) {
        return Err(Problem::malformed("`Last-Event-ID` is a version that the account does not have yet"));
    }
    let stream = AccountStream { app: call.app.clone(), account, version: heard.unwrap_or(found.version), revision: 0 };
    Ok(stream_of(&call, watcher, Stream::Account(stream)))
}

/// What becomes of a transfer: `pending` while it is on its way between shards, then `succeeded` or `failed`, after which
/// the stream ends. Asked again by whoever has heard that: 204.
#[utoipa::path(get, path = "/api/v1/transfers/{transfer_id}/events", tag = "transfers",
    params(("transfer_id" = schema::Id, Path, description = "The transfer."),
        ("last-event-id" = Option<String>, Header, description = "The last event that was heard of.")),
    responses((status = 200, description = "Server-sent events.", content_type = "text/event-stream"),
        (status = 204, description = "There is nothing more to hear."), schema::Errors))]
pub(crate) async fn of_transfer(call: Read) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let id: Option<TransferId> = call.path_id("transfer_id", &mut problems);
    let heard = problems.keep(last_heard(&call)).flatten().unwrap_or(0);
    let Some(transfer) = id else { return Err(problems.into_problem()) };
    problems.check()?;
    let details = details(&call.app, transfer).await?;
    if FINAL <= heard {
        return Ok(with_type(204, "text/event-stream", Body::empty()));
    }
    // Its steps are those of the order that it belongs to.
    let order = details.view.ordered().map_or(transfer, |(order, _)| order.id());
    let watcher = call.app.nudges().watch(call.app.bank(), Subject::Transfer(order));
    let stream = TransferStream { app: call.app.clone(), transfer, heard };
    Ok(stream_of(&call, watcher, Stream::Transfer(stream)))
}

async fn details(app: &App, id: TransferId) -> Result<TransferDetails, Problem> {
    let found = app.bank().transfer(id).await?;
    found.ok_or_else(|| Problem::not_found(Code::TransferNotFound, "transfer_id", id.number()))
}

fn last_heard(call: &Read) -> Result<Option<u64>, Problem> {
    let Some(sent) = call.headers.get("last-event-id").filter(|sent| !sent.is_empty()) else { return Ok(None) };
    let number = sent.to_str().ok().and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| Problem::malformed("`Last-Event-ID` is the id of an event of this stream"))
}

fn stream_of<const BYTES: usize>(
    call: &Call<BYTES>,
    watcher: Watcher,
    stream: Stream,
) -> axum::http::Response<axum::body::Body> {
    let (sender, receiver) = mpsc::channel(PIECES_MAX);
    let stopping = call.app.stopping().child_token();
    // The connection is in use for as long as the stream is there.
    let running = call.activity.as_ref().map(Running::begin);
    call.app.tasks().spawn(async move {
        let _running = running;
        tokio::select! {
            () = stopping.cancelled() => {}
            () = tell(stream, watcher, &sender) => {}
            () = sender.closed() => {}
        }
    });
    let mut response = with_type(200, "text/event-stream", Body::new(Pieces(receiver)));
    // A proxy that gathers what it is sent would keep the events from whoever waits for them.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Tells until there is nothing more to tell, or nobody to tell it to.
async fn tell(mut stream: Stream, mut watcher: Watcher, sender: &mpsc::Sender<Bytes>) {
    loop {
        let (pieces, is_over) = match stream.news().await {
            Ok(news) => news,
            Err(fault) => {
                // The client comes back and goes on where it was.
                tracing::debug!("a stream ends: {fault}");
                return;
            }
        };
        for piece in pieces {
            if sender.send(piece).await.is_err() {
                return;
            }
        }
        if is_over {
            return;
        }
        while tokio::time::timeout(BEAT, watcher.nudged()).await.is_err() {
            if sender.send(Bytes::from_static(b":\n\n")).await.is_err() {
                return;
            }
        }
    }
}

enum Stream {
    Account(AccountStream),
    Transfer(TransferStream),
}

/// Events as they are sent, and whether they are the last.
type News = (Vec<Bytes>, bool);

impl Stream {
    async fn news(&mut self) -> Result<News, Fault> {
        match self {
            Stream::Account(stream) => Ok((stream.news().await?, false)),
            Stream::Transfer(stream) => stream.news().await,
        }
    }
}

struct AccountStream {
    app: App,
    account: AccountId,
    /// The last version that was told.
    version: u64,
    /// The last revision that was told.
    revision: u64,
}

impl AccountStream {
    async fn news(&mut self) -> Result<Vec<Bytes>, Fault> {
        let bank = self.app.bank();
        let Some(account) = bank.account(self.account).await? else { return Ok(Vec::new()) };
        if account.revision == self.revision {
            return Ok(Vec::new());
        }
        let mut out = Gathered::default();
        match self.missed(account.version).await? {
            Some(rows) => {
                for (posting, transferred, entry) in rows.iter().rev().filter_map(PostingRow::parts) {
                    out.event("posting", posting.version, |out| {
                        push_posting(out, posting, transferred, Some(entry.header.time));
                    });
                }
            }
            None => out.event("reset", account.version, |out| out.extend_from_slice(b"{}")),
        }
        out.event("account", account.version, |out| push_account(out, &account));
        (self.version, self.revision) = (account.version, account.revision);
        Ok(out.finish())
    }

    /// The postings after the last that was told up to this version, newest first; `None` if they are too many.
    async fn missed(&self, version: u64) -> Result<Option<Vec<PostingRow>>, Fault> {
        let missed = usize::try_from(version.saturating_sub(self.version)).unwrap_or(usize::MAX);
        if MISSED_MAX < missed {
            return Ok(None);
        }
        let (mut rows, mut before) = (Vec::with_capacity(missed), None);
        while rows.len() < missed {
            let (account, filter) = (self.account, Filter::default());
            let query = PostingQuery { account, side: None, filter, before, limit: PAGE_MAX.min(missed + 16) };
            let page = self.app.bank().postings(query).await?;
            let of_row = |row: &PostingRow| row.parts().map_or(0, |(posting, ..)| posting.version);
            rows.extend(page.items.into_iter().filter(|row| (self.version + 1..=version).contains(&of_row(row))));
            match page.next {
                Some(next) => before = Some(next),
                None => break,
            }
        }
        Ok(Some(rows))
    }
}

/// The id of the event that is the last one.
const FINAL: u64 = 2;

struct TransferStream {
    app: App,
    transfer: TransferId,
    heard: u64,
}

impl TransferStream {
    async fn news(&mut self) -> Result<News, Fault> {
        let Some(details) = self.app.bank().transfer(self.transfer).await? else { return Ok((Vec::new(), true)) };
        let status = details.view.status();
        let number = if status == TransferStatus::Pending { 1 } else { FINAL };
        let mut out = Gathered::default();
        if self.heard < number {
            out.event(status_word(status), number, |out| push_details(out, &details));
            self.heard = number;
        }
        Ok((out.finish(), number == FINAL))
    }
}

/// Events that are gathered into pieces.
#[derive(Default)]
struct Gathered {
    pieces: Vec<Bytes>,
    piece: Vec<u8>,
}

impl Gathered {
    /// An event whose data is one line of JSON.
    fn event(&mut self, name: &str, id: u64, write: impl FnOnce(&mut Vec<u8>)) {
        self.piece.extend_from_slice(format!("event: {name}\nid: {id}\ndata: ").as_bytes());
        write(&mut self.piece);
        self.piece.extend_from_slice(b"\n\n");
        if PIECE_BYTES <= self.piece.len() {
            self.pieces.push(std::mem::take(&mut self.piece).into());
        }
    }

    fn finish(mut self) -> Vec<Bytes> {
        if !self.piece.is_empty() {
            self.pieces.push(self.piece.into());
        }
        self.pieces
    }
}

/// A body of pieces as they come.
struct Pieces(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}
