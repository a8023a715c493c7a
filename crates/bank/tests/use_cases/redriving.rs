//! Dead letters: redriving moves money at most once, whatever is interrupted.

use crate::events::{deposited, opened, registered, withdrawn};
use crate::world::{World, code, counts, event_of, local, now, rejection};
use bank::Caller;
use bank::error::BankError;
use bank::ingest::EventOutcome;
use bank::submit::ClientKey;
use ledger::dead_letter::{DeadLetter, DeadLetterStatus};
use ledger::event::Event;
use ledger::ids::DeadLetterId;
use ledger::token::Role;
use serde_json::value::RawValue;
use store::Answer;
use store::faulty::Submitting;

/// A withdrawal of 1.00 that failed for want of funds on an account with nothing on it.
fn failed_withdrawal(world: &World, id: u64) -> DeadLetterId {
    world.open(id);
    dead_letter(world, &withdrawn("w", id, "1.00"))
}

fn dead_letter(world: &World, event: &str) -> DeadLetterId {
    match world.ingest(&[event])[0].outcome {
        EventOutcome::DeadLettered { dead_letter, .. } => dead_letter,
        ref other => panic!("no dead letter: {other:?}"),
    }
}

fn letter(answer: &Answer) -> DeadLetter {
    match event_of(answer) {
        Event::DeadLetterChanged(changed) => changed.dead_letter.clone(),
        other => panic!("no dead letter: {other:?}"),
    }
}

fn redrive(world: &World, id: DeadLetterId) -> Result<Answer, BankError> {
    now(world.bank.redrive(&local(), None, id, None))
}

fn raw(text: &str) -> Box<RawValue> {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn a_redrive_that_takes_effect_ends_the_letter() {
    let world = World::new(1);
    let id = failed_withdrawal(&world, 1);
    world.pay_in(1, 300);
    let after = letter(&redrive(&world, id).expect("redriven"));
    assert_eq!((after.status, after.attempts, after.attempt_is_open), (DeadLetterStatus::Redriven, 2, false));
    assert_eq!(world.balance(1), 200);
    let again = letter(&redrive(&world, id).expect("asked"));
    assert_eq!((again.status, again.attempts), (DeadLetterStatus::Redriven, 2));
    assert_eq!(world.balance(1), 200);
    // The event itself never takes effect any more.
    assert_eq!(code(&world.ingest(&[withdrawn("w", 1, "1.00")])[0]), "replayed");
    assert_eq!(world.balance(1), 200);
}

#[test]
fn a_redrive_that_fails_leaves_the_letter_waiting_with_the_new_reason() {
    let world = World::new(1);
    let id = failed_withdrawal(&world, 1);
    let after = letter(&redrive(&world, id).expect("asked"));
    assert_eq!((after.status, after.attempts, &*after.code), (DeadLetterStatus::Waiting, 2, "insufficient_funds"));
    let after = letter(&redrive(&world, id).expect("asked"));
    assert_eq!(after.attempts, 3);
    world.pay_in(1, 100);
    assert_eq!(letter(&redrive(&world, id).expect("asked")).status, DeadLetterStatus::Redriven);
    assert_eq!(world.balance(1), 0);
}

/// Every way in which the three steps of a redrive can be interrupted: before or after each takes effect.
#[test]
fn a_redrive_interrupted_anywhere_moves_money_exactly_once_when_asked_again() {
    for step in 0..3 {
        for failure in [Submitting::IsRefused, Submitting::LosesAnswer] {
            let world = World::new(1);
            let id = failed_withdrawal(&world, 1);
            world.pay_in(1, 300);
            let script = std::iter::repeat_n(Submitting::Works, step).chain([failure]);
            world.faulty[0].script_submissions(script);
            assert!(matches!(redrive(&world, id), Err(BankError::Fault(_))), "step {step} {failure:?}");
            let after = letter(&redrive(&world, id).expect("carried on"));
            assert_eq!((after.status, after.attempts), (DeadLetterStatus::Redriven, 2), "step {step} {failure:?}");
            assert_eq!(world.balance(1), 200, "step {step} {failure:?}");
            redrive(&world, id).expect("asked once more");
            assert_eq!(world.balance(1), 200, "step {step} {failure:?}");
        }
    }
}

#[test]
fn an_open_attempt_is_carried_on_with_the_data_it_was_begun_with() {
    let world = World::new(1);
    let id = failed_withdrawal(&world, 1);
    world.pay_in(1, 1_000);
    world.faulty[0].script_submissions([Submitting::Works, Submitting::IsRefused]);
    let first = raw(r#"{"account_id":"1","amount":"2.00","currency":"EUR"}"#);
    assert!(now(world.bank.redrive(&local(), None, id, Some(&first))).is_err());
    let open = now(world.bank.dead_letter(id)).expect("read").expect("a letter").letter;
    assert!(open.attempt_is_open && open.attempts == 2);
    let second = raw(r#"{"account_id":"1","amount":"5.00","currency":"EUR"}"#);
    let after = letter(&now(world.bank.redrive(&local(), None, id, Some(&second))).expect("carried on"));
    assert_eq!((after.status, after.attempts), (DeadLetterStatus::Redriven, 2));
    assert_eq!(world.balance(1), 800);
}

#[test]
fn a_rejection_of_an_interrupted_attempt_stands_even_if_it_would_succeed_by_now() {
    let world = World::new(1);
    let id = failed_withdrawal(&world, 1);
    // The attempt is rejected, and that is recorded, but its end is not.
    world.faulty[0].script_submissions([Submitting::Works, Submitting::Works, Submitting::IsRefused]);
    assert!(redrive(&world, id).is_err());
    world.pay_in(1, 100);
    let after = letter(&redrive(&world, id).expect("carried on"));
    assert_eq!((after.status, after.attempts, &*after.code), (DeadLetterStatus::Waiting, 2, "insufficient_funds"));
    assert_eq!(world.balance(1), 100);
    assert_eq!(letter(&redrive(&world, id).expect("a new attempt")).status, DeadLetterStatus::Redriven);
    assert_eq!(world.balance(1), 0);
}

#[test]
fn other_data_takes_the_place_of_what_was_sent_and_may_live_on_another_shard() {
    let world = World::new(2);
    let (here, there) = (world.id_on(0, 0), world.id_on(1, 0));
    world.open(here);
    world.open(there);
    let id = dead_letter(&world, &deposited("1", here, "\"a lot\""));
    let data = raw(&format!(r#"{{"account_id":"{there}","amount":"7.00","currency":"EUR"}}"#));
    let after = letter(&now(world.bank.redrive(&local(), None, id, Some(&data))).expect("redriven"));
    assert_eq!(after.status, DeadLetterStatus::Redriven);
    assert_eq!((world.balance(here), world.balance(there)), (0, 700));
    let shown = now(world.bank.dead_letter(id)).expect("read").expect("a letter").event.expect("its event");
    assert!(shown.get().contains(data.get()) && shown.get().contains(r#""source":"bank""#));
}

#[test]
fn a_clients_key_gives_the_same_answer_again() {
    let world = World::new(1);
    let id = failed_withdrawal(&world, 1);
    let key = Some(ClientKey { text: "k", fingerprint: 1 });
    let ask = || now(world.bank.redrive(&local(), key, id, None)).expect("asked");
    let first = ask();
    assert!(matches!(first, Answer::Recorded(_)));
    world.pay_in(1, 100);
    let again = ask();
    assert!(matches!(again, Answer::Replayed(_)));
    assert_eq!(letter(&first), letter(&again));
    assert_eq!(world.balance(1), 100, "the key stands for its attempt, not for a new one");
    let reused = Some(ClientKey { text: "k", fingerprint: 2 });
    assert!(matches!(now(world.bank.redrive(&local(), reused, id, None)), Ok(Answer::KeyReused)));
}

#[test]
fn an_event_for_an_account_that_came_later_is_redriven_from_anywhere() {
    let world = World::new(3);
    for shard in 0..3 {
        let (id, user) = (world.id_on(shard, 0), world.id_on((shard + 1) % 3, 1));
        let opening = dead_letter(&world, &opened(id, user));
        let deposit = dead_letter(&world, &deposited("1", id, "1.00"));
        assert_eq!(&*letter(&redrive(&world, opening).expect("asked")).code, "user_not_found");
        assert_eq!(counts(&world.ingest(&[registered(user)])), (1, 0, 0));
        assert_eq!(letter(&redrive(&world, opening).expect("asked")).status, DeadLetterStatus::Redriven);
        assert_eq!(letter(&redrive(&world, deposit).expect("asked")).status, DeadLetterStatus::Redriven);
        assert_eq!(world.balance(id), 100);
    }
}

#[test]
fn a_registration_that_failed_can_be_redriven_with_better_data() {
    let world = World::new(1);
    let id = dead_letter(&world, &registered(5).replace("Customer 5", ""));
    let data = raw(r#"{"user_id":"5","name":"Customer 5"}"#);
    let after = letter(&now(world.bank.redrive(&local(), None, id, Some(&data))).expect("redriven"));
    assert_eq!(after.status, DeadLetterStatus::Redriven);
    let user =
        now(world.bank.user(ledger::ids::CustomerId::new(5).expect("an id"))).expect("read").expect("registered");
    assert!(!now(world.bank.open_profile(&user)).expect("opened").is_empty());
}

#[test]
fn what_was_no_event_stays_where_it_is() {
    let world = World::new(1);
    let id = dead_letter(&world, "nonsense");
    let data = raw("{}");
    let refused = now(world.bank.redrive(&local(), None, id, Some(&data)));
    assert!(matches!(refused, Err(BankError::Malformed { code: "malformed", .. })));
    let after = letter(&redrive(&world, id).expect("asked"));
    assert_eq!((after.status, &*after.code, after.attempts), (DeadLetterStatus::Waiting, "malformed", 2));
    let shown = now(world.bank.dead_letter(id)).expect("read").expect("a letter").event.expect("its text");
    assert_eq!(shown.get(), r#""nonsense""#);
}

#[test]
fn a_discarded_letter_is_never_redriven() {
    let world = World::new(1);
    let id = failed_withdrawal(&world, 1);
    world.pay_in(1, 100);
    let teller = Caller { role: Role::Teller, ..local() };
    let refused = now(world.bank.discard(&teller, None, id, "wrong"));
    assert!(matches!(refused, Err(BankError::Forbidden { needs: Role::Admin })));
    assert!(matches!(now(world.bank.discard(&local(), None, id, " ")), Err(BankError::Malformed { .. })));
    let after = letter(&now(world.bank.discard(&local(), None, id, "sent by mistake")).expect("discarded"));
    assert_eq!(after.status, DeadLetterStatus::Discarded);
    assert_eq!(letter(&redrive(&world, id).expect("asked")).status, DeadLetterStatus::Discarded);
    assert_eq!(world.balance(1), 100);
    let auditor = Caller { role: Role::Auditor, ..local() };
    assert!(matches!(now(world.bank.redrive(&auditor, None, id, None)), Err(BankError::Forbidden { .. })));
}

#[test]
fn an_unknown_letter_is_rejected() {
    let world = World::new(2);
    let id = DeadLetterId::new(1 << 40).expect("an id");
    assert_eq!(rejection(&redrive(&world, id).expect("an answer")), Some("dead_letter_not_found"));
    let data = raw("{}");
    let answer = now(world.bank.redrive(&local(), None, id, Some(&data))).expect("an answer");
    assert_eq!(rejection(&answer), Some("dead_letter_not_found"));
    assert!(now(world.bank.dead_letter(id)).expect("read").is_none());
}

#[test]
fn letters_are_listed_by_status_over_all_shards() {
    let world = World::new(3);
    for n in 0..9 {
        let id = world.id_on(n % 3, usize::from(n));
        dead_letter(&world, &deposited("1", id, "1.00"));
        world.pass(1_000);
    }
    let all = now(world.bank.dead_letters(None, 100, None)).expect("listed");
    assert_eq!((all.items.len(), all.next.is_some()), (9, false));
    let times: Vec<_> = all.items.iter().map(|view| view.letter.received_at).collect();
    assert!(times.is_sorted_by(|earlier, later| later < earlier), "newest first");
    now(world.bank.discard(&local(), None, all.items[4].letter.id, "no")).expect("discarded");
    let count = |status| now(world.bank.dead_letters(Some(status), 100, None)).expect("listed").items.len();
    assert_eq!(
        [count(DeadLetterStatus::Waiting), count(DeadLetterStatus::Discarded), count(DeadLetterStatus::Redriven)],
        [8, 1, 0]
    );
}

#[test]
fn of_redrives_at_the_same_time_one_acts() {
    let world = World::new(1);
    let id = failed_withdrawal(&world, 1);
    world.pay_in(1, 1_000);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| redrive(&world, id).expect("asked"));
        }
    });
    assert_eq!(world.balance(1), 900);
    let after = now(world.bank.dead_letter(id)).expect("read").expect("a letter").letter;
    assert_eq!((after.status, after.attempts), (DeadLetterStatus::Redriven, 2));
}
