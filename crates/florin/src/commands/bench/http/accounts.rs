//! Accounts for the load: opened by events, thousands a request, so that a million takes seconds.

use super::joined;
use crate::cli::BenchHttp;
use crate::client::{Client, Request, Server};
use crate::door::refusal;
use crate::failure::Failure;
use indicatif::ProgressBar;
use ledger::ids::{CLIENT_ID_END, slot};
use serde_json::Value;
use std::io::Write;

/// Enough for every random debit.
const OVERDRAFT_LIMIT: &str = "1000000000000.00";
/// Events a request: as many as the server submits at a time.
const EVENTS_MAX: usize = 4096;

/// Opens accounts of one new customer, all on the customer's shard, and gives their ids. As many clients do it as will
/// measure.
///
/// # Errors
/// A server that cannot be reached, or that refuses one of them.
pub(super) fn open(
    server: &Server,
    command: &BenchHttp,
    run: u64,
    shards: u16,
    bar: &ProgressBar,
) -> Result<Vec<u64>, Failure> {
    let user = first_id(run);
    let count = usize::try_from(command.accounts).unwrap_or(usize::MAX);
    let ids: Vec<u64> = (user + 1..).filter(|id| slot(*id) % shards == slot(user) % shards).take(count).collect();
    let registration = format!(
        "{{\"specversion\":\"1.0\",\"type\":\"florin.user.registered\",\"source\":\"florin-bench\",\"id\":\"{user}\",\
         \"data\":{{\"user_id\":\"{user}\",\"name\":\"Bench\"}}}}\n"
    );
    take(&mut server.client(), registration.as_bytes(), 1)?;
    let clients = usize::from(command.clients);
    std::thread::scope(|scope| {
        let spawn = |part| scope.spawn(move || open_some(server.client(), user, part, bar));
        let running: Vec<_> = ids.chunks(ids.len().div_ceil(clients)).map(spawn).collect();
        running.into_iter().map(joined).collect::<Result<Vec<()>, _>>()
    })?;
    Ok(ids)
}

/// A place for the ids of a run that no other run gets close to, with room behind it.
fn first_id(run: u64) -> u64 {
    1 + run % (CLIENT_ID_END / 2)
}

fn open_some(mut client: Client, user: u64, ids: &[u64], bar: &ProgressBar) -> Result<(), Failure> {
    let mut events = Vec::new();
    for ids in ids.chunks(EVENTS_MAX) {
        events.clear();
        for id in ids {
            // Writing into memory cannot fail.
            _ = writeln!(
                events,
                "{{\"specversion\":\"1.0\",\"type\":\"florin.account.opened\",\"source\":\"florin-bench\",\"id\":\"{id}\",\
                 \"data\":{{\"account_id\":\"{id}\",\"user_id\":\"{user}\",\"currency\":\"EUR\",\"type\":\"checking\",\
                 \"overdraft_limit\":\"{OVERDRAFT_LIMIT}\"}}}}"
            );
        }
        take(&mut client, &events, ids.len() as u64)?;
        bar.inc(ids.len() as u64);
    }
    Ok(())
}

/// Has the server take events, of which all must take effect; a request that was sent again counts too.
fn take(client: &mut Client, events: &[u8], count: u64) -> Result<(), Failure> {
    let body = Some(("application/x-ndjson", events));
    let reply = client.send(&Request { method: "POST", path: "/api/v1/events", key: None, body })?;
    if reply.status != 200 {
        return Err(refusal(&reply));
    }
    let answer: Value = serde_json::from_slice(&reply.body)
        .map_err(|error| Failure::fault(format!("the answer is not JSON: {error}"), "check the URL"))?;
    let counted = |field: &str| answer[field].as_u64().unwrap_or_default();
    if counted("accepted") + counted("replayed") == count {
        return Ok(());
    }
    let refused = format!("{} of {count} accounts were not opened: {}", counted("dead_lettered"), answer["results"][0]);
    Err(Failure::no(refused, "look at the server's dead letters: florin dead-letters list"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_every_run_are_ids_that_clients_may_choose() {
        for run in [0, 1, CLIENT_ID_END, u64::MAX] {
            assert!(0 < first_id(run) && first_id(run) + (1 << 40) < CLIENT_ID_END, "{run}");
        }
    }
}
