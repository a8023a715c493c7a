//! The statements of all accounts for some months.
//!
//! Accounts are gone through by groups of slots. Where nodes share records, a group is done by whoever has its lease; the
//! others do other groups meanwhile, and what was finished since they began is not gone through again. A lease keeps nodes out
//! of each other's way only: of two who make the same statement one decides, as always. Whatever stops a batch, the next one
//! makes what is missing.

use super::kept::{Made, Statements};
use crate::lease::{LEASE_LEAST_US, Lease};
use crate::month::Month;
use crate::ports::{RecordChange, Records};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use ledger::ids::{AccountId, SLOTS, slot};
use ledger::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use store::Fault;

/// Slots of a group.
const SLOTS_A_GROUP: u16 = 16;
/// Accounts looked for at a time.
const ACCOUNTS_A_PAGE: usize = 10_000;
/// After so many faults that may pass it is not the accounts: the batch ends.
const FAULTS_MAX: u32 = 32;
/// How long a node waits for groups that others do, in microseconds.
const PAUSE_US: u64 = 1_000_000;

/// What a batch is asked for.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The first month.
    pub first: Month,
    /// The last one.
    pub last: Month,
    /// How many accounts are worked on at a time. While one is printed others are read and stored.
    pub at_once: usize,
    /// How nodes share the work; `None` for a node that does all of it.
    pub share: Option<Share>,
}

/// How nodes share the work of a batch.
#[derive(Clone)]
pub struct Share {
    /// Where nodes say what they do.
    pub records: Arc<dyn Records>,
    /// A number that this node drew at random.
    pub holder: u128,
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share").finish_non_exhaustive()
    }
}

/// What became of the statements of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchCounts {
    /// Made now.
    pub made: u64,
    /// There before.
    pub before: u64,
    /// Nothing to tell of a month.
    pub nothing: u64,
    /// Accounts whose statements could not be made, because what is stored of them contradicts itself.
    pub failed: u64,
}

/// That a group was done.
#[derive(Serialize, Deserialize)]
struct Done {
    began_us: u64,
}

impl Statements {
    /// Makes the statements of all accounts for these months, of each account the earlier first. `progress` hears of each. With
    /// several nodes the counts are of this node alone.
    ///
    /// # Errors
    /// The first fault that may pass, once all other accounts were gone through, or there were too many of them; what was made
    /// stays. Accounts whose statement contradicts what is stored are counted, and `progress` hears why.
    pub async fn make_all(
        &self,
        batch: &Batch,
        progress: &(dyn Fn(Result<&Made, &Fault>) + Send + Sync),
    ) -> Result<BatchCounts, Fault> {
        let mut tally = Tally { counts: BatchCounts::default(), faults: 0, first: None, progress };
        let began = self.bank().now();
        let accounts = self.bank().accounts_by_group().await?;
        let groups = SLOTS / SLOTS_A_GROUP;
        // Nodes that begin together begin at different places.
        let drawn = batch.share.as_ref().map_or(0, |share| share.holder % u128::from(groups));
        let start = u16::try_from(drawn).unwrap_or(0);
        let mut rest: Vec<u16> = (0..groups).map(|group| (start + group) % groups).collect();
        while !rest.is_empty() {
            let mut others = Vec::new();
            for group in rest {
                let work = GroupWork { batch, group, began, accounts: &accounts[usize::from(group)] };
                if !work.run(self, &mut tally).await? {
                    others.push(group);
                }
            }
            rest = others;
            if !rest.is_empty() {
                self.bank().env().sleep(PAUSE_US).await;
            }
        }
        tally.first.map_or(Ok(tally.counts), Err)
    }
}

struct GroupWork<'a> {
    batch: &'a Batch,
    group: u16,
    began: Timestamp,
    accounts: &'a [AccountId],
}

/// What came of the accounts so far.
struct Tally<'a> {
    counts: BatchCounts,
    /// Accounts that a later batch is to try again.
    faults: u32,
    first: Option<Fault>,
    progress: &'a (dyn Fn(Result<&Made, &Fault>) + Send + Sync),
}

impl GroupWork<'_> {
    /// Does the group, unless another node did so since this one began; false if another does.
    async fn run(&self, statements: &Statements, tally: &mut Tally<'_>) -> Result<bool, Fault> {
        let Some(share) = &self.batch.share else {
            self.make(statements, tally, None).await?;
            return Ok(true);
        };
        let name = format!("statements/{}..{}/{}", self.batch.first, self.batch.last, self.group);
        let done: Option<Done> = crate::records::read(share.records.as_ref(), &name).await?;
        if done.is_some_and(|done| self.began.microseconds() <= done.began_us) {
            return Ok(true);
        }
        let lease = Lease::new(share.records.clone(), &name, share.holder, LEASE_LEAST_US);
        let now = statements.bank().now();
        if lease.take(now).await?.is_none() {
            return Ok(false);
        }
        let faults = tally.faults;
        let made = self.make(statements, tally, Some(&lease)).await;
        if made.is_ok() && tally.faults == faults {
            // Whoever began before this group was begun need not go through it again.
            let done = RecordChange::put(&name, &Done { began_us: now.microseconds() })?;
            share.records.change(vec![done]).await?;
        }
        lease.give_up().await?;
        made.map(|()| true)
    }

    async fn make(&self, statements: &Statements, tally: &mut Tally<'_>, lease: Option<&Lease>) -> Result<(), Fault> {
        let mut running = FuturesUnordered::new();
        let mut sure_until = Timestamp::ZERO;
        for account in self.accounts {
            while self.batch.at_once.max(1) <= running.len() {
                tally.add(running.next().await)?;
            }
            let now = statements.bank().now();
            if let Some(lease) = lease
                && sure_until <= now
            {
                // Where another has it meanwhile, both go on: nothing is wrong with what two make.
                sure_until = lease.take(now).await?.unwrap_or(now.saturating_add(LEASE_LEAST_US));
            }
            running.push(self.make_of(statements, *account));
        }
        while !running.is_empty() {
            tally.add(running.next().await)?;
        }
        Ok(())
    }

    async fn make_of(&self, statements: &Statements, account: AccountId) -> Result<Vec<Made>, Fault> {
        let (mut made, mut month) = (Vec::new(), Some(self.batch.first));
        while let Some(next) = month.filter(|month| *month <= self.batch.last) {
            // However many months are missing before: nobody waits for this one alone.
            made.extend(statements.make_with(account, next, false, usize::MAX).await?);
            month = next.next();
        }
        Ok(made)
    }
}

impl Tally<'_> {
    fn add(&mut self, finished: Option<Result<Vec<Made>, Fault>>) -> Result<(), Fault> {
        let made = match finished.unwrap_or(Ok(Vec::new())) {
            Ok(made) => made,
            Err(fault) if fault.retryable() => {
                self.faults += 1;
                if self.faults == FAULTS_MAX {
                    return Err(self.first.take().unwrap_or(fault));
                }
                self.first.get_or_insert(fault);
                return Ok(());
            }
            Err(fault) => {
                self.counts.failed += 1;
                (self.progress)(Err(&fault));
                return Ok(());
            }
        };
        for made in made {
            match made {
                Made::Now(_) => self.counts.made += 1,
                Made::Before(_) => self.counts.before += 1,
                Made::Nothing | Made::TooEarly | Made::FarBefore(_) => self.counts.nothing += 1,
            }
            (self.progress)(Ok(&made));
        }
        Ok(())
    }
}

impl crate::Bank {
    /// The customers' accounts by groups of slots, in each by id. An account that leaves its shard meanwhile is found where it
    /// was, or where it went.
    async fn accounts_by_group(&self) -> Result<Vec<Vec<AccountId>>, Fault> {
        let mut groups = vec![Vec::new(); usize::from(SLOTS / SLOTS_A_GROUP)];
        for store in self.shards() {
            let mut after = None;
            loop {
                let page = store.account_ids(after, ACCOUNTS_A_PAGE).await?;
                for account in page.items {
                    groups[usize::from(slot(account.number()) / SLOTS_A_GROUP)].push(account);
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        for accounts in &mut groups {
            accounts.sort_unstable();
            accounts.dedup();
        }
        Ok(groups)
    }
}
