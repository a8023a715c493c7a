//! Customers. What is personal about them is sealed before it comes here: the rule book moves closed envelopes.

use crate::ids::CustomerId;
use crate::time::Timestamp;

/// Bytes that only the keyring can open.
pub type Sealed = Box<[u8]>;

/// One thing known about a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProfileField {
    /// What the customer is called.
    Name,
    /// `YYYY-MM-DD`.
    DateOfBirth,
    /// A number of the state's.
    NationalId,
    /// An e-mail address.
    Email,
    /// A telephone number.
    Phone,
    /// Language and country, such as `cs-CZ`.
    Locale,
}

impl ProfileField {
    /// Every field, in the order of its number in files.
    pub const ALL: [ProfileField; 6] = [
        ProfileField::Name,
        ProfileField::DateOfBirth,
        ProfileField::NationalId,
        ProfileField::Email,
        ProfileField::Phone,
        ProfileField::Locale,
    ];

    /// The word for it on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            ProfileField::Name => "name",
            ProfileField::DateOfBirth => "date_of_birth",
            ProfileField::NationalId => "national_id",
            ProfileField::Email => "email",
            ProfileField::Phone => "phone",
            ProfileField::Locale => "locale",
        }
    }
}

/// Sealed fields, sorted by field, each at most once.
pub type Profile = Vec<(ProfileField, Sealed)>;

/// A customer as it stands, or as it stood when an entry was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customer {
    /// Its id.
    pub id: CustomerId,
    /// What is known, sealed.
    pub profile: Profile,
    /// Keyed digest of the registration, by which a repeated one is known without opening the profile.
    pub registered_as: u128,
    /// When it was registered.
    pub created_at: Timestamp,
    /// Count of its changes.
    pub revision: u64,
}

impl Customer {
    /// The sealed value of a field.
    pub fn field(&self, field: ProfileField) -> Option<&Sealed> {
        self.profile.iter().find(|(known, _)| *known == field).map(|(_, sealed)| sealed)
    }

    /// The profile with these fields in place of what it had.
    pub fn updated_profile(&self, changes: &Profile) -> Profile {
        let kept = self.profile.iter().filter(|(field, _)| changes.iter().all(|(changed, _)| changed != field));
        let mut profile: Profile = kept.chain(changes).cloned().collect();
        profile.sort_by_key(|(field, _)| *field);
        profile
    }
}
