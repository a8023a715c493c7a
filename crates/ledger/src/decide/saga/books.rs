//! The postings of sagas: between an account of this shard and the clearing account of the shard at the other end.

use super::share::Share;
use crate::account::{SystemAccount, SystemKind};
use crate::amount::Amount;
use crate::currency::Currency;
use crate::event::Header;
use crate::ids::{AccountId, ShardId};
use crate::saga::{Order, Ordered};
use crate::transfer::{LegAmount, Posting, Postings, Side, Transferred};
use crate::working_set::WorkingSet;
use std::collections::BTreeMap;

/// The shard at the other end of the clearing account through which this shard's part goes.
pub(super) fn counterparty(set: &WorkingSet, order: &Order) -> ShardId {
    if order.home() != set.shard {
        return order.home();
    }
    let mut parts = order.parts().into_iter();
    match (parts.next(), parts.next()) {
        (Some(only), None) => only,
        // With several the home's own part waits in an account of its own until it is decided.
        _ => set.shard,
    }
}

pub(super) fn empty(order: &Order) -> Vec<Vec<Posting>> {
    order.transfers.iter().map(|_| Vec::new()).collect()
}

/// Balances and versions that run along while postings are made.
pub(in crate::decide) struct Books<'a> {
    set: &'a WorkingSet,
    running: BTreeMap<AccountId, (i128, u64)>,
}

impl<'a> Books<'a> {
    pub(in crate::decide) fn new(set: &'a WorkingSet) -> Books<'a> {
        Books { set, running: BTreeMap::new() }
    }

    /// An account that arrives begins with this, whatever was here of it before.
    pub(in crate::decide) fn begin(&mut self, account: AccountId, balance: i128, version: u64) {
        self.running.insert(account, (balance, version));
    }

    pub(in crate::decide) fn clearing(&self, other: ShardId, currency: Currency) -> AccountId {
        let ordinal = other.number();
        SystemAccount { shard: self.set.shard, kind: SystemKind::Clearing, currency, ordinal }.id()
    }

    fn posting(&mut self, account: AccountId, side: Side, amount: Amount) -> Posting {
        let known = self.set.account(account).map_or((0, 0), |known| (known.balance, known.version));
        let (balance, version) = self.running.entry(account).or_insert(known);
        *balance += if side == Side::Debit { -amount.signed() } else { amount.signed() };
        *version += 1;
        Posting { account, amount, balance_after: *balance, version: *version, side }
    }

    /// Moves so much from one account to another, in as many postings as the largest amount needs.
    pub(in crate::decide) fn move_between(
        &mut self,
        from: AccountId,
        to: AccountId,
        total: u128,
        postings: &mut Vec<Posting>,
    ) {
        let mut left = total;
        while 0 < left {
            let some = u64::try_from(left).unwrap_or(u64::MAX).min(Amount::MAX.minor_units());
            let amount = Amount::new(some).expect("it is at most the largest amount");
            postings.push(self.posting(from, Side::Debit, amount));
            postings.push(self.posting(to, Side::Credit, amount));
            left -= u128::from(some);
        }
    }

    /// Posts a share against the clearing account.
    pub(super) fn post(&mut self, order: &Order, share: &Share<'_>, other: ShardId, postings: &mut [Vec<Posting>]) {
        self.post_signed(order, share, other, 1, postings);
    }

    /// Posts the opposite of a share.
    pub(super) fn refund(&mut self, order: &Order, share: &Share<'_>, other: ShardId, postings: &mut [Vec<Posting>]) {
        self.post_signed(order, share, other, -1, postings);
    }

    fn post_signed(
        &mut self,
        order: &Order,
        share: &Share<'_>,
        other: ShardId,
        sign: i128,
        postings: &mut [Vec<Posting>],
    ) {
        for (place, net) in &share.nets {
            let clearing = self.clearing(other, order.transfers[*place].currency);
            let (net, account) = (net * sign, share.account.id);
            let (from, to) = if net < 0 { (account, clearing) } else { (clearing, account) };
            self.move_between(from, to, net.unsigned_abs(), &mut postings[*place]);
        }
    }

    /// At home, what the other shards get and give, between the account of what waits and theirs.
    pub(super) fn settle_parts(&mut self, order: &Order, postings: &mut [Vec<Posting>]) {
        let own = self.set.shard;
        for (place, ordered) in order.transfers.iter().enumerate() {
            let mut nets: BTreeMap<ShardId, i128> = BTreeMap::new();
            for leg in ordered.legs.iter() {
                let LegAmount::Exactly(amount) = leg.amount else { continue };
                *nets.entry(order.shard_of(leg.from)).or_default() -= amount.signed();
                *nets.entry(order.shard_of(leg.to)).or_default() += amount.signed();
            }
            for (shard, net) in nets.into_iter().filter(|(shard, _)| *shard != own) {
                let (waiting, theirs) = (self.clearing(own, ordered.currency), self.clearing(shard, ordered.currency));
                let (from, to) = if net < 0 { (theirs, waiting) } else { (waiting, theirs) };
                self.move_between(from, to, net.unsigned_abs(), &mut postings[place]);
            }
        }
    }
}

pub(super) fn transferred_all(header: &Header, order: &Order, postings: Vec<Vec<Posting>>) -> Box<[Transferred]> {
    let transferred = order.transfers.iter().zip(postings);
    transferred.map(|(ordered, postings)| transferred_one(header, order, ordered, postings)).collect()
}

/// Only the transfers that have postings.
pub(super) fn transferred_some(header: &Header, order: &Order, postings: Vec<Vec<Posting>>) -> Box<[Transferred]> {
    let transferred = order.transfers.iter().zip(postings).filter(|(_, postings)| !postings.is_empty());
    transferred.map(|(ordered, postings)| transferred_one(header, order, ordered, postings)).collect()
}

fn transferred_one(header: &Header, order: &Order, ordered: &Ordered, postings: Vec<Posting>) -> Transferred {
    let postings = match <[Posting; 2]>::try_from(postings) {
        Ok(pair) => Postings::Pair(pair),
        Err(postings) => Postings::Many(postings.into()),
    };
    Transferred {
        id: ordered.id,
        kind: ordered.kind,
        currency: ordered.currency,
        forced: ordered.forced,
        // No value date is after the booking, whatever the clock of another shard said.
        effective_at: ordered.effective_at.map_or(header.time, |effective_at| effective_at.min(header.time)),
        postings,
        reverses: order.reverses,
        hold: order.hold,
        note: ordered.note.clone(),
    }
}
