//! Decides what happens to slots, and the moves of accounts to another shard.

use super::saga::{Running, add_postings, clearing, step};
use super::{Decided, find};
use crate::account::Account;
use crate::command::{ChangeSlots, MoveAccount};
use crate::event::{Event, Header, SlotsChanged};
use crate::hold::{Hold, HoldStatus};
use crate::ids::{AccountId, ShardId, TransferId, slot, time_of_generated};
use crate::rejection::Rejection;
use crate::saga::{Moved, Position, SagaStep, StepKind};
use crate::slots::SlotChange;
use crate::time::Timestamp;
use crate::transfer::{Posting, Postings, TransferKind, Transferred};
use crate::working_set::WorkingSet;
use std::sync::Arc;

/// Whether a slot may be on its way to a shard, or there, as far as this one knows. It leaves a shard once all of it has
/// arrived there, and never returns: whoever asks for anything else was away while others moved it on.
fn may_go(set: &WorkingSet, slot: u16, to: ShardId) -> bool {
    let placed = set.slots.placed.get(&slot).copied();
    if set.slots.contains(slot) {
        return to == set.shard || set.slots.dealt.contains(slot) || placed == Some(set.shard);
    }
    let Some(given) = set.slots.released.get(&slot).copied() else { return true };
    match placed.filter(|placed| *placed != set.shard) {
        None => to == given,
        Some(placed) => to != set.shard && (to != given || placed == given),
    }
}

/// What is so already is left out, so that a change may be asked for again.
pub(super) fn change(set: &WorkingSet, asked: &ChangeSlots) -> Decided {
    let is_untimely = |slot: &&u16| match asked.change {
        // It is fenced first.
        SlotChange::Released(_) => set.slots.contains(**slot) && !set.slots.fenced.contains_key(*slot),
        // A slot never returns: whoever asks for that was away while others carried the move on, and further.
        SlotChange::Acquired(_) => set.slots.released.contains_key(*slot),
        SlotChange::Fenced(to) => !may_go(set, **slot, to),
        // What this shard has taken over is nowhere else.
        SlotChange::Opened(to) => {
            let is_here = set.slots.contains(**slot) && !set.slots.dealt.contains(**slot);
            !may_go(set, **slot, to) || (is_here && to != set.shard)
        }
    };
    if let Some(slot) = asked.slots.iter().find(is_untimely) {
        return Err(Rejection::WrongShard(u64::from(*slot)));
    }
    let slots = asked.slots.iter().copied().filter(|slot| set.slots.would_change(*slot, asked.change)).collect();
    Ok(Event::SlotsChanged(Box::new(SlotsChanged { change: asked.change, slots })))
}

/// An account of a released slot leaves, with its balance and its holds. Debits and promises under way end first.
pub(super) fn move_out(set: &WorkingSet, header: &Header, asked: &MoveAccount) -> Decided {
    let account = find(set, asked.account)?;
    let is_released = set.slots.released.get(&slot(asked.account.number())) == Some(&asked.to);
    if account.is_system() || !is_released || set.slots.contains(slot(asked.account.number())) {
        return Err(Rejection::WrongShard(asked.account.number()));
    }
    if 0 < account.sagas_open {
        return Err(Rejection::AccountInUse(asked.account));
    }
    let mut ids = set.ids;
    let id = TransferId::new(ids.next(header.time)).expect("generated ids are ids");
    let clearing = clearing(set, asked.to, account.currency);
    let postings = move_balance(set, Running::new(), account.id, clearing, account.balance);
    let version = postings.iter().rev().find(|posting: &&Posting| posting.account == account.id);
    let version = version.map_or(account.version, |posting| posting.version);
    let holds = set.holds_of(account.id).iter().filter_map(|hold| set.hold(*hold)).cloned().collect();
    let leaving = Account { balance: 0, version, revision: account.revision + 1, ..account.clone() };
    let moved = Moved { account: leaving, balance: account.balance, holds };
    Ok(Event::Saga(Box::new(SagaStep {
        sent: Box::new([(asked.to, set.sagas.sent_to(asked.to) + 1)]),
        transferred: transferred(id, account, postings),
        moved: Some(Arc::new(moved)),
        ..step(StepKind::MovedOut, id, None)
    })))
}

/// An account of another shard arrives. It cannot be refused: the other shard released its slot before, and this one
/// acquired it.
pub(super) fn move_in(
    set: &WorkingSet,
    id: TransferId,
    moved: &Arc<Moved>,
    received: Option<(ShardId, Position)>,
) -> SagaStep {
    let from = ShardId::of_generated(id.number());
    // It begins with what it left with, whatever was here of it before.
    let running = Running::from([(moved.account.id, (0, moved.account.version))]);
    let clearing = clearing(set, from, moved.account.currency);
    let postings = move_balance(set, running, clearing, moved.account.id, moved.balance);
    SagaStep {
        transferred: transferred(id, &moved.account, postings),
        moved: Some(moved.clone()),
        ..step(StepKind::MovedIn, id, received)
    }
}

/// A balance goes from one account to the other; one below zero comes the other way.
fn move_balance(set: &WorkingSet, mut running: Running, from: AccountId, to: AccountId, balance: i128) -> Vec<Posting> {
    let (from, to) = if balance < 0 { (to, from) } else { (from, to) };
    let mut postings = Vec::new();
    add_postings(set, &mut running, (from, to, balance.unsigned_abs()), &mut postings);
    postings
}

/// A move names its transfer, with or without postings: an empty account has none. Both of its halves have the value date
/// that the id carries, however apart the clocks of the shards are: at no time does the account miss its money.
fn transferred(id: TransferId, account: &Account, postings: Vec<Posting>) -> Box<[Transferred]> {
    let postings = match <[Posting; 2]>::try_from(postings) {
        Ok(pair) => Postings::Pair(pair),
        Err(postings) => Postings::Many(postings.into()),
    };
    Box::new([Transferred {
        id,
        kind: TransferKind::Move,
        currency: account.currency,
        forced: false,
        effective_at: time_of_generated(id.number()),
        postings,
        reverses: None,
        hold: None,
        note: None,
    }])
}

/// The row that an account leaves behind: where it went, and nothing else that counts.
pub(crate) fn left_behind(account: &Account, to: ShardId) -> Account {
    Account {
        held: 0,
        holds_active: 0,
        next_expiry: Timestamp::MAX,
        revision: account.revision + 1,
        moved_to: Some(to),
        ..account.clone()
    }
}

/// What is left behind of a hold whose account moved: it reserves nothing here.
pub(crate) fn hold_left_behind(hold: &Hold) -> Hold {
    let status = if hold.status == HoldStatus::Held { HoldStatus::Voided } else { hold.status };
    Hold { status, ..hold.clone() }
}
