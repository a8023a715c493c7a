-- The tables of one shard. docs/postgres.md describes them column by column.
--
-- Times are microseconds since 1970-01-01 UTC, days are days since then, amounts are minor units, currencies are the
-- numbers of ISO 4217. The views of the next file have them readable.

create schema florin;

-- One row: which shard this is. Written once.
create table florin.shard (
    single boolean primary key default true check (single),
    number smallint not null,
    slots bytea not null,
    secret bytea not null,
    format integer not null,
    created_at timestamptz not null default now()
);

-- One row: where the journal ends. Every commit locks it, which gives all entries one order.
create table florin.head (
    single boolean primary key default true check (single),
    sequence bigint not null,
    time bigint not null,
    last_id bigint not null,
    block_hash bytea not null,
    commit_id uuid not null,
    epoch bigint not null,
    timeline text not null
) with (fillfactor = 10);

-- The journal: entries committed together, each block with the hash of the one before.
create table florin.blocks (
    first_sequence bigint primary key,
    last_sequence bigint not null,
    previous_hash bytea not null,
    hash bytea not null,
    commit_id uuid not null,
    committed_at timestamptz not null default now()
);

-- The entries of the blocks in Florin's own encoding, at most 64 to a row, each row readable by itself.
create table florin.chunks (
    first_sequence bigint primary key,
    entries smallint not null,
    first_time bigint not null,
    ids_before bigint not null,
    payload bytea not null
);
alter table florin.chunks alter column payload set storage external;
create index chunks_by_time on florin.chunks (first_time);
create index chunks_by_id on florin.chunks (ids_before);

-- Facts: rows that are written once and never change.

create table florin.transfers (
    id bigint primary key,
    sequence bigint not null,
    booked_at bigint not null,
    effective_at bigint not null,
    reverses bigint,
    hold bigint,
    place integer not null,
    day integer not null,
    kind smallint not null,
    currency smallint not null,
    forced boolean not null,
    amount numeric not null,
    reference text
);
create index transfers_by_reference on florin.transfers (reference, id) where reference is not null;

-- Later steps of transfers between shards, and steps of those of other shards: the saga and the transfers with postings
-- in the entry.
create table florin.steps (
    transfer bigint not null,
    sequence bigint not null,
    booked_at bigint not null,
    kind smallint not null,
    reference text,
    primary key (transfer, sequence)
);

create table florin.transfer_metadata (
    key text not null,
    value text not null,
    transfer bigint not null,
    primary key (key, value, transfer)
);
create index transfer_metadata_by_transfer on florin.transfer_metadata (transfer);

create table florin.postings (
    account bigint not null,
    version bigint not null,
    transfer bigint not null,
    amount bigint not null,
    dated bigint,
    step bigint,
    balance_after numeric not null,
    primary key (account, version)
);
create index postings_dated on florin.postings (account, dated) where dated is not null;

create table florin.keys (
    digest uuid primary key,
    fingerprint uuid not null,
    sequence bigint not null
);

create table florin.reversals (
    transfer bigint primary key,
    reversed_by bigint not null
);

-- State: rows that follow from the journal and change with it.

create table florin.accounts (
    id bigint primary key,
    customer bigint,
    version bigint not null,
    revision bigint not null,
    overdraft_limit bigint not null,
    opening_overdraft_limit bigint not null,
    next_expiry bigint,
    per_transfer_limit bigint,
    daily_debit_limit bigint,
    monthly_debit_limit bigint,
    opened_by bigint not null,
    holds_active integer not null,
    sagas_open integer not null,
    debit_day integer not null,
    opened integer not null,
    kind smallint not null,
    status smallint not null,
    currency smallint not null,
    moved_to smallint,
    balance numeric not null,
    held numeric not null,
    debits_of_day numeric not null,
    debits_of_month numeric not null,
    note bytea
) with (fillfactor = 60);
create index accounts_by_customer on florin.accounts (customer, opened_by) where customer is not null;

create table florin.holds (
    id bigint primary key,
    account bigint not null,
    to_account bigint,
    amount bigint not null,
    captured bigint not null,
    created_at bigint not null,
    expires_at bigint,
    day integer not null,
    currency smallint not null,
    status smallint not null
) with (fillfactor = 80);
create index holds_by_account on florin.holds (account, id);
create index holds_active on florin.holds (account) where status = 0;
create index holds_by_expiry on florin.holds (expires_at) where status = 0 and expires_at is not null;

create table florin.customers (
    id bigint primary key,
    registered_by bigint not null unique,
    created_at bigint not null,
    revision bigint not null,
    encoded bytea not null
) with (fillfactor = 80);

create table florin.dead_letters (
    id bigint primary key,
    received_at bigint not null,
    attempts integer not null,
    status smallint not null,
    code text not null,
    detail text not null,
    encoded bytea not null
);
create index dead_letters_by_status on florin.dead_letters (status, id);

create table florin.tokens (
    id bigint primary key,
    name text not null,
    role smallint not null,
    revoked boolean not null,
    encoded bytea not null
);

-- Open transfers between shards whose home this shard is.
create table florin.sagas (
    id bigint primary key,
    started_at bigint not null,
    reverses bigint,
    encoded bytea not null
);
create index sagas_by_reversed on florin.sagas (reverses) where reverses is not null;

-- What this shard prepared for those of other shards.
create table florin.parts (
    id bigint primary key,
    encoded bytea not null
);

-- One row, once slots have moved: which the shard owns, which are fenced, which it gave up.
create table florin.slots (
    single boolean primary key default true check (single),
    epoch bigint not null,
    encoded bytea not null
);

-- Where this shard stands with each other: the message it took last, and the number of its own last one.
create table florin.positions (
    shard smallint primary key,
    received bigint not null,
    received_entry bigint not null,
    sent bigint not null
);

-- Not of the journal.

-- Keys of sealed personal data, wrapped by the master key; only the first shard has any. A destroyed one keeps its id.
create table florin.sealing_keys (
    id bytea primary key,
    wrapped bytea
);

-- One row: what proves the master key.
create table florin.keyring (
    single boolean primary key default true check (single),
    proof bytea not null
);

-- Who does something that one node at a time should do, until when by this server's clock.
create table florin.leases (
    name text primary key,
    holder text not null,
    until timestamptz not null
);

-- The currencies of ISO 4217, for people.
create table florin.currencies (
    number smallint primary key,
    code text not null,
    scale smallint not null,
    name text not null
);

-- Nobody changes a fact, whatever their rights.

create function florin.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'rows of %.% are facts: they are never changed or removed', tg_table_schema, tg_table_name
        using errcode = 'restrict_violation';
end $$;

do $$
declare
    fact text;
begin
    foreach fact in array array['shard', 'blocks', 'chunks', 'transfers', 'steps', 'transfer_metadata', 'postings', 'keys', 'reversals'] loop
        execute format(
            'create trigger facts_stay before update or delete or truncate on florin.%I
                for each statement execute function florin.refuse_change()', fact);
    end loop;
end $$;

-- Fails the transaction when a statement met another number of rows than it had to.
create function florin.expect(met bigint, due bigint, what text) returns void language plpgsql as $$
begin
    if met <> due then
        raise exception '% rows of % were found where % were expected', met, what, due
            using errcode = 'data_exception';
    end if;
end $$;

-- The version an account had at a time: the last posting booked at or before it, 0 if there is none. Versions grow with
-- time, so halving finds it.
create function florin.version_at(of_account bigint, at bigint) returns bigint language plpgsql stable as $$
declare
    low bigint := 0;
    high bigint;
    middle bigint;
    booked bigint;
begin
    select max(version) into high from florin.postings where account = of_account;
    high := coalesce(high, 0);
    while low < high loop
        middle := high - (high - low) / 2;
        select coalesce(s.booked_at, t.booked_at) into strict booked
            from florin.postings p left join florin.transfers t on t.id = p.transfer
                left join florin.steps s on s.transfer = p.transfer and s.sequence = p.step
            where p.account = of_account and p.version = middle;
        if booked <= at then low := middle; else high := middle - 1; end if;
    end loop;
    return low;
end $$;
