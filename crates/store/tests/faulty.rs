//! The store that fails on purpose: it fails as scripted, keeps every promise otherwise, and retries are safe on it.

use ledger::time::Timestamp;
use std::sync::Arc;
use store::conformance::workload::Random;
use store::conformance::{Fixture, ask, bench, block_on};
use store::faulty::{FaultyStore, Reading, Submitting};
use store::model::{Clock, Identity, MemoryStore};
use store::{Answer, Fault, Request, Store, Submission};

struct Faulty {
    clock: Clock,
    memory: Arc<MemoryStore>,
    store: FaultyStore,
}

impl Fixture for Faulty {
    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn reopen(&mut self) {
        let entries = self.memory.entries_so_far();
        *self = over(
            MemoryStore::from_entries(Identity::only_shard(), Arc::clone(&self.clock), entries),
            Arc::clone(&self.clock),
        );
    }
}

fn over(memory: MemoryStore, clock: Clock) -> Faulty {
    let memory = Arc::new(memory);
    Faulty { clock, store: FaultyStore::new(memory.clone()), memory }
}

fn with_nothing_scripted(clock: Clock) -> Box<dyn Fixture> {
    Box::new(over(MemoryStore::new(Identity::only_shard(), Arc::clone(&clock)), clock))
}

store::conformance_suite!(with_nothing_scripted);

fn now() -> Timestamp {
    Timestamp::from_microseconds(bench::START_US).expect("a time")
}

/// A store with account 1, which has 1000, and account 2, which has nothing.
fn with_accounts() -> FaultyStore {
    let store = FaultyStore::new(Arc::new(MemoryStore::new(Identity::only_shard(), Arc::new(now))));
    let commands = [
        ask::register(bench::OWNER, "Owner"),
        ask::open(Some(1), bench::OWNER, "EUR", 0),
        ask::open(Some(2), bench::OWNER, "EUR", 0),
        ask::deposit(1, 1000),
    ];
    let requests = commands.into_iter().map(|command| Request { key: None, command }).collect();
    block_on(submit(&store, requests)).expect("nothing is scripted yet");
    store
}

async fn submit(store: &dyn Store, requests: Vec<Request>) -> Result<Vec<Answer>, Fault> {
    store.submit(Submission { context: bench::context(), requests, dry_run: false }).await
}

fn payment(number: u128, minor_units: u64) -> Request {
    Request { key: Some(bench::key(number)), command: ask::transfer(1, 2, minor_units) }
}

fn balance(store: &dyn Store, number: u64) -> i128 {
    let account = block_on(store.account(ask::account(number), now())).expect("the store answers");
    account.expect("the account is there").balance
}

#[test]
fn a_retry_after_a_lost_answer_replays_what_was_done() {
    let store = with_accounts();
    store.script_submissions([Submitting::LosesAnswer]);
    let fault = block_on(submit(&store, vec![payment(1, 10)])).expect_err("the answer is lost");
    assert!(fault.retryable());
    assert_eq!(balance(&store, 2), 10, "it took effect all the same");
    let answers = block_on(submit(&store, vec![payment(1, 10)])).expect("the retry is answered");
    assert!(matches!(answers[..], [Answer::Replayed(_)]), "{answers:?}");
    assert_eq!(balance(&store, 2), 10);
}

#[test]
fn a_retry_after_a_refusal_does_what_was_not_done() {
    let store = with_accounts();
    let head = store.head();
    store.script_submissions([Submitting::IsRefused]);
    let fault = block_on(submit(&store, vec![payment(1, 10)])).expect_err("it is refused");
    assert!(fault.retryable());
    assert_eq!((store.head(), balance(&store, 2)), (head, 0));
    let answers = block_on(submit(&store, vec![payment(1, 10)])).expect("the retry is answered");
    assert!(matches!(answers[..], [Answer::Recorded(_)]), "{answers:?}");
    assert_eq!(balance(&store, 2), 10);
}

#[test]
fn reads_fail_as_often_as_scripted() {
    let store = with_accounts();
    store.script_reads([Reading::Works, Reading::Fails]);
    assert_eq!(balance(&store, 1), 1000);
    assert!(!store.is_script_done());
    let read = block_on(store.account(ask::account(1), now()));
    assert!(matches!(read, Err(Fault::Unavailable { .. })), "{read:?}");
    assert!(store.is_script_done());
    assert_eq!(balance(&store, 1), 1000);
}

#[test]
fn payments_retried_until_answered_move_money_once_each() {
    let store = with_accounts();
    let mut random = Random::new(5);
    let steps = [Submitting::Works, Submitting::IsRefused, Submitting::LosesAnswer];
    store.script_submissions((0..400).map(|_| *random.of(&steps)));
    for number in 0..100u64 {
        let request = payment(u128::from(number), 1 + number % 9);
        let answered = (0..100).find_map(|_| block_on(submit(&store, vec![request.clone()])).ok());
        assert!(answered.is_some(), "payment {number} is answered in the end");
    }
    let moved: i128 = (0..100).map(|number| 1 + number % 9).sum();
    assert_eq!((balance(&store, 1), balance(&store, 2)), (1000 - moved, moved));
}
