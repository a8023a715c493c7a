//! Records before whose changes something else happens.

use bank::ports::{Boxed, Record, RecordChange, Records};
use bank::records::MemoryRecords;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use store::Fault;

/// See the module.
pub(crate) struct Meanwhile {
    kept: Arc<MemoryRecords>,
    before_change: Box<dyn Fn() -> Boxed<'static, ()> + Send + Sync>,
}

impl Meanwhile {
    /// Before each change this is waited for.
    pub(crate) fn before_each(
        kept: Arc<MemoryRecords>,
        before_change: impl Fn() -> Boxed<'static, ()> + Send + Sync + 'static,
    ) -> Meanwhile {
        Meanwhile { kept, before_change: Box::new(before_change) }
    }

    /// After so many changes, somebody else does this before the next one.
    pub(crate) fn once_after(
        kept: Arc<MemoryRecords>,
        changes: usize,
        meanwhile: impl FnOnce() + Send + 'static,
    ) -> Meanwhile {
        let (changes, meanwhile) = (AtomicUsize::new(changes), Mutex::new(Some(meanwhile)));
        Meanwhile::before_each(kept, move || {
            if changes.fetch_sub(1, Ordering::Relaxed) == 0 {
                let meanwhile = meanwhile.lock().expect("not poisoned").take();
                meanwhile.into_iter().for_each(|meanwhile| meanwhile());
            }
            Box::pin(std::future::ready(()))
        })
    }
}

impl Records for Meanwhile {
    fn get<'a>(&'a self, key: &'a str) -> Boxed<'a, Result<Option<Vec<u8>>, Fault>> {
        self.kept.get(key)
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        count: usize,
    ) -> Boxed<'a, Result<Vec<Record>, Fault>> {
        self.kept.list(prefix, after, count)
    }

    fn change(&self, changes: Vec<RecordChange>) -> Boxed<'_, Result<bool, Fault>> {
        Box::pin(async move {
            (self.before_change)().await;
            self.kept.change(changes).await
        })
    }
}
