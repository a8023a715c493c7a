//! Queries over runs of all levels, the tail and restarts agree with an honest scan.

use crate::bank::{Bank, account, transfers};
use ledger::time::Timestamp;
use ledger::transfer::Side;
use store::conformance::block_on;
use store::query::{BalanceQuery, EntryQuery, Filter, PostingQuery, TimeAxis, postings_on};
use store::{EntryRef, transfers_of};

const ACCOUNTS: u64 = 6;

fn filled() -> Bank {
    let mut bank = Bank::new();
    bank.open_accounts(ACCOUNTS);
    for round in 0..60 {
        bank.time.fetch_add(1_000_000, std::sync::atomic::Ordering::Relaxed);
        bank.submit(transfers(round * 67..(round + 1) * 67, ACCOUNTS)).expect("no fault");
        if round == 40 {
            bank.close();
            bank.open();
        }
    }
    bank
}

fn all_entries(bank: &Bank) -> Vec<EntryRef> {
    let mut entries: Vec<EntryRef> = Vec::new();
    loop {
        let after = entries.last().map_or(0, |entry| entry.header.sequence);
        let next = block_on(bank.store().entries(EntryQuery { after, limit: 1000 })).expect("no fault");
        if next.is_empty() {
            return entries;
        }
        entries.extend(next);
    }
}

fn listed(bank: &Bank, query: &PostingQuery) -> Vec<u64> {
    let mut versions = Vec::new();
    let mut query = query.clone();
    loop {
        let page = block_on(bank.store().postings(query.clone())).expect("no fault");
        versions.extend(page.items.iter().map(|row| row.parts().expect("a posting").0.version));
        match page.next {
            Some(next) => query.before = Some(next),
            None => return versions,
        }
    }
}

fn scanned(entries: &[EntryRef], query: &PostingQuery) -> Vec<u64> {
    let rows = entries.iter().rev().flat_map(|entry| postings_on(entry, query.account));
    let passing = rows.filter(|row| {
        let (posting, transferred, entry) = row.parts().expect("a posting");
        query.side.is_none_or(|side| side == posting.side) && query.filter.passes(transferred, entry.header.time)
    });
    passing.map(|row| row.parts().expect("a posting").0.version).collect()
}

#[test]
fn an_indexed_query_returns_what_a_full_scan_returns() {
    let bank = filled();
    let entries = all_entries(&bank);
    let time = |place: usize| Some(entries[place].header.time);
    let plain = Filter::default();
    let filters = [
        plain.clone(),
        Filter { reference: Some("order-3".into()), ..plain.clone() },
        Filter { metadata: vec![("group".into(), "4".into())], ..plain.clone() },
        Filter { since: time(500), until: time(2500), ..plain.clone() },
        Filter { since: time(900), axis: TimeAxis::Effective, ..plain.clone() },
        Filter { reference: Some("nothing".into()), ..plain },
    ];
    for filter in filters {
        for (side, limit) in [(None, 7), (Some(Side::Debit), 100), (Some(Side::Credit), 1000)] {
            for id in 1..=ACCOUNTS {
                let query = PostingQuery { account: account(id), side, filter: filter.clone(), before: None, limit };
                assert_eq!(listed(&bank, &query), scanned(&entries, &query), "{query:?}");
            }
        }
    }
}

#[test]
fn every_transfer_is_found_by_its_id() {
    let bank = filled();
    let entries = all_entries(&bank);
    let mut count = 0;
    for entry in &entries {
        for transferred in transfers_of(&entry.outcome) {
            let view = block_on(bank.store().transfer(transferred.id)).expect("no fault").expect("it is there");
            assert_eq!(view.transfer.transferred(), Some(transferred));
            count += 1;
        }
    }
    assert_eq!(count, 60 * 67);
}

#[test]
fn balances_of_the_past_follow_both_times() {
    let bank = filled();
    let entries = all_entries(&bank);
    let times = entries.iter().step_by(97).map(|entry| entry.header.time);
    for at in times.chain([Timestamp::ZERO, Timestamp::MAX]) {
        for axis in [TimeAxis::Booking, TimeAxis::Effective] {
            for id in 1..=ACCOUNTS {
                let rows = entries.iter().flat_map(|entry| postings_on(entry, account(id)));
                let expected: i128 = rows
                    .filter_map(|row| {
                        let (posting, transferred, entry) = row.parts()?;
                        let time = if axis == TimeAxis::Booking { entry.header.time } else { transferred.effective_at };
                        (time <= at).then_some(posting.signed())
                    })
                    .sum();
                let found = block_on(bank.store().balance_at(BalanceQuery { account: account(id), at, axis }))
                    .expect("no fault");
                assert_eq!(found, Some(expected), "account {id} at {at} by {axis:?}");
            }
        }
    }
}

#[test]
fn verification_is_clean_over_runs_checkpoints_and_tail() {
    let bank = filled();
    let report = bank.verify();
    assert!(report.is_clean(), "{report:?}");
    assert!(report.checks.iter().all(|check| 0 < check.count || check.name.contains("clearing")), "{report:?}");
}
