//! Work that one node at a time does.

use crate::ports::TestEnv;
use bank::lease::{LEASE_LEAST_US, Lease};
use bank::ports::{Boxed, Record, RecordChange, Records};
use bank::records::MemoryRecords;
use futures_util::FutureExt;
use ledger::time::Timestamp;
use std::sync::Arc;
use store::Fault;

const START_US: u64 = 1_800_000_000_000_000;

fn at(after_us: u64) -> Timestamp {
    Timestamp::from_microseconds(START_US + after_us).expect("a time")
}

fn two_holders() -> (Lease, Lease) {
    let records = Arc::new(MemoryRecords::default());
    let lease = |holder| Lease::new(records.clone(), "sweeping", holder, LEASE_LEAST_US);
    (lease(1), lease(2))
}

fn take(lease: &Lease, after_us: u64) -> Option<Timestamp> {
    let taken: Result<_, Fault> = lease.take(at(after_us)).now_or_never().expect("memory does not wait");
    taken.expect("memory has no faults")
}

#[test]
fn a_lease_has_one_holder_until_it_is_over() {
    let (one, other) = two_holders();
    assert_eq!(take(&one, 0), Some(at(LEASE_LEAST_US / 3)));
    assert_eq!(take(&other, LEASE_LEAST_US - 1), None);
    assert_eq!(take(&other, LEASE_LEAST_US), Some(at(LEASE_LEAST_US + LEASE_LEAST_US / 3)));
    assert_eq!(take(&one, LEASE_LEAST_US + 1), None);
}

#[test]
fn a_renewed_lease_lasts_from_then_on() {
    let (one, other) = two_holders();
    assert!(take(&one, 0).is_some());
    assert!(take(&one, LEASE_LEAST_US / 2).is_some());
    assert_eq!(take(&other, LEASE_LEAST_US), None);
}

#[test]
fn a_lease_that_is_given_up_is_free_at_once_and_only_its_holder_gives_it_up() {
    let (one, other) = two_holders();
    assert!(take(&one, 0).is_some());
    other.give_up().now_or_never().expect("memory does not wait").expect("no fault");
    assert_eq!(take(&other, 1), None);
    one.give_up().now_or_never().expect("memory does not wait").expect("no fault");
    assert!(take(&other, 1).is_some());
}

#[test]
fn a_lease_taken_by_a_clock_far_ahead_is_not_waited_for() {
    let (one, other) = two_holders();
    assert!(take(&one, 86_400_000_000).is_some());
    assert!(take(&other, 0).is_some());
}

/// Records that take what they are asked, and never answer.
struct Silent;

impl Records for Silent {
    fn get<'a>(&'a self, _key: &'a str) -> Boxed<'a, Result<Option<Vec<u8>>, Fault>> {
        Box::pin(std::future::pending())
    }

    fn list<'a>(&'a self, _: &'a str, _: Option<&'a str>, _: usize) -> Boxed<'a, Result<Vec<Record>, Fault>> {
        Box::pin(std::future::pending())
    }

    fn change(&self, _: Vec<RecordChange>) -> Boxed<'_, Result<bool, Fault>> {
        Box::pin(std::future::pending())
    }
}

#[test]
fn who_does_not_hear_whether_a_lease_was_renewed_no_longer_keeps_it() {
    let lease = Lease::new(Arc::new(Silent), "sweeping", 1, LEASE_LEAST_US);
    crate::world::now(lease.keep(&*TestEnv::new(), at(LEASE_LEAST_US / 3), |fault| panic!("{fault}")));
}
