//! Accepts connections and serves them until told to stop, within bounds: on connections, on the time a client may take
//! to send the head of a request or to take an answer, and on the time a stop may take. No client can hold any of them
//! for ever.

use crate::App;
use crate::router::router;
use crate::stall::StallingStream;
use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Largest head of a request; HTTP/1 answers 431 beyond it.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Most headers of a request.
const HEADERS_MAX: usize = 100;
/// Most requests at a time on one HTTP/2 connection.
const STREAMS_MAX: u32 = 256;
/// How often an HTTP/2 client that says nothing is asked whether it is still there, and how long it may take to answer.
const PING_INTERVAL: Duration = Duration::from_secs(40);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// How long accepting pauses when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `shutdown` is ready; then accepts nothing more, finishes what is being worked on, and returns when all
/// is done or the time for it is over. What was acknowledged is durable either way.
///
/// # Errors
/// When connections can no longer be accepted at all.
pub async fn serve(listener: TcpListener, app: App, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    let settings = app.settings().clone();
    let router = router(app.clone());
    let builder = builder(settings.head_timeout);
    let graceful = GracefulShutdown::new();
    let connections = Arc::new(Semaphore::new(settings.connections_max));
    let stopping = CancellationToken::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &connections) => accepted,
        };
        let Some((stream, permit)) = accepted else { continue };
        let (builder, router, watcher) = (builder.clone(), router.clone(), graceful.watcher());
        let stopping = stopping.clone();
        let (head_timeout, write_timeout) = (settings.head_timeout, settings.write_timeout);
        tokio::spawn(async move {
            let _permit = permit;
            if speaks(&stream, head_timeout, &stopping).await {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!("a connection could not be told to send at once: {error}");
                }
                let stream = StallingStream::new(stream, write_timeout);
                serve_connection(stream, &builder, router, watcher).await;
            }
        });
    }
    drop(listener);
    stopping.cancel();
    stop(app, graceful, settings.stop_timeout).await;
    Ok(())
}

async fn stop(app: App, graceful: GracefulShutdown, timeout: Duration) {
    let tasks = app.tasks();
    tasks.close();
    let finished = tokio::time::timeout(timeout, async {
        graceful.shutdown().await;
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
            // Without a pause a process out of descriptors would spin; nothing ever becomes ready in here.
            tokio::time::timeout(ACCEPT_PAUSE, std::future::pending::<()>()).await.unwrap_or(());
            None
        }
    }
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

/// Waits for the first byte of a connection, for which the HTTP library has no limit.
async fn speaks(stream: &TcpStream, timeout: Duration, stopping: &CancellationToken) -> bool {
    tokio::select! {
        () = stopping.cancelled() => false,
        readable = tokio::time::timeout(timeout, stream.readable()) => matches!(readable, Ok(Ok(()))),
    }
}

async fn serve_connection(
    stream: StallingStream,
    builder: &Builder<TokioExecutor>,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!("a connection ended early: {error}");
    }
}
