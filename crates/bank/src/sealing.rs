//! Envelopes for what must one day be forgotten: AES-256-GCM under a key of the keyring, which can be destroyed.
//!
//! An envelope is, in order: version (1 byte, 1), key id (16), nonce (12, random), ciphertext, tag (16). What is
//! authenticated beside the content is the purpose, such as the field's name, and the key id: an envelope cannot be
//! moved to another field.

use crate::Bank;
use crate::ports::{DataKey, Env, KeyId};
use ledger::customer::Sealed;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use std::sync::{Mutex, PoisonError};
use store::Fault;

const VERSION: u8 = 1;
const KEY_ID_END: usize = 1 + 16;
const HEADER: usize = KEY_ID_END + NONCE_LEN;

/// How many events one payload key seals. Their payloads can only be forgotten together, and the keyring grows by one
/// key for so many events; payloads of events that take effect are never stored at all.
pub const EVENTS_PER_PAYLOAD_KEY: usize = 1000;

/// What the payloads of events are sealed for.
pub(crate) const EVENT_PURPOSE: &str = "event";

/// A key made ready to seal.
pub(crate) struct Sealer {
    id: KeyId,
    key: LessSafeKey,
}

impl Sealer {
    pub(crate) fn new(id: KeyId, key: &DataKey) -> Sealer {
        Sealer { id, key: cipher(key) }
    }

    /// Seals a content for a purpose.
    pub(crate) fn seal(&self, env: &dyn Env, purpose: &str, content: &[u8]) -> Sealed {
        let mut nonce = [0; NONCE_LEN];
        env.fill(&mut nonce);
        let mut sealed = content.to_vec();
        let associated = Aad::from(associated(purpose, self.id));
        let nonce_used = Nonce::assume_unique_for_key(nonce);
        self.key
            .seal_in_place_append_tag(nonce_used, associated, &mut sealed)
            .expect("a content is far below the 64 GiB AES-GCM can seal");
        let mut envelope = Vec::with_capacity(HEADER + sealed.len());
        envelope.push(VERSION);
        envelope.extend_from_slice(&self.id.0);
        envelope.extend_from_slice(&nonce);
        envelope.extend_from_slice(&sealed);
        envelope.into()
    }
}

fn cipher(key: &DataKey) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key.0).expect("a data key has the 32 bytes AES-256 wants"))
}

fn associated(purpose: &str, id: KeyId) -> Vec<u8> {
    [purpose.as_bytes(), &id.0].concat()
}

/// The key an envelope was sealed with; `None` if it is no envelope.
pub fn key_of(envelope: &[u8]) -> Option<KeyId> {
    let is_envelope = envelope.first() == Some(&VERSION) && HEADER <= envelope.len();
    is_envelope.then(|| KeyId(envelope[1..KEY_ID_END].try_into().expect("16 bytes are 16 bytes")))
}

/// Opens an envelope; `None` if it was damaged, or sealed with another key or for another purpose.
pub(crate) fn open(envelope: &[u8], key: &DataKey, purpose: &str) -> Option<Vec<u8>> {
    let id = key_of(envelope)?;
    let nonce = Nonce::try_assume_unique_for_key(&envelope[KEY_ID_END..HEADER]).ok()?;
    let mut content = envelope[HEADER..].to_vec();
    let length = cipher(key).open_in_place(nonce, Aad::from(associated(purpose, id)), &mut content).ok()?.len();
    content.truncate(length);
    Some(content)
}

/// The key under which payloads of events are sealed, until it has sealed its share.
#[derive(Default)]
pub(crate) struct PayloadKey {
    current: Mutex<Option<Current>>,
}

struct Current {
    id: KeyId,
    key: DataKey,
    uses_left: usize,
}

impl PayloadKey {
    fn take(&self, uses: usize) -> Option<Sealer> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let current = current.as_mut().filter(|current| uses <= current.uses_left)?;
        current.uses_left -= uses;
        Some(Sealer::new(current.id, &current.key))
    }

    fn replace(&self, id: KeyId, key: DataKey, uses_left: usize) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(Current { id, key, uses_left });
    }
}

impl Bank {
    /// A key to seal so many payloads, at most [`EVENTS_PER_PAYLOAD_KEY`].
    pub(crate) async fn payload_sealer(&self, uses: usize) -> Result<Sealer, Fault> {
        if let Some(sealer) = self.payload_key.take(uses) {
            return Ok(sealer);
        }
        let (id, key) = self.fresh_key().await?;
        let sealer = Sealer::new(id, &key);
        self.payload_key.replace(id, key, EVENTS_PER_PAYLOAD_KEY.saturating_sub(uses));
        Ok(sealer)
    }

    /// A new key, durable already.
    pub(crate) async fn fresh_key(&self) -> Result<(KeyId, DataKey), Fault> {
        let key = self.keyring.fresh_keys(1).await?.pop();
        key.ok_or_else(|| Fault::Unavailable { reason: "the keyring made no key".to_string() })
    }

    /// Opens an envelope; `None` if its key was destroyed.
    pub(crate) async fn open_sealed(&self, envelope: &[u8], purpose: &str) -> Result<Option<Vec<u8>>, Fault> {
        let damaged = || Fault::Corrupt { detail: format!("a sealed {purpose} cannot be opened with its key") };
        let id = key_of(envelope).ok_or_else(damaged)?;
        match self.keyring.key(id).await? {
            Some(key) => open(envelope, &key, purpose).map(Some).ok_or_else(damaged),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Boxed;
    use ledger::time::Timestamp;

    struct Counting(Mutex<u8>);

    impl Env for Counting {
        fn now(&self) -> Timestamp {
            Timestamp::ZERO
        }

        fn fill(&self, bytes: &mut [u8]) {
            let mut next = self.0.lock().expect("nobody panics with it");
            *next = next.wrapping_add(1);
            bytes.fill(*next);
        }

        fn sleep(&self, _microseconds: u64) -> Boxed<'_, ()> {
            Box::pin(async {})
        }
    }

    #[test]
    fn an_envelope_opens_only_whole_with_its_key_and_for_its_purpose() {
        let (env, key, other) = (Counting(Mutex::new(0)), DataKey([7; 32]), DataKey([8; 32]));
        let sealer = Sealer::new(KeyId([1; 16]), &key);
        let envelope = sealer.seal(&env, "email", b"a@b.example");
        assert_eq!(key_of(&envelope), Some(KeyId([1; 16])));
        assert_eq!(open(&envelope, &key, "email").as_deref(), Some(&b"a@b.example"[..]));
        assert_eq!(open(&envelope, &key, "phone"), None);
        assert_eq!(open(&envelope, &other, "email"), None);
        for index in 0..envelope.len() {
            let mut damaged = envelope.to_vec();
            damaged[index] ^= 1;
            assert_eq!(open(&damaged, &key, "email"), None, "byte {index}");
        }
        for length in 0..envelope.len() {
            assert_eq!(open(&envelope[..length], &key, "email"), None, "cut to {length}");
        }
    }

    #[test]
    fn equal_contents_have_different_envelopes() {
        let env = Counting(Mutex::new(0));
        let sealer = Sealer::new(KeyId([1; 16]), &DataKey([7; 32]));
        assert_ne!(sealer.seal(&env, "name", b"x"), sealer.seal(&env, "name", b"x"));
    }

    #[test]
    fn a_payload_key_seals_its_share_and_no_more() {
        let keys = PayloadKey::default();
        assert!(keys.take(1).is_none());
        keys.replace(KeyId([1; 16]), DataKey([7; 32]), 10);
        assert!(keys.take(8).is_some());
        assert!(keys.take(3).is_none());
        assert!(keys.take(2).is_some());
        assert!(keys.take(1).is_none());
    }
}
