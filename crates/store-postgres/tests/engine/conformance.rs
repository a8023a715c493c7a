//! The suite that every engine passes, unchanged, on a database of its own for each claim.

use ledger::ids::ShardId;
use ledger::working_set::SlotSet;
use std::sync::Arc;
use store::Store;
use store::conformance::bench::Bench;
use store::conformance::{Fixture, block_on, saga_ends};
use store::model::{Clock, Identity};
use store_postgres::engine::{Engine, Options};
use test_servers::Postgres;

store::conformance_suite!(fresh_shard);
store::conformance_suite!(one_of_three, several);

struct Shard {
    urls: Vec<String>,
    clock: Clock,
    /// Its number.
    number: u16,
    engine: Option<(Engine, Arc<dyn Store>)>,
}

fn fresh_shard(clock: Clock) -> Box<dyn Fixture> {
    shard_at(0, 1, clock)
}

fn one_of_three(clock: Clock) -> Box<dyn Fixture> {
    shard_at(2, 3, clock)
}

fn shard_at(number: u16, shards: u16, clock: Clock) -> Box<dyn Fixture> {
    let urls = (0..shards).map(|_| Postgres::shared().create_database()).collect();
    let mut shard = Shard { urls, clock, number, engine: None };
    shard.open();
    Box::new(shard)
}

impl Shard {
    fn open(&mut self) {
        let mut options = Options::new(self.urls.clone(), self.clock.clone(), [7; 64]);
        options.owners = self.urls.clone();
        options.read_connections = 2;
        // So small that the claims meet a committer that begins anew.
        options.cache_rows_max = 20;
        let engine = Engine::open(&options).expect("the databases open");
        let store = engine.stores()[usize::from(self.number)].clone();
        self.engine = Some((engine, store));
    }
}

impl Fixture for Shard {
    fn store(&self) -> &dyn Store {
        &*self.engine.as_ref().expect("the engine is open").1
    }

    fn identity(&self) -> Identity {
        let (number, shards) = (self.number, u16::try_from(self.urls.len()).expect("a few"));
        let shard = ShardId::new(number).expect("a shard's number");
        Identity { shard, slots: SlotSet::of(|slot| slot % shards == number), ..Identity::only_shard() }
    }

    fn reopen(&mut self) {
        let (engine, _) = self.engine.take().expect("the engine is open");
        engine.shut_down();
        self.open();
    }
}

#[test]
fn the_largest_batch_fits_between_shards() {
    let mut bench = Bench::new(fresh_shard);
    block_on(saga_ends::the_largest_batch_fits_between_shards(&mut bench));
}
