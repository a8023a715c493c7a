-- Small records that are not of the journal: what was set up by calls, how far followers of the journal are, what was
-- delivered, which jobs ran. Only the first shard has any, so that all nodes share them. Keys are in the order of their bytes.
create table florin.records (
    key text collate "C" primary key,
    value bytea not null
);

create or replace procedure florin.grant_rights() language plpgsql as $$
begin
    if exists (select from pg_roles where rolname = 'florin_application') then
        grant usage on schema florin, bank to florin_application;
        grant select on public.florin_migrations to florin_application;
        grant select, insert on all tables in schema florin to florin_application;
        grant select on all tables in schema bank to florin_application;
        grant update on florin.head, florin.accounts, florin.holds, florin.customers, florin.dead_letters, florin.tokens,
            florin.sealing_keys, florin.leases, florin.sagas, florin.parts, florin.positions, florin.slots, florin.records
            to florin_application;
        grant delete on florin.leases, florin.sagas, florin.parts, florin.records to florin_application;
        grant execute on all functions in schema florin to florin_application;
    end if;
    if exists (select from pg_roles where rolname = 'florin_reader') then
        grant usage on schema bank to florin_reader;
        grant select on all tables in schema bank to florin_reader;
    end if;
end $$;
