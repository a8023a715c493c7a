//! Holds: amounts reserved on an account until they are captured, voided or expire.

use crate::amount::Amount;
use crate::currency::Currency;
use crate::ids::{AccountId, HoldId};
use crate::time::{Day, Timestamp};

/// A hold as it stands, or as it stood when an entry was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Its id.
    pub id: HoldId,
    /// The account on which money is reserved.
    pub from: AccountId,
    /// Who gets it when a capture names nobody else; without one a capture is a withdrawal.
    pub to: Option<AccountId>,
    /// What was reserved.
    pub amount: Amount,
    /// What has been captured of it so far.
    pub captured: Amount,
    /// Its currency.
    pub currency: Currency,
    /// Where it stands.
    pub status: HoldStatus,
    /// When it expires by itself, if ever: from this instant on it reserves nothing.
    pub expires_at: Option<Timestamp>,
    /// When it was placed.
    pub created_at: Timestamp,
    /// The booking day it was placed on, whose limits it counts against.
    pub day: Day,
}

/// Where a hold stands. All but `Held` are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HoldStatus {
    /// It reserves what is not captured yet.
    Held,
    /// Its last capture is done.
    Captured,
    /// Somebody gave it up.
    Voided,
    /// Its time was over.
    Expired,
}

impl HoldStatus {
    /// The word for it on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            HoldStatus::Held => "held",
            HoldStatus::Captured => "captured",
            HoldStatus::Voided => "voided",
            HoldStatus::Expired => "expired",
        }
    }
}

impl Hold {
    /// What it still reserves, whatever the time.
    pub fn remaining(&self) -> Amount {
        match self.status {
            HoldStatus::Held => self.amount.checked_sub(self.captured).unwrap_or(Amount::ZERO),
            HoldStatus::Captured | HoldStatus::Voided | HoldStatus::Expired => Amount::ZERO,
        }
    }

    /// Whether its time is over though nobody has recorded that yet.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.status == HoldStatus::Held && self.expires_at.is_some_and(|expires_at| expires_at <= now)
    }

    /// The hold as a reader sees it at this time: expired when it is due.
    #[must_use]
    pub fn seen_at(&self, now: Timestamp) -> Hold {
        let status = if self.is_due(now) { HoldStatus::Expired } else { self.status };
        Hold { status, ..self.clone() }
    }
}
