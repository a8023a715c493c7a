//! Records before one of whose changes somebody else does something.

use bank::ports::{Boxed, Record, RecordChange, Records};
use bank::records::MemoryRecords;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use store::Fault;

/// See the module.
pub(crate) struct Meanwhile {
    kept: Arc<MemoryRecords>,
    /// How many changes come before it.
    changes: AtomicUsize,
    meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Meanwhile {
    pub(crate) fn new(
        kept: Arc<MemoryRecords>,
        changes: usize,
        meanwhile: impl FnOnce() + Send + 'static,
    ) -> Meanwhile {
        Meanwhile { kept, changes: AtomicUsize::new(changes), meanwhile: Mutex::new(Some(Box::new(meanwhile))) }
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
        if self.changes.fetch_sub(1, Ordering::Relaxed) == 0 {
            let meanwhile = self.meanwhile.lock().expect("not poisoned").take();
            meanwhile.into_iter().for_each(|meanwhile| meanwhile());
        }
        self.kept.change(changes)
    }
}
