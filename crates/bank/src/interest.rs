//! Interest: what accounts bear, worked out exactly day by day, and posted as ordinary transfers.
//!
//! # How a day is closed
//!
//! Everything follows from the journal, the products and the calendar; when a day is closed, how often and by whom makes no
//! difference.
//!
//! 1. What was booked before the end of the day is known at its close, and nothing else. So the balance at the end of a day
//!    is the same for whoever closes it. What is booked later with a value date on a closed day changes that day's
//!    interest when its own day is closed, by a **correction**.
//! 2. The balance at the end of the day bears the rate of that day. The product of both and of the day's part of a year is
//!    kept exactly ([`parts`]).
//! 3. At the end of a period the whole minor units of all that accrued and was not posted are posted, with the first
//!    instant of the next day as value date. The rest is carried over. So what accrued equals what was posted and the
//!    carry, at any time.
//! 4. A correction of a period that was posted is a posting of its own, which names the period. Nothing posted changes.
//!
//! Its own postings are no business of the journal's scan: what was posted is known from the close that posted it, whether
//! it was booked right after midnight or a week late.

pub mod catalogue;
mod close;
mod correction;
pub mod course;
pub mod day_count;
mod history;
mod movements;
pub mod parts;
mod plans;
mod posting;
pub mod product;
mod state;

pub use close::{CloseError, Closed};
pub use posting::Paid;

use crate::Bank;
use crate::business_date;
use crate::calendar::Calendar;
use crate::ports::Records;
use ledger::time::Day;
use std::fmt;
use std::sync::Arc;
use store::Fault;

/// The interest of a bank's accounts. Cheap to clone.
#[derive(Clone)]
pub struct Interest {
    bank: Arc<Bank>,
    records: Arc<dyn Records>,
    calendar: Calendar,
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interest").field("calendar", &self.calendar).finish_non_exhaustive()
    }
}

impl Interest {
    /// The interest of this bank, by this calendar.
    pub fn new(bank: Arc<Bank>, records: Arc<dyn Records>, calendar: Calendar) -> Interest {
        Interest { bank, records, calendar }
    }

    /// The bank.
    pub fn bank(&self) -> &Arc<Bank> {
        &self.bank
    }

    /// The bank's calendar.
    pub fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    /// Where products and states are kept.
    pub fn records(&self) -> &dyn Records {
        self.records.as_ref()
    }

    /// The bank's business date: the first day that is not closed.
    ///
    /// # Errors
    /// A fault of the records.
    pub async fn business_date(&self) -> Result<Day, Fault> {
        business_date::date(self.records(), &self.calendar, self.bank.now()).await
    }

    /// The first day on which an account can bear interest that was opened on this booking day, whatever value dates its
    /// postings have: what is dated before it was there bears from here.
    fn first_day_of(&self, opened: Day) -> Day {
        opened.start().map_or(opened, |start| self.calendar.day(start))
    }
}

/// What a sum says that cannot be counted any more.
fn too_much(what: impl fmt::Display) -> Fault {
    Fault::Corrupt { detail: format!("the interest of {what} is too much to count") }
}
