//! Changes of what accounts bear, on the very day and while a day is closed: nothing that accrued is lost, and nothing is
//! paid twice, however often what is kept beside the journal is made again.

use crate::interest::{Savings, day, product, states};
use crate::world::{account, local, now};
use bank::interest::parts::Rate;
use bank::interest::product::{PostingPlan, Product};

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
