//! Standing orders: each due day once, on the right day, whoever executes them and however often.

use crate::meanwhile::Meanwhile;
use crate::world::{World, account, amount, euro, local, now, opening};
use bank::holidays::{BusinessCalendar, HolidayRule, Holidays};
use bank::notification::Notifications;
use bank::ports::{Expected, RecordChange, Records};
use bank::records::MemoryRecords;
use bank::standing_order::{Executed, Order, Outcome, Payee, StandingOrders, Status, Terms};
use futures_util::future::join_all;
use ledger::command::{Command, OpenAccount};
use ledger::time::Day;
use std::sync::Arc;
use store::faulty::Submitting;

const DAY_US: u64 = 86_400_000_000;

/// A bank on the morning of Friday 15 January 2027.
struct Desk {
    world: World,
    records: Arc<MemoryRecords>,
    orders: StandingOrders,
}

fn day(text: &str) -> Day {
    text.parse().expect("a day")
}

fn terms(from: u64, to: Payee, rhythm: &str) -> Terms {
    Terms {
        from: account(from),
        to,
        amount: amount(1_000),
        currency: euro(),
        reference: Some("rent".into()),
        rhythm: rhythm.parse().expect("a rhythm"),
        until: None,
        holidays: HolidayRule::SameDay,
        retries: 0,
        retry_days: 1,
    }
}

impl Desk {
    fn new(shards: u16) -> Desk {
        let world = World::new(shards);
        let records = Arc::new(MemoryRecords::default());
        let holidays = Holidays::new([day("2027-02-01")]);
        let calendar = BusinessCalendar { calendar: Default::default(), holidays };
        let orders = StandingOrders::new(Arc::new(world.another_node()), records.clone(), calendar);
        Desk { world, records, orders }
    }

    fn node(&self) -> StandingOrders {
        let bank = Arc::new(self.world.another_node());
        StandingOrders::new(bank, self.records.clone(), self.orders.calendar().clone())
    }

    fn create(&self, id: &str, terms: Terms) -> Order {
        let row = now(self.world.bank.account(terms.from)).expect("read").expect("an account");
        now(self.orders.create(&local(), id, &row, terms)).expect("created")
    }

    fn execute(&self) -> Executed {
        now(self.orders.execute(self.world.bank.now().day())).expect("executed")
    }

    /// What became of each day: due day, try, outcome.
    fn told(&self, id: &str) -> Vec<String> {
        let occurrences = now(self.orders.occurrences(id)).expect("read");
        let told = |outcome: &Outcome| match outcome {
            Outcome::Done => "done".to_owned(),
            Outcome::Retry(code, on) => format!("{code}, again on {on}"),
            Outcome::Refused(code) => format!("refused: {code}"),
        };
        occurrences.iter().map(|one| format!("{} {} {}", one.due, one.attempt, told(&one.outcome))).collect()
    }
}

#[test]
fn an_order_is_executed_once_for_each_due_day_by_eight_nodes_at_once() {
    let desk = Desk::new(2);
    let (from, to) = (desk.world.id_on(0, 0), desk.world.id_on(0, 1));
    desk.world.open_with(from, 100_000);
    desk.world.open(to);
    desk.create("rent", terms(from, Payee::Account(account(to)), "monthly on 31 from 2027-01-15"));
    let nodes: Vec<StandingOrders> = (0..8).map(|_| desk.node()).collect();
    for _ in 0..90 {
        let today = desk.world.bank.now().day();
        for executed in now(join_all(nodes.iter().map(|node| node.execute(today)))) {
            executed.expect("executed");
        }
        desk.world.pass(DAY_US);
    }
    assert_eq!(desk.told("rent"), ["2027-01-31 1 done", "2027-02-28 1 done", "2027-03-31 1 done"]);
    assert_eq!((desk.world.balance(from), desk.world.balance(to)), (97_000, 3_000));
}

#[test]
fn days_off_are_caught_up_each_under_its_own_due_day() {
    let desk = Desk::new(1);
    desk.world.open_with(1, 100_000);
    desk.create("pocket-money", terms(1, Payee::Outside, "weekly from 2027-01-16"));
    desk.world.pass(30 * DAY_US);
    assert_eq!(desk.execute(), Executed { done: 5, ..Executed::default() });
    let days = ["2027-01-16", "2027-01-23", "2027-01-30", "2027-02-06", "2027-02-13"];
    assert_eq!(desk.told("pocket-money"), days.map(|day| format!("{day} 1 done")));
    assert_eq!(desk.execute(), Executed::default());
    assert_eq!(desk.world.balance(1), 95_000);
}

#[test]
fn what_falls_on_a_holiday_is_paid_before_or_after_it() {
    for (rule, paid_on) in [("before", "2027-01-29"), ("after", "2027-02-02"), ("same_day", "2027-02-01")] {
        let desk = Desk::new(1);
        desk.world.open_with(1, 100_000);
        let holidays = HolidayRule::ALL.into_iter().find(|(name, _)| *name == rule).expect("a rule").1;
        // 1 February is a holiday, and the two days before it are a weekend.
        desk.create("rent", Terms { holidays, ..terms(1, Payee::Outside, "once 2027-02-01") });
        while desk.execute() == Executed::default() {
            desk.world.pass(DAY_US);
        }
        assert_eq!(desk.world.bank.now().day(), day(paid_on), "{rule}");
        assert_eq!(desk.told("rent"), ["2027-02-01 1 done"]);
        assert_eq!(now(desk.orders.order("rent")).expect("read").expect("there").status, Status::Ended);
    }
}

#[test]
fn without_the_money_it_is_tried_again_and_then_refused_and_told() {
    let desk = Desk::new(1);
    desk.world.open_with(1, 500);
    let retried = Terms { retries: 2, retry_days: 3, ..terms(1, Payee::Outside, "monthly on 15 from 2027-01-15") };
    desk.create("rent", retried);
    let mut told = Vec::new();
    for _ in 0..12 {
        if desk.execute() != Executed::default() {
            told.extend(desk.told("rent"));
        }
        desk.world.pass(DAY_US);
    }
    let expected = [
        "2027-01-15 1 insufficient_funds, again on 2027-01-18",
        "2027-01-15 2 insufficient_funds, again on 2027-01-21",
        "2027-01-15 3 refused: insufficient_funds",
    ];
    assert_eq!(told, expected);
    let refusals = desk.world.memories[0]
        .entries_so_far()
        .iter()
        .filter(|entry| matches!(entry.outcome, ledger::event::Outcome::Rejection { .. }))
        .count();
    assert_eq!(refusals, 3, "each try is on record");
    desk.world.pay_in(1, 10_000);
    desk.world.pass(30 * DAY_US);
    desk.execute();
    assert_eq!(desk.told("rent")[1], "2027-02-15 1 done", "the next month's is another");
}

#[test]
fn money_that_comes_in_time_is_paid_at_the_next_try() {
    let desk = Desk::new(1);
    desk.world.open_with(1, 500);
    desk.create("rent", Terms { retries: 1, ..terms(1, Payee::Outside, "once 2027-01-15") });
    desk.execute();
    desk.world.pay_in(1, 600);
    desk.world.pass(3 * DAY_US);
    desk.execute();
    assert_eq!(desk.told("rent"), ["2027-01-15 2 done"]);
    assert_eq!(desk.world.balance(1), 100);
}

#[test]
fn an_answer_that_was_lost_moves_no_money_twice() {
    for how in [Submitting::IsRefused, Submitting::LosesAnswer] {
        let desk = Desk::new(1);
        desk.world.open_with(1, 10_000);
        desk.create("rent", terms(1, Payee::Outside, "once 2027-01-15"));
        desk.world.faulty[0].script_submissions([how]);
        assert!(now(desk.orders.execute(day("2027-01-15"))).is_err());
        desk.execute();
        desk.execute();
        assert_eq!(desk.world.balance(1), 9_000, "{how:?}");
        assert_eq!(desk.told("rent"), ["2027-01-15 1 done"]);
    }
}

#[test]
fn an_order_ends_on_its_last_day_or_when_somebody_ends_it() {
    let desk = Desk::new(1);
    desk.world.open_with(1, 100_000);
    desk.create(
        "short",
        Terms { until: Some(day("2027-02-20")), ..terms(1, Payee::Outside, "monthly on 20 from 2027-01-15") },
    );
    desk.create("ended", terms(1, Payee::Outside, "weekly from 2027-01-18"));
    let cancelled = now(desk.orders.cancel(&local(), "ended")).expect("ended").expect("there");
    assert_eq!((cancelled.status, cancelled.next), (Status::Cancelled, None));
    desk.world.pass(90 * DAY_US);
    assert_eq!(desk.execute().done, 2);
    assert_eq!(desk.told("ended"), Vec::<String>::new());
    assert_eq!(now(desk.orders.order("short")).expect("read").expect("there").status, Status::Ended);
    assert!(now(desk.records.list("order-due/", None, 10)).expect("read").is_empty());
}

#[test]
fn the_same_order_sent_again_is_the_same_and_another_is_refused() {
    let desk = Desk::new(1);
    desk.world.open_with(1, 100_000);
    let first = desk.create("rent", terms(1, Payee::Outside, "once 2027-01-20"));
    assert_eq!(desk.create("rent", terms(1, Payee::Outside, "once 2027-01-20")), first);
    let row = now(desk.world.bank.account(account(1))).expect("read").expect("an account");
    let other = now(desk.orders.create(&local(), "rent", &row, terms(1, Payee::Outside, "once 2027-01-21")));
    assert_eq!(other.expect_err("refused").code(), "id_taken");
    desk.world.pass(10 * DAY_US);
    assert_eq!(desk.create("rent", first.terms.clone()).terms, first.terms, "although its day is over");
}

#[test]
fn an_order_that_could_never_be_paid_is_refused() {
    let desk = Desk::new(1);
    desk.world.open_with(1, 100_000);
    let Command::OpenAccount(in_euro) = opening(3, 1) else { panic!("an opening") };
    let in_yen = OpenAccount { currency: "JPY".parse().expect("a currency"), ..in_euro };
    desk.world.submit(None, Command::OpenAccount(in_yen)).expect("opened");
    let row = now(desk.world.bank.account(account(1))).expect("read").expect("an account");
    for (terms, code) in [
        (terms(1, Payee::Account(account(2)), "weekly from 2027-01-16"), "account_not_found"),
        (terms(1, Payee::Account(account(3)), "weekly from 2027-01-16"), "currency_mismatch"),
        (terms(1, Payee::Outside, "once 2027-01-14"), "malformed"),
        (Terms { until: Some(day("2027-01-30")), ..terms(1, Payee::Outside, "once 2027-02-01") }, "malformed"),
    ] {
        let made = now(desk.orders.create(&local(), "rent", &row, terms.clone()));
        assert_eq!(made.expect_err("refused").code(), code, "{terms:?}");
    }
    assert_eq!(now(desk.orders.order("rent")).expect("read"), None);
}

#[test]
fn who_ordered_is_told_once_of_what_was_refused_for_good() {
    let desk = Desk::new(1);
    desk.world.open_with(1, 500);
    let mut profile = bank::profile::PlainProfile::default();
    let today = desk.world.bank.now().day();
    profile.set(ledger::customer::ProfileField::Email, "customer@example.org", today).expect("an address");
    now(desk.world.bank.update_user(&local(), None, ledger::ids::CustomerId::new(1).expect("an id"), &profile))
        .expect("changed");
    let texts = bank::notification::text::Texts::new("Bank", &[]).expect("texts");
    let node = Arc::new(desk.world.another_node());
    let notifications = Arc::new(Notifications::new(node, desk.records.clone(), texts, Default::default()));
    let again = Terms { retries: 1, ..terms(1, Payee::Outside, "once 2027-01-16") };
    desk.create("rent", again);
    let nodes: Vec<StandingOrders> = (0..2).map(|_| desk.node().told_by(notifications.clone())).collect();
    let told = || {
        let query = bank::notification::desk::DeliveryQuery { limit: 10, ..Default::default() };
        now(notifications.deliveries_of(&query)).expect("read").items
    };
    let execute = || {
        let today = desk.world.bank.now().day();
        now(join_all(nodes.iter().map(|node| node.execute(today))));
    };
    desk.world.pass(DAY_US);
    execute();
    assert_eq!(desk.told("rent").len(), 1);
    assert_eq!(told(), [], "it is tried again");
    (0..6).for_each(|_| {
        desk.world.pass(DAY_US);
        execute();
    });
    let told = told();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].kind, bank::notification::kind::Kind::StandingOrderRefused);
    assert_eq!(told[0].facts.code.as_deref(), Some("insufficient_funds"));
    assert_eq!((told[0].facts.account.as_deref(), told[0].facts.amount), (Some("1"), Some(1_000)));
}

#[test]
fn an_order_that_cannot_be_read_holds_up_no_other() {
    let desk = Desk::new(1);
    desk.world.open_with(1, 100_000);
    // More than a page of them, before all that is due.
    for number in 0..600 {
        let (key, id) = (format!("order-due/2027-01-15/a-{number:03}"), format!("order/a-{number:03}"));
        let changes = [key, id].map(|key| RecordChange { key, expected: Expected::Absent, value: Some(b"{".to_vec()) });
        now(desk.records.change(changes.into())).expect("kept");
    }
    desk.create("rent", terms(1, Payee::Outside, "once 2027-01-15"));
    desk.create("weekly", terms(1, Payee::Outside, "weekly from 2027-01-15"));
    desk.world.pass(8 * DAY_US);
    for _ in 0..2 {
        let fault = now(desk.orders.execute(desk.world.bank.now().day())).expect_err("somebody has to look at it");
        assert!(fault.to_string().contains("order/a-000"), "the first of them is told: {fault}");
        assert_eq!(desk.told("rent"), ["2027-01-15 1 done"]);
        assert_eq!(desk.told("weekly"), ["2027-01-15 1 done", "2027-01-22 1 done"]);
    }
    assert_eq!(desk.world.balance(1), 97_000);
}

#[test]
fn a_shard_that_fails_holds_up_no_order_of_another() {
    let desk = Desk::new(2);
    let ids = [0, 1].map(|shard| desk.world.id_on(shard, 0));
    for (order, id) in ["a", "b"].into_iter().zip(ids) {
        desk.world.open_with(id, 10_000);
        desk.create(order, terms(id, Payee::Outside, "once 2027-01-15"));
    }
    desk.world.faulty[0].script_submissions([Submitting::IsRefused]);
    assert!(now(desk.orders.execute(day("2027-01-15"))).is_err());
    assert_eq!((desk.told("a").len(), desk.told("b")), (0, vec!["2027-01-15 1 done".to_owned()]));
    assert_eq!(desk.execute().done, 1);
}

#[test]
fn after_days_off_tries_are_still_days_apart() {
    let desk = Desk::new(1);
    desk.world.open_with(1, 500);
    desk.create("rent", Terms { retries: 2, retry_days: 3, ..terms(1, Payee::Outside, "once 2027-01-15") });
    desk.world.pass(10 * DAY_US);
    assert_eq!(desk.execute(), Executed { retried: 1, ..Executed::default() });
    assert_eq!(desk.told("rent"), ["2027-01-15 1 insufficient_funds, again on 2027-01-28"]);
    desk.world.pay_in(1, 600);
    desk.world.pass(3 * DAY_US);
    desk.execute();
    assert_eq!(desk.told("rent"), ["2027-01-15 2 done"]);
}

#[test]
fn what_was_paid_is_told_though_the_order_was_ended_meanwhile() {
    let desk = Desk::new(1);
    desk.world.open_with(1, 10_000);
    desk.create("rent", terms(1, Payee::Outside, "weekly from 2027-01-15"));
    let other = desk.node();
    let records = Meanwhile::once_after(desk.records.clone(), 0, move || {
        now(other.cancel(&local(), "rent")).expect("ended");
    });
    let bank = Arc::new(desk.world.another_node());
    let overtaken = StandingOrders::new(bank, Arc::new(records), desk.orders.calendar().clone());
    now(overtaken.execute(day("2027-01-15"))).expect("executed");
    assert_eq!(desk.world.balance(1), 9_000);
    assert_eq!(desk.told("rent"), ["2027-01-15 1 done"]);
    assert_eq!(now(desk.orders.order("rent")).expect("read").expect("there").status, Status::Cancelled);
}

#[test]
fn what_was_paid_and_never_heard_of_is_told_when_the_order_is_ended() {
    for (how, told) in
        [(Submitting::LosesAnswer, vec!["2027-01-15 1 done".to_owned()]), (Submitting::IsRefused, vec![])]
    {
        let desk = Desk::new(1);
        desk.world.open_with(1, 10_000);
        desk.create("rent", terms(1, Payee::Outside, "weekly from 2027-01-15"));
        desk.world.faulty[0].script_submissions([how]);
        assert!(now(desk.orders.execute(day("2027-01-15"))).is_err());
        now(desk.orders.cancel(&local(), "rent")).expect("ended");
        desk.execute();
        assert_eq!(desk.told("rent"), told, "{how:?}");
    }
}
