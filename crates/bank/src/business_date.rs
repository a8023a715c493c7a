//! The bank's business date: the first day that is not closed.
//!
//! Days are closed in order, each once, whenever somebody gets to it. A day that is closed knows exactly what was booked
//! before its end: its record says how far each shard's journal went. That does not depend on when it was closed, or by
//! whom.

use crate::calendar::Calendar;
use crate::ports::{Expected, RecordChange, Records};
use crate::records;
use crate::{Bank, Caller};
use ledger::command::Command;
use ledger::event::Key;
use ledger::ids::{HoldId, Sequence};
use ledger::time::{Day, Timestamp};
use serde::{Deserialize, Serialize};
use store::query::EntryQuery;
use store::{Fault, Request, Store, Submission};

const CLOSED: &str = "business/closed";
/// The day whose close has begun.
const CLOSING: &str = "business/closing";

/// The day closed last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedDay {
    /// The day.
    pub day: Day,
    /// The last entry of each shard that was booked before its end, in the order of the shards.
    pub until: Vec<Sequence>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    day: String,
    until: Vec<Sequence>,
}

impl ClosedDay {
    fn value(&self) -> Result<Vec<u8>, Fault> {
        let kept = Kept { day: self.day.to_string(), until: self.until.clone() };
        let change = RecordChange::put(CLOSED, &kept)?;
        Ok(change.value.unwrap_or_default())
    }

    fn parsed(value: &[u8]) -> Result<ClosedDay, Fault> {
        let kept: Kept = records::parsed(CLOSED, value)?;
        Ok(ClosedDay { day: day_of(CLOSED, &kept.day)?, until: kept.until })
    }
}

/// The day closed last; `None` before the first one.
///
/// # Errors
/// A fault of the records.
pub async fn closed(records: &dyn Records) -> Result<Option<ClosedDay>, Fault> {
    records.get(CLOSED).await?.as_deref().map(ClosedDay::parsed).transpose()
}

/// The first day that is not closed: while none is, the calendar's.
///
/// # Errors
/// A fault of the records.
pub async fn date(records: &dyn Records, calendar: &Calendar, now: Timestamp) -> Result<Day, Fault> {
    Ok(date_after(closed(records).await?.as_ref(), calendar, now))
}

fn date_after(closed: Option<&ClosedDay>, calendar: &Calendar, now: Timestamp) -> Day {
    closed.map_or_else(|| calendar.day(now), |closed| Day::new(closed.day.number() + 1))
}

/// Begins to count business days with today's, unless they are counted already: from then on no day is left out, however
/// late the first one is closed.
///
/// # Errors
/// A fault of the records.
pub async fn begin(records: &dyn Records, calendar: &Calendar, now: Timestamp) -> Result<(), Fault> {
    if closed(records).await?.is_none() {
        let yesterday = Day::new(calendar.day(now).number() - 1);
        note(records, None, &ClosedDay { day: yesterday, until: Vec::new() }).await?;
    }
    Ok(())
}

/// Notes that the close of a day has begun, after the day that was closed `before`; whether that is so, by whomever. From
/// then on nothing changes any more that the day is reckoned by: see [`OpenDays`].
///
/// # Errors
/// A fault of the records.
pub(crate) async fn begin_close(records: &dyn Records, before: Option<&ClosedDay>, day: Day) -> Result<bool, Fault> {
    if records::read::<String>(records, CLOSING).await? == Some(day.to_string()) {
        return Ok(true);
    }
    let is_closed = RecordChange {
        key: CLOSED.into(),
        expected: before.map_or(Ok(Expected::Absent), |before| before.value().map(Expected::Exactly))?,
        value: before.map(ClosedDay::value).transpose()?,
    };
    records.change(vec![is_closed, RecordChange::put(CLOSING, &day.to_string())?]).await
}

/// The days for which it can still be said what they are reckoned by: the business date and later, or, once its close has
/// begun, later.
pub(crate) struct OpenDays {
    /// The first of them.
    pub(crate) first: Day,
    as_read: Vec<RecordChange>,
}

impl OpenDays {
    /// As they are now.
    pub(crate) async fn read(records: &dyn Records, calendar: &Calendar, now: Timestamp) -> Result<OpenDays, Fault> {
        let closing = records.get(CLOSING).await?;
        let closed = records.get(CLOSED).await?;
        let mut first = date_after(closed.as_deref().map(ClosedDay::parsed).transpose()?.as_ref(), calendar, now);
        if let Some(closing) = &closing {
            first = first.max(Day::new(day_of(CLOSING, &records::parsed::<String>(CLOSING, closing)?)?.number() + 1));
        }
        let unchanged = |(key, value): (&str, Option<Vec<u8>>)| {
            let expected = value.clone().map_or(Expected::Absent, Expected::Exactly);
            RecordChange { key: key.into(), expected, value }
        };
        Ok(OpenDays { first, as_read: [(CLOSED, closed), (CLOSING, closing)].map(unchanged).into() })
    }

    /// Makes changes if these days are still open; whether they were made. So a day that is being closed is reckoned by
    /// one and the same from its first account to its last, whoever goes on with it.
    pub(crate) async fn change(self, records: &dyn Records, mut changes: Vec<RecordChange>) -> Result<bool, Fault> {
        changes.extend(self.as_read);
        records.change(changes).await
    }
}

fn day_of(key: &str, day: &str) -> Result<Day, Fault> {
    day.parse().map_err(|_| Fault::Corrupt { detail: format!("the record {key} has no day") })
}

/// Notes that a day is closed; whether this call did it. It is done only after the day that was closed `before`.
///
/// # Errors
/// A fault of the records.
pub(crate) async fn note(records: &dyn Records, before: Option<&ClosedDay>, closed: &ClosedDay) -> Result<bool, Fault> {
    let expected = match before {
        Some(before) => Expected::Exactly(before.value()?),
        None => Expected::Absent,
    };
    let change = RecordChange { key: CLOSED.into(), expected, value: Some(closed.value()?) };
    records.change(vec![change]).await
}

impl Bank {
    /// Makes sure that nothing more is booked on any shard before this instant; whether that could be had. A shard's time
    /// never goes back, so it is so once an entry of that time or later is there. An idle shard gets one, which changes
    /// nothing: the recorded refusal to void a hold that does not exist.
    pub(crate) async fn nothing_more_before(&self, end: Timestamp) -> Result<bool, Fault> {
        for store in self.shards() {
            if !is_past(store.as_ref(), end).await? {
                self.mark_time(store.as_ref()).await?;
                if !is_past(store.as_ref(), end).await? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    async fn mark_time(&self, store: &dyn Store) -> Result<(), Fault> {
        let mut bytes = [0; 16];
        self.env().fill(&mut bytes);
        let key = Some(Key { digest: u128::from_le_bytes(bytes), fingerprint: 0 });
        let hold = HoldId::new(1).ok_or_else(|| Fault::Corrupt { detail: "1 is no id".into() })?;
        let requests = vec![Request { key, command: Command::VoidHold(hold) }];
        let context = Caller::bank().context();
        store.submit(Submission { context, requests, dry_run: false }).await.map(|_| ())
    }
}

async fn is_past(store: &dyn Store, end: Timestamp) -> Result<bool, Fault> {
    let head = store.head();
    let Some(after) = head.checked_sub(1) else { return Ok(false) };
    let last = store.entries(EntryQuery { after, limit: 1 }).await?;
    Ok(last.first().is_some_and(|entry| end <= entry.header.time))
}
