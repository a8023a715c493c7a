//! Every acknowledged request has exactly the effect that was asked for, once; a rejected one has none; whoever asks
//! again hears the same.

use super::{Case, Finding, Told, expect};
use crate::ask::{Ask, Movement, RequestId, Swap, named_by};
use crate::heard::{Heard, Progress, SeenTransfer, is_clearing};
use ledger::account::{SystemAccount, SystemKind};
use ledger::ids::{AccountId, TransferId};
use ledger::rejection::Rejection;
use ledger::transfer::{Posting, Side, TransferKind};
use std::collections::{BTreeMap, BTreeSet};

type ByRequest<'a> = BTreeMap<(RequestId, usize), Vec<&'a SeenTransfer>>;

pub(super) fn check(case: &Case<'_>, findings: &mut Vec<Finding>) {
    let by_request = by_request(case, findings);
    for told in case.told.values() {
        check_answers(told, findings);
        let made: Vec<(usize, &[&SeenTransfer])> = by_request
            .range((told.request.id, 0)..=(told.request.id, usize::MAX))
            .map(|((_, place), made)| (*place, made.as_slice()))
            .collect();
        check_effect(case, told, &made, findings);
    }
    check_ids(case, findings);
    check_balances(case, findings);
    for (name, total) in &case.books.sums {
        expect(findings, "all balances sum up to zero", *total == 0, || format!("{name}: {total}"));
    }
}

/// The transfers in the books by whose they are. All clients name theirs.
fn by_request<'a>(case: &Case<'a>, findings: &mut Vec<Finding>) -> ByRequest<'a> {
    let mut by_request = ByRequest::new();
    for (transfer, _) in case.books.transfers.iter().filter(|(transfer, _)| transfer.kind != TransferKind::Move) {
        let named = transfer.reference.as_deref().and_then(named_by);
        match named.filter(|(request, _)| case.told.contains_key(request)) {
            Some(place) => by_request.entry(place).or_default().push(transfer),
            None => findings.push(Finding {
                claim: "every transfer was asked for",
                detail: format!("transfer {} has the reference {:?}", transfer.id, transfer.reference),
            }),
        }
    }
    by_request
}

fn check_answers(told: &Told, findings: &mut Vec<Finding>) {
    let id = told.request.id;
    expect(findings, "every request is answered", !told.heard.is_empty(), || format!("request {id}"));
    let Some(first) = told.answer() else { return };
    for (_, heard) in &told.heard {
        expect(findings, "who asks again hears the same", heard == first, || {
            format!("request {id} hears {first:?}, then {heard:?}")
        });
    }
    let is_broken = first.rejection() == Some(&Rejection::InvariantBroken);
    expect(findings, "no request makes the rule book fail", !is_broken, || {
        format!("request {id}: {:?}", told.request.ask)
    });
    expect(
        findings,
        "a key is used for one thing",
        told.reuses_key == (*first == Heard::KeyReused) || *first == Heard::NotAvailable,
        || format!("request {id} under a key {}used before hears {first:?}", if told.reuses_key { "" } else { "not " }),
    );
}

fn check_effect(case: &Case<'_>, told: &Told, made: &[(usize, &[&SeenTransfer])], findings: &mut Vec<Finding>) {
    let id = told.request.id;
    let Some(heard) = told.answer() else { return };
    if matches!(told.request.ask, Ask::Event(_)) {
        return; // see `queued`
    }
    let acknowledged = heard.transfers();
    for (place, transfers) in made {
        expect(findings, "a request has one effect", transfers.len() <= 1, || {
            let ids: Vec<TransferId> = transfers.iter().map(|transfer| transfer.id).collect();
            format!("request {id}, transfer {place}, was made as {ids:?}")
        });
        expect(findings, "what is rejected moves nothing", *place < acknowledged.len(), || {
            format!("request {id} hears {heard:?}, and there is transfer {}", transfers[0].id)
        });
    }
    for (place, transfer) in acknowledged.iter().enumerate() {
        let there = made.iter().filter(|(other, _)| *other == place).flat_map(|(_, transfers)| transfers.iter());
        let is_there = there.clone().any(|there| is_known(there, transfer));
        expect(findings, "what is acknowledged is in the books", is_there, || {
            format!("request {id} hears of {transfer:?}; the books have {made:?}")
        });
        for there in there {
            check_end(case, told, place, there, findings);
        }
    }
    let is_right = is_asked_for(&told.request.ask, heard);
    expect(findings, "the effect is what was asked for", is_right, || {
        format!("request {id}: {:?} hears {heard:?}", told.request.ask)
    });
}

/// Whether the books have what was acknowledged. What was on its way went on since.
fn is_known(there: &SeenTransfer, acknowledged: &SeenTransfer) -> bool {
    if acknowledged.progress == Progress::Succeeded {
        return there == acknowledged;
    }
    there.id == acknowledged.id && acknowledged.postings.iter().all(|posting| there.postings.contains(posting))
}

/// A transfer between shards ends: it brought about all that was asked for, or nothing.
pub(super) fn check_end(
    case: &Case<'_>,
    told: &Told,
    place: usize,
    transfer: &SeenTransfer,
    findings: &mut Vec<Finding>,
) {
    let (id, net) = (transfer.id, transfer.net());
    expect(findings, "transfers between shards end", transfer.progress != Progress::Pending, || {
        format!("request {}, transfer {id}", told.request.id)
    });
    let through = transfer.postings.iter().filter(|of| is_clearing(of.account));
    let through = case.sums(through.map(|of| (of.account, of.signed())));
    expect(findings, "nothing is left between shards", through.is_empty(), || format!("{through:?} of transfer {id}"));
    let is_even = case.sums(net.clone()).is_empty();
    let customers = net.iter().filter(|(id, _)| SystemAccount::from_id(**id).is_none());
    let customers: BTreeMap<AccountId, i128> = customers.map(|(id, amount)| (*id, *amount)).collect();
    let movement = match &told.request.ask {
        Ask::Move(movement) | Ask::Event(movement) => Some(movement),
        Ask::Batch(movements) => movements.get(place),
        _ => None,
    };
    let is_whole = match (transfer.progress, movement) {
        (Progress::Failed, _) => net.is_empty(),
        (_, Some(movement)) if is_between(transfer) => customers == wanted(movement) && is_even,
        (_, None) if let Ask::Exchange(swap) = &told.request.ask => customers == exchanged(swap) && is_even,
        _ => is_even,
    };
    expect(findings, "a transfer takes effect as a whole or not at all", is_whole, || {
        format!("request {} {:?}: {transfer:?}", told.request.id, told.request.ask)
    });
}

pub(super) fn is_between(transfer: &SeenTransfer) -> bool {
    transfer.postings.iter().any(|posting| is_clearing(posting.account))
}

/// What a movement between customers changes on their accounts.
fn wanted(movement: &Movement) -> BTreeMap<AccountId, i128> {
    let mut net = BTreeMap::new();
    for (from, to, amount) in &movement.legs {
        if movement.kind != TransferKind::Deposit {
            *net.entry(*from).or_default() -= i128::from(*amount);
        }
        if movement.kind != TransferKind::Withdrawal {
            *net.entry(*to).or_default() += i128::from(*amount);
        }
    }
    net.retain(|_, amount| *amount != 0);
    net
}

/// What an exchange changes on the customers' accounts.
fn exchanged(swap: &Swap) -> BTreeMap<AccountId, i128> {
    BTreeMap::from([(swap.from, -i128::from(swap.sold)), (swap.to, i128::from(swap.bought))])
}

/// Whether an answer that is no rejection is one to what was asked. What a capture and a reversal move is checked with
/// the holds and the reversals.
fn is_asked_for(ask: &Ask, heard: &Heard) -> bool {
    match (ask, heard) {
        (_, Heard::Rejected { .. } | Heard::KeyReused | Heard::NotAvailable) => true,
        (Ask::Move(movement), Heard::Moved(transfers)) => {
            matches!(transfers.as_slice(), [transfer] if moves(movement, transfer))
        }
        (Ask::Batch(movements), Heard::Moved(transfers)) => {
            movements.len() == transfers.len()
                && movements.iter().zip(transfers).all(|(movement, transfer)| moves(movement, transfer))
        }
        (Ask::Move(movement), Heard::Begun(transfers)) => {
            matches!(transfers.as_slice(), [transfer] if transfer.kind == movement.kind)
        }
        (Ask::Exchange(swap), Heard::Moved(transfers)) => {
            matches!(transfers.as_slice(), [transfer] if exchanges(swap, transfer))
        }
        (Ask::Exchange(swap), Heard::Begun(transfers)) => {
            matches!(transfers.as_slice(), [transfer] if transfer.hold == swap.hold)
        }
        (Ask::Batch(movements), Heard::Begun(transfers)) => movements.len() == transfers.len(),
        (Ask::Event(_), Heard::Taken(_)) => true,
        (Ask::Redrive(letter), Heard::Redriven(redriven)) => letter == redriven,
        (Ask::Cancel(_), Heard::Cancelling) => true,
        (Ask::Capture { hold, .. }, Heard::Moved(transfers) | Heard::Begun(transfers)) => {
            matches!(transfers.as_slice(), [transfer] if transfer.hold == Some(*hold))
        }
        (Ask::Reverse { transfer, .. }, Heard::Moved(transfers) | Heard::Begun(transfers)) => {
            matches!(transfers.as_slice(), [reversal] if reversal.reverses == Some(*transfer))
        }
        (Ask::Hold { from, to, amount, currency, expires_at }, Heard::Hold(hold)) => {
            (hold.from, hold.to, hold.amount.minor_units(), hold.currency, hold.expires_at)
                == (*from, *to, *amount, *currency, *expires_at)
        }
        (Ask::Void(id), Heard::Hold(hold)) => hold.id == *id,
        (Ask::Register(id), Heard::Customer(customer)) => customer == id,
        (Ask::Open { account, customer, currency, .. }, Heard::Account(opened)) => {
            account.is_none_or(|account| account == opened.id)
                && (opened.customer, opened.currency) == (Some(*customer), *currency)
        }
        (
            Ask::Freeze { account, .. } | Ask::Unfreeze(account) | Ask::Close(account) | Ask::Limit { account, .. },
            Heard::Account(changed),
        ) => changed.id == *account,
        _ => false,
    }
}

pub(super) fn moves(movement: &Movement, transfer: &SeenTransfer) -> bool {
    let is_bank = |id: AccountId| SystemAccount::from_id(id).is_some();
    let leg = |(leg, pair): (&(AccountId, AccountId, u64), &[Posting])| {
        let [debit, credit] = pair else { return false };
        let giver =
            if movement.kind == TransferKind::Deposit { is_bank(debit.account) } else { debit.account == leg.0 };
        let taker =
            if movement.kind == TransferKind::Withdrawal { is_bank(credit.account) } else { credit.account == leg.1 };
        let sides = (debit.side, credit.side) == (Side::Debit, Side::Credit);
        giver && taker && sides && [debit, credit].iter().all(|posting| posting.amount.minor_units() == leg.2)
    };
    transfer.kind == movement.kind
        && transfer.postings.len() == 2 * movement.legs.len()
        && movement.legs.iter().zip(transfer.postings.chunks(2)).all(leg)
}

/// What is sold goes to the bank, what is bought comes from it, and what it keeps goes to its result.
fn exchanges(swap: &Swap, transfer: &SeenTransfer) -> bool {
    let system = |id: AccountId| SystemAccount::from_id(id).map(|system| (system.kind, system.currency));
    let (sell, buy) = swap.currencies;
    let [sold, bought, result @ ..] = transfer.postings.as_chunks::<2>().0 else { return false };
    let is_of = |pair: &[Posting; 2], amount: u64| {
        (pair[0].side, pair[1].side) == (Side::Debit, Side::Credit)
            && pair.iter().all(|posting| posting.amount.minor_units() == amount)
    };
    let keeps = match result {
        [] => swap.result == 0,
        [kept] => {
            is_of(kept, swap.result)
                && system(kept[0].account) == Some((SystemKind::FxPosition, buy))
                && system(kept[1].account) == Some((SystemKind::FxResult, buy))
        }
        _ => false,
    };
    keeps
        && is_of(sold, swap.sold)
        && is_of(bought, swap.bought)
        && sold[0].account == swap.from
        && system(sold[1].account) == Some((SystemKind::FxPosition, sell))
        && system(bought[0].account) == Some((SystemKind::FxPosition, buy))
        && bought[1].account == swap.to
        && transfer.hold == swap.hold
}

/// Transfers, and holds, are told apart by their ids.
fn check_ids(case: &Case<'_>, findings: &mut Vec<Finding>) {
    let mut known = BTreeSet::new();
    for (transfer, _) in &case.books.transfers {
        expect(findings, "no id is given out twice", known.insert(transfer.id), || format!("transfer {}", transfer.id));
    }
    let mut opened = BTreeMap::new();
    for told in case.told.values() {
        let id = match (&told.request.ask, told.answer()) {
            (Ask::Hold { .. }, Some(Heard::Hold(hold))) => hold.id.number(),
            (Ask::Open { account: None, .. }, Some(Heard::Account(account))) => account.id.number(),
            (_, Some(Heard::Moved(transfers) | Heard::Begun(transfers))) => transfers[0].id.number(),
            _ => continue,
        };
        let other = opened.insert(id, told.request.id);
        expect(findings, "no id is given out twice", other.is_none(), || {
            format!("{id} was given out for requests {other:?} and {}", told.request.id)
        });
    }
}

/// What was acknowledged on an account adds up to its balance. Of what went between shards the books say how it ended,
/// which is held against what was asked for elsewhere.
fn check_balances(case: &Case<'_>, findings: &mut Vec<Finding>) {
    let ends: BTreeMap<TransferId, &SeenTransfer> =
        case.books.transfers.iter().map(|(transfer, _)| (transfer.id, transfer)).collect();
    let mut expected: BTreeMap<AccountId, i128> = BTreeMap::new();
    for transfer in case.told.values().flat_map(|told| told.answer().map_or(&[][..], Heard::transfers)) {
        let end = ends.get(&transfer.id).filter(|_| transfer.progress == Progress::Pending);
        for posting in &end.map_or(transfer, |end| *end).postings {
            *expected.entry(posting.account).or_default() += posting.signed();
        }
    }
    let queued = case.books.transfers.iter().map(|(transfer, _)| transfer).filter(|transfer| {
        let named = transfer.reference.as_deref().and_then(named_by).and_then(|(id, _)| case.told.get(&id));
        named.is_some_and(|told| matches!(told.request.ask, Ask::Event(_)))
    });
    for posting in queued.flat_map(|transfer| &transfer.postings) {
        *expected.entry(posting.account).or_default() += posting.signed();
    }
    let mut between: BTreeMap<_, i128> = BTreeMap::new();
    for (id, statement) in &case.books.accounts {
        let moves = statement.postings.iter().filter(|seen| seen.kind == TransferKind::Move);
        let moved: i128 = moves.map(|seen| seen.posting.signed()).sum();
        let expected = expected.get(id).copied().unwrap_or(0) + moved;
        expect(findings, "balances are what was acknowledged", statement.account.balance == expected, || {
            format!("account {id} has {}, acknowledged are {expected}", statement.account.balance)
        });
        if let Some(clearing) = SystemAccount::from_id(*id).filter(|_| is_clearing(*id)) {
            let (shard, other) = (clearing.shard.number(), clearing.ordinal);
            let pair = (shard.min(other), shard.max(other), clearing.currency);
            *between.entry(pair).or_default() += statement.account.balance;
        }
    }
    for (pair, sum) in between.iter().filter(|(_, sum)| **sum != 0) {
        findings.push(Finding { claim: "nothing is left between shards", detail: format!("{sum} of {pair:?}") });
    }
}
