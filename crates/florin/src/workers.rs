//! What runs beside requests while a bank is open: a relay per shard that carries messages to the others, a sweeper that
//! compares both ends of every pair, and a watch on transfers between shards that take too long.

use crate::config;
use bank::Bank;
use bank::ports::Bus;
use bank::relay::{Relay, RelaySettings, Sent};
use ledger::ids::ShardId;
use ledger::time::Timestamp;
use std::sync::Arc;
use store::Fault;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Running workers. They end when this is dropped; nothing depends on how far they were.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    tasks: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts what a bank of several shards needs. One of a single shard needs nothing.
    pub(crate) fn start(
        runtime: &Handle,
        bank: &Arc<Bank>,
        bus: Option<&Arc<dyn Bus>>,
        config: &config::Sagas,
    ) -> Workers {
        if bank.shards().len() < 2 {
            return Workers::default();
        }
        let settings = RelaySettings {
            lease_us: config.lease_ms.max(10) * 1000,
            retry_first_us: config.retry_first_ms.max(1) * 1000,
            retry_most_us: config.retry_most_ms.max(1) * 1000,
        };
        let mut tasks = Vec::new();
        for store in bank.shards() {
            let relay = Relay::new(bank.clone(), store.shard(), bus.cloned(), settings);
            tasks.push(runtime.spawn(relay.run(tell)));
        }
        tasks.push(runtime.spawn(sweep(bank.clone(), config.sweep_interval_ms)));
        tasks.push(runtime.spawn(watch(bank.clone(), config.alert_after_s)));
        Workers { tasks }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn tell(shard: ShardId, fault: &Fault) {
    tracing::warn!("messages of or for shard {shard} wait: {fault}");
}

/// Brings, again and again, what no relay brought.
async fn sweep(bank: Arc<Bank>, interval_ms: u64) {
    let mut sent = Sent::new();
    loop {
        bank.env().sleep(interval_ms.max(10) * 1000).await;
        match bank.sweep_late(&mut sent).await {
            Ok(_) => {}
            Err(fault) => tracing::warn!("messages between shards could not be compared: {fault}"),
        }
    }
}

/// Alarms about transfers between shards that should have ended long ago. Nothing is refunded by that: a refund needs the
/// other shard's recorded no.
async fn watch(bank: Arc<Bank>, alert_after_s: u64) {
    loop {
        bank.env().sleep((alert_after_s.max(1) * 1_000_000).min(60_000_000)).await;
        let until = bank.now().microseconds().saturating_sub(alert_after_s.saturating_mul(1_000_000));
        let until = Timestamp::from_microseconds(until).unwrap_or(Timestamp::ZERO);
        match bank.sagas_older_than(until).await {
            Ok(0) => {}
            Ok(count) => tracing::error!(
                "{count} transfers between shards are pending for more than {alert_after_s} s: see GET \
                 /api/v1/transfers?status=pending&older_than={alert_after_s}"
            ),
            Err(fault) => tracing::warn!("pending transfers could not be counted: {fault}"),
        }
    }
}
