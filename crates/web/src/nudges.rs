//! Tells streams that something may have happened to what they are about. It never says what: a stream then looks itself, so
//! that a nudge too many costs a look, and several at once are one.
//!
//! While anybody watches anything, one task for each shard follows the journal. A task that begins, or that fell far behind,
//! nudges everybody instead of telling them apart.

use bank::Bank;
use bank::subjects::{Subject, subjects};
use ledger::ids::Sequence;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::Store;
use store::query::{EntryQuery, PAGE_MAX};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A task that is more entries behind than this nudges everybody and goes on at the end.
const BEHIND_MAX: Sequence = 100_000;
/// How long a task waits for a shard that does not answer, in microseconds.
const PAUSE_US: u64 = 100_000;

/// See the module.
#[derive(Debug)]
pub(crate) struct Nudges {
    watched: Mutex<HashMap<Subject, Watched>>,
    /// How many subjects are watched.
    count: watch::Sender<usize>,
    followers: Mutex<JoinSet<()>>,
}

#[derive(Debug)]
struct Watched {
    sender: watch::Sender<()>,
    watchers: usize,
}

/// Somebody who watches something, until this is dropped.
#[derive(Debug)]
pub(crate) struct Watcher {
    nudges: Arc<Nudges>,
    subject: Subject,
    receiver: watch::Receiver<()>,
}

impl Watcher {
    /// Waits until something may have happened since this was last asked.
    pub(crate) async fn nudged(&mut self) {
        // The sender is in the table for as long as this is there.
        _ = self.receiver.changed().await;
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut watched = self.nudges.watched();
        if let Some(subject) = watched.get_mut(&self.subject) {
            subject.watchers -= 1;
            if subject.watchers == 0 {
                watched.remove(&self.subject);
            }
        }
        self.nudges.count.send_replace(watched.len());
    }
}

impl Nudges {
    pub(crate) fn new() -> Arc<Nudges> {
        let (watched, followers) = Default::default();
        Arc::new(Nudges { watched, count: watch::Sender::new(0), followers })
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<Subject, Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches this from now on. Look at it after that: nothing is missed then.
    pub(crate) fn watch(self: &Arc<Nudges>, bank: &Arc<Bank>, subject: Subject) -> Watcher {
        self.start(bank);
        let mut watched = self.watched();
        let entry = watched.entry(subject).or_insert_with(|| Watched { sender: watch::Sender::new(()), watchers: 0 });
        entry.watchers += 1;
        let receiver = entry.sender.subscribe();
        self.count.send_replace(watched.len());
        Watcher { nudges: self.clone(), subject, receiver }
    }

    /// Starts the tasks, unless they run.
    fn start(self: &Arc<Nudges>, bank: &Arc<Bank>) {
        let mut followers = self.followers.lock().unwrap_or_else(PoisonError::into_inner);
        if followers.is_empty() {
            for shard in bank.shards() {
                followers.spawn(follow(self.clone(), bank.clone(), shard.clone()));
            }
        }
    }

    /// Ends the tasks.
    pub(crate) fn stop(&self) {
        self.followers.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }

    fn nudge(&self, subject: Subject) {
        if let Some(watched) = self.watched().get(&subject) {
            watched.sender.send_replace(());
        }
    }

    fn nudge_all(&self) {
        self.watched().values().for_each(|watched| watched.sender.send_replace(()));
    }
}

async fn follow(nudges: Arc<Nudges>, bank: Arc<Bank>, shard: Arc<dyn Store>) {
    let mut count = nudges.count.subscribe();
    while count.wait_for(|count| *count != 0).await.is_ok() {
        let mut position = shard.head();
        nudges.nudge_all();
        while *count.borrow() != 0 {
            match next(&nudges, &*shard, position).await {
                Ok(reached) => position = reached,
                Err(fault) => {
                    tracing::debug!("streams are behind: {fault}");
                    bank.env().sleep(PAUSE_US).await;
                }
            }
        }
    }
}

/// Waits for something new and tells whom it is about; returns how far that goes.
async fn next(nudges: &Nudges, shard: &dyn Store, position: Sequence) -> Result<Sequence, store::Fault> {
    let head = shard.head_after(position).await?;
    if BEHIND_MAX < head - position {
        nudges.nudge_all();
        return Ok(head);
    }
    let entries = shard.follow(EntryQuery { after: position, limit: PAGE_MAX }).await?;
    entries.iter().flat_map(|entry| subjects(entry)).for_each(|subject| nudges.nudge(subject));
    Ok(entries.last().map_or(position, |entry| entry.header.sequence))
}
