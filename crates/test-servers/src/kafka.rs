//! A real Apache Kafka broker (KRaft, one node, every record flushed), started from the jars that
//! `xtask/install-test-tools.sh` fetches.
//!
//! Promises: when [`Kafka::start`] returns, the broker answers. After `kill` and `restart` it has the same port and the
//! same data. Its folder goes when it is dropped. Tests of one process that do not hurt the broker share one, with
//! topics of their own.

mod wire;

use crate::log::Log;
use crate::process::{Process, free_ports};
use crate::proxy::Proxy;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tempfile::TempDir;

/// Also in `xtask/kafka-broker.xml` and `xtask/install-test-tools.sh`.
const VERSION: &str = "4.2.1";
const HINT: &str = "run ./xtask/install-test-tools.sh, which puts Kafka under target/test-tools";
const TOOLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/test-tools/kafka");
/// A broker that cannot have one of its ports ends; others are tried then.
const STARTS_MAX: usize = 5;
/// How long a broker may take on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running broker.
#[derive(Debug)]
pub struct Kafka {
    process: Mutex<Process>,
    log: Log,
    folder: TempDir,
    ports: Ports,
    /// Where clients find it: its own port, or that of the proxy before it.
    advertised: u16,
}

/// A way to the broker of its own: who comes in by this port is told the proxy's.
#[derive(Clone, Copy, Debug)]
struct Way {
    port: u16,
    advertised: u16,
}

#[derive(Clone, Copy, Debug)]
struct Ports {
    clients: u16,
    /// The broker talks to itself here, so that a proxy cuts off its clients and nothing else.
    broker: u16,
    controller: u16,
}

impl Kafka {
    /// A new broker without topics.
    ///
    /// # Panics
    /// If it does not come up; the message says how to install it.
    pub fn start() -> Kafka {
        for _ in 0..STARTS_MAX {
            let ports = Ports::free();
            if let Some(kafka) = Kafka::start_at(ports, ports.clients, &[]) {
                return kafka;
            }
        }
        panic!("Kafka did not come up {STARTS_MAX} times: {HINT}");
    }

    /// A new broker whose clients reach it through a proxy only.
    ///
    /// # Panics
    /// As [`Kafka::start`].
    pub fn start_behind_proxy() -> (Kafka, Proxy) {
        for _ in 0..STARTS_MAX {
            let ports = Ports::free();
            let proxy = Proxy::start(SocketAddr::from(([127, 0, 0, 1], ports.clients)));
            if let Some(kafka) = Kafka::start_at(ports, proxy.address().port(), &[]) {
                return (kafka, proxy);
            }
        }
        panic!("Kafka did not come up {STARTS_MAX} times: {HINT}");
    }

    /// A new broker to which so many proxies lead besides, each by a way of its own: whoever begins at one of them is
    /// never told another.
    ///
    /// # Panics
    /// As [`Kafka::start`].
    pub fn start_with_ways<const COUNT: usize>() -> (Kafka, [Proxy; COUNT]) {
        for _ in 0..STARTS_MAX {
            let (ports, behind) = (Ports::free(), free_ports::<COUNT>());
            let proxies = behind.map(|port| Proxy::start(SocketAddr::from(([127, 0, 0, 1], port))));
            let way = |(port, proxy): (u16, &Proxy)| Way { port, advertised: proxy.address().port() };
            let ways: Vec<Way> = behind.into_iter().zip(&proxies).map(way).collect();
            if let Some(kafka) = Kafka::start_at(ports, ports.clients, &ways) {
                return (kafka, proxies);
            }
        }
        panic!("Kafka did not come up {STARTS_MAX} times: {HINT}");
    }

    /// The broker that the tests of this process share. It ends with the last test that holds it.
    ///
    /// # Panics
    /// As [`Kafka::start`].
    pub fn shared() -> Arc<Kafka> {
        static SHARED: Mutex<Weak<Kafka>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let kafka = Arc::new(Kafka::start());
            *shared = Arc::downgrade(&kafka);
            kafka
        })
    }

    /// Where clients connect: `127.0.0.1:PORT`.
    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.advertised)
    }

    /// Makes a topic with so many partitions, under a name of its own that begins with this; returns the name.
    ///
    /// # Panics
    /// If the broker refuses.
    pub fn new_topic(&self, name: &str, partitions: u16) -> String {
        static TOPICS: AtomicU64 = AtomicU64::new(0);
        let name = format!("{name}-{}-{}", std::process::id(), TOPICS.fetch_add(1, Ordering::Relaxed));
        wire::create_topic(self.ports.clients, &name, partitions);
        name
    }

    /// Kills it at once, as a crash does.
    pub fn kill(&self) {
        self.process().kill();
    }

    /// Starts it again after `kill`, with its data and at its ports, and waits until it answers.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn restart(&self) {
        *self.process() = launch(self.folder.path(), &self.log);
        assert!(self.answers(), "Kafka did not come up again");
    }

    /// Stops it in the middle of what it does (SIGSTOP): connections stay, nothing is answered.
    pub fn pause(&self) {
        self.process().stop();
    }

    /// Has it go on after `pause`.
    pub fn resume(&self) {
        self.process().signal("CONT");
    }

    fn start_at(ports: Ports, advertised: u16, ways: &[Way]) -> Option<Kafka> {
        let stamp = Path::new(TOOLS).join(format!("installed-{VERSION}"));
        assert!(stamp.exists(), "Kafka {VERSION} is not installed: {HINT}");
        let folder = TempDir::new().expect("a temporary folder");
        let data = folder.path().join("data");
        std::fs::create_dir(&data).expect("a folder in a temporary one");
        // Without both files the broker starts with an older level of features.
        for file in ["meta.properties", "bootstrap.checkpoint"] {
            std::fs::copy(Path::new(TOOLS).join("formatted").join(file), data.join(file)).expect("a formatted folder");
        }
        std::fs::write(properties_of(folder.path()), ports.properties(advertised, ways, &data))
            .expect("a file to write");
        let log = Log::new("Kafka", folder.path().join("broker.log"));
        let kafka = Kafka { process: Mutex::new(launch(folder.path(), &log)), log, folder, ports, advertised };
        kafka.answers().then_some(kafka)
    }

    /// Waits until it says which brokers there are; false if it ended instead.
    fn answers(&self) -> bool {
        self.process().comes_up(PATIENCE, || wire::has_broker(self.ports.clients))
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ports {
    fn free() -> Ports {
        let [clients, broker, controller] = free_ports();
        Ports { clients, broker, controller }
    }

    /// Timeouts short enough that tests need not wait, and long enough that a broker on a busy machine is not taken for
    /// dead by its own controller: it would come and go for minutes, as a heartbeat must be answered before the next one.
    /// Small buffers; every record on the disk before it is acknowledged.
    fn properties(self, advertised: u16, ways: &[Way], data: &Path) -> String {
        let Ports { clients, broker, controller } = self;
        let data = data.display();
        let (mut listens, mut tells, mut protocols) = (String::new(), String::new(), String::new());
        for (number, way) in ways.iter().enumerate() {
            listens.push_str(&format!(",WAY{number}://127.0.0.1:{}", way.port));
            tells.push_str(&format!(",WAY{number}://127.0.0.1:{}", way.advertised));
            protocols.push_str(&format!(",WAY{number}:PLAINTEXT"));
        }
        format!(
            "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{clients},INTERNAL://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}{listens}
advertised.listeners=PLAINTEXT://127.0.0.1:{advertised},INTERNAL://127.0.0.1:{broker}{tells}
inter.broker.listener.name=INTERNAL
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=1000
transaction.abort.timed.out.transaction.cleanup.interval.ms=200
log.cleaner.dedupe.buffer.size=2097152
log.flush.interval.messages=1
"
        )
    }
}

fn properties_of(folder: &Path) -> PathBuf {
    folder.join("server.properties")
}

fn launch(folder: &Path, log: &Log) -> Process {
    // The archive of classes is only used when the jars have the path that it was made with.
    let tools = Path::new(TOOLS).canonicalize().unwrap_or_else(|error| panic!("{TOOLS}: {error}: {HINT}"));
    let mut command = Command::new("java");
    command
        .args(["-Xms64m", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"])
        .arg(format!("-XX:SharedArchiveFile={}", tools.join("kafka.jsa").display()))
        .arg("-cp")
        .arg(tools.join("lib/*"))
        .arg("kafka.Kafka")
        .arg(properties_of(folder));
    Process::start_logged("java", &command, log, HINT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_answers_and_has_its_topics_after_a_crash() {
        let kafka = Kafka::start();
        let topic = kafka.new_topic("events", 3);
        assert_eq!(wire::partitions(kafka.ports.clients, &topic), Some(3));
        kafka.kill();
        assert!(!wire::has_broker(kafka.ports.clients));
        kafka.restart();
        assert_eq!(wire::partitions(kafka.ports.clients, &topic), Some(3));
    }

    #[test]
    fn tests_of_one_process_share_a_broker_and_get_topics_of_their_own() {
        let (one, other) = (Kafka::shared(), Kafka::shared());
        assert_eq!(one.brokers(), other.brokers());
        assert_ne!(one.new_topic("commands", 1), other.new_topic("commands", 1));
    }

    #[test]
    fn clients_of_a_broker_behind_a_proxy_are_told_the_proxy() {
        let (kafka, proxy) = Kafka::start_behind_proxy();
        assert_eq!(kafka.brokers(), proxy.address().to_string());
        assert_eq!(wire::advertised(proxy.address().port()), Some(proxy.address().port()));
    }

    #[test]
    fn every_way_to_a_broker_leads_to_itself() {
        let (_kafka, proxies) = Kafka::start_with_ways::<2>();
        for proxy in &proxies {
            assert_eq!(wire::advertised(proxy.address().port()), Some(proxy.address().port()));
        }
    }

    #[test]
    fn a_paused_broker_keeps_silent_and_goes_on() {
        let kafka = Kafka::start();
        kafka.pause();
        assert!(!wire::has_broker(kafka.ports.clients));
        kafka.resume();
        assert!(kafka.answers());
    }
}
