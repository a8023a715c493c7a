//! How stations end where a node is stopped: none begins another attempt, and what became of those under way is noted. Else each
//! planned restart would send again what a provider was being given.

use std::sync::Arc;
use tokio::sync::watch;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ending {
    is_begun: watch::Sender<bool>,
    /// How many stations may have something under way.
    sending: watch::Sender<usize>,
}

/// A station that may have something under way, for as long as this is there.
#[derive(Debug)]
pub(super) struct Sending(Arc<Ending>);

impl Ending {
    pub(super) fn begin(&self) {
        self.is_begun.send_replace(true);
    }

    pub(super) fn is_begun(&self) -> bool {
        *self.is_begun.borrow()
    }

    /// Waits until it is begun.
    pub(super) async fn begun(&self) {
        // The sender is here, so there is no error.
        _ = self.is_begun.subscribe().wait_for(|is_begun| *is_begun).await;
    }

    pub(super) fn enter(self: Arc<Ending>) -> Sending {
        self.sending.send_modify(|sending| *sending += 1);
        Sending(self)
    }

    /// Waits until no station has anything under way.
    pub(super) async fn all_left(&self) {
        _ = self.sending.subscribe().wait_for(|sending| *sending == 0).await;
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.sending.send_modify(|sending| *sending -= 1);
    }
}
