//! One shard as a [`Store`].

use crate::disk::Disk;
use crate::error::StorageError;
use crate::folder::ShardFolder;
use crate::health::{Health, Resolved};
use crate::pool::Pool;
use crate::published::Published;
use crate::resolver::Wanted;
use crate::sequencer::{Job, Message, bytes_of, bytes_of_request};
use crate::writer::chain;
use crate::{query, resolver, snapshot, verify};
use ledger::account::Account;
use ledger::command::Command;
use ledger::currency::Currency;
use ledger::customer::Customer;
use ledger::dead_letter::{DeadLetter, DeadLetterStatus};
use ledger::hold::{Hold, HoldStatus};
use ledger::ids::{AccountId, CustomerId, DeadLetterId, HoldId, Sequence, ShardId, TransferId};
use ledger::saga::{Saga, Sagas};
use ledger::slots::Slots;
use ledger::time::Timestamp;
use ledger::token::Token;
use ledger::working_set::WorkingSet;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use store::query::{
    BalanceQuery, EntryQuery, Page, PageQuery, Positions, PostingQuery, PostingRow, SagaQuery, TransferQuery,
    TransferView, is_in_slot, page_of_accounts, page_of_sagas,
};
use store::report::{Progress, Stats, VerifyReport};
use store::{Answer, EntryRef, Fault, Reply, Request, Store, Submission};
use tokio::sync::oneshot;

/// Most requests waiting to be sequenced.
const QUEUE_MAX: u64 = 65_536;
/// Frozen tails beyond which the shard lets its clients wait: indexes cannot keep up, or have no room.
const FROZEN_MAX: usize = 16;

/// The way into a shard's sequencer.
#[derive(Debug)]
pub struct Intake {
    jobs: Mutex<Option<Sender<Message>>>,
    published: Arc<Published>,
    health: Arc<Health>,
    resolved: Arc<Resolved>,
    bytes_max: u64,
}

/// Who waits for a submission, and the most bytes its entries can take.
type Replying = (crate::sequencer::Reply, u64);

/// See the module.
#[derive(Debug)]
pub struct Shard {
    id: ShardId,
    secret: [u8; 32],
    intake: Arc<Intake>,
    pool: Arc<Pool>,
    disk: Disk,
    folder: ShardFolder,
}

impl Intake {
    /// The way to the sequencer that receives from `jobs`. Submissions of more than `bytes_max` are cut.
    pub(crate) fn new(
        jobs: Sender<Message>,
        published: Arc<Published>,
        health: Arc<Health>,
        resolved: Arc<Resolved>,
        bytes_max: u64,
    ) -> Intake {
        Intake { jobs: Mutex::new(Some(jobs)), published, health, resolved, bytes_max }
    }

    fn send(&self, job: Job) {
        let generation = job.generation;
        let requests = job.submission.requests.len() as u64;
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let is_sent = jobs.as_ref().is_some_and(|jobs| jobs.send(Message::Job(Box::new(job))).is_ok());
        if !is_sent {
            self.gave_up(generation, requests);
        }
    }

    /// Most bytes that the entries of a submission can take.
    fn bytes_of(&self, submission: &Submission) -> u64 {
        let names_saga = |request: &Request| matches!(request.command, Command::Receive(_) | Command::CancelSaga(_));
        if submission.requests.iter().any(names_saga) {
            bytes_of(submission, &self.published.state().set.sagas)
        } else {
            bytes_of(submission, &Sagas::default())
        }
    }

    /// Looks up what the disk knows, then sends. A failed read is a fault, never "not found".
    fn resolve(&self, wanted: &Wanted, submission: Submission, generation: u64, reply: Replying) {
        let (reply, bytes) = reply;
        let found = resolver::known_keys(&self.published, wanted)
            .and_then(|keys| Ok((keys, resolver::named_transfers(&self.published, &submission)?)));
        match found {
            Ok((keys, transfers)) => self.send(Job::new(submission, keys, transfers, generation, reply, bytes)),
            Err(error) => {
                self.gave_up(generation, submission.requests.len() as u64);
                let _gone = reply.send(Err(fault(&error)));
            }
        }
    }

    fn gave_up(&self, generation: u64, requests: u64) {
        self.resolved.leave(generation);
        self.health.queued.fetch_sub(requests, Ordering::Relaxed);
    }

    /// Takes note of so many requests, unless the shard cannot take them now.
    fn admit(&self, requests: u64) -> Result<(), Fault> {
        let health = &self.health;
        if health.poisoned().is_some() {
            return Err(health.unavailable());
        }
        if FROZEN_MAX <= health.frozen_tails.load(Ordering::Relaxed) {
            let waits_for_room = health.index_waits_for_room.load(Ordering::Relaxed);
            return Err(if waits_for_room { Fault::NoSpace } else { Fault::Overloaded });
        }
        if QUEUE_MAX < health.queued.fetch_add(requests, Ordering::Relaxed) + requests {
            health.queued.fetch_sub(requests, Ordering::Relaxed);
            return Err(Fault::Overloaded);
        }
        Ok(())
    }
}

impl Shard {
    /// A shard whose stages are running.
    pub(crate) fn new(
        id: ShardId,
        secret: [u8; 32],
        intake: Arc<Intake>,
        pool: Arc<Pool>,
        disk: Disk,
        folder: ShardFolder,
    ) -> Shard {
        Shard { id, secret, intake, pool, disk, folder }
    }

    /// What the stages tell of themselves.
    pub(crate) fn health(&self) -> &Health {
        &self.intake.health
    }

    /// Takes nothing more; what was submitted is finished.
    pub(crate) fn stop(&self) {
        let jobs = self.intake.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(jobs) = jobs {
            let _ended = jobs.send(Message::Stop);
        }
    }

    /// Writes a checkpoint of what is published.
    pub(crate) fn checkpoint(&self) -> Result<(), StorageError> {
        snapshot::write(&self.disk, &self.folder.checkpoints, &self.intake.published).map(drop)
    }

    /// Writes a checkpoint; without room it waits for the next time, any other failure ends the shard.
    pub(crate) fn checkpoint_in_background(&self, reserve_bytes: u64) {
        let room = self.disk.free_bytes(&self.folder.checkpoints);
        if room.is_ok_and(|free| free < reserve_bytes) {
            return;
        }
        match self.checkpoint() {
            Ok(()) | Err(StorageError::NoSpace { .. }) => {}
            Err(error) => self.intake.health.poison(format!("a checkpoint cannot be written: {}", chain(&error))),
        }
    }

    /// Sends a submission on its way at once; the reply waits for its answers.
    fn start(&self, submission: Submission, bytes: u64) -> Reply<'static, Vec<Answer>> {
        let intake = self.intake.clone();
        if let Err(fault) = intake.admit(submission.requests.len() as u64) {
            return Box::pin(std::future::ready(Err(fault)));
        }
        let (reply, answers) = oneshot::channel();
        let (generation, runs) = intake.resolved.enter(|| {
            let runs = intake.published.runs();
            (runs.generation, runs)
        });
        let wanted = resolver::wanted(&runs, &submission);
        if wanted.is_empty() {
            intake.send(Job::new(submission, Vec::new(), Vec::new(), generation, reply, bytes));
        } else {
            let intake = intake.clone();
            self.pool.run(move || intake.resolve(&wanted, submission, generation, (reply, bytes)));
        }
        Box::pin(async move { answers.await.unwrap_or_else(|_| Err(intake.health.unavailable())) })
    }

    fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Published) -> Result<T, StorageError> + Send + 'static,
    ) -> Reply<'_, T> {
        let (sender, receiver) = oneshot::channel();
        let published = self.intake.published.clone();
        self.pool.run(move || {
            let _gone = sender.send(read(&published).map_err(|error| fault(&error)));
        });
        Box::pin(async move {
            receiver.await.unwrap_or_else(|_| Err(Fault::Unavailable { reason: "a read failed".into() }))
        })
    }

    fn look<'a, T: Send + 'a>(&self, look: impl FnOnce(&WorkingSet) -> T) -> Reply<'a, T> {
        let found = look(&self.intake.published.state().set);
        Box::pin(std::future::ready(Ok(found)))
    }
}

/// Cuts a submission whose entries could not all go into one block, in order.
fn parts(submission: Submission, bytes_max: u64, sagas: &Sagas) -> Vec<(Submission, u64)> {
    let Submission { context, requests, dry_run } = submission;
    let part = |requests| Submission { context: context.clone(), requests, dry_run };
    let mut parts = vec![(part(Vec::new()), 0)];
    for request in requests {
        let more = bytes_of_request(&context, &request, sagas);
        if parts.last().is_some_and(|(_, bytes)| 0 < *bytes && bytes_max < bytes + more) {
            parts.push((part(Vec::new()), 0));
        }
        if let Some((last, bytes)) = parts.last_mut() {
            *bytes += more;
            last.requests.push(request);
        }
    }
    parts
}

fn fault(error: &StorageError) -> Fault {
    match error {
        StorageError::Corrupt { .. } | StorageError::NewerFormat { .. } => Fault::Corrupt { detail: chain(error) },
        StorageError::NoSpace { .. } => Fault::NoSpace,
        _ => Fault::Unavailable { reason: chain(error) },
    }
}

/// An account as a reader sees it at `now`: a hold whose time is over is not counted, reserves nothing and is not the
/// next to expire, recorded or not.
fn seen(set: &WorkingSet, account: &Account, now: Timestamp) -> Account {
    let due = u32::try_from(set.due_holds(account.id, now).len()).unwrap_or(u32::MAX);
    if due == 0 {
        return account.clone();
    }
    let holds_active = account.holds_active.saturating_sub(due);
    // The newest first, and no further than to the last that is active: most of an old account's holds have ended.
    let holds = set.holds_of(account.id).iter().rev().filter_map(|id| set.hold(*id));
    let active = holds.filter(|hold| hold.seen_at(now).status == HoldStatus::Held).take(holds_active as usize);
    let next_expiry = active.filter_map(|hold| hold.expires_at).min().unwrap_or(Timestamp::MAX);
    Account { held: set.held(account, now), holds_active, next_expiry, ..account.clone() }
}

/// A page of a list that is in memory, newest last.
fn page<T, R>(
    length: usize,
    query: PageQuery,
    get: impl Fn(usize) -> Option<T>,
    keep: impl Fn(T) -> Option<R>,
) -> Page<R> {
    let start =
        query.before.and_then(|before| usize::try_from(before).ok()).map_or(length, |before| before.min(length));
    let mut page = Page::empty();
    for place in (0..start).rev() {
        let Some(item) = get(place).and_then(&keep) else { continue };
        if page.items.len() == query.limit {
            page.next = Some(place as u64 + 1);
            break;
        }
        page.push(place as u64, item);
    }
    page
}

impl Store for Shard {
    fn shard(&self) -> ShardId {
        self.id
    }

    fn secret(&self) -> [u8; 32] {
        self.secret
    }

    fn submit(&self, submission: Submission) -> Reply<'_, Vec<Answer>> {
        if submission.requests.is_empty() {
            return Box::pin(std::future::ready(Ok(Vec::new())));
        }
        let bytes = self.intake.bytes_of(&submission);
        if bytes <= self.intake.bytes_max {
            return self.start(submission, bytes);
        }
        Box::pin(async move {
            let mut answers = Vec::with_capacity(submission.requests.len());
            let parts = parts(submission, self.intake.bytes_max, &self.intake.published.state().set.sagas);
            for (part, bytes) in parts {
                answers.extend(self.start(part, bytes).await?);
            }
            Ok(answers)
        })
    }

    fn account(&self, id: AccountId, now: Timestamp) -> Reply<'_, Option<Account>> {
        self.look(|set| set.account(id).map(|account| seen(set, account, now)))
    }

    fn customer(&self, id: CustomerId) -> Reply<'_, Option<Customer>> {
        self.look(|set| set.customer(id).cloned())
    }

    fn customers(&self, query: PageQuery) -> Reply<'_, Page<Customer>> {
        self.look(|set| {
            page(set.customers.len(), query, |place| set.customers.iter().nth(place), |row| Some(row.clone()))
        })
    }

    fn accounts_of(&self, customer: CustomerId, query: PageQuery, now: Timestamp) -> Reply<'_, Page<Account>> {
        self.look(|set| {
            let ids = set.accounts_of(customer);
            page(ids.len(), query, |place| ids.get(place), |id| set.account(*id).map(|account| seen(set, account, now)))
        })
    }

    fn system_accounts(&self) -> Reply<'_, Vec<Account>> {
        self.look(|set| {
            let used = |account: &&Account| account.is_system() && 0 < account.revision;
            let mut accounts: Vec<Account> = set.accounts.iter().filter(used).cloned().collect();
            accounts.sort_by_key(|account| account.id);
            accounts
        })
    }

    fn customer_sums(&self) -> Reply<'_, Vec<(Currency, i128)>> {
        self.look(|set| {
            let mut sums = BTreeMap::new();
            for account in set.accounts.iter().filter(|account| !account.is_system()) {
                *sums.entry(account.currency).or_insert(0) += account.balance;
            }
            sums.into_iter().collect()
        })
    }

    fn hold(&self, id: HoldId, now: Timestamp) -> Reply<'_, Option<Hold>> {
        self.look(|set| set.hold(id).map(|hold| hold.seen_at(now)))
    }

    fn holds_of(&self, account: AccountId, query: PageQuery, now: Timestamp) -> Reply<'_, Page<Hold>> {
        self.look(|set| {
            let ids = set.holds_of(account);
            page(ids.len(), query, |place| ids.get(place), |id| set.hold(*id).map(|hold| hold.seen_at(now)))
        })
    }

    fn transfer(&self, id: TransferId) -> Reply<'_, Option<TransferView>> {
        self.read(move |published| query::transfer(published, id))
    }

    fn transfers(&self, query: TransferQuery) -> Reply<'_, Page<TransferView>> {
        self.read(move |published| query::transfers(published, &query))
    }

    fn postings(&self, query: PostingQuery) -> Reply<'_, Page<PostingRow>> {
        self.read(move |published| query::postings(published, &query))
    }

    fn balance_at(&self, query: BalanceQuery) -> Reply<'_, Option<i128>> {
        self.read(move |published| query::balance_at(published, &query))
    }

    fn dead_letter(&self, id: DeadLetterId) -> Reply<'_, Option<(DeadLetter, EntryRef, EntryRef)>> {
        self.read(move |published| {
            let Some(row) = published.state().set.dead_letters.get(id.number()).cloned() else { return Ok(None) };
            let mut loader = published.loader();
            let first = loader.entry(row.recorded_by)?;
            let latest = loader.entry(row.data_from)?;
            Ok(first.zip(latest).map(|(first, latest)| (row, first, latest)))
        })
    }

    fn dead_letters(&self, query: PageQuery) -> Reply<'_, Page<DeadLetter>> {
        let wanted = |row: &DeadLetter| query.status.is_none_or(|status| status == row.status);
        self.look(|set| {
            let letters = &set.dead_letters;
            page(letters.len(), query, |place| letters.iter().nth(place), |row| wanted(row).then(|| row.clone()))
        })
    }

    fn tokens(&self) -> Reply<'_, Vec<Token>> {
        self.look(|set| set.tokens.iter().rev().cloned().collect())
    }

    fn entries(&self, query: EntryQuery) -> Reply<'_, Vec<EntryRef>> {
        self.read(move |published| {
            let mut loader = published.loader();
            let mut entries = Vec::new();
            for sequence in query.after.saturating_add(1)..=query.after.saturating_add(query.limit as u64) {
                let Some(entry) = loader.entry(sequence)? else { break };
                entries.push(entry);
            }
            Ok(entries)
        })
    }

    fn follow(&self, query: EntryQuery) -> Reply<'_, Vec<EntryRef>> {
        match self.intake.published.recent.after(query.after, query.limit) {
            Some(entries) if entries.is_empty() && query.after < self.head() => self.entries(query),
            Some(entries) => Box::pin(std::future::ready(Ok(entries))),
            None => self.entries(query),
        }
    }

    fn head(&self) -> Sequence {
        self.intake.published.head()
    }

    fn head_after(&self, sequence: Sequence) -> Reply<'_, Sequence> {
        let intake = self.intake.clone();
        Box::pin(std::future::poll_fn(move |context| {
            // First the waker, then the look: a block published in between wakes the task again.
            intake.health.wake_when_published(context.waker());
            let head = intake.published.head();
            if intake.health.poisoned().is_some() {
                return Poll::Ready(Err(intake.health.unavailable()));
            }
            if sequence < head { Poll::Ready(Ok(head)) } else { Poll::Pending }
        }))
    }

    fn positions(&self) -> Reply<'_, Positions> {
        self.look(|set| Positions { received: set.sagas.received.clone(), sent: set.sagas.sent.clone() })
    }

    fn open_sagas(&self, query: SagaQuery) -> Reply<'_, Page<Saga>> {
        self.look(|set| page_of_sagas(&set.sagas, query))
    }

    fn slots(&self) -> Reply<'_, Slots> {
        self.look(|set| set.slots.clone())
    }

    fn account_ids(&self, after: Option<u64>, limit: usize) -> Reply<'_, Page<AccountId>> {
        self.look(|set| page_of_accounts(set, after, limit))
    }

    fn accounts_in(&self, slot: u16, after: Option<AccountId>, limit: usize) -> Reply<'_, Vec<AccountId>> {
        self.look(|set| {
            let ids = set.accounts.iter().filter(|account| is_in_slot(account, slot)).map(|account| account.id);
            let mut ids: Vec<AccountId> = ids.filter(|id| after.is_none_or(|after| after < *id)).collect();
            ids.sort_unstable();
            ids.truncate(limit);
            ids
        })
    }

    fn entry_of_key(&self, digest: u128) -> Reply<'_, Option<EntryRef>> {
        self.read(move |published| query::entry_of_key(published, digest))
    }

    /// A data folder is open in one process, which has one relay per shard.
    fn lease(&self, _holder: u128, _microseconds: u64) -> Reply<'_, bool> {
        Box::pin(std::future::ready(Ok(true)))
    }

    fn due_holds(&self, now: Timestamp, limit: usize) -> Reply<'_, Vec<HoldId>> {
        self.look(|set| set.all_due_holds(now).take(limit).collect())
    }

    fn verify(&self, progress: Arc<dyn Progress>) -> Reply<'_, VerifyReport> {
        let (disk, folder) = (self.disk.clone(), self.folder.clone());
        self.read(move |published| Ok(verify::verify(&disk, &folder, published, &*progress)))
    }

    fn stats(&self) -> Stats {
        let (batch_size, sync_us) = self.intake.health.histograms();
        let state = self.intake.published.state();
        let waiting =
            state.set.dead_letters.iter().filter(|row| row.status == DeadLetterStatus::Waiting).count() as u64;
        Stats {
            commits: self.intake.health.commits.load(Ordering::Relaxed),
            entries: self.intake.health.entries.load(Ordering::Relaxed),
            transfers: state.transfers,
            batch_size,
            sync_us,
            queue_depth: self.intake.health.queued.load(Ordering::Relaxed),
            index_lag: state.tails.frozen.iter().map(|tail| tail.len()).sum(),
            dead_letters_waiting: waiting,
            sums: state.set.sums(),
            accounts: state.set.accounts.len() as u64,
            sagas_open: state.set.sagas.open().len() as u64,
            oldest_saga: state.set.sagas.open().next().map(|saga| saga.started_at),
            parts_open: state.set.sagas.parts().len() as u64,
            keys_in_memory: self.intake.health.keys_in_memory.load(Ordering::Relaxed),
            poison_commands: self.intake.health.poison_commands.load(Ordering::Relaxed),
            poisoned: self.intake.health.poisoned().map(str::to_string),
        }
    }
}
