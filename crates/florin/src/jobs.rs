//! The jobs of this bank: what is done by its clock.

use crate::commands::statements::make;
use crate::config::Config;
use bank::Bank;
use bank::interest::{CloseError, Interest};
use bank::month::Month;
use bank::ports::{Boxed, Env, Records};
use bank::schedule::plan::Plan;
use bank::schedule::{Done, Job, JobError, Scheduler};
use bank::standing_order::StandingOrders;
use bank::statement::kept::Statements;
use indicatif::ProgressBar;
use ledger::time::{Day, Timestamp};
use std::fmt::Write as _;
use std::sync::Arc;
use store::Fault;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Closes the days that are over.
struct CloseDay {
    plan: Plan,
    interest: Interest,
}

impl Job for CloseDay {
    fn name(&self) -> &'static str {
        "close-day"
    }

    fn about(&self) -> &'static str {
        "closes the days that are over: accrues interest and posts it where a period ends"
    }

    fn plan(&self) -> Plan {
        self.plan
    }

    fn begin(&self) -> Boxed<'_, Result<(), Fault>> {
        Box::pin(async {
            let interest = &self.interest;
            bank::business_date::begin(interest.records(), interest.calendar(), interest.bank().now()).await
        })
    }

    /// For a date the day before it is closed, and whatever is missing before that.
    fn run(&self, date: Day) -> Boxed<'_, Result<Done, JobError>> {
        Box::pin(async move {
            let closed = self.interest.close_until(Some(Day::new(date.number() - 1))).await;
            let closed = closed.map_err(|error| match error {
                CloseError::NotOver { .. } => JobError::TooEarly(error.to_string()),
                CloseError::Fault(fault) => fault.into(),
            })?;
            let (posted, corrections, refused) =
                closed.iter().fold((0, 0, 0), |(posted, corrections, refused), day| {
                    (posted + day.posted, corrections + day.corrections, refused + day.refused)
                });
            let days: Vec<String> = closed.iter().map(|day| day.day.to_string()).collect();
            let days = match &days[..] {
                [] => return Ok(Done { did_something: false, detail: "nothing to close".into() }),
                [day] => day.clone(),
                [first, .., last] => format!("{first} to {last}"),
            };
            if 0 < refused {
                tracing::error!(
                    "{refused} postings of interest were refused when {days} was closed; the records interest/refused/ \
                     say which and why, and what was not posted is in the carry of those accounts"
                );
            }
            let detail = format!("{days} closed: {posted} postings, {corrections} corrections, {refused} refused");
            Ok(Done { did_something: true, detail })
        })
    }
}

/// Makes the transfers of standing orders that are due.
struct Orders {
    plan: Plan,
    orders: StandingOrders,
}

impl Job for Orders {
    fn name(&self) -> &'static str {
        "standing-orders"
    }

    fn about(&self) -> &'static str {
        "makes the transfers of standing orders that are due"
    }

    fn plan(&self) -> Plan {
        self.plan
    }

    fn run(&self, date: Day) -> Boxed<'_, Result<Done, JobError>> {
        Box::pin(async move {
            let executed = self.orders.execute(date).await?;
            let (done, retried, refused) = (executed.done, executed.retried, executed.refused);
            let did_something = 0 < done + retried + refused;
            let detail = format!("{done} transfers made, {retried} to be tried again, {refused} refused");
            Ok(Done { did_something, detail })
        })
    }
}

/// The month that is over at a date.
fn month_before(date: Day) -> Option<Month> {
    let (year, month, _) = date.date();
    let first = Day::from_date(year, month, 1).unwrap_or(date);
    Month::of(Day::new(first.number() - 1))
}

/// Makes the statements of the month that is over.
struct MonthlyStatements {
    plan: Plan,
    bank: Arc<Bank>,
    statements: Statements,
    records: Arc<dyn Records>,
}

impl Job for MonthlyStatements {
    fn name(&self) -> &'static str {
        "statements"
    }

    fn about(&self) -> &'static str {
        "makes the statements of the month that is over for all accounts"
    }

    fn plan(&self) -> Plan {
        self.plan
    }

    /// Months end in UTC, wherever the bank is.
    fn not_before(&self, date: Day) -> Timestamp {
        month_before(date).map_or(Timestamp::ZERO, Month::end)
    }

    fn run(&self, date: Day) -> Boxed<'_, Result<Done, JobError>> {
        Box::pin(async move {
            let Some(month) = month_before(date) else { return Ok(Done::default()) };
            if self.bank.now() < month.end() {
                return Err(JobError::TooEarly(format!("the month {month} is not over before {}", month.end())));
            }
            let bar = ProgressBar::hidden();
            let counts = make(&self.bank, &self.statements, &self.records, (month, month), &bar).await?;
            let (made, before, failed) = (counts.made, counts.before, counts.failed);
            let detail = format!("{month}: {made} statements made, {before} there before, {failed} could not be made");
            Ok(Done { did_something: 0 < counts.made, detail })
        })
    }
}

/// Records that holds whose time is over have expired.
struct ExpireHolds {
    plan: Plan,
    bank: Arc<Bank>,
}

impl Job for ExpireHolds {
    fn name(&self) -> &'static str {
        "expire-holds"
    }

    fn about(&self) -> &'static str {
        "records that holds have expired on which nothing else happens"
    }

    fn plan(&self) -> Plan {
        self.plan
    }

    fn run(&self, _date: Day) -> Boxed<'_, Result<Done, JobError>> {
        Box::pin(async move {
            let count = self.bank.expire_due_holds().await?;
            Ok(Done { did_something: 0 < count, detail: format!("{count} holds expired") })
        })
    }
}

/// All jobs of a bank.
pub(crate) fn scheduler(
    config: &Config,
    interest: &Interest,
    orders: &StandingOrders,
    statements: &Statements,
    (records, env): (&Arc<dyn Records>, Arc<dyn Env>),
) -> Scheduler {
    let plans = &config.jobs;
    let bank = interest.bank();
    let jobs: Vec<Arc<dyn Job>> = vec![
        Arc::new(CloseDay { plan: plans.close_day.0, interest: interest.clone() }),
        Arc::new(Orders { plan: plans.standing_orders.0, orders: orders.clone() }),
        Arc::new(MonthlyStatements {
            plan: plans.statements.0,
            bank: bank.clone(),
            statements: statements.clone(),
            records: records.clone(),
        }),
        Arc::new(ExpireHolds { plan: Plan::Every(config.serve.hold_expiry_interval_ms.max(10)), bank: bank.clone() }),
    ];
    Scheduler::new(jobs, records.clone(), env, interest.calendar().clone())
}

/// Jobs that run when they are due, until this is dropped.
#[derive(Debug)]
pub(crate) struct RunningJobs {
    tasks: Vec<JoinHandle<()>>,
}

impl RunningJobs {
    /// Runs them on this runtime, each on its own.
    pub(crate) fn start(runtime: &Handle, scheduler: &Arc<Scheduler>) -> RunningJobs {
        let keep = |index| runtime.spawn(scheduler.clone().keep(index, tell));
        RunningJobs { tasks: (0..scheduler.count()).map(keep).collect() }
    }
}

impl Drop for RunningJobs {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn tell(job: &str, error: &JobError) {
    tracing::warn!(job, "a job did not get to its end and is tried again: {error}");
}

/// What is told of jobs among the metrics.
pub(crate) fn write_figures(scheduler: &Scheduler, out: &mut String) {
    let figures = scheduler.figures();
    out.push_str("# HELP florin_job_runs_total Runs of jobs on this node.\n# TYPE florin_job_runs_total counter\n");
    for (job, figures) in &figures {
        for (outcome, count) in [("done", figures.done), ("failed", figures.failed)] {
            _ = writeln!(out, "florin_job_runs_total{{job=\"{job}\",outcome=\"{outcome}\"}} {count}");
        }
    }
    out.push_str("# HELP florin_job_last_seconds How long the last run took.\n# TYPE florin_job_last_seconds gauge\n");
    for (job, figures) in &figures {
        let (seconds, rest) = (figures.last_us / 1_000_000, figures.last_us % 1_000_000);
        _ = writeln!(out, "florin_job_last_seconds{{job=\"{job}\"}} {seconds}.{rest:06}");
    }
    out.push_str(
        "# HELP florin_job_done_timestamp_seconds When the last run got to its end.\n\
         # TYPE florin_job_done_timestamp_seconds gauge\n",
    );
    for (job, figures) in &figures {
        let done = figures.last_done.map_or(0, |time| time.microseconds() / 1_000_000);
        _ = writeln!(out, "florin_job_done_timestamp_seconds{{job=\"{job}\"}} {done}");
    }
}
