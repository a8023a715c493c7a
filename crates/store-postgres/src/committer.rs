//! The committer: one thread per shard and node that gathers what waits and commits it as one block.
//!
//! 1. It takes what is waiting, up to [`BATCH_WEIGHT_MAX`]. While it commits, the next batch gathers.
//! 2. In one round trip it begins a transaction, locks the head and loads the rows it does not know.
//! 3. It decides all requests in process, with the rule book.
//! 4. In one round trip it writes the block and what follows from it, and commits.
//!
//! Where it has all rows, nobody else has committed lately, and no key was lately used twice, it decides first, on what it
//! has, and does the rest in one round trip: the lock asks for the head it knows, and a key that was used before cannot
//! be written again. If that is refused nothing was done, and it goes the longer way.
//!
//! What a failure means depends on when it comes. Before the commit is sent nothing was done, and the batch is tried
//! again. From then on nobody knows, until the head can be locked and the block's commit id looked up: the lock is free
//! only once the server has decided. Whoever waits longer than [`PATIENCE`] hears that the outcome is unknown.

use crate::commit::Changes;
use crate::connect::{OLD_PRIMARY, Place};
use crate::decide::{BeforeApply, Decided, Job, Planned, decide_all};
use crate::error::{corrupt, told, unavailable};
use crate::health::Health;
use crate::load::{Cache, Head, Wanted, Window, chosen_ids, reversed};
use crate::read::Reads;
use crate::session::{Session, is_refusal};
use ledger::command::Command;
use ledger::event::{Event, Outcome};
use ledger::ids::{IdGenerator, ShardId};
use ledger::time::Timestamp;
use ledger::transfer::TransferRow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use store::model::Clock;
use store::recent::Recent;
use store::{Answer, Block, EntryRef, Fault, transfers_of};
use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedReceiver;

/// Most that goes into one block, in requests and further legs.
const BATCH_WEIGHT_MAX: usize = 8192;
/// Longest that a request waits for a database that does not answer.
const PATIENCE: Duration = Duration::from_secs(8);
/// Longest that one round trip may take.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(60);
/// For so many batches after another node has committed, all rows are loaded along with the lock.
const OTHERS_REMEMBERED: u32 = 32;
/// For so many batches after one that could not be committed at once, or met keys that were used before, none is tried so.
const REFUSAL_REMEMBERED: u32 = 64;

/// See the module.
pub(crate) struct Committer {
    pub(crate) place: Place,
    pub(crate) jobs: UnboundedReceiver<Job>,
    pub(crate) health: Arc<Health>,
    pub(crate) clock: Clock,
    pub(crate) reads: Arc<Reads>,
    pub(crate) recent: Arc<Recent>,
    pub(crate) before_apply: Option<BeforeApply>,
    /// Where others than the committer read.
    pub(crate) runtime: Handle,
    pub(crate) cache: Cache,
    pub(crate) cache_rows_max: usize,
    pub(crate) commit_ids: CommitIds,
    pub(crate) state: State,
}

/// What the committer remembers from batch to batch.
#[derive(Default)]
pub(crate) struct State {
    session: Option<Session>,
    carried: Option<Job>,
    others: u32,
    /// For so many batches it is not tried to commit at once.
    asks_first: u32,
    /// What is visible may not be on the standby yet: the server warned about a commit, or another node made the last one.
    is_doubtful: bool,
}

/// Gives out ids of commits, different on every node.
#[derive(Debug)]
pub(crate) struct CommitIds {
    /// Random, and of this process alone.
    pub(crate) secret: [u8; 32],
    /// How many were given out.
    pub(crate) count: u64,
}

impl CommitIds {
    fn next(&mut self) -> u128 {
        self.count += 1;
        let hash = blake3::keyed_hash(&self.secret, &self.count.to_le_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&hash.as_bytes()[..16]);
        u128::from_be_bytes(id)
    }
}

/// A batch that is committed, or needed no commit.
#[derive(Debug)]
struct Done {
    block: Arc<Block>,
    planned: Vec<Vec<Planned>>,
}

impl Done {
    fn of(decided: Decided) -> Done {
        Done { block: Arc::new(Block { entries: decided.entries }), planned: decided.planned }
    }
}

/// Why a batch was not committed, or is not known to be.
enum Failure {
    /// Nothing was done; trying again may help.
    NotDone(Fault),
    /// Nothing was done, and trying again does not help.
    Final(Fault),
    /// The commit was sent, and its answer did not come.
    Unknown { fault: Fault, commit_id: u128, first_sequence: i64, done: Done },
}

fn not_available(reason: impl std::fmt::Display) -> Fault {
    Fault::Unavailable { reason: reason.to_string() }
}

/// What a refused statement means for the batch.
fn refused(error: &tokio_postgres::Error) -> Failure {
    let code = error.code().map(|code| code.code()).unwrap_or_default();
    match code.get(..2) {
        Some("53") if code == "53100" => Failure::Final(Fault::NoSpace),
        Some("22" | "23") => Failure::NotDone(corrupt(told(error))),
        Some("40" | "53" | "55" | "57" | "25" | "08") | None => Failure::NotDone(unavailable(error)),
        Some(_) => Failure::Final(unavailable(error)),
    }
}

impl Committer {
    /// Runs until nobody can submit any more and everything submitted is answered.
    pub(crate) async fn run(mut self) {
        loop {
            let first = match self.state.carried.take() {
                Some(job) => job,
                None => match self.jobs.recv().await {
                    Some(job) => job,
                    None => return,
                },
            };
            let jobs = self.gather(first);
            self.serve(jobs).await;
            if self.cache_rows_max < self.cache.rows() {
                self.cache.clear();
            }
        }
    }

    /// Takes what else is waiting and fits.
    fn gather(&mut self, first: Job) -> Vec<Job> {
        let mut weight = weight(&first);
        let mut jobs = vec![first];
        while let Ok(job) = self.jobs.try_recv() {
            let more = self::weight(&job);
            if BATCH_WEIGHT_MAX < weight + more {
                self.state.carried = Some(job);
                break;
            }
            weight += more;
            jobs.push(job);
        }
        let requests: usize = jobs.iter().map(|job| job.submission.requests.len()).sum();
        self.health.queued.fetch_sub(requests as u64, Ordering::Relaxed);
        jobs
    }

    /// Commits a batch and answers it, or answers that it could not be.
    #[expect(clippy::disallowed_methods, reason = "measures how long callers have waited, which decides no outcome")]
    async fn serve(&mut self, jobs: Vec<Job>) {
        let begun = Instant::now();
        let mut unknown = None;
        let mut attempts = 0u32;
        loop {
            attempts += 1;
            let failure = match self.resolve_or_attempt(&jobs, &mut unknown).await {
                Ok(done) => return self.answer(jobs, done),
                Err(failure) => failure,
            };
            self.cache.clear();
            let (fault, is_final) = match failure {
                Failure::NotDone(fault) => {
                    // Stored rows that do not fit may have been a cache's fault once, not twice.
                    let is_final = matches!(fault, Fault::Corrupt { .. }) && 1 < attempts;
                    (fault, is_final)
                }
                Failure::Final(fault) => (fault, true),
                Failure::Unknown { fault, commit_id, first_sequence, done } => {
                    unknown = Some(Pending { commit_id, first_sequence, done });
                    (fault, false)
                }
            };
            tracing::warn!(attempts, "a batch was not committed: {fault}");
            if is_final || PATIENCE < begun.elapsed() {
                self.health.set_trouble(Some(fault.to_string()).filter(|_| !is_final));
                return refuse(jobs, &fault);
            }
            pause(attempts).await;
        }
    }

    /// First learns what became of the last attempt, where that is not known.
    async fn resolve_or_attempt(&mut self, jobs: &[Job], unknown: &mut Option<Pending>) -> Result<Done, Failure> {
        let session = self.session().await?;
        if let Some(pending) = unknown {
            let is_committed = self.is_committed(&session, pending).await?;
            if let (true, Some(pending)) = (is_committed, unknown.take()) {
                self.state.session = Some(session);
                return Ok(pending.done);
            }
        }
        let done = self.attempt(&session, jobs).await?;
        self.state.session = Some(session);
        self.health.set_trouble(None);
        Ok(done)
    }

    /// The connection, made anew where it is gone. A failure of anything done on it drops it.
    async fn session(&mut self) -> Result<Session, Failure> {
        if let Some(session) = self.state.session.take().filter(|session| !session.is_closed()) {
            return Ok(session);
        }
        self.cache.clear();
        let opened = within(Session::open(&self.place)).await.map_err(Failure::NotDone)?;
        opened.map_err(|error| Failure::NotDone(not_available(error)))
    }

    /// Whether a batch was committed whose commit was not answered. Nobody else can hold the head's lock while the
    /// server is still at it; and what is committed after it, and awaited, is on the standby only if it is.
    async fn is_committed(&mut self, session: &Session, pending: &Pending) -> Result<bool, Failure> {
        session.take_warning();
        let statements = &session.statements;
        // What is still on its way to the server was decided on another head than this makes of it, and has no effect.
        let mark = crate::value::Digest(self.commit_ids.next());
        let mut pipeline = session.pipeline();
        pipeline.say("begin");
        let head = pipeline.ask(&statements.lock_head, vec![]);
        let block = pipeline.ask(&statements.block_at, vec![&pending.first_sequence]);
        pipeline.ask(&statements.mark_head, vec![&mark]);
        pipeline.say("commit");
        let lost = |error: tokio_postgres::Error| Failure::NotDone(unavailable(&error));
        let answers = within(pipeline.run()).await.map_err(Failure::NotDone)?.map_err(lost)?;
        let head = self.read_head(&answers[head]).map_err(Failure::NotDone)?;
        if session.take_warning() {
            return Err(Failure::NotDone(not_available("the standby did not confirm the commit")));
        }
        self.state.is_doubtful = false;
        self.health.saw(head.sequence);
        let found = answers[block].first().map(|row| row.try_get::<_, crate::value::Digest>(0));
        let found = found.transpose().map_err(lost)?;
        Ok(found.is_some_and(|found| found.0 == pending.commit_id))
    }

    fn read_head(&mut self, rows: &[tokio_postgres::Row]) -> Result<Head, Fault> {
        let row = rows.first().ok_or_else(|| corrupt("the table head has no row"))?;
        let head = Head::read(row).map_err(|what| corrupt(format!("the head: {what}")))?;
        if !self.place.meets(head.epoch) {
            return Err(not_available(format!("the database {}: {OLD_PRIMARY}", self.place.name())));
        }
        Ok(head)
    }

    async fn attempt(&mut self, session: &Session, jobs: &[Job]) -> Result<Done, Failure> {
        let clock = (self.clock)();
        if let Some(done) = self.attempt_at_once(session, clock, jobs).await? {
            return Ok(done);
        }
        let transfers = self.reversed_transfers(jobs).await.map_err(Failure::NotDone)?;
        let mut window = window(self.cache.set.shard, clock, jobs);
        let loads_all = 0 < self.state.others;
        let wanted = Wanted::of(jobs, &transfers, &self.cache, loads_all, window);
        let mut pipeline = session.pipeline();
        pipeline.say("begin");
        let lock = pipeline.ask(&session.statements.lock_head, vec![]);
        let asked = wanted.ask(session, &mut pipeline);
        let answers = run(pipeline).await?;
        let head = self.read_head(&answers[lock]).map_err(Failure::NotDone)?;
        self.state.others = self.state.others.saturating_sub(1);
        let mut is_fresh = !self.cache.is_good(&head);
        if is_fresh {
            self.note_others(&head);
            self.cache.begin(&head);
            // Another node committed, and may not have been told that the standby has it.
            self.state.is_doubtful = true;
        }
        if is_fresh && !loads_all {
            self.load_all(session, jobs, &transfers, window).await?;
        } else {
            self.cache.take_in(session, &transfers, &asked, &answers).await.map_err(Failure::NotDone)?;
        }
        if self.cache.has_met_keys() {
            self.state.asks_first = REFUSAL_REMEMBERED;
        }
        let now = clock.max(head.time);
        let mut culprits = BTreeSet::new();
        loop {
            match decide_all(&mut self.cache.set, now, jobs, &culprits, self.before_apply.as_ref()) {
                Ok(decided) if covers(window, &head, &decided) => {
                    return self.write(session, true, &head, decided).await;
                }
                Ok(_) => window = wider(self.cache.set.shard, window, &head, now),
                Err(culprit) if is_fresh => {
                    self.health.poison_commands.fetch_add(1, Ordering::Relaxed);
                    culprits.insert(culprit);
                }
                Err(_) => {}
            }
            is_fresh = true;
            self.cache.begin(&head);
            self.load_all(session, jobs, &transfers, window).await?;
        }
    }

    /// Decides on what is known, and locks, writes and commits in one round trip. `None` if that cannot be: nothing was
    /// done then.
    async fn attempt_at_once(
        &mut self,
        session: &Session,
        clock: Timestamp,
        jobs: &[Job],
    ) -> Result<Option<Done>, Failure> {
        if 0 < self.state.others {
            return Ok(None);
        }
        self.state.asks_first = self.state.asks_first.saturating_sub(1);
        let Some(head) = self.cache.head().filter(|_| self.state.asks_first == 0 && chosen_ids(jobs) == 0) else {
            return Ok(None);
        };
        if !Wanted::of(jobs, &[], &self.cache, false, None).has_only_keys() {
            return Ok(None);
        }
        let now = clock.max(head.time);
        let Ok(decided) = decide_all(&mut self.cache.set, now, jobs, &BTreeSet::new(), self.before_apply.as_ref())
        else {
            self.cache.clear();
            return Ok(None);
        };
        if leaves_keys_open(jobs, &decided) {
            self.cache.clear();
            self.state.asks_first = REFUSAL_REMEMBERED;
            return Ok(None);
        }
        if decided.entries.is_empty() {
            return Ok(None); // what is answered without an entry has to hold now: that the lock will tell
        }
        match self.write(session, false, &head, decided).await {
            Err(Failure::NotDone(Fault::Corrupt { .. })) => {
                self.cache.clear();
                self.state.asks_first = REFUSAL_REMEMBERED;
                Ok(None)
            }
            written => written.map(Some),
        }
    }

    /// The transfers that are to be reversed, with how far they are. They were answered before, so that they are there
    /// to be read; what is not final yet is not reversed.
    async fn reversed_transfers(&self, jobs: &[Job]) -> Result<Vec<TransferRow>, Fault> {
        let requests = jobs.iter().flat_map(|job| &job.submission.requests);
        let mut rows = Vec::new();
        for id in requests.filter_map(|request| reversed(&request.command)) {
            let reads = self.reads.clone();
            let found = self.runtime.spawn(async move { crate::history::transfer(&reads, id).await }).await;
            rows.extend(found.unwrap_or_else(|_| Err(not_available("it is stopping")))?.and_then(|found| found.row()));
        }
        Ok(rows)
    }

    /// Another node has committed, or this one has just begun.
    fn note_others(&mut self, head: &Head) {
        if self.health.head() != 0 && self.health.head() < head.sequence {
            self.state.others = OTHERS_REMEMBERED;
        }
        self.health.saw(head.sequence);
    }

    async fn load_all(
        &mut self,
        session: &Session,
        jobs: &[Job],
        transfers: &[TransferRow],
        window: Option<Window>,
    ) -> Result<(), Failure> {
        let wanted = Wanted::of(jobs, transfers, &self.cache, true, window);
        let mut pipeline = session.pipeline();
        let asked = wanted.ask(session, &mut pipeline);
        let answers = run(pipeline).await?;
        self.cache.take_in(session, transfers, &asked, &answers).await.map_err(Failure::NotDone)
    }

    #[expect(clippy::disallowed_methods, reason = "measures how long a commit takes, which decides nothing")]
    async fn write(
        &mut self,
        session: &Session,
        has_begun: bool,
        head: &Head,
        decided: Decided,
    ) -> Result<Done, Failure> {
        if decided.entries.is_empty() {
            self.end_without_entries(session).await?;
            self.cache.committed(*head, 0);
            return Ok(Done::of(decided));
        }
        let commit_id = self.commit_ids.next();
        let changes = Changes::of(&decided, head, &self.cache, commit_id);
        let done = Done::of(decided);
        let begun = Instant::now();
        let first_sequence = crate::value::big(head.sequence + 1);
        let fault = match within(changes.commit(session, has_begun)).await {
            Ok(Ok(waiting)) if !session.take_warning() => {
                self.health.note_waiting_letters(waiting);
                changes.note_in(&mut self.cache);
                let commit_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
                let entries = &done.block.entries;
                let transfers = entries.iter().map(|entry| transfers_of(&entry.outcome).len() as u64).sum();
                self.health.observe_block(entries.len() as u64, transfers, commit_us);
                self.recent.keep(&done.block); // before anybody is woken to read it
                self.health.saw(self.cache.set.sequence);
                self.state.is_doubtful = false;
                return Ok(done);
            }
            Ok(Ok(_)) => {
                self.state.is_doubtful = true;
                not_available("the standby did not confirm the commit")
            }
            Ok(Err(error)) if is_refusal(&error) => return Err(refused(&error)),
            Ok(Err(error)) => unavailable(&error),
            Err(fault) => fault,
        };
        Err(Failure::Unknown { fault, commit_id, first_sequence, done })
    }

    /// Answers that rest on earlier entries rest on what is visible. Where that may not be on the standby yet, something
    /// is committed after it and awaited.
    async fn end_without_entries(&mut self, session: &Session) -> Result<(), Failure> {
        let mut pipeline = session.pipeline();
        if self.state.is_doubtful {
            pipeline.ask(&session.statements.touch_head, vec![]);
        }
        pipeline.say("commit");
        run(pipeline).await?;
        if session.take_warning() {
            return Err(Failure::NotDone(not_available("the standby did not confirm the commit")));
        }
        self.state.is_doubtful = false;
        Ok(())
    }

    fn answer(&self, jobs: Vec<Job>, done: Done) {
        let block = done.block;
        for (job, planned) in jobs.into_iter().zip(done.planned) {
            let older = older_entries(&block, &planned);
            if older.is_empty() {
                let answers = planned.into_iter().map(|plan| answer(plan, &block, &Default::default())).collect();
                let _gone = job.reply.send(answers);
                continue;
            }
            // The next batch need not wait until these are read.
            let (reads, block) = (self.reads.clone(), block.clone());
            self.runtime.spawn(async move {
                let answers = match reads.entries_at(older).await {
                    Ok(entries) => planned.into_iter().map(|plan| answer(plan, &block, &entries)).collect(),
                    Err(fault) => Err(fault),
                };
                let _gone = job.reply.send(answers);
            });
        }
    }
}

/// Whether a request with a key is to be answered without an entry. The key's row would have told if it was used before, and
/// nothing that is written will.
fn leaves_keys_open(jobs: &[Job], decided: &Decided) -> bool {
    let requests = jobs.iter().flat_map(|job| job.submission.requests.iter().map(|request| (&job.submission, request)));
    let mut planned = requests.zip(decided.planned.iter().flatten());
    planned.any(|((submission, request), planned)| {
        request.key.is_some() && !submission.dry_run && matches!(planned, Planned::Unrecorded(_))
    })
}

/// A batch whose commit was not answered.
struct Pending {
    commit_id: u128,
    first_sequence: i64,
    done: Done,
}

/// A round trip with a limit.
async fn within<T>(work: impl Future<Output = T>) -> Result<T, Fault> {
    tokio::time::timeout(ROUND_TRIP_MAX, work).await.map_err(|_| not_available("the database did not answer in time"))
}

async fn run(pipeline: crate::session::Pipeline<'_>) -> Result<Vec<Vec<tokio_postgres::Row>>, Failure> {
    let answers = within(pipeline.run()).await.map_err(Failure::NotDone)?;
    answers.map_err(|error| if is_refusal(&error) { refused(&error) } else { Failure::NotDone(unavailable(&error)) })
}

#[expect(clippy::disallowed_methods, reason = "waits for a database that is away, between two attempts")]
async fn pause(attempts: u32) {
    tokio::time::sleep(Duration::from_millis(20 << attempts.min(5))).await;
}

fn refuse(jobs: Vec<Job>, fault: &Fault) {
    for job in jobs {
        let _gone = job.reply.send(Err(fault.clone()));
    }
}

fn weight(job: &Job) -> usize {
    job.submission.requests.iter().map(|request| weight_of(&request.command)).sum()
}

fn weight_of(command: &Command) -> usize {
    match command {
        Command::Transfer(transfer) => transfer.legs.len(),
        Command::Batch(transfers) => transfers.iter().map(|transfer| transfer.legs.len()).sum(),
        Command::AtHome(at_home) => weight_of(&at_home.command),
        Command::Ingest(ingest) => weight_of(&ingest.command),
        Command::Between(between) => weight_of(&between.command),
        _ => 1,
    }
}

/// The entries before this block that answers rest on.
fn older_entries(block: &Block, planned: &[Planned]) -> Vec<i64> {
    let first = block.entries.first().map_or(u64::MAX, |entry| entry.header.sequence);
    let older = planned.iter().filter_map(|plan| match plan {
        Planned::Replayed(sequence) if *sequence < first => Some(crate::value::big(*sequence)),
        _ => None,
    });
    older.collect()
}

fn answer(plan: Planned, block: &Arc<Block>, older: &crate::journal::Entries) -> Result<Answer, Fault> {
    Ok(match plan {
        Planned::Recorded(index) => Answer::Recorded(EntryRef::new(block.clone(), index)),
        Planned::Unrecorded(outcome) => Answer::Unrecorded(outcome),
        Planned::KeyReused => Answer::KeyReused,
        Planned::Replayed(sequence) => {
            let first = block.entries.first().map_or(u64::MAX, |entry| entry.header.sequence);
            match sequence.checked_sub(first).and_then(|index| usize::try_from(index).ok()) {
                Some(index) => Answer::Replayed(EntryRef::new(block.clone(), index)),
                None => Answer::Replayed(crate::journal::entry(older, crate::value::big(sequence))?),
            }
        }
    })
}

/// The ids that the shard may give out to what hashes to a slot; none where no command needs one.
fn window(shard: ShardId, now: Timestamp, jobs: &[Job]) -> Option<Window> {
    let chosen = chosen_ids(jobs);
    if chosen == 0 {
        return None;
    }
    let requests: usize = jobs.iter().map(|job| job.submission.requests.len()).sum();
    // 4,096 ids to a millisecond, and one in 1,024 of them is of the shard's slots if it owns but one.
    let milliseconds = 4 + (requests as u64 + chosen * 1024) / 4096;
    Some(Window { from: IdGenerator::new(shard, 0).next(now), width: milliseconds << 22 })
}

fn bounds(window: Window, head: &Head) -> (u64, u64) {
    let from = window.from.max(head.last_id + 1);
    (from, from + window.width)
}

/// Whether all ids that were chosen for something new are among those that were looked up.
fn covers(window: Option<Window>, head: &Head, decided: &Decided) -> bool {
    let chosen = decided.entries.iter().filter_map(|entry| match &entry.outcome {
        Outcome::Event(Event::AccountChanged(changed)) if changed.id_is_generated => Some(changed.account.id.number()),
        Outcome::Event(Event::CustomerChanged(changed)) if changed.id_is_generated => {
            Some(changed.customer.id.number())
        }
        _ => None,
    });
    let Some((from, to)) = window.map(|window| bounds(window, head)) else { return chosen.count() == 0 };
    chosen.into_iter().all(|id| (from..=to).contains(&id))
}

fn wider(shard: ShardId, window: Option<Window>, head: &Head, now: Timestamp) -> Option<Window> {
    let from = IdGenerator::new(shard, head.last_id).next(now);
    Some(Window { from, width: window.map_or(1 << 24, |window| window.width * 4) })
}
