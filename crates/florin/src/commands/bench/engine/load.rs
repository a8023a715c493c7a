//! What is submitted: accounts on the shards that their ids hash to, and random transfers between them, each with an
//! idempotency key.

use super::super::{mixed, now, random_transfer};
use crate::cli::Shape;
use crate::failure::Failure;
use crate::program::OpenBank;
use bank::Bank;
use bank::ports::Env;
use ledger::account::AccountKind;
use ledger::amount::Amount;
use ledger::command::{Between, Command, OpenAccount, RegisterCustomer};
use ledger::currency::Currency;
use ledger::event::{Channel, Context, Event, Key, Outcome};
use ledger::ids::{AccountId, CustomerId, ShardId, TransferId};
use ledger::saga::{Route, StepKind};
use ledger::transfer::{Leg, LegAmount, Legs, Transfer, TransferKind};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::query::{EntryQuery, PAGE_MAX, TransferStatus};
use store::{Answer, Fault, Request, SUBMISSION_MAX, Store, Submission};
use tokio::sync::oneshot;

/// Pause before something refused for now is submitted again, and between looks at what has to end.
const PAUSE_US: u64 = 1000;
/// Pause between looks at what is still open between shards: each look is a read of every shard.
const LOOK_US: u64 = 10_000;
/// How quick a single transfer between shards is when the way is found, and how often that is tried.
const WARM_UP_QUICK: Duration = Duration::from_millis(250);
const WARM_UP_TRIES: u64 = 20;

/// Where the load goes.
pub(super) struct Load {
    bank: Arc<Bank>,
    pub(super) env: Arc<dyn Env>,
    context: Arc<Context>,
    currency: Currency,
    shape: Shape,
    /// The accounts of each shard.
    accounts: Vec<Vec<AccountId>>,
    /// Who waits for the end of a transfer between shards.
    waiting: Mutex<BTreeMap<TransferId, oneshot::Sender<bool>>>,
}

/// Why something was not done.
pub(super) enum Refused {
    ForNow,
    ForGood(Failure),
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Failure {
        match refused {
            Refused::ForNow => Fault::Overloaded.into(),
            Refused::ForGood(failure) => failure,
        }
    }
}

impl Load {
    /// A load on this bank, between the accounts 1 to `accounts`, which are not open yet.
    ///
    /// # Errors
    /// Wrong usage where a shard has too few accounts for the shape.
    pub(super) fn new(open: &OpenBank, shape: Shape, accounts: u64) -> Result<Load, Failure> {
        let bank = open.bank.clone();
        let mut placed = vec![Vec::new(); bank.shards().len()];
        for id in (1..=accounts).filter_map(AccountId::new) {
            placed[usize::from(bank.shard_of_account(id).number())].push(id);
        }
        if shape == Shape::Between && placed.len() < 2 {
            let advice = "add --shards 2, or name the databases of several shards";
            return Err(Failure::usage("there is one shard only, and the shape is between", advice));
        }
        if placed.iter().any(|of_shard| of_shard.len() < 2) {
            return Err(Failure::usage("a shard has fewer than two accounts", "ask for more with --accounts"));
        }
        let context =
            Context { principal: "bench".into(), channel: Channel::File, correlation: "".into(), cause: None };
        let currency = "EUR".parse::<Currency>().map_err(|_| Failure::fault("there is no EUR", ""))?;
        Ok(Load {
            bank,
            env: open.env.clone(),
            context: Arc::new(context),
            currency,
            shape,
            accounts: placed,
            waiting: Mutex::default(),
        })
    }

    /// Its shards.
    pub(super) fn shards(&self) -> &[Arc<dyn Store>] {
        self.bank.shards()
    }

    /// Registers the customer and opens the accounts; `told` hears how many are open.
    ///
    /// # Errors
    /// What refused it.
    pub(super) async fn open_accounts(&self, told: impl Fn(u64)) -> Result<(), Failure> {
        let register = RegisterCustomer { id: CustomerId::new(1), profile: Vec::new(), registered_as: 1 };
        let home = self.bank.shard_of_user(CustomerId::new(1).expect("one is an id"));
        let register = Request { key: None, command: Command::RegisterCustomer(Box::new(register)) };
        self.submit(home, vec![register]).await?;
        let mut opened = 0;
        for (store, accounts) in self.shards().iter().zip(&self.accounts) {
            for some in accounts.chunks(SUBMISSION_MAX) {
                let requests = some.iter().map(|id| self.open_account(*id)).collect();
                self.submit(store.shard(), requests).await?;
                opened += some.len() as u64;
                told(opened);
            }
        }
        Ok(())
    }

    /// The way between shards may have to be found first: a group of consumers forms within seconds, and what is sent
    /// before comes by the sweeper. So single transfers go from each shard until one has been quick.
    ///
    /// # Errors
    /// What refused one.
    pub(super) async fn warm_up(&self) -> Result<(), Failure> {
        if self.shape != Shape::Between {
            return Ok(());
        }
        for home in 0..self.accounts.len() as u64 {
            for try_number in 0..WARM_UP_TRIES {
                // From the end, so that their keys are no other transfer's.
                let index = u64::MAX - (home * WARM_UP_TRIES + try_number) - 1;
                let pending = self.transfer_all(home, index..index + 1).await?;
                let begun = now();
                if let Some(last) = pending.last {
                    self.success_of(pending.shard, last).await?;
                }
                if begun.elapsed() < WARM_UP_QUICK {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Submits the transfers of a batch to its home shard. The id of the last one, where it has still to succeed.
    ///
    /// # Errors
    /// As [`Refused`] says.
    pub(super) async fn transfer_all(&self, batch: u64, indexes: std::ops::Range<u64>) -> Result<Pending, Refused> {
        let home = place(batch % self.accounts.len() as u64);
        let requests = indexes.map(|index| self.transfer(home, index)).collect();
        let shard = self.shards()[home].shard();
        let answers = self.submit(shard, requests).await?;
        let last = match answers.last().and_then(Answer::outcome) {
            Some(Outcome::Event(Event::Saga(step))) => Some(step.saga),
            _ => None,
        };
        Ok(Pending { shard, last })
    }

    /// Waits until a transfer between shards has succeeded.
    ///
    /// # Errors
    /// A fault of its shard, or it has failed.
    pub(super) async fn success_of(&self, shard: ShardId, transfer: TransferId) -> Result<(), Failure> {
        let (done, ended) = oneshot::channel();
        self.waiting().insert(transfer, done);
        // It may have ended before anybody waited for it.
        let view = self.bank.store(shard).transfer(transfer).await?;
        let is_success = match view.map(|view| view.status()) {
            Some(TransferStatus::Succeeded) => true,
            Some(TransferStatus::Pending) => ended.await.unwrap_or(false),
            _ => false,
        };
        self.waiting().remove(&transfer);
        let failure = || Failure::fault(format!("transfer {transfer} did not succeed"), "");
        is_success.then_some(()).ok_or_else(failure)
    }

    /// Reads a shard's journal for ever, and tells whoever waits for a transfer that it has ended. After a fault nobody
    /// waits any more.
    pub(super) async fn follow(self: Arc<Self>, shard: ShardId) {
        if let Err(fault) = self.follow_until_fault(shard).await {
            tracing::error!("the journal of shard {shard} could not be followed: {fault}");
        }
        self.waiting().clear();
    }

    async fn follow_until_fault(&self, shard: ShardId) -> Result<(), Fault> {
        let store = self.bank.store(shard);
        let mut after = store.head();
        loop {
            store.head_after(after).await?;
            for entry in store.follow(EntryQuery { after, limit: PAGE_MAX }).await? {
                after = entry.header.sequence;
                let Outcome::Event(Event::Saga(step)) = &entry.outcome else { continue };
                if matches!(step.kind, StepKind::Completed | StepKind::Failed)
                    && let Some(waiting) = self.waiting().remove(&step.saga)
                {
                    let _gone = waiting.send(step.kind == StepKind::Completed);
                }
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<TransferId, oneshot::Sender<bool>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nothing is open between shards.
    ///
    /// # Errors
    /// A fault of a shard.
    pub(super) async fn all_succeeded(&self) -> Result<(), Failure> {
        while self.bank.sagas_older_than(self.bank.now()).await? != 0 {
            self.env.sleep(LOOK_US).await;
        }
        Ok(())
    }

    /// Waits until no index rows wait for a disk.
    pub(super) async fn all_indexed(&self) {
        while self.shards().iter().any(|store| store.stats().index_lag != 0) {
            self.env.sleep(PAUSE_US).await;
        }
    }

    /// A pause before trying again.
    pub(super) async fn pause(&self) {
        self.env.sleep(PAUSE_US).await;
    }

    async fn submit(&self, shard: ShardId, requests: Vec<Request>) -> Result<Vec<Answer>, Refused> {
        let submission = Submission { context: self.context.clone(), requests, dry_run: false };
        let answers = match self.bank.store(shard).submit(submission).await {
            Err(Fault::Overloaded) => return Err(Refused::ForNow),
            answers => answers.map_err(|fault| Refused::ForGood(fault.into()))?,
        };
        let is_done = |answer: &Answer| matches!(answer.outcome(), Some(Outcome::Event(_)));
        match answers.iter().find(|answer| !is_done(answer)) {
            None => Ok(answers),
            Some(answer) => {
                let what = format!("a request was not done: {answer:?}");
                Err(Refused::ForGood(Failure::fault(what, "use a new folder and new databases")))
            }
        }
    }

    fn open_account(&self, id: AccountId) -> Request {
        let command = OpenAccount {
            id: Some(id),
            customer: CustomerId::new(1).expect("one is an id"),
            kind: AccountKind::Checking,
            currency: self.currency,
            overdraft_limit: Amount::MAX,
        };
        Request { key: None, command: Command::OpenAccount(command) }
    }

    /// Two accounts, the first of the home shard, the second of the shard that is told with it.
    fn pair(&self, home: usize, index: u64) -> (AccountId, AccountId, usize) {
        let own = &self.accounts[home];
        let (from, to, _) = random_transfer(index, own.len() as u64);
        match self.shape {
            Shape::Spread => (own[place(from - 1)], own[place(to - 1)], home),
            Shape::Hot => {
                let other = own[1 + place(from - 1) % (own.len() - 1)];
                if index.is_multiple_of(2) { (own[0], other, home) } else { (other, own[0], home) }
            }
            Shape::Between => {
                let others = self.accounts.len() as u64 - 1;
                let elsewhere = (home + 1 + place(mixed(index ^ 0x3333_3333) % others)) % self.accounts.len();
                let theirs = &self.accounts[elsewhere];
                (own[place(from - 1)], theirs[place(to - 1) % theirs.len()], elsewhere)
            }
        }
    }

    fn transfer(&self, home: usize, index: u64) -> Request {
        let (from, to, elsewhere) = self.pair(home, index);
        let amount = Amount::new(random_transfer(index, 2).2).expect("it has few digits");
        let digest = u128::from(mixed(!index)) << 64 | u128::from(mixed(index ^ 0x5555_5555_5555_5555));
        let transfer = Transfer {
            kind: TransferKind::Transfer,
            currency: self.currency,
            legs: Legs::One([Leg { from, to, amount: LegAmount::Exactly(amount) }]),
            forced: false,
            effective_at: None,
            note: None,
        };
        let mut command = Command::Transfer(transfer);
        if elsewhere != home {
            let routes = Box::new([Route { account: to, shard: self.shards()[elsewhere].shard() }]);
            command = Command::Between(Box::new(Between { command, routes, payload: None }));
        }
        Request { key: Some(Key { digest, fingerprint: digest }), command }
    }
}

/// What a batch still waits for.
pub(super) struct Pending {
    /// Its home shard.
    pub(super) shard: ShardId,
    /// Its last transfer, where that goes between shards.
    pub(super) last: Option<TransferId>,
}

/// A number below the length of a list.
fn place(number: u64) -> usize {
    usize::try_from(number).expect("lists in memory are shorter than the address space")
}
