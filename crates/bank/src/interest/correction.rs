//! What a late posting changes: the interest of the days between its value date and its booking, worked out from the
//! balances of those days as they were known before and as they are known now.

use super::Interest;
use super::catalogue::Plan;
use super::history::Step;
use super::movements::Late;
use super::parts::Parts;
use super::product::Period;
use super::state::Row;
use super::too_much;
use ledger::time::Day;
use std::collections::BTreeMap;
use store::Fault;

/// By period and product, what more (or less) accrued than was known.
pub(crate) type Differences = BTreeMap<(Period, Box<str>), Parts>;

impl Interest {
    /// What late postings change on the days before `day`. `row` is the account as it was known at the end of the day
    /// before.
    pub(super) async fn differences(
        &self,
        day: Day,
        row: &Row,
        plan: &Plan<'_>,
        late: &[Late],
    ) -> Result<Differences, Fault> {
        let mut late: Vec<(Day, i128)> =
            late.iter().map(|late| (self.calendar.day(late.effective_at), late.amount)).collect();
        late.sort_unstable();
        let (Some((earliest, _)), Some(first)) = (late.first(), plan.first_day()) else {
            return Ok(Differences::new());
        };
        let first = first.max(*earliest).max(self.first_day_of(row.opened));
        if day <= first {
            return Ok(Differences::new());
        }
        let known = self.known_steps(row, first, day).await?;
        let gained = |on: Day| known.get(&on).copied().unwrap_or(0);
        let mut differences = Differences::new();
        let mut before = row.balance - gained(day);
        for number in (first.number()..day.number()).rev() {
            let on = Day::new(number);
            let now: i128 =
                before + late.iter().filter(|(from, _)| *from <= on).map(|(_, amount)| amount).sum::<i128>();
            if let Some((product, period)) = plan.on(on) {
                let difference = product.accrual(on, now).zip(product.accrual(on, before));
                let difference = difference.and_then(|(now, before)| now.checked_sub(before));
                let difference = difference.ok_or_else(|| too_much(row.account))?;
                if difference != Parts::ZERO {
                    let sum = differences.entry((period, product.id.clone())).or_default();
                    *sum = sum.checked_add(difference).ok_or_else(|| too_much(row.account))?;
                }
            }
            before -= gained(on);
        }
        Ok(differences)
    }

    /// What the balance gained on each of these days by what was known before: all postings up to the row's version, and
    /// interest, which is known from the close that posted it, whenever it was booked.
    async fn known_steps(&self, row: &Row, first: Day, last: Day) -> Result<BTreeMap<Day, i128>, Fault> {
        let (since, until) = (self.calendar.start(first), self.calendar.end(last));
        let rows = self.bank.rows(row.account, Some(since), until, None).await?;
        let mut known = BTreeMap::new();
        for step in rows.iter().filter_map(|posting| Step::of(posting, &self.calendar)) {
            if step.paid.is_some() || step.version <= row.version {
                *known.entry(step.day).or_insert(0) += step.gain;
            }
        }
        Ok(known)
    }
}
