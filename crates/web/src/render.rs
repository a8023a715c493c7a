//! Writes what the bank answered as JSON, straight into bytes. What is written depends only on the entry it rests on, so
//! that a replayed answer is the first one byte for byte.

use crate::text::{
    push_id, push_json_string, push_money, push_number, push_optional_id, push_optional_string, push_time,
};
use bank::read::TransferDetails;
use ledger::account::{Account, AccountKind, Status};
use ledger::amount::Amount;
use ledger::currency::Currency;
use ledger::hold::Hold;
use ledger::ids::TransferId;
use ledger::rejection::Rejection;
use ledger::saga::Ordered;
use ledger::time::Timestamp;
use ledger::transfer::{Side, Transfer, Transferred};
use store::query::{PostingRow, TransferStatus};

/// Bytes that a transfer with two postings takes, about.
pub(crate) const TRANSFER_BYTES: usize = 1024;
/// Bytes that a transfer takes at most, without its postings and its note.
const TRANSFER_BYTES_MAX: usize = 512;
/// Bytes that a posting takes at most, without the note it repeats.
const POSTING_BYTES_MAX: usize = 384;

/// What a transfer and each of its postings repeat, written once: the transfer's id and its times.
struct Repeated {
    transfer_id: Vec<u8>,
    created_at: Vec<u8>,
    effective_at: Vec<u8>,
}

impl Repeated {
    fn new(transferred: &Transferred, booked_at: Option<Timestamp>) -> Repeated {
        let written = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::with_capacity(32);
            write(&mut out);
            out
        };
        let created_at = written(&|out| push_optional_time(out, booked_at));
        let effective_at = match booked_at {
            Some(booked_at) if booked_at == transferred.effective_at => created_at.clone(),
            Some(_) => written(&|out| push_time(out, transferred.effective_at)),
            None => created_at.clone(),
        };
        let transfer_id = written(&|out| push_optional_id(out, booked_at.map(|_| transferred.id.number())));
        Repeated { transfer_id, created_at, effective_at }
    }
}

/// What of a transfer does not follow from the entry that made it, if it went between shards.
struct Standing<'a> {
    status: &'static str,
    /// The sum of all legs in minor units.
    amount: u128,
    reversed_by: Option<TransferId>,
    failure: Option<&'a Rejection>,
}

/// A transfer of an entry booked at this time; without one it is a dry run, whose ids and times are `null`.
pub(crate) fn push_transfer(
    out: &mut Vec<u8>,
    transferred: &Transferred,
    booked_at: Option<Timestamp>,
    reversed_by: Option<TransferId>,
) {
    let standing = Standing { status: "succeeded", amount: transferred.amount(), reversed_by, failure: None };
    let repeated = Repeated::new(transferred, booked_at);
    push_standing(out, transferred, &repeated, &standing, |out| {
        for index in 0..transferred.postings.len() {
            if index != 0 {
                out.push(b',');
            }
            push_repeating_posting(out, transferred, index, &repeated);
        }
    });
}

/// The first step of a transfer between shards: what its home shard has posted of it.
pub(crate) fn push_started(
    out: &mut Vec<u8>,
    ordered: &Ordered,
    transferred: &Transferred,
    booked_at: Option<Timestamp>,
) {
    let standing = Standing { status: "pending", amount: ordered.amount(), reversed_by: None, failure: None };
    let repeated = Repeated::new(transferred, booked_at);
    push_standing(out, transferred, &repeated, &standing, |out| {
        for index in 0..transferred.postings.len() {
            if index != 0 {
                out.push(b',');
            }
            push_repeating_posting(out, transferred, index, &repeated);
        }
    });
}

/// A transfer as it is now, with its postings on all shards.
pub(crate) fn push_details(out: &mut Vec<u8>, details: &TransferDetails) {
    let view = &details.view;
    let Some(transferred) = view.transfer.transferred() else { return };
    let status = view.status();
    let standing = Standing {
        status: status_word(status),
        amount: view.amount(),
        reversed_by: view.reversed_by,
        failure: match &status {
            TransferStatus::Failed(failure) => Some(&failure.rejection),
            TransferStatus::Succeeded | TransferStatus::Pending => None,
        },
    };
    let repeated = Repeated::new(transferred, Some(view.transfer.entry.header.time));
    push_standing(out, transferred, &repeated, &standing, |out| {
        for (index, row) in details.postings.iter().enumerate() {
            if index != 0 {
                out.push(b',');
            }
            push_row(out, row);
        }
    });
}

/// The word for a status on the wire.
pub(crate) const fn status_word(status: TransferStatus) -> &'static str {
    match status {
        TransferStatus::Succeeded => "succeeded",
        TransferStatus::Pending => "pending",
        TransferStatus::Failed(_) => "failed",
    }
}

fn push_standing(
    out: &mut Vec<u8>,
    transferred: &Transferred,
    repeated: &Repeated,
    standing: &Standing<'_>,
    push_postings: impl FnOnce(&mut Vec<u8>),
) {
    out.extend_from_slice(b"{\"transfer_id\":");
    out.extend_from_slice(&repeated.transfer_id);
    push_name(out, b",\"type\":", transferred.kind.name());
    push_name(out, b",\"status\":", standing.status);
    out.extend_from_slice(b",\"amount\":\"");
    let total = i128::try_from(standing.amount).unwrap_or(i128::MAX);
    crate::text::push_decimal(out, total, transferred.currency.scale());
    out.push(b'"');
    push_name(out, b",\"currency\":", transferred.currency.code());
    push_times(out, b",\"created_at\":", &repeated.created_at, b",\"effective_at\":", &repeated.effective_at);
    push_note(out, transferred);
    out.extend_from_slice(b",\"postings\":[");
    push_postings(out);
    out.extend_from_slice(b"],\"hold_id\":");
    push_optional_id(out, transferred.hold.map(|hold| hold.number()));
    out.extend_from_slice(b",\"reverses\":");
    push_optional_id(out, transferred.reverses.map(|reversed| reversed.transfer.number()));
    out.extend_from_slice(b",\"reversed_by\":");
    push_optional_id(out, standing.reversed_by.map(|by| by.number()));
    out.extend_from_slice(b",\"failure\":");
    match standing.failure {
        Some(rejection) => {
            push_name(out, b"{\"code\":", rejection.code());
            out.extend_from_slice(b",\"detail\":");
            push_json_string(out, &rejection.to_string());
            out.extend_from_slice(b"}}");
        }
        None => out.extend_from_slice(b"null}"),
    }
}

/// One posting of a transfer.
pub(crate) fn push_row(out: &mut Vec<u8>, row: &PostingRow) {
    if let Some((_, transferred, entry)) = row.parts() {
        push_repeating_posting(out, transferred, row.index, &Repeated::new(transferred, Some(entry.header.time)));
    }
}

fn push_repeating_posting(out: &mut Vec<u8>, transferred: &Transferred, index: usize, repeated: &Repeated) {
    let (posting, currency) = (&transferred.postings[index], transferred.currency_at(index));
    out.extend_from_slice(b"{\"transfer_id\":");
    out.extend_from_slice(&repeated.transfer_id);
    out.extend_from_slice(b",\"account_id\":");
    push_id(out, posting.account.number());
    push_name(out, b",\"side\":", side_name(posting.side));
    out.extend_from_slice(b",\"amount\":");
    push_money(out, posting.amount.signed(), currency);
    push_name(out, b",\"currency\":", currency.code());
    out.extend_from_slice(b",\"balance_after\":");
    push_money(out, posting.balance_after, currency);
    out.extend_from_slice(b",\"version\":");
    push_number(out, u128::from(posting.version));
    push_name(out, b",\"type\":", transferred.kind.name());
    push_note(out, transferred);
    push_times(out, b",\"effective_at\":", &repeated.effective_at, b",\"created_at\":", &repeated.created_at);
    out.push(b'}');
}

/// The word for a side on the wire.
pub(crate) const fn side_name(side: Side) -> &'static str {
    match side {
        Side::Debit => "debit",
        Side::Credit => "credit",
    }
}

fn push_times(out: &mut Vec<u8>, first_name: &[u8], first: &[u8], second_name: &[u8], second: &[u8]) {
    out.extend_from_slice(first_name);
    out.extend_from_slice(first);
    out.extend_from_slice(second_name);
    out.extend_from_slice(second);
}

fn push_note(out: &mut Vec<u8>, transferred: &Transferred) {
    let note = transferred.note.as_deref();
    out.extend_from_slice(b",\"reference\":");
    push_optional_string(out, note.and_then(|note| note.reference.as_deref()));
    out.extend_from_slice(b",\"metadata\":{");
    for (index, (key, value)) in note.map_or(&[][..], |note| &note.metadata).iter().enumerate() {
        if index != 0 {
            out.push(b',');
        }
        push_json_string(out, key);
        out.push(b':');
        push_json_string(out, value);
    }
    out.push(b'}');
}

/// A word that needs no escapes, after the name of its field.
fn push_name(out: &mut Vec<u8>, field: &[u8], name: &str) {
    out.extend_from_slice(field);
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.push(b'"');
}

/// A time, or `null`.
pub(crate) fn push_optional_time(out: &mut Vec<u8>, time: Option<Timestamp>) {
    match time {
        Some(time) => push_time(out, time),
        None => out.extend_from_slice(b"null"),
    }
}

/// An account. Those of the bank's own also tell kind and name, and belong to no user.
pub(crate) fn push_account(out: &mut Vec<u8>, account: &Account) {
    out.extend_from_slice(b"{\"account_id\":");
    push_id(out, account.id.number());
    out.extend_from_slice(b",\"user_id\":");
    push_optional_id(out, account.customer.map(|customer| customer.number()));
    match account.kind {
        AccountKind::Checking => out.extend_from_slice(b",\"type\":\"checking\""),
        AccountKind::Savings => out.extend_from_slice(b",\"type\":\"savings\""),
        AccountKind::System(kind) => {
            push_name(out, b",\"type\":\"system\",\"kind\":", kind.name());
            out.extend_from_slice(b",\"name\":");
            push_optional_string(out, account.note.as_deref());
        }
    }
    push_name(out, b",\"currency\":", account.currency.code());
    out.extend_from_slice(b",\"scale\":");
    push_number(out, u128::from(account.currency.scale()));
    push_name(out, b",\"status\":", status_name(account.status));
    push_name(out, b",\"date_opened\":", &account.opened.to_string());
    out.extend_from_slice(b",\"overdraft_limit\":");
    push_money(out, account.overdraft_limit.signed(), account.currency);
    push_limits(out, account);
    push_balance(out, account);
    out.push(b'}');
}

/// The word for a status on the wire.
const fn status_name(status: Status) -> &'static str {
    match status {
        Status::Active => "active",
        Status::Frozen(_) => "frozen",
        Status::Closed => "closed",
    }
}

fn push_limits(out: &mut Vec<u8>, account: &Account) {
    let limits = account.limits.as_deref().copied().unwrap_or_default();
    out.extend_from_slice(b",\"limits\":{\"per_transfer\":");
    push_optional_amount(out, limits.per_transfer, account.currency);
    out.extend_from_slice(b",\"daily_debit\":");
    push_optional_amount(out, limits.daily_debit, account.currency);
    out.extend_from_slice(b",\"monthly_debit\":");
    push_optional_amount(out, limits.monthly_debit, account.currency);
    out.push(b'}');
}

fn push_optional_amount(out: &mut Vec<u8>, amount: Option<Amount>, currency: Currency) {
    match amount {
        Some(amount) => push_money(out, amount.signed(), currency),
        None => out.extend_from_slice(b"null"),
    }
}

fn push_balance(out: &mut Vec<u8>, account: &Account) {
    out.extend_from_slice(b",\"balance\":{\"ledger\":");
    push_money(out, account.balance, account.currency);
    out.extend_from_slice(b",\"held\":");
    push_money(out, i128::from(account.held), account.currency);
    out.extend_from_slice(b",\"available\":");
    push_money(out, account.available(), account.currency);
    out.extend_from_slice(b",\"version\":");
    push_number(out, u128::from(account.version));
    out.extend_from_slice(b",\"revision\":");
    push_number(out, u128::from(account.revision));
    out.push(b'}');
}

/// A hold; in a dry run its id and times are `null`.
pub(crate) fn push_hold(out: &mut Vec<u8>, hold: &Hold, is_new_dry_run: bool) {
    out.extend_from_slice(b"{\"hold_id\":");
    push_optional_id(out, Some(hold.id.number()).filter(|_| !is_new_dry_run));
    out.extend_from_slice(b",\"from\":");
    push_id(out, hold.from.number());
    out.extend_from_slice(b",\"to\":");
    push_optional_id(out, hold.to.map(|to| to.number()));
    out.extend_from_slice(b",\"amount\":");
    push_money(out, hold.amount.signed(), hold.currency);
    out.extend_from_slice(b",\"captured\":");
    push_money(out, hold.captured.signed(), hold.currency);
    push_name(out, b",\"currency\":", hold.currency.code());
    push_name(out, b",\"status\":", hold.status.name());
    out.extend_from_slice(b",\"expires_at\":");
    push_optional_time(out, hold.expires_at.filter(|_| !is_new_dry_run));
    out.extend_from_slice(b",\"created_at\":");
    push_optional_time(out, Some(hold.created_at).filter(|_| !is_new_dry_run));
    out.push(b'}');
}

/// How many bytes the rows of a page may have before it ends early.
const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A page of a list whose rows are small, so that even as many as may be asked for are no burden.
pub(crate) fn page<T>(items: &[T], next_cursor: Option<&str>, mut push: impl FnMut(&mut Vec<u8>, &T)) -> Vec<u8> {
    let mut out = start_page(items.len(), b"{\"items\":[");
    for (index, item) in items.iter().enumerate() {
        if index != 0 {
            out.push(b',');
        }
        push(&mut out, item);
    }
    finish_page(out, next_cursor)
}

/// A page of a list whose rows may be large. When its rows have more bytes than a page may have and it could have ended
/// earlier, it is an error: how many items are enough. Whoever asks for so many again gets a page whose end and whose
/// cursor belong together, also when something new came meanwhile.
pub(crate) fn bounded_page<T>(
    items: &[T],
    next_cursor: Option<&str>,
    mut push: impl FnMut(&mut Vec<u8>, &T),
) -> Result<Vec<u8>, usize> {
    let mut out = start_page(items.len(), b"{\"items\":[");
    for (index, item) in items.iter().enumerate() {
        if PAGE_BYTES_MAX < out.len() {
            return Err(index);
        }
        if index != 0 {
            out.push(b',');
        }
        push(&mut out, item);
    }
    Ok(finish_page(out, next_cursor))
}

fn start_page(items: usize, start: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + items * 256);
    out.extend_from_slice(start);
    out
}

fn finish_page(mut out: Vec<u8>, next_cursor: Option<&str>) -> Vec<u8> {
    out.extend_from_slice(b"],\"next_cursor\":");
    push_optional_string(&mut out, next_cursor);
    out.push(b'}');
    out
}

/// How many bytes the answer to a transfer takes at most, about: a transfer and each of its postings repeat the note.
pub(crate) fn answer_bytes(transfer: &Transfer) -> usize {
    let note = transfer.note.as_deref().map_or(0, |note| {
        let pairs = note.metadata.iter().map(|(key, value)| 2 + string_bytes(key) + string_bytes(value));
        note.reference.as_deref().map_or(0, string_bytes) + pairs.sum::<usize>()
    });
    let postings = 2 * transfer.legs.len();
    TRANSFER_BYTES_MAX + note + postings * (POSTING_BYTES_MAX + note)
}

/// How many bytes a text takes as JSON, at most.
fn string_bytes(text: &str) -> usize {
    let is_escaped = |byte: &u8| *byte < 0x20 || matches!(byte, b'"' | b'\\');
    2 + text.len() + 5 * text.as_bytes().iter().filter(|byte| is_escaped(byte)).count()
}
