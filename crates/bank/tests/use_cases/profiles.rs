//! Personal data: sealed on its way in, opened for whoever may read it, gone when its key is.

use crate::world::{World, event_of, local, named, now, rejection};
use bank::Caller;
use bank::error::BankError;
use bank::profile::PlainProfile;
use ledger::customer::{Customer, ProfileField};
use ledger::event::{CustomerChange, Event, Outcome};
use ledger::ids::CustomerId;
use ledger::time::Day;
use ledger::token::Role;
use store::Answer;

const SECRET: &str = "Nobody Shall Read This";

fn id(number: u64) -> CustomerId {
    CustomerId::new(number).expect("an id")
}

fn customer(answer: &Answer) -> Customer {
    match event_of(answer) {
        Event::CustomerChanged(changed) => changed.customer.clone(),
        other => panic!("no customer: {other:?}"),
    }
}

fn email(address: &str) -> PlainProfile {
    let mut profile = PlainProfile::default();
    profile.set(ProfileField::Email, address, Day::new(20_000)).expect("an address");
    profile
}

fn register(world: &World, number: u64, profile: &PlainProfile) -> Answer {
    now(world.bank.register_user(&local(), None, Some(id(number)), profile)).expect("an answer")
}

#[test]
fn a_registration_repeated_is_the_same_and_one_with_other_content_is_taken() {
    let world = World::new(2);
    let first = register(&world, 1, &named("A"));
    assert!(
        matches!(event_of(&first), Event::CustomerChanged(changed) if changed.change == CustomerChange::Registered)
    );
    let again = register(&world, 1, &named("A"));
    assert!(matches!(event_of(&again), Event::CustomerChanged(changed) if changed.change == CustomerChange::Nothing));
    assert_eq!(rejection(&register(&world, 1, &named("B"))), Some("id_taken"));
    assert_eq!(world.keys_made(), 1, "a repetition needs no key");
    let profile = now(world.bank.open_profile(&customer(&again))).expect("opened");
    assert_eq!(profile.get(ProfileField::Name), Some("A"));
}

#[test]
fn nothing_personal_is_in_the_journal() {
    let world = World::new(1);
    register(&world, 1, &named(SECRET));
    let journal = format!("{:?}", world.memories[0].entries_so_far());
    assert!(!journal.contains(SECRET));
    let Outcome::Event(Event::CustomerChanged(changed)) = &world.memories[0].entries_so_far()[0].outcome else {
        panic!("no customer")
    };
    let sealed = &changed.customer.profile[0].1;
    assert!(!sealed.windows(6).any(|window| SECRET.as_bytes().windows(6).any(|other| other == window)));
}

#[test]
fn changes_are_sealed_under_the_customers_own_key() {
    let world = World::new(1);
    register(&world, 1, &named("A"));
    let answer = now(world.bank.update_user(&local(), None, id(1), &email("a@example.org"))).expect("an answer");
    assert!(matches!(event_of(&answer), Event::CustomerChanged(changed)
        if changed.change == CustomerChange::Updated(vec![ProfileField::Email])));
    assert_eq!(world.keys_made(), 1);
    let profile = now(world.bank.open_profile(&customer(&answer))).expect("opened");
    assert_eq!((profile.get(ProfileField::Name), profile.get(ProfileField::Email)), (Some("A"), Some("a@example.org")));
}

#[test]
fn an_erased_profile_is_unreadable_for_good_and_the_customer_stays() {
    let world = World::new(2);
    let before = register(&world, 1, &named(SECRET));
    register(&world, 2, &named("B"));
    now(world.bank.update_user(&local(), None, id(1), &email("a@example.org"))).expect("an answer");
    assert!(now(world.bank.erase_user(&local(), id(1))).expect("erased"));
    let stored = now(world.bank.user(id(1))).expect("read").expect("the customer stays");
    assert!(now(world.bank.open_profile(&stored)).expect("opened").is_empty());
    assert!(
        now(world.bank.open_profile(&customer(&before))).expect("opened").is_empty(),
        "not from the journal either"
    );
    let other = now(world.bank.user(id(2))).expect("read").expect("the other");
    assert_eq!(now(world.bank.open_profile(&other)).expect("opened").get(ProfileField::Name), Some("B"));
    // What is learned later is sealed under another key and can be read.
    now(world.bank.update_user(&local(), None, id(1), &email("new@example.org"))).expect("an answer");
    let stored = now(world.bank.user(id(1))).expect("read").expect("the customer stays");
    let profile = now(world.bank.open_profile(&stored)).expect("opened");
    assert_eq!((profile.get(ProfileField::Name), profile.get(ProfileField::Email)), (None, Some("new@example.org")));
    assert!(!now(world.bank.erase_user(&local(), id(3))).expect("asked"));
}

#[test]
fn only_admins_erase_and_auditors_register_nobody() {
    let world = World::new(1);
    register(&world, 1, &named("A"));
    let teller = Caller { role: Role::Teller, ..local() };
    assert!(matches!(now(world.bank.erase_user(&teller, id(1))), Err(BankError::Forbidden { needs: Role::Admin })));
    let auditor = Caller { role: Role::Auditor, ..local() };
    let refused = now(world.bank.register_user(&auditor, None, None, &named("A")));
    assert!(matches!(refused, Err(BankError::Forbidden { needs: Role::Teller })));
    assert_eq!(world.keys_made(), 1);
}

#[test]
fn a_change_of_an_unknown_customer_is_rejected() {
    let world = World::new(1);
    let answer = now(world.bank.update_user(&local(), None, id(9), &email("a@example.org"))).expect("an answer");
    assert_eq!(rejection(&answer), Some("user_not_found"));
}
