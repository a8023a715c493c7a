//! Decides a command on the rows it touches. Every function here is a ladder of checks in the order of [`Rejection`],
//! one return each; nothing is changed before the outcome stands.
//!
//! The legs of a transfer are judged together, by the net effect on each account. So A→B→C can be reversed though B is
//! empty, and an account may occur in several legs.

use crate::account::{Account, AccountKind, CUSTOMER_BALANCE_MAX, FreezeKind, Status, SystemAccount, SystemKind};
use crate::amount::Amount;
use crate::command::{Command, Reverse, accounts_on};
use crate::event::{Event, Header, Outcome};
use crate::hold::Hold;
use crate::ids::{AccountId, CLIENT_ID_END, QuoteId, SYSTEM_ID_START, TransferId};
use crate::record::record_transferred;
use crate::rejection::Rejection;
use crate::saga::{Message, Order};
use crate::time::{Day, Timestamp};
use crate::transfer::{Leg, LegAmount, Legs, Posting, Postings, Reversed, Side, Transfer, TransferKind, Transferred};
use crate::working_set::WorkingSet;

mod exchange;
mod hold;
mod register;
pub(crate) mod saga;
pub(crate) mod slots;

use exchange::{check_leg, check_quote, decide_exchange, exchange_of, find_payee};
use hold::{capture_of, decide_capture, decide_expire, decide_hold, decide_void};

/// What the checks of one command come to.
type Decided<T = Event> = Result<T, Rejection>;

/// Decides a command and leaves the set as it was (but for standard accounts of the bank, which now have a row).
pub(crate) fn decide(set: &mut WorkingSet, header: &Header, command: &Command) -> Outcome {
    if let Command::Batch(transfers) = command {
        return decide_batch(set, header, command, transfers);
    }
    ensure_standard_accounts(set, command);
    if let Command::Between(between) = command {
        return match saga::begin(set, header, between) {
            Ok(event) => Outcome::Event(event),
            Err(failure) => Outcome::Rejection { index: failure.index, rejection: failure.rejection },
        };
    }
    match decide_one(set, header, command) {
        Ok(event) => Outcome::Event(event),
        Err(rejection) => Outcome::Rejection { index: 0, rejection },
    }
}

fn decide_one(set: &mut WorkingSet, header: &Header, command: &Command) -> Decided {
    match command {
        Command::Transfer(transfer) => decide_transfer(set, header, transfer).map(Event::Transferred),
        Command::Exchange(exchange) => decide_exchange(set, header, exchange),
        Command::Reverse(reverse) => decide_reverse(set, header, reverse).map(Event::Transferred),
        Command::PlaceHold(hold) => decide_hold(set, header, hold),
        Command::CaptureHold(capture) => decide_capture(set, header, capture),
        Command::VoidHold(hold) => decide_void(set, header, *hold),
        Command::ExpireHold(hold) => decide_expire(set, header, *hold),
        Command::AtHome(at_home) if !set.slots.contains(at_home.slot) => {
            Err(Rejection::WrongShard(u64::from(at_home.slot)))
        }
        Command::AtHome(at_home) => decide_one(set, header, &at_home.command),
        Command::Ingest(ingest) => register::ingest(set, header, ingest),
        Command::ChangeSlots(asked) => slots::change(set, asked),
        Command::MoveAccount(asked) => slots::move_out(set, header, asked),
        Command::Refuse(rejection) => Err(**rejection),
        Command::Receive(receive) => saga::receive(set, header, receive),
        Command::CancelSaga(saga) => saga::cancel(set, header, *saga),
        Command::Batch(_) | Command::Between(_) => {
            unreachable!("batches and sagas are decided one level up and never inside another command")
        }
        other => register::decide(set, header, other),
    }
}

/// An atomic batch is decided by doing it on a savepoint, transfer after transfer as if each had come alone.
fn decide_batch(set: &mut WorkingSet, header: &Header, command: &Command, transfers: &[Transfer]) -> Outcome {
    ensure_standard_accounts(set, command);
    let ids = set.ids;
    set.accounts.set_savepoint();
    let mut done = Vec::with_capacity(transfers.len());
    let mut rejected = None;
    for (index, transfer) in (0u32..).zip(transfers) {
        match decide_transfer(set, header, transfer) {
            Ok(transferred) => {
                record_transferred(set, header, &transferred);
                done.push(transferred);
            }
            Err(rejection) => {
                rejected = Some(Outcome::Rejection { index, rejection });
                break;
            }
        }
    }
    set.accounts.roll_back();
    set.ids = ids;
    rejected.unwrap_or_else(|| Outcome::Event(Event::BatchTransferred(done.into())))
}

/// The bank's own accounts that always exist get their row when somebody names them.
fn ensure_standard_accounts(set: &mut WorkingSet, command: &Command) {
    match command {
        Command::Transfer(transfer) => ensure_named(set, transfer.legs.iter().flat_map(|leg| [leg.from, leg.to])),
        Command::Exchange(exchange) => {
            ensure_named(set, exchange.transfer.legs.iter().flat_map(|leg| [leg.from, leg.to]));
        }
        Command::CaptureHold(capture) => {
            let currency = set.hold(capture.hold).map(|hold| hold.currency);
            let cash = currency.map(|currency| SystemAccount::standard(set.shard, SystemKind::Cash, currency).id());
            ensure_named(set, capture.to.into_iter().chain(cash));
        }
        Command::PlaceHold(hold) => ensure_named(set, hold.to.into_iter()),
        Command::AtHome(at_home) => ensure_standard_accounts(set, &at_home.command),
        Command::Ingest(ingest) => ensure_standard_accounts(set, &ingest.command),
        Command::Between(between) => ensure_standard_accounts(set, &between.command),
        Command::Batch(transfers) => {
            ensure_named(
                set,
                transfers.iter().flat_map(|transfer| transfer.legs.iter()).flat_map(|leg| [leg.from, leg.to]),
            );
        }
        Command::Receive(receive) => match &receive.envelope.message {
            Message::Take(order) => ensure_named(set, accounts_on(order, receive.envelope.to)),
            Message::Answer { saga, .. } | Message::Finish { saga, .. } => ensure_ordered(set, *saga),
            Message::Done(_) | Message::Cancel(_) | Message::MoveIn { .. } => {}
        },
        Command::CancelSaga(saga) => ensure_ordered(set, *saga),
        _ => {}
    }
}

/// What a saga will post on when it is decided may have no posting yet, and so no row that outlived a restart.
fn ensure_ordered(set: &mut WorkingSet, saga: TransferId) {
    let order = set.sagas.saga(saga).map(|row| &row.order).or_else(|| set.sagas.part(saga).map(|part| &part.order));
    if let Some(order) = order.cloned() {
        ensure_accounts_of(set, &order);
    }
}

/// The bank's own accounts of this shard that an order names.
pub(crate) fn ensure_accounts_of(set: &mut WorkingSet, order: &Order) {
    ensure_named(set, accounts_on(order, set.shard));
}

/// A clearing account gets its row from the first posting on it, never from being named.
fn ensure_named(set: &mut WorkingSet, ids: impl Iterator<Item = AccountId>) {
    let is_clearing = |id| SystemAccount::from_id(id).is_some_and(|account| account.kind == SystemKind::Clearing);
    for id in ids.filter(|id| SYSTEM_ID_START <= id.number()) {
        if set.account(id).is_none() && !is_clearing(id) {
            set.ensure_standard(id);
        }
    }
}

fn find(set: &WorkingSet, id: AccountId) -> Decided<&Account> {
    match set.account(id) {
        Some(account) if account.moved_to.is_none() => Ok(account),
        None if set.is_of_shard(id) || CLIENT_ID_END <= id.number() => Err(Rejection::AccountNotFound(id)),
        Some(_) | None => Err(Rejection::WrongShard(id.number())),
    }
}

/// A customer's account: the bank's own have no status, no holds and no limits.
fn find_customers(set: &WorkingSet, id: AccountId) -> Decided<&Account> {
    find(set, id)
        .and_then(|account| if account.is_system() { Err(Rejection::AccountNotFound(id)) } else { Ok(account) })
}

/// An account that a client may name as the other side. Clearing accounts are the sagas' own.
fn find_named(set: &WorkingSet, id: AccountId) -> Decided<&Account> {
    let account = find(set, id)?;
    let is_clearing = account.kind == AccountKind::System(SystemKind::Clearing);
    if is_clearing { Err(Rejection::AccountNotFound(id)) } else { Ok(account) }
}

/// The net effect of a transfer on one account, whose balance and version run along while its postings are made.
struct Net<'a> {
    account: &'a Account,
    balance: i128,
    version: u64,
}

impl Net<'_> {
    fn delta(&self) -> i128 {
        self.balance - self.account.balance
    }
}

/// What the kind of a transfer changes about the checks.
struct Terms<'a> {
    kind: TransferKind,
    /// The check of funds is skipped.
    forced: bool,
    /// Debits count against limits.
    limited: bool,
    reverses: Option<Reversed>,
    /// The hold whose money moves.
    captures: Option<&'a Hold>,
    /// The quote it rests on, and until when that is good.
    quoted: Option<(QuoteId, Timestamp)>,
}

impl Terms<'_> {
    fn of(kind: TransferKind) -> Terms<'static> {
        Terms { kind, forced: false, limited: true, reverses: None, captures: None, quoted: None }
    }
}

fn decide_transfer(set: &WorkingSet, header: &Header, transfer: &Transfer) -> Decided<Transferred> {
    let limited = transfer.kind.counts_against_limits();
    judge(set, header, transfer, &Terms { forced: transfer.forced, limited, ..Terms::of(transfer.kind) })
}

/// A leg with its two accounts, each looked up once.
struct Sides<'a> {
    leg: &'a Leg,
    from: &'a Account,
    to: &'a Account,
}

impl<'a> Sides<'a> {
    fn accounts(&self) -> [&'a Account; 2] {
        [self.from, self.to]
    }
}

/// The ladder that every movement of money climbs.
fn judge(set: &WorkingSet, header: &Header, transfer: &Transfer, terms: &Terms<'_>) -> Decided<Transferred> {
    let postings = match &*transfer.legs {
        [leg] => {
            let sides = find_sides(set, terms, transfer, leg)?;
            check_sides(header, std::slice::from_ref(&sides), transfer, terms)?;
            Postings::Pair(post_leg(set, header, &sides, terms)?)
        }
        legs => {
            let sides = legs.iter().map(|leg| find_sides(set, terms, transfer, leg)).collect::<Decided<Vec<_>>>()?;
            check_sides(header, &sides, transfer, terms)?;
            Postings::Many(post_legs(set, header, &sides, terms)?)
        }
    };
    Ok(Transferred {
        id: next_id(set, header),
        kind: terms.kind,
        currency: transfer.currency,
        forced: terms.forced,
        effective_at: transfer.effective_at.unwrap_or(header.time),
        postings,
        reverses: terms.reverses,
        hold: terms.captures.map(|hold| hold.id),
        note: transfer.note.clone(),
    })
}

/// The checks before any amount is looked at, over all legs.
fn check_sides(header: &Header, sides: &[Sides<'_>], transfer: &Transfer, terms: &Terms<'_>) -> Decided<()> {
    if let Some(side) = sides.iter().find(|side| side.leg.from == side.leg.to) {
        return Err(Rejection::SameAccount(side.leg.from));
    }
    check_status(sides, terms)?;
    for side in sides {
        let currency = match sides {
            [_only] => transfer.currency,
            _ => terms.kind.currency_between([side.leg.from, side.leg.to], transfer.currency),
        };
        if let Some(account) = side.accounts().into_iter().find(|account| account.currency != currency) {
            return Err(Rejection::CurrencyMismatch { account: account.id, currency: account.currency });
        }
    }
    terms.quoted.map_or(Ok(()), |quoted| check_quote(header, quoted))?;
    if transfer.effective_at.is_some_and(|effective_at| header.time < effective_at) {
        return Err(Rejection::EffectiveAtInvalid);
    }
    check_captured(sides, terms)
}

fn next_id(set: &WorkingSet, header: &Header) -> TransferId {
    let mut ids = set.ids;
    TransferId::new(ids.next(header.time)).expect("generated ids are ids")
}

/// Both accounts of a leg. A reversal goes wherever its original went.
fn find_sides<'a>(set: &'a WorkingSet, terms: &Terms<'_>, transfer: &Transfer, leg: &'a Leg) -> Decided<Sides<'a>> {
    if terms.kind == TransferKind::Reversal {
        return Ok(Sides { leg, from: find(set, leg.from)?, to: find(set, leg.to)? });
    }
    let (from, to) = (find_named(set, leg.from)?, find_named(set, leg.to)?);
    check_leg(terms.kind, &transfer.legs, leg)?;
    Ok(Sides { leg, from, to })
}

fn check_status(sides: &[Sides<'_>], terms: &Terms<'_>) -> Decided<()> {
    if let Some(closed) = sides.iter().flat_map(Sides::accounts).find(|account| account.status == Status::Closed) {
        return Err(Rejection::AccountClosed(closed.id));
    }
    // A hold placed before a freeze may still be captured, unless the freeze is full.
    let stops_debit = |status| match status {
        Status::Frozen(FreezeKind::Debit) => terms.kind != TransferKind::Capture,
        Status::Frozen(FreezeKind::Full) => true,
        Status::Active | Status::Closed => false,
    };
    for side in sides {
        if stops_debit(side.from.status) {
            return Err(Rejection::AccountFrozen(side.from.id));
        }
        if side.to.status == Status::Frozen(FreezeKind::Full) {
            return Err(Rejection::AccountFrozen(side.to.id));
        }
    }
    Ok(())
}

fn check_captured(sides: &[Sides<'_>], terms: &Terms<'_>) -> Decided<()> {
    match (terms.captures, sides) {
        (Some(hold), [side, ..]) => check_remaining(hold, std::slice::from_ref(side.leg)),
        _ => Ok(()),
    }
}

/// What a capture takes of the hold is its first leg.
fn check_remaining(hold: &Hold, legs: &[Leg]) -> Decided<()> {
    let remaining = hold.remaining();
    match legs {
        [Leg { amount: LegAmount::Exactly(amount), .. }, ..] if remaining < *amount => {
            Err(Rejection::HoldAmountExceeded { hold: hold.id, remaining, currency: hold.currency })
        }
        _ => Ok(()),
    }
}

fn net(account: &Account) -> Net<'_> {
    Net { account, balance: account.balance, version: account.version }
}

/// The postings of a single leg.
fn post_leg(set: &WorkingSet, header: &Header, side: &Sides<'_>, terms: &Terms<'_>) -> Decided<[Posting; 2]> {
    let mut nets = [net(side.from), net(side.to)];
    let [debit, credit] = &mut nets;
    let pair = post(set, header, side.leg, debit, credit)?;
    check_nets(set, header, &nets, terms)?;
    Ok(pair)
}

/// The postings of several legs, in order, with the balances running along.
fn post_legs(set: &WorkingSet, header: &Header, sides: &[Sides<'_>], terms: &Terms<'_>) -> Decided<Box<[Posting]>> {
    let mut nets: Vec<Net<'_>> = Vec::new();
    let mut postings = Vec::with_capacity(sides.len() * 2);
    for side in sides {
        let places = [place_of(&mut nets, side.from), place_of(&mut nets, side.to)];
        let [debit, credit] = nets.get_disjoint_mut(places).map_err(|_| Rejection::SameAccount(side.from.id))?;
        postings.extend(post(set, header, side.leg, debit, credit)?);
    }
    check_nets(set, header, &nets, terms)?;
    Ok(postings.into())
}

fn place_of<'a>(nets: &mut Vec<Net<'a>>, account: &'a Account) -> usize {
    if let Some(place) = nets.iter().position(|net| net.account.id == account.id) {
        return place;
    }
    nets.push(net(account));
    nets.len() - 1
}

/// Both postings of a leg.
fn post(
    set: &WorkingSet,
    header: &Header,
    leg: &Leg,
    debit: &mut Net<'_>,
    credit: &mut Net<'_>,
) -> Decided<[Posting; 2]> {
    let amount = match leg.amount {
        LegAmount::Exactly(amount) => amount,
        LegAmount::Max => whatever_is_there(set.available(debit.account, header.time) + debit.delta())
            .ok_or_else(|| insufficient(set, header, debit.account))?,
    };
    let posting = |net: &mut Net<'_>, side| {
        net.version += 1;
        net.balance += if side == Side::Debit { -amount.signed() } else { amount.signed() };
        Posting { account: net.account.id, amount, balance_after: net.balance, version: net.version, side }
    };
    Ok([posting(debit, Side::Debit), posting(credit, Side::Credit)])
}

fn whatever_is_there(available: i128) -> Option<Amount> {
    let available = u64::try_from(available.min(Amount::MAX.signed())).ok()?;
    Amount::new(available).filter(|amount| !amount.is_zero())
}

fn insufficient(set: &WorkingSet, header: &Header, account: &Account) -> Rejection {
    Rejection::InsufficientFunds {
        account: account.id,
        available: set.available(account, header.time),
        currency: account.currency,
    }
}

/// Funds, limits and bounds of every account the transfer touches. The bank's own accounts have none.
fn check_nets(set: &WorkingSet, header: &Header, nets: &[Net<'_>], terms: &Terms<'_>) -> Decided<()> {
    let customers = || nets.iter().filter(|net| !net.account.is_system());
    for net in customers().filter(|net| net.delta() < 0 && !terms.forced) {
        if set.available(net.account, header.time) < -net.delta() {
            return Err(insufficient(set, header, net.account));
        }
    }
    for net in customers().filter(|net| net.delta() < 0 && terms.limited) {
        check_limits(set, header, net.account, net.delta().unsigned_abs())?;
    }
    for net in customers() {
        if CUSTOMER_BALANCE_MAX < net.balance.abs() {
            return Err(Rejection::BalanceOverflow(net.account.id));
        }
    }
    Ok(())
}

fn check_limits(set: &WorkingSet, header: &Header, account: &Account, debit: u128) -> Decided<()> {
    let Some(limits) = &account.limits else { return Ok(()) };
    let counted = set.debits(account, header.day, header.time);
    let exceeded = limits.exceeded_by(counted, header.day, debit);
    exceeded.map_or(Ok(()), |limit| Err(Rejection::LimitExceeded { account: account.id, limit }))
}

fn decide_reverse(set: &WorkingSet, header: &Header, reverse: &Reverse) -> Decided<Transferred> {
    let (transfer, reverses) = reversal_of(set, reverse)?;
    let reverses = Some(reverses);
    let terms = Terms { forced: reverse.forced, limited: false, reverses, ..Terms::of(TransferKind::Reversal) };
    judge(set, header, &transfer, &terms)
}

/// A reversal is the opposite of every leg, last leg first.
fn reversal_of(set: &WorkingSet, reverse: &Reverse) -> Decided<(Transfer, Reversed)> {
    let id = reverse.transfer;
    let row = set.transfers.get(&id).ok_or(Rejection::TransferNotFound(id))?;
    let original = &row.transferred;
    // What an account took along to another shard is no transfer of anybody's.
    if original.reverses.is_some() || original.kind == TransferKind::Move {
        return Err(Rejection::AlreadyReversed { transfer: id, by: None });
    }
    if let Some(by) = set.reversal(id) {
        return Err(Rejection::AlreadyReversed { transfer: id, by: Some(by) });
    }
    if set.sagas.reversing(id).is_some() {
        return Err(Rejection::ReversalPending(id));
    }
    if !row.succeeded {
        return Err(Rejection::TransferNotSucceeded(id));
    }
    let turned = |leg: &Leg| Leg { from: leg.to, to: leg.from, amount: leg.amount };
    let opposite = |pair: &[Posting]| Leg {
        from: pair[1].account,
        to: pair[0].account,
        amount: LegAmount::Exactly(pair[0].amount),
    };
    let legs = match (&row.ordered, &original.postings) {
        (Some(Legs::One([leg])), _) => Legs::One([turned(leg)]),
        (Some(Legs::Many(legs)), _) => Legs::Many(legs.iter().rev().map(turned).collect()),
        (None, Postings::Pair(pair)) => Legs::One([opposite(pair)]),
        (None, Postings::Many(postings)) => Legs::Many(postings.chunks_exact(2).rev().map(opposite).collect()),
    };
    let transfer = Transfer {
        kind: TransferKind::Reversal,
        currency: original.currency,
        legs,
        forced: reverse.forced,
        effective_at: None,
        note: reverse.note.clone(),
    };
    // What a hold reserved was counted when it was placed, not when it was captured; interest counts on no day.
    let hold = original.hold.and_then(|hold| set.hold(hold));
    let day = if original.kind == TransferKind::Interest { Day::new(0) } else { row.day };
    Ok((transfer, Reversed { transfer: id, day: hold.map_or(day, |hold| hold.day) }))
}
