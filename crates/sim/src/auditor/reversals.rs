//! A transfer is undone at most once, by its exact opposite, and a reversal never.

use super::{Case, Finding, expect};
use crate::ask::Ask;
use crate::heard::{Progress, SeenTransfer};
use ledger::ids::TransferId;
use ledger::rejection::Rejection;
use std::collections::BTreeMap;

pub(super) fn check(case: &Case<'_>, findings: &mut Vec<Finding>) {
    let transfers: BTreeMap<TransferId, (&SeenTransfer, Option<TransferId>)> =
        case.books.transfers.iter().map(|(transfer, reversed_by)| (transfer.id, (transfer, *reversed_by))).collect();
    let mut reversals: BTreeMap<TransferId, Vec<TransferId>> = BTreeMap::new();
    for (transfer, _) in transfers.values() {
        if let Some(original) = transfer.reverses.filter(|_| transfer.progress != Progress::Failed) {
            reversals.entry(original).or_default().push(transfer.id);
        }
    }
    for (original, by) in &reversals {
        expect(findings, "a transfer is reversed once", by.len() == 1, || format!("transfer {original} by {by:?}"));
        let Some((transfer, reversed_by)) = transfers.get(original) else { continue };
        expect(findings, "a transfer names its reversal", *reversed_by == by.first().copied(), || {
            format!("transfer {original} says {reversed_by:?}, reversals are {by:?}")
        });
        let succeeded = transfer.progress == Progress::Succeeded;
        expect(findings, "only what succeeded is reversed", succeeded, || format!("transfer {original}"));
        expect(findings, "reversals are not reversed", transfer.reverses.is_none(), || format!("transfer {original}"));
        let undone = by.first().and_then(|by| transfers.get(by)).map(|(reversal, _)| reversal.net());
        let opposite = transfer.net().into_iter().map(|(account, amount)| (account, -amount)).collect();
        expect(findings, "a reversal is the opposite", undone.as_ref() == Some(&opposite), || {
            format!("transfer {original} {:?} by {undone:?}", transfer.net())
        });
    }
    for told in case.told.values() {
        let (Ask::Reverse { transfer, .. }, Some(heard)) = (&told.request.ask, told.answer()) else { continue };
        if let Some(Rejection::TransferNotSucceeded(id)) = heard.rejection() {
            let succeeded = transfers.get(id).is_some_and(|(transfer, _)| transfer.progress == Progress::Succeeded);
            let is_late = succeeded && case.ended_at(*id) < told.asked_at;
            expect(findings, "what succeeded can be reversed", !is_late, || format!("request {}", told.request.id));
        }
        if let Some(Rejection::AlreadyReversed { by, .. }) = heard.rejection() {
            let is_reversal = transfers.get(transfer).is_some_and(|(transfer, _)| transfer.reverses.is_some());
            let is_known = match by {
                None => is_reversal,
                Some(by) => reversals.get(transfer).is_some_and(|known| known.contains(by)),
            };
            expect(findings, "who hears of a reversal can find it", is_known, || {
                format!("request {} on transfer {transfer} hears {heard:?}", told.request.id)
            });
        }
    }
}
