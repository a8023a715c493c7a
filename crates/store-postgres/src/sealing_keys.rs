//! The table of keys that seal personal data, for whoever wraps and unwraps them. It is apart from the journal, so that
//! keys can be destroyed, and on the first shard, so that all nodes share it.
//!
//! Promises: what was added is durable before the future ends; a destroyed key is gone for every statement from then on
//! (its bytes until the server's vacuum has passed over them, and in older backups).

use crate::error::{corrupt, unavailable};
use crate::read::Reads;
use crate::row::get;
use std::future::Future;
use std::sync::Arc;
use store::{Fault, Reply};
use tokio::runtime::Handle;

/// See the module.
#[derive(Clone, Debug)]
pub struct SealingKeys {
    pub(crate) reads: Arc<Reads>,
    pub(crate) runtime: Handle,
}

/// A key as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredKey {
    /// It is there, wrapped.
    Live(Vec<u8>),
    /// It was destroyed.
    Destroyed,
}

impl SealingKeys {
    fn run<T: Send + 'static>(&self, work: impl Future<Output = Result<T, Fault>> + Send + 'static) -> Reply<'_, T> {
        let task = self.runtime.spawn(work);
        Box::pin(
            async move { task.await.unwrap_or_else(|_| Err(Fault::Unavailable { reason: "it is stopping".into() })) },
        )
    }

    /// What proves the master key; nothing in a new bank.
    pub fn proof(&self) -> Reply<'_, Option<Vec<u8>>> {
        let reads = self.reads.clone();
        self.run(async move { proof(&reads).await })
    }

    /// Keeps this as the proof, unless there is one; returns the one there is.
    pub fn prove(&self, with: Vec<u8>) -> Reply<'_, Vec<u8>> {
        let reads = self.reads.clone();
        self.run(async move {
            reads.rows("insert into florin.keyring (proof) values ($1) on conflict do nothing", &[&with]).await?;
            proof(&reads).await?.ok_or_else(|| corrupt("the table keyring has no row"))
        })
    }

    /// Adds keys with their ids, all in one commit.
    pub fn add(&self, keys: Vec<([u8; 16], Vec<u8>)>) -> Reply<'_, ()> {
        let reads = self.reads.clone();
        self.run(async move {
            let (ids, wrapped): (Vec<Vec<u8>>, Vec<Vec<u8>>) =
                keys.into_iter().map(|(id, wrapped)| (id.to_vec(), wrapped)).unzip();
            let text = "insert into florin.sealing_keys (id, wrapped) select * from unnest($1::bytea[], $2::bytea[])";
            let client = reads.client().await?;
            client.execute(text, &[&ids, &wrapped]).await.map(drop).map_err(|error| unavailable(&error))
        })
    }

    /// The key with this id.
    pub fn get(&self, id: [u8; 16]) -> Reply<'_, Option<StoredKey>> {
        let reads = self.reads.clone();
        self.run(async move {
            let rows = reads.rows("select wrapped from florin.sealing_keys where id = $1", &[&id.to_vec()]).await?;
            let wrapped =
                rows.first().map(|row| get::<Option<Vec<u8>>>(row, "wrapped")).transpose().map_err(corrupt)?;
            Ok(wrapped.map(|wrapped| wrapped.map_or(StoredKey::Destroyed, StoredKey::Live)))
        })
    }

    /// Destroys the key with this id; of one that is not there it is no fault.
    pub fn destroy(&self, id: [u8; 16]) -> Reply<'_, ()> {
        let reads = self.reads.clone();
        self.run(async move {
            reads.rows("update florin.sealing_keys set wrapped = null where id = $1", &[&id.to_vec()]).await.map(drop)
        })
    }
}

async fn proof(reads: &Reads) -> Result<Option<Vec<u8>>, Fault> {
    let rows = reads.rows("select proof from florin.keyring", &[]).await?;
    rows.first().map(|row| get(row, "proof")).transpose().map_err(corrupt)
}
