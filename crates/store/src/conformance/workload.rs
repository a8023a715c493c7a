//! A random but repeatable past: transfers of every shape, holds, reversals, rejections, as time goes on.

use super::ask;
use super::bench::{Bench, held};
use crate::{Answer, Request, transfers_of};
use ledger::command::Command;
use ledger::event::{Event, Outcome};
use ledger::ids::{HoldId, TransferId};
use ledger::time::Timestamp;

/// Accounts 1 to this take part.
pub const ACCOUNTS: u64 = 6;
/// References that transfers may have.
pub const REFERENCES: [&str; 3] = ["rent", "salary", "tea"];
/// Keys and values of the metadata that transfers may have, by key.
pub const METADATA: [(&str, [&str; 2]); 2] = [("lane", ["1", "2"]), ("shop", ["north", "south"])];
/// Value dates go back at most so far.
pub const PAST_US: u64 = 5 * 86_400_000_000;

/// Marsaglia's xorshift: the same numbers for the same seed everywhere.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The numbers of this seed.
    pub const fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `end`, which is at least 1.
    pub const fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }

    /// True once in so many times.
    pub const fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of these.
    ///
    /// # Panics
    /// When there is none.
    pub fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let place = self.below(choices.len() as u64);
        &choices[usize::try_from(place).expect("a place in memory")]
    }

    /// One of these, or none.
    pub fn maybe<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        if self.one_in(2) { Some(self.of(choices)) } else { None }
    }

    /// Some of [`METADATA`].
    pub fn metadata(&mut self) -> Vec<(&'static str, &'static str)> {
        let chosen = METADATA.iter().map(|(key, values)| self.maybe(values).map(|value| (*key, *value)));
        chosen.collect::<Vec<_>>().into_iter().flatten().collect()
    }
}

struct Workload {
    random: Random,
    transfers: Vec<TransferId>,
    holds: Vec<HoldId>,
}

/// Opens [`ACCOUNTS`] accounts and makes so many requests, in submissions of various sizes. The engine's background work
/// comes to an end once in the middle, so that some of it is indexed and some is not. Returns what became of each.
pub async fn run(bench: &mut Bench, seed: u64, requests: u64) -> Vec<Outcome> {
    bench.open_accounts(&(0..ACCOUNTS).map(|_| 50_000).collect::<Vec<_>>()).await;
    let mut workload = Workload { random: Random::new(seed), transfers: Vec::new(), holds: Vec::new() };
    let mut made = 0;
    let mut is_settled = false;
    let mut outcomes = Vec::new();
    while made < requests {
        let size = 1 + workload.random.below(9);
        let submission: Vec<Request> = (0..size)
            .map(|_| {
                let command = workload.command(bench.now());
                bench.request(command)
            })
            .collect();
        let answers = bench.submit(submission).await;
        answers.iter().for_each(|answer| workload.note(answer));
        outcomes.extend(answers.iter().filter_map(|answer| answer.outcome().cloned()));
        made += size;
        bench.advance(workload.random.below(3_600_000_000));
        if !is_settled && requests / 2 < made {
            is_settled = true;
            bench.settle();
        }
    }
    outcomes
}

impl Workload {
    fn command(&mut self, now: Timestamp) -> Command {
        let random = &mut self.random;
        let [from, to] = [1 + random.below(ACCOUNTS), 1 + random.below(ACCOUNTS)];
        let minor_units = 1 + random.below(3000);
        match random.below(20) {
            0 => ask::deposit(to, minor_units),
            1 => ask::withdrawal(from, minor_units),
            2 => ask::batch(&[(from, to, minor_units), (to, 1 + from % ACCOUNTS, 1 + minor_units / 2)]),
            3 => ask::legs(&[(from, to, minor_units), (to, 1 + from % ACCOUNTS, minor_units), (from, to, 7)]),
            4 => ask::hold(from, Some(to), minor_units, Some(now.saturating_add(1 + random.below(7_200_000_000)))),
            5 => ask::hold(from, None, minor_units, None),
            6 if !self.holds.is_empty() => ask::capture(*random.of(&self.holds), None, true),
            7 if !self.holds.is_empty() => Command::VoidHold(*random.of(&self.holds)),
            8 if !self.transfers.is_empty() => ask::reverse(*random.of(&self.transfers)),
            9 => ask::transfer(from, 77, minor_units),
            _ => {
                let effective_at = random.one_in(3).then(|| before(now, random.below(PAST_US)));
                let reference = random.maybe(&REFERENCES).copied();
                let metadata = random.metadata();
                Command::Transfer(ask::noted(ask::movement(from, to, minor_units), effective_at, reference, &metadata))
            }
        }
    }

    fn note(&mut self, answer: &Answer) {
        let Some(outcome) = answer.outcome() else { return };
        self.transfers.extend(transfers_of(outcome).iter().map(|transferred| transferred.id));
        if matches!(outcome, Outcome::Event(Event::HoldChanged(_))) {
            self.holds.push(held(answer).id);
        }
    }
}

/// The instant so many microseconds earlier.
pub fn before(time: Timestamp, microseconds: u64) -> Timestamp {
    Timestamp::from_microseconds(time.microseconds().saturating_sub(microseconds)).unwrap_or(Timestamp::ZERO)
}
