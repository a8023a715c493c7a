//! Random stories: what tellers, machines and customers might ask of a small bank, in any order and often wrongly.
//!
//! A step names things by small numbers, resolved when it is taken: so a story can be shrunk and still makes sense.

use crate::Decision;
use crate::account::{AccountKind, FreezeKind, SystemAccount, SystemKind};
use crate::amount::Amount;
use crate::command::{
    BeginRedrive, CaptureHold, ChangeTerms, Command, DiscardDeadLetter, FinishRedrive, Freeze, Ingest, OpenAccount,
    PlaceHold, RegisterCustomer, Reverse,
};
use crate::currency::Currency;
use crate::event::{Event, Key, Outcome};
use crate::ids::{AccountId, CustomerId, DeadLetterId, HoldId, ShardId, TransferId};
use crate::time::Day;
use crate::transfer::{Leg, LegAmount, Legs, Transfer, TransferKind};
use proptest::prelude::*;

use super::bank::{Bank, transfers_of};

/// Accounts that a story starts with: four in euros and one in dollars.
const ACCOUNTS: u64 = 5;

/// A transfer that might be asked for. `None` as an amount is `max`.
#[derive(Clone, Debug)]
pub(super) struct Movement {
    kind: u8,
    legs: Vec<(u8, u8, Option<u64>)>,
    forced: bool,
    minutes_ago: i8,
}

/// One thing that happens.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Move(Movement),
    Batch(Vec<Movement>),
    Ingest(Movement),
    Reverse {
        transfer: u8,
        forced: bool,
    },
    Hold {
        from: u8,
        to: Option<u8>,
        amount: u64,
        minutes: Option<u8>,
    },
    Capture {
        hold: u8,
        amount: Option<u64>,
        to: Option<u8>,
        is_final: bool,
    },
    Void(u8),
    Expire(u8),
    Freeze {
        account: u8,
        full: Option<bool>,
    },
    Unfreeze(u8),
    Close(u8),
    Terms {
        account: u8,
        overdraft: Option<u64>,
        daily: Option<Option<u64>>,
        monthly: Option<Option<u64>>,
    },
    Open {
        customer: u8,
        account: Option<u8>,
        overdraft: u64,
    },
    Register(Option<u8>),
    Redrive(u8),
    Finish {
        letter: u8,
        worked: bool,
    },
    Discard(u8),
    /// An earlier request once more.
    Again(u8),
    /// An earlier key with something else.
    Reuse(u8),
    Minutes(u8),
    Day,
}

fn amounts() -> impl Strategy<Value = u64> {
    prop_oneof![20 => 1..=200_u64, 1 => 1..=Amount::MAX.minor_units()]
}

fn accounts() -> impl Strategy<Value = u8> {
    prop_oneof![30 => 0..4_u8, 3 => Just(4), 4 => Just(5), 1 => 6..9_u8]
}

pub(super) fn movements() -> impl Strategy<Value = Movement> {
    let amount = prop_oneof![8 => amounts().prop_map(Some), 1 => Just(None)];
    let legs = prop_oneof![
        3 => prop::collection::vec((accounts(), accounts(), amount.clone()), 1),
        1 => prop::collection::vec((accounts(), accounts(), amount), 2..5),
    ];
    let minutes_ago = prop_oneof![9 => Just(0), 1 => -1..100_i8];
    (0..3_u8, legs, prop::bool::weighted(0.05), minutes_ago).prop_map(|(kind, legs, forced, minutes_ago)| Movement {
        kind,
        legs,
        forced,
        minutes_ago,
    })
}

fn steps() -> impl Strategy<Value = Step> {
    let any_of = || 0..40_u8;
    let limit = || prop::option::of(prop::option::of(1..500_u64));
    prop_oneof![
        20 => movements().prop_map(Step::Move),
        3 => prop::collection::vec(movements(), 1..5).prop_map(Step::Batch),
        3 => movements().prop_map(Step::Ingest),
        5 => (any_of(), any::<bool>()).prop_map(|(transfer, forced)| Step::Reverse { transfer, forced }),
        8 => (accounts(), prop::option::of(accounts()), amounts(), prop::option::of(0..50_u8))
            .prop_map(|(from, to, amount, minutes)| Step::Hold { from, to, amount, minutes }),
        8 => (any_of(), prop::option::of(amounts()), prop::option::of(accounts()), any::<bool>())
            .prop_map(|(hold, amount, to, is_final)| Step::Capture { hold, amount, to, is_final }),
        3 => any_of().prop_map(Step::Void),
        2 => any_of().prop_map(Step::Expire),
        1 => (accounts(), any::<Option<bool>>()).prop_map(|(account, full)| Step::Freeze { account, full }),
        2 => accounts().prop_map(Step::Unfreeze),
        1 => accounts().prop_map(Step::Close),
        2 => (accounts(), prop::option::of(0..300_u64), limit(), limit())
            .prop_map(|(account, overdraft, daily, monthly)| Step::Terms { account, overdraft, daily, monthly }),
        1 => (0..4_u8, prop::option::of(accounts()), 0..2_u64)
            .prop_map(|(customer, account, overdraft)| Step::Open { customer, account, overdraft }),
        1 => prop::option::of(0..4_u8).prop_map(Step::Register),
        1 => any_of().prop_map(Step::Redrive),
        1 => (any_of(), any::<bool>()).prop_map(|(letter, worked)| Step::Finish { letter, worked }),
        1 => any_of().prop_map(Step::Discard),
        3 => any_of().prop_map(Step::Again),
        1 => any_of().prop_map(Step::Reuse),
        4 => any::<u8>().prop_map(Step::Minutes),
        2 => Just(Step::Day),
    ]
}

/// Stories of up to so many steps.
pub(super) fn stories(length: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(steps(), 1..length)
}

/// A bank with a past: takes steps and remembers what was made.
pub(super) struct Story {
    pub(super) bank: Bank,
    transfers: Vec<TransferId>,
    holds: Vec<HoldId>,
    letters: Vec<DeadLetterId>,
    asked: Vec<(Key, Command)>,
}

fn currency(code: &str) -> Currency {
    code.parse().expect("a currency")
}

fn amount(minor_units: u64) -> Amount {
    Amount::new(minor_units).expect("an amount")
}

fn customer(number: u8) -> CustomerId {
    CustomerId::new(u64::from(number) + 1).expect("an id")
}

/// 0 to 4 are customers' accounts, 5 the bank's cash, 6 a clearing account; the rest nobody's.
fn account(number: u8) -> AccountId {
    let system =
        |kind, ordinal| SystemAccount { shard: ShardId::default(), kind, currency: currency("EUR"), ordinal }.id();
    match number {
        5 => system(SystemKind::Cash, 0),
        6 => system(SystemKind::Clearing, 1),
        _ => AccountId::new(u64::from(number) + 1).expect("an id"),
    }
}

fn pick<T: Copy>(from: &[T], number: u8) -> Option<T> {
    if from.is_empty() { None } else { Some(from[usize::from(number) % from.len()]) }
}

impl Story {
    /// A bank with two customers and five accounts with a little money.
    pub(super) fn new(seed: u64) -> Story {
        let bank = Bank::new(seed);
        let mut story =
            Story { bank, transfers: Vec::new(), holds: Vec::new(), letters: Vec::new(), asked: Vec::new() };
        story.take(&Step::Register(Some(0)));
        story.take(&Step::Register(Some(1)));
        for (number, id) in (0..).zip(1..=ACCOUNTS) {
            let open = OpenAccount {
                id: AccountId::new(id),
                customer: customer(number % 2),
                kind: AccountKind::Checking,
                currency: currency(if id == ACCOUNTS { "USD" } else { "EUR" }),
                overdraft_limit: Amount::ZERO,
            };
            story.submit(None, &Command::OpenAccount(open));
            story.take(&Step::Move(Movement {
                kind: 0,
                legs: vec![(5, number, Some(300))],
                forced: false,
                minutes_ago: 0,
            }));
        }
        story
    }

    /// Remembers and stands where another story stands; its rows are its own.
    pub(super) fn resume(&mut self, other: &Story) {
        self.bank.journal.clone_from(&other.bank.journal);
        (self.bank.time, self.bank.day) = (other.bank.time, other.bank.day);
        self.transfers.clone_from(&other.transfers);
        self.holds.clone_from(&other.holds);
        self.letters.clone_from(&other.letters);
        self.asked.clone_from(&other.asked);
    }

    /// Takes a step; `None` when there is nothing yet that it could be about.
    pub(super) fn take(&mut self, step: &Step) -> Option<Decision> {
        match step {
            Step::Minutes(minutes) => {
                self.bank.time = self.bank.time.saturating_add(u64::from(*minutes) * 60_000_000);
                None
            }
            Step::Day => {
                self.bank.day = Day::new(self.bank.day.number() + 4);
                None
            }
            Step::Again(number) => {
                let (key, command) = self.asked.get(usize::from(*number) % self.asked.len().max(1))?.clone();
                let decision = self.submit(Some(key), &command);
                assert!(matches!(decision, Decision::Replayed(_)), "asked again: {decision:?}");
                Some(decision)
            }
            Step::Reuse(number) => {
                let (key, command) = self.asked.get(usize::from(*number) % self.asked.len().max(1))?.clone();
                let decision = self.submit(Some(Key { fingerprint: !key.fingerprint, ..key }), &command);
                assert_eq!(decision, Decision::KeyReused);
                Some(decision)
            }
            _ => {
                let command = self.command(step)?;
                // Every third request comes without a key.
                let number = self.asked.len() as u128;
                let key = (!self.bank.journal.len().is_multiple_of(3))
                    .then_some(Key { digest: number + 1, fingerprint: number * 7 });
                self.asked.extend(key.map(|key| (key, command.clone())));
                Some(self.submit(key, &command))
            }
        }
    }

    /// Submits a command and remembers what it made.
    pub(super) fn submit(&mut self, key: Option<Key>, command: &Command) -> Decision {
        let decision = self.bank.submit(key, command);
        if let Decision::Recorded(outcome) = &decision {
            self.transfers.extend(transfers_of(outcome).iter().map(|transferred| transferred.id));
            match outcome {
                Outcome::Event(Event::HoldChanged(changed)) => self.holds.push(changed.hold.id),
                Outcome::Event(Event::DeadLetterChanged(changed)) => self.letters.push(changed.dead_letter.id),
                _ => {}
            }
        }
        decision
    }

    /// The transfer that a movement asks for now.
    pub(super) fn transfer(&self, movement: &Movement) -> Transfer {
        let legs: Vec<Leg> = movement
            .legs
            .iter()
            .map(|(from, to, moved)| Leg {
                from: account(*from),
                to: account(*to),
                amount: moved.map_or(LegAmount::Max, |moved| LegAmount::Exactly(amount(moved))),
            })
            .collect();
        let kind =
            [TransferKind::Deposit, TransferKind::Withdrawal, TransferKind::Transfer][usize::from(movement.kind)];
        // A deposit or a withdrawal that is none is a transfer, most of the time.
        let fits = match kind {
            TransferKind::Deposit => movement.legs.iter().all(|(from, ..)| *from == 5),
            TransferKind::Withdrawal => movement.legs.iter().all(|(_, to, _)| *to == 5),
            _ => true,
        };
        let kind = if fits || movement.minutes_ago == 7 { kind } else { TransferKind::Transfer };
        let dollars = movement.legs.iter().any(|(from, to, _)| (*from, *to) == (4, 4));
        let now = self.bank.time.microseconds();
        let effective = now.saturating_add_signed(-i64::from(movement.minutes_ago) * 60_000_000);
        Transfer {
            kind,
            currency: currency(if dollars { "USD" } else { "EUR" }),
            legs: if let [leg] = legs[..] { Legs::One([leg]) } else { Legs::Many(legs.into()) },
            forced: movement.forced,
            effective_at: (movement.minutes_ago != 0)
                .then(|| crate::time::Timestamp::from_microseconds(effective))
                .flatten(),
            note: None,
        }
    }

    fn command(&self, step: &Step) -> Option<Command> {
        Some(match step {
            Step::Move(movement) => Command::Transfer(self.transfer(movement)),
            Step::Batch(movements) => {
                Command::Batch(movements.iter().map(|movement| self.transfer(movement)).collect())
            }
            Step::Ingest(movement) => Command::Ingest(Box::new(Ingest {
                command: Command::Transfer(self.transfer(movement)),
                payload: b"sealed".as_slice().into(),
            })),
            Step::Reverse { transfer, forced } => {
                Command::Reverse(Reverse { transfer: pick(&self.transfers, *transfer)?, forced: *forced, note: None })
            }
            Step::Hold { from, to, amount: reserved, minutes } => Command::PlaceHold(PlaceHold {
                from: account(*from),
                to: to.map(account),
                amount: amount(*reserved),
                currency: currency(if *from == 4 { "USD" } else { "EUR" }),
                expires_at: minutes.map(|minutes| self.bank.time.saturating_add(u64::from(minutes) * 60_000_000)),
            }),
            Step::Capture { hold, amount: captured, to, is_final } => Command::CaptureHold(Box::new(CaptureHold {
                hold: pick(&self.holds, *hold)?,
                amount: captured.map(amount),
                to: to.map(account),
                is_final: *is_final,
                note: None,
            })),
            Step::Void(hold) => Command::VoidHold(pick(&self.holds, *hold)?),
            Step::Expire(hold) => Command::ExpireHold(pick(&self.holds, *hold)?),
            _ => self.other_command(step)?,
        })
    }

    fn other_command(&self, step: &Step) -> Option<Command> {
        Some(match step {
            Step::Freeze { account: frozen, full } => {
                let kind = full.map(|full| if full { FreezeKind::Full } else { FreezeKind::Debit });
                Command::Freeze(Box::new(Freeze { account: account(*frozen), kind, reason: None }))
            }
            Step::Unfreeze(frozen) => Command::Unfreeze(account(*frozen)),
            Step::Close(closed) => Command::Close(account(*closed)),
            Step::Terms { account: changed, overdraft, daily, monthly } => {
                Command::ChangeTerms(Box::new(ChangeTerms {
                    account: account(*changed),
                    overdraft_limit: overdraft.map(amount),
                    per_transfer: None,
                    daily_debit: daily.map(|limit| limit.map(amount)),
                    monthly_debit: monthly.map(|limit| limit.map(amount)),
                }))
            }
            Step::Open { customer: owner, account: id, overdraft } => Command::OpenAccount(OpenAccount {
                id: id.map(account),
                customer: customer(*owner),
                kind: AccountKind::Checking,
                currency: currency("EUR"),
                overdraft_limit: amount(*overdraft),
            }),
            Step::Register(number) => Command::RegisterCustomer(Box::new(RegisterCustomer {
                id: number.map(customer),
                profile: Vec::new(),
                registered_as: number.map_or(0, u128::from),
            })),
            Step::Redrive(letter) => Command::BeginRedrive(Box::new(BeginRedrive {
                dead_letter: pick(&self.letters, *letter)?,
                payload: None,
            })),
            Step::Finish { letter, worked } => {
                let dead_letter = pick(&self.letters, *letter)?;
                let attempt = self.bank.set.dead_letters.get(dead_letter.number())?.attempts;
                let failure = (!worked).then(|| ("account_not_found".into(), "still not there".into()));
                Command::FinishRedrive(Box::new(FinishRedrive { dead_letter, attempt, failure }))
            }
            Step::Discard(letter) => Command::DiscardDeadLetter(Box::new(DiscardDeadLetter {
                dead_letter: pick(&self.letters, *letter)?,
                reason: "no longer wanted".into(),
            })),
            _ => return None,
        })
    }
}
