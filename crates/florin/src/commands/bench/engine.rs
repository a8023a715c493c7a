//! The engine alone: random transfers between random accounts, each with an idempotency key, submitted in batches.

use super::{Latencies, Measured, folder_bytes, mixed, now, per_second, random_transfer, resident_bytes};
use crate::cli::BenchEngine;
use crate::failure::Failure;
use crate::program::{OpenBank, Program};
use bank::ports::Env;
use ledger::account::AccountKind;
use ledger::amount::Amount;
use ledger::command::{Command, OpenAccount, RegisterCustomer};
use ledger::currency::Currency;
use ledger::event::{Channel, Context, Key, Outcome};
use ledger::ids::{AccountId, CustomerId};
use ledger::transfer::{Leg, LegAmount, Legs, Transfer, TransferKind};
use serde_json::json;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::{Answer, Fault, Request, SUBMISSION_MAX, Store, Submission};
use tokio::task::JoinHandle;

/// Requests on their way at a time: three of the largest batches, so that one is written while the next is decided.
const REQUESTS_IN_FLIGHT: usize = 3 * SUBMISSION_MAX;
/// Submissions on their way at a time, however small.
const SUBMISSIONS_IN_FLIGHT: usize = 1024;
/// Pause before something refused for now is submitted again, and between looks at the indexes.
const PAUSE_US: u64 = 1000;

/// Fewer batches than this are too few to tell the rates of ten parts of the run apart.
const BATCHES_FOR_TENTHS: u64 = 100;

/// Measures the engine in a new folder and prints what it came to.
///
/// # Errors
/// Wrong usage for a folder with something in it; a fault of the engine.
pub(super) fn run(program: &Program, command: &BenchEngine) -> Result<(), Failure> {
    let folder = program.folder();
    if std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Failure::usage(
            format!("{} is not empty, so the figures would mean nothing", folder.display()),
            "name a new folder with --data NEWDIR, and remove it afterwards",
        ));
    }
    let open = program.open_bank(None)?;
    let measured = program.runtime.block_on(measure(program, &open, command));
    if command.stay {
        Measured { folder_bytes: folder_bytes(folder), ..measured? }.print(program.output)?;
        loop {
            std::thread::park();
        }
    }
    open.shut_down()?;
    Measured { folder_bytes: folder_bytes(folder), ..measured? }.print(program.output)
}

async fn measure(program: &Program, open: &OpenBank, command: &BenchEngine) -> Result<Measured, Failure> {
    let load = Arc::new(Load {
        store: open.bank.shards()[0].clone(),
        env: open.env.clone(),
        context: Arc::new(Context {
            principal: "bench".into(),
            channel: Channel::File,
            correlation: "".into(),
            cause: None,
        }),
        currency: "EUR".parse::<Currency>().map_err(|_| Failure::fault("there is no EUR", ""))?,
        accounts: command.accounts,
    });
    let transfers = command.transfers.get();
    let bar = program.output.progress("opening accounts", command.accounts);
    load.clone().submit(vec![load.register()]).await?;
    run_all(&load, command.accounts, SUBMISSION_MAX, &bar, Load::open_account).await?;
    bar.set_message("moving money");
    bar.set_length(transfers);
    bar.set_position(0);
    let start = now();
    let ran = run_all(&load, transfers, command.batch, &bar, Load::transfer).await?;
    let durable = start.elapsed();
    bar.set_message("indexing");
    while load.store.stats().index_lag != 0 {
        load.env.sleep(PAUSE_US).await;
    }
    let indexed = start.elapsed();
    bar.finish_and_clear();
    Ok(Measured {
        parameters: json!({"transfers": transfers, "accounts": command.accounts, "batch": command.batch}),
        transfers,
        durable,
        indexed: Some(indexed),
        latencies: Latencies::new(ran.latencies),
        reads: None,
        tenths: ran.tenths,
        folder_bytes: None,
        resident_bytes: resident_bytes(),
    })
}

/// Where the load goes.
struct Load {
    store: Arc<dyn Store>,
    env: Arc<dyn Env>,
    context: Arc<Context>,
    currency: Currency,
    accounts: u64,
}

type Make = fn(&Load, u64) -> Request;

/// How a run went.
struct Ran {
    /// How long each batch took.
    latencies: Vec<Duration>,
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

/// Submits `count` requests in batches and waits for all of them.
async fn run_all(
    load: &Arc<Load>,
    count: u64,
    batch: usize,
    bar: &indicatif::ProgressBar,
    make: Make,
) -> Result<Ran, Failure> {
    let window = (REQUESTS_IN_FLIGHT / batch).min(SUBMISSIONS_IN_FLIGHT);
    let mut running: VecDeque<JoinHandle<Result<Duration, Failure>>> = VecDeque::with_capacity(window);
    let mut latencies = Vec::new();
    let (mut begun, mut done) = (0, 0);
    let mut tenths = Tenths::new(count, now());
    while begun < count || !running.is_empty() {
        if begun < count && running.len() < window {
            let end = count.min(begun + batch as u64);
            running.push_back(tokio::spawn(one_batch(load.clone(), begun, end, make)));
            begun = end;
        } else if let Some(oldest) = running.pop_front() {
            let latency = oldest.await.map_err(|error| Failure::fault(format!("a task did not end: {error}"), ""))?;
            latencies.push(latency?);
            done = count.min(done + batch as u64);
            tenths.note(done, now());
            bar.set_position(done);
        }
    }
    let is_long = BATCHES_FOR_TENTHS * batch as u64 <= count;
    Ok(Ran { latencies, tenths: if is_long { tenths.rates } else { Vec::new() } })
}

/// Makes the requests anew when the engine cannot take them yet, so that nothing has to be kept.
async fn one_batch(load: Arc<Load>, begin: u64, end: u64, make: Make) -> Result<Duration, Failure> {
    loop {
        let requests = (begin..end).map(|index| make(&load, index)).collect();
        let start = now();
        match load.clone().submit(requests).await {
            Ok(()) => return Ok(start.elapsed()),
            Err(Refused::ForNow) => load.env.sleep(PAUSE_US).await,
            Err(Refused::ForGood(failure)) => return Err(failure),
        }
    }
}

enum Refused {
    ForNow,
    ForGood(Failure),
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Failure {
        match refused {
            Refused::ForNow => Fault::Overloaded.into(),
            Refused::ForGood(failure) => failure,
        }
    }
}

impl Load {
    async fn submit(self: Arc<Load>, requests: Vec<Request>) -> Result<(), Refused> {
        let submission = Submission { context: self.context.clone(), requests, dry_run: false };
        let answers = match self.store.submit(submission).await {
            Err(Fault::Overloaded) => return Err(Refused::ForNow),
            answers => answers.map_err(|fault| Refused::ForGood(fault.into()))?,
        };
        let is_done = |answer: &Answer| matches!(answer.outcome(), Some(Outcome::Event(_)));
        match answers.iter().find(|answer| !is_done(answer)) {
            None => Ok(()),
            Some(answer) => {
                Err(Refused::ForGood(Failure::fault(format!("a request was not done: {answer:?}"), "use a new folder")))
            }
        }
    }

    fn register(&self) -> Request {
        let command = RegisterCustomer { id: CustomerId::new(1), profile: Vec::new(), registered_as: 1 };
        Request { key: None, command: Command::RegisterCustomer(Box::new(command)) }
    }

    fn open_account(&self, index: u64) -> Request {
        let command = OpenAccount {
            id: AccountId::new(index + 1),
            customer: CustomerId::new(1).expect("one is an id"),
            kind: AccountKind::Checking,
            currency: self.currency,
            overdraft_limit: Amount::MAX,
        };
        Request { key: None, command: Command::OpenAccount(command) }
    }

    fn transfer(&self, index: u64) -> Request {
        let (from, to, amount) = random_transfer(index, self.accounts);
        let account = |id| AccountId::new(id).expect("accounts count from one");
        let amount = Amount::new(amount).expect("it has few digits");
        let digest = u128::from(mixed(!index)) << 64 | u128::from(mixed(index ^ 0x5555_5555_5555_5555));
        let leg = Leg { from: account(from), to: account(to), amount: LegAmount::Exactly(amount) };
        let transfer = Transfer {
            kind: TransferKind::Transfer,
            currency: self.currency,
            legs: Legs::One([leg]),
            forced: false,
            effective_at: None,
            note: None,
        };
        Request { key: Some(Key { digest, fingerprint: digest }), command: Command::Transfer(transfer) }
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
