//! Rows of what is open between shards: sagas, parts of others' sagas, and how far the messages of each pair are. A row
//! that is no longer there is removed.

use crate::commit::{Parameters, Touched};
use crate::load::Cache;
use crate::session::{Pipeline, Session};
use crate::value::big;
use ledger::ids::ShardId;
use ledger::saga::{Part, Saga, Sagas};
use ledger::slots::Slots;
use store::codec;

/// A shard's slots as their row has them.
pub(crate) fn encoded_slots(slots: &Slots) -> (i64, Vec<u8>) {
    let mut bytes = Vec::new();
    codec::encode_slots(slots, &mut bytes);
    (big(slots.epoch), bytes)
}

/// Rows to put and to remove, column by column.
#[derive(Debug, Default)]
pub(crate) struct Open {
    saga_id: Vec<i64>,
    started_at: Vec<i64>,
    reverses: Vec<Option<i64>>,
    saga: Vec<Vec<u8>>,
    part_id: Vec<i64>,
    part: Vec<Vec<u8>>,
    /// Sagas and parts that may have a row and are open no more.
    ended: Vec<i64>,
    shard: Vec<i16>,
    received: Vec<i64>,
    received_entry: Vec<i64>,
    sent: Vec<i64>,
    slots: Option<(i64, Vec<u8>)>,
}

impl Open {
    /// The rows of what was touched.
    pub(crate) fn of(touched: &Touched, cache: &Cache) -> Open {
        let (mut open, sagas) = (Open::default(), &cache.set.sagas);
        for id in &touched.sagas {
            match (sagas.saga(*id), sagas.part(*id)) {
                (Some(saga), _) => open.add_saga(saga),
                (None, Some(part)) => open.add_part(part),
                (None, None) => open.ended.push(big(id.number())),
            }
        }
        touched.shards.iter().for_each(|shard| open.add_position(sagas, *shard));
        open.slots = touched.slots.then(|| encoded_slots(&cache.set.slots));
        open
    }

    /// All rows.
    pub(crate) fn all(sagas: &Sagas) -> Open {
        let mut open = Open::default();
        sagas.open().for_each(|saga| open.add_saga(saga));
        sagas.parts().for_each(|part| open.add_part(part));
        let mut shards: Vec<ShardId> = sagas.received.keys().chain(sagas.sent.keys()).copied().collect();
        shards.sort_unstable();
        shards.dedup();
        shards.into_iter().for_each(|shard| open.add_position(sagas, shard));
        open
    }

    fn add_saga(&mut self, saga: &Saga) {
        let mut bytes = Vec::new();
        codec::encode_saga(saga, &mut bytes);
        self.saga_id.push(big(saga.order.id().number()));
        self.started_at.push(big(saga.started_at.microseconds()));
        self.reverses.push(saga.order.reverses.map(|reversed| big(reversed.transfer.number())));
        self.saga.push(bytes);
    }

    fn add_part(&mut self, part: &Part) {
        let mut bytes = Vec::new();
        codec::encode_part(part, &mut bytes);
        self.part_id.push(big(part.order.id().number()));
        self.part.push(bytes);
    }

    fn add_position(&mut self, sagas: &Sagas, shard: ShardId) {
        let received = sagas.received_from(shard);
        self.shard.push(i16::try_from(shard.number()).unwrap_or(i16::MAX));
        self.received.push(big(received.number));
        self.received_entry.push(big(received.sequence));
        self.sent.push(big(sagas.sent_to(shard)));
    }

    pub(crate) fn sagas(&self) -> Parameters<'_> {
        vec![&self.saga_id, &self.started_at, &self.reverses, &self.saga]
    }

    pub(crate) fn parts(&self) -> Parameters<'_> {
        vec![&self.part_id, &self.part]
    }

    pub(crate) fn positions(&self) -> Parameters<'_> {
        vec![&self.shard, &self.received, &self.received_entry, &self.sent]
    }

    /// How many rows of sagas, parts and positions there are.
    pub(crate) fn counts(&self) -> [u64; 3] {
        [self.saga_id.len() as u64, self.part_id.len() as u64, self.shard.len() as u64]
    }

    /// Adds the statements that write it.
    pub(crate) fn ask<'a>(&'a self, session: &'a Session, pipeline: &mut Pipeline<'a>) {
        let statements = &session.statements;
        if !self.saga_id.is_empty() {
            pipeline.ask(&statements.put_sagas, self.sagas());
        }
        if !self.part_id.is_empty() {
            pipeline.ask(&statements.put_parts, self.parts());
        }
        if !self.ended.is_empty() {
            pipeline.ask(&statements.remove_sagas, vec![&self.ended]);
            pipeline.ask(&statements.remove_parts, vec![&self.ended]);
        }
        if !self.shard.is_empty() {
            pipeline.ask(&statements.put_positions, self.positions());
        }
        if let Some((epoch, encoded)) = &self.slots {
            pipeline.ask(&statements.put_slots, vec![epoch, encoded]);
        }
    }
}
