//! What a shard knows of others, as it is read: positions, open sagas, and the lease of its relay.

use crate::error::corrupt;
use crate::journal;
use crate::query::{limit, page};
use crate::read::Reads;
use crate::row::{get, meant};
use crate::value::{Digest, big, unbig};
use ledger::ids::{AccountId, SYSTEM_ID_START, Sequence, ShardId};
use ledger::saga::{Position, Saga};
use ledger::slots::{SlotSet, Slots};
use store::codec::{self, Reader};
use store::query::{Page, Positions, SagaQuery};
use store::{EntryRef, Fault};
use tokio_postgres::Row;

/// Where the shard stands with the others, and the last entry when it stood there.
pub(crate) async fn positions(reads: &Reads) -> Result<(Positions, Sequence), Fault> {
    let text = "select h.sequence, p.shard, p.received, p.received_entry, p.sent \
        from florin.head h left join florin.positions p on true";
    let rows = reads.rows(text, &[]).await?;
    let (mut positions, mut head) = (Positions::default(), 0);
    for row in &rows {
        head = unbig(get(row, "sequence").map_err(corrupt)?);
        if get::<Option<i16>>(row, "shard").map_err(corrupt)?.is_some() {
            add_position(&mut positions, row).map_err(corrupt)?;
        }
    }
    Ok((positions, head))
}

fn add_position(positions: &mut Positions, row: &Row) -> Result<(), String> {
    let shard = u16::try_from(get::<i16>(row, "shard")?).ok().and_then(ShardId::new);
    let shard = meant("shard", shard)?;
    let (number, sequence) = (unbig(get(row, "received")?), unbig(get(row, "received_entry")?));
    let sent = unbig(get(row, "sent")?);
    if number != 0 {
        positions.received.insert(shard, Position { number, sequence });
    }
    if sent != 0 {
        positions.sent.insert(shard, sent);
    }
    Ok(())
}

/// Open sagas whose home this is, newest first.
pub(crate) async fn open_sagas(reads: &Reads, query: SagaQuery) -> Result<Page<Saga>, Fault> {
    let text = "select encoded from florin.sagas where started_at <= $1 and id < $2 order by id desc limit $3";
    let most = limit(query.limit);
    let (until, before) = (big(query.until.microseconds()), query.before.map_or(i64::MAX, big));
    let rows = reads.rows(text, &[&until, &before, &big(most as u64 + 1)]).await?;
    let read = |row: &Row| {
        let bytes: &[u8] = get(row, "encoded").map_err(corrupt)?;
        let saga = codec::decode_saga(&mut Reader::new(bytes));
        let saga = saga.map_err(|error| corrupt(format!("an open saga: {error}")))?;
        Ok((saga.order.id().number(), saga))
    };
    Ok(page(rows.iter().map(read).collect::<Result<_, Fault>>()?, most))
}

/// Takes or renews the lease of the shard's relay, by the clock of the database; whether `holder` has it then.
pub(crate) async fn lease(reads: &Reads, holder: u128, microseconds: u64) -> Result<bool, Fault> {
    let text = "insert into florin.leases as known (name, holder, until) \
        values ('relay', $1, clock_timestamp() + $2::bigint * interval '1 microsecond') \
        on conflict (name) do update set holder = excluded.holder, until = excluded.until \
        where known.holder = excluded.holder or known.until <= clock_timestamp() returning 1";
    let rows = reads.rows(text, &[&format!("{holder:032x}"), &big(microseconds)]).await?;
    Ok(!rows.is_empty())
}

/// The shard's slots; those that were dealt to it are known.
pub(crate) async fn slots(reads: &Reads, dealt: SlotSet) -> Result<(Slots, Sequence), Fault> {
    let rows = reads.rows("select encoded, sequence from florin.slots, florin.head", &[]).await?;
    let Some(row) = rows.first() else { return Ok((Slots::new(dealt), 0)) };
    let (bytes, sequence): (&[u8], i64) =
        (get(row, "encoded").map_err(corrupt)?, get(row, "sequence").map_err(corrupt)?);
    let slots = codec::decode_slots(&mut Reader::new(bytes), dealt);
    Ok((slots.map_err(|error| corrupt(format!("the slots: {error}")))?, unbig(sequence)))
}

/// Customers' accounts that are here or once were, by id.
pub(crate) async fn account_ids(reads: &Reads, after: Option<u64>, limit: usize) -> Result<Page<AccountId>, Fault> {
    let text = "select id from florin.accounts where id > $1 and id < $2 order by id limit $3";
    let count = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = reads.rows(text, &[&big(after.unwrap_or(0)), &big(SYSTEM_ID_START), &count]).await?;
    let id = |row| Ok::<_, Fault>(unbig(get(row, "id").map_err(corrupt)?));
    let ids = rows.iter().map(id).collect::<Result<Vec<u64>, Fault>>()?;
    let next = ids.last().copied().filter(|_| ids.len() == limit);
    Ok(Page::of(ids.into_iter().filter_map(|id| Some((id, AccountId::new(id)?))), next))
}

/// Customers' accounts in a slot, by id.
pub(crate) async fn accounts_in(
    reads: &Reads,
    slot: u16,
    after: Option<AccountId>,
    limit: usize,
) -> Result<Vec<AccountId>, Fault> {
    let text = "select id from florin.accounts where id > $1 and id < $2 and moved_to is null order by id limit 10000";
    let (mut found, mut last) = (Vec::new(), after.map_or(0, AccountId::number));
    while found.len() < limit {
        let rows = reads.rows(text, &[&big(last), &big(SYSTEM_ID_START)]).await?;
        let Some(newest) = rows.last() else { break };
        last = unbig(get(newest, "id").map_err(corrupt)?);
        for row in &rows {
            let id = AccountId::new(unbig(get(row, "id").map_err(corrupt)?));
            found.extend(id.filter(|id| ledger::ids::slot(id.number()) == slot));
        }
    }
    found.truncate(limit);
    Ok(found)
}

/// The entry of a key, if it was used here.
pub(crate) async fn entry_of_key(reads: &Reads, digest: u128) -> Result<Option<EntryRef>, Fault> {
    let rows = reads.rows("select sequence from florin.keys where digest = $1", &[&Digest(digest)]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let sequence: i64 = get(row, "sequence").map_err(corrupt)?;
    let entries = reads.entries_at(vec![sequence]).await?;
    journal::entry(&entries, sequence).map(Some)
}
