//! Commands whose accounts are on several shards: where each account is, and what has to be looked up elsewhere before
//! the home shard decides.

use crate::error::BankError;
use crate::transfer::transfers_in;
use crate::{Bank, Caller};
use ledger::account::{Status, SystemAccount, SystemKind};
use ledger::command::{Between, Command, PlaceHold, Receive};
use ledger::event::{Context, Event, Outcome};
use ledger::ids::{AccountId, ShardId};
use ledger::rejection::Rejection;
use ledger::saga::{Envelope, Message, Position, Route, StepKind};
use ledger::transfer::{Leg, LegAmount, Legs, Transfer, TransferKind};
use std::collections::BTreeSet;
use std::sync::Arc;
use store::{Answer, Fault, Request, Submission};

/// What is said of `max` on an account that the deciding shard does not have.
const MAX_ELSEWHERE: &str = "moving all that is available on an account of another shard than the first transfer's";

impl Bank {
    /// The command as its home shard decides it: with the places of the accounts that are not on it.
    pub(crate) async fn between(&self, command: Command, home: ShardId) -> Result<Command, BankError> {
        if self.shards().len() == 1 {
            return Ok(command);
        }
        match &command {
            Command::Transfer(_) | Command::Batch(_) | Command::Exchange(_) => self.between_transfers(command, home),
            Command::PlaceHold(hold) => Ok(self.refusal_elsewhere(hold, home).await?.unwrap_or(command)),
            Command::CaptureHold(capture) => {
                let hold = self.store(home).hold(capture.hold, self.now()).await?;
                let to = capture.to.or(hold.and_then(|hold| hold.to));
                Ok(self.routed(command, home, to.into_iter()))
            }
            Command::Reverse(reverse) => {
                let Some(original) = self.store(home).transfer(reverse.transfer).await? else { return Ok(command) };
                let legs = original.ordered().map(|(_, ordered)| ordered.legs.iter().copied().collect::<Vec<_>>());
                let accounts: Vec<AccountId> = match legs {
                    Some(legs) => legs.iter().flat_map(|leg| [leg.from, leg.to]).collect(),
                    None => original.postings().iter().filter_map(|row| Some(row.parts()?.0.account)).collect(),
                };
                Ok(self.routed(command, home, accounts.into_iter()))
            }
            _ => Ok(command),
        }
    }

    /// As [`Bank::between`], for one transfer as it is asked for: it needs no look-up.
    pub(crate) fn transfer_at(&self, caller: &Caller, command: Command, home: ShardId) -> Result<Command, BankError> {
        match own_interest(caller, &command, home) {
            Some(own) => Ok(own),
            None => self.between_transfers(self.dated(caller, command), home),
        }
    }

    /// As [`Bank::between`], for transfers, a batch or an exchange, which need no look-up.
    pub(crate) fn between_transfers(&self, command: Command, home: ShardId) -> Result<Command, BankError> {
        let legs = || transfers_in(&command).iter().flat_map(|transfer| transfer.legs.iter());
        let is_elsewhere = |id: AccountId| self.shard_of_account(id) != home;
        if self.shards().len() == 1 || !legs().any(|leg| is_elsewhere(leg.from) || is_elsewhere(leg.to)) {
            return Ok(command);
        }
        if legs().any(|leg| leg.amount == LegAmount::Max && is_elsewhere(leg.from)) {
            return Err(BankError::NotAvailableYet { what: MAX_ELSEWHERE });
        }
        let accounts: Vec<AccountId> = legs().flat_map(|leg| [leg.from, leg.to]).collect();
        Ok(self.routed(command, home, accounts.into_iter()))
    }

    fn routed(&self, command: Command, home: ShardId, accounts: impl Iterator<Item = AccountId>) -> Command {
        let elsewhere: BTreeSet<AccountId> = accounts.filter(|id| self.shard_of_account(*id) != home).collect();
        if elsewhere.is_empty() {
            return command;
        }
        let route = |account| Route { account, shard: self.shard_of_account(account) };
        let routes = elsewhere.into_iter().map(route).collect();
        Command::Between(Box::new(Between { command, routes, payload: None }))
    }

    /// Whoever gets a hold's money may be on another shard, whose rows the deciding shard cannot see. What speaks against
    /// it there becomes a refusal, so that it is recorded under the key like every other.
    async fn refusal_elsewhere(&self, hold: &PlaceHold, home: ShardId) -> Result<Option<Command>, Fault> {
        let Some(to) = hold.to else { return Ok(None) };
        if self.home_of(to).await? == home {
            return Ok(None);
        }
        let account = self.account(to).await?;
        let rejection = match account {
            None => Rejection::AccountNotFound(to),
            Some(account) if account.status == Status::Closed => Rejection::AccountClosed(to),
            Some(account) if account.currency != hold.currency => {
                Rejection::CurrencyMismatch { account: to, currency: account.currency }
            }
            Some(_) => return Ok(None),
        };
        Ok(Some(Command::Refuse(Box::new(rejection))))
    }

    /// What the other shards would say to a saga that the home shard would begin.
    pub(crate) async fn dry_run_parts(&self, context: &Arc<Context>, answer: Answer) -> Result<Answer, BankError> {
        let Some(Outcome::Event(Event::Saga(step))) = answer.outcome() else { return Ok(answer) };
        let Some(order) = step.order.clone() else { return Ok(answer) };
        for shard in order.parts() {
            let received = self.store(shard).positions().await?.received;
            let number = received.get(&order.home()).map_or(0, |position| position.number) + 1;
            let position = Position { number, sequence: 0 };
            let message = Message::Take(order.clone());
            let envelope = Envelope { from: order.home(), to: shard, position, message };
            let command = Command::Receive(Box::new(Receive { envelope, refused: None }));
            let requests = vec![Request { key: None, command }];
            let submission = Submission { context: context.clone(), requests, dry_run: true };
            let answers = self.store(shard).submit(submission).await?;
            if let Some(Outcome::Event(Event::Saga(step))) = answers.first().and_then(Answer::outcome)
                && step.kind == StepKind::Refused
                && let Some(failure) = step.failure
            {
                let outcome = Outcome::Rejection { index: failure.index, rejection: failure.rejection };
                return Ok(Answer::Unrecorded(Box::new(outcome)));
            }
        }
        Ok(answer)
    }
}

/// Interest that the bank itself pays or takes back, between the account and the expense account beside it. Whoever asked
/// may have known another shard as the account's; between shards it would be booked by a relay, whose postings are not
/// those of the day that is being closed.
fn own_interest(caller: &Caller, command: &Command, home: ShardId) -> Option<Command> {
    let Command::Transfer(transfer) = command else { return None };
    let Legs::One([leg]) = &transfer.legs else { return None };
    if transfer.kind != TransferKind::Interest || !caller.is_bank() {
        return None;
    }
    let expense = SystemAccount::standard(home, SystemKind::Expense, transfer.currency).id();
    let beside = |id| if SystemAccount::from_id(id).is_some() { expense } else { id };
    let leg = Leg { from: beside(leg.from), to: beside(leg.to), amount: leg.amount };
    Some(Command::Transfer(Transfer { legs: Legs::One([leg]), ..transfer.clone() }))
}
