//! Fees: named schedules, and the legs they add to a transfer. A fee is a part of its transfer: it is booked with it or not
//! at all, and goes to the bank's income in the transfer's currency.

use crate::error::BankError;
use crate::ports::{Expected, RecordChange, Records};
use crate::records::parsed;
use crate::split::Percent;
use crate::submit::allow;
use crate::{Bank, Caller};
use ledger::account::{SystemAccount, SystemKind};
use ledger::amount::Amount;
use ledger::currency::Currency;
use ledger::token::Role;
use ledger::transfer::{Leg, LegAmount, Legs, Transfer, TransferKind, Transferred};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use store::Fault;

const LATEST: &str = "fee/";
const HISTORY: &str = "fee-history/";
/// Says who paid, in a transfer's metadata.
const PAID_BY: &str = "florin.fee.paid_by";

/// Who pays a fee.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaidBy {
    /// Whoever pays, on top of the amount.
    #[default]
    Sender,
    /// Whoever is paid, out of the amount.
    Recipient,
}

impl fmt::Display for PaidBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PaidBy::Sender => "sender",
            PaidBy::Recipient => "recipient",
        })
    }
}

/// Whether a transfer has a fee that was taken out of its amount.
pub(crate) fn is_paid_by_recipient(transferred: &Transferred) -> bool {
    let metadata = transferred.note.as_deref().map_or(&[][..], |note| &note.metadata);
    let recipient = PaidBy::Recipient.to_string();
    metadata.iter().any(|(key, value)| &**key == PAID_BY && **value == *recipient)
}

/// What is charged from an amount on. Amounts are in minor units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tier {
    /// From this amount on.
    pub from: u64,
    /// So much in any case.
    pub flat: u64,
    /// And so much of the whole amount, in per cent: an exact decimal.
    pub percent: Option<String>,
}

/// A schedule as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its name.
    pub name: String,
    /// Its currency.
    pub currency: String,
    /// Counts its changes, from 1.
    pub version: u64,
    /// What is charged, by amount: of those that begin at or below it the highest counts.
    pub tiers: Vec<Tier>,
    /// At least this.
    pub minimum: u64,
    /// At most this.
    pub maximum: Option<u64>,
    /// Who pays it.
    pub paid_by: PaidBy,
    /// Who set it.
    pub set_by: String,
    /// When, in microseconds.
    pub set_at: u64,
}

impl Schedule {
    /// The fee for an amount, in minor units: flat, and per cent with half of a minor unit to the even, within minimum and
    /// maximum. An amount below the first tier costs nothing.
    ///
    /// # Errors
    /// `Corrupt` if the record has a percentage that is none.
    pub fn fee(&self, amount: Amount) -> Result<u64, Fault> {
        let tier = self.tiers.iter().filter(|tier| tier.from <= amount.minor_units()).max_by_key(|tier| tier.from);
        let Some(tier) = tier else { return Ok(0) };
        let corrupt = |_| Fault::Corrupt { detail: format!("the fee {} has a percentage that is none", self.name) };
        let percent: Option<Percent> = tier.percent.as_deref().map(str::parse).transpose().map_err(corrupt)?;
        let fee = tier.flat.saturating_add(percent.map_or(0, |percent| percent.half_even_of(amount)));
        Ok(fee.max(self.minimum).min(self.maximum.unwrap_or(u64::MAX)))
    }
}

/// Fees of a bank, kept in its records. Cheap to clone.
#[derive(Clone)]
pub struct Fees {
    bank: Arc<Bank>,
    records: Arc<dyn Records>,
}

impl fmt::Debug for Fees {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fees").finish_non_exhaustive()
    }
}

fn latest_key(name: &str, currency: &str) -> String {
    format!("{LATEST}{name}/{currency}")
}

fn malformed<T>(detail: impl Into<String>) -> Result<T, BankError> {
    Err(BankError::Malformed { code: "malformed", detail: detail.into() })
}

impl Fees {
    /// The fees of this bank, in these records.
    pub fn new(bank: Arc<Bank>, records: Arc<dyn Records>) -> Fees {
        Fees { bank, records }
    }

    /// Sets a schedule; one that says the same changes nothing. As it is then.
    ///
    /// # Errors
    /// `Forbidden` unless the caller is an admin; `Malformed` for one that charges nothing or contradicts itself; a fault
    /// of the records.
    pub async fn set(&self, caller: &Caller, asked: &Schedule) -> Result<Schedule, BankError> {
        allow(caller, Role::Admin)?;
        check(asked)?;
        let key = latest_key(&asked.name, &asked.currency);
        loop {
            let stored = self.records.get(&key).await?;
            let old: Option<Schedule> = stored.as_deref().map(|value| parsed(&key, value)).transpose()?;
            let version = old.as_ref().map_or(0, |old| old.version);
            let (set_by, set_at) = (caller.principal.to_string(), self.bank.now().microseconds());
            let new = Schedule { version: version + 1, set_by, set_at, ..asked.clone() };
            if let Some(old) = old
                && (Schedule { version: new.version, set_by: new.set_by.clone(), set_at, ..old.clone() }) == new
            {
                return Ok(old);
            }
            let history = format!("{HISTORY}{}/{}/{:010}", new.name, new.currency, new.version);
            let expected = stored.map_or(Expected::Absent, Expected::Exactly);
            let changes =
                vec![RecordChange::put(key.as_str(), &new)?.expecting(expected), RecordChange::put(history, &new)?];
            if self.records.change(changes).await? {
                return Ok(new);
            }
        }
    }

    /// The schedules as they are now, by name and currency, at most so many.
    ///
    /// # Errors
    /// A fault of the records.
    pub async fn list(&self, count: usize) -> Result<Vec<Schedule>, Fault> {
        let found = self.records.list(LATEST, None, count).await?;
        found.iter().map(|(key, value)| parsed(key, value)).collect()
    }

    /// The transfer with the fee of this name as a leg of its own. What it costs is in the metadata.
    ///
    /// # Errors
    /// `Refused` where there is no such fee in the currency (`fee_not_found`) or the amount does not cover it
    /// (`amount_invalid`); `Malformed` for a transfer that can have none; a fault of the records.
    pub async fn charge(&self, mut transfer: Transfer, name: &str) -> Result<Transfer, BankError> {
        let currency = transfer.currency;
        let key = latest_key(name, currency.code());
        let stored = self.records.get(&key).await?;
        let Some(stored) = stored.filter(|_| is_name(name)) else {
            let detail = format!("there is no fee `{name}` in {currency}; set it first (POST /api/v1/fees)");
            return Err(BankError::Refused { code: "fee_not_found", detail });
        };
        let schedule: Schedule = parsed(&key, &stored)?;
        let whole = whole_of(&transfer)?;
        let fee = Amount::new(schedule.fee(whole)?).ok_or_else(|| too_large(&schedule))?;
        let text = format!("{} {currency}", fee.decimal(currency.scale()));
        note(
            &mut transfer,
            [
                ("florin.fee.amount", text),
                ("florin.fee.name", name.to_owned()),
                (PAID_BY, schedule.paid_by.to_string()),
                ("florin.fee.version", schedule.version.to_string()),
            ],
        );
        if fee.is_zero() {
            return Ok(transfer);
        }
        transfer.legs = self.legs_with(&transfer, &schedule, whole, fee, currency)?;
        Ok(transfer)
    }

    fn legs_with(
        &self,
        transfer: &Transfer,
        schedule: &Schedule,
        whole: Amount,
        fee: Amount,
        currency: Currency,
    ) -> Result<Legs, BankError> {
        let mut legs = transfer.legs.to_vec();
        let Some(first) = legs.first().copied() else { return malformed("a transfer without legs has no fee") };
        let customers = if transfer.kind == TransferKind::Deposit { first.to } else { first.from };
        let income = SystemAccount::standard(self.bank.shard_of_account(customers), SystemKind::Income, currency).id();
        match (schedule.paid_by, legs.as_mut_slice()) {
            (PaidBy::Recipient, [only]) => {
                let left = whole.checked_sub(fee).filter(|left| !left.is_zero());
                let Some(left) = left else {
                    let detail = format!("the fee `{}` is as much as the amount; move more", schedule.name);
                    return Err(BankError::Refused { code: "amount_invalid", detail });
                };
                only.amount = LegAmount::Exactly(left);
            }
            (PaidBy::Recipient, _) => return malformed("a fee that the recipient pays needs one recipient"),
            (PaidBy::Sender, _) if transfer.kind == TransferKind::Deposit => {
                return malformed("a fee on a deposit is paid by the recipient; name one that says so");
            }
            (PaidBy::Sender, _) => {}
        }
        legs.push(Leg { from: first.from, to: income, amount: LegAmount::Exactly(fee) });
        Ok(Legs::Many(legs.into()))
    }
}

fn too_large(schedule: &Schedule) -> BankError {
    BankError::Refused {
        code: "amount_invalid",
        detail: format!("the fee `{}` has more than 18 digits", schedule.name),
    }
}

/// What one account pays, in all legs together.
fn whole_of(transfer: &Transfer) -> Result<Amount, BankError> {
    let mut whole = Amount::ZERO;
    for leg in transfer.legs.iter() {
        let LegAmount::Exactly(amount) = leg.amount else {
            return malformed("a fee needs an exact amount, not `max`");
        };
        if transfer.legs.first().is_some_and(|first| first.from != leg.from) {
            return malformed("a fee needs one account that pays; these legs have several");
        }
        let sum = whole.checked_add(amount);
        whole = match sum {
            Some(sum) => sum,
            None => return malformed("the legs have more than 18 digits together"),
        };
    }
    Ok(whole)
}

/// Adds metadata that is the bank's own.
fn note<const N: usize>(transfer: &mut Transfer, more: [(&str, String); N]) {
    let note = transfer.note.get_or_insert_default();
    let mut metadata = std::mem::take(&mut note.metadata).into_vec();
    metadata.extend(more.into_iter().map(|(key, value)| (key.into(), value.into())));
    metadata.sort_unstable();
    note.metadata = metadata.into();
}

/// Whether this can name a schedule: what is a part of a record's key.
pub fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
    (1..=40).contains(&name.len()) && name.bytes().all(fits)
}

fn check(schedule: &Schedule) -> Result<(), BankError> {
    if !is_name(&schedule.name) {
        return malformed("`name` has 1 to 40 of a-z, 0-9, `_` and `-`");
    }
    if schedule.currency.parse::<Currency>().is_err() {
        return malformed("`currency` is no code of ISO 4217");
    }
    if schedule.maximum.is_some_and(|maximum| maximum < schedule.minimum) {
        return malformed("`maximum` is below `minimum`");
    }
    let charges = |tier: &Tier| tier.flat != 0 || tier.percent.is_some();
    if schedule.minimum == 0 && !schedule.tiers.iter().any(charges) {
        return malformed("a fee needs `flat`, `percent`, `tiers` or `minimum`");
    }
    if !schedule.tiers.windows(2).all(|pair| pair[0].from < pair[1].from) {
        return malformed("`tiers` must begin at amounts that grow");
    }
    let is_percent = |tier: &Tier| tier.percent.as_deref().is_none_or(|text| text.parse::<Percent>().is_ok());
    if !schedule.tiers.iter().all(is_percent) {
        return malformed("a percentage is a plain decimal above 0 and at most 100");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(tiers: &[(u64, u64, Option<&str>)], minimum: u64, maximum: Option<u64>) -> Schedule {
        let tier = |(from, flat, percent): &(u64, u64, Option<&str>)| Tier {
            from: *from,
            flat: *flat,
            percent: percent.map(str::to_owned),
        };
        Schedule {
            name: "wire".into(),
            currency: "EUR".into(),
            version: 1,
            tiers: tiers.iter().map(tier).collect(),
            minimum,
            maximum,
            paid_by: PaidBy::Sender,
            set_by: "local".into(),
            set_at: 0,
        }
    }

    fn fees(schedule: &Schedule, amounts: &[u64]) -> Vec<u64> {
        amounts.iter().map(|units| schedule.fee(Amount::new(*units).expect("an amount")).expect("a fee")).collect()
    }

    #[test]
    fn fees_are_flat_and_per_cent_half_to_even_within_minimum_and_maximum() {
        assert_eq!(fees(&schedule(&[(0, 150, None)], 0, None), &[1, 1_000_000]), [150, 150]);
        assert_eq!(fees(&schedule(&[(0, 0, Some("0.5"))], 0, None), &[100, 300, 500, 10_000]), [0, 2, 2, 50]);
        assert_eq!(
            fees(&schedule(&[(0, 100, Some("0.25"))], 200, Some(2500)), &[1, 100_000, 9_999_999]),
            [200, 350, 2500]
        );
    }

    #[test]
    fn of_tiers_the_highest_that_begins_at_or_below_the_amount_counts() {
        let tiered = schedule(&[(0, 100, None), (10_000, 0, Some("1")), (100_000, 0, Some("0.5"))], 0, None);
        assert_eq!(fees(&tiered, &[9_999, 10_000, 99_999, 100_000]), [100, 100, 1000, 500]);
        assert_eq!(fees(&schedule(&[(10_000, 5, None)], 1, None), &[9_999, 10_000]), [0, 5]);
    }
}
