//! What a provider is given, and what it answers.

use super::kind::Kind;
use ledger::time::Timestamp;
use std::fmt;

/// Where a message goes. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub enum Address {
    /// An e-mail address.
    Email(String),
    /// A telephone number as the customer wrote it, with its country.
    Phone(String),
    /// A token of Firebase Cloud Messaging.
    Fcm(String),
    /// A subscription of a browser.
    WebPush(PushSubscription),
    /// An endpoint of webhooks with the secrets that sign, the newest first.
    Webhook {
        /// Where.
        url: String,
        /// What signs.
        secrets: Vec<Vec<u8>>,
    },
}

/// What a browser gives whoever may send it push messages: RFC 8030 and 8291.
#[derive(Clone, PartialEq, Eq)]
pub struct PushSubscription {
    /// Where the browser's push service takes messages for it.
    pub endpoint: String,
    /// The browser's public key, an uncompressed point of P-256.
    pub p256dh: Vec<u8>,
    /// The secret of the subscription, 16 bytes.
    pub auth: Vec<u8>,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address(…)")
    }
}

impl fmt::Debug for PushSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PushSubscription(…)")
    }
}

/// A message ready to be sent. Sent again, it has the same id.
#[derive(Clone)]
pub struct Outgoing {
    /// The id of its delivery.
    pub id: String,
    /// The id of the delivery that it goes on from.
    pub follows: Option<String>,
    /// Where it goes.
    pub to: Address,
    /// What it is about.
    pub kind: Kind,
    /// The language of its texts, such as `cs`.
    pub language: &'static str,
    /// One line.
    pub subject: String,
    /// The text, plain.
    pub text: String,
    /// What there is to tell, as JSON: for programs.
    pub data: String,
    /// When the entry was booked.
    pub booked_at: Timestamp,
    /// The time now.
    pub now: Timestamp,
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").field("id", &self.id).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// What a provider said yes with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// What it calls the message.
    pub provider_id: Option<String>,
    /// Whether the message was only put aside, and nobody was sent anything.
    pub is_put_aside: bool,
}

/// Why a message was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendFailure {
    /// Try again later. What became of this attempt may be unknown.
    Later {
        /// A stable word, such as `timeout` or `http_503`; nothing personal.
        code: String,
        /// Whether the provider failed, rather than this message alone.
        is_providers: bool,
    },
    /// The provider asks to be left alone for a while.
    SlowDown {
        /// A stable word.
        code: String,
        /// For how long, in microseconds, if it said so.
        after_us: Option<u64>,
    },
    /// It never will be.
    Never {
        /// A stable word.
        code: String,
        /// Whether the device or endpoint is gone for good, so that nothing need be sent there again.
        is_gone: bool,
    },
}

impl SendFailure {
    /// The message alone failed, and may succeed later.
    pub fn later(code: impl Into<String>) -> SendFailure {
        SendFailure::Later { code: code.into(), is_providers: false }
    }

    /// The provider failed.
    pub fn of_provider(code: impl Into<String>) -> SendFailure {
        SendFailure::Later { code: code.into(), is_providers: true }
    }

    /// The message never can be sent.
    pub fn never(code: impl Into<String>) -> SendFailure {
        SendFailure::Never { code: code.into(), is_gone: false }
    }

    /// Its stable word.
    pub fn code(&self) -> &str {
        match self {
            SendFailure::Later { code, .. } | SendFailure::SlowDown { code, .. } | SendFailure::Never { code, .. } => {
                code
            }
        }
    }
}
