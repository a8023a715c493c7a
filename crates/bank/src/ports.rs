//! What the bank needs of the world: time, randomness, waiting, and a place for keys. Each is a trait that an adapter
//! fills, so that the whole bank runs under a simulator.

use ledger::ids::ShardId;
use ledger::time::Timestamp;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
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
