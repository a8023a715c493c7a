//! Several shards on one bench: the store under test is one of them, stores in memory play the others, and the claims
//! carry the messages themselves.

use super::ask;
use super::bench::{Bench, submit_to};
use crate::model::{Identity, MemoryStore};
use crate::query::{EntryQuery, PAGE_MAX, SagaQuery, TransferStatus, TransferView, saga_step};
use crate::{Answer, EntryRef, Request, Store};
use ledger::account::{Account, SystemAccount, SystemKind};
use ledger::command::{Between, Command, Freeze, OpenSystemAccount, Receive};
use ledger::currency::Currency;
use ledger::event::{Event, Outcome};
use ledger::ids::{AccountId, Sequence, ShardId, TransferId, slot};
use ledger::rejection::Rejection;
use ledger::saga::{Envelope, Message, Route, SagaStep, StepKind, messages};
use ledger::slots::{SlotSet, Slots};
use ledger::time::Timestamp;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// How many shards a net has: the home of its sagas is the first.
pub const PLACES: usize = 3;
/// How many accounts of customers each has.
pub const ACCOUNTS: u64 = ACCOUNTS_EACH as u64;
const ACCOUNTS_EACH: usize = 4;
/// How many ids each net of a bench may choose from.
const IDS_OF_NET: u64 = 1000;
/// How often the counters are looked at until they are right.
const LOOKS_AT_COUNTERS: u32 = 100_000;
/// What each of them has at the start.
pub const START_BALANCE: u64 = 1000;

/// See the module.
#[derive(Debug)]
pub struct Net<'a> {
    /// The bench with the store under test.
    pub bench: &'a mut Bench,
    peers: BTreeMap<usize, MemoryStore>,
    shards: [ShardId; PLACES],
    /// The customer of each place, and the numbers of the accounts that are there.
    owners: [u64; PLACES],
    numbers: [[u64; ACCOUNTS_EACH]; PLACES],
    /// Accounts that moved, and where they are.
    moved_to: BTreeMap<AccountId, usize>,
    /// A contra account of each place.
    contra: Vec<AccountId>,
    /// How far the journals were before, and what was read of them since.
    heads: [Sequence; PLACES],
    entries: RefCell<[Vec<EntryRef>; PLACES]>,
    /// Parts that the claim refuses, as if the rule book failed on them.
    pub refusing: Vec<usize>,
}

/// What has to be the same after a saga that failed. Versions and revisions tell of it, figures do not.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    balances: Vec<(AccountId, i128)>,
    /// Held, active holds, next expiry, debits of day and month, open sagas.
    reserved: Vec<(AccountId, u64, u32, Timestamp, u128, u128, u32)>,
}

impl<'a> Net<'a> {
    /// A net with the store under test at this place. Nets of one bench have different numbers.
    ///
    /// # Panics
    /// On a fault, as all of these: nothing here is meant to fail.
    pub async fn new(bench: &'a mut Bench, own: usize, number: u64) -> Net<'a> {
        let identity = bench.identity();
        let mut free = (0u16..1024)
            .filter(|shard| *shard != identity.shard.number())
            .skip(usize::try_from(number).expect("few nets") * PLACES);
        let shards = std::array::from_fn(|place| {
            let mut peer = || free.next().and_then(ShardId::new).expect("1,024 shards are enough for a claim");
            if place == own { identity.shard } else { peer() }
        });
        let peer = |place: usize| {
            let slots = SlotSet::of(|_| true);
            (place, MemoryStore::new(Identity { shard: shards[place], slots, ..Identity::only_shard() }, bench.clock()))
        };
        let peers = (0..PLACES).filter(|place| *place != own).map(peer).collect();
        let slots = bench.store().slots().await.expect("the store answers");
        let (owners, numbers) = ids_of_net(&slots, own, number);
        let heads = std::array::from_fn(|place| if place == own { bench.store().head() } else { 0 });
        let (moved_to, contra, refusing, entries) = Default::default();
        let mut net = Net { bench, peers, shards, owners, numbers, moved_to, contra, heads, entries, refusing };
        net.open().await;
        net
    }

    async fn open(&mut self) {
        for place in 0..PLACES {
            let owner = self.owners[place];
            let mut commands = vec![ask::register(owner, "Owner")];
            for account in 1..=ACCOUNTS {
                let number = self.number(place, account);
                commands.push(ask::open(Some(number), owner, "EUR", 0));
                commands.push(ask::deposit_at(self.shards[place], number, START_BALANCE));
            }
            let open = OpenSystemAccount { kind: SystemKind::Atm, name: "Atm".into(), currency: euro() };
            commands.push(Command::OpenSystemAccount(Box::new(open)));
            let requests = commands.into_iter().map(|command| self.bench.request(command)).collect();
            let answers = submit_to(self.store(place), requests, false).await;
            let is_done = |answer: &Answer| matches!(answer.outcome(), Some(Outcome::Event(_)));
            assert!(answers.iter().all(is_done), "accounts open: {answers:?}");
            let Some(Outcome::Event(Event::AccountChanged(changed))) = answers.last().and_then(Answer::outcome) else {
                panic!("a contra account opens: {answers:?}")
            };
            self.contra.push(changed.account.id);
        }
    }

    /// The number of an account of a customer: 1 to [`ACCOUNTS`] at each place.
    pub fn number(&self, place: usize, account: u64) -> u64 {
        self.numbers[place][usize::try_from(account - 1).expect("one of a few")]
    }

    /// The customer that a place's accounts belong to.
    pub fn owner(&self, place: usize) -> u64 {
        self.owners[place]
    }

    /// The contra account of a place.
    pub fn contra(&self, place: usize) -> AccountId {
        self.contra[place]
    }

    /// The store at a place.
    pub fn store(&self, place: usize) -> &dyn Store {
        match self.peers.get(&place) {
            Some(peer) => peer,
            None => self.bench.store(),
        }
    }

    /// Which shard a place is.
    pub fn shard(&self, place: usize) -> ShardId {
        self.shards[place]
    }

    fn place_of(&self, account: AccountId) -> usize {
        match SystemAccount::from_id(account) {
            Some(system) => self.shards.iter().position(|shard| *shard == system.shard).expect("a place of the net"),
            None if self.moved_to.contains_key(&account) => self.moved_to[&account],
            None => {
                let is_there = |numbers: &[u64; ACCOUNTS_EACH]| numbers.contains(&account.number());
                self.numbers.iter().position(is_there).expect("an account of the net")
            }
        }
    }

    /// An account is at another place from now on.
    pub fn note_move(&mut self, account: AccountId, to: usize) {
        self.moved_to.insert(account, to);
    }

    /// Asks one thing of a place, with a new key.
    pub async fn ask(&mut self, place: usize, command: Command) -> Answer {
        let request = self.bench.request(command);
        submit_to(self.store(place), vec![request], false).await.remove(0)
    }

    /// The command with the places of accounts that are not at the first.
    pub fn between(&self, command: Command, accounts: &[AccountId]) -> Command {
        self.between_with(command, accounts, None)
    }

    /// As [`Net::between`], for what repeats an event.
    pub fn between_with(&self, command: Command, accounts: &[AccountId], payload: Option<&[u8]>) -> Command {
        let mut named: Vec<AccountId> = accounts.to_vec();
        named.sort();
        named.dedup();
        let elsewhere = named.into_iter().map(|account| (account, self.place_of(account)));
        let routes = elsewhere
            .filter(|(_, place)| *place != 0)
            .map(|(account, place)| Route { account, shard: self.shards[place] })
            .collect();
        Command::Between(Box::new(Between { command, routes, payload: payload.map(Box::from) }))
    }

    /// Every message that one place has had for another since the net is there, in order.
    pub async fn told(&self, from: usize, to: usize) -> Vec<Envelope> {
        let journal = self.entries_of_net(from).await;
        let all = journal.iter().flat_map(|entry| messages(self.shards[from], entry));
        all.filter(|envelope| envelope.to == self.shards[to]).collect()
    }

    /// Those that were not taken yet.
    pub async fn untaken(&self, from: usize, to: usize) -> Vec<Envelope> {
        let received = self.store(to).positions().await.expect("the store answers").received;
        let last = received.get(&self.shards[from]).map_or(0, |position| position.number);
        self.told(from, to).await.into_iter().filter(|envelope| last < envelope.position.number).collect()
    }

    /// Hands a message over. The step it led to; the number that is expected instead, when it is not the next.
    pub async fn hand(&self, envelope: &Envelope) -> Result<SagaStep, u64> {
        let to = self.shards.iter().position(|shard| *shard == envelope.to).expect("a place of the net");
        let asks = matches!(envelope.message, Message::Take(_));
        let refused = (asks && self.refusing.contains(&to)).then_some(Rejection::InvariantBroken);
        let command = Command::Receive(Box::new(Receive { envelope: envelope.clone(), refused }));
        let answer = submit_to(self.store(to), vec![Request { key: None, command }], false).await.remove(0);
        match answer.outcome() {
            Some(Outcome::Event(Event::Saga(step))) => Ok((**step).clone()),
            Some(Outcome::Rejection { rejection: Rejection::MessageOutOfOrder { expected }, .. }) => Err(*expected),
            _ => panic!("a message is taken or not the next: {answer:?}"),
        }
    }

    /// Hands over the next message there is, the pairs in turn; its step, `None` when all were taken.
    pub async fn carry_one(&self) -> Option<SagaStep> {
        for (from, to) in pairs() {
            if let Some(next) = self.untaken(from, to).await.first() {
                return Some(self.hand(next).await.expect("the next message is taken"));
            }
        }
        None
    }

    /// Carries messages until there are none left.
    pub async fn carry_all(&self) -> Vec<StepKind> {
        let mut kinds = Vec::new();
        while let Some(step) = self.carry_one().await {
            kinds.push(step.kind);
        }
        kinds
    }

    /// Carries as a bad bus does: of each pair the last message first, then each message three times, then all there
    /// ever were, once more.
    pub async fn carry_badly(&self) {
        loop {
            let mut moved = false;
            for (from, to) in pairs() {
                let untaken = self.untaken(from, to).await;
                for envelope in untaken.iter().skip(1).rev() {
                    let expected = untaken[0].position.number;
                    assert_eq!(self.hand(envelope).await.err(), Some(expected), "a gap tells what is expected");
                }
                for envelope in &untaken {
                    self.hand(envelope).await.expect("the next message is taken");
                    for _ in 0..2 {
                        let expected = self.hand(envelope).await.expect_err("a message is taken once");
                        assert_eq!(expected, envelope.position.number + 1);
                    }
                    moved = true;
                }
            }
            if !moved {
                break;
            }
        }
        for (from, to) in pairs() {
            for envelope in self.told(from, to).await {
                self.hand(&envelope).await.expect_err("a message is taken once");
            }
        }
    }

    /// The entries of a place since the net is there. Each is read once.
    pub async fn entries_of_net(&self, place: usize) -> Vec<EntryRef> {
        let mut entries = std::mem::take(&mut self.entries.borrow_mut()[place]);
        let after = entries.last().map_or(self.heads[place], |entry| entry.header.sequence);
        entries.extend(self.entries_after(place, after).await);
        self.entries.borrow_mut()[place].clone_from(&entries);
        entries
    }

    /// The journal of a place.
    pub async fn journal(&self, place: usize) -> Vec<EntryRef> {
        self.entries_after(place, 0).await
    }

    async fn entries_after(&self, place: usize, mut after: Sequence) -> Vec<EntryRef> {
        let mut entries: Vec<EntryRef> = Vec::new();
        loop {
            let query = EntryQuery { after, limit: PAGE_MAX };
            let more = self.store(place).entries(query).await.expect("the store answers");
            let Some(last) = more.last() else { return entries };
            after = last.header.sequence;
            entries.extend(more);
        }
    }

    /// The counters tell what is open between shards: transfers whose home a place is, the oldest of them, and parts
    /// that it prepared for others. An engine may count now and then only, so that this waits for it.
    pub async fn assert_counters(&self, place: usize, what: &str) {
        let query = SagaQuery { until: Timestamp::MAX, before: None, limit: PAGE_MAX };
        let open = self.store(place).open_sagas(query).await.expect("the store answers").items;
        let oldest = open.iter().map(|saga| saga.started_at).min();
        let expected = (open.len() as u64, oldest, parts_after(&self.entries_of_net(place).await));
        let mut counted = None;
        for _ in 0..LOOKS_AT_COUNTERS {
            let stats = self.store(place).stats();
            counted = Some((stats.sagas_open, stats.oldest_saga, stats.parts_open));
            if counted == Some(expected) {
                return;
            }
            // Takes its time in an engine that counts in the background.
            self.store(place).positions().await.expect("the store answers");
        }
        panic!("{what}: place {place} counts {counted:?} and has {expected:?}");
    }

    /// An account of a customer as it is now.
    pub async fn account(&self, place: usize, account: u64) -> Account {
        let id = ask::account(self.number(place, account));
        let row = self.store(place).account(id, self.bench.now()).await.expect("the store answers");
        row.unwrap_or_else(|| panic!("account {id} is at place {place}"))
    }

    /// What a place has of a transfer.
    pub async fn view(&self, place: usize, id: TransferId) -> Option<TransferView> {
        self.store(place).transfer(id).await.expect("the store answers")
    }

    /// How far a transfer is, as its home says.
    pub async fn status(&self, id: TransferId) -> TransferStatus {
        self.view(0, id).await.expect("its home knows it").status()
    }

    /// Freezes an account of a customer in full, or ends that.
    pub async fn freeze(&mut self, place: usize, account: u64, is_frozen: bool) {
        let account = ask::account(self.number(place, account));
        let kind = Some(ledger::account::FreezeKind::Full);
        let command = match is_frozen {
            true => Command::Freeze(Box::new(Freeze { account, kind, reason: None })),
            false => Command::Unfreeze(account),
        };
        let answer = self.ask(place, command).await;
        assert!(matches!(answer.outcome(), Some(Outcome::Event(_))), "{answer:?}");
    }

    /// All figures of all places.
    pub async fn figures(&self) -> Figures {
        let mut figures = Figures { balances: Vec::new(), reserved: Vec::new() };
        for place in 0..PLACES {
            for account in 1..=ACCOUNTS {
                let row = self.account(place, account).await;
                let (_, of_day, of_month) = row.debits.on(self.bench.now().day()).parts();
                let (held, active, expiry) = (row.held, row.holds_active, row.next_expiry);
                figures.balances.push((row.id, row.balance));
                figures.reserved.push((row.id, held, active, expiry, of_day, of_month, row.sagas_open));
            }
            for row in self.store(place).system_accounts().await.expect("the store answers") {
                let known = SystemAccount::from_id(row.id).is_some_and(|system| self.shards[place] == system.shard);
                assert!(known, "account {} is of another shard", row.id);
                if row.balance != 0 {
                    figures.balances.push((row.id, row.balance));
                }
            }
        }
        figures
    }

    /// How far the accounts of customers and the contra accounts are from their start.
    pub async fn moved(&self) -> BTreeMap<AccountId, i128> {
        let mut moved = BTreeMap::new();
        for place in 0..PLACES {
            for account in 1..=ACCOUNTS {
                let row = self.account(place, account).await;
                moved.insert(row.id, row.balance - i128::from(START_BALANCE));
            }
            for row in self.store(place).system_accounts().await.expect("the store answers") {
                if self.contra.contains(&row.id) {
                    moved.insert(row.id, row.balance);
                }
            }
        }
        moved.retain(|_, moved| *moved != 0);
        moved
    }

    /// The balance of a place's clearing account with another.
    pub async fn clearing(&self, place: usize, other: usize) -> i128 {
        let ordinal = self.shards[other].number();
        let account =
            SystemAccount { shard: self.shards[place], kind: SystemKind::Clearing, currency: euro(), ordinal };
        let row = self.store(place).account(account.id(), self.bench.now()).await.expect("the store answers");
        row.map_or(0, |row| row.balance)
    }

    /// Nothing is under way: no row is left, clearing accounts of each pair are even, and every shard's sum is zero.
    pub async fn assert_quiet(&self, what: &str) {
        for place in 0..PLACES {
            let query = SagaQuery { until: Timestamp::MAX, before: None, limit: PAGE_MAX };
            let open = self.store(place).open_sagas(query).await.expect("the store answers");
            assert!(open.items.is_empty(), "{what}: place {place} has open sagas: {:?}", open.items);
            assert_eq!(parts_after(&self.entries_of_net(place).await), 0, "{what}: parts are left at place {place}");
            self.assert_counters(place, what).await;
            for account in 1..=ACCOUNTS {
                assert_eq!(self.account(place, account).await.sagas_open, 0, "{what}: place {place}, {account}");
            }
            assert_eq!(self.clearing(place, place).await, 0, "{what}: something waits at place {place}");
        }
        for (one, other) in pairs() {
            let sum = self.clearing(one, other).await + self.clearing(other, one).await;
            assert_eq!(sum, 0, "{what}: clearing of {one} and {other}");
        }
        self.assert_even(what).await;
    }

    /// The sum of each shard is zero.
    pub async fn assert_even(&self, what: &str) {
        for place in 0..PLACES {
            let store = self.store(place);
            let own = store.system_accounts().await.expect("the store answers");
            let customers = store.customer_sums().await.expect("the store answers");
            let customers: i128 =
                customers.iter().filter(|(currency, _)| *currency == euro()).map(|(_, sum)| *sum).sum();
            let own: i128 = own.iter().filter(|row| row.currency == euro()).map(|row| row.balance).sum();
            assert_eq!(own + customers, 0, "{what}: the sum at place {place}");
        }
    }
}

/// Ids for each place's customer and accounts: in slots of the shard under test at its own place, in those of others
/// elsewhere, unless it was dealt all. Nets of one bench have different ones.
fn ids_of_net(slots: &Slots, own: usize, number: u64) -> ([u64; PLACES], [[u64; ACCOUNTS_EACH]; PLACES]) {
    let has_all = (0..ledger::ids::SLOTS).all(|slot| slots.dealt.contains(slot));
    let mut candidates: Vec<u64> = (0..IDS_OF_NET).map(|more| IDS_OF_NET * (number + 1) + more).collect();
    let mut take = |place: usize| {
        let fits = |id: &u64| {
            let is_own = slots.contains(slot(*id)) == (place == own) || (has_all && place != own);
            is_own && !slots.placed.contains_key(&slot(*id))
        };
        let found = candidates.iter().position(fits).expect("there are ids of every shard among a thousand");
        candidates.remove(found)
    };
    let owners = std::array::from_fn(&mut take);
    (owners, std::array::from_fn(|place| std::array::from_fn(|_| take(place))))
}

/// How many parts of other shards' sagas these entries leave open.
fn parts_after(entries: &[EntryRef]) -> u64 {
    let mut open = BTreeSet::new();
    for step in entries.iter().filter_map(saga_step) {
        match step.kind {
            StepKind::Prepared => drop(open.insert(step.saga)),
            StepKind::Posted | StepKind::Released => drop(open.remove(&step.saga)),
            _ => {}
        }
    }
    open.len() as u64
}

fn euro() -> Currency {
    ask::currency("EUR")
}

/// Each pair of places, in both directions.
pub fn pairs() -> impl Iterator<Item = (usize, usize)> {
    (0..PLACES).flat_map(|from| (0..PLACES).filter(move |to| *to != from).map(move |to| (from, to)))
}

/// The step that an answer is.
///
/// # Panics
/// When it is none.
#[track_caller]
pub fn step_of(answer: &Answer) -> &SagaStep {
    match answer.outcome() {
        Some(Outcome::Event(Event::Saga(step))) => step,
        _ => panic!("expected a step of a saga: {answer:?}"),
    }
}
