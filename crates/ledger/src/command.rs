//! What can be asked of a shard, and which rows each command touches.

use crate::account::{AccountKind, FreezeKind, SystemKind};
use crate::amount::Amount;
use crate::currency::Currency;
use crate::customer::{Profile, Sealed};
use crate::ids::{AccountId, CustomerId, DeadLetterId, HoldId, QuoteId, ShardId, TokenId, TransferId};
use crate::rejection::Rejection;
use crate::saga::{Envelope, Message, Order, Route};
use crate::slots::SlotChange;
use crate::time::Timestamp;
use crate::token::Role;
use crate::transfer::{Note, Transfer};

/// Everything that can be asked. Amounts, texts and sizes were checked at the edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Move money.
    Transfer(Transfer),
    /// Move money in several transfers, all or none.
    Batch(Box<[Transfer]>),
    /// Move money from one currency into another, as a quote said.
    Exchange(Box<Exchange>),
    /// Undo a transfer by its opposite, once only.
    Reverse(Reverse),
    /// Reserve money.
    PlaceHold(PlaceHold),
    /// Take reserved money.
    CaptureHold(Box<CaptureHold>),
    /// Give reserved money up.
    VoidHold(HoldId),
    /// Record that a hold's time is over.
    ExpireHold(HoldId),
    /// Make a customer known.
    RegisterCustomer(Box<RegisterCustomer>),
    /// Change what is known of a customer.
    UpdateCustomer(Box<UpdateCustomer>),
    /// Open a customer's account.
    OpenAccount(OpenAccount),
    /// Open an account of the bank's own.
    OpenSystemAccount(Box<OpenSystemAccount>),
    /// Change overdraft limit or limits.
    ChangeTerms(Box<ChangeTerms>),
    /// Stop debits, or everything.
    Freeze(Box<Freeze>),
    /// End a freeze.
    Unfreeze(AccountId),
    /// Close an account for good.
    Close(AccountId),
    /// Decide something that names no account of the shard, on the shard of its key only.
    AtHome(Box<AtHome>),
    /// Do what an event says, or make a dead letter of it.
    Ingest(Box<Ingest>),
    /// Keep an input that no command could be made of.
    RecordDeadLetter(Box<RecordDeadLetter>),
    /// Record an attempt to redrive before it is made.
    BeginRedrive(Box<BeginRedrive>),
    /// Record how the attempt ended.
    FinishRedrive(Box<FinishRedrive>),
    /// Decide that a dead letter shall never take effect.
    DiscardDeadLetter(Box<DiscardDeadLetter>),
    /// Make a token.
    CreateToken(Box<CreateToken>),
    /// End a token.
    RevokeToken(TokenId),
    /// Move money between accounts of several shards.
    Between(Box<Between>),
    /// Take a message of another shard.
    Receive(Box<Receive>),
    /// Fence, open, give up or take over slots.
    ChangeSlots(Box<ChangeSlots>),
    /// Send an account of a slot that was given up to its new shard.
    MoveAccount(MoveAccount),
    /// Say no, for what was found on another shard.
    Refuse(Box<Rejection>),
    /// Ask for the money of an open transfer between shards back.
    CancelSaga(TransferId),
}

/// See [`Command::Between`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Between {
    /// What moves money: a transfer, an atomic batch, an exchange, a reversal, a capture, or an event that is one transfer.
    /// `Max` debits an account of the shard that decides.
    pub command: Command,
    /// Where the accounts of other shards are.
    pub routes: Box<[Route]>,
    /// The event it repeats, sealed: it becomes a dead letter if the saga fails after it began.
    pub payload: Option<Sealed>,
}

/// See [`Command::ChangeSlots`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeSlots {
    /// What happens to them.
    pub change: SlotChange,
    /// Which.
    pub slots: Box<[u16]>,
}

/// See [`Command::MoveAccount`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MoveAccount {
    /// The account.
    pub account: AccountId,
    /// Where to.
    pub to: ShardId,
}

/// See [`Command::Receive`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receive {
    /// The message.
    pub envelope: Envelope,
    /// Refuse it for this reason, because the rule book fails on it.
    pub refused: Option<Rejection>,
}

/// See [`Command::Exchange`]. Whoever submits it made the legs from the quote: nothing here knows of rates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// What moves: first what is sold, out of the customer's account or the hold, then what is bought, each against one of
    /// the bank's own accounts, so that every leg stays in one currency. Its own currency is the one sold.
    pub transfer: Transfer,
    /// The quote.
    pub quote: QuoteId,
    /// Until when the quote is good.
    pub expires_at: Timestamp,
    /// The hold whose money is sold, and whether what is left of it is released.
    pub captures: Option<(HoldId, bool)>,
}

/// See [`Command::Reverse`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reverse {
    /// The transfer to undo.
    pub transfer: TransferId,
    /// Whether the check of funds is skipped.
    pub forced: bool,
    /// Reference and metadata of the reversal.
    pub note: Option<Box<Note>>,
}

/// See [`Command::PlaceHold`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceHold {
    /// Where money is reserved.
    pub from: AccountId,
    /// Who gets it when a capture names nobody else.
    pub to: Option<AccountId>,
    /// How much.
    pub amount: Amount,
    /// The currency of both accounts.
    pub currency: Currency,
    /// When the hold ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// See [`Command::CaptureHold`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureHold {
    /// The hold.
    pub hold: HoldId,
    /// How much; all that is left without it.
    pub amount: Option<Amount>,
    /// Who gets it; the hold's own target without it, else the bank's cash account.
    pub to: Option<AccountId>,
    /// Whether what is not captured is released.
    pub is_final: bool,
    /// Reference and metadata of the transfer.
    pub note: Option<Box<Note>>,
}

/// See [`Command::RegisterCustomer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterCustomer {
    /// The id, when the client chose it.
    pub id: Option<CustomerId>,
    /// What is known, sealed.
    pub profile: Profile,
    /// Keyed digest of what the client said.
    pub registered_as: u128,
}

/// See [`Command::UpdateCustomer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateCustomer {
    /// The customer.
    pub id: CustomerId,
    /// The fields that change, sealed.
    pub changes: Profile,
}

/// See [`Command::OpenAccount`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenAccount {
    /// The id, when the client chose it.
    pub id: Option<AccountId>,
    /// Whose it is. A customer of another shard was looked up there before.
    pub customer: CustomerId,
    /// What it is for.
    pub kind: AccountKind,
    /// Its currency.
    pub currency: Currency,
    /// How far below zero ordinary debits may take it.
    pub overdraft_limit: Amount,
}

/// See [`Command::OpenSystemAccount`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenSystemAccount {
    /// What it is for.
    pub kind: SystemKind,
    /// The bank's name for it.
    pub name: Box<str>,
    /// Its currency.
    pub currency: Currency,
}

/// A limit that changes: `None` lifts it.
pub type NewLimit = Option<Amount>;

/// See [`Command::ChangeTerms`]. The outer `None` leaves a thing as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeTerms {
    /// The account.
    pub account: AccountId,
    /// Its overdraft limit.
    pub overdraft_limit: Option<Amount>,
    /// The limit of one transfer.
    pub per_transfer: Option<NewLimit>,
    /// The limit of a booking day.
    pub daily_debit: Option<NewLimit>,
    /// The limit of a month.
    pub monthly_debit: Option<NewLimit>,
}

/// See [`Command::Freeze`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// The account.
    pub account: AccountId,
    /// How much it stops. Without it, debits, unless the account is frozen in full already: somebody who freezes once
    /// more, for another reason, must not let money in that another kept out.
    pub kind: Option<FreezeKind>,
    /// Why.
    pub reason: Option<Box<str>>,
}

/// See [`Command::AtHome`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtHome {
    /// The slot of what the key belongs to. Only the shard that owns it may decide: another would not know the key.
    pub slot: u16,
    /// What is to be decided.
    pub command: Command,
}

/// See [`Command::Ingest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ingest {
    /// What the event says.
    pub command: Command,
    /// The event as it came, sealed, for the dead letter.
    pub payload: Sealed,
}

/// See [`Command::RecordDeadLetter`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordDeadLetter {
    /// Why no command could be made of it.
    pub code: Box<str>,
    /// The same for people, without anything personal.
    pub detail: Box<str>,
    /// What came, sealed.
    pub payload: Sealed,
}

/// See [`Command::BeginRedrive`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeginRedrive {
    /// The dead letter.
    pub dead_letter: DeadLetterId,
    /// Data in place of what was sent, sealed; `None` tries the latest data again.
    pub payload: Option<Sealed>,
}

/// See [`Command::FinishRedrive`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishRedrive {
    /// The dead letter.
    pub dead_letter: DeadLetterId,
    /// Which attempt.
    pub attempt: u32,
    /// Code and text of the recorded rejection; `None` when the attempt took effect.
    pub failure: Option<(Box<str>, Box<str>)>,
}

/// See [`Command::DiscardDeadLetter`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscardDeadLetter {
    /// The dead letter.
    pub dead_letter: DeadLetterId,
    /// Why.
    pub reason: Box<str>,
}

/// See [`Command::CreateToken`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateToken {
    /// The principal it speaks for.
    pub name: Box<str>,
    /// What it may do.
    pub role: Role,
    /// SHA-256 of the token.
    pub digest: [u8; 32],
    /// From when on it is no longer valid.
    pub expires_at: Option<Timestamp>,
}

/// The rows a command can touch, so that an engine can load them before the command is decided. The idempotency key,
/// which is a row too, is in the request beside the command. Targets that a row itself names (the account of a hold,
/// the accounts of a transfer to reverse) are the engine's to follow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Accounts named.
    pub accounts: Vec<AccountId>,
    /// Customers named.
    pub customers: Vec<CustomerId>,
    /// Holds named; their accounts belong to the footprint too.
    pub holds: Vec<HoldId>,
    /// Transfers named, with their reversals, the accounts of their postings and the holds they captured.
    pub transfers: Vec<TransferId>,
    /// Dead letters named.
    pub dead_letters: Vec<DeadLetterId>,
    /// Tokens named.
    pub tokens: Vec<TokenId>,
    /// Sagas named, with what this shard keeps of them and the accounts on this shard that their orders name.
    pub sagas: Vec<TransferId>,
}

/// Names every row this command can touch.
pub fn footprint(command: &Command) -> Footprint {
    let mut footprint = Footprint::default();
    add(&mut footprint, command);
    footprint
}

fn add(footprint: &mut Footprint, command: &Command) {
    match command {
        Command::Transfer(transfer) => add_transfer(footprint, transfer),
        Command::Batch(transfers) => transfers.iter().for_each(|transfer| add_transfer(footprint, transfer)),
        Command::Exchange(exchange) => {
            footprint.holds.extend(exchange.captures.map(|(hold, _)| hold));
            add_transfer(footprint, &exchange.transfer);
        }
        Command::Reverse(reverse) => footprint.transfers.push(reverse.transfer),
        Command::PlaceHold(hold) => footprint.accounts.extend(std::iter::once(hold.from).chain(hold.to)),
        Command::CaptureHold(capture) => {
            footprint.holds.push(capture.hold);
            footprint.accounts.extend(capture.to);
        }
        Command::VoidHold(hold) | Command::ExpireHold(hold) => footprint.holds.push(*hold),
        Command::RegisterCustomer(register) => footprint.customers.extend(register.id),
        Command::UpdateCustomer(update) => footprint.customers.push(update.id),
        Command::OpenAccount(open) => {
            footprint.accounts.extend(open.id);
            footprint.customers.push(open.customer);
        }
        Command::ChangeTerms(change) => footprint.accounts.push(change.account),
        Command::Freeze(freeze) => footprint.accounts.push(freeze.account),
        Command::Unfreeze(account) | Command::Close(account) => footprint.accounts.push(*account),
        Command::AtHome(at_home) => add(footprint, &at_home.command),
        Command::Ingest(ingest) => add(footprint, &ingest.command),
        Command::BeginRedrive(redrive) => footprint.dead_letters.push(redrive.dead_letter),
        Command::FinishRedrive(redrive) => footprint.dead_letters.push(redrive.dead_letter),
        Command::DiscardDeadLetter(discard) => footprint.dead_letters.push(discard.dead_letter),
        Command::RevokeToken(token) => footprint.tokens.push(*token),
        Command::Between(between) => {
            add(footprint, &between.command);
            let is_elsewhere = |id: &AccountId| between.routes.iter().any(|route| route.account == *id);
            footprint.accounts.retain(|id| !is_elsewhere(id));
        }
        Command::Receive(receive) => add_message(footprint, &receive.envelope),
        Command::CancelSaga(saga) => footprint.sagas.push(*saga),
        Command::MoveAccount(moving) => footprint.accounts.push(moving.account),
        Command::ChangeSlots(_)
        | Command::OpenSystemAccount(_)
        | Command::RecordDeadLetter(_)
        | Command::CreateToken(_)
        | Command::Refuse(_) => {}
    }
}

fn add_transfer(footprint: &mut Footprint, transfer: &Transfer) {
    footprint.accounts.extend(transfer.legs.iter().flat_map(|leg| [leg.from, leg.to]));
}

fn add_message(footprint: &mut Footprint, envelope: &Envelope) {
    match &envelope.message {
        Message::Take(order) => footprint.accounts.extend(accounts_on(order, envelope.to)),
        Message::MoveIn { moved, .. } => {
            footprint.accounts.push(moved.account.id);
            footprint.holds.extend(moved.holds.iter().map(|hold| hold.id));
        }
        Message::Answer { saga, .. } | Message::Finish { saga, .. } | Message::Done(saga) | Message::Cancel(saga) => {
            footprint.sagas.push(*saga);
        }
    }
}

/// The accounts of an order that are on this shard.
pub fn accounts_on(order: &Order, shard: ShardId) -> impl Iterator<Item = AccountId> {
    let legs = order.transfers.iter().flat_map(|ordered| ordered.legs.iter());
    legs.flat_map(|leg| [leg.from, leg.to]).filter(move |id| order.shard_of(*id) == shard)
}
