//! The suite that every engine passes, on a folder whose runs and checkpoints are so small that the claims meet them.

use crate::bank::options;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use store::Store;
use store::conformance::Fixture;
use store::model::Clock;
use store_embedded::engine::{Engine, Options};

store::conformance_suite!(fresh_shard);

struct Shard {
    folder: tempfile::TempDir,
    clock: Clock,
    engine: Option<(Engine, Arc<dyn Store>)>,
}

fn fresh_shard(clock: Clock) -> Box<dyn Fixture> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut shard = Shard { folder, clock, engine: None };
    shard.open();
    Box::new(shard)
}

impl Shard {
    fn open(&mut self) {
        let options = Options { clock: self.clock.clone(), run_entries: 50, ..options(&Arc::new(AtomicU64::new(0))) };
        let engine = Engine::open(self.folder.path(), &options).expect("the folder opens");
        let store = engine.stores()[0].clone();
        self.engine = Some((engine, store));
    }
}

impl Fixture for Shard {
    fn store(&self) -> &dyn Store {
        &*self.engine.as_ref().expect("the engine is open").1
    }

    fn reopen(&mut self) {
        let (engine, _) = self.engine.take().expect("the engine is open");
        engine.shut_down().expect("a clean shutdown");
        self.open();
    }
}
