//! The engine alone: random transfers between random accounts, each with an idempotency key, submitted in batches. Over
//! the shards of the configuration, and over Kafka where that is switched on.

mod load;

use super::{Latencies, Measured, folder_bytes, now, per_second, resident_bytes};
#[cfg(feature = "kafka")]
use crate::adapters::kafka::Kafka;
use crate::cli::{BenchEngine, Shape};
use crate::config::EngineKind;
use crate::failure::Failure;
use crate::program::{OpenBank, Program};
use indicatif::ProgressBar;
use load::{Load, Refused};
use serde_json::json;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::Store;
use tokio::task::JoinHandle;

/// Submissions on their way at a time, however small.
const SUBMISSIONS_IN_FLIGHT: usize = 1024;

/// Fewer batches than this are too few to tell the rates of ten parts of the run apart.
const BATCHES_FOR_TENTHS: u64 = 100;

/// Measures the engine in a new folder, or in new databases, and prints what it came to.
///
/// # Errors
/// Wrong usage for a folder or a database with something in it; a fault of the engine.
pub(super) fn run(program: &Program, command: &BenchEngine) -> Result<(), Failure> {
    let folder = program.folder();
    if std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Failure::usage(
            format!("{} is not empty, so the figures would mean nothing", folder.display()),
            "name a new folder with --data NEWDIR, and remove it afterwards",
        ));
    }
    program.config.kafka.check()?;
    #[cfg(feature = "kafka")]
    let bus = crate::adapters::kafka::bus(&program.config.kafka)?;
    #[cfg(not(feature = "kafka"))]
    let bus = None;
    let open = program.open_bank_over(command.shards, bus.as_ref())?;
    if let Some(known) = open.bank.shards().iter().find(|store| store.head() != 0) {
        let what = format!("shard {} has a bank in it, so the figures would mean nothing", known.shard());
        return Err(Failure::usage(what, "name databases without tables"));
    }
    #[cfg(feature = "kafka")]
    let kafka =
        Kafka::start(&program.config.kafka, open.bank.clone(), open.env.clone(), program.runtime.handle().clone())?;
    let measured = program.runtime.block_on(measure(program, &open, command));
    #[cfg(feature = "kafka")]
    kafka.stop();
    let is_in_folder = program.config.storage.engine == EngineKind::Embedded;
    let folder_bytes = || is_in_folder.then(|| folder_bytes(folder)).flatten();
    if command.stay {
        Measured { folder_bytes: folder_bytes(), ..measured? }.print(program.output)?;
        loop {
            std::thread::park();
        }
    }
    open.shut_down()?;
    Measured { folder_bytes: folder_bytes(), ..measured? }.print(program.output)
}

async fn measure(program: &Program, open: &OpenBank, command: &BenchEngine) -> Result<Measured, Failure> {
    let load = Arc::new(Load::new(open, command.shape, command.accounts)?);
    let transfers = command.transfers.get();
    let bar = program.output.progress("opening accounts", command.accounts);
    load.open_accounts(|opened| bar.set_position(opened)).await?;
    let follow = |store: &Arc<dyn Store>| tokio::spawn(load.clone().follow(store.shard()));
    let followers: Vec<_> = match command.shape {
        Shape::Between => load.shards().iter().map(follow).collect(),
        Shape::Spread | Shape::Hot => Vec::new(),
    };
    load.warm_up().await?;
    bar.set_message("moving money");
    bar.set_length(transfers);
    bar.set_position(0);
    let start = now();
    let ran = run_all(&load, command, &bar).await?;
    load.all_succeeded().await?;
    let durable = start.elapsed();
    followers.iter().for_each(JoinHandle::abort);
    bar.set_message("indexing");
    load.all_indexed().await;
    let indexed = start.elapsed();
    bar.finish_and_clear();
    Ok(Measured {
        parameters: json!({
            "transfers": transfers, "accounts": command.accounts, "batch": command.batch,
            "shape": command.shape.name(), "shards": load.shards().len(), "in_flight": command.in_flight,
            "rate": command.rate,
        }),
        transfers,
        durable,
        indexed: Some(indexed),
        latencies: Latencies::new(ran.latencies),
        succeeded: (!ran.succeeded.is_empty()).then(|| Latencies::new(ran.succeeded)),
        reads: None,
        tenths: ran.tenths,
        folder_bytes: None,
        resident_bytes: resident_bytes(),
    })
}

/// How a run went.
struct Ran {
    /// How long each batch took.
    latencies: Vec<Duration>,
    /// How long after its answer the last transfer of each batch had succeeded, of those between shards.
    succeeded: Vec<Duration>,
    /// See [`Measured`].
    tenths: Vec<u64>,
}

/// Takes the time of each tenth of a run while it goes.
struct Tenths {
    count: u64,
    rates: Vec<u64>,
    /// Requests done at the last mark, and when.
    marked: (u64, Instant),
}

impl Tenths {
    fn new(count: u64, start: Instant) -> Tenths {
        Tenths { count, rates: Vec::with_capacity(10), marked: (0, start) }
    }

    fn note(&mut self, done: u64, now: Instant) {
        let next = self.rates.len() as u64 + 1;
        if self.count * next <= done * 10 {
            let (done_before, then) = self.marked;
            self.rates.push(per_second(done - done_before, now - then));
            self.marked = (done, now);
        }
    }
}

/// Submits all transfers in batches and waits for all of them.
async fn run_all(load: &Arc<Load>, command: &BenchEngine, bar: &ProgressBar) -> Result<Ran, Failure> {
    let (count, batch) = (command.transfers.get(), command.batch);
    let window = (command.in_flight.get() / batch).clamp(1, SUBMISSIONS_IN_FLIGHT);
    let mut running: VecDeque<JoinHandle<Result<Took, Failure>>> = VecDeque::with_capacity(window);
    let (mut latencies, mut succeeded) = (Vec::new(), Vec::new());
    let (mut begun, mut done) = (0, 0);
    let start = now();
    let mut tenths = Tenths::new(count, start);
    while begun < count || !running.is_empty() {
        if begun < count && running.len() < window {
            wait_for_turn(load, command, begun, start).await;
            let end = count.min(begun + batch as u64);
            running.push_back(tokio::spawn(one_batch(load.clone(), begun / batch as u64, begun, end)));
            begun = end;
        } else if let Some(oldest) = running.pop_front() {
            let took = oldest.await.map_err(|error| Failure::fault(format!("a task did not end: {error}"), ""))??;
            latencies.push(took.answer);
            succeeded.extend(took.success);
            done = count.min(done + batch as u64);
            tenths.note(done, now());
            bar.set_position(done);
        }
    }
    let is_long = command.rate.is_none() && BATCHES_FOR_TENTHS * batch as u64 <= count;
    Ok(Ran { latencies, succeeded, tenths: if is_long { tenths.rates } else { Vec::new() } })
}

/// With a rate, each batch has its time, and is late rather than skipped.
async fn wait_for_turn(load: &Load, command: &BenchEngine, begun: u64, start: Instant) {
    let Some(rate) = command.rate else { return };
    let due_us = u128::from(begun) * 1_000_000 / u128::from(rate.get());
    let wait_us = due_us.saturating_sub(start.elapsed().as_micros());
    if wait_us != 0 {
        load.env.sleep(u64::try_from(wait_us).unwrap_or(u64::MAX)).await;
    }
}

/// How long a batch took.
struct Took {
    /// Until its answers came.
    answer: Duration,
    /// From then until its last transfer had succeeded, where it goes between shards.
    success: Option<Duration>,
}

/// Makes the requests anew when the engine cannot take them yet, so that nothing has to be kept.
async fn one_batch(load: Arc<Load>, batch: u64, begin: u64, end: u64) -> Result<Took, Failure> {
    loop {
        let start = now();
        match load.transfer_all(batch, begin..end).await {
            Ok(pending) => {
                let answered = now();
                let mut success = None;
                if let Some(last) = pending.last {
                    load.success_of(pending.shard, last).await?;
                    success = Some(answered.elapsed());
                }
                return Ok(Took { answer: answered - start, success });
            }
            Err(Refused::ForNow) => load.pause().await,
            Err(Refused::ForGood(failure)) => return Err(failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tenth_has_its_own_rate() {
        let start = now();
        let mut tenths = Tenths::new(1000, start);
        let mut time = start;
        for done in (50..=1000).step_by(50) {
            time += Duration::from_secs(if done <= 500 { 1 } else { 2 });
            tenths.note(done, time);
        }
        assert_eq!(tenths.rates, [50, 50, 50, 50, 50, 25, 25, 25, 25, 25]);
    }
}
