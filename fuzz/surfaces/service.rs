//! The bank of [`super::world`] behind the router, as whoever calls over HTTP sees it.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use bank::Bank;
use http_body_util::BodyExt;
use std::sync::Arc;
use tower::ServiceExt;
use web::{App, Settings, router};

/// What came back.
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answered {
    /// The code of a problem, after looking at whether it is one; `None` for a success.
    pub(crate) fn code(&self) -> Option<String> {
        if self.status < 300 {
            return None;
        }
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.headers.get("content-type").expect("a content type"), "application/problem+json", "{text}");
        let problem: serde_json::Value = serde_json::from_slice(&self.body).expect("a problem is JSON");
        assert_eq!(problem["status"], self.status, "{text}");
        assert!(self.status < 500 || self.status == 501, "a request made the bank fail: {text}");
        Some(problem["code"].as_str().expect("a problem has a code").into())
    }
}

/// The service of a bank that asks for no tokens.
pub(crate) fn service(bank: Arc<Bank>) -> Router {
    router(App::new(bank, Settings { no_auth: true, is_loopback: true, ..Settings::default() }))
}

/// Sends a request and waits for the whole answer.
pub(crate) async fn send(service: &Router, request: Request<Body>) -> Answered {
    let response = service.clone().oneshot(request).await.expect("the router never fails");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes().to_vec();
    Answered { status: parts.status.as_u16(), headers: parts.headers, body }
}

/// Runs a conversation with the service to its end.
pub(crate) fn talk(conversation: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(conversation);
}
