//! Every kind of saga there is, each as it is asked for at its home and with what it comes to.

use super::ask;
use super::bench::{held, transferred};
use super::net::{Net, step_of};
use ledger::command::{CaptureHold, Command};
use ledger::ids::{AccountId, TransferId};
use ledger::saga::StepKind;
use ledger::transfer::{Leg, LegAmount, Legs, Transfer, TransferKind};
use std::collections::BTreeMap;

/// A kind of saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// From an account to one of another shard.
    Transfer,
    /// Out of a contra account of another shard.
    Deposit,
    /// Into a contra account of another shard.
    Withdrawal,
    /// Several legs over two shards; one account in two legs, one at home that gains.
    LegsOverTwo,
    /// Several legs over three shards, with debits on two.
    LegsOverThree,
    /// Transfers, all or none, over two shards; one of them on the home shard alone.
    BatchOverTwo,
    /// Transfers, all or none, over three shards; accounts occur in several.
    BatchOverThree,
    /// All of a hold.
    CaptureOfAll,
    /// A part of a hold, which stays open.
    CaptureOfSome,
    /// A part of a hold; the rest is released.
    LastCapture,
    /// The opposite of a transfer that crossed.
    Reversal,
    /// More than there is.
    Forced,
}

/// What is moved: (place, account) to (place, account), so much.
type Move = ((usize, u64), (usize, u64), u64);

const LEGS_OVER_TWO: [Move; 3] = [((0, 1), (1, 1), 100), ((1, 1), (0, 2), 30), ((0, 1), (1, 2), 20)];
const LEGS_OVER_THREE: [Move; 4] =
    [((0, 1), (1, 1), 100), ((2, 1), (1, 1), 50), ((1, 1), (2, 2), 20), ((2, 1), (0, 2), 10)];
const BATCH_OVER_TWO: [Move; 3] = [((0, 1), (1, 1), 100), ((1, 1), (0, 2), 40), ((0, 1), (0, 2), 5)];
const BATCH_OVER_THREE: [Move; 5] =
    [((0, 1), (1, 1), 100), ((1, 2), (2, 1), 60), ((2, 2), (0, 2), 40), ((2, 1), (1, 2), 10), ((0, 2), (0, 1), 7)];

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 12] = [
        Kind::Transfer,
        Kind::Deposit,
        Kind::Withdrawal,
        Kind::LegsOverTwo,
        Kind::LegsOverThree,
        Kind::BatchOverTwo,
        Kind::BatchOverThree,
        Kind::CaptureOfAll,
        Kind::CaptureOfSome,
        Kind::LastCapture,
        Kind::Reversal,
        Kind::Forced,
    ];

    /// The other places with a part in it.
    pub fn parts(self) -> &'static [usize] {
        match self {
            Kind::LegsOverThree | Kind::BatchOverThree => &[1, 2],
            _ => &[1],
        }
    }

    fn moves(self) -> &'static [Move] {
        match self {
            Kind::Transfer => &[((0, 1), (1, 1), 300)],
            Kind::Deposit | Kind::Withdrawal => &[],
            Kind::LegsOverTwo => &LEGS_OVER_TWO,
            Kind::LegsOverThree => &LEGS_OVER_THREE,
            Kind::BatchOverTwo => &BATCH_OVER_TWO,
            Kind::BatchOverThree => &BATCH_OVER_THREE,
            Kind::CaptureOfAll => &[((0, 1), (1, 1), 300)],
            Kind::CaptureOfSome | Kind::LastCapture => &[((0, 1), (1, 1), 100)],
            Kind::Reversal => &[((1, 1), (0, 1), 300)],
            Kind::Forced => &[((0, 3), (1, 1), 1500)],
        }
    }

    /// How many transfers it is.
    pub fn transfers(self) -> usize {
        match self {
            Kind::BatchOverTwo | Kind::BatchOverThree => self.moves().len(),
            _ => 1,
        }
    }

    /// What it changes on which account, where it succeeds.
    pub fn effect(self, net: &Net<'_>) -> BTreeMap<AccountId, i128> {
        let mut effect = BTreeMap::new();
        let mut add = |account, by| *effect.entry(account).or_insert(0) += by;
        for (from, to, amount) in self.moves() {
            add(account_at(net, *from), -i128::from(*amount));
            add(account_at(net, *to), i128::from(*amount));
        }
        match self {
            Kind::Deposit => {
                add(net.contra(1), -300);
                add(account_at(net, (0, 1)), 300);
            }
            Kind::Withdrawal => {
                add(net.contra(1), 300);
                add(account_at(net, (0, 1)), -300);
            }
            _ => {}
        }
        effect.retain(|_, by| *by != 0);
        effect
    }

    /// Does what has to be there before it, and says what is to be asked of the home then.
    pub async fn prepare(self, net: &mut Net<'_>) -> Command {
        let (first, other) = (account_at(net, (0, 1)), account_at(net, (1, 1)));
        match self {
            Kind::Transfer | Kind::Forced => {
                let (from, to, amount) = self.moves()[0];
                movement(net, self, vec![leg(account_at(net, from), account_at(net, to), amount)])
            }
            Kind::Deposit => movement(net, self, vec![leg(net.contra(1), first, 300)]),
            Kind::Withdrawal => movement(net, self, vec![leg(first, net.contra(1), 300)]),
            Kind::LegsOverTwo | Kind::LegsOverThree => movement(net, self, legs_of(net, self)),
            Kind::BatchOverTwo | Kind::BatchOverThree => {
                let legs = legs_of(net, self);
                let accounts: Vec<AccountId> = legs.iter().flat_map(|leg| [leg.from, leg.to]).collect();
                let transfers = legs.into_iter().map(|leg| transfer(self, vec![leg])).collect();
                net.between(Command::Batch(transfers), &accounts)
            }
            Kind::CaptureOfAll | Kind::CaptureOfSome | Kind::LastCapture => {
                let hold = held(&net.ask(0, ask::hold(first.number(), None, 300, None)).await).id;
                let amount = (self != Kind::CaptureOfAll).then(|| ask::amount(100));
                let is_final = self != Kind::CaptureOfSome;
                let capture = CaptureHold { hold, amount, to: Some(other), is_final, note: None };
                net.between(Command::CaptureHold(Box::new(capture)), &[first, other])
            }
            Kind::Reversal => {
                let crossing = Kind::Transfer;
                let command = movement(net, crossing, vec![leg(first, other, 300)]);
                let original = transferred(&net.ask(0, command).await).id;
                let refusing = std::mem::take(&mut net.refusing);
                net.carry_all().await;
                net.refusing = refusing;
                net.between(ask::reverse(original), &[first, other])
            }
        }
    }

    /// Begins it. The ids of its transfers, the first of which is the saga's.
    pub async fn start(self, net: &mut Net<'_>) -> Vec<TransferId> {
        let command = self.prepare(net).await;
        begin(net, command).await
    }
}

/// Asks the home for the first step of a saga. The ids of its transfers.
///
/// # Panics
/// When it is no first step.
pub async fn begin(net: &mut Net<'_>, command: Command) -> Vec<TransferId> {
    let answer = net.ask(0, command).await;
    let step = step_of(&answer);
    assert_eq!(step.kind, StepKind::Started);
    step.transferred.iter().map(|transferred| transferred.id).collect()
}

/// The account of a customer at a place.
pub fn account_at(net: &Net<'_>, (place, account): (usize, u64)) -> AccountId {
    ask::account(net.number(place, account))
}

/// A leg.
pub fn leg(from: AccountId, to: AccountId, minor_units: u64) -> Leg {
    Leg { from, to, amount: LegAmount::Exactly(ask::amount(minor_units)) }
}

fn legs_of(net: &Net<'_>, kind: Kind) -> Vec<Leg> {
    let moves = kind.moves().iter();
    moves.map(|(from, to, amount)| leg(account_at(net, *from), account_at(net, *to), *amount)).collect()
}

fn transfer(kind: Kind, legs: Vec<Leg>) -> Transfer {
    let name = match kind {
        Kind::Deposit => TransferKind::Deposit,
        Kind::Withdrawal => TransferKind::Withdrawal,
        _ => TransferKind::Transfer,
    };
    let legs = match <[Leg; 1]>::try_from(legs) {
        Ok(one) => Legs::One(one),
        Err(legs) => Legs::Many(legs.into()),
    };
    let forced = kind == Kind::Forced;
    Transfer { kind: name, currency: ask::currency("EUR"), legs, forced, effective_at: None, note: None }
}

/// A transfer of these legs, between shards.
pub fn movement(net: &Net<'_>, kind: Kind, legs: Vec<Leg>) -> Command {
    let accounts: Vec<AccountId> = legs.iter().flat_map(|leg| [leg.from, leg.to]).collect();
    net.between(Command::Transfer(transfer(kind, legs)), &accounts)
}
