//! What the clients of a world want, drawn from chance: mostly things that can work, on few accounts, so that they get
//! in each other's way.

use crate::ask::{Ask, Movement, Request, RequestId, Swap};
use crate::ground::Ground;
use crate::heard::Heard;
use crate::scheduler::lock;
use bank::slot_map::SlotMap;
use ledger::currency::Currency;
use ledger::ids::{AccountId, CustomerId, DeadLetterId, HoldId, ShardId, TransferId, slot};
use ledger::time::Timestamp;
use ledger::transfer::TransferKind;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// An account that clients use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Customers {
    /// Its id, and that of the customer whose it is.
    pub id: u64,
    /// Its currency.
    pub currency: Currency,
    /// How far it may be overdrawn.
    pub overdraft: u64,
    /// What is paid in before the clients begin.
    pub funds: u64,
}

impl Customers {
    /// The account's id.
    ///
    /// # Panics
    /// Never: worlds use small ids.
    pub fn account(&self) -> AccountId {
        AccountId::new(self.id).expect("a small number is an id")
    }

    /// The customer's id.
    ///
    /// # Panics
    /// Never: worlds use small ids.
    pub fn customer(&self) -> CustomerId {
        CustomerId::new(self.id).expect("a small number is an id")
    }
}

#[derive(Default)]
struct Known {
    transfers: Vec<TransferId>,
    begun: Vec<TransferId>,
    holds: Vec<HoldId>,
    /// The latest hold of each account, and how much it is of.
    held: BTreeMap<u64, (HoldId, u64)>,
    letters: Vec<DeadLetterId>,
    next_request: RequestId,
    keys: BTreeMap<usize, u64>,
}

/// See the module. Clones share what is known.
#[derive(Clone)]
pub struct Workload {
    ground: Ground,
    slots: SlotMap,
    exchanges: bool,
    accounts: Arc<Vec<Customers>>,
    known: Arc<Mutex<Known>>,
}

/// Most and least accounts of a world, and what can be moved at once.
const ACCOUNTS: (u64, u64) = (4, 12);
const AMOUNT_MAX: u64 = 400;
const FUNDS_MAX: u64 = 2_000;
const IDS_END: u64 = 1_000_000;

impl Workload {
    /// The accounts of a world, and nothing known of what will happen on them. Money is exchanged in some worlds only.
    pub fn new(ground: &Ground, slots: SlotMap, exchanges: bool) -> Workload {
        let dice = &ground.dice;
        let currencies: Vec<Currency> = ["EUR", "JPY"].iter().filter_map(|code| code.parse().ok()).collect();
        let mut accounts: Vec<Customers> = Vec::new();
        for _ in 0..dice.between(ACCOUNTS.0, ACCOUNTS.1) {
            let account = Customers {
                id: dice.between(1, IDS_END),
                currency: currencies[if dice.happens(8_000) { 0 } else { 1 }],
                overdraft: if dice.happens(2_000) { dice.between(1, 500) } else { 0 },
                funds: dice.below(FUNDS_MAX),
            };
            if accounts.iter().all(|other| other.id != account.id) {
                accounts.push(account);
            }
        }
        Workload { ground: ground.clone(), slots, exchanges, accounts: Arc::new(accounts), known: Arc::default() }
    }

    /// The accounts.
    pub fn accounts(&self) -> &[Customers] {
        &self.accounts
    }

    /// A request that nobody made before.
    pub fn request(&self, client: usize, ask: Ask) -> Request {
        let mut known = lock(&self.known);
        known.next_request += 1;
        let id = known.next_request;
        // Clients number their keys by themselves, so different principals use the same keys.
        let key = known.keys.entry(client).or_insert(0);
        *key += 1;
        // Clients number their keys by themselves, so different principals use the same keys.
        Request { id, principal: format!("client {client}"), key: format!("key {key}"), ask }
    }

    /// Learns from an answer what can be captured, voided and reversed.
    pub fn learn(&self, heard: &Heard) {
        let mut known = lock(&self.known);
        known.transfers.extend(heard.transfers().iter().map(|transfer| transfer.id));
        if let Heard::Begun(transfers) = heard {
            known.begun.extend(transfers.first().map(|transfer| transfer.id));
        }
        if let Heard::Hold(hold) = heard
            && !known.holds.contains(&hold.id)
        {
            known.holds.push(hold.id);
            known.held.insert(hold.from.number(), (hold.id, hold.amount.minor_units()));
        }
    }

    /// Learns which dead letters there are.
    pub fn learn_letters(&self, letters: impl IntoIterator<Item = DeadLetterId>) {
        lock(&self.known).letters = letters.into_iter().collect();
    }

    /// What a client wants next.
    pub fn draw(&self) -> Ask {
        match self.ground.dice.below(100) {
            0..12 => Ask::Move(self.deposit()),
            12..21 => Ask::Move(self.withdrawal()),
            36..43 if self.exchanges => self.exchange(),
            21..43 => Ask::Move(self.transfer(1)),
            43..50 => Ask::Event(self.queued()),
            50..52 => self.redrive(),
            52..60 => Ask::Move(self.transfer(self.ground.dice.between(2, 4))),
            60..68 => Ask::Batch((0..self.ground.dice.between(2, 4)).map(|_| self.transfer(1)).collect()),
            68..76 => self.hold(),
            76..82 => self.capture(),
            82..85 => self.known_hold().map_or_else(|| self.hold(), Ask::Void),
            85..91 => self.reversal(),
            91..94 => Ask::Freeze { account: self.any().account(), full: self.ground.dice.happens(6_000) },
            94..97 => Ask::Unfreeze(self.any().account()),
            97 => self.limit(),
            98 if self.ground.dice.happens(5_000) => self.opening(),
            98 => self.cancellation(),
            _ => Ask::Close(self.any().account()),
        }
    }

    /// The account that a key of this request belongs to, where the request says so.
    pub fn any(&self) -> Customers {
        let first = self.ground.dice.happens(3_000);
        // Some accounts are hot.
        let index = if first { 0 } else { self.ground.dice.index(self.accounts.len()) };
        self.accounts[index]
    }

    fn amount(&self) -> u64 {
        self.ground.dice.between(1, AMOUNT_MAX)
    }

    fn shard_of(&self, account: Customers) -> ShardId {
        self.slots.shard_of(slot(account.id))
    }

    /// Another account that this one can pay; itself if there is none, which the bank rejects.
    fn other(&self, account: Customers) -> Customers {
        let stays = self.ground.dice.happens(1_000);
        let others = self.accounts.iter().filter(|other| {
            let is_near = !stays || self.shard_of(**other) == self.shard_of(account);
            other.id != account.id && other.currency == account.currency && is_near
        });
        let others: Vec<Customers> = others.copied().collect();
        self.ground.dice.pick(&others).copied().unwrap_or(account)
    }

    fn deposit(&self) -> Movement {
        let to = self.any();
        self.movement(TransferKind::Deposit, to, vec![(to.account(), to.account(), self.amount())])
    }

    fn withdrawal(&self) -> Movement {
        let from = self.any();
        self.movement(TransferKind::Withdrawal, from, vec![(from.account(), from.account(), self.amount())])
    }

    fn movement(&self, kind: TransferKind, of: Customers, legs: Vec<(AccountId, AccountId, u64)>) -> Movement {
        Movement { kind, currency: of.currency, legs, forced: self.ground.dice.happens(200) }
    }

    fn transfer(&self, legs: u64) -> Movement {
        let from = self.any();
        let leg = |_| {
            let to = self.other(from);
            let turned = 1 < legs && self.ground.dice.happens(3_000);
            let (from, to) = if turned { (to, from) } else { (from, to) };
            (from.account(), to.account(), self.amount())
        };
        let legs = (0..legs).map(leg).collect();
        self.movement(TransferKind::Transfer, from, legs)
    }

    /// Some quotes are over before the request comes, and some accounts have too little: the bank says no to those.
    fn exchange(&self) -> Ask {
        let dice = &self.ground.dice;
        let from = self.any();
        let others: Vec<Customers> =
            self.accounts.iter().filter(|other| other.currency != from.currency).copied().collect();
        let Some(to) = dice.pick(&others) else { return Ask::Move(self.transfer(1)) };
        let now = Timestamp::from_microseconds(self.ground.scheduler.now_us()).unwrap_or_default();
        let hold = lock(&self.known).held.get(&from.id).copied().filter(|_| dice.happens(3_000));
        let sold = hold.map_or_else(|| self.amount(), |(_, held)| held);
        Ask::Exchange(Swap {
            from: from.account(),
            to: to.account(),
            currencies: (from.currency, to.currency),
            sold,
            bought: self.amount(),
            result: dice.below(20),
            expires_at: now.saturating_add(dice.between(1, 60_000_000)),
            hold: hold.map(|(hold, _)| hold),
        })
    }

    fn queued(&self) -> Movement {
        let movement = match self.ground.dice.below(4) {
            0 => self.deposit(),
            1 => self.withdrawal(),
            _ => self.transfer(1),
        };
        Movement { forced: false, ..movement }
    }

    fn redrive(&self) -> Ask {
        let letter = self.ground.dice.pick(&lock(&self.known).letters).copied();
        letter.map_or_else(|| Ask::Event(self.queued()), Ask::Redrive)
    }

    fn hold(&self) -> Ask {
        let dice = &self.ground.dice;
        let from = self.any();
        let to = dice.happens(6_000).then(|| self.other(from).account());
        let now = Timestamp::from_microseconds(self.ground.scheduler.now_us()).unwrap_or_default();
        let expires_at = dice.happens(5_000).then(|| now.saturating_add(dice.between(1, 20_000_000)));
        Ask::Hold { from: from.account(), to, currency: from.currency, amount: self.amount(), expires_at }
    }

    fn known_hold(&self) -> Option<HoldId> {
        self.ground.dice.pick(&lock(&self.known).holds).copied()
    }

    fn capture(&self) -> Ask {
        let dice = &self.ground.dice;
        let Some(hold) = self.known_hold() else { return self.hold() };
        Ask::Capture { hold, amount: dice.happens(6_000).then(|| self.amount()), is_final: dice.happens(6_000) }
    }

    fn reversal(&self) -> Ask {
        let dice = &self.ground.dice;
        let transfer = dice.pick(&lock(&self.known).transfers).copied();
        match transfer {
            Some(transfer) => Ask::Reverse { transfer, forced: dice.happens(1_000) },
            None => Ask::Move(self.deposit()),
        }
    }

    fn cancellation(&self) -> Ask {
        let begun = self.ground.dice.pick(&lock(&self.known).begun).copied();
        begun.map_or_else(|| Ask::Move(self.transfer(1)), Ask::Cancel)
    }

    fn limit(&self) -> Ask {
        let dice = &self.ground.dice;
        let limit = |most| dice.happens(6_000).then(|| dice.between(1, most));
        Ask::Limit { account: self.any().account(), per_transfer: limit(300), daily: limit(2_000) }
    }

    fn opening(&self) -> Ask {
        let of = self.any();
        Ask::Open { account: None, customer: of.customer(), currency: of.currency, overdraft: 0 }
    }
}
