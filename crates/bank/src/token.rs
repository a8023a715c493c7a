//! API tokens: made once and shown once, kept as a digest, looked up at every request.
//!
//! Tokens live on shard 0. A token that is made under an idempotency key is derived from that key and the secret of the
//! data instead of being drawn, so that whoever lost the answer gets the same one again; the others are drawn at random.

use crate::error::BankError;
use crate::ports::Env;
use crate::submit::{ClientKey, allow};
use crate::{Bank, Caller, RESERVED_PRINCIPALS};
use ledger::command::{Command, CreateToken};
use ledger::event::Channel;
use ledger::ids::{ShardId, TokenId};
use ledger::time::Timestamp;
use ledger::token::{Role, Token};
use ring::digest::{SHA256, digest};
use std::collections::HashMap;
use std::fmt::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use store::{Answer, Fault};

/// What every token starts with, so that people and scanners recognise one.
const PREFIX: &str = "florin_";
/// How long tokens that were read are used before they are read again, in microseconds.
const CACHE_AGE_MAX_US: u64 = 5_000_000;
/// How soon after a read an unknown token leads to another, in microseconds, so that guessing does not load the store.
const MISS_INTERVAL_US: u64 = 1_000_000;
/// Most characters of a name.
const NAME_CHARACTERS_MAX: usize = 200;

/// What a bearer presents: `florin_` and 64 hexadecimal digits. Never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenText(String);

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenText(…)")
    }
}

impl TokenText {
    /// A new random one.
    pub fn generate(env: &dyn Env) -> TokenText {
        let mut bytes = [0; 32];
        env.fill(&mut bytes);
        TokenText::of(&bytes)
    }

    /// The text to present.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn of(bytes: &[u8; 32]) -> TokenText {
        let mut text = String::with_capacity(PREFIX.len() + 64);
        text.push_str(PREFIX);
        for byte in bytes {
            write!(text, "{byte:02x}").expect("a string takes whatever is written to it");
        }
        TokenText(text)
    }
}

/// What a token is made of.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// The principal it speaks for: 1 to 200 visible characters.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// From when on it is no longer valid.
    pub expires_at: Option<Timestamp>,
}

/// Tokens as they were read last.
#[derive(Default)]
pub(crate) struct TokenCache {
    state: Mutex<Cached>,
}

#[derive(Default)]
struct Cached {
    tokens: HashMap<[u8; 32], Token>,
    read_at: Option<Timestamp>,
    /// Counts changes made here: what was read before a change is not kept after it.
    generation: u64,
}

/// What the cache knows of a token.
enum Known {
    Token(Token),
    NoSuchToken,
    ReadFirst { generation: u64 },
}

impl TokenCache {
    fn lock(&self) -> MutexGuard<'_, Cached> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look_up(&self, digest: &[u8; 32], now: Timestamp) -> Known {
        let mut cached = self.lock();
        let age = cached.read_at.and_then(|read_at| now.microseconds().checked_sub(read_at.microseconds()));
        let token = cached.tokens.get(digest).cloned();
        match (token, age) {
            (Some(token), Some(age)) if age < CACHE_AGE_MAX_US => Known::Token(token),
            (None, Some(age)) if age < MISS_INTERVAL_US => Known::NoSuchToken,
            (_, age) => {
                // Once there is something to go by, one reader is enough: the others go by what was read before.
                cached.read_at = age.is_some().then_some(now);
                Known::ReadFirst { generation: cached.generation }
            }
        }
    }

    fn keep(&self, tokens: Vec<Token>, read_at: Timestamp, generation: u64) {
        let mut cached = self.lock();
        if cached.generation == generation {
            cached.tokens = tokens.into_iter().map(|token| (token.digest, token)).collect();
            cached.read_at = Some(read_at);
        }
    }

    fn forget(&self) {
        let mut cached = self.lock();
        cached.generation += 1;
        cached.read_at = None;
        cached.tokens.clear();
    }
}

impl Bank {
    /// Makes a token. The text is there whenever the token was made or its creation replayed: under the same key it is
    /// the same. Needs the role admin.
    ///
    /// # Errors
    /// As [`Bank::submit`]; `malformed` for a name that is none.
    pub async fn create_token(
        &self,
        caller: &Caller,
        key: Option<ClientKey<'_>>,
        new: &NewToken,
    ) -> Result<(Answer, TokenText), BankError> {
        let text = match key {
            Some(key) => self.derived_token(caller, key),
            None => TokenText::generate(self.env.as_ref()),
        };
        Ok((self.store_token(caller, key, new, &text).await?, text))
    }

    fn derived_token(&self, caller: &Caller, key: ClientKey<'_>) -> TokenText {
        let secret = self.derived_secret("florin v1 text of a token");
        let mut said = Vec::new();
        for part in [caller.principal.as_bytes(), key.text.as_bytes(), &key.fingerprint.to_le_bytes()] {
            said.extend_from_slice(&(part.len() as u64).to_le_bytes());
            said.extend_from_slice(part);
        }
        TokenText::of(blake3::keyed_hash(&secret, &said).as_bytes())
    }

    async fn store_token(
        &self,
        caller: &Caller,
        key: Option<ClientKey<'_>>,
        new: &NewToken,
        text: &TokenText,
    ) -> Result<Answer, BankError> {
        allow(caller, Role::Admin)?;
        let is_visible = !new.name.trim().is_empty() && !new.name.chars().any(char::is_control);
        if !is_visible || NAME_CHARACTERS_MAX < new.name.chars().count() {
            let detail = "`name` must be 1 to 200 visible characters".to_string();
            return Err(BankError::Malformed { code: "malformed", detail });
        }
        let is_reserved = |reserved: &&&str| new.name.trim().eq_ignore_ascii_case(reserved);
        if let Some(reserved) = RESERVED_PRINCIPALS.iter().find(is_reserved) {
            let detail = format!("`name` {reserved} is the bank's own; choose another");
            return Err(BankError::Malformed { code: "malformed", detail });
        }
        let create = CreateToken {
            name: new.name.as_str().into(),
            role: new.role,
            digest: sha256(text.as_str()),
            expires_at: new.expires_at,
        };
        let answer = self.submit(caller, key, Command::CreateToken(Box::new(create)), false).await;
        self.tokens.forget();
        answer
    }

    /// Ends a token. Doing it twice is the same as once. Needs the role admin.
    ///
    /// # Errors
    /// As [`Bank::submit`].
    pub async fn revoke_token(
        &self,
        caller: &Caller,
        key: Option<ClientKey<'_>>,
        id: TokenId,
    ) -> Result<Answer, BankError> {
        let answer = self.submit(caller, key, Command::RevokeToken(id), false).await;
        self.tokens.forget();
        answer
    }

    /// All tokens, newest first. Needs the role admin.
    ///
    /// # Errors
    /// `Forbidden`, or a fault.
    pub async fn tokens(&self, caller: &Caller) -> Result<Vec<Token>, BankError> {
        allow(caller, Role::Admin)?;
        Ok(self.store(ShardId::default()).tokens().await?)
    }

    /// Who presents this token; `None` when it is unknown, revoked or no longer valid.
    ///
    /// # Errors
    /// A fault of shard 0, where tokens live.
    pub async fn authenticate(&self, text: &str, channel: Channel, correlation: &str) -> Result<Option<Caller>, Fault> {
        if !text.starts_with(PREFIX) {
            return Ok(None);
        }
        let (digest, now) = (sha256(text), self.now());
        let known = match self.tokens.look_up(&digest, now) {
            Known::Token(token) => Some(token),
            Known::NoSuchToken => None,
            Known::ReadFirst { generation } => {
                let tokens = self.store(ShardId::default()).tokens().await?;
                let token = tokens.iter().find(|token| token.digest == digest).cloned();
                self.tokens.keep(tokens, now, generation);
                token
            }
        };
        let is_valid = |token: &Token| !token.revoked && token.expires_at.is_none_or(|expires_at| now < expires_at);
        Ok(known.filter(is_valid).map(|token| Caller {
            principal: token.name,
            role: token.role,
            channel,
            correlation: correlation.into(),
        }))
    }

    /// Makes the first token of a new bank: name and role `admin`, the text chosen by [`TokenText::generate`] and kept
    /// by whoever calls *before* the call. `false`, and nothing is done, if the bank has tokens already.
    ///
    /// # Errors
    /// A fault of shard 0.
    pub async fn create_first_admin_token(&self, text: &TokenText) -> Result<bool, BankError> {
        let local = Caller::local(Channel::File);
        if !self.tokens(&local).await?.is_empty() {
            return Ok(false);
        }
        let new = NewToken { name: "admin".to_string(), role: Role::Admin, expires_at: None };
        self.store_token(&local, None, &new, text).await?;
        Ok(true)
    }
}

fn sha256(text: &str) -> [u8; 32] {
    digest(&SHA256, text.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_before_a_change_is_not_kept_after_it() {
        let (cache, now) = (TokenCache::default(), Timestamp::ZERO);
        let token = Token {
            id: TokenId::new(1).expect("an id"),
            name: "a".into(),
            role: Role::Teller,
            digest: [1; 32],
            created_at: now,
            expires_at: None,
            revoked: false,
        };
        let read = |cache: &TokenCache| match cache.look_up(&[1; 32], now) {
            Known::ReadFirst { generation } => Some(generation),
            Known::Token(_) | Known::NoSuchToken => None,
        };
        let before = read(&cache).expect("nothing was read yet");
        cache.forget(); // somebody revokes the token while it is being read
        cache.keep(vec![token.clone()], now, before);
        let after = read(&cache).expect("what was read is out of date");
        cache.keep(vec![token.clone()], now, after);
        assert!(matches!(cache.look_up(&[1; 32], now), Known::Token(known) if known == token));
        assert!(matches!(cache.look_up(&[2; 32], now), Known::NoSuchToken));
    }
}
