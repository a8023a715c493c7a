//! What a customer wants to hear of, by which way, and when not.

use super::kind::{Channel, Choice, Kind};
use super::message::Facts;
use jiff::civil::Time;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{ToSpan, Zoned};
use ledger::currency::Currency;
use ledger::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The zones as they were when this program was built: the same on every node, whatever the machine has.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// What one customer wants. The default is what everybody has who never said anything: all kinds, by e-mail and push.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Preference {
    /// By which ways.
    pub channels: Vec<Choice>,
    /// Of what; all where it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kinds: Option<Vec<Kind>>,
    /// From which amount on, in minor units by currency.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub minimum_amounts: BTreeMap<String, u64>,
    /// Below which balance to warn, in minor units by currency.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub low_balance: BTreeMap<String, u64>,
    /// When nothing but what is urgent is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiet_hours: Option<QuietHours>,
}

impl Default for Preference {
    fn default() -> Preference {
        let (kinds, minimum_amounts, low_balance, quiet_hours) = Default::default();
        let channels = vec![Choice::Email, Choice::Push];
        Preference { channels, kinds, minimum_amounts, low_balance, quiet_hours }
    }
}

impl Preference {
    /// Whether a message of this kind goes this way. What is urgent goes every way that was chosen.
    pub fn wants(&self, channel: Channel, kind: Kind, facts: &Facts) -> bool {
        self.chose(channel) && (kind.is_urgent() || self.wants_kind(kind, facts))
    }

    /// Whether this way was chosen, or is not for customers to choose.
    pub fn chose(&self, channel: Channel) -> bool {
        channel.choice().is_none_or(|choice| self.channels.contains(&choice))
    }

    fn wants_kind(&self, kind: Kind, facts: &Facts) -> bool {
        let minimum = facts.currency.as_deref().and_then(|currency| self.minimum_amounts.get(currency));
        let is_enough = match (minimum, facts.amount) {
            (Some(minimum), Some(amount)) if kind.has_minimum() => i128::from(*minimum) <= amount,
            _ => true,
        };
        is_enough && self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&kind))
    }

    /// The threshold that a balance fell below.
    pub fn fell_below(&self, facts: &Facts) -> Option<i128> {
        let threshold = i128::from(*self.low_balance.get(facts.currency.as_deref()?)?);
        (facts.balance? < threshold && threshold <= facts.balance_before?).then_some(threshold)
    }

    /// Until when a message of this kind has to wait.
    pub fn held_until(&self, kind: Kind, now: Timestamp) -> Option<Timestamp> {
        self.quiet_hours.as_ref().filter(|_| !kind.is_urgent()).and_then(|hours| hours.end(now))
    }
}

/// Hours of each day, by the clock where the customer is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuietHours {
    /// From this minute of the day on.
    pub from: u16,
    /// Until this one; before `from`, it is that of the next day.
    pub until: u16,
    /// A zone of the IANA's such as `Europe/Prague`.
    pub time_zone: String,
}

impl QuietHours {
    /// Hours from texts such as `22:00`; `None` where a text or the zone is none, or both times are the same.
    pub fn new(from: &str, until: &str, time_zone: &str) -> Option<QuietHours> {
        let (from, until) = (minute(from)?, minute(until)?);
        zone(time_zone)?;
        (from != until).then(|| QuietHours { from, until, time_zone: time_zone.to_owned() })
    }

    /// When the quiet hours end that it is in at this time; `None` outside of them.
    ///
    /// Where clocks are set forward over that end, it is the first minute after; where they are set back, the first of the two.
    pub fn end(&self, now: Timestamp) -> Option<Timestamp> {
        let now = jiff::Timestamp::from_microsecond(i64::try_from(now.microseconds()).ok()?).ok()?;
        let local: Zoned = now.to_zoned(zone(&self.time_zone)?);
        let minute = i32::from(local.hour()) * 60 + i32::from(local.minute());
        let (from, until) = (i32::from(self.from), i32::from(self.until));
        let is_quiet = if from < until { (from..until).contains(&minute) } else { from <= minute || minute < until };
        if !is_quiet {
            return None;
        }
        let time = Time::new(i8::try_from(until / 60).ok()?, i8::try_from(until % 60).ok()?, 0, 0).ok()?;
        let day = if minute < until { local.date() } else { local.date().checked_add(1.day()).ok()? };
        let end = day.to_datetime(time).to_zoned(local.time_zone().clone()).ok()?;
        // Where the clock was set back into the hours after their end, they are over.
        let end = Some(end).filter(|end| local < *end)?;
        u64::try_from(end.timestamp().as_microsecond()).ok().and_then(Timestamp::from_microseconds)
    }
}

fn zone(name: &str) -> Option<TimeZone> {
    ZONES.get(name).ok()
}

/// The minute of the day of a text such as `07:30`.
fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str, below: u16| {
        let is_plain = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|number: &u16| is_plain && *number < below)
    };
    Some(number(hours, 24)? * 60 + number(minutes, 60)?)
}

/// A minute of the day as it is written.
pub fn clock(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

/// Whether this is a currency, so that a mistyped one does not count for nothing.
pub fn currency(code: &str) -> Option<Currency> {
    code.parse().ok()
}

#[cfg(test)]
mod tests;
