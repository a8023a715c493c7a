//! The close of a day while the bank serves: every account bears interest, money moves beside at a fixed rate, and the
//! clock is set ahead by a day, since a measurement cannot wait for it.

use super::{Latencies, as_number, folder_bytes, milliseconds, mixed, now, random_transfer, resident_bytes};
use crate::cli::BenchCloseDay;
use crate::failure::Failure;
use crate::output::grouped;
use crate::program::{OpenBank, Program};
use bank::error::BankError;
use bank::interest::day_count::DayCount;
use bank::interest::parts::Rate;
use bank::interest::product::{PostingPlan, Product, Tier, Tiering, Version};
use bank::interest::{CloseError, Closed};
use bank::ports::Env;
use bank::submit::ClientKey;
use bank::transfer::Terms;
use bank::{Bank, Caller};
use ledger::account::AccountKind;
use ledger::amount::Amount;
use ledger::command::{Command, OpenAccount};
use ledger::currency::Currency;
use ledger::event::{Channel, Outcome};
use ledger::ids::{AccountId, CustomerId};
use ledger::time::Day;
use ledger::transfer::{Leg, LegAmount, Legs, Transfer, TransferKind};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use store::{Fault, SUBMISSION_MAX};
use tokio::task::JoinSet;

const DAY_US: u64 = 86_400_000_000;
/// How often the load beside submits what is due.
const TICK_US: u64 = 5_000;
/// How long the load runs without a close, to compare.
const QUIET: Duration = Duration::from_secs(3);

/// Measures the close of a day in a new folder, and prints what it came to.
///
/// # Errors
/// Wrong usage for a folder with something in it; a fault of the engine.
pub(super) fn run(program: &Program, command: &BenchCloseDay) -> Result<(), Failure> {
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
    let Measured { first, close, closed, quiet, busy } = measured?;
    let output = program.output;
    let time = |time: Duration| milliseconds(time.as_micros());
    output.line(format!("{:>14} accounts closed for {}", grouped(closed.accounts), closed.day))?;
    output.line(format!("{:>14} transfers on that day", grouped(command.transfers)))?;
    output.line(format!("{:>14} postings of interest", grouped(closed.posted)))?;
    output.line(format!("{:>14} ms for the close", time(close)))?;
    output.line(format!("{:>14} ms for the first close, which read the journal from its beginning", time(first)))?;
    for (what, latencies) in [("before", &quiet), ("while it was closed", &busy)] {
        let (half, most) = (latencies.percentile_us(50), latencies.percentile_us(99));
        output.line(format!("{:>14} ms p50, {} ms p99 of transfers {what}", milliseconds(half), milliseconds(most)))?;
    }
    output.object(&json!({
        "parameters": {"accounts": command.accounts, "transfers": command.transfers, "posting": command.posting,
            "rate": command.rate},
        "close_ms": as_number(close.as_micros()), "first_close_ms": as_number(first.as_micros()),
        "postings": closed.posted, "beside": busy.sorted.len(),
        "quiet_p50_ms": as_number(quiet.percentile_us(50)), "quiet_p99_ms": as_number(quiet.percentile_us(99)),
        "busy_p50_ms": as_number(busy.percentile_us(50)), "busy_p99_ms": as_number(busy.percentile_us(99)),
        "folder_bytes": folder_bytes(folder), "rss_mb": resident_bytes().map(|bytes| bytes >> 20),
    }))
}

struct Measured {
    first: Duration,
    close: Duration,
    closed: Closed,
    quiet: Latencies,
    busy: Latencies,
}

async fn measure(program: &Program, open: &OpenBank, command: &BenchCloseDay) -> Result<Measured, Failure> {
    let currency: Currency = "EUR".parse().map_err(|_| Failure::fault("there is no EUR", ""))?;
    let load = Arc::new(Load { bank: open.bank.clone(), currency, accounts: command.accounts });
    let bar = program.output.progress("opening accounts", command.accounts);
    load.open_accounts().await?;
    bar.finish_and_clear();
    let from = open.interest.business_date().await?;
    open.interest.create_product(&caller(), &product(currency, &command.posting, from)).await?;
    open.env.skip(DAY_US);
    let (first, _) = timed_close(open).await?;
    load.move_money(command.transfers).await?;
    open.env.skip(DAY_US);
    let quiet = load.beside(open, command.rate.get(), Some(QUIET), &Arc::default()).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let (loaded, stopped, env) = (load.clone(), stop.clone(), open.env.clone());
    let rate = command.rate.get();
    let beside = tokio::spawn(async move { loaded.beside_at(env, rate, None, &stopped).await });
    let interest = open.interest.clone();
    // On its own thread, as the scheduler runs it.
    let closing = tokio::spawn(async move {
        let start = now();
        let closed = interest.close_until(None).await;
        (start.elapsed(), closed)
    });
    let (close, closed) = closing.await.map_err(|error| Failure::fault(format!("the close broke off: {error}"), ""))?;
    stop.store(true, Ordering::Relaxed);
    let busy = beside.await.map_err(|error| Failure::fault(format!("the load broke off: {error}"), ""))??;
    let closed = closed.map_err(failed)?.pop().ok_or_else(|| Failure::fault("no day was closed", ""))?;
    Ok(Measured { first, close, closed, quiet, busy })
}

async fn timed_close(open: &OpenBank) -> Result<(Duration, Vec<Closed>), Failure> {
    let start = now();
    let closed = open.interest.close_until(None).await.map_err(failed)?;
    Ok((start.elapsed(), closed))
}

fn failed(error: CloseError) -> Failure {
    match error {
        CloseError::Fault(fault) => fault.into(),
        CloseError::NotOver { .. } => Failure::fault(error.to_string(), ""),
    }
}

fn caller() -> Caller {
    Caller::local(Channel::File)
}

fn product(currency: Currency, posting: &str, from: Day) -> Product {
    let posting = if posting == "daily" { PostingPlan::Daily } else { PostingPlan::Monthly };
    let tier = |above: u64, percent: &str| Tier {
        above: Amount::new(above).unwrap_or(Amount::ZERO),
        rate: Rate::from_percent(percent).unwrap_or_default(),
    };
    let tiers = vec![tier(0, "1.5"), tier(500_000, "2.25")];
    Product {
        id: "bench".into(),
        currency,
        day_count: DayCount::Actual365Fixed,
        posting,
        tiering: Tiering::Slices,
        default_for: Some(AccountKind::Checking),
        versions: vec![Version { from, minimum_balance: Amount::ZERO, tiers }],
    }
}

/// Accounts, and money that moves between them.
struct Load {
    bank: Arc<Bank>,
    currency: Currency,
    accounts: u64,
}

impl Load {
    /// Opens the accounts 1 to `accounts` of one customer and pays something in to each.
    async fn open_accounts(&self) -> Result<(), Failure> {
        let customer = CustomerId::new(1).ok_or_else(|| Failure::fault("1 is no id", ""))?;
        self.bank.register_user(&caller(), None, Some(customer), &Default::default()).await?;
        let ids: Vec<AccountId> = (1..=self.accounts).filter_map(AccountId::new).collect();
        for some in ids.chunks(SUBMISSION_MAX / 2) {
            let mut items = Vec::with_capacity(some.len() * 2);
            for id in some {
                items.push(Command::OpenAccount(OpenAccount {
                    id: Some(*id),
                    customer,
                    kind: AccountKind::Checking,
                    currency: self.currency,
                    overdraft_limit: Amount::MAX,
                }));
                let amount = Amount::new(1 + mixed(id.number()) % 2_000_000).unwrap_or(Amount::ZERO);
                let terms = Terms {
                    currency: self.currency,
                    amount: LegAmount::Exactly(amount),
                    forced: false,
                    effective_at: None,
                    note: None,
                };
                let deposit = self.bank.deposit(*id, None, terms);
                items.extend(deposit.ok().map(Command::Transfer));
            }
            self.submit(items).await?;
        }
        Ok(())
    }

    /// So many transfers, in batches.
    async fn move_money(&self, transfers: u64) -> Result<(), Failure> {
        let mut next = 0;
        while next < transfers {
            let end = transfers.min(next + SUBMISSION_MAX as u64);
            self.submit((next..end).filter_map(|index| self.transfer(index)).collect()).await?;
            next = end;
        }
        Ok(())
    }

    async fn submit(&self, commands: Vec<Command>) -> Result<(), Failure> {
        let items = commands.into_iter().map(|command| (None, command)).collect();
        for answer in self.bank.submit_batch(&caller(), items, false).await {
            if let Some(Outcome::Rejection { rejection, .. }) = answer?.outcome() {
                return Err(Failure::fault(format!("a request was refused: {rejection}"), "use a new folder"));
            }
        }
        Ok(())
    }

    fn transfer(&self, index: u64) -> Option<Command> {
        let (from, to, amount) = random_transfer(index, self.accounts);
        let amount = LegAmount::Exactly(Amount::new(amount)?);
        let leg = Leg { from: AccountId::new(from)?, to: AccountId::new(to)?, amount };
        Some(Command::Transfer(Transfer {
            kind: TransferKind::Transfer,
            currency: self.currency,
            legs: Legs::One([leg]),
            forced: false,
            effective_at: None,
            note: None,
        }))
    }

    async fn beside(
        self: &Arc<Self>,
        open: &OpenBank,
        rate: u64,
        time: Option<Duration>,
        stop: &Arc<AtomicBool>,
    ) -> Result<Latencies, Failure> {
        self.beside_at(open.env.clone(), rate, time, stop).await
    }

    /// Single transfers at a rate, each with a key, for some time or until told to stop; how long each took.
    async fn beside_at(
        self: &Arc<Self>,
        env: Arc<dyn Env>,
        rate: u64,
        time: Option<Duration>,
        stop: &Arc<AtomicBool>,
    ) -> Result<Latencies, Failure> {
        let (start, mut begun, mut tasks) = (now(), 0u64, JoinSet::new());
        while time.map_or_else(|| !stop.load(Ordering::Relaxed), |time| start.elapsed() < time) {
            let due = u128::from(rate) * start.elapsed().as_micros() / 1_000_000;
            while u128::from(begun) < due {
                let load = self.clone();
                tasks.spawn(async move { load.one(begun).await });
                begun += 1;
            }
            env.sleep(TICK_US).await;
        }
        let mut observed = Vec::new();
        while let Some(took) = tasks.join_next().await {
            observed.push(took.map_err(|error| Failure::fault(format!("a transfer broke off: {error}"), ""))??);
        }
        Ok(Latencies::new(observed))
    }

    async fn one(&self, index: u64) -> Result<Duration, Failure> {
        let start = now();
        let Some(command) = self.transfer(u64::MAX / 4 - index) else { return Ok(Duration::ZERO) };
        let text = format!("beside-{}-{index}", self.bank.now().microseconds());
        let key = ClientKey { text: &text, fingerprint: 0 };
        match self.bank.submit(&caller(), Some(key), command, false).await {
            Ok(_) | Err(BankError::Fault(Fault::Overloaded)) => Ok(start.elapsed()),
            Err(error) => Err(error.into()),
        }
    }
}
