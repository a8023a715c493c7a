//! A world: a bank of some shards and nodes, its clients, everything that goes wrong, and the auditor at the end.

use crate::ask::{Ask, Movement};
use crate::auditor::{Auditor, Finding};
use crate::books::Books;
use crate::client::Client;
use crate::faults::Rates;
use crate::ground::Ground;
use crate::network::Network;
use crate::node::Nodes;
use crate::operator::Operator;
use crate::plants::{Plant, Siblings};
use crate::scheduler::{Owner, Step, lock};
use crate::shard::Shard;
use crate::workload::{Customers, Workload};
use bank::Bank;
use bank::slot_map::SlotMap;
use futures_util::FutureExt;
use ledger::account::{SystemAccount, SystemKind};
use ledger::currency::Currency;
use ledger::ids::ShardId;
use ledger::transfer::TransferKind;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use store::Store;

/// What a world is made from.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The seed of all chance.
    pub seed: u64,
    /// A bug that is planted.
    pub plant: Option<Plant>,
    /// Whether every line of the trace is kept.
    pub keeps_trace: bool,
}

/// What became of a world.
#[derive(Clone, Debug)]
pub struct Report {
    /// The hash of all that happened.
    pub trace: String,
    /// The lines of it, if they were kept.
    pub lines: Vec<String>,
    /// What the auditor found.
    pub findings: Vec<Finding>,
    /// Steps of the scheduler.
    pub steps: u64,
    /// Requests that clients made.
    pub requests: usize,
    /// Crashes of nodes.
    pub crashes: u64,
}

/// Most shards, nodes, clients, and requests of a client.
const SHARDS_MAX: u64 = 5;
const NODES_MAX: u64 = 4;
const CLIENTS: (u64, u64) = (2, 6);
const REQUESTS: (u64, u64) = (5, 25);
/// A world that takes longer than this hangs.
const STEPS_MAX: u64 = 1_000_000;
/// A world in which nodes crash more often than this would never get anything done.
const CRASHES_MAX: u64 = 150;
/// How long everything that is still under way may take once nothing goes wrong any more.
const SETTLING_US: u64 = 60_000_000;
/// In how many of 10,000 worlds of several shards slots move.
const MOVING: u64 = 4_000;
/// Of so many worlds clients exchange money in one.
const EXCHANGING: u64 = 3;
/// How often, in steps, sums are looked at.
const SUMS_EVERY: u64 = 8;
/// Furthest that a clock is off.
const CLOCK_OFF_MAX_US: u64 = 4_000_000;

struct World {
    ground: Ground,
    shards: Vec<Shard>,
    nodes: Nodes,
    auditor: Auditor,
    steps: u64,
    /// Those before the books were read.
    steps_before: u64,
    crashes: u64,
    /// Whether slots move.
    moves: bool,
    /// Whether clients exchange money.
    exchanges: bool,
}

/// Runs the world of a plan twice: both must be the same.
pub fn run_twice(plan: Plan) -> Report {
    let mut report = run(plan);
    let again = run(Plan { keeps_trace: false, ..plan });
    if report.trace != again.trace {
        report.findings.push(Finding {
            claim: "a seed gives the same world each time",
            detail: format!("trace {} the first time, {} the second", report.trace, again.trace),
        });
    }
    report
}

/// Runs the world of a plan.
pub fn run(plan: Plan) -> Report {
    let ground = Ground::new(plan.seed, plan.keeps_trace);
    let dice = &ground.dice;
    let shard_count = usize::try_from(dice.between(1, SHARDS_MAX)).unwrap_or(1);
    let node_count = usize::try_from(dice.between(1, NODES_MAX)).unwrap_or(1);
    let slots = SlotMap::new(shard_count).expect("a world has few shards");
    let siblings = Siblings::default();
    let shard = |number| Shard::new(number, slots, plan.plant.map(|plant| (plant, &siblings)), dice);
    let shards: Vec<Shard> = (0..slots.shards()).map(shard).collect();
    let nodes = Nodes::start(&ground, &shards, node_count, plan.plant);
    let mut world = World {
        ground,
        shards,
        nodes,
        auditor: Auditor::default(),
        steps: 0,
        steps_before: 0,
        crashes: 0,
        moves: plan.plant.is_some_and(Plant::is_about_moves),
        exchanges: plan.seed.is_multiple_of(EXCHANGING),
    };
    let findings = world.live(slots);
    world.ground.scheduler.end();
    Report {
        trace: world.ground.trace.hash(),
        lines: world.ground.trace.lines(),
        findings,
        steps: world.steps,
        requests: world.auditor.requests(),
        crashes: world.crashes,
    }
}

impl World {
    /// Opens the accounts, lets the clients and the faults loose, waits until all is settled, and audits.
    fn live(&mut self, slots: SlotMap) -> Vec<Finding> {
        let workload = Workload::new(&self.ground, slots, self.exchanges);
        let network = Network::new(self.ground.clone(), self.nodes.clone());
        let (auditor, ground) = (self.auditor.clone(), self.ground.clone());
        let client = |number| Client {
            number,
            ground: ground.clone(),
            network: network.clone(),
            workload: workload.clone(),
            auditor: auditor.clone(),
        };
        let left = Arc::new(AtomicU64::new(1));
        self.spawn(&left, open_accounts(client(0)));
        if !self.run_until(|world| left.load(Ordering::SeqCst) == 0 || world.is_late()) {
            return self.hangs("accounts are opened");
        }
        ground.faults.set_rates(Rates::drawn(&ground.dice));
        self.ground.scheduler.spawn(Owner::World, troubles(ground.clone(), self.nodes.clone(), slots.shards()));
        self.moves = 1 < slots.shards() && (self.moves | ground.dice.happens(MOVING));
        if self.moves {
            let operator = Operator { ground: ground.clone(), network: network.clone(), auditor: auditor.clone() };
            let accounts = workload.accounts().iter().map(Customers::account).collect();
            self.ground.scheduler.spawn(Owner::World, operator.move_slots(accounts, slots.shards()));
        }
        let clients = ground.dice.between(CLIENTS.0, CLIENTS.1);
        left.store(clients, Ordering::SeqCst);
        for number in 1..=clients {
            let client = client(usize::try_from(number).unwrap_or(1));
            self.spawn(&left, client.work(ground.dice.between(REQUESTS.0, REQUESTS.1)));
        }
        let is_done = |world: &World| left.load(Ordering::SeqCst) == 0 && !world.auditor.waits_for_twins();
        if !self.run_until(|world| is_done(world) || world.is_late()) || !is_done(self) {
            return self.hangs("every request is answered");
        }
        self.settle();
        self.audit()
    }

    fn spawn(&self, left: &Arc<AtomicU64>, work: impl Future<Output = ()> + Send + 'static) {
        let left = left.clone();
        self.ground.scheduler.spawn(Owner::World, async move {
            work.await;
            left.fetch_sub(1, Ordering::SeqCst);
        });
    }

    fn is_late(&self) -> bool {
        self.steps_before + STEPS_MAX < self.steps
    }

    fn hangs(&self, claim: &'static str) -> Vec<Finding> {
        let mut findings = self.auditor.findings();
        findings.push(Finding { claim, detail: format!("not after {} steps", self.steps) });
        findings
    }

    /// Steps until something holds; not if nothing is left to do before.
    fn run_until(&mut self, holds: impl Fn(&World) -> bool) -> bool {
        while !holds(self) {
            self.steps += 1;
            match self.ground.scheduler.step() {
                Step::Idle => return false,
                Step::Ran { owner: Owner::Node(node), waits: true } => {
                    if self.crashes < CRASHES_MAX && self.ground.dice.happens(self.ground.faults.rates().crash) {
                        self.crashes += 1;
                        self.nodes.crash(node);
                    }
                }
                Step::Ran { .. } | Step::Slept => {}
            }
            if self.steps.is_multiple_of(SUMS_EVERY) {
                self.check_sums();
            }
        }
        true
    }

    /// At every instant the balances of a shard sum up to zero in each currency.
    fn check_sums(&self) {
        let mut between = Vec::new();
        for shard in &self.shards {
            let store: &dyn Store = &**shard.store();
            let accounts = store.system_accounts().now_or_never().and_then(Result::ok);
            let customers = store.customer_sums().now_or_never().and_then(Result::ok);
            let (Some(accounts), Some(customers)) = (accounts, customers) else { continue };
            let mut sums = BTreeMap::new();
            let banks = accounts.iter().map(|account| (account.currency, account.balance));
            for (currency, balance) in banks.chain(customers) {
                *sums.entry(currency).or_insert(0) += balance;
            }
            for (currency, sum) in sums.iter().filter(|(_, sum)| **sum != 0) {
                self.auditor.finds(
                    "money is conserved at every instant",
                    format!("shard {} has {sum} {currency} at step {}", shard.number(), self.steps),
                );
            }
            between.extend(accounts.iter().filter_map(|account| {
                let clearing = SystemAccount::from_id(account.id)?;
                let other = ShardId::new(clearing.ordinal)?;
                let is_clearing = clearing.kind == SystemKind::Clearing;
                let pair = (clearing.shard.min(other), clearing.shard.max(other), clearing.currency);
                is_clearing.then_some((pair, account.balance))
            }));
        }
        // An account that moves with a balance below zero owes the other shard money for a while.
        if !self.moves {
            self.check_between(&between);
        }
    }

    /// What two shards owe each other is what is on its way between them: never less than nothing.
    fn check_between(&self, clearing: &[((ShardId, ShardId, Currency), i128)]) {
        let mut pairs = BTreeMap::new();
        for (pair, balance) in clearing {
            *pairs.entry(*pair).or_insert(0) += balance;
        }
        for ((first, second, currency), sum) in pairs.iter().filter(|(_, sum)| **sum < 0) {
            self.auditor.finds(
                "nothing arrives that was not sent",
                format!("{sum} {currency} between shards {first} and {second} at step {}", self.steps),
            );
        }
    }

    /// Nothing goes wrong any more, and what is under way comes to its end.
    fn settle(&mut self) {
        self.ground.faults.heal();
        self.ground.note("nothing goes wrong any more");
        let until = self.ground.scheduler.now_us() + SETTLING_US;
        self.run_until(|world| until <= world.ground.scheduler.now_us());
    }

    fn audit(&mut self) -> Vec<Finding> {
        let Some(bank) = (0..self.nodes.count()).find_map(|node| self.nodes.bank(node)) else {
            return self.hangs("nodes come back");
        };
        self.steps_before = self.steps;
        let read: Arc<Mutex<Option<Books>>> = Arc::default();
        self.ground.scheduler.spawn(Owner::World, read_books(bank, self.auditor.clone(), read.clone()));
        let is_read = |world: &World| lock(&read).is_some() || world.is_late();
        self.run_until(is_read);
        let books = lock(&read).take();
        match books {
            Some(books) => self.auditor.audit(&books),
            None => self.hangs("the books can be read"),
        }
    }
}

async fn read_books(bank: Arc<Bank>, auditor: Auditor, read: Arc<Mutex<Option<Books>>>) {
    match Books::read(&bank, &auditor.accounts()).await {
        Ok(books) => *lock(&read) = Some(books),
        Err(fault) => auditor.finds("the books can be read", fault.to_string()),
    }
}

/// Registers the customers, opens their accounts and pays in.
async fn open_accounts(client: Client) {
    for owner in client.workload.accounts() {
        let mut asks = vec![
            Ask::Register(owner.customer()),
            Ask::Open {
                account: Some(owner.account()),
                customer: owner.customer(),
                currency: owner.currency,
                overdraft: owner.overdraft,
            },
        ];
        if 0 < owner.funds {
            asks.push(Ask::Move(Movement {
                kind: TransferKind::Deposit,
                currency: owner.currency,
                legs: vec![(owner.account(), owner.account(), owner.funds)],
                forced: false,
            }));
        }
        for ask in asks {
            let request = client.workload.request(client.number, ask);
            client.insist(&request).await;
        }
    }
}

/// What goes wrong by itself: clocks jump, shards are away for a while.
async fn troubles(ground: Ground, nodes: Nodes, shards: u16) {
    loop {
        ground.pause(500_000, 1_500_000).await;
        let (rates, dice) = (ground.faults.rates(), &ground.dice);
        if dice.happens(rates.clock_jump)
            && let Some(clock) = nodes.clock(dice.index(nodes.count()))
        {
            let off = i64::try_from(dice.below(2 * CLOCK_OFF_MAX_US)).unwrap_or(0);
            clock.set_offset(off - i64::try_from(CLOCK_OFF_MAX_US).unwrap_or(0));
            ground.note("a clock jumps");
        }
        if dice.happens(rates.outage) {
            let shard = u16::try_from(dice.below(u64::from(shards))).unwrap_or(0);
            ground.faults.begin_outage(shard, ground.scheduler.now_us() + dice.between(1_000, 3_000_000));
            ground.note(&format!("shard {shard} is away"));
        }
    }
}
