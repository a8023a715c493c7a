//! The sections of the configuration about messages: `notifications`, and one for each provider.

use serde::Deserialize;
use std::num::NonZeroU32;
use std::path::PathBuf;

/// Section `notifications`: what all messages have in common.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Notifications {
    /// Whether there are any.
    pub(crate) enabled: bool,
    /// A folder with texts in place of the built-in ones.
    pub(crate) templates: Option<PathBuf>,
    /// Whether messages for which no provider is configured are written to `outbox` in the data folder; without it, they are if
    /// no provider at all is configured.
    pub(crate) outbox: Option<bool>,
    /// Whether customers see the names of whom they pay, rather than account numbers.
    pub(crate) recipient_names: bool,
    /// How long a provider may take, in milliseconds.
    pub(crate) timeout_ms: u64,
    /// The longest first wait after a failure, in milliseconds; it doubles with each failure.
    pub(crate) retry_first_ms: u64,
    /// The longest wait between two tries, in milliseconds.
    pub(crate) retry_most_ms: u64,
    /// So many failures of a message are enough.
    pub(crate) attempts_max: u32,
    /// A message is tried for so many seconds.
    pub(crate) give_up_after_s: u64,
    /// Of entries older than so many seconds nobody is told any more.
    pub(crate) stale_after_s: u64,
    /// How many days deliveries are kept.
    pub(crate) keep_days: u64,
}

impl Default for Notifications {
    fn default() -> Notifications {
        Notifications {
            enabled: true,
            templates: None,
            outbox: None,
            recipient_names: false,
            timeout_ms: 15_000,
            retry_first_ms: 2000,
            retry_most_ms: 3_600_000,
            attempts_max: 12,
            give_up_after_s: 86_400,
            stale_after_s: 259_200,
            keep_days: 90,
        }
    }
}

/// How connections to a mail server are encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SmtpTls {
    /// After a first exchange in clear; a server that cannot is not used.
    #[default]
    Starttls,
    /// From the first byte on.
    Tls,
    /// Not at all: for a server on the same machine.
    None,
}

/// Section `smtp`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Smtp {
    /// The mail server; without it there is no e-mail.
    pub(crate) host: Option<String>,
    /// Its port; 587, 465 or 25 by `tls`.
    pub(crate) port: Option<u16>,
    /// How connections are encrypted.
    pub(crate) tls: SmtpTls,
    /// Certificates in PEM that the server's one is checked with beside those of the machine.
    pub(crate) ca_file: Option<PathBuf>,
    /// Who the bank is to the server.
    pub(crate) user: Option<String>,
    /// A file with the password.
    pub(crate) password_file: Option<PathBuf>,
    /// Whom mails are from.
    pub(crate) from: Option<String>,
    /// Most messages a second.
    pub(crate) rate: Option<NonZeroU32>,
    /// Most connections.
    pub(crate) concurrency: usize,
}

impl Default for Smtp {
    fn default() -> Smtp {
        let (host, port, tls, ca_file, user, password_file, from, rate) = Default::default();
        Smtp { host, port, tls, ca_file, user, password_file, from, rate, concurrency: 16 }
    }
}

/// Section `twilio`: SMS and WhatsApp.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Twilio {
    /// Where its API is.
    pub(crate) url: String,
    /// The account.
    pub(crate) account_sid: Option<String>,
    /// A file with the account's token.
    pub(crate) auth_token_file: Option<PathBuf>,
    /// The number, or the messaging service, that SMS are from; without it there are none.
    pub(crate) sms_from: Option<String>,
    /// The number that WhatsApp messages are from; without it there are none.
    pub(crate) whatsapp_from: Option<String>,
    /// A template of WhatsApp with one variable, the text.
    pub(crate) whatsapp_content_sid: Option<String>,
    /// Most messages a second of each.
    pub(crate) rate: Option<NonZeroU32>,
    /// Most requests at a time of each.
    pub(crate) concurrency: usize,
}

impl Default for Twilio {
    fn default() -> Twilio {
        let (account_sid, auth_token_file, sms_from, whatsapp_from, whatsapp_content_sid, rate) = Default::default();
        Twilio {
            url: "https://api.twilio.com".into(),
            account_sid,
            auth_token_file,
            sms_from,
            whatsapp_from,
            whatsapp_content_sid,
            rate,
            concurrency: 32,
        }
    }
}

/// Section `fcm`: push messages to applications.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Fcm {
    /// Where its API is.
    pub(crate) url: String,
    /// The file of the service account; without it there are none.
    pub(crate) service_account_file: Option<PathBuf>,
    /// Most messages a second.
    pub(crate) rate: Option<NonZeroU32>,
    /// Most requests at a time.
    pub(crate) concurrency: usize,
}

impl Default for Fcm {
    fn default() -> Fcm {
        let (service_account_file, rate) = Default::default();
        Fcm { url: "https://fcm.googleapis.com".into(), service_account_file, rate, concurrency: 32 }
    }
}

/// Section `web_push`: push messages to browsers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WebPush {
    /// Where push services reach whoever runs the bank; without it there are none.
    pub(crate) subject: Option<String>,
    /// The file of the sender's key, made if it is not there; `web-push.key` in the data folder without it.
    pub(crate) key_file: Option<PathBuf>,
    /// Whether push services may be in networks that are not public.
    pub(crate) allow_private: bool,
    /// Most messages a second to each push service.
    pub(crate) rate: Option<NonZeroU32>,
    /// Most requests at a time.
    pub(crate) concurrency: usize,
}

impl Default for WebPush {
    fn default() -> WebPush {
        let (subject, key_file, allow_private, rate) = Default::default();
        WebPush { subject, key_file, allow_private, rate, concurrency: 32 }
    }
}

/// Section `webhooks`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Webhooks {
    /// Whether endpoints may be in networks that are not public, and without TLS.
    pub(crate) allow_private: bool,
    /// Most events a second to each endpoint.
    pub(crate) rate: Option<NonZeroU32>,
    /// Most requests at a time to each endpoint.
    pub(crate) concurrency: usize,
}

impl Default for Webhooks {
    fn default() -> Webhooks {
        Webhooks { allow_private: false, rate: None, concurrency: 16 }
    }
}

/// Whether a host is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}
