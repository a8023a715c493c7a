//! `florin.commands`: CloudEvents taken in through the bank's one door.
//!
//! Promises: every record is answered by the bank, durably, before its offset is committed; what comes again, after a
//! crash, a rebalance or from its sender, has no second effect, by its source and id, or else by its place in the topic. A record that cannot be understood
//! or is rejected is a dead letter, and the next one goes on. A fault makes no dead letter. Records of a partition take
//! effect in their order.

use super::Context;
use super::membership::{Batch, Purpose, Record};
use super::topics::Topic;
use bank::Caller;
use bank::error::BankError;
use bank::ingest::Place;
use bank::ports::Boxed;
use ledger::event::Channel;
use std::sync::Arc;

/// Partitions of a new topic: enough for as many nodes.
const PARTITIONS: u16 = 16;

/// Takes events in.
pub(super) struct Commands {
    pub(super) context: Arc<Context>,
}

impl Purpose for Commands {
    fn name(&self) -> &'static str {
        "commands"
    }

    fn topic(&self) -> Topic<'_> {
        let name = &self.context.config.commands_topic;
        Topic { name, partitions: PARTITIONS, grows: false, record_bytes_max: None }
    }

    fn every_record_counts(&self) -> bool {
        true
    }

    fn take(self: Arc<Self>, batch: Batch) -> Boxed<'static, Result<(), BankError>> {
        Box::pin(async move {
            let caller = Caller::local(Channel::Kafka);
            let results = self.context.bank.ingest_from(&caller, &batch, |record| Some(self.place(record))).await?;
            self.context.figures.count_commands(&results);
            Ok(())
        })
    }
}

impl Commands {
    fn place(&self, record: &Record) -> Place {
        let Record { partition, offset, sent_ms, .. } = record;
        let topic = &self.context.config.commands_topic;
        Place { source: format!("kafka:{topic}/{partition}").into(), id: format!("{offset}@{sent_ms}").into() }
    }
}
