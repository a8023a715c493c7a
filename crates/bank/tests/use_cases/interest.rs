//! Interest: every account has every day once, nothing is lost and nothing is made, whoever closes days and whenever.

use crate::world::{World, account, euro, local, now};
use bank::Bank;
use bank::calendar::Calendar;
use bank::interest::day_count::DayCount;
use bank::interest::parts::{MINOR_UNIT, Parts, Rate};
use bank::interest::product::{PostingPlan, Product, Tier, Tiering, Version};
use bank::interest::{CloseError, Interest};
use bank::ports::Records;
use bank::records::MemoryRecords;
use bank::transfer::Terms;
use futures_util::future::join_all;
use ledger::account::{AccountKind, FreezeKind, SystemAccount, SystemKind};
use ledger::amount::Amount;
use ledger::command::{Command, Freeze};
use ledger::ids::ShardId;
use ledger::time::{Day, Timestamp};
use ledger::transfer::{LegAmount, TransferKind};
use std::sync::Arc;
use store::faulty::Submitting;
use store::query::{Filter, PAGE_MAX, PostingQuery};

pub(crate) const DAY_US: u64 = 86_400_000_000;

/// A bank on the morning of 15 January 2027 in which every checking account in euros has 3.65 % a year on ACT/365F: a
/// hundredth of a per cent a day.
pub(crate) struct Savings {
    pub(crate) world: World,
    pub(crate) interest: Interest,
    pub(crate) records: Arc<MemoryRecords>,
}

pub(crate) fn product(posting: PostingPlan, from: Day) -> Product {
    let tier = Tier { above: Amount::ZERO, rate: Rate::from_percent("3.65").expect("a rate") };
    Product {
        id: "daily-money".into(),
        currency: euro(),
        day_count: DayCount::Actual365Fixed,
        posting,
        tiering: Tiering::Slices,
        default_for: Some(AccountKind::Checking),
        versions: vec![Version { from, minimum_balance: Amount::ZERO, tiers: vec![tier] }],
    }
}

pub(crate) fn day(text: &str) -> Day {
    text.parse().expect("a day")
}

impl Savings {
    pub(crate) fn new(shards: u16, posting: PostingPlan) -> Savings {
        Savings::of(World::new(shards), posting)
    }

    fn of(world: World, posting: PostingPlan) -> Savings {
        let records = Arc::new(MemoryRecords::default());
        let interest = Interest::new(Arc::new(world.another_node()), records.clone(), Calendar::default());
        let savings = Savings { world, interest, records };
        let today = now(savings.interest.business_date()).expect("read");
        now(savings.interest.create_product(&local(), &product(posting, today))).expect("created");
        savings
    }

    /// Another node of the same bank.
    pub(crate) fn node(&self) -> Interest {
        Interest::new(Arc::new(self.world.another_node()), self.records.clone(), Calendar::default())
    }

    pub(crate) fn pass_days(&self, days: u64) {
        self.world.pass(days * DAY_US);
    }

    pub(crate) fn close(&self) -> (u64, u64, u64) {
        let closed = now(self.interest.close_until(None)).expect("closed");
        let sum = |field: fn(&bank::interest::Closed) -> u64| closed.iter().map(field).sum();
        (sum(|day| day.posted), sum(|day| day.corrections), sum(|day| day.refused))
    }

    pub(crate) fn pay_in_dated(&self, id: u64, minor_units: u64, effective_at: Timestamp) {
        let terms = Terms {
            currency: euro(),
            amount: LegAmount::Exactly(Amount::new(minor_units).expect("an amount")),
            forced: false,
            effective_at: Some(effective_at),
            note: None,
        };
        let deposit = self.world.bank.deposit(account(id), None, terms).expect("a deposit");
        now(self.world.bank.submit(&local(), None, Command::Transfer(deposit), false)).expect("an answer");
    }

    /// What was posted as interest on an account: amount, value date and reference, oldest first.
    pub(crate) fn interest_of(&self, id: u64) -> Vec<(i128, String, String)> {
        let (mut items, mut before) = (Vec::new(), None);
        loop {
            let (account, filter) = (account(id), Filter::default());
            let query = PostingQuery { account, side: None, filter, before, limit: PAGE_MAX };
            let page = now(self.world.bank.postings(query)).expect("read");
            items.extend(page.items);
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        let rows = items.iter().rev().filter_map(|row| row.parts());
        let rows = rows.filter(|(_, transferred, _)| transferred.kind == TransferKind::Interest);
        rows.map(|(posting, transferred, _)| {
            let reference = transferred.note.as_deref().and_then(|note| note.reference.as_deref());
            (posting.signed(), transferred.effective_at.to_string(), reference.unwrap_or_default().to_owned())
        })
        .collect()
    }

    /// What accrued equals what was posted and the carry, on every day until yesterday.
    pub(crate) fn assert_nothing_lost(&self, id: u64) {
        let account = now(self.world.bank.account(account(id))).expect("read").expect("an account");
        let yesterday = Day::new(self.world.bank.now().day().number() - 1);
        let days = now(self.interest.explain(&account, day("2027-01-01"), yesterday)).expect("explained");
        let (mut accrued, mut posted) = (Parts::ZERO, 0);
        for row in &days {
            accrued = accrued.checked_add(row.accrual).expect("a sum");
            posted += row.posted;
            assert_eq!(accrued.0 - posted * MINOR_UNIT, row.carry.0, "account {id} on {}", row.day);
            if days.iter().all(|row| row.is_closed) && row.posted != 0 {
                assert!(
                    (0..MINOR_UNIT).contains(&row.carry.0),
                    "account {id} on {}: {}",
                    row.day,
                    row.carry.fraction(2)
                );
            }
        }
        let all: i128 = self.interest_of(id).iter().map(|(amount, ..)| amount).sum();
        assert_eq!(all, posted, "account {id}");
    }

    pub(crate) fn expense(&self, shard: u16) -> i128 {
        let shard = ShardId::new(shard).expect("a shard");
        let id = SystemAccount::standard(shard, SystemKind::Expense, euro()).id();
        now(self.world.bank.account(id)).expect("read").map_or(0, |account| account.balance)
    }
}

/// What is kept of accounts.
pub(crate) fn states(savings: &Savings) -> Vec<(String, Vec<u8>)> {
    now(savings.records.list("interest/state/", None, 100)).expect("read")
}

#[test]
fn a_months_interest_is_posted_at_its_end_and_the_rest_is_carried() {
    let savings = Savings::new(1, PostingPlan::Monthly);
    savings.world.open_with(1, 123_456);
    savings.pass_days(16);
    assert_eq!(savings.close(), (0, 0, 0), "30 January is not the end of a month");
    savings.pass_days(1);
    assert_eq!(savings.close(), (1, 0, 0));
    // 17 days of 123,456 · 0.0001 = 12.3456 a day: 209.8752
    let posted = [(209, "2027-02-01T00:00:00Z".to_owned(), "interest daily-money 2027-01-15/2027-01-31".to_owned())];
    assert_eq!(savings.interest_of(1), posted);
    assert_eq!((savings.world.balance(1), savings.expense(0)), (123_665, -209));
    savings.assert_nothing_lost(1);
    savings.pass_days(28);
    assert_eq!(savings.close(), (1, 0, 0));
    // 28 days of 12.3665 = 346.262, and 0.8752 carried over
    assert_eq!(savings.interest_of(1)[1].0, 347);
    savings.assert_nothing_lost(1);
    savings.world.assert_sums_are_zero();
}

#[test]
fn a_closed_day_is_not_closed_again() {
    let savings = Savings::new(1, PostingPlan::Daily);
    savings.world.open_with(1, 1_000_000);
    savings.pass_days(3);
    assert_eq!(savings.close(), (3, 0, 0));
    let entries = savings.world.entries();
    for _ in 0..3 {
        assert_eq!(now(savings.node().close_until(None)).expect("closed"), []);
    }
    assert_eq!(savings.world.entries(), entries);
}

#[test]
fn days_off_are_caught_up_in_order_as_if_each_had_been_closed_in_time() {
    let each = Savings::new(2, PostingPlan::Daily);
    let late = Savings::new(2, PostingPlan::Daily);
    for savings in [&each, &late] {
        for shard in 0..2 {
            savings.world.open_with(savings.world.id_on(shard, 0), 987_654_321);
        }
        savings.pass_days(1);
        savings.close();
    }
    for _ in 0..40 {
        each.pass_days(1);
        each.close();
    }
    late.pass_days(40);
    assert_eq!(late.close(), (80, 0, 0));
    for shard in 0..2 {
        let id = each.world.id_on(shard, 0);
        assert_eq!(each.interest_of(id), late.interest_of(id));
        assert_eq!(each.interest_of(id).len(), 41);
        each.assert_nothing_lost(id);
        late.assert_nothing_lost(id);
        assert_eq!(each.expense(shard), -each.interest_of(id).iter().map(|row| row.0).sum::<i128>());
    }
}

#[test]
fn a_day_that_is_not_over_is_not_closed() {
    let savings = Savings::new(1, PostingPlan::Daily);
    let today = day("2027-01-15");
    assert!(
        matches!(now(savings.interest.close_until(Some(today))), Err(CloseError::NotOver { day, .. }) if day == today)
    );
    assert_eq!(now(savings.interest.business_date()).expect("read"), today);
}

#[test]
fn eight_workers_at_once_post_interest_once() {
    let savings = Savings::new(4, PostingPlan::Daily);
    let ids: Vec<u64> = (0..40).map(|n| savings.world.id_on(n % 4, usize::from(n) / 4)).collect();
    for id in &ids {
        savings.world.open_with(*id, 1_000_000 + id);
    }
    savings.pass_days(1);
    savings.close();
    savings.pass_days(5);
    let nodes: Vec<Interest> = (0..8).map(|_| savings.node()).collect();
    for _ in 0..2 {
        now(join_all(nodes.iter().map(|node| node.close_until(None))));
    }
    savings.close();
    for id in &ids {
        assert_eq!(savings.interest_of(*id).len(), 6, "account {id}");
        savings.assert_nothing_lost(*id);
    }
    savings.world.assert_sums_are_zero();
}

#[test]
fn a_close_that_breaks_off_anywhere_is_carried_on() {
    for at in 0..30 {
        for how in [Submitting::IsRefused, Submitting::LosesAnswer] {
            let savings = Savings::new(1, PostingPlan::Daily);
            for id in 1..=30 {
                savings.world.open_with(id, 1_000_000 * id);
            }
            savings.pass_days(1);
            let mut script = vec![Submitting::Works; at];
            script.push(how);
            savings.world.faulty[0].script_submissions(script);
            let first = now(savings.interest.close_until(None));
            if first.is_err() {
                now(savings.node().close_until(None)).expect("closed");
            }
            for id in 1..=30 {
                assert_eq!(savings.interest_of(id).len(), 1, "account {id}, broken off at {at}: {how:?}");
                savings.assert_nothing_lost(id);
            }
        }
    }
}

#[test]
fn what_is_kept_beside_the_journal_is_made_again_from_it() {
    let (kept, lost) = (Savings::new(2, PostingPlan::Monthly), Savings::new(2, PostingPlan::Monthly));
    let ids = [0, 1].map(|shard| kept.world.id_on(shard, 0));
    for savings in [&kept, &lost] {
        ids.iter().for_each(|id| savings.world.open_with(*id, 123_456 + id));
        savings.pass_days(20);
        savings.close();
        savings.pay_in_dated(ids[0], 5_000, "2027-01-16T00:00:00Z".parse().expect("a time"));
        savings.pass_days(20);
        savings.close();
    }
    now(lost.interest.forget()).expect("forgotten");
    let entries = lost.world.entries();
    for savings in [&kept, &lost] {
        savings.pass_days(1);
        savings.close();
    }
    assert!(lost.world.entries() <= entries + 2, "nothing is posted again");
    assert_eq!(states(&lost), states(&kept));
    for savings in [&kept, &lost] {
        savings.pass_days(30);
        savings.close();
        ids.iter().for_each(|id| savings.assert_nothing_lost(*id));
    }
    assert_eq!(kept.interest_of(ids[0]), lost.interest_of(ids[0]));
}

#[test]
fn a_late_deposit_is_corrected_period_by_period_and_nothing_posted_changes() {
    let savings = Savings::new(1, PostingPlan::Monthly);
    savings.world.open_with(1, 100_000);
    savings.pass_days(1);
    savings.close();
    savings.pass_days(60);
    savings.close();
    let before = savings.interest_of(1);
    assert_eq!(before.len(), 2, "January and February");
    // 16 March: 500.00 that were there since 20 January.
    savings.pay_in_dated(1, 50_000, "2027-01-20T12:00:00Z".parse().expect("a time"));
    assert_eq!(savings.close(), (0, 0, 0));
    savings.pass_days(1);
    assert_eq!(savings.close(), (0, 2, 0));
    let after = savings.interest_of(1);
    assert_eq!(after[..2], before);
    // 12 days and 28 days of 5.00, whole minor units of either.
    assert_eq!((after[2].0, after[2].2.as_str()), (60, "interest correction daily-money 2027-01-15/2027-01-31"));
    assert_eq!((after[3].0, after[3].2.as_str()), (140, "interest correction daily-money 2027-02-01/2027-02-28"));
    savings.assert_nothing_lost(1);
    savings.pass_days(20);
    savings.close();
    savings.assert_nothing_lost(1);
}

#[test]
fn what_was_paid_too_much_is_taken_back_even_from_an_empty_account() {
    let savings = Savings::new(1, PostingPlan::Monthly);
    savings.world.open_with(1, 1_000_000);
    savings.world.open(2);
    savings.pass_days(1);
    savings.close();
    savings.pass_days(20);
    savings.close();
    assert_eq!(savings.interest_of(1)[0].0, 1_700);
    let mut transfer = crate::world::transfer(1, 2, 1_001_700);
    transfer.effective_at = Some("2027-01-16T00:00:00Z".parse().expect("a time"));
    savings.world.submit(None, Command::Transfer(transfer)).expect("an answer");
    assert_eq!(savings.world.balance(1), 0);
    savings.pass_days(1);
    assert_eq!(savings.close(), (0, 2, 0), "less for the one, more for the other");
    assert_eq!(savings.interest_of(1)[1].0, -1_600, "15 January alone is left");
    assert_eq!(savings.interest_of(2)[0].0, 1_602, "16 days of 100.17");
    savings.assert_nothing_lost(1);
    savings.assert_nothing_lost(2);
    savings.world.assert_sums_are_zero();
}

#[test]
fn a_closed_account_keeps_its_carry_and_the_refusal_is_told_once() {
    let savings = Savings::new(1, PostingPlan::Monthly);
    savings.world.open_with(1, 1_000_000);
    savings.world.open(2);
    savings.pass_days(1);
    savings.close();
    savings.world.submit(None, Command::Transfer(crate::world::transfer(1, 2, 1_000_000))).expect("an answer");
    savings.world.submit(None, Command::Close(account(1))).expect("an answer");
    savings.pass_days(20);
    assert_eq!(savings.close(), (1, 0, 1));
    savings.pass_days(60);
    assert_eq!(savings.close(), (2, 0, 0), "the other account's alone");
    let told = now(savings.records.list("interest/refused/", None, 10)).expect("read");
    assert_eq!(told.len(), 1);
    assert!(String::from_utf8_lossy(&told[0].1).contains("account_closed"), "{told:?}");
    savings.assert_nothing_lost(1);
    // Made again from the journal it is the same.
    let kept = states(&savings);
    now(savings.interest.forget()).expect("forgotten");
    let entries = savings.world.entries();
    now(savings.node().close_until(None)).expect("nothing to close");
    savings.pass_days(1);
    savings.close();
    assert!(savings.world.entries() <= entries + 1, "nothing is posted again");
    assert_eq!(states(&savings).len(), kept.len());
    savings.assert_nothing_lost(1);
}

#[test]
fn what_was_refused_is_posted_at_the_end_of_a_month_though_the_product_has_ended() {
    let savings = Savings::new(1, PostingPlan::Monthly);
    savings.world.open_with(1, 1_000_000);
    let row = now(savings.world.bank.account(account(1))).expect("read").expect("an account");
    now(savings.interest.assign(&local(), &row, day("2027-01-20"), None)).expect("taken away");
    let freeze = Freeze { account: account(1), kind: Some(FreezeKind::Full), reason: None };
    savings.world.submit(None, Command::Freeze(Box::new(freeze))).expect("an answer");
    savings.pass_days(18);
    assert_eq!(savings.close(), (0, 0, 2), "when the product ended, and at the month's end");
    savings.world.submit(None, Command::Unfreeze(account(1))).expect("an answer");
    savings.pass_days(60);
    assert_eq!(savings.close(), (1, 0, 0));
    let posted = (500, "2027-03-01T00:00:00Z".to_owned(), "interest daily-money 2027-02-01/2027-02-28".to_owned());
    assert_eq!(savings.interest_of(1), [posted]);
    savings.assert_nothing_lost(1);
    let kept = states(&savings);
    now(savings.interest.forget()).expect("forgotten");
    savings.pass_days(1);
    savings.close();
    assert_eq!(savings.interest_of(1).len(), 1, "nothing is posted again");
    assert_eq!(states(&savings).len(), kept.len());
    savings.assert_nothing_lost(1);
}

#[test]
fn a_change_of_the_rate_counts_from_its_day_and_never_for_a_closed_one() {
    let savings = Savings::new(1, PostingPlan::Monthly);
    savings.world.open_with(1, 1_000_000);
    let tier = Tier { above: Amount::ZERO, rate: Rate::from_percent("7.3").expect("a rate") };
    let version = |from: &str| Version { from: day(from), minimum_balance: Amount::ZERO, tiers: vec![tier] };
    savings.pass_days(3);
    savings.close();
    let refused = now(savings.interest.add_version(&local(), "daily-money", version("2027-01-17")));
    assert_eq!(refused.expect_err("refused").code(), "day_closed");
    now(savings.interest.add_version(&local(), "daily-money", version("2027-01-22"))).expect("added");
    now(savings.interest.add_version(&local(), "daily-money", version("2027-01-22"))).expect("the same again");
    savings.pass_days(14);
    savings.close();
    assert_eq!(savings.interest_of(1)[0].0, 7 * 100 + 10 * 200);
    savings.assert_nothing_lost(1);
}

#[test]
fn a_product_that_ends_is_posted_on_its_last_day() {
    let savings = Savings::new(1, PostingPlan::Quarterly);
    savings.world.open_with(1, 1_000_000);
    let row = now(savings.world.bank.account(account(1))).expect("read").expect("an account");
    now(savings.interest.assign(&local(), &row, day("2027-01-20"), None)).expect("taken away");
    now(savings.interest.assign(&local(), &row, day("2027-01-25"), Some("daily-money"))).expect("given back");
    savings.pass_days(1);
    savings.close();
    savings.pass_days(120);
    savings.close();
    let references: Vec<String> =
        savings.interest_of(1).into_iter().map(|(amount, _, what)| format!("{amount} {what}")).collect();
    assert_eq!(
        references,
        ["500 interest daily-money 2027-01-15/2027-01-19", "6603 interest daily-money 2027-01-25/2027-03-31"]
    );
    savings.assert_nothing_lost(1);
}

#[test]
fn an_account_that_moved_to_another_shard_bears_interest_as_if_it_had_not() {
    for knows_of_it in [true, false] {
        let savings = Savings::new(2, PostingPlan::Daily);
        let id = savings.world.id_on(0, 0);
        savings.world.open_with(id, 1_000_000);
        savings.pass_days(1);
        savings.close();
        let slot = ledger::ids::slot(id);
        now(savings.world.bank.move_slots(&local(), &[slot], ShardId::new(1).expect("a shard"))).expect("moved");
        for _ in 0..3 {
            let node = savings.node();
            if knows_of_it {
                now(node.bank().reload_placement()).expect("read");
            }
            savings.pass_days(1);
            now(node.close_until(None)).expect("closed");
            now(savings.world.bank.finish_sagas()).expect("carried");
        }
        let amounts: Vec<i128> = savings.interest_of(id).into_iter().map(|row| row.0).collect();
        assert_eq!(amounts, [100, 100, 100, 100]);
        savings.assert_nothing_lost(id);
        assert_eq!((savings.expense(0), savings.expense(1)), (-100, -300), "knows of it: {knows_of_it}");
    }
}

#[test]
fn an_account_that_moves_at_midnight_between_shards_whose_clocks_differ_loses_no_posting() {
    // By the clock of the one it moves at five seconds past midnight, by that of the other five seconds before.
    for ahead in [[10_000_000, 0], [0, 10_000_000]] {
        let savings = Savings::of(World::ahead(&ahead), PostingPlan::Daily);
        let id = savings.world.id_on(0, 0);
        savings.world.open_with(id, 1_000_000);
        savings.world.pass(16 * DAY_US / 24 - 5_000_000);
        savings.world.pay_in(id, 250_000);
        let slot = ledger::ids::slot(id);
        now(savings.world.bank.move_slots(&local(), &[slot], ShardId::new(1).expect("a shard"))).expect("moved");
        savings.world.pay_in(id, 500_000);
        for _ in 0..4 {
            savings.pass_days(1);
            now(savings.node().close_until(None)).expect("closed");
        }
        savings.assert_nothing_lost(id);
        let all: i128 = savings.interest_of(id).iter().map(|row| row.0).sum();
        // 15 January without what came after midnight; three days with all, and what was paid of interest.
        let first = if ahead[0] == 0 { 125 } else { 150 };
        assert_eq!(all, first + 3 * 175, "{ahead:?}");
    }
}

#[test]
fn what_comes_back_from_another_shard_bears_interest_as_if_it_had_not_been_away() {
    let savings = Savings::new(2, PostingPlan::Monthly);
    let (from, to) = (savings.world.id_on(0, 0), savings.world.id_on(1, 0));
    savings.world.open_with(from, 1_000_000);
    savings.world.open(to);
    savings.world.submit(None, Command::Transfer(crate::world::transfer(from, to, 400_000))).expect("an answer");
    savings.world.submit(None, Command::Close(account(to))).expect("an answer");
    savings.pass_days(3);
    savings.close();
    assert_eq!(savings.world.balance(from), 600_000, "it is under way");
    now(savings.world.bank.finish_sagas()).expect("carried");
    assert_eq!(savings.world.balance(from), 1_000_000, "it came back");
    savings.pass_days(14);
    savings.close();
    assert_eq!(savings.interest_of(from)[0].0, 17 * 100);
    savings.assert_nothing_lost(from);
}

#[test]
fn the_balance_at_the_end_of_the_banks_own_day_counts() {
    let world = World::new(1);
    let prague: Calendar = "Europe/Prague".parse().expect("a zone");
    let bank: Arc<Bank> = Arc::new(world.another_node());
    let interest = Interest::new(bank, Arc::new(MemoryRecords::default()), prague);
    now(interest.create_product(&local(), &product(PostingPlan::Daily, day("2027-01-15")))).expect("created");
    // 22:30 UTC is 23:30 in Prague, 23:30 UTC is the next day there.
    world.pass(DAY_US * 14 / 24 + 1_800_000_000);
    world.open_with(1, 1_000_000);
    world.pass(DAY_US / 24);
    world.pay_in(1, 1_000_000);
    let closed = now(interest.close_until(None)).expect("closed");
    assert_eq!(closed.iter().map(|day| (day.day, day.sums[&euro()])).collect::<Vec<_>>(), [(day("2027-01-15"), 100)]);
}
