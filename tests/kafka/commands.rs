//! `florin.commands`: each event takes effect once, whoever is killed or joins meanwhile; what cannot take effect is a
//! dead letter; a fault waits.

use crate::support::bank::{Bank, Server};
use crate::support::program::run;
use crate::support::wait::wait_until;
use crate::world::{Place, Rival, Sender, Uses, committed, figure, rounds};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use test_servers::Kafka;

const PARTITIONS: u16 = 4;
pub(crate) const ACCOUNTS: usize = 8;
/// Deposits of each account in a round.
const DEPOSITS: usize = 130;

pub(crate) struct World {
    pub(crate) place: Place,
    sender: Sender,
    topic: String,
    deposits: usize,
}

impl World {
    /// Accounts 1 to 8 of user 1 are asked for in the partition in which their deposits will come.
    fn new(kafka: &Kafka, name: &str) -> World {
        World::with(kafka, name, Uses::default())
    }

    /// A bank that uses the broker for more.
    pub(crate) fn with(kafka: &Kafka, name: &str, others: Uses) -> World {
        let topic = kafka.new_topic(name, PARTITIONS);
        let place = Place::new(kafka, &topic, &Uses { commands: Some(topic.clone()), ..others });
        World { place, sender: Sender::new(kafka, &topic), topic, deposits: 0 }
    }

    pub(crate) fn open_accounts(&self, bank: &Bank) {
        bank.post("/api/v1/users", &json!({"user_id": "1", "name": "Customer"})).expect(201);
        for account in 1..=ACCOUNTS {
            self.send(
                account,
                &format!("open-{account}"),
                "florin.account.opened",
                &json!({
                    "account_id": account.to_string(), "user_id": "1", "type": "checking", "currency": "EUR",
                }),
            );
        }
    }

    fn send(&self, account: usize, id: &str, kind: &str, data: &Value) {
        let event = json!({
            "specversion": "1.0", "id": id, "source": "tests", "type": kind, "time": "2026-01-01T00:00:00Z", "data": data,
        });
        self.sender.send(partition_of(account), event.to_string().as_bytes());
    }

    /// Each account gets so many deposits of a cent, each asked for twice.
    pub(crate) fn send_deposits(&mut self, count: usize) {
        for number in self.deposits..self.deposits + count {
            for account in 1..=ACCOUNTS {
                let data = json!({"account_id": account.to_string(), "amount": "0.01", "currency": "EUR"});
                for _ in 0..2 {
                    self.send(account, &format!("deposit-{account}-{number}"), "florin.deposit", &data);
                }
            }
        }
        self.deposits += count;
        self.sender.flush();
    }

    /// All that was sent is answered, and every deposit was made once.
    #[track_caller]
    pub(crate) fn expect_all_once(&self, kafka: &Kafka, bank: &Bank) {
        self.wait_for_all(kafka);
        for account in 1..=ACCOUNTS {
            let cents = bank.ledger(&account.to_string()).replace('.', "");
            assert_eq!(cents.parse(), Ok(self.deposits), "account {account}");
        }
        bank.expect_sums_of_zero();
    }

    /// The name of a figure of a partition.
    pub(crate) fn of_partition(&self, name: &str, partition: u16) -> String {
        format!("{name}{{topic=\"{}\",partition=\"{partition}\"}}", self.topic)
    }

    /// The offsets of all that was sent are committed.
    pub(crate) fn wait_for_all(&self, kafka: &Kafka) {
        let sent = self.sender.sent();
        let mut answered = Vec::new();
        wait_until("all records are answered", || {
            let now = committed(kafka, &self.topic, PARTITIONS);
            if now != answered {
                eprintln!("answered are {now:?} of {sent:?}");
                answered = now;
            }
            answered == sent
        });
    }
}

fn partition_of(account: usize) -> u16 {
    u16::try_from(account % usize::from(PARTITIONS)).expect("few partitions")
}

#[test]
fn events_of_a_topic_take_effect_once_and_count_as_kafka() {
    let kafka = Kafka::shared();
    let mut world = World::new(&kafka, "commands");
    let bank = world.place.start();
    world.open_accounts(&bank);
    world.send_deposits(10);
    world.expect_all_once(&kafka, &bank);
    let count = |outcome: &str| figure(&bank, &format!("florin_kafka_commands_total{{outcome=\"{outcome}\"}}"));
    assert_eq!(count("accepted"), Some(ACCOUNTS as u64 * 11));
    assert_eq!((count("replayed"), count("dead_lettered")), (Some(ACCOUNTS as u64 * 10), Some(0)));
    wait_until("the lag is seen to be none", || {
        figure(&bank, &world.of_partition("florin_kafka_consumer_lag_records", 1)) == Some(0)
    });
}

#[test]
fn a_node_killed_while_it_takes_events_in_takes_each_in_once() {
    let kafka = Kafka::shared();
    let mut world = World::new(&kafka, "commands-killed");
    let mut bank = world.place.start();
    world.open_accounts(&bank);
    for kill in 0..rounds() {
        let before = figure(&bank, "florin_transfers_total{shard=\"0\"}").unwrap_or(0);
        world.sender.send(partition_of(kill), b"this is no JSON");
        world.send_deposits(DEPOSITS);
        wait_until("the node is in the middle", || {
            figure(&bank, "florin_transfers_total{shard=\"0\"}").unwrap_or(0) > before + 50 * (kill % 5) as u64
        });
        bank.server().signal("KILL");
        drop(bank);
        bank = world.place.start();
    }
    world.expect_all_once(&kafka, &bank);
    assert_eq!(bank.all("/api/v1/dead-letters").len(), rounds(), "what cannot be read is one dead letter");
    assert_eq!(bank.stop().0, Some(0));
    run(["verify", "--data", world.place.data().to_str().expect("a UTF-8 path")]).expect_code(0);
}

#[test]
fn a_broker_killed_while_events_are_taken_in_loses_and_doubles_none() {
    let kafka = Kafka::start();
    let mut world = World::new(&kafka, "commands-broker-killed");
    let bank = world.place.start();
    world.open_accounts(&bank);
    for _ in 0..rounds() {
        world.send_deposits(DEPOSITS);
        wait_until("some are taken in", || figure(&bank, "florin_transfers_total{shard=\"0\"}") != Some(0));
        kafka.kill();
        kafka.restart();
    }
    world.expect_all_once(&kafka, &bank);
}

#[test]
fn what_cannot_take_effect_is_a_dead_letter_and_the_next_ones_go_on() {
    let kafka = Kafka::shared();
    let mut world = World::new(&kafka, "poison");
    let bank = world.place.start();
    world.open_accounts(&bank);
    world.send_deposits(2);
    let nobody = json!({"account_id": "999", "amount": "1.00", "currency": "EUR"});
    let poison: [(&str, Vec<u8>); 6] = [
        ("malformed", b"this is no JSON".to_vec()),
        ("malformed", vec![0xff, 0xfe, 0]),
        ("malformed", Vec::new()),
        ("malformed", b"[]".to_vec()),
        ("body_too_large", format!("\"{}\"", "x".repeat(100_000)).into_bytes()),
        (
            "account_not_found",
            json!({
                "specversion": "1.0", "id": "nobody", "source": "tests", "type": "florin.deposit",
                "time": "2026-01-01T00:00:00Z", "data": nobody,
            })
            .to_string()
            .into_bytes(),
        ),
    ];
    for (number, (_, bytes)) in poison.iter().enumerate() {
        world.sender.send(u16::try_from(number).expect("few") % PARTITIONS, bytes);
    }
    world.send_deposits(2);
    world.expect_all_once(&kafka, &bank);
    let mut codes: BTreeMap<String, usize> = BTreeMap::new();
    for letter in bank.all("/api/v1/dead-letters") {
        *codes.entry(letter["code"].as_str().expect("a code").to_owned()).or_default() += 1;
    }
    let mut expected: BTreeMap<String, usize> = BTreeMap::new();
    poison.iter().for_each(|(code, _)| *expected.entry((*code).to_owned()).or_default() += 1);
    assert_eq!(codes, expected);
}

/// Another member of the group takes partitions over in the middle, answers nothing, and is gone again.
#[test]
fn partitions_that_go_and_come_back_under_load_lose_and_double_nothing() {
    let kafka = Kafka::shared();
    let mut world = World::new(&kafka, "rebalance");
    let bank = world.place.start();
    world.open_accounts(&bank);
    for _ in 0..rounds() {
        world.send_deposits(DEPOSITS);
        let other = Rival::join(&kafka, &world.topic);
        wait_until("partitions are taken over", || 0 < other.partitions() && partitions(&bank) < PARTITIONS.into());
        drop(other);
        wait_until("the partitions are back", || partitions(&bank) == usize::from(PARTITIONS));
    }
    world.expect_all_once(&kafka, &bank);
}

fn partitions(bank: &Bank) -> usize {
    let text = bank.get("/metrics").expect(200).text();
    text.lines().filter(|line| line.starts_with("florin_kafka_partition_paused{")).count()
}

#[test]
fn a_record_whose_offset_is_gone_stops_its_partition_and_alarms() {
    let kafka = Kafka::shared();
    let mut world = World::new(&kafka, "out-of-range");
    let bank = Bank::attach(Server::start(&mut world.place.serve()), &world.place.data());
    world.open_accounts(&bank);
    world.send_deposits(5);
    world.expect_all_once(&kafka, &bank);
    assert_eq!(bank.stop().0, Some(0));
    // More come while the node is away, and the topic forgets some of them before it is back.
    world.send_deposits(5);
    world.sender.forget_before(partition_of(1), world.sender.sent()[1] - 1);
    let bank = world.place.start();
    wait_until("the partition says that it stopped", || {
        figure(&bank, &world.of_partition("florin_kafka_partition_stopped", 1)) == Some(1)
    });
    wait_until("the other partitions go on", || bank.ledger("2") == "0.10");
    assert_eq!(bank.ledger("1"), "0.05", "nothing is skipped silently");
}

/// The disk of the bank fails: nothing can be taken in, and nothing becomes a dead letter. With a disk that works again
/// all is taken in, once.
#[cfg(feature = "faults")]
#[test]
fn a_fault_pauses_partitions_makes_no_dead_letter_and_loses_nothing() {
    let kafka = Kafka::shared();
    let mut world = World::new(&kafka, "fault");
    let bank = world.place.start();
    world.open_accounts(&bank);
    world.send_deposits(1);
    world.expect_all_once(&kafka, &bank);
    assert_eq!(bank.stop().0, Some(0));
    let failing = Server::start(world.place.serve().env("FLORIN_FAULTS__PLAN", "sync:20+:eio"));
    let failing = Bank::attach(failing, &world.place.data());
    wait_until("a partition is paused", || {
        world.send_deposits(1);
        (0..PARTITIONS)
            .any(|number| figure(&failing, &world.of_partition("florin_kafka_partition_paused", number)) == Some(1))
    });
    world.send_deposits(5);
    let count = figure(&failing, "florin_kafka_commands_total{outcome=\"dead_lettered\"}");
    assert_eq!(count, Some(0));
    failing.server().signal("KILL");
    drop(failing);
    let bank = world.place.start();
    world.expect_all_once(&kafka, &bank);
    assert_eq!(bank.all("/api/v1/dead-letters"), Vec::<Value>::new());
}
