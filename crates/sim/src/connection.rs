//! A node's connection to a shard's store, over a network that fails.
//!
//! A submission travels by itself: once it is sent, it arrives though its node crashed meanwhile, as a commit does that
//! is on its way to a database. What the sender hears is the answer, or a fault that does not say whether anything was
//! done.

use crate::ground::{Clock, Ground};
use crate::reply::{Giver, reply};
use crate::scheduler::Owner;
use crate::shard::Shard;
use ledger::account::Account;
use ledger::currency::Currency;
use ledger::customer::Customer;
use ledger::dead_letter::DeadLetter;
use ledger::hold::Hold;
use ledger::ids::{AccountId, CustomerId, DeadLetterId, HoldId, Sequence, ShardId, TransferId};
use ledger::saga::Saga;
use ledger::slots::Slots;
use ledger::time::Timestamp;
use ledger::token::Token;
use std::sync::Arc;
use store::query::{
    BalanceQuery, EntryQuery, Page, PageQuery, Positions, PostingQuery, PostingRow, SagaQuery, TransferQuery,
    TransferView,
};
use store::report::{Progress, Stats, VerifyReport};
use store::{Answer, EntryRef, Fault, Reply, Store, Submission};

/// See the module.
pub struct Connection {
    ground: Ground,
    shard: Shard,
    node: usize,
    clock: Clock,
}

/// Usual time on the way to a shard or back, and what a slow one takes at most.
const TRAVEL_US: (u64, u64) = (50, 2_000);
const SLOW_US: u64 = 1_000_000;

fn unavailable(reason: &str) -> Fault {
    Fault::Unavailable { reason: reason.into() }
}

impl Connection {
    /// The connection of a node, whose clock the shard decides by.
    pub fn new(ground: Ground, shard: Shard, node: usize, clock: Clock) -> Connection {
        Connection { ground, shard, node, clock }
    }

    /// The journey of a submission: there, into effect, and back.
    async fn carry(
        ground: Ground,
        shard: Shard,
        from: String,
        clock: Clock,
        submission: Submission,
        answer: Giver<Result<Vec<Answer>, Fault>>,
    ) {
        travel(&ground).await;
        let rates = ground.faults.rates();
        if ground.faults.is_out(shard.number(), ground.scheduler.now_us()) || ground.dice.happens(rates.refused) {
            ground.note(&format!("{from} is refused"));
            travel(&ground).await;
            return answer.give(Err(unavailable("the shard refuses connections")));
        }
        shard.set_time(clock.now());
        let before = shard.store().head();
        let outcome = shard.store().submit(submission).await;
        ground.note(&format!("{from} takes effect: entries {before} to {}", shard.store().head()));
        travel(&ground).await;
        if ground.dice.happens(rates.answer_lost) {
            ground.note(&format!("{from} loses its answer"));
            return;
        }
        answer.give(outcome);
    }

    async fn arrive(&self) -> Result<(), Fault> {
        travel(&self.ground).await;
        let is_out = self.ground.faults.is_out(self.shard.number(), self.ground.scheduler.now_us());
        let fails = self.ground.dice.happens(self.ground.faults.rates().read_failed);
        if is_out || fails { Err(unavailable("the read found no connection")) } else { Ok(()) }
    }
}

async fn travel(ground: &Ground) {
    let is_slow = ground.dice.happens(ground.faults.rates().slow);
    let last_us = if is_slow { SLOW_US } else { TRAVEL_US.1 };
    ground.pause(TRAVEL_US.0, last_us).await;
}

/// Methods that read: there, what is there at that instant, and back.
macro_rules! reads {
    ($($method:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {$(
        fn $method(&self, $($argument: $type),*) -> Reply<'_, $answer> {
            Box::pin(async move {
                self.arrive().await?;
                let answer = self.shard.store().$method($($argument),*).await;
                travel(&self.ground).await;
                answer
            })
        }
    )*};
}

impl Store for Connection {
    fn shard(&self) -> ShardId {
        self.shard.store().shard()
    }

    fn secret(&self) -> [u8; 32] {
        self.shard.store().secret()
    }

    fn submit(&self, submission: Submission) -> Reply<'_, Vec<Answer>> {
        let (giver, taker) = reply();
        let from = format!("submission of node {} to shard {}", self.node, self.shard.number());
        let journey =
            Connection::carry(self.ground.clone(), self.shard.clone(), from, self.clock.clone(), submission, giver);
        self.ground.scheduler.spawn(Owner::World, journey);
        Box::pin(async move { taker.await.unwrap_or_else(|_| Err(unavailable("the connection broke"))) })
    }

    reads! {
        account(id: AccountId, now: Timestamp) -> Option<Account>;
        customer(id: CustomerId) -> Option<Customer>;
        customers(page: PageQuery) -> Page<Customer>;
        accounts_of(customer: CustomerId, page: PageQuery, now: Timestamp) -> Page<Account>;
        system_accounts() -> Vec<Account>;
        customer_sums() -> Vec<(Currency, i128)>;
        hold(id: HoldId, now: Timestamp) -> Option<Hold>;
        holds_of(account: AccountId, page: PageQuery, now: Timestamp) -> Page<Hold>;
        transfer(id: TransferId) -> Option<TransferView>;
        transfers(query: TransferQuery) -> Page<TransferView>;
        postings(query: PostingQuery) -> Page<PostingRow>;
        balance_at(query: BalanceQuery) -> Option<i128>;
        dead_letter(id: DeadLetterId) -> Option<(DeadLetter, EntryRef, EntryRef)>;
        dead_letters(page: PageQuery) -> Page<DeadLetter>;
        tokens() -> Vec<Token>;
        entries(query: EntryQuery) -> Vec<EntryRef>;
        head_after(sequence: Sequence) -> Sequence;
        positions() -> Positions;
        open_sagas(query: SagaQuery) -> Page<Saga>;
        slots() -> Slots;
        account_ids(after: Option<u64>, limit: usize) -> Page<AccountId>;
        accounts_in(slot: u16, after: Option<AccountId>, limit: usize) -> Vec<AccountId>;
        entry_of_key(digest: u128) -> Option<EntryRef>;
        due_holds(now: Timestamp, limit: usize) -> Vec<HoldId>;
        verify(progress: Arc<dyn Progress>) -> VerifyReport;
    }

    fn lease(&self, holder: u128, microseconds: u64) -> Reply<'_, bool> {
        Box::pin(async move {
            self.arrive().await?;
            // Whoever pauses at the wrong moment takes a lease for its own that is another's by now.
            let is_mistaken = self.ground.dice.happens(self.ground.faults.rates().lease_doubled);
            let is_lost = self.ground.dice.happens(self.ground.faults.rates().lease_lost);
            self.shard.set_time(self.clock.now());
            let has_it = self.shard.store().lease(holder, microseconds).await?;
            travel(&self.ground).await;
            Ok((has_it || is_mistaken) && !is_lost)
        })
    }

    fn head(&self) -> Sequence {
        self.shard.store().head()
    }

    fn stats(&self) -> Stats {
        self.shard.store().stats()
    }
}
