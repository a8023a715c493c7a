//! Pages: each row once, newest first, whatever their size and whatever happens meanwhile.

use super::ask;
use super::bench::{Bench, OWNER, every, every_from};
use super::queries::{place, view};
use super::workload;
use crate::query::{PostingQuery, TransferQuery};
use ledger::command::{Command, RecordDeadLetter};

/// Pages of one, two, three and many rows give the same list.
pub async fn paging_gives_each_posting_and_transfer_once(bench: &mut Bench) {
    workload::run(bench, 31, 150).await;
    let query = TransferQuery { account: None, filter: Default::default(), before: None, limit: 1000 };
    let all: Vec<_> = every_from(|before| bench.store().transfers(TransferQuery { before, ..query.clone() }), 1000)
        .await
        .iter()
        .map(view)
        .collect();
    assert!(all.is_sorted_by(|newer, older| (older.0, older.1) < (newer.0, newer.1)), "newest first, each once");
    let count: usize = bench.journal().await.iter().map(|entry| crate::transfers_of(&entry.outcome).len()).sum();
    assert_eq!(all.len(), count);
    let account = ask::account(1);
    let postings = PostingQuery { account, side: None, filter: Default::default(), before: None, limit: 1000 };
    let all_postings: Vec<_> =
        every_from(|before| bench.store().postings(PostingQuery { before, ..postings.clone() }), 1000)
            .await
            .iter()
            .map(place)
            .collect();
    assert_eq!(all_postings.len() as u64, bench.account(1).await.version);
    for limit in [1, 2, 3, 50] {
        let rows =
            every_from(|before| bench.store().transfers(TransferQuery { before, limit, ..query.clone() }), limit).await;
        assert_eq!(rows.iter().map(view).collect::<Vec<_>>(), all, "pages of {limit}");
        let rows =
            every_from(|before| bench.store().postings(PostingQuery { before, limit, ..postings.clone() }), limit)
                .await;
        assert_eq!(rows.iter().map(place).collect::<Vec<_>>(), all_postings, "pages of {limit}");
    }
}

fn dead_letter(number: u64) -> Command {
    let payload = number.to_le_bytes().into();
    Command::RecordDeadLetter(Box::new(RecordDeadLetter {
        code: "malformed".into(),
        detail: "no JSON".into(),
        payload,
    }))
}

/// Customers, their accounts, holds and dead letters: newest first, whoever chose the ids.
pub async fn paging_gives_each_row_of_a_list_once(bench: &mut Bench) {
    bench.open_accounts(&[1000]).await;
    // Ids that clients choose need not grow.
    let customers: Vec<u64> = vec![905, 901, 950, 3, 77];
    let accounts: Vec<u64> = vec![60, 20, 90, 30];
    for number in &customers {
        bench.ask(ask::register(*number, "Somebody")).await;
    }
    for number in &accounts {
        bench.ask(ask::open(Some(*number), OWNER, "EUR", 0)).await;
    }
    for number in 1..=5 {
        bench.ask(ask::hold(1, None, number, None)).await;
        bench.ask(dead_letter(number)).await;
    }
    bench.settle();
    let (store, now) = (bench.store(), bench.now());
    for limit in [1, 2, 3, 4, 100] {
        let rows = every(limit, |page| store.customers(page)).await;
        let ids: Vec<u64> = rows.iter().rev().map(|row| row.id.number()).collect();
        assert_eq!(ids[..1], [OWNER], "pages of {limit}");
        assert_eq!(ids[1..], customers, "pages of {limit}");
        let rows = every(limit, |page| store.accounts_of(ask::customer(OWNER), page, now)).await;
        let ids: Vec<u64> = rows.iter().rev().map(|row| row.id.number()).collect();
        assert_eq!(ids[1..], accounts, "pages of {limit}");
        let rows = every(limit, |page| store.holds_of(ask::account(1), page, now)).await;
        assert_eq!(
            rows.iter().map(|row| row.amount.minor_units()).collect::<Vec<_>>(),
            [5, 4, 3, 2, 1],
            "pages of {limit}"
        );
        let rows = every(limit, |page| store.dead_letters(page)).await;
        assert_eq!(rows.len(), 5, "pages of {limit}");
        assert!(rows.is_sorted_by(|newer, older| older.id < newer.id), "pages of {limit}");
    }
}

/// All of them, whatever the pages' size, and none of the bank's own.
pub async fn every_account_of_a_customer_is_listed_once(bench: &mut Bench) {
    bench.open_accounts(&[1000]).await;
    for number in [60, 20, 90, 30] {
        bench.ask(ask::open(Some(number), OWNER, "EUR", 0)).await;
    }
    bench.settle();
    for limit in [1, 2, 5, 100] {
        let (mut numbers, mut after) = (Vec::new(), None);
        loop {
            let page = bench.store().account_ids(after, limit).await.expect("the store answers");
            assert!(page.items.len() <= limit);
            numbers.extend(page.items.iter().map(|id| id.number()));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 20, 30, 60, 90], "pages of {limit}");
    }
}

/// What comes in while somebody reads page after page neither doubles nor hides a row.
pub async fn a_list_that_grows_does_not_disturb_its_pages(bench: &mut Bench) {
    bench.open_accounts(&[1000, 0]).await;
    for _ in 0..20 {
        bench.ask(ask::transfer(1, 2, 1)).await;
    }
    let mut versions = Vec::new();
    let mut before = None;
    loop {
        let query = PostingQuery { account: ask::account(2), side: None, filter: Default::default(), before, limit: 3 };
        let page = bench.store().postings(query).await.expect("the store answers");
        versions.extend(page.items.iter().filter_map(|row| row.parts()).map(|(posting, _, _)| posting.version));
        before = page.next;
        if before.is_none() {
            break;
        }
        bench.ask(ask::transfer(1, 2, 1)).await;
    }
    assert_eq!(versions, (1..=20).rev().collect::<Vec<_>>());
}
