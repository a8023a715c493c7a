//! The course of an account's interest, day by day: as it was and is ([`Interest::explain`]), or as it would have been with
//! a product ([`Interest::simulate`]).

use super::Interest;
use super::catalogue::Plan;
use super::history::History;
use super::parts::Parts;
use super::product::{Period, Product, Slice};
use super::too_much;
use ledger::account::Account;
use ledger::time::Day;
use std::collections::BTreeMap;
use store::Fault;

/// One day of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayCourse {
    /// The day.
    pub day: Day,
    /// The product it had.
    pub product: Box<str>,
    /// The balance at its end by value date.
    pub balance: i128,
    /// What of it bears which rate.
    pub slices: Vec<Slice>,
    /// What accrued.
    pub accrual: Parts,
    /// What was posted for periods that end with this day, in minor units, corrections among it.
    pub posted: i128,
    /// What accrued from the beginning to this day, less what was posted for periods that ended until then.
    pub carry: Parts,
    /// Whether the day is closed.
    pub is_closed: bool,
}

/// What a posting would have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Simulated {
    /// For which days.
    pub period: Period,
    /// How much, in minor units.
    pub amount: i128,
}

impl Interest {
    /// The days of an account from the first to the last, each with its interest as it is known now. Those without a product
    /// are left out, unless something was posted for them.
    ///
    /// # Errors
    /// A fault of a shard or the records.
    pub async fn explain(&self, account: &Account, first: Day, last: Day) -> Result<Vec<DayCourse>, Fault> {
        let (catalogue, assigned) = (self.catalogue().await?, self.assignments(account.id).await?);
        let plan = catalogue.plan(account.kind, account.currency, &assigned);
        let Some(beginning) = plan.first_day() else { return Ok(Vec::new()) };
        let beginning = beginning.max(self.first_day_of(account.opened));
        let open = self.business_date().await?;
        let history = self.history(account, beginning).await?;
        let mut days = Vec::new();
        let mut paid: BTreeMap<Day, (i128, Box<str>)> = BTreeMap::new();
        for step in history.days.values().flatten() {
            if let Some(for_what) = &step.paid {
                paid.entry(for_what.period.last).or_insert((0, for_what.product.clone())).0 += step.gain;
            }
        }
        let (mut balance, mut carry) = (history.opening, Parts::ZERO);
        for number in beginning.number()..=last.number() {
            let day = Day::new(number);
            balance += history.gained(day, true);
            let posted = paid.get(&day).map_or(0, |(posted, _)| *posted);
            let accrued = match plan.on(day) {
                Some((product, _)) => product.accrual(day, balance),
                None => Some(Parts::ZERO),
            };
            let accrual = accrued.ok_or_else(|| too_much(account.id))?;
            carry = Parts::of_minor_units(posted)
                .zip(carry.checked_add(accrual))
                .and_then(|(posted, carry)| carry.checked_sub(posted))
                .ok_or_else(|| too_much(account.id))?;
            let borne = plan.on(day).map(|(product, _)| (product.id.clone(), product.slices(day, balance)));
            let shown = borne.or_else(|| paid.get(&day).map(|(_, product)| (product.clone(), Vec::new())));
            if let Some((product, slices)) = shown.filter(|_| first <= day) {
                let is_closed = day < open;
                days.push(DayCourse { day, product, balance, slices, accrual, posted, carry, is_closed });
            }
        }
        Ok(days)
    }

    /// What an account would have borne from the first day to the last, had it had this product then and no other: its
    /// postings would have borne interest themselves. Nothing is changed.
    ///
    /// # Errors
    /// A fault of a shard.
    pub async fn simulate(
        &self,
        account: &Account,
        product: &Product,
        first: Day,
        last: Day,
    ) -> Result<(Vec<DayCourse>, Vec<Simulated>), Fault> {
        let history = self.history(account, first).await?;
        simulated(&history, product, first, last).ok_or_else(|| too_much(account.id))
    }
}

impl History {
    fn gained(&self, day: Day, with_interest: bool) -> i128 {
        let steps = self.days.get(&day).into_iter().flatten();
        steps.filter(|step| with_interest || step.paid.is_none()).map(|step| step.gain).sum()
    }
}

fn simulated(history: &History, product: &Product, first: Day, last: Day) -> Option<(Vec<DayCourse>, Vec<Simulated>)> {
    let plan = Plan::always(product);
    let (mut days, mut postings) = (Vec::new(), Vec::new());
    let (mut balance, mut carry) = (history.opening, Parts::ZERO);
    let mut begun = first;
    for number in first.number()..=last.number() {
        let day = Day::new(number);
        balance += history.gained(day, false);
        let accrual = product.accrual(day, balance)?;
        carry = carry.checked_add(accrual)?;
        let slices = product.slices(day, balance);
        let ends = plan.on(day).is_some_and(|(_, period)| period.last == day);
        let (amount, rest) = if ends { carry.split() } else { (0, carry) };
        carry = rest;
        days.push(DayCourse {
            day,
            product: product.id.clone(),
            balance,
            slices,
            accrual,
            posted: amount,
            carry,
            is_closed: false,
        });
        // It is there from the next day on.
        balance = balance.checked_add(amount)?;
        if ends {
            postings.push(Simulated { period: Period { first: begun, last: day }, amount });
            begun = Day::new(number + 1);
        }
    }
    Some((days, postings))
}
