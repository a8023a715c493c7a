//! Rows that move no money: tokens, customers, terms and status of accounts.

use super::ask;
use super::bench::{Bench, OWNER, rejection};
use ledger::account::{FreezeKind, Status};
use ledger::command::{ChangeTerms, Command, CreateToken, Freeze, UpdateCustomer};
use ledger::customer::ProfileField;
use ledger::event::{AccountChange, CustomerChange, Event, Outcome};
use ledger::ids::TokenId;
use ledger::rejection::Rejection;
use ledger::token::Role;

fn create(name: &str, role: Role) -> Command {
    let digest = [u8::try_from(name.len()).unwrap_or(0); 32];
    Command::CreateToken(Box::new(CreateToken { name: name.into(), role, digest, expires_at: None }))
}

/// Tokens are listed newest first; one that was revoked stays in the list.
pub async fn a_revoked_token_is_listed_as_such(bench: &mut Bench) {
    let names = ["admin", "till-7", "audit"];
    let mut ids = Vec::new();
    for (name, role) in names.into_iter().zip(Role::ALL) {
        let answer = bench.ask(create(name, role)).await;
        let Some(Outcome::Event(Event::TokenChanged(token))) = answer.outcome() else {
            panic!("expected a token: {answer:?}")
        };
        ids.push(token.id);
    }
    bench.ask(Command::RevokeToken(ids[1])).await;
    let tokens = bench.store().tokens().await.expect("the store answers");
    let listed: Vec<_> = tokens.iter().map(|token| (&*token.name, token.role, token.revoked)).collect();
    assert_eq!(
        listed,
        [("audit", Role::Auditor, false), ("till-7", Role::Teller, true), ("admin", Role::Admin, false)]
    );
    assert_eq!(tokens[2].digest, [5; 32]);
    let nobody = TokenId::new(1 << 62).expect("an id");
    assert_eq!(rejection(&bench.ask(Command::RevokeToken(nobody)).await), Rejection::TokenNotFound(nobody));
}

/// The same registration again changes nothing; another one under the same id is refused.
pub async fn a_customer_registered_again_is_the_same(bench: &mut Bench) {
    bench.ask(ask::register(5, "Ada")).await;
    let update = UpdateCustomer { id: ask::customer(5), changes: vec![(ProfileField::Email, Box::from(*b"sealed"))] };
    bench.ask(Command::UpdateCustomer(Box::new(update))).await;
    let before =
        bench.store().customer(ask::customer(5)).await.expect("the store answers").expect("the customer is there");
    assert_eq!((before.revision, before.profile.len()), (2, 2));
    let again = bench.ask(ask::register(5, "Ada")).await;
    let Some(Outcome::Event(Event::CustomerChanged(changed))) = again.outcome() else {
        panic!("expected a customer: {again:?}")
    };
    assert_eq!((&changed.change, &changed.customer), (&CustomerChange::Nothing, &before));
    assert_eq!(rejection(&bench.ask(ask::register(5, "Eva")).await), Rejection::IdTaken(5));
    let after = bench.store().customer(ask::customer(5)).await.expect("the store answers");
    assert_eq!(after, Some(before));
}

/// Terms, freeze and closing are seen at once; each change counts, and what changes nothing does not.
pub async fn changes_of_an_account_are_seen_and_counted(bench: &mut Bench) {
    bench.open_accounts(&[0]).await;
    let account = ask::account(1);
    let terms = |overdraft| ChangeTerms {
        account,
        overdraft_limit: Some(ask::amount(overdraft)),
        per_transfer: Some(Some(ask::amount(50))),
        daily_debit: None,
        monthly_debit: Some(None),
    };
    let freeze = Freeze { account, kind: Some(FreezeKind::Full), reason: Some("court order".into()) };
    let steps = [
        (Command::ChangeTerms(Box::new(terms(200))), AccountChange::TermsChanged),
        (Command::ChangeTerms(Box::new(terms(200))), AccountChange::Nothing),
        (Command::Freeze(Box::new(freeze.clone())), AccountChange::Frozen),
        (Command::Freeze(Box::new(freeze)), AccountChange::Nothing),
        (Command::Unfreeze(account), AccountChange::Unfrozen),
        (Command::Close(account), AccountChange::Closed),
        (Command::Close(account), AccountChange::Nothing),
    ];
    let mut revision = bench.account(1).await.revision;
    for (command, expected) in steps {
        let answer = bench.ask(command).await;
        let Some(Outcome::Event(Event::AccountChanged(changed))) = answer.outcome() else {
            panic!("expected an account: {answer:?}")
        };
        assert_eq!(changed.change, expected);
        revision += u64::from(expected != AccountChange::Nothing);
        let seen = bench.account(1).await;
        assert_eq!((&seen, seen.revision), (&changed.account, revision), "{expected:?}");
    }
    let seen = bench.account(1).await;
    assert_eq!((seen.status, seen.overdraft_limit), (Status::Closed, ask::amount(200)));
    assert_eq!(seen.limits.and_then(|limits| limits.per_transfer), Some(ask::amount(50)));
    assert_eq!(rejection(&bench.ask(ask::open(Some(1), OWNER, "CZK", 0)).await), Rejection::IdTaken(1));
}
