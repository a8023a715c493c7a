//! Kafka is away for a while, in every way there is, from a bank that uses it for everything. The bank serves on, and
//! afterwards nothing is missing and nothing is there twice.

use crate::commands::{ACCOUNTS, World};
use crate::shards::{expect_all_ended, transfers};
use crate::support::bank::{Bank, Server};
use crate::support::wait::{is_long, wait_for};
use crate::world::{Reader, Uses, expect_published, journal};
use std::time::Duration;
use test_servers::{Kafka, Proxy};

const SHARDS: u16 = 2;
const DEPOSITS: usize = 20;
/// What follows an outage must not wait for ever.
const SHORT: Duration = Duration::from_millis(500);

/// How long Kafka is away: a minute in the long form.
fn away() -> Duration {
    Duration::from_secs(if is_long() { 60 } else { 2 })
}

fn survive(name: &str, begin: fn(&Kafka, &Proxy), end: fn(&Kafka, &Proxy)) {
    let (kafka, proxy) = Kafka::start_behind_proxy();
    let (events, shards) = (kafka.new_topic("events", SHARDS), kafka.new_topic("shards", SHARDS));
    let uses = Uses { events: Some(events.clone()), shards: Some(shards), ..Uses::default() };
    let mut world = World::with(&kafka, name, uses);
    let mut command = world.place.serve();
    let bank = Bank::attach(Server::start(command.args(["--shards", &SHARDS.to_string()])), &world.place.data());
    world.open_accounts(&bank);
    world.send_deposits(DEPOSITS);
    world.wait_for_all(&kafka);
    let accounts: Vec<String> = (1..=ACCOUNTS).map(|account| account.to_string()).collect();
    std::thread::scope(|scope| {
        let (address, accounts) = (bank.address(), &accounts);
        let client = scope.spawn(move || transfers(address, accounts, "before"));
        begin(&kafka, &proxy);
        assert!(0 < client.join().expect("no client fails"), "the bank serves without Kafka");
        assert!(0 < transfers(address, accounts, "while"), "the bank serves without Kafka");
    });
    wait_for(away());
    end(&kafka, &proxy);
    world.send_deposits(DEPOSITS);
    world.wait_for_all(&kafka);
    expect_all_ended(&bank);
    let cents = |account: &String| bank.ledger(account).replace('.', "").parse::<usize>().expect("cents");
    assert_eq!(accounts.iter().map(cents).sum::<usize>(), ACCOUNTS * 2 * DEPOSITS, "each deposit was made once");
    let journals: Vec<_> = (0..SHARDS).map(|shard| journal(&bank, shard)).collect();
    let reader = Reader::new(&kafka, &events, SHARDS.into());
    let published = reader.read(journals.iter().map(Vec::len).sum());
    for (shard, journal) in (0..).zip(&journals) {
        expect_published(published.iter().filter(|record| record.partition == shard), journal);
    }
    assert!(reader.is_at_end(SHORT));
}

#[test]
fn a_broker_that_is_down_for_a_while_leaves_no_trace() {
    survive("down", |kafka, _| kafka.kill(), |kafka, _| kafka.restart());
}

#[test]
fn a_broker_that_hangs_for_a_while_leaves_no_trace() {
    survive("hanging", |kafka, _| kafka.pause(), |kafka, _| kafka.resume());
}

#[test]
fn a_network_that_holds_everything_back_for_a_while_leaves_no_trace() {
    survive("partitioned", |_, proxy| proxy.stall(), |_, proxy| proxy.heal());
}

#[test]
fn a_network_that_loses_the_answers_of_the_broker_for_a_while_leaves_no_trace() {
    survive("deaf", |_, proxy| proxy.lose_answers(), |_, proxy| proxy.heal());
}

#[test]
fn connections_that_are_cut_and_refused_for_a_while_leave_no_trace() {
    let begin = |_: &Kafka, proxy: &Proxy| {
        proxy.refuse();
        proxy.cut();
    };
    survive("refused", begin, |_, proxy| proxy.heal());
}
