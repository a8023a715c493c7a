//! What is removed after a time, so that nothing grows without end.

use super::Notifications;
use super::delivery::{Delivery, Queue, State, Subscriber, booked_before, delivery_key, of_prefix};
use super::notice::{NEWS_US, told_prefix};
use super::sender::Settled;
use crate::ports::RecordChange;
use crate::records::parsed;
use ledger::time::Timestamp;
use std::collections::HashMap;
use store::Fault;

/// Records looked at, and removed, at a time.
const PAGE: usize = 500;

/// What was tidied up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tidied {
    /// Deliveries removed.
    pub removed: usize,
    /// Deliveries of endpoints that are no more, settled.
    pub dropped: usize,
}

impl Notifications {
    /// Removes what is older than it is kept, and settles what nobody will ever send.
    ///
    /// # Errors
    /// A fault of the records or the keyring: what was done stays done.
    pub async fn tidy(&self) -> Result<Tidied, Fault> {
        let dropped = self.drop_orphans().await?;
        self.remove_told().await?;
        self.remove_replaced_secrets().await?;
        Ok(Tidied { removed: self.remove_old().await?, dropped })
    }

    /// The time before which deliveries are not kept.
    pub fn kept_since(&self) -> Timestamp {
        let now_us = self.bank.now().microseconds();
        Timestamp::from_microseconds(now_us.saturating_sub(self.settings.keep_us)).unwrap_or_default()
    }

    /// Removes deliveries older than they are kept, but for those that wait or failed; how many.
    async fn remove_old(&self) -> Result<usize, Fault> {
        let (mut after, mut removed) = (booked_before(self.kept_since()), 0);
        loop {
            let page = self.records.list(&delivery_key(""), Some(&after), PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(removed) };
            after.clone_from(last);
            let mut changes = Vec::new();
            for (key, value) in page {
                // What cannot be read is left to whoever looks for why.
                let Ok(delivery) = parsed::<Delivery>(&key, &value) else { continue };
                if !matches!(delivery.state, State::Waiting | State::Failed) {
                    changes.push(RecordChange::remove(format!("{}{}", of_prefix(delivery.customer), delivery.id)));
                    changes.push(RecordChange::remove(key));
                    removed += 1;
                }
            }
            self.records.change(changes).await?;
        }
    }

    /// Settles what waits for endpoints that were removed.
    async fn drop_orphans(&self) -> Result<usize, Fault> {
        let mut dropped = 0;
        for queue in Queue::ALL {
            let prefix = format!("{}{}", queue.prefix(), Subscriber::endpoint("").name());
            let mut is_there: HashMap<String, bool> = HashMap::new();
            let mut after: Option<String> = None;
            loop {
                let page = self.records.list(&prefix, after.as_deref(), PAGE).await?;
                let Some((last, _)) = page.last() else { break };
                let mut next = last.clone();
                let mut orphans = Vec::new();
                for (key, value) in &page {
                    let id = key[prefix.len()..].split('/').next().unwrap_or_default();
                    let known = match is_there.get(id) {
                        Some(known) => *known,
                        None => self.endpoint(id).await?.is_some(),
                    };
                    is_there.insert(id.to_owned(), known);
                    if known {
                        // `0` comes after `/`: on with the next endpoint.
                        next = format!("{prefix}{id}0");
                        break;
                    }
                    if let Ok(delivery) = parsed::<Delivery>(key, value)
                        && self.delivery_as_written(&delivery.id).await?.is_some()
                    {
                        orphans.push((delivery, Settled::Dropped("no_endpoint")));
                    }
                }
                dropped += orphans.len();
                self.settle(&orphans).await?;
                after = Some(next);
            }
        }
        Ok(dropped)
    }

    /// Removes the notes that somebody was told of what is no news any more: nobody is told of it again.
    async fn remove_told(&self) -> Result<(), Fault> {
        let now_us = self.bank.now().microseconds();
        let prefix = told_prefix();
        let mut after: Option<String> = None;
        loop {
            let page = self.records.list(&prefix, after.as_deref(), PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            let is_old = |(key, value): &&(String, Vec<u8>)| {
                parsed::<u64>(key, value).is_ok_and(|told_us| NEWS_US < now_us.saturating_sub(told_us))
            };
            let old = page.iter().filter(is_old).map(|(key, _)| RecordChange::remove(key));
            self.records.change(old.collect()).await?;
        }
    }

    /// Forgets secrets of endpoints that sign no more, and destroys their keys.
    async fn remove_replaced_secrets(&self) -> Result<(), Fault> {
        for endpoint in self.endpoints().await? {
            self.forget_replaced_secrets(&endpoint.id).await?;
        }
        Ok(())
    }
}
