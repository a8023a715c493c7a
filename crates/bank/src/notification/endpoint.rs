//! Endpoints of webhooks: where other systems are told, of what, and the secrets that sign what they are sent. A secret
//! that was replaced signs beside the new one for a while, so that a receiver can change over when it likes.

use super::Notifications;
use super::delivery::{ROOT, Subscriber, cursor_key};
use super::kind::Kind;
use super::outgoing::Address;
use crate::ports::{Expected, RecordChange};
use crate::records::parsed;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ledger::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::Fault;

/// Most endpoints of a bank: each follows the journal by itself.
pub const ENDPOINTS_MAX: usize = 50;
/// How long a replaced secret goes on signing.
pub const ROTATION_US: u64 = 24 * 3600 * 1_000_000;
/// Most secrets that sign at a time.
const SECRETS_MAX: usize = 3;
/// Bytes of a secret: what Standard Webhooks asks for at least is 24.
const SECRET_BYTES: usize = 32;
const PURPOSE: &str = "webhook secret";
const PREFIX: &str = "whsec_";

/// An endpoint, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its id.
    pub id: String,
    /// Where it is.
    pub url: String,
    /// What it is told; everything where it is not said.
    pub kinds: Option<Vec<Kind>>,
    /// Whether it is told anything: not after it said that it is gone.
    pub is_enabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// How many secrets sign now.
    pub secrets: usize,
}

#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kinds: Option<Vec<Kind>>,
    is_enabled: bool,
    created_us: u64,
    /// When it was put on again last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    enabled_us: Option<u64>,
    /// The newest first.
    secrets: Vec<KeptSecret>,
}

#[derive(Clone, Serialize, Deserialize)]
struct KeptSecret {
    sealed: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until_us: Option<u64>,
}

/// An endpoint that was made or got a new secret, which is shown this once.
#[derive(Clone, PartialEq, Eq)]
pub struct WithSecret {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The secret, as Standard Webhooks writes it.
    pub secret: String,
}

impl std::fmt::Debug for WithSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WithSecret").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// How an endpoint can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    /// There, with what signs.
    At(Address),
    /// Not now: what is for it waits until it is on again.
    Off,
    /// Never more.
    Gone,
}

fn endpoint_key(id: &str) -> String {
    format!("{ROOT}endpoint/{id}")
}

impl Kept {
    fn shown(&self, id: &str, now: Timestamp) -> Endpoint {
        Endpoint {
            id: id.to_owned(),
            url: self.url.clone(),
            kinds: self.kinds.clone(),
            is_enabled: self.is_enabled,
            created_at: Timestamp::from_microseconds(self.created_us).unwrap_or(Timestamp::ZERO),
            secrets: self.secrets.iter().filter(|secret| secret.is_good(now)).count(),
        }
    }
}

impl KeptSecret {
    fn is_good(&self, now: Timestamp) -> bool {
        self.until_us.is_none_or(|until_us| now.microseconds() < until_us)
    }
}

impl Notifications {
    /// Makes an endpoint, which is told what happens from now on; `None` where the bank has as many as it may have.
    ///
    /// # Errors
    /// A fault of the records or the keyring.
    pub async fn add_endpoint(&self, url: &str, kinds: Option<Vec<Kind>>) -> Result<Option<WithSecret>, Fault> {
        if ENDPOINTS_MAX <= self.endpoints().await?.len() {
            return Ok(None);
        }
        let mut random = [0; 8];
        self.bank.env().fill(&mut random);
        let id = format!("{:016x}", u64::from_le_bytes(random));
        let (secret, sealed) = self.fresh_secret().await?;
        let now = self.bank.now();
        let secrets = vec![KeptSecret { sealed, until_us: None }];
        let (is_enabled, enabled_us) = (true, None);
        let kept = Kept { url: url.to_owned(), kinds, is_enabled, created_us: now.microseconds(), enabled_us, secrets };
        let mut changes = vec![RecordChange::put(endpoint_key(&id), &kept)?.expecting(Expected::Absent)];
        // It hears of what comes after this answer, whenever whoever tells it begins.
        for store in self.bank.shards() {
            let key = cursor_key(&Subscriber::endpoint(&id), store.shard());
            changes.push(RecordChange::put(key, &store.head())?);
        }
        self.records.change(changes).await?;
        self.endpoints_changed();
        Ok(Some(WithSecret { endpoint: kept.shown(&id, now), secret }))
    }

    async fn fresh_secret(&self) -> Result<(String, String), Fault> {
        let mut bytes = [0; SECRET_BYTES];
        self.bank.env().fill(&mut bytes);
        let (id, key) = self.bank.fresh_key().await?;
        let sealed = crate::sealing::Sealer::new(id, &key).seal(self.bank.env().as_ref(), PURPOSE, &bytes);
        Ok((format!("{PREFIX}{}", STANDARD.encode(bytes)), STANDARD.encode(sealed)))
    }

    /// All endpoints, by id.
    ///
    /// # Errors
    /// A fault of the records.
    pub async fn endpoints(&self) -> Result<Vec<Endpoint>, Fault> {
        let (prefix, now) = (endpoint_key(""), self.bank.now());
        let found = self.records.list(&prefix, None, ENDPOINTS_MAX * 2).await?;
        let shown = |(key, value): &(String, Vec<u8>)| Ok(parsed::<Kept>(key, value)?.shown(&key[prefix.len()..], now));
        found.iter().map(shown).collect()
    }

    /// An endpoint; `None` if there is none.
    ///
    /// # Errors
    /// A fault of the records.
    pub async fn endpoint(&self, id: &str) -> Result<Option<Endpoint>, Fault> {
        let kept = self.kept_endpoint(id).await?;
        Ok(kept.map(|(kept, _)| kept.shown(id, self.bank.now())))
    }

    async fn kept_endpoint(&self, id: &str) -> Result<Option<(Kept, Vec<u8>)>, Fault> {
        let key = endpoint_key(id);
        let Some(bytes) = self.records.get(&key).await? else { return Ok(None) };
        Ok(Some((parsed(&key, &bytes)?, bytes)))
    }

    /// Changes an endpoint with `change`, and destroys the keys of secrets that it has no more; `None` if there is none.
    async fn change_endpoint(&self, id: &str, change: impl Fn(&mut Kept)) -> Result<Option<Endpoint>, Fault> {
        loop {
            let Some((mut kept, bytes)) = self.kept_endpoint(id).await? else { return Ok(None) };
            let before = kept.secrets.clone();
            change(&mut kept);
            let record = RecordChange::put(endpoint_key(id), &kept)?.expecting(Expected::Exactly(bytes));
            if self.records.change(vec![record]).await? {
                self.endpoints_changed();
                let stays = |secret: &&KeptSecret| kept.secrets.iter().any(|kept| kept.sealed == secret.sealed);
                for secret in before.iter().filter(|secret| !stays(secret)) {
                    self.destroy_key_of(secret).await?;
                }
                return Ok(Some(kept.shown(id, self.bank.now())));
            }
        }
    }

    /// Gives an endpoint a new secret; the one before goes on signing beside it for a day. `None` if there is none.
    ///
    /// # Errors
    /// A fault of the records or the keyring.
    pub async fn rotate_secret(&self, id: &str) -> Result<Option<WithSecret>, Fault> {
        let (secret, sealed) = self.fresh_secret().await?;
        let now = self.bank.now();
        let until_us = now.microseconds() + ROTATION_US;
        let changed = self.change_endpoint(id, |kept| {
            kept.secrets.retain(|secret| secret.is_good(now));
            kept.secrets.iter_mut().for_each(|secret| secret.until_us = Some(secret.until_us.unwrap_or(until_us)));
            kept.secrets.insert(0, KeptSecret { sealed: sealed.clone(), until_us: None });
            kept.secrets.truncate(SECRETS_MAX);
        });
        Ok(changed.await?.map(|endpoint| WithSecret { endpoint, secret }))
    }

    /// Forgets secrets that sign no more.
    pub(super) async fn forget_replaced_secrets(&self, id: &str) -> Result<(), Fault> {
        let now = self.bank.now();
        let Some((kept, _)) = self.kept_endpoint(id).await? else { return Ok(()) };
        if kept.secrets.iter().any(|secret| !secret.is_good(now)) {
            self.change_endpoint(id, |kept| kept.secrets.retain(|secret| secret.is_good(now))).await?;
        }
        Ok(())
    }

    async fn destroy_key_of(&self, secret: &KeptSecret) -> Result<(), Fault> {
        let sealed = STANDARD.decode(&secret.sealed).unwrap_or_default();
        match crate::sealing::key_of(&sealed) {
            Some(key) => self.bank.destroy_key(key).await,
            None => Ok(()),
        }
    }

    /// Goes on telling an endpoint; `None` if there is none.
    ///
    /// # Errors
    /// A fault of the records.
    pub async fn enable_endpoint(&self, id: &str) -> Result<Option<Endpoint>, Fault> {
        let now_us = self.bank.now().microseconds();
        self.change_endpoint(id, |kept| {
            kept.is_enabled = true;
            kept.enabled_us = Some(now_us);
        })
        .await
    }

    /// Stops telling an endpoint, which said to what was sent then that it is gone. Was it put on again since, that counts.
    pub(super) async fn endpoint_gone(&self, id: &str, sent_at: Timestamp) -> Result<(), Fault> {
        let is_over = |kept: &Kept| kept.enabled_us.is_none_or(|enabled_us| enabled_us < sent_at.microseconds());
        self.change_endpoint(id, |kept| kept.is_enabled &= !is_over(kept)).await.map(drop)
    }

    /// Removes an endpoint, and destroys the keys of its secrets; whether there was one.
    ///
    /// # Errors
    /// A fault, after which it must be asked again.
    pub async fn remove_endpoint(&self, id: &str) -> Result<bool, Fault> {
        let Some((kept, _)) = self.kept_endpoint(id).await? else { return Ok(false) };
        for secret in &kept.secrets {
            self.destroy_key_of(secret).await?;
        }
        let mut changes = vec![RecordChange::remove(endpoint_key(id))];
        let cursors = self.bank.shards().iter().map(|store| cursor_key(&Subscriber::endpoint(id), store.shard()));
        changes.extend(cursors.map(RecordChange::remove));
        self.records.change(changes).await?;
        self.endpoints_changed();
        Ok(true)
    }

    /// Where an endpoint is, and the secrets that sign now.
    pub(crate) async fn endpoint_address(&self, id: &str) -> Result<Reached, Fault> {
        let Some((kept, _)) = self.kept_endpoint(id).await? else { return Ok(Reached::Gone) };
        if !kept.is_enabled {
            return Ok(Reached::Off);
        }
        let now = self.bank.now();
        let mut secrets = Vec::new();
        for secret in kept.secrets.iter().filter(|secret| secret.is_good(now)) {
            let damaged = || Fault::Corrupt { detail: format!("a secret of the endpoint {id} cannot be opened") };
            let sealed = STANDARD.decode(&secret.sealed).map_err(|_| damaged())?;
            secrets.push(self.bank.open_sealed(&sealed, PURPOSE).await?.ok_or_else(damaged)?);
        }
        Ok(Reached::At(Address::Webhook { url: kept.url, secrets }))
    }
}
