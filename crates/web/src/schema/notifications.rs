//! The shapes of what is said of messages: preferences, devices, webhooks, deliveries.

use super::{Amount, Id, Money};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// By which ways a customer wants messages.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MessageChannel {
    Email,
    Sms,
    Whatsapp,
    Push,
}

/// What messages are about.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MessageKind {
    Deposit,
    Withdrawal,
    TransferPending,
    TransferCompleted,
    TransferFailed,
    TransferReceived,
    HoldPlaced,
    HoldCaptured,
    HoldVoided,
    HoldExpired,
    Interest,
    Fee,
    Reversal,
    StatementReady,
    StandingOrderRefused,
    LowBalance,
    Security,
}

/// Where a delivery stands.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DeliveryStatus {
    Waiting,
    Sent,
    Outbox,
    Failed,
    Dropped,
    Discarded,
}

/// Hours in which nothing but security notices is sent.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct QuietHours {
    #[schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$", example = "22:00")]
    pub(crate) from: String,
    #[schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$", example = "07:00")]
    pub(crate) until: String,
    /// A zone of the IANA's.
    #[schema(example = "Europe/Prague")]
    pub(crate) time_zone: String,
}

/// What a customer wants, in place of what was wanted before; what is not named is as for who never said anything.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPreferences {
    /// By which ways; e-mail and push without it.
    channels: Option<Vec<MessageChannel>>,
    /// Of what; of everything without it.
    kinds: Option<Vec<MessageKind>>,
    /// From which amount on, by currency.
    minimum_amounts: Option<BTreeMap<String, Amount>>,
    /// Below which balance to warn, by currency.
    low_balance: Option<BTreeMap<String, Amount>>,
    quiet_hours: Option<QuietHours>,
}

/// What a customer wants.
#[derive(Serialize, ToSchema)]
pub(crate) struct Preferences {
    #[schema(value_type = Id)]
    pub(crate) user_id: String,
    #[schema(value_type = Vec<MessageChannel>)]
    pub(crate) channels: Vec<&'static str>,
    /// `null` is everything.
    #[schema(value_type = Option<Vec<MessageKind>>)]
    pub(crate) kinds: Option<Vec<&'static str>>,
    #[schema(value_type = BTreeMap<String, Money>)]
    pub(crate) minimum_amounts: BTreeMap<String, String>,
    #[schema(value_type = BTreeMap<String, Money>)]
    pub(crate) low_balance: BTreeMap<String, String>,
    pub(crate) quiet_hours: Option<QuietHours>,
}

/// A device for push messages: an application's token, or a browser's subscription.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewDevice {
    /// A token of Firebase Cloud Messaging.
    fcm_token: Option<String>,
    /// What a browser's `PushSubscription.toJSON()` gives.
    web_push: Option<WebPushSubscription>,
}

/// A browser's subscription.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebPushSubscription {
    #[schema(format = "uri")]
    endpoint: String,
    /// Is not looked at.
    #[serde(rename = "expirationTime")]
    expiration_time: Option<u64>,
    keys: WebPushKeys,
}

/// A subscription's keys, in base64url.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebPushKeys {
    p256dh: String,
    auth: String,
}

/// A device, without its token.
#[derive(Serialize, ToSchema)]
pub(crate) struct Device {
    pub(crate) device_id: String,
    /// `fcm` or `web_push`.
    pub(crate) channel: &'static str,
    #[schema(format = DateTime)]
    pub(crate) created_at: String,
}

/// A customer's devices.
#[derive(Serialize, ToSchema)]
pub(crate) struct Devices {
    pub(crate) items: Vec<Device>,
    /// What browsers are given as `applicationServerKey` when they subscribe; `null` where Web Push is not configured.
    pub(crate) web_push_key: Option<String>,
}

/// An endpoint that is to be told of events.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewWebhook {
    #[schema(format = "uri", example = "https://bank.example/hooks")]
    url: String,
    /// Of what; of everything without it.
    kinds: Option<Vec<MessageKind>>,
}

/// An endpoint of webhooks.
#[derive(Serialize, ToSchema)]
pub(crate) struct Webhook {
    pub(crate) webhook_id: String,
    #[schema(format = "uri")]
    pub(crate) url: String,
    /// `null` is everything.
    #[schema(value_type = Option<Vec<MessageKind>>)]
    pub(crate) kinds: Option<Vec<&'static str>>,
    /// Not after it answered 410.
    pub(crate) enabled: bool,
    /// How many secrets sign now: for a day after one was replaced, both do.
    pub(crate) secrets: usize,
    #[schema(format = DateTime)]
    pub(crate) created_at: String,
    /// Only in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<String>,
}

/// The endpoints of webhooks.
#[derive(Serialize, ToSchema)]
pub(crate) struct Webhooks {
    pub(crate) items: Vec<Webhook>,
}

/// A message on its way, and where it stands.
#[derive(Serialize, ToSchema)]
pub(crate) struct Delivery {
    /// The same for every attempt; providers that take one are given it.
    pub(crate) delivery_id: String,
    #[schema(value_type = Id)]
    pub(crate) user_id: String,
    /// `email`, `sms`, `whatsapp`, `fcm`, `web_push` or `webhook`.
    pub(crate) channel: &'static str,
    pub(crate) webhook_id: Option<String>,
    pub(crate) device_id: Option<String>,
    #[schema(value_type = MessageKind)]
    pub(crate) kind: &'static str,
    #[schema(value_type = DeliveryStatus)]
    pub(crate) status: &'static str,
    /// How often it was tried.
    pub(crate) attempts: u32,
    /// Why it was not sent, in a stable word.
    pub(crate) code: Option<String>,
    /// What the provider calls it.
    pub(crate) provider_id: Option<String>,
    /// The delivery it goes on from.
    pub(crate) follows: Option<String>,
    /// Why somebody discarded it.
    pub(crate) reason: Option<String>,
    /// The shard and entry of the journal it comes from; `null` for what is in none.
    pub(crate) journal: Option<String>,
    #[schema(format = DateTime)]
    pub(crate) booked_at: String,
    /// From when on it is sent next, while it waits.
    #[schema(format = DateTime)]
    pub(crate) due_at: Option<String>,
    /// When it came to where it stands.
    #[schema(format = DateTime)]
    pub(crate) changed_at: String,
    /// What it tells.
    pub(crate) data: serde_json::Value,
}

/// A page of deliveries, the newest first. It may be short, or empty, and not be the last.
#[derive(Serialize, ToSchema)]
pub(crate) struct Deliveries {
    pub(crate) items: Vec<Delivery>,
    /// `null` on the last page.
    pub(crate) next_cursor: Option<String>,
}

/// Which deliveries.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeliveryFilter {
    /// Only those that stand here.
    #[param(inline)]
    status: Option<DeliveryStatus>,
}
