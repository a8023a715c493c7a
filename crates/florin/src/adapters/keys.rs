//! The keyring of a bank, wherever its engine has it.

use super::keyring::table::KeyringTable;
use super::keyring::{KeyState, KeyringFile};
use bank::ports::{Boxed, DataKey, KeyId, Keyring};
use store::Fault;

/// See the module.
#[derive(Debug)]
pub(crate) enum Keys {
    /// A file of the data folder.
    File(KeyringFile),
    /// A table of the first shard's database.
    Table(Box<KeyringTable>),
}

impl Keys {
    /// Where a key stands.
    ///
    /// # Errors
    /// `Corrupt` for one that is damaged or that the master key does not open; `Unavailable` if it cannot be read.
    pub(crate) async fn state(&self, id: KeyId) -> Result<KeyState, Fault> {
        match self {
            Keys::File(file) => file.state(id),
            Keys::Table(table) => table.state(id).await,
        }
    }

    fn keyring(&self) -> &dyn Keyring {
        match self {
            Keys::File(file) => file,
            Keys::Table(table) => &**table,
        }
    }
}

impl Keyring for Keys {
    fn fresh_keys(&self, count: usize) -> Boxed<'_, Result<Vec<(KeyId, DataKey)>, Fault>> {
        self.keyring().fresh_keys(count)
    }

    fn key(&self, id: KeyId) -> Boxed<'_, Result<Option<DataKey>, Fault>> {
        self.keyring().key(id)
    }

    fn destroy(&self, id: KeyId) -> Boxed<'_, Result<(), Fault>> {
        self.keyring().destroy(id)
    }
}
