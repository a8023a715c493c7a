//! Rejections: a tag and what the rejection names.

use super::reader::{DecodeError, Problem, Reader};
use super::tag::Tagged;
use super::writer::{flags, put_amount, put_currency, put_signed_wide, put_varint};
use ledger::rejection::Rejection;

pub(super) fn encode_rejection(rejection: &Rejection, out: &mut Vec<u8>) {
    let mut one = |tag: u8, number: u64| {
        out.push(tag);
        put_varint(out, number);
    };
    match *rejection {
        Rejection::UserNotFound(id) => one(0, id.number()),
        Rejection::AccountNotFound(id) => one(1, id.number()),
        Rejection::HoldNotFound(id) => one(2, id.number()),
        Rejection::TransferNotFound(id) => one(3, id.number()),
        Rejection::DeadLetterNotFound(id) => one(4, id.number()),
        Rejection::TokenNotFound(id) => one(5, id.number()),
        Rejection::IdTaken(id) => one(6, id),
        Rejection::AlreadyReversed { transfer, by } => {
            one(7, transfer.number());
            out.push(flags([by.is_some()]));
            by.into_iter().for_each(|by| put_varint(out, by.number()));
        }
        Rejection::ReversalPending(id) => one(8, id.number()),
        Rejection::HoldNotOpen(id) => one(9, id.number()),
        Rejection::AccountNotEmpty(id) => one(10, id.number()),
        Rejection::SameAccount(id) => one(11, id.number()),
        Rejection::AccountClosed(id) => one(12, id.number()),
        Rejection::AccountFrozen(id) => one(13, id.number()),
        Rejection::CurrencyMismatch { account, currency } => {
            one(14, account.number());
            put_currency(out, currency);
        }
        Rejection::EffectiveAtInvalid => out.push(15),
        Rejection::ExpiresAtInvalid => out.push(16),
        Rejection::HoldAmountExceeded { hold, remaining, currency } => {
            one(17, hold.number());
            put_amount(out, remaining);
            put_currency(out, currency);
        }
        Rejection::InsufficientFunds { account, available, currency } => {
            one(18, account.number());
            put_signed_wide(out, available);
            put_currency(out, currency);
        }
        Rejection::LimitExceeded { account, limit } => {
            one(19, account.number());
            out.push(limit.tag());
        }
        Rejection::BalanceOverflow(id) => one(20, id.number()),
        Rejection::LinkedTransferFailed => out.push(21),
        Rejection::InvariantBroken => out.push(22),
        Rejection::TransferNotSucceeded(id) => one(23, id.number()),
        Rejection::Cancelled(id) => one(24, id.number()),
        Rejection::MessageOutOfOrder { expected } => one(25, expected),
        Rejection::WrongShard(id) => one(26, id),
        Rejection::AccountInUse(id) => one(27, id.number()),
        Rejection::QuoteNotFound(id) => one(28, id.number()),
        Rejection::QuoteUsed(id) => one(29, id.number()),
        Rejection::QuoteMismatch(id) => one(30, id.number()),
        Rejection::QuoteExpired(id) => one(31, id.number()),
    }
}

pub(super) fn decode_rejection(reader: &mut Reader<'_>) -> Result<Rejection, DecodeError> {
    let at = reader.offset();
    let tag = reader.byte("rejection")?;
    Ok(match tag {
        0 => Rejection::UserNotFound(reader.customer_id()?),
        1 => Rejection::AccountNotFound(reader.account_id()?),
        2 => Rejection::HoldNotFound(reader.hold_id()?),
        3 => Rejection::TransferNotFound(reader.transfer_id()?),
        4 => Rejection::DeadLetterNotFound(reader.dead_letter_id()?),
        5 => Rejection::TokenNotFound(reader.token_id()?),
        6 => Rejection::IdTaken(reader.varint("id")?),
        7 => {
            let transfer = reader.transfer_id()?;
            let is_reversed = reader.bool("whether there is a reversal")?;
            Rejection::AlreadyReversed { transfer, by: reader.when(is_reversed, Reader::transfer_id)? }
        }
        8 => Rejection::ReversalPending(reader.transfer_id()?),
        9 => Rejection::HoldNotOpen(reader.hold_id()?),
        10 => Rejection::AccountNotEmpty(reader.account_id()?),
        11 => Rejection::SameAccount(reader.account_id()?),
        12 => Rejection::AccountClosed(reader.account_id()?),
        13 => Rejection::AccountFrozen(reader.account_id()?),
        14 => Rejection::CurrencyMismatch { account: reader.account_id()?, currency: reader.currency()? },
        15 => Rejection::EffectiveAtInvalid,
        16 => Rejection::ExpiresAtInvalid,
        17 => {
            let (hold, remaining) = (reader.hold_id()?, reader.amount("what is left of a hold")?);
            Rejection::HoldAmountExceeded { hold, remaining, currency: reader.currency()? }
        }
        18 => {
            let (account, available) = (reader.account_id()?, reader.signed_wide("what is available")?);
            Rejection::InsufficientFunds { account, available, currency: reader.currency()? }
        }
        19 => Rejection::LimitExceeded { account: reader.account_id()?, limit: reader.tag()? },
        20 => Rejection::BalanceOverflow(reader.account_id()?),
        21 => Rejection::LinkedTransferFailed,
        22 => Rejection::InvariantBroken,
        23 => Rejection::TransferNotSucceeded(reader.transfer_id()?),
        24 => Rejection::Cancelled(reader.transfer_id()?),
        26 => Rejection::WrongShard(reader.varint("what is elsewhere")?),
        27 => Rejection::AccountInUse(reader.account_id()?),
        28 => Rejection::QuoteNotFound(reader.quote_id()?),
        29 => Rejection::QuoteUsed(reader.quote_id()?),
        30 => Rejection::QuoteMismatch(reader.quote_id()?),
        31 => Rejection::QuoteExpired(reader.quote_id()?),
        25 => Rejection::MessageOutOfOrder { expected: reader.varint("number of the next message")? },
        tag => return Err(DecodeError { offset: at, what: "rejection", problem: Problem::UnknownTag(tag) }),
    })
}
