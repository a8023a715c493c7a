//! From an entry of the journal to the messages it causes: a pure function, so that whoever reads the entry again, after a
//! crash or on another node, finds the same messages.
//!
//! Moves of accounts between shards and the bank's own accounts cause none. What went between shards is called complete by
//! the entry alone that completes it, and failed by the one that fails it.

use super::kind::Kind;
use ledger::account::SystemAccount;
use ledger::currency::Currency;
use ledger::customer::ProfileField;
use ledger::event::{AccountChange, CustomerChange, Entry, Event, HoldChange, Outcome};
use ledger::hold::{Hold, HoldStatus};
use ledger::ids::{AccountId, CustomerId, Sequence, TransferId};
use ledger::saga::{Order, Ordered, SagaStep, StepKind};
use ledger::time::Timestamp;
use ledger::transfer::{LegAmount, TransferKind, Transferred};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use store::transfers_of;

/// Whom a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// The customer an account belongs to.
    Owner(AccountId),
    /// A customer.
    Customer(CustomerId),
}

/// A message that an entry causes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// For whom.
    pub whom: Whom,
    /// What it is about.
    pub kind: Kind,
    /// The transfer, hold, account or customer that it is about: an entry can have several.
    pub about: u64,
    /// What there is to tell.
    pub facts: Facts,
}

/// What a message tells: nothing that the journal does not have in clear.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// The customer's account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The currency of all amounts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// How much, in minor units.
    #[serde(with = "minor_units", skip_serializing_if = "Option::is_none")]
    pub amount: Option<i128>,
    /// Whether it came in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credited: Option<bool>,
    /// The account's balance after it, in minor units.
    #[serde(with = "minor_units", skip_serializing_if = "Option::is_none")]
    pub balance: Option<i128>,
    /// Its balance before it.
    #[serde(with = "minor_units", skip_serializing_if = "Option::is_none")]
    pub balance_before: Option<i128>,
    /// What could be spent when the message was made.
    #[serde(with = "minor_units", skip_serializing_if = "Option::is_none")]
    pub available: Option<i128>,
    /// What the customer wants to be warned below.
    #[serde(with = "minor_units", skip_serializing_if = "Option::is_none")]
    pub threshold: Option<i128>,
    /// The transfer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer: Option<String>,
    /// The account at the other end, where it is one and a customer's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_account: Option<String>,
    /// The hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<String>,
    /// When it expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// The month of a statement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub month: Option<String>,
    /// Why a transfer failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
}

/// Amounts as texts, so that none is ever read as a float.
mod minor_units {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &Option<i128>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i128>, D::Error> {
        let text: Option<String> = Deserialize::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(|_| D::Error::custom("no number"))).transpose()
    }
}

impl Facts {
    fn of(account: AccountId, currency: Currency, amount: i128) -> Facts {
        Facts {
            account: Some(account.to_string()),
            currency: Some(currency.code().to_owned()),
            amount: Some(amount),
            ..Facts::default()
        }
    }

    /// The currency of its amounts.
    pub fn currency(&self) -> Option<Currency> {
        self.currency.as_deref()?.parse().ok()
    }
}

impl Message {
    /// What tells it from all others of its entry that say the same to the same customer.
    pub fn topic(&self) -> String {
        match &self.facts.account {
            Some(account) => format!("{}/{account}", self.about),
            None => self.about.to_string(),
        }
    }
}

/// How a transfer between shards began: what its last entry does not say again.
#[derive(Clone, Copy, Debug)]
pub struct Began<'a> {
    /// What was ordered.
    pub order: &'a Order,
    /// What it took at its home.
    pub transferred: &'a [Transferred],
    /// Whether the hold that it captured was over with it.
    pub ended_hold: bool,
    /// The entry with which it began.
    pub sequence: Sequence,
    /// When.
    pub at: Timestamp,
}

/// The transfer between shards that this entry ends at its home, or gives a hold back from: whoever wants its messages looks up
/// how it began.
pub fn ended(entry: &Entry) -> Option<TransferId> {
    match &entry.outcome {
        Outcome::Event(Event::Saga(step)) => {
            let is_end = matches!(step.kind, StepKind::Completed | StepKind::Failed);
            (is_end || expired_hold(step).is_some()).then_some(step.saga)
        }
        _ => None,
    }
}

/// The messages of an entry, those about money that left first. `began` says how a transfer between shards began that
/// [`ended`] with it.
pub fn messages(entry: &Entry, began: Option<Began<'_>>) -> Vec<Message> {
    let Outcome::Event(event) = &entry.outcome else { return Vec::new() };
    let mut told = Vec::new();
    match event {
        Event::Saga(step) => of_step(step, began, &mut told),
        Event::HoldChanged(changed) => match changed.change {
            HoldChange::Placed => of_hold(&changed.hold, Kind::HoldPlaced, &mut told),
            HoldChange::Voided => of_hold(&changed.hold, Kind::HoldVoided, &mut told),
            HoldChange::Expired => of_hold(&changed.hold, Kind::HoldExpired, &mut told),
            HoldChange::Nothing => {}
        },
        Event::AccountChanged(changed) => {
            let account = &changed.account;
            let change = match changed.change {
                AccountChange::Frozen => Some("account_frozen"),
                AccountChange::Unfrozen => Some("account_unfrozen"),
                AccountChange::Closed => Some("account_closed"),
                AccountChange::Opened | AccountChange::TermsChanged | AccountChange::Nothing => None,
            };
            if let (Some(change), Some(customer)) = (change, account.customer) {
                let facts = Facts { account: Some(account.id.to_string()), ..security(change) };
                told.push(Message {
                    whom: Whom::Customer(customer),
                    kind: Kind::Security,
                    about: account.id.number(),
                    facts,
                });
            }
        }
        Event::CustomerChanged(changed) => {
            if let CustomerChange::Updated(fields) = &changed.change
                && fields.iter().any(|field| *field != ProfileField::Locale)
            {
                let is_contact = |field: &ProfileField| matches!(field, ProfileField::Email | ProfileField::Phone);
                let change = if fields.iter().any(is_contact) { "contact_changed" } else { "profile_changed" };
                let id = changed.customer.id;
                let (whom, facts) = (Whom::Customer(id), security(change));
                told.push(Message { whom, kind: Kind::Security, about: id.number(), facts });
            }
        }
        Event::Transferred(_) | Event::BatchTransferred(_) | Event::HoldCaptured(_) => {
            for transferred in transfers_of(&entry.outcome) {
                of_transfer(transferred, &mut told);
            }
        }
        Event::DeadLetterChanged(_) | Event::TokenChanged(_) | Event::SlotsChanged(_) => {}
    }
    told
}

fn security(change: &str) -> Facts {
    Facts { change: Some(change.to_owned()), ..Facts::default() }
}

fn is_customers(account: AccountId) -> bool {
    SystemAccount::from_id(account).is_none()
}

/// What a transfer did to one account.
#[derive(Clone, Copy, Debug)]
struct Net {
    currency: Currency,
    change: i128,
    after: i128,
}

/// The customers' accounts that a transfer changed, in the order of their first posting.
fn nets(transferred: &Transferred) -> Vec<(AccountId, Net)> {
    let mut nets: Vec<(AccountId, Net)> = Vec::with_capacity(2);
    let postings = transferred.postings.iter().enumerate();
    for (index, posting) in postings.filter(|(_, posting)| is_customers(posting.account)) {
        let place = nets.iter().position(|(account, _)| *account == posting.account).unwrap_or(nets.len());
        if place == nets.len() {
            nets.push((posting.account, Net { currency: transferred.currency_at(index), change: 0, after: 0 }));
        }
        nets[place].1.change += posting.signed();
        nets[place].1.after = posting.balance_after;
    }
    nets.retain(|(_, net)| net.change != 0);
    nets
}

/// The only other customer's account of a transfer.
fn other_end(nets: &[(AccountId, Net)], account: AccountId) -> Option<String> {
    let mut others = nets.iter().filter(|(other, net)| *other != account && 0 < net.change);
    let other = others.next().map(|(other, _)| other.to_string());
    other.filter(|_| others.next().is_none())
}

fn of_transfer(transferred: &Transferred, told: &mut Vec<Message>) {
    let nets = nets(transferred);
    for (account, net) in nets.iter().filter(|(_, net)| net.change < 0) {
        let kind = match transferred.kind {
            TransferKind::Deposit | TransferKind::Withdrawal => Kind::Withdrawal,
            TransferKind::Transfer | TransferKind::Exchange => Kind::TransferCompleted,
            TransferKind::Capture => Kind::HoldCaptured,
            TransferKind::Reversal => Kind::Reversal,
            TransferKind::Interest => Kind::Interest,
            TransferKind::Fee => Kind::Fee,
            TransferKind::Move => continue,
        };
        let other_account = other_end(&nets, *account);
        let facts = Facts { other_account, ..posted(*account, *net, transferred) };
        told.push(about_transfer(*account, kind, transferred.id, facts));
        told.push(low_balance(*account, *net, transferred));
    }
    credits(transferred, &nets, told);
}

fn credits(transferred: &Transferred, nets: &[(AccountId, Net)], told: &mut Vec<Message>) {
    for (account, net) in nets.iter().filter(|(_, net)| 0 < net.change) {
        let kind = match transferred.kind {
            TransferKind::Deposit | TransferKind::Withdrawal => Kind::Deposit,
            TransferKind::Transfer | TransferKind::Exchange | TransferKind::Capture | TransferKind::Fee => {
                Kind::TransferReceived
            }
            TransferKind::Reversal => Kind::Reversal,
            TransferKind::Interest => Kind::Interest,
            TransferKind::Move => continue,
        };
        told.push(about_transfer(*account, kind, transferred.id, posted(*account, *net, transferred)));
    }
}

fn posted(account: AccountId, net: Net, transferred: &Transferred) -> Facts {
    Facts {
        credited: Some(0 < net.change),
        balance: Some(net.after),
        transfer: Some(transferred.id.to_string()),
        hold: transferred.hold.map(|hold| hold.to_string()),
        ..Facts::of(account, net.currency, net.change.abs())
    }
}

fn about_transfer(account: AccountId, kind: Kind, transfer: TransferId, facts: Facts) -> Message {
    Message { whom: Whom::Owner(account), kind, about: transfer.number(), facts }
}

/// Becomes a message only for a customer who set a threshold that lies between the balances.
fn low_balance(account: AccountId, net: Net, transferred: &Transferred) -> Message {
    let facts = Facts {
        account: Some(account.to_string()),
        currency: Some(net.currency.code().to_owned()),
        balance: Some(net.after),
        balance_before: Some(net.after - net.change),
        transfer: Some(transferred.id.to_string()),
        ..Facts::default()
    };
    about_transfer(account, Kind::LowBalance, transferred.id, facts)
}

fn of_step(step: &SagaStep, began: Option<Began<'_>>, told: &mut Vec<Message>) {
    match step.kind {
        StepKind::MovedOut | StepKind::MovedIn => return,
        StepKind::Started => {
            let ordered = step.order.iter().flat_map(|order| order.transfers.iter());
            for ordered in ordered.filter(|ordered| is_payment(ordered)) {
                let gave = gave(&step.transferred, ordered);
                of_order(ordered, Kind::TransferPending, step, told, |account| gave.contains(&account));
            }
        }
        StepKind::Completed => {
            for ordered in began.iter().flat_map(|began| began.order.transfers.iter()) {
                let kind = match ordered.kind {
                    TransferKind::Transfer | TransferKind::Exchange => Kind::TransferCompleted,
                    TransferKind::Withdrawal => Kind::Withdrawal,
                    TransferKind::Capture => Kind::HoldCaptured,
                    TransferKind::Reversal => Kind::Reversal,
                    TransferKind::Interest => Kind::Interest,
                    TransferKind::Fee => Kind::Fee,
                    // Whoever got the money is told where it was posted.
                    TransferKind::Deposit | TransferKind::Move => continue,
                };
                of_order(ordered, kind, step, told, |_| true);
            }
        }
        StepKind::Failed => {
            if let Some(began) = began {
                for ordered in began.order.transfers.iter().filter(|ordered| is_payment(ordered)) {
                    let gave = gave(began.transferred, ordered);
                    of_order(ordered, Kind::TransferFailed, step, told, |account| gave.contains(&account));
                }
            }
        }
        _ => {}
    }
    // Of a capture that came to nothing after the time of its hold, nobody says later that the hold expired.
    if let Some(hold) = expired_hold(step).filter(|_| began.is_some_and(|began| began.ended_hold)) {
        of_hold(hold, Kind::HoldExpired, told);
    }
    if step.kind.is_refund() {
        return;
    }
    for transferred in &step.transferred {
        let nets = nets(transferred);
        if transferred.kind != TransferKind::Move {
            let debits = nets.iter().filter(|(_, net)| net.change < 0);
            told.extend(debits.map(|(account, net)| low_balance(*account, *net, transferred)));
        }
        credits(transferred, &nets, told);
    }
}

/// The hold that a refund gives back, where its time is over.
fn expired_hold(step: &SagaStep) -> Option<&Hold> {
    step.hold.as_ref().filter(|hold| step.kind.is_refund() && hold.status == HoldStatus::Expired)
}

/// Whether somebody ordered it who waits for its end.
fn is_payment(ordered: &Ordered) -> bool {
    matches!(ordered.kind, TransferKind::Transfer | TransferKind::Exchange)
}

/// The accounts whose money left with these.
fn gave(transferred: &[Transferred], ordered: &Ordered) -> Vec<AccountId> {
    let own = transferred.iter().filter(|transferred| transferred.id == ordered.id);
    let nets = own.flat_map(nets).filter(|(_, net)| net.change < 0);
    nets.map(|(account, _)| account).collect()
}

/// One message to the owner of each of these accounts that an ordered transfer takes from.
fn of_order(
    ordered: &Ordered,
    kind: Kind,
    step: &SagaStep,
    told: &mut Vec<Message>,
    is_told: impl Fn(AccountId) -> bool,
) {
    let mut sums: BTreeMap<AccountId, (i128, Currency)> = BTreeMap::new();
    for leg in ordered.legs.iter() {
        let LegAmount::Exactly(amount) = leg.amount else { continue };
        let nothing = (0, ordered.currency_of(leg));
        sums.entry(leg.from).or_insert(nothing).0 -= amount.signed();
        sums.entry(leg.to).or_insert(nothing).0 += amount.signed();
    }
    let mut to = sums.iter().filter(|(account, (sum, _))| 0 < *sum && is_customers(**account));
    let other_account = to.next().map(|(account, _)| account.to_string()).filter(|_| to.next().is_none());
    let is_debited = |(account, (sum, _)): &(&AccountId, &(i128, Currency))| *sum < 0 && is_customers(**account);
    for (account, (sum, currency)) in sums.iter().filter(is_debited).filter(|(account, _)| is_told(**account)) {
        let posted = step.transferred.iter().filter(|transferred| transferred.id == ordered.id);
        let postings = posted.flat_map(|transferred| transferred.postings.iter());
        let facts = Facts {
            credited: Some(false),
            balance: postings
                .filter(|posting| posting.account == *account)
                .map(|posting| posting.balance_after)
                .next_back(),
            transfer: Some(ordered.id.to_string()),
            other_account: other_account.clone(),
            code: step.failure.filter(|_| kind == Kind::TransferFailed).map(|why| why.rejection.code().to_owned()),
            ..Facts::of(*account, *currency, -sum)
        };
        told.push(about_transfer(*account, kind, ordered.id, facts));
    }
}

fn of_hold(hold: &Hold, kind: Kind, told: &mut Vec<Message>) {
    if !is_customers(hold.from) {
        return;
    }
    let amount = hold.amount.signed() - hold.captured.signed();
    let facts = Facts {
        hold: Some(hold.id.to_string()),
        expires_at: hold.expires_at.map(|expires_at| expires_at.to_string()),
        ..Facts::of(hold.from, hold.currency, amount)
    };
    told.push(Message { whom: Whom::Owner(hold.from), kind, about: hold.id.number(), facts });
}
