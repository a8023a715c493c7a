//! Who an account belongs to, and what is known of how to reach them: remembered for a moment, since a busy customer has
//! many messages. Addresses themselves are never remembered.

use super::Notifications;
use super::device::Device;
use super::kind::Kind;
use super::preference::Preference;
use ledger::customer::ProfileField;
use ledger::ids::{AccountId, CustomerId};
use ledger::time::Timestamp;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use store::Fault;

/// Another node's change of a preference counts here after so long at the latest.
const FRESH_US: u64 = 1_000_000;
/// Most accounts and customers remembered; then all are forgotten, which costs reads.
const OWNERS_MAX: usize = 200_000;
const RECIPIENTS_MAX: usize = 50_000;

/// What is known of a customer as somebody to be told something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recipient {
    pub(crate) has_email: bool,
    pub(crate) has_phone: bool,
    pub(crate) preference: Preference,
    pub(crate) devices: Vec<Device>,
}

/// The kinds that an endpoint is told of; all where there are none.
type Kinds = Option<Vec<Kind>>;

#[derive(Debug, Default)]
pub(crate) struct Recipients {
    owners: Mutex<HashMap<AccountId, CustomerId>>,
    known: Mutex<HashMap<CustomerId, (Timestamp, Arc<Recipient>)>>,
    /// What endpoints are told.
    kinds: Mutex<HashMap<String, (Timestamp, Kinds)>>,
}

impl Notifications {
    /// The customer an account belongs to; that never changes.
    pub(crate) async fn owner(&self, account: AccountId) -> Result<Option<CustomerId>, Fault> {
        let known = self.recipients.owners.lock().unwrap_or_else(PoisonError::into_inner).get(&account).copied();
        if known.is_some() {
            return Ok(known);
        }
        let Some(customer) = self.bank.account(account).await?.and_then(|account| account.customer) else {
            return Ok(None);
        };
        let mut owners = self.recipients.owners.lock().unwrap_or_else(PoisonError::into_inner);
        if OWNERS_MAX <= owners.len() {
            owners.clear();
        }
        owners.insert(account, customer);
        Ok(Some(customer))
    }

    /// How a customer can be reached; `None` if there is no such customer.
    pub(crate) async fn recipient(&self, customer: CustomerId) -> Result<Option<Arc<Recipient>>, Fault> {
        let now = self.bank.now();
        let is_fresh = |at: Timestamp| now.microseconds().saturating_sub(at.microseconds()) < FRESH_US;
        let known = self.recipients.known.lock().unwrap_or_else(PoisonError::into_inner).get(&customer).cloned();
        if let Some((_, recipient)) = known.filter(|(at, _)| is_fresh(*at)) {
            return Ok(Some(recipient));
        }
        let Some(row) = self.bank.user(customer).await? else { return Ok(None) };
        let recipient = Arc::new(Recipient {
            has_email: row.field(ProfileField::Email).is_some(),
            has_phone: row.field(ProfileField::Phone).is_some(),
            preference: self.preference(customer).await?,
            devices: self.devices(customer).await?,
        });
        let mut known = self.recipients.known.lock().unwrap_or_else(PoisonError::into_inner);
        if RECIPIENTS_MAX <= known.len() {
            known.clear();
        }
        known.insert(customer, (now, recipient.clone()));
        Ok(Some(recipient))
    }

    /// Has what is known of a customer looked up anew.
    pub(crate) fn forget_recipient(&self, customer: CustomerId) {
        self.recipients.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&customer);
    }

    /// The kinds that an endpoint is told of, and whether it is there at all.
    pub(crate) async fn remembered_endpoint(&self, id: &str) -> Result<Option<Kinds>, Fault> {
        let now = self.bank.now();
        let is_fresh = |at: Timestamp| now.microseconds().saturating_sub(at.microseconds()) < FRESH_US;
        let known = self.recipients.kinds.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        if let Some((_, kinds)) = known.filter(|(at, _)| is_fresh(*at)) {
            return Ok(Some(kinds));
        }
        let Some(endpoint) = self.endpoint(id).await?.filter(|endpoint| endpoint.is_enabled) else { return Ok(None) };
        let mut known = self.recipients.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(id.to_owned(), (now, endpoint.kinds.clone()));
        Ok(Some(endpoint.kinds))
    }

    /// Has what endpoints are told looked up anew.
    pub(crate) fn forget_endpoints(&self) {
        self.recipients.kinds.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
