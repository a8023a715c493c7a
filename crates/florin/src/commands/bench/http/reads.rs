//! Reading beside the load: the balance and the latest postings of random accounts in turn.

use super::super::{mixed, now};
use super::Load;
use crate::client::{Client, Request};
use crate::door::refusal;
use crate::failure::Failure;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Postings that a call asks for.
const POSTINGS: u32 = 20;

impl Load<'_> {
    /// Asks until the writing clients have ended; how long each call took.
    pub(super) fn read(&self, mut client: Client, reader: u16) -> Result<Vec<Duration>, Failure> {
        let mut latencies = Vec::new();
        let accounts = self.maker.accounts();
        let mut index = u64::from(reader) << 48;
        while !self.is_over.load(Ordering::Relaxed) {
            let place = mixed(index) % accounts.len() as u64;
            let account =
                usize::try_from(place).ok().and_then(|place| accounts.get(place)).copied().unwrap_or_default();
            index += 1;
            let balance = format!("/api/v1/accounts/{account}");
            let postings = format!("{balance}/postings?limit={POSTINGS}");
            for path in [&balance, &postings] {
                let asked = now();
                let reply = client.send(&Request { method: "GET", path, key: None, body: None })?;
                latencies.push(asked.elapsed());
                if reply.status != 200 {
                    return Err(refusal(&reply));
                }
            }
        }
        Ok(latencies)
    }
}
