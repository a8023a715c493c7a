//! The section `business` of the configuration.

use bank::calendar::Calendar;
use serde::{Deserialize, Deserializer};

/// The bank's own time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Business {
    /// The time zone whose calendar days are the bank's days, such as `Europe/Prague`. It is part of what was closed: do not
    /// change it later.
    #[serde(deserialize_with = "calendar")]
    pub(crate) time_zone: Calendar,
}

fn calendar<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Calendar, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}
