//! What a node looks at now and then, since others commit too: where the journal ends, and figures over all rows.

use crate::connect::{Connected, Place, Purpose};
use crate::error::PostgresError;
use crate::health::Health;
use crate::read::Reads;
use crate::row::{currency, get};
use crate::session::confirm;
use crate::value::{Whole, unbig};
use ledger::ids::Sequence;
use ledger::time::Timestamp;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::Fault;
use store::report::Stats;
use tokio_postgres::Client;

/// How often the head is looked at: so late another node's entries are seen by whoever follows the journal.
const HEAD_EVERY: Duration = Duration::from_millis(25);
/// How long after a count of what is open between shards the next one comes, if the journal has gone on.
const OPEN_EVERY: Duration = Duration::from_millis(25);
/// The same where it is much.
const MUCH_OPEN_EVERY: Duration = Duration::from_millis(500);
/// After so many looks it is counted again though nothing was seen to change: a count that came too early is not kept.
const LOOKS_MAX: u32 = 40;
/// More than this is much.
const FEW_OPEN: u64 = 100;
/// Longest that one look may take. The test of it does not wait so long.
const SILENT_MAX: Duration = if cfg!(test) { Duration::from_millis(50) } else { Duration::from_secs(60) };
/// How often the figures are counted, unless that takes long.
const FIGURES_EVERY: Duration = Duration::from_secs(30);

/// What the database's clock says.
pub(crate) async fn time(client: &Client) -> Result<Timestamp, tokio_postgres::Error> {
    let text = "select (extract(epoch from clock_timestamp()) * 1000000)::bigint";
    let microseconds: i64 = client.query_one(text, &[]).await?.try_get(0)?;
    Ok(Timestamp::from_microseconds(unbig(microseconds)).unwrap_or(Timestamp::ZERO))
}

#[expect(clippy::disallowed_methods, reason = "waits between two looks")]
async fn wait(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Follows the head until it is ended.
pub(crate) async fn watch_head(place: Place, health: Arc<Health>) {
    loop {
        let ended = match bounded(&place, place.connect(Purpose::Read)).await {
            Ok(connected) => follow(&place, &connected, &health).await,
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            tracing::debug!("the head is looked at anew: {error}");
        }
        wait(Duration::from_secs(1)).await;
    }
}

/// What is seen for the first time is confirmed before anybody hears of it, where there is a standby to confirm it: an
/// operator may have ended another node's wait for it.
async fn follow(place: &Place, connected: &Connected, health: &Health) -> Result<(), PostgresError> {
    let client = &connected.client;
    let failed = |error: tokio_postgres::Error| place.failed(&error);
    let standbys = async { client.query_one("show synchronous_standby_names", &[]).await.map_err(failed) };
    let standbys = bounded(place, standbys).await?;
    let has_standby = !standbys.try_get::<_, String>(0).map_err(failed)?.is_empty();
    health.saw(bounded(place, confirm(place, connected)).await?);
    let prepare = async { client.prepare("select sequence from florin.head").await.map_err(failed) };
    let head = bounded(place, prepare).await?;
    loop {
        let look = async { client.query_one(&head, &[]).await.and_then(|row| row.try_get(0)).map_err(failed) };
        let mut sequence: Sequence = unbig(bounded(place, look).await?);
        if has_standby && health.head() < sequence {
            sequence = bounded(place, confirm(place, connected)).await?;
        }
        health.saw(sequence);
        wait(HEAD_EVERY).await;
    }
}

/// A connection that says nothing for so long is given up.
async fn bounded<T>(place: &Place, look: impl Future<Output = Result<T, PostgresError>>) -> Result<T, PostgresError> {
    tokio::time::timeout(SILENT_MAX, look).await.unwrap_or_else(|_| Err(place.away("it did not answer in time")))
}

/// Counts what is open between shards whenever the journal has gone on, until it is ended. On a connection of its own, as
/// counting rows may have to wait for what a look at the head does not.
pub(crate) async fn watch_open(place: Place, reads: Arc<Reads>, health: Arc<Health>) {
    let (mut counted_at, mut looks) = (None, 0);
    loop {
        looks += 1;
        // Before the rows are counted: what is committed meanwhile is counted again.
        let head = health.head();
        let mut pause = OPEN_EVERY;
        if counted_at != Some(head) || LOOKS_MAX <= looks {
            looks = 0;
            match tokio::time::timeout(SILENT_MAX, open(&reads)).await {
                Ok(Ok((sagas, oldest, parts))) => {
                    health.note_open(sagas, oldest, parts);
                    counted_at = Some(head);
                    pause = if FEW_OPEN < sagas + parts { MUCH_OPEN_EVERY } else { OPEN_EVERY };
                }
                Ok(Err(fault)) => tracing::debug!("what is open between shards was not counted: {fault}"),
                Err(_) => tracing::debug!("{} did not count what is open between shards in time", place.name()),
            }
        }
        wait(pause).await;
    }
}

/// How many transfers between shards are open that begin here, since when, and how many parts of such from elsewhere.
async fn open(reads: &Reads) -> Result<(u64, Option<Timestamp>, u64), Fault> {
    let text = "select count(*) as sagas, min(started_at) as oldest, (select count(*) from florin.parts) as parts \
        from florin.sagas";
    let rows = reads.rows(text, &[]).await?;
    let Some(row) = rows.first() else { return Ok((0, None, 0)) };
    let read = || {
        let oldest: Option<i64> = get(row, "oldest")?;
        let oldest = oldest.and_then(|time| Timestamp::from_microseconds(unbig(time)));
        Ok::<_, String>((unbig(get(row, "sagas")?), oldest, unbig(get(row, "parts")?)))
    };
    read().map_err(crate::error::corrupt)
}

/// Counts figures until it is ended. They walk all accounts, so the longer that takes the rarer it is done.
#[expect(clippy::disallowed_methods, reason = "measures how long counting takes, to do it more rarely")]
pub(crate) async fn watch_figures(reads: Arc<Reads>, health: Arc<Health>) {
    loop {
        let begun = Instant::now();
        match figures(&reads).await {
            Ok(figures) => health.set_gauges(figures),
            Err(fault) => tracing::debug!("figures over all rows were not counted: {fault}"),
        }
        wait(FIGURES_EVERY.max(begun.elapsed() * 20)).await;
    }
}

async fn figures(reads: &Reads) -> Result<Stats, Fault> {
    let text = "select currency, count(*) as accounts, sum(balance) as sum from florin.accounts group by currency";
    let mut figures = Stats::default();
    for row in reads.rows(text, &[]).await? {
        let read = || {
            let (accounts, Whole(sum)): (i64, Whole) = (get(&row, "accounts")?, get(&row, "sum")?);
            Ok::<_, String>((unbig(accounts), currency(&row, "currency")?, sum))
        };
        let (accounts, currency, sum) = read().map_err(crate::error::corrupt)?;
        figures.accounts += accounts;
        figures.sums.push((currency, sum));
    }
    figures.sums.sort();
    let waiting = reads.rows("select count(*) as waiting from florin.dead_letters where status = 0", &[]).await?;
    let waiting: i64 = waiting.first().map_or(Ok(0), |row| get(row, "waiting")).map_err(crate::error::corrupt)?;
    figures.dead_letters_waiting = unbig(waiting);
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_database_that_accepts_and_says_nothing_is_asked_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("postgresql://bank@{}/bank", listener.local_addr().expect("an address"));
        let place = Place::new(0, &url, None).expect("a place");
        let watch = tokio::spawn(watch_head(place, Arc::default()));
        let mut kept = Vec::new();
        let asked_twice = async {
            while kept.len() < 2 {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                // One that was given up before it asked anything does not count.
                if stream.read_u8().await.is_ok() {
                    kept.push(stream);
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), asked_twice).await.expect("it is asked again");
        watch.abort();
    }
}
