//! A real bank's year, closed day by day under every day count, against an oracle that works out the same from the
//! definitions with exact fractions: every account, every day, to the last digit.

use crate::world::{World, local, now};
use bank::calendar::Calendar;
use bank::interest::Interest;
use bank::interest::day_count::DayCount;
use bank::interest::parts::Rate;
use bank::interest::product::{PostingPlan, Product, Tier, Tiering, Version};
use bank::records::MemoryRecords;
use bank::submit::ClientKey;
use bank::transfer::Terms;
use flate2::read::GzDecoder;
use ledger::account::AccountKind;
use ledger::amount::Amount;
use ledger::command::{Command, OpenAccount};
use ledger::currency::Currency;
use ledger::event::Outcome;
use ledger::ids::{AccountId, CustomerId};
use ledger::time::Day;
use ledger::transfer::LegAmount;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::sync::Arc;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/real-year.ndjson.gz");
const ORACLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/oracles/interest.py");
/// The year begins here, so that it goes over the end of a year into one that has a 29 February.
const FIRST_DAY: &str = "2027-07-01";
const DAYS: i32 = 365;
const DAY_US: u64 = 86_400_000_000;
const MINIMUM: u64 = 10_000;
const TIERS: [(u64, &str); 3] = [(0, "1.5"), (1_000_000, "2.25"), (5_000_000, "0.5")];

fn first_day() -> Day {
    FIRST_DAY.parse().expect("a day")
}

/// What happens on an account, in the order of the year.
#[derive(Clone)]
enum Told {
    Opened { account: u64, overdraft: u64 },
    Moved { day: i32, account: u64, minor_units: u64, is_in: bool },
}

fn minor_units(value: &Value) -> u64 {
    value.as_str().expect("an amount").replace('.', "").parse().expect("digits")
}

fn year() -> Vec<Told> {
    let mut text = String::new();
    let file = std::fs::File::open(FIXTURE).expect("the fixture");
    GzDecoder::new(file).read_to_string(&mut text).expect("gzip");
    let start: Day = "1993-01-01".parse().expect("a day");
    let told = |line: &str| {
        let event: Value = serde_json::from_str(line).expect("JSON");
        let data = &event["data"];
        let account = || data["account_id"].as_str().expect("an id").parse().expect("a number");
        let day: Day = event["time"].as_str().expect("a time")[..10].parse().expect("a day");
        match event["type"].as_str().expect("a type") {
            "florin.account.opened" => {
                let overdraft = &data["overdraft_limit"];
                let overdraft = if overdraft.is_null() { 0 } else { minor_units(overdraft) };
                Some(Told::Opened { account: account(), overdraft })
            }
            kind @ ("florin.deposit" | "florin.withdrawal") => Some(Told::Moved {
                day: day.number() - start.number(),
                account: account(),
                minor_units: minor_units(&data["amount"]),
                is_in: kind == "florin.deposit",
            }),
            _ => None,
        }
    };
    text.lines().filter_map(told).collect()
}

/// Whether an account is among one of so many, or of all where that is 1.
fn is_among(account: u64, one_of: u64) -> bool {
    account.is_multiple_of(one_of)
}

fn product(day_count: DayCount, posting: PostingPlan) -> Product {
    let tier = |(above, percent): (u64, &str)| Tier {
        above: Amount::new(above).expect("an amount"),
        rate: Rate::from_percent(percent).expect("a rate"),
    };
    let minimum_balance = Amount::new(MINIMUM).expect("an amount");
    Product {
        id: "year".into(),
        currency: czk(),
        day_count,
        posting,
        tiering: Tiering::Slices,
        default_for: Some(AccountKind::Checking),
        versions: vec![Version { from: first_day(), minimum_balance, tiers: TIERS.map(tier).to_vec() }],
    }
}

fn czk() -> Currency {
    "CZK".parse().expect("a currency")
}

/// The bank after the year, each of whose days was closed on the morning after.
fn closed_year(year: &[Told], day_count: DayCount, posting: PostingPlan) -> (World, Interest, Vec<AccountId>) {
    let world = World::new(1);
    let today = world.bank.now().day();
    world.pass(u64::try_from(first_day().number() - today.number()).expect("later") * DAY_US);
    let bank = Arc::new(world.another_node());
    let interest = Interest::new(bank, Arc::new(MemoryRecords::default()), Calendar::default());
    now(interest.create_product(&local(), &product(day_count, posting))).expect("created");
    let customer = CustomerId::new(1).expect("an id");
    now(world.bank.register_user(&local(), None, Some(customer), &Default::default())).expect("registered");
    let (mut accounts, mut done) = (Vec::new(), 0);
    let told: BTreeMap<i32, Vec<&Told>> = year.iter().fold(BTreeMap::new(), |mut days, told| {
        let day = if let Told::Moved { day, .. } = told { *day } else { 0 };
        days.entry(day).or_default().push(told);
        days
    });
    for day in 0..DAYS {
        let mut commands = Vec::new();
        for told in told.get(&day).into_iter().flatten() {
            commands.push(command(&world, told, &mut accounts));
            done += 1;
        }
        let items = commands.into_iter().map(|command| (None::<ClientKey<'_>>, command)).collect();
        for answer in now(world.bank.submit_batch(&local(), items, false)) {
            let answer = answer.expect("an answer");
            assert!(matches!(answer.outcome(), Some(Outcome::Event(_))), "{answer:?}");
        }
        world.pass(DAY_US);
        let closed = now(interest.close_until(None)).expect("closed");
        assert_eq!((closed.len(), closed[0].refused, closed[0].corrections), (1, 0, 0));
    }
    assert_eq!(done, year.len());
    (world, interest, accounts)
}

fn command(world: &World, told: &Told, accounts: &mut Vec<AccountId>) -> Command {
    let id = |account: u64| AccountId::new(account).expect("an id");
    match *told {
        Told::Opened { account, overdraft } => {
            accounts.push(id(account));
            Command::OpenAccount(OpenAccount {
                id: Some(id(account)),
                customer: CustomerId::new(1).expect("an id"),
                kind: AccountKind::Checking,
                currency: czk(),
                overdraft_limit: Amount::new(overdraft).expect("an amount"),
            })
        }
        Told::Moved { account, minor_units, is_in, .. } => {
            let amount = LegAmount::Exactly(Amount::new(minor_units).expect("an amount"));
            let terms = Terms { currency: czk(), amount, forced: false, effective_at: None, note: None };
            let bank = &world.bank;
            let made =
                if is_in { bank.deposit(id(account), None, terms) } else { bank.withdrawal(id(account), None, terms) };
            Command::Transfer(made.expect("a transfer"))
        }
    }
}

fn oracle(day_count: DayCount, posting: PostingPlan) -> Child {
    let mut command = std::process::Command::new("python3");
    command.arg(ORACLE).arg(FIXTURE).args([FIRST_DAY, day_count.name(), posting.name(), &MINIMUM.to_string()]);
    command.args(TIERS.map(|(above, percent)| format!("{above}:{percent}")));
    command.stdout(Stdio::piped()).spawn().expect("python3 can be started")
}

/// Compares one of so many accounts.
fn same_cents(day_count: DayCount, posting: PostingPlan, one_of: u64) {
    let mut oracle = oracle(day_count, posting);
    let lines = BufReader::new(oracle.stdout.take().expect("piped")).lines().map(|line| line.expect("text"));
    let mut lines = lines.filter(|line| {
        let account = line.split(' ').next().and_then(|account| account.parse().ok());
        is_among(account.expect("an account"), one_of)
    });
    let mut year = year();
    year.retain(|told| match told {
        Told::Opened { account, .. } | Told::Moved { account, .. } => is_among(*account, one_of),
    });
    let (world, interest, mut accounts) = closed_year(&year, day_count, posting);
    accounts.sort_unstable();
    let count = i32::try_from(accounts.len()).expect("few accounts");
    assert!(one_of != 1 || count == 1111);
    let (mut compared, mut posted) = (0, 0);
    let last = Day::new(first_day().number() + DAYS - 1);
    for id in accounts {
        let account = now(world.bank.account(id)).expect("read").expect("an account");
        for day in now(interest.explain(&account, first_day(), last)).expect("explained") {
            let (accrual, carry) = (day.accrual.fraction(0), day.carry.fraction(0));
            let found = format!("{id} {} {} {accrual} {} {carry}", day.day, day.balance, day.posted);
            let expected = lines.next().expect("a line of the oracle");
            assert_eq!(found, expected, "{} {}", day_count.name(), posting.name());
            compared += 1;
            posted += i128::from(day.posted != 0);
        }
    }
    assert!(lines.next().is_none(), "the oracle knows of more");
    assert!(oracle.wait().expect("it ends").success());
    assert_eq!(compared, count * DAYS, "each account has each day once");
    assert!(1_000 < posted, "{posted} postings");
    world.assert_sums_are_zero();
}

#[test]
fn actual_365_fixed_gives_the_oracles_cents() {
    same_cents(DayCount::Actual365Fixed, PostingPlan::Monthly, 1);
}

#[test]
fn actual_actual_gives_the_oracles_cents() {
    same_cents(DayCount::ActualActualIsda, PostingPlan::Quarterly, 1);
}

#[test]
fn actual_360_gives_the_oracles_cents() {
    same_cents(DayCount::Actual360, PostingPlan::Monthly, 1);
}

#[test]
fn thirty_360_gives_the_oracles_cents() {
    same_cents(DayCount::Thirty360European, PostingPlan::Quarterly, 1);
}

#[test]
fn daily_postings_that_bear_interest_themselves_give_the_oracles_cents() {
    same_cents(DayCount::ActualActualIsda, PostingPlan::Daily, 8);
}
