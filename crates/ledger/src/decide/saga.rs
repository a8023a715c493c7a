//! Decides the steps of sagas: what the home shard takes and asks for, what another shard does with its part, and what
//! the answers come to. What is prepared is judged by the net effect on each account, over all transfers of the saga.

use super::register::dead_letter_of;
use super::{Decided, capture_of, find, find_named, insufficient, reversal_of};
use crate::account::{Account, CUSTOMER_BALANCE_MAX, FreezeKind, Status, SystemAccount, SystemKind};
use crate::amount::Amount;
use crate::command::{Between, Command, Receive};
use crate::currency::Currency;
use crate::customer::Sealed;
use crate::event::{Event, Header};
use crate::hold::{Hold, HoldStatus};
use crate::ids::{AccountId, SYSTEM_ID_START, ShardId, TransferId};
use crate::rejection::Rejection;
use crate::saga::{Failure, Message, Order, Ordered, Part, PartState, Position, Saga, SagaStep, StepKind};
use crate::transfer::{Leg, LegAmount, Legs, Posting, Postings, Reversed, Side, Transfer, TransferKind, Transferred};
use crate::working_set::WorkingSet;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the checks of a saga come to: the failure also says which transfer of a batch it is about.
type Judged<T> = Result<T, Failure>;

fn whole(rejection: Rejection) -> Failure {
    Failure { index: 0, rejection }
}

/// The first step of a command whose accounts are on several shards.
pub(super) fn begin(set: &WorkingSet, header: &Header, between: &Between) -> Judged<Event> {
    let begun = |transfers: &[Transfer]| Begun { transfers: transfers.to_vec(), ..Begun::default() };
    let begun = match &between.command {
        Command::Transfer(transfer) => begun(std::slice::from_ref(transfer)),
        Command::Batch(transfers) => begun(transfers),
        Command::Reverse(reverse) => {
            let (transfer, reverses) = reversal_of(set, reverse).map_err(whole)?;
            Begun { transfers: vec![transfer], reverses: Some(reverses), ..Begun::default() }
        }
        Command::CaptureHold(capture) => {
            let is_here = |id: &AccountId| !between.routes.iter().any(|route| route.account == *id);
            capture.to.filter(is_here).map(|to| find_named(set, to)).transpose().map_err(whole)?;
            let (transfer, hold) = capture_of(set, header, capture).map_err(whole)?;
            Begun { transfers: vec![transfer], hold: Some(hold), ..Begun::default() }
        }
        Command::Ingest(ingest) => {
            let inner = Between { command: ingest.command.clone(), routes: between.routes.clone(), payload: None };
            return begin_queued(set, header, &inner, &ingest.payload);
        }
        _ => unreachable!("only what moves money is sent between shards"),
    };
    start(set, header, between, begun, between.payload.clone())
}

/// Nobody waits for the answer to a queued event: its rejection becomes a dead letter, now or when the saga fails.
fn begin_queued(set: &WorkingSet, header: &Header, between: &Between, payload: &Sealed) -> Judged<Event> {
    let Command::Transfer(transfer) = &between.command else { unreachable!("an event moves money in one transfer") };
    let begun = Begun { transfers: vec![transfer.clone()], ..Begun::default() };
    start(set, header, between, begun, Some(payload.clone())).or_else(|failure| {
        let (code, detail) = (failure.rejection.code(), failure.rejection.to_string());
        Ok(Event::DeadLetterChanged(Box::new(dead_letter_of(set, header, code, &detail, payload))))
    })
}

/// What a saga is made of.
#[derive(Default)]
struct Begun {
    transfers: Vec<Transfer>,
    reverses: Option<Reversed>,
    /// The hold after its capture.
    hold: Option<Hold>,
}

fn start(set: &WorkingSet, header: &Header, between: &Between, begun: Begun, payload: Option<Sealed>) -> Judged<Event> {
    let order = order_of(set, header, between, &begun)?;
    let shares = shares(set, &order)?;
    check_same(&begun.transfers)?;
    check_accounts(&order, &shares)?;
    check_times(header, &begun.transfers)?;
    if let Some((hold, transfer)) = begun.hold.as_ref().and_then(|hold| set.hold(hold.id)).zip(begun.transfers.first())
    {
        super::check_remaining(hold, &transfer.legs).map_err(whole)?;
    }
    check_amounts(set, header, &order, &shares)?;
    let mut books = Books::new(set);
    let mut postings = empty(&order);
    let other = counterparty(set, &order);
    shares.iter().filter(|share| share.net() < 0).for_each(|share| books.post(&order, share, other, &mut postings));
    let transferred = transferred_all(header, &order, postings);
    let sent = order.parts().into_iter().map(|shard| (shard, set.sagas.sent_to(shard) + 1)).collect();
    let step = SagaStep {
        sent,
        transferred,
        hold: begun.hold,
        payload,
        order: Some(Arc::new(order.clone())),
        ..step(StepKind::Started, order.id(), None)
    };
    Ok(Event::Saga(Box::new(step)))
}

/// A step with nothing in it yet.
fn step(kind: StepKind, saga: TransferId, received: Option<(ShardId, Position)>) -> SagaStep {
    SagaStep {
        kind,
        saga,
        received,
        sent: Box::new([]),
        order: None,
        transferred: Box::new([]),
        failure: None,
        hold: None,
        payload: None,
        dead_letter: None,
    }
}

/// The order with its ids given out and every amount exact.
fn order_of(set: &WorkingSet, header: &Header, between: &Between, begun: &Begun) -> Judged<Order> {
    let mut ids = set.ids;
    let mut transfers = Vec::with_capacity(begun.transfers.len());
    for (index, transfer) in (0u32..).zip(&begun.transfers) {
        let legs = exact(set, header, transfer).map_err(|rejection| Failure { index, rejection })?;
        transfers.push(Ordered {
            id: TransferId::new(ids.next(header.time)).expect("generated ids are ids"),
            kind: transfer.kind,
            currency: transfer.currency,
            forced: transfer.forced,
            effective_at: transfer.effective_at,
            legs,
            note: transfer.note.clone(),
        });
    }
    let mut routes = between.routes.to_vec();
    routes.sort_by_key(|route| route.account);
    routes.dedup_by_key(|route| route.account);
    let hold = begun.hold.as_ref().map(|hold| hold.id);
    Ok(Order { transfers: transfers.into(), routes: routes.into(), reverses: begun.reverses, hold })
}

/// A transfer's legs with `max` resolved. Whoever submits sees to it that what is debited with it is here.
fn exact(set: &WorkingSet, header: &Header, transfer: &Transfer) -> Decided<Legs> {
    let exact_leg = |leg: &Leg| match leg.amount {
        LegAmount::Exactly(_) => Ok(*leg),
        LegAmount::Max => {
            let account = find(set, leg.from)?;
            let available = super::whatever_is_there(set.available(account, header.time));
            let amount = available.ok_or_else(|| insufficient(set, header, account))?;
            Ok(Leg { amount: LegAmount::Exactly(amount), ..*leg })
        }
    };
    match &transfer.legs {
        Legs::One([leg]) => Ok(Legs::One([exact_leg(leg)?])),
        Legs::Many(legs) => Ok(Legs::Many(legs.iter().map(exact_leg).collect::<Decided<_>>()?)),
    }
}

fn check_same(transfers: &[Transfer]) -> Judged<()> {
    for (index, transfer) in (0u32..).zip(transfers) {
        if let Some(leg) = transfer.legs.iter().find(|leg| leg.from == leg.to) {
            return Err(Failure { index, rejection: Rejection::SameAccount(leg.from) });
        }
    }
    Ok(())
}

fn check_times(header: &Header, transfers: &[Transfer]) -> Judged<()> {
    let is_future = |transfer: &Transfer| transfer.effective_at.is_some_and(|effective_at| header.time < effective_at);
    match (0u32..).zip(transfers).find(|(_, transfer)| is_future(transfer)) {
        Some((index, _)) => Err(Failure { index, rejection: Rejection::EffectiveAtInvalid }),
        None => Ok(()),
    }
}

/// What a saga comes to on one account of this shard.
pub(crate) struct Share<'a> {
    pub(crate) account: &'a Account,
    /// The first transfer that names it.
    index: u32,
    debited: bool,
    credited: bool,
    /// By transfer: its place in the order, and the net effect.
    nets: Vec<(usize, i128)>,
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
            check_kind(ordered.kind, leg).map_err(rejected)?;
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
                        shares.push(Share { account, index, debited: false, credited: false, nets: Vec::new() });
                        shares.len() - 1
                    }
                };
                shares[at].add(place, side, amount);
            }
        }
    }
    Ok(shares)
}

impl Share<'_> {
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

/// A deposit comes out of an account of the bank's, a withdrawal goes into one: their ids tell, whatever the shard.
fn check_kind(kind: TransferKind, leg: &Leg) -> Decided<()> {
    let is_system = |id: AccountId| SYSTEM_ID_START <= id.number();
    match kind {
        TransferKind::Deposit if !is_system(leg.from) => Err(Rejection::AccountNotFound(leg.from)),
        TransferKind::Withdrawal if !is_system(leg.to) => Err(Rejection::AccountNotFound(leg.to)),
        _ => Ok(()),
    }
}

fn find_ordered(set: &WorkingSet, kind: TransferKind, id: AccountId) -> Decided<&Account> {
    if kind == TransferKind::Reversal { find(set, id) } else { find_named(set, id) }
}

fn rejected<T>(share: &Share<'_>, rejection: Rejection) -> Judged<T> {
    Err(Failure { index: share.index, rejection })
}

/// The first half of the ladder that a shard's part climbs: whether its accounts may take part at all.
fn check_accounts(order: &Order, shares: &[Share<'_>]) -> Judged<()> {
    if let Some(share) = shares.iter().find(|share| share.account.status == Status::Closed) {
        return rejected(share, Rejection::AccountClosed(share.account.id));
    }
    if let Some(share) = shares.iter().find(|share| is_stopped(order, share)) {
        return rejected(share, Rejection::AccountFrozen(share.account.id));
    }
    for share in shares {
        let currency = share.account.currency;
        if share.nets.iter().any(|(place, _)| order.transfers[*place].currency != currency) {
            return rejected(share, Rejection::CurrencyMismatch { account: share.account.id, currency });
        }
    }
    Ok(())
}

/// The second half: whether what they give and get is there and allowed.
fn check_amounts(set: &WorkingSet, header: &Header, order: &Order, shares: &[Share<'_>]) -> Judged<()> {
    let customers = || shares.iter().filter(|share| !share.account.is_system());
    for share in customers() {
        // What a captured hold reserves is there for it.
        let unforced = share.net_where(order, |ordered| !ordered.forced && order.hold.is_none());
        if unforced < 0 && share.net() < 0 && set.available(share.account, header.time) < -unforced {
            return rejected(share, insufficient(set, header, share.account));
        }
    }
    for share in customers() {
        let limited = share.net_where(order, |ordered| is_limited(ordered.kind));
        if limited < 0 && share.net() < 0 {
            super::check_limits(set, header, share.account, share.net().min(0).unsigned_abs())
                .map_err(|rejection| Failure { index: share.index, rejection })?;
        }
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

/// A capture was counted when its hold was placed; a reversal gives back.
fn is_limited(kind: TransferKind) -> bool {
    !matches!(kind, TransferKind::Capture | TransferKind::Reversal)
}

fn is_stopped(order: &Order, share: &Share<'_>) -> bool {
    match share.account.status {
        Status::Frozen(FreezeKind::Full) => true,
        Status::Frozen(FreezeKind::Debit) => share.debited && order.hold.is_none(),
        Status::Active | Status::Closed => false,
    }
}

/// The shard at the other end of the clearing account through which this shard's part goes.
fn counterparty(set: &WorkingSet, order: &Order) -> ShardId {
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

fn empty(order: &Order) -> Vec<Vec<Posting>> {
    order.transfers.iter().map(|_| Vec::new()).collect()
}

/// Balances and versions that run along while postings are made.
struct Books<'a> {
    set: &'a WorkingSet,
    running: BTreeMap<AccountId, (i128, u64)>,
}

impl<'a> Books<'a> {
    fn new(set: &'a WorkingSet) -> Books<'a> {
        Books { set, running: BTreeMap::new() }
    }

    fn clearing(&self, other: ShardId, currency: Currency) -> AccountId {
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
    fn move_between(&mut self, from: AccountId, to: AccountId, total: u128, postings: &mut Vec<Posting>) {
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
    fn post(&mut self, order: &Order, share: &Share<'_>, other: ShardId, postings: &mut [Vec<Posting>]) {
        self.post_signed(order, share, other, 1, postings);
    }

    /// Posts the opposite of a share.
    fn refund(&mut self, order: &Order, share: &Share<'_>, other: ShardId, postings: &mut [Vec<Posting>]) {
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
    fn settle_parts(&mut self, order: &Order, postings: &mut [Vec<Posting>]) {
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

fn transferred_all(header: &Header, order: &Order, postings: Vec<Vec<Posting>>) -> Box<[Transferred]> {
    let transferred = order.transfers.iter().zip(postings);
    transferred.map(|(ordered, postings)| transferred_one(header, order, ordered, postings)).collect()
}

/// Only the transfers that have postings.
fn transferred_some(header: &Header, order: &Order, postings: Vec<Vec<Posting>>) -> Box<[Transferred]> {
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

/// Takes a message, if it is the next one of its sender.
pub(super) fn receive(set: &WorkingSet, header: &Header, receive: &Receive) -> Decided {
    let envelope = &receive.envelope;
    let expected = set.sagas.received_from(envelope.from).number + 1;
    if envelope.position.number != expected || envelope.to != set.shard {
        return Err(Rejection::MessageOutOfOrder { expected });
    }
    let received = Some((envelope.from, envelope.position));
    let step = match &envelope.message {
        Message::Take(order) => take(set, header, order, received, receive.refused),
        Message::Finish { saga, post } => finish(set, header, *saga, *post, received),
        Message::Answer { saga, failure } => match set.sagas.saga(*saga) {
            Some(row) => answer(set, header, row, *failure, received),
            None => step(StepKind::Ignored, *saga, received),
        },
        Message::Done(saga) => match set.sagas.saga(*saga) {
            Some(row) => part_done(set, header, row, envelope.from, received),
            None => step(StepKind::Ignored, *saga, received),
        },
        // Messages come in order, so what is to be cancelled was answered before.
        Message::Cancel(saga) => step(StepKind::Ignored, *saga, received),
    };
    Ok(Event::Saga(Box::new(step)))
}

type Received = Option<(ShardId, Position)>;

fn reply(set: &WorkingSet, order_home: ShardId) -> Box<[(ShardId, u64)]> {
    Box::new([(order_home, set.sagas.sent_to(order_home) + 1)])
}

fn judged<'a>(set: &'a WorkingSet, header: &Header, order: &Order) -> Judged<Vec<Share<'a>>> {
    let shares = shares(set, order)?;
    check_accounts(order, &shares)?;
    check_amounts(set, header, order, &shares)?;
    Ok(shares)
}

/// Another shard's saga asks for a part.
fn take(
    set: &WorkingSet,
    header: &Header,
    order: &Arc<Order>,
    received: Received,
    refused: Option<Rejection>,
) -> SagaStep {
    let sent = reply(set, order.home());
    let judged = match refused {
        Some(rejection) => Err(whole(rejection)),
        None => judged(set, header, order),
    };
    let shares = match judged {
        Ok(shares) => shares,
        Err(failure) => {
            return SagaStep { sent, failure: Some(failure), ..step(StepKind::Refused, order.id(), received) };
        }
    };
    let is_final = order.is_decided_by_part();
    let mut books = Books::new(set);
    let mut postings = empty(order);
    for share in shares.iter().filter(|share| is_final || share.net() < 0) {
        books.post(order, share, order.home(), &mut postings);
    }
    let kind = if is_final { StepKind::Executed } else { StepKind::Prepared };
    let transferred = transferred_some(header, order, postings);
    SagaStep { sent, transferred, order: (!is_final).then(|| order.clone()), ..step(kind, order.id(), received) }
}

/// What was prepared is posted or released.
fn finish(set: &WorkingSet, header: &Header, saga: TransferId, post: bool, received: Received) -> SagaStep {
    let home = ShardId::of_generated(saga.number());
    let sent = reply(set, home);
    let Some(Part { order, .. }) = set.sagas.part(saga) else {
        return SagaStep { sent, ..step(StepKind::Released, saga, received) }; // it was refused before
    };
    let mut books = Books::new(set);
    let mut postings = empty(order);
    for share in shares_known(set, order) {
        match (post, share.net() < 0) {
            (true, false) => books.post(order, &share, home, &mut postings),
            (false, true) => books.refund(order, &share, home, &mut postings),
            (true, true) | (false, false) => {}
        }
    }
    let kind = if post { StepKind::Posted } else { StepKind::Released };
    SagaStep { sent, transferred: transferred_some(header, order, postings), ..step(kind, saga, received) }
}

/// The shares of what was checked when it was prepared.
pub(crate) fn shares_known<'a>(set: &'a WorkingSet, order: &Order) -> Vec<Share<'a>> {
    match shares(set, order) {
        Ok(shares) => shares,
        Err(failure) => panic!("an account of saga {} is gone: {}", order.id(), failure.rejection),
    }
}

/// A part's answer, at home.
fn answer(set: &WorkingSet, header: &Header, saga: &Saga, failure: Option<Failure>, received: Received) -> SagaStep {
    let id = saga.order.id();
    let from = received.map(|(from, _)| from);
    if saga.order.is_decided_by_part() {
        return match failure {
            None => complete(set, header, saga, received),
            Some(failure) => fail(set, header, saga, failure, received),
        };
    }
    if saga.decision.is_some() {
        return step(StepKind::Ignored, id, received);
    }
    match failure {
        Some(failure) => abort(set, header, saga, failure, from, received),
        None => {
            let others_granted =
                saga.parts.iter().all(|(shard, state)| Some(*shard) == from || *state == PartState::Granted);
            if others_granted { post_all(set, header, saga, received) } else { step(StepKind::Granted, id, received) }
        }
    }
}

/// All said yes: the commit point of a saga over several shards.
fn post_all(set: &WorkingSet, header: &Header, saga: &Saga, received: Received) -> SagaStep {
    let order = &saga.order;
    let mut books = Books::new(set);
    let mut postings = empty(order);
    books.settle_parts(order, &mut postings);
    let late = shares_known(set, order).into_iter().filter(|share| 0 <= share.net());
    late.for_each(|share| books.post(order, &share, set.shard, &mut postings));
    let sent = saga.parts.iter().map(|(shard, _)| (*shard, set.sagas.sent_to(*shard) + 1)).collect();
    let transferred = transferred_some(header, order, postings);
    SagaStep { sent, transferred, ..step(StepKind::Posting, order.id(), received) }
}

/// One refused: what the home took is refunded at once, and the others are told to release what they prepared.
fn abort(
    set: &WorkingSet,
    header: &Header,
    saga: &Saga,
    failure: Failure,
    refuser: Option<ShardId>,
    received: Received,
) -> SagaStep {
    let others = saga.parts.iter().filter(|(shard, _)| Some(*shard) != refuser);
    let sent = others.map(|(shard, _)| (*shard, set.sagas.sent_to(*shard) + 1)).collect();
    let (transferred, hold) = refunded(set, header, saga);
    SagaStep { sent, transferred, hold, failure: Some(failure), ..step(StepKind::Aborting, saga.order.id(), received) }
}

fn refunded(set: &WorkingSet, header: &Header, saga: &Saga) -> (Box<[Transferred]>, Option<Hold>) {
    let order = &saga.order;
    let mut books = Books::new(set);
    let mut postings = empty(order);
    let other = counterparty(set, order);
    let early = shares_known(set, order).into_iter().filter(|share| share.net() < 0);
    early.for_each(|share| books.refund(order, &share, other, &mut postings));
    (transferred_some(header, order, postings), reopened_hold(set, header, saga))
}

/// The hold of a capture that came to nothing: as before, unless its time is over or somebody ended it meanwhile.
fn reopened_hold(set: &WorkingSet, header: &Header, saga: &Saga) -> Option<Hold> {
    let hold = set.hold(saga.order.hold?)?;
    let amount = saga.order.transfers.first().and_then(|ordered| Amount::new(u64::try_from(ordered.amount()).ok()?))?;
    let captured = hold.captured.checked_sub(amount).expect("what was captured is still counted as such");
    let is_over = hold.expires_at.is_some_and(|expires_at| expires_at <= header.time);
    let status = match (saga.ended_hold, is_over) {
        (true, false) => HoldStatus::Held,
        (true, true) => HoldStatus::Expired,
        (false, _) => hold.status,
    };
    Some(Hold { captured, status, ..hold.clone() })
}

/// The only other shard did its part: the home's accounts that gain get theirs.
fn complete(set: &WorkingSet, header: &Header, saga: &Saga, received: Received) -> SagaStep {
    let order = &saga.order;
    let mut books = Books::new(set);
    let mut postings = empty(order);
    let other = counterparty(set, order);
    let late = shares_known(set, order).into_iter().filter(|share| 0 <= share.net());
    late.for_each(|share| books.post(order, &share, other, &mut postings));
    SagaStep {
        transferred: transferred_some(header, order, postings),
        ..step(StepKind::Completed, order.id(), received)
    }
}

/// The only other shard refused: everything is as it was.
fn fail(set: &WorkingSet, header: &Header, saga: &Saga, failure: Failure, received: Received) -> SagaStep {
    let (transferred, hold) = refunded(set, header, saga);
    SagaStep { transferred, hold, ..failed(set, header, saga, failure, received) }
}

fn failed(set: &WorkingSet, header: &Header, saga: &Saga, failure: Failure, received: Received) -> SagaStep {
    let (code, detail) = (failure.rejection.code(), failure.rejection.to_string());
    let dead_letter =
        saga.payload.as_ref().map(|payload| Box::new(dead_letter_of(set, header, code, &detail, payload)));
    SagaStep { failure: Some(failure), dead_letter, ..step(StepKind::Failed, saga.order.id(), received) }
}

/// A shard did what was decided; the last one ends the saga.
fn part_done(set: &WorkingSet, header: &Header, saga: &Saga, from: ShardId, received: Received) -> SagaStep {
    let id = saga.order.id();
    let others_done = saga.parts.iter().all(|(shard, state)| *shard == from || *state == PartState::Done);
    match (others_done, saga.failure) {
        (false, _) => step(StepKind::PartDone, id, received),
        (true, None) => step(StepKind::Completed, id, received),
        (true, Some(failure)) => failed(set, header, saga, failure, received),
    }
}

/// An operator wants the money back. With several parts the home decides so at once, as long as nothing is decided;
/// with one only that shard can say no.
pub(super) fn cancel(set: &WorkingSet, header: &Header, id: TransferId) -> Decided {
    let saga = set.sagas.saga(id).ok_or(Rejection::TransferNotFound(id))?;
    if !saga.order.is_decided_by_part() && saga.decision.is_none() {
        let failure = whole(Rejection::Cancelled(id));
        return Ok(Event::Saga(Box::new(abort(set, header, saga, failure, None, None))));
    }
    let asked = saga.parts.iter().filter(|(_, state)| *state == PartState::Asked);
    let sent = asked.map(|(shard, _)| (*shard, set.sagas.sent_to(*shard) + 1)).collect();
    Ok(Event::Saga(Box::new(SagaStep { sent, ..step(StepKind::Cancelling, id, None) })))
}
