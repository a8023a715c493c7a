//! Webhooks as Standard Webhooks describes them: JSON, signed with HMAC-SHA256 over id, time and body, by every secret that
//! is good now.

use super::http::{ask, build, client};
use super::names::Names;
use super::public_address::{PublicNames, names_private_address};
use crate::config;
use crate::failure::Failure;
use bank::notification::outgoing::{Accepted, Address, Outgoing, SendFailure};
use bank::ports::{Boxed, Messenger};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Client, Url};
use ring::hmac;
use std::sync::Arc;
use std::time::Duration;

/// See the module.
#[derive(Debug)]
pub(crate) struct Webhook {
    client: Client,
    allow_private: bool,
}

impl Webhook {
    /// Webhooks as they are configured.
    ///
    /// # Errors
    /// A fault of the machine.
    pub(crate) fn new(config: &config::Webhooks, timeout: Duration) -> Result<Webhook, Failure> {
        let builder = client(timeout);
        let builder = match config.allow_private {
            true => builder.dns_resolver(Arc::new(Names::new())),
            false => builder.dns_resolver(Arc::new(PublicNames(Names::new()))),
        };
        Ok(Webhook { client: build(builder)?, allow_private: config.allow_private })
    }
}

/// `v1,SIGNATURE` for each secret, with spaces between.
fn signatures(secrets: &[Vec<u8>], id: &str, seconds: u64, body: &str) -> String {
    let content = format!("{id}.{seconds}.{body}");
    let sign = |secret: &Vec<u8>| {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), content.as_bytes());
        format!("v1,{}", STANDARD.encode(tag))
    };
    secrets.iter().map(sign).collect::<Vec<_>>().join(" ")
}

impl Messenger for Webhook {
    fn send<'a>(&'a self, outgoing: &'a Outgoing) -> Boxed<'a, Result<Accepted, SendFailure>> {
        Box::pin(async move {
            let Address::Webhook { url, secrets } = &outgoing.to else {
                return Err(SendFailure::never("address_invalid"));
            };
            let url: Url = url.parse().map_err(|_| SendFailure::never("address_invalid"))?;
            if !self.allow_private && names_private_address(&url) {
                return Err(SendFailure::never("address_not_public"));
            }
            let seconds = outgoing.now.microseconds() / 1_000_000;
            let request = self
                .client
                .post(url)
                .header("content-type", "application/json")
                .header("webhook-id", &outgoing.id)
                .header("webhook-timestamp", seconds.to_string())
                .header("webhook-signature", signatures(secrets, &outgoing.id, seconds, &outgoing.data))
                .body(outgoing.data.clone());
            let answer = ask(request).await?;
            match answer.status.as_u16() {
                200..=299 => Ok(Accepted::default()),
                410 => Err(SendFailure::Never { code: "http_410".to_owned(), is_gone: true }),
                // Whatever else an endpoint says, its owner may be mending it: nothing about an event is wrong for good.
                status @ (300..=399 | 400..=428 | 430..=499) => Err(SendFailure::of_provider(format!("http_{status}"))),
                _ => Err(answer.failure()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_the_specification() {
        // The example of the specification's reference library.
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64");
        let (id, seconds, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        let signed = signatures(&[secret], id, seconds, body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
