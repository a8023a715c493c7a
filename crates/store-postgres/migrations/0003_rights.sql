-- Who may do what. The owner of the tables migrates; `florin_application` reads, adds, and changes only what is state;
-- `florin_reader` reads the views and cannot hold an old snapshot for long. Both can log in once they have a password.
-- A role that is not there is made if the owner may make roles, else whoever may makes it, and the next start grants.

do $$
declare
    wanted text;
begin
    foreach wanted in array array['florin_application', 'florin_reader'] loop
        begin
            if not exists (select from pg_roles where rolname = wanted) then
                execute format('create role %I login', wanted);
                if wanted = 'florin_reader' then
                    alter role florin_reader set default_transaction_read_only = on;
                    alter role florin_reader set statement_timeout = '60s';
                    alter role florin_reader set idle_in_transaction_session_timeout = '10s';
                end if;
            end if;
        exception
            -- Or several databases of one server are migrated at once, and another was first.
            when insufficient_privilege or duplicate_object or unique_violation or internal_error then
                raise notice 'role % was not made here', wanted;
        end;
    end loop;
end $$;

create procedure florin.grant_rights() language plpgsql as $$
begin
    if exists (select from pg_roles where rolname = 'florin_application') then
        grant usage on schema florin, bank to florin_application;
        grant select on public.florin_migrations to florin_application;
        grant select, insert on all tables in schema florin to florin_application;
        grant select on all tables in schema bank to florin_application;
        grant update on florin.head, florin.accounts, florin.holds, florin.customers, florin.dead_letters, florin.tokens,
            florin.sealing_keys, florin.leases, florin.sagas, florin.parts, florin.positions, florin.slots to florin_application;
        grant delete on florin.leases, florin.sagas, florin.parts to florin_application;
        grant execute on all functions in schema florin to florin_application;
    end if;
    if exists (select from pg_roles where rolname = 'florin_reader') then
        grant usage on schema bank to florin_reader;
        grant select on all tables in schema bank to florin_reader;
    end if;
end $$;
