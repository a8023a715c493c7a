//! Clients: they ask, repeat under the same key whenever no answer came, and never give up.

use crate::ask::{Ask, Request};
use crate::auditor::{Auditor, Look};
use crate::ground::Ground;
use crate::heard::{Heard, Progress, SeenTransfer};
use crate::network::{Network, Work};
use crate::scheduler::Owner;
use crate::workload::Workload;
use bank::Bank;
use bank::error::BankError;
use bank::read::TransferDetails;
use ledger::account::Account;
use ledger::dead_letter::DeadLetterStatus;
use ledger::ids::{AccountId, DeadLetterId, TransferId};
use std::sync::Arc;
use store::Fault;

/// How long a client rests before it repeats a request, and between two requests.
const BACKOFF_US: (u64, u64) = (1_000, 200_000);
const REST_US: (u64, u64) = (1, 50_000);

/// How often, in 10,000 requests, something unusual is done with one.
const TWIN: u64 = 700;
const SENT_AGAIN: u64 = 1_500;
const KEY_REUSED: u64 = 400;
const LOOK: u64 = 4_000;
const WATCHED: u64 = 6_000;
const LETTERS_READ: u64 = 1_000;
/// How many dead letters a client reads at once.
const LETTERS_MAX: usize = 20;
/// How often a client asks before it is tired of it.
const WATCHES_MAX: usize = 40;

/// One client of the bank.
#[derive(Clone)]
pub struct Client {
    /// Its number.
    pub number: usize,
    /// Where it lives.
    pub ground: Ground,
    /// The way to the bank.
    pub network: Network,
    /// What it wants.
    pub workload: Workload,
    /// Who listens.
    pub auditor: Auditor,
}

impl Client {
    /// Makes so many requests, one after the other.
    pub async fn work(self, requests: u64) {
        for _ in 0..requests {
            self.ground.pause(REST_US.0, REST_US.1).await;
            if self.ground.dice.happens(LOOK) {
                self.look(self.workload.any().account()).await;
            }
            if self.ground.dice.happens(LETTERS_READ) {
                self.read_letters().await;
            }
            let request = self.workload.request(self.number, self.workload.draw());
            self.have_done(request).await;
        }
    }

    /// Has one request done, in one of the ways in which clients do that.
    async fn have_done(&self, request: Request) {
        let dice = &self.ground.dice;
        if dice.happens(TWIN) {
            // The same, at the same time, perhaps through another node.
            let (twin, same) = (self.clone(), request.clone());
            self.auditor.is_asked(&request, self.ground.scheduler.moment());
            self.auditor.expects_twin();
            self.ground.scheduler.spawn(Owner::World, async move {
                twin.insist(&same).await;
                twin.auditor.twin_is_done();
            });
        }
        self.insist(&request).await;
        if dice.happens(SENT_AGAIN) {
            self.insist(&request).await;
        }
        if dice.happens(KEY_REUSED)
            && let Some(other) = self.reused(&request)
        {
            self.auditor.expects_reuse(other.id);
            self.insist(&other).await;
        }
    }

    /// Another request under the same key for the same account.
    fn reused(&self, request: &Request) -> Option<Request> {
        let Ask::Move(movement) = &request.ask else { return None };
        let mut movement = movement.clone();
        movement.legs.first_mut()?.2 += 1;
        let other = self.workload.request(self.number, Ask::Move(movement));
        Some(Request { key: request.key.clone(), principal: request.principal.clone(), ..other })
    }

    /// Puts a request to nodes until one answers.
    pub async fn insist(&self, request: &Request) {
        self.auditor.is_asked(request, self.ground.scheduler.moment());
        loop {
            match self.put(request).await {
                Some(heard) => {
                    self.ground.note(&format!("request {} hears {heard:?}", request.id));
                    self.workload.learn(&heard);
                    let begun: Vec<TransferId> = match &heard {
                        Heard::Begun(transfers) => transfers.iter().map(|transfer| transfer.id).collect(),
                        Heard::Taken(Some(transfer)) => vec![*transfer],
                        _ => Vec::new(),
                    };
                    self.auditor.is_heard(request.id, heard, self.ground.scheduler.moment());
                    if !begun.is_empty() && self.ground.dice.happens(WATCHED) {
                        self.watch(&begun).await;
                    }
                    return;
                }
                None => self.ground.pause(BACKOFF_US.0, BACKOFF_US.1).await,
            }
        }
    }

    async fn put(&self, request: &Request) -> Option<Heard> {
        let node = self.ground.dice.index(self.network.nodes());
        self.ground.note(&format!("request {} of {} to node {node}: {:?}", request.id, request.principal, request.ask));
        let asked = request.clone();
        let work: Work<Result<Heard, BankError>> = Arc::new(move |bank: Arc<Bank>| {
            let asked = asked.clone();
            Box::pin(async move { asked.put_to(&bank).await })
        });
        match self.network.call(node, work).await {
            Ok(Ok(heard)) => Some(heard),
            Ok(Err(BankError::Fault(fault))) if fault.retryable() => None,
            Ok(Err(BankError::NotAvailableYet { .. })) => Some(Heard::NotAvailable),
            Ok(Err(error)) => {
                self.auditor.finds("requests are answered", format!("request {} hears: {error}", request.id));
                Some(Heard::Other)
            }
            Err(_) => None,
        }
    }

    /// Asks how far transfers are until they have ended, or it is tired of asking.
    async fn watch(&self, begun: &[TransferId]) {
        let mut left: Vec<TransferId> = begun.to_vec();
        for _ in 0..WATCHES_MAX {
            let Some(id) = left.last().copied() else { return };
            self.ground.pause(REST_US.0, BACKOFF_US.1).await;
            let node = self.ground.dice.index(self.network.nodes());
            let work: Work<Result<Option<TransferDetails>, Fault>> =
                Arc::new(move |bank: Arc<Bank>| Box::pin(async move { bank.transfer(id).await }));
            let Ok(Ok(details)) = self.network.call(node, work).await else { continue };
            let progress = details.as_ref().and_then(SeenTransfer::of_details).map(|transfer| transfer.progress);
            if progress != Some(Progress::Pending) {
                self.ground.note(&format!("transfer {id} is seen as {progress:?}"));
                self.auditor.is_ended(id, progress, self.ground.scheduler.moment());
                left.pop();
            }
        }
    }

    /// Reads which dead letters wait.
    async fn read_letters(&self) {
        let node = self.ground.dice.index(self.network.nodes());
        let work: Work<Result<Vec<DeadLetterId>, Fault>> = Arc::new(move |bank: Arc<Bank>| {
            Box::pin(async move {
                let letters = bank.dead_letters(Some(DeadLetterStatus::Waiting), LETTERS_MAX, None).await?;
                Ok(letters.items.iter().map(|view| view.letter.id).collect())
            })
        });
        if let Ok(Ok(letters)) = self.network.call(node, work).await {
            self.workload.learn_letters(letters);
        }
    }

    /// Looks at an account, once. A read without an answer tells nothing.
    async fn look(&self, id: AccountId) {
        let asked_at = self.ground.scheduler.moment();
        let node = self.ground.dice.index(self.network.nodes());
        let work: Work<Result<Option<Account>, Fault>> =
            Arc::new(move |bank: Arc<Bank>| Box::pin(async move { bank.account(id).await }));
        if let Ok(Ok(account)) = self.network.call(node, work).await {
            let answered_at = self.ground.scheduler.moment();
            self.auditor.is_seen(Look { id, account, asked_at, answered_at });
        }
    }
}
