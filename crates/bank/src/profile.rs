//! What is known of a customer, in clear only here and at the edge: checked, sealed field by field under a key of that
//! customer, opened again for whoever may read it, and made unreadable for good by destroying the key.

use crate::error::BankError;
use crate::sealing::{self, Sealer};
use crate::submit::{ClientKey, allow};
use crate::{Bank, Caller};
use ledger::command::{Command, RegisterCustomer, UpdateCustomer};
use ledger::customer::{Customer, Profile, ProfileField};
use ledger::ids::CustomerId;
use ledger::time::Day;
use ledger::token::Role;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use store::{Answer, Fault};

/// Most characters of a name.
pub const NAME_CHARACTERS_MAX: usize = 200;
/// Most characters of a national id.
pub const NATIONAL_ID_CHARACTERS_MAX: usize = 64;
/// Most bytes of an e-mail address, which is what SMTP can deliver to.
pub const EMAIL_BYTES_MAX: usize = 254;
/// Most characters of a telephone number: 15 digits of E.164 with generous punctuation.
pub const PHONE_CHARACTERS_MAX: usize = 40;
/// Most characters of a locale, which is what BCP 47 recommends to have room for.
pub const LOCALE_CHARACTERS_MAX: usize = 35;
/// How many characters of a national id are shown at most.
const NATIONAL_ID_SHOWN: usize = 4;

/// Fields in clear, sorted, each at most once.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PlainProfile {
    fields: BTreeMap<ProfileField, String>,
}

impl fmt::Debug for PlainProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.fields.keys().map(|field| field.name())).finish()
    }
}

impl PlainProfile {
    /// Sets a field. `today` bounds the date of birth.
    ///
    /// # Errors
    /// `malformed`, with what the field must look like and without what it was.
    pub fn set(&mut self, field: ProfileField, value: &str, today: Day) -> Result<(), BankError> {
        let (is_fine, must) = match field {
            ProfileField::Name => (is_text(value, NAME_CHARACTERS_MAX), "1 to 200 characters without line breaks"),
            ProfileField::DateOfBirth => {
                let birth: Option<Day> = value.parse().ok();
                (birth.is_some_and(|birth| birth <= today), "a date such as 1980-02-29, not in the future")
            }
            ProfileField::NationalId => {
                (is_text(value, NATIONAL_ID_CHARACTERS_MAX), "1 to 64 characters without line breaks")
            }
            ProfileField::Email => (is_email(value), "an address such as name@example.org, at most 254 bytes"),
            ProfileField::Phone => (is_phone(value), "a number such as +420 123 456 789, at most 40 characters"),
            ProfileField::Locale => (is_locale(value), "a language tag such as cs-CZ, at most 35 characters"),
        };
        if !is_fine {
            return Err(BankError::Malformed {
                code: "malformed",
                detail: format!("`{}` must be {must}", field.name()),
            });
        }
        self.fields.insert(field, value.to_string());
        Ok(())
    }

    /// A field; `None` if it is not known or can no longer be read.
    pub fn get(&self, field: ProfileField) -> Option<&str> {
        self.fields.get(&field).map(String::as_str)
    }

    /// Full years of age on a day; `None` without a date of birth, or before it.
    pub fn age(&self, on: Day) -> Option<u32> {
        let birth: Day = self.get(ProfileField::DateOfBirth)?.parse().ok()?;
        let ((birth_year, birth_month, birth_day), (year, month, day)) = (birth.date(), on.date());
        let birthday_is_ahead = (month, day) < (birth_month, birth_day);
        u32::try_from(year - birth_year - i32::from(birthday_is_ahead)).ok()
    }

    /// The national id with all but its last four characters hidden; of a short one at least half is hidden.
    pub fn masked_national_id(&self) -> Option<String> {
        let id = self.get(ProfileField::NationalId)?;
        let count = id.chars().count();
        let shown = NATIONAL_ID_SHOWN.min(count / 2);
        Some(std::iter::repeat_n('*', count - shown).chain(id.chars().skip(count - shown)).collect())
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    fn sealed(&self, bank: &Bank, sealer: &Sealer) -> Profile {
        let seal = |(field, value): (&ProfileField, &String)| {
            (*field, sealer.seal(bank.env.as_ref(), field.name(), value.as_bytes()))
        };
        self.fields.iter().map(seal).collect()
    }
}

fn is_text(value: &str, characters_max: usize) -> bool {
    !value.trim().is_empty() && value.chars().count() <= characters_max && !value.chars().any(char::is_control)
}

fn is_email(value: &str) -> bool {
    let parts = value.rsplit_once('@');
    let is_clean = !value.chars().any(|character| character.is_control() || character.is_whitespace());
    value.len() <= EMAIL_BYTES_MAX && is_clean && parts.is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())
}

fn is_phone(value: &str) -> bool {
    let is_allowed = |character: char| character.is_ascii_digit() || "+-()./ ".contains(character);
    value.len() <= PHONE_CHARACTERS_MAX
        && value.chars().all(is_allowed)
        && value.chars().any(|character| character.is_ascii_digit())
}

fn is_locale(value: &str) -> bool {
    let is_subtag = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    value.len() <= LOCALE_CHARACTERS_MAX && value.split(['-', '_']).all(is_subtag)
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
        allow(caller, Role::Teller)?;
        let sealer = match self.needs_sealing(id).await? {
            true => {
                let (id, key) = self.fresh_key().await?;
                Some(Sealer::new(id, &key))
            }
            false => None,
        };
        self.submit(caller, key, self.registration(id, profile, sealer.as_ref()), false).await
    }

    /// Whether a registration will store its profile: not if the customer is registered, since customers are never
    /// removed and a repeated registration changes nothing.
    pub(crate) async fn needs_sealing(&self, id: Option<CustomerId>) -> Result<bool, Fault> {
        match id {
            Some(id) => Ok(self.user(id).await?.is_none()),
            None => Ok(true),
        }
    }

    /// The command of a registration; without a sealer the profile stays out, see [`Bank::needs_sealing`].
    pub(crate) fn registration(
        &self,
        id: Option<CustomerId>,
        profile: &PlainProfile,
        sealer: Option<&Sealer>,
    ) -> Command {
        let fields = profile.fields.iter().map(|(field, value)| (*field, value.as_str()));
        let registered_as = self.digests.registration(fields);
        let profile = sealer.map(|sealer| profile.sealed(self, sealer)).unwrap_or_default();
        Command::RegisterCustomer(Box::new(RegisterCustomer { id, profile, registered_as }))
    }

    /// Changes fields of a customer. They are sealed under the customer's key; after an erasure, under a new one.
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
        allow(caller, Role::Teller)?;
        let changes = match self.user(id).await? {
            Some(customer) if !changes.is_empty() => changes.sealed(self, &self.sealer_of(&customer).await?),
            Some(_) | None => Profile::new(),
        };
        self.submit(caller, key, Command::UpdateCustomer(Box::new(UpdateCustomer { id, changes })), false).await
    }

    /// A key of a customer to seal with: the profile's, while it is there.
    pub(crate) async fn sealer_of(&self, customer: &Customer) -> Result<Sealer, Fault> {
        for id in keys_of(customer) {
            if let Some(key) = self.keyring.key(id).await? {
                return Ok(Sealer::new(id, &key));
            }
        }
        let (id, key) = self.fresh_key().await?;
        Ok(Sealer::new(id, &key))
    }

    /// Opens a customer's profile; fields whose key was destroyed are missing.
    ///
    /// # Errors
    /// A fault of the keyring, or `Corrupt` if an envelope was damaged.
    pub async fn open_profile(&self, customer: &Customer) -> Result<PlainProfile, Fault> {
        let mut keys = BTreeMap::new();
        for id in keys_of(customer) {
            keys.insert(id, self.keyring.key(id).await?);
        }
        let mut profile = PlainProfile::default();
        for (field, envelope) in &customer.profile {
            let damaged =
                || Fault::Corrupt { detail: format!("`{}` of user {} cannot be opened", field.name(), customer.id) };
            let id = sealing::key_of(envelope).ok_or_else(damaged)?;
            let Some(Some(key)) = keys.get(&id) else { continue };
            let value = sealing::open(envelope, key, field.name()).ok_or_else(damaged)?;
            profile.fields.insert(*field, String::from_utf8(value).map_err(|_| damaged())?);
        }
        Ok(profile)
    }

    pub(crate) async fn destroy_key(&self, id: crate::ports::KeyId) -> Result<(), Fault> {
        self.keyring.destroy(id).await
    }

    /// Makes a customer's profile unreadable for good; `false` if there is no such customer. Needs the role admin.
    /// Accounts, transfers and the journal stay as they are and still verify.
    ///
    /// # Errors
    /// `Forbidden`, or a fault, after which it must be asked again.
    pub async fn erase_user(&self, caller: &Caller, id: CustomerId) -> Result<bool, BankError> {
        allow(caller, Role::Admin)?;
        let Some(customer) = self.user(id).await? else { return Ok(false) };
        for key in keys_of(&customer) {
            self.keyring.destroy(key).await?;
        }
        Ok(true)
    }
}

/// The keys that a customer's envelopes were sealed with: one, unless the profile was erased in between.
fn keys_of(customer: &Customer) -> BTreeSet<crate::ports::KeyId> {
    customer.profile.iter().filter_map(|(_, envelope)| sealing::key_of(envelope)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(field: ProfileField, value: &str) -> Option<PlainProfile> {
        let mut profile = PlainProfile::default();
        let today = Day::from_date(2026, 11, 21).expect("a day");
        profile.set(field, value, today).ok().map(|()| profile)
    }

    #[test]
    fn fields_are_checked() {
        let check = |field, fine: &[&str], wrong: &[&str]| {
            fine.iter().for_each(|value| assert!(profile(field, value).is_some(), "{value} is fine"));
            wrong.iter().for_each(|value| assert!(profile(field, value).is_none(), "{value} is wrong"));
        };
        check(ProfileField::Name, &["A", "Žofie Nová", &"ž".repeat(200)], &["", " ", "a\nb", &"a".repeat(201)]);
        check(ProfileField::DateOfBirth, &["1980-02-29", "2026-11-21"], &["", "1981-02-29", "2026-11-22", "1.1.1980"]);
        check(ProfileField::NationalId, &["1", "800229/1234"], &["", &"1".repeat(65)]);
        check(ProfileField::Email, &["a@b", "a.b+c@example.org"], &["", "a", "@b", "a@", "a b@c"]);
        check(ProfileField::Phone, &["+420 123 456 789", "112"], &["", "+", "call me"]);
        check(ProfileField::Locale, &["cs", "cs-CZ", "de_AT"], &["", "-", "cs-", "č"]);
    }

    #[test]
    fn a_year_of_age_is_full_on_the_birthday() {
        let born = profile(ProfileField::DateOfBirth, "1980-11-21").expect("a birth");
        let age_on = |year, month, day| born.age(Day::from_date(year, month, day).expect("a day"));
        assert_eq!(
            [age_on(2026, 11, 20), age_on(2026, 11, 21), age_on(1980, 11, 21), age_on(1979, 1, 1)],
            [Some(45), Some(46), Some(0), None]
        );
    }

    #[test]
    fn of_a_national_id_at_most_the_last_four_characters_are_shown() {
        let masked = |id| profile(ProfileField::NationalId, id).and_then(|profile| profile.masked_national_id());
        assert_eq!(masked("800229/1234").as_deref(), Some("*******1234"));
        assert_eq!(masked("123").as_deref(), Some("**3"));
        assert_eq!(masked("1").as_deref(), Some("*"));
    }

    #[test]
    fn a_profile_in_clear_does_not_show_itself_in_logs() {
        assert!(!format!("{:?}", profile(ProfileField::Name, "Secret")).contains("Secret"));
    }
}
