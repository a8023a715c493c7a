//! Runs of jobs, as they are kept.

use crate::interest::catalogue::all;
use crate::ports::{Expected, RecordChange, Records};
use crate::records;
use ledger::time::{Day, Timestamp};
use serde::{Deserialize, Serialize};
use store::Fault;

/// Runs of a job that are kept.
const KEPT: usize = 200;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunOutcome {
    /// It has not ended.
    Running,
    /// It got to its end.
    Done,
    /// It failed.
    Failed,
    /// Whoever ran it ended first.
    Interrupted,
}

impl RunOutcome {
    const ALL: [RunOutcome; 4] = [RunOutcome::Running, RunOutcome::Done, RunOutcome::Failed, RunOutcome::Interrupted];

    /// The word for it on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            RunOutcome::Running => "running",
            RunOutcome::Done => "done",
            RunOutcome::Failed => "failed",
            RunOutcome::Interrupted => "interrupted",
        }
    }
}

/// A run of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// For which date.
    pub date: Day,
    /// Whether somebody asked for it.
    pub by_hand: bool,
    /// How it ended.
    pub outcome: RunOutcome,
    /// What it did, or why it failed.
    pub detail: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    finished_us: Option<u64>,
    date: String,
    by_hand: bool,
    outcome: String,
    detail: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Last {
    done_until: String,
}

fn last_key(job: &str) -> String {
    format!("job/{job}/last")
}

fn run_key(job: &str, started: Timestamp) -> String {
    // Numbers of one length, so that keys are in the order of time.
    format!("job/{job}/run/{:020}", started.microseconds())
}

fn put(job: &str, run: &Run) -> Result<RecordChange, Fault> {
    let kept = Kept {
        finished_us: run.finished.map(Timestamp::microseconds),
        date: run.date.to_string(),
        by_hand: run.by_hand,
        outcome: run.outcome.name().to_owned(),
        detail: run.detail.clone(),
    };
    RecordChange::put(run_key(job, run.started), &kept)
}

fn parsed(key: &str, value: &[u8]) -> Result<Run, Fault> {
    let kept: Kept = records::parsed(key, value)?;
    let damaged = || Fault::Corrupt { detail: format!("the record {key} is no run of a job") };
    let started = key.rsplit('/').next().and_then(|started| started.parse().ok());
    let started = started.and_then(Timestamp::from_microseconds).ok_or_else(damaged)?;
    let outcome = RunOutcome::ALL.into_iter().find(|outcome| outcome.name() == kept.outcome);
    Ok(Run {
        started,
        finished: kept.finished_us.and_then(Timestamp::from_microseconds),
        date: kept.date.parse().map_err(|_| damaged())?,
        by_hand: kept.by_hand,
        outcome: outcome.ok_or_else(damaged)?,
        detail: kept.detail,
    })
}

/// The last date that a job was done for; `None` if nobody ever looked at it.
pub(super) async fn done_until(records: &dyn Records, job: &str) -> Result<Option<Day>, Fault> {
    let key = last_key(job);
    let Some(last) = records::read::<Last>(records, &key).await? else { return Ok(None) };
    let day = last.done_until.parse().map_err(|_| Fault::Corrupt { detail: format!("the record {key} has no day") })?;
    Ok(Some(day))
}

/// Notes with which date a job begins.
pub(super) async fn note_begin(records: &dyn Records, job: &str, date: Day) -> Result<(), Fault> {
    let last = Last { done_until: date.to_string() };
    let change = RecordChange::put(last_key(job), &last)?.expecting(Expected::Absent);
    records.change(vec![change]).await.map(|_| ())
}

/// Notes that a run begins. What ran before and never ended was interrupted.
pub(super) async fn begin(records: &dyn Records, job: &str, run: &Run) -> Result<(), Fault> {
    let mut changes = vec![put(job, run)?];
    let known = all(records, &format!("job/{job}/run/")).await?;
    for (key, value) in &known {
        let earlier = parsed(key, value)?;
        if earlier.outcome == RunOutcome::Running {
            changes.push(put(job, &Run { outcome: RunOutcome::Interrupted, ..earlier })?);
        }
    }
    for (key, _) in known.iter().take((known.len() + 1).saturating_sub(KEPT)) {
        changes.retain(|change| change.key != *key);
        changes.push(RecordChange::remove(key));
    }
    records.change(changes).await.map(|_| ())
}

/// Notes how a run ended; if it got to its end, that it was done for its date.
pub(super) async fn end(records: &dyn Records, job: &str, run: &Run) -> Result<(), Fault> {
    let mut changes = vec![put(job, run)?];
    let known = done_until(records, job).await?;
    if run.outcome == RunOutcome::Done && known.is_none_or(|known| known < run.date) {
        changes.push(RecordChange::put(last_key(job), &Last { done_until: run.date.to_string() })?);
    }
    records.change(changes).await?;
    let runs = records.list(&format!("job/{job}/run/"), None, KEPT + 1).await?;
    if KEPT < runs.len()
        && let Some((oldest, _)) = runs.into_iter().next()
    {
        records.change(vec![RecordChange::remove(oldest)]).await?;
    }
    Ok(())
}

/// The runs that are kept, newest first.
pub(super) async fn latest(records: &dyn Records, job: &str) -> Result<Vec<Run>, Fault> {
    let known = all(records, &format!("job/{job}/run/")).await?;
    known.iter().rev().map(|(key, value)| parsed(key, value)).collect()
}
