//! Notifications: what customers and other systems are told of what happened.
//!
//! Each [`Subscriber`], a channel or an endpoint of webhooks, follows the journal of each shard by
//! itself. What an entry causes, and how far the subscriber has read, become durable with one change of records; sending
//! begins after that. So nothing here is waited for by anybody who moves money, a crash loses no message, and what is sent
//! again has the same id.

pub mod backlog;
pub mod delivery;
pub mod desk;
pub mod device;
pub mod endpoint;
pub mod follower;
pub mod gate;
pub mod kind;
pub mod message;
mod notice;
pub mod outgoing;
pub mod preference;
mod recipient;
pub mod sender;
pub mod text;
mod tidy;

use crate::Bank;
use crate::ports::{PutAside, RecordChange, Records};
use delivery::{ROOT, Subscriber};
use kind::Channel;
use ledger::ids::CustomerId;
use preference::Preference;
use recipient::Recipients;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use store::Fault;
use text::Texts;
pub use tidy::Tidied;

/// How messages are tried again, and when they are given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The channels that are followed.
    pub channels: Vec<Channel>,
    /// The longest first wait after a failure, in microseconds; it doubles with each failure. The wait is drawn from zero
    /// to it.
    pub retry_first_us: u64,
    /// The longest wait between two tries, in microseconds.
    pub retry_most_us: u64,
    /// So many failures of a message are enough.
    pub attempts_max: u32,
    /// A message is tried for so long, in microseconds.
    pub give_up_after_us: u64,
    /// Of entries older than this, in microseconds, nobody is told any more.
    pub stale_after_us: u64,
    /// Deliveries are kept for so long, in microseconds.
    pub keep_us: u64,
    /// Whether customers see the names of whom they pay, rather than account numbers.
    pub recipient_names: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        const HOUR_US: u64 = 3_600_000_000;
        Settings {
            channels: vec![Channel::Email, Channel::Sms, Channel::Whatsapp, Channel::Fcm, Channel::WebPush],
            retry_first_us: 2_000_000,
            retry_most_us: HOUR_US,
            attempts_max: 12,
            give_up_after_us: 24 * HOUR_US,
            stale_after_us: 72 * HOUR_US,
            keep_us: 90 * 24 * HOUR_US,
            recipient_names: false,
        }
    }
}

/// See the module. Cheap to share behind an `Arc`.
pub struct Notifications {
    pub(crate) bank: Arc<Bank>,
    pub(crate) records: Arc<dyn Records>,
    pub(crate) texts: Texts,
    pub(crate) settings: Settings,
    pub(crate) device_secret: [u8; 32],
    put_aside: Option<Arc<dyn PutAside>>,
    recipients: Recipients,
    /// Counts changes of endpoints, for whoever looks after what follows for them.
    endpoint_changes: AtomicU64,
}

impl fmt::Debug for Notifications {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notifications").field("settings", &self.settings).finish_non_exhaustive()
    }
}

pub(crate) fn preference_key(customer: CustomerId) -> String {
    format!("{ROOT}preference/{:016x}", customer.number())
}

impl Notifications {
    /// Notifications of this bank, kept in these records.
    pub fn new(bank: Arc<Bank>, records: Arc<dyn Records>, texts: Texts, settings: Settings) -> Notifications {
        let device_secret = bank.derived_secret("florin v1 ids of devices");
        let (recipients, endpoint_changes) = Default::default();
        let put_aside = None;
        Notifications { bank, records, texts, settings, device_secret, put_aside, recipients, endpoint_changes }
    }

    /// The same, which also removes messages of whoever is erased from where they were put aside.
    pub fn putting_aside(self, put_aside: Arc<dyn PutAside>) -> Notifications {
        Notifications { put_aside: Some(put_aside), ..self }
    }

    /// The bank.
    pub fn bank(&self) -> &Arc<Bank> {
        &self.bank
    }

    /// What was set.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Everybody who follows the journal now.
    ///
    /// # Errors
    /// A fault of the records.
    pub async fn subscribers(&self) -> Result<Vec<Subscriber>, Fault> {
        let channels = self.settings.channels.iter().map(|channel| Subscriber::channel(*channel));
        let endpoints = self.endpoints().await?;
        let enabled = endpoints.iter().filter(|endpoint| endpoint.is_enabled);
        Ok(channels.chain(enabled.map(|endpoint| Subscriber::endpoint(&endpoint.id))).collect())
    }

    /// Everybody who follows the journal now, or may again: endpoints that are off among them.
    ///
    /// # Errors
    /// A fault of the records.
    pub async fn everybody(&self) -> Result<Vec<Subscriber>, Fault> {
        let channels = self.settings.channels.iter().map(|channel| Subscriber::channel(*channel));
        let endpoints = self.endpoints().await?;
        Ok(channels.chain(endpoints.iter().map(|endpoint| Subscriber::endpoint(&endpoint.id))).collect())
    }

    /// What a customer wants.
    ///
    /// # Errors
    /// A fault of the records.
    pub async fn preference(&self, customer: CustomerId) -> Result<Preference, Fault> {
        Ok(crate::records::read(self.records.as_ref(), &preference_key(customer)).await?.unwrap_or_default())
    }

    /// Keeps what a customer wants, in place of what was wanted before.
    ///
    /// # Errors
    /// A fault of the records, after which it must be asked again.
    pub async fn set_preference(&self, customer: CustomerId, preference: &Preference) -> Result<(), Fault> {
        let before = self.preference(customer).await?;
        self.records.change(vec![RecordChange::put(preference_key(customer), preference)?]).await?;
        self.forget_recipient(customer);
        match before.quiet_hours == preference.quiet_hours {
            true => Ok(()),
            false => self.hold_anew(customer, preference).await,
        }
    }

    fn endpoints_changed(&self) {
        self.forget_endpoints();
        self.endpoint_changes.fetch_add(1, Ordering::Relaxed);
    }

    /// How often endpoints changed on this node.
    pub fn endpoint_changes(&self) -> u64 {
        self.endpoint_changes.load(Ordering::Relaxed)
    }
}
