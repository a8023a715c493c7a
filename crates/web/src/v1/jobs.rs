//! The bank's jobs: what there are, what they did, and running one by hand.

use crate::App;
use crate::answer::{Reply, serialised};
use crate::call::{Ask, Read};
use crate::input::{Problems, day, document, fields};
use crate::problem::{Code, Problem, fault_problem};
use crate::schema;
use crate::schema::jobs as shapes;
use bank::error::BankError;
use bank::schedule::{JobError, Run, RunError, Scheduler};
use ledger::token::Role;
use std::sync::Arc;
use store::Fault;

/// The jobs, when each is due and what its latest run did.
#[utoipa::path(get, path = "/api/v1/jobs", tag = "jobs",
    responses((status = 200, description = "The jobs.", body = shapes::Jobs), schema::Errors))]
pub(crate) async fn list(call: Read) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    problems.check()?;
    let scheduler = scheduler(&call.app)?;
    let mut items = Vec::new();
    for job in scheduler.jobs() {
        let last_run = scheduler.runs(job.name()).await?.and_then(|runs| runs.first().map(shown));
        items.push(shapes::Job {
            name: job.name().to_owned(),
            about: job.about().to_owned(),
            plan: job.plan().to_string(),
            next: scheduler.next_time(job.as_ref()).map(|time| time.to_string()),
            last_run,
        });
    }
    serialised(200, &shapes::Jobs { items })
}

/// The runs of a job that are kept, newest first. A job that runs every few seconds keeps those that did something.
#[utoipa::path(get, path = "/api/v1/jobs/{name}/runs", tag = "jobs",
    params(("name" = String, Path, description = "The job.")),
    responses((status = 200, description = "The runs.", body = shapes::JobRuns), schema::Errors))]
pub(crate) async fn runs(call: Read) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    problems.check()?;
    let runs = scheduler(&call.app)?.runs(call.path_value("name")).await?.ok_or_else(unknown)?;
    serialised(200, &shapes::JobRuns { items: runs.iter().map(shown).collect() })
}

/// Runs a job now. It does what is missing and nothing twice. A run that takes longer than half the time that an answer may
/// take goes on by itself.
#[utoipa::path(post, path = "/api/v1/jobs/{name}/run", tag = "jobs", request_body = shapes::JobDate,
    params(("name" = String, Path, description = "The job.")),
    responses((status = 200, description = "What it did.", body = shapes::JobDone),
        (status = 202, description = "It goes on; its runs tell how it ends.", body = shapes::JobDone), schema::Errors))]
pub(crate) async fn run(call: Ask) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    let [date] = fields(document.root(), ["date"], &mut problems);
    let date = day("date", date, &mut problems);
    problems.check()?;
    if call.caller.role != Role::Admin {
        return Err(BankError::Forbidden { needs: Role::Admin }.into());
    }
    let (scheduler, name) = (scheduler(&call.app)?.clone(), call.path_value("name").to_owned());
    let stopping = call.app.stopping().clone();
    let goes_on = format!("it goes on; GET /api/v1/jobs/{name}/runs tells how it ends");
    let run = async move {
        let done = scheduler.run_now(&name, date).await;
        if let Err(RunError::Job(error)) = &done {
            tracing::warn!(job = name, "a run by hand failed: {error}");
        }
        done
    };
    // Like a run that was due it ends where it is when the server stops: what it has not done is done by the next.
    let run = call.app.tasks().spawn(async move { stopping.run_until_cancelled(run).await });
    let Ok(done) = tokio::time::timeout(call.app.settings().request_timeout / 2, run).await else {
        return serialised(202, &shapes::JobDone { detail: goes_on });
    };
    let done = done.map_err(|error| fault_problem(Code::Fault, &format!("a run failed: {error}")))?;
    let done = done.ok_or_else(|| Fault::Unavailable { reason: "the server stops".into() })?;
    let done = done.map_err(|error| match error {
        RunError::Unknown => unknown(),
        RunError::Busy => Problem::new(Code::RequestInProgress, "it is being run already; its runs tell how it ends"),
        RunError::Job(JobError::TooEarly(detail)) => Problem::new(Code::DayNotOver, detail),
        RunError::Job(JobError::Fault(fault)) => fault.into(),
    })?;
    serialised(200, &shapes::JobDone { detail: done.detail })
}

fn scheduler(app: &App) -> Result<&Arc<Scheduler>, Problem> {
    let scheduler = app.settings().scheduler.as_ref();
    scheduler.ok_or_else(|| Problem::new(Code::NotAvailableYet, "this server has no jobs"))
}

fn unknown() -> Problem {
    Problem::new(Code::NotFound, "there is no such job; see GET /api/v1/jobs")
}

fn shown(run: &Run) -> shapes::JobRun {
    let took =
        |finished: ledger::time::Timestamp| finished.microseconds().saturating_sub(run.started.microseconds()) / 1000;
    shapes::JobRun {
        started: run.started.to_string(),
        finished: run.finished.map(|time| time.to_string()),
        milliseconds: run.finished.map(took),
        date: run.date.to_string(),
        by_hand: run.by_hand,
        outcome: run.outcome.name().to_owned(),
        detail: run.detail.clone(),
    }
}
