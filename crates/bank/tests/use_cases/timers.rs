//! Workers without input.

use crate::world::{World, account, amount, euro, event_of, now};
use ledger::command::{Command, PlaceHold};
use ledger::event::Event;
use ledger::hold::HoldStatus;

#[test]
fn holds_whose_time_is_over_expire_once_without_anybody_asking() {
    let world = World::new(2);
    let ids = [world.id_on(0, 0), world.id_on(1, 0)];
    let mut holds = Vec::new();
    for id in ids {
        world.open_with(id, 100);
        let expires_at = Some(world.bank.now().saturating_add(1_000_000));
        let hold = PlaceHold { from: account(id), to: None, amount: amount(60), currency: euro(), expires_at };
        let placed = world.submit(None, Command::PlaceHold(hold)).expect("placed");
        let Event::HoldChanged(placed) = event_of(&placed) else { panic!("no hold") };
        holds.push(placed.hold.id);
    }
    assert_eq!(now(world.bank.expire_due_holds()).expect("a step"), 0);
    world.pass(1_000_000);
    let entries = world.entries();
    assert_eq!(now(world.bank.expire_due_holds()).expect("a step"), 2);
    assert_eq!(now(world.bank.expire_due_holds()).expect("a step"), 0);
    assert_eq!(world.entries(), entries + 2);
    for hold in holds {
        assert_eq!(now(world.bank.hold(hold)).expect("read").expect("a hold").status, HoldStatus::Expired);
    }
    assert!(
        ids.into_iter().all(|id| now(world.bank.account(account(id))).expect("read").expect("an account").held == 0)
    );
}
