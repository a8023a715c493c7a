//! A crash of the process, at any moment: what was answered is there, and only whole entries are.

use crate::bank::{Bank, account, transfers};
use ledger::time::Timestamp;
use store::Answer;
use store::conformance::block_on;

#[test]
fn what_was_answered_is_there_after_a_crash_and_answers_retries() {
    let bank = Bank::new();
    bank.open_accounts(10);
    let mut answered = 0;
    for round in 0..30 {
        let requests = transfers(round * 50..(round + 1) * 50, 10);
        let answers = bank.submit(requests).expect("no fault");
        assert!(answers.iter().all(|answer| matches!(answer, Answer::Recorded(_))));
        answered += 50;
        if round % 7 == 0 {
            let mut after = bank.crashed();
            after.open();
            assert!(after.verify().is_clean(), "{:?}", after.verify());
            let replays = after.submit(transfers(0..answered, 10)).expect("no fault");
            assert!(replays.iter().all(|answer| matches!(answer, Answer::Replayed(_))), "round {round}");
        }
    }
}

#[test]
fn a_clean_shutdown_and_a_crash_lead_to_the_same_balances() {
    let mut bank = Bank::new();
    bank.open_accounts(5);
    bank.submit(transfers(0..700, 5)).expect("no fault");
    let mut after_crash = bank.crashed();
    after_crash.open();
    bank.close();
    bank.open();
    for id in 1..=5 {
        let read = |bank: &Bank| block_on(bank.store().account(account(id), Timestamp::MAX)).expect("no fault");
        assert_eq!(read(&bank), read(&after_crash));
    }
    assert!(bank.verify().is_clean());
}

#[test]
fn a_torn_block_is_cut_reported_and_set_aside() {
    let bank = Bank::new();
    bank.open_accounts(3);
    bank.submit(transfers(0..20, 3)).expect("no fault");
    let mut after = bank.crashed();
    let segment = crate::bank::files(after.path(), ".segment").remove(0);
    let mut bytes = std::fs::read(&segment).expect("a segment");
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("blocks") + 1;
    bytes[end - 40..end].fill(0); // the end of the last block never reached the disk
    std::fs::write(&segment, bytes).expect("written");
    after.open();
    assert_eq!(after.engine.as_ref().map(|engine| engine.notes().len()), Some(1));
    assert!(after.verify().is_clean());
    assert_eq!(
        crate::bank::files(after.path(), ".torn-1").len() + crate::bank::files(after.path(), ".torn-0").len(),
        1
    );
}

#[test]
fn a_submission_larger_than_a_block_takes_effect_in_order() {
    let bank = Bank::with(|options| options.run_entries = 100_000);
    bank.open_accounts(8191); // with the registration 8,192 requests, whose rows could fill many segments
    bank.submit(transfers(0..10, 8)).expect("no fault");
    assert_eq!(bank.store().head(), 8192 + 10);
    assert!(bank.verify().is_clean());
}
