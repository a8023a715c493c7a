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

/// Longest name of a provider's for a message.
const PROVIDER_ID_BYTES_MAX: usize = 128;

impl Accepted {
    /// The provider took it and calls it so. What is no short name is not kept: providers choose what they answer.
    pub fn known_as(name: Option<&str>) -> Accepted {
        let is_name = |name: &&str| {
            !name.is_empty() && name.len() <= PROVIDER_ID_BYTES_MAX && name.bytes().all(|byte| byte.is_ascii_graphic())
        };
        Accepted { provider_id: name.filter(is_name).map(str::to_owned), is_put_aside: false }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_a_provider_answers_only_a_short_name_is_kept() {
        let longest = "a".repeat(PROVIDER_ID_BYTES_MAX);
        for name in ["SM0001", "projects/example/messages/0:1%2", longest.as_str()] {
            assert_eq!(Accepted::known_as(Some(name)).provider_id.as_deref(), Some(name));
        }
        for no_name in ["", "two words", "žluť", "a\nb", &format!("{longest}a")] {
            assert_eq!(Accepted::known_as(Some(no_name)).provider_id, None, "{no_name:?}");
        }
    }
}
