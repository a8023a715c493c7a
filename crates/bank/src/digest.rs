//! Digests of idempotency keys, of what was meant by them, and of registrations: BLAKE3, keyed with secrets derived
//! from the one that was made with the data, and cut to 128 bits.
//!
//! Part of the data format: keys are remembered for ever, so none of the encodings below may change. A text is preceded
//! by its length unless it comes last, so that no two keys run into each other.

use ledger::customer::ProfileField;
use ledger::ids::{AccountId, CustomerId, DeadLetterId, HoldId, TokenId, TransferId};

/// What an event sent again is compared with: nothing. The same key is the same event, whatever it says.
pub const EVENT_FINGERPRINT: u128 = 0;

/// Whose keys these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace<'a> {
    /// Those a principal sends.
    Principal(&'a str),
    /// Those of events from a source, whatever the way in.
    Source(&'a str),
    /// An attempt to redrive a dead letter.
    Attempt(u32),
    /// The end of such an attempt.
    AttemptEnd(u32),
    /// The dead letter of an event from a source that made the rule book fail.
    Poison(&'a str),
    /// What the bank does by its own clock.
    Bank,
}

/// What a key belongs to beside its namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Nothing: its text alone.
    Text,
    /// An account.
    Account(AccountId),
    /// A customer.
    User(CustomerId),
    /// A hold that nobody placed, so its account is not known.
    Hold(HoldId),
    /// A transfer that nobody made, so its accounts are not known.
    Transfer(TransferId),
    /// A dead letter.
    DeadLetter(DeadLetterId),
    /// A token.
    Token(TokenId),
}

/// The keyed digests.
pub struct Digests {
    key: [u8; 32],
    fingerprint: [u8; 32],
    registration: [u8; 32],
}

impl Digests {
    /// The digests under this secret.
    pub fn new(secret: &[u8; 32]) -> Digests {
        Digests {
            key: blake3::derive_key("florin v1 idempotency key", secret),
            fingerprint: blake3::derive_key("florin v1 fingerprint of a request", secret),
            registration: blake3::derive_key("florin v1 registration of a customer", secret),
        }
    }

    /// The digests of a namespace's keys.
    pub fn keys_in(&self, namespace: Namespace<'_>) -> KeyDigests {
        let mut buffer = Buffer::new();
        match namespace {
            Namespace::Principal(name) => buffer.tagged_text(0, name.as_bytes()),
            Namespace::Source(source) => buffer.tagged_text(1, source.as_bytes()),
            Namespace::Attempt(attempt) => buffer.tagged_number(2, u64::from(attempt)),
            Namespace::AttemptEnd(attempt) => buffer.tagged_number(3, u64::from(attempt)),
            Namespace::Poison(source) => buffer.tagged_text(4, source.as_bytes()),
            Namespace::Bank => buffer.push(&[5]),
        }
        KeyDigests { key: buffer.hash(&self.key) }
    }

    /// The digest of a key.
    pub fn key(&self, namespace: Namespace<'_>, scope: Scope, text: &[u8]) -> u128 {
        self.keys_in(namespace).key(scope, text)
    }

    /// The fingerprints of what is said to an operation, with the ids of its path.
    pub fn fingerprints_of(&self, operation: &str, path: &[u64]) -> Fingerprints {
        let mut buffer = Buffer::new();
        buffer.text(operation.as_bytes());
        path.iter().for_each(|id| buffer.push(&id.to_le_bytes()));
        Fingerprints { key: buffer.hash(&self.fingerprint) }
    }

    /// The digest of what a client said: the operation, the ids of its path, and the body in a canonical form.
    pub fn fingerprint(&self, operation: &str, path: &[u64], canonical: &[u8]) -> u128 {
        self.fingerprints_of(operation, path).of(canonical)
    }

    /// The digest of what a customer was registered with, by which a repeated registration is known.
    pub fn registration<'a>(&self, fields: impl Iterator<Item = (ProfileField, &'a str)>) -> u128 {
        let mut buffer = Buffer::new();
        for (field, value) in fields {
            buffer.text(field.name().as_bytes());
            buffer.text(value.as_bytes());
        }
        buffer.digest(&self.registration)
    }
}

/// Digests of the keys of one namespace, whose own digest is their key: what a batch's keys share is hashed once.
#[derive(Clone, Copy)]
pub struct KeyDigests {
    key: [u8; 32],
}

impl KeyDigests {
    /// The digest of a key. The text comes last and a scope's length follows from its tag, so no two run into each other.
    pub fn key(&self, scope: Scope, text: &[u8]) -> u128 {
        let mut buffer = Buffer::new();
        match scope {
            Scope::Text => buffer.push(&[0]),
            Scope::Account(id) => buffer.tagged_number(1, id.number()),
            Scope::User(id) => buffer.tagged_number(2, id.number()),
            Scope::Hold(id) => buffer.tagged_number(3, id.number()),
            Scope::Transfer(id) => buffer.tagged_number(4, id.number()),
            Scope::DeadLetter(id) => buffer.tagged_number(5, id.number()),
            Scope::Token(id) => buffer.tagged_number(6, id.number()),
        }
        buffer.push(text);
        buffer.digest(&self.key)
    }
}

/// Fingerprints of bodies sent to one operation, whose own digest is their key.
#[derive(Clone, Copy)]
pub struct Fingerprints {
    key: [u8; 32],
}

impl Fingerprints {
    /// The fingerprint of a body in a canonical form.
    pub fn of(&self, canonical: &[u8]) -> u128 {
        first_half(blake3::keyed_hash(&self.key, canonical).into())
    }
}

fn first_half(hash: [u8; 32]) -> u128 {
    let mut half = [0; 16];
    half.copy_from_slice(&hash[..16]);
    u128::from_le_bytes(half)
}

/// Bytes on their way into a digest. The usual few stay on the stack: a million keys a second allocate nothing.
struct Buffer {
    short: [u8; 512],
    length: usize,
    long: Vec<u8>,
}

impl Buffer {
    fn new() -> Buffer {
        Buffer { short: [0; 512], length: 0, long: Vec::new() }
    }

    fn push(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        if self.long.is_empty() && end <= self.short.len() {
            self.short[self.length..end].copy_from_slice(bytes);
            self.length = end;
            return;
        }
        if self.long.is_empty() {
            self.long.extend_from_slice(&self.short[..self.length]);
        }
        self.long.extend_from_slice(bytes);
    }

    fn text(&mut self, text: &[u8]) {
        self.push(&(text.len() as u64).to_le_bytes());
        self.push(text);
    }

    fn tagged_text(&mut self, tag: u8, text: &[u8]) {
        self.push(&[tag]);
        self.text(text);
    }

    fn tagged_number(&mut self, tag: u8, number: u64) {
        self.push(&[tag]);
        self.push(&number.to_le_bytes());
    }

    fn hash(&self, key: &[u8; 32]) -> [u8; 32] {
        let bytes = if self.long.is_empty() { &self.short[..self.length] } else { &self.long[..] };
        blake3::keyed_hash(key, bytes).into()
    }

    fn digest(&self, key: &[u8; 32]) -> u128 {
        first_half(self.hash(key))
    }
}
