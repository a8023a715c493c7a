//! The suite that every engine passes, on a folder whose runs and checkpoints are so small that the claims meet them.

use crate::bank::options;
use ledger::ids::ShardId;
use ledger::working_set::SlotSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use store::Store;
use store::conformance::bench::Bench;
use store::conformance::{Fixture, block_on, saga_ends};
use store::model::{Clock, Identity};
use store_embedded::engine::{Engine, Options};

store::conformance_suite!(fresh_shard);
store::conformance_suite!(one_of_three, several);

struct Shard {
    folder: tempfile::TempDir,
    clock: Clock,
    /// Its number, and how many there are.
    place: (u16, u16),
    segment_bytes: u64,
    engine: Option<(Engine, Arc<dyn Store>)>,
}

fn fresh_shard(clock: Clock) -> Box<dyn Fixture> {
    shard_at((0, 1), 8 << 20, clock)
}

fn one_of_three(clock: Clock) -> Box<dyn Fixture> {
    shard_at((2, 3), 8 << 20, clock)
}

fn shard_at(place: (u16, u16), segment_bytes: u64, clock: Clock) -> Box<dyn Fixture> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut shard = Shard { folder, clock, place, segment_bytes, engine: None };
    shard.open();
    Box::new(shard)
}

impl Shard {
    fn open(&mut self) {
        let (number, shards) = self.place;
        let small = options(&Arc::new(AtomicU64::new(0)));
        // The room that is promised to an account with all the holds it may have, which moves.
        let segment_bytes = self.segment_bytes;
        let options = Options { clock: self.clock.clone(), segment_bytes, run_entries: 50, shards, ..small };
        let engine = Engine::open(self.folder.path(), &options).expect("the folder opens");
        let store = engine.stores()[usize::from(number)].clone();
        self.engine = Some((engine, store));
    }
}

impl Fixture for Shard {
    fn store(&self) -> &dyn Store {
        &*self.engine.as_ref().expect("the engine is open").1
    }

    fn identity(&self) -> Identity {
        let (number, shards) = self.place;
        let shard = ShardId::new(number).expect("a shard's number");
        Identity { shard, slots: SlotSet::of(|slot| slot % shards == number), ..Identity::only_shard() }
    }

    fn reopen(&mut self) {
        let (engine, _) = self.engine.take().expect("the engine is open");
        engine.shut_down().expect("a clean shutdown");
        self.open();
    }
}

#[test]
fn the_largest_batch_fits_between_shards() {
    let mut bench = Bench::new(|clock| shard_at((0, 1), 64 << 20, clock));
    block_on(saga_ends::the_largest_batch_fits_between_shards(&mut bench));
}
