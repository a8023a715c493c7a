//! Statements that are kept: made once, checked, and stored as files that never change.
//!
//! 1. The manifest of the account's month is looked for. It says how far the statement looks, so that everything in its files
//!    follows from it.
//! 2. Where there is none the statement is made, checked and printed, and stored with its manifest first. Of two who do so at
//!    once the first decides, and both go on with what it stored.
//! 3. Where there is one, files that are not there yet are made from the statement that it describes. So a crash in between
//!    leaves nothing half: whoever asks again makes the same bytes.

pub mod links;

use super::{Statement, StatementQuery, Told};
use crate::Bank;
use crate::month::Month;
use crate::notification::Notifications;
use crate::ports::{ObjectStore, StatementPrinter};
use futures_util::lock::Mutex;
use ledger::account::{Account, Status};
use ledger::ids::{AccountId, SLOTS, slot};
use ledger::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use store::Fault;

/// The files of a statement, each by the ending of its name.
pub(super) const ENDINGS: [&str; 3] = ["pdf", "csv", "xml"];
/// Most missing months that are made before the one that is asked for. Value dates may lie decades back, and whoever asks
/// for one statement does not wait for hundreds.
const MISSING_MAX: usize = 120;

/// Statements and the place where they are kept.
#[derive(Clone)]
pub struct Statements {
    bank: Arc<Bank>,
    objects: Arc<dyn ObjectStore>,
    printer: Arc<dyn StatementPrinter>,
    link_secret: [u8; 32],
    /// Who makes a statement of an account has that of the account's slot, so that how far one told does not change under
    /// another.
    making: Arc<[Mutex<()>]>,
    /// Who tells customers that a statement is there.
    notifications: Option<Arc<Notifications>>,
}

impl fmt::Debug for Statements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statements").finish_non_exhaustive()
    }
}

/// What is remembered of a statement: all that it takes to make its files again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The account.
    #[serde(with = "as_text")]
    pub account_id: AccountId,
    /// The month.
    #[serde(with = "as_text")]
    pub month: Month,
    /// Counts the account's statements of the month, from 1; the latest tells most.
    pub number: u32,
    /// The currency's code.
    pub currency: String,
    /// What it opens with, in minor units.
    #[serde(with = "as_text")]
    pub opening: i128,
    /// What it closes with, in minor units.
    #[serde(with = "as_text")]
    pub closing: i128,
    /// How many postings it tells of.
    pub postings: usize,
    /// The account's version up to which it looks.
    pub version: u64,
    /// When it was made, in microseconds since 1970, of one that was made before its month was over, because the account was
    /// closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at_us: Option<u64>,
    /// Up to which version earlier statements told.
    pub told_version: u64,
    /// Up to which value date they told, in microseconds since 1970.
    pub told_until_us: u64,
}

/// Texts of what has one, so that no number of a manifest is ever read as a float.
mod as_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::fmt::Display;
    use std::str::FromStr;

    pub(super) fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, T: FromStr, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| D::Error::custom("no such value"))
    }
}

impl Manifest {
    fn of(statement: &Statement, told: Told, number: u32, closed_at: Option<Timestamp>) -> Manifest {
        Manifest {
            account_id: statement.account,
            month: statement.month,
            number,
            currency: statement.currency.code().to_owned(),
            opening: statement.opening,
            closing: statement.closing,
            postings: statement.lines.len(),
            version: statement.version,
            closed_at_us: closed_at.map(Timestamp::microseconds),
            told_version: told.version,
            told_until_us: told.until.microseconds(),
        }
    }

    /// How far statements had told before this one.
    fn told_before(&self) -> Told {
        let until = Timestamp::from_microseconds(self.told_until_us).unwrap_or(Timestamp::ZERO);
        Told { until, version: self.told_version, balance: self.opening }
    }

    /// How far they told with it.
    fn told(&self) -> Told {
        Told { until: self.month.end(), version: self.version, balance: self.closing }
    }

    /// The name of one of its files.
    pub fn file(&self, ending: &str) -> String {
        name(self.account_id, self.month, self.number, ending)
    }
}

fn name(account: AccountId, month: Month, number: u32, ending: &str) -> String {
    match number {
        1 => format!("{account}/{month}/report.{ending}"),
        number => format!("{account}/{month}/report-{number}.{ending}"),
    }
}

/// What kind of file stands under a name.
pub fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "pdf")) => "application/pdf",
        Some((_, "csv")) => "text/csv; charset=utf-8",
        Some((_, "xml")) => "application/xml",
        Some((_, "json")) => "application/json",
        Some((_, "zip")) => "application/zip",
        _ => "application/octet-stream",
    }
}

/// Month and number in the name of a manifest.
fn manifest_of(account: AccountId, object: &str) -> Option<(Month, u32)> {
    let (month, file) = object.strip_prefix(&format!("{account}/"))?.split_once('/')?;
    let number = match file.strip_suffix(".json")?.strip_prefix("report")? {
        "" => 1,
        text => text.strip_prefix('-')?.parse().ok()?,
    };
    Some((month.parse().ok()?, number))
}

/// What became of a statement that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made {
    /// It was made now.
    Now(Manifest),
    /// It was there.
    Before(Manifest),
    /// There is nothing to tell: the account was opened later, or closed before.
    Nothing,
    /// The month is not over, and the account not closed.
    TooEarly,
    /// Too many months are missing since the last statement; this one is to be made first.
    FarBefore(Month),
}

impl Statements {
    /// Statements of this bank, kept there and printed so.
    pub fn new(bank: Arc<Bank>, objects: Arc<dyn ObjectStore>, printer: Arc<dyn StatementPrinter>) -> Statements {
        let link_secret = bank.derived_secret("florin v1 statement links");
        let making = (0..SLOTS).map(|_| Mutex::new(())).collect();
        Statements { bank, objects, printer, link_secret, making, notifications: None }
    }

    /// The same; customers are told of each statement that is made, once.
    #[must_use]
    pub fn told_by(self, notifications: Arc<Notifications>) -> Statements {
        Statements { notifications: Some(notifications), ..self }
    }

    pub(crate) fn bank(&self) -> &Bank {
        &self.bank
    }

    pub(crate) fn objects(&self) -> &dyn ObjectStore {
        self.objects.as_ref()
    }

    pub(crate) fn printer(&self) -> &dyn StatementPrinter {
        self.printer.as_ref()
    }

    /// The manifests of an account's statements, the oldest month first, in each month the first first.
    ///
    /// # Errors
    /// A fault of the object store, or `Corrupt` for a manifest that cannot be read.
    pub async fn list(&self, account: AccountId) -> Result<Vec<Manifest>, Fault> {
        let mut manifests = Vec::new();
        for (month, number) in self.known(account).await? {
            manifests.extend(self.manifest(account, month, number).await?);
        }
        Ok(manifests)
    }

    async fn known(&self, account: AccountId) -> Result<Vec<(Month, u32)>, Fault> {
        let names = self.objects.list(&format!("{account}/")).await?;
        let mut known: Vec<(Month, u32)> = names.iter().filter_map(|name| manifest_of(account, name)).collect();
        known.sort_unstable();
        Ok(known)
    }

    async fn manifest(&self, account: AccountId, month: Month, number: u32) -> Result<Option<Manifest>, Fault> {
        let name = name(account, month, number, "json");
        let Some(bytes) = self.objects.get(&name).await? else { return Ok(None) };
        let damaged = |error: serde_json::Error| Fault::Corrupt { detail: format!("the manifest {name}: {error}") };
        serde_json::from_slice(&bytes).map(Some).map_err(damaged)
    }

    /// The statement of an account for a month that is over; made now if it is not there yet, or if it is wanted `again` and
    /// something was booked late since: as a further one, which tells of that too. `None` if there is no such account of a
    /// customer.
    ///
    /// Months that are missing since the last statement before are made first, up to 120, where the account has postings with
    /// their value dates; the others are made when they are asked for. Of an earlier month it tells what the later statements
    /// took for told. So whatever order they are asked for in, each opens with what the one before closed with.
    ///
    /// # Errors
    /// A fault of a shard, the keyring or the object store; `Corrupt` as [`Bank::statement`].
    pub async fn make(&self, account: AccountId, month: Month, again: bool) -> Result<Option<Made>, Fault> {
        let known = self.known(account).await?;
        if !again && let Some((_, number)) = known.iter().rev().find(|known| known.0 == month) {
            return self.told(self.complete(account, month, *number).await?).await;
        }
        self.make_with(account, month, again, MISSING_MAX).await
    }

    /// As [`Statements::make`], with at most so many missing months before.
    pub(super) async fn make_with(
        &self,
        account: AccountId,
        month: Month,
        again: bool,
        missing_max: usize,
    ) -> Result<Option<Made>, Fault> {
        let _alone = self.making[usize::from(slot(account.number()))].lock().await;
        let mut known = self.known(account).await?;
        if !again && let Some((_, number)) = known.iter().rev().find(|known| known.0 == month) {
            return self.told(self.complete(account, month, *number).await?).await;
        }
        let Some(account) = self.bank.account(account).await? else { return Ok(None) };
        if self.bank.now() < month.end() && account.status != Status::Closed {
            return Ok(Some(Made::TooEarly));
        }
        let before = known.iter().rev().find(|known| known.0 < month);
        if let Some((earlier, number)) = before
            && account.status == Status::Closed
            && let Some(last) = self.manifest(account.id, *earlier, *number).await?
            && (last.version, last.closing) == (account.version, 0)
        {
            return Ok(Some(Made::Nothing)); // it was told to its end
        }
        let missing = match before.and_then(|before| before.0.next()) {
            Some(first) => self.bank.months_with_postings(account.id, first, month).await?,
            None => Vec::new(),
        };
        if let Some(earlier) = missing.get(missing_max) {
            return Ok(Some(Made::FarBefore(*earlier)));
        }
        for earlier in missing {
            let made = self.told(self.make_one(&account, earlier, false, &known).await?).await?;
            if let Some(Made::Now(made) | Made::Before(made)) = made {
                known.push((earlier, made.number));
                known.sort_unstable();
            }
        }
        self.told(self.make_one(&account, month, again, &known).await?).await
    }

    /// Has the customer told of a statement. Whoever stopped before that, or makes it again, tells what was not told.
    async fn told(&self, made: Option<Made>) -> Result<Option<Made>, Fault> {
        if let (Some(notifications), Some(Made::Now(manifest) | Made::Before(manifest))) = (&self.notifications, &made)
        {
            notifications.statement_ready(manifest.account_id, manifest.month, manifest.number).await?;
        }
        Ok(made)
    }

    async fn make_one(
        &self,
        account: &Account,
        month: Month,
        again: bool,
        known: &[(Month, u32)],
    ) -> Result<Option<Made>, Fault> {
        let id = account.id;
        let last = known.iter().filter(|known| known.0 == month).map(|known| known.1).max();
        if let (Some(number), false) = (last, again) {
            return self.complete(id, month, number).await;
        }
        let last = match last {
            Some(number) => self.manifest(id, month, number).await?,
            None => None,
        };
        // A further statement of a month begins where the first did.
        let told = match (&last, known.iter().rev().find(|known| known.0 < month)) {
            (Some(last), _) => Some(last.told_before()),
            (None, Some((earlier, number))) => {
                self.manifest(id, *earlier, *number).await?.map(|manifest| manifest.told())
            }
            (None, None) => None,
        };
        // What was booked after the next one was begun is told by those that come.
        let after = match known.iter().find(|known| month < known.0) {
            Some((later, number)) => self.manifest(id, *later, *number).await?,
            None => None,
        };
        let version = after.as_ref().map(|after| after.told_version);
        let now = self.bank.now();
        let closed_at = Some(now).filter(|now| *now < month.end());
        let query = StatementQuery { month, told, version, closed_at };
        let Some((statement, told)) = self.read(account, query).await? else { return Ok(None) };
        if let Some(after) =
            after.filter(|after| Some(after.month) == month.next() && after.opening != statement.closing)
        {
            let detail =
                format!("the statement {} opens with another balance than {month} closes with", after.file("json"));
            return Err(Fault::Corrupt { detail });
        }
        if is_nothing(account, &statement) {
            return Ok(Some(Made::Nothing));
        }
        if let Some(last) = &last
            && (last.postings, last.closing) == (statement.lines.len(), statement.closing)
        {
            return self.complete(id, month, last.number).await; // nothing was booked late since that no later one tells
        }
        let number = last.map_or(1, |last| last.number + 1);
        let manifest = Manifest::of(&statement, told, number, closed_at);
        let bytes = serde_json::to_vec_pretty(&manifest);
        let bytes = bytes.map_err(|error| Fault::Corrupt { detail: format!("a manifest: {error}") })?;
        let mut objects = vec![(manifest.file("json"), bytes)];
        objects.extend(self.printed(&manifest, statement).await?);
        if !self.objects.put_together(objects).await? {
            return self.complete(id, month, number).await;
        }
        Ok(Some(Made::Now(manifest)))
    }

    /// The statement, and how far earlier ones had told; `None` if the account is not a customer's.
    async fn read(&self, account: &Account, query: StatementQuery) -> Result<Option<(Statement, Told)>, Fault> {
        let Some(customer) = account.customer else { return Ok(None) };
        let profile = match self.bank.user(customer).await? {
            Some(customer) => self.bank.open_profile(&customer).await?,
            None => Default::default(),
        };
        let version = query.version.unwrap_or(account.version);
        let told = match query.told {
            Some(told) => told,
            None => self.bank.told_before(account, query.month, version).await?,
        };
        let query = StatementQuery { told: Some(told), version: Some(version), ..query };
        let statement = self.bank.statement_for(account, &profile, &query).await?;
        Ok(Some((statement, told)))
    }

    /// Stores what is not there yet of the files that a manifest describes.
    async fn complete(&self, account: AccountId, month: Month, number: u32) -> Result<Option<Made>, Fault> {
        let Some(manifest) = self.manifest(account, month, number).await? else { return Ok(None) };
        let kept = self.objects.list(&format!("{account}/{month}/")).await?;
        if !ENDINGS.iter().all(|ending| kept.contains(&manifest.file(ending))) {
            let Some(found) = self.bank.account(account).await? else { return Ok(None) };
            let closed_at = manifest.closed_at_us.and_then(Timestamp::from_microseconds);
            let (told, version) = (Some(manifest.told_before()), Some(manifest.version));
            let query = StatementQuery { month, told, version, closed_at };
            let Some((statement, _)) = self.read(&found, query).await? else { return Ok(None) };
            if statement.closing != manifest.closing {
                let detail = format!("the statement {} was made with another balance", manifest.file("json"));
                return Err(Fault::Corrupt { detail });
            }
            for (name, bytes) in self.printed(&manifest, statement).await? {
                self.objects.put_new(&name, bytes).await?;
            }
        }
        Ok(Some(Made::Before(manifest)))
    }

    /// The files of a statement under their names.
    async fn printed(&self, manifest: &Manifest, statement: Statement) -> Result<Vec<(String, Vec<u8>)>, Fault> {
        let files = self.printer.files(Arc::new(statement), manifest.number).await?;
        Ok(files.into_iter().map(|(ending, bytes)| (manifest.file(ending), bytes)).collect())
    }
}

fn is_nothing(account: &Account, statement: &Statement) -> bool {
    let is_elsewhen = statement.month.day_after() <= account.opened || account.status == Status::Closed;
    statement.lines.is_empty() && statement.opening == 0 && is_elsewhen
}
