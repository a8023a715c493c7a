//! The store that keeps everything in memory: a working set, a list of entries, and a lock around both.
//!
//! It is the oracle for the other engines, so it takes the shortest way everywhere: one command at a time, every
//! question about history answered by walking the whole journal. Nothing is durable, so nothing waits; all other
//! promises of a [`Store`](crate::Store) hold. What a restart would find is what [`MemoryStore::entries_so_far`] returns and
//! [`MemoryStore::from_entries`] takes.

mod read;
mod verify;

use crate::query::transfers_in;
use crate::{Answer, EntryRef, Request, Submission, TransferRef};
use ledger::command::{Command, footprint};
use ledger::event::{Channel, Context, Entry, Header, Key, Outcome};
use ledger::ids::{AccountId, Sequence, ShardId, TransferId};
use ledger::rejection::Rejection;
use ledger::time::Timestamp;
use ledger::working_set::{SlotSet, WorkingSet};
use ledger::{Decision, apply, dry_run, record, replay};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// What tells a store the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Of the tables' hashes. Nobody attacks a model.
const SEED: u64 = 0x464c_4f52_494e;

/// Which shard a store in memory is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its number.
    pub shard: ShardId,
    /// The slots it owns.
    pub slots: SlotSet,
    /// The bank's secret.
    pub secret: [u8; 32],
}

impl Identity {
    /// The only shard of a bank, with a secret that is none.
    pub fn only_shard() -> Identity {
        Identity { shard: ShardId::default(), slots: SlotSet::of(|_| true), secret: [7; 32] }
    }

    fn empty_set(&self) -> WorkingSet {
        WorkingSet::new(self.shard, self.slots.clone(), SEED)
    }
}

/// See the module.
pub struct MemoryStore {
    identity: Identity,
    clock: Clock,
    state: Mutex<State>,
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStore").field("shard", &self.identity.shard).finish_non_exhaustive()
    }
}

/// What the lock guards.
#[derive(Debug)]
struct State {
    set: WorkingSet,
    entries: Vec<EntryRef>,
    commits: u64,
    poison_commands: u64,
    /// Who waits for entries.
    waiting: Vec<Waker>,
    /// Who has the relay lease, and until when.
    lease: Option<(u128, Timestamp)>,
}

impl MemoryStore {
    /// An empty shard.
    pub fn new(identity: Identity, clock: Clock) -> MemoryStore {
        MemoryStore::from_entries(identity, clock, Vec::new())
    }

    /// A shard with this journal, as after a restart: its state is replayed.
    ///
    /// # Panics
    /// When the entries are no journal of the shard.
    pub fn from_entries(identity: Identity, clock: Clock, entries: Vec<EntryRef>) -> MemoryStore {
        let set = replayed(&identity, &entries);
        let state = State { set, entries, commits: 0, poison_commands: 0, waiting: Vec::new(), lease: None };
        MemoryStore { identity, clock, state: Mutex::new(state) }
    }

    /// The whole journal.
    pub fn entries_so_far(&self) -> Vec<EntryRef> {
        self.state().entries.clone()
    }

    /// A panic of the rule book is caught while the lock is held, so nobody ever leaves half a change behind it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decide_all(&self, submission: &Submission) -> Vec<Answer> {
        let state = &mut *self.state();
        let head = state.set.sequence;
        let answers = submission.requests.iter().map(|request| self.decide(state, submission, request)).collect();
        state.commits += u64::from(head < state.set.sequence);
        answers
    }

    fn decide(&self, state: &mut State, submission: &Submission, request: &Request) -> Answer {
        let now = (self.clock)().max(state.set.time);
        let attempt = AssertUnwindSafe(|| state.attempt(now, submission, request));
        let answer = catch_unwind(attempt).unwrap_or_else(|_| {
            state.poison_commands += 1;
            state.set = replayed(&self.identity, &state.entries);
            state.reject_for_good(now, submission, request.key)
        });
        state.set.transfers.clear();
        answer
    }
}

fn replayed(identity: &Identity, entries: &[EntryRef]) -> WorkingSet {
    let mut set = identity.empty_set();
    entries.iter().for_each(|entry| replay(&mut set, entry));
    set
}

impl State {
    fn attempt(&mut self, now: Timestamp, submission: &Submission, request: &Request) -> Answer {
        let command = &request.command;
        self.load_transfers(command);
        if submission.dry_run {
            let header = self.header(now, &submission.context, None);
            return Answer::Unrecorded(Box::new(dry_run(&mut self.set, &header, command)));
        }
        let is_known = request.key.is_some_and(|key| self.set.keys.get(key.digest).is_some());
        if !is_known {
            self.expire_due_holds(now, command);
        }
        let header = self.header(now, &submission.context, request.key);
        match apply(&mut self.set, &header, command) {
            Decision::Recorded(outcome) => self.add(header, outcome),
            Decision::Unrecorded(outcome) => Answer::Unrecorded(Box::new(outcome)),
            Decision::Replayed(sequence) => Answer::Replayed(self.known_entry(sequence)),
            Decision::KeyReused => Answer::KeyReused,
        }
    }

    fn header(&self, time: Timestamp, context: &Arc<Context>, key: Option<Key>) -> Header {
        Header { sequence: self.set.sequence + 1, time, day: time.day(), key, context: context.clone() }
    }

    fn add(&mut self, header: Header, outcome: Outcome) -> Answer {
        let entry = EntryRef::single(Entry { header, outcome });
        self.entries.push(entry.clone());
        self.waiting.drain(..).for_each(Waker::wake);
        Answer::Recorded(entry)
    }

    /// The command made the rule book fail. With a key, that is its answer from now on.
    fn reject_for_good(&mut self, now: Timestamp, submission: &Submission, key: Option<Key>) -> Answer {
        let outcome = Outcome::Rejection { index: 0, rejection: Rejection::InvariantBroken };
        if submission.dry_run || key.is_none() {
            return Answer::Unrecorded(Box::new(outcome));
        }
        let header = self.header(now, &submission.context, key);
        record(&mut self.set, &header, &outcome);
        self.add(header, outcome)
    }

    /// Before a command the holds of its accounts whose time is over are recorded so.
    fn expire_due_holds(&mut self, now: Timestamp, command: &Command) {
        let timer =
            Context { principal: "florin".into(), channel: Channel::Timer, correlation: "".into(), cause: None };
        let timer = Arc::new(timer);
        for account in self.accounts_of(command) {
            for hold in self.set.due_holds(account, now) {
                let header = self.header(now, &timer, None);
                if let Decision::Recorded(outcome) = apply(&mut self.set, &header, &Command::ExpireHold(hold)) {
                    self.add(header, outcome);
                }
            }
        }
    }

    /// The accounts a command touches: those it names, those of holds it names, those of transfers it names. An expiry
    /// is recorded by the command itself.
    fn accounts_of(&self, command: &Command) -> Vec<AccountId> {
        if matches!(command, Command::ExpireHold(_)) {
            return Vec::new();
        }
        let footprint = footprint(command);
        let of_holds = footprint.holds.iter().filter_map(|hold| Some(self.set.hold(*hold)?.from));
        let transfers = footprint.transfers.iter().filter_map(|id| self.set.transfers.get(id));
        let of_transfers = transfers.flat_map(|row| row.transferred.postings.iter().map(|posting| posting.account));
        let mut accounts: Vec<AccountId> =
            footprint.accounts.iter().copied().chain(of_holds).chain(of_transfers).collect();
        accounts.sort();
        accounts.dedup();
        accounts
    }

    fn load_transfers(&mut self, command: &Command) {
        for id in footprint(command).transfers {
            if let Some(row) = self.find_transfer(id).and_then(|found| self.view(found)?.row()) {
                self.set.transfers.insert(id, row);
            }
        }
    }

    /// The first entry about a transfer.
    fn find_transfer(&self, id: TransferId) -> Option<TransferRef> {
        self.entries.iter().find_map(|entry| transfers_in(entry, id))
    }

    /// Every transfer, newest first.
    fn all_transfers(&self) -> impl Iterator<Item = TransferRef> {
        self.entries.iter().rev().flat_map(|entry| {
            let count = crate::transfers_of(&entry.outcome).len();
            (0..count).rev().map(|index| TransferRef { entry: entry.clone(), index })
        })
    }

    fn entry(&self, sequence: Sequence) -> Option<&EntryRef> {
        let place = usize::try_from(sequence.checked_sub(1)?).ok()?;
        self.entries.get(place)
    }

    fn known_entry(&self, sequence: Sequence) -> EntryRef {
        self.entry(sequence).cloned().expect("a key's entry is in the journal it was recorded in")
    }
}
