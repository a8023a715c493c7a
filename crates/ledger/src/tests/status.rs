//! The status table, row by row: what active, frozen and closed accounts accept.

use super::check::check;

#[test]
fn an_active_account_accepts_everything() {
    check(
        "
        account    A 100         => opened
        account    B             => opened
        status     A active
        transfer   T1 A>B 10     => transferred
        hold       H1 A 10       => held
        capture    C1 H1 to B    => captured
        transfer   T2 B>A 20     => transferred
        unfreeze   A             => nothing
        balance    A 100
    ",
    );
}

#[test]
fn frozen_account_rejects_debits_but_accepts_credits_and_earlier_holds() {
    check(
        "
        account    A 100                => opened
        account    B 100                => opened
        hold       H1 A 30 to B         => held
        hold       H2 A 30              => held
        hold       H3 B 10 to A         => held
        transfer   T0 B>A 5             => transferred
        freeze     A because fraud      => frozen
        status     A frozen_debit
        transfer   T1 A>B 10            => account_frozen A
        withdrawal W1 A 10              => account_frozen A
        transfer   T2 B>A 1, A>B 1      => account_frozen A   // each leg is a debit of its own
        batch      X1 A>B 10            => account_frozen A
        hold       H4 A 10              => account_frozen A
        reverse    R1 T0                => account_frozen A
        transfer   T3 B>A 10            => transferred
        deposit    D1 A 10              => transferred
        hold       H5 B 10 to A         => held
        capture    C1 H3                => captured
        capture    C2 H1 10 partial     => captured
        capture    C3 H1                => captured
        void       H2                   => voided
        unfreeze   A                    => unfrozen
        transfer   T4 A>B 10            => transferred
        reverse    R2 T0                => transferred
    ",
    );
}

#[test]
fn fully_frozen_account_rejects_credits_and_captures_too() {
    check(
        "
        account    A 100                => opened
        account    B 100                => opened
        hold       H1 A 30 to B         => held
        hold       H2 B 10 to A         => held
        transfer   T0 A>B 5             => transferred
        freeze     A full               => frozen
        status     A frozen_full
        transfer   T1 A>B 10            => account_frozen A
        transfer   T2 B>A 10            => account_frozen A
        deposit    D1 A 10              => account_frozen A
        withdrawal W1 A 10              => account_frozen A
        hold       H3 A 10              => account_frozen A
        capture    C1 H1                => account_frozen A
        capture    C2 H2                => account_frozen A   // its target is frozen
        capture    C3 H2 to cash        => captured
        reverse    R1 T0                => account_frozen A
        reverse    R2 T0 forced         => account_frozen A
        terms      A overdraft 5        => changed
        void       H1                   => voided             // giving up moves nothing
        unfreeze   A                    => unfrozen
        reverse    R3 T0                => transferred
        deposit    D2 A 10              => transferred
    ",
    );
}

#[test]
fn closed_account_rejects_everything() {
    check(
        "
        account    A                    => opened
        account    B 100                => opened
        account    Z                    => opened
        hold       H1 B 10 to Z         => held
        transfer   T0 B>Z 10            => transferred
        withdrawal W0 Z 10              => transferred
        close      Z                    => closed
        status     Z closed
        transfer   T1 Z>B 10            => account_closed Z
        transfer   T2 B>Z 10            => account_closed Z
        transfer   T3 B>A 5, B>Z 5      => account_closed Z
        deposit    D1 Z 10              => account_closed Z
        deposit    D2 Z 10 forced       => account_closed Z
        withdrawal W1 Z max             => account_closed Z
        hold       H2 Z 10              => account_closed Z
        hold       H3 B 10 to Z         => account_closed Z
        capture    C1 H1                => account_closed Z   // its target was closed meanwhile
        capture    C2 H1 to A           => captured
        reverse    R1 T0                => account_closed Z
        freeze     Z                    => account_closed Z
        unfreeze   Z                    => account_closed Z
        terms      Z overdraft 10       => account_closed Z
        close      Z                    => nothing
        balance    B 80
    ",
    );
}

#[test]
fn closing_needs_an_empty_account_without_active_holds() {
    check(
        "
        account    A 10                 => opened
        close      A                    => account_not_empty A
        withdrawal W1 A 10              => transferred
        terms      A overdraft 20       => changed
        hold       H1 A 5               => held
        close      A                    => account_not_empty A   // balance zero, but money is promised
        void       H1                   => voided
        withdrawal W2 A 5               => transferred
        close      A                    => account_not_empty A   // a debt is not nothing
        deposit    D1 A 5               => transferred
        hold       H2 A 5 expires +10m  => held
        close      A                    => account_not_empty A
        clock      +10m
        close      A                    => closed                // a hold whose time is over holds nothing
        expire     H2                   => expired
        balance    A 0 held 0 holds 0
        status     A closed
    ",
    );
}

#[test]
fn a_frozen_account_can_be_closed_when_it_is_empty() {
    check(
        "
        account  A           => opened
        freeze   A full      => frozen
        close    A           => closed
        close    A           => nothing
    ",
    );
}

#[test]
fn doing_it_twice_is_the_same_as_once() {
    check(
        "
        account  A 100                => opened
        balance  A 100 revision 2
        freeze   A because fraud      => frozen
        freeze   A because fraud      => nothing
        freeze   A                    => nothing    // the reason stays
        balance  A 100 revision 3 version 1
        freeze   A full because fraud => frozen
        freeze   A full because court => frozen     // another reason is news
        status   A frozen_full
        unfreeze A                    => unfrozen
        unfreeze A                    => nothing
        terms    A overdraft 5        => changed
        terms    A overdraft 5        => nothing
        balance  A 100 revision 7 version 1
    ",
    );
}

#[test]
fn a_freeze_that_names_no_kind_never_lowers_one() {
    check(
        "
        account  A 100                => opened
        freeze   A                    => frozen
        status   A frozen_debit
        freeze   A full               => frozen
        freeze   A because fraud      => frozen     // the reason is news, the kind stays
        status   A frozen_full
        freeze   A                    => nothing
        status   A frozen_full
        freeze   A debit              => frozen     // who names a kind gets it
        status   A frozen_debit
        freeze   A                    => nothing
        unfreeze A                    => unfrozen
        freeze   A                    => frozen     // what was once is forgotten
        status   A frozen_debit
    ",
    );
}

#[test]
fn the_banks_own_accounts_have_no_status_no_terms_and_no_holds() {
    check(
        "
        account  A 100             => opened
        system   ATM atm           => opened
        freeze   ATM               => account_not_found ATM
        freeze   cash              => account_not_found cash
        unfreeze cash              => account_not_found cash
        close    ATM               => account_not_found ATM
        terms    cash overdraft 5  => account_not_found cash
        hold     H1 cash 5         => account_not_found cash
        hold     H2 A 5 to ATM     => held
        capture  C1 H2             => captured
        balance  ATM 5
        transfer T1 ATM>cash 10    => transferred    // nor a check of funds
        balance  ATM -5
    ",
    );
}
