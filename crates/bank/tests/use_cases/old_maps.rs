//! Nodes that know an old map, maps read while slots change hands, operators who slept: they cost time and never money.

use crate::events::{deposited, event, withdrawn};
use crate::world::{World, account, amount, code, euro, event_of, local, now, opening, rejection, transfer};
use bank::Bank;
use bank::ingest::EventOutcome;
use bank::submit::ClientKey;
use ledger::account::Account;
use ledger::command::{CaptureHold, ChangeSlots, Command, PlaceHold, Reverse};
use ledger::currency::Currency;
use ledger::customer::Customer;
use ledger::dead_letter::DeadLetter;
use ledger::event::{Channel, Context, Event};
use ledger::hold::Hold;
use ledger::ids::{AccountId, CustomerId, DeadLetterId, HoldId, Sequence, ShardId, TransferId, slot};
use ledger::saga::Saga;
use ledger::slots::{SlotChange, Slots};
use ledger::time::Timestamp;
use ledger::token::Token;
use ledger::transfer::TransferKind;
use std::sync::{Arc, Mutex};
use store::faulty::Submitting;
use store::query::{
    BalanceQuery, EntryQuery, Filter, Page, PageQuery, Positions, PostingQuery, PostingRow, SagaQuery, TransferQuery,
    TransferView,
};
use store::report::{Progress, Stats, VerifyReport};
use store::{Answer, EntryRef, Reply, Request, Store, Submission};

fn shard(number: u16) -> ShardId {
    ShardId::new(number).expect("a shard")
}

fn move_account(world: &World, id: u64, to: u16) {
    now(world.bank.move_slots(&local(), &[slot(id)], shard(to))).expect("moved");
}

fn change_slot(stores: &[Arc<dyn Store>], on: usize, slot: u16, change: SlotChange) -> Answer {
    let command = Command::ChangeSlots(Box::new(ChangeSlots { change, slots: Box::new([slot]) }));
    let requests = vec![Request { key: None, command }];
    let context =
        Arc::new(Context { principal: "operator".into(), channel: Channel::Http, correlation: "".into(), cause: None });
    let answers = now(stores[on].submit(Submission { context, requests, dry_run: false }));
    answers.expect("answered").first().expect("one answer").clone()
}

fn is_here(world: &World, on: usize, id: u64) -> bool {
    let row = now(world.bank.shards()[on].account(account(id), world.bank.now())).expect("read");
    row.is_some_and(|row| row.moved_to.is_none())
}

fn place(world: &World, from: u64, minor_units: u64) -> HoldId {
    let hold =
        PlaceHold { from: account(from), to: None, amount: amount(minor_units), currency: euro(), expires_at: None };
    let placed = world.submit(None, Command::PlaceHold(hold)).expect("placed");
    let Event::HoldChanged(placed) = event_of(&placed) else { panic!("no hold") };
    placed.hold.id
}

fn capture(hold: HoldId, to: u64) -> Command {
    let to = Some(account(to));
    Command::CaptureHold(Box::new(CaptureHold { hold, amount: None, to, is_final: true, note: None }))
}

#[test]
fn the_move_of_an_account_cannot_be_reversed_into_money() {
    let world = World::new(2);
    let id = world.id_on(0, 0);
    world.open_with(id, 500);
    move_account(&world, id, 1);
    let query = PostingQuery { account: account(id), side: None, filter: Filter::default(), before: None, limit: 100 };
    let page = now(world.bank.postings(query)).expect("read");
    let moved = page.items.iter().find_map(|row| {
        let (_, transferred, _) = row.parts()?;
        (transferred.kind == TransferKind::Move).then_some(transferred.id)
    });
    let reverse = Reverse { transfer: moved.expect("clients see it"), forced: false, note: None };
    let teller = bank::Caller { role: ledger::token::Role::Teller, ..local() };
    let answer = world.submit_as(&teller, Some(("r", 1)), Command::Reverse(reverse)).expect("answered");
    assert_eq!(rejection(&answer), Some("already_reversed"));
    now(world.bank.finish_sagas()).expect("carried");
    assert_eq!(world.balance(id), 500);
}

#[test]
fn a_node_with_an_old_map_does_not_refuse_the_capture_of_a_hold_that_moved() {
    let world = World::new(3);
    let (id, shop) = (world.id_on(0, 0), world.id_on(1, 0));
    world.open_with(id, 500);
    world.open(shop);
    let hold = place(&world, id, 200);
    let old_node = world.another_node();
    move_account(&world, id, 2);
    let key = Some(ClientKey { text: "c", fingerprint: 1 });
    let answer = now(old_node.submit(&local(), key, capture(hold, shop), false)).expect("answered");
    assert_eq!(rejection(&answer), None);
    let again = now(world.bank.submit(&local(), key, capture(hold, shop), false)).expect("answered");
    assert!(matches!(again, Answer::Replayed(_)), "a node that knows better, with the same key");
    now(world.bank.finish_sagas()).expect("carried");
    assert_eq!((world.balance(id), world.balance(shop)), (300, 200));
}

#[test]
fn a_node_with_an_old_map_does_not_say_voided_of_a_hold_that_is_held() {
    let world = World::new(3);
    let (id, shop) = (world.id_on(0, 0), world.id_on(1, 0));
    world.open_with(id, 500);
    world.open(shop);
    let hold = place(&world, id, 200);
    let old_node = world.another_node();
    move_account(&world, id, 2);
    let answer = now(old_node.submit(&local(), None, Command::VoidHold(hold), false)).expect("answered");
    let Event::HoldChanged(changed) = event_of(&answer) else { panic!("no hold") };
    assert_eq!(changed.hold.status, ledger::hold::HoldStatus::Voided);
    let still = now(world.bank.hold(hold)).expect("read").expect("there");
    assert_eq!(still.status, changed.hold.status, "what the client heard is what the hold is");
    world.submit(None, capture(hold, shop)).expect("answered");
    now(world.bank.finish_sagas()).expect("carried");
    assert_eq!((world.balance(id), world.balance(shop)), (500, 0), "a voided hold was captured");
}

/// The same on the only node there is, while the move is under way: its map is made anew only once the chunk is through.
#[test]
fn a_capture_while_its_account_is_moving_is_not_refused() {
    let world = World::new(3);
    let (id, shop) = (world.id_on(0, 0), world.id_on(1, 0));
    world.open_with(id, 500);
    world.open(shop);
    let hold = place(&world, id, 200);
    let stores = world.bank.shards();
    (0..3).for_each(|on| drop(change_slot(stores, on, slot(id), SlotChange::Fenced(shard(2)))));
    change_slot(stores, 0, slot(id), SlotChange::Released(shard(2)));
    change_slot(stores, 2, slot(id), SlotChange::Acquired(shard(0)));
    let requests = vec![Request {
        key: None,
        command: Command::MoveAccount(ledger::command::MoveAccount { account: account(id), to: shard(2) }),
    }];
    let context =
        Arc::new(Context { principal: "operator".into(), channel: Channel::Http, correlation: "".into(), cause: None });
    now(stores[0].submit(Submission { context, requests, dry_run: false })).expect("moved out");
    let first = now(world.bank.submit(
        &local(),
        Some(ClientKey { text: "c", fingerprint: 1 }),
        Command::CaptureHold(Box::new(CaptureHold { hold, amount: None, to: None, is_final: true, note: None })),
        false,
    ));
    // Either it is done, or the client hears that it has to be sent again.
    if let Ok(answer) = &first {
        assert_eq!(rejection(answer), None);
    }
}

#[test]
fn a_redrive_whose_answer_was_lost_is_not_made_again_after_a_move() {
    let world = World::new(2);
    let id = world.id_on(0, 0);
    world.open(id);
    let letter = match world.ingest(&[withdrawn("w", id, "1.00")])[0].outcome {
        EventOutcome::DeadLettered { dead_letter, .. } => dead_letter,
        ref other => panic!("no dead letter: {other:?}"),
    };
    world.pay_in(id, 300);
    world.faulty[0].script_submissions([Submitting::Works, Submitting::LosesAnswer]);
    assert!(now(world.bank.redrive(&local(), None, letter, None)).is_err());
    assert_eq!(world.balance(id), 200, "it took effect and nobody heard");
    move_account(&world, id, 1);
    now(world.bank.redrive(&local(), None, letter, None)).expect("carried on");
    assert_eq!(world.balance(id), 200, "one withdrawal of 1.00");
}

#[test]
fn an_attempt_is_not_ended_as_failed_by_a_no_that_nobody_recorded() {
    let world = World::new(2);
    let id = world.id_on(0, 0);
    world.open(id);
    let letter = match world.ingest(&[withdrawn("w", id, "1.00")])[0].outcome {
        EventOutcome::DeadLettered { dead_letter, .. } => dead_letter,
        ref other => panic!("no dead letter: {other:?}"),
    };
    world.pay_in(id, 300);
    let old_node = world.another_node();
    move_account(&world, id, 1);
    let answer = now(old_node.redrive(&local(), None, letter, None)).expect("answered");
    let Event::DeadLetterChanged(changed) = event_of(&answer) else { panic!("no letter") };
    assert_ne!(&*changed.dead_letter.code, "wrong_shard", "attempt {} ended", changed.dead_letter.attempts);
}

#[test]
fn an_event_that_comes_again_after_two_moves_takes_effect_once() {
    let world = World::new(3);
    let id = world.id_on(0, 0);
    world.open_with(id, 500);
    let old_node = world.another_node();
    move_account(&world, id, 1);
    assert_eq!(code(&world.ingest(&[deposited("d", id, "\"1.00\"")])[0]), "accepted");
    assert_eq!(world.balance(id), 600);
    move_account(&world, id, 2);
    let again = now(old_node.ingest(&local(), &[deposited("d", id, "\"1.00\"")])).expect("ingested");
    assert_eq!(code(&again[0]), "replayed");
    assert_eq!(world.balance(id), 600, "one deposit of 1.00");
}

#[test]
fn a_malformed_event_makes_one_dead_letter_whatever_node_it_comes_to() {
    let world = World::new(2);
    let id = world.id_on(0, 0);
    world.open_with(id, 500);
    let old_node = world.another_node();
    move_account(&world, id, 1);
    let bad = event("deposit", "d", &format!(r#"{{"account_id":"{id}","amount":"much","currency":"EUR"}}"#));
    let first = world.ingest(&[&bad]);
    let second = now(old_node.ingest(&local(), &[&bad])).expect("ingested");
    assert_eq!((first.len(), code(&second[0])), (1, "replayed"));
    let letters = now(world.bank.dead_letters(None, 100, None)).expect("listed").items;
    let good: Box<serde_json::value::RawValue> =
        serde_json::from_str(&format!(r#"{{"account_id":"{id}","amount":"1.00","currency":"EUR"}}"#)).expect("JSON");
    for letter in &letters {
        now(world.bank.redrive(&local(), None, letter.letter.id, Some(&good))).expect("redriven");
    }
    assert_eq!((letters.len(), world.balance(id)), (1, 600));
}

#[test]
fn an_opening_sent_again_to_a_node_with_an_old_map_opens_no_second_account() {
    let world = World::new(2);
    let user = world.id_on(0, 0);
    world.open(user);
    let old_node = world.another_node();
    move_account(&world, user, 1);
    let open = || match opening(1, user) {
        Command::OpenAccount(open) => {
            Command::OpenAccount(ledger::command::OpenAccount { id: None, overdraft_limit: amount(100_000), ..open })
        }
        _ => unreachable!(),
    };
    let key = Some(ClientKey { text: "o", fingerprint: 1 });
    let first = now(world.bank.submit(&local(), key, open(), false)).expect("answered");
    let again = now(old_node.submit(&local(), key, open(), false)).expect("answered");
    assert_eq!(crate::world::opened_account(&first), crate::world::opened_account(&again));
}

type Hook = Box<dyn FnOnce() + Send>;

/// A store that lets something happen just before it tells its slots.
struct Hooked {
    inner: Arc<dyn Store>,
    before_slots: Mutex<Option<Hook>>,
}

macro_rules! through {
    ($($method:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {$(
        fn $method(&self, $($argument: $type),*) -> Reply<'_, $answer> {
            self.inner.$method($($argument),*)
        }
    )*};
}

impl Store for Hooked {
    fn shard(&self) -> ShardId {
        self.inner.shard()
    }
    fn secret(&self) -> [u8; 32] {
        self.inner.secret()
    }
    fn slots(&self) -> Reply<'_, Slots> {
        if let Some(hook) = self.before_slots.lock().expect("fine").take() {
            hook();
        }
        self.inner.slots()
    }
    through! {
        submit(submission: Submission) -> Vec<Answer>;
        account(id: AccountId, now: Timestamp) -> Option<Account>;
        customer(id: CustomerId) -> Option<Customer>;
        customers(page: PageQuery) -> Page<Customer>;
        accounts_of(customer: CustomerId, page: PageQuery, now: Timestamp) -> Page<Account>;
        system_accounts() -> Vec<Account>;
        customer_sums() -> Vec<(Currency, i128)>;
        hold(id: HoldId, now: Timestamp) -> Option<Hold>;
        holds_of(account: AccountId, page: PageQuery, now: Timestamp) -> Page<Hold>;
        transfer(id: TransferId) -> Option<TransferView>;
        transfers(query: TransferQuery) -> Page<TransferView>;
        postings(query: PostingQuery) -> Page<PostingRow>;
        balance_at(query: BalanceQuery) -> Option<i128>;
        dead_letter(id: DeadLetterId) -> Option<(DeadLetter, EntryRef, EntryRef)>;
        dead_letters(page: PageQuery) -> Page<DeadLetter>;
        tokens() -> Vec<Token>;
        entries(query: EntryQuery) -> Vec<EntryRef>;
        head_after(sequence: Sequence) -> Sequence;
        positions() -> Positions;
        open_sagas(query: SagaQuery) -> Page<Saga>;
        account_ids(after: Option<u64>, limit: usize) -> Page<AccountId>;
        accounts_in(slot: u16, after: Option<AccountId>, limit: usize) -> Vec<AccountId>;
        entry_of_key(digest: u128) -> Option<EntryRef>;
        lease(holder: u128, microseconds: u64) -> bool;
        due_holds(now: Timestamp, limit: usize) -> Vec<HoldId>;
        verify(progress: Arc<dyn Progress>) -> VerifyReport;
    }
    fn head(&self) -> Sequence {
        self.inner.head()
    }
    fn stats(&self) -> Stats {
        self.inner.stats()
    }
}

/// A node that asks shard 0 for its slots before a move from it begins, and shard 1 after that shard took them over.
fn torn_node(world: &World, id: u64) -> Bank {
    let stores: Vec<Arc<dyn Store>> = world.bank.shards().to_vec();
    let moving = stores.clone();
    let hook: Hook = Box::new(move || {
        (0..2).for_each(|on| drop(change_slot(&moving, on, slot(id), SlotChange::Fenced(shard(1)))));
        change_slot(&moving, 0, slot(id), SlotChange::Released(shard(1)));
        change_slot(&moving, 1, slot(id), SlotChange::Acquired(shard(0)));
    });
    let hooked = Hooked { inner: stores[1].clone(), before_slots: Mutex::new(Some(hook)) };
    let node = Bank::new(vec![stores[0].clone(), Arc::new(hooked)], world.env.clone(), world.keyring.clone());
    now(node.reload_placement()).expect("read");
    node
}

#[test]
fn a_map_read_while_a_slot_changes_hands_refuses_nobody() {
    let world = World::new(2);
    let id = world.id_on(0, 0);
    world.open_with(id, 500);
    let node = torn_node(&world, id);
    let key = Some(ClientKey { text: "k", fingerprint: 1 });
    let deposit = node.deposit(account(id), None, crate::world::terms(70)).expect("a deposit");
    let answer = now(node.submit(&local(), key, Command::Transfer(deposit), false)).expect("answered");
    assert_eq!(rejection(&answer), None);
}

#[test]
fn a_map_read_while_a_slot_changes_hands_makes_no_second_account() {
    let world = World::new(2);
    let id = world.id_on(0, 0);
    world.open_with(id, 500);
    let node = torn_node(&world, id);
    now(node.submit(&local(), None, opening(id, id), false)).expect("answered");
    let owners = [is_here(&world, 0, id), is_here(&world, 1, id)];
    let deposit = node.deposit(account(id), None, crate::world::terms(70)).expect("a deposit");
    let paid = now(node.submit(&local(), None, Command::Transfer(deposit), false)).expect("answered");
    assert_eq!(rejection(&paid), None);
    move_account(&world, id, 1);
    assert_eq!((owners, world.balance(id)), ([true, false], 570));
}

#[test]
fn a_map_read_while_a_slot_changes_hands_executes_no_key_twice() {
    let world = World::new(2);
    let (id, other) = (world.id_on(0, 0), world.id_on(0, 1));
    world.open_with(id, 500);
    world.open(other);
    let key = Some(ClientKey { text: "k", fingerprint: 1 });
    let pay = || Command::Transfer(transfer(id, other, 100));
    now(world.bank.submit(&local(), key, pay(), false)).expect("answered");
    let node = torn_node(&world, id);
    move_account(&world, id, 1);
    let again = now(node.submit(&local(), key, pay(), false)).expect("answered");
    assert!(matches!(again, Answer::Replayed(_)));
    now(world.bank.finish_sagas()).expect("carried");
    assert_eq!((world.balance(id), world.balance(other)), (400, 100));
}

/// The second move, 1 to 2, up to where the slot has changed hands; then the operator of the first move, who had been asleep
/// before the last step, wakes up.
fn late_operator(world: &World, id: u64) {
    move_account(world, id, 1);
    let stores = world.bank.shards();
    (0..3).for_each(|on| drop(change_slot(stores, on, slot(id), SlotChange::Fenced(shard(2)))));
    change_slot(stores, 1, slot(id), SlotChange::Released(shard(2)));
    change_slot(stores, 2, slot(id), SlotChange::Acquired(shard(1)));
    (0..3).for_each(|on| drop(change_slot(stores, on, slot(id), SlotChange::Opened(shard(1)))));
}

#[test]
fn a_fence_opened_by_a_late_operator_strands_no_account() {
    let world = World::new(3);
    let id = world.id_on(0, 0);
    world.open_with(id, 500);
    late_operator(&world, id);
    // The second operator's call had failed meanwhile (an open saga, a crash), and is asked for again, and again.
    move_account(&world, id, 2);
    move_account(&world, id, 2);
    let deposit = world.bank.deposit(account(id), None, crate::world::terms(70)).expect("a deposit");
    let paid = world.submit(Some(("k", 1)), Command::Transfer(deposit)).expect("answered");
    assert!(is_here(&world, 2, id) && rejection(&paid).is_none());
}

#[test]
fn a_fence_opened_by_a_late_operator_does_not_shut_the_slot_for_ever() {
    let world = World::new(3);
    let id = world.id_on(0, 0);
    let payer =
        (1..).filter(|other| slot(*other) != slot(id)).find(|p| world.bank.placement().owner(slot(*p)) == shard(0));
    let payer = payer.expect("an id");
    world.open(id);
    world.open_with(payer, 500);
    late_operator(&world, id);
    // The second operator goes on with the last two steps.
    let requests = vec![Request {
        key: None,
        command: Command::MoveAccount(ledger::command::MoveAccount { account: account(id), to: shard(2) }),
    }];
    let context =
        Arc::new(Context { principal: "operator".into(), channel: Channel::Http, correlation: "".into(), cause: None });
    let stores = world.bank.shards();
    now(stores[1].submit(Submission { context, requests, dry_run: false })).expect("moved out");
    now(world.bank.finish_sagas()).expect("carried");
    (0..3).for_each(|on| drop(change_slot(stores, on, slot(id), SlotChange::Opened(shard(2)))));
    move_account(&world, id, 2); // asked again, to no avail
    assert!(is_here(&world, 2, id));
    let paid = world.submit(None, Command::Transfer(transfer(payer, id, 100)));
    assert!(paid.is_ok(), "every transfer from another shard to this account waits 30 s and is refused");
}

#[test]
fn a_hold_for_an_account_opened_after_a_move_is_not_refused_by_an_old_map() {
    let world = World::new(3);
    let ids: Vec<u64> = (1..).filter(|id| slot(*id) == slot(world.id_on(0, 0))).take(2).collect();
    let payer = world.id_on(1, 0);
    world.open_with(payer, 500);
    world.open(ids[0]);
    let old_node = world.another_node();
    move_account(&world, ids[0], 2);
    world.open(ids[1]);
    let hold = PlaceHold {
        from: account(payer),
        to: Some(account(ids[1])),
        amount: amount(100),
        currency: euro(),
        expires_at: None,
    };
    let answer = now(old_node.submit(&local(), None, Command::PlaceHold(hold), false)).expect("answered");
    assert_eq!(rejection(&answer), None);
}

#[test]
fn a_node_with_an_old_map_does_not_show_an_empty_account() {
    let world = World::new(3);
    let id = world.id_on(0, 0);
    world.open_with(id, 500);
    let hold = place(&world, id, 200);
    let old_node = world.another_node();
    move_account(&world, id, 2);
    let row = now(old_node.account(account(id))).expect("read").expect("there");
    let held = now(old_node.hold(hold)).expect("read").expect("there");
    assert_eq!((row.available(), held.status), (300, ledger::hold::HoldStatus::Held));
    assert_eq!(row.balance, 500);
}

/// Counts how long somebody would have waited.
struct Waiting {
    inner: Arc<crate::ports::TestEnv>,
    waited_us: std::sync::atomic::AtomicU64,
}

impl bank::ports::Env for Waiting {
    fn now(&self) -> Timestamp {
        self.inner.now()
    }
    fn fill(&self, bytes: &mut [u8]) {
        self.inner.fill(bytes);
    }
    fn sleep(&self, microseconds: u64) -> bank::ports::Boxed<'_, ()> {
        self.waited_us.fetch_add(microseconds, std::sync::atomic::Ordering::SeqCst);
        Box::pin(async {})
    }
}

#[test]
fn a_batch_to_a_fenced_slot_is_answered_within_a_minute() {
    let world = World::new(3);
    let (id, payer) = (world.id_on(0, 0), world.id_on(1, 0));
    world.open(id);
    world.open_with(payer, 500);
    (0..3).for_each(|on| drop(change_slot(world.bank.shards(), on, slot(id), SlotChange::Fenced(shard(2)))));
    let env = Arc::new(Waiting { inner: world.env.clone(), waited_us: Default::default() });
    let node = Bank::new(world.bank.shards().to_vec(), env.clone(), world.keyring.clone());
    let items = || (0..20).map(|_| (None, Command::Transfer(transfer(payer, id, 1)))).collect();
    let answers = now(node.submit_batch(&local(), items(), false));
    assert!(
        answers.iter().all(|answer| matches!(answer, Err(bank::error::BankError::Fault(fault)) if fault.retryable()))
    );
    let waited = env.waited_us.load(std::sync::atomic::Ordering::SeqCst) / 1_000_000;
    assert!(waited <= 60);
}
