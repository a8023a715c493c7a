//! Nodes: programs that run the bank over the shared shards, crash, and start again with nothing in memory.

use crate::bus::ParcelBus;
use crate::connection::Connection;
use crate::ground::{Clock, Ground};
use crate::plants::Plant;
use crate::ports::{NodeEnv, SharedKeyring};
use crate::scheduler::{Owner, lock};
use crate::shard::Shard;
use bank::Bank;
use bank::ports::Bus;
use bank::relay::{Relay, RelaySettings};
use std::sync::{Arc, Mutex};
use store::{Fault, Store};

/// How long a worker rests between two rounds.
const WORKER_REST_US: u64 = 300_000;
const SWEEP_US: u64 = 5_000_000;
/// How relays wait.
const RELAYS: RelaySettings = RelaySettings { lease_us: 600_000, retry_first_us: 20_000, retry_most_us: 1_000_000 };
/// How long a crashed node stays away.
const AWAY_US: (u64, u64) = (1_000, 4_000_000);

struct Node {
    clock: Clock,
    /// Whether its program runs.
    runs: Mutex<bool>,
    /// The bank, once it serves.
    bank: Mutex<Option<Arc<Bank>>>,
}

struct Inner {
    ground: Ground,
    shards: Vec<Shard>,
    keyring: Arc<SharedKeyring>,
    nodes: Vec<Node>,
    plant: Option<Plant>,
    /// Whether parcels go over a bus, or directly from shard to shard.
    has_bus: bool,
}

/// All nodes of a world. Clones are the same nodes.
#[derive(Clone)]
pub struct Nodes {
    inner: Arc<Inner>,
}

impl Nodes {
    /// So many nodes over these shards, all running.
    pub fn start(ground: &Ground, shards: &[Shard], count: usize, plant: Option<Plant>) -> Nodes {
        let node =
            |_| Node { clock: Clock::new(ground.scheduler.clone()), runs: Mutex::default(), bank: Mutex::default() };
        let inner = Inner {
            ground: ground.clone(),
            shards: shards.to_vec(),
            keyring: Arc::new(SharedKeyring::new(ground.clone())),
            nodes: (0..count).map(node).collect(),
            plant,
            has_bus: ground.dice.happens(5_000),
        };
        let nodes = Nodes { inner: Arc::new(inner) };
        (0..count).for_each(|number| nodes.start_one(number));
        nodes
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.inner.nodes.len()
    }

    /// The bank a node runs, unless it is down.
    pub fn bank(&self, node: usize) -> Option<Arc<Bank>> {
        lock(&self.inner.nodes.get(node)?.bank).clone()
    }

    /// The clock of a node.
    pub fn clock(&self, node: usize) -> Option<&Clock> {
        Some(&self.inner.nodes.get(node)?.clock)
    }

    /// Ends a node with all it was doing; it comes back after a while.
    pub fn crash(&self, node: usize) {
        if !std::mem::take(&mut *lock(&self.inner.nodes[node].runs)) {
            return;
        }
        lock(&self.inner.nodes[node].bank).take();
        let ground = self.inner.ground.clone();
        ground.note(&format!("node {node} crashes"));
        ground.scheduler.crash(Owner::Node(node));
        let nodes = self.clone();
        let scheduler = ground.scheduler.clone();
        scheduler.spawn(Owner::World, async move {
            ground.pause(AWAY_US.0, AWAY_US.1).await;
            nodes.start_one(node);
        });
    }

    /// A node serves once it knows where everything is.
    async fn serve(self, number: usize, bank: Arc<Bank>) {
        while bank.reload_placement().await.is_err() {
            self.inner.ground.pause(1_000, 100_000).await;
        }
        *lock(&self.inner.nodes[number].bank) = Some(bank);
    }

    fn start_one(&self, number: usize) {
        let Inner { ground, shards, keyring, nodes, plant, has_bus } = &*self.inner;
        let clock = nodes[number].clock.clone();
        let connect = |shard: &Shard| {
            let connection = Connection::new(ground.clone(), shard.clone(), number, clock.clone());
            let connection: Arc<dyn Store> = Arc::new(connection);
            match plant {
                Some(plant) => plant.in_connection(connection),
                None => connection,
            }
        };
        let stores = shards.iter().map(connect).collect();
        let env = Arc::new(NodeEnv::new(ground.clone(), clock.clone()));
        let bank = Arc::new(Bank::new(stores, env, keyring.clone()));
        *lock(&nodes[number].runs) = true;
        ground.note(&format!("node {number} runs"));
        ground.scheduler.spawn(Owner::Node(number), self.clone().serve(number, bank.clone()));
        let bus: Option<Arc<dyn Bus>> =
            has_bus.then(|| Arc::new(ParcelBus::new(ground.clone(), self.clone())) as Arc<dyn Bus>);
        for store in bank.shards() {
            let relay = Relay::new(bank.clone(), store.shard(), bus.clone(), RELAYS);
            let heard = ground.clone();
            let told =
                move |shard, fault: &Fault| heard.note(&format!("messages of or for shard {shard} wait: {fault}"));
            ground.scheduler.spawn(Owner::Node(number), relay.run(told));
        }
        ground.scheduler.spawn(Owner::Node(number), sweep(ground.clone(), bank.clone()));
        ground.scheduler.spawn(Owner::Node(number), expire_holds(ground.clone(), bank));
    }
}

/// The sweeper, which brings what no relay brought.
async fn sweep(ground: Ground, bank: Arc<Bank>) {
    loop {
        ground.pause(SWEEP_US / 2, SWEEP_US).await;
        if let Err(fault) = bank.sweep().await {
            ground.note(&format!("shards are not compared: {fault}"));
        }
    }
}

/// The worker for holds on accounts where nothing happens. A fault is found again by its next round.
async fn expire_holds(ground: Ground, bank: Arc<Bank>) {
    loop {
        ground.pause(WORKER_REST_US / 2, WORKER_REST_US).await;
        if let Err(fault) = bank.expire_due_holds().await {
            ground.note(&format!("holds are not expired: {fault}"));
        }
    }
}
