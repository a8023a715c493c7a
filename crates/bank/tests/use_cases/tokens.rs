//! Tokens: shown once, kept as a digest, valid until they are not.

use crate::world::{World, event_of, local, now};
use bank::Caller;
use bank::error::BankError;
use bank::submit::ClientKey;
use bank::token::{NewToken, TokenText};
use ledger::event::{Channel, Event};
use ledger::ids::TokenId;
use ledger::token::Role;

fn new(name: &str, role: Role) -> NewToken {
    NewToken { name: name.to_string(), role, expires_at: None }
}

fn create(world: &World, new: &NewToken) -> (TokenId, TokenText) {
    let (answer, text) = now(world.bank.create_token(&local(), None, new)).expect("created");
    match event_of(&answer) {
        Event::TokenChanged(token) => (token.id, text),
        other => panic!("no token: {other:?}"),
    }
}

fn who(world: &World, text: &str) -> Option<(String, Role)> {
    let caller = now(world.bank.authenticate(text, Channel::Http, "c")).expect("asked")?;
    Some((caller.principal.to_string(), caller.role))
}

#[test]
fn a_token_speaks_for_its_name_until_it_is_revoked() {
    let world = World::new(2);
    let (id, text) = create(&world, &new("shop", Role::Teller));
    let (_, other) = create(&world, &new("audit", Role::Auditor));
    assert!(text.as_str().starts_with("florin_") && text.as_str().len() == 71);
    assert_eq!(who(&world, text.as_str()), Some(("shop".to_string(), Role::Teller)));
    assert_eq!(who(&world, &text.as_str().replace("florin_", "")), None);
    assert_eq!(who(&world, &format!("{}0", text.as_str())), None);
    now(world.bank.revoke_token(&local(), None, id)).expect("revoked");
    assert_eq!(who(&world, text.as_str()), None, "at once");
    assert_eq!(who(&world, other.as_str()), Some(("audit".to_string(), Role::Auditor)));
    now(world.bank.revoke_token(&local(), None, id)).expect("revoking twice is the same as once");
}

#[test]
fn a_token_ends_when_its_time_is_over() {
    let world = World::new(1);
    let expires_at = Some(world.bank.now().saturating_add(1_000_000));
    let (_, text) = create(&world, &NewToken { expires_at, ..new("shop", Role::Teller) });
    world.pass(999_999);
    assert!(who(&world, text.as_str()).is_some());
    world.pass(1);
    assert_eq!(who(&world, text.as_str()), None);
}

#[test]
fn the_text_of_a_token_is_stored_nowhere() {
    let world = World::new(1);
    let (_, text) = create(&world, &new("shop", Role::Teller));
    let journal = format!("{:?}", world.memories[0].entries_so_far());
    assert!(!journal.contains(text.as_str()) && !format!("{text:?}").contains(text.as_str()));
}

#[test]
fn under_the_same_key_a_lost_token_is_given_again() {
    let world = World::new(1);
    let ask = |fingerprint| {
        let key = Some(ClientKey { text: "k", fingerprint });
        now(world.bank.create_token(&local(), key, &new("shop", Role::Teller))).expect("created").1
    };
    let (first, again) = (ask(1), ask(1));
    assert_eq!(first, again);
    assert_eq!(now(world.bank.tokens(&local())).expect("listed").len(), 1);
    assert!(who(&world, first.as_str()).is_some());
    assert_ne!(create(&world, &new("a", Role::Teller)).1, create(&world, &new("a", Role::Teller)).1);
}

#[test]
fn guessing_tokens_reads_the_store_at_most_once_a_second() {
    let world = World::new(1);
    create(&world, &new("shop", Role::Teller));
    assert_eq!(who(&world, "florin_guess"), None);
    world.faulty[0].script_reads([store::faulty::Reading::Fails]);
    for _ in 0..100 {
        assert_eq!(who(&world, "florin_guess"), None);
    }
    world.pass(1_000_000);
    assert!(now(world.bank.authenticate("florin_guess", Channel::Http, "")).is_err(), "it is read again");
}

#[test]
fn only_admins_see_and_make_tokens() {
    let world = World::new(1);
    let teller = Caller { role: Role::Teller, ..local() };
    let forbidden = |error| matches!(error, Some(BankError::Forbidden { needs: Role::Admin }));
    assert!(forbidden(now(world.bank.tokens(&teller)).err()));
    assert!(forbidden(now(world.bank.create_token(&teller, None, &new("a", Role::Admin))).err()));
    let (id, _) = create(&world, &new("a", Role::Admin));
    assert!(forbidden(now(world.bank.revoke_token(&teller, None, id)).err()));
}

#[test]
fn a_new_bank_gets_one_admin_token_and_no_second() {
    let world = World::new(1);
    let (first, second) =
        (TokenText::generate(world.bank.env().as_ref()), TokenText::generate(world.bank.env().as_ref()));
    assert!(now(world.bank.create_first_admin_token(&first)).expect("made"));
    assert!(!now(world.bank.create_first_admin_token(&second)).expect("asked"));
    assert_eq!(who(&world, first.as_str()), Some(("admin".to_string(), Role::Admin)));
    assert_eq!(who(&world, second.as_str()), None);
}

#[test]
fn names_of_tokens_are_visible() {
    let world = World::new(1);
    for name in ["", " ", "a\nb", &"x".repeat(201)] {
        let error = now(world.bank.create_token(&local(), None, &new(name, Role::Admin))).err();
        assert!(matches!(error, Some(BankError::Malformed { .. })), "{name}");
    }
}

#[test]
fn no_token_is_called_what_the_bank_calls_itself() {
    let world = World::new(1);
    for name in ["florin", "local", "link", " Florin "] {
        let error = now(world.bank.create_token(&local(), None, &new(name, Role::Admin))).err();
        assert!(matches!(error, Some(BankError::Malformed { .. })), "{name}");
    }
    create(&world, &new("florin-app", Role::Teller));
}
