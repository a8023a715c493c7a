//! The store in memory keeps what every store promises.

use store::conformance::bench::Bench;
use store::conformance::oracle::InMemory;
use store::conformance::{block_on, saga_ends};

store::conformance_suite!(InMemory::fresh);
store::conformance_suite!(InMemory::one_of_several, several);

#[test]
fn the_largest_batch_fits_between_shards() {
    let mut bench = Bench::new(InMemory::fresh);
    block_on(saga_ends::the_largest_batch_fits_between_shards(&mut bench));
}
