//! The scheduler: each date once, on one node, and every run on record.

use crate::ports::{TestEnv, a_moment};
use crate::world::now;
use bank::calendar::Calendar;
use bank::ports::{Boxed, Env, Records};
use bank::records::MemoryRecords;
use bank::schedule::plan::Plan;
use bank::schedule::{Done, Job, JobError, RunError, RunOutcome, Scheduler};
use futures_util::future::join;
use ledger::time::{Day, Timestamp};
use std::sync::{Arc, Mutex};
use store::Fault;

const DAY_US: u64 = 86_400_000_000;
const MINUTE_US: u64 = 60_000_000;

/// A job that notes its dates, and fails as often as it is told. It can do nothing for a date before this much of it is over.
struct Noting {
    after_us: u64,
    /// How long a run takes.
    moments: u32,
    plan: &'static str,
    dates: Arc<Mutex<Vec<Day>>>,
    fails: Mutex<u32>,
}

impl Job for Noting {
    fn name(&self) -> &'static str {
        "noting"
    }

    fn about(&self) -> &'static str {
        "notes its dates"
    }

    fn plan(&self) -> Plan {
        self.plan.parse().expect("a plan")
    }

    fn not_before(&self, date: Day) -> Timestamp {
        date.start().expect("a day of this time").saturating_add(self.after_us)
    }

    fn run(&self, date: Day) -> Boxed<'_, Result<Done, JobError>> {
        Box::pin(async move {
            for _ in 0..self.moments {
                a_moment().await;
            }
            let mut fails = self.fails.lock().expect("unpoisoned");
            if 0 < *fails {
                *fails -= 1;
                return Err(Fault::Overloaded.into());
            }
            self.dates.lock().expect("unpoisoned").push(date);
            Ok(Done { did_something: true, detail: format!("noted {date}") })
        })
    }
}

/// Nodes of a bank, at 08:00 UTC on 15 January 2027.
struct Nodes {
    env: Arc<TestEnv>,
    records: Arc<MemoryRecords>,
    dates: Arc<Mutex<Vec<Day>>>,
    plan: &'static str,
    after_us: u64,
    moments: u32,
}

impl Nodes {
    fn new(plan: &'static str) -> Nodes {
        Nodes { env: TestEnv::new(), records: Arc::default(), dates: Arc::default(), plan, after_us: 0, moments: 0 }
    }

    fn node(&self, fails: u32) -> Scheduler {
        let (after_us, moments, dates) = (self.after_us, self.moments, self.dates.clone());
        let job = Noting { after_us, moments, plan: self.plan, dates, fails: Mutex::new(fails) };
        Scheduler::new(vec![Arc::new(job)], self.records.clone(), self.env.clone(), Calendar::default())
    }

    fn dates(&self) -> Vec<String> {
        self.dates.lock().expect("unpoisoned").iter().map(Day::to_string).collect()
    }
}

#[test]
fn each_date_is_done_once_by_several_nodes() {
    let nodes = Nodes::new("daily at 00:05");
    let all = [nodes.node(0), nodes.node(0), nodes.node(0)];
    for _ in 0..(3 * 24 * 12) {
        for node in &all {
            now(node.look(0)).expect("looked");
        }
        nodes.env.pass(5 * MINUTE_US);
    }
    assert_eq!(nodes.dates(), ["2027-01-16", "2027-01-17", "2027-01-18"], "a new job begins with its next date");
}

#[test]
fn after_days_off_a_job_runs_for_the_latest_date() {
    let nodes = Nodes::new("daily at 00:05");
    now(nodes.node(0).look(0)).expect("looked");
    nodes.env.pass(4 * DAY_US);
    now(nodes.node(0).look(0)).expect("looked");
    assert_eq!(nodes.dates(), ["2027-01-19"]);
}

#[test]
fn a_run_that_fails_is_tried_again_later_and_is_on_record() {
    let nodes = Nodes::new("daily at 00:05");
    let node = nodes.node(2);
    now(node.look(0)).expect("looked");
    nodes.env.pass(DAY_US);
    assert!(now(node.look(0)).is_err());
    assert_eq!(now(node.look(0)).expect("not yet"), None, "it waits before it tries again");
    nodes.env.pass(MINUTE_US);
    assert!(now(node.look(0)).is_err());
    nodes.env.pass(2 * MINUTE_US);
    assert!(now(node.look(0)).expect("looked").is_some());
    assert_eq!(nodes.dates(), ["2027-01-16"]);
    let runs = now(node.runs("noting")).expect("read").expect("there");
    let outcomes: Vec<RunOutcome> = runs.iter().map(|run| run.outcome).collect();
    assert_eq!(outcomes, [RunOutcome::Done, RunOutcome::Failed, RunOutcome::Failed]);
    assert_eq!(runs[0].detail, "noted 2027-01-16");
    let (_, figures) = node.figures()[0];
    assert_eq!((figures.done, figures.failed), (1, 2));
}

#[test]
fn a_job_that_cannot_do_anything_for_its_date_yet_waits_and_fails_nothing() {
    let nodes = Nodes { after_us: 6 * 60 * MINUTE_US, ..Nodes::new("daily at 00:05") };
    let node = nodes.node(0);
    now(node.look(0)).expect("looked");
    assert_eq!(
        node.jobs().next().and_then(|job| node.next_time(job.as_ref())).map(|time| time.to_string()).as_deref(),
        Some("2027-01-16T06:00:00Z")
    );
    nodes.env.pass(16 * 60 * MINUTE_US + 5 * MINUTE_US);
    for _ in 0..(6 * 12 - 1) {
        assert_eq!(now(node.look(0)).expect("looked"), None);
        nodes.env.pass(5 * MINUTE_US);
    }
    assert!(now(node.look(0)).expect("looked").is_some());
    assert_eq!(nodes.dates(), ["2027-01-16"]);
    assert_eq!(now(node.runs("noting")).expect("read").expect("there").len(), 1);
}

#[test]
fn a_job_can_be_run_by_hand_for_any_date_unless_another_node_is_at_it() {
    let nodes = Nodes::new("monthly on 1 at 03:00");
    let node = nodes.node(0);
    now(node.run_now("noting", Some("2027-01-10".parse().expect("a day")))).expect("run");
    now(node.run_now("noting", None)).expect("run");
    assert_eq!(nodes.dates(), ["2027-01-10", "2027-01-01"]);
    assert!(matches!(now(nodes.node(0).run_now("noting", None)), Err(RunError::Busy)));
    assert!(matches!(now(node.run_now("nothing", None)), Err(RunError::Unknown)));
    let runs = now(node.runs("noting")).expect("read").expect("there");
    assert!(runs.iter().all(|run| run.by_hand));
}

#[test]
fn a_job_that_takes_long_is_run_once_at_a_time_by_whichever_node() {
    let nodes = Nodes { moments: 100, ..Nodes::new("daily at 00:05") };
    let (node, other) = (nodes.node(0), nodes.node(0));
    let meanwhile = async {
        for _ in 0..20 {
            a_moment().await;
            nodes.env.pass(MINUTE_US / 4);
            for _ in 0..3 {
                a_moment().await; // the lease is renewed
            }
            for busy in [&node, &other] {
                assert!(matches!(busy.run_now("noting", None).await, Err(RunError::Busy)));
            }
            assert_eq!(node.look(0).await.expect("looked"), None);
        }
    };
    let (done, ()) = now(join(node.run_now("noting", None), meanwhile));
    assert_eq!(done.expect("run").detail, "noted 2027-01-15");
    let runs = now(node.runs("noting")).expect("read").expect("there");
    assert_eq!(runs.iter().map(|run| run.outcome).collect::<Vec<_>>(), [RunOutcome::Done]);
    now(node.run_now("noting", None)).expect("it may be run again");
}

#[test]
fn what_ran_when_its_node_died_is_called_interrupted() {
    let nodes = Nodes::new("daily at 00:05");
    now(nodes.node(0).look(0)).expect("looked");
    nodes.env.pass(DAY_US);
    let running = serde_json::json!({"finished_us": null, "date": "2027-01-16", "by_hand": false, "outcome": "running", "detail": ""});
    let key = format!("job/noting/run/{:020}", nodes.env.now().microseconds());
    let change = bank::ports::RecordChange::put(key, &running).expect("JSON");
    now(nodes.records.change(vec![change])).expect("changed");
    nodes.env.pass(MINUTE_US);
    let node = nodes.node(0);
    now(node.look(0)).expect("looked");
    let runs = now(node.runs("noting")).expect("read").expect("there");
    assert_eq!(runs.iter().map(|run| run.outcome).collect::<Vec<_>>(), [RunOutcome::Done, RunOutcome::Interrupted]);
}

#[test]
fn the_latest_runs_are_kept() {
    let nodes = Nodes::new("every 1s");
    let node = nodes.node(0);
    for _ in 0..250 {
        now(node.look(0)).expect("looked");
        nodes.env.pass(1_000_000);
    }
    assert_eq!(nodes.dates().len(), 250);
    assert_eq!(now(node.runs("noting")).expect("read").expect("there").len(), 200);
}

#[test]
fn nothing_is_done_by_hand_for_a_day_to_come() {
    let nodes = Nodes::new("every 60s");
    let node = nodes.node(0);
    let run = |date: &str| now(node.run_now("noting", Some(date.parse().expect("a day"))));
    assert!(matches!(run("2027-01-16"), Err(RunError::Job(JobError::TooEarly(_)))));
    run("2027-01-15").expect("it is that day");
    assert_eq!(nodes.dates(), ["2027-01-15"]);
}
