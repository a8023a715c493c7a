//! Statements that are kept: whatever stops in between, and whoever else makes them.

use crate::ports::a_moment;
use crate::world::{World, account, now, terms};
use bank::Bank;
use bank::lease::Lease;
use bank::month::Month;
use bank::ports::{Boxed, ObjectStore, PrintedFiles, StatementPrinter};
use bank::records::MemoryRecords;
use bank::statement::Statement;
use bank::statement::batch::{Batch, Share};
use bank::statement::kept::links::Link;
use bank::statement::kept::{Made, Manifest, Statements};
use bank::statement::months::MonthsMade;
use futures_util::future::{join, join_all};
use ledger::command::Command;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use store::Fault;

const DAY_US: u64 = 86_400_000_000;

/// Objects in memory, of which so many more can be stored.
#[derive(Default)]
struct Objects {
    kept: Mutex<BTreeMap<String, Vec<u8>>>,
    room: Mutex<Option<usize>>,
    /// What begins so is not to be had.
    away: Mutex<Option<&'static str>>,
}

impl Objects {
    fn names(&self) -> Vec<String> {
        self.kept.lock().expect("unpoisoned").keys().cloned().collect()
    }
}

impl ObjectStore for Objects {
    fn put_new<'a>(&'a self, name: &'a str, bytes: Vec<u8>) -> Boxed<'a, Result<bool, Fault>> {
        let mut room = self.room.lock().expect("unpoisoned");
        let is_away = self.away.lock().expect("unpoisoned").is_some_and(|away| name.starts_with(away));
        if is_away || *room == Some(0) {
            return Box::pin(async { Err(Fault::Unavailable { reason: "no".into() }) });
        }
        *room = room.map(|room| room - 1);
        let mut kept = self.kept.lock().expect("unpoisoned");
        let is_new = !kept.contains_key(name);
        kept.entry(name.to_owned()).or_insert(bytes);
        Box::pin(async move { Ok(is_new) })
    }

    fn get<'a>(&'a self, name: &'a str) -> Boxed<'a, Result<Option<Vec<u8>>, Fault>> {
        let found = self.kept.lock().expect("unpoisoned").get(name).cloned();
        Box::pin(async { Ok(found) })
    }

    fn list<'a>(&'a self, folder: &'a str) -> Boxed<'a, Result<Vec<String>, Fault>> {
        let names = self.names().into_iter().filter(|name| name.starts_with(folder)).collect();
        Box::pin(async { Ok(names) })
    }

    fn link<'a>(&'a self, _: &'a str, _: u64) -> Boxed<'a, Result<Option<String>, Fault>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

/// Prints all there is.
struct Printer;

impl StatementPrinter for Printer {
    fn files(&self, statement: Arc<Statement>, number: u32) -> Boxed<'_, Result<PrintedFiles, Fault>> {
        let bytes = format!("{number} {statement:?}").into_bytes();
        Box::pin(async { Ok(vec![("xml", bytes.clone()), ("pdf", bytes.clone()), ("csv", bytes)]) })
    }

    fn bundle(&self, files: Vec<(String, Vec<u8>)>) -> Result<(&'static str, Vec<u8>), Fault> {
        Ok(("all", format!("{:?}", files.iter().map(|(name, _)| name).collect::<Vec<_>>()).into_bytes()))
    }
}

fn statements(bank: Bank, objects: &Arc<Objects>) -> Statements {
    Statements::new(Arc::new(bank), objects.clone(), Arc::new(Printer))
}

fn month(text: &str) -> Month {
    text.parse().expect("a month")
}

fn make(statements: &Statements, id: u64, of: &str, again: bool) -> Made {
    now(statements.make(account(id), month(of), again)).expect("made").expect("a customer's account")
}

fn made_now(made: Made) -> Manifest {
    match made {
        Made::Now(manifest) => manifest,
        other => panic!("made before: {other:?}"),
    }
}

/// A world in which account 7 paid in 1,000 in January 2027, and it is February.
fn february() -> (World, Arc<Objects>, Statements) {
    let world = World::new(1);
    world.open_with(7, 1000);
    world.pass(20 * DAY_US);
    let objects = Arc::new(Objects::default());
    let statements = statements(world.another_node(), &objects);
    (world, objects, statements)
}

fn pay_in_late(world: &World, id: u64, minor_units: u64) {
    pay_in_late_for(world, id, "2027-01", minor_units);
}

/// Pays in with a value date on the last day of a month.
fn pay_in_late_for(world: &World, id: u64, of: &str, minor_units: u64) {
    let last_day = month(of).end().microseconds() - DAY_US;
    let mut terms = terms(minor_units);
    terms.effective_at = ledger::time::Timestamp::from_microseconds(last_day);
    let deposit = world.bank.deposit(account(id), None, terms).expect("a deposit");
    world.submit(None, Command::Transfer(deposit)).expect("paid in");
}

#[test]
fn a_statement_is_made_once() {
    let (_world, objects, statements) = february();
    let made = made_now(make(&statements, 7, "2027-01", false));
    assert_eq!((made.closing, made.postings, made.number), (1000, 1, 1));
    let files = ["csv", "json", "pdf", "xml"].map(|ending| format!("7/2027-01/report.{ending}"));
    assert_eq!(objects.names(), files);
    assert_eq!(make(&statements, 7, "2027-01", false), Made::Before(made.clone()));
    assert_eq!(now(statements.list(account(7))).expect("read"), [made]);
}

#[test]
fn a_statement_that_a_crash_stopped_is_finished_as_it_was_begun() {
    let (_, whole, of_whole) = february();
    make(&of_whole, 7, "2027-01", false);
    for room in 0..4 {
        let (world, objects, statements) = february();
        *objects.room.lock().expect("unpoisoned") = Some(room);
        now(statements.make(account(7), month("2027-01"), false)).expect_err("it stopped");
        *objects.room.lock().expect("unpoisoned") = None;
        if room != 0 {
            pay_in_late(&world, 7, 5); // is no business of the one that was begun
        }
        make(&statements, 7, "2027-01", false);
        assert!(*objects.kept.lock().expect("unpoisoned") == *whole.kept.lock().expect("unpoisoned"), "room {room}");
    }
}

#[test]
fn of_two_who_make_the_same_statement_one_decides() {
    let (world, objects, first) = february();
    let second = statements(world.another_node(), &objects);
    made_now(make(&first, 7, "2027-01", false));
    let before = objects.kept.lock().expect("unpoisoned").clone();
    pay_in_late(&world, 7, 5);
    // It had looked for the manifest before the other stored it.
    let manifest = objects.kept.lock().expect("unpoisoned").remove("7/2027-01/report.json").expect("a manifest");
    let late = Late { objects: objects.clone(), manifest: Mutex::new(Some(manifest)) };
    let third = Statements::new(Arc::new(world.another_node()), Arc::new(late), Arc::new(Printer));
    assert!(matches!(make(&third, 7, "2027-01", false), Made::Before(_)));
    assert!(matches!(make(&second, 7, "2027-01", false), Made::Before(_)));
    assert!(*objects.kept.lock().expect("unpoisoned") == before);
}

/// Stores what somebody else stored just before whoever asks stores the first thing.
struct Late {
    objects: Arc<Objects>,
    manifest: Mutex<Option<Vec<u8>>>,
}

impl ObjectStore for Late {
    fn put_new<'a>(&'a self, name: &'a str, bytes: Vec<u8>) -> Boxed<'a, Result<bool, Fault>> {
        if let Some(manifest) = self.manifest.lock().expect("unpoisoned").take() {
            self.objects.kept.lock().expect("unpoisoned").insert(name.to_owned(), manifest);
        }
        self.objects.put_new(name, bytes)
    }

    fn get<'a>(&'a self, name: &'a str) -> Boxed<'a, Result<Option<Vec<u8>>, Fault>> {
        self.objects.get(name)
    }

    fn list<'a>(&'a self, folder: &'a str) -> Boxed<'a, Result<Vec<String>, Fault>> {
        self.objects.list(folder)
    }

    fn link<'a>(&'a self, name: &'a str, seconds: u64) -> Boxed<'a, Result<Option<String>, Fault>> {
        self.objects.link(name, seconds)
    }
}

#[test]
fn a_statement_made_again_is_a_further_one_and_the_next_month_goes_on_from_it() {
    let (world, objects, statements) = february();
    let made = made_now(make(&statements, 7, "2027-01", false));
    assert_eq!(make(&statements, 7, "2027-01", true), Made::Before(made), "there is nothing else to tell");
    let first = objects.kept.lock().expect("unpoisoned").clone();
    pay_in_late(&world, 7, 5);
    let again = made_now(make(&statements, 7, "2027-01", true));
    assert_eq!((again.closing, again.number), (1005, 2));
    assert!(first.iter().all(|(name, bytes)| objects.kept.lock().expect("unpoisoned").get(name) == Some(bytes)));
    assert!(objects.names().contains(&"7/2027-01/report-2.pdf".to_owned()));
    world.pass(30 * DAY_US);
    let february = made_now(make(&statements, 7, "2027-02", false));
    assert_eq!((february.opening, february.closing, february.postings), (1005, 1005, 0));
    let numbers: Vec<u32> = now(statements.list(account(7))).expect("read").iter().map(|made| made.number).collect();
    assert_eq!(numbers, [1, 2, 1]);
}

#[test]
fn a_further_first_statement_tells_what_was_booked_late_for_the_time_before_it() {
    let (world, _objects, statements) = february();
    let first = made_now(make(&statements, 7, "2027-01", false));
    pay_in_late_for(&world, 7, "2026-12", 5);
    let again = made_now(make(&statements, 7, "2027-01", true));
    assert_eq!((again.opening, again.closing, again.postings), (first.opening, 1005, 2));
}

#[test]
fn a_further_statement_leaves_to_later_ones_what_they_told() {
    let (world, _objects, statements) = february();
    let first = made_now(make(&statements, 7, "2027-01", false));
    world.pass(30 * DAY_US);
    pay_in_late(&world, 7, 5);
    let february = made_now(make(&statements, 7, "2027-02", false));
    assert_eq!((february.opening, february.closing), (1000, 1005));
    pay_in_late(&world, 7, 3); // is for the next one that is made
    assert_eq!(make(&statements, 7, "2027-01", true), Made::Before(first));
    let again = made_now(make(&statements, 7, "2027-02", true));
    assert_eq!((again.opening, again.closing, again.postings), (1000, 1008, 2));
}

/// So many times 28 days, with a deposit before each: no month is without.
fn pay_in_every_28_days(world: &World, times: u32) {
    for _ in 0..times {
        let deposit = world.bank.deposit(account(7), None, terms(1)).expect("a deposit");
        world.submit(None, Command::Transfer(deposit)).expect("paid in");
        world.pass(28 * DAY_US);
    }
}

#[test]
fn whoever_asks_for_one_statement_does_not_wait_for_hundreds() {
    let (world, _objects, statements) = february();
    make(&statements, 7, "2027-01", false);
    pay_in_every_28_days(&world, 157);
    assert_eq!(make(&statements, 7, "2038-01", false), Made::FarBefore(month("2037-02")));
    let months = now(statements.months(account(7), month("2038-01"), month("2038-02"))).expect("an answer");
    assert_eq!(months, MonthsMade::FarBefore(month("2037-02")));
    assert_eq!(now(statements.list(account(7))).expect("read").len(), 1);
    made_now(make(&statements, 7, "2037-02", false));
    made_now(make(&statements, 7, "2038-01", false));
    assert_eq!(now(statements.list(account(7))).expect("read").len(), 133);
}

#[test]
fn a_batch_makes_however_many_months_are_missing() {
    let (world, _objects, statements) = february();
    make(&statements, 7, "2027-01", false);
    pay_in_every_28_days(&world, 157);
    let batch = Batch { first: month("2038-01"), last: month("2038-01"), at_once: 1, share: None };
    let counts = now(statements.make_all(&batch, &|_| ())).expect("made");
    assert_eq!((counts.made, counts.nothing, counts.failed), (1, 0, 0));
    assert_eq!(now(statements.list(account(7))).expect("read").len(), 133);
}

#[test]
fn of_years_in_which_an_account_rested_only_the_months_that_are_asked_for_are_made() {
    let (world, _objects, statements) = february();
    make(&statements, 7, "2027-01", false);
    world.pass(365 * DAY_US);
    pay_in_late_for(&world, 7, "2027-06", 5);
    pay_in_late_for(&world, 7, "2027-07", 6);
    world.pass(365 * 30 * DAY_US);
    made_now(make(&statements, 7, "2057-12", false));
    made_now(make(&statements, 7, "2027-05", false));
    let list = now(statements.list(account(7))).expect("read");
    let made: Vec<_> = list.iter().map(|made| (made.month.to_string(), made.opening, made.closing)).collect();
    let wanted = [
        ("2027-01", 0, 1000),
        ("2027-05", 1000, 1000),
        ("2027-06", 1000, 1005),
        ("2027-07", 1005, 1011),
        ("2057-12", 1011, 1011),
    ];
    assert_eq!(made, wanted.map(|(month, opening, closing)| (month.to_owned(), opening, closing)));
}

#[test]
fn whichever_file_is_lost_is_made_again_as_it_was() {
    let (world, objects, statements) = february();
    let made = made_now(make(&statements, 7, "2027-01", false));
    let kept = objects.kept.lock().expect("unpoisoned").clone();
    pay_in_late(&world, 7, 5);
    for ending in ["pdf", "csv", "xml"] {
        objects.kept.lock().expect("unpoisoned").remove(&made.file(ending));
        assert_eq!(make(&statements, 7, "2027-01", false), Made::Before(made.clone()));
        assert!(*objects.kept.lock().expect("unpoisoned") == kept, "{ending}");
    }
}

#[test]
fn what_was_booked_late_is_in_the_next_months_statement() {
    let (world, _objects, statements) = february();
    made_now(make(&statements, 7, "2027-01", false));
    pay_in_late(&world, 7, 5);
    world.pass(30 * DAY_US);
    let february = made_now(make(&statements, 7, "2027-02", false));
    assert_eq!((february.opening, february.closing, february.postings), (1000, 1005, 1));
}

#[test]
fn an_account_has_no_statement_of_a_time_before_it() {
    let (_world, objects, statements) = february();
    assert_eq!(make(&statements, 7, "2026-12", false), Made::Nothing);
    assert_eq!(objects.names(), Vec::<String>::new());
    assert_eq!(now(statements.make(account(8), month("2027-01"), false)).expect("read"), None);
}

#[test]
fn a_link_is_good_for_its_file_and_its_time_only() {
    let (world, _objects, statements) = february();
    let name = made_now(make(&statements, 7, "2027-01", false)).file("pdf");
    let Link::Here(link) = now(statements.link(&name, 60)).expect("a link") else { panic!("a link of the bank's own") };
    let (path, query) = link.split_once("?expires=").expect("a time");
    let (expires, signature) = query.split_once("&signature=").expect("a signature");
    let expires: u64 = expires.parse().expect("a number");
    assert!(statements.is_good(path, expires, signature));
    assert!(!statements.is_good(&path.replace('7', "8"), expires, signature), "another account");
    assert!(!statements.is_good(&path.replace("pdf", "csv"), expires, signature), "another file");
    assert!(!statements.is_good(path, expires + 1, signature), "a longer time");
    for other in ["", "00", &signature[1..], &signature.replace(char::is_numeric, "0")] {
        assert!(!statements.is_good(path, expires, other), "{other}");
    }
    world.pass(60_000_000);
    assert!(!statements.is_good(path, expires, signature), "its time is over");
}

/// A world in which account 7 was paid 1,000 in January 2027, and 10 and 20 in February and March; it is May.
fn may() -> (World, Statements) {
    let (world, _, statements) = february();
    for (days, minor_units) in [(0, 10), (30, 20), (60, 0)] {
        world.pass(days * DAY_US);
        if minor_units != 0 {
            world.pay_in(7, minor_units);
        }
    }
    (world, statements)
}

#[test]
fn in_whatever_order_months_are_asked_for_each_opens_with_what_the_one_before_closed_with() {
    let months = ["2027-01", "2027-02", "2027-03", "2027-04"];
    let orders = [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1], [1, 3, 0, 2], [0, 3, 1, 2], [0, 2, 1, 3]];
    for order in orders {
        let (world, statements) = may();
        for month in order {
            make(&statements, 7, months[month], false);
            // Belongs to January, and is told once, wherever it comes.
            pay_in_late(&world, 7, 1);
        }
        world.pass(30 * DAY_US);
        make(&statements, 7, "2027-05", false);
        assert_eq!(
            check_chain(&world, &statements, &format!("{order:?}")),
            (5, 7),
            "{order:?}: each posting is told once"
        );
    }
}

/// Checks that each statement opens with what the one before closed with, and the last closes with what there is. How many
/// there are, and how many postings they tell.
fn check_chain(world: &World, statements: &Statements, of: &str) -> (usize, usize) {
    let made = now(statements.list(account(7))).expect("read");
    let mut opening = 0;
    for next in &made {
        assert_eq!(next.opening, opening, "{of}: {}", next.month);
        opening = next.closing;
    }
    assert_eq!(opening, world.balance(7), "{of}");
    (made.len(), made.iter().map(|made| made.postings).sum())
}

#[test]
fn of_months_made_at_once_each_opens_with_what_the_one_before_closed_with() {
    for begun_together in [["2027-01", "2027-04", "2027-02"], ["2027-03", "2027-02", "2027-01"]] {
        let (world, _) = may();
        let slow = Arc::new(Slow(Arc::default()));
        let statements = Statements::new(Arc::new(world.another_node()), slow, Arc::new(Printer));
        let making = begun_together.map(|of| statements.make(account(7), month(of), false));
        let meanwhile = async {
            for _ in 0..4 {
                a_moment().await;
                pay_in_late(&world, 7, 1);
            }
        };
        let (made, ()) = now(join(join_all(making), meanwhile));
        assert!(made.iter().all(|made| made.as_ref().is_ok_and(Option::is_some)), "{made:?}");
        world.pass(30 * DAY_US);
        make(&statements, 7, "2027-05", false);
        check_chain(&world, &statements, &format!("{begun_together:?}"));
    }
}

/// Objects where storing takes a moment, so that others get on meanwhile.
struct Slow(Arc<Objects>);

impl ObjectStore for Slow {
    fn put_new<'a>(&'a self, name: &'a str, bytes: Vec<u8>) -> Boxed<'a, Result<bool, Fault>> {
        Box::pin(async move {
            a_moment().await;
            self.0.put_new(name, bytes).await
        })
    }

    fn get<'a>(&'a self, name: &'a str) -> Boxed<'a, Result<Option<Vec<u8>>, Fault>> {
        self.0.get(name)
    }

    fn list<'a>(&'a self, folder: &'a str) -> Boxed<'a, Result<Vec<String>, Fault>> {
        self.0.list(folder)
    }

    fn link<'a>(&'a self, name: &'a str, seconds: u64) -> Boxed<'a, Result<Option<String>, Fault>> {
        self.0.link(name, seconds)
    }
}

/// A world with so many accounts, each paid 1,000 in January 2027, and it is February.
fn many(accounts: u64) -> World {
    let world = World::new(2);
    (1..=accounts).for_each(|id| world.open_with(id, 1000));
    world.pass(20 * DAY_US);
    world
}

fn batch(share: Option<Share>) -> Batch {
    Batch { first: month("2027-01"), last: month("2027-01"), at_once: 4, share }
}

#[test]
fn a_batch_makes_a_statement_of_every_account_and_none_twice() {
    let (world, objects) = (many(50), Arc::new(Objects::default()));
    let statements = statements(world.another_node(), &objects);
    let heard = Mutex::new(0);
    let progress = |made: Result<&Made, &Fault>| *heard.lock().expect("unpoisoned") += u32::from(made.is_ok());
    let counts = now(statements.make_all(&batch(None), &progress)).expect("made");
    assert_eq!((counts.made, counts.before, *heard.lock().expect("unpoisoned")), (50, 0, 50));
    let again = now(statements.make_all(&batch(None), &progress)).expect("made");
    assert_eq!((again.made, again.before), (0, 50));
    assert_eq!(objects.names().len(), 200);
    *objects.room.lock().expect("unpoisoned") = Some(0);
    let fresh = World::new(1);
    fresh.open_with(7, 1);
    fresh.pass(20 * DAY_US);
    let stopped = self::statements(fresh.another_node(), &objects);
    objects.kept.lock().expect("unpoisoned").clear();
    now(stopped.make_all(&batch(None), &progress)).expect_err("nothing can be stored");
}

#[test]
fn an_account_whose_statement_cannot_be_made_now_holds_up_no_other() {
    let (world, objects) = (many(50), Arc::new(Objects::default()));
    *objects.away.lock().expect("unpoisoned") = Some("7/");
    let share = Share { records: Arc::<MemoryRecords>::default(), holder: 1 };
    let statements = statements(world.another_node(), &objects);
    let asked = batch(Some(share));
    let progress = |_: Result<&Made, &Fault>| {};
    assert!(now(statements.make_all(&asked, &progress)).expect_err("one is missing").retryable());
    assert_eq!(objects.names().len(), 49 * 4);
    *objects.away.lock().expect("unpoisoned") = None;
    let rest = now(statements.make_all(&asked, &progress)).expect("made");
    assert_eq!((rest.made, objects.names().len()), (1, 200));
}

#[test]
fn nodes_that_make_a_batch_at_once_share_the_work() {
    let (world, objects) = (many(120), Arc::new(Objects::default()));
    let records: Arc<MemoryRecords> = Arc::default();
    let node = |holder| {
        let slow = Arc::new(Slow(objects.clone()));
        let statements = Statements::new(Arc::new(world.another_node()), slow, Arc::new(Printer));
        (statements, batch(Some(Share { records: records.clone(), holder })))
    };
    let (one, other) = (node(1), node(40));
    let nothing = |_: Result<&Made, &Fault>| {};
    let both = futures_util::future::join(one.0.make_all(&one.1, &nothing), other.0.make_all(&other.1, &nothing));
    let (first, second) = now(both);
    let (first, second) = (first.expect("made"), second.expect("made"));
    assert_eq!((first.made + second.made, first.before + second.before), (120, 0), "no account was gone through twice");
    assert!(20 < first.made && 20 < second.made, "{first:?}, {second:?}");
    // A node that died leaves its leases, which end.
    let lease = Lease::new(records.clone(), "statements/2027-01..2027-01/3", 77, 1);
    assert!(now(lease.take(world.bank.now())).expect("taken").is_some());
    world.pass(DAY_US);
    let third = node(5);
    assert_eq!(now(third.0.make_all(&third.1, &nothing)).expect("made").before, 120);
}

#[test]
fn several_months_are_one_file_whose_name_says_what_is_in_it() {
    let (world, statements) = may();
    let months = |first, last| match now(statements.months(account(7), month(first), month(last))).expect("made") {
        MonthsMade::All(made) => made,
        MonthsMade::FarBefore(earlier) => panic!("{earlier} is missing"),
    };
    let made = months("2026-11", "2027-03").expect("statements");
    assert_eq!(
        made.manifests.iter().map(|made| made.month.to_string()).collect::<Vec<_>>(),
        ["2027-01", "2027-02", "2027-03"]
    );
    assert_eq!(months("2026-11", "2027-03"), Some(made.clone()));
    assert_eq!(months("2026-12", "2027-03"), Some(made.clone()), "however it is asked for");
    let file = now(statements.file(&made.file)).expect("read").expect("a file");
    let names = String::from_utf8(file).expect("text");
    assert!(
        names.starts_with("[\"2027-01-report.pdf\", \"2027-01-report.csv\", \"2027-01-report.xml\", \"2027-02-"),
        "{names}"
    );
    pay_in_late(&world, 7, 5);
    made_now(make(&statements, 7, "2027-03", true));
    let further = months("2026-11", "2027-03").expect("statements");
    assert_ne!(further.file, made.file);
    assert!(now(statements.file(&made.file)).expect("read").is_some(), "the old one stays");
    assert_eq!(months("2026-11", "2026-12"), None);
    assert_eq!(now(statements.list(account(7))).expect("read").len(), 4, "it is no statement itself");
}

#[test]
fn an_account_that_is_closed_is_told_of_to_its_end_and_then_no_more() {
    let (world, objects, statements) = february();
    let february = month("2027-02");
    assert_eq!(make(&statements, 7, "2027-02", false), Made::TooEarly);
    let withdrawal = world.bank.withdrawal(account(7), None, terms(1000)).expect("a withdrawal");
    world.submit(None, Command::Transfer(withdrawal)).expect("paid out");
    world.submit(None, Command::Close(account(7))).expect("closed");
    let closed_at = world.bank.now();
    let last = made_now(make(&statements, 7, "2027-02", false));
    assert_eq!((last.opening, last.closing, last.postings), (1000, 0, 1));
    assert_eq!(last.closed_at_us, Some(closed_at.microseconds()));
    assert!(closed_at < february.end(), "before its month was over");
    let kept = objects.kept.lock().expect("unpoisoned").clone();
    // A file that is lost is made again as it was, whenever that is.
    objects.kept.lock().expect("unpoisoned").remove("7/2027-02/report.xml");
    world.pass(90 * DAY_US);
    assert_eq!(make(&statements, 7, "2027-02", false), Made::Before(last));
    assert_eq!(make(&statements, 7, "2027-04", false), Made::Nothing);
    assert!(*objects.kept.lock().expect("unpoisoned") == kept);
}
