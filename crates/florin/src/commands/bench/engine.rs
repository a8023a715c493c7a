//! The engine alone: random transfers between random accounts, each with an idempotency key, submitted in batches.

use super::{Measured, folder_bytes, mixed, now, random_transfer, resident_bytes};
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
use std::time::Duration;
use store::{Answer, Fault, Request, SUBMISSION_MAX, Store, Submission};
use tokio::task::JoinHandle;

/// Requests on their way at a time: three of the largest batches, so that one is written while the next is decided.
const REQUESTS_IN_FLIGHT: usize = 3 * SUBMISSION_MAX;
/// Submissions on their way at a time, however small.
const SUBMISSIONS_IN_FLIGHT: usize = 1024;
/// Pause before something refused for now is submitted again, and between looks at the indexes.
const PAUSE_US: u64 = 1000;

/// Measures the engine in a new folder.
///
/// # Errors
/// Wrong usage for a folder with something in it; a fault of the engine.
pub(super) fn run(program: &Program, command: &BenchEngine) -> Result<Measured, Failure> {
    let folder = program.folder();
    if std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Failure::usage(
            format!("{} is not empty, so the figures would mean nothing", folder.display()),
            "name a new folder with --data NEWDIR, and remove it afterwards",
        ));
    }
    let open = program.open_bank(None)?;
    let measured = program.runtime.block_on(measure(program, &open, command));
    open.shut_down()?;
    let mut measured = measured?;
    measured.folder_bytes = folder_bytes(folder);
    Ok(measured)
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
    let latencies = run_all(&load, transfers, command.batch, &bar, Load::transfer).await?;
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
        latencies,
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

/// Submits `count` requests in batches and waits for all of them; how long each batch took.
async fn run_all(
    load: &Arc<Load>,
    count: u64,
    batch: usize,
    bar: &indicatif::ProgressBar,
    make: Make,
) -> Result<Vec<Duration>, Failure> {
    let window = (REQUESTS_IN_FLIGHT / batch).min(SUBMISSIONS_IN_FLIGHT);
    let mut running: VecDeque<JoinHandle<Result<Duration, Failure>>> = VecDeque::with_capacity(window);
    let mut latencies = Vec::new();
    let mut begun = 0;
    while begun < count || !running.is_empty() {
        if begun < count && running.len() < window {
            let end = count.min(begun + batch as u64);
            running.push_back(tokio::spawn(one_batch(load.clone(), begun, end, make)));
            begun = end;
        } else if let Some(oldest) = running.pop_front() {
            let latency = oldest.await.map_err(|error| Failure::fault(format!("a task did not end: {error}"), ""))?;
            latencies.push(latency?);
            bar.inc(batch as u64);
        }
    }
    Ok(latencies)
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
