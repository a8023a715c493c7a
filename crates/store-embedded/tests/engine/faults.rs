//! Faults of the disk while the bank serves.

use crate::bank::{Bank, account, options, transfers};
use ledger::time::Timestamp;
use store::conformance::block_on;
use store::{Answer, Fault};
use store_embedded::engine::Engine;

fn plan(text: &str) -> Option<store_embedded::disk::fault::FaultPlan> {
    Some(text.parse().expect("a fault plan"))
}

/// Submits until a fault; the numbers answered before it.
fn submit_until_fault(bank: &Bank) -> (u64, Fault) {
    bank.open_accounts(4);
    for number in 0..2000 {
        match bank.submit(transfers(number..number + 1, 4)) {
            Ok(answers) => assert!(matches!(answers[0], Answer::Recorded(_))),
            Err(fault) => return (number, fault),
        }
    }
    panic!("the planned fault never came");
}

#[test]
fn a_failed_sync_poisons_the_shard_for_good_and_loses_nothing_that_was_answered() {
    for fault in ["sync:40:eio", "write:60:short", "write:75:eio"] {
        let bank = Bank::with(|options| options.faults = plan(fault));
        let (answered, fault) = submit_until_fault(&bank);
        assert!(matches!(fault, Fault::Unavailable { .. }), "{fault:?}");
        assert!(matches!(bank.submit(transfers(5000..5001, 4)), Err(Fault::Unavailable { .. })));
        assert!(bank.store().stats().poisoned.is_some());
        let mut after = bank.crashed();
        after.open();
        assert!(after.verify().is_clean());
        let replays = after.submit(transfers(0..answered, 4)).expect("no fault");
        assert!(replays.iter().all(|answer| matches!(answer, Answer::Replayed(_))));
    }
}

#[test]
fn readers_see_nothing_of_a_block_that_did_not_become_durable() {
    let bank = Bank::with(|options| options.faults = plan("sync:40+:eio"));
    let (answered, _) = submit_until_fault(&bank);
    let head = bank.store().head();
    let versions: u64 = (1..=4)
        .map(|id| {
            block_on(bank.store().account(account(id), Timestamp::MAX)).ok().flatten().map_or(0, |row| row.version)
        })
        .sum();
    assert_eq!((head, versions), (5 + answered, 2 * answered));
}

#[test]
fn a_full_disk_is_a_clean_no_and_service_resumes_when_there_is_room() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let time = crate::bank::new_time();
    let mut opts = options(&time);
    opts.segment_bytes = 3 << 20;
    // The first segment is there; while the second is filled with zeros the disk is full for a while.
    opts.faults = plan("write:2000:enospc,write:2001:enospc,write:2002:enospc");
    let engine = Engine::open(folder.path(), &opts).expect("opens");
    let bank = Bank { folder: std::sync::Arc::new(folder), time, engine: Some(engine) };
    bank.open_accounts(4);
    let mut faults = 0;
    for number in 0..6000 {
        match bank.submit(transfers(number..number + 1, 4)) {
            Ok(_) => {}
            Err(Fault::NoSpace) => faults += 1,
            Err(Fault::Unavailable { .. }) => break, // a block of the journal itself was hit, which poisons
            Err(other) => panic!("{other:?}"),
        }
    }
    let mut after = bank.crashed();
    after.open();
    assert!(after.verify().is_clean());
    assert!(faults < 10);
}
