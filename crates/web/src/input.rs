//! Turns what a client wrote into the bank's types, and says what was wrong with it.
//!
//! Everything that is wrong is noted and the reading goes on, so that of several problems the one that comes first in
//! the contract's order is answered, wherever in the request it stands.

use crate::json::{Document, Kind, NotJson, Value};
use crate::problem::{Code, Problem};
use bank::exchange::is_reserved;
use ledger::amount::{Amount, AmountError};
use ledger::currency::Currency;
use ledger::ids::InvalidId;
use ledger::time::{Day, Timestamp};
use ledger::transfer::{LegAmount, Note};
use std::borrow::Cow;
use std::str::FromStr;

/// Longest reference in bytes.
pub(crate) const REFERENCE_BYTES_MAX: usize = 255;
/// Longest name in bytes.
pub(crate) const NAME_BYTES_MAX: usize = 200;
/// Most entries of metadata.
pub(crate) const METADATA_ENTRIES_MAX: usize = 32;
/// Longest key of metadata in bytes.
pub(crate) const METADATA_KEY_BYTES_MAX: usize = 64;
/// Longest value of metadata in bytes.
pub(crate) const METADATA_VALUE_BYTES_MAX: usize = 512;
/// Longest idempotency key in characters.
pub(crate) const KEY_MAX: usize = 255;

/// What was found wrong so far: of several, the one that comes first in the contract's order.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    first: Option<Problem>,
}

impl Problems {
    /// Nothing wrong yet.
    pub(crate) fn none() -> Problems {
        Problems::default()
    }

    /// Notes a problem.
    pub(crate) fn note(&mut self, problem: Problem) {
        if self.first.as_ref().is_none_or(|first| problem.code < first.code) {
            self.first = Some(problem);
        }
    }

    /// Notes the problem of a reading that failed.
    pub(crate) fn keep<T>(&mut self, read: Result<T, Problem>) -> Option<T> {
        read.map_err(|problem| self.note(problem)).ok()
    }

    /// The value, or notes that it is missing.
    pub(crate) fn required<T>(&mut self, name: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.note(Problem::malformed(format!("`{name}` is missing")));
        }
        value
    }

    /// # Errors
    /// What was noted.
    pub(crate) fn check(self) -> Result<(), Problem> {
        self.first.map_or(Ok(()), Err)
    }

    /// The problem of a request whose values could not all be read.
    ///
    /// # Panics
    /// Never: what could not be read was noted; were that forgotten, the request is called malformed.
    pub(crate) fn into_problem(self) -> Problem {
        self.first.unwrap_or_else(|| Problem::malformed("the request cannot be understood"))
    }
}

/// Reads a body as JSON; an empty one, or `null`, is an object without fields.
pub(crate) fn document(body: &[u8]) -> Result<Document<'_>, Problem> {
    let body = if matches!(body.trim_ascii(), b"" | b"null") { b"{}" } else { body };
    Document::read(body).map_err(|error| not_json(&error))
}

fn not_json(error: &NotJson) -> Problem {
    Problem::malformed(format!("the body is not JSON: {} at byte {}", error.reason, error.at))
}

/// The values of an object's fields, in the order of these names; what is `null` is absent. Notes what is no object,
/// names another field, or one twice.
pub(crate) fn fields<'a, const N: usize>(
    object: Value<'a>,
    names: [&str; N],
    problems: &mut Problems,
) -> [Option<Value<'a>>; N] {
    let mut values = [None; N];
    if object.kind() != Kind::Object {
        problems.note(Problem::malformed("a JSON object was expected"));
        return values;
    }
    let mut seen = [false; N];
    for (name, value) in object.fields() {
        match names.iter().position(|known| *known == name) {
            Some(index) if seen[index] => problems.note(named_twice(&name)),
            Some(index) => {
                seen[index] = true;
                values[index] = Some(value).filter(|value| !value.is_null());
            }
            None if object.names_a_field_twice() => problems.note(named_twice(&name)),
            None => problems.note(unknown_field(&name, &names)),
        }
    }
    values
}

fn named_twice(name: &str) -> Problem {
    Problem::malformed(format!("the object of the field `{}` names a field twice", shortened(name)))
}

/// A field that is not known in this place.
pub(crate) fn unknown_field(name: &str, known: &[&str]) -> Problem {
    let known = known.join(", ");
    let remedy = if known.is_empty() { "there are none here".to_string() } else { format!("known are {known}") };
    Problem::new(Code::UnknownField, format!("`{}` is not known here; {remedy}", shortened(name)))
}

/// What a client wrote, short enough to be said back.
fn shortened(text: &str) -> Cow<'_, str> {
    if text.chars().count() <= 40 {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.chars().take(40).chain(['…']).collect())
    }
}

/// A string.
pub(crate) fn string<'a>(name: &str, value: Option<Value<'a>>, problems: &mut Problems) -> Option<Cow<'a, str>> {
    let string = value?.string();
    if string.is_none() {
        problems.note(Problem::malformed(format!("`{name}` must be a string")));
    }
    string
}

/// A string of at most so many bytes.
pub(crate) fn short_string<'a>(
    name: &str,
    value: Option<Value<'a>>,
    bytes_max: usize,
    problems: &mut Problems,
) -> Option<Cow<'a, str>> {
    let text = string(name, value, problems)?;
    if bytes_max < text.len() {
        problems.note(Problem::malformed(format!("`{name}` may have at most {bytes_max} bytes")));
        return None;
    }
    Some(text)
}

/// `true` or `false`.
pub(crate) fn boolean(name: &str, value: Option<Value<'_>>, problems: &mut Problems) -> Option<bool> {
    let value = value?;
    if value.kind() != Kind::Bool {
        problems.note(Problem::malformed(format!("`{name}` must be true or false")));
        return None;
    }
    Some(value.text() == "true")
}

/// An id.
pub(crate) fn id<T: FromStr<Err = InvalidId>>(
    name: &str,
    value: Option<Value<'_>>,
    problems: &mut Problems,
) -> Option<T> {
    let text = string(name, value, problems)?;
    problems.keep(text.parse().map_err(|error| Problem::invalid_id(name, error)))
}

/// An id that must be there.
pub(crate) fn required_id<T: FromStr<Err = InvalidId>>(
    name: &str,
    value: Option<Value<'_>>,
    problems: &mut Problems,
) -> Option<T> {
    problems.required(name, value)?;
    id(name, value, problems)
}

/// One of some words.
pub(crate) fn word<T: Copy>(
    name: &str,
    value: Option<Value<'_>>,
    words: &[(&str, T)],
    problems: &mut Problems,
) -> Option<T> {
    let text = string(name, value, problems)?;
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
    if found.is_none() {
        let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        problems.note(Problem::malformed(format!("`{name}` must be one of {}", words.join(", "))));
    }
    found
}

/// A time.
pub(crate) fn time(name: &str, value: Option<Value<'_>>, problems: &mut Problems) -> Option<Timestamp> {
    let text = string(name, value, problems)?;
    problems.keep(text.parse().map_err(|error| Problem::malformed(format!("`{name}`: {error}"))))
}

/// A day.
pub(crate) fn day(name: &str, value: Option<Value<'_>>, problems: &mut Problems) -> Option<Day> {
    let text = string(name, value, problems)?;
    let read = text.parse::<Day>().ok().filter(|day| 0 <= day.number());
    problems.keep(read.ok_or_else(|| Problem::malformed(format!("`{name}` must be a day such as 2026-11-21"))))
}

/// A currency that must be there.
pub(crate) fn currency(value: Option<Value<'_>>, problems: &mut Problems) -> Option<Currency> {
    problems.required("currency", value)?;
    currency_in("currency", value, problems)
}

/// A currency.
pub(crate) fn currency_in(name: &str, value: Option<Value<'_>>, problems: &mut Problems) -> Option<Currency> {
    let text = string(name, value, problems)?;
    let unknown = |_| {
        Problem::new(
            Code::CurrencyUnknown,
            format!("`{}` is no currency; use a code of ISO 4217 such as EUR", shortened(&text)),
        )
    };
    problems.keep(text.parse().map_err(unknown))
}

/// The text of an amount as the client wrote it, from a string or a number.
pub(crate) fn amount_text<'a>(name: &str, value: Option<Value<'a>>, problems: &mut Problems) -> Option<Cow<'a, str>> {
    let value = value?;
    if value.kind() == Kind::Number {
        return Some(Cow::Borrowed(value.text()));
    }
    let text = value.string();
    if text.is_none() {
        problems.note(Problem::malformed(format!("`{name}` must be a string or a number")));
    }
    text
}

/// What an amount that is to move must look like. Without a known currency, whatever some currency allows passes here.
pub(crate) fn amount(name: &str, text: &str, currency: Option<Currency>, problems: &mut Problems) -> Option<Amount> {
    let read = parse_in(currency, |scale| Amount::parse(text, scale));
    problems.keep(read.map_err(|error| amount_invalid(name, error, currency)))
}

/// An amount that may be zero.
pub(crate) fn amount_or_zero(
    name: &str,
    text: &str,
    currency: Option<Currency>,
    problems: &mut Problems,
) -> Option<Amount> {
    let read = parse_in(currency, |scale| Amount::parse_or_zero(text, scale));
    problems.keep(read.map_err(|error| amount_invalid(name, error, currency)))
}

/// Decimals are those of the currency; while it is not known, of any: 4 at most, and none for the largest numbers.
fn parse_in(
    currency: Option<Currency>,
    parse: impl Fn(u8) -> Result<Amount, AmountError>,
) -> Result<Amount, AmountError> {
    match currency {
        Some(currency) => parse(currency.scale()),
        None => {
            parse(4).or_else(|error| if error == AmountError::TooLarge { parse_any_large(&parse) } else { Err(error) })
        }
    }
}

fn parse_any_large(parse: &impl Fn(u8) -> Result<Amount, AmountError>) -> Result<Amount, AmountError> {
    (0..4).rev().map(parse).find(Result::is_ok).unwrap_or(Err(AmountError::TooLarge))
}

fn amount_invalid(name: &str, error: AmountError, currency: Option<Currency>) -> Problem {
    Problem::new(Code::AmountInvalid, bank::error::invalid_amount(name, error, currency))
}

/// An amount that must be there, or `max` where that is allowed.
pub(crate) fn leg_amount(
    value: Option<Value<'_>>,
    currency: Option<Currency>,
    max_is_allowed: bool,
    problems: &mut Problems,
) -> Option<LegAmount> {
    problems.required("amount", value)?;
    let text = amount_text("amount", value, problems)?;
    if max_is_allowed && text == "max" && value.is_some_and(|value| value.kind() != Kind::Number) {
        return Some(LegAmount::Max);
    }
    amount("amount", &text, currency, problems).map(LegAmount::Exactly)
}

/// Reference and metadata; nothing when neither is given.
pub(crate) fn note(
    reference: Option<Value<'_>>,
    metadata: Option<Value<'_>>,
    problems: &mut Problems,
) -> Option<Box<Note>> {
    if reference.is_none() && metadata.is_none() {
        return None;
    }
    let reference = short_string("reference", reference, REFERENCE_BYTES_MAX, problems).map(|text| text.into());
    let metadata = metadata.map(|value| entries(value, problems)).unwrap_or_default();
    if reference.is_none() && metadata.is_empty() {
        return None;
    }
    Some(Box::new(Note { reference, metadata }))
}

fn entries(value: Value<'_>, problems: &mut Problems) -> Box<[(Box<str>, Box<str>)]> {
    if value.kind() != Kind::Object {
        problems.note(Problem::malformed("`metadata` must be an object of strings"));
        return Box::default();
    }
    let mut entries: Vec<(Box<str>, Box<str>)> = Vec::new();
    for (key, value) in value.fields() {
        if entries.len() == METADATA_ENTRIES_MAX {
            problems.note(Problem::malformed(format!("`metadata` may have at most {METADATA_ENTRIES_MAX} entries")));
            return Box::default();
        }
        let Some(text) = value.string() else {
            problems.note(Problem::malformed(format!("`metadata.{}` must be a string", shortened(&key))));
            continue;
        };
        if is_reserved(&key) {
            problems
                .note(Problem::malformed("`metadata`: keys that begin with `florin.` are the bank's own; use others"));
            continue;
        }
        let key_fits = (1..=METADATA_KEY_BYTES_MAX).contains(&key.len());
        if !key_fits || METADATA_VALUE_BYTES_MAX < text.len() {
            problems.note(Problem::malformed(format!(
                "`metadata`: keys have 1 to {METADATA_KEY_BYTES_MAX} bytes, values at most {METADATA_VALUE_BYTES_MAX}"
            )));
            continue;
        }
        entries.push((key.into(), text.into()));
    }
    entries.sort_unstable();
    if entries.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        problems.note(Problem::malformed("`metadata` names a key twice"));
    }
    entries.into()
}

/// Whether this can be an idempotency key.
pub(crate) fn check_key(key: &[u8]) -> Result<(), Problem> {
    if (1..=KEY_MAX).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic) {
        return Ok(());
    }
    Err(Problem::new(Code::IdempotencyKeyInvalid, "an idempotency key has 1 to 255 visible ASCII characters"))
}

/// An idempotency key in a body.
pub(crate) fn key<'a>(value: Option<Value<'a>>, problems: &mut Problems) -> Option<Cow<'a, str>> {
    let text = string("idempotency_key", value, problems)?;
    problems.keep(check_key(text.as_bytes()).map(|()| text))
}

/// A key that is needed and was not given.
pub(crate) fn key_missing() -> Problem {
    Problem::new(
        Code::IdempotencyKeyMissing,
        "send an idempotency key (header `Idempotency-Key`, or `idempotency_key` in an item of a batch): a text that is \
         new for each thing you ask and the same when you ask again",
    )
}
