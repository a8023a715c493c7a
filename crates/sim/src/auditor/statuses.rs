//! Frozen and closed accounts keep their money, active ones move it, and limits hold.
//!
//! Status and limits change while requests are under way, so only what is certain is judged: what an account was from
//! before a request was made until after it was answered.

use super::{Case, Finding, Told, expect};
use crate::ask::Ask;
use crate::heard::{Heard, SeenTransfer};
use ledger::account::{Account, FreezeKind, Status, SystemAccount};
use ledger::ids::AccountId;
use ledger::rejection::Rejection;
use ledger::transfer::{Side, TransferKind};
use std::collections::BTreeMap;

/// Requests that changed an account, in the order in which they were made.
type Changes<'a> = BTreeMap<AccountId, Vec<(&'a Told, &'a Account)>>;

pub(super) fn check(case: &Case<'_>, findings: &mut Vec<Finding>) {
    let mut changes = Changes::new();
    for told in case.told.values() {
        if let Some(Heard::Account(account)) = told.answer() {
            changes.entry(account.id).or_default().push((told, account));
        }
    }
    for told in case.told.values() {
        for transfer in told.answer().map_or(&[][..], Heard::transfers) {
            check_moved(&changes, told, transfer, findings);
        }
        check_rejected(&changes, told, findings);
    }
}

/// How an account certainly was while a request was under way: as the last change before it left it, if no other change
/// was under way with that one or with the request.
fn certain<'a>(changes: &Changes<'a>, id: AccountId, during: &Told) -> Option<&'a Account> {
    let changes = changes.get(&id)?;
    let before = changes.iter().filter(|(change, _)| change.answered_at() < during.asked_at);
    let (last, account) = before.max_by_key(|(change, _)| change.asked_at)?;
    let is_alone = changes.iter().all(|(change, _)| {
        change.request.id == last.request.id
            || change.answered_at() < last.asked_at
            || during.answered_at() < change.asked_at
    });
    is_alone.then_some(account)
}

fn check_moved(changes: &Changes<'_>, told: &Told, transfer: &SeenTransfer, findings: &mut Vec<Finding>) {
    for posting in transfer.postings.iter().filter(|posting| SystemAccount::from_id(posting.account).is_none()) {
        let Some(account) = certain(changes, posting.account, told) else { continue };
        let may_move = match account.status {
            Status::Active => true,
            Status::Closed | Status::Frozen(FreezeKind::Full) => false,
            Status::Frozen(FreezeKind::Debit) => posting.side == Side::Credit || transfer.kind == TransferKind::Capture,
        };
        expect(findings, "frozen and closed accounts keep their money", may_move, || {
            format!("request {} moves {posting:?}, account is {:?}", told.request.id, account.status)
        });
        let net: i128 = transfer.postings.iter().filter(|of| of.account == posting.account).map(|of| of.signed()).sum();
        let limit = account.limits.as_deref().and_then(|limits| limits.per_transfer);
        let is_ordinary = !matches!(transfer.kind, TransferKind::Capture | TransferKind::Reversal) && !transfer.forced;
        let is_within = limit.is_none_or(|limit| -net <= limit.signed());
        expect(findings, "limits hold", !is_ordinary || is_within, || {
            format!("request {} takes {} from account {}, limit {limit:?}", told.request.id, -net, posting.account)
        });
    }
}

fn check_rejected(changes: &Changes<'_>, told: &Told, findings: &mut Vec<Finding>) {
    let rejection = told.answer().and_then(Heard::rejection);
    let (Some(Rejection::AccountFrozen(id)) | Some(Rejection::AccountClosed(id))) = rejection else {
        check_insufficient(told, rejection, findings);
        return;
    };
    let status = certain(changes, *id, told).map(|account| account.status);
    expect(findings, "active accounts move their money", status != Some(Status::Active), || {
        format!("request {} hears {rejection:?}", told.request.id)
    });
}

/// Who hears that there is too little was not told of enough.
fn check_insufficient(told: &Told, rejection: Option<&Rejection>, findings: &mut Vec<Finding>) {
    let (Some(Rejection::InsufficientFunds { account, available, .. }), Ask::Move(movement)) =
        (rejection, &told.request.ask)
    else {
        return;
    };
    let net: i128 = movement.legs.iter().filter(|leg| leg.0 == *account).map(|leg| i128::from(leg.2)).sum();
    expect(findings, "who has enough can pay", *available < net, || {
        format!("request {} of {net} hears that {available} are available", told.request.id)
    });
}
