//! The connections for reads: a pool, from which a dead connection never comes back.

use crate::connect::{OLD_PRIMARY, Place, Purpose};
use crate::error::{PostgresError, chain, unavailable};
use crate::journal::{Entries, entries_at};
use crate::value::unbig;
use deadpool_postgres::{Client, Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use std::time::Duration;
use store::Fault;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// Longest wait for a connection of the pool.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub(crate) struct Reads {
    pool: Pool,
}

impl Reads {
    /// A pool of at most so many connections.
    pub(crate) fn new(place: &Place, connections: usize) -> Result<Reads, PostgresError> {
        // Whether a connection is alive is seen when it is used: what a read finds broken is read again on another.
        let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(place.config(Purpose::Read), place.tls(), config);
        let (newest, known) = (place.clone(), place.clone());
        let pool = Pool::builder(manager)
            .post_create(Hook::async_fn(move |client, _| {
                let place = newest.clone();
                Box::pin(async move { expect_newest(&place, client).await })
            }))
            .pre_recycle(Hook::sync_fn(move |_, metrics| {
                if known.is_older(metrics.created) { Err(HookError::message(OLD_PRIMARY)) } else { Ok(()) }
            }))
            .max_size(connections)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(WAIT_MAX))
            .create_timeout(Some(WAIT_MAX))
            .build()
            .map_err(|error| place.unfit(chain(&error)))?;
        Ok(Reads { pool })
    }

    /// A connection.
    pub(crate) async fn client(&self) -> Result<Client, Fault> {
        let away = |error: deadpool_postgres::PoolError| Fault::Unavailable {
            reason: format!("the database cannot be reached: {}", chain(&error)),
        };
        self.pool.get().await.map_err(away)
    }

    /// The rows of a statement, which is prepared once for each connection.
    pub(crate) async fn rows(&self, text: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Fault> {
        let client = self.client().await?;
        rows(&client, text, parameters).await
    }

    /// The entries with these sequences.
    pub(crate) async fn entries_at(&self, sequences: Vec<i64>) -> Result<Entries, Fault> {
        if sequences.is_empty() {
            return Ok(Entries::new());
        }
        entries_at(&self.client().await?, sequences).await
    }

    /// Closes all connections.
    pub(crate) fn close(&self) {
        self.pool.close();
    }
}

/// A connection to a primary that is not older than one that was met before.
async fn expect_newest(place: &Place, client: &tokio_postgres::Client) -> Result<(), HookError> {
    let row = client.query_opt("select epoch from florin.head", &[]).await.map_err(HookError::Backend)?;
    let epoch = row.map_or(Ok(0), |row| row.try_get::<_, i64>(0)).map_err(HookError::Backend)?;
    if place.meets(unbig(epoch)) { Ok(()) } else { Err(HookError::message(OLD_PRIMARY)) }
}

/// The rows of a statement on this connection.
pub(crate) async fn rows(client: &Client, text: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Fault> {
    let statement = client.prepare_cached(text).await.map_err(|error| unavailable(&error))?;
    client.query(&statement, parameters).await.map_err(|error| unavailable(&error))
}
