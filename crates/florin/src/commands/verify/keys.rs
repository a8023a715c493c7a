//! Whether every key that sealed data needs is in the keyring, and opens what it sealed.
//!
//! A key that was destroyed is in order: that is how a person's data are forgotten. A key that is not there at all is
//! not: the keyring is then older than the data, as after restoring a backup that was put together wrongly.

use crate::adapters::keyring::KeyState;
use crate::failure::Failure;
use crate::program::OpenBank;
use bank::sealing::key_of;
use ledger::dead_letter::DeadLetter;
use ledger::event::{Event, Outcome};
use store::query::{PAGE_MAX, PageQuery};
use store::report::Check;
use store::{EntryRef, Fault, Store};

/// Looks at what is sealed in the profiles and the dead letters of a shard.
///
/// # Errors
/// A fault other than damage, which is what the check is after.
pub(super) async fn check(open: &OpenBank, shard: &dyn Store) -> Result<Check, Failure> {
    let mut walk = Walk { open, shard, count: 0 };
    let failure = match walk.profiles().await {
        Ok(None) => walk.dead_letters().await,
        found => found,
    };
    let failure = match failure {
        Ok(failure) => failure,
        Err(Fault::Corrupt { detail }) => Some(detail),
        Err(fault) => return Err(fault.into()),
    };
    Ok(Check { name: "sealed data, with its keys in the keyring", count: walk.count, failure })
}

struct Walk<'a> {
    open: &'a OpenBank,
    shard: &'a dyn Store,
    /// Envelopes looked at.
    count: u64,
}

impl Walk<'_> {
    /// The first profile that is wrong, and how.
    async fn profiles(&mut self) -> Result<Option<String>, Fault> {
        let mut query = PageQuery { limit: PAGE_MAX, ..PageQuery::default() };
        loop {
            let page = self.shard.customers(query).await?;
            for customer in &page.items {
                for (field, envelope) in &customer.profile {
                    if let Some(wrong) = self.look_up(envelope).await? {
                        return Ok(Some(format!("`{}` of user {}: {wrong}", field.name(), customer.id)));
                    }
                }
                self.open.bank.open_profile(customer).await?;
            }
            match page.next {
                None => return Ok(None),
                next => query.before = next,
            }
        }
    }

    /// The first dead letter that is wrong, and how.
    async fn dead_letters(&mut self) -> Result<Option<String>, Fault> {
        let mut query = PageQuery { limit: PAGE_MAX, ..PageQuery::default() };
        loop {
            let page = self.shard.dead_letters(query).await?;
            for letter in &page.items {
                if let Some(wrong) = self.dead_letter(letter).await? {
                    return Ok(Some(format!("dead letter {}: {wrong}", letter.id)));
                }
            }
            match page.next {
                None => return Ok(None),
                next => query.before = next,
            }
        }
    }

    async fn dead_letter(&mut self, letter: &DeadLetter) -> Result<Option<String>, Fault> {
        let Some((_, first, latest)) = self.shard.dead_letter(letter.id).await? else { return Ok(None) };
        let is_one = first.header.sequence == latest.header.sequence;
        for envelope in [&first, &latest].into_iter().skip(usize::from(is_one)).filter_map(payload) {
            if let Some(wrong) = self.look_up(envelope).await? {
                return Ok(Some(wrong));
            }
        }
        self.open.bank.view_letter(letter).await.map(|_| None)
    }

    async fn look_up(&mut self, envelope: &[u8]) -> Result<Option<String>, Fault> {
        self.count += 1;
        let Some(id) = key_of(envelope) else { return Ok(Some("what is stored is no envelope".to_owned())) };
        Ok(match self.open.keyring.state(id).await? {
            KeyState::Live | KeyState::Destroyed => None,
            KeyState::Missing => Some("its key is not in the keyring, which is older than the data".to_owned()),
        })
    }
}

fn payload(entry: &EntryRef) -> Option<&[u8]> {
    match &entry.outcome {
        Outcome::Event(Event::DeadLetterChanged(changed)) => changed.payload.as_deref(),
        _ => None,
    }
}
