//! What readers see of transfers between shards: how far each is, its postings, lists, and what a replay makes of it.

use super::ask;
use super::bench::{Bench, every_from};
use super::kinds::{Kind, account_at};
use super::net::{Net, PLACES};
use crate::Store;
use crate::model::MemoryStore;
use crate::query::{Filter, Page, PostingQuery, SagaQuery, TimeAxis, TransferQuery, TransferStatus, TransferView};
use ledger::ids::{AccountId, TransferId};
use ledger::saga::StepKind;
use ledger::time::Timestamp;
use ledger::transfer::{Posting, Side};
use std::collections::BTreeMap;

const PLACES_OF_TEST: [usize; PLACES] = [0, 1, 2];

fn postings_of(view: &TransferView) -> Vec<(AccountId, i128)> {
    let rows = view.postings();
    rows.iter()
        .map(|row| row.parts().expect("it is there").0)
        .map(|row: &Posting| (row.account, row.signed()))
        .collect()
}

/// From the first step on a transfer is pending, then it has ended, and its postings tell what it took and gave back.
pub async fn a_transfer_tells_how_far_it_is(bench: &mut Bench) {
    for (number, (own, is_refused)) in (0..).zip(PLACES_OF_TEST.into_iter().flat_map(|own| [(own, false), (own, true)]))
    {
        let mut net = Net::new(bench, own, number).await;
        net.refusing = if is_refused { vec![1] } else { vec![] };
        let id = Kind::LegsOverThree.start(&mut net).await[0];
        loop {
            assert_eq!(net.status(id).await, TransferStatus::Pending);
            assert!(!net.view(0, id).await.and_then(|view| view.row()).expect("it is there").succeeded);
            let step = net.carry_one().await.expect("it ends some time");
            if matches!(step.kind, StepKind::Completed | StepKind::Failed) {
                break;
            }
        }
        let view = net.view(0, id).await.expect("it is there");
        assert_eq!(view.status() == TransferStatus::Succeeded, !is_refused);
        assert_eq!(view.amount(), 180);
        let from = account_at(&net, (0, 1));
        let own_postings = postings_of(&view).into_iter().filter(|(account, _)| *account == from);
        let expected: Vec<i128> = if is_refused { vec![-100, 100] } else { vec![-100] };
        assert_eq!(own_postings.map(|(_, signed)| signed).collect::<Vec<_>>(), expected);
        let sum_of = |view: &TransferView| postings_of(view).iter().map(|(_, signed)| signed).sum::<i128>();
        for place in 0..PLACES {
            if let Some(view) = net.view(place, id).await {
                assert_eq!(sum_of(&view), 0, "place {place}");
                assert_eq!(view.ordered().is_some(), place == 0 || view_begins_with_order(&view));
            } else {
                assert!(is_refused && place == 1, "place {place} has postings");
            }
        }
    }
}

/// A part that was prepared keeps the order it was prepared for.
fn view_begins_with_order(view: &TransferView) -> bool {
    crate::query::saga_step(&view.transfer.entry).is_some_and(|step| step.order.is_some())
}

/// Each transfer of a batch tells its own end, on the home shard as elsewhere.
pub async fn each_transfer_of_a_batch_tells_its_end(bench: &mut Bench) {
    for (number, own) in (0..).zip(PLACES_OF_TEST) {
        for (number, kind) in (2 * number..).zip([Kind::BatchOverTwo, Kind::BatchOverThree]) {
            let mut net = Net::new(bench, own, number).await;
            for refusing in [vec![], vec![1]] {
                net.refusing = refusing.clone();
                let ids = kind.start(&mut net).await;
                for id in &ids {
                    assert_eq!(net.status(*id).await, TransferStatus::Pending);
                }
                net.carry_all().await;
                net.bench.settle();
                for id in &ids {
                    let ended = net.status(*id).await;
                    assert_eq!(ended == TransferStatus::Succeeded, refusing.is_empty(), "{kind:?}: {id} {ended:?}");
                    let mut sums: BTreeMap<AccountId, i128> = BTreeMap::new();
                    for place in 0..PLACES {
                        for (account, signed) in net.view(place, *id).await.iter().flat_map(postings_of) {
                            *sums.entry(account).or_insert(0) += signed;
                        }
                    }
                    sums.retain(|account, sum| account.number() < 1 << 62 && *sum != 0);
                    assert_eq!(sums.is_empty(), !refusing.is_empty(), "{kind:?}: {id} {sums:?}");
                }
            }
        }
    }
}

async fn listed(net: &Net<'_>, place: usize, account: Option<AccountId>, filter: Filter) -> Vec<TransferId> {
    let store = net.store(place);
    let list = |before| store.transfers(TransferQuery { account, filter: filter.clone(), before, limit: 2 });
    let views = every_from(list, 2).await;
    views.iter().map(|view| view.transfer.transferred().expect("it is there").id).collect()
}

/// Lists have each transfer once: where it began, and by account on every shard it touches; a refund is no second one.
pub async fn lists_have_each_transfer_once(bench: &mut Bench) {
    for own in PLACES_OF_TEST {
        let mut net = Net::new(bench, own, own as u64).await;
        let mut begun: Vec<TransferId> = Vec::new();
        let mut succeeded: Vec<TransferId> = Vec::new();
        for kind in [Kind::Transfer, Kind::LegsOverThree, Kind::BatchOverTwo, Kind::BatchOverThree] {
            for refusing in [vec![], vec![1]] {
                net.refusing = refusing.clone();
                let ids = kind.start(&mut net).await;
                net.carry_all().await;
                begun.extend(&ids);
                succeeded.extend(if refusing.is_empty() { ids } else { Vec::new() });
            }
        }
        net.bench.settle();
        begun.reverse();
        let all = listed(&net, 0, None, Filter::default()).await;
        let own_begun: Vec<TransferId> = all.into_iter().filter(|id| begun.contains(id)).collect();
        assert_eq!(own_begun, begun, "seen from place {own}");
        for part in [1, 2] {
            let elsewhere = listed(&net, part, None, Filter::default()).await;
            assert!(elsewhere.iter().all(|id| !begun.contains(id)), "what began elsewhere is not listed here");
            for account in 1..=super::net::ACCOUNTS {
                let id = account_at(&net, (part, account));
                let mut of_account = listed(&net, part, Some(id), Filter::default()).await;
                of_account.retain(|id| begun.contains(id));
                let mut once = of_account.clone();
                once.sort();
                once.dedup();
                assert_eq!(once.len(), of_account.len(), "account {id} of place {part}: {of_account:?}");
            }
        }
        // Of an account that gave, a transfer that failed is listed too: it was posted and given back.
        let mut of_first = listed(&net, 0, Some(account_at(&net, (0, 1))), Filter::default()).await;
        of_first.retain(|id| begun.contains(id));
        assert!(of_first.iter().any(|id| !succeeded.contains(id)), "{of_first:?}");
        let mut once = of_first.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), of_first.len(), "{of_first:?}");
    }
}

/// References and metadata are found on every shard that a transfer touches.
pub async fn notes_are_found_on_every_shard(bench: &mut Bench) {
    for own in PLACES_OF_TEST {
        let mut net = Net::new(bench, own, own as u64).await;
        let numbers = [(0, 1), (1, 1), (2, 1)].map(|(place, account)| net.number(place, account));
        let ledger::command::Command::Transfer(transfer) =
            ask::legs(&[(numbers[0], numbers[1], 7), (numbers[0], numbers[2], 8)])
        else {
            unreachable!("it is a transfer")
        };
        let transfer = ask::noted(transfer, None, Some("rent"), &[("order", "17")]);
        let command = net.between(ledger::command::Command::Transfer(transfer), &numbers.map(ask::account));
        let id = super::kinds::begin(&mut net, command).await[0];
        net.carry_all().await;
        net.bench.settle();
        let filters = [
            Filter { reference: Some("rent".into()), ..Filter::default() },
            Filter { metadata: vec![("order".into(), "17".into())], ..Filter::default() },
        ];
        for filter in filters {
            assert_eq!(listed(&net, 0, None, filter.clone()).await, [id]);
            for (place, number) in numbers.into_iter().enumerate() {
                assert_eq!(listed(&net, place, Some(ask::account(number)), filter.clone()).await, [id]);
                let none = Filter { reference: Some("other".into()), ..filter.clone() };
                assert!(listed(&net, place, Some(ask::account(number)), none).await.is_empty());
            }
        }
    }
}

/// Versions have no gaps and balances run, refunds among them, on customers' accounts and on clearing accounts.
pub async fn histories_between_shards_have_no_gaps(bench: &mut Bench) {
    for own in PLACES_OF_TEST {
        let mut net = Net::new(bench, own, own as u64).await;
        net.ask(0, ask::deposit_at(net.shard(0), net.number(0, 1), 5000)).await;
        for kind in [Kind::Transfer, Kind::LegsOverTwo, Kind::LegsOverThree, Kind::BatchOverThree, Kind::LastCapture] {
            for refusing in [vec![], vec![2], vec![1]] {
                net.refusing = refusing;
                kind.start(&mut net).await;
                net.carry_all().await;
            }
        }
        net.bench.settle();
        for place in 0..PLACES {
            let mut rows: Vec<(AccountId, u64, i128)> = Vec::new();
            for account in 1..=super::net::ACCOUNTS {
                let row = net.account(place, account).await;
                rows.push((row.id, row.version, row.balance));
            }
            let own_rows = net.store(place).system_accounts().await.expect("the store answers");
            rows.extend(own_rows.iter().map(|row| (row.id, row.version, row.balance)));
            for (account, version, balance) in rows {
                assert_history(net.store(place), account, version, balance).await;
            }
        }
    }
}

async fn assert_history(store: &dyn Store, account: AccountId, version: u64, balance: i128) {
    let list =
        |before| store.postings(PostingQuery { account, side: None, filter: Filter::default(), before, limit: 7 });
    let rows = every_from(list, 7).await;
    let postings: Vec<Posting> = rows.iter().map(|row| *row.parts().expect("it is there").0).collect();
    let versions: Vec<u64> = postings.iter().map(|posting| posting.version).collect();
    assert_eq!(versions, (1..=version).rev().collect::<Vec<_>>(), "account {account}");
    let mut running = 0;
    for posting in postings.iter().rev() {
        running += posting.signed();
        assert_eq!(posting.balance_after, running, "account {account}, version {}", posting.version);
    }
    assert_eq!(running, balance, "account {account}");
    for axis in [TimeAxis::Booking, TimeAxis::Effective] {
        let query = crate::query::BalanceQuery { account, at: Timestamp::MAX, axis };
        assert_eq!(store.balance_at(query).await.expect("the store answers"), Some(balance));
    }
    let debits = postings.iter().filter(|posting| posting.side == Side::Debit).count();
    let query = PostingQuery { account, side: Some(Side::Debit), filter: Filter::default(), before: None, limit: 1000 };
    assert_eq!(store.postings(query).await.expect("the store answers").items.len(), debits);
}

/// Open sagas come newest first, page by page, and those begun after a time are left out.
pub async fn open_sagas_are_paged(bench: &mut Bench) {
    let mut net = Net::new(bench, 0, 0).await;
    let mut ids = Vec::new();
    for _ in 0..7 {
        ids.push(Kind::BatchOverTwo.start(&mut net).await[0]);
        net.bench.advance(1_000_000);
    }
    let now = net.bench.now().microseconds();
    ids.reverse();
    let at = |microseconds| Timestamp::from_microseconds(microseconds).expect("a time");
    for (until, expected) in [(now, &ids[..]), (now - 3_000_000, &ids[2..]), (now - 7_000_001, &[])] {
        for limit in [1, 2, 7, 50] {
            let store = net.store(0);
            let page = |before| store.open_sagas(SagaQuery { until: at(until), before, limit });
            let sagas = every_from(page, limit).await;
            let found: Vec<TransferId> = sagas.iter().map(|saga| saga.order.id()).collect();
            assert_eq!(found, expected, "until {until}, limit {limit}");
        }
    }
    let oldest = SagaQuery { until: at(now - 7_000_000), before: None, limit: 10 };
    let Page { items, .. } = net.store(0).open_sagas(oldest).await.expect("the store answers");
    assert_eq!(items.iter().map(|saga| saga.order.id()).collect::<Vec<_>>(), ids[6..]);
    net.assert_counters(0, "seven are open").await;
    net.carry_all().await;
    let all = SagaQuery { until: at(now), before: None, limit: 10 };
    let Page { items, next, .. } = net.store(0).open_sagas(all).await.expect("the store answers");
    assert!(items.is_empty() && next.is_none());
}

/// The journal alone leads to the same accounts, sagas, parts and positions, at every moment.
pub async fn a_replay_of_the_journal_leads_to_the_same_sagas(bench: &mut Bench) {
    for own in PLACES_OF_TEST {
        let mut net = Net::new(bench, own, own as u64).await;
        net.ask(0, ask::deposit_at(net.shard(0), net.number(0, 1), 5000)).await;
        for kind in [Kind::LegsOverThree, Kind::BatchOverThree, Kind::LastCapture, Kind::Transfer, Kind::Reversal] {
            for refusing in [vec![], vec![1]] {
                net.refusing = refusing;
                kind.start(&mut net).await;
                loop {
                    assert_replayed(&net, own).await;
                    if net.carry_one().await.is_none() {
                        break;
                    }
                }
            }
        }
    }
}

pub(super) async fn assert_replayed(net: &Net<'_>, own: usize) {
    let store = net.store(own);
    let replayed = MemoryStore::from_entries(net.bench.identity(), net.bench.clock(), net.journal(own).await);
    let query = SagaQuery { until: Timestamp::MAX, before: None, limit: 1000 };
    let (one, other) = (store.open_sagas(query).await, replayed.open_sagas(query).await);
    assert_eq!(one.expect("the store answers").items, other.expect("the model answers").items);
    let (one, other) = (store.positions().await, replayed.positions().await);
    assert_eq!(one.expect("the store answers"), other.expect("the model answers"));
    net.assert_counters(own, "before a replay").await;
    let (one, other) = (store.system_accounts().await, replayed.system_accounts().await);
    assert_eq!(one.expect("the store answers"), other.expect("the model answers"));
    let now = net.bench.now();
    for account in 1..=super::net::ACCOUNTS {
        let id = account_at(net, (own, account));
        let (one, other) = (store.account(id, now).await, replayed.account(id, now).await);
        assert_eq!(one.expect("the store answers"), other.expect("the model answers"));
    }
}
