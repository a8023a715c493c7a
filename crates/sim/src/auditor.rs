//! The auditor: it knows what was asked, what was answered, when, and what the bank shows to whoever reads, and nothing
//! else. From that it tells whether money was lost, doubled or made up.

mod effects;
mod history;
mod holds;
mod queued;
mod reversals;
mod statuses;

use crate::ask::{Request, RequestId};
use crate::books::Books;
use crate::heard::{Heard, Progress};
use crate::scheduler::lock;
use ledger::account::{Account, SystemAccount};
use ledger::currency::Currency;
use ledger::ids::{AccountId, TransferId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex};

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is claimed of the bank.
    pub claim: &'static str,
    /// Where it does not hold.
    pub detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.claim, self.detail)
    }
}

/// A request with all that was answered to it.
#[derive(Clone, Debug)]
pub struct Told {
    /// The request.
    pub request: Request,
    /// When it was first made.
    pub asked_at: u64,
    /// The answers, and when they came.
    pub heard: Vec<(u64, Heard)>,
    /// Whether its key was used before for something else.
    pub reuses_key: bool,
}

impl Told {
    /// The first answer.
    pub fn answer(&self) -> Option<&Heard> {
        self.heard.first().map(|(_, heard)| heard)
    }

    /// When the first answer came; never, if none did.
    pub fn answered_at(&self) -> u64 {
        self.heard.first().map_or(u64::MAX, |(at, _)| *at)
    }
}

/// What a client saw of an account, and between which moments.
#[derive(Clone, Debug)]
pub struct Look {
    /// The account it asked for.
    pub id: AccountId,
    /// What it saw.
    pub account: Option<Account>,
    /// When it asked.
    pub asked_at: u64,
    /// When it saw.
    pub answered_at: u64,
}

#[derive(Default)]
struct Log {
    told: BTreeMap<RequestId, Told>,
    looks: Vec<Look>,
    ended: BTreeMap<TransferId, (u64, Option<Progress>)>,
    findings: Vec<Finding>,
    reuses: BTreeSet<RequestId>,
    twins: u64,
}

/// See the module. Clones write into the same log.
#[derive(Clone, Default)]
pub struct Auditor {
    log: Arc<Mutex<Log>>,
}

impl Auditor {
    /// A client makes a request, perhaps again.
    pub fn is_asked(&self, request: &Request, at: u64) {
        let mut log = lock(&self.log);
        let reuses_key = log.reuses.contains(&request.id);
        let told = || Told { request: request.clone(), asked_at: at, heard: Vec::new(), reuses_key };
        log.told.entry(request.id).or_insert_with(told);
    }

    /// A client hears an answer.
    pub fn is_heard(&self, request: RequestId, heard: Heard, at: u64) {
        if let Some(told) = lock(&self.log).told.get_mut(&request) {
            told.heard.push((at, heard));
        }
    }

    /// A client saw an account.
    pub fn is_seen(&self, look: Look) {
        lock(&self.log).looks.push(look);
    }

    /// A client saw that a transfer between shards has ended, or that there is none.
    pub fn is_ended(&self, transfer: TransferId, progress: Option<Progress>, at: u64) {
        let mut log = lock(&self.log);
        let (_, first) = *log.ended.entry(transfer).or_insert((at, progress));
        if first != progress || progress.is_none() {
            let detail = format!("transfer {transfer} was seen as {first:?}, then as {progress:?}");
            log.findings.push(Finding { claim: "what has ended stays so", detail });
        }
    }

    /// A request that is about to be made uses a key that was used for something else.
    pub fn expects_reuse(&self, request: RequestId) {
        lock(&self.log).reuses.insert(request);
    }

    /// Somebody else makes a request too, and will say when it is done.
    pub fn expects_twin(&self) {
        lock(&self.log).twins += 1;
    }

    /// See [`Auditor::expects_twin`].
    pub fn twin_is_done(&self) {
        lock(&self.log).twins -= 1;
    }

    /// Whether a twin is still at it.
    pub fn waits_for_twins(&self) -> bool {
        0 < lock(&self.log).twins
    }

    /// Something is wrong.
    pub fn finds(&self, claim: &'static str, detail: String) {
        lock(&self.log).findings.push(Finding { claim, detail });
    }

    /// What is wrong so far.
    pub fn findings(&self) -> Vec<Finding> {
        lock(&self.log).findings.clone()
    }

    /// The accounts that customers have, as far as anybody was told.
    pub fn accounts(&self) -> BTreeSet<AccountId> {
        let log = lock(&self.log);
        let heard = log.told.values().flat_map(|told| &told.heard);
        heard
            .filter_map(|(_, heard)| match heard {
                Heard::Account(account) => Some(account.id),
                _ => None,
            })
            .collect()
    }

    /// How many requests were made.
    pub fn requests(&self) -> usize {
        lock(&self.log).told.len()
    }

    /// Holds what was asked and answered against the books at the end.
    pub fn audit(&self, books: &Books) -> Vec<Finding> {
        let log = lock(&self.log);
        let case = Case { told: &log.told, looks: &log.looks, ended: &log.ended, books };
        let mut findings = log.findings.clone();
        effects::check(&case, &mut findings);
        history::check(&case, &mut findings);
        holds::check(&case, &mut findings);
        queued::check(&case, &mut findings);
        reversals::check(&case, &mut findings);
        statuses::check(&case, &mut findings);
        findings
    }
}

/// All that an audit goes by.
struct Case<'a> {
    told: &'a BTreeMap<RequestId, Told>,
    looks: &'a [Look],
    ended: &'a BTreeMap<TransferId, (u64, Option<Progress>)>,
    books: &'a Books,
}

impl Case<'_> {
    /// The sums of amounts on accounts, by currency; those that are not zero.
    fn sums(&self, amounts: impl IntoIterator<Item = (AccountId, i128)>) -> BTreeMap<Option<Currency>, i128> {
        let mut sums = BTreeMap::new();
        for (id, amount) in amounts {
            let customers = || self.books.accounts.get(&id).map(|statement| statement.account.currency);
            let currency = SystemAccount::from_id(id).map(|system| system.currency).or_else(customers);
            *sums.entry(currency).or_default() += amount;
        }
        sums.retain(|_, sum| *sum != 0);
        sums
    }

    /// When a transfer between shards was first seen to have ended; never, if nobody saw it.
    fn ended_at(&self, transfer: TransferId) -> u64 {
        self.ended.get(&transfer).map_or(u64::MAX, |(at, _)| *at)
    }
}

/// Notes a finding where a claim does not hold.
fn expect(findings: &mut Vec<Finding>, claim: &'static str, holds: bool, detail: impl FnOnce() -> String) {
    if !holds {
        findings.push(Finding { claim, detail: detail() });
    }
}
