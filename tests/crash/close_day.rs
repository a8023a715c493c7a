//! The bank is killed while it closes days, again and again, wherever it just is.

use crate::support::bank::Bank;
use crate::support::clock::TimedBank;
use crate::support::interest::{BY_HAND, DAYS_LATER, MORNING, close, outcome, posted, set_up};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// Kills, each after another part of what is to be posted.
const KILLS: i128 = 12;

fn before_the_close() -> TimedBank {
    let mut timed = TimedBank::open_at(MORNING, &[BY_HAND]);
    set_up(timed.bank());
    timed.go_to(DAYS_LATER);
    timed
}

/// Kills the bank once it has posted so much, or has closed all.
fn kill_when(bank: &Bank, so_much: i128) {
    let address = bank.address();
    std::thread::scope(|scope| {
        let closing = scope.spawn(move || close(address));
        while posted(bank) < so_much && !closing.is_finished() {}
        bank.server().signal("KILL");
        closing.join().expect("no thread fails");
    });
}

#[test]
fn days_that_were_closed_over_kills_are_as_if_there_had_been_none() {
    let unharmed = before_the_close();
    assert_eq!(close(unharmed.bank().address()), Some(200));
    let (expected, all) = (outcome(unharmed.bank()), posted(unharmed.bank()));
    let mut killed = before_the_close();
    let random = RandomState::new();
    let (mut kills, mut half_done) = (0, 0);
    for kill in 0..KILLS {
        let somewhere = i128::from(random.hash_one(kill) % 1_000);
        kill_when(killed.bank(), (all * kill + all * somewhere / 1_000) / KILLS);
        killed.crash_and_go_to(DAYS_LATER);
        kills += 1;
        half_done += i128::from((1..all).contains(&posted(killed.bank())));
    }
    assert_eq!(kills, KILLS);
    assert!(KILLS / 2 <= half_done, "only {half_done} kills came in the middle of a close");
    assert_eq!(close(killed.bank().address()), Some(200));
    assert_eq!(outcome(killed.bank()), expected);
}
