//! The postings of sagas: between an account of this shard and the clearing account of the shard at the other end.

use super::share::Share;
use crate::account::{SystemAccount, SystemKind};
use crate::amount::Amount;
use crate::currency::Currency;
use crate::event::Header;
use crate::ids::{AccountId, ShardId};
use crate::saga::{Order, Ordered};
use crate::time::Timestamp;
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

/// So much from one account to another.
type Moved = (AccountId, AccountId, u128);

/// What a step moves through clearing accounts, by transfer. The postings are made of it at the end, transfer by transfer
/// as they are recorded, so that balances and versions run along in that order.
pub(super) struct Books<'a> {
    set: &'a WorkingSet,
    order: &'a Order,
    moved: Vec<Vec<Moved>>,
}

impl<'a> Books<'a> {
    pub(super) fn new(set: &'a WorkingSet, order: &'a Order) -> Books<'a> {
        Books { set, order, moved: vec![Vec::new(); order.transfers.len()] }
    }

    fn clearing(&self, other: ShardId, currency: Currency) -> AccountId {
        clearing(self.set, other, currency)
    }

    /// Moves a share between its account and the clearing account.
    pub(super) fn post(&mut self, share: &Share<'_>, other: ShardId) {
        self.post_signed(share, other, 1);
    }

    /// Moves the opposite of a share.
    pub(super) fn refund(&mut self, share: &Share<'_>, other: ShardId) {
        self.post_signed(share, other, -1);
    }

    fn post_signed(&mut self, share: &Share<'_>, other: ShardId, sign: i128) {
        for (place, net) in &share.nets {
            let clearing = self.clearing(other, share.account.currency);
            self.change(*place, share.account.id, clearing, net * sign);
        }
    }

    /// Raises an account by so much, which may be less than nothing, at the cost of another.
    fn change(&mut self, place: usize, account: AccountId, other: AccountId, net: i128) {
        let (from, to) = if net < 0 { (account, other) } else { (other, account) };
        self.moved[place].push((from, to, net.unsigned_abs()));
    }

    /// At home, what the other shards get and give, between the account of what waits and theirs.
    pub(super) fn settle_parts(&mut self) {
        let (own, order) = (self.set.shard, self.order);
        for (place, ordered) in order.transfers.iter().enumerate() {
            let mut nets: BTreeMap<(ShardId, Currency), i128> = BTreeMap::new();
            for leg in ordered.legs.iter() {
                let LegAmount::Exactly(amount) = leg.amount else { continue };
                let currency = ordered.currency_of(leg);
                *nets.entry((order.shard_of(leg.from), currency)).or_default() -= amount.signed();
                *nets.entry((order.shard_of(leg.to), currency)).or_default() += amount.signed();
            }
            for ((shard, currency), net) in nets.into_iter().filter(|((shard, _), _)| *shard != own) {
                let (theirs, waiting) = (self.clearing(shard, currency), self.clearing(own, currency));
                self.change(place, theirs, waiting, net);
            }
        }
    }

    /// Every transfer of the order, with or without postings.
    pub(super) fn all(&self, header: &Header) -> Box<[Transferred]> {
        self.all_as_of(header.time)
    }

    /// The transfers that have postings, with the value dates of what was posted at an earlier time and is given back: whoever
    /// gets it back never missed it.
    pub(super) fn as_of(&self, posted_at: Timestamp) -> Box<[Transferred]> {
        with_postings(self.all_as_of(posted_at))
    }

    fn all_as_of(&self, time: Timestamp) -> Box<[Transferred]> {
        let mut running = Running::new();
        let mut transferred = Vec::with_capacity(self.moved.len());
        for (ordered, moved) in self.order.transfers.iter().zip(&self.moved) {
            let mut postings = Vec::with_capacity(2 * moved.len());
            moved.iter().for_each(|moved| add_postings(self.set, &mut running, *moved, &mut postings));
            transferred.push(transferred_one(time, self.order, ordered, postings));
        }
        transferred.into()
    }

    /// Only the transfers that have postings.
    pub(super) fn some(&self, header: &Header) -> Box<[Transferred]> {
        with_postings(self.all(header))
    }
}

fn with_postings(transferred: Box<[Transferred]>) -> Box<[Transferred]> {
    transferred.into_iter().filter(|transferred| !transferred.postings.is_empty()).collect()
}

/// This shard's clearing account for another shard.
pub(in crate::decide) fn clearing(set: &WorkingSet, other: ShardId, currency: Currency) -> AccountId {
    SystemAccount { shard: set.shard, kind: SystemKind::Clearing, currency, ordinal: other.number() }.id()
}

/// Balances and versions that run along while postings are made.
pub(in crate::decide) type Running = BTreeMap<AccountId, (i128, u64)>;

/// As many postings as the largest amount needs, with the balances and versions that run along.
pub(in crate::decide) fn add_postings(
    set: &WorkingSet,
    running: &mut Running,
    (from, to, total): Moved,
    postings: &mut Vec<Posting>,
) {
    let mut posting = |account, side, amount: Amount| {
        let known = set.account(account).map_or((0, 0), |known| (known.balance, known.version));
        let (balance, version) = running.entry(account).or_insert(known);
        *balance += if side == Side::Debit { -amount.signed() } else { amount.signed() };
        *version += 1;
        Posting { account, amount, balance_after: *balance, version: *version, side }
    };
    let mut left = total;
    while 0 < left {
        let some = u64::try_from(left).unwrap_or(u64::MAX).min(Amount::MAX.minor_units());
        let amount = Amount::new(some).expect("it is at most the largest amount");
        postings.extend([posting(from, Side::Debit, amount), posting(to, Side::Credit, amount)]);
        left -= u128::from(some);
    }
}

fn transferred_one(time: Timestamp, order: &Order, ordered: &Ordered, postings: Vec<Posting>) -> Transferred {
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
        effective_at: ordered.effective_at.map_or(time, |effective_at| effective_at.min(time)),
        postings,
        reverses: order.reverses,
        hold: order.hold,
        note: ordered.note.clone(),
    }
}
