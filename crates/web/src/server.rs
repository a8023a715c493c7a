//! Accepts connections and serves them until told to stop, within bounds: on connections, on the time a client may take
//! to send the head of a request, to take an answer or to do nothing, and on the time a stop may take. No client can hold
//! any of them for ever.

use crate::App;
use crate::idle::{Activity, Counted, Watch};
use crate::router::router;
use crate::stall::StallingStream;
use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Largest head of a request; HTTP/1 answers 431 beyond it.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Most headers of a request.
const HEADERS_MAX: usize = 100;
/// Most requests at a time on one HTTP/2 connection.
const STREAMS_MAX: u32 = 256;
/// How often an HTTP/2 client that says nothing is asked whether it is still there, and how long it may take to answer.
const PING_INTERVAL: Duration = Duration::from_secs(40);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a connection that is not used may take to end when it is asked to.
const END_TIMEOUT: Duration = Duration::from_secs(10);
/// How long accepting pauses when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `shutdown` is ready; then accepts nothing more, finishes what is being worked on, and returns when all
/// is done or the time for it is over. What was acknowledged is durable either way.
///
/// # Errors
/// When connections can no longer be accepted at all.
pub async fn serve(listener: TcpListener, app: App, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    let settings = app.settings().clone();
    let places = Arc::new(Semaphore::new(settings.connections_max));
    let connections = TaskTracker::new();
    let served = Arc::new(Served {
        builder: builder(settings.head_timeout),
        router: router(app.clone()),
        head_timeout: settings.head_timeout,
        write_timeout: settings.write_timeout,
        stopping: app.stopping().clone(),
    });
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, place)) = accepted else { continue };
        let served = served.clone();
        connections.spawn(async move {
            let _place = place;
            if served.speaks(&stream).await {
                served.connection(stream).await;
            }
        });
    }
    drop(listener);
    served.stopping.cancel();
    app.nudges().stop();
    stop(&app, &connections, settings.stop_timeout).await;
    Ok(())
}

async fn stop(app: &App, connections: &TaskTracker, timeout: Duration) {
    let tasks = app.tasks();
    tasks.close();
    connections.close();
    let finished = tokio::time::timeout(timeout, async {
        connections.wait().await;
        tasks.wait().await;
    });
    if finished.await.is_err() {
        tracing::warn!("stopped with connections still open, since they took longer than {timeout:?}");
    }
}

/// The next connection, when there is room for one; `None` when accepting failed for now.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = connections.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, permit)),
        Err(error) => {
            tracing::warn!("a connection could not be accepted: {error}");
            // Without a pause a process out of descriptors would spin.
            pause(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// Nothing ever becomes ready in here.
async fn pause(time: Duration) {
    tokio::time::timeout(time, std::future::pending::<()>()).await.unwrap_or(());
}

fn builder(head_timeout: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .keep_alive(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(32 * 1024);
    builder
}

/// What every connection is served with.
struct Served {
    builder: Builder<TokioExecutor>,
    router: Router,
    head_timeout: Duration,
    write_timeout: Duration,
    stopping: CancellationToken,
}

impl Served {
    /// Waits for the first byte of a connection, for which the HTTP library has no limit.
    async fn speaks(&self, stream: &TcpStream) -> bool {
        tokio::select! {
            () = self.stopping.cancelled() => false,
            readable = tokio::time::timeout(self.head_timeout, stream.readable()) => matches!(readable, Ok(Ok(()))),
        }
    }

    /// Serves a connection until it ends, the server stops, or it is not used for too long. It is asked to end first, so
    /// that a request on its way is answered still; a peer that does not take part in that is left.
    async fn connection(&self, stream: TcpStream) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!("a connection could not be told to send at once: {error}");
        }
        let activity = Arc::new(Activity::default());
        let mut watch = Watch::new(activity.clone());
        let stream = StallingStream::new(stream, self.write_timeout, activity.clone());
        let service = Counted { service: TowerToHyperService::new(self.router.clone()), activity };
        let mut connection = pin!(self.builder.serve_connection(TokioIo::new(stream), service));
        // Its own token: all connections waiting on one would take turns at its lock whenever one of them is woken.
        let stopping = self.stopping.child_token();
        let mut is_ending = false;
        loop {
            let patience = if is_ending { self.head_timeout.min(END_TIMEOUT) } else { self.head_timeout };
            tokio::select! {
                ended = &mut connection => {
                    if let Err(error) = ended {
                        tracing::debug!("a connection ended early: {error}");
                    }
                    return;
                }
                () = stopping.cancelled(), if !is_ending => {}
                () = pause(patience) => match watch.is_idle() {
                    false => continue,
                    true if is_ending => return,
                    true => {}
                },
            }
            is_ending = true;
            connection.as_mut().graceful_shutdown();
        }
    }
}
