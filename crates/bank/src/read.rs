//! Reads. What concerns one account, hold or transfer comes from its shard; lists over the whole bank gather from all
//! shards and are merged, newest first.

use crate::Bank;
use ledger::account::Account;
use ledger::currency::Currency;
use ledger::customer::Customer;
use ledger::hold::Hold;
use ledger::ids::{AccountId, CustomerId, HoldId, ShardId, TransferId};
use ledger::saga::{Saga, StepKind};
use ledger::time::Timestamp;
use std::collections::{BTreeSet, VecDeque};
use store::query::saga_step;
use store::query::{
    BalanceQuery, PAGE_MAX, Page, PageQuery, PostingQuery, PostingRow, SagaQuery, TransferQuery, TransferStatus,
    TransferView,
};
use store::{Fault, Reply, Store};

/// Where a list over all shards goes on, one position per shard: `Some(u64::MAX)` starts with the newest, `None` has
/// nothing more. To be handed back as it came.
pub type Positions = Vec<Option<u64>>;

/// Part of a list over all shards.
#[derive(Clone, Debug)]
pub struct Merged<T> {
    /// The items, newest first.
    pub items: Vec<T>,
    /// Where the next page starts; `None` when there is nothing more.
    pub next: Option<Positions>,
}

/// A transfer as the whole bank knows it.
#[derive(Clone, Debug)]
pub struct TransferDetails {
    /// What its home shard says: what was asked, how far it is, what reversed it.
    pub view: TransferView,
    /// Its postings on all shards, by booking time.
    pub postings: Vec<PostingRow>,
}

/// The books of one shard in one currency.
#[derive(Clone, Debug)]
pub struct SystemBalance {
    /// The shard.
    pub shard: ShardId,
    /// The currency.
    pub currency: Currency,
    /// The bank's own accounts, by id.
    pub accounts: Vec<Account>,
    /// The sum of the customers' balances, in minor units.
    pub customers: i128,
    /// The sum of all balances; anything but zero is an alarm.
    pub total: i128,
}

impl Bank {
    /// An account as it is now.
    ///
    /// # Errors
    /// A fault of the shard.
    pub async fn account(&self, id: AccountId) -> Result<Option<Account>, Fault> {
        let row = self.store(self.shard_of_account(id)).account(id, self.now()).await?;
        // A row that did not move away is the account itself, wherever else its history is.
        if row.as_ref().is_some_and(|row| row.moved_to.is_none()) || self.shards.len() == 1 {
            return Ok(row);
        }
        self.where_it_stays(id, |shard| self.store(shard).account(id, self.now())).await
    }

    /// A customer; the profile is still sealed, see [`Bank::open_profile`].
    ///
    /// # Errors
    /// A fault of the shard.
    pub async fn user(&self, id: CustomerId) -> Result<Option<Customer>, Fault> {
        self.store(self.home_of_user(id).await?).customer(id).await
    }

    /// A hold as it is now.
    ///
    /// # Errors
    /// A fault of the shard.
    pub async fn hold(&self, id: HoldId) -> Result<Option<Hold>, Fault> {
        let made_on = self.shard_of_generated(id.number());
        let Some(hold) = self.store(made_on).hold(id, self.now()).await? else { return Ok(None) };
        if self.shards.len() == 1 {
            return Ok(Some(hold));
        }
        self.where_it_stays(hold.from, |shard| self.store(shard).hold(id, self.now())).await
    }

    /// An account's holds, newest first.
    ///
    /// # Errors
    /// A fault of the shard.
    pub async fn holds_of(&self, account: AccountId, page: PageQuery) -> Result<Page<Hold>, Fault> {
        self.where_it_stays(account, |shard| self.store(shard).holds_of(account, page, self.now())).await
    }

    /// Reads something where an account is; again, if the account left meanwhile.
    async fn where_it_stays<'s, T>(
        &'s self,
        account: AccountId,
        read: impl Fn(ShardId) -> Reply<'s, T> + Send,
    ) -> Result<T, Fault> {
        let mut shard = self.home_of(account).await?;
        loop {
            let found = read(shard).await?;
            match self.home_of(account).await? {
                same if same == shard => return Ok(found),
                other => shard = other,
            }
        }
    }

    /// A transfer with its reversal and its postings on every shard.
    ///
    /// # Errors
    /// A fault of any shard it is on.
    pub async fn transfer(&self, id: TransferId) -> Result<Option<TransferDetails>, Fault> {
        match self.store(self.shard_of_generated(id.number())).transfer(id).await? {
            Some(view) => Ok(Some(self.details(view).await?)),
            None => Ok(None),
        }
    }

    /// Adds what other shards have of a transfer. They may be a step behind its home, or ahead of it.
    async fn details(&self, view: TransferView) -> Result<TransferDetails, Fault> {
        let mut postings = view.postings();
        let Some((order, ordered)) = view.ordered() else { return Ok(TransferDetails { view, postings }) };
        for shard in order.parts() {
            let theirs = self.reach(shard)?.transfer(ordered.id).await?;
            postings.extend(theirs.iter().flat_map(TransferView::postings));
        }
        let booked = |row: &PostingRow| row.transfer.entry.header.time;
        // Stable: those of one entry stay in their order, and the home's come first where times are the same.
        postings.sort_by_key(booked);
        Ok(TransferDetails { view, postings })
    }

    /// A transfer that another shard began is told by its home.
    async fn at_home(&self, view: TransferView) -> Result<TransferDetails, Fault> {
        let id = view.transfer.transferred().map(|transferred| transferred.id);
        let began_elsewhere = saga_step(&view.transfer.entry).is_some_and(|step| step.kind != StepKind::Started);
        match id.filter(|_| began_elsewhere) {
            Some(id) => match self.transfer(id).await? {
                Some(details) => Ok(details),
                None => Err(Fault::Corrupt { detail: format!("the home shard of transfer {id} does not know it") }),
            },
            None => self.details(view).await,
        }
    }

    /// Transfers between shards that are under way and began at or before this time, newest first; those of a batch one
    /// after the other.
    ///
    /// # Errors
    /// A fault of any shard.
    pub async fn pending_transfers(
        &self,
        until: Timestamp,
        limit: usize,
        from: Option<&Positions>,
    ) -> Result<Merged<TransferDetails>, Fault> {
        let started = |saga: &Saga| saga.started_at.microseconds();
        let merged = self
            .merged(
                limit,
                from,
                move |store, page| store.open_sagas(SagaQuery { until, before: page.before, limit: page.limit }),
                started,
            )
            .await?;
        let mut items = Vec::with_capacity(merged.items.len());
        for ordered in merged.items.iter().flat_map(|saga| saga.order.transfers.iter()) {
            // One that ended since the list was read is no longer pending.
            let details = self.transfer(ordered.id).await?;
            items.extend(details.filter(|details| details.view.status() == TransferStatus::Pending));
        }
        Ok(Merged { items, next: merged.next })
    }

    /// An account's postings, newest version first.
    ///
    /// # Errors
    /// A fault of the shard.
    pub async fn postings(&self, query: PostingQuery) -> Result<Page<PostingRow>, Fault> {
        let Some(version) = query.before.and_then(version_before) else { return self.postings_at(query).await };
        // Those that were told are looked over; where the next page is a position again.
        let mut before = None;
        loop {
            let page = self.postings_at(PostingQuery { before, ..query.clone() }).await?;
            before = page.next;
            let is_before = |row: &PostingRow| row.parts().is_some_and(|(posting, ..)| posting.version < version);
            let page = Page::of(page.into_rows().filter(|(_, row)| is_before(row)), before);
            if !page.items.is_empty() || page.next.is_none() {
                return Ok(page);
            }
        }
    }

    async fn postings_at(&self, query: PostingQuery) -> Result<Page<PostingRow>, Fault> {
        let shards = self.known_history_of(query.account).await?;
        let (mut stage, mut before) = query.before.map_or((shards.len() - 1, None), unpack);
        loop {
            let Some(shard) = shards.get(stage) else { return Ok(Page::empty()) };
            let page = self.store(*shard).postings(PostingQuery { before, ..query.clone() }).await?;
            let next = match page.next {
                Some(next) => Some(pack(stage, next)),
                None if stage == 0 => None,
                None if page.items.is_empty() => {
                    (stage, before) = (stage - 1, None);
                    continue;
                }
                // The earlier shard's part begins on a page of its own.
                None => Some(pack(stage - 1, STAGE_START)),
            };
            return Ok(Page::of(page.into_rows().map(|(place, row)| (pack(stage, place), row)), next));
        }
    }

    /// The shards that have something of an account, the earliest first: as a slot never returns, the place of each stays
    /// the same. It is not without the shard where the account is now.
    async fn known_history_of(&self, account: AccountId) -> Result<Vec<ShardId>, Fault> {
        self.home_of(account).await?;
        let mut shards = self.history_of(account);
        shards.reverse();
        Ok(shards)
    }

    /// An account's balance at a time; `None` if there is no such account.
    ///
    /// # Errors
    /// A fault of the shard.
    pub async fn balance_at(&self, query: BalanceQuery) -> Result<Option<i128>, Fault> {
        // An account takes its balance along, by postings like any other. So on each shard that had it the postings add up
        // to what was there at that time, and all together to what there was.
        let mut sum = None;
        for shard in self.known_history_of(query.account).await? {
            if let Some(balance) = self.store(shard).balance_at(query).await? {
                sum = Some(sum.unwrap_or(0) + balance);
            }
        }
        Ok(sum)
    }

    /// All customers, newest first.
    ///
    /// # Errors
    /// A fault of any shard.
    pub async fn users(&self, limit: usize, from: Option<&Positions>) -> Result<Merged<Customer>, Fault> {
        self.merged(limit, from, |store, page| store.customers(page), |customer| customer.created_at.microseconds())
            .await
    }

    /// A customer's accounts on all shards, newest first.
    ///
    /// # Errors
    /// A fault of any shard.
    pub async fn accounts_of(
        &self,
        customer: CustomerId,
        limit: usize,
        from: Option<&Positions>,
    ) -> Result<Merged<Account>, Fault> {
        let now = self.now();
        let opened = |account: &Account| u64::try_from(account.opened.number()).unwrap_or(0);
        self.merged(limit, from, move |store, page| store.accounts_of(customer, page, now), opened).await
    }

    /// Transfers of all shards, newest first; those of one account come from its shard alone. `before` of the query
    /// is not looked at.
    ///
    /// # Errors
    /// A fault of any shard.
    pub async fn transfers(
        &self,
        query: &TransferQuery,
        from: Option<&Positions>,
    ) -> Result<Merged<TransferDetails>, Fault> {
        let on = match query.account {
            Some(account) => Some(self.known_history_of(account).await?),
            None => None,
        };
        let booked = |view: &TransferView| view.transfer.entry.header.time.microseconds();
        let merged = self.merged(
            query.limit,
            from,
            |store, page| match &on {
                Some(shards) if !shards.contains(&store.shard()) => Box::pin(async { Ok(Page::empty()) }),
                _ => store.transfers(TransferQuery { before: page.before, limit: page.limit, ..query.clone() }),
            },
            booked,
        );
        let merged = merged.await?;
        let mut items = Vec::with_capacity(merged.items.len());
        for view in merged.items {
            items.push(self.at_home(view).await?);
        }
        Ok(Merged { items, next: merged.next })
    }

    /// The books of every shard and currency: the bank's own accounts beside the sum of the customers'.
    ///
    /// # Errors
    /// A fault of any shard.
    pub async fn system_balances(&self) -> Result<Vec<SystemBalance>, Fault> {
        let mut balances = Vec::new();
        for store in &self.shards {
            balances.extend(consistent_balances(store.as_ref()).await?);
        }
        Ok(balances)
    }

    /// Part of a list that every shard has a part of. What was read of a shard and did not fit is read again for the
    /// next page, from after the last that did.
    pub(crate) async fn merged<T, F, K>(
        &self,
        limit: usize,
        from: Option<&Positions>,
        fetch: F,
        time: K,
    ) -> Result<Merged<T>, Fault>
    where
        F: for<'s> Fn(&'s dyn Store, PageQuery) -> Reply<'s, Page<T>>,
        K: Fn(&T) -> u64,
    {
        let start = vec![Some(START); self.shards.len()];
        let mut positions = from.filter(|from| from.len() == self.shards.len()).unwrap_or(&start).clone();
        let mut parts = Vec::with_capacity(self.shards.len());
        for (store, position) in self.shards.iter().zip(&positions) {
            let page = match *position {
                Some(position) => fetch(store.as_ref(), page_at(position, limit)).await?,
                None => Page::empty(),
            };
            let next = page.next;
            parts.push(Part { rest: page.into_rows().collect(), last: *position, next });
        }
        let items = newest(&mut parts, limit, time);
        for (position, part) in positions.iter_mut().zip(parts) {
            *position = if part.rest.is_empty() { part.next } else { part.last };
        }
        let next = positions.iter().any(Option::is_some).then_some(positions);
        Ok(Merged { items, next })
    }
}

/// Bits of a position in an account's postings that are its shard's own. Those above count the shards the account was on
/// before that one.
const POSITION_BITS: u32 = 54;
/// The position before the newest posting of a shard.
const STAGE_START: u64 = (1 << POSITION_BITS) - 1;

/// The stage of what is no position: a list that goes on before a version. No account was on so many shards.
const BY_VERSION: u64 = (1 << (u64::BITS - POSITION_BITS)) - 1;

/// Where a list of an account's postings goes on after the one with this version, whatever shard has it.
pub(crate) fn by_version(version: u64) -> u64 {
    (BY_VERSION << POSITION_BITS) | version.min(STAGE_START)
}

fn version_before(packed: u64) -> Option<u64> {
    (packed >> POSITION_BITS == BY_VERSION).then_some(packed & STAGE_START)
}

fn pack(stage: usize, position: u64) -> u64 {
    ((stage as u64) << POSITION_BITS) | position
}

/// On how many shards the account was before the one that is listed next, and where that list goes on.
fn unpack(packed: u64) -> (usize, Option<u64>) {
    let position = packed & STAGE_START;
    let stage = usize::try_from(packed >> POSITION_BITS).unwrap_or(0);
    (stage, (position != STAGE_START).then_some(position))
}

/// How many bytes the rows of a page may have, about, before it ends early.
pub(crate) const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The position before the newest item; no id is this large.
const START: u64 = u64::MAX;

/// How often balances that moved while they were read are read again.
const CONSISTENT_READS_MAX: usize = 100;

/// What a shard contributed to a page.
struct Part<T> {
    /// What is not taken yet, each item with where the list goes on after it.
    rest: VecDeque<(u64, T)>,
    /// Where the list goes on after what was taken.
    last: Option<u64>,
    /// Where it goes on after all of it.
    next: Option<u64>,
}

fn page_at(position: u64, limit: usize) -> PageQuery {
    PageQuery { before: (position != START).then_some(position), limit, status: None }
}

/// Takes the newest items of all parts. Each part is in its shard's order, which is kept.
fn newest<T>(parts: &mut [Part<T>], limit: usize, time: impl Fn(&T) -> u64) -> Vec<T> {
    let mut items = Vec::with_capacity(limit.min(PAGE_MAX));
    while items.len() < limit {
        let newest = parts.iter_mut().filter(|part| !part.rest.is_empty()).rev();
        let Some(part) = newest.max_by_key(|part| part.rest.front().map(|(_, item)| time(item))) else { break };
        let Some((place, item)) = part.rest.pop_front() else { break };
        part.last = Some(place);
        items.push(item);
        // What a short page hides may be newer than what the other shards still have.
        if part.rest.is_empty() && part.next.is_some() {
            break;
        }
    }
    items
}

/// A shard's books at one instant: they are read in two steps, so they are read again while entries come in between
/// and the figures do not fit.
async fn consistent_balances(store: &dyn Store) -> Result<Vec<SystemBalance>, Fault> {
    let mut reads = 0;
    loop {
        let head = store.head();
        let (accounts, customers) = (store.system_accounts().await?, store.customer_sums().await?);
        let balances = balances_of(store.shard(), &accounts, &customers);
        let is_even = balances.iter().all(|balance| balance.total == 0);
        reads += 1;
        if is_even || head == store.head() || reads == CONSISTENT_READS_MAX {
            return Ok(balances);
        }
    }
}

fn balances_of(shard: ShardId, accounts: &[Account], customers: &[(Currency, i128)]) -> Vec<SystemBalance> {
    let currencies =
        accounts.iter().map(|account| account.currency).chain(customers.iter().map(|(currency, _)| *currency));
    let currencies: BTreeSet<Currency> = currencies.collect();
    let balance = |currency: Currency| {
        let accounts: Vec<Account> = accounts.iter().filter(|account| account.currency == currency).cloned().collect();
        let customers = customers.iter().filter(|(other, _)| *other == currency).map(|(_, sum)| *sum).sum();
        let total = accounts.iter().map(|account| account.balance).sum::<i128>() + customers;
        SystemBalance { shard, currency, accounts, customers, total }
    };
    currencies.into_iter().map(balance).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_short_page_hides_is_not_overtaken() {
        let part =
            |items: &[u64], next| Part { rest: items.iter().map(|item| (*item, *item)).collect(), last: None, next };
        let mut parts = [part(&[9, 8], Some(8)), part(&[7, 6, 5], None)];
        assert_eq!(newest(&mut parts, 10, |time| *time), [9, 8], "the first may have newer ones than 7 to come");
        let mut parts = [part(&[9, 8], None), part(&[7, 6, 5], None)];
        assert_eq!(newest(&mut parts, 4, |time| *time), [9, 8, 7, 6]);
        assert_eq!(parts.map(|part| part.last), [Some(8), Some(6)]);
    }
}
