//! A transfer is undone at most once, by its exact opposite, and a reversal never.

use super::{Case, Finding, expect};
use crate::ask::Ask;
use crate::heard::SeenTransfer;
use ledger::ids::{AccountId, TransferId};
use ledger::rejection::Rejection;
use std::collections::BTreeMap;

pub(super) fn check(case: &Case<'_>, findings: &mut Vec<Finding>) {
    let transfers: BTreeMap<TransferId, (&SeenTransfer, Option<TransferId>)> =
        case.books.transfers.iter().map(|(transfer, reversed_by)| (transfer.id, (transfer, *reversed_by))).collect();
    let mut reversals: BTreeMap<TransferId, Vec<TransferId>> = BTreeMap::new();
    for (transfer, _) in transfers.values() {
        if let Some(original) = transfer.reverses {
            reversals.entry(original).or_default().push(transfer.id);
        }
    }
    for (original, by) in &reversals {
        expect(findings, "a transfer is reversed once", by.len() == 1, || format!("transfer {original} by {by:?}"));
        let Some((transfer, reversed_by)) = transfers.get(original) else { continue };
        expect(findings, "a transfer names its reversal", *reversed_by == by.first().copied(), || {
            format!("transfer {original} says {reversed_by:?}, reversals are {by:?}")
        });
        expect(findings, "reversals are not reversed", transfer.reverses.is_none(), || format!("transfer {original}"));
        let undone = by.first().and_then(|by| transfers.get(by)).map(|(reversal, _)| net(reversal));
        let opposite = net(transfer).into_iter().map(|(account, amount)| (account, -amount)).collect();
        expect(findings, "a reversal is the opposite", undone.as_ref() == Some(&opposite), || {
            format!("transfer {original} {:?} by {undone:?}", net(transfer))
        });
    }
    for told in case.told.values() {
        let (Ask::Reverse { transfer, .. }, Some(heard)) = (&told.request.ask, told.answer()) else { continue };
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

/// What a transfer changed on each account.
fn net(transfer: &SeenTransfer) -> BTreeMap<AccountId, i128> {
    let mut net = BTreeMap::new();
    for posting in &transfer.postings {
        *net.entry(posting.account).or_default() += posting.signed();
    }
    net
}
