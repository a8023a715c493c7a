//! What no journal has is told once, to whoever should hear of it, whether they can now or later.

use crate::messages::last_month;
use crate::notifications::Post;
use crate::world::{account, now};
use bank::month::Month;
use bank::notification::delivery::State;
use bank::notification::kind::Kind;
use bank::notification::sender::{Settled, Step};
use bank::ports::{RecordChange, Records};

const DAY_US: u64 = 86_400_000_000;

#[test]
fn whoever_was_told_of_a_statement_before_its_month_was_over_is_told_once() {
    let post = Post::with_customer(1, 7);
    let month = Month::of(post.world.bank.now().day()).and_then(|month| month.later_by(1)).expect("a month");
    let tell = || now(post.notifications.statement_ready(account(7), month, 1)).expect("told");
    tell();
    post.settle(&post.due(0)[0], Settled::Accepted(Default::default()));
    post.world.pass(46 * DAY_US);
    now(post.notifications.tidy()).expect("tidied");
    let notes = now(post.records.list("notification/told/", None, 10)).expect("read");
    assert_eq!(notes.len(), 1, "it is news until some time after its month");
    // Were it lost, what was sent would stay sent.
    now(post.records.change(vec![RecordChange::remove(&notes[0].0)])).expect("removed");
    tell();
    assert_eq!(post.all().iter().map(|delivery| delivery.state).collect::<Vec<_>>(), [State::Sent]);
    assert!(post.due(0).is_empty());
}

#[test]
fn an_endpoint_that_was_off_hears_of_statements_made_meanwhile() {
    let post = Post::with_customer(1, 7);
    let ((id, subscriber), (_, of_deposits)) = (post.endpoint(), post.endpoint_of(Some(vec![Kind::Deposit])));
    post.world.pay_in(7, 5);
    for subscriber in [&subscriber, &of_deposits] {
        post.follow(subscriber);
        let waiting = post.due_of(subscriber, 0).remove(0);
        post.settle(&waiting, Settled::Accepted(Default::default()));
        post.says_gone(&waiting);
    }
    let month = last_month(post.world.bank.now().day());
    now(post.notifications.statement_ready(account(7), month, 1)).expect("told");
    let waiting = post.due_of(&subscriber, 0).remove(0);
    assert_eq!(waiting.kind, Kind::StatementReady);
    let prepare = || now(post.notifications.prepare(&waiting)).expect("prepared");
    assert!(matches!(prepare(), Step::Settle(Settled::Held(_))));
    now(post.notifications.enable_endpoint(&id)).expect("on");
    assert!(matches!(prepare(), Step::Send(_)));
    assert!(post.due_of(&of_deposits, 0).is_empty());
}
