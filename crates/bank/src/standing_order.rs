//! Standing orders and scheduled transfers: what a customer wants to be moved on certain days, once or again and again.
//!
//! Each occurrence has a due day, and one transfer at most: its idempotency key is made of the order, the due day and the
//! number of the attempt. An attempt is noted before it is made, and the next one is made only after a recorded refusal.
//! So whoever executes orders, how often and on how many nodes at once, moves money once. Days off are caught up in order.

mod execute;
mod kept;
pub mod rhythm;

pub use execute::Executed;

use crate::Bank;
use crate::holidays::{BusinessCalendar, HolidayRule};
use crate::notification::Notifications;
use crate::ports::Records;
use ledger::amount::Amount;
use ledger::currency::Currency;
use ledger::ids::AccountId;
use ledger::time::Day;
use rhythm::Rhythm;
use std::fmt;
use std::sync::Arc;

/// Most tries of an occurrence after the first.
pub const RETRIES_MAX: u8 = 30;
/// Longest reference in bytes: it has to fit beside the order's id.
pub const REFERENCE_BYTES_MAX: usize = 200;

/// The standing orders of a bank. Cheap to clone.
#[derive(Clone)]
pub struct StandingOrders {
    bank: Arc<Bank>,
    records: Arc<dyn Records>,
    calendar: BusinessCalendar,
    notifications: Option<Arc<Notifications>>,
}

impl fmt::Debug for StandingOrders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StandingOrders").finish_non_exhaustive()
    }
}

impl StandingOrders {
    /// The standing orders of this bank.
    pub fn new(bank: Arc<Bank>, records: Arc<dyn Records>, calendar: BusinessCalendar) -> StandingOrders {
        StandingOrders { bank, records, calendar, notifications: None }
    }

    /// The same, with customers told of what was refused.
    #[must_use]
    pub fn told_by(self, notifications: Arc<Notifications>) -> StandingOrders {
        StandingOrders { notifications: Some(notifications), ..self }
    }

    /// The bank's calendar with its holidays.
    pub fn calendar(&self) -> &BusinessCalendar {
        &self.calendar
    }

    /// The bank.
    pub fn bank(&self) -> &Arc<Bank> {
        &self.bank
    }
}

/// Where the money goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payee {
    /// To an account of this bank.
    Account(AccountId),
    /// Out of the bank, as a withdrawal does.
    Outside,
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The account that pays.
    pub from: AccountId,
    /// Where the money goes.
    pub to: Payee,
    /// How much.
    pub amount: Amount,
    /// The currency.
    pub currency: Currency,
    /// What the customer calls it.
    pub reference: Option<Box<str>>,
    /// When.
    pub rhythm: Rhythm,
    /// The last day that may be due.
    pub until: Option<Day>,
    /// What becomes of a due day without business.
    pub holidays: HolidayRule,
    /// How often it is tried again when the money is not there.
    pub retries: u8,
    /// How many days lie between two tries.
    pub retry_days: u8,
}

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It has further due days.
    Active,
    /// Its last due day is over.
    Ended,
    /// Somebody ended it.
    Cancelled,
}

impl Status {
    /// Every status with the word for it on the wire.
    pub const ALL: [(&'static str, Status); 3] =
        [("active", Status::Active), ("ended", Status::Ended), ("cancelled", Status::Cancelled)];

    /// The word for it on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Status::Active => "active",
            Status::Ended => "ended",
            Status::Cancelled => "cancelled",
        }
    }
}

/// An occurrence that is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// Its due day, by the rhythm.
    pub due: Day,
    /// Which try it is, from 1.
    pub attempt: u8,
    /// The day of the try.
    pub on: Day,
}

/// A standing order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its id.
    pub id: Box<str>,
    /// What is wanted.
    pub terms: Terms,
    /// Where it stands.
    pub status: Status,
    /// What is next, while it is active.
    pub next: Option<Next>,
}

/// What became of an occurrence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The money moved, or is on its way to another shard.
    Done,
    /// It was refused with this code and is tried again on a day.
    Retry(Box<str>, Day),
    /// It was refused with this code for good.
    Refused(Box<str>),
}

/// An occurrence that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occurrence {
    /// The order.
    pub order: Box<str>,
    /// Its due day.
    pub due: Day,
    /// Which try.
    pub attempt: u8,
    /// What became of it.
    pub outcome: Outcome,
    /// The transfer, where the money moved.
    pub transfer: Option<ledger::ids::TransferId>,
}
