//! Decides everything that moves no money: customers, accounts, their status and terms, dead letters, tokens.

use super::{Decided, decide_one, find_customers};
use crate::account::{Account, AccountKind, FreezeKind, Status};
use crate::command::{
    BeginRedrive, ChangeTerms, Command, CreateToken, DiscardDeadLetter, FinishRedrive, Freeze, Ingest, OpenAccount,
    OpenSystemAccount, RecordDeadLetter, RegisterCustomer, UpdateCustomer,
};
use crate::customer::{Customer, Sealed};
use crate::dead_letter::{DeadLetter, DeadLetterStatus};
use crate::event::{
    AccountChange, AccountChanged, CustomerChange, CustomerChanged, DeadLetterChange, DeadLetterChanged, Event, Header,
};
use crate::ids::{AccountId, CLIENT_ID_END, CustomerId, DeadLetterId, SLOTS, TokenId, slot};
use crate::limit::Limits;
use crate::rejection::Rejection;
use crate::token::Token;
use crate::working_set::WorkingSet;

pub(super) fn decide(set: &WorkingSet, header: &Header, command: &Command) -> Decided {
    match command {
        Command::RegisterCustomer(register) => register_customer(set, header, register),
        Command::UpdateCustomer(update) => update_customer(set, update),
        Command::OpenAccount(open) => open_account(set, header, open),
        Command::OpenSystemAccount(open) => open_system_account(set, header, open),
        Command::ChangeTerms(change) => change_terms(set, change),
        Command::Freeze(freeze) => decide_freeze(set, freeze),
        Command::Unfreeze(account) => unfreeze(set, *account),
        Command::Close(account) => close(set, header, *account),
        Command::RecordDeadLetter(record) => Ok(record_dead_letter(set, header, record)),
        Command::BeginRedrive(redrive) => begin_redrive(set, header, redrive),
        Command::FinishRedrive(redrive) => finish_redrive(set, redrive),
        Command::DiscardDeadLetter(discard) => discard_dead_letter(set, discard),
        Command::CreateToken(create) => Ok(create_token(set, header, create)),
        Command::RevokeToken(token) => revoke_token(set, *token),
        _ => unreachable!("what moves money is decided one level up"),
    }
}

/// Nobody waits for the answer to a queued event: its rejection becomes a dead letter, under the same key.
pub(super) fn ingest(set: &mut WorkingSet, header: &Header, ingest: &Ingest) -> Decided {
    match decide_one(set, header, &ingest.command) {
        Ok(event) => Ok(event),
        Err(rejection) if rejection.is_passing() => Err(rejection),
        Err(rejection) => Ok(new_dead_letter(set, header, rejection.code(), &rejection.to_string(), &ingest.payload)),
    }
}

/// An id for something that hashes to a slot: one the shard owns and nothing has yet, nor will get while the slot moves.
fn free_id(set: &WorkingSet, header: &Header, is_taken: impl Fn(u64) -> bool) -> Decided<u64> {
    let may_give_out = |slot| set.slots.contains(slot) && !set.slots.fenced.contains_key(&slot);
    if !set.slots.fenced.is_empty() && !(0..SLOTS).any(may_give_out) {
        return Err(Rejection::WrongShard(0)); // all that it has is moving
    }
    let mut ids = set.ids;
    loop {
        let id = ids.next(header.time);
        if may_give_out(slot(id)) && !is_taken(id) {
            return Ok(id);
        }
    }
}

fn generated(set: &WorkingSet, header: &Header) -> u64 {
    let mut ids = set.ids;
    ids.next(header.time)
}

fn register_customer(set: &WorkingSet, header: &Header, register: &RegisterCustomer) -> Decided {
    let id = match register.id {
        Some(id) => id,
        None => {
            let id = free_id(set, header, |id| set.customers.get(id).is_some())?;
            CustomerId::new(id).expect("generated ids are ids")
        }
    };
    if set.customer(id).is_none() && !set.owns(id.number()) {
        return Err(Rejection::WrongShard(id.number()));
    }
    if let Some(known) = set.customer(id) {
        if known.registered_as != register.registered_as {
            return Err(Rejection::IdTaken(id.number()));
        }
        return Ok(customer_changed(CustomerChange::Nothing, known.clone(), false));
    }
    let customer = Customer {
        id,
        profile: register.profile.clone(),
        registered_as: register.registered_as,
        created_at: header.time,
        revision: 1,
    };
    Ok(customer_changed(CustomerChange::Registered, customer, register.id.is_none()))
}

fn update_customer(set: &WorkingSet, update: &UpdateCustomer) -> Decided {
    let known = set.customer(update.id).ok_or(Rejection::UserNotFound(update.id))?;
    let customer =
        Customer { profile: known.updated_profile(&update.changes), revision: known.revision + 1, ..known.clone() };
    let fields = update.changes.iter().map(|(field, _)| *field).collect();
    Ok(customer_changed(CustomerChange::Updated(fields), customer, false))
}

fn open_account(set: &WorkingSet, header: &Header, open: &OpenAccount) -> Decided {
    // A customer of another shard was looked up there; customers are never removed. They stay where they were registered,
    // so those of a slot that came from another shard may be there.
    let is_at_home = set.slots.dealt.contains(slot(open.customer.number())) && set.owns(open.customer.number());
    if is_at_home && set.customer(open.customer).is_none() {
        return Err(Rejection::UserNotFound(open.customer));
    }
    let id = match open.id {
        Some(id) => id,
        None => {
            let id = free_id(set, header, |id| set.accounts.get(id).is_some())?;
            AccountId::new(id).expect("generated ids are ids")
        }
    };
    if open.id.is_some_and(|id| CLIENT_ID_END <= id.number()) {
        return Err(Rejection::IdTaken(id.number()));
    }
    let moved = set.account(id).map(|known| known.moved_to.is_some());
    if moved.unwrap_or(!set.is_of_shard(id)) {
        return Err(Rejection::WrongShard(id.number()));
    }
    if let Some(known) = set.account(id) {
        let asked = (Some(open.customer), open.kind, open.currency, open.overdraft_limit);
        if asked != (known.customer, known.kind, known.currency, known.opening_overdraft_limit) {
            return Err(Rejection::IdTaken(id.number()));
        }
        return Ok(account_changed(AccountChange::Nothing, known.clone(), false));
    }
    let account = Account {
        customer: Some(open.customer),
        overdraft_limit: open.overdraft_limit,
        opening_overdraft_limit: open.overdraft_limit,
        revision: 1,
        ..Account::open(id, open.kind, open.currency, header.day)
    };
    Ok(account_changed(AccountChange::Opened, account, open.id.is_none()))
}

fn open_system_account(set: &WorkingSet, header: &Header, open: &OpenSystemAccount) -> Decided {
    let place = set.free_system_account(open.kind, open.currency);
    let place = place.ok_or(Rejection::IdTaken(crate::ids::SYSTEM_ID_START))?;
    let account = Account {
        note: Some(open.name.clone()),
        revision: 1,
        ..Account::open(place.id(), AccountKind::System(open.kind), open.currency, header.day)
    };
    Ok(account_changed(AccountChange::Opened, account, false))
}

fn change_terms(set: &WorkingSet, change: &ChangeTerms) -> Decided {
    let known = find_customers(set, change.account)?;
    if known.status == Status::Closed {
        return Err(Rejection::AccountClosed(known.id));
    }
    let before = known.limits.as_deref().copied().unwrap_or_default();
    let limits = Limits {
        per_transfer: change.per_transfer.unwrap_or(before.per_transfer),
        daily_debit: change.daily_debit.unwrap_or(before.daily_debit),
        monthly_debit: change.monthly_debit.unwrap_or(before.monthly_debit),
    };
    let account = Account {
        overdraft_limit: change.overdraft_limit.unwrap_or(known.overdraft_limit),
        limits: (limits != Limits::default()).then(|| Box::new(limits)),
        ..known.clone()
    };
    Ok(changed_unless_same(AccountChange::TermsChanged, known, account))
}

fn decide_freeze(set: &WorkingSet, freeze: &Freeze) -> Decided {
    let known = find_customers(set, freeze.account)?;
    if known.status == Status::Closed {
        return Err(Rejection::AccountClosed(known.id));
    }
    // Decided here and not from a read before, so that no freeze in full that comes at the same time is lowered.
    let kind = freeze.kind.unwrap_or(match known.status {
        Status::Frozen(kind) => kind,
        Status::Active | Status::Closed => FreezeKind::Debit,
    });
    // Freezing again without a reason does not take the first one away.
    let reason = freeze.reason.clone().or_else(|| known.note.clone());
    let account = Account { status: Status::Frozen(kind), note: reason, ..known.clone() };
    Ok(changed_unless_same(AccountChange::Frozen, known, account))
}

fn unfreeze(set: &WorkingSet, id: AccountId) -> Decided {
    let known = find_customers(set, id)?;
    if known.status == Status::Closed {
        return Err(Rejection::AccountClosed(known.id));
    }
    let account = Account { status: Status::Active, note: None, ..known.clone() };
    Ok(changed_unless_same(AccountChange::Unfrozen, known, account))
}

fn close(set: &WorkingSet, header: &Header, id: AccountId) -> Decided {
    let known = find_customers(set, id)?;
    let is_empty = known.balance == 0 && set.held(known, header.time) == 0 && known.sagas_open == 0;
    if known.status != Status::Closed && !is_empty {
        return Err(Rejection::AccountNotEmpty(id));
    }
    let account = Account { status: Status::Closed, ..known.clone() };
    Ok(changed_unless_same(AccountChange::Closed, known, account))
}

fn changed_unless_same(change: AccountChange, known: &Account, account: Account) -> Event {
    if account == *known {
        return account_changed(AccountChange::Nothing, account, false);
    }
    account_changed(change, Account { revision: known.revision + 1, ..account }, false)
}

fn account_changed(change: AccountChange, account: Account, id_is_generated: bool) -> Event {
    Event::AccountChanged(Box::new(AccountChanged { change, id_is_generated, account }))
}

fn customer_changed(change: CustomerChange, customer: Customer, id_is_generated: bool) -> Event {
    Event::CustomerChanged(Box::new(CustomerChanged { change, id_is_generated, customer }))
}

fn record_dead_letter(set: &WorkingSet, header: &Header, record: &RecordDeadLetter) -> Event {
    new_dead_letter(set, header, &record.code, &record.detail, &record.payload)
}

fn new_dead_letter(set: &WorkingSet, header: &Header, code: &str, detail: &str, payload: &Sealed) -> Event {
    Event::DeadLetterChanged(Box::new(dead_letter_of(set, header, code, detail, payload)))
}

pub(super) fn dead_letter_of(
    set: &WorkingSet,
    header: &Header,
    code: &str,
    detail: &str,
    payload: &Sealed,
) -> DeadLetterChanged {
    let dead_letter = DeadLetter {
        id: DeadLetterId::new(generated(set, header)).expect("generated ids are ids"),
        status: DeadLetterStatus::Waiting,
        code: code.into(),
        detail: detail.into(),
        received_at: header.time,
        attempts: 1,
        attempt_is_open: false,
        recorded_by: header.sequence,
        data_from: header.sequence,
        discard_reason: None,
    };
    DeadLetterChanged { change: DeadLetterChange::Recorded, dead_letter, payload: Some(payload.clone()) }
}

fn find_dead_letter(set: &WorkingSet, id: DeadLetterId) -> Decided<&DeadLetter> {
    set.dead_letters.get(id.number()).ok_or(Rejection::DeadLetterNotFound(id))
}

fn dead_letter_changed(change: DeadLetterChange, dead_letter: DeadLetter, payload: Option<Sealed>) -> Event {
    Event::DeadLetterChanged(Box::new(DeadLetterChanged { change, dead_letter, payload }))
}

/// An attempt is recorded before it is made. While one is open no other begins: whoever asks carries that one on.
fn begin_redrive(set: &WorkingSet, header: &Header, redrive: &BeginRedrive) -> Decided {
    let known = find_dead_letter(set, redrive.dead_letter)?;
    if known.status != DeadLetterStatus::Waiting || known.attempt_is_open {
        return Ok(dead_letter_changed(DeadLetterChange::Nothing, known.clone(), None));
    }
    let dead_letter = DeadLetter {
        attempts: known.attempts + 1,
        attempt_is_open: true,
        data_from: if redrive.payload.is_some() { header.sequence } else { known.data_from },
        ..known.clone()
    };
    Ok(dead_letter_changed(DeadLetterChange::RedriveBegun, dead_letter, redrive.payload.clone()))
}

fn finish_redrive(set: &WorkingSet, redrive: &FinishRedrive) -> Decided {
    let known = find_dead_letter(set, redrive.dead_letter)?;
    if !known.attempt_is_open || known.attempts != redrive.attempt {
        return Ok(dead_letter_changed(DeadLetterChange::Nothing, known.clone(), None));
    }
    let (change, dead_letter) = match &redrive.failure {
        Some((code, detail)) => {
            let after =
                DeadLetter { attempt_is_open: false, code: code.clone(), detail: detail.clone(), ..known.clone() };
            (DeadLetterChange::RedriveFailed, after)
        }
        None => {
            let after = DeadLetter { attempt_is_open: false, status: DeadLetterStatus::Redriven, ..known.clone() };
            (DeadLetterChange::Redriven, after)
        }
    };
    Ok(dead_letter_changed(change, dead_letter, None))
}

/// While an attempt is open it may still take effect, so the letter cannot be discarded yet.
fn discard_dead_letter(set: &WorkingSet, discard: &DiscardDeadLetter) -> Decided {
    let known = find_dead_letter(set, discard.dead_letter)?;
    if known.status != DeadLetterStatus::Waiting || known.attempt_is_open {
        return Ok(dead_letter_changed(DeadLetterChange::Nothing, known.clone(), None));
    }
    let dead_letter = DeadLetter {
        status: DeadLetterStatus::Discarded,
        discard_reason: Some(discard.reason.clone()),
        ..known.clone()
    };
    Ok(dead_letter_changed(DeadLetterChange::Discarded, dead_letter, None))
}

fn create_token(set: &WorkingSet, header: &Header, create: &CreateToken) -> Event {
    Event::TokenChanged(Box::new(Token {
        id: TokenId::new(generated(set, header)).expect("generated ids are ids"),
        name: create.name.clone(),
        role: create.role,
        digest: create.digest,
        created_at: header.time,
        expires_at: create.expires_at,
        revoked: false,
    }))
}

fn revoke_token(set: &WorkingSet, id: TokenId) -> Decided {
    let known = set.tokens.get(id.number()).ok_or(Rejection::TokenNotFound(id))?;
    Ok(Event::TokenChanged(Box::new(Token { revoked: true, ..known.clone() })))
}
