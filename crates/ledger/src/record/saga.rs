//! Records steps of sagas. What a step changes beside postings follows from its kind and the rows before it.

use super::{account_of, record_postings};
use crate::account::Account;
use crate::decide::ensure_accounts_of;
use crate::decide::saga::shares_known;
use crate::decide::slots::{hold_left_behind, left_behind};
use crate::event::Header;
use crate::hold::{Hold, HoldStatus};
use crate::ids::ShardId;
use crate::saga::{Order, Part, PartState, Saga, SagaStep, StepKind};
use crate::working_set::{Reversal, WorkingSet};
use std::sync::Arc;

/// Records a step. Decides nothing.
pub(super) fn record_step(set: &mut WorkingSet, header: &Header, step: &SagaStep) {
    record_messages(set, step);
    for transferred in &step.transferred {
        if ShardId::of_generated(transferred.id.number()) == set.shard {
            set.ids.observe(transferred.id.number());
        }
    }
    let known = step.order.clone().or_else(|| order_of(set, step));
    let day = day_of(set, step, header);
    if let (StepKind::MovedIn, Some(moved)) = (step.kind, &step.moved) {
        set.restore_account(moved.account.clone());
    }
    for transferred in &step.transferred {
        let refund = step.kind.is_refund().then_some(day);
        record_postings(set, header, transferred, refund);
    }
    if let Some(hold) = &step.hold {
        record_captured_hold(set, header, step, hold);
    }
    if let Some(order) = &known {
        ensure_accounts_of(set, order);
        count_open(set, step, order);
    }
    record_rows(set, header, step);
    record_moved(set, step);
    if let Some(changed) = &step.dead_letter {
        set.ids.observe(changed.dead_letter.id.number());
        set.dead_letters.put(changed.dead_letter.clone());
    }
}

/// The holds of an account that moves go with it.
fn record_moved(set: &mut WorkingSet, step: &SagaStep) {
    let Some(moved) = &step.moved else { return };
    if step.kind == StepKind::MovedIn {
        moved.holds.iter().for_each(|hold| set.receive_hold(hold.clone()));
        return;
    }
    let account = set.account(moved.account.id);
    let account = account.unwrap_or_else(|| panic!("account {} moves and is not there", moved.account.id));
    let to = step.sent.first().map(|(to, _)| *to);
    let left = left_behind(account, to.unwrap_or_else(|| panic!("account {} moves nowhere", account.id)));
    for hold in &moved.holds {
        set.restore_hold(hold_left_behind(hold));
    }
    set.restore_account(left);
}

fn record_messages(set: &mut WorkingSet, step: &SagaStep) {
    if let Some((from, position)) = step.received {
        let before = set.sagas.received_from(from).number;
        assert!(position.number == before + 1, "message {} of shard {from} follows {before}", position.number);
        set.sagas.received.insert(from, position);
    }
    for (to, number) in &step.sent {
        let before = set.sagas.sent_to(*to);
        assert!(*number == before + 1, "message {number} to shard {to} follows {before}");
        set.sagas.sent.insert(*to, *number);
    }
}

fn order_of(set: &WorkingSet, step: &SagaStep) -> Option<Arc<Order>> {
    let at_home = set.sagas.saga(step.saga).map(|saga| saga.order.clone());
    at_home.or_else(|| set.sagas.part(step.saga).map(|part| part.order.clone()))
}

/// The booking day whose limits a refund gives back to.
fn day_of(set: &WorkingSet, step: &SagaStep, header: &Header) -> crate::time::Day {
    let at_home = set.sagas.saga(step.saga).map(|saga| saga.day);
    at_home.or_else(|| set.sagas.part(step.saga).map(|part| part.day)).unwrap_or(header.day)
}

/// Accounts with a part in something open can be neither closed nor moved.
fn count_open(set: &mut WorkingSet, step: &SagaStep, order: &Order) {
    let is_home = order.home() == set.shard;
    let opens = matches!(step.kind, StepKind::Started | StepKind::Prepared);
    let closes = match step.kind {
        StepKind::Posting | StepKind::Aborting | StepKind::Posted | StepKind::Released => true,
        StepKind::Completed | StepKind::Failed => is_home && order.is_decided_by_part(),
        _ => false,
    };
    if !opens && !closes {
        return;
    }
    let accounts: Vec<u64> = shares_known(set, order).iter().map(|share| share.account.id.number()).collect();
    for id in accounts {
        let Some(account) = set.accounts.get_mut(id).filter(|account| !account.is_system()) else { continue };
        if opens {
            account.sagas_open += 1;
        } else {
            assert!(0 < account.sagas_open, "account {} has no saga that could end", account.id);
            account.sagas_open -= 1;
        }
    }
}

fn record_rows(set: &mut WorkingSet, header: &Header, step: &SagaStep) {
    let from = step.received.map(|(from, _)| from);
    match step.kind {
        StepKind::Started => start(set, header, step),
        StepKind::Prepared => {
            let order = step.order.clone().unwrap_or_else(|| panic!("step {} has no order", header.sequence));
            set.sagas.put_part(Part { order, day: header.day });
        }
        StepKind::Posted | StepKind::Released => {
            set.sagas.remove_part(step.saga);
        }
        StepKind::Granted => set_part(set, step, from, PartState::Granted),
        StepKind::PartDone => set_part(set, step, from, PartState::Done),
        StepKind::Posting => decide(set, step, true, None),
        StepKind::Aborting => decide(set, step, false, from),
        StepKind::Completed => {
            let saga = set.sagas.remove_saga(step.saga);
            if let Some(reversed) = saga.and_then(|saga| saga.order.reverses) {
                assert!(set.reversal(reversed.transfer).is_none(), "transfer {} is reversed twice", reversed.transfer);
                set.reversals.put(Reversal { transfer: reversed.transfer, by: step.saga });
            }
        }
        StepKind::Failed => {
            set.sagas.remove_saga(step.saga);
        }
        StepKind::Cancelling
        | StepKind::Executed
        | StepKind::Refused
        | StepKind::Ignored
        | StepKind::MovedOut
        | StepKind::MovedIn => {}
    }
}

fn start(set: &mut WorkingSet, header: &Header, step: &SagaStep) {
    let order = step.order.clone().unwrap_or_else(|| panic!("step {} has no order", header.sequence));
    assert!(set.sagas.saga(step.saga).is_none(), "saga {} starts twice", step.saga);
    set.sagas.put_saga(Saga {
        payload: step.payload.clone(),
        started_at: header.time,
        day: header.day,
        ended_hold: step.hold.as_ref().is_some_and(|hold| hold.status != HoldStatus::Held),
        parts: order.parts().into_iter().map(|shard| (shard, PartState::Asked)).collect(),
        decision: None,
        failure: None,
        order,
    });
}

fn set_part(set: &mut WorkingSet, step: &SagaStep, from: Option<ShardId>, state: PartState) {
    if let (Some(saga), Some(from)) = (set.sagas.saga_mut(step.saga), from) {
        saga.set_part(from, state);
    }
}

fn decide(set: &mut WorkingSet, step: &SagaStep, post: bool, refuser: Option<ShardId>) {
    let saga = set.sagas.saga_mut(step.saga);
    let saga = saga.unwrap_or_else(|| panic!("saga {} is decided and not there", step.saga));
    (saga.decision, saga.failure) = (Some(post), step.failure);
    if let Some(refuser) = refuser {
        saga.set_part(refuser, PartState::Done);
    }
}

/// A hold that a saga captures, or that opens again because the saga failed.
fn record_captured_hold(set: &mut WorkingSet, header: &Header, step: &SagaStep, hold: &Hold) {
    let amount: u128 = step.transferred.iter().map(|transferred| transferred.amount()).sum();
    if step.kind == StepKind::Started {
        super::record_hold(set, header, hold, amount);
        return;
    }
    let before = set.hold(hold.id).unwrap_or_else(|| panic!("hold {} is not there", hold.id)).clone();
    let grown = hold.remaining().minor_units().checked_sub(before.remaining().minor_units());
    let grown = grown.unwrap_or_else(|| panic!("hold {} shrinks by a refund", hold.id));
    set.restore_hold(hold.clone());
    let next_expiry = set.next_expiry(hold.from);
    let account: &mut Account = account_of(set, hold);
    account.held += grown;
    account.revision += 1;
    account.holds_active += u32::from(hold.status == HoldStatus::Held && before.status != HoldStatus::Held);
    account.next_expiry = next_expiry;
    // What was captured stayed counted; what the hold reserves again counts, and no more than that.
    let debits = account.debits.on(header.day).given_back(hold.day, amount);
    account.debits = debits.taken_again(hold.day, u128::from(grown));
}
