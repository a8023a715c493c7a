//! What nodes tell each other of histories through a cache that is trusted with nothing.

use super::window::{Window, slim, version_of};
use super::{Histories, Refused, View, name};
use crate::Bank;
use ledger::event::Entry;
use ledger::ids::{AccountId, Sequence, ShardId};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use store::codec::{decode_block, encode_block};
use store::query::{EntryQuery, PAGE_MAX, PostingRow, postings_on};
use store::{EntryRef, Fault, TransferRef, transfers_of};

/// Accounts whose windows are asked for at a time, so that no answer is very large.
const ACCOUNTS_AT_ONCE: usize = 128;
/// Bytes of the signature that everything begins with.
const SIGNATURE_BYTES: usize = 32;
/// Bytes of version and completeness, which follow.
const HEAD_BYTES: usize = 9;

impl Histories {
    /// What the shared cache has of an account, if this bank wrote it for this account.
    pub(super) async fn shared(&self, account: AccountId, view: View) -> Option<Arc<Window>> {
        let (cache, names) = (self.shared.get()?, [name(account, view)]);
        match cache.get(&names).await {
            Ok(values) => self.opened(&names[0], values.into_iter().next()??, view).map(Arc::new),
            Err(_) => {
                self.refused(Refused::Away);
                None
            }
        }
    }

    /// Tells the other nodes. Nothing depends on whether they hear it.
    pub(super) async fn share(&self, account: AccountId, view: View, window: &Window) {
        let Some(cache) = self.shared.get() else { return };
        let name = name(account, view);
        let value = self.sealed(&name, window);
        if cache.put(vec![(name, value)]).await.is_err() {
            self.refused(Refused::Away);
        }
    }

    fn signature(&self, name: &str, rest: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.secret);
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.update(rest);
        hasher.finalize()
    }

    fn sealed(&self, name: &str, window: &Window) -> Vec<u8> {
        let mut rest = window.version.to_le_bytes().to_vec();
        rest.push(u8::from(window.is_all));
        let entries: Vec<Entry> = window.rows.iter().map(|row| Entry::clone(&row.transfer.entry)).collect();
        encode_block(&entries, &mut rest);
        let mut value = self.signature(name, &rest).as_bytes().to_vec();
        value.extend_from_slice(&rest);
        value
    }

    fn opened(&self, name: &str, value: Vec<u8>, view: View) -> Option<Window> {
        let window = self.read(name, &value).filter(|window| view != View::Latest || window.is_unbroken());
        if window.is_none() {
            self.refused(Refused::Forged);
        }
        window
    }

    fn read(&self, name: &str, value: &[u8]) -> Option<Window> {
        let (signature, rest) = value.split_at_checked(SIGNATURE_BYTES)?;
        let signature = blake3::Hash::from_bytes(signature.try_into().ok()?);
        if signature != self.signature(name, rest) {
            return None;
        }
        let (head, block) = rest.split_at_checked(HEAD_BYTES)?;
        let (version, is_all) = head.split_at_checked(HEAD_BYTES - 1)?;
        let version = u64::from_le_bytes(version.try_into().ok()?);
        let row = |entry| PostingRow { transfer: TransferRef { entry: EntryRef::single(entry), index: 0 }, index: 0 };
        let rows = decode_block(block, 0).ok()?.into_iter().map(row).collect();
        Some(Window { version, rows, is_all: is_all == [1] })
    }
}

impl Bank {
    /// Adds the postings of the next entries of a shard after one to what the shared cache has of their accounts; the last
    /// entry that was looked at. Of an account that the cache does not know nothing is added: whoever reads it does that.
    ///
    /// # Errors
    /// A fault of the shard or of the cache.
    pub async fn keep_histories(&self, shard: ShardId, after: Sequence) -> Result<Sequence, Fault> {
        let Some(cache) = self.histories.shared.get() else { return Ok(after) };
        let entries = self.store(shard).follow(EntryQuery { after, limit: PAGE_MAX }).await?;
        let Some(last) = entries.last().map(|entry| entry.header.sequence) else { return Ok(after) };
        let touched: Vec<(AccountId, Vec<PostingRow>)> = touched(&entries).into_iter().collect();
        for some in touched.chunks(ACCOUNTS_AT_ONCE) {
            let names: Vec<String> = some.iter().map(|(account, _)| name(*account, View::Latest)).collect();
            let known = cache.get(&names).await?;
            let mut changed = Vec::new();
            for ((name, (_, rows)), value) in names.into_iter().zip(some).zip(known) {
                let Some(window) = value.and_then(|value| self.histories.opened(&name, value, View::Latest)) else {
                    continue;
                };
                let newer: Vec<PostingRow> =
                    rows.iter().filter(|row| window.version < version_of(row)).map(slim).collect();
                let Some(version) = newer.first().map(version_of) else { continue };
                let window = window.with(newer, version, View::Latest);
                if window.is_unbroken() {
                    let value = self.histories.sealed(&name, &window);
                    changed.push((name, value));
                }
            }
            if !changed.is_empty() {
                cache.put(changed).await?;
            }
        }
        let behind = self.store(shard).head().saturating_sub(last);
        self.histories.behind.lock().unwrap_or_else(PoisonError::into_inner).insert(shard, behind);
        Ok(last)
    }
}

/// The postings of these entries by their accounts, the newest first.
fn touched(entries: &[EntryRef]) -> BTreeMap<AccountId, Vec<PostingRow>> {
    let mut touched: BTreeMap<AccountId, Vec<PostingRow>> = BTreeMap::new();
    for entry in entries.iter().rev() {
        let postings = transfers_of(&entry.outcome).iter().flat_map(|transferred| transferred.postings.iter());
        let mut accounts: Vec<AccountId> = postings.map(|posting| posting.account).collect();
        accounts.sort_unstable();
        accounts.dedup();
        for account in accounts {
            touched.entry(account).or_default().extend(postings_on(entry, account));
        }
    }
    touched
}
