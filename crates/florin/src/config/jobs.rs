//! The section `jobs` of the configuration.

use bank::schedule::plan::Plan;
use serde::{Deserialize, Deserializer};

/// When the bank's jobs are done.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Jobs {
    /// Closes the days that are over.
    pub(crate) close_day: PlanText,
    /// Makes the transfers of standing orders that are due.
    pub(crate) standing_orders: PlanText,
    /// Makes the statements of the month that is over.
    pub(crate) statements: PlanText,
}

impl Default for Jobs {
    fn default() -> Jobs {
        Jobs {
            close_day: PlanText(Plan::Daily(5)),
            standing_orders: PlanText(Plan::Every(60_000)),
            statements: PlanText(Plan::Monthly(1, 180)),
        }
    }
}

/// A plan as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlanText(pub(crate) Plan);

impl<'de> Deserialize<'de> for PlanText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PlanText, D::Error> {
        String::deserialize(deserializer)?.parse().map(PlanText).map_err(serde::de::Error::custom)
    }
}
