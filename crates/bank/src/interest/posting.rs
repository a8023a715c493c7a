//! Posts interest: ordinary transfers between an account and the bank's expense account beside it, each under a key made of
//! what it is for, so that a repeat replays.

use super::Interest;
use super::product::Period;
use crate::error::BankError;
use crate::submit::ClientKey;
use crate::{Bank, Caller};
use ledger::account::{Status, SystemAccount, SystemKind};
use ledger::amount::Amount;
use ledger::command::Command;
use ledger::currency::Currency;
use ledger::event::{Channel, Event, Outcome};
use ledger::ids::AccountId;
use ledger::time::{Day, Timestamp};
use ledger::transfer::{Leg, LegAmount, Legs, Note, Transfer, TransferKind, Transferred};
use store::{Answer, EntryRef, Fault, transfers_of};

const REGULAR: &str = "interest";
const CORRECTION: &str = "interest correction";

/// Interest to be posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// Whose.
    pub(crate) account: AccountId,
    /// Its currency.
    pub(crate) currency: Currency,
    /// Of which product.
    pub(crate) product: Box<str>,
    /// For which days.
    pub(crate) period: Period,
    /// The closed day at which it was found out that the period had to be corrected; `None` for its first posting.
    pub(crate) corrected_on: Option<Day>,
    /// How much, in minor units; less than zero is taken back.
    pub(crate) amount: i128,
    /// Whether some of it was refused before.
    pub(crate) is_again: bool,
}

/// What became of a posting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is posted.
    Posted,
    /// It was refused, with this code.
    Refused(&'static str),
    /// Something else was posted for the same before: so much, in minor units.
    Another(i128),
}

/// What a posting of interest says it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paid {
    /// The product.
    pub product: Box<str>,
    /// The days.
    pub period: Period,
    /// Whether it corrects what was posted for them.
    pub is_correction: bool,
}

impl Due {
    fn key(&self) -> String {
        format!("interest/{}", self.what())
    }

    /// What it is for; no two are for the same.
    pub(crate) fn what(&self) -> String {
        let Due { account, product, period, .. } = self;
        let corrected = self.corrected_on.map_or_else(String::new, |day| format!("/corrected/{day}"));
        format!("{account}/{product}/{}/{}{corrected}", period.first, period.last)
    }

    fn reference(&self) -> String {
        let what = if self.corrected_on.is_some() { CORRECTION } else { REGULAR };
        format!("{what} {} {}/{}", self.product, self.period.first, self.period.last)
    }

    /// As far as this node knows where the account is: where it is decided it gets the expense account of that shard.
    fn transfer(&self, bank: &Bank, effective_at: Timestamp) -> Option<Transfer> {
        let shard = bank.shard_of_account(self.account);
        let expense = SystemAccount::standard(shard, SystemKind::Expense, self.currency).id();
        let amount = u64::try_from(self.amount.unsigned_abs()).ok().and_then(Amount::new)?;
        let (from, to) = if self.amount < 0 { (self.account, expense) } else { (expense, self.account) };
        Some(Transfer {
            kind: TransferKind::Interest,
            currency: self.currency,
            legs: Legs::One([Leg { from, to, amount: LegAmount::Exactly(amount) }]),
            // What was paid too much is taken back whatever is left.
            forced: self.amount < 0,
            effective_at: Some(effective_at),
            note: Some(Box::new(Note { reference: Some(self.reference().into()), metadata: Box::default() })),
        })
    }
}

/// Whether the bank's own clock posted this as interest.
pub(crate) fn is_own(entry: &EntryRef, transferred: &Transferred) -> bool {
    transferred.kind == TransferKind::Interest && entry.header.context.channel == Channel::Timer
}

/// What a posting of interest is for; `None` if it is none of the bank's own clock.
pub(crate) fn paid(entry: &EntryRef, transferred: &Transferred) -> Option<Paid> {
    if !is_own(entry, transferred) {
        return None;
    }
    let reference = transferred.note.as_deref()?.reference.as_deref()?;
    let (what, period) = reference.rsplit_once(' ')?;
    let (what, product) = what.rsplit_once(' ')?;
    let (first, last) = period.split_once('/')?;
    let period = Period { first: first.parse().ok()?, last: last.parse().ok()? };
    Some(Paid { product: product.into(), period, is_correction: what == CORRECTION })
}

impl Interest {
    /// Posts what is due, with this value date; what became of each. What was posted or refused before is not asked again.
    pub(super) async fn post(&self, due: &[Due], effective_at: Timestamp) -> Result<Vec<Fate>, Fault> {
        let keys: Vec<(String, u128)> = due
            .iter()
            .map(|due| {
                let said = format!("{} {}", due.amount, due.currency);
                (due.key(), self.bank.fingerprint("interest", &[due.account.number()], said.as_bytes()))
            })
            .collect();
        let mut items = Vec::with_capacity(due.len());
        for (due, (text, fingerprint)) in due.iter().zip(&keys) {
            let transfer = due.transfer(&self.bank, effective_at).ok_or_else(|| super::too_much(due.account))?;
            items.push((Some(ClientKey { text, fingerprint: *fingerprint }), Command::Transfer(transfer)));
        }
        let answers = self.bank.submit_batch(&Caller::bank(), items, false).await;
        let mut fates = Vec::with_capacity(due.len());
        for ((answer, due), (text, _)) in answers.into_iter().zip(due).zip(&keys) {
            let answer = answer.map_err(BankError::into_fault)?;
            fates.push(match (&answer, answer.outcome()) {
                (Answer::KeyReused, _) => Fate::Another(self.posted_before(due, text, effective_at).await?),
                (_, Some(Outcome::Rejection { rejection, .. })) => Fate::Refused(rejection.code()),
                (_, Some(Outcome::Event(Event::Transferred(_)))) => Fate::Posted,
                // Were it on its way between shards, it would be counted once more when it arrives.
                _ => return Err(Fault::Corrupt { detail: format!("{text} was not posted beside its account") }),
            });
        }
        Ok(fates)
    }

    /// Whether the account of what is due is closed, and nobody ever asked to post this there. What was asked is asked again,
    /// so that who makes the states again comes to the same as when the account was open.
    pub(super) async fn is_closed(&self, due: &Due, effective_at: Timestamp) -> Result<bool, Fault> {
        let account = self.bank.account(due.account).await?;
        if account.is_none_or(|account| account.status != Status::Closed) {
            return Ok(false);
        }
        Ok(self.entry_before(due, &due.key(), effective_at).await?.is_none())
    }

    /// What was posted as interest on the account under the key of what is due.
    async fn posted_before(&self, due: &Due, text: &str, effective_at: Timestamp) -> Result<i128, Fault> {
        let Some(entry) = self.entry_before(due, text, effective_at).await? else { return Ok(0) };
        let own = transfers_of(&entry.outcome).iter().filter(|transferred| is_own(&entry, transferred));
        let postings = own.flat_map(|transferred| transferred.postings.iter());
        Ok(postings.filter(|posting| posting.account == due.account).map(|posting| posting.signed()).sum())
    }

    /// The entry with the key of what is due.
    async fn entry_before(&self, due: &Due, text: &str, effective_at: Timestamp) -> Result<Option<EntryRef>, Fault> {
        let transfer = due.transfer(&self.bank, effective_at).ok_or_else(|| super::too_much(due.account))?;
        let key = Some(ClientKey { text, fingerprint: 0 });
        let key = self
            .bank
            .key_digest(&Caller::bank(), key, &Command::Transfer(transfer))
            .await
            .map_err(BankError::into_fault)?;
        self.bank.entry_of_key(key.map_or(0, |key| key.digest)).await
    }
}
