//! JSON objects as their fields' own texts, and the few facts that make an event's key, which are told even of an
//! event that breaks off or is no JSON further on.

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

/// The fields of an object in their order, each value as its own text.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    fields: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'a> Fields<'a> {
    /// Reads an object.
    ///
    /// # Errors
    /// What is wrong with the text, by place and not by content.
    pub(crate) fn of(text: &'a [u8]) -> Result<Fields<'a>, String> {
        serde_json::from_slice(text).map_err(|error| {
            let kind = if error.is_data() { "not a JSON object" } else { "not JSON" };
            format!("{kind}: line {}, column {}", error.line(), error.column())
        })
    }

    /// A field that is there and not null.
    pub(crate) fn get(&self, name: &str) -> Option<&'a RawValue> {
        let (_, value) = self.fields.iter().find(|(known, _)| known == name)?;
        (value.get() != "null").then_some(value)
    }

    /// The names of fields that are not null.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.all().filter(|(_, value)| value.get() != "null").map(|(name, _)| name)
    }

    /// All fields, nulls included.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.fields.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    /// The first name that is there twice, shortened.
    pub(crate) fn repeated(&self) -> Option<String> {
        let mut seen = BTreeSet::new();
        let (name, _) = self.fields.iter().find(|(name, _)| !seen.insert(name.as_ref()))?;
        Some(name.chars().take(64).collect())
    }
}

/// The content of a JSON string.
pub(crate) fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str(value.get()).ok().map(|Text(text)| text)
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fields<'de>, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fields<'de>, M::Error> {
        let mut fields = Vec::new();
        while let Some((Text(name), value)) = map.next_entry()? {
            fields.push((name, value));
        }
        Ok(Fields { fields })
    }
}

/// What an event's key is made of. Of a field that is there twice the first counts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyFacts {
    pub(crate) source: Option<String>,
    pub(crate) id: Option<String>,
    /// The first of `account_id`, `from` and `user_id` in `data`, with its name; an id that is no text counts as none.
    pub(crate) home: Option<(&'static str, String)>,
}

/// Where an event's home is looked for, in this order.
const HOMES: [&str; 3] = ["account_id", "from", "user_id"];

impl KeyFacts {
    pub(crate) fn of_fields(fields: &Fields<'_>) -> KeyFacts {
        let attribute = |name| fields.get(name).and_then(text).map(Cow::into_owned).filter(|text| !text.is_empty());
        let data = fields.get("data").and_then(|data| Fields::of(data.get().as_bytes()).ok());
        let home = data.and_then(|data| {
            let (name, value) = HOMES.iter().find_map(|name| Some((*name, data.get(name)?)))?;
            Some((name, text(value)?.into_owned()))
        });
        KeyFacts { source: attribute("source"), id: attribute("id"), home }
    }

    /// What can be told of the beginning of an event, up to where it breaks off or is no JSON.
    pub(crate) fn of_beginning(event: &[u8]) -> KeyFacts {
        let mut found = Found::default();
        let mut deserializer = serde_json::Deserializer::from_slice(event);
        // Where it breaks off is no error here: what was found until then is all there is.
        drop(Beginning { found: &mut found, depth: Depth::Event }.deserialize(&mut deserializer));
        let home = HOMES.into_iter().zip(found.homes).find_map(|(name, value)| Some((name, value?)));
        let known = |text: Option<Option<String>>| text.flatten().filter(|text| !text.is_empty());
        KeyFacts {
            source: known(found.source),
            id: known(found.id),
            home: home.and_then(|(name, value)| Some((name, value?))),
        }
    }
}

/// Fields met so far: the outer `None` is one not met (or null), the inner one that is no text.
#[derive(Default)]
struct Found {
    source: Option<Option<String>>,
    id: Option<Option<String>>,
    homes: [Option<Option<String>>; 3],
}

#[derive(Clone, Copy)]
enum Depth {
    Event,
    Data,
}

struct Beginning<'a> {
    found: &'a mut Found,
    depth: Depth,
}

impl<'de> DeserializeSeed<'de> for Beginning<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Beginning<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let mut data_was_met = false;
        while let Some(Text(name)) = map.next_key()? {
            let found = &mut *self.found;
            let slot = match (self.depth, name.as_ref()) {
                (Depth::Event, "source") => Some(&mut found.source),
                (Depth::Event, "id") => Some(&mut found.id),
                (Depth::Event, "data") if !data_was_met => {
                    data_was_met = true;
                    map.next_value_seed(Beginning { found, depth: Depth::Data })?;
                    continue;
                }
                (Depth::Data, name) => HOMES.iter().position(|home| *home == name).map(|index| &mut found.homes[index]),
                (Depth::Event, _) => None,
            };
            match slot {
                Some(slot) if slot.is_none() => {
                    let value: &RawValue = map.next_value()?;
                    *slot = (value.get() != "null").then(|| text(value).map(Cow::into_owned));
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}
