//! The comparisons: what the journal says, as arrays, beside what a table has. Each returns what it found first.

/// Keys.
pub(super) const KEYS: &str = "select 'key ' || n.digest || case when s.digest is null then ' is missing' else ' differs from what the \
    journal says' end as what from unnest($1::uuid[], $2::uuid[], $3::bigint[]) as n(digest, fingerprint, \
    sequence) left join florin.keys s on s.digest = n.digest where s.digest is null or (s.fingerprint, \
    s.sequence) is distinct from (n.fingerprint, n.sequence) limit 1";

/// Transfers.
pub(super) const TRANSFERS: &str = "select 'transfer ' || n.id || case when s.id is null then ' is missing' else ' differs from what the journal \
    says' end as what from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], \
    $6::bigint[], $7::integer[], $8::integer[], $9::smallint[], $10::smallint[], $11::boolean[], $12::numeric[], \
    $13::text[]) as n(id, sequence, booked_at, effective_at, reverses, hold, place, day, kind, currency, forced, \
    amount, reference) left join florin.transfers s on s.id = n.id where s.id is null or (s.sequence, \
    s.booked_at, s.effective_at, s.reverses, s.hold, s.place, s.day, s.kind, s.currency, s.forced, s.amount, \
    s.reference) is distinct from (n.sequence, n.booked_at, n.effective_at, n.reverses, n.hold, n.place, n.day, \
    n.kind, n.currency, n.forced, n.amount, n.reference) limit 1";

/// Postings.
pub(super) const POSTINGS: &str = "select 'posting ' || n.version || ' of account ' || n.account || case when s.account is null then ' is \
    missing' else ' differs from what the journal says' end as what from unnest($1::bigint[], $2::bigint[], \
    $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::numeric[]) as n(account, version, transfer, \
    amount, dated, step, balance_after) left join florin.postings s on s.account = n.account and s.version = \
    n.version where s.account is null or (s.transfer, s.amount, s.dated, s.step, s.balance_after) is distinct \
    from (n.transfer, n.amount, n.dated, n.step, n.balance_after) limit 1";

/// Later steps of sagas.
pub(super) const STEPS: &str = "select 'step ' || n.sequence || ' of transfer ' || n.transfer || case when s.transfer is null then ' is \
    missing' else ' differs from what the journal says' end as what from unnest($1::bigint[], $2::bigint[], \
    $3::bigint[], $4::smallint[], $5::text[]) as n(transfer, sequence, booked_at, kind, reference) left join \
    florin.steps s on s.transfer = n.transfer and s.sequence = n.sequence where s.transfer is null or \
    (s.booked_at, s.kind, s.reference) is distinct from (n.booked_at, n.kind, n.reference) limit 1";

/// Metadata of transfers.
pub(super) const METADATA: &str = "select 'metadata ' || n.key || ' of transfer ' || n.transfer || case when s.key is null then ' is missing' \
    else ' differs from what the journal says' end as what from unnest($1::text[], $2::text[], $3::bigint[]) as \
    n(key, value, transfer) left join florin.transfer_metadata s on s.key = n.key and s.value = n.value and \
    s.transfer = n.transfer where s.key is null limit 1";

/// Reversals.
pub(super) const REVERSALS: &str = "select 'reversal of transfer ' || n.transfer || case when s.transfer is null then ' is missing' else ' \
    differs from what the journal says' end as what from unnest($1::bigint[], $2::bigint[]) as n(transfer, \
    reversed_by) left join florin.reversals s on s.transfer = n.transfer where s.transfer is null or \
    s.reversed_by is distinct from n.reversed_by limit 1";

/// Accounts.
pub(super) const ACCOUNTS: &str = "select 'account ' || n.id || case when s.id is null then ' is missing' else ' differs from what the journal \
    says' end as what from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::integer[], \
    $6::integer[], $7::integer[], $8::numeric[], $9::numeric[], $10::numeric[], $11::numeric[], $12::bigint[], \
    $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[], $18::bigint[], $19::integer[], \
    $20::smallint[], $21::smallint[], $22::smallint[], $23::smallint[], $24::bytea[]) as n(id, version, \
    revision, next_expiry, holds_active, sagas_open, debit_day, balance, held, debits_of_day, debits_of_month, \
    customer, overdraft_limit, opening_overdraft_limit, per_transfer_limit, daily_debit_limit, \
    monthly_debit_limit, opened_by, opened, kind, status, currency, moved_to, note) left join florin.accounts s \
    on s.id = n.id where s.id is null or (s.version, s.revision, s.next_expiry, s.holds_active, s.sagas_open, \
    s.debit_day, s.balance, s.held, s.debits_of_day, s.debits_of_month, s.customer, s.overdraft_limit, \
    s.opening_overdraft_limit, s.per_transfer_limit, s.daily_debit_limit, s.monthly_debit_limit, s.opened_by, \
    s.opened, s.kind, s.status, s.currency, s.moved_to, s.note) is distinct from (n.version, n.revision, \
    n.next_expiry, n.holds_active, n.sagas_open, n.debit_day, n.balance, n.held, n.debits_of_day, \
    n.debits_of_month, n.customer, n.overdraft_limit, n.opening_overdraft_limit, n.per_transfer_limit, \
    n.daily_debit_limit, n.monthly_debit_limit, n.opened_by, n.opened, n.kind, n.status, n.currency, n.moved_to, \
    n.note) limit 1";

/// Holds.
pub(super) const HOLDS: &str = "select 'hold ' || n.id || case when s.id is null then ' is missing' else ' differs from what the journal \
    says' end as what from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], \
    $6::bigint[], $7::bigint[], $8::integer[], $9::smallint[], $10::smallint[]) as n(id, account, to_account, \
    amount, captured, created_at, expires_at, day, currency, status) left join florin.holds s on s.id = n.id \
    where s.id is null or (s.account, s.to_account, s.amount, s.captured, s.created_at, s.expires_at, s.day, \
    s.currency, s.status) is distinct from (n.account, n.to_account, n.amount, n.captured, n.created_at, \
    n.expires_at, n.day, n.currency, n.status) limit 1";

/// Customers.
pub(super) const CUSTOMERS: &str = "select 'user ' || n.id || case when s.id is null then ' is missing' else ' differs from what the journal \
    says' end as what from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bytea[]) as n(id, \
    registered_by, created_at, revision, encoded) left join florin.customers s on s.id = n.id where s.id is null \
    or (s.registered_by, s.created_at, s.revision, s.encoded) is distinct from (n.registered_by, n.created_at, \
    n.revision, n.encoded) limit 1";

/// Dead letters.
pub(super) const DEAD_LETTERS: &str = "select 'dead letter ' || n.id || case when s.id is null then ' is missing' else ' differs from what the \
    journal says' end as what from unnest($1::bigint[], $2::bigint[], $3::integer[], $4::smallint[], $5::text[], \
    $6::text[], $7::bytea[]) as n(id, received_at, attempts, status, code, detail, encoded) left join \
    florin.dead_letters s on s.id = n.id where s.id is null or (s.received_at, s.attempts, s.status, s.code, \
    s.detail, s.encoded) is distinct from (n.received_at, n.attempts, n.status, n.code, n.detail, n.encoded) \
    limit 1";

/// Tokens.
pub(super) const TOKENS: &str = "select 'token ' || n.id || case when s.id is null then ' is missing' else ' differs from what the journal \
    says' end as what from unnest($1::bigint[], $2::text[], $3::smallint[], $4::boolean[], $5::bytea[]) as n(id, \
    name, role, revoked, encoded) left join florin.tokens s on s.id = n.id where s.id is null or (s.name, \
    s.role, s.revoked, s.encoded) is distinct from (n.name, n.role, n.revoked, n.encoded) limit 1";

/// Open sagas.
pub(super) const SAGAS: &str = "select 'open transfer ' || n.id || case when s.id is null then ' is missing' else ' differs from what the \
    journal says' end as what from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bytea[]) as n(id, \
    started_at, reverses, encoded) left join florin.sagas s on s.id = n.id where s.id is null or (s.started_at, \
    s.reverses, s.encoded) is distinct from (n.started_at, n.reverses, n.encoded) limit 1";

/// Parts of others.
pub(super) const PARTS: &str = "select 'part of transfer ' || n.id || case when s.id is null then ' is missing' else ' differs from what the \
    journal says' end as what from unnest($1::bigint[], $2::bytea[]) as n(id, encoded) left join florin.parts s \
    on s.id = n.id where s.id is null or s.encoded is distinct from n.encoded limit 1";

/// Positions.
pub(super) const POSITIONS: &str = "select 'position of shard ' || n.shard || case when s.shard is null then ' is missing' else ' differs from \
    what the journal says' end as what from unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::bigint[]) as \
    n(shard, received, received_entry, sent) left join florin.positions s on s.shard = n.shard where s.shard is \
    null or (s.received, s.received_entry, s.sent) is distinct from (n.received, n.received_entry, n.sent) limit \
    1";

/// The slots.
pub(super) const SLOTS: &str = "select 'the row of slots differs from what the journal says' as what \
    where not exists (select from florin.slots where encoded = $1::bytea)";
