//! What surrounds every handler: a bound on requests at a time, who calls, a limit of time, and what becomes of a panic.
//!
//! Each request runs in a task of its own. A client that hangs up, or a limit of time that is over, leaves that task
//! running: what was begun is finished, committed and remembered under its key.

use crate::App;
use crate::auth::authorise;
use crate::problem::{Code, Problem, fault_problem};
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Response, header};
use axum::middleware::Next;
use std::time::Instant;

/// Runs a request as the module says.
pub(crate) async fn around(State(app): State<App>, request: Request, next: Next) -> Response<Body> {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = request.method().clone();
    let started = now();
    let mut response = bounded(&app, request, next).await;
    // Balances and names are nothing for caches on the way.
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    let took = now().saturating_duration_since(started);
    let route = route.as_ref().map_or("", MatchedPath::as_str);
    app.metrics().observe(method.as_str(), route, response.status().as_u16(), took);
    response
}

#[expect(clippy::disallowed_methods, reason = "measures how long answers take and decides nothing")]
fn now() -> Instant {
    Instant::now()
}

async fn bounded(app: &App, mut request: Request, next: Next) -> Response<Body> {
    // Whoever watches must see a bank that is busy as busy, not as dead.
    let is_watching = ["/health/live", "/health/ready", "/metrics"].contains(&request.uri().path());
    let permit = app.requests().clone().try_acquire_owned();
    if permit.is_err() && !is_watching {
        return Problem::new(Code::Unavailable, "the bank has as many requests as it may work on; retry in a moment")
            .into_response();
    }
    let is_stream = request.uri().path() == crate::v1::events::PATH;
    let task_app = app.clone();
    let task = app.tasks().spawn(async move {
        let _permit = permit;
        match authorise(&task_app, &mut request).await {
            Ok(()) => next.run(request).await,
            Err(problem) => problem.into_response(),
        }
    });
    let finished =
        if is_stream { Ok(task.await) } else { tokio::time::timeout(app.settings().request_timeout, task).await };
    match finished {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => fault_problem(Code::Fault, &format!("a handler failed: {error}")).into_response(),
        Err(_) => {
            Problem::new(Code::Unavailable, "the answer takes too long; ask again with the same key").into_response()
        }
    }
}

/// There is no such call.
pub(crate) async fn not_found() -> Problem {
    Problem::new(Code::NotFound, "there is no such call; see /openapi.json for those there are")
}

/// There is such a path, but not with this method.
pub(crate) async fn method_not_allowed() -> Problem {
    Problem::new(Code::MethodNotAllowed, "this path has other methods; see /openapi.json")
}
