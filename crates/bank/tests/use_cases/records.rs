//! Records in memory keep the contract that others keep.

use bank::records::{MemoryRecords, contract};
use futures_util::FutureExt;

#[test]
fn records_in_memory_keep_the_contract() {
    let records = MemoryRecords::default();
    contract::check(&records).now_or_never().expect("memory does not wait").expect("memory has no faults");
}
