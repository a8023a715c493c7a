//! The schema and its versions. Migrations run in order, one node at a time, each in a transaction of its own, on a bank
//! that serves meanwhile. A database of a newer Florin is refused.

use crate::connect::{Place, Purpose};
use crate::error::PostgresError;
use crate::value::Digest;
use ledger::currency::Currency;
use ledger::ids::{SLOTS, ShardId};
use ledger::working_set::SlotSet;
use tokio_postgres::Client;

/// The migrations, in order; the version of a schema is how many were applied.
const MIGRATIONS: &[(&str, &str)] = &[
    ("0001_bank", include_str!("../migrations/0001_bank.sql")),
    ("0002_views", include_str!("../migrations/0002_views.sql")),
    ("0003_rights", include_str!("../migrations/0003_rights.sql")),
    ("0004_records", include_str!("../migrations/0004_records.sql")),
    ("0005_currencies", include_str!("../migrations/0005_currencies.sql")),
];
/// The number of the advisory lock that one migrating node holds.
const LOCK: i64 = 0x464c_4f52_494e;
/// The version of the encoding of chunks and rows.
const FORMAT: i32 = 1;

/// What a shard's database says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Identified {
    pub(crate) slots: SlotSet,
    pub(crate) secret: [u8; 32],
    /// Whether this call made the tables.
    pub(crate) is_new: bool,
}

/// Brings the schema to this version.
pub(crate) async fn migrate(place: &Place) -> Result<(), PostgresError> {
    let connected = place.connect(Purpose::Migrate).await?;
    let client = connected.client;
    let failed = |error: tokio_postgres::Error| place.failed(&error);
    client.execute("select pg_advisory_lock($1)", &[&LOCK]).await.map_err(failed)?;
    let made = "create table if not exists public.florin_migrations (version integer primary key, name text not null, \
        applied_at timestamptz not null default now())";
    if version(&client).await.map_err(failed)?.is_none() {
        client.batch_execute(made).await.map_err(failed)?;
    }
    let version = version(&client).await.map_err(failed)?.unwrap_or(0);
    check(place, version)?;
    for (place_in_list, (name, text)) in MIGRATIONS.iter().enumerate().skip(version) {
        let number = place_in_list + 1;
        let whole = format!(
            "begin; {text}; insert into public.florin_migrations (version, name) values ({number}, '{name}'); commit"
        );
        client.batch_execute(&whole).await.map_err(failed)?;
        tracing::info!(database = place.name(), "applied migration {name}");
    }
    list_currencies(&client).await.map_err(failed)?;
    client.batch_execute("call florin.grant_rights()").await.map_err(failed)
}

/// Currencies are added by newer versions, never changed or removed.
async fn list_currencies(client: &Client) -> Result<(), tokio_postgres::Error> {
    let all: Vec<Currency> = Currency::all().collect();
    let number: Vec<i16> = all.iter().map(|currency| crate::row::currency_number(*currency)).collect();
    let code: Vec<&str> = all.iter().map(|currency| currency.code()).collect();
    let scale: Vec<i16> = all.iter().map(|currency| i16::from(currency.scale())).collect();
    let name: Vec<&str> = all.iter().map(|currency| currency.name()).collect();
    let text = "insert into florin.currencies (number, code, scale, name) \
        select * from unnest($1::smallint[], $2::text[], $3::smallint[], $4::text[]) on conflict do nothing";
    client.execute(text, &[&number, &code, &scale, &name]).await.map(drop)
}

/// How many migrations were applied; nothing where there is no table of them.
async fn version(client: &Client) -> Result<Option<usize>, tokio_postgres::Error> {
    let there: bool = client.query_one("select to_regclass('public.florin_migrations') is not null", &[]).await?.get(0);
    if !there {
        return Ok(None);
    }
    let count: i64 = client.query_one("select count(*) from public.florin_migrations", &[]).await?.get(0);
    Ok(usize::try_from(count).ok())
}

fn check(place: &Place, version: usize) -> Result<(), PostgresError> {
    if MIGRATIONS.len() < version {
        return Err(place.unfit(format!(
            "its schema has version {version} and this Florin knows up to {}; use a newer Florin",
            MIGRATIONS.len()
        )));
    }
    Ok(())
}

/// What a database is taken for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// The shard that it is.
    pub(crate) shard: ShardId,
    /// How many shards the slots are dealt to when a bank is made. One that comes later gets none.
    pub(crate) dealt: u16,
    /// The secret of the bank's first shard.
    pub(crate) secret: [u8; 32],
    /// Whether it may be new.
    pub(crate) may_be_new: bool,
}

/// How many shards the slots were dealt to, from those of the first: it has each so many-th.
pub(crate) fn dealt_to(first: &SlotSet) -> u16 {
    (1..SLOTS).find(|slot| first.contains(*slot)).unwrap_or(SLOTS)
}

/// Reads which shard a database is, and says so where it is new.
pub(crate) async fn identify(place: &Place, asked: &Asked) -> Result<Identified, PostgresError> {
    let Asked { shard, dealt, secret, may_be_new } = *asked;
    let client = place.connect(Purpose::Commit).await?.client;
    let failed = |error: tokio_postgres::Error| place.failed(&error);
    match version(&client).await.map_err(failed)? {
        Some(version) if version == MIGRATIONS.len() => {}
        Some(version) => {
            check(place, version)?;
            return Err(place.unfit("its schema is older than this Florin; give the URL of the owner to migrate it"));
        }
        None => return Err(place.unfit("it has no tables yet; give the URL of the owner to make them")),
    }
    require_standby(place, &client).await?;
    let number = i16::try_from(shard.number()).unwrap_or(i16::MAX);
    let slots = encode_slots(&SlotSet::of(|slot| slot % dealt == shard.number()));
    let is_there: bool =
        client.query_one("select exists (select from florin.shard)", &[]).await.map_err(failed)?.get(0);
    if !is_there && !may_be_new {
        let reason = format!("the bank has no shard {shard} yet; add it with `florin shards add`, or correct the list");
        return Err(place.unfit(reason));
    }
    let made = client
        .execute(
            "insert into florin.shard (number, slots, secret, format) select $1, $2, $3, $4 \
             where not exists (select from florin.shard) on conflict do nothing",
            &[&number, &slots, &&secret[..], &FORMAT],
        )
        .await
        .map_err(failed)?;
    let begun = "insert into florin.head (sequence, time, last_id, block_hash, commit_id, epoch, timeline) \
        select 0, 0, 0, $1, $2, 1, substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) \
        where not exists (select from florin.head) on conflict do nothing";
    client.execute(begun, &[&&[0u8; 32][..], &Digest(0)]).await.map_err(failed)?;
    let row = client.query_one("select number, slots, secret, format from florin.shard", &[]).await.map_err(failed)?;
    let (known, slots, secret, format): (i16, Vec<u8>, Vec<u8>, i32) = (row.get(0), row.get(1), row.get(2), row.get(3));
    if known != number {
        return Err(
            place.unfit(format!("it is shard {known} of a bank and the configuration has it as shard {number}"))
        );
    }
    if FORMAT < format {
        return Err(place.unfit(format!("its rows have format {format} and this Florin knows {FORMAT}")));
    }
    let secret = secret.try_into().map_err(|_| place.unfit("the bank's secret is not 32 bytes long"))?;
    let slots = decode_slots(&slots).ok_or_else(|| place.unfit("the shard's slots are not 128 bytes long"))?;
    Ok(Identified { slots, secret, is_new: made == 1 })
}

/// Where a standby is connected, commits must wait for it: else what was answered could be missing after a failover.
async fn require_standby(place: &Place, client: &Client) -> Result<(), PostgresError> {
    let text = "select current_setting('synchronous_standby_names'), \
        (select count(*) from pg_stat_replication where coalesce(application_name, '') <> 'pg_basebackup'), \
        current_setting('fsync')";
    let row = client.query_one(text, &[]).await.map_err(|error| place.failed(&error))?;
    let (names, standbys, fsync): (String, i64, String) = (row.get(0), row.get(1), row.get(2));
    if names.is_empty() && 0 < standbys {
        return Err(place.unfit(
            "it has a standby and commits do not wait for it; set synchronous_standby_names, else a failover loses \
             what was answered",
        ));
    }
    if fsync == "off" {
        return Err(place.unfit("fsync is off, so a power cut loses what was answered; set it to on"));
    }
    Ok(())
}

/// Slots as bits, the lowest first.
fn encode_slots(slots: &SlotSet) -> Vec<u8> {
    let mut bytes = vec![0u8; usize::from(SLOTS) / 8];
    for slot in (0..SLOTS).filter(|slot| slots.contains(*slot)) {
        bytes[usize::from(slot / 8)] |= 1 << (slot % 8);
    }
    bytes
}

fn decode_slots(bytes: &[u8]) -> Option<SlotSet> {
    let is_whole = bytes.len() == usize::from(SLOTS) / 8;
    is_whole.then(|| SlotSet::of(|slot| bytes[usize::from(slot / 8)] & (1 << (slot % 8)) != 0))
}
