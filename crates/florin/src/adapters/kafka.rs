//! Kafka: the journal published for others, events taken in, parcels between shards. Only in programs built with the feature `kafka`.
//!
//! Everything here may be away, slow, double or late without harm to money: what comes in is deduplicated by the bank's
//! keys, what goes out is fenced and carries its place in the journal. The library's calls wait, so each part is a thread
//! of its own that hears when it is to stop.

mod client;
mod commands;
mod events;
mod figures;
mod membership;
mod publishers;
mod retry;
mod shards;
mod topics;

use crate::adapters::env::Machine;
use crate::config;
use crate::failure::Failure;
use bank::Bank;
use bank::ports::Bus;
use commands::Commands;
use figures::Figures;
use ledger::ids::ShardId;
use membership::{Intake, Purpose};
use publishers::Publishers;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;
use retry::Stop;
use shards::{Receiver, Sender};
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::runtime::Handle;

/// What every part needs.
struct Context {
    config: config::Kafka,
    bank: Arc<Bank>,
    env: Arc<Machine>,
    /// What the bank's futures run on.
    handle: Handle,
    figures: Figures,
}

/// The parts that are switched on, at work until they are stopped.
pub(crate) struct Kafka {
    context: Arc<Context>,
    stop: Arc<Stop>,
    threads: Vec<JoinHandle<()>>,
}

impl Kafka {
    /// Starts what is switched on. The cluster need not be there: what needs it waits for it.
    ///
    /// # Errors
    /// Wrong usage, or the machine gives no threads.
    pub(crate) fn start(
        config: &config::Kafka,
        bank: Arc<Bank>,
        env: Arc<Machine>,
        handle: Handle,
    ) -> Result<Kafka, Failure> {
        config.check()?;
        if config.is_on() {
            check_properties(&client::settings(config))?;
        }
        let context = Arc::new(Context { config: config.clone(), bank, env, handle, figures: Figures::default() });
        let stop = Arc::new(Stop::default());
        let mut kafka = Kafka { context, stop, threads: Vec::new() };
        if config.events {
            let publishers = Publishers { context: Arc::clone(&kafka.context), stop: Arc::clone(&kafka.stop) };
            kafka.spawn("events", move || publishers.run())?;
        }
        if config.commands {
            kafka.take_in(Commands { context: Arc::clone(&kafka.context) })?;
        }
        if config.shards && 1 < kafka.context.bank.shards().len() {
            kafka.take_in(Receiver { context: Arc::clone(&kafka.context) })?;
        }
        Ok(kafka)
    }

    /// What `/metrics` says besides.
    pub(crate) fn figures(&self) -> Arc<dyn Fn(&mut String) + Send + Sync> {
        let context = Arc::clone(&self.context);
        Arc::new(move |out| context.figures.write(&context.bank, out))
    }

    /// Finishes what is under way, publishes what is left if that goes quickly, and leaves the groups.
    pub(crate) fn stop(mut self) {
        self.stop_all();
    }

    fn take_in<P: Purpose>(&mut self, purpose: P) -> Result<(), Failure> {
        let (name, purpose) = (purpose.name(), Arc::new(purpose));
        let intake = Intake { context: Arc::clone(&self.context), purpose, stop: Arc::clone(&self.stop) };
        self.spawn(name, move || intake.run())
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
        let thread = std::thread::Builder::new().name(format!("kafka-{name}")).spawn(run).map_err(|error| {
            Failure::fault(format!("cannot start threads: {error}"), "check the limits of this machine")
        })?;
        self.threads.push(thread);
        Ok(())
    }

    fn stop_all(&mut self) {
        self.stop.request();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a part of Kafka ended by a defect");
            }
        }
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        self.stop_all();
    }
}

/// The way between shards over the cluster, where it is switched on.
///
/// # Errors
/// Wrong usage.
pub(crate) fn bus(config: &config::Kafka) -> Result<Option<Arc<dyn Bus>>, Failure> {
    if !config.shards {
        return Ok(None);
    }
    config.check()?;
    let sender = Sender::new(config).map_err(|error| wrong_setting(&error))?;
    Ok(Some(Arc::new(sender)))
}

/// The partition of a shard.
fn partition_of(shard: ShardId) -> i32 {
    i32::from(shard.number())
}

/// The library refuses a setting when a client is made: one is made before anything depends on it.
fn check_properties(settings: &ClientConfig) -> Result<(), Failure> {
    let made: Result<BaseConsumer, _> = settings.clone().set("group.id", "florin").create();
    made.map(drop).map_err(|error| wrong_setting(&error))
}

fn wrong_setting(error: &KafkaError) -> Failure {
    Failure::usage(format!("the section [kafka] is wrong: {error}"), "correct kafka.brokers or kafka.properties")
}
