//! One shard as a [`Store`].

use crate::between;
use crate::decide::Job;
use crate::error::corrupt;
use crate::health::Health;
use crate::history;
use crate::query;
use crate::read::Reads;
use crate::row::get;
use crate::value::{Whole, big};
use ledger::account::Account;
use ledger::currency::Currency;
use ledger::customer::Customer;
use ledger::dead_letter::DeadLetter;
use ledger::hold::Hold;
use ledger::ids::{AccountId, CustomerId, DeadLetterId, HoldId, Sequence, ShardId, TransferId};
use ledger::saga::Saga;
use ledger::slots::{SlotSet, Slots};
use ledger::time::Timestamp;
use ledger::token::Token;
use std::future::Future;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use store::codec::{self, Reader};
use store::query::{
    BalanceQuery, EntryQuery, Page, PageQuery, Positions, PostingQuery, PostingRow, SagaQuery, TransferQuery,
    TransferView,
};
use store::recent::Recent;
use store::report::{Progress, Stats, VerifyReport};
use store::{Answer, EntryRef, Fault, Reply, Store, Submission};
use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio_postgres::Row;

/// Most requests waiting to be taken into a batch.
const QUEUE_MAX: u64 = 65_536;
/// How often a read is made that finds its connection broken.
const READ_ATTEMPTS: u32 = 3;

/// See the module.
pub(crate) struct Shard {
    pub(crate) id: ShardId,
    pub(crate) slots: SlotSet,
    pub(crate) secret: [u8; 32],
    pub(crate) jobs: Mutex<Option<UnboundedSender<Job>>>,
    pub(crate) health: Arc<Health>,
    pub(crate) reads: Arc<Reads>,
    pub(crate) recent: Arc<Recent>,
    pub(crate) runtime: Handle,
    pub(crate) verifier: crate::verify::Verifier,
}

fn stopping() -> Fault {
    Fault::Unavailable { reason: "it is stopping".into() }
}

impl Shard {
    /// Takes nothing more; what was submitted is finished.
    pub(crate) fn stop(&self) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Sends a submission on its way at once; the reply waits for its answers.
    fn start(&self, submission: Submission) -> Result<oneshot::Receiver<Result<Vec<Answer>, Fault>>, Fault> {
        let requests = submission.requests.len() as u64;
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let jobs = jobs.as_ref().ok_or_else(stopping)?;
        if QUEUE_MAX < self.health.queued.fetch_add(requests, Ordering::Relaxed) + requests {
            self.health.queued.fetch_sub(requests, Ordering::Relaxed);
            return Err(Fault::Overloaded);
        }
        let (reply, answers) = oneshot::channel();
        jobs.send(Job { submission, reply }).map_err(|_| stopping())?;
        Ok(answers)
    }

    /// Reads on the engine's own threads. What a broken connection cuts short is read again.
    fn read<T, F>(&self, read: impl Fn(Arc<Reads>) -> F + Send + 'static) -> Reply<'_, T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Fault>> + Send + 'static,
    {
        let reads = self.reads.clone();
        let task = self.runtime.spawn(async move {
            let mut attempts = 1;
            loop {
                match read(reads.clone()).await {
                    Err(Fault::Unavailable { .. }) if attempts < READ_ATTEMPTS => attempts += 1,
                    answer => return answer,
                }
                pause(attempts).await;
            }
        });
        Box::pin(async move { task.await.unwrap_or_else(|_| Err(stopping())) })
    }

    /// As [`Shard::read`], of what rests on entries up to one: other shards may be told of it, so that it must not be
    /// forgotten here.
    fn read_confirmed<T, F>(&self, read: impl Fn(Arc<Reads>) -> F + Send + Sync + 'static) -> Reply<'_, T>
    where
        T: Send + 'static,
        F: Future<Output = Result<(T, Sequence), Fault>> + Send + 'static,
    {
        let health = self.health.clone();
        self.read(move |reads| {
            let (health, reading) = (health.clone(), read(reads));
            async move {
                let (found, sequence) = reading.await?;
                if health.reaches(sequence).await {
                    return Ok(found);
                }
                Err(Fault::Unavailable { reason: "what the database shows is not known to be on its standby".into() })
            }
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "waits for a database that is away, between two attempts")]
async fn pause(attempts: u32) {
    tokio::time::sleep(Duration::from_millis(5 << attempts)).await;
}

/// A row in the codec's encoding.
fn encoded<T>(row: &Row, decode: impl Fn(&mut Reader<'_>) -> Result<T, codec::DecodeError>) -> Result<T, Fault> {
    let bytes: &[u8] = get(row, "encoded").map_err(corrupt)?;
    decode(&mut Reader::new(bytes)).map_err(|error| corrupt(format!("an encoded row: {error}")))
}

async fn customers(reads: &Reads, query: PageQuery) -> Result<Page<Customer>, Fault> {
    let text = "select registered_by, encoded from florin.customers where registered_by < $1 \
        order by registered_by desc limit $2";
    let most = query.limit.clamp(1, store::query::PAGE_MAX);
    let rows = reads.rows(text, &[&query.before.map_or(i64::MAX, big), &big(most as u64 + 1)]).await?;
    let read = |row: &Row| {
        let place: i64 = get(row, "registered_by").map_err(corrupt)?;
        Ok((crate::value::unbig(place), encoded(row, codec::decode_customer)?))
    };
    Ok(query::page(rows.iter().map(read).collect::<Result<_, Fault>>()?, most))
}

async fn customer_sums(reads: &Reads) -> Result<Vec<(Currency, i128)>, Fault> {
    // 2⁶³ − 2⁴⁰ is where the bank's own accounts start.
    let text =
        "select currency, sum(balance) as sum from florin.accounts where id < 9223370937343148032 group by currency";
    let rows = reads.rows(text, &[]).await?;
    let read = |row: &Row| {
        let Whole(sum) = get(row, "sum")?;
        Ok((crate::row::currency(row, "currency")?, sum))
    };
    let mut sums: Vec<_> = rows.iter().map(read).collect::<Result<_, String>>().map_err(corrupt)?;
    sums.sort();
    Ok(sums)
}

async fn dead_letter(reads: &Reads, id: i64) -> Result<Option<(DeadLetter, EntryRef, EntryRef)>, Fault> {
    let rows = reads.rows("select encoded from florin.dead_letters where id = $1", &[&id]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let letter = encoded(row, codec::decode_dead_letter)?;
    let (first, latest) = (big(letter.recorded_by), big(letter.data_from));
    let entries = reads.entries_at(vec![first, latest]).await?;
    let entry = |sequence| crate::journal::entry(&entries, sequence);
    Ok(Some((letter, entry(first)?, entry(latest)?)))
}

async fn dead_letters(reads: &Reads, query: PageQuery) -> Result<Page<DeadLetter>, Fault> {
    let most = query.limit.clamp(1, store::query::PAGE_MAX);
    let (before, limit) = (query.before.map_or(i64::MAX, big), big(most as u64 + 1));
    let rows = match query.status.map(crate::commit::letter_status_number) {
        Some(status) => {
            let text =
                "select encoded from florin.dead_letters where id < $1 and status = $3 order by id desc limit $2";
            reads.rows(text, &[&before, &limit, &status]).await?
        }
        None => {
            let text = "select encoded from florin.dead_letters where id < $1 order by id desc limit $2";
            reads.rows(text, &[&before, &limit]).await?
        }
    };
    let read = |row: &Row| encoded(row, codec::decode_dead_letter).map(|letter| (letter.id.number(), letter));
    Ok(query::page(rows.iter().map(read).collect::<Result<_, Fault>>()?, most))
}

async fn tokens(reads: &Reads) -> Result<Vec<Token>, Fault> {
    let rows = reads.rows("select encoded from florin.tokens order by id desc", &[]).await?;
    rows.iter().map(|row| encoded(row, codec::decode_token)).collect()
}

async fn customer(reads: &Reads, id: i64) -> Result<Option<Customer>, Fault> {
    let rows = reads.rows("select encoded from florin.customers where id = $1", &[&id]).await?;
    rows.first().map(|row| encoded(row, codec::decode_customer)).transpose()
}

impl Store for Shard {
    fn shard(&self) -> ShardId {
        self.id
    }

    fn secret(&self) -> [u8; 32] {
        self.secret
    }

    fn submit(&self, submission: Submission) -> Reply<'_, Vec<Answer>> {
        let started = self.start(submission);
        Box::pin(async move { started?.await.unwrap_or_else(|_| Err(stopping())) })
    }

    fn account(&self, id: AccountId, now: Timestamp) -> Reply<'_, Option<Account>> {
        self.read(move |reads| async move { query::account(&reads, id, now).await })
    }

    fn customer(&self, id: CustomerId) -> Reply<'_, Option<Customer>> {
        self.read(move |reads| async move { customer(&reads, big(id.number())).await })
    }

    fn customers(&self, page: PageQuery) -> Reply<'_, Page<Customer>> {
        self.read(move |reads| async move { customers(&reads, page).await })
    }

    fn accounts_of(&self, customer: CustomerId, page: PageQuery, now: Timestamp) -> Reply<'_, Page<Account>> {
        self.read(move |reads| async move { query::accounts_of(&reads, big(customer.number()), page, now).await })
    }

    fn system_accounts(&self) -> Reply<'_, Vec<Account>> {
        self.read(move |reads| async move { query::system_accounts(&reads).await })
    }

    fn customer_sums(&self) -> Reply<'_, Vec<(Currency, i128)>> {
        self.read(move |reads| async move { customer_sums(&reads).await })
    }

    fn hold(&self, id: HoldId, now: Timestamp) -> Reply<'_, Option<Hold>> {
        self.read(move |reads| async move { query::hold(&reads, big(id.number()), now).await })
    }

    fn holds_of(&self, account: AccountId, page: PageQuery, now: Timestamp) -> Reply<'_, Page<Hold>> {
        self.read(move |reads| async move { query::holds_of(&reads, big(account.number()), page, now).await })
    }

    fn transfer(&self, id: TransferId) -> Reply<'_, Option<TransferView>> {
        self.read(move |reads| async move { history::transfer(&reads, id).await })
    }

    fn transfers(&self, query: TransferQuery) -> Reply<'_, Page<TransferView>> {
        let query = Arc::new(query);
        self.read(move |reads| {
            let query = query.clone();
            async move { history::transfers(&reads, &query).await }
        })
    }

    fn postings(&self, query: PostingQuery) -> Reply<'_, Page<PostingRow>> {
        let query = Arc::new(query);
        self.read(move |reads| {
            let query = query.clone();
            async move { history::postings(&reads, &query).await }
        })
    }

    fn balance_at(&self, query: BalanceQuery) -> Reply<'_, Option<i128>> {
        self.read(move |reads| async move { query::balance_at(&reads, &query).await })
    }

    fn dead_letter(&self, id: DeadLetterId) -> Reply<'_, Option<(DeadLetter, EntryRef, EntryRef)>> {
        self.read(move |reads| async move { dead_letter(&reads, big(id.number())).await })
    }

    fn dead_letters(&self, page: PageQuery) -> Reply<'_, Page<DeadLetter>> {
        self.read(move |reads| async move { dead_letters(&reads, page).await })
    }

    fn tokens(&self) -> Reply<'_, Vec<Token>> {
        self.read(move |reads| async move { tokens(&reads).await })
    }

    fn entries(&self, query: EntryQuery) -> Reply<'_, Vec<EntryRef>> {
        // What other shards are told must not be forgotten here: nothing that may not be on the standby yet.
        let known = self.health.head().saturating_sub(query.after);
        let most = query.limit.clamp(1, store::query::PAGE_MAX).min(usize::try_from(known).unwrap_or(usize::MAX));
        if most == 0 {
            return Box::pin(std::future::ready(Ok(Vec::new())));
        }
        self.read(move |reads| async move { query::entries(&reads, query.after, most).await })
    }

    fn follow(&self, query: EntryQuery) -> Reply<'_, Vec<EntryRef>> {
        let most = query.limit.clamp(1, store::query::PAGE_MAX);
        match self.recent.after(query.after, most) {
            // None after the last that this node committed, and another node has gone on.
            Some(entries) if entries.is_empty() => self.entries(query),
            Some(entries) => Box::pin(std::future::ready(Ok(entries))),
            None => self.entries(query),
        }
    }

    fn head(&self) -> Sequence {
        self.health.head()
    }

    fn due_holds(&self, now: Timestamp, limit: usize) -> Reply<'_, Vec<HoldId>> {
        self.read(move |reads| async move {
            let holds = query::due_holds(&reads, now, limit).await?;
            Ok(holds.into_iter().map(|hold| hold.id).collect())
        })
    }

    fn head_after(&self, sequence: Sequence) -> Reply<'_, Sequence> {
        Box::pin(async move { Ok(self.health.head_after(sequence).await) })
    }

    fn positions(&self) -> Reply<'_, Positions> {
        self.read_confirmed(|reads| async move { between::positions(&reads).await })
    }

    fn open_sagas(&self, query: SagaQuery) -> Reply<'_, Page<Saga>> {
        self.read(move |reads| async move { between::open_sagas(&reads, query).await })
    }

    fn slots(&self) -> Reply<'_, Slots> {
        let dealt = self.slots.clone();
        self.read_confirmed(move |reads| {
            let dealt = dealt.clone();
            async move { between::slots(&reads, dealt).await }
        })
    }

    fn account_ids(&self, after: Option<u64>, limit: usize) -> Reply<'_, Page<AccountId>> {
        self.read(move |reads| async move { between::account_ids(&reads, after, limit).await })
    }

    fn accounts_in(&self, slot: u16, after: Option<AccountId>, limit: usize) -> Reply<'_, Vec<AccountId>> {
        self.read(move |reads| async move { between::accounts_in(&reads, slot, after, limit).await })
    }

    fn entry_of_key(&self, digest: u128) -> Reply<'_, Option<EntryRef>> {
        self.read_confirmed(move |reads| async move {
            let found = between::entry_of_key(&reads, digest).await?;
            let sequence = found.as_ref().map_or(0, |entry| entry.header.sequence);
            Ok((found, sequence))
        })
    }

    fn lease(&self, holder: u128, microseconds: u64) -> Reply<'_, bool> {
        self.read(move |reads| async move { between::lease(&reads, holder, microseconds).await })
    }

    fn verify(&self, progress: Arc<dyn Progress>) -> Reply<'_, VerifyReport> {
        let verifier = self.verifier.clone();
        let task = self.runtime.spawn(async move { verifier.verify(&*progress).await });
        Box::pin(async move { task.await.unwrap_or_else(|_| Err(stopping())) })
    }

    fn stats(&self) -> Stats {
        self.health.stats()
    }
}
