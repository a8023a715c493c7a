//! To whom an idempotency key belongs, and what it is compared with.

use crate::world::{World, account, amount, euro, event_of, local, named, now, opening, terms, transfer};
use bank::Caller;
use bank::digest::{Digests, Namespace, Scope};
use bank::submit::ClientKey;
use ledger::account::FreezeKind;
use ledger::command::{CaptureHold, Command, Freeze, PlaceHold, Reverse};
use ledger::event::Event;
use ledger::ids::CustomerId;
use store::Answer;

fn kind(answer: &Answer) -> &'static str {
    match answer {
        Answer::Recorded(_) => "recorded",
        Answer::Replayed(_) => "replayed",
        Answer::Unrecorded(_) => "unrecorded",
        Answer::KeyReused => "reused",
    }
}

#[test]
fn a_key_repeated_replays_and_one_with_another_content_is_reused() {
    let world = World::new(1);
    world.open_with(1, 100);
    world.open(2);
    let ask = |fingerprint| {
        kind(&world.submit(Some(("k", fingerprint)), Command::Transfer(transfer(1, 2, 10))).expect("an answer"))
    };
    assert_eq!([ask(1), ask(1), ask(2), ask(1)], ["recorded", "replayed", "reused", "replayed"]);
    assert_eq!(world.balance(1), 90);
}

#[test]
fn keys_of_other_principals_and_other_accounts_are_other_keys() {
    let world = World::new(1);
    world.open_with(1, 100);
    world.open_with(2, 100);
    let other = Caller { principal: "other".into(), ..local() };
    let ask = |caller: &Caller, from, to| {
        kind(&world.submit_as(caller, Some(("k", 1)), Command::Transfer(transfer(from, to, 10))).expect("an answer"))
    };
    assert_eq!(ask(&local(), 1, 2), "recorded");
    assert_eq!(ask(&other, 1, 2), "recorded");
    assert_eq!(ask(&local(), 2, 1), "recorded");
    assert_eq!(ask(&other, 1, 2), "replayed");
    assert_eq!(world.balance(1), 90);
}

#[test]
fn every_command_on_an_account_shares_the_accounts_keys() {
    let world = World::new(1);
    world.open_with(1, 1_000);
    world.open(2);
    let deposit = world.bank.deposit(account(1), None, terms(1)).expect("a deposit");
    assert_eq!(kind(&world.submit(Some(("k", 1)), Command::Transfer(deposit)).expect("an answer")), "recorded");
    let hold = PlaceHold { from: account(1), to: None, amount: amount(10), currency: euro(), expires_at: None };
    let placed = world.submit(None, Command::PlaceHold(hold.clone())).expect("placed");
    let Event::HoldChanged(placed) = event_of(&placed) else { panic!("no hold") };
    let moved = world.submit(Some(("m", 1)), Command::Transfer(transfer(1, 2, 5))).expect("moved");
    let Event::Transferred(moved) = event_of(&moved) else { panic!("no transfer") };
    let capture = CaptureHold { hold: placed.hold.id, amount: None, to: None, is_final: true, note: None };
    let commands = [
        Command::Transfer(transfer(1, 2, 5)),
        Command::Transfer(world.bank.withdrawal(account(1), None, terms(5)).expect("a withdrawal")),
        Command::Batch([transfer(1, 2, 5)].into()),
        Command::PlaceHold(hold),
        Command::CaptureHold(Box::new(capture)),
        Command::VoidHold(placed.hold.id),
        Command::Reverse(Reverse { transfer: moved.id, forced: false, note: None }),
        Command::Freeze(Box::new(Freeze { account: account(1), kind: Some(FreezeKind::Debit), reason: None })),
        Command::Unfreeze(account(1)),
        Command::Close(account(1)),
        opening(1, 1),
    ];
    for command in commands {
        let said = format!("{command:?}");
        assert_eq!(kind(&world.submit(Some(("k", 2)), command).expect("an answer")), "reused", "{said}");
    }
    let other_account = world.bank.deposit(account(2), None, terms(1)).expect("a deposit");
    assert_eq!(kind(&world.submit(Some(("k", 2)), Command::Transfer(other_account)).expect("an answer")), "recorded");
}

#[test]
fn keys_of_a_customer_are_not_those_of_the_account_with_the_same_number() {
    let world = World::new(1);
    let key = Some(ClientKey { text: "k", fingerprint: 1 });
    let registered = now(world.bank.register_user(&local(), key, CustomerId::new(1), &named("A"))).expect("registered");
    assert_eq!(kind(&registered), "recorded");
    assert_eq!(kind(&world.submit(Some(("k", 2)), opening(1, 1)).expect("opened")), "recorded");
}

#[test]
fn digests_of_keys_never_run_into_each_other() {
    let digests = Digests::new(&[1; 32]);
    let scope = Scope::Account(account(5));
    let mut all = vec![
        digests.key(Namespace::Principal("ab"), scope, b"c"),
        digests.key(Namespace::Principal("a"), scope, b"bc"),
        digests.key(Namespace::Principal("abc"), scope, b""),
        digests.key(Namespace::Principal("ab"), Scope::Text, b"c"),
        digests.key(Namespace::Principal("ab"), Scope::User(CustomerId::new(5).expect("an id")), b"c"),
        digests.key(Namespace::Source("ab"), scope, b"c"),
        digests.key(Namespace::Poison("ab"), scope, b"c"),
        digests.key(Namespace::Attempt(1), scope, b"c"),
        digests.key(Namespace::Attempt(2), scope, b"c"),
        digests.key(Namespace::AttemptEnd(1), scope, b"c"),
        digests.key(Namespace::Bank, scope, b"c"),
        digests.key(Namespace::Principal("florin"), scope, b"c"),
        Digests::new(&[2; 32]).key(Namespace::Principal("ab"), scope, b"c"),
        digests.key(Namespace::Principal(&"x".repeat(600)), scope, b"c"),
        digests.key(Namespace::Principal(&"x".repeat(601)), scope, b"c"),
        digests.fingerprint("POST /a", &[1], b"{}"),
        digests.fingerprint("POST /a", &[1, 2], b"{}"),
        digests.fingerprint("POST /a", &[], b"{}"),
        digests.fingerprint("POST /b", &[1], b"{}"),
    ];
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count);
}

#[test]
fn digests_are_part_of_the_format() {
    let digests = Digests::new(&[7; 32]);
    let key = digests.key(Namespace::Principal("local"), Scope::Account(account(1)), b"key");
    let event = digests.key(Namespace::Source("bank"), Scope::Text, b"1");
    let said = digests.fingerprint("POST /transfers", &[1], b"{}");
    // By another implementation of what docs/format.md says.
    let expected = [
        8_381_899_112_024_441_702_620_373_270_333_099_089,
        39_993_376_681_030_544_831_590_269_452_430_404_891,
        58_761_540_634_439_998_047_903_145_694_402_312_850,
    ];
    assert_eq!([key, event, said], expected);
}
