//! Atomic batches: one by one, all or none.

use super::check::check;

#[test]
fn a_batch_is_done_transfer_after_transfer() {
    check(
        "
        account  A 100                                => opened
        account  B                                    => opened
        account  C                                    => opened
        batch    X1 A>B 100; B>C 60; C>A 10; B>cash max => transferred
        postings X1.0 A -100 0 v2, B +100 100 v1
        postings X1.1 B -60 40 v2, C +60 60 v1
        postings X1.2 C -10 50 v2, A +10 10 v3
        postings X1.3 B -40 0 v3, cash +40 -60 v2
        batch    X1 A>B 100; B>C 60; C>A 10; B>cash max => replayed
        batch    X1 A>B 100; B>C 60; C>A 10           => idempotency_key_reused
    ",
    );
}

#[test]
fn a_batch_failing_anywhere_leaves_nothing_behind() {
    check(
        "
        account  A 100                              => opened
        account  B                                  => opened
        batch    X0 A>nobody 1; A>B 1; A>B 1        => account_not_found nobody
        batch    X1 A>B 10; A>nobody 1; A>B 1       => account_not_found at 1 nobody
        batch    X2 A>B 10; A>B 1; A>nobody 1       => account_not_found at 2 nobody
        batch    X3 A>B 60; A>B 41                  => insufficient_funds at 1 A 40
        batch    X4 B>A 1; A>B 100                  => insufficient_funds B 0        // no later one can save it
        batch    X5 A>B 60; B>A 61                  => insufficient_funds at 1 B 60
        balance  A 100 version 1 revision 2
        balance  B 0 version 0 revision 1
        batch    X3 A>B 60; A>B 41                  => replayed
    ",
    );
}

#[test]
fn limits_and_statuses_hold_inside_a_batch() {
    check(
        "
        account  A 100                       => opened
        account  B                           => opened
        terms    A daily 50                  => changed
        batch    X1 A>B 30; A>B 21           => limit_exceeded at 1 A DailyDebit
        balance  A 100 today 0
        batch    X2 A>B 30; A>B 20           => transferred
        balance  A 50 today 50
        freeze   B                           => frozen
        batch    X3 cash>A 5; B>A 5          => account_frozen at 1 B
        batch    X4 deposit A 5; withdrawal A 5 forced => limit_exceeded at 1
        batch    X5 deposit A 5 note first; deposit B 5 note second => transferred
    ",
    );
}
