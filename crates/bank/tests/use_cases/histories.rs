//! The latest postings and those of a month, from memory and from a cache that nodes share: never older than what was told,
//! whatever the cache says.

use crate::world::{World, account, now, terms};
use bank::Bank;
use bank::history::{Answered, LATEST_MAX, Refused};
use bank::month::Month;
use bank::ports::{Boxed, SharedCache};
use bank::transfer::Terms;
use ledger::command::Command;
use ledger::ids::ShardId;
use ledger::time::{Day, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use store::Fault;
use store::query::{Filter, Page, PostingQuery, PostingRow, TimeAxis};

/// A cache in memory that a test can damage.
#[derive(Default)]
struct Cache {
    kept: Mutex<BTreeMap<String, Vec<u8>>>,
    is_away: Mutex<bool>,
}

impl Cache {
    fn answer<T>(&self, answer: impl FnOnce(&mut BTreeMap<String, Vec<u8>>) -> T) -> Result<T, Fault> {
        if *self.is_away.lock().expect("unpoisoned") {
            return Err(Fault::Unavailable { reason: "nobody there".into() });
        }
        Ok(answer(&mut self.kept.lock().expect("unpoisoned")))
    }

    fn kept(&self) -> BTreeMap<String, Vec<u8>> {
        self.kept.lock().expect("unpoisoned").clone()
    }

    fn set(&self, kept: BTreeMap<String, Vec<u8>>) {
        *self.kept.lock().expect("unpoisoned") = kept;
    }
}

impl SharedCache for Cache {
    fn get<'a>(&'a self, names: &'a [String]) -> Boxed<'a, Result<Vec<Option<Vec<u8>>>, Fault>> {
        Box::pin(async { self.answer(|kept| names.iter().map(|name| kept.get(name).cloned()).collect()) })
    }

    fn put(&self, values: Vec<(String, Vec<u8>)>) -> Boxed<'_, Result<(), Fault>> {
        Box::pin(async { self.answer(|kept| kept.extend(values)) })
    }
}

fn row(row: &PostingRow) -> (u64, i128, u64, Option<String>, Timestamp) {
    let (posting, transferred, entry) = row.parts().expect("a posting");
    let reference = transferred.note.as_ref().and_then(|note| note.reference.as_deref().map(str::to_owned));
    (posting.version, posting.balance_after, transferred.id.number(), reference, entry.header.time)
}

fn versions(page: &Page<PostingRow>) -> Vec<u64> {
    page.items.iter().map(|posting| row(posting).0).collect()
}

fn latest(bank: &Bank, id: u64, limit: usize) -> Page<PostingRow> {
    let known = now(bank.account(account(id))).expect("read").expect("an account");
    now(bank.latest_postings(&known, limit)).expect("read")
}

fn of_month(bank: &Bank, id: u64, month: Month, limit: usize) -> Page<PostingRow> {
    let known = now(bank.account(account(id))).expect("read").expect("an account");
    now(bank.month_postings(&known, month, limit)).expect("read")
}

fn straight(bank: &Bank, id: u64, month: Option<Month>, limit: usize) -> Page<PostingRow> {
    let filter = month.map_or_else(Filter::default, |month| Filter {
        since: Some(month.start()),
        until: Some(month.end()),
        axis: TimeAxis::Effective,
        ..Filter::default()
    });
    let query = PostingQuery { account: account(id), side: None, filter, before: None, limit };
    now(bank.postings(query)).expect("read")
}

fn same(one: &Page<PostingRow>, other: &Page<PostingRow>) -> bool {
    one.items.iter().map(row).eq(other.items.iter().map(row)) && one.next.is_some() == other.next.is_some()
}

/// How often answers came from there.
fn answered(bank: &Bank, from: Answered) -> u64 {
    bank.history_figures().answered[from as usize]
}

fn refused(bank: &Bank, why: Refused) -> u64 {
    bank.history_figures().refused[why as usize]
}

/// Two nodes of one bank that share a cache, and account 7 with so many postings.
fn two_nodes(postings: u64) -> (World, Bank, Arc<Cache>) {
    let world = World::new(1);
    world.open(7);
    (0..postings).for_each(|_| world.pay_in(7, 10));
    let (other, cache) = (world.another_node(), Arc::new(Cache::default()));
    world.bank.share_histories(cache.clone());
    other.share_histories(cache.clone());
    (world, other, cache)
}

#[test]
fn what_was_read_before_comes_from_memory_and_what_is_new_is_in_it() {
    let world = World::new(1);
    world.open(7);
    (0..60).for_each(|_| world.pay_in(7, 10));
    let first = latest(&world.bank, 7, 20);
    assert_eq!(versions(&first), (41..=60).rev().collect::<Vec<_>>());
    assert!(same(&first, &latest(&world.bank, 7, 20)));
    assert_eq!((answered(&world.bank, Answered::Store), answered(&world.bank, Answered::Memory)), (1, 1));
    world.pay_in(7, 10);
    assert_eq!(versions(&latest(&world.bank, 7, 20)), (42..=61).rev().collect::<Vec<_>>());
    assert_eq!(answered(&world.bank, Answered::MadeUp), 1);
    for limit in [1, 2, LATEST_MAX, LATEST_MAX + 1, 61, 62] {
        assert!(same(&latest(&world.bank, 7, limit), &straight(&world.bank, 7, None, limit)), "{limit}");
    }
}

#[test]
fn more_postings_than_are_remembered_since_an_empty_account_was_read_are_all_reached() {
    for postings in [LATEST_MAX as u64, LATEST_MAX as u64 + 1, 100] {
        let world = World::new(1);
        world.open(7);
        assert!(versions(&latest(&world.bank, 7, LATEST_MAX)).is_empty());
        (0..postings).for_each(|_| world.pay_in(7, 10));
        for limit in [20, LATEST_MAX] {
            let page = latest(&world.bank, 7, limit);
            assert!(same(&page, &straight(&world.bank, 7, None, limit)), "{limit} of {postings}");
        }
    }
}

#[test]
fn the_next_page_goes_on_behind_what_was_told_whatever_was_booked_since() {
    let world = World::new(1);
    world.open(7);
    (0..75).for_each(|_| world.pay_in(7, 10));
    let (mut told, mut next) = (Vec::new(), None);
    loop {
        let page = match next {
            None => latest(&world.bank, 7, 20),
            before => {
                let query =
                    PostingQuery { account: account(7), side: None, filter: Filter::default(), before, limit: 20 };
                now(world.bank.postings(query)).expect("read")
            }
        };
        told.extend(versions(&page));
        (0..7).for_each(|_| world.pay_in(7, 1));
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(told, (1..=75).rev().collect::<Vec<_>>());
}

#[test]
fn another_node_finds_what_one_read_and_what_was_booked_since() {
    let (world, other, _cache) = two_nodes(60);
    latest(&world.bank, 7, 20);
    assert!(same(&latest(&other, 7, 20), &straight(&other, 7, None, 20)));
    assert_eq!((answered(&other, Answered::Shared), answered(&other, Answered::Store)), (1, 0));
    let head = world.bank.shards()[0].head();
    world.pay_in(7, 3);
    world.pay_in(7, 4);
    assert!(now(world.bank.keep_histories(ShardId::default(), head)).expect("kept") > head);
    assert!(same(&latest(&other, 7, 50), &straight(&other, 7, None, 50)));
    assert_eq!((answered(&other, Answered::Shared), answered(&other, Answered::MadeUp)), (2, 0));
    // Told again, nothing changes; an account that nobody reads is not there.
    now(world.bank.keep_histories(ShardId::default(), head)).expect("kept");
    assert!(same(&latest(&world.another_node(), 7, 20), &straight(&other, 7, None, 20)));
}

#[test]
fn a_follower_that_missed_entries_leaves_no_gap() {
    let (world, other, _cache) = two_nodes(5);
    latest(&world.bank, 7, 20);
    world.pay_in(7, 1);
    let head = world.bank.shards()[0].head();
    world.pay_in(7, 2);
    now(world.bank.keep_histories(ShardId::default(), head)).expect("kept");
    assert_eq!(versions(&latest(&other, 7, 20)), [7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(refused(&other, Refused::Stale), 1);
}

#[test]
fn a_cache_that_lies_is_away_or_forgets_changes_no_answer() {
    let (world, _, cache) = two_nodes(30);
    world.open(8);
    (0..30).for_each(|_| world.pay_in(8, 10));
    for id in [7, 8] {
        latest(&world.bank, id, 20);
    }
    let honest = cache.kept();
    let old = honest.clone();
    world.pay_in(7, 1);
    latest(&world.bank, 7, 20);
    let name = "history/7".to_owned();
    let value = cache.kept()[&name].clone();
    let with = |value: Vec<u8>| BTreeMap::from([(name.clone(), value)]);
    let mut lies = vec![BTreeMap::new(), old.clone(), with(Vec::new()), with(honest["history/8"].clone())];
    lies.extend((0..value.len()).map(|at| {
        let mut altered = value.clone();
        altered[at] ^= 1;
        with(altered)
    }));
    lies.extend([1, 20, 33, 41, value.len() - 1].map(|length| with(value[..length].to_vec())));
    let told = straight(&world.bank, 7, None, 20);
    for lie in lies {
        let node = world.another_node();
        cache.set(lie);
        node.share_histories(cache.clone());
        assert!(same(&latest(&node, 7, 20), &told));
        assert_eq!(answered(&node, Answered::Shared), 0);
        assert_eq!(cache.kept()[&name], value, "it is put right");
    }
    let node = world.another_node();
    node.share_histories(cache.clone());
    *cache.is_away.lock().expect("unpoisoned") = true;
    assert!(same(&latest(&node, 7, 20), &told));
    assert!(same(&latest(&node, 7, 20), &told), "from memory");
    assert_eq!(refused(&node, Refused::Away), 2);
    now(node.keep_histories(ShardId::default(), 0)).expect_err("nobody there");
}

#[test]
fn whatever_is_booked_and_read_at_whichever_node_answers_are_those_of_the_shard() {
    let months = ["2026-11", "2026-12", "2027-01"].map(|month| month.parse::<Month>().expect("a month"));
    for seed in 1..40u64 {
        let (world, other, cache) = two_nodes(0);
        let mut state = seed;
        let mut draw = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).expect("31 bits") % below
        };
        let mut kept = 0;
        for _ in 0..200 {
            let bank = if draw(2) == 0 { &world.bank } else { &other };
            let (month, limit) = (months[draw(3)], 1 + draw(120));
            match draw(6) {
                0 | 1 => {
                    let day = Day::new(month.first_day().number() + 3).start();
                    let terms = Terms { effective_at: day, ..terms(1 + draw(9) as u64) };
                    let deposit = bank.deposit(account(7), None, terms).expect("a deposit");
                    (0..=draw(4)).for_each(|_| {
                        world.submit(None, Command::Transfer(deposit.clone())).expect("paid in");
                    });
                }
                2 => kept = now(bank.keep_histories(ShardId::default(), kept)).expect("kept"),
                3 => cache.set(BTreeMap::new()),
                4 => assert!(same(&latest(bank, 7, limit), &straight(bank, 7, None, limit)), "seed {seed}"),
                _ => {
                    let told = of_month(bank, 7, month, limit);
                    assert!(same(&told, &straight(bank, 7, Some(month), limit)), "seed {seed}, {month}, {limit}");
                }
            }
        }
    }
}
