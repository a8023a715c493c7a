//! Planted bugs that show readers what is no longer, or not yet.

use super::twist::Twist;
use crate::random::Dice;
use crate::scheduler::lock;
use crate::shard::Memory;
use ledger::account::Account;
use ledger::ids::AccountId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use store::{Answer, Reply, Store, Submission};

/// See [`super::Plant::AnsweredBeforePublished`].
pub(super) struct Unpublished {
    memory: Memory,
    dice: Dice,
    published: Mutex<Memory>,
}

impl Unpublished {
    pub(super) fn new(memory: Memory, dice: Dice) -> Unpublished {
        Unpublished { published: Mutex::new(memory.clone()), memory, dice }
    }
}

impl Twist for Unpublished {
    fn store(&self) -> Arc<dyn Store> {
        lock(&self.published).store.clone()
    }

    fn submit(&self, submission: Submission) -> Reply<'_, Vec<Answer>> {
        let before = self.dice.happens(3_000).then(|| self.memory.store.entries_so_far());
        *lock(&self.published) = match before {
            Some(entries) => self.memory.again(entries),
            None => self.memory.clone(),
        };
        self.memory.store.submit(submission)
    }
}

/// See [`super::Plant::AnsweredBeforeDurable`].
pub(super) struct Undurable {
    memory: Mutex<Memory>,
    dice: Dice,
}

impl Undurable {
    pub(super) fn new(memory: Memory, dice: Dice) -> Undurable {
        Undurable { memory: Mutex::new(memory), dice }
    }
}

impl Twist for Undurable {
    fn store(&self) -> Arc<dyn Store> {
        lock(&self.memory).store.clone()
    }

    fn submit(&self, submission: Submission) -> Reply<'_, Vec<Answer>> {
        Box::pin(async move {
            let memory = lock(&self.memory).clone();
            let answers = memory.store.submit(submission).await?;
            if self.dice.happens(200) {
                let mut entries = memory.store.entries_so_far();
                entries.pop();
                *lock(&self.memory) = memory.again(entries);
            }
            Ok(answers)
        })
    }
}

/// See [`super::Plant::StaleCache`].
pub(super) struct StaleCache {
    store: Arc<dyn Store>,
    seen: Mutex<BTreeMap<AccountId, Account>>,
}

impl StaleCache {
    pub(super) fn new(store: Arc<dyn Store>) -> StaleCache {
        StaleCache { store, seen: Mutex::default() }
    }
}

impl Twist for StaleCache {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn show_account(&self, account: Option<Account>) -> Option<Account> {
        let account = account?;
        Some(lock(&self.seen).entry(account.id).or_insert(account).clone())
    }
}
