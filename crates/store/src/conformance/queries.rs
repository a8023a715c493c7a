//! What is asked of history is what a walk through the journal finds.

use super::ask;
use super::bench::{Bench, START_US, every_from};
use super::workload::{self, ACCOUNTS, REFERENCES, Random, before};
use crate::query::{
    BalanceQuery, EntryQuery, Filter, PageQuery, PostingQuery, PostingRow, TimeAxis, TransferQuery, TransferView,
    postings_on,
};
use crate::{EntryRef, TransferRef, transfers_of};
use ledger::account::{SystemAccount, SystemKind};
use ledger::command::{Command, OpenSystemAccount};
use ledger::ids::{AccountId, DeadLetterId, HoldId, Sequence, ShardId, TransferId};
use ledger::time::Timestamp;
use ledger::transfer::Side;

/// A random time of the workload, or somewhat before or after it; often the very instant of an entry.
fn time(random: &mut Random, journal: &[EntryRef], now: Timestamp) -> Timestamp {
    if random.one_in(2) {
        let entry = random.of(journal);
        let dated = transfers_of(&entry.outcome).first().map(|transferred| transferred.effective_at);
        return dated.unwrap_or(entry.header.time);
    }
    let span = now.microseconds() - (START_US - workload::PAST_US);
    before(now.saturating_add(3_600_000_000), random.below(span + 7_200_000_000))
}

fn filter(random: &mut Random, journal: &[EntryRef], now: Timestamp) -> Filter {
    Filter {
        since: random.one_in(3).then(|| time(random, journal, now)),
        until: random.one_in(3).then(|| time(random, journal, now)),
        axis: if random.one_in(2) { TimeAxis::Booking } else { TimeAxis::Effective },
        reference: random
            .one_in(3)
            .then(|| if random.one_in(9) { "nobody" } else { random.of(&REFERENCES) }.to_string()),
        metadata: if random.one_in(3) { owned(&random.metadata()) } else { Vec::new() },
    }
}

fn owned(metadata: &[(&str, &str)]) -> Vec<(String, String)> {
    metadata.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

/// Which posting a row is.
pub(super) fn place(row: &PostingRow) -> (Sequence, usize, usize) {
    (row.transfer.entry.header.sequence, row.transfer.index, row.index)
}

/// Which transfer a view shows, and what undid it.
pub(super) fn view(view: &TransferView) -> (Sequence, usize, Option<TransferId>) {
    (view.transfer.entry.header.sequence, view.transfer.index, view.reversed_by)
}

/// Two hundred random questions for postings.
pub async fn postings_are_what_a_full_scan_finds(bench: &mut Bench) {
    workload::run(bench, 21, 250).await;
    let journal = bench.journal().await;
    let mut random = Random::new(22);
    let mut found = 0;
    for _ in 0..200 {
        let account = if random.one_in(8) { ask::cash("EUR") } else { ask::account(1 + random.below(ACCOUNTS)) };
        let side = random.maybe(&[Side::Debit, Side::Credit]).copied();
        let (filter, limit) = (filter(&mut random, &journal, bench.now()), 1 + random.below(60));
        let limit = usize::try_from(limit).expect("a small number");
        let query = PostingQuery { account, side, filter, before: None, limit };
        let list = |before| bench.store().postings(PostingQuery { before, ..query.clone() });
        let rows: Vec<_> = every_from(list, limit).await.iter().map(place).collect();
        let expected: Vec<_> = scan_postings(&journal, &query);
        assert_eq!(rows, expected, "{query:?}");
        found += rows.len();
    }
    assert!(1000 < found, "the questions have answers");
}

fn scan_postings(journal: &[EntryRef], query: &PostingQuery) -> Vec<(Sequence, usize, usize)> {
    let rows = journal.iter().rev().flat_map(|entry| postings_on(entry, query.account));
    let passing = rows.filter(|row| {
        let (posting, transferred, entry) = row.parts().expect("a posting's entry has it");
        query.side.is_none_or(|side| side == posting.side) && query.filter.passes(transferred, entry.header.time)
    });
    passing.map(|row| place(&row)).collect()
}

/// Two hundred random questions for transfers.
pub async fn transfers_are_what_a_full_scan_finds(bench: &mut Bench) {
    workload::run(bench, 23, 250).await;
    let journal = bench.journal().await;
    let mut random = Random::new(24);
    let mut found = 0;
    for _ in 0..200 {
        let account = random.one_in(2).then(|| ask::account(1 + random.below(ACCOUNTS)));
        let (filter, limit) = (filter(&mut random, &journal, bench.now()), 1 + random.below(60));
        let limit = usize::try_from(limit).expect("a small number");
        let query = TransferQuery { account, filter, before: None, limit };
        let list = |before| bench.store().transfers(TransferQuery { before, ..query.clone() });
        let rows: Vec<_> = every_from(list, limit).await.iter().map(view).collect();
        let expected = scan_transfers(&journal, &query);
        assert_eq!(rows, expected, "{query:?}");
        found += rows.len();
    }
    assert!(1000 < found, "the questions have answers");
}

fn scan_transfers(journal: &[EntryRef], query: &TransferQuery) -> Vec<(Sequence, usize, Option<TransferId>)> {
    let all = || {
        journal.iter().rev().flat_map(|entry| {
            (0..transfers_of(&entry.outcome).len()).rev().map(|index| TransferRef { entry: entry.clone(), index })
        })
    };
    let passes = |transfer: &TransferRef| {
        let transferred = transfer.transferred().expect("a transfer's entry has it");
        let on_account = |account| transferred.postings.iter().any(|posting| posting.account == account);
        query.account.is_none_or(on_account) && query.filter.passes(transferred, transfer.entry.header.time)
    };
    let reversed_by = |id| {
        let mut reversals = all().filter_map(|transfer| transfer.transferred().map(|made| (made.reverses, made.id)));
        reversals.find(|(reverses, _)| reverses.is_some_and(|reversed| Some(reversed.transfer) == id)).map(|(_, by)| by)
    };
    let found = all().filter(passes);
    found
        .map(|transfer| {
            (transfer.entry.header.sequence, transfer.index, reversed_by(transfer.transferred().map(|made| made.id)))
        })
        .collect()
}

/// The balance at a time is the sum of all postings up to it, whether booking times or value dates count.
pub async fn balances_at_a_time_add_up_on_both_axes(bench: &mut Bench) {
    workload::run(bench, 25, 250).await;
    let journal = bench.journal().await;
    let mut random = Random::new(26);
    for _ in 0..300 {
        let account = if random.one_in(8) { ask::cash("EUR") } else { ask::account(1 + random.below(ACCOUNTS)) };
        let axis = if random.one_in(2) { TimeAxis::Booking } else { TimeAxis::Effective };
        let at = time(&mut random, &journal, bench.now());
        let query = BalanceQuery { account, at, axis };
        let rows: Vec<_> = journal.iter().flat_map(|entry| postings_on(entry, account)).collect();
        let counted = rows.iter().filter_map(|row| {
            let (posting, transferred, entry) = row.parts().expect("a posting's entry has it");
            let time = if axis == TimeAxis::Booking { entry.header.time } else { transferred.effective_at };
            (time <= at).then(|| posting.signed())
        });
        let expected: i128 = counted.sum();
        assert_eq!(bench.store().balance_at(query).await.expect("the store answers"), Some(expected), "{query:?}");
    }
}

/// Whoever follows the journal gets every entry once, in order, however it asks.
pub async fn entries_come_in_order_without_gaps(bench: &mut Bench) {
    workload::run(bench, 27, 120).await;
    let head = bench.store().head();
    for limit in [1, 7, 1000] {
        let mut after = 0;
        while after < head {
            let entries = bench.store().entries(EntryQuery { after, limit }).await.expect("the store answers");
            assert!((1..=limit).contains(&entries.len()), "{} entries of at most {limit}", entries.len());
            for entry in entries {
                after += 1;
                assert_eq!(entry.header.sequence, after);
            }
        }
    }
    let beyond = bench.store().entries(EntryQuery { after: head, limit: 10 }).await.expect("the store answers");
    assert!(beyond.is_empty());
}

/// Ids that nothing has are absent, not faults.
pub async fn what_does_not_exist_is_not_found(bench: &mut Bench) {
    bench.open_accounts(&[100]).await;
    let (store, now) = (bench.store(), bench.now());
    let (account, page) = (ask::account(77), PageQuery { before: None, limit: 10, status: None });
    let nowhere = (1 << 62) + 5;
    assert_eq!(store.account(account, now).await.expect("the store answers"), None);
    assert_eq!(
        store.account(ask::cash("USD"), now).await.expect("the store answers"),
        None,
        "no dollar was ever paid in"
    );
    assert_eq!(store.customer(ask::customer(77)).await.expect("the store answers"), None);
    assert_eq!(store.hold(HoldId::new(nowhere).expect("an id"), now).await.expect("the store answers"), None);
    for id in [1, nowhere, u64::MAX >> 1] {
        let found = store.transfer(TransferId::new(id).expect("an id")).await.expect("the store answers");
        assert!(found.is_none(), "{id}");
    }
    assert!(store.dead_letter(DeadLetterId::new(nowhere).expect("an id")).await.expect("the store answers").is_none());
    assert!(store.accounts_of(ask::customer(77), page, now).await.expect("the store answers").items.is_empty());
    assert!(store.holds_of(account, page, now).await.expect("the store answers").items.is_empty());
    let query = PostingQuery { account, side: None, filter: Filter::default(), before: None, limit: 10 };
    assert!(store.postings(query).await.expect("the store answers").items.is_empty());
    let query = BalanceQuery { account, at: now, axis: TimeAxis::Booking };
    assert_eq!(store.balance_at(query).await.expect("the store answers"), None);
}

/// The bank's own accounts are listed when they were opened or have postings, not because somebody named them.
pub async fn only_accounts_of_the_bank_that_are_used_are_listed(bench: &mut Bench) {
    bench.open_accounts(&[100]).await;
    bench.ask(ask::deposit_in("CZK", 1, 5)).await; // rejected: the account is in euros
    bench.dry_run(ask::deposit_in("USD", 1, 5)).await;
    let open = OpenSystemAccount { kind: SystemKind::Atm, name: "Main square".into(), currency: ask::currency("EUR") };
    bench.ask(Command::OpenSystemAccount(Box::new(open))).await;
    let listed = bench.store().system_accounts().await.expect("the store answers");
    let places: Vec<_> = listed
        .iter()
        .map(|account| SystemAccount::from_id(account.id).map(|place| (place.kind, place.currency)))
        .collect();
    assert_eq!(places, [Some((SystemKind::Cash, ask::currency("EUR"))), Some((SystemKind::Atm, ask::currency("EUR")))]);
    let ids: Vec<AccountId> = listed.iter().map(|account| account.id).collect();
    assert!(ids.is_sorted());
    assert_eq!(listed[0].balance, -100);
    assert_eq!(listed[1].note.as_deref(), Some("Main square"));
    assert_eq!(bench.store().shard(), ShardId::default());
}

/// The counters that are about the journal say what is in it.
pub async fn counters_agree_with_the_journal(bench: &mut Bench) {
    let before = bench.store().stats();
    workload::run(bench, 28, 100).await;
    let journal = bench.journal().await;
    let stats = bench.store().stats();
    let transfers: usize = journal.iter().map(|entry| transfers_of(&entry.outcome).len()).sum();
    assert_eq!(stats.entries - before.entries, journal.len() as u64);
    assert_eq!(stats.transfers - before.transfers, transfers as u64);
    assert!(stats.commits - before.commits <= stats.entries - before.entries);
    assert!(stats.commits != before.commits);
    assert_eq!((stats.poison_commands, stats.poisoned), (0, None));
}
