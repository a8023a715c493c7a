//! Queued events: what takes effect, what is replayed, what becomes a dead letter.

use crate::world::{World, account, code, counts, euro, local, now, rejection};
use bank::Caller;
use bank::dead_letter::LetterView;
use bank::digest::{Digests, EVENT_FINGERPRINT, Namespace, Scope};
use bank::error::BankError;
use bank::ingest::{EVENT_BYTES_MAX, EventOutcome, Place, events_of_array};
use bank::read::Merged;
use ledger::account::{SystemAccount, SystemKind};
use ledger::command::{Command, Ingest};
use ledger::customer::ProfileField;
use ledger::event::{Channel, Context, Key};
use ledger::ids::{CustomerId, ShardId};
use ledger::token::Role;
use std::sync::Arc;
use store::faulty::Submitting;
use store::{Request, Store, Submission};

pub(crate) fn event(kind: &str, id: &str, data: &str) -> String {
    format!(r#"{{"specversion":"1.0","type":"florin.{kind}","source":"bank","id":"{id}","data":{data}}}"#)
}

pub(crate) fn registered(id: u64) -> String {
    event("user.registered", &format!("u{id}"), &format!(r#"{{"user_id":"{id}","name":"Customer {id}"}}"#))
}

pub(crate) fn opened(id: u64, user: u64) -> String {
    let data = format!(r#"{{"account_id":"{id}","user_id":"{user}","currency":"EUR","type":"checking"}}"#);
    event("account.opened", &format!("a{id}"), &data)
}

pub(crate) fn deposited(id: &str, account: u64, amount: &str) -> String {
    event("deposit", id, &format!(r#"{{"account_id":"{account}","amount":{amount},"currency":"EUR"}}"#))
}

pub(crate) fn withdrawn(id: &str, account: u64, amount: &str) -> String {
    event("withdrawal", id, &format!(r#"{{"account_id":"{account}","amount":{amount},"currency":"EUR"}}"#))
}

fn letters(world: &World) -> Merged<LetterView> {
    now(world.bank.dead_letters(None, 1000, None)).expect("listed")
}

#[test]
fn an_account_opened_by_an_event_is_there_for_the_next() {
    for shards in [1, 2, 5] {
        let world = World::new(shards);
        let mut events = Vec::new();
        for id in 1..=20 {
            events.extend([registered(id), opened(id + 100, id), deposited(&format!("d{id}"), id + 100, "\"10.00\"")]);
            events.push(withdrawn(&format!("w{id}"), id + 100, "2.5"));
        }
        let results = world.ingest(&events);
        assert_eq!(counts(&results), (80, 0, 0), "{shards} shards: {results:?}");
        assert!((101..=120).all(|id| world.balance(id) == 750));
        world.assert_sums_are_zero();
        let again = world.ingest(&events);
        assert_eq!(counts(&again), (0, 80, 0));
        assert!((101..=120).all(|id| world.balance(id) == 750));
    }
}

#[test]
fn events_take_effect_in_their_order_over_parts_too() {
    let world = World::new(2);
    let (id, other) = (world.id_on(0, 0), world.id_on(1, 0));
    world.open(id);
    world.open(other);
    // Each withdrawal needs the deposit before it, and nothing is ever left over.
    let mut events = Vec::new();
    for n in 0..1500 {
        for id in [id, other] {
            events.push(deposited(&format!("d{n}"), id, "1.00"));
            events.push(withdrawn(&format!("w{n}"), id, "1.00"));
        }
    }
    assert_eq!(counts(&world.ingest(&events)), (6000, 0, 0));
    assert_eq!((world.balance(id), world.balance(other)), (0, 0));
}

#[test]
fn the_same_source_and_id_is_the_same_event_whatever_it_says_but_only_for_the_same_account() {
    let world = World::new(2);
    let (id, other) = (world.id_on(0, 0), world.id_on(1, 0));
    world.open(id);
    world.open(other);
    let events = [
        deposited("1", id, "1.00"),
        deposited("1", id, "2.00"),
        withdrawn("1", id, "0.50"),
        deposited("1", id, "\"nonsense\""),
        deposited("1", other, "4.00"),
        deposited("2", id, "8.00"),
    ];
    let codes: Vec<String> = world.ingest(&events).iter().map(|result| code(result).to_string()).collect();
    assert_eq!(codes, ["accepted", "replayed", "replayed", "replayed", "accepted", "accepted"]);
    assert_eq!((world.balance(id), world.balance(other)), (900, 400));
    // The way in and the principal make no difference.
    let someone = Caller { principal: "someone".into(), channel: Channel::File, ..local() };
    let results = now(world.bank.ingest(&someone, &events[..1])).expect("ingested");
    assert_eq!(code(&results[0]), "replayed");
}

#[test]
fn whatever_does_not_take_effect_becomes_one_dead_letter_with_its_code() {
    let world = World::new(2);
    let id = world.id_on(1, 0);
    world.open(id);
    let cash = SystemAccount::standard(ShardId::default(), SystemKind::Cash, euro()).id().number();
    let future = deposited("f", id, "1").replace(r#""source""#, r#""time":"2999-01-01T00:00:00Z","source""#);
    let cases = [
        (withdrawn("1", id, "1.00"), "insufficient_funds"),
        (deposited("2", world.id_on(0, 3), "1.00"), "account_not_found"),
        (deposited("3", id, "1.001"), "amount_invalid"),
        (deposited("4", id, "1").replace("EUR", "XYZ"), "currency_unknown"),
        (deposited("5", id, "1").replace("EUR", "CZK"), "currency_mismatch"),
        (deposited("6", id, "1").replace("\"currency\"", "\"x\":1,\"currency\""), "unknown_field"),
        (event("nothing", "7", "{}"), "malformed"),
        (opened(world.id_on(0, 0), world.id_on(1, 9)), "user_not_found"),
        (opened(world.id_on(1, 0), world.id_on(1, 9)), "user_not_found"),
        (
            event(
                "transfer",
                "8",
                &format!(r#"{{"from":"{id}","to":"{}","amount":"1","currency":"EUR"}}"#, world.id_on(0, 0)),
            ),
            "insufficient_funds",
        ),
        (deposited("9", cash, "1.00"), "account_not_found"),
        (future, "effective_at_invalid"),
    ];
    let events: Vec<&String> = cases.iter().map(|(event, _)| event).collect();
    let results = world.ingest(&events);
    let codes: Vec<&str> = results.iter().map(code).collect();
    assert_eq!(codes, cases.iter().map(|(_, code)| *code).collect::<Vec<_>>());
    assert_eq!(counts(&world.ingest(&events)), (0, 12, 0), "sent again they are replayed");
    let letters = letters(&world);
    assert_eq!(letters.items.len(), 12);
    assert_eq!(world.balance(id), 0);
    for (event, expected) in &cases {
        let sent = |view: &&LetterView| view.event.as_ref().is_some_and(|kept| kept.get() == event);
        let view = letters.items.iter().find(sent).expect("what was sent is kept");
        assert_eq!(&*view.letter.code, *expected);
    }
}

#[test]
fn what_has_no_source_or_id_is_known_by_its_place_where_it_has_one() {
    let world = World::new(1);
    world.open(7);
    let events = ["this is no JSON".to_string(), deposited("d1", 7, "\"1.00\""), "{}".to_string(), "{}".to_string()];
    let place = |event: &String| {
        let offset = events.iter().position(|other| std::ptr::eq(other, event)).expect("one of them");
        Some(Place { source: "topic/0".into(), id: offset.to_string().into() })
    };
    let ingest = || now(world.bank.ingest_from(&local(), &events, place)).expect("ingested");
    assert_eq!(counts(&ingest()), (1, 0, 3));
    assert_eq!(counts(&ingest()), (0, 4, 0));
    assert_eq!((letters(&world).items.len(), world.balance(7)), (3, 100));
    assert_eq!(counts(&world.ingest(&[deposited("d1", 7, "\"1.00\"")])), (0, 1, 0), "its own source and id count");
}

#[test]
fn without_source_or_id_there_is_a_new_dead_letter_each_time() {
    let world = World::new(1);
    let broken = ["nonsense", r#"{"source":"bank"}"#, r#"{"id":"1"}"#, "[]", r#""text""#];
    assert_eq!(counts(&world.ingest(&broken)), (0, 0, 5));
    assert_eq!(counts(&world.ingest(&broken)), (0, 0, 5));
    assert_eq!(letters(&world).items.len(), 10);
    let known = [r#"{"source":"bank","id":"1""#];
    assert_eq!(counts(&world.ingest(&known)), (0, 0, 1));
    assert_eq!(counts(&world.ingest(&known)), (0, 1, 0));
}

#[test]
fn of_an_event_too_large_the_beginning_is_kept_and_the_next_go_on() {
    let world = World::new(1);
    world.open(1);
    let large = |length: usize| {
        let event = deposited("1", 1, "1.00");
        event.replace(r#""currency""#, &format!(r#""reference":"{}","currency""#, "x".repeat(length)))
    };
    // Whether the whole event or only its first bytes are handed over makes no difference.
    let (whole, mut cut) = (large(100_000), large(200_000));
    cut.truncate(EVENT_BYTES_MAX + 1);
    let results = world.ingest(&[whole, cut, deposited("2", 1, "1.00")]);
    assert_eq!(results.iter().map(code).collect::<Vec<_>>(), ["body_too_large", "replayed", "accepted"]);
    let event = letters(&world).items[0].event.clone().expect("the beginning").get().to_string();
    assert!(event.starts_with('"') && event.contains("specversion") && event.len() < 1500);
}

#[test]
fn an_event_just_within_the_size_takes_effect() {
    let world = World::new(1);
    world.open(1);
    let mut event = deposited("1", 1, "1.00");
    event.push_str(&" ".repeat(EVENT_BYTES_MAX - event.len()));
    assert_eq!(counts(&world.ingest(&[event.clone()])), (1, 0, 0));
    event.push(' ');
    assert_eq!(counts(&world.ingest(&[event.clone()])), (0, 1, 0), "it is the same event, so it is replayed");
    assert_eq!(code(&world.ingest(&[event.replace("\"1\",\"data", "\"2\",\"data")])[0]), "body_too_large");
}

#[test]
fn after_a_lost_answer_the_same_events_count_as_replayed_and_move_nothing() {
    let world = World::new(1);
    world.open(1);
    let events: Vec<String> = (0..10).map(|n| deposited(&n.to_string(), 1, "1.00")).collect();
    world.faulty[0].script_submissions([Submitting::LosesAnswer]);
    assert!(now(world.bank.ingest(&local(), &events)).is_err());
    assert_eq!(counts(&world.ingest(&events)), (0, 10, 0));
    assert_eq!(world.balance(1), 1000);
}

#[test]
fn an_accepted_event_names_its_transfer_and_a_replayed_one_the_same() {
    let world = World::new(1);
    world.open(1);
    let transfer = |results: Vec<bank::ingest::EventResult>| match results[0].outcome {
        EventOutcome::Accepted { transfer } | EventOutcome::Replayed { transfer } => transfer,
        EventOutcome::DeadLettered { .. } => None,
    };
    let first = transfer(world.ingest(&[deposited("1", 1, "1.00")]));
    assert!(first.is_some());
    assert_eq!(transfer(world.ingest(&[deposited("1", 1, "1.00")])), first);
}

#[test]
fn the_time_of_an_event_is_its_value_date() {
    let world = World::new(1);
    world.open(1);
    let event = deposited("1", 1, "1.00").replace(r#""source""#, r#""time":"1993-01-01T00:00:00Z","source""#);
    assert_eq!(counts(&world.ingest(&[event])), (1, 0, 0));
    let page =
        now(world.bank.transfers(&store::query::TransferQuery { limit: 1, ..Default::default() }, None)).expect("read");
    let transferred = page.items[0].view.transfer.transferred().expect("a transfer");
    assert_eq!(transferred.effective_at.to_string(), "1993-01-01T00:00:00Z");
    assert_eq!(transferred.postings[1].account, account(1));
}

#[test]
fn registrations_by_event_seal_each_customer_under_a_key_of_its_own_once() {
    let world = World::new(1);
    let events: Vec<String> = (1..=3).map(registered).collect();
    world.ingest(&events);
    let made = world.keys_made();
    assert_eq!(made, 4, "three customers, and the key of the payloads");
    world.ingest(&events);
    assert_eq!(world.keys_made(), made, "a repetition needs no key");
    let id = CustomerId::new(2).expect("an id");
    now(world.bank.erase_user(&local(), id)).expect("erased");
    let name = |number| {
        let user = now(world.bank.user(CustomerId::new(number).expect("an id"))).expect("read").expect("a user");
        now(world.bank.open_profile(&user)).expect("opened").get(ProfileField::Name).map(str::to_string)
    };
    assert_eq!([name(1), name(2), name(3)], [Some("Customer 1".to_string()), None, Some("Customer 3".to_string())]);
}

#[test]
fn auditors_ingest_nothing() {
    let world = World::new(1);
    let auditor = Caller { role: Role::Auditor, ..local() };
    assert!(matches!(now(world.bank.ingest(&auditor, &["{}"])), Err(BankError::Forbidden { .. })));
    assert_eq!(world.entries(), 0);
}

#[test]
fn the_elements_of_an_array_keep_their_own_text() {
    let text = br#" [ {"a": 1.50} , 2,"x" ] "#;
    assert_eq!(events_of_array(text), Some(vec![&br#"{"a": 1.50}"#[..], b"2", br#""x""#]));
    assert_eq!(events_of_array(b"{}"), None);
    assert_eq!(events_of_array(b"[1,"), None);
    assert_eq!(events_of_array(b"[]"), Some(Vec::new()));
}

#[test]
fn an_event_that_made_the_rule_book_fail_becomes_one_dead_letter() {
    let world = World::new(2);
    let id = world.id_on(1, 0);
    world.open(id);
    // A command that the rule book cannot decide, under the key of the event.
    let digests = Digests::new(&[9; 32]);
    let digest = digests.key(Namespace::Source("bank"), Scope::Account(account(id)), b"1");
    let poison = Ingest { command: Command::Batch([].into()), payload: Box::default() };
    let request = Request {
        key: Some(Key { digest, fingerprint: EVENT_FINGERPRINT }),
        command: Command::Ingest(Box::new(poison)),
    };
    let context = Context { principal: "x".into(), channel: Channel::File, correlation: "".into(), cause: None };
    let submission = Submission { context: Arc::new(context), requests: vec![request], dry_run: false };
    let answers = now(world.memories[1].submit(submission)).expect("answered");
    assert_eq!(rejection(&answers[0]), Some("invariant_broken"));
    for _ in 0..3 {
        assert_eq!(code(&world.ingest(&[deposited("1", id, "1.00")])[0]), "replayed");
        let letters = letters(&world);
        assert_eq!(letters.items.iter().map(|view| &*view.letter.code).collect::<Vec<_>>(), ["invariant_broken"]);
    }
    assert_eq!(world.balance(id), 0);
}
