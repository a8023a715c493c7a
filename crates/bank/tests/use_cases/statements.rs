//! Statements: what they tell of, and that they fit each other.

use crate::world::{World, account, local, now, terms, transfer};
use bank::fee::{Fees, PaidBy, Schedule, Tier};
use bank::month::Month;
use bank::records::MemoryRecords;
use bank::statement::{Statement, StatementQuery, Told};
use bank::transfer::Terms;
use ledger::command::{Command, Reverse};
use ledger::ids::{ShardId, slot};
use ledger::time::{Day, Timestamp};
use ledger::transfer::{Note, TransferKind};
use std::collections::BTreeSet;
use std::sync::Arc;

const DAY_US: u64 = 86_400_000_000;

fn month(text: &str) -> Month {
    text.parse().expect("a month")
}

fn statement(world: &World, id: u64, of: &str, told: Option<Told>) -> Statement {
    let query = StatementQuery { month: month(of), told, version: None, closed_at: None };
    now(world.bank.statement(account(id), &query)).expect("read").expect("a customer's account")
}

fn on(year: i32, month: u32, day: u32) -> Timestamp {
    let start = Day::from_date(year, month, day).and_then(Day::start).expect("a day");
    start.saturating_add(DAY_US / 2)
}

/// The world's clock begins on 15 January 2027.
fn pay_in(world: &World, id: u64, minor_units: u64, effective_at: Timestamp) {
    let terms = Terms { effective_at: Some(effective_at), ..terms(minor_units) };
    let deposit = world.bank.deposit(account(id), None, terms).expect("a deposit");
    world.submit(None, Command::Transfer(deposit)).expect("paid in");
}

fn pay_out(world: &World, id: u64, minor_units: u64) {
    let withdrawal = world.bank.withdrawal(account(id), None, terms(minor_units)).expect("a withdrawal");
    world.submit(None, Command::Transfer(withdrawal)).expect("paid out");
}

fn amounts(statement: &Statement) -> Vec<i128> {
    statement.lines.iter().map(|line| line.amount).collect()
}

#[test]
fn a_statement_tells_of_its_month_and_of_nothing_else() {
    let world = World::new(1);
    world.open(7);
    pay_in(&world, 7, 500, on(2026, 11, 30));
    pay_in(&world, 7, 20, Timestamp::from_microseconds(month("2026-12").end().microseconds() - 1).expect("a time"));
    pay_in(&world, 7, 3, month("2026-12").end());
    pay_out(&world, 7, 123);
    let december = statement(&world, 7, "2026-12", None);
    assert_eq!((december.opening, amounts(&december), december.closing), (500, vec![20], 520));
    let january = statement(&world, 7, "2027-01", Some(december.told()));
    assert_eq!((january.opening, amounts(&january), january.closing), (520, vec![3, -123], 400));
    assert_eq!(january.lines.iter().map(|line| line.balance).collect::<Vec<_>>(), [523, 400]);
    assert_eq!((january.totals.credits, january.totals.debits), (3, 123));
    assert_eq!(statement(&world, 7, "2027-01", None), january, "the one before tells nothing new");
    assert_eq!(january.holder.as_deref(), Some("A"));
}

#[test]
fn what_is_booked_late_is_told_by_the_next_statement_and_changes_none() {
    let world = World::new(1);
    world.open_with(7, 1000);
    let january = statement(&world, 7, "2027-01", None);
    world.pass(31 * DAY_US);
    pay_in(&world, 7, 50, on(2027, 1, 20));
    pay_in(&world, 7, 8, on(2027, 2, 3));
    let again = StatementQuery { month: month("2027-01"), told: None, version: Some(january.version), closed_at: None };
    assert_eq!(now(world.bank.statement(account(7), &again)).expect("read"), Some(january.clone()));
    let february = statement(&world, 7, "2027-02", Some(january.told()));
    assert_eq!((february.opening, amounts(&february), february.closing), (1000, vec![50, 8], 1058));
    assert_eq!(february.lines.iter().map(|line| line.is_late).collect::<Vec<_>>(), [true, false]);
    // A new version of the old one has it where it belongs.
    let corrected = statement(&world, 7, "2027-01", None);
    assert_eq!((corrected.closing, amounts(&corrected)), (1050, vec![1000, 50]));
    assert!(corrected.as_of > january.as_of, "it says that it is younger");
}

#[test]
fn whenever_statements_are_made_each_posting_is_in_one_of_them() {
    for seed in 0..40 {
        let mut state: u64 = seed;
        let mut draw = |count: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 16) % count
        };
        let world = World::new(1);
        world.open_with(7, 100_000);
        let (mut told, mut seen, mut sum) = (None, BTreeSet::new(), 0);
        let mut due = month("2027-01");
        for _ in 0..120 {
            world.pass(draw(3 * DAY_US));
            let today = world.bank.now();
            let back = Timestamp::from_microseconds(today.microseconds() - draw(50 * DAY_US)).expect("a time");
            pay_in(&world, 7, 1 + draw(1000), back.max(on(2027, 1, 1)));
            pay_out(&world, 7, 1 + draw(100));
            // A month's statement is made some time after its end.
            if due.end() <= today && draw(4) == 0 {
                let made = statement(&world, 7, &due.to_string(), told);
                assert!(made.lines.iter().all(|line| seen.insert(line.version)), "seed {seed}: told twice");
                sum += amounts(&made).iter().sum::<i128>();
                assert_eq!(made.closing, sum, "seed {seed}");
                assert_eq!(made.opening + made.totals.credits - made.totals.debits, made.closing);
                (told, due) = (Some(made.told()), due.next().expect("a month"));
            }
        }
        world.pass(400 * DAY_US);
        let version = now(world.bank.account(account(7))).expect("read").expect("an account").version;
        while due.end() <= world.bank.now() {
            let made = statement(&world, 7, &due.to_string(), told);
            assert!(made.lines.iter().all(|line| seen.insert(line.version)), "seed {seed}: told twice");
            (told, due) = (Some(made.told()), due.next().expect("a month"));
        }
        assert_eq!(seen, (1..=version).collect(), "seed {seed}: all were told");
        assert_eq!(told.map(|told| told.balance), Some(world.balance(7)));
    }
}

#[test]
fn a_move_to_another_shard_is_not_told() {
    let world = World::new(2);
    let id = world.id_on(0, 0);
    world.open_with(id, 1000);
    let there = ShardId::new(1).expect("a shard");
    assert_eq!(now(world.bank.move_slots(&local(), &[slot(id)], there)).expect("moved").accounts, 1);
    pay_out(&world, id, 300);
    let january = statement(&world, id, "2027-01", None);
    assert_eq!((amounts(&january), january.closing), (vec![1000, -300], 700));
    assert!(january.lines.iter().all(|line| line.kind != TransferKind::Move));
    assert_eq!((january.totals.credits, january.totals.debits), (1000, 300));
}

#[test]
fn the_banks_own_accounts_have_no_statements() {
    let world = World::new(1);
    world.open_with(7, 10);
    let query = StatementQuery { month: month("2027-01"), told: None, version: None, closed_at: None };
    let cash = now(world.bank.system_balances()).expect("read")[0].accounts[0].id;
    assert_eq!(now(world.bank.statement(cash, &query)).expect("read"), None);
    assert_eq!(now(world.bank.statement(account(8), &query)).expect("read"), None);
}

fn noted(purpose: &str) -> Option<Box<Note>> {
    Some(Box::new(Note { reference: None, metadata: [("purpose".into(), purpose.into())].into() }))
}

#[test]
fn interest_and_fees_are_summed_up_by_what_the_client_calls_them_less_what_was_given_back() {
    let world = World::new(1);
    world.open_with(7, 1000);
    let pay = |is_in: bool, minor_units: u64, purpose: &str| {
        let terms = Terms { note: noted(purpose), ..terms(minor_units) };
        let transfer = match is_in {
            true => world.bank.deposit(account(7), None, terms),
            false => world.bank.withdrawal(account(7), None, terms),
        };
        let answer = world.submit(None, Command::Transfer(transfer.expect("a transfer"))).expect("done");
        let outcome = answer.outcome().expect("an outcome");
        store::transfers_of(outcome)[0].id
    };
    pay(true, 30, "interest");
    pay(false, 4, "overdraft_interest");
    pay(false, 10, "statement_fee");
    let fee = pay(false, 7, "fee");
    pay(true, 500, "pension");
    let reversal = world.submit(None, Command::Reverse(Reverse { transfer: fee, forced: false, note: None }));
    reversal.expect("given back");
    world.pass(30 * DAY_US);
    let january = statement(&world, 7, "2027-01", None);
    assert_eq!((january.totals.interest, january.totals.fees), (26, 10));
    assert_eq!((january.totals.credits, january.totals.debits), (1537, 21));
}

/// 2 EUR for a transfer, paid by whom it says.
fn wire(paid_by: PaidBy) -> Schedule {
    let tier = Tier { from: 0, flat: 200, percent: None };
    Schedule {
        name: paid_by.to_string(),
        currency: "EUR".into(),
        version: 1,
        tiers: vec![tier],
        minimum: 0,
        maximum: None,
        paid_by,
        set_by: String::new(),
        set_at: 0,
    }
}

#[test]
fn what_a_transfer_costs_beside_its_amount_is_a_fee_of_the_statement_less_what_was_given_back() {
    let world = World::new(1);
    world.open_with(7, 10_000);
    world.open(8);
    let fees = Fees::new(Arc::new(world.another_node()), Arc::new(MemoryRecords::default()));
    let pay = |paid_by: PaidBy| {
        now(fees.set(&local(), &wire(paid_by))).expect("set");
        let charged = now(fees.charge(transfer(7, 8, 1000), &paid_by.to_string())).expect("charged");
        let answer = world.submit(None, Command::Transfer(charged)).expect("done");
        store::transfers_of(answer.outcome().expect("an outcome"))[0].id
    };
    pay(PaidBy::Sender);
    let given_back = pay(PaidBy::Sender);
    // The recipient pays it out of the amount: it costs the sender nothing.
    let of_recipient = pay(PaidBy::Recipient);
    for transfer in [given_back, of_recipient] {
        world.submit(None, Command::Reverse(Reverse { transfer, forced: false, note: None })).expect("given back");
    }
    world.pass(30 * DAY_US);
    let january = statement(&world, 7, "2027-01", None);
    assert_eq!((january.totals.fees, january.closing), (200, 10_000 - 1000 - 200));
    assert_eq!(statement(&world, 8, "2027-01", None).totals.fees, 0);
}
