//! Exchanges: what may go through the bank's positions in currencies, and until when a quote is good.

use super::hold::{captured, find_open_hold, take_from_hold};
use super::{Decided, Terms, check_remaining, find_named, judge};
use crate::account::{Account, SystemAccount, SystemKind};
use crate::command::Exchange;
use crate::event::{Event, Header};
use crate::hold::Hold;
use crate::ids::{AccountId, HoldId, QuoteId, SYSTEM_ID_START};
use crate::rejection::Rejection;
use crate::time::Timestamp;
use crate::transfer::{Leg, Transfer, TransferKind};
use crate::working_set::WorkingSet;

/// An account that a client may name to get what a hold reserves.
pub(super) fn find_payee(set: &WorkingSet, id: AccountId) -> Decided<&Account> {
    if is_position(id) { Err(Rejection::AccountNotFound(id)) } else { find_named(set, id) }
}

fn is_position(id: AccountId) -> bool {
    SystemAccount::from_id(id).is_some_and(|account| account.kind == SystemKind::FxPosition)
}

/// A deposit comes out of an account of the bank's and a withdrawal goes into one, so that neither can be a transfer
/// between customers in disguise; likewise nothing goes between a customer and the bank's position in a currency but by a
/// quote, or it would be an exchange in disguise. The ids tell, whatever the shard.
pub(super) fn check_leg(kind: TransferKind, legs: &[Leg], leg: &Leg) -> Decided<()> {
    let is_system = |id: AccountId| SYSTEM_ID_START <= id.number();
    let is_by_quote = match kind {
        TransferKind::Exchange | TransferKind::Reversal => true,
        TransferKind::Capture => 1 < legs.len(),
        _ => is_system(leg.from) && is_system(leg.to),
    };
    match [leg.from, leg.to].into_iter().find(|id| is_position(*id)) {
        Some(position) if !is_by_quote => return Err(Rejection::AccountNotFound(position)),
        Some(_) | None => {}
    }
    match kind {
        TransferKind::Deposit if !is_system(leg.from) => Err(Rejection::AccountNotFound(leg.from)),
        TransferKind::Withdrawal if !is_system(leg.to) => Err(Rejection::AccountNotFound(leg.to)),
        _ => Ok(()),
    }
}

/// A quote is good until its time is over by the clock of the shard that decides.
pub(super) fn check_quote(header: &Header, (quote, expires_at): (QuoteId, Timestamp)) -> Decided<()> {
    if expires_at <= header.time { Err(Rejection::QuoteExpired(quote)) } else { Ok(()) }
}

/// An exchange is a transfer whose legs are in two currencies; of a hold's money, a capture of such legs.
pub(super) fn decide_exchange(set: &WorkingSet, header: &Header, exchange: &Exchange) -> Decided {
    let Exchange { transfer, quote, expires_at, captures } = exchange;
    let quoted = Some((*quote, *expires_at));
    let Some((hold, is_final)) = captures else {
        let terms = Terms { forced: transfer.forced, quoted, ..Terms::of(TransferKind::Exchange) };
        return judge(set, header, transfer, &terms).map(Event::Transferred);
    };
    let found = find_sold(set, header, *hold, transfer)?;
    take_from_hold(set, header, found, transfer, *is_final, quoted)
}

/// What an exchange over several shards leaves of the hold whose money it sells.
pub(super) fn exchange_of(set: &WorkingSet, header: &Header, exchange: &Exchange) -> Decided<Option<Hold>> {
    let Some((hold, is_final)) = exchange.captures else { return Ok(None) };
    let found = find_sold(set, header, hold, &exchange.transfer)?;
    check_remaining(found, &exchange.transfer.legs)?;
    Ok(Some(captured(found, is_final, &exchange.transfer)))
}

/// A hold whose money is sold: nothing else may be taken for it.
fn find_sold<'a>(set: &'a WorkingSet, header: &Header, id: HoldId, transfer: &Transfer) -> Decided<&'a Hold> {
    let hold = find_open_hold(set, header, id)?;
    let sold = transfer.legs.first().filter(|leg| leg.from == hold.from);
    let is_only = transfer.legs.iter().filter(|leg| leg.from == hold.from).count() == 1;
    if sold.is_some() && is_only { Ok(hold) } else { Err(Rejection::AccountNotFound(hold.from)) }
}
