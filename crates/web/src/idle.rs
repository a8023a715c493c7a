//! Whether a connection is in use: a request is worked on, one came since somebody last looked, or an answer is on its way.
//! Pings of HTTP/2 are no use: a peer that only answers them would hold its connection for ever.

use axum::http::Request;
use hyper::body::Incoming;
use hyper::service::Service;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How much must have been sent since the last look for an answer to count as on its way: more than pings need.
const SENT_BYTES_MIN: u64 = 64 * 1024;

/// What happens on a connection.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    running: AtomicU64,
    begun: AtomicU64,
    sent_bytes: AtomicU64,
}

impl Activity {
    /// So many bytes were sent.
    pub(crate) fn sent(&self, bytes: usize) {
        self.sent_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// A request that is worked on until this is dropped.
pub(crate) struct Running(Arc<Activity>);

impl Running {
    pub(crate) fn begin(activity: &Arc<Activity>) -> Running {
        activity.running.fetch_add(1, Ordering::Relaxed);
        activity.begun.fetch_add(1, Ordering::Relaxed);
        Running(activity.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Somebody who looks at a connection now and then.
#[derive(Debug)]
pub(crate) struct Watch {
    activity: Arc<Activity>,
    begun: u64,
    sent_bytes: u64,
}

impl Watch {
    /// Looks at this connection.
    pub(crate) fn new(activity: Arc<Activity>) -> Watch {
        Watch { activity, begun: 0, sent_bytes: 0 }
    }

    /// Whether the connection was not used since this was last asked.
    pub(crate) fn is_idle(&mut self) -> bool {
        let begun = self.activity.begun.load(Ordering::Relaxed);
        let sent_bytes = self.activity.sent_bytes.load(Ordering::Relaxed);
        let is_idle = self.activity.running.load(Ordering::Relaxed) == 0
            && begun == self.begun
            && sent_bytes - self.sent_bytes < SENT_BYTES_MIN;
        (self.begun, self.sent_bytes) = (begun, sent_bytes);
        is_idle
    }
}

/// A service whose requests count as activity.
#[derive(Debug)]
pub(crate) struct Counted<S> {
    /// What answers.
    pub(crate) service: S,
    /// Where its requests are counted.
    pub(crate) activity: Arc<Activity>,
}

impl<S: Service<Request<Incoming>, Future: Send + 'static>> Service<Request<Incoming>> for Counted<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let running = Running::begin(&self.activity);
        // An answer may go on when this is over.
        request.extensions_mut().insert(self.activity.clone());
        let answer = self.service.call(request);
        Box::pin(async move {
            let _running = running;
            answer.await
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_in_use_while_requests_come_or_run_or_answers_go() {
        let activity = Arc::new(Activity::default());
        let mut watch = Watch::new(activity.clone());
        assert!(watch.is_idle());
        let running = Running::begin(&activity);
        assert_eq!([watch.is_idle(), watch.is_idle()], [false, false], "one is worked on");
        drop(running);
        assert!(watch.is_idle());
        drop(Running::begin(&activity));
        assert_eq!([watch.is_idle(), watch.is_idle()], [false, true], "one came since the last look");
        activity.sent(1_000_000);
        assert_eq!([watch.is_idle(), watch.is_idle()], [false, true], "an answer is on its way");
        activity.sent(17);
        assert!(watch.is_idle(), "a ping");
    }
}
