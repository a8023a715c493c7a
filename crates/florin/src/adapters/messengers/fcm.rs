//! Push messages to applications by Firebase Cloud Messaging, HTTP v1, as a service account: a JWT signed with RS256 is
//! exchanged for an access token, which is used until shortly before it is over.

use super::http::{Answer, ask, build, client};
use super::names::Names;
use crate::config;
use crate::failure::Failure;
use bank::notification::outgoing::{Accepted, Address, Outgoing, SendFailure};
use bank::ports::{Boxed, Messenger};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Client;
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::RSA_PKCS1_SHA256;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;

const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// How long an assertion is good, as long as Google allows.
const ASSERTION_S: u64 = 3600;
/// Firebase takes 4,096 bytes of what a device is to get; the names of what it adds itself are among them.
const CONTENT_BYTES_MAX: usize = 3800;
/// A token is not used in the last minute that it is good.
const MARGIN_S: u64 = 60;

/// See the module.
pub(crate) struct Fcm {
    client: Client,
    url: String,
    account: Account,
    key: KeyPair,
    tokens: Tokens,
}

#[derive(Deserialize)]
struct Account {
    project_id: String,
    client_email: String,
    private_key: String,
    #[serde(default)]
    private_key_id: String,
    token_uri: String,
}

#[derive(Clone)]
struct Token {
    text: String,
    until_s: u64,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: u64,
}

/// The token that is used until it is over. Of many that ask at once, one fetches it, and where that fails it fails for all who
/// waited: else each would wait in turn for a service that hangs.
#[derive(Default)]
struct Tokens {
    known: Mutex<Known>,
    failures: AtomicU64,
}

#[derive(Default)]
struct Known {
    token: Option<Token>,
    failure: Option<SendFailure>,
}

impl Tokens {
    /// A token that is good for a while, or else what is fetched.
    async fn get(
        &self,
        now_s: u64,
        fetch: impl Future<Output = Result<Token, SendFailure>>,
    ) -> Result<String, SendFailure> {
        let failures = self.failures.load(Ordering::SeqCst);
        let mut known = self.known.lock().await;
        if let Some(token) = known.token.as_ref().filter(|token| now_s + MARGIN_S < token.until_s) {
            return Ok(token.text.clone());
        }
        if failures != self.failures.load(Ordering::SeqCst)
            && let Some(failure) = &known.failure
        {
            return Err(failure.clone());
        }
        match fetch.await {
            Ok(token) => {
                let text = token.text.clone();
                known.token = Some(token);
                Ok(text)
            }
            Err(failure) => {
                known.failure = Some(failure.clone());
                self.failures.fetch_add(1, Ordering::SeqCst);
                Err(failure)
            }
        }
    }

    /// Has another fetched where this one was refused.
    async fn forget(&self, text: &str) {
        self.known.lock().await.token.take_if(|token| token.text == text);
    }
}

impl std::fmt::Debug for Fcm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fcm").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Fcm {
    /// Push messages as the service account in this file.
    ///
    /// # Errors
    /// Wrong usage.
    pub(crate) fn new(config: &config::Fcm, file: &std::path::Path, timeout: Duration) -> Result<Fcm, Failure> {
        let wrong = |what: &dyn std::fmt::Display| {
            let next = "name the JSON file of a service account that Firebase gave you";
            Failure::usage(format!("fcm.service_account_file {}: {what}", file.display()), next)
        };
        let text = super::read_secret("fcm.service_account_file", file)?;
        let account: Account = serde_json::from_str(&text).map_err(|error| wrong(&error))?;
        let der = PrivatePkcs8KeyDer::from_pem_slice(account.private_key.as_bytes()).map_err(|error| wrong(&error))?;
        let key = KeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(|error| wrong(&error))?;
        let url = config.url.trim_end_matches('/').to_owned();
        Ok(Fcm {
            client: build(client(timeout).dns_resolver(Arc::new(Names::new())))?,
            url,
            account,
            key,
            tokens: Tokens::default(),
        })
    }

    fn assertion(&self, now_s: u64) -> Option<String> {
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": self.account.private_key_id});
        let claims = json!({
            "iss": self.account.client_email,
            "scope": SCOPE,
            "aud": self.account.token_uri,
            "iat": now_s,
            "exp": now_s + ASSERTION_S,
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let mut signature = vec![0; self.key.public().modulus_len()];
        let random = SystemRandom::new();
        self.key.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).ok()?;
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    async fn fetch_token(&self, now_s: u64) -> Result<Token, SendFailure> {
        let assertion = self.assertion(now_s).ok_or_else(|| SendFailure::of_provider("fcm_key"))?;
        let form = [("grant_type", GRANT), ("assertion", assertion.as_str())];
        let answer = ask(self.client.post(&self.account.token_uri).form(&form)).await?;
        if !answer.status.is_success() {
            return Err(match answer.failure() {
                SendFailure::SlowDown { code, after_us } => SendFailure::SlowDown { code, after_us },
                other => SendFailure::of_provider(format!("fcm_token_{}", other.code())),
            });
        }
        let granted: Granted =
            serde_json::from_slice(&answer.body).map_err(|_| SendFailure::of_provider("fcm_token"))?;
        Ok(Token { text: granted.access_token, until_s: now_s.saturating_add(granted.expires_in) })
    }
}

/// What has the same `tag` on Android, or the same collapse id at Apple, is shown once, should it be sent twice. There is no
/// `collapse_key`: Firebase takes all that has a `notification` for collapsible and ignores its key.
fn body(outgoing: &Outgoing, token: &str) -> Value {
    let data = json!({"id": outgoing.id, "kind": outgoing.kind.name()});
    let notification = |text: &str| json!({"title": outgoing.subject, "body": text});
    let bytes = |text: &str| notification(text).to_string().len() + data.to_string().len();
    let text = super::shortened(&outgoing.text, |text| bytes(text) <= CONTENT_BYTES_MAX);
    json!({"message": {
        "token": token,
        "notification": notification(&text),
        "data": data,
        "android": {"notification": {"tag": outgoing.id}},
        "apns": {"headers": {"apns-collapse-id": outgoing.id}},
    }})
}

/// The word of an answer for what is wrong: FCM's own where it says one.
fn error_code(answer: &Answer) -> Option<String> {
    let said: Value = serde_json::from_slice(&answer.body).ok()?;
    let details = said["error"]["details"].as_array();
    let own = details.and_then(|details| details.iter().find_map(|detail| detail["errorCode"].as_str()));
    own.or_else(|| said["error"]["status"].as_str()).map(str::to_owned)
}

impl Messenger for Fcm {
    fn send<'a>(&'a self, outgoing: &'a Outgoing) -> Boxed<'a, Result<Accepted, SendFailure>> {
        Box::pin(async move {
            let Address::Fcm(device) = &outgoing.to else { return Err(SendFailure::never("address_invalid")) };
            let now_s = outgoing.now.microseconds() / 1_000_000;
            let token = self.tokens.get(now_s, self.fetch_token(now_s)).await?;
            let url = format!("{}/v1/projects/{}/messages:send", self.url, self.account.project_id);
            let request = self.client.post(url).bearer_auth(&token).header("content-type", "application/json");
            let answer = ask(request.body(body(outgoing, device).to_string())).await?;
            if answer.status.is_success() {
                let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                return Ok(Accepted::known_as(said["name"].as_str()));
            }
            if answer.status.as_u16() == 401 {
                // The next attempt fetches another.
                self.tokens.forget(&token).await;
            }
            Err(failure(&answer))
        })
    }
}

/// What a refusal means. Only what says that it speaks of the device ends it: a wrong project is answered by 404 too.
fn failure(answer: &Answer) -> SendFailure {
    let said = error_code(answer);
    let status = answer.status.as_u16();
    let code = match &said {
        Some(said) if said.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') => {
            format!("fcm_{}", said.to_ascii_lowercase())
        }
        _ => format!("http_{status}"),
    };
    match (status, said.as_deref()) {
        (_, Some("UNREGISTERED")) => SendFailure::Never { code, is_gone: true },
        (403, Some("SENDER_ID_MISMATCH")) => SendFailure::never(code),
        (401 | 403 | 404, _) => SendFailure::of_provider(code),
        _ => match answer.failure() {
            SendFailure::SlowDown { after_us, .. } => {
                // Google asks for a minute where it does not say how long.
                SendFailure::SlowDown { code, after_us: Some(after_us.unwrap_or(60_000_000)) }
            }
            SendFailure::Later { is_providers, .. } => SendFailure::Later { code, is_providers },
            SendFailure::Never { .. } => SendFailure::never(code),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::{join, join_all};
    use tokio::sync::oneshot;

    #[test]
    fn where_a_token_cannot_be_had_all_who_waited_for_it_know_and_the_next_asks_again() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let (tokens, asked) = (Tokens::default(), AtomicU64::new(0));
            let (hang_up, hangs) = oneshot::channel::<()>();
            let hanging = std::sync::Mutex::new(Some(hangs));
            let fetch = || async {
                asked.fetch_add(1, Ordering::SeqCst);
                let hangs = hanging.lock().expect("not poisoned").take();
                if let Some(hangs) = hangs {
                    _ = hangs.await;
                }
                Err(SendFailure::of_provider("timeout"))
            };
            let waiting = join_all((0..20).map(|_| tokens.get(0, fetch())));
            let (all, ()) = join(waiting, async { drop(hang_up) }).await;
            assert!(all.iter().all(|one| *one == Err(SendFailure::of_provider("timeout"))));
            assert_eq!(asked.load(Ordering::SeqCst), 1);
            let granted = async { Ok(Token { text: "token".to_owned(), until_s: 3600 }) };
            assert_eq!(tokens.get(0, granted).await.as_deref(), Ok("token"));
            assert_eq!(tokens.get(0, fetch()).await.as_deref(), Ok("token"), "and it is used again");
        });
    }

    #[test]
    fn a_long_text_is_shortened_to_what_firebase_takes() {
        let outgoing = |text: &str| Outgoing {
            id: "1".to_owned(),
            follows: None,
            to: Address::Fcm("token".to_owned()),
            kind: bank::notification::kind::Kind::Deposit,
            language: "el",
            subject: "subject".to_owned(),
            text: text.to_owned(),
            data: String::new(),
            booked_at: Default::default(),
            now: Default::default(),
        };
        let said = |text: &str| body(&outgoing(text), "token")["message"]["notification"]["body"].clone();
        assert_eq!(said("short"), "short");
        let long = "Ω\"".repeat(4000);
        let shortened = said(&long);
        let shortened = shortened.as_str().expect("a text");
        assert!(long.starts_with(shortened) && (2000..4096).contains(&shortened.len()), "{}", shortened.len());
        assert!(body(&outgoing(&long), "token")["message"]["notification"].to_string().len() <= CONTENT_BYTES_MAX);
    }

    #[test]
    fn a_device_is_gone_where_firebase_says_so_and_nowhere_else() {
        let said = |status: u16, word: &str, code: &str| {
            let body = json!({"error": {"status": word, "details": [{"errorCode": code}]}}).to_string().into_bytes();
            let status = reqwest::StatusCode::from_u16(status).expect("a status");
            failure(&Answer { status, retry_after_us: None, body })
        };
        let gone = SendFailure::Never { code: "fcm_unregistered".into(), is_gone: true };
        assert_eq!(said(404, "NOT_FOUND", "UNREGISTERED"), gone);
        assert_eq!(said(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"), SendFailure::never("fcm_sender_id_mismatch"));
        let no_project = Answer {
            status: reqwest::StatusCode::NOT_FOUND,
            retry_after_us: None,
            body: br#"{"error":{"status":"NOT_FOUND"}}"#.to_vec(),
        };
        assert_eq!(failure(&no_project), SendFailure::of_provider("fcm_not_found"));
        let page = Answer { body: b"<html>".to_vec(), ..no_project };
        assert_eq!(failure(&page), SendFailure::of_provider("http_404"));
    }
}
