//! What a saga comes to on the accounts of one shard, and the ladder of checks that they climb: by the net effect on each.

use super::Judged;
use crate::account::{Account, CUSTOMER_BALANCE_MAX, FreezeKind, Status};
use crate::amount::Amount;
use crate::decide::{Decided, check_leg, find, find_named, insufficient};
use crate::event::Header;
use crate::ids::AccountId;
use crate::rejection::Rejection;
use crate::saga::{Failure, Order, Ordered};
use crate::transfer::{LegAmount, Side, TransferKind};
use crate::working_set::WorkingSet;
use std::collections::BTreeMap;

/// What a saga comes to on one account of this shard.
pub(crate) struct Share<'a> {
    pub(crate) account: &'a Account,
    /// The first transfer that names it.
    index: u32,
    debited: bool,
    credited: bool,
    /// A leg in another currency than its own.
    is_mismatched: bool,
    /// By transfer: its place in the order, and the net effect.
    pub(super) nets: Vec<(usize, i128)>,
}

impl Share<'_> {
    pub(crate) fn net(&self) -> i128 {
        self.nets.iter().map(|(_, net)| net).sum()
    }

    fn net_where(&self, order: &Order, counts: impl Fn(&Ordered) -> bool) -> i128 {
        self.nets.iter().filter(|(place, _)| counts(&order.transfers[*place])).map(|(_, net)| net).sum()
    }
}

/// The shares of all accounts of this shard, in the order in which they are named.
pub(crate) fn shares<'a>(set: &'a WorkingSet, order: &Order) -> Judged<Vec<Share<'a>>> {
    let mut shares: Vec<Share<'a>> = Vec::new();
    let mut places: BTreeMap<AccountId, usize> = BTreeMap::new();
    for (place, ordered) in order.transfers.iter().enumerate() {
        let index = u32::try_from(place).unwrap_or(u32::MAX);
        let rejected = |rejection| Failure { index, rejection };
        for leg in ordered.legs.iter() {
            check_leg(ordered.kind, &ordered.legs, leg).map_err(rejected)?;
            let LegAmount::Exactly(amount) = leg.amount else { unreachable!("the amounts of an order are exact") };
            for (id, side) in [(leg.from, Side::Debit), (leg.to, Side::Credit)] {
                if order.shard_of(id) != set.shard {
                    continue;
                }
                let at = match places.get(&id) {
                    Some(at) => *at,
                    None => {
                        let account = find_ordered(set, ordered.kind, id).map_err(rejected)?;
                        places.insert(id, shares.len());
                        shares.push(Share::new(account, index));
                        shares.len() - 1
                    }
                };
                shares[at].is_mismatched |= shares[at].account.currency != ordered.currency_of(leg);
                shares[at].add(place, side, amount);
            }
        }
    }
    Ok(shares)
}

impl<'a> Share<'a> {
    fn new(account: &'a Account, index: u32) -> Share<'a> {
        Share { account, index, debited: false, credited: false, is_mismatched: false, nets: Vec::new() }
    }

    fn add(&mut self, place: usize, side: Side, amount: Amount) {
        self.debited |= side == Side::Debit;
        self.credited |= side == Side::Credit;
        if self.nets.last().is_none_or(|(last, _)| *last != place) {
            self.nets.push((place, 0));
        }
        if let Some((_, net)) = self.nets.last_mut() {
            *net += if side == Side::Debit { -amount.signed() } else { amount.signed() };
        }
    }
}

fn find_ordered(set: &WorkingSet, kind: TransferKind, id: AccountId) -> Decided<&Account> {
    if kind == TransferKind::Reversal { find(set, id) } else { find_named(set, id) }
}

fn rejected<T>(share: &Share<'_>, rejection: Rejection) -> Judged<T> {
    Err(Failure { index: share.index, rejection })
}

/// The first half of the ladder that a shard's part climbs: whether its accounts may take part at all.
pub(super) fn check_accounts(order: &Order, shares: &[Share<'_>]) -> Judged<()> {
    if let Some(share) = shares.iter().find(|share| share.account.status == Status::Closed) {
        return rejected(share, Rejection::AccountClosed(share.account.id));
    }
    if let Some(share) = shares.iter().find(|share| is_stopped(order, share)) {
        return rejected(share, Rejection::AccountFrozen(share.account.id));
    }
    match shares.iter().find(|share| share.is_mismatched) {
        Some(share) => {
            let (account, currency) = (share.account.id, share.account.currency);
            rejected(share, Rejection::CurrencyMismatch { account, currency })
        }
        None => Ok(()),
    }
}

/// The second half: whether what they give and get is there and allowed.
pub(super) fn check_amounts(set: &WorkingSet, header: &Header, order: &Order, shares: &[Share<'_>]) -> Judged<()> {
    let customers = || shares.iter().filter(|share| !share.account.is_system());
    for share in customers() {
        // What a captured hold reserves is there for it.
        let unforced = share.net_where(order, |ordered| !ordered.forced && order.hold.is_none());
        if unforced < 0 && share.net() < 0 && set.available(share.account, header.time) < -unforced {
            return rejected(share, insufficient(set, header, share.account));
        }
    }
    for share in customers() {
        check_limits(set, header, order, share)?;
    }
    for share in shares {
        let is_too_large = |net: i128| Amount::MAX.signed() < net.abs();
        let balance = share.account.balance + share.net();
        let leaves_bounds = !share.account.is_system() && CUSTOMER_BALANCE_MAX < balance.abs();
        if leaves_bounds || share.nets.iter().any(|(_, net)| is_too_large(*net)) {
            return rejected(share, Rejection::BalanceOverflow(share.account.id));
        }
    }
    Ok(())
}

/// Each transfer that takes something from the account counts by itself, as it is counted when it is posted.
fn check_limits(set: &WorkingSet, header: &Header, order: &Order, share: &Share<'_>) -> Judged<()> {
    let Some(limits) = &share.account.limits else { return Ok(()) };
    let mut counted = set.debits(share.account, header.day, header.time);
    let is_debit = |(place, net): &&(usize, i128)| *net < 0 && order.transfers[*place].kind.counts_against_limits();
    for (place, net) in share.nets.iter().filter(is_debit) {
        let debit = net.unsigned_abs();
        if let Some(limit) = limits.exceeded_by(counted, header.day, debit) {
            let rejection = Rejection::LimitExceeded { account: share.account.id, limit };
            return Err(Failure { index: u32::try_from(*place).unwrap_or(u32::MAX), rejection });
        }
        counted = counted.debited(header.day, debit);
    }
    Ok(())
}

fn is_stopped(order: &Order, share: &Share<'_>) -> bool {
    match share.account.status {
        Status::Frozen(FreezeKind::Full) => true,
        Status::Frozen(FreezeKind::Debit) => share.debited && order.hold.is_none(),
        Status::Active | Status::Closed => false,
    }
}

/// The shares of what was checked when it was prepared.
pub(crate) fn shares_known<'a>(set: &'a WorkingSet, order: &Order) -> Vec<Share<'a>> {
    match shares(set, order) {
        Ok(shares) => shares,
        Err(failure) => panic!("an account of saga {} is gone: {}", order.id(), failure.rejection),
    }
}
