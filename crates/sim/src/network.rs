//! The network between clients and nodes: it delays, loses and doubles requests, and loses answers.

use crate::ground::Ground;
use crate::node::Nodes;
use crate::reply::{Giver, reply};
use crate::scheduler::Owner;
use bank::Bank;
use bank::ports::Boxed;
use futures_util::future::{Either, select};
use std::pin::pin;
use std::sync::Arc;

/// What a node is to do with its bank.
pub type Work<T> = Arc<dyn Fn(Arc<Bank>) -> Boxed<'static, T> + Send + Sync>;

/// No answer came: the outcome is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAnswer;

/// How long a client waits for an answer.
const PATIENCE_US: (u64, u64) = (20_000, 3_000_000);
const TRAVEL_US: (u64, u64) = (50, 5_000);

/// See the module.
#[derive(Clone)]
pub struct Network {
    ground: Ground,
    nodes: Nodes,
}

impl Network {
    /// The network to these nodes.
    pub fn new(ground: Ground, nodes: Nodes) -> Network {
        Network { ground, nodes }
    }

    /// How many nodes can be called.
    pub fn nodes(&self) -> usize {
        self.nodes.count()
    }

    /// Has a node do something, and waits for its answer as long as a client waits.
    ///
    /// # Errors
    /// [`NoAnswer`] when none came in time, or the connection broke. The node may still do it, now or later.
    pub async fn call<T: Send + 'static>(&self, node: usize, work: Work<T>) -> Result<T, NoAnswer> {
        let patience_us = self.ground.dice.between(PATIENCE_US.0, PATIENCE_US.1);
        self.call_within(node, work, patience_us).await
    }

    /// As [`Network::call`], for whoever waits so many microseconds.
    ///
    /// # Errors
    /// As there.
    pub async fn call_within<T: Send + 'static>(
        &self,
        node: usize,
        work: Work<T>,
        patience_us: u64,
    ) -> Result<T, NoAnswer> {
        let (giver, taker) = reply();
        let rates = self.ground.faults.rates();
        if self.ground.dice.happens(rates.request_doubled) {
            self.deliver(node, work.clone(), None);
        }
        if !self.ground.dice.happens(rates.request_lost) {
            self.deliver(node, work, Some(giver));
        }
        let patience = pin!(self.ground.scheduler.sleep(patience_us));
        match select(taker, patience).await {
            Either::Left((answer, _)) => answer.map_err(|_| NoAnswer),
            Either::Right(_) => Err(NoAnswer),
        }
    }

    fn deliver<T: Send + 'static>(&self, node: usize, work: Work<T>, giver: Option<Giver<T>>) {
        let network = self.clone();
        self.ground.scheduler.spawn(Owner::World, async move {
            network.ground.pause(TRAVEL_US.0, TRAVEL_US.1).await;
            let Some(bank) = network.nodes.bank(node) else { return };
            let ground = network.ground.clone();
            network.ground.scheduler.spawn(Owner::Node(node), async move {
                let answer = work(bank).await;
                ground.pause(TRAVEL_US.0, TRAVEL_US.1).await;
                if let Some(giver) = giver
                    && !ground.dice.happens(ground.faults.rates().reply_lost)
                {
                    giver.give(answer);
                }
            });
        });
    }
}
