//! Rows of the state as PostgreSQL has them, and back.
//!
//! Numbers stand for words as in the views of `migrations/`: what is added later gets a number of its own, and none is
//! ever used for something else.

use crate::value::{Whole, big, unbig};
use ledger::account::{Account, AccountKind, FreezeKind, Status, SystemKind};
use ledger::amount::Amount;
use ledger::currency::Currency;
use ledger::hold::{Hold, HoldStatus};
use ledger::ids::{AccountId, CustomerId, HoldId, Sequence, ShardId};
use ledger::limit::{DebitCounter, Limits};
use ledger::saga::StepKind;
use ledger::time::{Day, Timestamp};
use ledger::transfer::TransferKind;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

/// A stored row that is not what Florin writes: which column.
pub(crate) type Read<T> = Result<T, String>;

/// The columns that [`account`] reads.
pub(crate) const ACCOUNT_COLUMNS: &str = "a.id, a.customer, a.version, a.revision, a.overdraft_limit, \
    a.opening_overdraft_limit, a.next_expiry, a.per_transfer_limit, a.daily_debit_limit, a.monthly_debit_limit, \
    a.opened_by, a.holds_active, a.sagas_open, a.debit_day, a.opened, a.kind, a.status, a.currency, a.moved_to, a.balance, a.held, \
    a.debits_of_day, a.debits_of_month, a.note";

/// The columns that [`hold`] reads.
pub(crate) const HOLD_COLUMNS: &str =
    "h.id, h.account, h.to_account, h.amount, h.captured, h.created_at, h.expires_at, h.day, h.currency, h.status";

/// The value of a column; a failure names it.
pub(crate) fn get<'a, T: FromSql<'a>>(row: &'a Row, column: &str) -> Read<T> {
    row.try_get(column).map_err(|error| format!("column {column}: {error}"))
}

/// A column's value as what it means.
pub(crate) fn meant<T>(column: &str, value: Option<T>) -> Read<T> {
    value.ok_or_else(|| format!("column {column} has a value that Florin never writes"))
}

pub(crate) fn account_id(row: &Row, column: &str) -> Read<AccountId> {
    meant(column, AccountId::new(unbig(get(row, column)?)))
}

fn amount(row: &Row, column: &str) -> Read<Amount> {
    meant(column, Amount::new(unbig(get(row, column)?)))
}

fn optional_amount(row: &Row, column: &str) -> Read<Option<Amount>> {
    get::<Option<i64>>(row, column)?.map(|units| meant(column, Amount::new(unbig(units)))).transpose()
}

pub(crate) fn time(row: &Row, column: &str) -> Read<Timestamp> {
    meant(column, Timestamp::from_microseconds(unbig(get(row, column)?)))
}

pub(crate) fn optional_time(row: &Row, column: &str) -> Read<Option<Timestamp>> {
    let instant = |time| meant(column, Timestamp::from_microseconds(unbig(time)));
    get::<Option<i64>>(row, column)?.map(instant).transpose()
}

pub(crate) fn currency(row: &Row, column: &str) -> Read<Currency> {
    let number = u16::try_from(get::<i16>(row, column)?).ok();
    meant(column, number.and_then(Currency::from_number))
}

fn whole<T: TryFrom<i128>>(row: &Row, column: &str) -> Read<T> {
    let Whole(number) = get(row, column)?;
    meant(column, T::try_from(number).ok())
}

/// An account.
pub(crate) fn account(row: &Row) -> Read<Account> {
    let kind = meant("kind", kind_of(get(row, "kind")?))?;
    let (id, currency) = (account_id(row, "id")?, currency(row, "currency")?);
    let customer: Option<i64> = get(row, "customer")?;
    let moved_to: Option<i16> = get(row, "moved_to")?;
    let moved_to = moved_to.map(|shard| meant("moved_to", u16::try_from(shard).ok().and_then(ShardId::new)));
    let limits = Limits {
        per_transfer: optional_amount(row, "per_transfer_limit")?,
        daily_debit: optional_amount(row, "daily_debit_limit")?,
        monthly_debit: optional_amount(row, "monthly_debit_limit")?,
    };
    let (of_day, of_month) = (whole(row, "debits_of_day")?, whole(row, "debits_of_month")?);
    let note: Option<&[u8]> = get(row, "note")?;
    let note = note.map(|note| std::str::from_utf8(note).map(Box::from).map_err(|_| "column note is no text"));
    Ok(Account {
        balance: whole(row, "balance")?,
        held: whole(row, "held")?,
        version: unbig(get(row, "version")?),
        revision: unbig(get(row, "revision")?),
        overdraft_limit: amount(row, "overdraft_limit")?,
        next_expiry: optional_time(row, "next_expiry")?.unwrap_or(Timestamp::MAX),
        holds_active: meant("holds_active", u32::try_from(get::<i32>(row, "holds_active")?).ok())?,
        sagas_open: meant("sagas_open", u32::try_from(get::<i32>(row, "sagas_open")?).ok())?,
        status: meant("status", status_of(get(row, "status")?))?,
        customer: customer.map(|id| meant("customer", CustomerId::new(unbig(id)))).transpose()?,
        debits: DebitCounter::from_parts(Day::new(get(row, "debit_day")?), of_day, of_month),
        limits: (limits != Limits::default()).then(|| Box::new(limits)),
        note: note.transpose()?,
        moved_to: moved_to.transpose()?,
        opening_overdraft_limit: amount(row, "opening_overdraft_limit")?,
        ..Account::open(id, kind, currency, Day::new(get(row, "opened")?))
    })
}

/// A hold.
pub(crate) fn hold(row: &Row) -> Read<Hold> {
    let to: Option<i64> = get(row, "to_account")?;
    Ok(Hold {
        id: meant("id", HoldId::new(unbig(get(row, "id")?)))?,
        from: account_id(row, "account")?,
        to: to.map(|id| meant("to_account", AccountId::new(unbig(id)))).transpose()?,
        amount: amount(row, "amount")?,
        captured: amount(row, "captured")?,
        currency: currency(row, "currency")?,
        status: meant("status", hold_status_of(get(row, "status")?))?,
        expires_at: optional_time(row, "expires_at")?,
        created_at: time(row, "created_at")?,
        day: Day::new(get(row, "day")?),
    })
}

/// The number of a place in a short list.
fn small(place: usize) -> i16 {
    i16::try_from(place).unwrap_or(i16::MAX)
}

pub(crate) fn currency_number(currency: Currency) -> i16 {
    i16::try_from(currency.number()).unwrap_or(i16::MAX)
}

/// The number of a step's kind.
pub(crate) fn step_number(kind: StepKind) -> i16 {
    small(StepKind::ALL.iter().position(|known| *known == kind).unwrap_or(usize::MAX))
}

/// The number of a kind of transfer.
pub(crate) fn transfer_kind_number(kind: TransferKind) -> i16 {
    small(TransferKind::ALL.iter().position(|known| *known == kind).unwrap_or(usize::MAX))
}

pub(crate) const CHECKING: i16 = 0;
pub(crate) const SAVINGS: i16 = 1;
/// The first number of the bank's own kinds of account.
pub(crate) const SYSTEM: i16 = 2;

fn kind_number(kind: AccountKind) -> i16 {
    match kind {
        AccountKind::Checking => CHECKING,
        AccountKind::Savings => SAVINGS,
        AccountKind::System(system) => {
            SYSTEM + small(SystemKind::ALL.iter().position(|known| *known == system).unwrap_or(usize::MAX / 2))
        }
    }
}

fn kind_of(number: i16) -> Option<AccountKind> {
    match number {
        CHECKING => Some(AccountKind::Checking),
        SAVINGS => Some(AccountKind::Savings),
        number => {
            let place = usize::try_from(number - SYSTEM).ok()?;
            SystemKind::ALL.get(place).copied().map(AccountKind::System)
        }
    }
}

fn status_number(status: Status) -> i16 {
    match status {
        Status::Active => 0,
        Status::Frozen(FreezeKind::Debit) => 1,
        Status::Frozen(FreezeKind::Full) => 2,
        Status::Closed => 3,
    }
}

fn status_of(number: i16) -> Option<Status> {
    [Status::Active, Status::Frozen(FreezeKind::Debit), Status::Frozen(FreezeKind::Full), Status::Closed]
        .into_iter()
        .find(|status| status_number(*status) == number)
}

/// The number of a hold's status; the partial indexes name that of an active one.
pub(crate) fn hold_status_number(status: HoldStatus) -> i16 {
    match status {
        HoldStatus::Held => 0,
        HoldStatus::Captured => 1,
        HoldStatus::Voided => 2,
        HoldStatus::Expired => 3,
    }
}

fn hold_status_of(number: i16) -> Option<HoldStatus> {
    [HoldStatus::Held, HoldStatus::Captured, HoldStatus::Voided, HoldStatus::Expired]
        .into_iter()
        .find(|status| hold_status_number(*status) == number)
}

fn optional_units(amount: Option<Amount>) -> Option<i64> {
    amount.map(|amount| big(amount.minor_units()))
}

macro_rules! columns {
    ($(#[$doc:meta])* $name:ident { $($column:ident: $kind:ty,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(crate) struct $name {
            $(pub(crate) $column: Vec<$kind>,)+
        }
    };
}

columns! {
    /// What money and holds change of accounts, column by column, with the revisions they had before.
    Money {
        id: i64,
        before: i64,
        version: i64,
        revision: i64,
        next_expiry: Option<i64>,
        holds_active: i32,
        sagas_open: i32,
        debit_day: i32,
        balance: Whole,
        held: Whole,
        debits_of_day: Whole,
        debits_of_month: Whole,
    }
}

columns! {
    /// What else an account has.
    Terms {
        customer: Option<i64>,
        overdraft_limit: i64,
        opening_overdraft_limit: i64,
        per_transfer_limit: Option<i64>,
        daily_debit_limit: Option<i64>,
        monthly_debit_limit: Option<i64>,
        opened_by: i64,
        opened: i32,
        kind: i16,
        status: i16,
        currency: i16,
        moved_to: Option<i16>,
        note: Option<Vec<u8>>,
    }
}

columns! {
    /// Holds, column by column.
    Holds {
        id: i64,
        account: i64,
        to_account: Option<i64>,
        amount: i64,
        captured: i64,
        created_at: i64,
        expires_at: Option<i64>,
        day: i32,
        currency: i16,
        status: i16,
    }
}

/// A time that may never come.
pub(crate) fn optional_instant(time: Timestamp) -> Option<i64> {
    (time != Timestamp::MAX).then(|| big(time.microseconds()))
}

impl Money {
    pub(crate) fn push(&mut self, account: &Account, before: u64) {
        let (day, of_day, of_month) = account.debits.parts();
        let counted = |debits: u128| Whole(i128::try_from(debits).unwrap_or(i128::MAX));
        self.id.push(big(account.id.number()));
        self.before.push(big(before));
        self.version.push(big(account.version));
        self.revision.push(big(account.revision));
        self.next_expiry.push(optional_instant(account.next_expiry));
        self.holds_active.push(i32::try_from(account.holds_active).unwrap_or(i32::MAX));
        self.sagas_open.push(i32::try_from(account.sagas_open).unwrap_or(i32::MAX));
        self.debit_day.push(day.number());
        self.balance.push(Whole(account.balance));
        self.held.push(Whole(i128::from(account.held)));
        self.debits_of_day.push(counted(of_day));
        self.debits_of_month.push(counted(of_month));
    }
}

impl Terms {
    pub(crate) fn push(&mut self, account: &Account, opened_by: Sequence) {
        let limits = account.limits.as_deref().copied().unwrap_or_default();
        self.customer.push(account.customer.map(|id| big(id.number())));
        self.overdraft_limit.push(big(account.overdraft_limit.minor_units()));
        self.opening_overdraft_limit.push(big(account.opening_overdraft_limit.minor_units()));
        self.per_transfer_limit.push(optional_units(limits.per_transfer));
        self.daily_debit_limit.push(optional_units(limits.daily_debit));
        self.monthly_debit_limit.push(optional_units(limits.monthly_debit));
        self.opened_by.push(big(opened_by));
        self.opened.push(account.opened.number());
        self.kind.push(kind_number(account.kind));
        self.status.push(status_number(account.status));
        self.currency.push(currency_number(account.currency));
        self.moved_to.push(account.moved_to.map(|shard| i16::try_from(shard.number()).unwrap_or(i16::MAX)));
        self.note.push(account.note.as_ref().map(|note| note.as_bytes().to_vec()));
    }
}

impl Holds {
    pub(crate) fn push(&mut self, hold: &Hold) {
        self.id.push(big(hold.id.number()));
        self.account.push(big(hold.from.number()));
        self.to_account.push(hold.to.map(|id| big(id.number())));
        self.amount.push(big(hold.amount.minor_units()));
        self.captured.push(big(hold.captured.minor_units()));
        self.created_at.push(big(hold.created_at.microseconds()));
        self.expires_at.push(hold.expires_at.map(|time| big(time.microseconds())));
        self.day.push(hold.day.number());
        self.currency.push(currency_number(hold.currency));
        self.status.push(hold_status_number(hold.status));
    }
}
