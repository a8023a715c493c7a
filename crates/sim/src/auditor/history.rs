//! An account's history is one order of its postings, without gaps, that fits what everybody saw and when.

use super::{Case, Finding, expect};
use crate::ask::{RequestId, named_by};
use crate::books::{SeenPosting, Statement};
use crate::heard::{Heard, SeenTransfer};
use ledger::account::Account;
use ledger::ids::{AccountId, TransferId};
use ledger::transfer::TransferKind;
use std::collections::BTreeMap;

pub(super) fn check(case: &Case<'_>, findings: &mut Vec<Finding>) {
    for (shard, journal) in case.books.journals.iter().enumerate() {
        for (place, (sequence, _)) in (1..).zip(journal) {
            expect(findings, "a journal has no gaps", place == *sequence, || {
                format!("shard {shard}: entry {sequence} is where entry {place} should be")
            });
        }
        for pair in journal.windows(2) {
            expect(findings, "the time of a shard never goes back", pair[0].1 <= pair[1].1, || {
                format!("shard {shard}: entry {} is of {}, entry {} of {}", pair[0].0, pair[0].1, pair[1].0, pair[1].1)
            });
        }
    }
    let mut listed: BTreeMap<AccountId, usize> = BTreeMap::new();
    for (transfer, _) in &case.books.transfers {
        transfer.postings.iter().for_each(|posting| *listed.entry(posting.account).or_default() += 1);
    }
    let transfers: BTreeMap<TransferId, &SeenTransfer> =
        case.books.transfers.iter().map(|(transfer, _)| (transfer.id, transfer)).collect();
    for (id, statement) in &case.books.accounts {
        check_postings(*id, statement, &transfers, findings);
        let listed = listed.get(id).copied().unwrap_or(0);
        let asked_for = statement.postings.iter().filter(|seen| seen.kind != TransferKind::Move).count();
        expect(findings, "histories and transfers agree", listed == asked_for, || {
            format!("account {id} has {asked_for} postings, transfers have {listed} on it")
        });
        check_moves(*id, statement, findings);
        check_order(case, *id, statement, findings);
    }
    check_looks(case, findings);
}

/// Versions count from 1, balances add up, and nobody went below the overdraft limit without being forced.
fn check_postings(
    id: AccountId,
    statement: &Statement,
    transfers: &BTreeMap<TransferId, &SeenTransfer>,
    findings: &mut Vec<Finding>,
) {
    let account = &statement.account;
    let mut balance = 0;
    for (version, seen) in (1..).zip(&statement.postings) {
        let posting = &seen.posting;
        balance += posting.signed();
        expect(findings, "histories have no gaps", posting.version == version, || {
            format!("account {id}: version {} is where {version} should be", posting.version)
        });
        expect(findings, "running balances add up", posting.balance_after == balance, || {
            format!("account {id} version {version}: {} instead of {balance}", posting.balance_after)
        });
        let is_in_transfer = seen.kind == TransferKind::Move
            || transfers.get(&seen.transfer).is_some_and(|transfer| transfer.postings.contains(posting));
        expect(findings, "histories and transfers agree", is_in_transfer, || {
            format!("account {id} version {version} is not in transfer {}", seen.transfer)
        });
    }
    check_overdraft(id, statement, findings);
    let count = statement.postings.len() as u64;
    expect(
        findings,
        "an account is what its history says",
        (account.balance, account.version) == (balance, count),
        || {
            format!(
                "account {id} has {} at version {}, its history {balance} at {count}",
                account.balance, account.version
            )
        },
    );
}

/// An account that moves leaves with all it has and arrives with the same, and nothing happens on its way.
fn check_moves(id: AccountId, statement: &Statement, findings: &mut Vec<Finding>) {
    if statement.account.is_system() {
        return;
    }
    let moves: Vec<&SeenPosting> = statement.postings.iter().filter(|seen| seen.kind == TransferKind::Move).collect();
    for pair in moves.chunks(2) {
        let is_kept = match pair {
            [left, arrived] => {
                left.transfer == arrived.transfer
                    && left.posting.balance_after == 0
                    && left.posting.version + 1 == arrived.posting.version
                    && left.posting.signed() + arrived.posting.signed() == 0
            }
            _ => false,
        };
        expect(findings, "an account that moves keeps what it has", is_kept, || format!("account {id}: {pair:?}"));
    }
}

/// A request is judged as a whole on each shard, so its last posting there counts.
fn check_overdraft(id: AccountId, statement: &Statement, findings: &mut Vec<Finding>) {
    if statement.account.is_system() {
        return;
    }
    let lowest = -statement.account.overdraft_limit.signed();
    let is_one = |first: &SeenPosting, second: &SeenPosting| {
        let of = |seen: &SeenPosting| seen.reference.as_deref().and_then(named_by).map(|(request, _)| request);
        of(first) == of(second) && first.booked_at == second.booked_at
    };
    for postings in statement.postings.chunk_by(is_one) {
        let Some(last) = postings.last() else { continue };
        let net: i128 = postings.iter().map(|seen| seen.posting.signed()).sum();
        let may_be_low =
            postings.iter().any(|seen| seen.forced) || matches!(last.kind, TransferKind::Capture | TransferKind::Move);
        let is_low = last.posting.balance_after < lowest;
        let claim = "no account is below its overdraft without a forced posting";
        expect(findings, claim, 0 <= net || may_be_low || !is_low, || {
            format!("account {id} version {}: {}", last.posting.version, last.posting.balance_after)
        });
    }
}

/// What was answered before something else was asked comes before it.
fn check_order(case: &Case<'_>, id: AccountId, statement: &Statement, findings: &mut Vec<Finding>) {
    let (mut asked_last, mut by) = (0, None);
    for seen in &statement.postings {
        let Some((told, request)) = told_of(case, seen) else { continue };
        expect(findings, "histories keep the order of real time", asked_last <= told.1, || {
            format!("account {id}: request {request} was answered before request {by:?} was made, but comes after it")
        });
        if asked_last < told.0 {
            (asked_last, by) = (told.0, Some(request));
        }
    }
}

/// When a posting was asked for, and when somebody first knew of it.
fn told_of(case: &Case<'_>, seen: &SeenPosting) -> Option<((u64, u64), RequestId)> {
    if seen.kind == TransferKind::Move {
        return None; // nobody asked for it, so it may come at any time
    }
    let (request, _) = seen.reference.as_deref().and_then(named_by)?;
    let told = case.told.get(&request)?;
    let transfers = told.answer().map_or(&[][..], Heard::transfers);
    let is_taken = told.answer() == Some(&Heard::Taken(Some(seen.transfer)));
    let is_told = transfers.iter().any(|transfer| transfer.postings.contains(&seen.posting))
        || (is_taken && seen.kind != TransferKind::Transfer);
    let known_at = if is_told { told.answered_at() } else { case.ended_at(seen.transfer) };
    Some(((told.asked_at, known_at), request))
}

/// What clients saw was the account at some instant between their question and the answer.
fn check_looks(case: &Case<'_>, findings: &mut Vec<Finding>) {
    let mut looks: Vec<_> = case.looks.iter().collect();
    looks.sort_by_key(|look| look.asked_at);
    for (place, look) in looks.iter().enumerate() {
        let Some(statement) = case.books.accounts.get(&look.id) else { continue };
        let Some(seen) = &look.account else {
            findings.push(Finding {
                claim: "reads see what was acknowledged",
                detail: format!("account {} was not seen", look.id),
            });
            continue;
        };
        let mut oldest = 0;
        let mut newest = 0;
        for posting in &statement.postings {
            let told = told_of(case, posting).map(|(told, _)| told);
            let (asked_at, answered_at) = told.unwrap_or((0, u64::MAX));
            if answered_at < look.asked_at {
                oldest = posting.posting.version;
            }
            if asked_at < look.answered_at {
                newest = posting.posting.version;
            }
        }
        let others = looks[..place].iter().filter(|other| other.id == look.id && other.answered_at < look.asked_at);
        let revision = others.filter_map(|other| Some(other.account.as_ref()?.revision)).max().unwrap_or(0);
        expect(findings, "reads see what was acknowledged", oldest <= seen.version && seen.version <= newest, || {
            format!("account {} was seen at version {}, not from {oldest} to {newest}", look.id, seen.version)
        });
        expect(findings, "reads never go back", revision <= seen.revision, || {
            format!("account {} was seen at revision {}, before at {revision}", look.id, seen.revision)
        });
        expect(findings, "reads see the books", is_true(statement, seen), || {
            format!("account {} was seen with {} at version {}", look.id, seen.balance, seen.version)
        });
    }
}

fn is_true(statement: &Statement, seen: &Account) -> bool {
    let Ok(version) = usize::try_from(seen.version) else { return false };
    match version.checked_sub(1) {
        None => seen.balance == 0,
        Some(place) => statement.postings.get(place).is_some_and(|row| row.posting.balance_after == seen.balance),
    }
}
