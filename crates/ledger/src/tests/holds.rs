//! Holds: what they reserve, how they end, what comes back.

use super::bank::{Bank, empty_set};
use super::check::check;
use super::script::{Names, parse};
use crate::Decision;
use crate::account::HOLDS_PER_ACCOUNT_MAX;
use crate::event::{Event, Header, Outcome};
use crate::limit::LimitKind;
use crate::rejection::Rejection;

#[test]
fn a_capture_takes_what_was_reserved_and_releases_the_rest() {
    check(
        "
        account  A 100            => opened
        account  B                => opened
        hold     H1 A 60 to B     => held
        balance  A 100 held 60 available 40 version 1 revision 3 holds 1
        capture  C1 H1 50         => captured
        postings C1 A -50 50 v2, B +50 50 v1
        stands   H1 captured 50/60
        balance  A 50 held 0 available 50 version 2 revision 5 holds 0
        capture  C2 H1            => hold_not_open
        capture  C1 H1 50         => replayed
        void     H1               => hold_not_open
    ",
    );
}

#[test]
fn partial_captures_leave_the_rest_reserved() {
    check(
        "
        account  A 100              => opened
        hold     H1 A 60            => held
        capture  C1 H1 20 partial   => captured
        stands   H1 held 20/60
        balance  A 80 held 40 available 40 holds 1
        capture  C2 H1 41 partial   => hold_amount_exceeded 40
        capture  C3 H1 41           => hold_amount_exceeded 40
        capture  C4 H1 10 partial   => captured
        capture  C5 H1 partial      => captured      // all that is left ends it, partial or not
        stands   H1 captured 60/60
        balance  A 40 held 0 available 40 holds 0
        balance  cash -40                            // without a target it was withdrawn
    ",
    );
}

#[test]
fn the_captures_target_wins_over_the_holds() {
    check(
        "
        account  A 100             => opened
        account  B                 => opened
        account  C                 => opened
        hold     H1 A 10 to B      => held
        hold     H2 A 10           => held
        hold     H3 A 10           => held
        capture  C1 H1 to C        => captured
        capture  C2 H2 to B        => captured
        capture  C3 H3             => captured
        balance  B 10
        balance  C 10
        balance  A 70 held 0
        balance  cash -90
    ",
    );
}

#[test]
fn voiding_gives_back_once() {
    check(
        "
        account  A 100             => opened
        hold     H1 A 60           => held
        capture  C1 H1 20 partial  => captured
        void     H1                => voided
        stands   H1 voided 20/60
        balance  A 80 held 0 available 80 holds 0
        void     H1                => nothing
        balance  A 80 held 0 available 80 revision 6
        capture  C2 H1             => hold_not_open
        void     H9                => hold_not_found
    ",
    );
}

#[test]
fn an_expired_hold_reserves_nothing_though_nothing_was_written_since() {
    check(
        "
        account  A 100                   => opened
        account  B                       => opened
        hold     H1 A 60 expires +10m    => held
        hold     H2 A 20 expires +20m    => held
        hold     H3 A 15                 => held
        expire   H1                      => hold_not_open   // not yet
        clock    +599s
        transfer T1 A>B 6                => insufficient_funds A 5
        balance  A 100 held 95 available 5
        clock    +1s
        balance  A 100 held 35 available 65 holds 3 revision 5
        stands   H1 expired 0/60
        capture  C1 H1                   => hold_not_open
        void     H1                      => hold_not_open
        transfer T2 A>B 66               => insufficient_funds A 65
        transfer T3 A>B 65               => transferred
        expire   H1                      => expired
        expire   H1                      => hold_not_open
        expire   H3                      => hold_not_open   // it never expires
        expire   H9                      => hold_not_found
        balance  A 35 held 35 available 0 holds 2
        clock    +10m
        balance  A 35 held 15 available 20 holds 2
        hold     H4 A 20                 => held
        expire   H2                      => expired
        balance  A 35 held 35 available 0 holds 2
    ",
    );
}

#[test]
fn a_hold_must_expire_later_than_now() {
    check(
        "
        account  A 100                 => opened
        hold     H1 A 10 expires +0s   => expires_at_invalid
        hold     H2 A 10 expires -1s   => expires_at_invalid
        hold     H3 A 10 expires +1s   => held
    ",
    );
}

#[test]
fn a_hold_that_exceeds_what_is_available_is_refused() {
    check(
        "
        account  A 100 overdraft 10    => opened
        hold     H1 A 60               => held
        hold     H2 A 51               => insufficient_funds A 50
        hold     H3 A 50               => held
        hold     H4 A 1                => insufficient_funds A 0
        balance  A 100 held 110 available 0
    ",
    );
}

#[test]
fn a_hold_is_good_for_its_capture_whatever_was_forced_since() {
    check(
        "
        account    A 100             => opened
        hold       H1 A 60           => held
        withdrawal W1 A 100 forced   => transferred
        balance    A 0 held 60 available -60
        capture    C1 H1             => captured
        balance    A -60 held 0 available -60
    ",
    );
}

#[test]
fn reversing_a_capture_gives_the_money_back_and_leaves_the_hold_captured() {
    check(
        "
        account  A 100             => opened
        account  B                 => opened
        hold     H1 A 60 to B      => held
        capture  C1 H1             => captured
        reverse  R1 C1             => transferred
        postings R1 B -60 0 v2, A +60 100 v3
        stands   H1 captured 60/60
        capture  C2 H1             => hold_not_open
        balance  A 100 held 0 available 100
    ",
    );
}

#[test]
fn an_account_has_at_most_so_many_active_holds() {
    let mut bank = Bank::new(1);
    let mut names = Names::default();
    for row in ["user U", "account A", "deposit - A 1000000"] {
        let asked = parse(&bank, &names, row);
        let Decision::Recorded(Outcome::Event(event)) = bank.submit(None, &asked.command) else {
            panic!("{row} was rejected")
        };
        match event {
            Event::CustomerChanged(changed) => drop(names.customers.insert("U".into(), changed.customer.id)),
            Event::AccountChanged(changed) => drop(names.accounts.insert("A".into(), changed.account.id)),
            _ => {}
        }
    }
    // From here on without the audit after every step, which would take its time.
    let mut set = empty_set(1);
    bank.journal.iter().for_each(|entry| crate::replay(&mut set, entry));
    let context = bank.journal[0].header.context.clone();
    let mut submit = |row: &str, names: &Names| {
        let command = parse(&bank, names, row).command;
        let header =
            Header { sequence: set.sequence + 1, time: bank.time, day: bank.day, key: None, context: context.clone() };
        crate::apply(&mut set, &header, &command)
    };
    for _ in 0..HOLDS_PER_ACCOUNT_MAX {
        let decision = submit("hold - A 1", &names);
        let Decision::Recorded(Outcome::Event(Event::HoldChanged(changed))) = decision else { panic!("{decision:?}") };
        names.holds.insert("H".into(), changed.hold.id);
    }
    let account = names.accounts["A"];
    let one_too_many = submit("hold - A 1", &names);
    let rejection = Rejection::LimitExceeded { account, limit: LimitKind::ActiveHolds };
    assert_eq!(one_too_many, Decision::Unrecorded(Outcome::Rejection { index: 0, rejection }));
    assert!(matches!(submit("void H", &names), Decision::Recorded(_)));
    assert!(matches!(submit("hold - A 1", &names), Decision::Recorded(_)));
}
