//! Devices that customers get push messages on. Tokens and subscriptions are sealed as profiles are: destroying the
//! customer's key makes them unreadable.

use super::Notifications;
use super::delivery::{ROOT, of_prefix};
use super::kind::Channel;
use super::outgoing::{Address, PushSubscription};
use crate::Caller;
use crate::error::BankError;
use crate::ports::{Expected, RecordChange};
use crate::records::parsed;
use crate::sealing;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ledger::customer::Customer;
use ledger::ids::CustomerId;
use ledger::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::Fault;

/// Most devices of one customer.
pub const DEVICES_MAX: usize = 20;
/// Longest token or endpoint in bytes.
pub const TOKEN_BYTES_MAX: usize = 4096;
const PURPOSE: &str = "device";
/// Bytes of a point of P-256 that is not compressed, and of a subscription's secret.
const POINT_BYTES: usize = 65;
const SECRET_BYTES: usize = 16;

/// A device, without what is personal about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its id: the same for the same token.
    pub id: String,
    /// The way to it.
    pub channel: Channel,
    /// When it was registered.
    pub created_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    channel: Channel,
    sealed: String,
    created_us: u64,
}

#[derive(Serialize, Deserialize)]
struct Content {
    address: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    p256dh: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    auth: String,
}

impl PushSubscription {
    /// A subscription as a browser writes it; `None` where the keys are none.
    pub fn new(endpoint: &str, p256dh: &str, auth: &str) -> Option<PushSubscription> {
        let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok();
        let (p256dh, auth) = (bytes(p256dh)?, bytes(auth)?);
        let is_whole = p256dh.len() == POINT_BYTES && p256dh[0] == 4 && auth.len() == SECRET_BYTES;
        is_whole.then(|| PushSubscription { endpoint: endpoint.to_owned(), p256dh, auth })
    }
}

impl Content {
    fn of(address: &Address) -> Option<Content> {
        let (address, p256dh, auth) = match address {
            Address::Fcm(token) => (token.clone(), String::new(), String::new()),
            Address::WebPush(subscription) => {
                let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
                (subscription.endpoint.clone(), text(&subscription.p256dh), text(&subscription.auth))
            }
            Address::Email(_) | Address::Phone(_) | Address::Webhook { .. } => return None,
        };
        Some(Content { address, p256dh, auth })
    }

    fn address(self, channel: Channel) -> Option<Address> {
        match channel {
            Channel::Fcm => Some(Address::Fcm(self.address)),
            Channel::WebPush => PushSubscription::new(&self.address, &self.p256dh, &self.auth).map(Address::WebPush),
            _ => None,
        }
    }
}

/// What became of a device that was to be registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is registered.
    Yes(Device),
    /// It is not.
    No(NotAdded),
}

/// Why a device is not registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAdded {
    /// The customer has as many as one may have.
    Full,
    /// The customer was erased.
    Erased,
    /// What was given is the address of no device.
    NoDevice,
}

/// Counts devices that were ever added.
fn added_key(customer: CustomerId) -> String {
    format!("{ROOT}devices_added/{:016x}", customer.number())
}

fn device_prefix(customer: CustomerId) -> String {
    format!("{ROOT}device/{:016x}/", customer.number())
}

fn device_key(customer: CustomerId, id: &str) -> String {
    format!("{}{id}", device_prefix(customer))
}

/// Whose a device is.
fn owner_key(id: &str) -> String {
    format!("{ROOT}device_owner/{id}")
}

impl Notifications {
    /// Registers a device of a customer, or finds it registered. It is whose it was registered for last: whoever it was before is
    /// told nothing on it any more.
    ///
    /// # Errors
    /// A fault of the records, the shard or the keyring.
    pub async fn add_device(&self, customer: &Customer, address: &Address) -> Result<Added, Fault> {
        let channel = if matches!(address, Address::Fcm(_)) { Channel::Fcm } else { Channel::WebPush };
        let Some(content) = Content::of(address) else { return Ok(Added::No(NotAdded::NoDevice)) };
        let is_erased = !customer.profile.is_empty() && self.bank.open_profile(customer).await?.is_empty();
        if is_erased {
            return Ok(Added::No(NotAdded::Erased));
        }
        let id = self.device_id(&content);
        let plain =
            serde_json::to_vec(&content).map_err(|error| Fault::Corrupt { detail: format!("a device: {error}") })?;
        let sealer = self.bank.sealer_of(customer).await?;
        let sealed = STANDARD.encode(sealer.seal(self.bank.env().as_ref(), PURPOSE, &plain));
        let created_at = self.bank.now();
        let kept = Kept { channel, sealed, created_us: created_at.microseconds() };
        loop {
            // Of two that are added at once, the second counts again.
            let added = self.records.get(&added_key(customer.id)).await?;
            let owned = self.records.get(&owner_key(&id)).await?;
            let owner: Option<u64> = owned.as_deref().map(|bytes| parsed(&owner_key(&id), bytes)).transpose()?;
            let known = self.devices(customer.id).await?;
            let device = known.iter().find(|device| device.id == id);
            if let Some(device) = device
                && owner == Some(customer.id.number())
            {
                return Ok(Added::Yes(device.clone()));
            }
            if device.is_none() && DEVICES_MAX <= known.len() {
                return Ok(Added::No(NotAdded::Full));
            }
            let count: u64 = added.as_deref().map_or(Ok(0), |bytes| parsed(&added_key(customer.id), bytes))?;
            let is_as_found = added.map_or(Expected::Absent, Expected::Exactly);
            let is_owned_as_found = owned.map_or(Expected::Absent, Expected::Exactly);
            let owned = RecordChange::put(owner_key(&id), &customer.id.number())?.expecting(is_owned_as_found);
            let counted = RecordChange::put(added_key(customer.id), &(count + 1))?.expecting(is_as_found);
            let mut changes = vec![RecordChange::put(device_key(customer.id, &id), &kept)?, counted, owned];
            let former = owner.and_then(CustomerId::new).filter(|former| *former != customer.id);
            changes.extend(former.map(|former| RecordChange::remove(device_key(former, &id))));
            if self.records.change(changes).await? {
                [Some(customer.id), former].into_iter().flatten().for_each(|customer| self.forget_recipient(customer));
                return Ok(Added::Yes(Device { id, channel, created_at }));
            }
        }
    }

    fn device_id(&self, content: &Content) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.device_secret);
        hasher.update(content.address.as_bytes());
        hasher.finalize().to_hex()[..16].to_owned()
    }

    /// The devices of a customer, by id.
    ///
    /// # Errors
    /// A fault of the records.
    pub async fn devices(&self, customer: CustomerId) -> Result<Vec<Device>, Fault> {
        let prefix = device_prefix(customer);
        let found = self.records.list(&prefix, None, DEVICES_MAX * 2).await?;
        let device = |(key, value): &(String, Vec<u8>)| {
            let kept: Kept = parsed(key, value)?;
            let created_at = Timestamp::from_microseconds(kept.created_us).unwrap_or(Timestamp::ZERO);
            Ok(Device { id: key[prefix.len()..].to_owned(), channel: kept.channel, created_at })
        };
        found.iter().map(device).collect()
    }

    /// Forgets a device; of one that is not there it is no fault.
    ///
    /// # Errors
    /// A fault of the records.
    pub async fn remove_device(&self, customer: CustomerId, id: &str) -> Result<(), Fault> {
        let mut changes = vec![RecordChange::remove(device_key(customer, id))];
        changes.extend(self.owned_no_more(customer, id).await?);
        // Where it became another's meanwhile, it is not among this customer's either.
        self.records.change(changes).await?;
        self.forget_recipient(customer);
        Ok(())
    }

    /// What forgets whose a device is, if it is this customer's.
    async fn owned_no_more(&self, customer: CustomerId, id: &str) -> Result<Option<RecordChange>, Fault> {
        let key = owner_key(id);
        let Some(bytes) = self.records.get(&key).await? else { return Ok(None) };
        let is_owner = parsed::<u64>(&key, &bytes)? == customer.number();
        Ok(is_owner.then(|| RecordChange::remove(key).expecting(Expected::Exactly(bytes))))
    }

    /// Where messages for a device go; `None` if it is gone, or the customer's key was destroyed.
    pub(crate) async fn device_address(&self, customer: CustomerId, id: &str) -> Result<Option<Address>, Fault> {
        let key = device_key(customer, id);
        let Some(bytes) = self.records.get(&key).await? else { return Ok(None) };
        let kept: Kept = parsed(&key, &bytes)?;
        let damaged = || Fault::Corrupt { detail: format!("the record {key} cannot be opened") };
        let sealed = STANDARD.decode(&kept.sealed).map_err(|_| damaged())?;
        sealing::key_of(&sealed).ok_or_else(damaged)?;
        let Some(plain) = self.bank.open_sealed(&sealed, PURPOSE).await? else { return Ok(None) };
        let content: Content = serde_json::from_slice(&plain).map_err(|_| damaged())?;
        content.address(kept.channel).map(Some).ok_or_else(damaged)
    }

    /// Erases a customer: the profile, the devices, and messages that were put aside; `false` if there is no such customer.
    /// What the customer chose and deliveries stay: they hold nothing personal. Needs the role admin.
    ///
    /// # Errors
    /// `Forbidden`, or a fault, after which it must be asked again.
    pub async fn erase_user(&self, caller: &Caller, customer: CustomerId) -> Result<bool, BankError> {
        let was_there = self.bank.erase_user(caller, customer).await?;
        self.forget_devices(customer).await?;
        self.forget_put_aside(customer).await?;
        Ok(was_there)
    }

    async fn forget_devices(&self, customer: CustomerId) -> Result<(), Fault> {
        let mut changes = vec![RecordChange::remove(added_key(customer))];
        for (key, bytes) in self.records.list(&device_prefix(customer), None, DEVICES_MAX * 2).await? {
            let kept: Kept = parsed(&key, &bytes)?;
            let sealed = STANDARD.decode(&kept.sealed).unwrap_or_default();
            if let Some(id) = sealing::key_of(&sealed) {
                self.bank.destroy_key(id).await?;
            }
            let device = &key[device_prefix(customer).len()..];
            if let Some(owned) = self.owned_no_more(customer, device).await?
                && !self.records.change(vec![owned]).await?
            {
                continue; // it is another's by now, and no more among these
            }
            changes.push(RecordChange::remove(key));
        }
        self.records.change(changes).await?;
        self.forget_recipient(customer);
        Ok(())
    }

    async fn forget_put_aside(&self, customer: CustomerId) -> Result<(), Fault> {
        const PAGE: usize = 1000;
        let Some(put_aside) = &self.put_aside else { return Ok(()) };
        let prefix = of_prefix(customer.number());
        let mut after: Option<String> = None;
        loop {
            let page = self.records.list(&prefix, after.as_deref(), PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            // Whatever their state: one may be written whose answer was lost.
            put_aside.remove(page.iter().map(|(key, _)| key[prefix.len()..].to_owned()).collect()).await?;
        }
    }
}
