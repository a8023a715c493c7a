//! A running server over HTTP: clients that each wait for their answer before they ask again.

mod accounts;
mod form;
mod reads;

use super::{Latencies, Measured, now};
use crate::cli::BenchHttp;
use crate::client::{Client, Request, Server};
use crate::failure::Failure;
use crate::program::Program;
use form::{Form, Maker};
use indicatif::ProgressBar;
use serde_json::json;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

/// Measures a server.
///
/// # Errors
/// Wrong usage, a server that cannot be reached, or one that refuses a transfer.
pub(super) fn run(program: &Program, command: &BenchHttp) -> Result<Measured, Failure> {
    let server = Server::new(&command.url, command.token_file.as_deref())?;
    let run = fresh_number();
    let bar = program.output.progress("opening accounts", command.accounts);
    let accounts = accounts::open(&server, command, run, shard_count(&server), &bar)?;
    bar.finish_and_clear();
    let bar = match command.transfers {
        Some(count) => program.output.progress("transfers", count.get()),
        None => program.output.progress("seconds", command.seconds),
    };
    let maker = Maker::new(Form::of(command.rows, command.batch), run, &accounts)?;
    let start = now();
    let load = Load { command, maker, bar, start, next: AtomicU64::new(0), is_over: AtomicBool::new(false) };
    let (done, reads) = load.run(&server)?;
    let durable = start.elapsed();
    load.bar.finish_and_clear();
    Ok(Measured {
        parameters: json!({
            "clients": command.clients, "read_clients": command.read_clients, "batch": command.batch, "rows": command.rows,
            "seconds": command.transfers.is_none().then_some(command.seconds), "transfers": command.transfers,
            "accounts": command.accounts,
        }),
        transfers: done.transfers,
        durable,
        indexed: wait_for_indexes(&server, start),
        latencies: Latencies::new(done.latencies),
        succeeded: None,
        reads: (command.read_clients != 0).then(|| Latencies::new(reads)),
        tenths: Vec::new(),
        folder_bytes: None,
        resident_bytes: None,
    })
}

/// What the clients share.
struct Load<'a> {
    command: &'a BenchHttp,
    maker: Maker<'a>,
    bar: ProgressBar,
    start: Instant,
    /// The first transfer that no client has taken on yet.
    next: AtomicU64,
    /// Whether the writing clients have ended.
    is_over: AtomicBool,
}

/// What a client did.
#[derive(Default)]
struct Done {
    transfers: u64,
    latencies: Vec<Duration>,
}

impl Load<'_> {
    fn run(&self, server: &Server) -> Result<(Done, Vec<Duration>), Failure> {
        std::thread::scope(|scope| {
            let spawn_writer = |_| scope.spawn(|| self.write(server.client()));
            let writers: Vec<_> = (0..self.command.clients).map(spawn_writer).collect();
            let spawn_reader = |reader| scope.spawn(move || self.read(server.client(), reader));
            let readers: Vec<_> = (0..self.command.read_clients).map(spawn_reader).collect();
            let written: Vec<_> = writers.into_iter().map(joined).collect();
            self.is_over.store(true, Ordering::Relaxed);
            let read: Vec<_> = readers.into_iter().map(joined).collect();
            let mut done = Done::default();
            for client in written {
                let client = client?;
                done.transfers += client.transfers;
                done.latencies.extend(client.latencies);
            }
            let reads = read.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
            Ok((done, reads))
        })
    }

    fn write(&self, mut client: Client) -> Result<Done, Failure> {
        let (mut done, mut body) = (Done::default(), Vec::new());
        while let Some(indexes) = self.take() {
            let count = indexes.end - indexes.start;
            let (path, media_type, key) = self.maker.request(&indexes);
            self.maker.fill(&mut body, indexes);
            let request =
                Request { method: "POST", path, key: key.as_deref(), body: Some((media_type, body.as_slice())) };
            let sent = now();
            let reply = client.send(&request)?;
            done.latencies.push(sent.elapsed());
            self.maker.check(&reply, count)?;
            done.transfers += count;
            match self.command.transfers {
                Some(_) => self.bar.inc(count),
                None => self.bar.set_position(self.start.elapsed().as_secs()),
            }
        }
        Ok(done)
    }

    /// The next batch to send; `None` when enough is sent, or the time is over.
    fn take(&self) -> Option<Range<u64>> {
        if self.command.transfers.is_none() && Duration::from_secs(self.command.seconds) <= self.start.elapsed() {
            return None;
        }
        let batch = self.command.batch as u64;
        let first = self.next.fetch_add(batch, Ordering::Relaxed);
        let end = self.command.transfers.map_or(u64::MAX, std::num::NonZeroU64::get).min(first.saturating_add(batch));
        (first < end).then_some(first..end)
    }
}

fn joined<T>(client: ScopedJoinHandle<'_, Result<T, Failure>>) -> Result<T, Failure> {
    client.join().unwrap_or_else(|_| Err(Failure::fault("a client panicked", "report it")))
}

/// Tells this run's ids and keys from those of all others.
fn fresh_number() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("a machine without randomness cannot run a bank");
    u64::from_le_bytes(bytes)
}

/// How many entries each shard still has to index; `None` where the server does not say.
fn index_lags(client: &mut Client) -> Option<Vec<u64>> {
    let reply = client.send(&Request { method: "GET", path: "/metrics", key: None, body: None }).ok()?;
    let text = String::from_utf8(reply.body).ok().filter(|_| reply.status == 200)?;
    let lines = text.lines().filter(|line| line.starts_with("florin_index_lag_entries"));
    let lags: Vec<u64> = lines.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
    Some(lags).filter(|lags| !lags.is_empty())
}

/// One where the server does not say.
fn shard_count(server: &Server) -> u16 {
    let lags = index_lags(&mut server.client());
    lags.and_then(|lags| u16::try_from(lags.len()).ok()).unwrap_or(1)
}

/// Waits until the server says that its indexes have everything; `None` where it does not say.
fn wait_for_indexes(server: &Server, start: Instant) -> Option<Duration> {
    let mut client = server.client();
    while index_lags(&mut client)?.iter().any(|lag| *lag != 0) {}
    Some(start.elapsed())
}
