//! What keeps the cache of histories that nodes share: for each shard one node at a time follows the journal, and adds what
//! was booked to what the cache has. Nothing depends on how far it is.

use crate::program::OpenBank;
use bank::Bank;
use bank::lease::{LEASE_LEAST_US, Lease};
use bank::ports::Env;
use ledger::ids::{Sequence, ShardId};
use ledger::time::Timestamp;
use std::sync::Arc;
use store::Fault;
use tokio::task::JoinSet;

/// A follower that is more entries behind than this goes on at the end: readers tell the cache what it missed.
const BEHIND_MAX: Sequence = 100_000;
/// How long a follower waits that has not the lease, or cannot work, in microseconds.
const PAUSE_US: u64 = 1_000_000;

/// Follows all shards until the tasks are dropped.
pub(crate) fn keep_histories(open: &OpenBank) -> JoinSet<()> {
    let mut holder = [0; 16];
    open.env.fill(&mut holder);
    let mut tasks = JoinSet::new();
    for store in open.bank.shards() {
        let name = format!("histories/{}", store.shard());
        let lease = Lease::new(open.records.clone(), &name, u128::from_le_bytes(holder), LEASE_LEAST_US);
        tasks.spawn(keep(open.bank.clone(), store.shard(), lease));
    }
    tasks
}

async fn keep(bank: Arc<Bank>, shard: ShardId, lease: Lease) {
    let mut follower = Follower { bank, shard, lease, position: None, sure_until: Timestamp::ZERO };
    loop {
        match follower.step().await {
            Ok(true) => {}
            Ok(false) => follower.bank.env().sleep(PAUSE_US).await,
            Err(fault) => {
                tracing::debug!("histories of shard {shard} are not told to the cache: {fault}");
                follower.position = None;
                follower.bank.env().sleep(PAUSE_US).await;
            }
        }
    }
}

struct Follower {
    bank: Arc<Bank>,
    shard: ShardId,
    lease: Lease,
    position: Option<Sequence>,
    sure_until: Timestamp,
}

impl Follower {
    /// One step; whether the next one may follow at once.
    async fn step(&mut self) -> Result<bool, Fault> {
        let now = self.bank.now();
        if self.sure_until <= now {
            let Some(sure_until) = self.lease.take(now).await? else {
                self.position = None;
                return Ok(false);
            };
            self.sure_until = sure_until;
        }
        let store = self.bank.store(self.shard);
        let head = store.head();
        let position = self.position.filter(|position| head.saturating_sub(*position) <= BEHIND_MAX).unwrap_or(head);
        let last = self.bank.keep_histories(self.shard, position).await?;
        self.position = Some(last);
        if last == position {
            // The lease is renewed though nothing happens.
            tokio::select! {
                head = store.head_after(last) => drop(head?),
                () = self.bank.env().sleep(PAUSE_US) => {}
            }
        }
        Ok(true)
    }
}
