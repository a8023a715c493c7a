//! Reversals: the opposite of a transfer, once only, all legs or none.

use super::check::check;

#[test]
fn a_reversal_moves_back_what_the_original_moved_and_only_once() {
    check(
        "
        account  A 100          => opened
        account  B              => opened
        transfer T1 A>B 70      => transferred
        reverse  R1 T1          => transferred
        postings R1 B -70 0 v2, A +70 100 v3
        reversed T1 R1
        reverse  R1 T1          => replayed
        reverse  R2 T1          => already_reversed by another
        reverse  R3 T1 forced   => already_reversed by another
        reverse  R4 R1          => already_reversed it is a reversal
        reverse  R5 T9          => transfer_not_found
        balance  A 100 version 3
    ",
    );
}

#[test]
fn a_chain_is_reversed_though_its_middle_is_empty() {
    check(
        "
        account  A 100                => opened
        account  B                    => opened
        account  C                    => opened
        transfer T1 A>B 70, B>C 70    => transferred
        balance  B 0
        reverse  R1 T1                => transferred
        postings R1 C -70 0 v2, B +70 70 v3, B -70 0 v4, A +70 100 v3
        balance  A 100
        balance  B 0 version 4
        balance  C 0
    ",
    );
}

#[test]
fn a_reversal_is_all_legs_or_none() {
    check(
        "
        account  A 100              => opened
        account  B                  => opened
        account  C                  => opened
        transfer T1 A>B 60, A>C 40  => transferred
        withdrawal W1 C 1           => transferred
        reverse  R1 T1              => insufficient_funds C 39
        balance  B 60 version 1
        deposit  D1 C 1             => transferred
        reverse  R1 T1              => replayed                 // the rejection is final
        reverse  R2 T1              => transferred
        balance  A 100
    ",
    );
}

#[test]
fn a_spent_deposit_is_reversed_only_by_force() {
    check(
        "
        account    A                => opened
        deposit    D1 A 100         => transferred
        withdrawal W1 A 80          => transferred
        reverse    R1 D1            => insufficient_funds A 20
        reverse    R2 D1 forced     => transferred
        balance    A -80 available -80
        balance    cash 80
    ",
    );
}

#[test]
fn holds_stand_in_the_way_of_a_reversal() {
    check(
        "
        account    A 100            => opened
        account    B                => opened
        transfer   T1 A>B 100       => transferred
        hold       H1 B 30          => held
        reverse    R1 T1            => insufficient_funds B 70
        void       H1               => voided
        reverse    R2 T1            => transferred
    ",
    );
}

#[test]
fn each_transfer_of_a_batch_is_reversed_by_itself() {
    check(
        "
        account  A 100              => opened
        account  B                  => opened
        batch    X1 A>B 10; A>B 20  => transferred
        reverse  R1 X1.1            => transferred
        balance  A 90
        reverse  R2 X1.0            => transferred
        reverse  R3 X1.0            => already_reversed
        balance  A 100
    ",
    );
}

#[test]
fn what_max_moved_is_what_comes_back() {
    check(
        "
        account  A 100              => opened
        account  B                  => opened
        transfer T1 A>B max         => transferred
        deposit  D1 A 50            => transferred
        deposit  D2 B 50            => transferred
        reverse  R1 T1              => transferred
        postings R1 B -100 50 v3, A +100 150 v4
    ",
    );
}
