//! Closing a day: the interest of every account for it, exactly once, whoever does it and however often.
//!
//! A chunk of accounts is brought from the end of the day before to the end of this one in memory, what is due is posted,
//! and then its record is replaced, if it is still the one that was read. Who dies in between leaves the record as it was:
//! the next one comes to the same postings, which replay. Two who do the same chunk at once write the same.

use super::Interest;
use super::catalogue::{CHUNKS, Catalogue, Plan, all};
use super::correction::Differences;
use super::movements::{Movement, Movements, gain};
use super::parts::Parts;
use super::plans::Plans;
use super::posting::{Due, Fate};
use super::product::{Period, PostingPlan, Product};
use super::state::{Open, Row, State};
use super::too_much;
use crate::business_date::{self, ClosedDay};
use crate::ports::{Expected, RecordChange};
use crate::records;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use ledger::currency::Currency;
use ledger::ids::AccountId;
use ledger::time::{Day, Timestamp};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use store::Fault;

/// What the records of chunks begin with, and those that say up to which day they were brought.
const STATE: &str = "interest/state/";
const THROUGH: &str = "interest/through/";
/// Chunks worked on at a time: one's postings become durable while the next is reckoned.
const CHUNKS_AT_ONCE: usize = 4;

/// What the close of a day did. A repeat did nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The day.
    pub day: Day,
    /// Accounts with a product.
    pub accounts: u64,
    /// Postings of interest.
    pub posted: u64,
    /// Postings that correct earlier ones.
    pub corrections: u64,
    /// Postings that were refused; what they were about stays in the accounts' carry.
    pub refused: u64,
    /// What was posted, in minor units.
    pub sums: BTreeMap<Currency, i128>,
}

/// Why a day was not closed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CloseError {
    /// It is not over.
    #[error("the day {day} is not over before {until}; close it then")]
    NotOver {
        /// The day.
        day: Day,
        /// When it is.
        until: Timestamp,
    },
    /// Machinery failed. What was closed stays closed; the rest is closed by the next call.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Closed {
    fn new(day: Day) -> Closed {
        Closed { day, accounts: 0, posted: 0, corrections: 0, refused: 0, sums: BTreeMap::new() }
    }

    fn add(&mut self, other: Closed) {
        self.accounts += other.accounts;
        self.posted += other.posted;
        self.corrections += other.corrections;
        self.refused += other.refused;
        for (currency, sum) in other.sums {
            *self.sums.entry(currency).or_insert(0) += sum;
        }
    }
}

/// What all chunks of a day share.
struct Today<'a> {
    day: Day,
    start: Timestamp,
    end: Timestamp,
    catalogue: &'a Catalogue,
}

impl Interest {
    /// Closes the days up to this one that are not closed, one after the other; without a day, up to the last that is over.
    /// In a bank that never closed a day it closes just that one.
    ///
    /// # Errors
    /// As [`CloseError`] says.
    pub async fn close_until(&self, last: Option<Day>) -> Result<Vec<Closed>, CloseError> {
        let today = self.calendar.day(self.bank.now());
        let last = last.unwrap_or(Day::new(today.number() - 1));
        let mut done = Vec::new();
        loop {
            let before = business_date::closed(self.records()).await?;
            let next = before.as_ref().map_or(last, |before| Day::new(before.day.number() + 1));
            if last < next {
                return Ok(done);
            }
            done.push(self.close(next, before).await?);
        }
    }

    async fn close(&self, day: Day, before: Option<ClosedDay>) -> Result<Closed, CloseError> {
        let (start, end) = (self.calendar.start(day), self.calendar.end(day));
        let is_over = end <= self.bank.now() && self.bank.nothing_more_before(end).await?;
        if !is_over {
            return Err(CloseError::NotOver { day, until: end });
        }
        if !business_date::begin_close(self.records(), before.as_ref(), day).await? {
            return self.closed_by_another(day).await;
        }
        // Read only now: from here on it says the same of this day to whoever closes it.
        let catalogue = self.catalogue().await?;
        let today = Today { day, start, end, catalogue: &catalogue };
        let (done, until) = if catalogue.first_day().is_some_and(|first| first <= day) {
            if let Some(before) = &before {
                self.bring_up(&catalogue, before.day).await?;
            }
            let after = before.as_ref().map_or(&[][..], |before| &before.until);
            self.close_accounts(&today, after).await?
        } else {
            (Closed::new(day), Vec::new())
        };
        let closed = ClosedDay { day, until };
        let is_noted = business_date::note(self.records(), before.as_ref(), &closed).await?;
        if is_noted { Ok(done) } else { self.closed_by_another(day).await }
    }

    /// Somebody else closed it at the same time, and told of it first.
    async fn closed_by_another(&self, day: Day) -> Result<Closed, CloseError> {
        match business_date::closed(self.records()).await? {
            Some(known) if day <= known.day => Ok(Closed::new(day)),
            _ => Err(Fault::Unavailable { reason: format!("another node closes days too; close {day} again") }.into()),
        }
    }

    /// The interest of all accounts for a day; how far each journal was read.
    async fn close_accounts(&self, today: &Today<'_>, after: &[u64]) -> Result<(Closed, Vec<u64>), Fault> {
        // Only on the first day with a product is nothing known of accounts but their balances. On a later one whoever was
        // forgotten has a carry and an accrual too, which the days before it tell.
        let is_first = today.catalogue.first_day() == Some(today.day);
        let opening = if is_first && self.least_through().await?.is_none() {
            Some(self.bank.movements(&[], Timestamp::ZERO, today.start).await?)
        } else {
            None
        };
        let after = opening.as_ref().map_or(after, |opening| &opening.until);
        let movements = self.bank.movements(after, today.start, today.end).await?;
        let Movements { chunks, until } = movements;
        let mut openings: Vec<Option<_>> =
            opening.map_or_else(Vec::new, |opening| opening.chunks.into_iter().map(Some).collect());
        openings.resize_with(chunks.len(), || None);
        let work = (0..CHUNKS).zip(openings).zip(chunks);
        let work = work.map(|((number, opening), movements)| self.close_chunk(today, number, opening, movements));
        let mut all = stream::iter(work).buffer_unordered(CHUNKS_AT_ONCE);
        let mut done = Closed::new(today.day);
        while let Some(chunk) = all.try_next().await? {
            done.add(chunk);
        }
        Ok((done, until))
    }

    /// Up to which day every chunk of accounts was brought; `None` if one has no state yet.
    async fn least_through(&self) -> Result<Option<Day>, Fault> {
        let known = all(self.records(), THROUGH).await?;
        let days =
            known.iter().map(|(key, value)| records::parsed::<String>(key, value)?.parse().map_err(|_| no_day(key)));
        let days = days.collect::<Result<Vec<Day>, Fault>>()?;
        Ok(days.iter().min().copied().filter(|_| days.len() == usize::from(CHUNKS)))
    }

    /// Brings states to the end of the day closed last, where they are not there or behind: they were forgotten, or lost
    /// with the records they were kept in. What was posted then replays.
    async fn bring_up(&self, catalogue: &Catalogue, last: Day) -> Result<(), Fault> {
        let (through, Some(first)) = (self.least_through().await?, catalogue.first_day()) else { return Ok(()) };
        let from = through.map_or(first, |through| Day::new(through.number() + 1));
        if last < from {
            return Ok(());
        }
        let mut until = self.bank.movements(&[], Timestamp::ZERO, self.calendar.start(from)).await?.until;
        for number in from.number()..=last.number() {
            let day = Day::new(number);
            let (start, end) = (self.calendar.start(day), self.calendar.end(day));
            (_, until) = self.close_accounts(&Today { day, start, end, catalogue }, &until).await?;
        }
        Ok(())
    }

    /// Forgets what is kept of accounts beside the journal. The next close makes it again from the journal; one that is under
    /// way hears that it has to begin again.
    ///
    /// # Errors
    /// A fault of the records.
    pub async fn forget(&self) -> Result<(), Fault> {
        for number in 0..CHUNKS {
            // Both at once: a chunk that is said to be brought up to a day has a state of that day, whoever writes meanwhile.
            let keys = [through_key(number), state_key(number)];
            self.records().change(keys.map(RecordChange::remove).into()).await?;
        }
        Ok(())
    }

    async fn close_chunk(
        &self,
        today: &Today<'_>,
        number: u16,
        opening: Option<HashMap<AccountId, Movement>>,
        movements: HashMap<AccountId, Movement>,
    ) -> Result<Closed, Fault> {
        let key = state_key(number);
        let kept = self.records().get(&key).await?;
        let rows = match (kept.as_deref().map(|kept| State::decode(&key, kept)).transpose()?, opening) {
            (Some(state), _) if today.day <= state.through => return Ok(Closed::new(today.day)),
            (Some(state), _) if state.through.number() + 1 == today.day.number() => state.rows,
            (None, Some(opening)) => {
                let mut rows = with_opened(Vec::new(), &opening);
                self.move_on(&mut rows, opening, today.start, today.start).await?;
                rows
            }
            (Some(_) | None, _) => return Err(forgotten(&key, today.day)),
        };
        let mut rows = with_opened(rows, &movements);
        let assigned = self.assignments_of(number).await?;
        let mut done = Closed::new(today.day);
        let mut plans = Plans::new(today.catalogue, &assigned);
        let mut changes = self.end_left_periods(today, &mut rows, &mut plans, &mut done).await?;
        let movements = self.checked(&rows, movements, today.start, today.end).await?;
        let mut due = Vec::new();
        for (index, row) in rows.iter_mut().enumerate() {
            let plan = plans.of(row);
            if let Some(movement) = movements.get(&row.account) {
                if !movement.late.is_empty() {
                    let differences = self.differences(today.day, row, &plan, &movement.late).await?;
                    correct(row, today.day, differences, |item| due.push((index, item)))?;
                }
                row.balance += movement.gain;
                row.version = row.version.max(movement.last);
            }
            let Some((product, period)) = plan.on(today.day) else {
                due.extend(left_over(row, &plan, today.day).map(|item| (index, item)));
                continue;
            };
            done.accounts += 1;
            let accrual = product.accrual(today.day, row.balance);
            let accrued = accrual.and_then(|accrual| row.accrued.checked_add(accrual));
            row.accrued = accrued.ok_or_else(|| too_much(row.account))?;
            if row.open.is_none() {
                row.open = Some(Open { product: plans.name(product), first: period.first });
            }
            if period.last == today.day {
                due.extend(end_period(row, today.day)?.map(|item| (index, item)));
            }
        }
        changes.extend(self.pay(today, today.end, &mut rows, due, &mut done).await?);
        self.keep(today, number, kept, rows, changes).await?;
        Ok(done)
    }

    /// Posts what accrued in periods that ended yesterday because another product, or none, was assigned from today, and
    /// after the close of yesterday. Had it been known there, the same would have been posted with the same value date; so
    /// whoever makes the states again comes to the same, whenever the product was assigned.
    async fn end_left_periods(
        &self,
        today: &Today<'_>,
        rows: &mut [Row],
        plans: &mut Plans<'_>,
        done: &mut Closed,
    ) -> Result<Vec<RecordChange>, Fault> {
        let (yesterday, mut due) = (Day::new(today.day.number() - 1), Vec::new());
        for (index, row) in rows.iter_mut().enumerate() {
            let Some(open) = &row.open else { continue };
            let is_still =
                |(product, period): (&Product, Period)| *product.id == *open.product && period.first == open.first;
            if !plans.of(row).on(today.day).is_some_and(is_still) {
                due.extend(end_period(row, yesterday)?.map(|item| (index, item)));
            }
        }
        self.pay(today, today.start, rows, due, done).await
    }

    /// Posts what is due, with this value date, and takes the outcome into the rows.
    async fn pay(
        &self,
        today: &Today<'_>,
        effective_at: Timestamp,
        rows: &mut [Row],
        due: Vec<(usize, Due)>,
        done: &mut Closed,
    ) -> Result<Vec<RecordChange>, Fault> {
        let (mut places, mut asked) = (Vec::new(), Vec::new());
        for (place, due) in due {
            // Counted when it was refused first; a closed account would refuse it for ever.
            if due.is_again && self.is_closed(&due, effective_at).await? {
                rows.get_mut(place).map_or(Ok(()), |row| give_back(row, due.amount))?;
                continue;
            }
            places.push(place);
            asked.push(due);
        }
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let due = asked;
        let fates = self.post(&due, effective_at).await?;
        let mut changes = Vec::new();
        for ((place, due), fate) in places.into_iter().zip(&due).zip(fates) {
            let Some(row) = rows.get_mut(place) else { continue };
            let (code, posted) = match fate {
                Fate::Posted => {
                    row.balance += due.amount;
                    *done.sums.entry(due.currency).or_insert(0) += due.amount;
                    *(if due.corrected_on.is_some() { &mut done.corrections } else { &mut done.posted }) += 1;
                    continue;
                }
                Fate::Refused(code) => (code, 0),
                Fate::Another(posted) => ("idempotency_key_reused", posted),
            };
            done.refused += 1;
            // What was not posted is not lost, and what was posted instead counts.
            row.balance += posted;
            give_back(row, due.amount - posted)?;
            let key = format!("interest/refused/{}/{}", today.day, due.what());
            let told = json!({"amount": due.amount.to_string(), "currency": due.currency.code(), "code": code,
                "posted": posted.to_string(),
                "product": due.product, "from": due.period.first.to_string(), "until": due.period.last.to_string()});
            changes.push(RecordChange::put(key, &told)?);
        }
        Ok(changes)
    }

    async fn keep(
        &self,
        today: &Today<'_>,
        number: u16,
        kept: Option<Vec<u8>>,
        rows: Vec<Row>,
        mut changes: Vec<RecordChange>,
    ) -> Result<(), Fault> {
        let state = State { through: today.day, rows };
        let expected = kept.map_or(Expected::Absent, Expected::Exactly);
        changes.push(RecordChange::put(through_key(number), &today.day.to_string())?);
        changes.push(RecordChange { key: state_key(number), expected, value: Some(state.encode()) });
        // Where it is no longer what was read, somebody else did the same, or forgot it: then the next close makes it again.
        self.records().change(changes).await.map(|_| ())
    }

    /// The movements of accounts, each without a gap after what its row knows. Where the clocks of two shards differ while
    /// an account moves, its postings are not in the order of their times: then the account is read by itself. What was
    /// booked before the end and comes after something that was not is read the day after, and is late then.
    async fn checked(
        &self,
        rows: &[Row],
        mut movements: HashMap<AccountId, Movement>,
        day_start: Timestamp,
        end: Timestamp,
    ) -> Result<HashMap<AccountId, Movement>, Fault> {
        for row in rows {
            let has_gap = movements.get(&row.account).is_some_and(|movement| !movement.continues(row.version));
            if has_gap {
                movements.insert(row.account, self.read_alone(row, day_start, end).await?);
            }
        }
        Ok(movements)
    }

    async fn read_alone(&self, row: &Row, day_start: Timestamp, end: Timestamp) -> Result<Movement, Fault> {
        let mut postings = self.bank.rows(row.account, None, Timestamp::MAX, Some(row.version)).await?;
        postings.reverse();
        let mut movement = Movement::default();
        for posting in &postings {
            let Some((part, transferred, entry)) = posting.parts() else { continue };
            if part.version <= row.version + movement.count {
                continue;
            }
            if end <= entry.header.time || part.version != row.version + movement.count + 1 {
                break;
            }
            let gain = gain(&posting.transfer.entry, transferred, part.signed());
            movement.add(part.version, gain, transferred.effective_at, day_start);
        }
        Ok(movement)
    }

    async fn move_on(
        &self,
        rows: &mut [Row],
        movements: HashMap<AccountId, Movement>,
        day_start: Timestamp,
        end: Timestamp,
    ) -> Result<(), Fault> {
        let movements = self.checked(rows, movements, day_start, end).await?;
        for row in rows {
            if let Some(movement) = movements.get(&row.account) {
                row.balance += movement.gain;
                row.version = row.version.max(movement.last);
            }
        }
        Ok(())
    }
}

fn no_day(key: &str) -> Fault {
    Fault::Corrupt { detail: format!("the record {key} has no day") }
}

/// What is kept of a chunk is not there, or older than the day before: somebody makes it again from the journal.
fn forgotten(key: &str, day: Day) -> Fault {
    let reason = format!(
        "{key} was forgotten while {day} was being closed; close {day} again, and if that says the same, with `--rebuild`"
    );
    Fault::Unavailable { reason }
}

fn through_key(number: u16) -> String {
    format!("{THROUGH}{number:02}")
}

fn state_key(number: u16) -> String {
    format!("{STATE}{number:02}")
}

/// The rows with those of accounts that were opened, in the order of accounts.
fn with_opened(mut rows: Vec<Row>, movements: &HashMap<AccountId, Movement>) -> Vec<Row> {
    let known = rows.len();
    for (account, movement) in movements {
        if let Some(opened) = movement.opened {
            rows.push(Row::new(*account, opened));
        }
    }
    if known < rows.len() {
        rows.sort_by_key(|row| row.account); // stable: a row that was there comes before the same opened
        rows.dedup_by_key(|row| row.account);
    }
    rows
}

/// Takes what late postings changed into a row: where the period is open, into what accrued; where it was posted, into the
/// carry, whose whole minor units are due as a correction.
fn correct(row: &mut Row, day: Day, differences: Differences, mut due: impl FnMut(Due)) -> Result<(), Fault> {
    for ((period, product), difference) in differences {
        if day <= period.last {
            row.accrued = row.accrued.checked_add(difference).ok_or_else(|| too_much(row.account))?;
            continue;
        }
        let is_again = was_refused(row);
        let carry = row.carry.checked_add(difference).ok_or_else(|| too_much(row.account))?;
        let (amount, rest) = carry.split();
        row.carry = rest;
        if amount != 0 {
            let (account, currency) = (row.account, row.currency);
            due(Due { account, currency, product, period, corrected_on: Some(day), amount, is_again });
        }
    }
    Ok(())
}

/// Ends a row's open period with this day: the whole minor units are due, the rest is carry.
fn end_period(row: &mut Row, last: Day) -> Result<Option<Due>, Fault> {
    let Some(Open { product, first }) = row.open.take() else { return Ok(None) };
    let is_again = was_refused(row);
    let total = row.carry.checked_add(row.accrued).ok_or_else(|| too_much(row.account))?;
    let (amount, rest) = total.split();
    (row.carry, row.accrued) = (rest, Parts::ZERO);
    let (account, currency, period) = (row.account, row.currency, Period { first, last });
    let due = Due { account, currency, product: (*product).into(), period, corrected_on: None, amount, is_again };
    Ok((amount != 0).then_some(due))
}

/// What was refused on an account whose product has ended: due again at the end of each month, for the days of it without a
/// product. No other posting is for days that end with such a one.
fn left_over(row: &mut Row, plan: &Plan<'_>, day: Day) -> Option<Due> {
    let month = PostingPlan::Monthly.period(day);
    let (ended, product) = plan.last_before(day)?;
    if day != month.last || !was_refused(row) {
        return None;
    }
    let (amount, rest) = row.carry.split();
    row.carry = rest;
    let period = Period { first: month.first.max(Day::new(ended.number() + 1)), last: day };
    let (account, currency, product) = (row.account, row.currency, product.id.clone());
    Some(Due { account, currency, product, period, corrected_on: None, amount, is_again: true })
}

/// Whether something is in the carry that was refused: else it is less than a minor unit.
fn was_refused(row: &Row) -> bool {
    row.carry.split().0 != 0
}

/// What was not posted is not lost.
fn give_back(row: &mut Row, amount: i128) -> Result<(), Fault> {
    let carry = Parts::of_minor_units(amount).and_then(|amount| row.carry.checked_add(amount));
    row.carry = carry.ok_or_else(|| too_much(row.account))?;
    Ok(())
}
