-- Exchanges, and the bank's own accounts that they go through: their names, in the views that people read.

create or replace view bank.accounts as
select a.id, a.customer as user_id,
    florin.word(a.kind, 'checking', 'savings', 'cash', 'clearing', 'expense', 'income', 'suspense', 'atm',
        'correspondent', 'other', 'fx_position', 'fx_result') as type,
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

create or replace view bank.transfers as
select t.id, t.sequence as entry, florin.instant(t.booked_at) as created_at,
    florin.instant(t.effective_at) as effective_at, florin.on_day(t.day) as booking_day,
    florin.word(t.kind, 'deposit', 'withdrawal', 'transfer', 'capture', 'reversal', 'move', 'interest', 'fee',
        'exchange') as type,
    c.code as currency, florin.money(t.amount, c.scale) as amount, t.forced, t.reference,
    (select jsonb_object_agg(m.key, m.value) from florin.transfer_metadata m where m.transfer = t.id) as metadata,
    t.reverses, r.reversed_by, t.hold
from florin.transfers t
    join florin.currencies c on c.number = t.currency
    left join florin.reversals r on r.transfer = t.id;
