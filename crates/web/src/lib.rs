//! The bank over HTTP: axum, JSON, the one mapping of errors, the OpenAPI document and the pages.
//!
//! A request goes one way: [`server`] accepts it, `auth` says who calls, `call` reads it, a handler of `v1` or
//! `short_calls` turns it into a command of the bank, and what the bank answers is rendered from the entry it rests on.
//! No rule about money is here, and nothing of HTTP is anywhere else.

mod answer;
mod auth;
mod body;
mod call;
mod cursor;
mod docs;
mod edge;
mod idle;
mod input;
mod json;
mod metrics;
mod month;
mod nudges;
mod pieces;
mod problem;
mod rate;
mod render;
mod router;
mod rows;
mod schema;
mod sent_file;
pub mod server;
mod short_calls;
mod stall;
mod text;
mod v1;

#[cfg(test)]
mod tests;

use bank::Bank;
use bank::exchange::Exchanges;
use bank::fee::Fees;
use bank::interest::Interest;
use bank::notification::Notifications;
use bank::schedule::Scheduler;
use bank::standing_order::StandingOrders;
use bank::statement::kept::Statements;
use cursor::Cursors;
use metrics::Metrics;
use nudges::Nudges;
use rate::Rates;
use sent_file::Files;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use docs::openapi_json;
pub use router::router;

/// How the bank is served.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether every caller is the principal `local` with the role admin. Only for loopback.
    pub no_auth: bool,
    /// Whether only this machine can connect: then health, metrics and documentation need no token.
    pub is_loopback: bool,
    /// Most requests a second of one principal, at most a million; the next ones hear 429. Without it there is no limit.
    pub rate_limit: Option<NonZeroU32>,
    /// Most connections open at a time; the next ones wait to be accepted.
    pub connections_max: usize,
    /// Most requests worked on at a time; the next ones hear 503.
    pub requests_max: usize,
    /// Most streams of events open at a time; more are refused with 503.
    pub streams_max: usize,
    /// Most bodies beyond 1 MiB that are read or worked on at a time.
    pub large_bodies_max: usize,
    /// Most files of statements that are sent at a time; whoever asks for one more waits as for such a body.
    pub files_max: usize,
    /// How long a connection may take to send the first byte, and then the head of each request; idle connections are
    /// kept that long too, and ended before twice that time is over.
    pub head_timeout: Duration,
    /// How long the body of a request may take.
    pub body_timeout: Duration,
    /// How long a body beyond 1 MiB waits for a place among those that are read before its client hears 503.
    pub body_place_timeout: Duration,
    /// How long a body that has such a place may take for each further 128 KiB before it loses it.
    pub body_progress_timeout: Duration,
    /// How long a stream of events may take for its next line, or for 64 KiB of one that is longer.
    pub stream_progress_timeout: Duration,
    /// How long a client may take nothing of an answer before its connection ends.
    pub write_timeout: Duration,
    /// How long a request may take in all before its client hears 503. What it began goes on.
    pub request_timeout: Duration,
    /// How long a stop waits for requests that are being worked on.
    pub stop_timeout: Duration,
    /// What `/metrics` says besides, of parts that are no business of this crate.
    pub more_figures: Option<MoreFigures>,
    /// Statements; without them what needs them answers 501.
    pub statements: Option<StatementSettings>,
    /// Interest and the business date; without it what needs it answers 501.
    pub interest: Option<Interest>,
    /// Fees; without them what needs them answers 501.
    pub fees: Option<Fees>,
    /// Exchanges; without them what needs them answers 501.
    pub exchanges: Option<Exchanges>,
    /// Notifications; without them what needs them answers 501.
    pub notifications: Option<NotificationSettings>,
    /// Standing orders; without them what needs them answers 501.
    pub standing_orders: Option<StandingOrders>,
    /// The bank's jobs; without them what needs them answers 501.
    pub scheduler: Option<Arc<Scheduler>>,
}

/// Notifications, and what devices and other systems need to know of them.
#[derive(Clone, Debug)]
pub struct NotificationSettings {
    /// The notifications.
    pub notifications: Arc<Notifications>,
    /// The public key that browsers subscribe with, where Web Push is configured.
    pub web_push_key: Option<String>,
    /// Whether push services may be in networks that are not public, and without TLS.
    pub allow_private_push: bool,
    /// Whether webhooks may be.
    pub allow_private_webhooks: bool,
}

/// Statements, and how links to their files are made.
#[derive(Clone, Debug)]
pub struct StatementSettings {
    /// The statements.
    pub statements: Statements,
    /// For how long a link is good.
    pub link_seconds: u64,
    /// What links begin with; without it, how whoever asked for the link reached the bank.
    pub public_url: Option<String>,
}

/// Adds to the text of `/metrics`.
#[derive(Clone)]
pub struct MoreFigures(pub Arc<dyn Fn(&mut String) + Send + Sync>);

impl fmt::Debug for MoreFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MoreFigures(…)")
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            no_auth: false,
            is_loopback: false,
            rate_limit: None,
            connections_max: 4096,
            requests_max: 1024,
            streams_max: 16_384,
            large_bodies_max: 32,
            files_max: 256,
            head_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(30),
            body_place_timeout: Duration::from_secs(2),
            body_progress_timeout: Duration::from_secs(2),
            stream_progress_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            request_timeout: Duration::from_secs(60),
            stop_timeout: Duration::from_secs(20),
            more_figures: None,
            statements: None,
            interest: None,
            notifications: None,
            fees: None,
            exchanges: None,
            standing_orders: None,
            scheduler: None,
        }
    }
}

/// The bank and what serving it needs. Cheap to clone.
#[derive(Clone)]
pub struct App {
    inner: Arc<Inner>,
}

struct Inner {
    bank: Arc<Bank>,
    settings: Settings,
    cursors: Cursors,
    metrics: Metrics,
    rates: Option<Rates>,
    requests: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    large_bodies: Arc<Semaphore>,
    files: Files,
    tasks: TaskTracker,
    nudges: Arc<Nudges>,
    stopping: CancellationToken,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}

impl App {
    /// Serves this bank in this way.
    pub fn new(bank: Arc<Bank>, settings: Settings) -> App {
        let inner = Inner {
            cursors: Cursors::new(bank.derived_secret("florin v1 cursors")),
            metrics: Metrics::default(),
            rates: settings.rate_limit.map(Rates::new),
            requests: Arc::new(Semaphore::new(settings.requests_max)),
            streams: Arc::new(Semaphore::new(settings.streams_max)),
            large_bodies: Arc::new(Semaphore::new(settings.large_bodies_max)),
            files: Files::new(settings.files_max),
            tasks: TaskTracker::new(),
            nudges: Nudges::new(),
            stopping: CancellationToken::new(),
            bank,
            settings,
        };
        App { inner: Arc::new(inner) }
    }

    pub(crate) fn bank(&self) -> &Arc<Bank> {
        &self.inner.bank
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    pub(crate) fn cursors(&self) -> &Cursors {
        &self.inner.cursors
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    pub(crate) fn rates(&self) -> Option<&Rates> {
        self.inner.rates.as_ref()
    }

    pub(crate) fn requests(&self) -> &Arc<Semaphore> {
        &self.inner.requests
    }

    pub(crate) fn streams(&self) -> &Arc<Semaphore> {
        &self.inner.streams
    }

    pub(crate) fn large_bodies(&self) -> &Arc<Semaphore> {
        &self.inner.large_bodies
    }

    pub(crate) fn files(&self) -> &Files {
        &self.inner.files
    }

    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.inner.tasks
    }

    pub(crate) fn nudges(&self) -> &Arc<Nudges> {
        &self.inner.nudges
    }

    /// Ends what would otherwise go on without an end.
    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.inner.stopping
    }
}
