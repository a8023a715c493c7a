//! Who is told what: each once, nobody of what did not happen to them, and what waits is never lost.

use crate::meanwhile::Meanwhile;
use crate::notifications::{Post, email};
use crate::ports::a_moment;
use crate::world::{account, amount, euro, event_of, local, now, opening};
use bank::month::Month;
use bank::notification::delivery::{Delivery, State, Subscriber};
use bank::notification::desk::Decision;
use bank::notification::device::{Added, DEVICES_MAX, NotAdded};
use bank::notification::kind::Kind;
use bank::notification::outgoing::{Address, SendFailure};
use bank::notification::preference::{Preference, QuietHours};
use bank::notification::sender::{Settled, Step};
use bank::ports::{Boxed, KeyId, Keyring, PutAside, RecordChange, Records};
use futures_util::future::join;
use ledger::command::{CaptureHold, Command, Freeze, PlaceHold, Reverse};
use ledger::event::Event;
use ledger::ids::{CustomerId, HoldId, ShardId};
use ledger::time::Day;
use ledger::transfer::{Leg, LegAmount, Legs, Transfer, TransferKind};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex};
use store::Fault;

const SECOND_US: u64 = 1_000_000;
const DAY_US: u64 = 86_400 * SECOND_US;

fn customer(id: u64) -> CustomerId {
    CustomerId::new(id).expect("an id")
}

pub(crate) fn legs(legs: &[(u64, u64, u64)]) -> Transfer {
    let leg = |(from, to, minor_units): &(u64, u64, u64)| Leg {
        from: account(*from),
        to: account(*to),
        amount: LegAmount::Exactly(amount(*minor_units)),
    };
    let legs = Legs::Many(legs.iter().map(leg).collect());
    Transfer { kind: TransferKind::Transfer, currency: euro(), legs, forced: false, effective_at: None, note: None }
}

impl Post {
    /// A customer's accounts 7 and 70 with 100 each, of which was told, and somebody else's 8.
    fn with_two_accounts_and_a_payee() -> Post {
        let post = Post::with_customer(1, 7);
        post.open_another(70, 7);
        post.add(8);
        post.world.pay_in(7, 100);
        post.world.pay_in(70, 100);
        post.follow(&email());
        post
    }

    fn open_another(&self, id: u64, customer: u64) {
        now(self.world.bank.submit(&local(), None, opening(id, customer), false)).expect("opened");
    }

    fn prefers(&self, id: u64, preference: Preference) {
        now(self.notifications.set_preference(customer(id), &preference)).expect("kept");
    }

    fn told(&self, shard: u16) -> Vec<(u64, Kind)> {
        self.due(shard).iter().map(|delivery| (delivery.customer, delivery.kind)).collect()
    }

    /// The accounts that messages of a kind wait for.
    fn accounts_told(&self, kind: Kind) -> Vec<String> {
        let of_kind = self.due(0).into_iter().filter(|delivery| delivery.kind == kind);
        let accounts: BTreeSet<String> = of_kind.filter_map(|delivery| delivery.facts.account).collect();
        accounts.into_iter().collect()
    }

    pub(crate) fn endpoint(&self) -> (String, Subscriber) {
        self.endpoint_of(None)
    }

    /// One that hears of these kinds.
    pub(crate) fn endpoint_of(&self, kinds: Option<Vec<Kind>>) -> (String, Subscriber) {
        let made = now(self.notifications.add_endpoint("https://hooks.example/", kinds)).expect("made").expect("room");
        let id = made.endpoint.id;
        (id.clone(), Subscriber::endpoint(&id))
    }

    /// How many keys there are.
    fn keys(&self) -> usize {
        let is_there = |number: &u64| {
            let id = KeyId(u128::from(*number).to_le_bytes());
            now(self.world.keyring.key(id)).expect("read").is_some()
        };
        (1..=self.world.keys_made()).filter(is_there).count()
    }

    /// The endpoint answers what is sent now that it is gone.
    pub(crate) fn says_gone(&self, delivery: &Delivery) {
        now(self.notifications.gone(delivery, self.world.bank.now())).expect("noted");
    }

    /// Reads once; whether the follower is of use any more.
    fn follow_once(&self, subscriber: &Subscriber) -> bool {
        let mut follower =
            now(self.notifications.follower(subscriber, ShardId::default())).expect("read").expect("begun");
        now(self.notifications.follow(&mut follower)).expect("read").is_some()
    }
}

pub(crate) fn last_month(today: Day) -> Month {
    Month::of(Day::new(today.number() - 31)).expect("a month")
}

#[test]
fn two_accounts_of_one_customer_that_fall_low_with_one_transfer_are_two_messages() {
    let post = Post::with_two_accounts_and_a_payee();
    let low_balance = BTreeMap::from([("EUR".to_owned(), 50)]);
    post.prefers(7, Preference { low_balance, kinds: Some(vec![Kind::LowBalance]), ..Preference::default() });
    post.world.submit(None, Command::Transfer(legs(&[(7, 8, 90), (70, 8, 80)]))).expect("moved");
    assert_eq!(post.follow(&email()), 3, "two warnings, and who got it");
    assert_eq!(post.accounts_told(Kind::LowBalance), ["7", "70"]);
}

#[test]
fn of_two_accounts_that_one_customer_pays_somebody_from_both_are_told() {
    let post = Post::with_two_accounts_and_a_payee();
    post.world.submit(None, Command::Transfer(legs(&[(7, 8, 10), (70, 8, 20)]))).expect("moved");
    post.follow(&email());
    assert_eq!(post.accounts_told(Kind::TransferCompleted), ["7", "70"]);
}

#[test]
fn who_wants_only_to_hear_what_comes_in_hears_it_of_their_own_transfers_too() {
    let post = Post::with_customer(1, 7);
    post.open_another(70, 7);
    post.prefers(7, Preference { kinds: Some(vec![Kind::TransferReceived]), ..Preference::default() });
    post.world.pay_in(7, 5);
    post.world.submit(None, Command::Transfer(legs(&[(7, 70, 5)]))).expect("moved");
    post.follow(&email());
    assert_eq!(post.told(0), [(7, Kind::TransferReceived)]);
}

#[test]
fn nobody_is_told_that_money_left_which_did_not() {
    let post = Post::new(2);
    now(post.notifications.begin(&email())).expect("begun");
    let (here, there, payee) = (post.world.id_on(0, 0), post.world.id_on(1, 0), post.world.id_on(0, 1));
    [here, there, payee].into_iter().for_each(|id| post.add(id));
    post.world.pay_in(here, 100);
    post.follow(&email());
    // The second leg's payer has nothing, so it all fails.
    post.world.submit(None, Command::Transfer(legs(&[(here, payee, 10), (there, payee, 20)]))).expect("begun");
    post.follow(&email());
    now(post.world.bank.finish_sagas()).expect("ended");
    post.follow(&email());
    let told: Vec<_> = post.told(0).into_iter().chain(post.told(1)).filter(|told| told.1 != Kind::Deposit).collect();
    assert_eq!(told, [(here, Kind::TransferPending), (here, Kind::TransferFailed)]);
}

#[test]
fn who_was_not_told_yet_that_money_left_hears_only_that_it_came_back() {
    let post = Post::new(2);
    now(post.notifications.begin(&email())).expect("begun");
    let (payer, empty, payee) = (post.world.id_on(0, 0), post.world.id_on(1, 0), post.world.id_on(0, 1));
    [payer, empty, payee].into_iter().for_each(|id| post.add(id));
    post.world.pay_in(payer, 100);
    post.world.submit(None, Command::Transfer(legs(&[(payer, payee, 10), (empty, payee, 20)]))).expect("begun");
    post.follow(&email());
    let waiting = |kind| post.due(0).into_iter().find(|delivery| delivery.kind == kind).expect("made");
    let prepared = |delivery: &Delivery| now(post.notifications.prepare(delivery)).expect("prepared");
    let first = waiting(Kind::TransferPending);
    post.world.pass(61 * SECOND_US);
    assert!(matches!(prepared(&first), Step::Send(_)), "it is on its way still");
    now(post.world.bank.finish_sagas()).expect("ended");
    post.follow(&email());
    match prepared(&first) {
        Step::Settle(over) => {
            assert_eq!(over, Settled::Dropped("over"));
            post.settle(&first, over);
        }
        other => panic!("{other:?}"),
    }
    match prepared(&waiting(Kind::TransferFailed)) {
        Step::Send(failed) => assert!(!failed.text.contains("We wrote to you"), "{}", failed.text),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_no_longer_wanted_when_it_is_sent_is_not_sent() {
    let post = Post::with_two_accounts_and_a_payee();
    let prepared = |delivery: &Delivery| now(post.notifications.prepare(delivery)).expect("prepared");
    let (waiting, other) = (post.due(0).remove(0), post.due(0).remove(1));
    assert!(matches!(prepared(&waiting), Step::Send(_)));
    for preference in [
        Preference { kinds: Some(vec![Kind::Security]), ..Preference::default() },
        Preference { minimum_amounts: BTreeMap::from([("EUR".to_owned(), 101)]), ..Preference::default() },
        Preference { channels: Vec::new(), ..Preference::default() },
    ] {
        post.prefers(7, preference);
        match prepared(&waiting) {
            Step::Settle(settled) => assert_eq!(settled, Settled::Dropped("not_chosen")),
            other => panic!("{other:?}"),
        }
    }
    post.prefers(7, Preference { kinds: Some(vec![Kind::Security]), ..Preference::default() });
    post.settle(&waiting, Settled::Accepted(Default::default()));
    let follows = Delivery { follows: Some(waiting.id), ..other };
    post.put(&follows);
    assert!(matches!(prepared(&follows), Step::Send(_)), "what became of something that was told");
}

#[test]
fn what_quiet_hours_hold_is_due_when_they_end_as_they_are_chosen_now() {
    let post = Post::with_customer(1, 7);
    // It is 08:00 in UTC.
    let hours =
        |until: &str| Preference { quiet_hours: QuietHours::new("07:00", until, "UTC"), ..Preference::default() };
    post.prefers(7, hours("20:00"));
    (1..=2).for_each(|amount| post.world.pay_in(7, amount));
    post.follow(&email());
    let held = || {
        let all = post.all();
        all.iter()
            .map(|delivery| (delivery.due_us - post.world.bank.now().microseconds()) / (3600 * SECOND_US))
            .collect()
    };
    let hours_held: Vec<u64> = held();
    assert_eq!(hours_held, [12, 12]);
    post.prefers(7, hours("10:00"));
    let hours_held: Vec<u64> = held();
    assert_eq!(hours_held, [2, 2]);
    assert!(post.due(0).is_empty());
    post.prefers(7, Preference::default());
    assert_eq!(post.due(0).len(), 2);
}

#[test]
fn a_hold_whose_time_is_over_when_its_capture_is_refused_is_told_to_have_expired_once() {
    let post = Post::new(2);
    now(post.notifications.begin(&email())).expect("begun");
    let (payer, shop) = (post.world.id_on(0, 0), post.world.id_on(1, 0));
    [payer, shop].into_iter().for_each(|id| post.add(id));
    post.world.pay_in(payer, 100);
    let expires_at = Some(post.world.bank.now().saturating_add(60 * SECOND_US));
    let placed = || {
        let (from, to) = (account(payer), Some(account(shop)));
        let place = PlaceHold { from, to, amount: amount(50), currency: euro(), expires_at };
        let placed = post.world.submit(None, Command::PlaceHold(place)).expect("placed");
        let Event::HoldChanged(placed) = event_of(&placed) else { panic!("no hold") };
        placed.hold.id
    };
    let (partly, whole) = (placed(), placed());
    post.world.submit(None, Command::Close(account(shop))).expect("closed");
    for (hold, is_final) in [(partly, false), (whole, true)] {
        let capture = CaptureHold { hold, amount: Some(amount(20)), to: None, is_final, note: None };
        post.world.submit(None, Command::CaptureHold(Box::new(capture))).expect("begun");
    }
    post.world.pass(61 * SECOND_US);
    // Of what was captured in part, the rest expires by itself, and is no more told when the part is refused.
    post.world.submit(None, Command::ExpireHold(partly)).expect("expired");
    now(post.world.bank.finish_sagas()).expect("ended");
    post.follow(&email());
    let expired: Vec<_> = post.due(0).into_iter().filter(|delivery| delivery.kind == Kind::HoldExpired).collect();
    let of = |hold: HoldId| expired.iter().filter(|told| told.facts.hold == Some(hold.to_string())).count();
    assert_eq!((expired.len(), of(partly), of(whole)), (2, 1, 1));
    assert!(post.due(0).iter().all(|delivery| delivery.kind != Kind::HoldCaptured));
}

#[test]
fn who_pays_an_account_of_their_own_and_somebody_else_with_one_transfer_hears_what_came_too() {
    let post = Post::with_two_accounts_and_a_payee();
    post.world.submit(None, Command::Transfer(legs(&[(7, 70, 10), (7, 8, 20)]))).expect("moved");
    post.follow(&email());
    assert_eq!(post.accounts_told(Kind::TransferReceived), ["70", "8"]);
    let due = post.due(0);
    let went = due.iter().find(|delivery| delivery.kind == Kind::TransferCompleted).expect("made");
    match now(post.notifications.prepare(went)).expect("prepared") {
        Step::Send(outgoing) => assert_eq!(outgoing.text, "Success! Your transfer is complete."),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_reversal_that_fails_tells_nobody_that_their_transfer_was_not_made() {
    let post = Post::new(2);
    now(post.notifications.begin(&email())).expect("begun");
    let (payer, payee) = (post.world.id_on(0, 0), post.world.id_on(1, 0));
    post.add(payer);
    post.add(payee);
    post.world.pay_in(payer, 100);
    let made = post.world.submit(None, Command::Transfer(legs(&[(payer, payee, 40)]))).expect("begun");
    let transfer = match crate::world::event_of(&made) {
        ledger::event::Event::Saga(step) => step.saga,
        other => panic!("{other:?}"),
    };
    now(post.world.bank.finish_sagas()).expect("ended");
    // The money is spent, so nothing can be taken back.
    let spent = post.world.bank.withdrawal(account(payee), None, crate::world::terms(40)).expect("a withdrawal");
    post.world.submit(None, Command::Transfer(spent)).expect("spent");
    post.follow(&email());
    let before: HashSet<String> = post.all().into_iter().map(|delivery| delivery.id).collect();
    let reverse = Command::Reverse(Reverse { transfer, forced: false, note: None });
    post.world.submit(None, reverse).expect("begun");
    now(post.world.bank.finish_sagas()).expect("ended");
    post.follow(&email());
    let told: Vec<Kind> = post
        .all()
        .into_iter()
        .filter(|delivery| !before.contains(&delivery.id))
        .map(|delivery| delivery.kind)
        .collect();
    assert_eq!(told, []);
}

#[test]
fn what_waits_for_an_endpoint_that_is_off_waits_until_it_is_on() {
    let post = Post::with_customer(1, 7);
    let (id, subscriber) = post.endpoint();
    post.world.pay_in(7, 5);
    assert_eq!(post.follow(&subscriber), 1);
    let waiting = post.due_of(&subscriber, 0).remove(0);
    post.says_gone(&waiting);
    match now(post.notifications.prepare(&waiting)).expect("prepared") {
        Step::Settle(Settled::Held(until)) => post.settle(&waiting, Settled::Held(until)),
        other => panic!("{other:?}"),
    }
    post.world.pay_in(7, 6);
    assert!(!post.follow_once(&subscriber), "nothing is read over meanwhile");
    now(post.notifications.enable_endpoint(&id)).expect("on");
    assert_eq!(post.follow(&subscriber), 1);
    post.world.pass(60 * SECOND_US);
    for waiting in post.due_of(&subscriber, 0) {
        assert!(matches!(now(post.notifications.prepare(&waiting)).expect("prepared"), Step::Send(_)));
    }
    assert_eq!(post.due_of(&subscriber, 0).len(), 2);
}

#[test]
fn an_answer_to_what_was_sent_before_an_endpoint_was_put_on_again_does_not_end_it() {
    let post = Post::with_customer(1, 7);
    let (id, subscriber) = post.endpoint();
    post.world.pay_in(7, 5);
    post.follow(&subscriber);
    let waiting = post.due_of(&subscriber, 0).remove(0);
    let sent_at = post.world.bank.now();
    post.world.pass(SECOND_US);
    let is_enabled = || now(post.notifications.endpoint(&id)).expect("read").expect("an endpoint").is_enabled;
    now(post.notifications.enable_endpoint(&id)).expect("on");
    now(post.notifications.gone(&waiting, sent_at)).expect("noted");
    assert!(is_enabled());
    post.world.pass(SECOND_US);
    post.says_gone(&waiting);
    assert!(!is_enabled());
}

#[test]
fn what_waits_for_an_endpoint_that_was_removed_is_dropped_some_time() {
    let post = Post::with_customer(1, 7);
    let ((gone, subscriber), (_, stays)) = (post.endpoint(), post.endpoint());
    (1..=3).for_each(|amount| post.world.pay_in(7, amount));
    assert_eq!((post.follow(&subscriber), post.follow(&stays)), (3, 3));
    now(post.notifications.remove_endpoint(&gone)).expect("removed");
    // A station that has not heard of it yet leaves nothing behind.
    now(post.notifications.begin(&subscriber)).expect("begun");
    let cursors = format!("notification/cursor/webhook-{gone}/");
    assert_eq!(now(post.records.list(&cursors, None, 1)).expect("read"), []);
    assert_eq!(now(post.notifications.tidy()).expect("tidied").dropped, 3);
    assert!(post.due_of(&subscriber, 0).is_empty());
    assert_eq!(post.due_of(&stays, 0).len(), 3);
    let dropped = post.all().into_iter().filter(|delivery| delivery.state == State::Dropped);
    assert!(dropped.clone().all(|delivery| delivery.endpoint.as_ref() == Some(&gone)) && dropped.count() == 3);
}

#[test]
fn an_endpoint_too_hears_of_the_beginning_before_the_end() {
    let post = Post::new(2);
    let (payer, payee) = (post.world.id_on(0, 0), post.world.id_on(1, 0));
    post.add(payer);
    post.add(payee);
    post.world.pay_in(payer, 100);
    let (_, subscriber) = post.endpoint();
    post.world.submit(None, Command::Transfer(legs(&[(payer, payee, 40)]))).expect("begun");
    now(post.world.bank.finish_sagas()).expect("ended");
    post.follow(&subscriber);
    let due = post.due_of(&subscriber, 0);
    let of = |kind| due.iter().find(|delivery| delivery.kind == kind).expect("made");
    let (first, last) = (of(Kind::TransferPending), of(Kind::TransferCompleted));
    assert!(matches!(now(post.notifications.prepare(last)).expect("prepared"), Step::Settle(Settled::Held(_))));
    post.settle(first, Settled::Accepted(Default::default()));
    assert!(matches!(now(post.notifications.prepare(last)).expect("prepared"), Step::Send(_)));
}

#[test]
fn what_a_person_discarded_is_not_sent() {
    let post = Post::with_customer(1, 7);
    post.world.pay_in(7, 5);
    post.follow(&email());
    let known = post.due(0).remove(0);
    now(post.notifications.decide(&known.id, &Decision::Discard("told otherwise".into()))).expect("decided");
    assert!(matches!(now(post.notifications.prepare(&known)).expect("prepared"), Step::Outrun));
    let waiting = now(post.notifications.waiting(&email(), ShardId::default(), 10)).expect("counted").all;
    assert_eq!(waiting, 0);
}

#[test]
fn what_a_person_has_sent_again_is_tried_as_long_as_what_is_new() {
    let post = Post::with_customer(1, 7);
    post.world.pay_in(7, 5);
    post.follow(&email());
    let id = post.due(0).remove(0).id;
    post.settle(&post.read(&id), Settled::Failed(SendFailure::never("smtp_550")));
    post.world.pass(2 * DAY_US);
    now(post.notifications.decide(&id, &Decision::Redrive)).expect("decided");
    for attempt in 1..=3 {
        post.world.pass(7 * 3600 * SECOND_US);
        post.settle(&post.read(&id), Settled::Failed(SendFailure::later("smtp_451")));
        assert_eq!((post.read(&id).state, post.read(&id).attempts), (State::Waiting, attempt));
    }
    post.world.pass(DAY_US);
    post.settle(&post.read(&id), Settled::Failed(SendFailure::later("smtp_451")));
    assert_eq!(post.read(&id).state, State::Failed, "and no longer");
}

#[test]
fn a_cursor_beyond_the_end_of_a_journal_is_set_back_to_it() {
    let post = Post::with_customer(1, 7);
    let head = post.world.bank.shards()[0].head();
    let cursor = RecordChange::put("notification/cursor/email/0000", &(head + 100)).expect("a record");
    assert!(now(post.records.change(vec![cursor])).expect("made"));
    let set_back = now(post.notifications.begin(&email())).expect("begun");
    assert_eq!(set_back.iter().map(|back| (back.was, back.is)).collect::<Vec<_>>(), [(head + 100, head)]);
    assert_eq!(now(post.notifications.begin(&email())).expect("begun"), []);
    post.world.pay_in(7, 5);
    assert_eq!(post.follow(&email()), 1);
}

#[test]
fn what_is_urgent_goes_before_everything_else() {
    let post = Post::with_customer(1, 7);
    (1..=50).for_each(|amount| post.world.pay_in(7, amount));
    assert_eq!(post.follow(&email()), 50);
    post.world.pass(SECOND_US);
    let freeze = Box::new(Freeze { account: account(7), kind: None, reason: None });
    now(post.world.bank.submit(&local(), None, Command::Freeze(freeze), false)).expect("frozen");
    assert_eq!(post.follow(&email()), 1);
    assert_eq!(post.told(0)[0], (7, Kind::Security));
}

#[test]
fn what_no_journal_has_does_not_keep_the_journal_from_being_read() {
    let post = Post::with_customer(1, 7);
    let today = post.world.bank.now().day();
    let month = last_month(today);
    now(post.notifications.statement_ready(account(7), month, 1)).expect("told");
    assert_eq!(post.told(0), [(7, Kind::StatementReady)]);
    assert_eq!(now(post.notifications.waiting(&email(), ShardId::default(), 10)).expect("counted").all, 0);
}

#[test]
fn notes_of_old_statements_are_removed() {
    let post = Post::with_customer(1, 7);
    let month = last_month(post.world.bank.now().day());
    now(post.notifications.statement_ready(account(7), month, 1)).expect("told");
    let notes = || now(post.records.list("notification/told/", None, 10)).expect("read").len();
    now(post.notifications.tidy()).expect("tidied");
    assert_eq!(notes(), 1, "it is news");
    post.world.pass(46 * DAY_US);
    now(post.notifications.tidy()).expect("tidied");
    assert_eq!(notes(), 0);
    now(post.notifications.statement_ready(account(7), month, 1)).expect("asked");
    assert_eq!(post.all().len(), 1, "and nobody is told again");
}

#[test]
fn a_record_that_cannot_be_read_holds_up_no_other() {
    let post = Post::with_customer(1, 7);
    (1..=2).for_each(|amount| post.world.pay_in(7, amount));
    post.follow(&email());
    let damaged = post.due(0)[0].clone();
    let key = format!("notification/due/email/0000/{:013x}/{}", damaged.due_us, damaged.id);
    let change = RecordChange { key, expected: bank::ports::Expected::Anything, value: Some(b"{".to_vec()) };
    assert!(now(post.records.change(vec![change])).expect("damaged"));
    assert_eq!(post.due(0).len(), 1);
    assert_eq!(now(post.notifications.waiting(&email(), ShardId::default(), 10)).expect("counted").all, 1);
}

#[test]
fn of_devices_added_at_once_no_more_are_taken_than_one_may_have() {
    let post = Post::with_customer(1, 7);
    for number in 1..DEVICES_MAX {
        assert!(matches!(post.device(7, &number.to_string()), Added::Yes(_)));
    }
    let row = now(post.world.bank.user(customer(7))).expect("read").expect("a customer");
    let slow = || Meanwhile::before_each(post.records.clone(), || Box::pin(a_moment()));
    let nodes = [(), ()].map(|()| post.node(Arc::new(slow())));
    let (one, other) = (Address::Fcm("one".into()), Address::Fcm("other".into()));
    let (one, other) = now(join(nodes[0].add_device(&row, &one), nodes[1].add_device(&row, &other)));
    let added = [one.expect("asked"), other.expect("asked")];
    assert_eq!(added.iter().filter(|added| matches!(added, Added::Yes(_))).count(), 1, "{added:?}");
    assert_eq!(now(post.notifications.devices(customer(7))).expect("read").len(), DEVICES_MAX);
}

#[derive(Default)]
struct Removed(Mutex<Vec<String>>);

impl PutAside for Removed {
    fn remove(&self, ids: Vec<String>) -> Boxed<'_, Result<(), Fault>> {
        self.0.lock().expect("unpoisoned").extend(ids);
        Box::pin(async { Ok(()) })
    }
}

#[test]
fn whoever_is_erased_has_no_device_and_gets_none_and_keeps_what_they_chose() {
    let removed = Arc::new(Removed::default());
    let post = Post::with_customer(1, 7);
    let post = Post { notifications: post.node(post.records.clone()).putting_aside(removed.clone()), ..post };
    post.device(7, "token");
    let chosen = Preference { kinds: Some(vec![Kind::Deposit]), ..Preference::default() };
    post.prefers(7, chosen.clone());
    post.world.pay_in(7, 5);
    post.follow(&email());
    let made = post.due(0).remove(0).id;
    assert!(now(post.notifications.erase_user(&local(), customer(7))).expect("erased"));
    assert_eq!(now(post.notifications.devices(customer(7))).expect("read"), []);
    assert_eq!(post.device(7, "another"), Added::No(NotAdded::Erased));
    assert_eq!(now(post.notifications.preference(customer(7))).expect("read"), chosen);
    assert_eq!(*removed.0.lock().expect("unpoisoned"), [made]);
}

#[test]
fn keys_of_secrets_that_sign_no_more_are_destroyed() {
    let post = Post::with_customer(1, 7);
    let before = post.keys();
    let (id, _) = post.endpoint();
    for secrets in [2, 3, 3] {
        now(post.notifications.rotate_secret(&id)).expect("rotated").expect("an endpoint");
        assert_eq!(post.keys() - before, secrets);
    }
    post.world.pass(DAY_US + SECOND_US);
    now(post.notifications.tidy()).expect("tidied");
    assert_eq!(post.keys() - before, 1);
}
