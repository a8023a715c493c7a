//! Streams of what happens to an account or a transfer, as server-sent events (HTML Living Standard, section 9.2).
//!
//! A stream says first how things are, and then what becomes of them, in order and without gaps: it looks at the account or
//! the transfer itself whenever that may have changed, and tells what it has not told yet. Whoever comes back with
//! `Last-Event-ID`, at whatever node, is told what happened since. It ends when the token that asked for it does.
//!
//! What a stream keeps in memory does not grow with what it has to make up for: it reads a page, sends it, and reads on.

use crate::answer::{Reply, with_type};
use crate::auth::Bearer;
use crate::call::{Call, Read};
use crate::idle::Running;
use crate::input::Problems;
use crate::nudges::Watcher;
use crate::problem::{Code, Problem};
use crate::render::{push_account, push_details, push_row, status_word};
use crate::v1::accounts::find;
use crate::{App, pieces, schema};
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use bank::read::TransferDetails;
use bank::subjects::Subject;
use ledger::ids::{AccountId, TransferId};
use std::time::Duration;
use store::Fault;
use store::query::{Filter, Page, PostingQuery, PostingRow, TransferStatus};
use tokio::sync::mpsc;

/// How often a stream says that it is there.
const BEAT: Duration = Duration::from_secs(15);
/// Pieces that a client may be behind with before its stream waits for it.
const PIECES_MAX: usize = 4;
/// Most postings that a stream makes up for; whoever missed more is told to read the account anew.
const MISSED_MAX: u64 = 10_000;
/// Postings that are made up for at a time.
const MADE_UP_PAGE: usize = 50;
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
    stream_of(&call, watcher, Stream::Account(stream))
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
    stream_of(&call, watcher, Stream::Transfer(stream))
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

fn stream_of<const BYTES: usize>(call: &Call<BYTES>, watcher: Watcher, stream: Stream) -> Reply {
    let place = call.app.streams().clone().try_acquire_owned().map_err(|_| {
        let detail = "the bank has as many streams open as it may have; close those that nobody listens to, or raise \
            serve.connections_max";
        Problem::new(Code::Unavailable, detail)
    })?;
    let (sender, receiver) = mpsc::channel(PIECES_MAX);
    let (app, bearer) = (call.app.clone(), Bearer::of(&call.app, &call.headers));
    let stopping = app.stopping().child_token();
    // The connection is in use for as long as the stream is there.
    let running = call.activity.as_ref().map(Running::begin);
    call.app.tasks().spawn(async move {
        let (_running, _place) = (running, place);
        tokio::select! {
            () = stopping.cancelled() => {}
            ended = tell(&app, &bearer, stream, watcher, &sender) => {
                // The client comes back and goes on where it was, if it may.
                if let Some(Ended::Fault(fault)) = ended.err() {
                    tracing::debug!("a stream ends: {fault}");
                }
            }
            () = sender.closed() => {}
        }
    });
    let mut response = with_type(200, "text/event-stream", pieces::body(receiver, None));
    // A proxy that gathers what it is sent would keep the events from whoever waits for them.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Why a stream ends before there is nothing more to tell.
enum Ended {
    /// Nobody listens any more, or who listens may no longer.
    Listener,
    /// What there is to tell cannot be read.
    Fault(Fault),
}

impl From<Fault> for Ended {
    fn from(fault: Fault) -> Ended {
        Ended::Fault(fault)
    }
}

/// Tells until there is nothing more to tell.
async fn tell(
    app: &App,
    bearer: &Bearer,
    mut stream: Stream,
    mut watcher: Watcher,
    sender: &mpsc::Sender<Bytes>,
) -> Result<(), Ended> {
    loop {
        let is_over = match &mut stream {
            Stream::Account(stream) => stream.tell(sender).await?,
            Stream::Transfer(stream) => stream.tell(sender).await?,
        };
        if is_over {
            return Ok(());
        }
        loop {
            let nudged = tokio::time::timeout(BEAT, watcher.nudged()).await;
            if !bearer.is_good(app).await? {
                return Err(Ended::Listener);
            }
            if nudged.is_ok() {
                break;
            }
            send(sender, Bytes::from_static(b":\n\n")).await?;
        }
    }
}

async fn send(sender: &mpsc::Sender<Bytes>, piece: Bytes) -> Result<(), Ended> {
    sender.send(piece).await.map_err(|_| Ended::Listener)
}

enum Stream {
    Account(AccountStream),
    Transfer(TransferStream),
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
    /// Tells what is new; whether it is the last there is.
    async fn tell(&mut self, sender: &mpsc::Sender<Bytes>) -> Result<bool, Ended> {
        let Some(account) = self.app.bank().account(self.account).await? else { return Ok(false) };
        if account.revision == self.revision {
            return Ok(false);
        }
        let mut out = Gathered::new(sender);
        if MISSED_MAX < account.version.saturating_sub(self.version) {
            out.event("reset", account.version, |out| out.extend_from_slice(b"{}")).await?;
        } else {
            self.make_up(account.version, &mut out).await?;
        }
        out.event("account", account.version, |out| push_account(out, &account)).await?;
        (self.version, self.revision) = (account.version, account.revision);
        out.finish().await?;
        Ok(false)
    }

    /// Tells the postings after the last that was told up to this version.
    async fn make_up(&mut self, until: u64, out: &mut Gathered<'_>) -> Result<(), Ended> {
        while self.version < until {
            let before = self.version;
            self.tell_next(until, out).await?;
            if self.version == before {
                // Whoever comes back is told from there on; nothing is left out.
                let reason = format!("posting {} of account {} is not to be read", before + 1, self.account);
                return Err(Ended::Fault(Fault::Unavailable { reason }));
            }
        }
        Ok(())
    }

    /// Tells some of the postings that are next. Lists begin with the newest: it goes back to the oldest that is missing, and
    /// then from page to page towards the newest, as far as they follow each other: the page that a list begins with is
    /// another one once there are further postings.
    async fn tell_next(&mut self, until: u64, out: &mut Gathered<'_>) -> Result<(), Ended> {
        let (mut newer, mut start) = (Vec::new(), None);
        let mut page = self.page(start).await?;
        while let Some(next) = page.next
            && page.items.last().and_then(PostingRow::parts).is_none_or(|(last, ..)| self.version + 1 < last.version)
        {
            newer.push(start);
            start = Some(next);
            page = self.page(start).await?;
        }
        loop {
            for row in page.items.iter().rev() {
                let version = row.parts().map_or(0, |(posting, ..)| posting.version);
                if version == self.version + 1 && version <= until {
                    out.event("posting", version, |out| push_row(out, row)).await?;
                    self.version = version;
                }
            }
            let Some(start) = newer.pop() else { return Ok(()) };
            page = self.page(start).await?;
        }
    }

    async fn page(&self, before: Option<u64>) -> Result<Page<PostingRow>, Fault> {
        let (account, filter) = (self.account, Filter::default());
        let query = PostingQuery { account, side: None, filter, before, limit: MADE_UP_PAGE };
        self.app.bank().postings(query).await
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
    /// Tells what is new; whether it is the last there is.
    async fn tell(&mut self, sender: &mpsc::Sender<Bytes>) -> Result<bool, Ended> {
        let Some(details) = self.app.bank().transfer(self.transfer).await? else { return Ok(true) };
        let status = details.view.status();
        let number = if status == TransferStatus::Pending { 1 } else { FINAL };
        if self.heard < number {
            let mut out = Gathered::new(sender);
            out.event(status_word(status), number, |out| push_details(out, &details)).await?;
            out.finish().await?;
            self.heard = number;
        }
        Ok(number == FINAL)
    }
}

/// Events that are gathered into pieces, which are sent as they are full.
struct Gathered<'a> {
    sender: &'a mpsc::Sender<Bytes>,
    piece: Vec<u8>,
}

impl Gathered<'_> {
    fn new(sender: &mpsc::Sender<Bytes>) -> Gathered<'_> {
        Gathered { sender, piece: Vec::new() }
    }

    /// An event whose data is one line of JSON.
    async fn event(&mut self, name: &str, id: u64, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Ended> {
        self.piece.extend_from_slice(format!("event: {name}\nid: {id}\ndata: ").as_bytes());
        write(&mut self.piece);
        self.piece.extend_from_slice(b"\n\n");
        if self.piece.len() < PIECE_BYTES {
            return Ok(());
        }
        send(self.sender, std::mem::take(&mut self.piece).into()).await
    }

    async fn finish(self) -> Result<(), Ended> {
        if self.piece.is_empty() { Ok(()) } else { send(self.sender, self.piece.into()).await }
    }
}
