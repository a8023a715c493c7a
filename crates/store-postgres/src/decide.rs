//! Decides a batch: the requests in order, each on its own, on rows that were loaded for them.

use ledger::command::{Command, accounts_on, footprint};
use ledger::event::{Channel, Context, Entry, Event, Header, Key, Outcome};
use ledger::ids::{AccountId, SYSTEM_ID_START, Sequence};
use ledger::rejection::Rejection;
use ledger::saga::{Message, Order};
use ledger::time::Timestamp;
use ledger::working_set::WorkingSet;
use ledger::{Decision, apply, dry_run, record};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};
use store::{Answer, Fault, Request, Submission};
use tokio::sync::oneshot;

/// Most holds whose expiry is recorded in one block along with other commands; the timer records what is left.
const EXPIRED_PER_BLOCK_MAX: usize = 4096;

/// Called before each command that was not answered before; tests make it panic.
pub type BeforeApply = Arc<dyn Fn(&Command) + Send + Sync>;

/// A submission and who waits for its answers.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) submission: Submission,
    pub(crate) reply: oneshot::Sender<Result<Vec<Answer>, Fault>>,
}

/// What became of one request, before its block is committed.
#[derive(Debug)]
pub(crate) enum Planned {
    /// The entry at this place of the block.
    Recorded(usize),
    /// An entry of this block or before it.
    Replayed(Sequence),
    /// No entry.
    Unrecorded(Box<Outcome>),
    /// The key was used for something else.
    KeyReused,
}

/// A batch as it was decided.
#[derive(Debug, Default)]
pub(crate) struct Decided {
    pub(crate) entries: Vec<Entry>,
    /// For each job what became of its requests.
    pub(crate) planned: Vec<Vec<Planned>>,
    /// Accounts of sagas that went a step on: some change without a posting.
    pub(crate) of_sagas: Vec<AccountId>,
    /// The reversals that were known before.
    pub(crate) reversals_before: usize,
    expired: usize,
}

/// The place of a request: its job, and its number in it.
pub(crate) type Place = (usize, usize);

static TIMER: LazyLock<Arc<Context>> = LazyLock::new(|| {
    Arc::new(Context { principal: "florin".into(), channel: Channel::Timer, correlation: "".into(), cause: None })
});

/// Decides all requests. The culprits are rejected for good, unseen.
///
/// # Errors
/// The request that made the rule book panic. The set is then not to be used again.
pub(crate) fn decide_all(
    set: &mut WorkingSet,
    now: Timestamp,
    jobs: &[Job],
    culprits: &BTreeSet<Place>,
    before_apply: Option<&BeforeApply>,
) -> Result<Decided, Place> {
    let mut decided = Decided { reversals_before: set.reversals.len(), ..Decided::default() };
    for (job_place, job) in jobs.iter().enumerate() {
        let mut planned = Vec::with_capacity(job.submission.requests.len());
        for (index, request) in job.submission.requests.iter().enumerate() {
            let place = (job_place, index);
            let step = || {
                if culprits.contains(&place) {
                    return reject_for_good(set, now, &job.submission, request, &mut decided);
                }
                decide(set, now, &job.submission, request, before_apply, &mut decided)
            };
            planned.push(catch_unwind(AssertUnwindSafe(step)).map_err(|_| place)?);
        }
        decided.planned.push(planned);
    }
    Ok(decided)
}

fn header(set: &WorkingSet, time: Timestamp, context: &Arc<Context>, key: Option<Key>) -> Header {
    Header { sequence: set.sequence + 1, time, day: time.day(), key, context: context.clone() }
}

fn decide(
    set: &mut WorkingSet,
    now: Timestamp,
    submission: &Submission,
    request: &Request,
    before_apply: Option<&BeforeApply>,
    decided: &mut Decided,
) -> Planned {
    let command = &request.command;
    let is_known = !submission.dry_run && request.key.is_some_and(|key| set.keys.get(key.digest).is_some());
    if let (false, Some(hook)) = (is_known, before_apply) {
        hook(command);
    }
    if submission.dry_run {
        let header = header(set, now, &submission.context, None);
        return Planned::Unrecorded(Box::new(dry_run(set, &header, command)));
    }
    if !is_known && set.earliest_expiry() <= now {
        expire_due_holds(set, now, command, decided);
    }
    let header = header(set, now, &submission.context, request.key);
    let order = order_of(set, command);
    match apply(set, &header, command) {
        Decision::Recorded(outcome) => {
            if let Outcome::Event(Event::Saga(step)) = &outcome
                && let Some(order) = step.order.clone().or(order)
            {
                let here = accounts_on(&order, set.shard).filter(|id| id.number() < SYSTEM_ID_START);
                decided.of_sagas.extend(here);
            }
            decided.entries.push(Entry { header, outcome });
            Planned::Recorded(decided.entries.len() - 1)
        }
        Decision::Unrecorded(outcome) => Planned::Unrecorded(Box::new(outcome)),
        Decision::Replayed(sequence) => Planned::Replayed(sequence),
        Decision::KeyReused => Planned::KeyReused,
    }
}

/// The order of the saga that a command carries on. Its row may be gone afterwards.
fn order_of(set: &WorkingSet, command: &Command) -> Option<Arc<Order>> {
    let saga = match command {
        Command::CancelSaga(saga) => *saga,
        Command::Receive(receive) => match &receive.envelope.message {
            Message::Take(_) | Message::MoveIn { .. } => return None,
            Message::Answer { saga, .. }
            | Message::Finish { saga, .. }
            | Message::Done(saga)
            | Message::Cancel(saga) => *saga,
        },
        _ => return None,
    };
    let at_home = set.sagas.saga(saga).map(|saga| saga.order.clone());
    at_home.or_else(|| set.sagas.part(saga).map(|part| part.order.clone()))
}

/// The command makes the rule book fail. With a key, that is its answer from now on.
fn reject_for_good(
    set: &mut WorkingSet,
    now: Timestamp,
    submission: &Submission,
    request: &Request,
    decided: &mut Decided,
) -> Planned {
    let outcome = Outcome::Rejection { index: 0, rejection: Rejection::InvariantBroken };
    if submission.dry_run || request.key.is_none() {
        return Planned::Unrecorded(Box::new(outcome));
    }
    let header = header(set, now, &submission.context, request.key);
    record(set, &header, &outcome);
    decided.entries.push(Entry { header, outcome });
    Planned::Recorded(decided.entries.len() - 1)
}

/// Before a command the holds of its accounts whose time is over are recorded so.
fn expire_due_holds(set: &mut WorkingSet, now: Timestamp, command: &Command, decided: &mut Decided) {
    for account in accounts_of(set, command) {
        let room = EXPIRED_PER_BLOCK_MAX.saturating_sub(decided.expired);
        for hold in set.due_holds(account, now).into_iter().take(room) {
            decided.expired += 1;
            let header = header(set, now, &TIMER, None);
            if let Decision::Recorded(outcome) = apply(set, &header, &Command::ExpireHold(hold)) {
                decided.entries.push(Entry { header, outcome });
            }
        }
    }
}

/// The accounts a command touches: those it names, those of holds it names, those of transfers it names. An expiry is
/// recorded by the command itself.
fn accounts_of(set: &WorkingSet, command: &Command) -> Vec<AccountId> {
    if matches!(command, Command::ExpireHold(_)) {
        return Vec::new();
    }
    let footprint = footprint(command);
    let of_holds = footprint.holds.iter().filter_map(|hold| Some(set.hold(*hold)?.from));
    let transfers = footprint.transfers.iter().filter_map(|id| set.transfers.get(id));
    let of_transfers = transfers.flat_map(|row| row.transferred.postings.iter().map(|posting| posting.account));
    let mut accounts: Vec<AccountId> = footprint.accounts.iter().copied().chain(of_holds).chain(of_transfers).collect();
    accounts.sort();
    accounts.dedup();
    accounts
}
