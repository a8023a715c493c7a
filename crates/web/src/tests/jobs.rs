//! Running jobs by hand.

use super::ports::TestEnv;
use super::world::World;
use crate::Settings;
use bank::calendar::Calendar;
use bank::ports::Boxed;
use bank::records::MemoryRecords;
use bank::schedule::plan::Plan;
use bank::schedule::{Done, Job, JobError, Scheduler};
use ledger::time::Day;
use std::sync::Arc;
use std::time::Duration;

/// A job that never gets to its end.
struct Endless;

impl Job for Endless {
    fn name(&self) -> &'static str {
        "endless"
    }

    fn about(&self) -> &'static str {
        "does nothing for ever"
    }

    fn plan(&self) -> Plan {
        Plan::Off
    }

    fn run(&self, _date: Day) -> Boxed<'_, Result<Done, JobError>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn a_run_that_takes_long_goes_on_until_the_server_stops_and_is_not_begun_again() {
    let jobs: Vec<Arc<dyn Job>> = vec![Arc::new(Endless)];
    let records = Arc::new(MemoryRecords::default());
    let scheduler = Some(Arc::new(Scheduler::new(jobs, records, TestEnv::new(), Calendar::default())));
    let request_timeout = Duration::from_secs(2);
    let settings = Settings { no_auth: true, is_loopback: true, scheduler, request_timeout, ..Settings::default() };
    let world = World::with(settings);
    let first = world.post("/api/v1/jobs/endless/run", "", "{}").await;
    assert_eq!(first.status, 202, "{}", first.text());
    let second = world.post("/api/v1/jobs/endless/run", "", "{}").await;
    assert_eq!((second.status, second.code().as_str()), (409, "request_in_progress"));
    let runs = world.get("/api/v1/jobs/endless/runs").await.json();
    let runs = runs["items"].as_array().expect("runs");
    assert_eq!((runs.len(), runs[0]["outcome"].as_str()), (1, Some("running")));
    world.app.stopping().cancel();
    world.app.tasks().close();
    world.app.tasks().wait().await;
    let stopped = world.post("/api/v1/jobs/endless/run", "", "{}").await;
    assert_eq!(stopped.status, 503, "the run has ended with the server: {}", stopped.text());
}
