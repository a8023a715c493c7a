//! What waits for one customer never stops what is made for others.

use crate::messages::legs;
use crate::notifications::{Post, email};
use crate::world::{account, local, now};
use bank::notification::backlog::{BACKLOG_ALL_MAX, BACKLOG_MAX};
use bank::notification::delivery::{Delivery, Queue, State, Subscriber};
use bank::notification::kind::{Channel, Kind};
use bank::notification::outgoing::{Accepted, SendFailure};
use bank::notification::preference::{Preference, QuietHours};
use bank::notification::sender::{Settled, Waiting};
use ledger::command::{Command, Freeze};
use ledger::ids::{CustomerId, ShardId};

const SECOND_US: u64 = 1_000_000;
/// What could be sent for so long has waited for long.
const LONG_US: u64 = 60 * SECOND_US;

fn fcm() -> Subscriber {
    Subscriber::channel(Channel::Fcm)
}

impl Post {
    /// A customer whose push messages have begun, with a device of this token.
    fn with_device(token: &str) -> Post {
        let post = Post::with_customer(1, 7);
        now(post.notifications.begin(&fcm())).expect("begun");
        post.device(7, token);
        post
    }

    fn count(&self, subscriber: &Subscriber) -> Waiting {
        now(self.notifications.waiting(subscriber, ShardId::default(), 1000)).expect("counted")
    }

    fn pay_in_often(&self, times: usize) {
        (0..times).for_each(|_| self.world.pay_in(7, 5));
    }

    fn dropped(&self) -> Vec<Delivery> {
        self.all().into_iter().filter(|delivery| delivery.state == State::Dropped).collect()
    }
}

#[test]
fn what_is_to_be_tried_again_later_is_not_due_until_then() {
    let post = Post::with_customer(1, 7);
    (1..=3).for_each(|amount| post.world.pay_in(7, amount));
    post.follow(&email());
    assert_eq!(post.count(&email()), Waiting { all: 3, due: 3 });
    let slow = SendFailure::SlowDown { code: "http_429".into(), after_us: Some(100 * SECOND_US) };
    post.settle(&post.due(0)[0], Settled::Failed(slow));
    assert_eq!(post.count(&email()), Waiting { all: 3, due: 2 });
    post.world.pass(200 * SECOND_US);
    assert_eq!(post.count(&email()), Waiting { all: 3, due: 3 });
}

#[test]
fn what_a_page_makes_at_once_and_what_quiet_hours_hold_is_not_dropped_and_some_time_it_is_enough() {
    let post = Post::with_device("fine");
    post.pay_in_often(BACKLOG_MAX + 50);
    post.follow(&fcm());
    assert_eq!(post.dropped().len(), 0, "made at once");
    for delivery in post.due_of(&fcm(), 0) {
        post.settle(&delivery, Settled::Accepted(Accepted::default()));
    }
    // It is 08:00 in UTC.
    let quiet_hours = QuietHours::new("07:00", "20:00", "UTC");
    let preference = Preference { quiet_hours, ..Preference::default() };
    now(post.notifications.set_preference(CustomerId::new(7).expect("an id"), &preference)).expect("kept");
    for _ in 0..2 {
        post.pay_in_often(BACKLOG_MAX + 50);
        post.follow(&fcm());
        post.world.pass(2 * LONG_US);
    }
    assert_eq!(post.dropped().len(), 0, "held until the evening");
    post.pay_in_often(BACKLOG_ALL_MAX);
    post.follow(&fcm());
    assert_eq!(post.dropped().len(), 2 * (BACKLOG_MAX + 50), "but no more than so many");
}

#[test]
fn what_became_of_a_transfer_is_told_however_much_waits() {
    let post = Post::new(2);
    now(post.notifications.begin(&fcm())).expect("begun");
    let (payer, empty, payee) = (post.world.id_on(0, 0), post.world.id_on(1, 0), post.world.id_on(0, 1));
    [payer, empty, payee].into_iter().for_each(|id| post.add(id));
    post.device(payer, "refused");
    post.world.pay_in(payer, 100);
    let waits = |kind: Kind| post.due_of(&fcm(), 0).iter().filter(|delivery| delivery.kind == kind).count();
    post.world.submit(None, Command::Transfer(legs(&[(payer, payee, 10), (empty, payee, 20)]))).expect("begun");
    (0..BACKLOG_MAX).for_each(|_| post.world.pay_in(payer, 5));
    post.follow(&fcm());
    post.world.pass(2 * LONG_US);
    now(post.world.bank.finish_sagas()).expect("ended");
    (0..3).for_each(|_| post.world.pay_in(payer, 5));
    post.follow(&fcm());
    assert_eq!((waits(Kind::TransferFailed), post.dropped().len()), (1, 3));
}

#[test]
fn only_so_many_messages_wait_for_a_device_and_what_is_beyond_is_dropped() {
    let post = Post::with_device("refused");
    post.pay_in_often(BACKLOG_MAX);
    post.follow(&fcm());
    post.world.pass(LONG_US);
    post.pay_in_often(2);
    assert_eq!(post.follow(&fcm()), 2);
    assert_eq!(post.due_of(&fcm(), 0).len(), BACKLOG_MAX);
    let dropped = post.dropped();
    assert_eq!((dropped.len(), dropped[0].code.as_deref()), (2, Some("too_many")));
    post.device(7, "another");
    post.pay_in_often(1);
    post.follow(&fcm());
    assert_eq!(post.due_of(&fcm(), 0).len(), BACKLOG_MAX + 1, "another device is another matter");
    // What failed and is tried again waits as well.
    let refused = post.due_of(&fcm(), 0).remove(0);
    post.settle(&refused, Settled::Failed(SendFailure::later("http_403")));
    post.pay_in_often(1);
    post.follow(&fcm());
    assert_eq!(post.dropped().len(), 4);
    // What was sent, or failed for good, makes room.
    let due = post.due_of(&fcm(), 0);
    let of_first: Vec<&Delivery> = due.iter().filter(|delivery| delivery.device == refused.device).collect();
    post.settle(of_first[0], Settled::Accepted(Accepted::default()));
    post.settle(of_first[1], Settled::Failed(SendFailure::never("http_400")));
    post.pay_in_often(2);
    post.follow(&fcm());
    assert_eq!(post.dropped().len(), 4);
    post.world.pass(LONG_US);
    post.pay_in_often(1);
    post.follow(&fcm());
    assert_eq!(post.dropped().len(), 5);
}

#[test]
fn a_matter_of_security_finds_room_where_much_waits_for_a_device() {
    let post = Post::with_device("refused");
    post.pay_in_often(BACKLOG_MAX);
    post.follow(&fcm());
    post.world.pass(LONG_US);
    post.pay_in_often(1);
    post.follow(&fcm());
    assert_eq!(post.dropped().len(), 1);
    let freeze = Box::new(Freeze { account: account(7), kind: None, reason: None });
    now(post.world.bank.submit(&local(), None, Command::Freeze(freeze), false)).expect("frozen");
    post.follow(&fcm());
    let place = (ShardId::default(), Queue::Urgent);
    let due = now(post.notifications.due(&fcm(), place, &Default::default(), 10)).expect("read").now;
    assert_eq!(due.iter().map(|delivery| delivery.kind).collect::<Vec<_>>(), [Kind::Security]);
}
