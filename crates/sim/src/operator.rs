//! The operator, who moves slots to other shards while the bank serves, and asks again until it is done.

use crate::auditor::Auditor;
use crate::ground::Ground;
use crate::network::{Network, Work};
use bank::error::BankError;
use bank::moving::Moved;
use bank::{Bank, Caller};
use ledger::event::Channel;
use ledger::ids::{AccountId, ShardId, slot};
use std::sync::Arc;

/// How long the operator rests between two moves, and before asking again.
const REST_US: (u64, u64) = (10_000, 1_000_000);
const BACKOFF_US: (u64, u64) = (1_000, 500_000);
/// How long an operator waits for a move.
const PATIENCE_US: u64 = 20_000_000;

/// See the module.
pub struct Operator {
    /// Where it lives.
    pub ground: Ground,
    /// The way to the bank.
    pub network: Network,
    /// Who listens.
    pub auditor: Auditor,
}

impl Operator {
    /// Moves slots of these accounts from shard to shard, until nothing goes wrong any more.
    pub async fn move_slots(self, accounts: Vec<AccountId>, shards: u16) {
        while !self.ground.faults.is_over() {
            self.ground.pause(REST_US.0, REST_US.1).await;
            let account = self.ground.dice.pick(&accounts).copied();
            let to = u16::try_from(self.ground.dice.below(u64::from(shards))).ok().and_then(ShardId::new);
            if let Some((account, to)) = account.zip(to) {
                self.move_slot(slot(account.number()), to).await;
            }
        }
    }

    async fn move_slot(&self, slot: u16, to: ShardId) {
        loop {
            let node = self.ground.dice.index(self.network.nodes());
            self.ground.note(&format!("node {node} is to move slot {slot} to shard {to}"));
            let work: Work<Result<Moved, BankError>> = Arc::new(move |bank: Arc<Bank>| {
                Box::pin(async move { bank.move_slots(&Caller::local(Channel::Http), &[slot], to).await })
            });
            match self.network.call_within(node, work, PATIENCE_US).await {
                Ok(Ok(moved)) => {
                    return self
                        .ground
                        .note(&format!("slot {slot} is on shard {to}, with {} accounts", moved.accounts));
                }
                // It was there before.
                Ok(Err(BankError::Malformed { detail, .. })) => return self.ground.note(&format!("no move: {detail}")),
                Ok(Err(BankError::Fault(fault))) if fault.retryable() => {
                    self.ground.note(&format!("slot {slot} does not move: {fault}"));
                }
                Ok(Err(error)) => return self.auditor.finds("slots can be moved", error.to_string()),
                Err(_) => {}
            }
            self.ground.pause(BACKOFF_US.0, BACKOFF_US.1).await;
        }
    }
}
