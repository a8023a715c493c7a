//! Holds: placing, capturing and ending them.

use super::{Decided, Terms, check_limits, check_remaining, find, find_customers, find_payee, insufficient, judge};
use crate::account::{Account, HOLDS_PER_ACCOUNT_MAX, Status, SystemAccount, SystemKind};
use crate::amount::Amount;
use crate::command::{CaptureHold, PlaceHold};
use crate::currency::Currency;
use crate::event::{Event, Header, HoldCaptured, HoldChange, HoldChanged};
use crate::hold::{Hold, HoldStatus};
use crate::ids::{AccountId, HoldId, QuoteId};
use crate::limit::LimitKind;
use crate::rejection::Rejection;
use crate::time::Timestamp;
use crate::transfer::{Leg, LegAmount, Legs, Transfer, TransferKind, Transferred};
use crate::working_set::WorkingSet;

pub(super) fn decide_hold(set: &WorkingSet, header: &Header, asked: &PlaceHold) -> Decided {
    let from = find_customers(set, asked.from)?;
    // An account of another shard was looked up there; one that moved away has left its row behind.
    let is_here = |to: &AccountId| set.account(*to).map_or(set.is_of_shard(*to), |row| row.moved_to.is_none());
    let to = asked.to.filter(is_here);
    let to = to.map(|to| find_payee(set, to)).transpose()?;
    if asked.to == Some(asked.from) {
        return Err(Rejection::SameAccount(asked.from));
    }
    if let Some(closed) = [Some(from), to].into_iter().flatten().find(|account| account.status == Status::Closed) {
        return Err(Rejection::AccountClosed(closed.id));
    }
    if matches!(from.status, Status::Frozen(_)) {
        return Err(Rejection::AccountFrozen(from.id));
    }
    check_currency(&[Some(from), to], asked.currency)?;
    if asked.expires_at.is_some_and(|expires_at| expires_at <= header.time) {
        return Err(Rejection::ExpiresAtInvalid);
    }
    if set.available(from, header.time) < asked.amount.signed() {
        return Err(insufficient(set, header, from));
    }
    check_limits(set, header, from, asked.amount.signed().unsigned_abs())?;
    if HOLDS_PER_ACCOUNT_MAX <= set.holds_active(from, header.time) {
        return Err(Rejection::LimitExceeded { account: from.id, limit: LimitKind::ActiveHolds });
    }
    let mut ids = set.ids;
    let hold = Hold {
        id: HoldId::new(ids.next(header.time)).expect("generated ids are ids"),
        from: asked.from,
        to: asked.to,
        amount: asked.amount,
        captured: Amount::ZERO,
        currency: asked.currency,
        status: HoldStatus::Held,
        expires_at: asked.expires_at,
        created_at: header.time,
        day: header.day,
    };
    Ok(hold_changed(HoldChange::Placed, hold))
}

fn check_currency(accounts: &[Option<&Account>], currency: Currency) -> Decided<()> {
    match accounts.iter().flatten().find(|account| account.currency != currency) {
        Some(other) => Err(Rejection::CurrencyMismatch { account: other.id, currency: other.currency }),
        None => Ok(()),
    }
}

/// A capture is a transfer of reserved money: what the hold reserves is there for it whatever else happened to the
/// account since, and it was counted against the limits when the hold was placed.
pub(super) fn decide_capture(set: &WorkingSet, header: &Header, capture: &CaptureHold) -> Decided {
    capture.to.map(|to| find_payee(set, to)).transpose()?;
    let found = find_hold(set, capture.hold)?;
    let transfer = capturing(set, header, capture, found)?;
    take_from_hold(set, header, found, &transfer, capture.is_final, None)
}

/// Judges what takes the money of a hold.
pub(super) fn take_from_hold(
    set: &WorkingSet,
    header: &Header,
    found: &Hold,
    transfer: &Transfer,
    is_final: bool,
    quoted: Option<(QuoteId, Timestamp)>,
) -> Decided {
    let terms = Terms {
        forced: true, // the hold is the funds
        limited: false,
        captures: Some(found),
        quoted,
        ..Terms::of(TransferKind::Capture)
    };
    let transferred = Transferred { forced: false, ..judge(set, header, transfer, &terms)? };
    let hold = captured(found, is_final, transfer);
    Ok(Event::HoldCaptured(Box::new(HoldCaptured { hold, transferred })))
}

pub(super) fn find_open_hold<'a>(set: &'a WorkingSet, header: &Header, id: HoldId) -> Decided<&'a Hold> {
    let hold = find_hold(set, id)?;
    let is_open = hold.status == HoldStatus::Held && !hold.is_due(header.time);
    if is_open { Ok(hold) } else { Err(Rejection::HoldNotOpen(id)) }
}

/// What a capture moves, and the hold after it: for one whose target is on another shard.
pub(super) fn capture_of(set: &WorkingSet, header: &Header, capture: &CaptureHold) -> Decided<(Transfer, Hold)> {
    let hold = find_hold(set, capture.hold)?;
    let transfer = capturing(set, header, capture, hold)?;
    check_remaining(hold, &transfer.legs)?;
    let hold = captured(hold, capture.is_final, &transfer);
    Ok((transfer, hold))
}

pub(super) fn captured(hold: &Hold, is_final: bool, transfer: &Transfer) -> Hold {
    let amount = transfer.legs.iter().find_map(|leg| match leg.amount {
        LegAmount::Exactly(amount) => Some(amount),
        LegAmount::Max => None,
    });
    let captured = amount.and_then(|amount| hold.captured.checked_add(amount)).expect("captures stay within the hold");
    let status = if is_final || captured == hold.amount { HoldStatus::Captured } else { HoldStatus::Held };
    Hold { captured, status, ..hold.clone() }
}

fn capturing(set: &WorkingSet, header: &Header, capture: &CaptureHold, hold: &Hold) -> Decided<Transfer> {
    let cash = SystemAccount::standard(set.shard, SystemKind::Cash, hold.currency).id();
    if hold.status != HoldStatus::Held || hold.is_due(header.time) {
        return Err(Rejection::HoldNotOpen(hold.id));
    }
    let amount = LegAmount::Exactly(capture.amount.unwrap_or(hold.remaining()));
    Ok(Transfer {
        kind: TransferKind::Capture,
        currency: hold.currency,
        legs: Legs::One([Leg { from: hold.from, to: capture.to.or(hold.to).unwrap_or(cash), amount }]),
        forced: false,
        effective_at: None,
        note: capture.note.clone(),
    })
}

/// A hold goes where its account goes. What is left behind says nothing.
fn find_hold(set: &WorkingSet, id: HoldId) -> Decided<&Hold> {
    let hold = set.hold(id).ok_or(Rejection::HoldNotFound(id))?;
    find(set, hold.from)?;
    Ok(hold)
}

pub(super) fn decide_void(set: &WorkingSet, header: &Header, id: HoldId) -> Decided {
    let hold = find_hold(set, id)?;
    match hold.seen_at(header.time).status {
        HoldStatus::Held => Ok(hold_changed(HoldChange::Voided, Hold { status: HoldStatus::Voided, ..hold.clone() })),
        HoldStatus::Voided => Ok(hold_changed(HoldChange::Nothing, hold.clone())),
        HoldStatus::Captured | HoldStatus::Expired => Err(Rejection::HoldNotOpen(id)),
    }
}

pub(super) fn decide_expire(set: &WorkingSet, header: &Header, id: HoldId) -> Decided {
    let hold = find_hold(set, id)?;
    if !hold.is_due(header.time) {
        return Err(Rejection::HoldNotOpen(id));
    }
    Ok(hold_changed(HoldChange::Expired, Hold { status: HoldStatus::Expired, ..hold.clone() }))
}

fn hold_changed(change: HoldChange, hold: Hold) -> Event {
    Event::HoldChanged(Box::new(HoldChanged { change, hold }))
}
