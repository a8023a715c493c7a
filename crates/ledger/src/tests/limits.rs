//! Limits on debits, and what is given back to the day it came from.

use super::check::check;

#[test]
fn one_transfer_takes_at_most_its_limit() {
    check(
        "
        account    A 100               => opened
        account    B 100               => opened
        terms      A per_transfer 30   => changed
        transfer   T1 A>B 31           => limit_exceeded A PerTransfer
        transfer   T2 A>B 20, A>cash 11 => limit_exceeded A PerTransfer   // the legs count together
        transfer   T3 A>B 40, B>A 10   => transferred                     // the net debit counts
        transfer   T4 A>B 30           => transferred
        hold       H1 A 31             => limit_exceeded A PerTransfer
        withdrawal W1 A max            => limit_exceeded A PerTransfer
        transfer   T5 B>A 100          => transferred                     // credits have no limit
        terms      A per_transfer none => changed
        withdrawal W2 A max            => transferred
    ",
    );
}

#[test]
fn daily_and_monthly_debits_add_up_and_start_again() {
    check(
        "
        account    A 1000                        => opened
        account    B                             => opened
        transfer   T0 A>B 10                     => transferred     // counted though there was no limit yet
        terms      A daily 100 monthly 150       => changed
        transfer   T1 A>B 91                     => limit_exceeded A DailyDebit
        transfer   T2 A>B 60                     => transferred
        withdrawal W1 A 31                       => limit_exceeded A DailyDebit
        withdrawal W2 A 30                       => transferred
        balance    A 900 today 100 month 100
        transfer   T3 A>B 1                      => limit_exceeded A DailyDebit
        day        2026-11-22
        balance    A 900 today 0 month 100
        transfer   T4 A>B 51                     => limit_exceeded A MonthlyDebit
        transfer   T5 A>B 50                     => transferred
        transfer   T6 A>B 1                      => limit_exceeded A MonthlyDebit
        day        2026-12-01
        transfer   T7 A>B 101                    => limit_exceeded A DailyDebit
        transfer   T8 A>B 100                    => transferred
        balance    A 750 today 100 month 100
        day        2027-12-01                                       // the same month of another year
        balance    A 750 today 0 month 0
        terms      A daily none monthly none     => changed
        transfer   T9 A>B 750                    => transferred
    ",
    );
}

#[test]
fn interest_that_is_taken_back_obeys_no_limit_and_uses_none_up() {
    check(
        "
        account    A 1000                                  => opened
        account    B                                       => opened
        terms      A per_transfer 30 daily 100 monthly 100 => changed
        interest   I1 A>expense 40                         => transferred
        balance    A 960 today 0 month 0
        transfer   T1 A>B 30                               => transferred
        interest   I2 A>expense 80                         => transferred
        balance    A 850 today 30 month 30
        reverse    R2 I2                                   => transferred     // nothing was counted, so nothing comes back
        balance    A 930 today 30 month 30
        transfer   T2 A>B 31                               => limit_exceeded A PerTransfer
    ",
    );
}

#[test]
fn the_booking_day_counts_not_the_clock() {
    check(
        "
        account    A 1000         => opened
        terms      A daily 10     => changed
        withdrawal W1 A 10        => transferred
        clock      +48h
        withdrawal W2 A 1         => limit_exceeded A DailyDebit
        day        2026-11-22
        withdrawal W3 A 1 effective -1d => transferred
        balance    A 989 today 1
    ",
    );
}

#[test]
fn a_hold_counts_when_it_is_placed_and_its_capture_does_not_count_again() {
    check(
        "
        account    A 1000              => opened
        terms      A daily 100         => changed
        hold       H1 A 60             => held
        balance    A 1000 today 60
        withdrawal W1 A 41             => limit_exceeded A DailyDebit
        hold       H2 A 41             => limit_exceeded A DailyDebit
        capture    C1 H1 50            => captured
        balance    A 950 today 50                     // the rest came back
        withdrawal W2 A 50             => transferred
        hold       H3 A 1              => limit_exceeded A DailyDebit
    ",
    );
}

#[test]
fn what_a_hold_gives_up_goes_back_to_its_own_day() {
    check(
        "
        account    A 1000                  => opened
        terms      A daily 100 monthly 200 => changed
        hold       H1 A 60                 => held
        hold       H2 A 30 expires +36h    => held
        day        2026-11-22
        hold       H3 A 50                 => held
        balance    A 1000 today 50 month 140
        void       H1                      => voided
        balance    A 1000 today 50 month 80
        clock      +36h
        expire     H2                      => expired
        balance    A 1000 today 50 month 50
        day        2026-12-01
        void       H3                      => voided
        balance    A 1000 today 0 month 0
        withdrawal W1 A 100                => transferred
    ",
    );
}

#[test]
fn an_expired_hold_counts_no_longer_though_nothing_was_written_since() {
    check(
        "
        account    A 1000                  => opened
        terms      A daily 100             => changed
        hold       H1 A 60 expires +10m    => held
        hold       H2 A 41                 => limit_exceeded A DailyDebit
        clock      +10m
        hold       H3 A 41                 => held
        withdrawal W1 A 60                 => limit_exceeded A DailyDebit
        withdrawal W2 A 59                 => transferred
        expire     H1                      => expired
        withdrawal W3 A 1                  => limit_exceeded A DailyDebit
    ",
    );
}

#[test]
fn a_reversal_gives_back_to_the_day_of_the_original() {
    check(
        "
        account    A 1000                  => opened
        account    B                       => opened
        terms      A daily 100 monthly 150 => changed
        terms      B daily 10              => changed
        transfer   T1 A>B 80               => transferred
        transfer   T2 A>B 20               => transferred
        reverse    R1 T1                   => transferred     // B's limit is no obstacle
        balance    A 980 today 20 month 20
        balance    B 20 today 0 month 0
        transfer   T3 A>B 80               => transferred
        day        2026-11-22
        transfer   T4 A>B 40               => transferred
        balance    A 860 today 40 month 140
        reverse    R2 T3                   => transferred
        balance    A 940 today 40 month 60
        reverse    R3 T4                   => transferred
        balance    A 980 today 0 month 20
        day        2026-12-01
        withdrawal W1 A 30                 => transferred
        reverse    R4 T2                   => transferred     // its month is over
        balance    A 970 today 30 month 30
    ",
    );
}

#[test]
fn a_reversed_capture_gives_back_to_the_day_of_its_hold() {
    check(
        "
        account    A 1000            => opened
        terms      A daily 100       => changed
        hold       H1 A 80           => held
        day        2026-11-22
        withdrawal W1 A 100          => transferred
        capture    C1 H1             => captured
        balance    A 820 today 100 month 180
        reverse    R1 C1             => transferred
        balance    A 900 today 100 month 100
        withdrawal W2 A 1            => limit_exceeded A DailyDebit
    ",
    );
}

#[test]
fn rejections_count_for_nothing() {
    check(
        "
        account    A 100             => opened
        terms      A daily 100       => changed
        withdrawal W1 A 101          => insufficient_funds
        batch      X1 A>cash 60; A>cash 50 => insufficient_funds
        balance    A 100 today 0
        batch      X2 A>cash 60; A>cash 40 => transferred
        balance    A 0 today 100
    ",
    );
}
