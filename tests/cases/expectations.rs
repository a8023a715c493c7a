//! What several cases share: doing things at the same time, waiting for a condition, remembering balances.

use crate::support::bank::Bank;
use serde_json::Value;
use std::sync::Barrier;

/// Does the same on so many threads that start together; the results by thread.
pub(crate) fn in_parallel<T: Send>(threads: usize, act: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(threads);
    std::thread::scope(|scope| {
        let run = |index| {
            barrier.wait();
            act(index)
        };
        let handles: Vec<_> = (0..threads).map(|index| scope.spawn(move || run(index))).collect();
        handles.into_iter().map(|handle| handle.join().expect("no thread fails")).collect()
    })
}

/// Asks again until the answer is this one; gives up after very many answers.
#[track_caller]
pub(crate) fn eventually(expected: &str, ask: impl Fn() -> String) {
    let mut last = String::new();
    for _ in 0..100_000 {
        last = ask();
        if last == expected {
            return;
        }
    }
    panic!("waited for {expected}, but it stayed {last}");
}

/// The balances of accounts, to compare with later.
pub(crate) fn balances(bank: &Bank, accounts: &[&str]) -> Vec<Value> {
    accounts.iter().map(|account| bank.account(account)["balance"].clone()).collect()
}

/// Count of the answers with this status.
pub(crate) fn count(statuses: &[u16], status: u16) -> usize {
    statuses.iter().filter(|known| **known == status).count()
}

/// Numbers that look random and are the same in every run.
#[derive(Debug)]
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}
