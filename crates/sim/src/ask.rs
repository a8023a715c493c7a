//! What clients ask of the bank, and how it is put to one.

use crate::heard::Heard;
use bank::error::BankError;
use bank::profile::PlainProfile;
use bank::submit::ClientKey;
use bank::transfer::Terms;
use bank::{Bank, Caller};
use ledger::account::{AccountKind, FreezeKind, SystemAccount, SystemKind};
use ledger::amount::Amount;
use ledger::command::{CaptureHold, ChangeTerms, Command, Exchange, Freeze, OpenAccount, PlaceHold, Reverse};
use ledger::currency::Currency;
use ledger::customer::ProfileField;
use ledger::event::Channel;
use ledger::ids::{AccountId, CustomerId, DeadLetterId, HoldId, QuoteId, TransferId};
use ledger::time::{Day, Timestamp};
use ledger::token::Role;
use ledger::transfer::{Leg, LegAmount, Legs, Note, Transfer, TransferKind};

/// Names one request of one client; all its repetitions have the same name.
pub type RequestId = u64;

/// One transfer that a client wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Movement {
    /// Deposit, withdrawal or transfer.
    pub kind: TransferKind,
    /// Its currency.
    pub currency: Currency,
    /// Who gives, who gets, how much. A deposit's giver and a withdrawal's taker is the bank.
    pub legs: Vec<(AccountId, AccountId, u64)>,
    /// Whether the check of funds is skipped.
    pub forced: bool,
}

/// Money that goes from one currency into another, at amounts that a quote fixed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swap {
    /// Where what is sold comes from.
    pub from: AccountId,
    /// Where what is bought goes to.
    pub to: AccountId,
    /// The currency that is sold, and the one that is bought.
    pub currencies: (Currency, Currency),
    /// How much is sold.
    pub sold: u64,
    /// How much is bought.
    pub bought: u64,
    /// How much of what is bought the bank keeps.
    pub result: u64,
    /// Until when the quote is good.
    pub expires_at: Timestamp,
    /// The hold whose money is sold.
    pub hold: Option<HoldId>,
}

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Register a customer.
    Register(CustomerId),
    /// Open an account, under an id of the client's choice or of the bank's.
    Open {
        /// Its id; the bank chooses one without.
        account: Option<AccountId>,
        /// Whose.
        customer: CustomerId,
        /// Its currency.
        currency: Currency,
        /// How far below zero it may go.
        overdraft: u64,
    },
    /// Move money.
    Move(Movement),
    /// Move money in several transfers, all or none.
    Batch(Vec<Movement>),
    /// Move money by a queued event, whose answer nobody waits for.
    Event(Movement),
    /// Try once more what became of such an event's dead letter.
    Redrive(DeadLetterId),
    /// Exchange money.
    Exchange(Swap),
    /// Reserve money for so many microseconds.
    Hold {
        /// Where.
        from: AccountId,
        /// Who gets it later.
        to: Option<AccountId>,
        /// Its currency.
        currency: Currency,
        /// How much.
        amount: u64,
        /// Until when.
        expires_at: Option<Timestamp>,
    },
    /// Take reserved money.
    Capture {
        /// Which.
        hold: HoldId,
        /// How much; all without it.
        amount: Option<u64>,
        /// Whether the rest is released.
        is_final: bool,
    },
    /// Give reserved money up.
    Void(HoldId),
    /// Undo a transfer.
    Reverse {
        /// Which.
        transfer: TransferId,
        /// Whether the check of funds is skipped.
        forced: bool,
    },
    /// Give a transfer between shards up.
    Cancel(TransferId),
    /// Stop an account.
    Freeze {
        /// Which.
        account: AccountId,
        /// Whether credits too.
        full: bool,
    },
    /// Let it go on.
    Unfreeze(AccountId),
    /// End it.
    Close(AccountId),
    /// Limit what one transfer, and one day, may take from an account.
    Limit {
        /// Which.
        account: AccountId,
        /// Of one transfer.
        per_transfer: Option<u64>,
        /// Of a day.
        daily: Option<u64>,
    },
}

/// A request as it is put to a node, as often as it takes.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which.
    pub id: RequestId,
    /// Who asks; the namespace of the key.
    pub principal: String,
    /// The idempotency key.
    pub key: String,
    /// What is asked.
    pub ask: Ask,
}

/// An account that no world has.
const NOBODY: AccountId = AccountId::new(u64::MAX >> 2).expect("it is an id");

/// An amount that is known to be one.
fn amount(minor_units: u64) -> Amount {
    Amount::new(minor_units).unwrap_or(Amount::MAX)
}

/// The reference by which a transfer tells whose it is: the request, and its place in it.
pub fn reference(request: RequestId, place: usize) -> String {
    format!("r{request}.{place}")
}

/// The request and the place that a reference names.
pub fn named_by(reference: &str) -> Option<(RequestId, usize)> {
    let (request, place) = reference.strip_prefix('r')?.split_once('.')?;
    Some((request.parse().ok()?, place.parse().ok()?))
}

fn note(request: RequestId, place: usize) -> Option<Box<Note>> {
    let note = Note { reference: Some(reference(request, place).into()), metadata: Box::default() };
    Some(Box::new(note))
}

impl Request {
    /// Puts the request to a bank.
    ///
    /// # Errors
    /// What the bank says when it gives no answer.
    pub async fn put_to(&self, bank: &Bank) -> Result<Heard, BankError> {
        let caller = Caller {
            principal: self.principal.as_str().into(),
            role: Role::Admin,
            channel: Channel::Http,
            correlation: "".into(),
        };
        let fingerprint = bank.fingerprint("simulated", &[], format!("{:?}", self.ask).as_bytes());
        let key = Some(ClientKey { text: &self.key, fingerprint });
        if let Ask::Register(id) = &self.ask {
            return Ok(Heard::of(&bank.register_user(&caller, key, Some(*id), &named()).await?));
        }
        if let Ask::Event(movement) = &self.ask {
            let results = bank.ingest(&caller, &[self.event(movement)]).await?;
            return Ok(results.first().map_or(Heard::Other, Heard::of_event));
        }
        if let Ask::Redrive(letter) = &self.ask {
            return Ok(Heard::of(&bank.redrive(&caller, key, *letter, None).await?));
        }
        Ok(Heard::of(&bank.submit(&caller, key, self.command(bank)?, false).await?))
    }

    /// The request as a CloudEvent, which names itself as its transfers do.
    fn event(&self, movement: &Movement) -> String {
        let (from, to, moved) = movement.legs.first().copied().unwrap_or((NOBODY, NOBODY, 0));
        let kind = movement.kind.name();
        let accounts = match movement.kind {
            TransferKind::Deposit => format!("\"account_id\":\"{to}\""),
            TransferKind::Withdrawal => format!("\"account_id\":\"{from}\""),
            _ => format!("\"from\":\"{from}\",\"to\":\"{to}\""),
        };
        let (amount, currency) = (amount(moved).decimal(movement.currency.scale()), movement.currency);
        let (id, source) = (reference(self.id, 0), &self.principal);
        format!(
            "{{\"specversion\":\"1.0\",\"id\":\"{id}\",\"source\":\"{source}\",\"type\":\"florin.{kind}\",\"data\":{{{accounts},\
             \"amount\":\"{amount}\",\"currency\":\"{currency}\",\"reference\":\"{id}\"}}}}"
        )
    }

    fn command(&self, bank: &Bank) -> Result<Command, BankError> {
        Ok(match &self.ask {
            Ask::Register(_) | Ask::Event(_) | Ask::Redrive(_) => {
                return Err(malformed("this is not a command of its own"));
            }
            Ask::Open { account, customer, currency, overdraft } => Command::OpenAccount(OpenAccount {
                id: *account,
                customer: *customer,
                kind: AccountKind::Checking,
                currency: *currency,
                overdraft_limit: amount(*overdraft),
            }),
            Ask::Move(movement) => Command::Transfer(self.transfer(bank, movement, 0)?),
            Ask::Batch(movements) => {
                let transfers = movements.iter().enumerate();
                let transfers: Result<Vec<Transfer>, BankError> =
                    transfers.map(|(place, movement)| self.transfer(bank, movement, place)).collect();
                Command::Batch(transfers?.into())
            }
            Ask::Hold { from, to, currency, amount: reserved, expires_at } => Command::PlaceHold(PlaceHold {
                from: *from,
                to: *to,
                amount: amount(*reserved),
                currency: *currency,
                expires_at: *expires_at,
            }),
            Ask::Capture { hold, amount: taken, is_final } => Command::CaptureHold(Box::new(CaptureHold {
                hold: *hold,
                amount: taken.map(amount),
                to: None,
                is_final: *is_final,
                note: note(self.id, 0),
            })),
            Ask::Exchange(swap) => Command::Exchange(Box::new(self.exchange(bank, swap))),
            Ask::Void(hold) => Command::VoidHold(*hold),
            Ask::Reverse { transfer, forced } => {
                Command::Reverse(Reverse { transfer: *transfer, forced: *forced, note: note(self.id, 0) })
            }
            Ask::Cancel(transfer) => Command::CancelSaga(*transfer),
            Ask::Freeze { account, full } => {
                let kind = Some(if *full { FreezeKind::Full } else { FreezeKind::Debit });
                Command::Freeze(Box::new(Freeze { account: *account, kind, reason: None }))
            }
            Ask::Unfreeze(account) => Command::Unfreeze(*account),
            Ask::Close(account) => Command::Close(*account),
            Ask::Limit { account, per_transfer, daily } => Command::ChangeTerms(Box::new(ChangeTerms {
                account: *account,
                overdraft_limit: None,
                per_transfer: Some(per_transfer.map(amount)),
                daily_debit: Some(daily.map(amount)),
                monthly_debit: None,
            })),
        })
    }

    /// As the bank makes one of a quote.
    fn exchange(&self, bank: &Bank, swap: &Swap) -> Exchange {
        let (sell, buy) = swap.currencies;
        let own =
            |customer, kind, currency| SystemAccount::standard(bank.shard_of_account(customer), kind, currency).id();
        let position = own(swap.to, SystemKind::FxPosition, buy);
        let leg = |from, to, moved| Leg { from, to, amount: LegAmount::Exactly(amount(moved)) };
        let mut legs = vec![
            leg(swap.from, own(swap.from, SystemKind::FxPosition, sell), swap.sold),
            leg(position, swap.to, swap.bought),
        ];
        if swap.result != 0 {
            legs.push(leg(position, own(swap.to, SystemKind::FxResult, buy), swap.result));
        }
        let kind = if swap.hold.is_some() { TransferKind::Capture } else { TransferKind::Exchange };
        let (legs, note) = (Legs::Many(legs.into()), note(self.id, 0));
        Exchange {
            transfer: Transfer { kind, currency: sell, legs, forced: false, effective_at: None, note },
            quote: QuoteId::new(self.id).unwrap_or_else(|| unreachable!("requests are few")),
            expires_at: swap.expires_at,
            captures: swap.hold.map(|hold| (hold, true)),
        }
    }

    fn transfer(&self, bank: &Bank, movement: &Movement, place: usize) -> Result<Transfer, BankError> {
        let exactly = |minor_units: u64| LegAmount::Exactly(amount(minor_units));
        let &(from, to, moved) = movement.legs.first().ok_or_else(|| malformed("a movement has a leg"))?;
        let terms = Terms {
            currency: movement.currency,
            amount: exactly(moved),
            forced: movement.forced,
            effective_at: None,
            note: note(self.id, place),
        };
        let made = match movement.kind {
            TransferKind::Deposit => bank.deposit(to, None, terms),
            TransferKind::Withdrawal => bank.withdrawal(from, None, terms),
            _ => {
                let leg = |&(from, to, moved): &(AccountId, AccountId, u64)| Leg { from, to, amount: exactly(moved) };
                let legs = match movement.legs.as_slice() {
                    [only] => Legs::One([leg(only)]),
                    many => Legs::Many(many.iter().map(leg).collect()),
                };
                let Terms { currency, forced, effective_at, note, .. } = terms;
                Ok(Transfer { kind: movement.kind, currency, legs, forced, effective_at, note })
            }
        };
        made.map_err(|_| malformed("deposits and withdrawals are of customers"))
    }
}

fn malformed(detail: &str) -> BankError {
    BankError::Malformed { code: "malformed", detail: detail.into() }
}

fn named() -> PlainProfile {
    let mut profile = PlainProfile::default();
    profile.set(ProfileField::Name, "Somebody", Day::default()).expect("it is a name");
    profile
}
