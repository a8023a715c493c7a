//! A running server over HTTP: clients that each wait for their answer before they ask again.

use super::{Measured, now, random_transfer};
use crate::cli::BenchHttp;
use crate::client::{Client, Request, Server};
use crate::door::{fresh_key, refusal};
use crate::failure::Failure;
use crate::program::Program;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Enough for every random debit.
const OVERDRAFT_LIMIT: &str = "1000000000000.00";

/// Measures a server.
///
/// # Errors
/// Wrong usage, a server that cannot be reached, or one that refuses a transfer.
pub(super) fn run(program: &Program, command: &BenchHttp) -> Result<Measured, Failure> {
    let server = Server::new(&command.url, command.token_file.as_deref())?;
    let bar = program.output.progress("opening accounts", command.accounts);
    let accounts = open_accounts(&server, command, &bar)?;
    bar.finish_and_clear();
    let load = Load { command, accounts: &accounts, run: fresh_key(), next: AtomicU64::new(0) };
    let bar = program.output.progress("seconds", command.seconds);
    let start = now();
    let end = start + Duration::from_secs(command.seconds);
    let latencies = std::thread::scope(|scope| {
        let clients: Vec<_> =
            (0..command.clients).map(|_| scope.spawn(|| load.run_client(server.client(), end, &bar, start))).collect();
        let mut latencies = Vec::new();
        for client in clients {
            latencies.extend(client.join().unwrap_or_else(|_| Err(Failure::fault("a client panicked", "report it")))?);
        }
        Ok::<_, Failure>(latencies)
    })?;
    let durable = start.elapsed();
    bar.finish_and_clear();
    let transfers = latencies.len() as u64 * command.batch as u64;
    Ok(Measured {
        parameters: json!({
            "clients": command.clients, "batch": command.batch, "seconds": command.seconds, "accounts": command.accounts,
        }),
        transfers,
        durable,
        indexed: wait_for_indexes(&server, start),
        latencies,
        folder_bytes: None,
        resident_bytes: None,
    })
}

/// Accounts of one new customer. They are opened by as many clients as will measure.
fn open_accounts(server: &Server, command: &BenchHttp, bar: &indicatif::ProgressBar) -> Result<Vec<String>, Failure> {
    let user = ask(&mut server.client(), "/api/v1/users", &json!({"name": "Bench"}))?;
    let body = json!({
        "user_id": user["user_id"], "currency": "EUR", "type": "checking", "overdraft_limit": OVERDRAFT_LIMIT,
    });
    let left = AtomicU64::new(command.accounts);
    let open = || {
        let (mut client, mut opened) = (server.client(), Vec::new());
        while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            let account = ask(&mut client, "/api/v1/accounts", &body)?;
            opened.push(account["account_id"].as_str().unwrap_or_default().to_owned());
            bar.inc(1);
        }
        Ok(opened)
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..command.clients).map(|_| scope.spawn(open)).collect();
        let mut accounts = Vec::new();
        for client in clients {
            accounts.extend(client.join().unwrap_or_else(|_| Err(Failure::fault("a client panicked", "report it")))?);
        }
        Ok(accounts)
    })
}

fn ask(client: &mut Client, path: &str, body: &Value) -> Result<Value, Failure> {
    let (key, text) = (fresh_key(), body.to_string());
    let request = Request { method: "POST", path, key: Some(&key), body: Some(("application/json", text.as_bytes())) };
    let reply = client.send(&request)?;
    if reply.status != 201 {
        return Err(refusal(&reply));
    }
    serde_json::from_slice(&reply.body)
        .map_err(|error| Failure::fault(format!("the answer is not JSON: {error}"), "check the URL"))
}

struct Load<'a> {
    command: &'a BenchHttp,
    accounts: &'a [String],
    run: String,
    next: AtomicU64,
}

impl Load<'_> {
    fn run_client(
        &self,
        mut client: Client,
        end: Instant,
        bar: &indicatif::ProgressBar,
        start: Instant,
    ) -> Result<Vec<Duration>, Failure> {
        let mut latencies = Vec::new();
        while now() < end {
            let first = self.next.fetch_add(self.command.batch as u64, Ordering::Relaxed);
            let (path, key, body) = if self.command.batch == 1 {
                ("/api/v1/transfers", Some(self.key(first)), self.transfer(first, None))
            } else {
                ("/api/v1/transfers/batch", None, self.batch(first))
            };
            let request = Request {
                method: "POST",
                path,
                key: key.as_deref(),
                body: Some(("application/json", body.as_bytes())),
            };
            let sent = now();
            let reply = client.send(&request)?;
            latencies.push(sent.elapsed());
            let refused =
                |text: &[u8]| text.windows(13).any(|part| part == b"\"status\":422," || part == b"\"status\":400,");
            match reply.status {
                201 => {}
                200 if !refused(&reply.body) => {}
                200 => return Err(Failure::no("a transfer of a batch was refused", "look at the server's log")),
                _ => return Err(refusal(&reply)),
            }
            bar.set_position(start.elapsed().as_secs());
        }
        Ok(latencies)
    }

    fn key(&self, index: u64) -> String {
        format!("{}-{index}", self.run)
    }

    fn transfer(&self, index: u64, key: Option<&str>) -> String {
        let (from, to, amount) = random_transfer(index, self.accounts.len() as u64);
        let account = |number: u64| {
            usize::try_from(number - 1).ok().and_then(|place| self.accounts.get(place)).map_or("", String::as_str)
        };
        let key = key.map_or_else(String::new, |key| format!(",\"idempotency_key\":\"{key}\""));
        format!(
            "{{\"type\":\"transfer\",\"from\":\"{}\",\"to\":\"{}\",\"amount\":\"{}.{:02}\",\"currency\":\"EUR\"{key}}}",
            account(from),
            account(to),
            amount / 100,
            amount % 100,
        )
    }

    fn batch(&self, first: u64) -> String {
        let items = (first..).take(self.command.batch).map(|index| self.transfer(index, Some(&self.key(index))));
        format!("{{\"mode\":\"independent\",\"transfers\":[{}]}}", items.collect::<Vec<_>>().join(","))
    }
}

/// Waits until the server says that its indexes have everything; `None` where it does not say.
fn wait_for_indexes(server: &Server, start: Instant) -> Option<Duration> {
    let mut client = server.client();
    loop {
        let reply = client.send(&Request { method: "GET", path: "/metrics", key: None, body: None }).ok()?;
        let text = String::from_utf8(reply.body).ok().filter(|_| reply.status == 200)?;
        let mut lags = text.lines().filter(|line| line.starts_with("florin_index_lag_entries")).peekable();
        lags.peek()?;
        let lag = |line: &str| line.rsplit(' ').next().and_then(|number| number.parse::<u64>().ok());
        if lags.all(|line| lag(line).is_none_or(|lag| lag == 0)) {
            return Some(start.elapsed());
        }
    }
}
