//! Transfers between shards, four claims for every kind: it works; every message twice and out of order changes nothing
//! more; a refusal leaves the world as it was; a refund is one, however often it is told. The store under test is the home
//! of the saga, then one of the others.

use super::bench::Bench;
use super::kinds::Kind;
use super::net::{Figures, Net, PLACES};
use crate::query::TransferStatus;
use ledger::ids::TransferId;
use ledger::rejection::Rejection;

/// Every kind with the store under test at every place, each in a net of its own.
fn every_kind() -> impl Iterator<Item = (u64, usize, Kind)> {
    let all = (0..PLACES).flat_map(|own| Kind::ALL.map(|kind| (own, kind)));
    // The third shard of a saga over two would see nothing of it.
    let seen = all.filter(|(own, kind)| *own <= kind.parts().len());
    (0..).zip(seen).map(|(number, (own, kind))| (number, own, kind))
}

async fn assert_succeeded(net: &Net<'_>, kind: Kind, ids: &[TransferId], what: &str) {
    let mut expected = kind.effect(net);
    if kind == Kind::Reversal {
        expected.clear(); // it takes back what was there before
    }
    assert_eq!(net.moved().await, expected, "{what}");
    assert_eq!(ids.len(), kind.transfers(), "{what}");
    for id in ids {
        assert_eq!(net.status(*id).await, TransferStatus::Succeeded, "{what}: {id}");
    }
    net.assert_quiet(what).await;
}

async fn assert_failed(net: &Net<'_>, before: &Figures, ids: &[TransferId], rejection: Rejection, what: &str) {
    assert_eq!(net.figures().await, *before, "{what}");
    for id in ids {
        let TransferStatus::Failed(failure) = net.status(*id).await else { panic!("{what}: {id} did not fail") };
        assert_eq!(failure.rejection, rejection, "{what}: {id}");
    }
    net.assert_quiet(what).await;
}

/// Every kind succeeds and comes to what was asked for.
pub async fn every_kind_of_saga_works(bench: &mut Bench) {
    for (number, own, kind) in every_kind() {
        let what = format!("{kind:?}, seen from place {own}");
        let mut net = Net::new(bench, own, number).await;
        let ids = kind.start(&mut net).await;
        net.assert_even(&what).await;
        while net.carry_one().await.is_some() {
            net.assert_even(&what).await;
        }
        assert_succeeded(&net, kind, &ids, &what).await;
    }
}

/// A bus that doubles and reorders changes nothing more.
pub async fn every_message_of_a_saga_counts_once_and_in_its_order(bench: &mut Bench) {
    for (number, own, kind) in every_kind() {
        let what = format!("{kind:?}, seen from place {own}");
        let mut net = Net::new(bench, own, number).await;
        let ids = kind.start(&mut net).await;
        net.carry_badly().await;
        assert_succeeded(&net, kind, &ids, &what).await;
    }
}

/// Whichever part refuses, and however often that is told, everything is as it was before: balances, holds, counters of
/// limits, and no row is left.
pub async fn a_refused_saga_leaves_a_clean_world_and_one_refund(bench: &mut Bench) {
    let mut number = 0;
    for (_, own, kind) in every_kind() {
        for refuser in kind.parts() {
            for is_bad in [false, true] {
                let what = format!("{kind:?}, refused by {refuser}, seen from place {own}, bad bus: {is_bad}");
                let mut net = Net::new(bench, own, number).await;
                number += 1;
                let command = kind.prepare(&mut net).await;
                let before = net.figures().await;
                let ids = super::kinds::begin(&mut net, command).await;
                net.refusing = vec![*refuser];
                if is_bad {
                    net.carry_badly().await;
                } else {
                    while net.carry_one().await.is_some() {
                        net.assert_even(&what).await;
                    }
                }
                assert_failed(&net, &before, &ids, Rejection::InvariantBroken, &what).await;
            }
        }
    }
}

/// All parts refuse: the first no is the reason, and there is one refund.
pub async fn a_saga_that_everybody_refuses_fails_once(bench: &mut Bench) {
    for (number, own, kind) in every_kind() {
        let what = format!("{kind:?}, seen from place {own}");
        let mut net = Net::new(bench, own, number).await;
        let command = kind.prepare(&mut net).await;
        let before = net.figures().await;
        let ids = super::kinds::begin(&mut net, command).await;
        net.refusing = vec![1, 2];
        net.carry_badly().await;
        assert_failed(&net, &before, &ids, Rejection::InvariantBroken, &what).await;
    }
}

/// Closed and opened again after every single message, a shard goes on where it was: rows, positions and figures are
/// what they were.
pub async fn a_reopened_shard_goes_on_with_its_sagas(bench: &mut Bench) {
    for (number, own, kind) in every_kind() {
        for is_refused in [false, true] {
            let what = format!("{kind:?}, seen from place {own}, refused: {is_refused}");
            let mut net = Net::new(bench, own, 2 * number + u64::from(is_refused)).await;
            let command = kind.prepare(&mut net).await;
            let before = net.figures().await;
            let ids = super::kinds::begin(&mut net, command).await;
            net.refusing = kind.parts().iter().copied().filter(|_| is_refused).collect();
            loop {
                let seen = seen_of_sagas(&net, own).await;
                net.bench.reopen();
                assert_eq!(seen_of_sagas(&net, own).await, seen, "{what}");
                if net.carry_one().await.is_none() {
                    break;
                }
            }
            match is_refused {
                true => assert_failed(&net, &before, &ids, Rejection::InvariantBroken, &what).await,
                false => assert_succeeded(&net, kind, &ids, &what).await,
            }
        }
    }
}

/// What a reader sees of sagas and of what they move.
async fn seen_of_sagas(net: &Net<'_>, place: usize) -> String {
    let store = net.store(place);
    let query =
        crate::query::SagaQuery { until: ledger::time::Timestamp::MAX, before: None, limit: crate::query::PAGE_MAX };
    let open = store.open_sagas(query).await.expect("the store answers").items;
    let positions = store.positions().await.expect("the store answers");
    net.assert_counters(place, "as long as it is under way").await;
    format!("{open:?} {positions:?} {:?}", net.figures().await)
}
