//! A bank beside a broker, a reader of its topics, and clients that keep it busy.

use crate::support::bank::{Bank, Server, serve, transfer};
use crate::support::http::{Connection, Request};
use crate::support::wait::{PATIENCE, now};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use test_servers::{Kafka, Log};

/// How a bank uses the broker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Uses {
    pub(crate) events: Option<String>,
    pub(crate) commands: Option<String>,
    pub(crate) shards: Option<String>,
}

/// The configuration of a bank that uses the broker there so.
pub(crate) fn configuration(brokers: &str, group: &str, uses: &Uses) -> String {
    let topic = |name: &str, topic: &Option<String>| {
        let topic = topic.as_ref().map(|topic| format!("{name} = true\n{name}_topic = '{topic}'\n"));
        topic.unwrap_or_default()
    };
    format!(
        "[log]\nfilter = 'warn,florin::adapters::kafka=debug'\n\
        [kafka]\nbrokers = '{brokers}'\ngroup = '{group}'\n{}{}{}\n[kafka.properties]\n'session.timeout.ms' = 3000\n\
        'heartbeat.interval.ms' = 300\n'transaction.timeout.ms' = 5000\n'topic.metadata.refresh.interval.ms' = 500\n",
        topic("events", &uses.events),
        topic("commands", &uses.commands),
        topic("shards", &uses.shards),
    )
}

/// A folder for a bank with its configuration. Banks of one group share topics and take turns.
#[derive(Debug)]
pub(crate) struct Place {
    log: Log,
    folder: TempDir,
}

impl Place {
    pub(crate) fn new(kafka: &Kafka, group: &str, uses: &Uses) -> Place {
        let folder = TempDir::new().expect("a temporary folder");
        let text = configuration(&kafka.brokers(), group, uses);
        std::fs::write(folder.path().join("florin.toml"), text).expect("a file to write");
        Place { log: Log::new("the bank", folder.path().join("florin.log")), folder }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// `florin serve` here.
    pub(crate) fn serve(&self) -> Command {
        let mut command = serve(&self.data());
        command.arg("--no-auth").arg("--config").arg(self.folder.path().join("florin.toml"));
        command.stderr(self.log.file());
        command
    }

    /// A bank that runs here.
    pub(crate) fn start(&self) -> Bank {
        Bank::attach(Server::start(&mut self.serve()), &self.data())
    }
}

/// What a topic holds, read from its beginning as others read it: only what was committed.
pub(crate) struct Reader {
    consumer: BaseConsumer,
    topic: String,
}

/// A record of a topic.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) partition: i32,
    pub(crate) event: Value,
}

impl Reader {
    pub(crate) fn new(kafka: &Kafka, topic: &str, partitions: i32) -> Reader {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", kafka.brokers())
            .set("group.id", "tests")
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .set("topic.metadata.refresh.interval.ms", "200")
            .set("allow.auto.create.topics", "false")
            .create()
            .expect("a consumer");
        let mut assignment = TopicPartitionList::new();
        for partition in 0..partitions {
            assignment.add_partition_offset(topic, partition, Offset::Beginning).expect("an offset");
        }
        consumer.assign(&assignment).expect("an assignment");
        Reader { consumer, topic: topic.to_owned() }
    }

    /// Reads on until this many records of the topic were read by this call.
    #[track_caller]
    pub(crate) fn read(&self, count: usize) -> Vec<Record> {
        let mut records = Vec::new();
        let mut waited = now();
        while records.len() < count {
            assert!(waited.elapsed() < PATIENCE, "{} of {count} records of {}", records.len(), self.topic);
            match self.consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    records.push(record(&message));
                    waited = now();
                }
                Some(Err(error)) => eprintln!("the reader of {}: {error}", self.topic),
                None => {}
            }
        }
        records
    }

    /// Reads on until what was read has all that these journals have, one for each partition. Nodes go on telling each other
    /// that transfers are done, so that more may come.
    pub(crate) fn read_journals(&self, journals: &[Vec<Value>], read: &mut Vec<Record>) {
        let has_all = |read: &[Record]| {
            (0..).zip(journals).all(|(shard, journal)| journal.len() <= records_of(read, shard).count())
        };
        let count: usize = journals.iter().map(Vec::len).sum();
        read.extend(self.read(count.saturating_sub(read.len())));
        while !has_all(read) {
            read.extend(self.read(1));
        }
    }

    /// Whether nothing more comes for so long.
    pub(crate) fn is_at_end(&self, patience: Duration) -> bool {
        let waited = now();
        while waited.elapsed() < patience {
            if let Some(Ok(message)) = self.consumer.poll(Duration::from_millis(50)) {
                eprintln!("one more: {:?}", record(&message));
                return false;
            }
        }
        true
    }
}

/// The records of a shard.
pub(crate) fn records_of(records: &[Record], shard: i32) -> impl Iterator<Item = &Record> {
    records.iter().filter(move |record| record.partition == shard)
}

fn record(message: &BorrowedMessage<'_>) -> Record {
    let event = serde_json::from_slice(message.payload().unwrap_or_default()).expect("events are JSON");
    Record { partition: message.partition(), event }
}

/// The journal of a shard, all of it.
pub(crate) fn journal(bank: &Bank, shard: u16) -> Vec<Value> {
    let mut events: Vec<Value> = Vec::new();
    loop {
        let after = events.last().map_or("0", |event| event["sequence"].as_str().expect("a sequence")).to_owned();
        let page = bank.get(&format!("/api/v1/journal?shard={shard}&after={after}&limit=1000")).expect(200).json();
        let items = page["items"].as_array().expect("items");
        if items.is_empty() {
            return events;
        }
        events.extend(items.iter().cloned());
    }
}

/// What was published of a shard is its journal, each entry once and in order.
#[track_caller]
pub(crate) fn expect_published<'a>(published: impl IntoIterator<Item = &'a Record>, journal: &[Value]) {
    let published: Vec<&Value> = published.into_iter().map(|record| &record.event).collect();
    let ids = |events: &mut dyn Iterator<Item = &Value>| -> Vec<String> {
        events.map(|event| event["id"].as_str().expect("an id").to_owned()).collect()
    };
    assert_eq!(ids(&mut published.iter().copied()), ids(&mut journal.iter()));
    assert!(published.into_iter().eq(journal.iter()), "an event differs from the journal");
}

/// How often what is killed is killed in the short form of these tests.
pub(crate) fn rounds() -> usize {
    crate::support::wait::rounds(3)
}

/// The value of a line of `/metrics`, once it is there.
pub(crate) fn figure(bank: &Bank, line: &str) -> Option<u64> {
    let text = bank.get("/metrics").expect(200).text();
    let value = text.lines().find_map(|other| other.strip_prefix(line)?.strip_prefix(' '))?;
    Some(value.parse().expect("a number"))
}

/// Moves money between two accounts as fast as answers come, until one does not; how often it was acknowledged.
pub(crate) fn load(address: SocketAddr, client: &str, accounts: [&str; 2], transfers_max: usize) -> usize {
    let Ok(mut connection) = Connection::open(address) else { return 0 };
    for number in 0..transfers_max {
        let request = Request::post("/api/v1/transfers").key(&format!("{client}-{number}")).json(&transfer(
            accounts[number % 2],
            accounts[(number + 1) % 2],
            "0.01",
        ));
        if !connection.send(&request).is_ok_and(|answer| answer.status == 201) {
            return number;
        }
    }
    transfers_max
}

/// Sends records to partitions of a topic, and knows how many there are.
pub(crate) struct Sender {
    producer: BaseProducer,
    brokers: String,
    topic: String,
    sent: RefCell<Vec<i64>>,
}

impl Sender {
    pub(crate) fn new(kafka: &Kafka, topic: &str) -> Sender {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", kafka.brokers())
            .set("enable.idempotence", "true")
            .set("linger.ms", "1")
            .create()
            .expect("a producer");
        Sender { producer, brokers: kafka.brokers(), topic: topic.to_owned(), sent: RefCell::default() }
    }

    pub(crate) fn send(&self, partition: u16, bytes: &[u8]) {
        let record = BaseRecord::<(), [u8]>::to(&self.topic).partition(partition.into()).payload(bytes);
        self.producer.send(record).map_err(|(error, _)| error).expect("room for a record");
        let mut sent = self.sent.borrow_mut();
        let places = sent.len().max(usize::from(partition) + 1);
        sent.resize(places, 0);
        sent[usize::from(partition)] += 1;
    }

    pub(crate) fn flush(&self) {
        self.producer.flush(PATIENCE).expect("the broker takes the records");
    }

    /// How many records each partition has.
    pub(crate) fn sent(&self) -> Vec<i64> {
        self.flush();
        self.sent.borrow().clone()
    }

    /// Has the topic forget what is before an offset of a partition.
    pub(crate) fn forget_before(&self, partition: u16, offset: i64) {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &self.brokers).create().expect("a client");
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(&self.topic, partition.into(), Offset::Offset(offset)).expect("an offset");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(admin.delete_records(&offsets, &AdminOptions::new())).expect("the broker forgets");
    }
}

/// The offset after the last record of a partition.
pub(crate) fn end_of(kafka: &Kafka, topic: &str, partition: u16) -> i64 {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka.brokers())
        .set("group.id", "tests")
        .create()
        .expect("a consumer");
    consumer.fetch_watermarks(topic, partition.into(), PATIENCE).expect("a topic").1
}

/// The offsets that the group of commands has committed, partition by partition.
pub(crate) fn committed(kafka: &Kafka, topic: &str, partitions: u16) -> Vec<i64> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka.brokers())
        .set("group.id", format!("{topic}-commands"))
        .create()
        .expect("a consumer");
    let mut asked = TopicPartitionList::new();
    (0..partitions).for_each(|partition| _ = asked.add_partition(topic, partition.into()));
    // A broker that hung may never answer what it was asked then: it is asked again.
    let Ok(committed) = consumer.committed_offsets(asked, Duration::from_secs(5)) else { return Vec::new() };
    let offset = |partition: u16| match committed.find_partition(topic, partition.into())?.offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    };
    (0..partitions).map(|partition| offset(partition).unwrap_or(0)).collect()
}

/// A position of a group in a transaction that is not committed. Ends without effect.
pub(crate) struct OpenPosition {
    producer: BaseProducer,
}

impl OpenPosition {
    pub(crate) fn begin(kafka: &Kafka, group: &str, topic: &str, offset: usize) -> OpenPosition {
        let settings = |name: &str, value: &str| {
            let mut settings = ClientConfig::new();
            settings.set("bootstrap.servers", kafka.brokers()).set(name, value);
            settings
        };
        let producer: BaseProducer = settings("transactional.id", group).create().expect("a producer");
        let consumer: BaseConsumer = settings("group.id", group).create().expect("a consumer");
        let mut offsets = TopicPartitionList::new();
        let offset = Offset::Offset(i64::try_from(offset).expect("few"));
        offsets.add_partition_offset(topic, 0, offset).expect("an offset");
        producer.init_transactions(PATIENCE).expect("the broker knows the producer");
        producer.begin_transaction().expect("a transaction");
        let group = consumer.group_metadata().expect("a group");
        producer.send_offsets_to_transaction(&offsets, &group, PATIENCE).expect("the broker takes the position");
        OpenPosition { producer }
    }
}

impl Drop for OpenPosition {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.producer.abort_transaction(PATIENCE).expect("the transaction ends");
        }
    }
}

/// Another member of the group of commands, which takes partitions and answers nothing.
pub(crate) struct Rival {
    consumer: BaseConsumer,
}

impl Rival {
    pub(crate) fn join(kafka: &Kafka, topic: &str) -> Rival {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", kafka.brokers())
            .set("group.id", format!("{topic}-commands"))
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("enable.auto.commit", "false")
            .set("session.timeout.ms", "3000")
            .set("heartbeat.interval.ms", "300")
            .create()
            .expect("a consumer");
        consumer.subscribe(&[topic]).expect("a subscription");
        Rival { consumer }
    }

    /// How many partitions it has now.
    pub(crate) fn partitions(&self) -> usize {
        // It is a member only while it asks for records.
        _ = self.consumer.poll(Duration::from_millis(20));
        self.consumer.assignment().map_or(0, |assignment| assignment.count())
    }
}
