//! Takes messages to their providers while a bank serves: for every subscriber and shard one station, which follows the
//! journal and sends what is due. All of it runs beside requests and waits for nobody who moves money.
//!
//! Over PostgreSQL the nodes of a bank share the stations by leases; what a node leaves behind another goes on with.

mod ending;
mod figures;
mod lanes;
mod providers;
mod station;
mod waiting_room;

use crate::adapters::messengers::outbox::OutboxFolder;
use crate::config::{Config, EngineKind};
use crate::failure::Failure;
use crate::program::OpenBank;
use bank::lease::{LEASE_LEAST_US, Lease};
use bank::notification::delivery::Subscriber;
use bank::notification::follower::SetBack;
use bank::notification::{Notifications, Settings};
use bank::ports::{Env, Records};
use ending::Ending;
use figures::Figures;
use ledger::ids::ShardId;
use providers::Providers;
use rustix::process::setpriority_process;
use rustix::thread::gettid;
use station::Station;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// Threads that work on messages, and that wait for records, files and, some of them, for names that are looked up.
const THREADS: usize = 2;
const BLOCKING_THREADS: usize = 16;
/// Their place behind all others: a thirtieth of the time of whoever wants to run as well.
const NICE: i32 = 15;
/// How often endpoints are looked through for new and removed ones, in microseconds.
const LOOK_US: u64 = 500_000;
/// Every so many looks what is known of endpoints of other nodes is read anew.
const LOOKS: u32 = 4;
/// How often old deliveries are removed, and old messages in the outbox, in microseconds.
const TIDY_US: u64 = 3_600_000_000;
const TIDY_OUTBOX_US: u64 = 60_000_000;

/// How long a node that is stopped waits for what its providers are being given, at most, in microseconds.
const END_US: u64 = 5_000_000;

/// How messages are tried again and given up, as it is configured.
pub(crate) fn settings(config: &Config) -> Settings {
    let own = &config.notifications;
    Settings {
        channels: if own.enabled { providers::channels(config) } else { Vec::new() },
        retry_first_us: own.retry_first_ms.saturating_mul(1000),
        retry_most_us: own.retry_most_ms.saturating_mul(1000),
        attempts_max: own.attempts_max.max(1),
        give_up_after_us: own.give_up_after_s.saturating_mul(1_000_000),
        stale_after_us: own.stale_after_s.saturating_mul(1_000_000),
        keep_us: own.keep_days.saturating_mul(86_400_000_000),
        recipient_names: own.recipient_names,
    }
}

/// Running stations. They end when this is dropped; what was under way then is sent again, with the same id.
#[derive(Debug)]
pub(crate) struct Postmen {
    /// Threads of their own, which the system runs after those that move money.
    runtime: Option<Runtime>,
    ending: Arc<Ending>,
    figures: Arc<Figures>,
    web_push_key: Option<String>,
}

impl Postmen {
    /// Makes sure that nothing booked from now on is missed, and starts.
    ///
    /// # Errors
    /// Wrong usage of a provider's configuration, or a fault of the records.
    pub(crate) async fn start(open: &OpenBank, config: &Config, folder: &Path) -> Result<Postmen, Failure> {
        let (figures, ending) = (Arc::new(Figures::default()), Arc::new(Ending::default()));
        if !config.notifications.enabled {
            return Ok(Postmen { runtime: None, ending, figures, web_push_key: None });
        }
        let providers = Providers::new(config, folder)?;
        let web_push_key = providers.web_push_key.clone();
        for subscriber in open.notifications.everybody().await? {
            for SetBack { shard, was, is } in open.notifications.begin(&subscriber).await? {
                let name = subscriber.name();
                tracing::error!(
                    "messages by {name} had read shard {shard} up to entry {was}, but its journal ends with {is}: they go on \
                     from there; check whether the journal was restored from an older backup than the records"
                );
                figures.set_back(&name);
            }
        }
        let mut holder = [0; 16];
        open.env.fill(&mut holder);
        let post = Post {
            notifications: open.notifications.clone(),
            records: open.records.clone(),
            providers: Arc::new(providers),
            ending: ending.clone(),
            figures: figures.clone(),
            readers: Arc::default(),
            // One process has a data folder.
            holder: (config.storage.engine == EngineKind::Postgres).then(|| u128::from_le_bytes(holder)),
        };
        let runtime = threads()?;
        runtime.spawn(tidy(post.clone()));
        runtime.spawn(tidy_outbox(post.notifications.clone(), OutboxFolder::of(folder)));
        runtime.spawn(look_after(post));
        Ok(Postmen { runtime: Some(runtime), ending, figures, web_push_key })
    }

    /// Has no more attempts begun, and waits for a while until it is noted what became of those under way.
    pub(crate) async fn stop(&self, env: &dyn Env) {
        self.ending.begin();
        tokio::select! {
            () = self.ending.all_left() => {}
            () = env.sleep(END_US) => {}
        }
    }

    /// Adds to the text of `/metrics`.
    pub(crate) fn figures(&self) -> Arc<dyn Fn(&mut String) + Send + Sync> {
        let figures = self.figures.clone();
        Arc::new(move |text| figures.write(text))
    }

    /// The public key that browsers are given when they subscribe.
    pub(crate) fn web_push_key(&self) -> Option<String> {
        self.web_push_key.clone()
    }
}

impl Drop for Postmen {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The threads that messages are made and sent on. Where processors are few, those that move money come first.
fn threads() -> Result<Runtime, Failure> {
    let made = Builder::new_multi_thread()
        .worker_threads(THREADS)
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("florin-messages")
        .on_thread_start(|| {
            // Of a system that knows no such order nothing else is asked.
            _ = setpriority_process(Some(gettid()), NICE);
        })
        .enable_all()
        .build();
    made.map_err(|error| Failure::fault(format!("cannot start threads: {error}"), "check the limits of this machine"))
}

/// What all stations share.
#[derive(Clone)]
struct Post {
    notifications: Arc<Notifications>,
    records: Arc<dyn Records>,
    providers: Arc<Providers>,
    ending: Arc<Ending>,
    figures: Arc<Figures>,
    /// How many stations read the journal in bulk right now.
    readers: Arc<AtomicUsize>,
    /// Who this node is, where there can be others.
    holder: Option<u128>,
}

impl Post {
    fn env(&self) -> &Arc<dyn Env> {
        self.notifications.bank().env()
    }

    fn lease(&self, name: &str) -> Option<Lease> {
        let holder = self.holder?;
        Some(Lease::new(self.records.clone(), &format!("notification/{name}"), holder, LEASE_LEAST_US))
    }
}

/// A task that ends when this is dropped.
struct Guarded(JoinHandle<()>);

impl Drop for Guarded {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Starts the stations that there should be, and ends those of endpoints that are gone.
async fn look_after(post: Post) {
    let mut stations: BTreeMap<Subscriber, Vec<Guarded>> = BTreeMap::new();
    let (mut changes, mut looks) = (None, 0);
    loop {
        let now = Some(post.notifications.endpoint_changes());
        looks += 1;
        if changes != now || LOOKS <= looks {
            match post.notifications.subscribers().await {
                Ok(wanted) => {
                    (changes, looks) = (now, 0);
                    stations.retain(|subscriber, _| wanted.contains(subscriber));
                    post.figures.keep(&wanted);
                    for subscriber in wanted {
                        stations.entry(subscriber).or_insert_with_key(|subscriber| start(&post, subscriber));
                    }
                }
                Err(fault) => tracing::warn!("the endpoints of webhooks cannot be read: {fault}"),
            }
        }
        post.env().sleep(LOOK_US).await;
    }
}

fn start(post: &Post, subscriber: &Subscriber) -> Vec<Guarded> {
    let Some(provider) = post.providers.of(subscriber.channel) else { return Vec::new() };
    let gates = Arc::default();
    let station = |shard: ShardId| {
        let station = Station::new(post, subscriber.clone(), shard, provider.clone(), Arc::clone(&gates));
        Guarded(tokio::spawn(station.run()))
    };
    post.notifications.bank().shards().iter().map(|store| station(store.shard())).collect()
}

/// Removes what is older than it is kept.
async fn tidy(post: Post) {
    let lease = post.lease("tidy");
    loop {
        let is_ours = match &lease {
            None => true,
            Some(lease) => lease.take(post.notifications.bank().now()).await.is_ok_and(|taken| taken.is_some()),
        };
        if is_ours && let Err(fault) = post.notifications.tidy().await {
            tracing::warn!("old deliveries could not be removed: {fault}");
        }
        post.env().sleep(TIDY_US).await;
    }
}

/// Removes from this node's outbox what is older than deliveries are kept, and all but the newest.
async fn tidy_outbox(notifications: Arc<Notifications>, outbox: OutboxFolder) {
    loop {
        if let Err(fault) = outbox.tidy(notifications.kept_since()).await {
            tracing::warn!("old messages in the outbox could not be removed: {fault}");
        }
        notifications.bank().env().sleep(TIDY_OUTBOX_US).await;
    }
}
