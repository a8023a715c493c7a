//! Deposits, withdrawals and transfers: funds, legs, running balances, bounds.

use super::check::check;

#[test]
fn money_moves_once_and_both_sides_show_it() {
    check(
        "
        account    A               => opened
        account    B               => opened
        deposit    D1 A 100        => transferred
        postings   D1 cash -100 -100 v1, A +100 100 v1
        transfer   T1 A>B 70       => transferred
        postings   T1 A -70 30 v2, B +70 70 v1
        withdrawal W1 B 20         => transferred
        postings   W1 B -20 50 v2, cash +20 -80 v2
        balance    A 30 held 0 available 30 version 2 revision 3
        balance    B 50 held 0 available 50 version 2 revision 3
        balance    cash -80 version 2
    ",
    );
}

#[test]
fn what_is_not_there_cannot_be_spent() {
    check(
        "
        account    A 100            => opened
        account    B                => opened
        transfer   T1 A>B 101       => insufficient_funds A 100
        withdrawal W1 A 101         => insufficient_funds A 100
        transfer   T2 B>A 1         => insufficient_funds B 0
        balance    A 100 version 1
        balance    B 0 version 0
        transfer   T3 A>B 100       => transferred
        transfer   T4 A>B 1         => insufficient_funds A 0
    ",
    );
}

#[test]
fn an_overdraft_is_used_up_to_its_limit_and_not_further() {
    check(
        "
        account    A overdraft 50   => opened
        account    B                => opened
        transfer   T1 A>B 51        => insufficient_funds A 50
        transfer   T2 A>B 30        => transferred
        withdrawal W1 A 21          => insufficient_funds A 20
        withdrawal W2 A 20          => transferred
        balance    A -50 available 0
        terms      A overdraft 0    => changed
        balance    A -50 available -50
        deposit    D1 A 49          => transferred
        transfer   T3 A>B 1         => insufficient_funds A -1
    ",
    );
}

#[test]
fn holds_reduce_what_can_be_spent() {
    check(
        "
        account  A 100        => opened
        account  B            => opened
        hold     H1 A 30      => held
        transfer T1 A>B 71    => insufficient_funds A 70
        transfer T2 A>B 70    => transferred
        transfer T2 A>B 70    => replayed
        transfer T2 A>B 60    => idempotency_key_reused
        balance  A 30 held 30 available 0 version 2
    ",
    );
}

#[test]
fn a_key_answers_for_ever_rejections_included() {
    check(
        "
        account  A 100        => opened
        account  B            => opened
        transfer T1 A>B 101   => insufficient_funds
        deposit  D1 A 100     => transferred
        transfer T1 A>B 101   => replayed                  // though it could be paid now
        transfer T1 A>B 100   => idempotency_key_reused
        transfer T1 nobody>B 1 => idempotency_key_reused   // told before anything else is looked at
        transfer - A>B 10     => transferred               // without a key each is a new one
        transfer - A>B 10     => transferred
        balance  A 180 version 4
        close    A key K1     => account_not_empty
        withdrawal W1 A max   => transferred
        close    A key K1     => replayed
        status   A active
        close    A key K2     => closed
    ",
    );
}

#[test]
fn an_account_cannot_pay_itself() {
    check(
        "
        account  A 100              => opened
        account  B                  => opened
        transfer T1 A>A 10          => same_account A
        transfer T2 A>B 10, B>B 10  => same_account B
        deposit  D1 cash 10         => same_account cash
        hold     H1 A 10 to A       => same_account A
        hold     H2 A 10            => held
        capture  C1 H2 to A         => same_account A
        balance  A 100 held 10 version 1
    ",
    );
}

#[test]
fn currencies_do_not_mix() {
    check(
        "
        account    E 100              => opened
        account    D in USD           => opened
        transfer   T1 E>D 10          => currency_mismatch D USD
        transfer   T2 E>D 10 in USD   => currency_mismatch E EUR
        transfer   T3 D>E 10 in GBP   => currency_mismatch D USD
        deposit    D1 E 10 in USD     => currency_mismatch E EUR
        deposit    D2 E 10 from cash:USD => currency_mismatch cash:USD USD
        hold       H1 E 10 in USD     => currency_mismatch E EUR
        hold       H2 E 10 to D       => currency_mismatch D USD
        deposit    D3 D 10 in USD     => transferred
        balance    E 100
        balance    D 10
        balance    cash -100
        balance    cash:USD -10
    ",
    );
}

#[test]
fn a_value_date_may_lie_in_the_past_but_not_in_the_future() {
    check(
        "
        account  A                         => opened
        deposit  D1 A 100 effective +1s    => effective_at_invalid
        deposit  D2 A 100 effective +0s    => transferred
        deposit  D3 A 100 effective -9000d => transferred
        balance  A 200 version 2
    ",
    );
}

#[test]
fn max_moves_what_is_available() {
    check(
        "
        account    A 100 overdraft 20   => opened
        account    B                    => opened
        hold       H1 A 30              => held
        transfer   T1 A>B max           => transferred
        postings   T1 A -90 10 v2, B +90 90 v1
        balance    A 10 held 30 available 0
        withdrawal W1 A max             => insufficient_funds A 0
        withdrawal W2 A max forced      => insufficient_funds A 0   // nothing there is nothing, forced or not
        transfer   T2 B>A 40, B>cash max => transferred
        postings   T2 B -40 50 v2, A +40 50 v3, B -50 0 v3, cash +50 -50 v2
        transfer   T3 cash>B 5, B>A max => transferred              // what an earlier leg brings is there
        postings   T3 cash -5 -55 v3, B +5 5 v4, B -5 0 v5, A +5 55 v4
    ",
    );
}

#[test]
fn legs_apply_all_or_none() {
    check(
        "
        account  A 100                   => opened
        account  B                       => opened
        account  C                       => opened
        close    C                       => closed
        transfer T1 A>B 10, A>C 10       => account_closed C
        transfer T2 A>B 60, A>cash 60    => insufficient_funds A 100
        balance  A 100 version 1
        balance  B 0 version 0
    ",
    );
}

#[test]
fn the_same_source_twice_counts_twice() {
    check(
        "
        account  A 100             => opened
        account  B                 => opened
        account  C                 => opened
        transfer T1 A>B 60, A>C 41 => insufficient_funds A 100
        transfer T2 A>B 60, A>B 40 => transferred
        postings T2 A -60 40 v2, B +60 60 v1, A -40 0 v3, B +40 100 v2
        balance  A 0 version 3 revision 4
        balance  B 100 version 2
    ",
    );
}

#[test]
fn legs_are_judged_by_the_net_effect_on_each_account() {
    check(
        "
        account  A 100                      => opened
        account  B                          => opened
        account  C                          => opened
        transfer T1 B>C 100, A>B 100        => transferred          // B pays first and is paid then
        postings T1 B -100 -100 v1, C +100 100 v1, A -100 0 v2, B +100 0 v2
        transfer T2 C>A 10, A>C 10          => transferred          // a circle moves nothing
        balance  A 0 version 4
        balance  C 100 version 3
        transfer T3 C>A 100, A>B 100, B>cash 101 => insufficient_funds B 0
    ",
    );
}

#[test]
fn the_last_running_balance_is_the_balance() {
    check("
        account  A 100                                     => opened
        account  B                                         => opened
        transfer T1 A>B 10, B>A 5, A>B 10, B>A 5, A>B 10   => transferred
        postings T1 A -10 90 v2, B +10 10 v1, B -5 5 v2, A +5 95 v3, A -10 85 v4, B +10 15 v3, B -5 10 v4, A +5 90 v5, A -10 80 v6, B +10 20 v5
        balance  A 80 version 6
        balance  B 20 version 5
    ");
}

#[test]
fn a_forced_posting_may_go_below_the_overdraft_limit() {
    check(
        "
        account  A 10 overdraft 20     => opened
        account  B                     => opened
        transfer T1 A>B 100            => insufficient_funds A 30
        transfer T2 A>B 100 forced     => transferred
        balance  A -90 available -70
        transfer T3 A>B 1              => insufficient_funds A -70
        hold     H1 A 1                => insufficient_funds A -70
        deposit  D1 A 71               => transferred
        transfer T4 A>B 1              => transferred
        freeze   A                     => frozen
        transfer T5 A>B 1 forced       => account_frozen A          // it skips the check of funds and no other
        unfreeze A                     => unfrozen
        terms    A per_transfer 5      => changed
        transfer T6 A>B 6 forced       => limit_exceeded A PerTransfer
        close    B                     => account_not_empty B
    ",
    );
}

#[test]
fn a_customers_balance_ends_at_two_to_the_63() {
    let nines = 999_999_999_999_999_999_u64;
    let rest = i64::MAX.unsigned_abs() - 9 * nines;
    let paid_in: String = (1..=9).map(|number| format!("deposit D{number} A {nines} => transferred\n")).collect();
    let taken: String =
        (1..=9).map(|number| format!("withdrawal W{number} B {nines} forced => transferred\n")).collect();
    check(&format!(
        "
        account    A                   => opened
        account    B                   => opened
        {paid_in}
        deposit    E1 A {}             => balance_overflow A
        deposit    E2 A {rest}         => transferred
        deposit    E3 A 1              => balance_overflow A
        deposit    E4 A 1 forced       => balance_overflow A        // the bound is not a question of funds
        transfer   T1 A>cash max       => transferred               // an amount has 18 digits at most
        balance    A {}
        transfer   T2 cash>A {nines}   => transferred
        balance    A {}
        balance    cash -{}            // the bank's own accounts go on
        {taken}
        withdrawal V1 B {} forced      => balance_overflow B
        withdrawal V2 B {rest} forced  => transferred
        withdrawal V3 B 1 forced       => balance_overflow B
        balance    B -{}
        balance    cash 0
    ",
        rest + 1,
        8 * nines + rest,
        i64::MAX,
        i64::MAX,
        rest + 1,
        i64::MAX
    ));
}

#[test]
fn deposits_and_withdrawals_may_name_another_account_of_the_bank() {
    check(
        "
        account    A 100               => opened
        account    B 100               => opened
        system     ATM atm             => opened
        withdrawal W1 A 40 to ATM      => transferred
        deposit    D1 B 10 from ATM    => transferred
        balance    ATM 30 version 2
        balance    A 60
        deposit    D2 A 10 from B      => account_not_found B       // that would be a transfer in disguise
        withdrawal W2 A 10 to B        => account_not_found B
        deposit    D3 A 10 from nobody => account_not_found nobody
        balance    B 110 version 2
        balance    cash -200
    ",
    );
}

#[test]
fn clearing_accounts_belong_to_transfers_between_shards() {
    check(
        "
        account    A 100                 => opened
        transfer   T1 A>clearing 10      => account_not_found clearing
        transfer   T2 clearing>A 10      => account_not_found clearing
        deposit    D1 A 10 from clearing => account_not_found clearing
        withdrawal W1 A 10 to clearing   => account_not_found clearing
        hold       H1 A 10 to clearing   => account_not_found clearing
        hold       H2 A 10               => held
        capture    C1 H2 to clearing     => account_not_found clearing
        batch      X1 A>clearing 10      => account_not_found clearing
        system     MINE clearing         => id_taken
        transfer   T3 A>elsewhere 10     => account_not_found        // another shard's cash
        balance    A 100 held 10 version 1
    ",
    );
}
