//! What is made of the journal for customers: all of it, once, for whoever wants it, and for nobody who is forgotten.

use crate::world::{World, account, local, now, opening, transfer};
use bank::Bank;
use bank::notification::delivery::{Delivery, Queue, State, Subscriber};
use bank::notification::desk::{Decision, DeliveryQuery};
use bank::notification::device::Added;
use bank::notification::kind::{Channel, Kind};
use bank::notification::outgoing::{Accepted, Address, SendFailure};
use bank::notification::sender::{Settled, Step};
use bank::notification::text::Texts;
use bank::notification::{Notifications, Settings};
use bank::ports::{RecordChange, Records};
use bank::profile::PlainProfile;
use bank::records::MemoryRecords;
use ledger::command::{Command, Freeze};
use ledger::customer::ProfileField;
use ledger::ids::{CustomerId, ShardId};
use std::collections::HashSet;
use std::sync::Arc;

const SECOND_US: u64 = 1_000_000;

pub(crate) struct Post {
    pub(crate) world: World,
    pub(crate) records: Arc<MemoryRecords>,
    pub(crate) notifications: Notifications,
}

impl Post {
    pub(crate) fn new(shards: u16) -> Post {
        let (world, records) = (World::new(shards), Arc::new(MemoryRecords::default()));
        let notifications = notifications(&world, &records);
        Post { world, records, notifications }
    }

    /// A customer with an e-mail address and an account of the same id, and a channel that has begun.
    pub(crate) fn with_customer(shards: u16, id: u64) -> Post {
        let post = Post::new(shards);
        now(post.notifications.begin(&email())).expect("begun");
        post.add(id);
        post
    }

    pub(crate) fn add(&self, id: u64) {
        let mut profile = PlainProfile::default();
        let address = format!("customer-{id}@example.org");
        profile.set(ProfileField::Email, &address, self.world.bank.now().day()).expect("an address");
        now(self.world.bank.register_user(&local(), None, CustomerId::new(id), &profile)).expect("registered");
        now(self.world.bank.submit(&local(), None, opening(id, id), false)).expect("opened");
    }

    /// Reads all that there is; how many deliveries were made.
    pub(crate) fn follow(&self, subscriber: &Subscriber) -> usize {
        let mut made = 0;
        for store in self.world.bank.shards() {
            let mut follower =
                now(self.notifications.follower(subscriber, store.shard())).expect("read").expect("begun");
            loop {
                let followed = now(self.notifications.follow(&mut follower)).expect("read").expect("still ours");
                made += followed.made;
                if !followed.has_more {
                    break;
                }
            }
        }
        made
    }

    /// Another node with these records.
    pub(crate) fn node(&self, records: Arc<dyn Records>) -> Notifications {
        over(&self.world, records)
    }

    /// Registers a device of Firebase Cloud Messaging.
    pub(crate) fn device(&self, id: u64, token: &str) -> Added {
        let row = now(self.world.bank.user(CustomerId::new(id).expect("an id"))).expect("read").expect("a customer");
        now(self.notifications.add_device(&row, &Address::Fcm(token.into()))).expect("asked")
    }

    pub(crate) fn due(&self, shard: u16) -> Vec<Delivery> {
        self.due_of(&email(), shard)
    }

    pub(crate) fn due_of(&self, subscriber: &Subscriber, shard: u16) -> Vec<Delivery> {
        let shard = ShardId::new(shard).expect("a shard");
        let of =
            |queue| now(self.notifications.due(subscriber, (shard, queue), &HashSet::new(), 1000)).expect("read").now;
        Queue::ALL.into_iter().flat_map(of).collect()
    }

    pub(crate) fn settle(&self, delivery: &Delivery, what: Settled) {
        now(self.notifications.settle(&[(delivery.clone(), what)])).expect("settled");
    }

    /// Has the records say this of a delivery.
    pub(crate) fn put(&self, delivery: &Delivery) {
        let key = format!("notification/delivery/{}", delivery.id);
        assert!(now(self.records.change(vec![RecordChange::put(key, delivery).expect("a record")])).expect("put"));
    }

    pub(crate) fn read(&self, id: &str) -> Delivery {
        now(self.notifications.delivery(id)).expect("read").expect("a delivery")
    }

    pub(crate) fn all(&self) -> Vec<Delivery> {
        let query = DeliveryQuery { limit: 1000, ..DeliveryQuery::default() };
        now(self.notifications.deliveries_of(&query)).expect("read").items
    }
}

fn notifications(world: &World, records: &Arc<MemoryRecords>) -> Notifications {
    over(world, records.clone())
}

fn over(world: &World, records: Arc<dyn Records>) -> Notifications {
    let bank: Arc<Bank> = Arc::new(world.another_node());
    Notifications::new(bank, records, Texts::new("Bank", &[]).expect("texts"), Settings::default())
}

pub(crate) fn email() -> Subscriber {
    Subscriber::channel(Channel::Email)
}

#[test]
fn what_is_read_again_makes_nothing_twice_and_nothing_is_missed() {
    let post = Post::with_customer(1, 7);
    (1..=3).for_each(|amount| post.world.pay_in(7, amount));
    assert_eq!(post.follow(&email()), 3);
    assert_eq!(post.follow(&email()), 0);
    post.world.pay_in(7, 4);
    // Another process, which knows nothing but the records.
    let other = Post { notifications: notifications(&post.world, &post.records), ..post };
    assert_eq!(other.follow(&email()), 1);
    let due = other.due(0);
    assert_eq!(due.len(), 4);
    let ids: HashSet<&str> = due.iter().map(|delivery| delivery.id.as_str()).collect();
    assert_eq!(ids.len(), 4);
}

#[test]
fn of_two_who_read_the_same_entries_one_makes_deliveries_and_both_make_the_same() {
    let post = Post::with_customer(1, 7);
    let shard = ShardId::default();
    let mut first = now(post.notifications.follower(&email(), shard)).expect("read").expect("begun");
    let mut second = now(post.notifications.follower(&email(), shard)).expect("read").expect("begun");
    post.world.pay_in(7, 5);
    assert_eq!(now(post.notifications.follow(&mut first)).expect("read").map(|followed| followed.made), Some(1));
    assert_eq!(now(post.notifications.follow(&mut second)).expect("read"), None, "it was outrun");
    let made = post.all();
    // The same journal with other records: the same ids.
    let again = Post { records: Arc::default(), ..post };
    let again = Post { notifications: notifications(&again.world, &again.records), ..again };
    assert_eq!(again.records_of_a_new_channel(), made.iter().map(|made| made.id.clone()).collect::<Vec<_>>());
}

impl Post {
    /// The ids that a channel makes which begins with the first entry.
    fn records_of_a_new_channel(&self) -> Vec<String> {
        let cursor = RecordChange::put("notification/cursor/email/0000", &0u64).expect("a record");
        assert!(now(self.records.change(vec![cursor])).expect("made"));
        self.follow(&email());
        self.all().into_iter().map(|delivery| delivery.id).collect()
    }
}

#[test]
fn an_erased_customer_gets_nothing() {
    let post = Post::with_customer(1, 7);
    post.world.pay_in(7, 5);
    post.follow(&email());
    let waiting = post.due(0).remove(0);
    match now(post.notifications.prepare(&waiting)).expect("prepared") {
        Step::Send(outgoing) => assert_eq!(outgoing.to, Address::Email("customer-7@example.org".into())),
        other => panic!("{other:?}"),
    }
    let customer = CustomerId::new(7).expect("an id");
    let push = Subscriber::channel(Channel::Fcm);
    now(post.notifications.begin(&push)).expect("begun");
    post.device(7, "token");
    post.world.pay_in(7, 6);
    assert_eq!(post.follow(&push), 1);
    let pushed = post.due_of(&push, 0).remove(0);
    assert!(now(post.world.bank.erase_user(&local(), customer)).expect("erased"));
    for waiting in [waiting, pushed] {
        match now(post.notifications.prepare(&waiting)).expect("prepared") {
            Step::Settle(settled) => assert_eq!(settled, Settled::Dropped("no_address")),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_failure_is_tried_again_later_and_later_until_it_is_enough() {
    let post = Post::with_customer(1, 7);
    post.world.pay_in(7, 5);
    post.follow(&email());
    let id = post.due(0).remove(0).id;
    let most = Settings::default().attempts_max;
    for attempt in 1..most {
        let before = post.read(&id);
        post.settle(&before, Settled::Failed(SendFailure::later("smtp_451")));
        let after = post.read(&id);
        assert_eq!((after.state, after.attempts), (State::Waiting, attempt));
        let bound_us = ((2 * SECOND_US) << (attempt - 1)).min(3600 * SECOND_US);
        assert!(after.due_us - post.world.bank.now().microseconds() <= bound_us, "attempt {attempt}");
    }
    post.settle(&post.read(&id), Settled::Failed(SendFailure::later("smtp_451")));
    let failed = post.read(&id);
    assert_eq!((failed.state, failed.attempts, failed.code.as_deref()), (State::Failed, most, Some("smtp_451")));
    assert!(post.due(0).is_empty());
    let redriven = now(post.notifications.decide(&id, &Decision::Redrive)).expect("decided").expect("a delivery");
    assert_eq!((redriven.state, redriven.attempts), (State::Waiting, 0));
    assert_eq!(post.due(0).len(), 1);
}

#[test]
fn a_provider_that_says_when_is_asked_then_and_not_before() {
    let post = Post::with_customer(1, 7);
    post.world.pay_in(7, 5);
    post.follow(&email());
    let delivery = post.due(0).remove(0);
    let slow = SendFailure::SlowDown { code: "http_429".into(), after_us: Some(100 * SECOND_US) };
    post.settle(&delivery, Settled::Failed(slow));
    let wait_us = post.read(&delivery.id).due_us - post.world.bank.now().microseconds();
    assert!((100 * SECOND_US..=102 * SECOND_US).contains(&wait_us), "{wait_us}");
    assert!(post.due(0).is_empty());
    post.world.pass(103 * SECOND_US);
    assert_eq!(post.due(0).len(), 1);
}

#[test]
fn a_provider_that_only_ever_asks_for_time_is_asked_often_enough() {
    let post = Post::with_customer(1, 7);
    post.world.pay_in(7, 5);
    post.follow(&email());
    let id = post.due(0).remove(0).id;
    let slow = || SendFailure::SlowDown { code: "http_429".into(), after_us: None };
    let most = Settings::default().attempts_max;
    for attempt in 1..=most {
        assert_eq!(post.read(&id).state, State::Waiting, "attempt {attempt}");
        post.settle(&post.read(&id), Settled::Failed(slow()));
    }
    let failed = post.read(&id);
    assert_eq!((failed.state, failed.attempts, failed.code.as_deref()), (State::Failed, most, Some("http_429")));
}

#[test]
fn what_somebody_else_changed_meanwhile_stays_as_they_left_it() {
    let post = Post::with_customer(1, 7);
    (1..=2).for_each(|amount| post.world.pay_in(7, amount));
    post.follow(&email());
    let due = post.due(0);
    let discard = Decision::Discard("told otherwise".into());
    now(post.notifications.decide(&due[0].id, &discard)).expect("decided");
    let accepted = || Settled::Accepted(Accepted::default());
    now(post.notifications.settle(&[(due[0].clone(), accepted()), (due[1].clone(), accepted())])).expect("settled");
    assert_eq!(post.read(&due[0].id).state, State::Discarded);
    assert_eq!(post.read(&due[1].id).state, State::Sent);
    assert!(post.due(0).is_empty());
}

#[test]
fn old_news_is_told_nobody_and_old_deliveries_are_removed_but_for_those_that_failed() {
    let post = Post::with_customer(1, 7);
    (1..=2).for_each(|amount| post.world.pay_in(7, amount));
    post.follow(&email());
    let due = post.due(0);
    post.settle(&due[0], Settled::Accepted(Accepted::default()));
    post.settle(&due[1], Settled::Failed(SendFailure::never("smtp_550")));
    post.world.pay_in(7, 3);
    post.world.pass(Settings::default().stale_after_us + SECOND_US);
    assert_eq!(post.follow(&email()), 0, "of three days ago nobody is told");
    assert_eq!(now(post.notifications.tidy()).expect("removed").removed, 0);
    post.world.pass(Settings::default().keep_us);
    assert_eq!(now(post.notifications.tidy()).expect("removed").removed, 1);
    let left: Vec<State> = post.all().iter().map(|delivery| delivery.state).collect();
    assert_eq!(left, [State::Failed]);
    let query = DeliveryQuery { customer: CustomerId::new(7), limit: 10, ..DeliveryQuery::default() };
    assert_eq!(now(post.notifications.deliveries_of(&query)).expect("read").items.len(), 1);
}

#[test]
fn what_a_channel_that_was_off_did_not_send_for_long_is_dropped_but_for_what_follows_from_what_was_told() {
    let post = Post::with_customer(1, 7);
    (1..=4).for_each(|amount| post.world.pay_in(7, amount));
    post.follow(&email());
    let due = post.due(0);
    let prepared = |delivery: &Delivery| now(post.notifications.prepare(delivery)).expect("prepared");
    post.settle(&due[0], Settled::Failed(SendFailure::later("smtp_451")));
    let tomorrow = post.world.bank.now().saturating_add(24 * 3600 * SECOND_US);
    post.settle(&due[1], Settled::Held(tomorrow));
    post.settle(&due[2], Settled::Accepted(Accepted::default()));
    let following = Delivery { follows: Some(due[2].id.clone()), ..due[3].clone() };
    post.world.pass(Settings::default().stale_after_us + SECOND_US);
    assert!(matches!(prepared(&post.read(&due[0].id)), Step::Send(_)), "it was tried");
    assert!(matches!(prepared(&post.read(&due[1].id)), Step::Send(_)), "it could not be tried before");
    match prepared(&due[3]) {
        Step::Settle(stale) => assert_eq!(stale, Settled::Dropped("stale")),
        other => panic!("{other:?}"),
    }
    post.put(&following);
    assert!(matches!(prepared(&following), Step::Send(_)), "the beginning was told");
}

#[test]
fn a_channel_begins_with_what_comes_after_it_was_set_up() {
    let post = Post::new(1);
    post.add(7);
    post.world.pay_in(7, 1);
    now(post.notifications.begin(&email())).expect("begun");
    post.world.pay_in(7, 2);
    now(post.notifications.begin(&email())).expect("begun before");
    assert_eq!(post.follow(&email()), 1);
    assert_eq!(post.due(0)[0].facts.amount, Some(2));
}

#[test]
fn customers_without_an_address_and_the_banks_own_accounts_are_told_nothing() {
    let post = Post::with_customer(1, 7);
    post.world.open(8);
    post.world.pay_in(8, 5);
    assert_eq!(post.follow(&email()), 0);
    post.world.submit(None, Command::Transfer(transfer(8, 7, 5))).expect("moved");
    assert_eq!(post.follow(&email()), 1, "the other side is told");
    assert_eq!(post.due(0)[0].kind, Kind::TransferReceived);
}

#[test]
fn who_moves_money_between_accounts_of_their_own_is_told_once() {
    let post = Post::with_customer(1, 7);
    now(post.world.bank.submit(&local(), None, opening(70, 7), false)).expect("opened");
    post.world.pay_in(7, 5);
    now(post.world.bank.submit(&local(), None, Command::Transfer(transfer(7, 70, 5)), false)).expect("moved");
    assert_eq!(post.follow(&email()), 2);
    let kinds: Vec<Kind> = post.due(0).iter().map(|delivery| delivery.kind).collect();
    assert!(kinds.contains(&Kind::TransferCompleted) && !kinds.contains(&Kind::TransferReceived), "{kinds:?}");
}

#[test]
fn a_transfer_between_shards_is_complete_when_it_is_and_not_before() {
    let post = Post::new(2);
    now(post.notifications.begin(&email())).expect("begun");
    let (from, to) = (post.world.id_on(0, 0), post.world.id_on(1, 0));
    post.add(from);
    post.add(to);
    post.world.pay_in(from, 100);
    post.follow(&email());
    now(post.world.bank.submit(&local(), None, Command::Transfer(transfer(from, to, 40)), false)).expect("begun");
    post.follow(&email());
    let kinds = |shard| post.due(shard).iter().map(|delivery| delivery.kind).collect::<Vec<_>>();
    assert_eq!(kinds(0), [Kind::Deposit, Kind::TransferPending]);
    now(post.world.bank.finish_sagas()).expect("ended");
    post.follow(&email());
    let told = post.due(0);
    let completed = told.iter().find(|delivery| delivery.kind == Kind::TransferCompleted).expect("the end");
    let pending = told.iter().find(|delivery| delivery.kind == Kind::TransferPending).expect("the beginning");
    assert_eq!(completed.follows.as_ref(), Some(&pending.id));
    match now(post.notifications.prepare(completed)).expect("prepared") {
        Step::Settle(Settled::Held(until)) => assert!(post.world.bank.now() < until, "not looked up again at once"),
        other => panic!("the beginning goes first: {other:?}"),
    }
    assert_eq!(kinds(1), [Kind::TransferReceived]);
}

#[test]
fn a_device_is_whose_it_was_registered_for_last_and_nobody_elses() {
    let post = Post::with_customer(1, 7);
    post.add(8);
    let push = Subscriber::channel(Channel::Fcm);
    now(post.notifications.begin(&push)).expect("begun");
    post.device(7, "handed on");
    post.world.pay_in(7, 1);
    post.follow(&push);
    let waiting = post.due_of(&push, 0).remove(0);
    post.device(8, "handed on");
    match now(post.notifications.prepare(&waiting)).expect("prepared") {
        Step::Settle(settled) => assert_eq!(settled, Settled::Dropped("no_address")),
        other => panic!("what waits for it is not sent either: {other:?}"),
    }
    post.world.pay_in(7, 2);
    post.world.pay_in(8, 3);
    assert_eq!(post.follow(&push), 1);
    let count = |id: u64| now(post.notifications.devices(CustomerId::new(id).expect("an id"))).expect("read").len();
    assert_eq!((count(7), count(8)), (0, 1));
    // Who had it before cannot take it away; and it can go back.
    let Added::Yes(device) = post.device(8, "handed on") else { panic!("it is registered") };
    now(post.notifications.remove_device(CustomerId::new(7).expect("an id"), &device.id)).expect("removed");
    assert_eq!((count(7), count(8)), (0, 1));
    post.device(7, "handed on");
    assert_eq!((count(7), count(8)), (1, 0));
    // It is nobody's once it was removed, or its customer was erased.
    let owners = || now(post.records.list("notification/device_owner/", None, 10)).expect("read").len();
    now(post.notifications.remove_device(CustomerId::new(7).expect("an id"), &device.id)).expect("removed");
    assert_eq!(owners(), 0);
    post.device(7, "handed on");
    now(post.notifications.erase_user(&local(), CustomerId::new(7).expect("an id"))).expect("erased");
    assert_eq!((owners(), count(7)), (0, 0));
}

#[test]
fn a_frozen_account_is_a_matter_of_security() {
    let post = Post::with_customer(1, 7);
    let freeze = Box::new(Freeze { account: account(7), kind: None, reason: None });
    now(post.world.bank.submit(&local(), None, Command::Freeze(freeze), false)).expect("frozen");
    post.follow(&email());
    let told = post.due(0);
    assert_eq!(
        (told.len(), told[0].kind, told[0].facts.change.as_deref()),
        (1, Kind::Security, Some("account_frozen"))
    );
}
