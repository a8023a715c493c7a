-- What people read: the schema `bank`, with names, decimal amounts and readable times. Nothing sealed is in it.

create schema bank;

create function florin.instant(microseconds bigint) returns timestamptz language sql immutable parallel safe
    return timestamptz '1970-01-01 00:00:00+00' + microseconds * interval '1 microsecond';

create function florin.on_day(days integer) returns date language sql immutable parallel safe
    return date '1970-01-01' + days;

-- An amount in minor units as a decimal number with as many places as the currency has.
create function florin.money(units numeric, scale smallint) returns numeric language sql immutable parallel safe
    return round(units / (10::numeric ^ scale::numeric), scale::integer);

create function florin.word(place smallint, variadic words text[]) returns text language sql immutable parallel safe
    return words[place + 1];

create view bank.accounts as
select a.id, a.customer as user_id,
    florin.word(a.kind, 'checking', 'savings', 'cash', 'clearing', 'expense', 'income', 'suspense', 'atm',
        'correspondent', 'other') as type,
    florin.word(a.status, 'active', 'frozen', 'frozen', 'closed') as status,
    case a.status when 1 then 'debit' when 2 then 'full' end as freeze,
    c.code as currency,
    florin.money(a.balance, c.scale) as balance,
    florin.money(a.held, c.scale) as held,
    florin.money(a.balance - a.held + a.overdraft_limit, c.scale) as available,
    florin.money(a.overdraft_limit, c.scale) as overdraft_limit,
    florin.money(a.per_transfer_limit, c.scale) as per_transfer_limit,
    florin.money(a.daily_debit_limit, c.scale) as daily_debit_limit,
    florin.money(a.monthly_debit_limit, c.scale) as monthly_debit_limit,
    a.version, a.revision, florin.on_day(a.opened) as opened_on, a.opened_by as opened_by_entry, a.moved_to as moved_to_shard
from florin.accounts a join florin.currencies c on c.number = a.currency;

create view bank.transfers as
select t.id, t.sequence as entry, florin.instant(t.booked_at) as created_at,
    florin.instant(t.effective_at) as effective_at, florin.on_day(t.day) as booking_day,
    florin.word(t.kind, 'deposit', 'withdrawal', 'transfer', 'capture', 'reversal', 'move', 'interest', 'fee') as type,
    c.code as currency, florin.money(t.amount, c.scale) as amount, t.forced, t.reference,
    (select jsonb_object_agg(m.key, m.value) from florin.transfer_metadata m where m.transfer = t.id) as metadata,
    t.reverses, r.reversed_by, t.hold
from florin.transfers t
    join florin.currencies c on c.number = t.currency
    left join florin.reversals r on r.transfer = t.id;

create view bank.postings as
select p.account as account_id, p.version, p.transfer as transfer_id, c.code as currency,
    case when p.amount < 0 then 'debit' else 'credit' end as side,
    florin.money(abs(p.amount), c.scale) as amount,
    florin.money(p.balance_after, c.scale) as balance_after,
    florin.instant(coalesce(s.booked_at, t.booked_at)) as created_at,
    florin.instant(coalesce(p.dated, s.booked_at, t.booked_at)) as effective_at,
    coalesce(s.reference, t.reference) as reference
from florin.postings p
    join florin.accounts a on a.id = p.account
    join florin.currencies c on c.number = a.currency
    left join florin.transfers t on t.id = p.transfer
    left join florin.steps s on s.transfer = p.transfer and s.sequence = p.step;

-- Transfers between shards that this shard began and that have not ended.
create view bank.open_transfers as
select id as transfer_id, florin.instant(started_at) as started_at, reverses from florin.sagas;

create view bank.holds as
select h.id, h.account as account_id, h.to_account, c.code as currency, florin.money(h.amount, c.scale) as amount,
    florin.money(h.captured, c.scale) as captured,
    florin.word(h.status, 'held', 'captured', 'voided', 'expired') as status,
    florin.instant(h.created_at) as created_at, florin.instant(h.expires_at) as expires_at
from florin.holds h join florin.currencies c on c.number = h.currency;

create view bank.users as
select id, florin.instant(created_at) as created_at, revision, registered_by as registered_by_entry from florin.customers;

create view bank.dead_letters as
select id, florin.word(status, 'waiting', 'redriven', 'discarded') as status, code, detail, attempts,
    florin.instant(received_at) as received_at
from florin.dead_letters;

create view bank.blocks as
select first_sequence, last_sequence, encode(hash, 'hex') as hash, encode(previous_hash, 'hex') as previous_hash,
    committed_at
from florin.blocks;

-- Every figure is zero: what is on all accounts of a currency together.
create view bank.sums as
select c.code as currency, sum(a.balance) as minor_units, count(*) as accounts
from florin.accounts a join florin.currencies c on c.number = a.currency group by c.code;
