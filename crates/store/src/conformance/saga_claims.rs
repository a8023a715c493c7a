//! Captures and reversals between shards: the hold and the transfer they lay claim to are given back when they fail.

use super::ask;
use super::bench::{Bench, held, rejection};
use super::kinds::{Kind, account_at, begin};
use super::moves::move_account;
use super::net::Net;
use super::saga_ends::{DAY_US, failure_of};
use ledger::amount::Amount;
use ledger::command::{CaptureHold, Command};
use ledger::hold::{Hold, HoldStatus};
use ledger::ids::{AccountId, HoldId};
use ledger::rejection::Rejection;

async fn hold_of(net: &Net<'_>, id: HoldId) -> Hold {
    let hold = net.store(0).hold(id, net.bench.now()).await.expect("the store answers");
    hold.unwrap_or_else(|| panic!("hold {id} is there"))
}

fn capture(net: &Net<'_>, hold: HoldId, minor_units: Option<u64>, is_final: bool) -> Command {
    let (from, to) = (account_at(net, (0, 1)), account_at(net, (1, 1)));
    let amount = minor_units.map(ask::amount);
    let capture = CaptureHold { hold, amount, to: Some(to), is_final, note: None };
    net.between(Command::CaptureHold(Box::new(capture)), &[from, to])
}

/// The hold of a capture that failed is open again, unless its time is over: then the money is available.
pub async fn a_hold_is_open_again_unless_its_time_is_over(bench: &mut Bench) {
    for own in [0, 1] {
        for (number, (is_late, minor_units)) in
            (4 * own as u64..).zip([(false, None), (true, None), (false, Some(100)), (true, Some(100))])
        {
            let mut net = Net::new(bench, own, number).await;
            let expires_at = net.bench.now().microseconds() + DAY_US;
            let expires_at = ledger::time::Timestamp::from_microseconds(expires_at);
            let id = held(&net.ask(0, ask::hold(net.number(0, 1), None, 300, expires_at)).await).id;
            let command = capture(&net, id, minor_units, minor_units.is_none());
            let saga = begin(&mut net, command).await[0];
            if is_late {
                net.bench.advance(DAY_US);
            }
            net.refusing = vec![1];
            net.carry_all().await;
            failure_of(&net, saga).await;
            let (hold, account) = (hold_of(&net, id).await, net.account(0, 1).await);
            let reserved = if is_late { 0 } else { 300 };
            let status = if is_late { HoldStatus::Expired } else { HoldStatus::Held };
            assert_eq!((hold.status, hold.captured, account.balance), (status, Amount::ZERO, 1000));
            assert_eq!((account.held, account.holds_active), (reserved, u32::from(!is_late)));
            let (_, of_day, of_month) = account.debits.on(net.bench.now().day()).parts();
            let recorded = account.next_expiry == ledger::time::Timestamp::MAX;
            if is_late && minor_units.is_none() {
                assert_eq!((of_day, of_month, recorded), (0, 0, true));
            } else if !is_late {
                assert_eq!((of_day, of_month), (300, 300));
            }
            net.assert_quiet("after a capture that failed").await;
        }
    }
}

/// A hold that opens again after its last capture failed reserves no more than there is: what that capture released may
/// be spent by then.
pub async fn a_hold_that_opens_again_reserves_no_more_than_there_is(bench: &mut Bench) {
    let mut net = Net::new(bench, 0, 0).await;
    let id = held(&net.ask(0, ask::hold(net.number(0, 1), None, 1000, None)).await).id;
    let command = capture(&net, id, Some(600), true);
    begin(&mut net, command).await;
    net.ask(0, ask::transfer(net.number(0, 1), net.number(0, 2), 350)).await;
    net.refusing = vec![1];
    net.carry_all().await;
    let (hold, account) = (hold_of(&net, id).await, net.account(0, 1).await);
    assert_eq!((hold.status, hold.remaining(), account.held), (HoldStatus::Held, ask::amount(650), 650));
    assert_eq!((account.balance, account.available()), (650, 0));
    net.refusing.clear();
    let command = capture(&net, id, None, true);
    begin(&mut net, command).await;
    net.carry_all().await;
    assert_eq!(net.account(0, 1).await.balance, 0);
    assert_eq!(net.account(1, 1).await.balance, 1650);
    net.assert_quiet("after the second capture").await;
}

/// Two captures under way at once, the last of which ended the hold, give back what each took.
pub async fn captures_that_fail_one_after_the_other_give_back_what_each_took(bench: &mut Bench) {
    let mut net = Net::new(bench, 0, 0).await;
    let before = net.figures().await;
    let id = held(&net.ask(0, ask::hold(net.number(0, 1), None, 1000, None)).await).id;
    for (minor_units, is_final) in [(Some(300), false), (None, true)] {
        let command = capture(&net, id, minor_units, is_final);
        begin(&mut net, command).await;
    }
    assert_eq!(hold_of(&net, id).await.status, HoldStatus::Captured);
    net.refusing = vec![1];
    net.carry_all().await;
    let (hold, account) = (hold_of(&net, id).await, net.account(0, 1).await);
    assert_eq!((hold.status, hold.captured, account.held), (HoldStatus::Held, Amount::ZERO, 1000));
    net.ask(0, Command::VoidHold(id)).await;
    assert_eq!(net.figures().await, before);
}

/// A transfer is reversed once, and a reversal under way is the only one; one that failed gives the claim back.
pub async fn a_reversal_under_way_is_the_only_one(bench: &mut Bench) {
    for own in [0, 1] {
        let mut net = Net::new(bench, own, own as u64).await;
        let original = Kind::Transfer.start(&mut net).await[0];
        let accounts = [account_at(&net, (0, 1)), account_at(&net, (1, 1))];
        let reverse = net.between(ask::reverse(original), &accounts);
        assert_eq!(rejection(&net.ask(0, reverse.clone()).await), Rejection::TransferNotSucceeded(original));
        net.carry_all().await;
        begin(&mut net, reverse.clone()).await;
        assert_eq!(rejection(&net.ask(0, reverse.clone()).await), Rejection::ReversalPending(original));
        net.refusing = vec![1];
        net.carry_all().await;
        assert_eq!(net.view(0, original).await.expect("it is there").reversed_by, None);
        net.refusing.clear();
        let by = begin(&mut net, reverse.clone()).await[0];
        net.carry_all().await;
        assert_eq!(net.view(0, original).await.expect("it is there").reversed_by, Some(by));
        let again = rejection(&net.ask(0, reverse).await);
        assert_eq!(again, Rejection::AlreadyReversed { transfer: original, by: Some(by) });
        let reverse = net.between(ask::reverse(by), &accounts);
        assert_eq!(rejection(&net.ask(0, reverse).await), Rejection::AlreadyReversed { transfer: by, by: None });
        assert!(net.moved().await.is_empty());
        net.assert_quiet("after reversals").await;
    }
}

/// What was refunded cannot be reversed on top.
pub async fn a_failed_transfer_is_not_reversed(bench: &mut Bench) {
    let mut net = Net::new(bench, 0, 0).await;
    net.refusing = vec![1];
    let id = Kind::Transfer.start(&mut net).await[0];
    net.carry_all().await;
    let reverse = net.between(ask::reverse(id), &[account_at(&net, (0, 1)), account_at(&net, (1, 1))]);
    assert_eq!(rejection(&net.ask(0, reverse).await), Rejection::TransferNotSucceeded(id));
}

/// A transfer within a shard, one of whose accounts has moved since, is reversed between shards.
pub async fn a_transfer_of_one_shard_is_reversed_between_two(bench: &mut Bench) {
    for (number, (own, is_refused)) in (0..).zip([(0, false), (0, true), (1, false), (1, true)]) {
        let mut net = Net::new(bench, own, number).await;
        let (from, to): (AccountId, AccountId) = (account_at(&net, (0, 1)), account_at(&net, (0, 2)));
        let answer = net.ask(0, ask::transfer(from.number(), to.number(), 300)).await;
        let original = super::bench::transferred(&answer).id;
        move_account(&mut net, 0, 1, to).await;
        net.refusing = if is_refused { vec![1] } else { vec![] };
        let reverse = net.between(ask::reverse(original), &[from, to]);
        let by = begin(&mut net, reverse).await[0];
        net.carry_all().await;
        let (balance, there, by) = if is_refused { (700, 1300, None) } else { (1000, 1000, Some(by)) };
        assert_eq!(net.view(0, original).await.expect("it is there").reversed_by, by);
        let moved = net.store(1).account(to, net.bench.now()).await.expect("the store answers");
        assert_eq!((net.account(0, 1).await.balance, moved.map(|row| row.balance)), (balance, Some(there)));
        net.assert_quiet("after a reversal that crosses").await;
    }
}
