//! Several clients at the same time.

use crate::expectations::{count, in_parallel};
use crate::support::bank::{Bank, transfer};
use crate::support::http::{Connection, Request};
use serde_json::json;

// R1
#[test]
fn concurrent_first_debits_never_exceed_the_overdraft_limit_together() {
    let bank = Bank::open();
    for _ in 0..20 {
        let account = bank.new_account_with_overdraft("100.00");
        let statuses = in_parallel(2, |_| bank.withdraw(&account, "60.00").status);
        assert_eq!((count(&statuses, 201), count(&statuses, 422)), (1, 1), "{statuses:?}");
        assert_eq!(bank.ledger(&account), "-60.00");
    }
    bank.expect_sums_of_zero();
}

#[test]
fn many_concurrent_debits_use_up_exactly_what_is_there() {
    let bank = Bank::open();
    let account = bank.new_account("70.00");
    let statuses = in_parallel(16, |_| bank.withdraw(&account, "10.00").status);
    assert_eq!((count(&statuses, 201), count(&statuses, 422)), (7, 9), "{statuses:?}");
    assert_eq!(bank.ledger(&account), "0.00");
}

// R2
#[test]
fn of_a_hundred_parallel_captures_of_one_hold_exactly_one_succeeds() {
    let bank = Bank::open();
    let account = bank.new_account("100.00");
    let hold = bank.hold(&account, "30.00").expect(201).json();
    let path = format!("/api/v1/holds/{}/capture", hold["hold_id"].as_str().expect("an id"));
    let statuses = in_parallel(100, |_| bank.post(&path, &json!({})).status);
    assert_eq!((count(&statuses, 201), count(&statuses, 409)), (1, 99), "{statuses:?}");
    assert_eq!((bank.ledger(&account), bank.available(&account)), ("70.00".into(), "70.00".into()));
    assert_eq!(bank.postings(&account).len(), 2);
}

#[test]
fn captures_and_voids_at_once_leave_one_winner() {
    let bank = Bank::open();
    let account = bank.new_account("100.00");
    for round in 0..10 {
        let before = bank.ledger(&account);
        let hold = bank.hold(&account, "1.00").expect(201).json();
        let id = hold["hold_id"].as_str().expect("an id");
        let act = ["capture", "void"];
        let statuses =
            in_parallel(2, |index| bank.post(&format!("/api/v1/holds/{id}/{}", act[index]), &json!({})).status);
        let moved = bank.ledger(&account) != before;
        assert_eq!(statuses, if moved { [201, 409] } else { [409, 200] }, "round {round}");
        assert_eq!(bank.account(&account)["balance"]["held"], "0.00");
    }
}

// R7
#[test]
fn of_fifty_parallel_reversals_one_makes_a_transfer() {
    let bank = Bank::open();
    let (from, to) = (bank.new_account("100.00"), bank.new_account("0"));
    let moved = bank.transfer(&from, &to, "40.00").expect(201).json();
    let path = format!("/api/v1/transfers/{}/reverse", moved["transfer_id"].as_str().expect("an id"));
    let answers = in_parallel(50, |index| {
        let key = if index % 2 == 0 { "one-for-many".to_owned() } else { format!("reversal-{index}") };
        bank.post_with_key(&path, &key, &json!({}))
    });
    let made = answers.iter().filter(|answer| answer.status == 201 && !answer.is_replayed()).count();
    assert_eq!(made, 1);
    for answer in &answers {
        assert!(matches!(answer.status, 201 | 409), "{}", answer.text());
    }
    assert_eq!((bank.ledger(&from), bank.ledger(&to)), ("100.00".into(), "0.00".into()));
    assert_eq!(bank.postings(&to).len(), 2);
}

// R10
#[test]
fn transfers_in_both_directions_from_64_clients_neither_deadlock_nor_get_lost() {
    let bank = Bank::open();
    let (left, right) = (bank.new_account("1000.00"), bank.new_account("1000.00"));
    let statuses = in_parallel(64, |index| {
        let (from, to) = if index % 2 == 0 { (&left, &right) } else { (&right, &left) };
        let amount = if index % 2 == 0 { "0.03" } else { "0.01" };
        (0..10).map(|_| bank.transfer(from, to, amount).status).collect::<Vec<_>>()
    });
    assert!(statuses.iter().flatten().all(|status| *status == 201), "{statuses:?}");
    assert_eq!((bank.ledger(&left), bank.ledger(&right)), ("993.60".into(), "1006.40".into()));
    assert_eq!(bank.postings(&left).len(), 641);
}

// R11
#[test]
fn a_client_that_hangs_up_in_mid_request_leaves_nothing_locked() {
    let bank = Bank::open();
    let (from, to) = (bank.new_account("100.00"), bank.new_account("0"));
    let whole = Request::post("/api/v1/transfers").key("cut off").json(&transfer(&from, &to, "1.00")).bytes();
    for length in [10, whole.len() / 2, whole.len() - 1] {
        let mut connection = Connection::open(bank.address()).expect("a connection");
        connection.write(&whole[..length]).expect("the beginning is taken");
    }
    bank.transfer(&from, &to, "2.00").expect(201);
    assert_eq!(bank.ledger(&to), "2.00");
}

#[test]
fn a_client_that_hangs_up_before_the_answer_finds_it_under_its_key() {
    let bank = Bank::open();
    let (from, to) = (bank.new_account("100.00"), bank.new_account("0"));
    let request = Request::post("/api/v1/transfers").key("gone").json(&transfer(&from, &to, "1.00"));
    Connection::open(bank.address()).expect("a connection").write(&request.bytes()).expect("it is taken");
    bank.send(request).expect(201);
    bank.transfer(&from, &to, "2.00").expect(201);
    assert_eq!(bank.ledger(&to), "3.00");
}
