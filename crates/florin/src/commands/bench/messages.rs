//! Messages to customers: how many a second go from the journal to a mail server in this process, and whether money moves
//! slower while one hangs. Both are the server's own parts; only HTTP is left out.

use super::{now, per_second};
use crate::cli::BenchMessages;
use crate::config::SmtpTls;
use crate::failure::Failure;
use crate::output::grouped;
use crate::postmen::Postmen;
use crate::program::{OpenBank, Program};
use bank::Caller;
use bank::ports::Env;
use bank::profile::PlainProfile;
use bank::transfer::Terms;
use ledger::account::AccountKind;
use ledger::amount::Amount;
use ledger::command::{Command, OpenAccount};
use ledger::currency::Currency;
use ledger::customer::ProfileField;
use ledger::event::{Channel, Context};
use ledger::ids::{AccountId, CustomerId};
use ledger::transfer::LegAmount;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use store::{Request, Submission};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// Deposits that are submitted together to have something to tell.
const TOGETHER: u64 = 1000;
/// Clients that move money at the same time, one deposit after the other.
const CLIENTS: u64 = 64;
/// How often the count is looked at, in microseconds.
const LOOK_US: u64 = 1000;
/// Connections to the mail server.
const CONNECTIONS: usize = 32;
/// Without a message for so many looks, something is wrong.
const LOOKS_MAX: u64 = 60_000;

/// A mail server that takes everything, or hangs.
#[derive(Debug, Default)]
struct Sink {
    taken: AtomicU64,
    hangs: AtomicBool,
}

/// Measures and prints.
///
/// # Errors
/// Wrong usage for a folder with something in it; a fault of the bank.
pub(super) fn run(program: &Program, command: &BenchMessages) -> Result<(), Failure> {
    let folder = program.folder();
    if std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        let next = "name a new folder with --data NEWDIR, and remove it afterwards";
        return Err(Failure::usage(format!("{} is not empty", folder.display()), next));
    }
    let runtime = Runtime::new().map_err(|error| Failure::fault(format!("cannot start threads: {error}"), ""))?;
    let sink = Arc::new(Sink::default());
    let listening = runtime.block_on(TcpListener::bind("127.0.0.1:0"));
    let unusable = |error: std::io::Error| Failure::fault(format!("cannot listen: {error}"), "check this machine");
    let listener = listening.map_err(unusable)?;
    let mut config = program.config.clone();
    config.smtp.host = Some("127.0.0.1".into());
    config.smtp.port = listener.local_addr().map_err(unusable).map(|address| Some(address.port()))?;
    config.smtp.tls = SmtpTls::None;
    config.smtp.from = Some("Florin <florin@localhost>".into());
    config.smtp.concurrency = CONNECTIONS;
    runtime.spawn(serve(listener, sink.clone()));
    let program = Program { config, output: program.output, runtime };
    let open = program.open_bank(None)?;
    let measured = program.runtime.block_on(measure(&program, &open, command, &sink));
    open.shut_down()?;
    measured
}

async fn measure(program: &Program, open: &OpenBank, command: &BenchMessages, sink: &Arc<Sink>) -> Result<(), Failure> {
    let context =
        Arc::new(Context { principal: "bench".into(), channel: Channel::File, correlation: "".into(), cause: None });
    let bench = Bench { open, context, customers: command.customers };
    bench.open_accounts().await?;
    // What is booked before the channel begins is told nobody.
    drop(Postmen::start(open, &program.config, program.folder()).await?);
    let messages = command.messages.get();
    for first in (0..messages).step_by(usize::try_from(TOGETHER).unwrap_or(1)) {
        bench.deposit((first..(first + TOGETHER).min(messages)).collect()).await?;
    }
    let start = now();
    let postmen = Postmen::start(open, &program.config, program.folder()).await?;
    let took = bench.wait_for(sink, messages, start).await?;
    drop(postmen);
    let rate = per_second(messages, took);
    program.output.line(format!("{:>14} messages/s from the journal to a mail server", grouped(rate)))?;
    let (mut alone, mut beside, mut sending) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..command.turns {
        alone.push(bench.move_money(command.seconds).await?);
        for (hangs, rates) in [(true, &mut beside), (false, &mut sending)] {
            sink.hangs.store(hangs, Ordering::SeqCst);
            let postmen = Postmen::start(open, &program.config, program.folder()).await?;
            rates.push(bench.move_money(command.seconds).await?);
            drop(postmen);
        }
    }
    let [alone_half, beside_half, sending_half] = [&alone, &beside, &sending].map(|rates| median(rates));
    let per_thousand = |rate: u64| rate * 1000 / alone_half.max(1);
    let [hanging, taking] = [beside_half, sending_half].map(per_thousand);
    let shown = |per_thousand: u64| format!("{}.{:03}", per_thousand / 1000, per_thousand % 1000);
    program.output.line(format!("{:>14} deposits/s without messages, of {alone:?}", grouped(alone_half)))?;
    program.output.line(format!(
        "{:>14} deposits/s while the mail server hangs, of {beside:?}: {} of that",
        grouped(beside_half),
        shown(hanging)
    ))?;
    program.output.line(format!(
        "{:>14} deposits/s while it takes messages, of {sending:?}: {} of that",
        grouped(sending_half),
        shown(taking)
    ))?;
    program.output.object(&json!({
        "messages": messages, "customers": command.customers, "messages_per_s": rate,
        "deposits_per_s_without": alone, "deposits_per_s_hanging": beside, "deposits_per_s_sending": sending,
        "per_thousand_hanging": hanging, "per_thousand_sending": taking,
    }))
}

fn median(rates: &[u64]) -> u64 {
    let mut sorted = rates.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or(0)
}

struct Bench<'a> {
    open: &'a OpenBank,
    context: Arc<Context>,
    customers: u64,
}

impl Bench<'_> {
    async fn open_accounts(&self) -> Result<(), Failure> {
        let bank = &self.open.bank;
        let caller = Caller::local(Channel::File);
        for id in 1..=self.customers {
            let mut profile = PlainProfile::default();
            profile.set(ProfileField::Email, &format!("customer-{id}@bank.example"), bank.now().day())?;
            bank.register_user(&caller, None, CustomerId::new(id), &profile).await?;
            let (Some(customer), id) = (CustomerId::new(id), AccountId::new(id)) else { continue };
            let opening = OpenAccount {
                id,
                customer,
                kind: AccountKind::Checking,
                currency: euro(),
                overdraft_limit: Amount::ZERO,
            };
            bank.submit(&caller, None, Command::OpenAccount(opening), false).await?;
        }
        Ok(())
    }

    /// Deposits to customers in turn, in one submission a shard.
    async fn deposit(&self, numbers: Vec<u64>) -> Result<(), Failure> {
        let bank = &self.open.bank;
        for store in bank.shards() {
            let mut requests = Vec::new();
            for id in numbers.iter().filter_map(|number| AccountId::new(number % self.customers + 1)) {
                if bank.shard_of_account(id) != store.shard() {
                    continue;
                }
                let terms = Terms {
                    currency: euro(),
                    amount: LegAmount::Exactly(Amount::new(100).unwrap_or(Amount::ZERO)),
                    forced: false,
                    effective_at: None,
                    note: None,
                };
                let deposit = bank.deposit(id, None, terms);
                let deposit = deposit.map_err(|rejection| Failure::fault(rejection.to_string(), ""))?;
                requests.push(Request { key: None, command: Command::Transfer(deposit) });
            }
            if !requests.is_empty() {
                store.submit(Submission { context: self.context.clone(), requests, dry_run: false }).await?;
            }
        }
        Ok(())
    }

    async fn wait_for(&self, sink: &Sink, count: u64, start: std::time::Instant) -> Result<Duration, Failure> {
        let (mut looks, mut last) = (0, 0);
        loop {
            let taken = sink.taken.load(Ordering::SeqCst);
            if count <= taken {
                return Ok(start.elapsed());
            }
            looks = if taken == last { looks + 1 } else { 0 };
            last = taken;
            if looks == LOOKS_MAX {
                return Err(Failure::fault(format!("only {taken} of {count} messages came"), "look at the log"));
            }
            self.open.env.sleep(LOOK_US).await;
        }
    }

    /// Single deposits by many clients at the same time; how many a second.
    async fn move_money(&self, seconds: u64) -> Result<u64, Failure> {
        let (start, time) = (now(), Duration::from_secs(seconds));
        let client = |client: u64| async move {
            let mut count = 0;
            while start.elapsed() < time {
                self.deposit(vec![client + count * CLIENTS]).await?;
                count += 1;
            }
            Ok::<u64, Failure>(count)
        };
        let mut clients = Vec::new();
        for number in 0..CLIENTS {
            clients.push(client(number));
        }
        let mut moved = 0;
        for counted in join_all(clients).await {
            moved += counted?;
        }
        Ok(per_second(moved, start.elapsed()))
    }
}

/// All of them, polled in one task.
async fn join_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut all = true;
        for (future, output) in futures.iter_mut().filter(|(_, output)| output.is_none()) {
            match future.as_mut().poll(context) {
                std::task::Poll::Ready(done) => *output = Some(done),
                std::task::Poll::Pending => all = false,
            }
        }
        if all { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    futures.into_iter().filter_map(|(_, output)| output).collect()
}

fn euro() -> Currency {
    Currency::from_number(978).expect("the euro has the number 978")
}

async fn serve(listener: TcpListener, sink: Arc<Sink>) {
    while let Ok((stream, _)) = listener.accept().await {
        let sink = sink.clone();
        tokio::spawn(async move { _ = speak(stream, &sink).await });
    }
}

/// Just enough SMTP.
async fn speak(stream: TcpStream, sink: &Sink) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 ready\r\n").await?;
    let (mut line, mut is_content) = (String::new(), false);
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        if sink.hangs.load(Ordering::SeqCst) {
            return std::future::pending().await;
        }
        let answer: &[u8] = match line.get(..4) {
            _ if is_content && line == ".\r\n" => {
                is_content = false;
                sink.taken.fetch_add(1, Ordering::SeqCst);
                b"250 taken\r\n"
            }
            _ if is_content => continue,
            Some("DATA") => {
                is_content = true;
                b"354 go on\r\n"
            }
            Some("EHLO") => b"250-sink\r\n250 8BITMIME\r\n",
            _ => b"250 ok\r\n",
        };
        stream.write_all(answer).await?;
    }
}
