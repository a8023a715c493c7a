//! Standing orders as they are kept: each under its id, under the account that pays, and while it is active under the day
//! of its next try, so that what is due is found without looking at all of them.

use super::{Next, Occurrence, Order, Outcome, Payee, REFERENCE_BYTES_MAX, RETRIES_MAX, StandingOrders, Status, Terms};
use crate::Caller;
use crate::error::{BankError, refused};
use crate::holidays::HolidayRule;
use crate::interest::catalogue::all;
use crate::ports::{Expected, RecordChange};
use crate::records;
use crate::submit::allow;
use ledger::account::Account;
use ledger::amount::Amount;
use ledger::ids::AccountId;
use ledger::time::Day;
use ledger::token::Role;
use serde::{Deserialize, Serialize};
use store::Fault;

/// An order as it is kept.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    from: String,
    to: Option<String>,
    minor_units: String,
    currency: String,
    reference: Option<String>,
    rhythm: String,
    until: Option<String>,
    holidays: String,
    retries: u8,
    retry_days: u8,
    status: String,
    next: Option<(String, u8, String)>,
}

/// What became of an occurrence, as it is kept.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptOccurrence {
    attempt: u8,
    outcome: String,
    code: Option<String>,
    retry_on: Option<String>,
    transfer: Option<String>,
}

impl Kept {
    fn of(order: &Order) -> Kept {
        let terms = &order.terms;
        Kept {
            from: terms.from.to_string(),
            to: match terms.to {
                Payee::Account(account) => Some(account.to_string()),
                Payee::Outside => None,
            },
            minor_units: terms.amount.minor_units().to_string(),
            currency: terms.currency.code().to_owned(),
            reference: terms.reference.as_deref().map(str::to_owned),
            rhythm: terms.rhythm.to_string(),
            until: terms.until.map(|day| day.to_string()),
            holidays: terms.holidays.name().to_owned(),
            retries: terms.retries,
            retry_days: terms.retry_days,
            status: order.status.name().to_owned(),
            next: order.next.map(|next| (next.due.to_string(), next.attempt, next.on.to_string())),
        }
    }

    fn order(&self, id: &str) -> Option<Order> {
        let day = |text: &String| text.parse::<Day>().ok();
        let to = match &self.to {
            Some(account) => Payee::Account(account.parse().ok()?),
            None => Payee::Outside,
        };
        let next = match &self.next {
            Some((due, attempt, on)) => Some(Next { due: day(due)?, attempt: *attempt, on: day(on)? }),
            None => None,
        };
        let until = match &self.until {
            Some(until) => Some(day(until)?),
            None => None,
        };
        Some(Order {
            id: id.into(),
            terms: Terms {
                from: self.from.parse().ok()?,
                to,
                amount: self.minor_units.parse().ok().and_then(Amount::new)?,
                currency: self.currency.parse().ok()?,
                reference: self.reference.as_deref().map(Into::into),
                rhythm: self.rhythm.parse().ok()?,
                until,
                holidays: HolidayRule::ALL.into_iter().find(|(name, _)| *name == self.holidays)?.1,
                retries: self.retries,
                retry_days: self.retry_days,
            },
            status: Status::ALL.into_iter().find(|(name, _)| *name == self.status)?.1,
            next,
        })
    }
}

pub(super) fn order_key(id: &str) -> String {
    format!("order/{id}")
}

fn account_key(order: &Order) -> String {
    format!("order-of/{}/{}", order.terms.from, order.id)
}

pub(super) fn due_key(on: Day, id: &str) -> String {
    format!("order-due/{on}/{id}")
}

/// What changes when an order becomes another: it is still as it was read, and found under the day of its next try.
pub(super) fn replaced(before: (&Order, Vec<u8>), after: &Order) -> Result<Vec<RecordChange>, Fault> {
    let (order, value) = before;
    let mut changes =
        vec![RecordChange::put(order_key(&after.id), &Kept::of(after))?.expecting(Expected::Exactly(value))];
    let [was, is] = [order, after].map(|order| order.next.map(|next| due_key(next.on, &order.id)));
    if was != is {
        changes.extend(was.map(RecordChange::remove));
        changes.extend(is.map(|key| RecordChange::put(key, &"")).transpose()?);
    }
    Ok(changes)
}

/// What is kept of an occurrence that was tried.
pub(super) fn told(occurrence: &Occurrence) -> Result<RecordChange, Fault> {
    let (outcome, code, retry_on) = match &occurrence.outcome {
        Outcome::Done => ("done", None, None),
        Outcome::Retry(code, day) => ("retry", Some(code), Some(day.to_string())),
        Outcome::Refused(code) => ("refused", Some(code), None),
    };
    let kept = KeptOccurrence {
        attempt: occurrence.attempt,
        outcome: outcome.to_owned(),
        code: code.map(|code| code.to_string()),
        retry_on,
        transfer: occurrence.transfer.map(|id| id.to_string()),
    };
    RecordChange::put(format!("order-run/{}/{}", occurrence.order, occurrence.due), &kept)
}

impl StandingOrders {
    /// Sets up an order under an id that the client chose, unless the same is there already.
    ///
    /// # Errors
    /// `forbidden`, `malformed`, `account_not_found`, `currency_mismatch`, `same_account`, `id_taken`, or a fault.
    pub async fn create(&self, caller: &Caller, id: &str, account: &Account, terms: Terms) -> Result<Order, BankError> {
        allow(caller, Role::Teller)?;
        check(&terms, account)?;
        if let Some(known) = self.order(id).await? {
            return same(known, &terms); // it may be over meanwhile, and so may its payee
        }
        self.check_payee(&terms).await?;
        let today = self.calendar.calendar.day(self.bank.now());
        let order = Order { id: id.into(), status: Status::Active, next: None, terms };
        let order = self.with_next(order, today, today);
        if order.next.is_none() {
            return Err(refused(
                "malformed",
                format!("no day that is due by the rhythm is still to come; it is {today}"),
            ));
        }
        let changes = vec![
            RecordChange::put(order_key(id), &Kept::of(&order))?.expecting(Expected::Absent),
            RecordChange::put(account_key(&order), &"")?,
        ];
        let due = order.next.map(|next| RecordChange::put(due_key(next.on, id), &"")).transpose()?;
        if self.records.change(changes.into_iter().chain(due).collect()).await? {
            return Ok(order);
        }
        let known = self.order(id).await?;
        same(known.ok_or_else(|| refused("id_taken", format!("there was another standing order {id}")))?, &order.terms)
    }

    async fn check_payee(&self, terms: &Terms) -> Result<(), BankError> {
        let Payee::Account(to) = terms.to else { return Ok(()) };
        let Some(payee) = self.bank.account(to).await? else {
            return Err(refused("account_not_found", format!("there is no account {to} that could be paid")));
        };
        if terms.currency != payee.currency {
            return Err(refused("currency_mismatch", format!("account {to}, which is paid, is in {}", payee.currency)));
        }
        Ok(())
    }

    /// The order with its first occurrence due on `from` or later; it is tried today at the earliest. It ends where there
    /// is none.
    pub(super) fn with_next(&self, mut order: Order, from: Day, today: Day) -> Order {
        let due = order.terms.rhythm.due_from(from);
        let due = due.filter(|due| order.terms.until.is_none_or(|until| *due <= until));
        order.next = due.map(|due| {
            let on = self.calendar.holidays.moved(due, order.terms.holidays);
            Next { due, attempt: 1, on: on.max(today.min(due)) }
        });
        if order.next.is_none() {
            order.status = Status::Ended;
        }
        order
    }

    /// An order.
    ///
    /// # Errors
    /// A fault of the records.
    pub async fn order(&self, id: &str) -> Result<Option<Order>, Fault> {
        Ok(self.order_with_value(id).await?.map(|(order, _)| order))
    }

    pub(super) async fn order_with_value(&self, id: &str) -> Result<Option<(Order, Vec<u8>)>, Fault> {
        let key = order_key(id);
        let Some(value) = self.records.get(&key).await? else { return Ok(None) };
        let damaged = || Fault::Corrupt { detail: format!("the record {key} is no standing order") };
        let order = records::parsed::<Kept>(&key, &value)?.order(id).ok_or_else(damaged)?;
        Ok(Some((order, value)))
    }

    /// The orders of an account, by id.
    ///
    /// # Errors
    /// A fault of the records.
    pub async fn orders_of(&self, account: AccountId) -> Result<Vec<Order>, Fault> {
        let prefix = format!("order-of/{account}/");
        let mut orders = Vec::new();
        for (key, _) in all(self.records.as_ref(), &prefix).await? {
            orders.extend(self.order(key.trim_start_matches(&prefix)).await?);
        }
        Ok(orders)
    }

    /// Ends an order: nothing more of it is tried. Doing it twice is the same as once; `None` if there is no such order. What
    /// it paid last is told, also where nobody heard of it; a try that is under way may still move the money, and tells so.
    ///
    /// # Errors
    /// `forbidden`, or a fault.
    pub async fn cancel(&self, caller: &Caller, id: &str) -> Result<Option<Order>, BankError> {
        allow(caller, Role::Teller)?;
        loop {
            let Some((order, value)) = self.order_with_value(id).await? else { return Ok(None) };
            if order.status != Status::Active {
                return Ok(Some(order));
            }
            let cancelled = Order { status: Status::Cancelled, next: None, ..order.clone() };
            let mut changes = replaced((&order, value), &cancelled)?;
            changes.extend(self.unheard(&order).await?.as_ref().map(told).transpose()?);
            if self.records.change(changes).await? {
                return Ok(Some(cancelled));
            }
        }
    }

    /// What became of an order's occurrences, the earliest due day first.
    ///
    /// # Errors
    /// A fault of the records.
    pub async fn occurrences(&self, id: &str) -> Result<Vec<Occurrence>, Fault> {
        let prefix = format!("order-run/{id}/");
        let mut found = Vec::new();
        for (key, value) in all(self.records.as_ref(), &prefix).await? {
            let kept: KeptOccurrence = records::parsed(&key, &value)?;
            let damaged = || Fault::Corrupt { detail: format!("the record {key} is no occurrence") };
            found.push(read(id, key.trim_start_matches(&prefix), &kept).ok_or_else(damaged)?);
        }
        Ok(found)
    }
}

fn read(id: &str, due: &str, kept: &KeptOccurrence) -> Option<Occurrence> {
    let code = || kept.code.as_deref().unwrap_or_default().into();
    let outcome = match kept.outcome.as_str() {
        "done" => Outcome::Done,
        "retry" => Outcome::Retry(code(), kept.retry_on.as_ref()?.parse().ok()?),
        "refused" => Outcome::Refused(code()),
        _ => return None,
    };
    let transfer = match &kept.transfer {
        Some(id) => Some(id.parse().ok()?),
        None => None,
    };
    Some(Occurrence { order: id.into(), due: due.parse().ok()?, attempt: kept.attempt, outcome, transfer })
}

/// The order that has the id, if that is the same request, sent again.
fn same(known: Order, terms: &Terms) -> Result<Order, BankError> {
    if known.terms == *terms {
        return Ok(known);
    }
    Err(refused("id_taken", format!("there is another standing order {}", known.id)))
}

fn check(terms: &Terms, account: &Account) -> Result<(), BankError> {
    if account.is_system() {
        return Err(refused("account_not_found", "the bank's own accounts have no standing orders"));
    }
    if terms.currency != account.currency {
        return Err(refused("currency_mismatch", format!("account {} is in {}", account.id, account.currency)));
    }
    if terms.to == Payee::Account(terms.from) {
        return Err(refused("same_account", "both sides are the same account"));
    }
    let is_long = terms.reference.as_deref().is_some_and(|text| REFERENCE_BYTES_MAX < text.len());
    let has_gap = terms.retries == 0 || 0 < terms.retry_days;
    if is_long || RETRIES_MAX < terms.retries || !has_gap || terms.amount.is_zero() || !terms.rhythm.is_valid() {
        let detail = format!(
            "a reference has at most {REFERENCE_BYTES_MAX} bytes, there are at most {RETRIES_MAX} retries at least a day \
             apart, and the amount is more than zero"
        );
        return Err(refused("malformed", detail));
    }
    Ok(())
}
