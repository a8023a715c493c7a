//! What is due: found once and under the right time, whatever the records say.

use crate::messages::legs;
use crate::notifications::{Post, email};
use crate::world::now;
use bank::notification::delivery::{Delivery, State};
use bank::notification::desk::Decision;
use bank::notification::kind::Kind;
use bank::notification::sender::{Settled, Step};
use bank::ports::{RecordChange, Records};
use ledger::command::Command;

const SECOND_US: u64 = 1_000_000;

#[test]
fn a_record_of_what_waits_that_says_another_thing_than_its_delivery_is_looked_up_once() {
    let post = Post::with_customer(1, 7);
    (1..=4).for_each(|amount| post.world.pay_in(7, amount));
    post.follow(&email());
    let due = post.due(0);
    let put = |due_us: u64, delivery: &Delivery| {
        let key = format!("notification/due/email/0000/{due_us:013x}/{}", delivery.id);
        assert!(now(post.records.change(vec![RecordChange::put(key, delivery).expect("a record")])).expect("put"));
    };
    post.settle(&due[0], Settled::Accepted(Default::default()));
    put(due[0].due_us, &due[0]);
    let earlier = Delivery { due_us: due[1].due_us - 1, ..due[1].clone() };
    put(earlier.due_us, &earlier);
    put(due[2].due_us, &Delivery { attempts: 3, ..due[2].clone() });
    put(due[3].due_us - 2, &due[3]);
    for found in post.due(0) {
        let is_right = found == due[1] || found == due[3];
        let step = now(post.notifications.prepare(&found)).expect("prepared");
        assert!(matches!(step, Step::Send(_)) == is_right && matches!(step, Step::Outrun) != is_right, "{step:?}");
    }
    assert_eq!(post.due(0), due[1..]);
    let kept = now(post.records.list("notification/due/", None, 10)).expect("read");
    assert_eq!(kept.len(), 3, "{kept:?}");
}

#[test]
fn what_another_version_wrote_is_sent_once_and_can_be_discarded() {
    let post = Post::with_customer(1, 7);
    (1..=2).for_each(|amount| post.world.pay_in(7, amount));
    post.follow(&email());
    let due = post.due(0);
    for delivery in &due {
        let mut other = serde_json::to_value(delivery).expect("JSON");
        other["a_field_of_another_version"] = 1.into();
        let due_key = format!("notification/due/email/0000/{:013x}/{}", delivery.due_us, delivery.id);
        for key in [due_key, format!("notification/delivery/{}", delivery.id)] {
            assert!(now(post.records.change(vec![RecordChange::put(key, &other).expect("a record")])).expect("put"));
        }
    }
    assert!(matches!(now(post.notifications.prepare(&due[0])).expect("prepared"), Step::Send(_)));
    post.settle(&due[0], Settled::Accepted(Default::default()));
    assert_eq!(post.read(&due[0].id).state, State::Sent);
    assert_eq!(post.due(0), due[1..]);
    now(post.notifications.decide(&due[1].id, &Decision::Discard("told otherwise".into()))).expect("decided");
    assert_eq!(post.read(&due[1].id).state, State::Discarded);
}

#[test]
fn what_goes_on_from_a_message_that_is_tried_again_later_waits_as_long() {
    let post = Post::new(2);
    let (payer, payee) = (post.world.id_on(0, 0), post.world.id_on(1, 0));
    now(post.notifications.begin(&email())).expect("begun");
    [payer, payee].into_iter().for_each(|id| post.add(id));
    post.world.pay_in(payer, 100);
    let (_, subscriber) = post.endpoint();
    post.world.submit(None, Command::Transfer(legs(&[(payer, payee, 40)]))).expect("begun");
    now(post.world.bank.finish_sagas()).expect("ended");
    for subscriber in [email(), subscriber] {
        post.follow(&subscriber);
        let due = post.due_of(&subscriber, 0);
        let of = |kind| due.iter().find(|delivery| delivery.kind == kind).expect("made");
        let later = post.world.bank.now().saturating_add(100 * SECOND_US);
        post.settle(of(Kind::TransferPending), Settled::Held(later));
        match now(post.notifications.prepare(of(Kind::TransferCompleted))).expect("prepared") {
            Step::Settle(Settled::Held(until)) => assert_eq!(until, later),
            other => panic!("{other:?}"),
        }
    }
}
