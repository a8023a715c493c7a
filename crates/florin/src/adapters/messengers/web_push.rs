//! Push messages to browsers: RFC 8030, encrypted as RFC 8291 says, from a sender known by a key of its own, RFC 8292.

mod encryption;
mod vapid;

use super::http::{ask, build, client};
use super::names::Names;
use super::public_address::{PublicNames, names_private_address};
use crate::config;
use crate::failure::Failure;
use bank::notification::outgoing::{Accepted, Address, Outgoing, SendFailure};
use bank::ports::{Boxed, Messenger};
use reqwest::{Client, Url};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use vapid::Vapid;

/// How long a push service keeps a message for a browser that is away.
const TTL_S: u64 = 24 * 3600;
/// Most bytes of a message that every push service takes, encrypted, is 4,096.
const PLAIN_BYTES_MAX: usize = 3800;

/// See the module.
#[derive(Debug)]
pub(crate) struct WebPush {
    client: Client,
    vapid: Vapid,
    allow_private: bool,
}

impl WebPush {
    /// Push messages with the key in this file, which is made if it is not there.
    ///
    /// # Errors
    /// Wrong usage.
    pub(crate) fn new(config: &config::WebPush, key_file: &Path, timeout: Duration) -> Result<WebPush, Failure> {
        let builder = client(timeout);
        let builder = match config.allow_private {
            true => builder.dns_resolver(Arc::new(Names::new())),
            false => builder.dns_resolver(Arc::new(PublicNames(Names::new()))),
        };
        let subject = config.subject.as_deref().unwrap_or_default();
        let vapid = Vapid::open(key_file, subject)?;
        Ok(WebPush { client: build(builder)?, vapid, allow_private: config.allow_private })
    }

    /// The public key that browsers are given when they subscribe.
    pub(crate) fn public_key(&self) -> String {
        self.vapid.public_key()
    }
}

fn plain(outgoing: &Outgoing) -> Vec<u8> {
    let plain = |text: &str| {
        let plain = json!({
            "id": outgoing.id,
            "kind": outgoing.kind.name(),
            "lang": outgoing.language,
            "title": outgoing.subject,
            "body": text,
        });
        plain.to_string().into_bytes()
    };
    plain(&super::shortened(&outgoing.text, |text| plain(text).len() <= PLAIN_BYTES_MAX))
}

impl Messenger for WebPush {
    fn send<'a>(&'a self, outgoing: &'a Outgoing) -> Boxed<'a, Result<Accepted, SendFailure>> {
        Box::pin(async move {
            let Address::WebPush(subscription) = &outgoing.to else {
                return Err(SendFailure::never("address_invalid"));
            };
            let url: Url = subscription.endpoint.parse().map_err(|_| SendFailure::never("address_invalid"))?;
            if !self.allow_private && names_private_address(&url) {
                return Err(SendFailure::never("address_not_public"));
            }
            let now_s = outgoing.now.microseconds() / 1_000_000;
            let encrypted = encryption::encrypt(subscription, &plain(outgoing));
            let body = encrypted.ok_or_else(|| SendFailure::never("subscription_invalid"))?;
            let proof = self.vapid.authorization(&url, now_s);
            let proof = proof.ok_or_else(|| SendFailure::of_provider("web_push_key"))?;
            let urgency = if outgoing.kind.is_urgent() { "high" } else { "normal" };
            let request = self
                .client
                .post(url)
                .header("authorization", proof)
                .header("content-encoding", "aes128gcm")
                .header("content-type", "application/octet-stream")
                .header("ttl", TTL_S.to_string())
                .header("urgency", urgency)
                .header("topic", &outgoing.id)
                .body(body);
            let answer = ask(request).await?;
            let code = format!("http_{}", answer.status.as_u16());
            match answer.status.as_u16() {
                200..=299 => Ok(Accepted::default()),
                404 | 410 => Err(SendFailure::Never { code, is_gone: true }),
                // Whoever subscribed chose the address: a service that does not want it says nothing of other subscriptions.
                401 | 403 => Err(SendFailure::later(code)),
                _ => Err(answer.failure()),
            }
        })
    }

    fn provider(&self, outgoing: &Outgoing) -> String {
        let Address::WebPush(subscription) = &outgoing.to else { return String::new() };
        let url: Option<Url> = subscription.endpoint.parse().ok();
        url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
    }
}
