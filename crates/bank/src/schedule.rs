//! The bank's jobs: what is done at certain times by nobody's request.
//!
//! A job is idempotent for its date and finds out itself what is missing: so it may be late, repeated, interrupted, or run
//! by hand, and a node that was paused does no harm. A lease keeps nodes from doing the same work at once; nothing depends
//! on it. Each run is recorded with its outcome and duration; jobs that run every few seconds record only runs that did
//! something or failed.

pub mod plan;
mod runs;

pub use runs::{Run, RunOutcome};

use crate::calendar::Calendar;
use crate::lease::Lease;
use crate::ports::{Boxed, Env, Records};
use futures_util::future::{Either, select};
use ledger::time::{Day, Timestamp};
use plan::Plan;
use std::convert::Infallible;
use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use store::Fault;

/// How long a node has a job without renewing its claim.
const LEASE_US: u64 = 60_000_000;
/// The first wait after a failed run; it doubles with each.
const RETRY_FIRST_US: u64 = 30_000_000;
/// The longest wait after a failed run.
const RETRY_MOST_US: u64 = 1_800_000_000;
/// How often it is looked whether something is due.
const LOOK_US: u64 = 1_000_000;
/// How long a run keeps others from the same job. One that takes longer may hang.
const RUN_US_MAX: u64 = 86_400_000_000;

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Whether anything was to be done.
    pub did_something: bool,
    /// What was done, in a few words.
    pub detail: String,
}

/// Why a run did not get to its end.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JobError {
    /// Its time has not come.
    #[error("{0}")]
    TooEarly(String),
    /// Machinery failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// One kind of work.
pub trait Job: Send + Sync {
    /// Its name.
    fn name(&self) -> &'static str;

    /// What it does, in a few words.
    fn about(&self) -> &'static str;

    /// When it is done.
    fn plan(&self) -> Plan;

    /// Before this nothing can be done for a date, whatever the plan says: until then it is not tried.
    fn not_before(&self, _date: Day) -> Timestamp {
        Timestamp::ZERO
    }

    /// Notes where it begins, before its first run.
    fn begin(&self) -> Boxed<'_, Result<(), Fault>> {
        Box::pin(async { Ok(()) })
    }

    /// Does what is to be done for a date and was not done before.
    fn run(&self, date: Day) -> Boxed<'_, Result<Done, JobError>>;
}

/// What is counted of a job on this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Runs that got to their end.
    pub done: u64,
    /// Runs that failed.
    pub failed: u64,
    /// How long the last run took, in microseconds.
    pub last_us: u64,
    /// When the last run that got to its end did so.
    pub last_done: Option<Timestamp>,
}

/// What a node remembers of a job.
#[derive(Clone, Copy, Debug, Default)]
struct Memory {
    figures: Figures,
    /// For how long the lease is sure.
    sure_until: Timestamp,
    /// Not before this.
    next_look: Timestamp,
    failures: u32,
    is_running: bool,
}

/// That a job is being run by this node, until this is dropped.
struct Running<'a>(&'a Mutex<Memory>);

impl Running<'_> {
    /// `None` if it is already.
    fn begin(memory: &Mutex<Memory>) -> Option<Running<'_>> {
        let was_running = std::mem::replace(&mut locked(memory).is_running, true);
        (!was_running).then(|| Running(memory))
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        locked(self.0).is_running = false;
    }
}

/// The jobs of a bank. See the module.
pub struct Scheduler {
    jobs: Vec<(Arc<dyn Job>, Mutex<Memory>)>,
    records: Arc<dyn Records>,
    env: Arc<dyn Env>,
    calendar: Calendar,
    holder: u128,
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheduler").field("jobs", &self.jobs.len()).finish_non_exhaustive()
    }
}

/// Why a job was not run by hand.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RunError {
    /// There is none of this name.
    #[error("there is no such job")]
    Unknown,
    /// It is being run, here or by another node.
    #[error("it is being run already")]
    Busy,
    /// It did not get to its end.
    #[error(transparent)]
    Job(#[from] JobError),
}

impl Scheduler {
    /// These jobs, by the bank's calendar.
    pub fn new(jobs: Vec<Arc<dyn Job>>, records: Arc<dyn Records>, env: Arc<dyn Env>, calendar: Calendar) -> Scheduler {
        let mut holder = [0; 16];
        env.fill(&mut holder);
        let jobs = jobs.into_iter().map(|job| (job, Mutex::default())).collect();
        Scheduler { jobs, records, env, calendar, holder: u128::from_le_bytes(holder) }
    }

    /// The jobs.
    pub fn jobs(&self) -> impl Iterator<Item = &Arc<dyn Job>> {
        self.jobs.iter().map(|(job, _)| job)
    }

    /// The jobs with what this node counted of them.
    pub fn figures(&self) -> Vec<(&'static str, Figures)> {
        self.jobs.iter().map(|(job, memory)| (job.name(), locked(memory).figures)).collect()
    }

    /// When a job is due next, if its plan says so by the clock.
    pub fn next_time(&self, job: &dyn Job) -> Option<Timestamp> {
        let time = job.plan().next_time(&self.calendar, self.env.now())?;
        Some(time.max(job.not_before(self.calendar.day(time))))
    }

    /// Runs a job whenever it is due, for ever. One future for each job, so that a long one keeps no other.
    ///
    /// `tell` hears of runs that failed.
    pub async fn keep(self: Arc<Self>, index: usize, tell: fn(&str, &JobError)) {
        while let Some((job, _)) = self.jobs.get(index) {
            if job.plan() == Plan::Off {
                return;
            }
            if let Err(error) = self.look(index).await {
                tell(job.name(), &error);
            }
            let pause = match job.plan() {
                Plan::Every(milliseconds) => milliseconds.saturating_mul(1000),
                _ => LOOK_US,
            };
            self.env.sleep(pause.max(10_000)).await;
        }
    }

    /// How many jobs there are.
    pub fn count(&self) -> usize {
        self.jobs.len()
    }

    /// Looks whether a job is due, and runs it if so; what it did.
    ///
    /// # Errors
    /// As the job says; it is tried again later.
    pub async fn look(&self, index: usize) -> Result<Option<Done>, JobError> {
        let Some((job, memory)) = self.jobs.get(index) else { return Ok(None) };
        let now = self.env.now();
        if now < locked(memory).next_look {
            return Ok(None);
        }
        let Some(date) = job.plan().latest(&self.calendar, now) else { return Ok(None) };
        let is_by_date = job.plan().is_by_date();
        if is_by_date && self.done_for(job.as_ref(), date).await? {
            let next = job.plan().next_time(&self.calendar, now).unwrap_or(Timestamp::MAX);
            locked(memory).next_look = next;
            return Ok(None);
        }
        let not_before = job.not_before(date);
        if now < not_before {
            locked(memory).next_look = not_before;
            return Ok(None);
        }
        let Some(_running) = Running::begin(memory) else { return Ok(None) };
        if !self.has_lease(job.as_ref(), memory, now).await? {
            return Ok(None);
        }
        match self.run(job, memory, date, false).await {
            Ok(done) => {
                locked(memory).failures = 0;
                Ok(Some(done))
            }
            Err(error) => {
                let mut memory = locked(memory);
                let wait = RETRY_FIRST_US.saturating_mul(1 << memory.failures.min(10)).min(RETRY_MOST_US);
                memory.failures += 1;
                memory.next_look = self.env.now().saturating_add(if is_by_date { wait } else { 0 });
                Err(error)
            }
        }
    }

    /// Runs a job now, for a date if one is named, else for its latest. A date to come is too early for every job: what is
    /// due then must not be done today.
    ///
    /// # Errors
    /// As [`RunError`] says.
    pub async fn run_now(&self, name: &str, date: Option<Day>) -> Result<Done, RunError> {
        let found = self.jobs.iter().find(|(job, _)| job.name() == name);
        let (job, memory) = found.ok_or(RunError::Unknown)?;
        let now = self.env.now();
        let today = self.calendar.day(now);
        if let Some(date) = date.filter(|date| today < *date) {
            return Err(JobError::TooEarly(format!("it is {today}; run {name} for {date} on that day")).into());
        }
        let _running = Running::begin(memory).ok_or(RunError::Busy)?;
        if !self.has_lease(job.as_ref(), memory, now).await.map_err(JobError::from)? {
            return Err(RunError::Busy);
        }
        let date = date.unwrap_or_else(|| job.plan().latest(&self.calendar, now).unwrap_or(today));
        Ok(self.run(job, memory, date, true).await?)
    }

    /// Whether a job was done for this date or a later one. One that was never looked at begins with its next date.
    async fn done_for(&self, job: &dyn Job, date: Day) -> Result<bool, Fault> {
        match runs::done_until(self.records.as_ref(), job.name()).await? {
            Some(done) => Ok(date <= done),
            None => {
                job.begin().await?;
                runs::note_begin(self.records.as_ref(), job.name(), date).await?;
                Ok(true)
            }
        }
    }

    async fn has_lease(&self, job: &dyn Job, memory: &Mutex<Memory>, now: Timestamp) -> Result<bool, Fault> {
        if now < locked(memory).sure_until {
            return Ok(true);
        }
        let lease = Lease::new(self.records.clone(), &format!("job/{}", job.name()), self.holder, LEASE_US);
        let sure_until = lease.take(now).await?;
        if let Some(sure_until) = sure_until {
            locked(memory).sure_until = sure_until;
        }
        Ok(sure_until.is_some())
    }

    /// Renews the lease of a job that runs for long. Where that does not work the run goes on: nothing depends on the lease.
    async fn keep_lease(&self, job: &dyn Job, memory: &Mutex<Memory>) -> Infallible {
        let until = self.env.now().saturating_add(RUN_US_MAX);
        while self.env.now() < until {
            let left_us = locked(memory).sure_until.microseconds().saturating_sub(self.env.now().microseconds());
            self.env.sleep(left_us.max(LOOK_US)).await;
            _ = self.has_lease(job, memory, self.env.now()).await;
        }
        std::future::pending().await
    }

    async fn run(
        &self,
        job: &Arc<dyn Job>,
        memory: &Mutex<Memory>,
        date: Day,
        by_hand: bool,
    ) -> Result<Done, JobError> {
        let started = self.env.now();
        let is_by_date = job.plan().is_by_date() || by_hand;
        let run = Run { started, finished: None, date, by_hand, outcome: RunOutcome::Running, detail: String::new() };
        if is_by_date {
            runs::begin(self.records.as_ref(), job.name(), &run).await?;
        }
        let result = match select(job.run(date), pin!(self.keep_lease(job.as_ref(), memory))).await {
            Either::Left((result, _)) => result,
            Either::Right((never, _)) => match never {},
        };
        let finished = self.env.now();
        let (outcome, detail) = match &result {
            Ok(done) => (RunOutcome::Done, done.detail.clone()),
            Err(error) => (RunOutcome::Failed, error.to_string()),
        };
        {
            let mut memory = locked(memory);
            memory.figures.last_us = finished.microseconds().saturating_sub(started.microseconds());
            match &result {
                Ok(_) => {
                    memory.figures.done += 1;
                    memory.figures.last_done = Some(finished);
                }
                Err(_) => memory.figures.failed += 1,
            }
        }
        let is_telling = result.as_ref().map_or(true, |done| done.did_something);
        if is_by_date || is_telling {
            let run = Run { finished: Some(finished), outcome, detail, ..run };
            runs::end(self.records.as_ref(), job.name(), &run).await?;
        }
        result
    }

    /// The latest runs of a job, newest first; `None` if there is no such job.
    ///
    /// # Errors
    /// A fault of the records.
    pub async fn runs(&self, name: &str) -> Result<Option<Vec<Run>>, Fault> {
        if !self.jobs().any(|job| job.name() == name) {
            return Ok(None);
        }
        runs::latest(self.records.as_ref(), name).await.map(Some)
    }
}

fn locked(memory: &Mutex<Memory>) -> std::sync::MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}
