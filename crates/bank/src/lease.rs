//! Work that one node at a time should do: whoever has the lease does it.
//!
//! A lease saves work and keeps nodes out of each other's way. It is no lock: a node that was paused may wake up and go on
//! for a moment although another has taken over. Whatever is done under a lease must therefore bear to be done twice.

use crate::ports::{Env, Expected, RecordChange, Records};
use futures_util::future::{Either, select};
use ledger::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use store::Fault;

/// The least time a lease is taken for. Nodes' clocks may be some seconds apart, and whoever has a lease uses a third of it
/// before it is renewed: so another node, by its own clock, never finds it over too early.
pub const LEASE_LEAST_US: u64 = 15_000_000;

/// A lease that lasts longer than it could be taken for, by more than this, was taken by a node whose clock was wrong. It
/// is not waited for.
const ASTRAY_US: u64 = 60_000_000;

/// A node's claim to one kind of work.
#[derive(Clone)]
pub struct Lease {
    records: Arc<dyn Records>,
    key: String,
    holder: u128,
    lasts_us: u64,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("key", &self.key).finish_non_exhaustive()
    }
}

/// A lease as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Held {
    holder: String,
    until_us: u64,
}

impl Lease {
    /// The claim to the work of this name, which no two kinds of work share, by a holder that drew its number at random.
    /// It lasts so many microseconds, as long for all who ask for it, at least [`LEASE_LEAST_US`], unless it is renewed.
    pub fn new(records: Arc<dyn Records>, name: &str, holder: u128, lasts_us: u64) -> Lease {
        Lease { records, key: format!("lease/{name}"), holder, lasts_us: lasts_us.max(LEASE_LEAST_US) }
    }

    /// Takes or renews it; until when this holder may be sure of it, which is a third of the time it lasts. `None` if
    /// another holder has it.
    ///
    /// # Errors
    /// A fault of the records.
    pub async fn take(&self, now: Timestamp) -> Result<Option<Timestamp>, Fault> {
        let known = self.records.get(&self.key).await?;
        let expected = match known {
            None => Expected::Absent,
            Some(value) => {
                let held: Held = crate::records::parsed(&self.key, &value)?;
                let is_believable = held.until_us <= now.microseconds().saturating_add(self.lasts_us + ASTRAY_US);
                if held.holder != self.name() && now.microseconds() < held.until_us && is_believable {
                    return Ok(None);
                }
                Expected::Exactly(value)
            }
        };
        let until_us = now.microseconds().saturating_add(self.lasts_us);
        let change = RecordChange::put(&self.key, &Held { holder: self.name(), until_us })?.expecting(expected);
        let taken = self.records.change(vec![change]).await?;
        let sure_us = now.microseconds().saturating_add(self.lasts_us / 3);
        Ok(taken.then(|| Timestamp::from_microseconds(sure_us).unwrap_or(now)))
    }

    /// Renews it again and again; ends when this holder is no longer sure of it, even where the records do not answer. What
    /// does not work meanwhile is `told`.
    pub async fn keep(&self, env: &dyn Env, mut sure_until: Timestamp, told: impl Fn(&Fault)) {
        const EVERY_US: u64 = 1_000_000;
        let left_us = |sure_until: Timestamp| sure_until.microseconds().saturating_sub(env.now().microseconds());
        while 0 < left_us(sure_until) {
            let (taken, over) = (self.take(env.now()), env.sleep(left_us(sure_until)));
            match select(pin!(taken), over).await {
                Either::Left((Ok(Some(until)), _)) => sure_until = until,
                Either::Left((Err(fault), _)) => told(&fault),
                Either::Left((Ok(None), _)) | Either::Right(_) => return,
            }
            env.sleep(EVERY_US.min(left_us(sure_until))).await;
        }
    }

    /// Gives it up, if this holder has it, so that another need not wait for its end.
    ///
    /// # Errors
    /// A fault of the records.
    pub async fn give_up(&self) -> Result<(), Fault> {
        let Some(value) = self.records.get(&self.key).await? else { return Ok(()) };
        let held: Held = crate::records::parsed(&self.key, &value)?;
        if held.holder == self.name() {
            let removed = RecordChange::remove(&self.key).expecting(Expected::Exactly(value));
            self.records.change(vec![removed]).await?;
        }
        Ok(())
    }

    fn name(&self) -> String {
        format!("{:032x}", self.holder)
    }
}
