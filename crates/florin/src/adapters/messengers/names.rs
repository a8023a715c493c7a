//! Looks names up where a name server that hangs holds up nobody else. The system looks a name up on a thread of its own, which
//! a lookup that nobody waits for any more keeps; records and keys are read on threads of the same pool. So a messenger has few
//! lookups under way, and never two of one name.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// Lookups under way of one messenger. There are six, so that all of them together leave a quarter of the threads that wait for
/// records and files, whatever name servers do.
pub(crate) const LOOKUPS_MAX: usize = 2;
/// How long a name waits until another lookup is over.
const WAIT: Duration = Duration::from_secs(1);

type Found = Result<Vec<SocketAddr>, NoAddress>;
type UnderWay = Arc<Mutex<BTreeMap<String, watch::Receiver<Option<Found>>>>>;

/// See the module. Clones share what is under way.
#[derive(Clone)]
pub(super) struct Names {
    permits: Arc<Semaphore>,
    under_way: UnderWay,
    wait: Duration,
    look_up: fn(&str) -> Option<Vec<SocketAddr>>,
}

/// Why there is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoAddress {
    /// The name leads nowhere, or its name server says nothing.
    NotFound,
    /// It was not looked up: others take too long.
    Busy,
}

impl fmt::Display for NoAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NoAddress::NotFound => "the name has no address",
            NoAddress::Busy => "other names are being looked up and take too long",
        })
    }
}

impl std::error::Error for NoAddress {}

impl Names {
    pub(super) fn new() -> Names {
        Names::looked_up_by(system, WAIT)
    }

    fn looked_up_by(look_up: fn(&str) -> Option<Vec<SocketAddr>>, wait: Duration) -> Names {
        Names { permits: Arc::new(Semaphore::new(LOOKUPS_MAX)), under_way: Arc::default(), wait, look_up }
    }

    /// The addresses of a name, with the port 0.
    pub(super) async fn look_up(&self, name: &str) -> Found {
        let mut found = self.asked(name);
        match found.wait_for(Option::is_some).await {
            Ok(found) => found.clone().unwrap_or(Err(NoAddress::NotFound)),
            Err(_) => Err(NoAddress::NotFound),
        }
    }

    /// Where it is told what a name leads to: by a lookup that is under way, or by one that begins.
    fn asked(&self, name: &str) -> watch::Receiver<Option<Found>> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(asked) = under_way.get(name) {
            return asked.clone();
        }
        let (answer, asked) = watch::channel(None);
        under_way.insert(name.to_owned(), asked.clone());
        let (names, name) = (self.clone(), name.to_owned());
        // A task of its own: whoever asks may give up, and the lookup goes on.
        tokio::spawn(async move {
            let found = names.permitted(&name).await;
            names.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
            answer.send_replace(Some(found));
        });
        asked
    }

    async fn permitted(&self, name: &str) -> Found {
        let permit = tokio::time::timeout(self.wait, self.permits.clone().acquire_owned()).await;
        let Ok(Ok(permit)) = permit else { return Err(NoAddress::Busy) };
        let (look_up, name) = (self.look_up, name.to_owned());
        let looked_up = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            look_up(&name)
        });
        looked_up.await.ok().flatten().ok_or(NoAddress::NotFound)
    }
}

fn system(name: &str) -> Option<Vec<SocketAddr>> {
    (name, 0).to_socket_addrs().ok().map(Iterator::collect)
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let names = self.clone();
        Box::pin(async move {
            let found = names.look_up(name.as_str()).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::runtime::{Builder, Runtime};

    /// A name server that says nothing for names that begin so until it is let go.
    static HANGING: Mutex<()> = Mutex::new(());
    static HUNG: AtomicUsize = AtomicUsize::new(0);

    fn hangs_for_some(name: &str) -> Option<Vec<SocketAddr>> {
        if name.starts_with("hangs") {
            HUNG.fetch_add(1, Ordering::SeqCst);
            drop(HANGING.lock().unwrap_or_else(PoisonError::into_inner));
        }
        Some(vec![SocketAddr::from(([1, 1, 1, 1], 0))])
    }

    fn runtime() -> Runtime {
        Builder::new_current_thread().max_blocking_threads(LOOKUPS_MAX + 1).enable_all().build().expect("a runtime")
    }

    #[test]
    fn name_servers_that_hang_leave_threads_for_others_and_one_name_takes_one() {
        let names = Names::looked_up_by(hangs_for_some, Duration::ZERO);
        let hanging = HANGING.lock().expect("not poisoned");
        runtime().block_on(async {
            let same: Vec<_> = (0..50).map(|_| names.asked("hangs.example")).collect();
            while HUNG.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
            assert_eq!(names.look_up("answers.example").await, Ok(vec![SocketAddr::from(([1, 1, 1, 1], 0))]));
            assert_eq!(HUNG.load(Ordering::SeqCst), 1, "one name is looked up once at a time");
            let _others: Vec<_> = (0..50).map(|number| names.asked(&format!("hangs-{number}.example"))).collect();
            while names.permits.available_permits() != 0 {
                tokio::task::yield_now().await;
            }
            assert_eq!(names.look_up("answers.example").await, Err(NoAddress::Busy));
            assert_eq!(tokio::task::spawn_blocking(|| "read").await.expect("done"), "read", "records are still read");
            drop(hanging);
            for mut same in same {
                assert!(matches!(*same.wait_for(Option::is_some).await.expect("told"), Some(Ok(_))));
            }
            while names.permits.available_permits() != LOOKUPS_MAX {
                tokio::task::yield_now().await;
            }
            assert!(names.look_up("answers.example").await.is_ok(), "and nothing is left of it");
        });
    }
}
