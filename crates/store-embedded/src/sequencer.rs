//! The sequencer: one thread per shard that gives commands their order.
//!
//! 1. It takes what is waiting, up to [`BATCH_REQUESTS_MAX`] requests and `block_bytes_max` bytes. When that is little, it
//!    first lets the block in flight become durable, so that what comes in meanwhile joins.
//! 2. It reserves room for the largest block these could become, so that a full disk is met before anything is applied.
//! 3. It applies them on the resident rows, in order, each on its own.
//! 4. It hands the entries to the writer, and waits if that one still has a block that is not synced.
//!
//! A command that makes the rule book panic takes nothing with it: the unwritten batch is thrown away, the rows are
//! copied anew from what is published, and the batch runs again with that command rejected for good.

use crate::error::StorageError;
use crate::health::{Health, Resolved};
use crate::published::Published;
use crate::segment::block_bytes;
use crate::segment::room::{Reservation, SegmentRoom};
use crate::snapshot::copy_of;
use ledger::command::Command;
use ledger::event::{Channel, Context, Entry, Header, Outcome};
use ledger::ids::{AccountId, HoldId, Sequence, TransferId};
use ledger::key_table::{KeyRow, KeyTable};
use ledger::rejection::Rejection;
use ledger::saga::{Message as SagaMessage, Order, Ordered, Sagas};
use ledger::time::Timestamp;
use ledger::transfer::{Note, Transfer, TransferRow};
use ledger::working_set::WorkingSet;
use ledger::{Decision, apply, dry_run};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, LazyLock};
use store::{Answer, Fault, Request, Submission};
use tokio::sync::oneshot;

/// Most requests in one block.
pub const BATCH_REQUESTS_MAX: usize = 8192;
/// Most holds whose expiry is recorded in one block along with other commands.
pub const EXPIRED_PER_BLOCK_MAX: usize = 4096;

/// Fewer requests than this wait for the block in flight before they become one; more are decided while it is written.
const FEW_REQUESTS: u64 = 1024;
/// Requests whose rows are read ahead together: enough that their waits for memory overlap, few enough that the first
/// are still at hand when the last are.
const WARM_REQUESTS: usize = 32;

/// The clock of a shard.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;
/// Called before each command is applied; tests make it panic.
pub type BeforeApply = Arc<dyn Fn(&Command) + Send + Sync>;
/// Where the answers to a submission go.
pub type Reply = oneshot::Sender<Result<Vec<Answer>, Fault>>;

/// A submission whose older keys and transfers were looked up.
#[derive(Debug)]
pub struct Job {
    /// What is asked.
    pub submission: Submission,
    /// Keys found in runs.
    pub keys: Vec<(u128, KeyRow)>,
    /// Transfers that its commands name.
    pub transfers: Vec<TransferRow>,
    /// The generation of the runs that were asked.
    pub generation: u64,
    /// Who waits.
    pub reply: Reply,
    /// Most bytes its entries can take.
    bytes: u64,
}

impl Job {
    /// A job of this submission.
    pub(crate) fn new(
        submission: Submission,
        keys: Vec<(u128, KeyRow)>,
        transfers: Vec<TransferRow>,
        generation: u64,
        reply: Reply,
        bytes: u64,
    ) -> Job {
        Job { submission, keys, transfers, generation, reply, bytes }
    }
}

/// What the sequencer is told.
#[derive(Debug)]
pub enum Message {
    /// Do this.
    Job(Box<Job>),
    /// Finish what came before, then end.
    Stop,
}

/// What became of one request, before its block is durable.
#[derive(Debug)]
pub enum Planned {
    /// The entry at this place of the block.
    Recorded(usize),
    /// An entry of this block or before it.
    Replayed(Sequence),
    /// No entry.
    Unrecorded(Box<Outcome>),
    /// The key was used for something else.
    KeyReused,
}

/// A block to be, and who waits for it.
#[derive(Debug)]
pub struct Work {
    /// Its entries; none if nothing had to be recorded.
    pub entries: Vec<Entry>,
    /// The id given out last before them.
    pub ids_before: u64,
    /// Room for it.
    pub reservation: Option<Reservation>,
    /// Who waits, and for what.
    pub replies: Vec<(Reply, Vec<Planned>)>,
    /// Whether the tail becomes runs after this block.
    pub ends_run: bool,
}

/// See the module.
pub struct Sequencer {
    /// The resident rows.
    pub set: WorkingSet,
    /// What comes in.
    pub jobs: Receiver<Message>,
    /// Where blocks go.
    pub writer: SyncSender<Work>,
    /// Room in the journal.
    pub room: SegmentRoom,
    /// What is durable.
    pub published: Arc<Published>,
    /// The shard's health.
    pub health: Arc<Health>,
    /// Submissions on their way here.
    pub resolved: Arc<Resolved>,
    /// The time.
    pub clock: Clock,
    /// Seed of the tables.
    pub seed: u64,
    /// Most bytes in one block, unless a single command needs more.
    pub block_bytes_max: u64,
    /// Entries after which a tail becomes runs.
    pub run_entries: u64,
    /// A test's hook, called before a command that was not answered before.
    pub before_apply: Option<BeforeApply>,
    /// Entries since the tail last became runs.
    pub entries_in_tail: u64,
    /// Generations of keys that were forgotten.
    pub retired: u64,
}

static TIMER: LazyLock<Arc<Context>> = LazyLock::new(|| {
    Arc::new(Context { principal: "florin".into(), channel: Channel::Timer, correlation: "".into(), cause: None })
});

impl Sequencer {
    /// Runs until it is told to stop, or nobody is left to tell it anything.
    pub fn run(mut self) {
        let mut carried = None;
        loop {
            let first = match carried.take() {
                Some(job) => job,
                None => match self.jobs.recv() {
                    Ok(Message::Job(job)) => job,
                    Ok(Message::Stop) | Err(_) => return,
                },
            };
            if self.health.queued.load(Ordering::Relaxed) < FEW_REQUESTS {
                // A sync costs more than so few commands: what comes in while the block in flight is written joins them.
                self.health.wait_for(self.set.sequence);
            }
            let (jobs, next, goes_on) = self.gather(*first);
            carried = next;
            if self.sequence(jobs).is_err() || (!goes_on && carried.is_none()) {
                return;
            }
        }
    }

    /// Takes what else is waiting and fits; what does not is carried over to the next block.
    fn gather(&self, first: Job) -> (Vec<Job>, Option<Box<Job>>, bool) {
        let (mut requests, mut bytes) = (first.submission.requests.len(), first.bytes);
        let mut jobs = vec![first];
        loop {
            match self.jobs.try_recv() {
                Ok(Message::Job(job)) => {
                    requests += job.submission.requests.len();
                    bytes += job.bytes;
                    if BATCH_REQUESTS_MAX < requests || self.block_bytes_max < bytes {
                        return (jobs, Some(job), true);
                    }
                    jobs.push(*job);
                }
                Ok(Message::Stop) => return (jobs, None, false),
                Err(_) => return (jobs, None, true),
            }
        }
    }

    /// Makes a block of the jobs. An error means that the writer is gone.
    fn sequence(&mut self, jobs: Vec<Job>) -> Result<(), ()> {
        self.retire_keys();
        let requests: u64 = jobs.iter().map(|job| job.submission.requests.len() as u64).sum();
        self.health.queued.fetch_sub(requests, Ordering::Relaxed);
        let largest = jobs.iter().map(|job| job.bytes).sum::<u64>();
        let reservation = match self.reserve(largest) {
            Ok(reservation) => reservation,
            Err(fault) => {
                for job in jobs {
                    self.resolved.leave(job.generation);
                    let _gone = job.reply.send(Err(fault.clone()));
                }
                return Ok(());
            }
        };
        let ids_before = self.set.ids.last();
        let sequence_before = self.set.sequence;
        let (entries, planned) = self.apply_all(&jobs, sequence_before);
        self.set.transfers.clear();
        self.set.keys.forget_loaded();
        self.entries_in_tail += entries.len() as u64;
        let ends_run = self.run_entries <= self.entries_in_tail;
        if ends_run {
            self.entries_in_tail = 0;
            self.set.keys.start_generation(usize::try_from(self.run_entries).unwrap_or(0));
        }
        self.health.keys_in_memory.store(self.set.keys.len() as u64, Ordering::Relaxed);
        let mut replies = Vec::with_capacity(jobs.len());
        for (job, planned) in jobs.into_iter().zip(planned) {
            self.resolved.leave(job.generation);
            replies.push((job.reply, planned));
        }
        let work = Work { entries, ids_before, reservation: Some(reservation), replies, ends_run };
        self.writer.send(work).map_err(|_| ())
    }

    fn reserve(&self, largest: u64) -> Result<Reservation, Fault> {
        if self.health.poisoned().is_some() {
            return Err(self.health.unavailable());
        }
        let bytes = block_bytes(largest + EXPIRED_PER_BLOCK_MAX as u64 * ENTRY_BYTES_MAX);
        let mut reserved = self.room.reserve(bytes);
        if let Err(StorageError::TooLarge { .. }) = reserved {
            // Together with the block in flight it is more than a segment: once that one is written it may fit.
            self.health.wait_for(self.set.sequence);
            reserved = self.room.reserve(bytes);
        }
        reserved.map_err(|error| match error {
            StorageError::NoSpace { .. } => Fault::NoSpace,
            error => Fault::Unavailable { reason: error.to_string() },
        })
    }

    /// Keys that a run holds, which every waiting submission could ask, need not be in memory any more.
    fn retire_keys(&mut self) {
        let visible = self.published.runs().generation;
        let asked = self.resolved.oldest().unwrap_or(visible).min(visible);
        while self.retired < asked {
            self.set.keys.retire_generation();
            self.retired += 1;
        }
    }

    /// Applies all requests in order; again, without the culprits, as often as one makes the rule book panic.
    fn apply_all(&mut self, jobs: &[Job], sequence_before: Sequence) -> (Vec<Entry>, Vec<Vec<Planned>>) {
        let mut culprits = BTreeSet::new();
        loop {
            match self.try_apply_all(jobs, &culprits) {
                Ok(done) => return done,
                Err((culprit, entries)) => {
                    culprits.insert(culprit);
                    self.health.poison_commands.fetch_add(1, Ordering::Relaxed);
                    self.reload(sequence_before, &entries);
                }
            }
        }
    }

    /// Throws the batch away: the rows become what is published once the block in flight is, the keys lose the batch's.
    fn reload(&mut self, sequence_before: Sequence, entries: &[Entry]) {
        if !self.health.wait_for(sequence_before) {
            return;
        }
        let mut keys = std::mem::replace(&mut self.set.keys, KeyTable::forgetful(self.seed));
        for key in entries.iter().filter_map(|entry| entry.header.key) {
            keys.forget(key.digest);
        }
        self.set = copy_of(&self.published.state().set, self.seed);
        self.set.keys = keys;
    }

    fn try_apply_all(&mut self, jobs: &[Job], culprits: &BTreeSet<(usize, usize)>) -> Result<Applied, Failed> {
        let now = (self.clock)().max(self.set.time);
        let requests = jobs.iter().map(|job| job.submission.requests.len()).sum();
        let mut made = Made { entries: Vec::with_capacity(requests), expired: 0 };
        let mut planned = Vec::with_capacity(jobs.len());
        for (place, job) in jobs.iter().enumerate() {
            self.load(job);
            let requests = &job.submission.requests;
            let mut of_job = Vec::with_capacity(requests.len());
            for (index, request) in requests.iter().enumerate() {
                if index % WARM_REQUESTS == 0 {
                    self.warm(&requests[index..requests.len().min(index + WARM_REQUESTS)]);
                }
                let is_culprit = culprits.contains(&(place, index));
                let step = || self.step(now, &job.submission, request, is_culprit, &mut made);
                match catch_unwind(AssertUnwindSafe(step)) {
                    Ok(plan) => of_job.push(plan),
                    Err(_) => return Err(((place, index), made.entries)),
                }
            }
            planned.push(of_job);
        }
        Ok((made.entries, planned))
    }

    fn warm(&self, requests: &[Request]) {
        let keys = requests.iter().filter_map(|request| request.key).map(|key| key.digest);
        let legs = requests.iter().flat_map(|request| match &request.command {
            Command::Transfer(transfer) => &*transfer.legs,
            _ => &[],
        });
        self.set.warm(keys, legs.flat_map(|leg| [leg.from, leg.to]));
    }

    fn load(&mut self, job: &Job) {
        for (digest, row) in &job.keys {
            self.set.keys.load(*digest, *row);
        }
        for row in &job.transfers {
            self.set.transfers.insert(row.transferred.id, row.clone());
        }
    }

    fn step(
        &mut self,
        now: Timestamp,
        submission: &Submission,
        request: &Request,
        is_culprit: bool,
        made: &mut Made,
    ) -> Planned {
        let set = &mut self.set;
        let Made { entries, expired } = made;
        if let (true, key) = (is_culprit, request.key) {
            let outcome = Outcome::Rejection { index: 0, rejection: Rejection::InvariantBroken };
            if submission.dry_run || key.is_none() {
                return Planned::Unrecorded(Box::new(outcome));
            }
            let header = Header { key, ..header(set, now, submission.context.clone(), None) };
            ledger::record(set, &header, &outcome);
            entries.push(Entry { header, outcome });
            return Planned::Recorded(entries.len() - 1);
        }
        if submission.dry_run {
            let header = header(set, now, submission.context.clone(), None);
            return Planned::Unrecorded(Box::new(dry_run(set, &header, &request.command)));
        }
        if let Some(hook) = &self.before_apply
            && request.key.is_none_or(|key| set.keys.get(key.digest).is_none())
        {
            hook(&request.command);
        }
        if set.earliest_expiry() <= now {
            for_each_account(set, &request.command, |set, account| expire_due(set, now, account, entries, expired));
        }
        let header = Header { key: request.key, ..header(set, now, submission.context.clone(), None) };
        match apply(set, &header, &request.command) {
            Decision::Recorded(outcome) => {
                entries.push(Entry { header, outcome });
                Planned::Recorded(entries.len() - 1)
            }
            Decision::Unrecorded(outcome) => Planned::Unrecorded(Box::new(outcome)),
            Decision::Replayed(sequence) => Planned::Replayed(sequence),
            Decision::KeyReused => Planned::KeyReused,
        }
    }
}

/// The entries of a batch so far, and how many of them record the expiry of holds.
struct Made {
    entries: Vec<Entry>,
    expired: usize,
}

/// Entries and plans of a whole batch.
type Applied = (Vec<Entry>, Vec<Vec<Planned>>);
/// The culprit's job and request, and the entries made before it.
type Failed = ((usize, usize), Vec<Entry>);

fn header(set: &WorkingSet, time: Timestamp, context: Arc<Context>, key: Option<ledger::event::Key>) -> Header {
    Header { sequence: set.sequence + 1, time, day: time.day(), key, context }
}

/// Holds whose time is over are recorded so before a command on their account.
fn expire_due(set: &mut WorkingSet, now: Timestamp, account: AccountId, entries: &mut Vec<Entry>, expired: &mut usize) {
    let is_due = set.account(account).is_some_and(|row| row.next_expiry <= now);
    if !is_due {
        return;
    }
    // What is left over the timer records; the rule book counts none of it as reserved anyway.
    let room = EXPIRED_PER_BLOCK_MAX.saturating_sub(*expired);
    for hold in set.due_holds(account, now).into_iter().take(room) {
        *expired += 1;
        let header = header(set, now, TIMER.clone(), None);
        if let Decision::Recorded(outcome) = apply(set, &header, &Command::ExpireHold(hold)) {
            entries.push(Entry { header, outcome });
        }
    }
}

fn account_of_hold(set: &WorkingSet, hold: HoldId) -> Option<AccountId> {
    set.hold(hold).map(|hold| hold.from)
}

/// The accounts whose holds matter to a command.
fn for_each_account(set: &mut WorkingSet, command: &Command, mut visit: impl FnMut(&mut WorkingSet, AccountId)) {
    match command {
        Command::Transfer(transfer) => transfer.legs.iter().for_each(|leg| visit(set, leg.from)),
        Command::Batch(transfers) => {
            transfers.iter().flat_map(|transfer| transfer.legs.iter()).for_each(|leg| visit(set, leg.from))
        }
        Command::PlaceHold(hold) => visit(set, hold.from),
        Command::CaptureHold(capture) => account_of_hold(set, capture.hold).into_iter().for_each(|id| visit(set, id)),
        Command::VoidHold(hold) => account_of_hold(set, *hold).into_iter().for_each(|id| visit(set, id)),
        Command::ChangeTerms(change) => visit(set, change.account),
        Command::Freeze(freeze) => visit(set, freeze.account),
        Command::MoveAccount(moving) => visit(set, moving.account),
        Command::Unfreeze(account) | Command::Close(account) => visit(set, *account),
        Command::AtHome(at_home) => for_each_account(set, &at_home.command, visit),
        Command::Ingest(ingest) => for_each_account(set, &ingest.command, visit),
        Command::Between(between) => for_each_account(set, &between.command, visit),
        _ => {}
    }
}

/// Most bytes that the entries of a submission can take.
pub(crate) fn bytes_of(submission: &Submission, sagas: &Sagas) -> u64 {
    submission.requests.iter().map(|request| bytes_of_request(&submission.context, request, sagas)).sum()
}

/// Most bytes that the entry of a request can take, with who asked.
pub(crate) fn bytes_of_request(context: &Context, request: &Request, sagas: &Sagas) -> u64 {
    let context = 2 * context.principal.len() + context.correlation.len();
    let step = match &request.command {
        Command::Receive(receive) => bytes_of_message(&receive.envelope.message, sagas),
        Command::CancelSaga(saga) => bytes_of_saga(*saga, sagas),
        // An account leaves with all its holds, of which there may be as many as it ever had.
        Command::MoveAccount(_) => MOVE_BYTES_MAX,
        _ => 0,
    };
    ENTRY_BYTES_MAX + context as u64 + step + bytes_of_command(&request.command)
}

/// Header, ids and figures of an entry with one leg, generously.
const ENTRY_BYTES_MAX: u64 = 256;
/// Both postings of a further leg.
const LEG_BYTES_MAX: u64 = 128;
/// A row that an entry carries whole.
const ROW_BYTES_MAX: u64 = 2048;

fn bytes_of_command(command: &Command) -> u64 {
    match command {
        Command::Transfer(transfer) => bytes_of_transfer(transfer),
        Command::Batch(transfers) => {
            transfers.iter().map(|transfer| ENTRY_BYTES_MAX + bytes_of_transfer(transfer)).sum()
        }
        Command::Reverse(reverse) => LEG_BYTES_MAX * 100 + bytes_of_note(reverse.note.as_deref()),
        Command::CaptureHold(capture) => ROW_BYTES_MAX + bytes_of_note(capture.note.as_deref()),
        Command::RegisterCustomer(register) => ROW_BYTES_MAX + bytes_of_profile(&register.profile),
        Command::UpdateCustomer(update) => 16 * ROW_BYTES_MAX + bytes_of_profile(&update.changes),
        Command::AtHome(at_home) => bytes_of_command(&at_home.command),
        Command::Ingest(ingest) => bytes_of_command(&ingest.command) + ingest.payload.len() as u64 + ROW_BYTES_MAX,
        Command::RecordDeadLetter(record) => {
            (record.payload.len() + record.detail.len() + record.code.len()) as u64 + ROW_BYTES_MAX
        }
        Command::BeginRedrive(redrive) => {
            redrive.payload.as_ref().map_or(0, |payload| payload.len() as u64) + 4 * ROW_BYTES_MAX
        }
        Command::Freeze(freeze) => freeze.reason.as_ref().map_or(0, |reason| reason.len() as u64) + ROW_BYTES_MAX,
        Command::DiscardDeadLetter(discard) => discard.reason.len() as u64 + 4 * ROW_BYTES_MAX,
        Command::OpenSystemAccount(open) => open.name.len() as u64 + ROW_BYTES_MAX,
        // The order is in the entry beside what is posted, which is at most as many postings as it has legs, twice.
        Command::Between(between) => {
            4 * bytes_of_command(&between.command) + 16 * between.routes.len() as u64 + 4 * ROW_BYTES_MAX
        }
        _ => 4 * ROW_BYTES_MAX,
    }
}

/// An answer or a decision posts what the order says, which the row has and the message does not.
fn bytes_of_message(message: &SagaMessage, sagas: &Sagas) -> u64 {
    match message {
        SagaMessage::Take(order) => bytes_of_order(order),
        SagaMessage::MoveIn { moved, .. } => bytes_of_holds(moved.holds.len()),
        SagaMessage::Answer { saga, .. }
        | SagaMessage::Finish { saga, .. }
        | SagaMessage::Done(saga)
        | SagaMessage::Cancel(saga) => bytes_of_saga(*saga, sagas),
    }
}

/// Most bytes that the move of an account can take.
const MOVE_BYTES_MAX: u64 = 4 << 20;

fn bytes_of_holds(holds: usize) -> u64 {
    4 * ROW_BYTES_MAX + 128 * holds as u64
}

fn bytes_of_saga(id: TransferId, sagas: &Sagas) -> u64 {
    let at_home = sagas
        .saga(id)
        .map(|saga| bytes_of_order(&saga.order) + saga.payload.as_ref().map_or(0, |payload| payload.len() as u64));
    let elsewhere = || sagas.part(id).map(|part| bytes_of_order(&part.order));
    4 * ROW_BYTES_MAX + at_home.or_else(elsewhere).unwrap_or(0)
}

fn bytes_of_order(order: &Order) -> u64 {
    let bytes = |ordered: &Ordered| {
        ENTRY_BYTES_MAX + 4 * LEG_BYTES_MAX * ordered.legs.len() as u64 + 2 * bytes_of_note(ordered.note.as_deref())
    };
    order.transfers.iter().map(bytes).sum::<u64>() + 16 * order.routes.len() as u64 + 4 * ROW_BYTES_MAX
}

fn bytes_of_profile(profile: &ledger::customer::Profile) -> u64 {
    profile.iter().map(|(_, sealed)| sealed.len() as u64 + 16).sum()
}

fn bytes_of_transfer(transfer: &Transfer) -> u64 {
    (transfer.legs.len() as u64 - 1) * LEG_BYTES_MAX + bytes_of_note(transfer.note.as_deref())
}

fn bytes_of_note(note: Option<&Note>) -> u64 {
    let Some(note) = note else { return 0 };
    let metadata: usize = note.metadata.iter().map(|(key, value)| key.len() + value.len() + 8).sum();
    (metadata + note.reference.as_ref().map_or(0, |reference| reference.len()) + 16) as u64
}
