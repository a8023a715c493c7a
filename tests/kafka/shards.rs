//! Money between shards whose messages go through Kafka: every transfer ends, whoever is killed meanwhile.

use crate::support::bank::{Bank, Server};
use crate::support::http::{Connection, Request};
use crate::support::wait::wait_until;
use crate::world::{Place, Uses, end_of, rounds};
use serde_json::{Value, json};
use std::net::SocketAddr;
use test_servers::Kafka;

const SHARDS: u16 = 2;
/// So many that they are not all on one shard.
const ACCOUNTS: usize = 24;
const CLIENTS: usize = 4;
const TRANSFERS: usize = 100;
/// Nothing is found by comparing, only by what comes through the topic.
const NO_SWEEP: &str = "3600000";

struct World {
    place: Place,
    topic: String,
    bank: Bank,
    accounts: Vec<String>,
    rounds: usize,
    sweep_interval_ms: &'static str,
}

impl World {
    fn new(kafka: &Kafka, name: &str, sweep_interval_ms: &'static str) -> World {
        let topic = kafka.new_topic(name, SHARDS);
        let place = Place::new(kafka, &topic, &Uses { shards: Some(topic.clone()), ..Uses::default() });
        let bank = start(&place, sweep_interval_ms);
        let accounts = (0..ACCOUNTS).map(|_| bank.new_account_with_overdraft("1000.00")).collect();
        World { place, topic, bank, accounts, rounds: 0, sweep_interval_ms }
    }

    /// Clients move a cent again and again, until an answer does not come; how many transfers were acknowledged.
    fn load(&mut self, meanwhile: impl FnOnce(&World)) -> usize {
        self.rounds += 1;
        let (world, round) = (&*self, self.rounds);
        std::thread::scope(|scope| {
            let client = |client: usize| transfers(world.bank.address(), &world.accounts, &format!("{round}-{client}"));
            let clients: Vec<_> = (0..CLIENTS).map(|number| scope.spawn(move || client(number))).collect();
            meanwhile(world);
            clients.into_iter().map(|client| client.join().expect("no client fails")).sum()
        })
    }

    fn kill_and_restart(self) -> World {
        let World { place, topic, bank, accounts, rounds, sweep_interval_ms } = self;
        bank.server().signal("KILL");
        drop(bank);
        let bank = start(&place, sweep_interval_ms);
        World { place, topic, bank, accounts, rounds, sweep_interval_ms }
    }

    /// Every transfer has ended well, and no cent was made or lost.
    #[track_caller]
    fn expect_all_ended(&self) {
        expect_all_ended(&self.bank);
        let cents = |account: &String| self.bank.ledger(account).replace('.', "").parse::<i64>().expect("cents");
        assert_eq!(self.accounts.iter().map(cents).sum::<i64>(), 0);
    }
}

/// No transfer is under way any more, none failed, and the books are even.
#[track_caller]
pub(crate) fn expect_all_ended(bank: &Bank) {
    wait_until("no transfer is pending", || bank.all("/api/v1/transfers?status=pending").is_empty());
    bank.expect_sums_of_zero();
    assert_eq!(bank.all("/api/v1/transfers?status=failed"), Vec::<Value>::new());
}

fn start(place: &Place, sweep_interval_ms: &str) -> Bank {
    let mut command = place.serve();
    command.args(["--shards", &SHARDS.to_string()]).env("FLORIN_SAGAS__SWEEP_INTERVAL_MS", sweep_interval_ms);
    Bank::attach(Server::start(&mut command), &place.data())
}

pub(crate) fn transfers(address: SocketAddr, accounts: &[String], client: &str) -> usize {
    let Ok(mut connection) = Connection::open(address) else { return 0 };
    for number in 0..TRANSFERS {
        let from = number % accounts.len();
        let to = (from + 1 + number / accounts.len() % (accounts.len() - 1)) % accounts.len();
        let body = json!({
            "type": "transfer", "from": accounts[from], "to": accounts[to], "amount": "0.01", "currency": "EUR",
        });
        let request = Request::post("/api/v1/transfers").key(&format!("{client}-{number}")).json(&body);
        if !connection.send(&request).is_ok_and(|answer| matches!(answer.status, 201 | 202)) {
            return number;
        }
    }
    TRANSFERS
}

#[test]
fn transfers_between_shards_succeed_by_what_comes_through_the_topic() {
    let kafka = Kafka::shared();
    let mut world = World::new(&kafka, "shards", NO_SWEEP);
    assert_eq!(world.load(|_| {}), CLIENTS * TRANSFERS);
    world.expect_all_ended();
    let ends: Vec<i64> = (0..SHARDS).map(|shard| end_of(&kafka, &world.topic, shard)).collect();
    assert!(ends.iter().all(|end| 0 < *end), "both shards were told something: {ends:?}");
    assert_eq!(world.bank.stop().0, Some(0));
}

#[test]
fn a_node_killed_with_parcels_under_way_ends_every_transfer_once_it_is_back() {
    let kafka = Kafka::shared();
    let mut world = World::new(&kafka, "shards-node-killed", NO_SWEEP);
    for kill in 0..rounds() {
        let shard = u16::try_from(kill % 2).expect("two shards");
        let before = end_of(&kafka, &world.topic, shard);
        world.load(|world| {
            wait_until("parcels are under way", || before < end_of(&kafka, &world.topic, shard));
            world.bank.server().signal("KILL");
        });
        world = world.kill_and_restart();
    }
    world.load(|_| {});
    world.expect_all_ended();
}

#[test]
fn a_broker_killed_with_parcels_under_way_delays_transfers_and_loses_none() {
    let kafka = Kafka::start();
    let mut world = World::new(&kafka, "shards-broker-killed", NO_SWEEP);
    for _ in 0..rounds() {
        let acknowledged = world.load(|_| {
            kafka.kill();
            kafka.restart();
        });
        assert_eq!(acknowledged, CLIENTS * TRANSFERS, "the first step needs no Kafka");
    }
    world.expect_all_ended();
}

#[test]
fn transfers_end_while_kafka_is_away_since_both_ends_are_compared() {
    let kafka = Kafka::start();
    let mut world = World::new(&kafka, "shards-away", "100");
    kafka.kill();
    assert_eq!(world.load(|_| {}), CLIENTS * TRANSFERS);
    world.expect_all_ended();
}
