//! Holds reserve once and are taken at most once, and what accounts have reserved is what their holds reserve.

use super::{Case, Finding, expect};
use crate::ask::Ask;
use crate::heard::Heard;
use ledger::hold::HoldStatus;
use ledger::ids::{AccountId, HoldId};
use std::collections::BTreeMap;

pub(super) fn check(case: &Case<'_>, findings: &mut Vec<Finding>) {
    let mut captured: BTreeMap<HoldId, i128> = BTreeMap::new();
    for (transfer, _) in &case.books.transfers {
        let Some(id) = transfer.hold.filter(|_| transfer.reverses.is_none()) else { continue };
        let from = case.books.holds.get(&id).and_then(|hold| transfer.net().get(&hold.from).copied());
        *captured.entry(id).or_default() -= from.unwrap_or(0);
    }
    let mut held: BTreeMap<AccountId, u64> = BTreeMap::new();
    for (id, hold) in &case.books.holds {
        let captured = captured.remove(id).unwrap_or(0);
        expect(findings, "holds are taken once", captured == hold.captured.signed(), || {
            format!("hold {id} says {} were captured, transfers say {captured}", hold.captured.minor_units())
        });
        expect(findings, "holds are taken once", hold.captured <= hold.amount, || {
            format!("hold {id} of {} has {} captured", hold.amount.minor_units(), hold.captured.minor_units())
        });
        *held.entry(hold.from).or_default() += hold.remaining().minor_units();
    }
    expect(findings, "holds are taken once", captured.is_empty(), || format!("captures of no hold: {captured:?}"));
    for (id, statement) in &case.books.accounts {
        let held = held.get(id).copied().unwrap_or(0);
        expect(findings, "accounts reserve what their holds reserve", statement.account.held == held, || {
            format!("account {id} reserves {}, its holds {held}", statement.account.held)
        });
    }
    check_acknowledged(case, findings);
}

/// Holds that were placed are there and all others are not; what was given up stays so.
fn check_acknowledged(case: &Case<'_>, findings: &mut Vec<Finding>) {
    let mut placed = BTreeMap::new();
    for told in case.told.values() {
        match (&told.request.ask, told.answer()) {
            (Ask::Hold { .. }, Some(Heard::Hold(hold))) => {
                placed.insert(hold.id, told.request.id);
            }
            (Ask::Void(id), Some(Heard::Hold(_))) => {
                let status = case.books.holds.get(id).map(|hold| hold.status);
                expect(findings, "holds that were given up stay so", status == Some(HoldStatus::Voided), || {
                    format!("request {} gave up hold {id}, which is {status:?}", told.request.id)
                });
            }
            _ => {}
        }
    }
    let there: Vec<&HoldId> = case.books.holds.keys().collect();
    let told: Vec<&HoldId> = placed.keys().collect();
    expect(findings, "holds are those that were acknowledged", there == told, || {
        format!("acknowledged are {told:?}, there are {there:?}")
    });
}
