//! The section `business` of the configuration.

use bank::calendar::Calendar;
use bank::holidays::{BusinessCalendar, Holidays};
use ledger::time::Day;
use serde::{Deserialize, Deserializer};

/// The bank's own time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Business {
    /// The time zone whose calendar days are the bank's days, such as `Europe/Prague`. It is part of what was closed: do not
    /// change it later.
    #[serde(deserialize_with = "calendar")]
    pub(crate) time_zone: Calendar,
    /// Days without business besides weekends.
    #[serde(deserialize_with = "days")]
    pub(crate) holidays: Vec<Day>,
    /// How many days back a value date may lie; any without it.
    #[serde(deserialize_with = "days_back")]
    pub(crate) effective_at_days_max: Option<u16>,
}

impl Business {
    /// The bank's calendar with its holidays.
    pub(crate) fn calendar(&self) -> BusinessCalendar {
        let holidays = Holidays::new(self.holidays.iter().copied());
        BusinessCalendar { calendar: self.time_zone.clone(), holidays }
    }
}

/// A list of days, or one text with spaces between them.
fn days<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Day>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum ListOrText {
        List(Vec<String>),
        Text(String),
    }
    let texts = match ListOrText::deserialize(deserializer)? {
        ListOrText::List(texts) => texts,
        ListOrText::Text(text) => text.split_whitespace().map(str::to_owned).collect(),
    };
    let day = |text: String| {
        text.parse().map_err(|_| serde::de::Error::custom(format!("{text:?} is no day; write one such as 2026-12-25")))
    };
    texts.into_iter().map(day).collect()
}

fn days_back<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    let days = u16::deserialize(deserializer)?;
    let must = "a value date may lie 1 to 36500 days back; leave it out for any";
    if (1..=36_500).contains(&days) { Ok(Some(days)) } else { Err(serde::de::Error::custom(must)) }
}

fn calendar<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Calendar, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}
