//! Reads a CloudEvent and what it says, and nothing else: nothing here looks at the bank.
//!
//! Amounts are taken from the text of their digits, never through a float. What an event must say is in
//! `docs/api.md`; what it says wrong becomes a code and a text for people, which repeats field names but no values.

use crate::digest::Scope;
use crate::error::invalid_amount;
use crate::exchange::is_reserved;
use crate::profile::PlainProfile;
use ledger::account::AccountKind;
use ledger::amount::Amount;
use ledger::currency::Currency;
use ledger::customer::ProfileField;
use ledger::ids::{AccountId, CLIENT_ID_END, CustomerId};
use ledger::time::{Day, Timestamp};
use ledger::transfer::Note;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::str::FromStr;

mod json;

use json::{Fields, KeyFacts, text};

/// Most entries of metadata.
pub const METADATA_MAX: usize = 32;
/// Most bytes of a key of metadata.
pub const METADATA_KEY_BYTES_MAX: usize = 64;
/// Most bytes of a value of metadata.
pub const METADATA_VALUE_BYTES_MAX: usize = 512;
/// Most bytes of a reference.
pub const REFERENCE_BYTES_MAX: usize = 255;
/// Decimals of the currency that has most.
const SCALE_MAX: u8 = 4;
/// The code of what cannot be understood at all.
const MALFORMED: &str = "malformed";

/// Why no command can be made of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: &'static str,
    pub(crate) detail: String,
}

impl Failure {
    pub(crate) fn new(code: &'static str, detail: impl Into<String>) -> Failure {
        Failure { code, detail: detail.into() }
    }
}

/// What an event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Register { id: CustomerId, profile: PlainProfile },
    Open { id: AccountId, customer: CustomerId, kind: AccountKind, currency: Currency, overdraft_limit: Amount },
    Deposit { to: AccountId, movement: Movement },
    Withdrawal { from: AccountId, movement: Movement },
    Transfer { from: AccountId, to: AccountId, movement: Movement },
}

/// What every event about money says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Movement {
    pub(crate) currency: Currency,
    pub(crate) amount: Amount,
    pub(crate) effective_at: Option<Timestamp>,
    pub(crate) note: Option<Box<Note>>,
}

/// An event as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReadEvent {
    /// Its id, where it has one.
    pub(crate) id: Option<Box<str>>,
    /// Its source, where it has one.
    pub(crate) source: Option<Box<str>>,
    /// What it is about, before anything is checked.
    pub(crate) scope: Scope,
    /// What it says, or why that cannot be understood.
    pub(crate) said: Result<Said, Failure>,
}

/// Reads an event. `today` bounds dates of birth.
pub(crate) fn read(event: &[u8], today: Day) -> ReadEvent {
    match Fields::of(event) {
        Ok(fields) => {
            let facts = KeyFacts::of_fields(&fields);
            read_event(facts, read_envelope(&fields, today))
        }
        Err(reason) => unreadable(event, Failure::new(MALFORMED, reason)),
    }
}

/// What can be told of an event of which nothing but the beginning may be there.
pub(crate) fn unreadable(event: &[u8], failure: Failure) -> ReadEvent {
    read_event(KeyFacts::of_beginning(event), Err(failure))
}

/// An event with other data in it; `None` if it is no JSON object.
pub(crate) fn with_data(event: &[u8], data: &RawValue) -> Option<Vec<u8>> {
    let fields = Fields::of(event).ok()?;
    let kept = fields.all().filter(|(name, _)| *name != "data").chain([("data", data)]);
    let mut text = Vec::with_capacity(event.len() + data.get().len());
    for (name, value) in kept {
        text.push(if text.is_empty() { b'{' } else { b',' });
        serde_json::to_writer(&mut text, name).ok()?;
        text.push(b':');
        text.extend_from_slice(value.get().as_bytes());
    }
    text.push(b'}');
    Some(text)
}

fn read_event(facts: KeyFacts, said: Result<Said, Failure>) -> ReadEvent {
    let scope = match facts.home {
        Some(("user_id", id)) => id.parse().map_or(Scope::Text, Scope::User),
        Some((_, id)) => id.parse().map_or(Scope::Text, Scope::Account),
        None => Scope::Text,
    };
    ReadEvent { id: facts.id.map(String::into), source: facts.source.map(String::into), scope, said }
}

/// Everything that is wrong with an event, of which the first in the interface's order is told.
#[derive(Default)]
struct Wrongs {
    first: Option<Failure>,
}

impl Wrongs {
    fn note(&mut self, code: &'static str, detail: impl Into<String>) {
        let rank = |code| {
            ["malformed", "unknown_field", "amount_invalid", "currency_unknown"].iter().position(|known| *known == code)
        };
        if self.first.as_ref().is_none_or(|first| rank(code) < rank(first.code)) {
            self.first = Some(Failure::new(code, detail));
        }
    }

    fn value<T>(&mut self, value: Option<T>, must: &str) -> Option<T> {
        if value.is_none() {
            self.note(MALFORMED, must);
        }
        value
    }
}

fn read_envelope(fields: &Fields<'_>, today: Day) -> Result<Said, Failure> {
    let mut wrongs = Wrongs::default();
    if let Some(name) = fields.repeated() {
        wrongs.note(MALFORMED, format!("`{name}` is there twice"));
    }
    let attribute = |name| fields.get(name).and_then(text);
    if attribute("specversion").as_deref() != Some("1.0") {
        wrongs.note(MALFORMED, "`specversion` must be \"1.0\"");
    }
    for name in ["id", "source", "type"] {
        if attribute(name).is_none_or(|value| value.is_empty()) {
            wrongs.note(MALFORMED, format!("`{name}` must be a text that is not empty"));
        }
    }
    let effective_at = read_time(fields, &mut wrongs);
    check_content_type(fields, &mut wrongs);
    let data = fields.get("data").map(|data| Fields::of(data.get().as_bytes()));
    let data = match data {
        Some(Ok(data)) => Some(data),
        Some(Err(_)) => wrongs.value(None, "`data` must be an object, no field of which may be there twice"),
        None => wrongs.value(None, "`data` is missing"),
    };
    let (Some(data), Some(kind)) = (data, attribute("type")) else {
        return Err(wrongs.first.unwrap_or_else(|| Failure::new(MALFORMED, "`data` and `type` must be there")));
    };
    let said = read_data(&kind, &data, effective_at, today, &mut wrongs);
    match (wrongs.first, said) {
        (None, Some(said)) => Ok(said),
        (Some(failure), _) => Err(failure),
        (None, None) => Err(Failure::new(MALFORMED, "`data` does not say all that its type needs")),
    }
}

fn read_time(fields: &Fields<'_>, wrongs: &mut Wrongs) -> Option<Timestamp> {
    let time = fields.get("time")?;
    let time = text(time).and_then(|time| time.parse().ok());
    wrongs.value(time, "`time` must be RFC 3339 with an offset, such as 2026-11-21T10:00:00Z, between 1970 and 9999")
}

fn check_content_type(fields: &Fields<'_>, wrongs: &mut Wrongs) {
    if fields.get("data_base64").is_some() {
        wrongs.note(MALFORMED, "`data_base64` is not taken; send `data` as a JSON object");
    }
    let Some(content_type) = fields.get("datacontenttype") else { return };
    let is_json = text(content_type).is_some_and(|content_type| {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        essence == "application/json" || essence == "text/json" || essence.ends_with("+json")
    });
    if !is_json {
        wrongs.note(MALFORMED, "`datacontenttype` must be application/json or absent");
    }
}

fn read_data(
    kind: &str,
    data: &Fields<'_>,
    effective_at: Option<Timestamp>,
    today: Day,
    wrongs: &mut Wrongs,
) -> Option<Said> {
    if let Some(name) = data.repeated() {
        wrongs.note(MALFORMED, format!("`{name}` of `data` is there twice"));
    }
    match kind {
        "florin.user.registered" => read_registration(data, today, wrongs),
        "florin.account.opened" => read_opening(data, wrongs),
        "florin.deposit" => {
            allow_fields(data, &["account_id", "amount", "currency", "reference", "metadata"], wrongs);
            let (to, movement) = (read_id(data, "account_id", wrongs), read_movement(data, effective_at, wrongs));
            Some(Said::Deposit { to: to?, movement: movement? })
        }
        "florin.withdrawal" => {
            allow_fields(data, &["account_id", "amount", "currency", "reference", "metadata"], wrongs);
            let (from, movement) = (read_id(data, "account_id", wrongs), read_movement(data, effective_at, wrongs));
            Some(Said::Withdrawal { from: from?, movement: movement? })
        }
        "florin.transfer" => {
            allow_fields(data, &["from", "to", "amount", "currency", "reference", "metadata"], wrongs);
            let (from, to) = (read_id(data, "from", wrongs), read_id(data, "to", wrongs));
            let movement = read_movement(data, effective_at, wrongs);
            Some(Said::Transfer { from: from?, to: to?, movement: movement? })
        }
        _ => wrongs.value(None, "`type` is none that this bank knows; the types are listed in docs/api.md"),
    }
}

fn allow_fields(data: &Fields<'_>, allowed: &[&str], wrongs: &mut Wrongs) {
    if let Some(unknown) = data.names().find(|name| !allowed.contains(name)) {
        let shown: String = unknown.chars().filter(|character| !character.is_control()).take(64).collect();
        wrongs.note("unknown_field", format!("`{shown}` is no field of `data` of this type; leave it out"));
    }
}

fn read_id<I: FromStr>(data: &Fields<'_>, name: &str, wrongs: &mut Wrongs) -> Option<I> {
    let id = data.get(name).and_then(text).and_then(|id| id.parse().ok());
    wrongs.value(id, &format!("`{name}` must be an id, which is a text such as \"123\""))
}

fn read_registration(data: &Fields<'_>, today: Day, wrongs: &mut Wrongs) -> Option<Said> {
    let names: Vec<&str> = ProfileField::ALL.iter().map(|field| field.name()).chain(["user_id"]).collect();
    allow_fields(data, &names, wrongs);
    let id: Option<CustomerId> = read_id(data, "user_id", wrongs);
    let id = id.filter(|id| id.number() < CLIENT_ID_END);
    let id = wrongs.value(id, "`user_id` must be an id below 4611686018427387904");
    let mut profile = PlainProfile::default();
    for field in ProfileField::ALL {
        let Some(value) = data.get(field.name()) else { continue };
        let set = match text(value) {
            Some(value) => profile.set(field, &value, today).map_err(|error| error.to_string()),
            None => Err(format!("`{}` must be a text", field.name())),
        };
        if let Err(detail) = set {
            wrongs.note(MALFORMED, detail);
        }
    }
    if data.get(ProfileField::Name.name()).is_none() {
        wrongs.note(MALFORMED, "`name` is missing");
    }
    Some(Said::Register { id: id?, profile })
}

fn read_opening(data: &Fields<'_>, wrongs: &mut Wrongs) -> Option<Said> {
    allow_fields(data, &["user_id", "currency", "type", "overdraft_limit", "account_id"], wrongs);
    let id = read_id(data, "account_id", wrongs);
    let customer = read_id(data, "user_id", wrongs);
    let kind = match data.get("type").and_then(text).as_deref() {
        Some("checking") => Some(AccountKind::Checking),
        Some("savings") => Some(AccountKind::Savings),
        _ => wrongs.value(None, "`type` of `data` must be \"checking\" or \"savings\""),
    };
    let currency = read_currency(data, wrongs);
    let overdraft_limit = match data.get("overdraft_limit") {
        Some(_) => read_amount(data, "overdraft_limit", currency, Amount::parse_or_zero, wrongs),
        None => Some(Amount::ZERO),
    };
    Some(Said::Open {
        id: id?,
        customer: customer?,
        kind: kind?,
        currency: currency?,
        overdraft_limit: overdraft_limit?,
    })
}

fn read_currency(data: &Fields<'_>, wrongs: &mut Wrongs) -> Option<Currency> {
    let code = wrongs.value(data.get("currency").and_then(text), "`currency` must be a text such as \"EUR\"")?;
    match code.parse() {
        Ok(currency) => Some(currency),
        Err(_) => {
            wrongs.note(
                "currency_unknown",
                "`currency` is no currency of ISO 4217 with minor units; use three capital letters such as EUR",
            );
            None
        }
    }
}

fn read_amount(
    data: &Fields<'_>,
    name: &str,
    currency: Option<Currency>,
    parse: fn(&str, u8) -> Result<Amount, ledger::amount::AmountError>,
    wrongs: &mut Wrongs,
) -> Option<Amount> {
    let raw = wrongs.value(data.get(name), &format!("`{name}` is missing"))?;
    let is_number = raw.get().starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let digits = if is_number { Some(Cow::Borrowed(raw.get())) } else { text(raw) };
    let digits = wrongs.value(digits, &format!("`{name}` must be a text such as \"10.50\", or a number"))?;
    let scale = currency.map_or(SCALE_MAX, Currency::scale);
    match parse(&digits, scale) {
        Ok(amount) => Some(amount),
        Err(error) => {
            wrongs.note("amount_invalid", invalid_amount(name, error, currency));
            None
        }
    }
}

fn read_movement(data: &Fields<'_>, effective_at: Option<Timestamp>, wrongs: &mut Wrongs) -> Option<Movement> {
    let currency = read_currency(data, wrongs);
    let amount = read_amount(data, "amount", currency, Amount::parse, wrongs);
    let note = read_note(data, wrongs);
    Some(Movement { currency: currency?, amount: amount?, effective_at, note })
}

fn read_note(data: &Fields<'_>, wrongs: &mut Wrongs) -> Option<Box<Note>> {
    let reference = data.get("reference").and_then(|reference| {
        let reference = text(reference).filter(|reference| reference.len() <= REFERENCE_BYTES_MAX);
        wrongs.value(reference, "`reference` must be a text of at most 255 bytes")
    });
    let metadata = match data.get("metadata") {
        Some(metadata) => {
            let entries = read_metadata(metadata.get().as_bytes());
            let must = "`metadata` must map at most 32 keys of 1 to 64 bytes to texts of at most 512 bytes, each key once, \
                 none of which begins with `florin.`";
            wrongs.value(entries, must).unwrap_or_default()
        }
        None => Box::default(),
    };
    if reference.is_none() && metadata.is_empty() {
        return None;
    }
    Some(Box::new(Note { reference: reference.map(|reference| reference.as_ref().into()), metadata }))
}

type Metadata = Box<[(Box<str>, Box<str>)]>;

fn read_metadata(metadata: &[u8]) -> Option<Metadata> {
    let fields = Fields::of(metadata).ok()?;
    let read = |(key, value): (&str, &RawValue)| {
        let value = text(value).filter(|value| value.len() <= METADATA_VALUE_BYTES_MAX)?;
        // What the bank itself notes of fees and exchanges is read back by it.
        let is_key = (1..=METADATA_KEY_BYTES_MAX).contains(&key.len()) && !is_reserved(key);
        is_key.then(|| (Box::from(key), Box::from(value.as_ref())))
    };
    let mut entries: Vec<(Box<str>, Box<str>)> = fields.all().map(read).collect::<Option<_>>()?;
    entries.sort();
    let is_unique = entries.windows(2).all(|pair| pair[0].0 != pair[1].0);
    (entries.len() <= METADATA_MAX && is_unique).then(|| entries.into())
}

#[cfg(test)]
mod tests;
