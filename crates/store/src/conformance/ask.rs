//! Commands as the claims ask them: amounts in minor units, accounts by number, euros unless said otherwise.

use ledger::account::{AccountKind, SystemAccount, SystemKind};
use ledger::amount::Amount;
use ledger::command::{CaptureHold, Command, Ingest, OpenAccount, PlaceHold, RegisterCustomer, Reverse};
use ledger::currency::Currency;
use ledger::customer::ProfileField;
use ledger::ids::{AccountId, CustomerId, HoldId, ShardId, TransferId};
use ledger::time::Timestamp;
use ledger::transfer::{Leg, LegAmount, Legs, Note, Transfer, TransferKind};

/// An account's id.
///
/// # Panics
/// For zero and from 2⁶³ on, as all of these.
pub fn account(number: u64) -> AccountId {
    AccountId::new(number).expect("claims name accounts from 1 on")
}

/// An amount.
///
/// # Panics
/// Beyond 18 digits.
pub fn amount(minor_units: u64) -> Amount {
    Amount::new(minor_units).expect("claims move at most 18 digits")
}

/// A currency by its code.
///
/// # Panics
/// When there is none.
pub fn currency(code: &str) -> Currency {
    code.parse().expect("claims use currencies of the standard")
}

/// The bank's cash account of shard 0.
pub fn cash(code: &str) -> AccountId {
    SystemAccount::standard(ShardId::default(), SystemKind::Cash, currency(code)).id()
}

fn leg(from: AccountId, to: AccountId, minor_units: u64) -> Leg {
    Leg { from, to, amount: LegAmount::Exactly(amount(minor_units)) }
}

fn single(kind: TransferKind, from: AccountId, to: AccountId, minor_units: u64) -> Transfer {
    let legs = Legs::One([leg(from, to, minor_units)]);
    Transfer { kind, currency: currency("EUR"), legs, forced: false, effective_at: None, note: None }
}

/// A transfer from one account to another.
pub fn movement(from: u64, to: u64, minor_units: u64) -> Transfer {
    single(TransferKind::Transfer, account(from), account(to), minor_units)
}

/// A movement on a value date, with a reference and metadata.
pub fn noted(
    transfer: Transfer,
    effective_at: Option<Timestamp>,
    reference: Option<&str>,
    metadata: &[(&str, &str)],
) -> Transfer {
    let metadata: Box<[_]> = metadata.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    let is_empty = reference.is_none() && metadata.is_empty();
    let note = (!is_empty).then(|| Box::new(Note { reference: reference.map(Box::from), metadata }));
    Transfer { effective_at, note, ..transfer }
}

/// The command to make a transfer.
pub fn transfer(from: u64, to: u64, minor_units: u64) -> Command {
    Command::Transfer(movement(from, to, minor_units))
}

/// A transfer of several legs.
pub fn legs(legs: &[(u64, u64, u64)]) -> Command {
    let legs = legs.iter().map(|(from, to, minor_units)| leg(account(*from), account(*to), *minor_units));
    Command::Transfer(Transfer { legs: Legs::Many(legs.collect()), ..movement(1, 2, 1) })
}

/// Cash for an account.
pub fn deposit(to: u64, minor_units: u64) -> Command {
    Command::Transfer(single(TransferKind::Deposit, cash("EUR"), account(to), minor_units))
}

/// Cash for an account on this shard.
pub fn deposit_at(shard: ShardId, to: u64, minor_units: u64) -> Command {
    let cash = SystemAccount::standard(shard, SystemKind::Cash, currency("EUR")).id();
    Command::Transfer(single(TransferKind::Deposit, cash, account(to), minor_units))
}

/// Cash for an account in another currency.
pub fn deposit_in(code: &str, to: u64, minor_units: u64) -> Command {
    let transfer = single(TransferKind::Deposit, cash(code), account(to), minor_units);
    Command::Transfer(Transfer { currency: currency(code), ..transfer })
}

/// Cash from an account.
pub fn withdrawal(from: u64, minor_units: u64) -> Command {
    Command::Transfer(single(TransferKind::Withdrawal, account(from), cash("EUR"), minor_units))
}

/// Transfers, all or none.
pub fn batch(transfers: &[(u64, u64, u64)]) -> Command {
    Command::Batch(transfers.iter().map(|(from, to, minor_units)| movement(*from, *to, *minor_units)).collect())
}

/// The opposite of a transfer.
pub fn reverse(transfer: TransferId) -> Command {
    Command::Reverse(Reverse { transfer, forced: false, note: None })
}

/// A hold.
pub fn hold(from: u64, to: Option<u64>, minor_units: u64, expires_at: Option<Timestamp>) -> Command {
    let (from, to) = (account(from), to.map(account));
    Command::PlaceHold(PlaceHold { from, to, amount: amount(minor_units), currency: currency("EUR"), expires_at })
}

/// A capture: of so much, or of all that is left.
pub fn capture(hold: HoldId, minor_units: Option<u64>, is_final: bool) -> Command {
    Command::CaptureHold(Box::new(CaptureHold {
        hold,
        amount: minor_units.map(amount),
        to: None,
        is_final,
        note: None,
    }))
}

/// A customer with this id and name. The digest of the registration is made of both.
///
/// # Panics
/// When the number is no id.
pub fn register(number: u64, name: &str) -> Command {
    let registered_as = name.bytes().fold(u128::from(number), |digest, byte| digest << 8 | u128::from(byte));
    Command::RegisterCustomer(Box::new(RegisterCustomer {
        id: Some(customer(number)),
        profile: vec![(ProfileField::Name, name.as_bytes().into())],
        registered_as,
    }))
}

/// A customer's id.
///
/// # Panics
/// For zero and from 2⁶³ on.
pub fn customer(number: u64) -> CustomerId {
    CustomerId::new(number).expect("claims name customers from 1 on")
}

/// A checking account with this id, or with one that the shard gives out.
pub fn open(number: Option<u64>, owner: u64, code: &str, overdraft: u64) -> Command {
    Command::OpenAccount(OpenAccount {
        id: number.map(account),
        customer: customer(owner),
        kind: AccountKind::Checking,
        currency: currency(code),
        overdraft_limit: amount(overdraft),
    })
}

/// A command as an event brings it.
pub fn ingest(command: Command, payload: &[u8]) -> Command {
    Command::Ingest(Box::new(Ingest { command, payload: payload.into() }))
}
