//! The tables' language: one command or one look at the books per line.
//!
//! ```text
//! user     U [id 7]                                     => registered
//! account  A [100] [of U] [in EUR] [id 7] [overdraft 50] [savings] => opened      // 100 is paid in at once
//! deposit  D1 A 100 [from atm]                          => transferred
//! withdrawal W1 A 100|max [to atm]                      => transferred
//! transfer T1 A>B 70, B>C max                           => transferred
//! batch    X1 A>B 70; deposit A 1; withdrawal A 2       => transferred
//! reverse  R1 T1                                        => transferred
//! hold     H1 A 30 [to B] [expires +10m]                => held
//! capture  C1 H1 [20] [to B] [partial]                  => captured
//! ```
//!
//! The name of a movement or hold is its idempotency key, `-` is none; other commands take `key K`. Movements also
//! take `forced`, `in USD` and `effective -1d`. `cash`, `income`, `suspense`, `expense`, `clearing` are the bank's.
//! What is expected is the beginning of what happened: `limit_exceeded` or `limit_exceeded A DailyDebit`.

use crate::account::{AccountKind, FreezeKind, SystemAccount, SystemKind};
use crate::amount::Amount;
use crate::command::{
    BeginRedrive, CaptureHold, ChangeTerms, Command, CreateToken, DiscardDeadLetter, FinishRedrive, Freeze, Ingest,
    NewLimit, OpenAccount, OpenSystemAccount, PlaceHold, RecordDeadLetter, RegisterCustomer, Reverse, UpdateCustomer,
};
use crate::currency::Currency;
use crate::customer::ProfileField;
use crate::event::Key;
use crate::ids::{AccountId, CustomerId, DeadLetterId, HoldId, ShardId, TokenId, TransferId};
use crate::time::Timestamp;
use crate::token::Role;
use crate::transfer::{Leg, LegAmount, Legs, Note, Transfer, TransferKind};
use std::collections::BTreeMap;

use super::bank::Bank;

/// Names of everything that was made, by kind of thing.
#[derive(Default)]
pub(super) struct Names {
    pub(super) accounts: BTreeMap<String, AccountId>,
    pub(super) customers: BTreeMap<String, CustomerId>,
    pub(super) transfers: BTreeMap<String, TransferId>,
    pub(super) holds: BTreeMap<String, HoldId>,
    pub(super) dead_letters: BTreeMap<String, DeadLetterId>,
    pub(super) tokens: BTreeMap<String, TokenId>,
}

/// A number nothing in a table ever has: what a table does not know, the bank does not know either.
const UNKNOWN: u64 = 999_999_999;

impl Names {
    pub(super) fn account(&self, bank: &Bank, name: &str) -> AccountId {
        if let Some(id) = self.accounts.get(name) {
            return *id;
        }
        let (kind, currency) = name.split_once(':').unwrap_or((name, "EUR"));
        let currency = currency.parse().expect("a currency");
        match SystemKind::from_name(kind) {
            Some(SystemKind::Clearing) => {
                SystemAccount { shard: bank.set.shard, kind: SystemKind::Clearing, currency, ordinal: 1 }.id()
            }
            Some(kind) => SystemAccount::standard(bank.set.shard, kind, currency).id(),
            None if name == "elsewhere" => {
                let shard = ShardId::new(1).expect("a shard");
                SystemAccount::standard(shard, SystemKind::Cash, currency).id()
            }
            None => AccountId::new(UNKNOWN).expect("an id"),
        }
    }

    fn customer(&self, name: &str) -> CustomerId {
        self.customers.get(name).copied().unwrap_or(CustomerId::new(UNKNOWN).expect("an id"))
    }

    pub(super) fn hold(&self, name: &str) -> HoldId {
        self.holds.get(name).copied().unwrap_or(HoldId::new(UNKNOWN).expect("an id"))
    }

    pub(super) fn transfer(&self, name: &str) -> TransferId {
        self.transfers.get(name).copied().unwrap_or(TransferId::new(UNKNOWN).expect("an id"))
    }

    pub(super) fn dead_letter(&self, name: &str) -> DeadLetterId {
        self.dead_letters.get(name).copied().unwrap_or(DeadLetterId::new(UNKNOWN).expect("an id"))
    }

    fn token(&self, name: &str) -> TokenId {
        self.tokens.get(name).copied().unwrap_or(TokenId::new(UNKNOWN).expect("an id"))
    }
}

/// What a line asks for.
pub(super) struct Asked {
    /// What the line calls it.
    pub(super) name: String,
    pub(super) key: Option<Key>,
    pub(super) command: Command,
}

/// The words of a line, read from the front, its options taken out wherever they are.
struct Words<'a> {
    words: Vec<&'a str>,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> &'a str {
        assert!(!self.words.is_empty(), "the line is too short");
        self.words.remove(0)
    }

    fn next_if_any(&mut self) -> Option<&'a str> {
        if self.words.is_empty() { None } else { Some(self.words.remove(0)) }
    }

    fn flag(&mut self, name: &str) -> bool {
        let place = self.words.iter().position(|word| *word == name);
        place.map(|place| self.words.remove(place)).is_some()
    }

    fn option(&mut self, name: &str) -> Option<&'a str> {
        let place = self.words.iter().position(|word| *word == name)?;
        self.words.remove(place);
        Some(self.words.remove(place))
    }

    fn end(&self) {
        assert!(self.words.is_empty(), "what does {:?} mean?", self.words);
    }
}

fn amount(text: &str) -> Amount {
    Amount::parse_or_zero(text, 0).expect("an amount")
}

/// A time relative to now, such as `+10m`, `-1d`, `+0s`.
pub(super) fn moment(now: Timestamp, text: &str) -> Timestamp {
    let (number, unit) = text.split_at(text.len() - 1);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => panic!("{text} is no span of time"),
    };
    let number: i64 = number.parse().expect("a number of seconds, minutes, hours or days");
    Timestamp::from_microseconds(now.microseconds().saturating_add_signed(number * seconds * 1_000_000))
        .expect("a time")
}

/// A digest for tests: FNV-1a.
fn digest(text: &str) -> u128 {
    let start = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    text.bytes()
        .fold(start, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b))
}

/// Reads a line's command. The fingerprint of its key is of the words of the line.
pub(super) fn parse(bank: &Bank, names: &Names, line: &str) -> Asked {
    let all: Vec<&str> = line.split_whitespace().collect();
    let fingerprint = digest(&all.join(" "));
    let mut words = Words { words: all };
    let key = words.option("key");
    let verb = words.next();
    let name = words.next();
    let is_key = matches!(
        verb,
        "transfer" | "deposit" | "withdrawal" | "interest" | "batch" | "reverse" | "hold" | "capture" | "ingest"
    );
    let key = key.or((is_key && name != "-").then_some(name));
    let command = command(bank, names, verb, name, &mut words);
    words.end();
    Asked { name: name.into(), key: key.map(|key| Key { digest: digest(key), fingerprint }), command }
}

fn command(bank: &Bank, names: &Names, verb: &str, name: &str, words: &mut Words<'_>) -> Command {
    match verb {
        "deposit" | "withdrawal" | "transfer" | "interest" => Command::Transfer(movement(bank, names, verb, words)),
        "batch" => Command::Batch(batch(bank, names, words)),
        "reverse" => {
            let forced = words.flag("forced");
            Command::Reverse(Reverse { transfer: names.transfer(words.next()), forced, note: None })
        }
        "hold" => Command::PlaceHold(PlaceHold {
            currency: words.option("in").unwrap_or("EUR").parse().expect("a currency"),
            to: words.option("to").map(|to| names.account(bank, to)),
            expires_at: words.option("expires").map(|text| moment(bank.time, text)),
            from: names.account(bank, words.next()),
            amount: amount(words.next()),
        }),
        "capture" => Command::CaptureHold(Box::new(CaptureHold {
            to: words.option("to").map(|to| names.account(bank, to)),
            is_final: !words.flag("partial"),
            hold: names.hold(words.next()),
            amount: words.next_if_any().map(amount),
            note: None,
        })),
        "void" => Command::VoidHold(names.hold(name)),
        "expire" => Command::ExpireHold(names.hold(name)),
        "ingest" => ingest(bank, names, words),
        _ => register(bank, names, verb, name, words),
    }
}

fn ingest(bank: &Bank, names: &Names, words: &mut Words<'_>) -> Command {
    let verb = words.next();
    let name = if matches!(verb, "deposit" | "withdrawal" | "transfer") { "-" } else { words.next() };
    let command = command(bank, names, verb, name, words);
    Command::Ingest(Box::new(Ingest { command, payload: b"sealed".as_slice().into() }))
}

/// Customers, accounts, dead letters, tokens.
fn register(bank: &Bank, names: &Names, verb: &str, name: &str, words: &mut Words<'_>) -> Command {
    match verb {
        "user" => Command::RegisterCustomer(Box::new(RegisterCustomer {
            id: words.option("id").map(|id| id.parse().expect("an id")),
            profile: vec![(ProfileField::Name, name.as_bytes().into())],
            registered_as: digest(words.option("as").unwrap_or(name)),
        })),
        "rename" => Command::UpdateCustomer(Box::new(UpdateCustomer {
            id: names.customer(name),
            changes: vec![(ProfileField::Name, words.next().as_bytes().into())],
        })),
        "account" => Command::OpenAccount(open_account(names, words)),
        "system" => Command::OpenSystemAccount(Box::new(OpenSystemAccount {
            name: name.into(),
            kind: SystemKind::from_name(words.next()).expect("a kind"),
            currency: words.option("in").unwrap_or("EUR").parse().expect("a currency"),
        })),
        "freeze" => Command::Freeze(Box::new(Freeze {
            account: names.account(bank, name),
            reason: words.option("because").map(Into::into),
            kind: match (words.flag("full"), words.flag("debit")) {
                (true, _) => Some(FreezeKind::Full),
                (false, true) => Some(FreezeKind::Debit),
                (false, false) => None,
            },
        })),
        "unfreeze" => Command::Unfreeze(names.account(bank, name)),
        "close" => Command::Close(names.account(bank, name)),
        "terms" => Command::ChangeTerms(Box::new(terms(names.account(bank, name), words))),
        "letter" => Command::RecordDeadLetter(Box::new(RecordDeadLetter {
            code: words.next().into(),
            detail: "said at the edge".into(),
            payload: b"sealed".as_slice().into(),
        })),
        "redrive" => Command::BeginRedrive(Box::new(BeginRedrive {
            dead_letter: names.dead_letter(name),
            payload: words.option("with").map(|data| data.as_bytes().into()),
        })),
        "finish" => Command::FinishRedrive(Box::new(FinishRedrive {
            dead_letter: names.dead_letter(name),
            failure: words.option("failed").map(|code| (code.into(), "said by a rule".into())),
            attempt: words.next().parse().expect("a number"),
        })),
        "discard" => Command::DiscardDeadLetter(Box::new(DiscardDeadLetter {
            dead_letter: names.dead_letter(name),
            reason: words.next().into(),
        })),
        "token" => Command::CreateToken(Box::new(CreateToken {
            name: name.into(),
            role: Role::Teller,
            digest: [7; 32],
            expires_at: None,
        })),
        "revoke" => Command::RevokeToken(names.token(name)),
        _ => panic!("there is no command {verb}"),
    }
}

fn open_account(names: &Names, words: &mut Words<'_>) -> OpenAccount {
    OpenAccount {
        id: words.option("id").map(|id| id.parse().expect("an id")),
        customer: names.customer(words.option("of").unwrap_or("U")),
        kind: if words.flag("savings") { AccountKind::Savings } else { AccountKind::Checking },
        currency: words.option("in").unwrap_or("EUR").parse().expect("a currency"),
        overdraft_limit: words.option("overdraft").map_or(Amount::ZERO, amount),
    }
}

fn terms(account: AccountId, words: &mut Words<'_>) -> ChangeTerms {
    let mut limit = |name| -> Option<NewLimit> {
        words.option(name).map(|text| if text == "none" { None } else { Some(amount(text)) })
    };
    let (per_transfer, daily_debit, monthly_debit) = (limit("per_transfer"), limit("daily"), limit("monthly"));
    ChangeTerms {
        account,
        overdraft_limit: words.option("overdraft").map(amount),
        per_transfer,
        daily_debit,
        monthly_debit,
    }
}

fn leg_amount(text: &str) -> LegAmount {
    if text == "max" { LegAmount::Max } else { LegAmount::Exactly(amount(text)) }
}

fn movement(bank: &Bank, names: &Names, verb: &str, words: &mut Words<'_>) -> Transfer {
    let currency: Currency = words.option("in").unwrap_or("EUR").parse().expect("a currency");
    let forced = words.flag("forced");
    let effective_at = words.option("effective").map(|text| moment(bank.time, text));
    let note = words.option("note").map(|text| Box::new(Note { reference: Some(text.into()), ..Note::default() }));
    let cash = SystemAccount::standard(bank.set.shard, SystemKind::Cash, currency).id();
    let (kind, legs) = match verb {
        "deposit" => {
            let from = words.option("from").map_or(cash, |from| names.account(bank, from));
            let leg = Leg { from, to: names.account(bank, words.next()), amount: leg_amount(words.next()) };
            (TransferKind::Deposit, vec![leg])
        }
        "withdrawal" => {
            let to = words.option("to").map_or(cash, |to| names.account(bank, to));
            let leg = Leg { from: names.account(bank, words.next()), to, amount: leg_amount(words.next()) };
            (TransferKind::Withdrawal, vec![leg])
        }
        _ => {
            let mut legs = Vec::new();
            while let Some(pair) = words.next_if_any() {
                let (from, to) = pair.split_once('>').expect("a leg is written A>B 10");
                let amount = leg_amount(words.next().trim_end_matches(','));
                legs.push(Leg { from: names.account(bank, from), to: names.account(bank, to), amount });
            }
            (if verb == "interest" { TransferKind::Interest } else { TransferKind::Transfer }, legs)
        }
    };
    let legs = if let [leg] = legs[..] { Legs::One([leg]) } else { Legs::Many(legs.into()) };
    Transfer { kind, currency, legs, forced, effective_at, note }
}

fn batch(bank: &Bank, names: &Names, words: &mut Words<'_>) -> Box<[Transfer]> {
    let text = std::mem::take(&mut words.words).join(" ");
    let item = |item: &str| {
        let mut words = Words { words: item.split_whitespace().collect() };
        let verb = if matches!(words.words[0], "deposit" | "withdrawal") { words.next() } else { "transfer" };
        let transfer = movement(bank, names, verb, &mut words);
        words.end();
        transfer
    };
    text.split(';').map(item).collect()
}
