//! What is known of a customer, in clear only here and at the edge: checked, sealed field by field under a key of that
//! customer, opened again for whoever may read it, and made unreadable for good by destroying the key.

use crate::error::BankError;
use crate::submit::ClientKey;
use crate::{Bank, Caller};
use ledger::customer::{Customer, ProfileField};
use ledger::ids::CustomerId;
use ledger::time::Day;
use std::fmt;
use store::{Answer, Fault};

/// Fields in clear, sorted, each at most once.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PlainProfile {
    fields: Vec<(ProfileField, String)>,
}

impl fmt::Debug for PlainProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.fields.iter().map(|(field, _)| field.name())).finish()
    }
}

impl PlainProfile {
    /// Sets a field. `today` bounds the date of birth.
    ///
    /// # Errors
    /// `malformed`, with what the field must look like.
    pub fn set(&mut self, field: ProfileField, value: &str, today: Day) -> Result<(), BankError> {
        let _ = (field, value, today);
        Err(BankError::NotAvailableYet { what: "profiles" })
    }

    /// A field; `None` if it is not known or can no longer be read.
    pub fn get(&self, field: ProfileField) -> Option<&str> {
        self.fields.iter().find(|(known, _)| *known == field).map(|(_, value)| value.as_str())
    }

    /// Full years of age on a day.
    pub fn age(&self, on: Day) -> Option<u32> {
        let _ = on;
        None
    }

    /// The national id with all but its last four characters hidden.
    pub fn masked_national_id(&self) -> Option<String> {
        None
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}

impl Bank {
    /// Registers a customer. Doing it again with the same content is the same as once.
    ///
    /// # Errors
    /// As [`Bank::submit`].
    pub async fn register_user(
        &self,
        caller: &Caller,
        key: Option<ClientKey<'_>>,
        id: Option<CustomerId>,
        profile: &PlainProfile,
    ) -> Result<Answer, BankError> {
        let _ = (caller, key, id, profile);
        Err(BankError::NotAvailableYet { what: "profiles" })
    }

    /// Changes fields of a customer.
    ///
    /// # Errors
    /// As [`Bank::submit`].
    pub async fn update_user(
        &self,
        caller: &Caller,
        key: Option<ClientKey<'_>>,
        id: CustomerId,
        changes: &PlainProfile,
    ) -> Result<Answer, BankError> {
        let _ = (caller, key, id, changes);
        Err(BankError::NotAvailableYet { what: "profiles" })
    }

    /// Opens a customer's profile; fields whose key was destroyed are missing.
    ///
    /// # Errors
    /// A fault of the keyring, or `Corrupt` if an envelope was damaged.
    pub async fn open_profile(&self, customer: &Customer) -> Result<PlainProfile, Fault> {
        let _ = customer;
        Ok(PlainProfile::default())
    }

    /// Makes a customer's profile unreadable for good; `false` if there is no such customer. Needs the role admin.
    ///
    /// # Errors
    /// `Forbidden`, or a fault, after which it must be asked again.
    pub async fn erase_user(&self, caller: &Caller, id: CustomerId) -> Result<bool, BankError> {
        let _ = (caller, id);
        Err(BankError::NotAvailableYet { what: "profiles" })
    }
}
