//! The rows of a checkpoint's state, which events carry too.

use super::reader::{DecodeError, Problem, Reader};
use super::tag::Tagged;
use super::writer::{
    flags, put_amount, put_blob, put_count, put_currency, put_day, put_signed_wide, put_text, put_time, put_varint,
    put_wide,
};
use ledger::account::Account;
use ledger::customer::{Customer, Profile};
use ledger::dead_letter::DeadLetter;
use ledger::hold::Hold;
use ledger::limit::{DebitCounter, Limits};
use ledger::time::Timestamp;
use ledger::token::Token;
use ledger::working_set::Reversal;

/// Appends an account.
pub fn encode_account(account: &Account, out: &mut Vec<u8>) {
    let flags = flags_of_account(account);
    let has = |bit: u8| flags & (1 << bit) != 0;
    out.push(flags);
    out.extend([account.kind.tag(), account.status.tag()]);
    put_varint(out, account.id.number());
    put_currency(out, account.currency);
    put_signed_wide(out, account.balance);
    put_varint(out, account.version);
    put_varint(out, account.revision);
    put_amount(out, account.overdraft_limit);
    put_amount(out, account.opening_overdraft_limit);
    put_day(out, account.opened);
    if let Some(customer) = account.customer {
        put_varint(out, customer.number());
    }
    if let Some(limits) = &account.limits {
        encode_limits(limits, out);
    }
    if let Some(note) = &account.note {
        put_text(out, note);
    }
    if has(3) {
        let (day, of_day, of_month) = account.debits.parts();
        put_day(out, day);
        put_wide(out, of_day);
        put_wide(out, of_month);
    }
    if has(4) {
        put_varint(out, account.held);
        put_varint(out, u64::from(account.holds_active));
    }
    if has(5) {
        put_time(out, account.next_expiry);
    }
    if has(6) {
        put_varint(out, u64::from(account.sagas_open));
    }
    if let Some(shard) = account.moved_to {
        put_varint(out, u64::from(shard.number()));
    }
}

/// Reads an account.
///
/// # Errors
/// When the bytes are not one.
pub fn decode_account(reader: &mut Reader<'_>) -> Result<Account, DecodeError> {
    let at = reader.clone();
    let flags = reader.byte("flags of an account")?;
    let has = |bit: u8| flags & (1 << bit) != 0;
    let (kind, status) = (reader.tag()?, reader.tag()?);
    let (id, currency) = (reader.account_id()?, reader.currency()?);
    let mut account = Account {
        status,
        balance: reader.signed_wide("balance")?,
        version: reader.varint("version")?,
        revision: reader.varint("revision")?,
        overdraft_limit: reader.amount("overdraft limit")?,
        opening_overdraft_limit: reader.amount("opening overdraft limit")?,
        ..Account::open(id, kind, currency, reader.day("day of opening")?)
    };
    account.customer = reader.when(has(0), Reader::customer_id)?;
    account.limits = reader.when(has(1), decode_limits)?.map(Box::new);
    account.note = reader.when(has(2), |reader| reader.text("note of an account"))?.map(Box::from);
    if has(3) {
        let day = reader.day("day of the debit counter")?;
        account.debits =
            DebitCounter::from_parts(day, reader.wide("debits of the day")?, reader.wide("debits of the month")?);
    }
    if has(4) {
        account.held = reader.varint("held")?;
        account.holds_active = reader.narrow("active holds")?;
    }
    if has(5) {
        account.next_expiry = reader.time("next expiry")?;
    }
    if has(6) {
        account.sagas_open = reader.narrow("open sagas")?;
    }
    account.moved_to = reader.when(has(7), Reader::shard_id)?;
    // What is there must be worth writing.
    if flags == flags_of_account(&account) {
        Ok(account)
    } else {
        Err(at.error("flags of an account", Problem::OutOfRange))
    }
}

/// Which parts of an account are written.
fn flags_of_account(account: &Account) -> u8 {
    flags([
        account.customer.is_some(),
        account.limits.is_some(),
        account.note.is_some(),
        account.debits != DebitCounter::default(),
        account.held != 0 || account.holds_active != 0,
        account.next_expiry != Timestamp::MAX,
        0 < account.sagas_open,
        account.moved_to.is_some(),
    ])
}

fn encode_limits(limits: &Limits, out: &mut Vec<u8>) {
    let all = [limits.per_transfer, limits.daily_debit, limits.monthly_debit];
    out.push(flags(all.map(|limit| limit.is_some())));
    all.into_iter().flatten().for_each(|limit| put_amount(out, limit));
}

fn decode_limits(reader: &mut Reader<'_>) -> Result<Limits, DecodeError> {
    let flags = reader.flags(0x7, "flags of limits")?;
    let mut limit = |bit: u8| reader.when(flags & (1 << bit) != 0, |reader| reader.amount("limit"));
    Ok(Limits { per_transfer: limit(0)?, daily_debit: limit(1)?, monthly_debit: limit(2)? })
}

/// Appends a hold.
pub fn encode_hold(hold: &Hold, out: &mut Vec<u8>) {
    out.push(flags([hold.to.is_some(), hold.expires_at.is_some()]));
    out.push(hold.status.tag());
    put_varint(out, hold.id.number());
    put_varint(out, hold.from.number());
    put_amount(out, hold.amount);
    put_amount(out, hold.captured);
    put_currency(out, hold.currency);
    put_time(out, hold.created_at);
    put_day(out, hold.day);
    if let Some(to) = hold.to {
        put_varint(out, to.number());
    }
    if let Some(expires_at) = hold.expires_at {
        put_time(out, expires_at);
    }
}

/// Reads a hold.
///
/// # Errors
/// When the bytes are not one.
pub fn decode_hold(reader: &mut Reader<'_>) -> Result<Hold, DecodeError> {
    let flags = reader.flags(0x3, "flags of a hold")?;
    Ok(Hold {
        status: reader.tag()?,
        id: reader.hold_id()?,
        from: reader.account_id()?,
        amount: reader.amount("amount of a hold")?,
        captured: reader.amount("captured of a hold")?,
        currency: reader.currency()?,
        created_at: reader.time("creation of a hold")?,
        day: reader.day("day of a hold")?,
        to: reader.when(flags & 1 != 0, Reader::account_id)?,
        expires_at: reader.when(flags & 2 != 0, |reader| reader.time("expiry of a hold"))?,
    })
}

/// Appends a customer.
pub fn encode_customer(customer: &Customer, out: &mut Vec<u8>) {
    put_varint(out, customer.id.number());
    out.extend_from_slice(&customer.registered_as.to_le_bytes());
    put_time(out, customer.created_at);
    put_varint(out, customer.revision);
    put_count(out, customer.profile.len());
    for (field, sealed) in &customer.profile {
        out.push(field.tag());
        put_blob(out, sealed);
    }
}

/// Reads a customer.
///
/// # Errors
/// When the bytes are not one.
pub fn decode_customer(reader: &mut Reader<'_>) -> Result<Customer, DecodeError> {
    Ok(Customer {
        id: reader.customer_id()?,
        registered_as: reader.digest("digest of a registration")?,
        created_at: reader.time("registration of a customer")?,
        revision: reader.varint("revision of a customer")?,
        profile: decode_profile(reader)?,
    })
}

fn decode_profile(reader: &mut Reader<'_>) -> Result<Profile, DecodeError> {
    let count = reader.count(2, "fields of a profile")?;
    (0..count).map(|_| Ok((reader.tag()?, reader.blob("sealed field")?.into()))).collect()
}

/// Appends a dead letter.
pub fn encode_dead_letter(dead_letter: &DeadLetter, out: &mut Vec<u8>) {
    out.push(flags([dead_letter.attempt_is_open, dead_letter.discard_reason.is_some()]));
    out.push(dead_letter.status.tag());
    put_varint(out, dead_letter.id.number());
    put_text(out, &dead_letter.code);
    put_text(out, &dead_letter.detail);
    put_time(out, dead_letter.received_at);
    put_varint(out, u64::from(dead_letter.attempts));
    put_varint(out, dead_letter.recorded_by);
    put_varint(out, dead_letter.data_from);
    if let Some(reason) = &dead_letter.discard_reason {
        put_text(out, reason);
    }
}

/// Reads a dead letter.
///
/// # Errors
/// When the bytes are not one.
pub fn decode_dead_letter(reader: &mut Reader<'_>) -> Result<DeadLetter, DecodeError> {
    let flags = reader.flags(0x3, "flags of a dead letter")?;
    Ok(DeadLetter {
        attempt_is_open: flags & 1 != 0,
        status: reader.tag()?,
        id: reader.dead_letter_id()?,
        code: reader.text("code of a dead letter")?.into(),
        detail: reader.text("detail of a dead letter")?.into(),
        received_at: reader.time("arrival of a dead letter")?,
        attempts: reader.narrow("attempts")?,
        recorded_by: reader.varint("entry of the first data")?,
        data_from: reader.varint("entry of the latest data")?,
        discard_reason: reader.when(flags & 2 != 0, |reader| reader.text("reason of discarding"))?.map(Box::from),
    })
}

/// Appends a token.
pub fn encode_token(token: &Token, out: &mut Vec<u8>) {
    out.push(flags([token.revoked, token.expires_at.is_some()]));
    out.push(token.role.tag());
    put_varint(out, token.id.number());
    put_text(out, &token.name);
    out.extend_from_slice(&token.digest);
    put_time(out, token.created_at);
    if let Some(expires_at) = token.expires_at {
        put_time(out, expires_at);
    }
}

/// Reads a token.
///
/// # Errors
/// When the bytes are not one.
pub fn decode_token(reader: &mut Reader<'_>) -> Result<Token, DecodeError> {
    let flags = reader.flags(0x3, "flags of a token")?;
    Ok(Token {
        revoked: flags & 1 != 0,
        role: reader.tag()?,
        id: reader.token_id()?,
        name: reader.text("name of a token")?.into(),
        digest: reader.array("digest of a token")?,
        created_at: reader.time("creation of a token")?,
        expires_at: reader.when(flags & 2 != 0, |reader| reader.time("expiry of a token"))?,
    })
}

/// Appends which transfer undid which.
pub fn encode_reversal(reversal: &Reversal, out: &mut Vec<u8>) {
    put_varint(out, reversal.transfer.number());
    put_varint(out, reversal.by.number());
}

/// Reads which transfer undid which.
///
/// # Errors
/// When the bytes do not say so.
pub fn decode_reversal(reader: &mut Reader<'_>) -> Result<Reversal, DecodeError> {
    Ok(Reversal { transfer: reader.transfer_id()?, by: reader.transfer_id()? })
}
