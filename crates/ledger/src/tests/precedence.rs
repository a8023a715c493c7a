//! Of several reasons to say no the first in the order of [`crate::rejection::Rejection`] is told. Each table asks for
//! something that is wrong in every way at once and puts it right step by step.

use super::check::check;

/// What each table starts with: F is frozen, Z closed, D in dollars, A has a limit of 5, M may take 5 more.
fn check_ladder(table: &str) {
    let nines = 999_999_999_999_999_999_u64;
    let nearly = i64::MAX.unsigned_abs() - 9 * nines - 5;
    let fill: String = (0..9).map(|number| format!("deposit FILL{number} M {nines} => transferred\n")).collect();
    check(&format!(
        "
        account  A 10            => opened
        account  F 10            => opened
        account  Z               => opened
        account  D in USD        => opened
        account  M {nearly}      => opened
        {fill}
        terms    A per_transfer 6 => changed
        hold     F1 F 5 to Z     => held
        hold     O1 A 1 to M     => held
        transfer TZ F>Z 1        => transferred
        withdrawal WZ Z 1        => transferred
        freeze   F               => frozen
        close    Z               => closed
        {table}
        balance  A 10
    "
    ));
}

#[test]
fn of_a_transfer() {
    check_ladder(
        "
        transfer P01 Z>nobody 99 in USD effective +1d            => account_not_found nobody
        transfer P02 F>Z 99, A>nobody 1 in USD effective +1d     => account_not_found nobody
        transfer P03 F>Z 99, Z>Z 1 in USD effective +1d          => same_account Z
        transfer P04 F>A 99, A>Z 1 in USD effective +1d          => account_closed Z
        transfer P05 F>Z 99 in USD effective +1d forced          => account_closed Z
        transfer P06 F>A 99 in USD effective +1d                 => account_frozen F
        transfer P07 A>D 99 in EUR effective +1d                 => currency_mismatch D USD
        transfer P08 A>M 99 effective +1d                        => effective_at_invalid
        transfer P09 A>M 99                                      => insufficient_funds A 9
        transfer P10 A>M 9                                       => limit_exceeded A PerTransfer
        transfer P11 A>M 6                                       => balance_overflow M
        transfer P12 A>M max                                     => limit_exceeded A PerTransfer
    ",
    );
}

#[test]
fn of_deposits_and_withdrawals() {
    check_ladder(
        "
        deposit    P01 nobody 99 in USD effective +1d     => account_not_found nobody
        deposit    P02 Z 99 from A in USD effective +1d   => account_not_found A
        deposit    P03 Z 99 in USD effective +1d          => account_closed Z
        deposit    P04 M 6 in USD effective +1d           => currency_mismatch M EUR
        deposit    P05 M 6 effective +1d                  => effective_at_invalid
        deposit    P06 M 6                                => balance_overflow M
        withdrawal P07 F 99 to A in USD effective +1d     => account_not_found A
        withdrawal P08 F 99 in USD effective +1d          => account_frozen F
        withdrawal P09 A 99 in USD effective +1d          => currency_mismatch A EUR
        withdrawal P10 A 99 effective +1d                 => effective_at_invalid
        withdrawal P11 A 99                               => insufficient_funds A 9
        withdrawal P12 A 7                                => limit_exceeded A PerTransfer
    ",
    );
}

#[test]
fn of_a_hold() {
    check_ladder(
        "
        hold P01 Z 99 to nobody in USD expires +0s => account_not_found nobody
        hold P02 nobody 99 to Z in USD expires +0s => account_not_found nobody
        hold P03 Z 99 to Z in USD expires +0s      => same_account Z
        hold P04 F 99 to Z in USD expires +0s      => account_closed Z
        hold P05 F 99 to A in USD expires +0s      => account_frozen F
        hold P06 A 99 to D in EUR expires +0s      => currency_mismatch D USD
        hold P07 A 99 to M expires +0s             => expires_at_invalid
        hold P08 A 99 to M                         => insufficient_funds A 9
        hold P09 A 9 to M                          => limit_exceeded A PerTransfer
    ",
    );
}

#[test]
fn of_a_capture() {
    check_ladder(
        "
        hold     V1 A 1                    => held
        void     V1                        => voided
        capture  P01 NONE to nobody        => account_not_found nobody
        capture  P02 NONE to Z             => hold_not_found
        capture  P03 V1 99 to nobody       => account_not_found nobody
        capture  P04 V1 99 to Z            => hold_not_open
        capture  P05 F1 99                 => account_closed Z
        capture  P06 F1 99 to F            => same_account F
        freeze   F full                    => frozen
        capture  P07 F1 99 to D            => account_frozen F
        capture  P08 O1 99 to D            => currency_mismatch D USD
        capture  P09 O1 99                 => hold_amount_exceeded 1
        deposit  FULL M 5                  => transferred
        capture  P10 O1 99                 => hold_amount_exceeded 1
        capture  P11 O1                    => balance_overflow M
    ",
    );
}

#[test]
fn of_a_reversal() {
    check_ladder(
        "
        transfer T1 M>D 1                  => currency_mismatch D
        transfer T2 A>cash 5, M>A 5        => transferred
        deposit  T3 M 6                    => transferred
        reverse  P01 NONE                  => transfer_not_found
        reverse  P02 TZ                    => account_closed Z
        reverse  P03 T2                    => balance_overflow M
        reverse  P04 FILL0                 => transferred
        reverse  P05 FILL0                 => already_reversed
        reverse  P06 P04                   => already_reversed
        freeze   A                         => frozen
        reverse  P07 T2                    => account_frozen A
        unfreeze A                         => unfrozen
        reverse  P08 T2                    => transferred
    ",
    );
}

#[test]
fn of_everything_else() {
    check_ladder(
        "
        account  P01 of nobody id 4611686018427387904   => user_not_found
        account  P02 id 4611686018427387904             => id_taken
        freeze   nobody                                 => account_not_found
        freeze   Z                                      => account_closed Z
        unfreeze nobody                                 => account_not_found
        unfreeze Z                                      => account_closed Z
        close    nobody                                 => account_not_found
        close    F                                      => account_not_empty F
        terms    nobody                                 => account_not_found
        terms    Z                                      => account_closed Z
        void     nobody                                 => hold_not_found
        expire   nobody                                 => hold_not_found
        revoke   nobody                                 => not_found
    ",
    );
}
