//! Customers and accounts: opening, ids, terms, the bank's own accounts, tokens.

use super::bank::Bank;
use super::check::check;
use super::script::{Names, parse};
use crate::Decision;
use crate::account::{SystemAccount, SystemKind};
use crate::event::{Event, Outcome};
use crate::ids::{IdGenerator, ShardId};

#[test]
fn an_account_belongs_to_a_customer() {
    check(
        "
        account  A of nobody             => user_not_found
        user     V id 7                  => registered
        account  A of V                  => opened
        account  B of V savings in USD   => opened
        balance  A 0 held 0 available 0 version 0 revision 1
    ",
    );
}

#[test]
fn a_repeated_opening_is_the_same_and_a_different_one_is_refused() {
    check(
        "
        account  A id 42 overdraft 5             => opened
        account  A id 42 overdraft 5             => nothing
        account  A id 42                         => id_taken
        account  A id 42 overdraft 5 savings     => id_taken
        account  A id 42 overdraft 5 in USD      => id_taken
        user     V                               => registered
        account  A id 42 overdraft 5 of V        => id_taken
        terms    A overdraft 9                   => changed
        account  A id 42 overdraft 5             => nothing     // it was opened with 5
        account  A id 42 overdraft 9             => id_taken
        balance  A 0 revision 2
        close    A                               => closed
        account  A id 42 overdraft 5             => nothing
        status   A closed
        user     W id 42 as w                    => registered  // users and accounts are separate spaces
        user     W id 42 as w                    => nothing
        user     W id 42 as v                    => id_taken
        rename   W Wim                           => updated
        user     W id 42 as w                    => nothing
        rename   nobody Wim                      => user_not_found
        account  A of nobody id 42               => user_not_found
    ",
    );
}

#[test]
fn clients_cannot_choose_ids_of_the_upper_half() {
    let ids = [1_u64 << 62, crate::ids::SYSTEM_ID_START, i64::MAX.unsigned_abs()];
    for id in ids {
        check(&format!("account A id {id} => id_taken"));
    }
    let last = (1_u64 << 62) - 1;
    check(&format!("account A id {last} => opened"));
}

#[test]
fn an_id_that_a_client_chose_is_skipped_by_the_generator() {
    let mut bank = Bank::new(1);
    let mut names = Names::default();
    let mut ids = IdGenerator::new(ShardId::default(), 0);
    let next = [(); 5].map(|()| ids.next(bank.time));
    // The customer takes the first; a client takes the next two for accounts and the fourth for a customer.
    let mut submit = |row: &str| {
        let asked = parse(&bank, &names, row);
        let Decision::Recorded(Outcome::Event(event)) = bank.submit(None, &asked.command) else {
            panic!("{row} was rejected")
        };
        match event {
            Event::CustomerChanged(changed) => {
                names.customers.insert(asked.name, changed.customer.id);
                changed.customer.id.number()
            }
            Event::AccountChanged(changed) => changed.account.id.number(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(submit("user U"), next[0]);
    assert_eq!(submit(&format!("account A id {}", next[1])), next[1]);
    assert_eq!(submit(&format!("account B id {}", next[2])), next[2]);
    assert_eq!(submit("account C"), next[3]);
    assert_eq!(submit(&format!("user V id {}", next[4])), next[4]);
    assert!(next[4] < submit("user W"));
}

#[test]
fn terms_change_one_by_one() {
    check(
        "
        account  A 100                                    => opened
        terms    A per_transfer 10 daily 20 monthly 30    => changed
        terms    A daily none                             => changed
        withdrawal W1 A 11                                => limit_exceeded A PerTransfer
        terms    A per_transfer none                      => changed
        withdrawal W2 A 31                                => limit_exceeded A MonthlyDebit
        terms    A overdraft 50                           => changed
        balance  A 100 available 150
        withdrawal W3 A 31                                => limit_exceeded A MonthlyDebit
        terms    A monthly none                           => changed
        terms    A                                        => nothing
        terms    A monthly none                           => nothing
        withdrawal W4 A 150                               => transferred
        terms    nobody overdraft 1                       => account_not_found nobody
    ",
    );
}

#[test]
fn the_bank_opens_as_many_accounts_of_its_own_as_it_likes() {
    check(
        "
        account  A 100                => opened
        system   ATM1 atm             => opened
        system   ATM2 atm             => opened
        system   ATM3 atm in USD      => opened
        system   CASH2 cash           => opened
        withdrawal W1 A 10 to ATM1    => transferred
        withdrawal W2 A 20 to ATM2    => transferred
        withdrawal W3 A 30 to CASH2   => transferred
        withdrawal W4 A 30 to ATM3    => currency_mismatch ATM3 USD
        balance  ATM1 10 revision 2
        balance  ATM2 20
        balance  CASH2 30
        balance  cash -100
    ",
    );
}

#[test]
fn standard_accounts_are_there_without_being_opened_and_others_are_not() {
    check(
        "
        account  A                    => opened
        deposit  D1 A 10              => transferred
        deposit  D2 A 10 from income  => transferred
        deposit  D3 A 10 from expense => transferred
        deposit  D4 A 10 from suspense => transferred
        deposit  D5 A 10 from atm     => account_not_found
        deposit  D6 A 10 from other   => account_not_found
        deposit  D7 A 10 from correspondent => account_not_found
        deposit  D8 A 10 from elsewhere => account_not_found
        transfer T1 suspense>income 5 => transferred
        balance  cash -10
        balance  suspense -15
        balance  income -5
    ",
    );
}

#[test]
fn naming_an_account_of_the_bank_makes_no_row_that_counts() {
    let mut bank = Bank::new(1);
    let names = Names::default();
    for name in ["clearing", "clearing:USD", "atm", "elsewhere"] {
        let command = parse(&bank, &names, &format!("transfer - {name}>nobody 5")).command;
        bank.submit(None, &command);
    }
    assert!(bank.set.accounts.is_empty());
    let clearing = SystemAccount {
        shard: ShardId::default(),
        kind: SystemKind::Clearing,
        currency: "EUR".parse().expect("a currency"),
        ordinal: 1024, // there is no such shard
    };
    assert!(!clearing.is_standard());
}

#[test]
fn tokens_are_made_and_revoked() {
    check(
        "
        token    T           => created
        revoke   T           => revoked
        revoke   T           => revoked
        revoke   nobody      => not_found
    ",
    );
}
