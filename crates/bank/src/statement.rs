//! The statement of an account for a month: what a customer is told of it, from which every file of it is made.
//!
//! A statement tells of the postings whose value date lies before the end of its month and of which no earlier statement
//! told, in the order in which they were booked. So those of the month are in it, and with them those that were booked late
//! for a month before: nothing that was told is told differently later. What it opens with is what the one before closed
//! with. Which postings those are depends only on how far the one before went and on up to which version of the account this
//! one looks: with the same two the same journal gives the same statement, in any year.

pub mod batch;
pub mod kept;
pub mod months;

use crate::Bank;
use crate::fee;
use crate::month::Month;
use crate::profile::PlainProfile;
use ledger::account::{Account, SystemAccount, SystemKind};
use ledger::currency::Currency;
use ledger::customer::ProfileField;
use ledger::ids::{AccountId, SYSTEM_ID_START, TransferId};
use ledger::time::{Day, Timestamp};
use ledger::transfer::{Posting, Side, TransferKind, Transferred};
use store::Fault;
use store::query::{BalanceQuery, Filter, PAGE_MAX, PostingQuery, PostingRow, TimeAxis};

/// How far statements have told of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Value dates before this.
    pub until: Timestamp,
    /// Versions of the account up to this one.
    pub version: u64,
    /// What they closed with, in minor units.
    pub balance: i128,
}

/// One posting as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The account's version with it.
    pub version: u64,
    /// The transfer it is of.
    pub transfer: TransferId,
    /// What kind of transfer that is.
    pub kind: TransferKind,
    /// Whether it is interest or a fee, which a statement sums up.
    pub category: Option<Category>,
    /// When it was booked.
    pub booked_at: Timestamp,
    /// Its value date.
    pub effective_at: Timestamp,
    /// What it adds to the balance, in minor units.
    pub amount: i128,
    /// The balance with it.
    pub balance: i128,
    /// The customer's account on the other side, where there is one.
    pub counterparty: Option<AccountId>,
    /// What the client called it.
    pub reference: Option<Box<str>>,
    /// Whether its value date lies before the month: it was booked late.
    pub is_late: bool,
}

impl Line {
    /// What kind of transfer it is told as, in all files alike: interest and fees as what they are, however they were booked.
    pub fn told_kind(&self) -> TransferKind {
        match (self.kind, self.category) {
            (TransferKind::Reversal, _) | (_, None) => self.kind,
            (_, Some(Category::Interest)) => TransferKind::Interest,
            (_, Some(Category::Fee)) => TransferKind::Fee,
        }
    }
}

/// What a statement sums up besides what came in and went out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// Interest, paid or charged.
    Interest,
    /// A fee.
    Fee,
}

impl Category {
    /// What a transfer is: by its kind, or by what the client said of its `purpose`, as banks do whose interest and fees come
    /// from another system.
    fn of(transferred: &Transferred) -> Option<Category> {
        match transferred.kind {
            TransferKind::Interest => return Some(Category::Interest),
            TransferKind::Fee => return Some(Category::Fee),
            _ => {}
        }
        let metadata = transferred.note.as_deref().map_or(&[][..], |note| &note.metadata);
        let purpose = metadata.iter().find(|(key, _)| &**key == "purpose").map(|(_, value)| &**value)?;
        match purpose {
            "interest" | "overdraft_interest" => Some(Category::Interest),
            "fee" | "statement_fee" => Some(Category::Fee),
            _ => None,
        }
    }
}

/// Whether a posting is the fee of its transfer: what went to the bank's income beside the amount, or came back from there. What
/// the recipient pays is a part of the amount instead.
fn is_fee(row: &PostingRow, original: &Transferred) -> bool {
    let paired = row.transfer.transferred().and_then(|transferred| transferred.postings.get(row.index ^ 1));
    let other = paired.and_then(|paired| SystemAccount::from_id(paired.account));
    other.is_some_and(|other| other.kind == SystemKind::Income) && !fee::is_paid_by_recipient(original)
}

/// Sums over the lines, in minor units; interest and fees are in one of the first two as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// What came in.
    pub credits: i128,
    /// What went out, as a positive number.
    pub debits: i128,
    /// Interest, paid less charged.
    pub interest: i128,
    /// Fees charged, less those given back.
    pub fees: i128,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The account.
    pub account: AccountId,
    /// Its currency.
    pub currency: Currency,
    /// The month.
    pub month: Month,
    /// The name of whom it belongs to; `None` when it can no longer be read.
    pub holder: Option<String>,
    /// The customer's language tag.
    pub locale: Option<String>,
    /// The balance that the one before closed with.
    pub opening: i128,
    /// The balance it closes with.
    pub closing: i128,
    /// The account's version up to which it looks.
    pub version: u64,
    /// Its lines, as they were booked.
    pub lines: Vec<Line>,
    /// Sums over them.
    pub totals: Totals,
    /// The end of its month, or when it was made for an account that was closed; when its last line was booked if that was
    /// later. There is no clock in a statement.
    pub as_of: Timestamp,
}

impl Statement {
    /// How far statements have told, this one included.
    pub fn told(&self) -> Told {
        Told { until: self.month.end(), version: self.version, balance: self.closing }
    }

    /// The last day that it tells of: that of the month, or the one on which it was made for an account that was closed.
    pub fn last_day(&self) -> Day {
        Day::new(self.month.day_after().number() - 1).min(self.as_of.day())
    }
}

/// What a statement is made from, besides its postings.
#[derive(Clone, Debug)]
pub struct StatementQuery {
    /// The month.
    pub month: Month,
    /// How far earlier statements told; `None` if there is none: the balance at the start of the month is what it opens
    /// with then.
    pub told: Option<Told>,
    /// Up to which version it looks; `None` for all there are.
    pub version: Option<u64>,
    /// When it was made, of one that is made before its month is over, because the account was closed.
    pub closed_at: Option<Timestamp>,
}

impl Bank {
    /// The statement of an account; `None` if there is no such account, or it is the bank's own.
    ///
    /// # Errors
    /// A fault of a shard or the keyring. `Corrupt` if what it opens with and its lines do not add up to what the account
    /// has: such a statement is given to nobody.
    pub async fn statement(&self, id: AccountId, query: &StatementQuery) -> Result<Option<Statement>, Fault> {
        let Some(account) = self.account(id).await? else { return Ok(None) };
        let Some(customer) = account.customer else { return Ok(None) };
        let customer = self.user(customer).await?;
        let profile = match &customer {
            Some(customer) => self.open_profile(customer).await?,
            None => PlainProfile::default(),
        };
        self.statement_for(&account, &profile, query).await.map(Some)
    }

    /// As [`Bank::statement`], where the account and its customer's profile were read already.
    ///
    /// # Errors
    /// As [`Bank::statement`].
    pub async fn statement_for(
        &self,
        account: &Account,
        profile: &PlainProfile,
        query: &StatementQuery,
    ) -> Result<Statement, Fault> {
        let StatementQuery { month, told, version, closed_at } = query;
        let version = version.unwrap_or(account.version).min(account.version);
        let first = match told {
            Some(told) => *told,
            None => self.told_before(account, *month, version).await?,
        };
        let mut rows = self.rows(account.id, Some(first.until), month.end(), None).await?;
        if told.is_some() && first.version < version {
            let until = first.until;
            rows.extend(self.rows(account.id, None, until, Some(first.version)).await?);
        }
        let lines = rows.iter().filter_map(|row| line(account.id, *month, row)).filter(|line| line.version <= version);
        let mut lines: Vec<Line> = lines.collect();
        self.categorise_reversals(&rows, &mut lines).await?;
        let until = closed_at.unwrap_or(month.end());
        let statement = add_up(account, *month, (first, version, until), lines, profile);
        self.check(account.id, &statement).await?;
        Ok(statement)
    }

    /// What reverses interest or a fee is that as well: it gives back what was charged.
    async fn categorise_reversals(&self, rows: &[PostingRow], lines: &mut [Line]) -> Result<(), Fault> {
        for line in lines.iter_mut().filter(|line| line.kind == TransferKind::Reversal) {
            let is_of_line =
                |row: &&PostingRow| row.parts().is_some_and(|(posting, ..)| posting.version == line.version);
            let Some(row) = rows.iter().find(is_of_line) else { continue };
            let reversed = row.transfer.transferred().and_then(|transferred| transferred.reverses);
            let Some(reversed) = reversed else { continue };
            let original = self.transfer(reversed.transfer).await?;
            let Some(original) = original.as_ref().and_then(|details| details.view.transfer.transferred()) else {
                continue;
            };
            let fee = is_fee(row, original).then_some(Category::Fee);
            line.category = line.category.or(Category::of(original)).or(fee);
        }
        Ok(())
    }

    /// Where there is no earlier statement: all that the account had before the month.
    async fn told_before(&self, account: &Account, month: Month, version: u64) -> Result<Told, Fault> {
        let until = month.start();
        Ok(Told { until, version, balance: self.balance_before(account.id, until, version).await? })
    }

    /// The balance from the postings with a value date before a time, of versions up to one.
    async fn balance_before(&self, account: AccountId, until: Timestamp, version: u64) -> Result<i128, Fault> {
        let Some(last) = until.microseconds().checked_sub(1).and_then(Timestamp::from_microseconds) else {
            return Ok(0);
        };
        let at = BalanceQuery { account, at: last, axis: TimeAxis::Effective };
        for _ in 0..READS_MAX {
            let before = self.version_of(account).await?;
            let all = self.balance_at(at).await?.unwrap_or(0);
            let after = self.version_of(account).await?;
            let later =
                if version < after { self.rows(account, None, until, Some(version)).await? } else { Vec::new() };
            let later: Vec<&Posting> =
                later.iter().filter_map(PostingRow::parts).map(|(posting, ..)| posting).collect();
            if later.iter().any(|posting| (before + 1..=after).contains(&posting.version)) {
                continue; // whether what came meanwhile is in the balance nobody can tell
            }
            let later = later.into_iter().filter(|posting| posting.version <= before);
            return Ok(all - later.map(signed).sum::<i128>());
        }
        Err(Fault::Unavailable { reason: format!("account {account} changed whenever it was read for its statement") })
    }

    async fn version_of(&self, account: AccountId) -> Result<u64, Fault> {
        Ok(self.account(account).await?.map_or(0, |account| account.version))
    }

    /// The months from one on and before another in which the account has postings by value date, the earliest first.
    pub(crate) async fn months_with_postings(
        &self,
        account: AccountId,
        first: Month,
        until: Month,
    ) -> Result<Vec<Month>, Fault> {
        let mut months = Vec::new();
        // Most accounts that rest do so for long: halves of a span that has nothing are not looked into.
        let mut spans = vec![(first, first.months_until(until))];
        while let Some((first, count)) = spans.pop() {
            let Some(after) = first.later_by(count).filter(|_| 0 < count) else { continue };
            if !self.has_postings(account, first.start(), after.start()).await? {
                continue;
            }
            match first.later_by(count / 2) {
                Some(middle) if 1 < count => spans.extend([(middle, count - count / 2), (first, count / 2)]),
                _ => months.push(first),
            }
        }
        Ok(months)
    }

    async fn has_postings(&self, account: AccountId, since: Timestamp, until: Timestamp) -> Result<bool, Fault> {
        let filter = Filter { since: Some(since), until: Some(until), axis: TimeAxis::Effective, ..Filter::default() };
        let mut before = None;
        loop {
            let query = PostingQuery { account, side: None, filter: filter.clone(), before, limit: 1 };
            let page = self.postings(query).await?;
            if !page.items.is_empty() || page.next.is_none() {
                return Ok(!page.items.is_empty());
            }
            before = page.next;
        }
    }

    /// The account's postings with these value dates, newest first, after a version if one is named.
    pub(crate) async fn rows(
        &self,
        account: AccountId,
        since: Option<Timestamp>,
        until: Timestamp,
        after: Option<u64>,
    ) -> Result<Vec<PostingRow>, Fault> {
        let filter = Filter { since, until: Some(until), axis: TimeAxis::Effective, ..Filter::default() };
        let (mut rows, mut before) = (Vec::new(), None);
        loop {
            let query = PostingQuery { account, side: None, filter: filter.clone(), before, limit: PAGE_MAX };
            let page = self.postings(query).await?;
            let is_new = |row: &PostingRow| {
                row.parts().is_some_and(|(posting, ..)| after.is_none_or(|after| after < posting.version))
            };
            let known = page.items.iter().position(|row| !is_new(row));
            rows.extend(page.items.into_iter().take(known.unwrap_or(usize::MAX)));
            match page.next {
                Some(next) if known.is_none() => before = Some(next),
                _ => return Ok(rows),
            }
        }
    }

    /// What a statement closes with is asked for in another way, by the engine's own sums.
    async fn check(&self, account: AccountId, statement: &Statement) -> Result<(), Fault> {
        let balance = self.balance_before(account, statement.month.end(), statement.version).await?;
        if balance == statement.closing {
            return Ok(());
        }
        let (month, closing) = (statement.month, statement.closing);
        let detail =
            format!("the statement of account {account} for {month} closes with {closing}, the account has {balance}");
        Err(Fault::Corrupt { detail })
    }
}

/// How often a balance is read while the account changes, before it is left for later.
const READS_MAX: usize = 20;

fn signed(posting: &Posting) -> i128 {
    match posting.side {
        Side::Credit => posting.amount.signed(),
        Side::Debit => -posting.amount.signed(),
    }
}

fn line(account: AccountId, month: Month, row: &PostingRow) -> Option<Line> {
    let (posting, transferred, entry) = row.parts()?;
    // What a reversal gives back is as the original was.
    let fee = transferred.kind != TransferKind::Reversal && is_fee(row, transferred);
    Some(Line {
        version: posting.version,
        transfer: transferred.id,
        kind: transferred.kind,
        category: Category::of(transferred).or(fee.then_some(Category::Fee)),
        booked_at: entry.header.time,
        effective_at: transferred.effective_at,
        amount: signed(posting),
        balance: 0,
        counterparty: counterparty(account, transferred),
        reference: transferred.note.as_deref().and_then(|note| note.reference.clone()),
        is_late: transferred.effective_at < month.start(),
    })
}

fn counterparty(account: AccountId, transferred: &Transferred) -> Option<AccountId> {
    match &transferred.postings[..] {
        [one, other] => [one.account, other.account]
            .into_iter()
            .find(|id| *id != account)
            .filter(|id| id.number() < SYSTEM_ID_START),
        _ => None,
    }
}

/// A move to another shard takes out and brings in the same: that is no business of the customer's.
fn without_moves(lines: Vec<Line>) -> Vec<Line> {
    let mut kept: Vec<Line> = Vec::with_capacity(lines.len());
    for line in lines {
        let undoes = |last: &mut Line| (last.kind, last.amount) == (TransferKind::Move, -line.amount);
        if line.kind == TransferKind::Move && kept.pop_if(undoes).is_some() {
            continue;
        }
        kept.push(line);
    }
    kept
}

fn add_up(
    account: &Account,
    month: Month,
    (told, version, until): (Told, u64, Timestamp),
    mut lines: Vec<Line>,
    profile: &PlainProfile,
) -> Statement {
    lines.sort_by_key(|line| line.version);
    let mut lines = without_moves(lines);
    let (mut balance, mut totals, mut as_of) = (told.balance, Totals::default(), until);
    for line in &mut lines {
        balance += line.amount;
        line.balance = balance;
        as_of = as_of.max(line.booked_at);
        match line.category {
            Some(Category::Interest) => totals.interest += line.amount,
            Some(Category::Fee) => totals.fees -= line.amount,
            None => {}
        }
        totals.credits += line.amount.max(0);
        totals.debits -= line.amount.min(0);
    }
    let text = |field| profile.get(field).map(str::to_owned);
    Statement {
        account: account.id,
        currency: account.currency,
        month,
        holder: text(ProfileField::Name),
        locale: text(ProfileField::Locale),
        opening: told.balance,
        closing: balance,
        version,
        lines,
        totals,
        as_of,
    }
}
