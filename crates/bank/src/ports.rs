//! What the bank needs of the world: time, randomness, waiting, and a place for keys. Each is a trait that an adapter
//! fills, so that the whole bank runs under a simulator.

use crate::notification::outgoing::{Accepted, Outgoing, SendFailure};
use crate::statement::Statement;
use ledger::ids::ShardId;
use ledger::time::Timestamp;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use store::Fault;

/// A future that a port gives back.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Clock, randomness and waiting.
pub trait Env: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Fills the bytes with randomness fit for secrets. A machine that has none cannot run a bank: the adapter stops it.
    fn fill(&self, bytes: &mut [u8]);

    /// Waits so many microseconds.
    fn sleep(&self, microseconds: u64) -> Boxed<'_, ()>;
}

/// What carries parcels from shard to shard: it may lose, double, delay and reorder them. Whoever works for the receiving
/// shard hands each to [`Bank::take_parcel`](crate::Bank::take_parcel).
pub trait Bus: Send + Sync + 'static {
    /// Sends a parcel. A fault means that it may not have been sent: it is sent again.
    fn send(&self, from: ShardId, to: ShardId, parcel: Vec<u8>) -> Boxed<'_, Result<(), Fault>>;
}

/// Names a key of the keyring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 16]);

/// A key that seals personal data. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct DataKey(pub [u8; 32]);

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(…)")
    }
}

/// Where the keys of sealed data live: apart from the journal, so that they can be destroyed.
pub trait Keyring: Send + Sync + 'static {
    /// So many new keys. They are durable when the future ends; many at once cost about as much as one.
    fn fresh_keys(&self, count: usize) -> Boxed<'_, Result<Vec<(KeyId, DataKey)>, Fault>>;

    /// A key; `None` if it was destroyed or never made.
    fn key(&self, id: KeyId) -> Boxed<'_, Result<Option<DataKey>, Fault>>;

    /// Destroys a key for good: what it sealed can never be read again. Durable when the future ends; of a key that is
    /// not there it is no fault.
    fn destroy(&self, id: KeyId) -> Boxed<'_, Result<(), Fault>>;
}

/// Where files are kept for customers: a folder, or any service with the interface of S3. Names are paths with `/`; what is
/// stored under one never changes.
pub trait ObjectStore: Send + Sync + 'static {
    /// Stores an object whole, unless there is one of that name; whether it did. It is durable when the future ends.
    fn put_new<'a>(&'a self, name: &'a str, bytes: Vec<u8>) -> Boxed<'a, Result<bool, Fault>>;

    /// Stores objects that belong together, unless there is one of the first's name; whether it did. However it ends, none of
    /// the others is there without the first. They are durable when the future ends.
    fn put_together(&self, objects: Vec<(String, Vec<u8>)>) -> Boxed<'_, Result<bool, Fault>> {
        Box::pin(async move {
            for (index, (name, bytes)) in objects.into_iter().enumerate() {
                let is_new = self.put_new(&name, bytes).await?;
                if index == 0 && !is_new {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    /// An object; `None` if there is none.
    fn get<'a>(&'a self, name: &'a str) -> Boxed<'a, Result<Option<Vec<u8>>, Fault>>;

    /// The names that begin with these whole parts of a path, sorted.
    fn list<'a>(&'a self, folder: &'a str) -> Boxed<'a, Result<Vec<String>, Fault>>;

    /// A link by which whoever has it reads the object for so many seconds; `None` where the bank itself gives the object
    /// out.
    fn link<'a>(&'a self, name: &'a str, seconds: u64) -> Boxed<'a, Result<Option<String>, Fault>>;
}

/// A cache that the nodes of a bank share. It need not keep anything, nor be right: what it says is checked. A fault of it
/// delays whoever asks by little.
pub trait SharedCache: Send + Sync + 'static {
    /// What is kept under these names, one by one.
    fn get<'a>(&'a self, names: &'a [String]) -> Boxed<'a, Result<Vec<Option<Vec<u8>>>, Fault>>;

    /// Keeps these for a while, in place of what was there.
    fn put(&self, values: Vec<(String, Vec<u8>)>) -> Boxed<'_, Result<(), Fault>>;
}

/// Small durable records beside the journal: what was set up by calls (preferences, products, standing orders), how far
/// followers of the journal are, what was delivered, which jobs ran. All nodes of a bank share them. A key is a path such
/// as `job/close-day/2026-11-20`, and keys are in the order of their bytes.
pub trait Records: Send + Sync + 'static {
    /// The record with this key; `None` if there is none.
    fn get<'a>(&'a self, key: &'a str) -> Boxed<'a, Result<Option<Vec<u8>>, Fault>>;

    /// Records whose keys begin with `prefix` and come after `after`, in order, at most `count`. To go on, ask with the
    /// last key.
    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        count: usize,
    ) -> Boxed<'a, Result<Vec<Record>, Fault>>;

    /// Makes all changes, or, where one of them expects what is not so, none; whether they were made. Durable when the future
    /// ends. After a fault it is unknown whether they were made; but where two are of the same key, which is a fault, none is.
    fn change(&self, changes: Vec<RecordChange>) -> Boxed<'_, Result<bool, Fault>>;
}

/// A key and what is kept under it.
pub type Record = (String, Vec<u8>);

/// A change of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordChange {
    /// Which.
    pub key: String,
    /// What must be there for the change to be made.
    pub expected: Expected,
    /// What is there then; `None` removes it.
    pub value: Option<Vec<u8>>,
}

/// What a change expects of the record it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Nothing: it is changed whatever there is.
    Anything,
    /// That there is none.
    Absent,
    /// That it is exactly this.
    Exactly(Vec<u8>),
}

/// Makes the files of statements.
pub trait StatementPrinter: Send + Sync + 'static {
    /// The files, each with the ending of its name. `number` counts the account's statements of the month, from 1. The same
    /// statement gives the same bytes.
    ///
    /// # Errors
    /// `Corrupt` if it cannot be written down.
    fn files(&self, statement: Arc<Statement>, number: u32) -> Boxed<'_, Result<PrintedFiles, Fault>>;

    /// One file with all of these, named, in their order; and the ending of its name. The same files give the same bytes.
    ///
    /// # Errors
    /// `Corrupt` if they cannot be put together.
    fn bundle(&self, files: Vec<(String, Vec<u8>)>) -> Result<(&'static str, Vec<u8>), Fault>;
}

/// Files, each with the ending of its name.
pub type PrintedFiles = Vec<(&'static str, Vec<u8>)>;

/// Messages that were put aside in place of being sent. They have addresses in clear.
pub trait PutAside: Send + Sync + 'static {
    /// Removes those with these ids; of one that is not there it is no fault.
    fn remove(&self, ids: Vec<String>) -> Boxed<'_, Result<(), Fault>>;
}

/// A provider that takes messages for customers, or for other systems.
pub trait Messenger: Send + Sync + 'static {
    /// Sends a message, once or, where it is unknown what became of an earlier attempt, again with the same id. It ends within a
    /// bounded time.
    fn send<'a>(&'a self, outgoing: &'a Outgoing) -> Boxed<'a, Result<Accepted, SendFailure>>;

    /// What of the address the provider is known by, where a channel has several: each has a gate of its own.
    fn provider(&self, _outgoing: &Outgoing) -> String {
        String::new()
    }
}
