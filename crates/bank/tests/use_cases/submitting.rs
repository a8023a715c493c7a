//! The one door.

use crate::world::{
    World, account, code, euro, event_of, local, named, now, opened_account, opening, rejection, terms, transfer,
};
use bank::Caller;
use bank::error::BankError;
use bank::submit::ClientKey;
use ledger::account::{SystemAccount, SystemKind};
use ledger::command::{Command, OpenSystemAccount};
use ledger::event::{Channel, Event};
use ledger::ids::{CustomerId, ShardId};
use ledger::rejection::Rejection;
use ledger::saga::StepKind;
use ledger::time::Timestamp;
use ledger::token::Role;
use ledger::transfer::Transfer;
use store::Answer;
use store::faulty::Submitting;

fn caller(role: Role) -> Caller {
    Caller { principal: "somebody".into(), role, channel: Channel::Http, correlation: "".into() }
}

#[test]
fn auditors_change_nothing_and_only_admins_force() {
    let world = World::new(1);
    world.open_with(1, 100);
    world.open(2);
    let forced = || {
        let mut forced = transfer(1, 2, 500);
        forced.forced = true;
        Command::Transfer(forced)
    };
    let ask = |role, command| world.submit_as(&caller(role), None, command);
    let needs = |answer: Result<Answer, BankError>| match answer {
        Err(BankError::Forbidden { needs }) => Some(needs),
        _ => None,
    };
    assert_eq!(needs(ask(Role::Auditor, Command::Transfer(transfer(1, 2, 1)))), Some(Role::Teller));
    assert_eq!(needs(ask(Role::Teller, forced())), Some(Role::Admin));
    assert_eq!(
        needs(ask(
            Role::Teller,
            Command::Batch(
                [transfer(1, 2, 1), {
                    let mut all = transfer(1, 2, 1);
                    all.forced = true;
                    all
                }]
                .into()
            )
        )),
        Some(Role::Admin)
    );
    let open = OpenSystemAccount { kind: SystemKind::Atm, name: "ATM".into(), currency: euro() };
    assert_eq!(needs(ask(Role::Teller, Command::OpenSystemAccount(Box::new(open)))), Some(Role::Admin));
    assert_eq!(world.balance(1), 100);
    assert!(ask(Role::Teller, Command::Transfer(transfer(1, 2, 1))).is_ok());
    assert!(ask(Role::Admin, forced()).is_ok());
    assert_eq!(world.balance(1), -401);
}

#[test]
fn a_dry_run_answers_and_changes_nothing_and_takes_no_key() {
    let world = World::new(1);
    world.open_with(1, 100);
    world.open(2);
    let entries = world.entries();
    let key = ClientKey { text: "k", fingerprint: 1 };
    let ask =
        |minor_units| now(world.bank.submit(&local(), Some(key), Command::Transfer(transfer(1, 2, minor_units)), true));
    assert!(matches!(event_of(&ask(100).expect("an answer")), Event::Transferred(_)));
    assert_eq!(rejection(&ask(101).expect("an answer")), Some("insufficient_funds"));
    assert_eq!(world.entries(), entries);
    assert!(matches!(world.submit(Some(("k", 2)), Command::Transfer(transfer(1, 2, 1))), Ok(Answer::Recorded(_))));
}

#[test]
fn deposits_and_withdrawals_use_the_cash_account_of_the_customers_shard() {
    let world = World::new(3);
    for shard in 0..3 {
        let id = world.id_on(shard, 0);
        world.open_with(id, 500);
        let withdrawal = world.bank.withdrawal(account(id), None, terms(200)).expect("a withdrawal");
        assert!(world.submit(None, Command::Transfer(withdrawal)).is_ok());
        let cash = SystemAccount::standard(ShardId::new(shard).expect("a shard"), SystemKind::Cash, euro()).id();
        assert_eq!(now(world.bank.account(cash)).expect("read").expect("cash").balance, -300);
        assert_eq!(world.balance(id), 300);
    }
    world.assert_sums_are_zero();
}

#[test]
fn a_contra_account_is_one_of_the_banks_own_and_never_clearing() {
    let world = World::new(2);
    let (customers, other) = (world.id_on(0, 0), world.id_on(0, 1));
    let system = |kind, ordinal| SystemAccount { shard: ShardId::default(), kind, currency: euro(), ordinal }.id();
    let check = |contra, expected: Result<(), Rejection>| {
        assert_eq!(world.bank.deposit(account(customers), Some(contra), terms(1)).map(drop), expected);
        assert_eq!(world.bank.withdrawal(account(customers), Some(contra), terms(1)).map(drop), expected);
    };
    check(system(SystemKind::Atm, 1), Ok(()));
    check(system(SystemKind::Clearing, 1), Err(Rejection::AccountNotFound(system(SystemKind::Clearing, 1))));
    check(account(other), Err(Rejection::AccountNotFound(account(other))));
    let cash = system(SystemKind::Cash, 0);
    assert_eq!(world.bank.deposit(cash, None, terms(1)).map(drop), Err(Rejection::AccountNotFound(cash)));
}

#[test]
fn an_account_is_opened_for_a_customer_of_another_shard_only_if_there_is_one() {
    let world = World::new(2);
    let (id, customer) = (world.id_on(0, 0), world.id_on(1, 0));
    let first = world.submit(Some(("k", 1)), opening(id, customer)).expect("an answer");
    assert_eq!(rejection(&first), Some("user_not_found"));
    assert!(matches!(first, Answer::Recorded(_)), "the rejection is recorded under its key");
    now(world.bank.register_user(&local(), None, CustomerId::new(customer), &named("A"))).expect("registered");
    let again = world.submit(Some(("k", 1)), opening(id, customer)).expect("an answer");
    assert!(matches!(again, Answer::Replayed(_)), "a rejection is final");
    assert_eq!(rejection(&again), Some("user_not_found"));
    let other = world.submit(Some(("l", 1)), opening(id, customer)).expect("an answer");
    assert_eq!(opened_account(&other), account(id));
}

#[test]
fn what_gets_its_id_from_the_bank_is_on_the_shard_of_its_key() {
    let world = World::new(4);
    for n in 0..20 {
        let text = format!("key {n}");
        let key = Some(ClientKey { text: &text, fingerprint: 1 });
        let register = || now(world.bank.register_user(&local(), key, None, &named("A"))).expect("registered");
        let (first, again) = (register(), register());
        let (Event::CustomerChanged(made), Event::CustomerChanged(known)) = (event_of(&first), event_of(&again)) else {
            panic!("no customer")
        };
        assert_eq!(made.customer.id, known.customer.id);
        assert!(matches!(again, Answer::Replayed(_)));
        let id = made.customer.id;
        assert!(now(world.bank.user(id)).expect("read").is_some(), "found where its id says");
        let opened = world.submit(None, opening_without_id(id.number())).expect("opened");
        assert!(now(world.bank.account(opened_account(&opened))).expect("read").is_some());
    }
}

fn opening_without_id(customer: u64) -> Command {
    match opening(1, customer) {
        Command::OpenAccount(open) => Command::OpenAccount(ledger::command::OpenAccount { id: None, ..open }),
        other => other,
    }
}

#[test]
fn answers_of_a_batch_align_with_its_items_over_all_shards() {
    let world = World::new(3);
    let ids: Vec<u64> = (0..3).map(|shard| world.id_on(shard, 0)).collect();
    let others: Vec<u64> = (0..3).map(|shard| world.id_on(shard, 1)).collect();
    ids.iter().for_each(|id| world.open_with(*id, 1_000));
    others.iter().for_each(|id| world.open(*id));
    let mut items = Vec::new();
    for n in 0..60 {
        let shard = n % 3;
        let to = if n % 7 == 0 { others[(shard + 1) % 3] } else { others[shard] };
        items.push((None, Command::Transfer(transfer(ids[shard], to, n as u64 + 1))));
    }
    let answers = now(world.bank.submit_batch(&local(), items, false));
    assert_eq!(answers.len(), 60);
    for (n, answer) in answers.iter().enumerate() {
        match answer {
            Ok(answer) => match event_of(answer) {
                Event::Saga(step) => assert_eq!((step.kind, n % 7), (StepKind::Started, 0)),
                Event::Transferred(transferred) => {
                    assert_eq!(transferred.amount(), n as u128 + 1);
                    assert_eq!(transferred.postings[0].account, account(ids[n % 3]));
                }
                other => panic!("no transfer: {other:?}"),
            },
            Err(other) => panic!("{other}"),
        }
    }
    now(world.bank.finish_sagas()).expect("carried");
    world.assert_sums_are_zero();
}

#[test]
fn a_fault_of_one_shard_leaves_the_answers_of_the_others() {
    let world = World::new(2);
    let pairs: Vec<(u64, u64)> = (0..2).map(|shard| (world.id_on(shard, 0), world.id_on(shard, 1))).collect();
    for (from, to) in &pairs {
        world.open_with(*from, 100);
        world.open(*to);
    }
    let items = || {
        let item = |(from, to): &(u64, u64)| {
            (Some(ClientKey { text: "k", fingerprint: 1 }), Command::Transfer(transfer(*from, *to, 10)))
        };
        pairs.iter().map(item).collect()
    };
    world.faulty[1].script_submissions([Submitting::LosesAnswer]);
    let answers = now(world.bank.submit_batch(&local(), items(), false));
    assert!(matches!(answers[..], [Ok(Answer::Recorded(_)), Err(BankError::Fault(_))]));
    let answers = now(world.bank.submit_batch(&local(), items(), false));
    assert!(matches!(answers[..], [Ok(Answer::Replayed(_)), Ok(Answer::Replayed(_))]));
    assert_eq!((world.balance(pairs[0].0), world.balance(pairs[1].0)), (90, 90));
}

#[test]
fn an_atomic_batch_names_the_culprit_and_moves_nothing() {
    let world = World::new(1);
    world.open_with(1, 100);
    world.open(2);
    let transfers = || vec![transfer(1, 2, 60), transfer(1, 2, 60), transfer(1, 2, 1)];
    let key = Some(ClientKey { text: "k", fingerprint: 1 });
    let answer = now(world.bank.submit_atomic(&local(), key, transfers(), false)).expect("an answer");
    match answer.outcome() {
        Some(ledger::event::Outcome::Rejection { index: 1, rejection }) => {
            assert_eq!(rejection.code(), "insufficient_funds")
        }
        other => panic!("{other:?}"),
    }
    world.pay_in(1, 1_000);
    let again = now(world.bank.submit_atomic(&local(), key, transfers(), false)).expect("an answer");
    assert!(matches!(again, Answer::Replayed(_)), "a rejection is final");
    assert_eq!((world.balance(1), world.balance(2)), (1_100, 0));
}

#[test]
fn everything_can_be_asked_from_any_thread() {
    fn is_send<T: Send>(future: T) {
        drop(future);
    }
    let world = World::new(1);
    let (bank, caller) = (&world.bank, local());
    let letter = ledger::ids::DeadLetterId::new(1).expect("an id");
    is_send(bank.submit(&caller, None, opening(1, 1), false));
    is_send(bank.submit_batch(&caller, Vec::new(), false));
    is_send(bank.register_user(&caller, None, None, &named("A")));
    is_send(bank.ingest(&caller, &["{}"]));
    is_send(bank.redrive(&caller, None, letter, None));
    is_send(bank.dead_letters(None, 1, None));
    is_send(bank.transfers(&store::query::TransferQuery::default(), None));
    is_send(bank.system_balances());
    is_send(bank.authenticate("", Channel::Http, ""));
    is_send(bank.journal(ShardId::default(), 0, 1));
    is_send(bank.expire_due_holds());
}

#[test]
fn a_value_date_further_back_than_the_bank_takes_is_refused_whatever_the_way_in() {
    let world = World::new(2);
    let (first, second) = (world.id_on(0, 0), world.id_on(1, 0));
    [first, second].into_iter().for_each(|id| world.open_with(id, 1_000));
    let bank = world.another_node().with_effective_at_days_max(Some(30));
    let days_ago = |days: u64| {
        let at = Timestamp::from_microseconds(bank.now().microseconds() - days * 86_400_000_000);
        at.expect("a time")
    };
    let dated = |to: u64, days| Transfer { effective_at: Some(days_ago(days)), ..transfer(first, to, 5) };
    for to in [world.id_on(0, 1), second] {
        if to != second {
            world.open(to);
        }
        let commands = |days| [Command::Transfer(dated(to, days)), Command::Batch([dated(to, days)].into())];
        for (days, expected) in [(30, None), (31, Some("effective_at_invalid"))] {
            for command in commands(days) {
                let text = format!("{to} {days} {}", matches!(command, Command::Batch(_)));
                let key = || Some(ClientKey { text: &text, fingerprint: 1 });
                let answer = now(bank.submit(&local(), key(), command.clone(), false)).expect("an answer");
                assert_eq!(rejection(&answer), expected, "{days} days back: {command:?}");
                let again = now(bank.submit_batch(&local(), vec![(key(), command)], false)).remove(0);
                assert!(matches!(again.expect("an answer"), Answer::Replayed(_)));
            }
        }
    }
    let event = |days| {
        format!(
            r#"{{"specversion":"1.0","type":"florin.deposit","source":"s","id":"{days}","time":"{}",
            "data":{{"account_id":"{first}","amount":"1.00","currency":"EUR"}}}}"#,
            days_ago(days)
        )
    };
    let results = now(bank.ingest(&local(), &[event(30), event(31)])).expect("ingested");
    assert_eq!(results.iter().map(code).collect::<Vec<_>>(), ["accepted", "effective_at_invalid"]);
    let old = world.submit(None, Command::Transfer(dated(second, 10_000))).expect("an answer");
    assert_eq!(rejection(&old), None, "any without the setting");
}
