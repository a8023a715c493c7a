//! Deciding and recording the usual transfer asks the allocator for nothing: this is the path that millions take.

use ledger::account::{AccountKind, SystemAccount, SystemKind};
use ledger::amount::Amount;
use ledger::command::{Command, OpenAccount, RegisterCustomer};
use ledger::currency::Currency;
use ledger::event::{Channel, Context, Header, Key};
use ledger::ids::{AccountId, CustomerId, ShardId};
use ledger::time::Timestamp;
use ledger::transfer::{Leg, LegAmount, Legs, Transfer, TransferKind};
use ledger::working_set::{SlotSet, WorkingSet};
use ledger::{Decision, apply};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

#[expect(unsafe_code, reason = "an allocator can only be counted by one; it hands everything on to the system's")]
// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are handed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn submit(set: &mut WorkingSet, context: &Arc<Context>, key: Option<Key>, command: &Command) -> Decision {
    let time: Timestamp = "2026-11-21T10:00:00Z".parse().expect("a time");
    let header = Header { sequence: set.sequence + 1, time, day: time.day(), key, context: Arc::clone(context) };
    apply(set, &header, command)
}

fn transfer(kind: TransferKind, from: AccountId, to: AccountId, amount: u64) -> Command {
    let amount = LegAmount::Exactly(Amount::new(amount).expect("an amount"));
    Command::Transfer(Transfer {
        kind,
        currency: euro(),
        legs: Legs::One([Leg { from, to, amount }]),
        forced: false,
        effective_at: None,
        note: None,
    })
}

fn euro() -> Currency {
    "EUR".parse().expect("a currency")
}

#[test]
fn a_transfer_of_one_leg_is_decided_and_recorded_without_an_allocation() {
    let mut set = WorkingSet::new(ShardId::default(), SlotSet::of(|_| true), 1);
    let context = Context { principal: "local".into(), channel: Channel::Http, correlation: "".into(), cause: None };
    let context = Arc::new(context);
    let customer = CustomerId::new(1).expect("an id");
    let register = RegisterCustomer { id: Some(customer), profile: Vec::new(), registered_as: 0 };
    submit(&mut set, &context, None, &Command::RegisterCustomer(Box::new(register)));
    let accounts = [1, 2].map(|id| AccountId::new(id).expect("an id"));
    for id in accounts {
        let kind = AccountKind::Checking;
        let open = OpenAccount { id: Some(id), customer, kind, currency: euro(), overdraft_limit: Amount::ZERO };
        submit(&mut set, &context, None, &Command::OpenAccount(open));
    }
    let cash = SystemAccount::standard(ShardId::default(), SystemKind::Cash, euro()).id();
    submit(&mut set, &context, None, &transfer(TransferKind::Deposit, cash, accounts[0], 1_000_000));
    set.keys.start_generation(2_000);
    let commands = [
        transfer(TransferKind::Transfer, accounts[0], accounts[1], 7),
        transfer(TransferKind::Deposit, cash, accounts[0], 5),
        transfer(TransferKind::Withdrawal, accounts[0], cash, 3),
        transfer(TransferKind::Transfer, accounts[1], accounts[0], 1_000_000_000),
    ];
    let before = ALLOCATIONS.with(Cell::get);
    for digest in 0..1_000 {
        let key = Key { digest, fingerprint: digest };
        let decision = submit(&mut set, &context, Some(key), &commands[usize::try_from(digest % 4).expect("small")]);
        assert!(matches!(decision, Decision::Recorded(_)));
    }
    assert_eq!(ALLOCATIONS.with(Cell::get) - before, 0);
    assert_eq!(set.keys.len(), 1_000);
}
