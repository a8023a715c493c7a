//! Changes of what accounts bear, on the very day and while a day is closed: nothing that accrued is lost, and nothing is
//! paid twice, however often what is kept beside the journal is made again.

use crate::interest::{Savings, day, product, states};
use crate::meanwhile::Meanwhile;
use crate::world::{account, amount, euro, local, now, transfer};
use bank::Caller;
use bank::calendar::Calendar;
use bank::interest::parts::{MINOR_UNIT, Rate};
use bank::interest::product::{PostingPlan, Product, Version};
use bank::interest::{CloseError, Interest};
use bank::ports::Records;
use ledger::account::{AccountKind, SystemAccount, SystemKind};
use ledger::command::Command;
use ledger::event::Channel;
use ledger::ids::ShardId;
use ledger::token::Role;
use ledger::transfer::{Leg, LegAmount, Legs, Note, Transfer, TransferKind};
use std::sync::Arc;
use store::Fault;
use store::faulty::Submitting;

/// A node that is overtaken between what it reads and its first change.
fn overtaken(savings: &Savings, meanwhile: impl FnOnce() + Send + 'static) -> Interest {
    overtaken_after(savings, 0, meanwhile)
}

/// A node that is overtaken after so many changes.
fn overtaken_after(savings: &Savings, changes: usize, meanwhile: impl FnOnce() + Send + 'static) -> Interest {
    let records = Meanwhile::once_after(savings.records.clone(), changes, meanwhile);
    Interest::new(Arc::new(savings.world.another_node()), Arc::new(records), Calendar::default())
}

/// 7.3 % a year for whoever is assigned to it: two hundredths of a per cent a day.
fn better(savings: &Savings) -> Product {
    let today = now(savings.interest.business_date()).expect("read");
    let mut better = Product { id: "better".into(), default_for: None, ..product(PostingPlan::Monthly, today) };
    better.versions[0].tiers[0].rate = Rate::from_percent("7.3").expect("a rate");
    better
}

fn assign(savings: &Savings, from: &str, product: Option<&str>) {
    let row = now(savings.world.bank.account(account(1))).expect("read").expect("an account");
    now(savings.interest.assign(&local(), &row, day(from), product)).expect("assigned");
}

/// From 20 January the account has this product, or none: said so many days after 15 January.
fn changed_on_the_20th(product: Option<&str>, said_after: u64) -> Savings {
    let savings = Savings::new(1, PostingPlan::Monthly);
    now(savings.interest.create_product(&local(), &better(&savings))).expect("created");
    savings.world.open_with(1, 1_000_000);
    for passed in 0..5 {
        if passed == said_after {
            assign(&savings, "2027-01-20", product);
        }
        savings.pass_days(1);
        savings.close();
    }
    if said_after == 5 {
        assign(&savings, "2027-01-20", product);
    }
    savings
}

#[test]
fn what_accrued_is_paid_when_the_product_is_taken_away_or_changed_on_the_business_date() {
    let until_19th = (500, "2027-01-20T00:00:00Z".to_owned(), "interest daily-money 2027-01-15/2027-01-19".to_owned());
    // 12 days of 0.02 % of 10,005.00, what was paid among it.
    let since_20th = (2_401, "2027-02-01T00:00:00Z".to_owned(), "interest better 2027-01-20/2027-01-31".to_owned());
    for (product, expected) in [(None, vec![until_19th.clone()]), (Some("better"), vec![until_19th, since_20th])] {
        let (today, in_time) = (changed_on_the_20th(product, 5), changed_on_the_20th(product, 2));
        for savings in [&today, &in_time] {
            for _ in 0..2 {
                savings.pass_days(1);
                savings.close();
            }
        }
        assert_eq!(states(&today), states(&in_time), "{product:?}: nobody can tell when it was said");
        for savings in [&today, &in_time] {
            savings.pass_days(20);
            savings.close();
            assert_eq!(savings.interest_of(1), expected, "{product:?}");
            savings.assert_nothing_lost(1);
            savings.world.assert_sums_are_zero();
        }
    }
}

#[test]
fn states_made_again_after_such_a_change_pay_nothing_twice() {
    for product in [None, Some("better")] {
        let (kept, lost) = (changed_on_the_20th(product, 5), changed_on_the_20th(product, 5));
        for savings in [&kept, &lost] {
            savings.pass_days(20);
            savings.close();
        }
        let paid = lost.interest_of(1);
        now(lost.interest.forget()).expect("forgotten");
        for savings in [&kept, &lost] {
            savings.pass_days(1);
            assert_eq!(savings.close(), (0, 0, 0));
        }
        assert_eq!(lost.interest_of(1), paid, "{product:?}");
        assert_eq!(states(&lost), states(&kept), "{product:?}");
    }
}

/// A month with what accrued in it, ten accounts, and a day that is over and not closed.
fn in_the_middle_of_a_month() -> Savings {
    let savings = Savings::new(1, PostingPlan::Monthly);
    (1..=10).for_each(|id| savings.world.open_with(id, 123_456));
    savings.pass_days(10);
    savings.close();
    savings.pass_days(1);
    savings
}

/// All is as in a bank in which nobody forgot anything.
fn assert_nothing_forgotten(savings: &Savings, place: &str) {
    savings.close();
    savings.pass_days(10);
    savings.close();
    for id in 1..=10 {
        assert_eq!(savings.interest_of(id).iter().map(|row| row.0).collect::<Vec<_>>(), [209], "{place}, account {id}");
        savings.assert_nothing_lost(id);
    }
}

#[test]
fn states_that_are_forgotten_while_a_day_is_closed_are_made_again_with_all_they_had() {
    for changes in 0..70 {
        let savings = in_the_middle_of_a_month();
        let other = savings.node();
        let closing = overtaken_after(&savings, changes, move || now(other.forget()).expect("forgotten"));
        // It may hear that it has to close the day again, or that another node does.
        let closed = now(closing.close_until(None));
        assert!(!matches!(closed, Err(CloseError::Fault(Fault::Corrupt { .. }))), "after {changes}: {closed:?}");
        assert_nothing_forgotten(&savings, &format!("forgotten after {changes} changes"));
    }
}

#[test]
fn a_day_that_is_closed_while_states_are_forgotten_loses_nothing() {
    for changes in 0..130 {
        let savings = in_the_middle_of_a_month();
        let other = savings.node();
        let forgetting = overtaken_after(&savings, changes, move || {
            now(other.close_until(None)).expect("closed");
        });
        now(forgetting.forget()).expect("forgotten");
        assert_nothing_forgotten(&savings, &format!("closed after {changes} changes"));
    }
}

#[test]
fn a_late_deposit_into_a_period_that_was_left_is_a_correction() {
    let savings = changed_on_the_20th(None, 5);
    savings.pay_in_dated(1, 1_000_000, "2027-01-18T12:00:00Z".parse().expect("a time"));
    savings.pass_days(1);
    assert_eq!(savings.close(), (1, 1, 0));
    let paid: Vec<_> = savings.interest_of(1).into_iter().map(|(amount, _, what)| (amount, what)).collect();
    let what = |kind: &str| format!("{kind} daily-money 2027-01-15/2027-01-19");
    assert_eq!(paid, [(500, what("interest")), (200, what("interest correction"))]);
    savings.assert_nothing_lost(1);
}

#[test]
fn a_value_date_before_an_account_was_opened_bears_interest_from_its_opening() {
    let savings = Savings::new(1, PostingPlan::Monthly);
    savings.world.open(1);
    savings.pass_days(9);
    savings.close();
    savings.world.open(2);
    for (id, value_date) in [(1, "1970-01-02T00:00:00Z"), (2, "1970-01-02T00:00:00Z"), (2, "2027-01-16T00:00:00Z")] {
        savings.pay_in_dated(id, 1_000_000, value_date.parse().expect("a time"));
    }
    savings.pass_days(1);
    savings.close();
    savings.pay_in_dated(2, 1_000_000, "2027-01-16T00:00:00Z".parse().expect("a time"));
    savings.pass_days(8);
    savings.close();
    let amounts = [1, 2].map(|id| savings.interest_of(id).iter().map(|row| row.0).sum::<i128>());
    assert_eq!(amounts, [17 * 100, 8 * 300], "from 15 January, and from 24 January on");
    for id in [1, 2] {
        savings.assert_nothing_lost(id);
    }
}

/// Thirty accounts, of which some were paid for 16 January and the others not when the close broke off: by `close`.
fn before_a_close_that_breaks_off() -> Savings {
    let savings = Savings::new(1, PostingPlan::Daily);
    (1..=30).for_each(|id| savings.world.open_with(id, 1_000_000));
    savings.pass_days(1);
    savings.close();
    savings.pass_days(1);
    savings
}

fn break_off(faulty: &store::faulty::FaultyStore, interest: &Interest) {
    let script = [vec![Submitting::Works; 10], vec![Submitting::IsRefused]].concat();
    faulty.script_submissions(script);
    assert!(now(interest.close_until(None)).is_err(), "it broke off");
}

fn rate_from(from: &str) -> Version {
    let mut version = product(PostingPlan::Daily, day(from)).versions.remove(0);
    version.tiers[0].rate = Rate::from_percent("7.3").expect("a rate");
    version
}

/// Each of the thirty was paid once for 16 January, at the rate it had then.
fn assert_paid_once(savings: &Savings) {
    savings.close();
    for id in 1..=30 {
        let paid = savings.interest_of(id);
        assert_eq!(paid.len(), 2, "account {id}: {paid:?}");
        assert_eq!((paid[1].0, &*paid[1].2), (100, "interest daily-money 2027-01-16/2027-01-16"), "account {id}");
        savings.assert_nothing_lost(id);
    }
}

#[test]
fn nothing_a_day_is_reckoned_by_changes_once_its_close_has_begun() {
    let savings = before_a_close_that_breaks_off();
    break_off(&savings.world.faulty[0], &savings.interest);
    assert_eq!(now(savings.interest.business_date()).expect("read"), day("2027-01-16"));
    let row = now(savings.world.bank.account(account(1))).expect("read").expect("an account");
    let interest = &savings.interest;
    let other = Product { default_for: Some(AccountKind::Savings), ..better(&savings) };
    let refused = [
        now(interest.assign(&local(), &row, day("2027-01-16"), None)).map(|_| ()),
        now(interest.add_version(&local(), "daily-money", rate_from("2027-01-16"))).map(|_| ()),
        now(interest.create_product(&local(), &other)),
    ];
    for refused in refused {
        assert_eq!(refused.expect_err("refused").code(), "day_closed");
    }
    now(interest.add_version(&local(), "daily-money", rate_from("2027-01-17"))).expect("the next day is open");
    now(interest.assign(&local(), &row, day("2027-01-17"), None)).expect("the next day is open");
    assert_paid_once(&savings);
}

#[test]
fn what_a_close_overtakes_is_refused_and_does_not_change_the_day() {
    for change in 0..3 {
        let savings = before_a_close_that_breaks_off();
        let (faulty, node) = (savings.world.faulty[0].clone(), savings.node());
        let slow = overtaken(&savings, move || break_off(&faulty, &node));
        let row = now(savings.world.bank.account(account(1))).expect("read").expect("an account");
        let changed = match change {
            0 => now(slow.assign(&local(), &row, day("2027-01-16"), None)).map(|_| ()),
            1 => now(slow.add_version(&local(), "daily-money", rate_from("2027-01-16"))).map(|_| ()),
            _ => {
                now(slow
                    .create_product(&local(), &Product { default_for: Some(AccountKind::Savings), ..better(&savings) }))
            }
        };
        assert_eq!(changed.expect_err("refused").code(), "day_closed");
        assert_paid_once(&savings);
    }
}

#[test]
fn of_two_products_made_at_once_for_the_same_accounts_one_is_refused() {
    let savings = Savings::new(1, PostingPlan::Daily);
    let by_default = |id: &str| Product {
        id: id.into(),
        default_for: Some(AccountKind::Savings),
        ..product(PostingPlan::Daily, day("2027-01-15"))
    };
    let (node, first) = (savings.node(), by_default("first"));
    let slow = overtaken(&savings, move || now(node.create_product(&local(), &first)).expect("created"));
    let refused = now(slow.create_product(&local(), &by_default("second")));
    assert_eq!(refused.expect_err("refused").code(), "id_taken");
    assert_eq!(now(savings.interest.product("second")).expect("read"), None);
    now(slow.create_product(&local(), &by_default("first"))).expect("the same again");
}

const KEY: &str = "interest/1/daily-money/2027-01-15/2027-01-31";

fn called_florin(channel: Channel) -> Caller {
    Caller { principal: "florin".into(), role: Role::Admin, channel, correlation: "".into() }
}

#[test]
fn a_key_that_somebody_called_like_the_bank_used_is_not_the_banks() {
    let savings = Savings::new(1, PostingPlan::Monthly);
    (1..=2).for_each(|id| savings.world.open_with(id, 1_000_000));
    savings.pass_days(17);
    for channel in [Channel::Http, Channel::Kafka] {
        let sent = Command::Transfer(transfer(1, 2, 5));
        savings.world.submit_as(&called_florin(channel), Some((KEY, 7)), sent).expect("an answer");
    }
    assert_eq!(savings.close(), (2, 0, 0));
}

#[test]
fn what_was_posted_before_for_the_same_days_with_another_amount_counts_and_stops_nobody() {
    let savings = Savings::new(1, PostingPlan::Monthly);
    (1..=2).for_each(|id| savings.world.open_with(id, 1_000_000));
    savings.pass_days(17);
    let expense = SystemAccount::standard(ShardId::default(), SystemKind::Expense, euro()).id();
    let leg = Leg { from: expense, to: account(1), amount: LegAmount::Exactly(amount(5)) };
    let reference = Some("interest daily-money 2027-01-15/2027-01-31".into());
    let paid = Transfer {
        kind: TransferKind::Interest,
        currency: euro(),
        legs: Legs::One([leg]),
        forced: false,
        effective_at: Some("2027-02-01T00:00:00Z".parse().expect("a time")),
        note: Some(Box::new(Note { reference, metadata: Box::default() })),
    };
    let clock = called_florin(Channel::Timer);
    savings.world.submit_as(&clock, Some((KEY, 7)), Command::Transfer(paid)).expect("an answer");
    assert_eq!(savings.close(), (1, 0, 1), "the other one is paid, and this one is told");
    let told = now(savings.records.list("interest/refused/", None, 10)).expect("read");
    assert!(String::from_utf8_lossy(&told[0].1).contains("idempotency_key_reused"), "{told:?}");
    savings.pass_days(28);
    assert_eq!(savings.close(), (2, 0, 0));
    // 17 days of 100.00 less the 5 that were paid, and 28 days of 100.0005.
    let amounts: Vec<i128> = savings.interest_of(1).iter().map(|row| row.0).collect();
    assert_eq!(amounts, [5, 1_695 + 2_800]);
    savings.pass_days(1);
    savings.close();
    let account = now(savings.world.bank.account(account(1))).expect("read").expect("an account");
    let course = now(savings.interest.explain(&account, day("2027-01-15"), day("2027-02-28"))).expect("explained");
    assert!((0..MINOR_UNIT).contains(&course.last().expect("a day").carry.0), "nothing is lost and nothing made");
    savings.world.assert_sums_are_zero();
}
