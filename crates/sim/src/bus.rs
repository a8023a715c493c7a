//! A bus between shards that refuses, loses, doubles, delays and reorders parcels.

use crate::ground::Ground;
use crate::node::Nodes;
use crate::scheduler::Owner;
use bank::ports::{Boxed, Bus};
use ledger::ids::ShardId;
use store::Fault;

/// Usual time on the way, and that of a late parcel.
const TRAVEL_US: (u64, u64) = (100, 20_000);
const LATE_US: u64 = 5_000_000;

/// See the module.
pub struct ParcelBus {
    ground: Ground,
    nodes: Nodes,
}

impl ParcelBus {
    /// A bus that brings parcels to any of these nodes.
    pub fn new(ground: Ground, nodes: Nodes) -> ParcelBus {
        ParcelBus { ground, nodes }
    }

    fn bring(&self, parcel: Vec<u8>) {
        let (ground, nodes) = (self.ground.clone(), self.nodes.clone());
        let is_late = ground.dice.happens(ground.faults.rates().parcel_late);
        self.ground.scheduler.spawn(Owner::World, async move {
            ground.pause(TRAVEL_US.0, if is_late { LATE_US } else { TRAVEL_US.1 }).await;
            let node = ground.dice.index(nodes.count());
            let Some(bank) = nodes.bank(node) else { return };
            let heard = ground.clone();
            ground.scheduler.spawn(Owner::Node(node), async move {
                if let Err(fault) = bank.take_parcel(&parcel).await {
                    heard.note(&format!("node {node} does not take a parcel: {fault}"));
                }
            });
        });
    }
}

impl Bus for ParcelBus {
    fn send(&self, from: ShardId, to: ShardId, parcel: Vec<u8>) -> Boxed<'_, Result<(), Fault>> {
        Box::pin(async move {
            let rates = self.ground.faults.rates();
            self.ground.pause(TRAVEL_US.0, TRAVEL_US.1).await;
            if self.ground.dice.happens(rates.parcel_refused) {
                // Whoever hears of a fault does not know whether the parcel was sent.
                if self.ground.dice.happens(5_000) {
                    self.bring(parcel);
                }
                return Err(Fault::Unavailable { reason: "the bus takes no parcels".into() });
            }
            self.ground.note(&format!("a parcel of {} bytes from shard {from} to shard {to}", parcel.len()));
            if self.ground.dice.happens(rates.parcel_doubled) {
                self.bring(parcel.clone());
            }
            if !self.ground.dice.happens(rates.parcel_lost) {
                self.bring(parcel);
            }
            Ok(())
        })
    }
}
