//! The connection on which batches are committed: its prepared statements, and the sending of several at once.
//!
//! Statements whose futures are polled together are sent together, in their order, and cost one round trip.

use crate::connect::{Connected, Place, Purpose};
use crate::error::PostgresError;
use crate::row::{ACCOUNT_COLUMNS, HOLD_COLUMNS};
use crate::value::unbig;
use futures_util::future::{join_all, try_join_all};
use ledger::ids::Sequence;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_postgres::error::Severity;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Row, Statement};

macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident: $sql:expr;)+) => {
        /// The statements of a batch, prepared once for each connection.
        pub(crate) struct Statements {
            $($(#[$doc])* pub(crate) $name: Statement,)+
        }

        impl Statements {
            async fn prepare(client: &Client) -> Result<Statements, Error> {
                let texts: Vec<String> = vec![$($sql.into(),)+];
                let prepared = try_join_all(texts.iter().map(|text| client.prepare(text))).await?;
                let mut prepared = prepared.into_iter();
                Ok(Statements { $($name: prepared.next().expect("each text was prepared"),)+ })
            }
        }
    };
}

statements! {
    lock_head: "select sequence, time, last_id, block_hash, commit_id, epoch from florin.head for update";
    touch_head: "update florin.head set sequence = sequence";
    mark_head: "update florin.head set commit_id = $1";
    block_at: "select commit_id from florin.blocks where first_sequence = $1";

    keys: "select digest, fingerprint, sequence from florin.keys where digest = any($1)";
    accounts: format!("select {ACCOUNT_COLUMNS} from florin.accounts a where a.id = any($1)");
    accounts_of_holds: format!("select {ACCOUNT_COLUMNS} from florin.accounts a \
        where a.id in (select unnest(array[h.account, h.to_account]) from florin.holds h where h.id = any($1))");
    // 2⁶³ − 2⁴⁰ is where the bank's own accounts start; kind 3 is clearing.
    standard_accounts: format!("select {ACCOUNT_COLUMNS} from florin.accounts a \
        where a.id >= 9223370937343148032 and (a.id & 65535 = 0 or a.kind = 3)");
    system_accounts: format!("select {ACCOUNT_COLUMNS} from florin.accounts a where a.id >= 9223370937343148032");
    accounts_ahead: format!("select {ACCOUNT_COLUMNS} from florin.accounts a \
        where a.id >= greatest($1::bigint, (select last_id + 1 from florin.head)) \
        and a.id <= greatest($1::bigint, (select last_id + 1 from florin.head)) + $2::bigint");
    customers_ahead: "select encoded from florin.customers \
        where id >= greatest($1::bigint, (select last_id + 1 from florin.head)) \
        and id <= greatest($1::bigint, (select last_id + 1 from florin.head)) + $2::bigint";
    holds: format!("select {HOLD_COLUMNS} from florin.holds h where h.id = any($1)");
    active_holds: format!("select {HOLD_COLUMNS} from florin.holds h where h.account = any($1) and h.status = 0");
    customers: "select encoded from florin.customers where id = any($1)";
    dead_letters: "select encoded from florin.dead_letters where id = any($1)";
    tokens: "select encoded from florin.tokens where id = any($1)";
    reversals: "select transfer, reversed_by from florin.reversals where transfer = any($1)";
    sagas: "select encoded from florin.sagas where id = any($1)";
    sagas_reversing: "select encoded from florin.sagas where reverses = any($1)";
    parts: "select encoded from florin.parts where id = any($1)";
    positions: "select shard, received, received_entry, sent from florin.positions";

    // What every block has, in one statement: each one more costs as much as a dozen rows when blocks are small. It locks
    // the head before anything else, as the first count needs it.
    write_block: "with locked as materialized (select 1 from florin.head where commit_id = $49 and epoch = $50 for update), \
        block as (insert into florin.blocks (first_sequence, last_sequence, previous_hash, hash, commit_id) \
            values ($1, $2, $3, $4, $5)), \
        chunks as (insert into florin.chunks (first_sequence, entries, first_time, ids_before, payload) \
            select * from unnest($6::bigint[], $7::smallint[], $8::bigint[], $9::bigint[], $10::bytea[])), \
        keys as (insert into florin.keys (digest, fingerprint, sequence) \
            select * from unnest($11::uuid[], $12::uuid[], $13::bigint[])), \
        transfers as (insert into florin.transfers (id, sequence, booked_at, effective_at, reverses, hold, place, day, \
                kind, currency, forced, amount, reference) \
            select * from unnest($14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[], $18::bigint[], $19::bigint[], \
                $20::integer[], $21::integer[], $22::smallint[], $23::smallint[], $24::boolean[], $25::numeric[], $26::text[])), \
        postings as (insert into florin.postings (account, version, transfer, amount, dated, step, balance_after) \
            select * from unnest($27::bigint[], $28::bigint[], $29::bigint[], $30::bigint[], $31::bigint[], $32::bigint[], \
                $33::numeric[])), \
        accounts as (update florin.accounts a set version = n.version, revision = n.revision, \
                next_expiry = n.next_expiry, holds_active = n.holds_active, sagas_open = n.sagas_open, \
                debit_day = n.debit_day, balance = n.balance, held = n.held, debits_of_day = n.debits_of_day, \
                debits_of_month = n.debits_of_month \
            from unnest($34::bigint[], $35::bigint[], $36::bigint[], $37::bigint[], $38::bigint[], $39::integer[], \
                $40::integer[], $41::integer[], $42::numeric[], $43::numeric[], $44::numeric[], $45::numeric[]) \
                as n(id, before, version, revision, next_expiry, holds_active, sagas_open, debit_day, balance, held, \
                debits_of_day, debits_of_month) \
            where a.id = n.id and a.revision = n.before and exists (select from locked) returning 1), \
        head as (update florin.head set sequence = $2, time = $47, last_id = $48, block_hash = $4, commit_id = $5 \
            where commit_id = $49 returning 1) \
        select florin.expect((select count(*) from locked), 1, 'the head that this node knows'), \
            florin.expect((select count(*) from accounts), $46::bigint, 'accounts with the revision they had'), \
            florin.expect((select count(*) from head), 1, 'the head of the journal')";
    insert_metadata: "insert into florin.transfer_metadata (key, value, transfer) \
        select * from unnest($1::text[], $2::text[], $3::bigint[]) on conflict do nothing";
    insert_steps: "insert into florin.steps (transfer, sequence, booked_at, kind, reference) \
        select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::smallint[], $5::text[])";
    slots: "select encoded from florin.slots";
    put_slots: "insert into florin.slots (epoch, encoded) values ($1, $2) \
        on conflict (single) do update set epoch = excluded.epoch, encoded = excluded.encoded";
    holds_of: format!("select {HOLD_COLUMNS} from florin.holds h where h.account = any($1) order by h.id");
    put_sagas: "insert into florin.sagas (id, started_at, reverses, encoded) \
        select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bytea[]) \
        on conflict (id) do update set encoded = excluded.encoded";
    remove_sagas: "delete from florin.sagas where id = any($1)";
    put_parts: "insert into florin.parts (id, encoded) select * from unnest($1::bigint[], $2::bytea[]) \
        on conflict (id) do update set encoded = excluded.encoded";
    remove_parts: "delete from florin.parts where id = any($1)";
    put_positions: "insert into florin.positions (shard, received, received_entry, sent) \
        select * from unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::bigint[]) \
        on conflict (shard) do update set received = excluded.received, received_entry = excluded.received_entry, \
        sent = excluded.sent";
    insert_reversals: "insert into florin.reversals (transfer, reversed_by) select * from unnest($1::bigint[], $2::bigint[])";
    update_terms: "update florin.accounts a set overdraft_limit = n.overdraft_limit, \
        per_transfer_limit = n.per_transfer_limit, daily_debit_limit = n.daily_debit_limit, \
        monthly_debit_limit = n.monthly_debit_limit, status = n.status, note = n.note, moved_to = n.moved_to, \
        opened_by = coalesce(nullif(n.opened_by, 0), a.opened_by) \
        from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::smallint[], $7::bytea[], \
            $8::smallint[], $9::bigint[]) as n(id, overdraft_limit, per_transfer_limit, daily_debit_limit, \
            monthly_debit_limit, status, note, moved_to, opened_by) \
        where a.id = n.id";
    insert_accounts: "insert into florin.accounts (id, version, revision, next_expiry, holds_active, sagas_open, \
        debit_day, balance, held, debits_of_day, debits_of_month, customer, overdraft_limit, opening_overdraft_limit, \
        per_transfer_limit, daily_debit_limit, monthly_debit_limit, opened_by, opened, kind, status, currency, moved_to, \
        note) select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::integer[], $6::integer[], \
        $7::integer[], $8::numeric[], $9::numeric[], $10::numeric[], $11::numeric[], $12::bigint[], $13::bigint[], \
        $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[], $18::bigint[], $19::integer[], $20::smallint[], \
        $21::smallint[], $22::smallint[], $23::smallint[], $24::bytea[])";
    put_holds: "insert into florin.holds (id, account, to_account, amount, captured, created_at, expires_at, day, \
        currency, status) select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], \
        $6::bigint[], $7::bigint[], $8::integer[], $9::smallint[], $10::smallint[]) \
        on conflict (id) do update set amount = excluded.amount, captured = excluded.captured, \
        status = excluded.status";
    put_customers: "insert into florin.customers (id, registered_by, created_at, revision, encoded) \
        select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bytea[]) \
        on conflict (id) do update set revision = excluded.revision, encoded = excluded.encoded";
    put_dead_letters: "insert into florin.dead_letters (id, received_at, attempts, status, code, detail, encoded) \
        select * from unnest($1::bigint[], $2::bigint[], $3::integer[], $4::smallint[], $5::text[], $6::text[], \
        $7::bytea[]) on conflict (id) do update set attempts = excluded.attempts, status = excluded.status, \
        code = excluded.code, detail = excluded.detail, encoded = excluded.encoded";
    waiting_letters: "select count(*) from florin.dead_letters where status = 0";
    put_tokens: "insert into florin.tokens (id, name, role, revoked, encoded) \
        select * from unnest($1::bigint[], $2::text[], $3::smallint[], $4::boolean[], $5::bytea[]) \
        on conflict (id) do update set revoked = excluded.revoked, encoded = excluded.encoded";
}

/// What a server shows after it crashed may not be on its standby, and would be lost with the server. So whoever
/// connects commits something and awaits it, before it believes what it sees: commits reach the standby in their order.
///
/// Where the database has another timeline than the head says, it was promoted since. Its epoch is raised, so that nodes
/// which saw this one never go back to the one before. The last entry is returned.
pub(crate) async fn confirm(place: &Place, connected: &Connected) -> Result<Sequence, PostgresError> {
    let text = "with here as (select substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) as timeline) \
        update florin.head set epoch = epoch + (head.timeline <> here.timeline)::integer, timeline = here.timeline \
        from here returning sequence";
    let confirmed = connected.client.query_one(text, &[]).await.and_then(|row| row.try_get::<_, i64>(0));
    let sequence = confirmed.map_err(|error| place.failed(&error))?;
    if connected.warned.load(Ordering::SeqCst) {
        return Err(place.away("the standby did not confirm what the database shows"));
    }
    Ok(unbig(sequence))
}

/// A connection with its statements.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) statements: Statements,
    warned: Arc<AtomicBool>,
}

impl Session {
    /// Connects, and waits until what is visible is on the standby too.
    pub(crate) async fn open(place: &Place) -> Result<Session, PostgresError> {
        let connected = place.connect(Purpose::Commit).await?;
        confirm(place, &connected).await?;
        let Connected { client, warned } = connected;
        let statements = Statements::prepare(&client).await.map_err(|error| place.failed(&error))?;
        Ok(Session { client, statements, warned })
    }

    /// Whether the connection is gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Whether the server warned since this was last asked.
    pub(crate) fn take_warning(&self) -> bool {
        self.warned.swap(false, Ordering::SeqCst)
    }

    /// Statements to be sent together.
    pub(crate) fn pipeline(&self) -> Pipeline<'_> {
        Pipeline { client: &self.client, waiting: Vec::new() }
    }
}

type Parameters<'a> = Vec<&'a (dyn ToSql + Sync)>;

/// A statement whose rows are waited for.
type Waiting<'a> = Pin<Box<dyn Future<Output = Result<Vec<Row>, Error>> + Send + 'a>>;

/// Statements that are sent together and answered in their order.
pub(crate) struct Pipeline<'a> {
    client: &'a Client,
    waiting: Vec<Waiting<'a>>,
}

impl<'a> Pipeline<'a> {
    /// Adds a prepared statement; returns its place among the answers.
    pub(crate) fn ask(&mut self, statement: &'a Statement, parameters: Parameters<'a>) -> usize {
        let client = self.client;
        self.waiting.push(Box::pin(async move { client.query(statement, &parameters).await }));
        self.waiting.len() - 1
    }

    /// Adds a command without parameters and without rows.
    pub(crate) fn say(&mut self, text: &'static str) {
        let client = self.client;
        self.waiting.push(Box::pin(async move { client.batch_execute(text).await.map(|()| Vec::new()) }));
    }

    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Adds what another one has; returns the place of the first of it.
    pub(crate) fn append(&mut self, other: Pipeline<'a>) -> usize {
        let first = self.waiting.len();
        self.waiting.extend(other.waiting);
        first
    }

    /// Sends all, and waits for all answers. The error is the first one: those after it follow from it.
    pub(crate) async fn run(self) -> Result<Vec<Vec<Row>>, Error> {
        join_all(self.waiting).await.into_iter().collect()
    }
}

/// Whether the server said no and the connection goes on: then the transaction was rolled back. After anything else
/// nobody knows.
pub(crate) fn is_refusal(error: &Error) -> bool {
    error.as_db_error().is_some_and(|known| known.parsed_severity() == Some(Severity::Error))
}
