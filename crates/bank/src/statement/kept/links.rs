//! Links by which whoever has one reads a file without a token: of the object store, or of this bank's own files, signed with
//! a secret of the bank.

use super::Statements;
use store::Fault;

/// Where a file can be read without a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// At this URL.
    Elsewhere(String),
    /// At this bank, under the path of its files.
    Here(String),
}

impl Statements {
    /// The bytes of a file of a statement; `None` if there is none.
    ///
    /// # Errors
    /// A fault of the object store.
    pub async fn file(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        self.objects.get(name).await
    }

    /// A link to a file, good for so many seconds: of the object store, or what follows the path of this bank's own files.
    ///
    /// # Errors
    /// A fault of the object store.
    pub async fn link(&self, name: &str, seconds: u64) -> Result<Link, Fault> {
        if let Some(url) = self.objects.link(name, seconds).await? {
            return Ok(Link::Elsewhere(url));
        }
        let expires = self.bank.now().microseconds() / 1_000_000 + seconds;
        Ok(Link::Here(format!("{name}?expires={expires}&signature={}", self.signature(name, expires).to_hex())))
    }

    /// Whether a link of this bank's own is good now: neither altered nor over.
    pub fn is_good(&self, name: &str, expires: u64, signature: &str) -> bool {
        // Hashes are compared in the same time wherever they differ.
        let is_ours = blake3::Hash::from_hex(signature).is_ok_and(|given| given == self.signature(name, expires));
        is_ours && self.bank.now().microseconds() / 1_000_000 < expires
    }

    fn signature(&self, name: &str, expires: u64) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.link_secret);
        hasher.update(&expires.to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.finalize()
    }
}
